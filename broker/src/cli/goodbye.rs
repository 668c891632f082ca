//! `holdfast goodbye`: what a supervisor runs when a broker's process is gone.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use clap::Args;
use leadership::GoodbyeReason;
use message::Epoch;
use node::{GoodbyeBy, NotSaid, SaidGoodbye, say_goodbye_for};
use platform::real::{RealClock, RealDisk, this_process};
use platform::{Files, Task};
use serde_json::json;

use super::exit::Exit;
use super::failure::Failure;
use super::output::Output;

const AFTER_HELP: &str = "\
Exit code 76, and nothing is written, if the process runs, or may run where this
machine cannot see it. Saying it again is no error.

  holdfast goodbye --data /srv/holdfast
  holdfast goodbye --data /srv/holdfast --epoch 7 --json";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct GoodbyeArguments {
    /// The data directory
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    /// The epoch that is over [default: the newest claim of this machine]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    epoch: Option<u32>,
}

pub(super) fn run(arguments: &GoodbyeArguments, output: &Output) -> Result<(), Failure> {
    let said = say(&arguments.data, arguments.epoch.map(Epoch))?;
    let (before, why) = match said.how {
        GoodbyeBy::Us(why) => (false, why),
        GoodbyeBy::Before(GoodbyeReason::Stopped) => (true, "it stopped in good order"),
        GoodbyeBy::Before(GoodbyeReason::HandedOver) => (true, "it handed leadership over"),
        GoodbyeBy::Before(GoodbyeReason::ProvedDead) => (true, "its process was proved dead"),
    };
    if output.json {
        return output.object(&json!({
            "epoch": said.epoch.0, "pid": said.pid, "host": said.host, "said_before": before, "why": why,
        }));
    }
    let SaidGoodbye { epoch, pid, host, .. } = said;
    output.text(&output.foreign(&match before {
        true => format!("GOODBYE was said before for epoch {epoch} (process {pid} on {host}): {why}.\n"),
        false => {
            format!("Said GOODBYE for epoch {epoch} (process {pid} on {host}): {why}.\nA standby takes over at once.\n")
        }
    }))
}

fn say(directory: &Path, epoch: Option<Epoch>) -> Result<SaidGoodbye, Failure> {
    let location = directory.display().to_string();
    let unusable = |what: String| {
        Failure::new(
            Exit::DataUnusable,
            what,
            location.clone(),
            "give the data directory of a broker that has run, as a user who may write it",
        )
    };
    // Opening would make it.
    if !directory.is_dir() {
        return Err(unusable("there is no such directory".into()));
    }
    let host = this_process()
        .map_err(|error| unusable(format!("this machine cannot be asked who it is: {error}")))?
        .host;
    let (wake, woken) = sync_channel(1);
    // A full channel has said it already.
    let wake = Arc::new(move || wake.try_send(()).unwrap_or_default());
    let disk = RealDisk::open(directory, wake).map_err(|error| unusable(error.to_string()))?;
    let files = Files::new(Box::new(disk), RealClock.now());
    let mut task = Task::new(say_goodbye_for(files.clone(), host, epoch));
    loop {
        files.turn(RealClock.now());
        if let Some(result) = task.poll() {
            return result.map_err(|refused| refusal(&refused, &location));
        }
        // Whatever it says, there is something to look at, or will be at the deadline.
        let _ = match files.next_deadline() {
            Some(at) => woken.recv_timeout(at.since(RealClock.now().boot)).is_ok(),
            None => woken.recv().is_ok(),
        };
    }
}

fn refusal(refused: &NotSaid, location: &str) -> Failure {
    let (exit, what_to_do) = match refused {
        NotSaid::NoClaims => (Exit::DataUnusable, "give the data directory of a broker that has run"),
        NotSaid::NoneHere { .. } => (
            Exit::Refused,
            "run this on the machine whose broker is gone, or name its epoch with --epoch",
        ),
        NotSaid::NoSuchEpoch { .. } => (Exit::Refused, "`holdfast journal inspect` lists the epochs"),
        NotSaid::Unreadable(_) => (
            Exit::Damage,
            "nothing is lost by waiting: a standby takes over when the leader has been silent for leadership.takeover_after",
        ),
        NotSaid::NotDead { .. } => (
            Exit::Refused,
            "end that process first, or wait: a standby takes over when the leader has been silent for leadership.takeover_after",
        ),
        NotSaid::Failed(node::Failure::Damage { .. }) => (Exit::Damage, "look at `holdfast journal verify`"),
        NotSaid::Failed(_) => (Exit::StorageFailed, "look at the disk or mount, then run this again"),
    };
    Failure::new(exit, refused.to_string(), location, what_to_do)
}
