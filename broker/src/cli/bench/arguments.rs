//! What can be typed behind `holdfast bench`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::cli::arguments::{ReachClients, header};
use crate::config::{Size, parse_duration};

const AFTER_HELP: &str = "\
One thread does it all, each producer and each consumer on a connection of its
own. A producer sends as soon as a confirmation is there, so a slow answer slows
the sending down, too. Exit code 67 if a message was lost, doubled, out of order
or changed. A NATS server is measured by --broker nats://HOST:PORT: a queue is a
JetStream stream, a topic a subject of core NATS.

  holdfast bench --producers 100 --consumers 4
  holdfast bench --topic --consumers 100 --persistent false
  holdfast bench --broker stomp://127.0.0.1:61613 --login me --passcode me";

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = AFTER_HELP)]
pub(in crate::cli) struct BenchArguments {
    #[command(subcommand)]
    pub(super) machine: Option<MachineCommand>,

    /// Connections that send [default: 1]
    #[arg(long, value_name = "NUMBER", default_value_t = 1, hide_default_value = true, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(super) producers: u32,

    /// Connections that receive [default: 0]
    #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true, value_parser = clap::value_parser!(u32).range(..=20_000))]
    pub(super) consumers: u32,

    /// Messages that each producer has unconfirmed [default: 1]
    #[arg(long, value_name = "NUMBER", default_value_t = 1, hide_default_value = true, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) in_flight: u32,

    /// Length of a body, at least 48 bytes [default: 1KiB]
    #[arg(long, value_name = "SIZE", default_value = "1KiB", hide_default_value = true)]
    pub(super) size: Size,

    /// Whether messages survive a restart of the broker [default: true]
    #[arg(long, value_name = "BOOL", default_value_t = true, hide_default_value = true, action = clap::ArgAction::Set)]
    pub(super) persistent: bool,

    /// Send to a topic: every consumer gets every message
    #[arg(long, conflicts_with = "queues")]
    pub(super) topic: bool,

    /// Spread producers and consumers over so many queues [default: 1]
    #[arg(long, value_name = "NUMBER", default_value_t = 1, hide_default_value = true, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(super) queues: u32,

    /// The destination; several queues get -1, -2, … behind it; must be empty [default: holdfast.bench.RUN]
    #[arg(long, value_name = "NAME")]
    pub(super) destination: Option<String>,

    /// How consumers acknowledge
    #[arg(long, value_enum, value_name = "MODE", default_value = "client-individual")]
    pub(super) ack: BenchAck,

    /// Deliveries that a consumer may have unacknowledged [default: 1000]
    #[arg(long, value_name = "NUMBER", default_value_t = 1000, hide_default_value = true)]
    pub(super) prefetch: u32,

    /// Producers wait while the slowest consumer has yet to get so many messages [default: they never do]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) backlog_max: Option<u64>,

    /// Measure for so long [default: 10s]
    #[arg(long, value_name = "DURATION", default_value = "10s", hide_default_value = true, value_parser = parse_duration)]
    pub(super) duration: Duration,

    /// Measure so many messages, instead
    #[arg(long, value_name = "NUMBER", conflicts_with = "duration", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: Option<u64>,

    /// Load it for so long before that [default: 2s, with --count 0s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(super) warm_up: Option<Duration>,

    /// Give up if nothing moves for this long [default: 30s]
    #[arg(long, value_name = "DURATION", default_value = "30s", hide_default_value = true, value_parser = parse_duration)]
    pub(super) timeout: Duration,

    /// Header of every SEND; may be repeated
    #[arg(long = "send-header", value_name = "NAME=VALUE", value_parser = header)]
    pub(super) send_headers: Vec<(String, String)>,

    /// Header of every SUBSCRIBE; may be repeated
    #[arg(long = "subscribe-header", value_name = "NAME=VALUE", value_parser = header)]
    pub(super) subscribe_headers: Vec<(String, String)>,

    /// Write the latencies as an HdrHistogram log, in milliseconds
    #[arg(long, value_name = "FILE", help_heading = "What is written")]
    pub(super) histogram: Option<PathBuf>,

    /// Append the figures as a row
    #[arg(long, value_name = "FILE", help_heading = "What is written")]
    pub(super) csv: Option<PathBuf>,

    /// A column in front of the row; may be repeated
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = header, requires = "csv", help_heading = "What is written")]
    pub(super) labels: Vec<(String, String)>,

    #[command(flatten)]
    pub(super) reach: ReachClients,

    /// The user, if it wants one
    #[arg(long, value_name = "NAME", help_heading = "Where the broker is")]
    pub(super) login: Option<String>,

    /// The user's password
    #[arg(long, value_name = "TEXT", help_heading = "Where the broker is")]
    pub(super) passcode: Option<String>,

    /// Its process, to show what it uses [default: what its admin says]
    #[arg(long, value_name = "NUMBER", help_heading = "Where the broker is")]
    pub(super) pid: Option<u32>,

    /// Measure this client itself: against a thread that only answers
    #[arg(long, conflicts_with_all = ["admin", "data", "broker"], help_heading = "Where the broker is")]
    pub(super) against_nothing: bool,
}

/// How consumers acknowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum BenchAck {
    /// Not at all: what was sent counts as done
    Auto,
    /// Once for all that was read together
    Client,
    /// Each message by itself
    ClientIndividual,
}

/// What the machine under a broker can do.
#[derive(Debug, Subcommand)]
pub(super) enum MachineCommand {
    /// Time direct, synchronous overwrites: what one confirmation costs at least
    ///
    /// Writes zeros over and over into a file that it makes and removes again, 4 KiB at a time with O_DIRECT and O_DSYNC, one after the other.
    Disk(DiskArguments),
    /// Time round trips through the loopback interface between two threads
    Loopback(LoopbackArguments),
}

#[derive(Debug, Args)]
pub(super) struct DiskArguments {
    /// A directory on the disk, such as the broker's data directory
    #[arg(long, value_name = "DIR")]
    pub(super) data: PathBuf,

    /// Number of overwrites [default: 2000]
    #[arg(long, value_name = "NUMBER", default_value_t = 2000, hide_default_value = true, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) count: u32,
}

#[derive(Debug, Args)]
pub(super) struct LoopbackArguments {
    /// Number of round trips [default: 10000]
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000, hide_default_value = true, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) count: u32,

    /// Bytes on the way there; back come 64 [default: 1KiB]
    #[arg(long, value_name = "SIZE", default_value = "1KiB", hide_default_value = true)]
    pub(super) size: Size,
}
