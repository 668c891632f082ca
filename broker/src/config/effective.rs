//! Putting the sources together: defaults, then the file, then the environment, then flags.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::declaration::Raw;
use super::file;
use super::problem::{Origin, Problem, Problems};
use super::rules;
use super::settings::{Config, SETTINGS};
use super::suggestion::nearest;

/// Variables with our prefix that are no settings.
const OTHER_VARIABLES: [&str; 1] = ["HOLDFAST_CONFIG"];

/// A setting that was given as a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagValue {
    /// The setting's key.
    pub key: &'static str,
    /// What was given, once or several times.
    pub values: Vec<String>,
}

/// Everything that can set a setting.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The configuration file, if there is one.
    pub file: Option<PathBuf>,
    /// The environment; only names that begin with `HOLDFAST_` are looked at.
    pub environment: Vec<(String, String)>,
    /// The flags.
    pub flags: Vec<FlagValue>,
}

/// A valid configuration, and where each value came from.
#[derive(Clone, Debug)]
pub struct Effective {
    /// The values.
    pub config: Config,
    /// Key → origin, for each value that somebody set.
    pub origins: BTreeMap<&'static str, Origin>,
    /// What is odd, but no error.
    pub warnings: Vec<String>,
}

/// Reads all sources. The error holds everything that is wrong, not only the first thing.
pub fn load(sources: &Sources) -> Result<Effective, Problems> {
    let mut loading = Loading::default();
    if let Some(path) = &sources.file {
        loading.file(path);
    }
    loading.environment(&sources.environment);
    for flag in &sources.flags {
        let setting = SETTINGS.iter().find(|setting| setting.key == flag.key);
        let setting = setting.expect("flags are made from the table of settings");
        let raw = Raw {
            list: flag.values.len() > 1,
            items: flag.values.clone(),
            ..Raw::bare("")
        };
        loading.set(setting.key, &raw, Origin::Flag(format!("--{}", setting.flag())));
    }
    loading.finish()
}

/// What a configuration file with this text says, by itself; `path` is for messages only.
pub fn read_text(path: &str, text: &str) -> Result<Effective, Problems> {
    let mut loading = Loading::default();
    loading.text(path, text);
    loading.finish()
}

impl Effective {
    /// Where the value of a setting came from.
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }

    /// The whole configuration as a TOML file, each value with where it came from.
    pub fn toml(&self) -> String {
        let mut text = String::new();
        let mut table = "";
        for setting in SETTINGS {
            if setting.table() != table {
                table = setting.table();
                text.push_str(&format!("\n[{table}]\n"));
            }
            let name = setting.key.rsplit('.').next().unwrap_or(setting.key);
            let line = format!("{name} = {}", (setting.toml)(&self.config));
            text.push_str(&format!("{line:<44} # {}\n", self.origin(setting.key)));
        }
        text
    }

    /// Key, value as TOML, and origin of each setting.
    pub fn values(&self) -> impl Iterator<Item = (&'static str, String, Origin)> {
        SETTINGS
            .iter()
            .map(|setting| (setting.key, (setting.toml)(&self.config), self.origin(setting.key)))
    }
}

#[derive(Default)]
struct Loading {
    config: Config,
    origins: BTreeMap<&'static str, Origin>,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Loading {
    fn set(&mut self, key: &'static str, raw: &Raw, origin: Origin) {
        let setting = SETTINGS.iter().find(|setting| setting.key == key);
        let setting = setting.expect("only keys of the table come here");
        match (setting.set)(&mut self.config, raw, setting) {
            Ok(()) => {
                self.origins.insert(setting.key, origin);
            }
            Err(text) => self.problems.push(Problem {
                origin,
                text: format!("`{key}` {text}"),
            }),
        }
    }

    fn file(&mut self, path: &std::path::Path) {
        let shown = path.display().to_string();
        let whole_file = |text| Problem {
            origin: Origin::Default,
            text,
        };
        let read = std::fs::metadata(path).and_then(|metadata| match metadata.len() > file::FILE_BYTES_MAX {
            true => Err(std::io::Error::other(
                "it is larger than 1 MiB; is this the right file?",
            )),
            false => std::fs::read_to_string(path),
        });
        match read {
            Ok(text) => self.text(&shown, &text),
            Err(error) => self.problems.push(whole_file(format!(
                "the configuration file {shown} cannot be read: {error}"
            ))),
        }
    }

    fn text(&mut self, path: &str, text: &str) {
        let (entries, problems) = file::read(path, text);
        self.problems.extend(problems);
        for entry in entries {
            self.set(entry.setting.key, &entry.raw, entry.origin);
        }
        self.problems.sort_by_key(|problem| match problem.origin {
            Origin::File { line, column, .. } => (line, column),
            Origin::Default | Origin::Variable(_) | Origin::Flag(_) => (0, 0),
        });
    }

    /// The configuration, if nothing is wrong with any value and the values go together.
    fn finish(mut self) -> Result<Effective, Problems> {
        if self.problems.is_empty() {
            for (key, text) in rules::broken(&self.config) {
                let origin = self.origins.get(key).cloned().unwrap_or(Origin::Default);
                self.problems.push(Problem {
                    origin,
                    text: format!("`{key}` {text}"),
                });
            }
        }
        match self.problems.is_empty() {
            true => Ok(Effective {
                config: self.config,
                origins: self.origins,
                warnings: self.warnings,
            }),
            false => Err(Problems(self.problems)),
        }
    }

    fn environment(&mut self, environment: &[(String, String)]) {
        let mut ours: Vec<_> = environment
            .iter()
            .filter(|(name, _)| name.starts_with("HOLDFAST_") && !name.starts_with("HOLDFAST_TEST_"))
            .filter(|(name, _)| !OTHER_VARIABLES.contains(&name.as_str()))
            .collect();
        ours.sort();
        let variables: Vec<String> = SETTINGS.iter().map(|setting| setting.variable()).collect();
        for (name, value) in ours {
            match variables.iter().position(|variable| variable == name) {
                Some(index) => self.set(SETTINGS[index].key, &Raw::bare(value), Origin::Variable(name.clone())),
                None => {
                    // Not an error: other software sets variables with such names by itself (Kubernetes does, for every service).
                    let bare = |variable: &str| variable.trim_start_matches("HOLDFAST_").to_string();
                    let names: Vec<String> = variables.iter().map(|variable| bare(variable)).collect();
                    let hint = nearest(&bare(name), names.iter().map(String::as_str))
                        .map_or_else(String::new, |near| format!("; did you mean HOLDFAST_{near}?"));
                    self.warnings.push(format!(
                        "environment variable {name} is no setting and changes nothing{hint}"
                    ));
                }
            }
        }
    }
}
