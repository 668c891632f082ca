//! `holdfast config check|reference`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::arguments::ConfigCommand;
use super::exit::Exit;
use super::failure::Failure;
use super::output::Output;
use crate::config::{self, Effective, FlagValue, SETTINGS, Sources};

pub(super) fn run(command: &ConfigCommand, output: &Output) -> Result<(), Failure> {
    match command {
        ConfigCommand::Check { file } => check(file.as_deref(), output),
        ConfigCommand::Reference => match output.json {
            true => output.object(&reference()),
            false => output.text(&config::markdown()),
        },
    }
}

/// The configuration in force for this process: file, environment, and these flags.
pub(super) fn load(file: Option<&Path>, flags: &[FlagValue]) -> Result<Effective, Failure> {
    let named = std::env::var_os("HOLDFAST_CONFIG")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from);
    let place = file.map(Path::to_path_buf).or_else(|| named.clone());
    let place = place.map_or_else(
        || "the flags and the environment".to_owned(),
        |path| format!("{}, the flags and the environment", path.display()),
    );
    let sources = Sources {
        file: file.map(Path::to_path_buf).or(named),
        // A variable that is not Unicode cannot be one of ours with a valid value; it then counts as unknown.
        environment: std::env::vars_os()
            .map(|(name, value)| {
                (
                    name.to_string_lossy().into_owned(),
                    value.to_string_lossy().into_owned(),
                )
            })
            .collect(),
        flags: flags.to_vec(),
    };
    config::load(&sources).map_err(|problems| {
        let what = match problems.0.len() {
            1 => format!("the configuration is wrong:\n  {problems}"),
            count => format!(
                "{count} things are wrong in the configuration:\n  {}",
                problems.to_string().replace('\n', "\n  ")
            ),
        };
        Failure::new(
            Exit::Configuration,
            what,
            place,
            "put it right; `holdfast config reference` explains every setting",
        )
    })
}

fn check(file: Option<&Path>, output: &Output) -> Result<(), Failure> {
    let effective = load(file, &[])?;
    for warning in &effective.warnings {
        eprintln!("holdfast: warning: {warning}");
    }
    match output.json {
        true => {
            let settings: Vec<Value> = effective
                .values()
                .map(|(key, value, origin)| json!({ "key": key, "toml": value, "origin": origin.to_string() }))
                .collect();
            output.object(&json!({ "settings": settings, "warnings": effective.warnings }))
        }
        false => output.text(&effective.toml()),
    }
}

fn reference() -> Value {
    let settings = SETTINGS.iter().map(|setting| {
        json!({
            "key": setting.key,
            "type": setting.type_name,
            "default": setting.default,
            "limits": setting.limits.map(|(low, high)| [low, high]),
            "flag": format!("--{}", setting.flag()),
            "variable": setting.variable(),
            "text": setting.text(),
        })
    });
    Value::Array(settings.collect())
}
