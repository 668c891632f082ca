//! Standard output and standard error, for people and for programs.

use std::cell::Cell;
use std::io::{ErrorKind, IsTerminal, Write};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::exit::Exit;
use super::failure::Failure;

/// The least time between two lines of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// Where a command writes.
#[derive(Clone, Debug)]
pub(super) struct Output {
    /// Whether programs read it.
    pub(super) json: bool,
    terminal: bool,
    shows_progress: bool,
    last_progress: Cell<Option<Instant>>,
}

impl Output {
    pub(super) fn new(json: bool) -> Output {
        Output {
            json,
            terminal: std::io::stdout().is_terminal(),
            shows_progress: std::io::stderr().is_terminal() && !json,
            last_progress: Cell::new(None),
        }
    }

    /// Writes text that ends with a line's end.
    pub(super) fn text(&self, text: &str) -> Result<(), Failure> {
        self.bytes(text.as_bytes())
    }

    /// Writes bytes as they are.
    pub(super) fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        self.clear_progress();
        let mut out = std::io::stdout().lock();
        let written = out.write_all(bytes).and_then(|()| out.flush());
        written.map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => Failure::output_closed(),
            _ => Failure::new(
                Exit::Failure,
                format!("the output cannot be written: {error}"),
                "standard output",
                "make room where it goes, or send it elsewhere",
            ),
        })
    }

    /// Writes an object over several lines.
    pub(super) fn object(&self, value: &impl Serialize) -> Result<(), Failure> {
        self.text(&format!("{}\n", serialize(serde_json::to_string_pretty(value))?))
    }

    /// Writes an object on one line, for streams of them.
    pub(super) fn object_line(&self, value: &impl Serialize) -> Result<(), Failure> {
        self.text(&format!("{}\n", serialize(serde_json::to_string(value))?))
    }

    /// Text from others, made harmless if a terminal would obey it.
    pub(super) fn foreign<'a>(&self, text: &'a str) -> std::borrow::Cow<'a, str> {
        let harmless = |character: char| !character.is_control() || character == '\n' || character == '\t';
        if !self.terminal || text.chars().all(harmless) {
            return text.into();
        }
        let escaped = text.chars().map(|character| match harmless(character) {
            true => character.to_string(),
            false => character.escape_default().to_string(),
        });
        escaped.collect::<String>().into()
    }

    /// A remark for the person at the terminal; programs do not see it.
    pub(super) fn remark(&self, text: &str) {
        if self.shows_progress {
            self.clear_progress();
            eprintln!("{text}");
        }
    }

    /// Shows how far something long has come, now and then, on one line.
    pub(super) fn progress(&self, text: impl FnOnce() -> String) {
        let now = Instant::now();
        let soon = self
            .last_progress
            .get()
            .is_some_and(|last| now.duration_since(last) < PROGRESS_INTERVAL);
        if self.shows_progress && !soon {
            self.last_progress.set(Some(now));
            eprint!("\r\x1b[K{}", text());
        }
    }

    fn clear_progress(&self) {
        if self.last_progress.take().is_some() {
            eprint!("\r\x1b[K");
        }
    }

    /// Says why the command failed.
    pub(super) fn failure(&self, failure: &Failure) {
        self.clear_progress();
        if failure.what.is_empty() {
            return;
        }
        match self.json {
            true => eprintln!(
                "{}",
                serde_json::json!({ "error": {
                    "exit_code": failure.exit.code(),
                    "name": failure.exit.name(),
                    "what": failure.what,
                    "where": failure.location,
                    "what_to_do": failure.what_to_do,
                }})
            ),
            false => eprintln!("{failure}"),
        }
    }
}

fn serialize(text: Result<String, serde_json::Error>) -> Result<String, Failure> {
    text.map_err(|error| {
        Failure::new(
            Exit::Failure,
            format!("the answer cannot be shown as JSON: {error}"),
            "standard output",
            "please report this; without --json it is shown as text",
        )
    })
}

/// Rows under headings: all columns but the last are numbers, right-aligned; the last is a name, of any length.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = headings.iter().map(|heading| heading.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let headings: Vec<String> = headings.iter().map(|heading| heading.to_string()).collect();
    for row in std::iter::once(&headings).chain(rows) {
        for (index, cell) in row.iter().enumerate() {
            match index + 1 == row.len() {
                true => text.push_str(cell),
                false => text.push_str(&format!("{cell:>width$}  ", width = widths[index])),
            }
        }
        text.push('\n');
    }
    text
}
