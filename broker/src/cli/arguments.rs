//! What can be typed. Help texts are for 80 columns and name default and unit of each flag.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::bench::BenchArguments;
use super::connections::ConnectionsArguments;
use super::examples;
use super::goodbye::GoodbyeArguments;
use super::manual::{CompletionsArguments, ManArguments};
use super::moves::{DlqCommand, MoveArguments};
use super::run_arguments::RunArguments;
use super::subscriptions::SubscriptionsArguments;
use crate::config::parse_duration;

const AFTER_HELP: &str = "\
Commands that talk to a broker find it by --admin, --data, HOLDFAST_ADMIN or
HOLDFAST_DATA, and without any at 127.0.0.1:8161. `holdfast exit-codes` lists
the exit codes.

  holdfast run --data /var/lib/holdfast
  holdfast send queue://hello 'Hello, world'
  holdfast receive queue://hello";

/// A message broker that confirms nothing it could lose.
#[derive(Debug, Parser)]
#[command(name = "holdfast", version, max_term_width = 80, disable_help_subcommand = true, after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Print JSON instead of text, errors included
    #[arg(long, global = true)]
    pub(super) json: bool,

    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a broker, in the foreground, until SIGTERM or Ctrl-C
    ///
    /// Logs go to standard error. No configuration file is needed. A second broker on the same data directory says who leads and ends with 75. Every setting
    /// is also a flag; `holdfast config reference` explains each.
    #[command(after_help = examples::RUN)]
    Run(RunArguments),

    /// Send a message, and wait until the broker has confirmed it
    #[command(after_help = examples::SEND)]
    Send(SendArguments),

    /// Receive messages, and acknowledge each after it was printed
    #[command(after_help = examples::RECEIVE)]
    Receive(ReceiveArguments),

    /// Look at the messages of a queue without taking them
    #[command(after_help = examples::BROWSE)]
    Browse(BrowseArguments),

    /// Show what a broker is doing, warnings first
    #[command(after_help = examples::STATUS)]
    Status(StatusArguments),

    /// Measure how fast a broker is, and check every message
    Bench(BenchArguments),

    /// List, create, purge or delete destinations, or move messages
    #[command(subcommand)]
    Destinations(DestinationsCommand),

    /// List dead letters, or send them back where they came from
    #[command(subcommand)]
    Dlq(DlqCommand),

    /// List who is connected, or close a connection
    Connections(ConnectionsArguments),

    /// List who takes what, and durable subscriptions that nobody uses
    Subscriptions(SubscriptionsArguments),

    /// Say for a leader whose process is dead that nobody need wait for it
    ///
    /// For supervisors: a standby then takes over at once, instead of waiting until the leader has been silent for long enough. Refused unless the
    /// process is proved dead: this machine was restarted since, or has no such process.
    Goodbye(GoodbyeArguments),

    /// Look into a data directory without a broker
    #[command(subcommand)]
    Journal(JournalCommand),

    /// Check a configuration, or explain the settings
    #[command(subcommand)]
    Config(ConfigCommand),

    /// Print the manual page, or write one for each command
    Man(ManArguments),

    /// Print what lets a shell complete commands and flags
    Completions(CompletionsArguments),

    /// List the exit codes, as docs/exit-codes.md
    #[command(after_help = examples::EXIT_CODES)]
    ExitCodes,

    /// Print version and protocols
    #[command(after_help = examples::VERSION)]
    Version,
}

/// How a command finds the broker.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Where the broker is")]
pub(super) struct Reach {
    /// Its admin address [default: 127.0.0.1:8161; env: HOLDFAST_ADMIN]
    #[arg(long, value_name = "URL")]
    pub(super) admin: Option<String>,

    /// Its data directory: the addresses stand there [env: HOLDFAST_DATA]
    #[arg(long, value_name = "DIR", conflicts_with = "admin")]
    pub(super) data: Option<PathBuf>,
}

