//! `holdfast status`.

use std::time::{Duration, Instant};

use super::arguments::StatusArguments;
use super::exit::Exit;
use super::failure::Failure;
use super::output::Output;
use crate::admin::{Status, status_text};

/// Time between two looks while waiting.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);

pub(super) fn run(arguments: &StatusArguments, output: &Output) -> Result<(), Failure> {
    let until = arguments.wait.map(|wait| Instant::now() + wait);
    let status = loop {
        let looked = arguments.reach.admin_client().and_then(|client| client.status());
        let good_enough = match &looked {
            Ok(status) => status.ready,
            // A broker that is not there yet may come; a wrong command line stays wrong.
            Err(failure) => failure.exit != Exit::Unreachable && failure.exit != Exit::DataUnusable,
        };
        let left = until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
        if good_enough || left.is_zero() {
            break looked?;
        }
        if let Ok(status) = &looked {
            output.progress(|| progress(status));
        }
        std::thread::park_timeout(left.min(LOOK_AGAIN_AFTER));
    };
    match output.json {
        true => output.object(&status)?,
        false => {
            let text = status_text(&status);
            let text = output.foreign(&text);
            let lines: String = text
                .lines()
                .map(|line| format!("{}\n", output.fitted(line, 0)))
                .collect();
            output.text(&lines)?;
        }
    }
    match status.ready {
        true => Ok(()),
        false => Err(Failure::new(
            Exit::NotReady,
            format!("the broker is not ready: {}", status.reason),
            status.admin,
            "wait with `holdfast status --wait 30s`; if the reason stays, it says what to look at",
        )),
    }
}

fn progress(status: &Status) -> String {
    match status.recovery {
        Some(recovery) => format!(
            "{}: {} of {}",
            status.role.name(),
            crate::admin::bytes_text(recovery.bytes),
            crate::admin::bytes_text(recovery.of)
        ),
        None => format!("{}…", status.role.name()),
    }
}
