//! Standard output and standard error, for people and for programs.

use std::borrow::Cow;
use std::cell::Cell;
use std::io::{ErrorKind, IsTerminal, Write};
use std::time::{Duration, Instant};

use message::excerpt;
use serde::Serialize;

use super::exit::Exit;
use super::failure::Failure;

/// The least time between two lines of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// The narrowest screen that tables are made for.
const WIDTH_MIN: usize = 40;

/// How wide the output is: what `COLUMNS` says, or the terminal.
fn width() -> Option<usize> {
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let of_terminal = || terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0));
    said.filter(|columns| *columns > 0)
        .or_else(of_terminal)
        .map(|columns| columns.max(WIDTH_MIN))
}

/// Where a command writes.
#[derive(Clone, Debug)]
pub(super) struct Output {
    /// Whether programs read it.
    pub(super) json: bool,
    terminal: bool,
    /// Columns of characters that a line may take; `None`: as many as it needs, because a program may read it.
    pub(super) width: Option<usize>,
    shows_progress: bool,
    last_progress: Cell<Option<Instant>>,
}

impl Output {
    pub(super) fn new(json: bool) -> Output {
        Output {
            json,
            terminal: std::io::stdout().is_terminal(),
            width: width(),
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
    pub(super) fn foreign<'a>(&self, text: &'a str) -> Cow<'a, str> {
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

    /// A line that is cut in the middle if the output's width is known and `before` characters and this are more.
    pub(super) fn fitted<'a>(&self, line: &'a str, before: usize) -> Cow<'a, str> {
        match self.width {
            Some(width) => excerpt(line, width.saturating_sub(before)),
            None => line.into(),
        }
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

/// A number of messages, in words.
pub(super) fn messages(count: u64) -> String {
    match count {
        1 => "1 message".to_string(),
        count => format!("{count} messages"),
    }
}