/// How a command reaches the messages.
#[derive(Clone, Debug, Args)]
pub(super) struct ReachClients {
    #[command(flatten)]
    pub(super) reach: Reach,

    /// Its STOMP address, instead of asking it for that
    #[arg(long, value_name = "URL", conflicts_with_all = ["admin", "data"], help_heading = "Where the broker is")]
    pub(super) broker: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct SendArguments {
    /// queue://NAME, topic://NAME; a bare NAME is a queue
    pub(super) destination: String,

    /// The body; without it (or with -) it is read from standard input
    #[arg(conflicts_with = "file")]
    pub(super) body: Option<String>,

    /// Read the body from a file
    #[arg(long, value_name = "PATH")]
    pub(super) file: Option<PathBuf>,

    /// Send each line of the input as a message of its own
    #[arg(long)]
    pub(super) lines: bool,

    /// Send the message this many times [default: 1]
    #[arg(long, value_name = "NUMBER", default_value_t = 1, hide_default_value = true, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: u64,

    /// Add a header or property; may be repeated
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = header)]
    pub(super) headers: Vec<(String, String)>,

    /// Whether it survives a restart of the broker [default: true]
    #[arg(long, value_name = "BOOL", default_value_t = true, hide_default_value = true, action = clap::ArgAction::Set)]
    pub(super) persistent: bool,

    /// Priority, 0 to 9 [default: 4]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(0..=9))]
    pub(super) priority: Option<u8>,

    /// Drop it if nobody took it after this time [default: never]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(super) expires_after: Option<Duration>,

    /// Send as bytes, not as text (what is not UTF-8 always goes as bytes)
    #[arg(long)]
    pub(super) bytes: bool,

    /// Give up if the broker says nothing for this long [default: 30s]
    #[arg(long, value_name = "DURATION", default_value = "30s", hide_default_value = true, value_parser = parse_duration)]
    pub(super) timeout: Duration,

    #[command(flatten)]
    pub(super) reach: ReachClients,
}

/// When a received message counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum AckMode {
    /// When the broker has sent it
    Auto,
    /// When it was printed
    Client,
}

#[derive(Debug, Args)]
pub(super) struct ReceiveArguments {
    /// queue://NAME, topic://NAME; wildcards * and > are allowed
    pub(super) destination: String,

    /// Receive this many messages [default: 1]
    #[arg(long, value_name = "NUMBER", default_value_t = 1, hide_default_value = true, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: u64,

    /// Go on until Ctrl-C
    #[arg(long, conflicts_with = "count")]
    pub(super) follow: bool,

    /// Wait at most this long for each message; then exit code 66 if fewer came than asked for [default: for ever]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(super) timeout: Option<Duration>,

    /// When a message counts as done
    #[arg(long, value_enum, value_name = "MODE", default_value = "client")]
    pub(super) ack: AckMode,

    /// Only messages that match, for example "price > 5 AND symbol LIKE 'A%'"
    #[arg(long, value_name = "SELECTOR")]
    pub(super) selector: Option<String>,

    /// Print the headers too
    #[arg(long)]
    pub(super) headers: bool,

    #[command(flatten)]
    pub(super) reach: ReachClients,
}

#[derive(Debug, Args)]
pub(super) struct BrowseArguments {
    /// queue://NAME or NAME
    pub(super) destination: String,

    /// Show at most this many messages [default: 100]
    #[arg(long, value_name = "NUMBER", default_value_t = 100, hide_default_value = true, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) limit: u64,

    /// Only messages that match
    #[arg(long, value_name = "SELECTOR")]
    pub(super) selector: Option<String>,

    /// Print headers and whole bodies
    #[arg(long)]
    pub(super) headers: bool,

    /// Give up if the broker says nothing for this long [default: 30s]
    #[arg(long, value_name = "DURATION", default_value = "30s", hide_default_value = true, value_parser = parse_duration)]
    pub(super) timeout: Duration,

