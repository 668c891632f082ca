//! The flags of `holdfast run`: one for each setting, made from the table of settings.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};

use platform::real::DiskDelays;

use crate::config::{FlagValue, SETTINGS, Setting};

/// What `holdfast run` was given.
#[derive(Clone, Debug, Default)]
pub(super) struct RunArguments {
    /// The configuration file.
    pub(super) config: Option<PathBuf>,
    /// The settings that were given as flags.
    pub(super) flags: Vec<FlagValue>,
    /// How much longer the disk takes than it does.
    pub(super) disk_delays: DiskDelays,
}

impl Args for RunArguments {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help("Read settings from a TOML file [env: HOLDFAST_CONFIG]");
        // No setting: nobody should find it in a configuration.
        let disk_delay = Arg::new("disk-delay")
            .long("disk-delay")
            .value_name("WRITE,READ")
            .value_parser(disk_delays)
            .help("Let every disk operation take so many milliseconds longer, like 2.7,0.5: to measure what a slower disk would cost")
            .hide(true);
        SETTINGS
            .iter()
            .fold(command.arg(config).arg(disk_delay), |command, setting| {
                command.arg(flag(setting))
            })
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

fn disk_delays(text: &str) -> Result<DiskDelays, String> {
    let milliseconds = |text: &str| {
        let number = text
            .parse::<f64>()
            .ok()
            .filter(|number| (0.0..=10_000.0).contains(number));
        number.map(|number| Duration::from_secs_f64(number / 1000.0))
    };
    text.split_once(',')
        .and_then(|(write, read)| {
            Some(DiskDelays {
                write: milliseconds(write)?,
                read: milliseconds(read)?,
            })
        })
        .ok_or_else(|| {
            "two numbers of milliseconds up to 10000 are wanted, for writes and for reads, like 2.7,0.5".to_owned()
        })
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
            disk_delays: matches.get_one("disk-delay").copied().unwrap_or_default(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_delay_is_two_numbers_of_milliseconds() {
        let delays = DiskDelays {
            write: Duration::from_micros(2700),
            read: Duration::from_micros(500),
        };
        assert_eq!(disk_delays("2.7,0.5"), Ok(delays));
        assert_eq!(disk_delays("0,0"), Ok(DiskDelays::default()));
        for wrong in ["", "1", "1,", "1,x", "-1,1", "1,NaN", "1,inf", "1,2,3", "10001,0"] {
            assert!(disk_delays(wrong).is_err(), "{wrong}");
        }
    }
}
