//! The commands: what is typed, what is shown, and what a script can rely on.
//!
//! Invariants: results go to standard output, everything else to standard error; `--json` changes the form and never the content; every failure says what happened,
//! where, and what to do, and ends with an exit code of [`Exit`]; a message that was received is acknowledged only after it was written out.
//!
//! Deliberately absent: settings (`config`), and how messages and orders are carried out (the broker's).
//! Tests: `broker/tests/cli.rs`.

mod admin_client;
mod arguments;
mod bench;
mod browse;
mod configuration;
mod connections;
mod destinations;
mod examples;
mod exit;
mod failure;
mod goodbye;
mod journal;
mod manual;
mod moment;
mod moves;
mod output;
mod reach;
mod receive;
mod run_arguments;
mod run_command;
mod send;
mod status;
mod stomp_connection;
mod subscriptions;
mod table;
mod versions;

use std::process::ExitCode;

use clap::Parser;

pub use exit::{Exit, exit_codes_markdown};
pub use failure::Failure;

use arguments::{Arguments, Command};
use output::Output;

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    let output = Output::new(arguments.json);
    match carry_out(arguments.command, &output) {
        Ok(()) => Exit::Success.into(),
        Err(failure) => {
            output.failure(&failure);
            failure.exit.into()
        }
    }
}

/// What the command line's parser says: help on request, else what is wrong.
fn usage(error: &clap::Error) -> ExitCode {
    let as_json = std::env::args_os().any(|argument| argument == "--json");
    if !error.use_stderr() || !as_json {
        // Nothing can be done about an output that is closed.
        let _ = error.print();
        return if error.use_stderr() { Exit::Usage } else { Exit::Success }.into();
    }
    let text = error.render().to_string();
    let text = text.trim_start_matches("error: ").trim();
    let (what, rest) = text.split_once("\n\n").unwrap_or((text, ""));
    let advice = match rest.split_whitespace().collect::<Vec<_>>().join(" ") {
        advice if advice.is_empty() => "see `holdfast --help`".to_owned(),
        advice => advice,
    };
    Output::new(true).failure(&Failure::new(Exit::Usage, what, "the command line", advice));
    Exit::Usage.into()
}

fn carry_out(command: Command, output: &Output) -> Result<(), Failure> {
    match command {
        Command::Run(arguments) => run_command::run(&arguments, output),
        Command::Send(arguments) => send::run(&arguments, output),
        Command::Receive(arguments) => receive::run(&arguments, output),
        Command::Browse(arguments) => browse::run(&arguments, output),
        Command::Bench(arguments) => bench::run(&arguments, output),
        Command::Status(arguments) => status::run(&arguments, output),
        Command::Connections(arguments) => connections::run(&arguments, output),
        Command::Subscriptions(arguments) => subscriptions::run(&arguments, output),
        Command::Destinations(command) => destinations::run(&command, output),
        Command::Dlq(command) => moves::run(&command, output),
        Command::Goodbye(arguments) => goodbye::run(&arguments, output),
        Command::Journal(command) => journal::run(&command, output),
        Command::Config(command) => configuration::run(&command, output),
        Command::Man(arguments) => manual::man(&arguments, output),
        Command::Completions(arguments) => manual::completions(&arguments, output),
        Command::ExitCodes => versions::exit_codes(output),
        Command::Version => versions::version(output),
    }
}
