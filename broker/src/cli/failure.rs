//! A command that failed: what happened, where, what to do, and the exit code.

use std::fmt;

use super::exit::Exit;
use crate::admin::{Refused, RefusedKind};

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// What happened.
    pub what: String,
    /// Where: an address, a file, a destination; may be empty.
    pub location: String,
    /// What to do about it; may be empty.
    pub what_to_do: String,
}

impl Failure {
    /// A failure of which only the first part is known.
    pub fn new(exit: Exit, what: impl Into<String>) -> Failure {
        Failure {
            exit,
            what: what.into(),
            location: String::new(),
            what_to_do: String::new(),
        }
    }

    /// Where it happened.
    pub fn at(mut self, location: impl Into<String>) -> Failure {
        self.location = location.into();
        self
    }

    /// What to do about it.
    pub fn advice(mut self, what_to_do: impl Into<String>) -> Failure {
        self.what_to_do = what_to_do.into();
        self
    }

    /// The same exit code without words: they have been said.
    pub(super) fn said(&self) -> Failure {
        Failure::new(self.exit, "")
    }

    /// Nobody reads the output any more (`holdfast … | head`): no reason for words.
    pub(super) fn output_closed() -> Failure {
        Failure::new(Exit::Failure, "")
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Failure {
        let exit = match refused.kind {
            RefusedKind::NotFound | RefusedKind::Invalid | RefusedKind::Conflict => Exit::Refused,
            RefusedKind::Unavailable => Exit::NotReady,
        };
        Failure::new(exit, refused.what)
            .at(refused.location)
            .advice(refused.what_to_do)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "holdfast: {}", self.what)?;
        if !self.location.is_empty() {
            write!(f, "\n  where: {}", self.location)?;
        }
        if !self.what_to_do.is_empty() {
            write!(f, "\n  to do: {}", wrapped(&self.what_to_do, 80 - TO_DO_INDENT.len()))?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// As wide as `  to do: `.
const TO_DO_INDENT: &str = "         ";

/// Text in lines of at most `width` characters, as far as its words allow.
fn wrapped(text: &str, width: usize) -> String {
    let mut lines = String::new();
    let mut length = 0;
    for word in text.split(' ') {
        let word_length = word.chars().count();
        if length > 0 && length + 1 + word_length > width {
            lines.push('\n');
            lines.push_str(TO_DO_INDENT);
            length = 0;
        } else if length > 0 {
            lines.push(' ');
            length += 1;
        }
        lines.push_str(word);
        length += word_length;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_wrapped_at_80_columns_between_words() {
        let advice = "word ".repeat(60);
        let shown = Failure::new(Exit::Failure, "it failed")
            .at("here")
            .advice(advice.trim())
            .to_string();
        assert!(
            shown.starts_with("holdfast: it failed\n  where: here\n  to do: word word"),
            "{shown}"
        );
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
        assert_eq!(shown.matches("word").count(), 60);
    }
}
