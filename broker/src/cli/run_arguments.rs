//! The flags of `holdfast run`: one for each setting, made from the table of settings.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};

use crate::config::{FlagValue, SETTINGS, Setting};

/// What `holdfast run` was given.
#[derive(Clone, Debug, Default)]
pub(super) struct RunArguments {
    /// The configuration file.
    pub(super) config: Option<PathBuf>,
    /// The settings that were given as flags.
    pub(super) flags: Vec<FlagValue>,
}

impl Args for RunArguments {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help("Read settings from a TOML file [env: HOLDFAST_CONFIG]");
        SETTINGS
            .iter()
            .fold(command.arg(config), |command, setting| command.arg(flag(setting)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn flag(setting: &'static Setting) -> Arg {
    let limits = setting
        .limits
        .map_or_else(String::new, |(low, high)| format!("; {low} to {high}"));
    let facts = format!("[default: {}{limits}]", setting.default);
    let summary = setting.summary();
    let summary = summary.trim_end_matches('.');
    let heading = match setting.table() {
        "" => "Settings".to_string(),
        table => format!("Settings of [{table}]"),
    };
    let arg = Arg::new(setting.key)
        .long(setting.flag())
        .value_name(value_name(setting))
        .help(format!("{summary} {facts}"))
        .help_heading(heading)
        .hide_short_help(!setting.table().is_empty());
    match (setting.switch, setting.list) {
        (true, _) => arg.num_args(0..=1).default_missing_value("true").require_equals(true),
        (false, true) => arg.action(ArgAction::Append),
        (false, false) => arg,
    }
}

fn value_name(setting: &Setting) -> &'static str {
    match setting.type_name {
        "size" | "size or auto" => "SIZE",
        "duration" => "DURATION",
        "number" => "NUMBER",
        "true or false" => "BOOL",
        "path" => "PATH",
        "list of URLs" => "URL",
        "address:port or none" => "ADDRESS",
        "text" => "TEXT",
        _ => "CHOICE",
    }
}

impl FromArgMatches for RunArguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<RunArguments, clap::Error> {
        let mut arguments = RunArguments {
            config: matches.get_one::<PathBuf>("config").cloned(),
            flags: Vec::new(),
        };
        for setting in SETTINGS {
            if let Some(values) = matches.get_many::<String>(setting.key) {
                arguments.flags.push(FlagValue {
                    key: setting.key,
                    values: values.cloned().collect(),
                });
            }
        }
        Ok(arguments)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = RunArguments::from_arg_matches(matches)?;
        Ok(())
    }
}