    #[command(flatten)]
    pub(super) reach: ReachClients,
}

#[derive(Debug, Args)]
pub(super) struct StatusArguments {
    /// Wait up to this long until the broker leads [default: do not wait]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(super) wait: Option<Duration>,

    #[command(flatten)]
    pub(super) reach: Reach,
}

#[derive(Debug, Subcommand)]
pub(super) enum DestinationsCommand {
    /// List destinations with their counters
    ///
    /// IN and OUT count since this broker leads. HELD are delivered and not yet acknowledged; they are part of WAITING. ASIDE are damaged on disk and
    /// not delivered; they stay, beside WAITING, until the destination is purged.
    #[command(after_help = examples::LIST)]
    List {
        #[command(flatten)]
        reach: Reach,
    },
    /// Create a destination
    #[command(after_help = examples::CREATE)]
    Create(OneDestination),
    /// Remove all messages that wait in a queue, those in delivery included
    #[command(after_help = examples::PURGE)]
    Purge(PurgeArguments),
    /// Move waiting messages to another queue
    Move(MoveArguments),
    /// Delete a destination with all its messages
    #[command(after_help = examples::DELETE)]
    Delete(OneDestination),
}

#[derive(Debug, Args)]
pub(super) struct PurgeArguments {
    #[command(flatten)]
    pub(super) one: OneDestination,

    /// Remove only damaged messages that are set aside
    ///
    /// Of a queue, or of the durable subscriptions that take from a topic. Everything else stays.
    #[arg(long)]
    pub(super) set_aside: bool,
}

#[derive(Debug, Args)]
pub(super) struct OneDestination {
    /// queue://NAME, topic://NAME; a bare NAME is a queue
    pub(super) destination: String,

    #[command(flatten)]
    pub(super) reach: Reach,
}

#[derive(Debug, Subcommand)]
pub(super) enum JournalCommand {
    /// Show claims, segments and checkpoints, and what lies in them; exit code 65 if something is damaged
    ///
    /// Nothing is changed; a broker may be running on the directory.
    #[command(after_help = examples::INSPECT)]
    Inspect(InspectArguments),
    /// Read everything and check every checksum; exit code 65 if something is damaged
    ///
    /// Nothing is changed; a broker may be running on the directory.
    #[command(after_help = examples::VERIFY)]
    Verify(VerifyArguments),
}

#[derive(Debug, Args)]
pub(super) struct InspectArguments {
    /// The data directory
    pub(super) directory: PathBuf,

    /// Show each batch
    #[arg(long)]
    pub(super) batches: bool,

    /// Show each record, too
    #[arg(long)]
    pub(super) records: bool,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArguments {
    /// The data directory
    pub(super) directory: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Print the configuration in force, and where each value came from
    ///
    /// The environment counts too, as it would for `holdfast run`. Exit code 78 if something is wrong.
    #[command(after_help = examples::CHECK)]
    Check {
        /// The configuration file; without it, HOLDFAST_CONFIG or only the environment
        file: Option<PathBuf>,
    },
    /// Explain every setting, as docs/configuration.md
    #[command(after_help = examples::REFERENCE)]
    Reference,
}

/// Reads `NAME=VALUE`.
pub(super) fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_string(), value.to_string())),
        Some(_) | None => Err("write NAME=VALUE".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn arguments_are_declared_without_contradiction() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn help_fits_80_columns() {
        fn check(command: &mut clap::Command, path: &str) {
            for help in [
                command.render_help().to_string(),
                command.render_long_help().to_string(),
            ] {
                for line in help.lines() {
                    assert!(line.chars().count() <= 80, "{path}: {line}");
                }
            }
            let path = format!("{path} {}", command.get_name());
            command.get_subcommands_mut().for_each(|inner| check(inner, &path));
        }
        let mut command = Arguments::command().term_width(80);
        command.build();
        check(&mut command, "");
    }
}
