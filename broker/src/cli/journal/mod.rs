//! `holdfast journal inspect|verify`: a data directory read from outside, without changing it.
//!
//! What lies in segments and checkpoints is the journal's to judge (`journal::inspect`); here are the claims, the output and the exit code.

mod claims;
mod rows;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use journal::Damage;
use journal::inspect::{Inspection, Row, Totals, inspect};
use platform::real::{OfflineDisk, RealClock};
use platform::{DiskError, Files, Task};
use serde_json::json;

use super::arguments::{InspectArguments, JournalCommand, VerifyArguments};
use super::exit::Exit;
use super::failure::Failure;
use super::output::Output;
use crate::admin::bytes_text;
use claims::Claims;
use rows::Printer;

/// How often a verification starts over because a running broker changed the directory under it.
const ATTEMPTS_MAX: usize = 5;

pub(super) fn run(command: &JournalCommand, output: &Output) -> Result<(), Failure> {
    match command {
        JournalCommand::Inspect(arguments) => show(arguments, output),
        JournalCommand::Verify(arguments) => verify(arguments, output),
    }
}

/// What to do about a directory that is not what it should be.
const DATA_DIRECTORY: &str = "give the data directory of a broker: the one that holds epochs/ and journal/";

/// A directory opened for reading, with its claims.
struct Opened {
    directory: PathBuf,
    files: Files,
    claims: Claims,
}

fn open(directory: &Path) -> Result<Opened, Failure> {
    let disk = OfflineDisk::open(directory).map_err(|error| unreadable(directory, &error))?;
    let files = Files::new(Box::new(disk), RealClock.now());
    let claims = drive(&files, claims::read(files.clone())).map_err(|error| unreadable(directory, &error))?;
    if claims.claims.is_empty() && claims.damages.is_empty() {
        return Err(Failure::new(
            Exit::DataUnusable,
            "no broker has ever claimed this directory",
            directory.display().to_string(),
            DATA_DIRECTORY,
        ));
    }
    Ok(Opened {
        directory: directory.to_owned(),
        files,
        claims,
    })
}

fn unreadable(directory: &Path, error: &DiskError) -> Failure {
    Failure::new(
        Exit::DataUnusable,
        format!("the directory cannot be read: {error}"),
        directory.display().to_string(),
        format!("{DATA_DIRECTORY}, as a user who may read it"),
    )
}

/// Runs a procedure to its end; the disk has completed each operation when it is asked.
fn drive<T: 'static>(files: &Files, procedure: impl Future<Output = T> + 'static) -> T {
    let mut task = Task::new(procedure);
    loop {
        if let Some(result) = task.poll() {
            return result;
        }
        files.turn(RealClock.now());
    }
}

/// Walks the directory; `take` hears of each row, and keeps the first failure of the output.
fn walk(
    opened: &Opened,
    with_records: bool,
    take: impl FnMut(Row) -> Result<(), Failure> + 'static,
) -> Result<Totals, Failure> {
    let inspection = Inspection {
        with_records,
        ..opened.claims.inspection.clone()
    };
    let files = opened.files.clone();
    let failed = Rc::new(RefCell::new(None));
    let failure = failed.clone();
    let mut take = take;
    let totals = drive(&opened.files, async move {
        let mut each = |row| {
            let mut failure = failure.borrow_mut();
            if failure.is_none() {
                *failure = take(row).err();
            }
        };
        inspect(files, &inspection, &mut each).await
    });
    if let Some(failure) = failed.take() {
        return Err(failure);
    }
    totals.map_err(|error| {
        Failure::new(
            Exit::StorageFailed,
            format!("the disk failed: {error}"),
            opened.directory.display().to_string(),
            "look at the disk or mount, then run this again",
        )
    })
}

fn show(arguments: &InspectArguments, output: &Output) -> Result<(), Failure> {
    let opened = open(&arguments.directory)?;
    match output.json {
        true => opened
            .claims
            .json()
            .iter()
            .try_for_each(|line| output.object_line(line))?,
        false => output.text(&output.foreign(&opened.claims.text()))?,
    }
    let printer = Printer::new(output.clone(), arguments.batches || arguments.records);
    let printer = Rc::new(RefCell::new(printer));
    let rows = printer.clone();
    let totals = walk(&opened, arguments.records, move |row| rows.borrow_mut().row(&row))?;
    printer.borrow_mut().finish()?;
    let damages = totals.damages + opened.claims.damages.len() as u64;
    match output.json {
        true => output.object_line(&json!({ "row": "totals", "totals": rows::totals_json(&totals, damages) })),
        false => output.text(&format!("\n{}\n", totals_text(&totals, damages))),
    }?;
    judged(&arguments.directory, damages)
}

fn verify(arguments: &VerifyArguments, output: &Output) -> Result<(), Failure> {
    let mut attempt = 1;
    let (totals, damages) = loop {
        let opened = open(&arguments.directory)?;
        let found = Rc::new(RefCell::new(opened.claims.damages.clone()));
        let (damages, shown) = (found.clone(), output.clone());
        let mut bytes = 0;
        let totals = walk(&opened, false, move |row| {
            match row {
                Row::Damage(damage) => damages.borrow_mut().push(damage),
                Row::Segment {
                    file, bytes: length, ..
                } => {
                    bytes += length;
                    shown.progress(|| format!("reading {file}, {} so far", bytes_text(bytes)));
                }
                Row::Batch { .. }
                | Row::Record { .. }
                | Row::Unused { .. }
                | Row::Checkpoint { .. }
                | Row::Foreign { .. } => {}
            }
            Ok(())
        })?;
        let damages: Vec<Damage> = found.take();
        // A running broker deletes what it no longer needs and begins new epochs: what looked damaged may only have been old.
        let moved_on =
            !damages.is_empty() && attempt < ATTEMPTS_MAX && open(&arguments.directory)?.claims != opened.claims;
        if !moved_on {
            break (totals, damages);
        }
        attempt += 1;
    };
    let count = damages.len() as u64;
    match output.json {
        true => {
            let damages: Vec<_> = damages.iter().map(rows::damage_json).collect();
            output.object(&json!({ "damages": damages, "totals": rows::totals_json(&totals, count) }))?;
        }
        false => {
            for damage in &damages {
                output.text(&format!("DAMAGE  {}\n", output.foreign(&damage.to_string())))?;
            }
            output.text(&format!("{}\n", totals_text(&totals, count)))?;
        }
    }
    judged(&arguments.directory, count)
}

/// How both commands end.
fn judged(directory: &Path, damages: u64) -> Result<(), Failure> {
    match damages {
        0 => Ok(()),
        count => Err(Failure::new(
            Exit::Damage,
            format!("{count} damaged {}", if count == 1 { "place" } else { "places" }),
            directory.display().to_string(),
            "change nothing there; docs/recovery.md says what each finding means and what can be done",
        )),
    }
}

fn totals_text(totals: &Totals, damages: u64) -> String {
    format!(
        "{} in {}, {}, {}, {}: {}.",
        bytes_text(totals.bytes),
        counted(totals.segments, "segment", "segments"),
        counted(totals.batches, "batch", "batches"),
        counted(totals.records, "record", "records"),
        counted(totals.checkpoints, "checkpoint", "checkpoints"),
        match damages {
            0 => "nothing is damaged".to_string(),
            1 => "1 DAMAGED PLACE".to_string(),
            count => format!("{count} DAMAGED PLACES"),
        }
    )
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
