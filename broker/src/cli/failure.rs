//! A command that failed: what happened, where, what to do, and the exit code.

use std::fmt;

use super::exit::Exit;
use crate::admin::{Refused, RefusedKind};
use crate::wrap::wrapped;

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// What happened.
    pub what: String,
    /// Where: an address, a file, a destination.
    pub location: String,
    /// What to do about it.
    pub what_to_do: String,
}

impl Failure {
    /// A failure with all that a person needs to know; nothing of it is left empty.
    pub fn new(
        exit: Exit,
        what: impl Into<String>,
        location: impl Into<String>,
        what_to_do: impl Into<String>,
    ) -> Failure {
        Failure {
            exit,
            what: what.into(),
            location: location.into(),
            what_to_do: what_to_do.into(),
        }
    }

    fn without_words(exit: Exit) -> Failure {
        Failure::new(exit, "", "", "")
    }

    /// The same exit code without words: they have been said.
    pub(super) fn said(&self) -> Failure {
        Failure::without_words(self.exit)
    }

    /// Nobody reads the output any more (`holdfast … | head`): no reason for words.
    pub(super) fn output_closed() -> Failure {
        Failure::without_words(Exit::Failure)
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Failure {
        let exit = match refused.kind {
            RefusedKind::NotFound | RefusedKind::Invalid | RefusedKind::Conflict => Exit::Refused,
            RefusedKind::Unavailable => Exit::NotReady,
        };
        // What came over the wire may be another version's, and lack something.
        let or = |text: String, instead: &str| if text.is_empty() { instead.to_owned() } else { text };
        Failure::new(
            exit,
            or(refused.what, "the broker refused without a word"),
            or(refused.location, "the broker"),
            or(refused.what_to_do, "look at `holdfast status` and at the broker's log"),
        )
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "holdfast: {}", self.what)?;
        if !self.location.is_empty() {
            write!(f, "\n  where: {}", self.location)?;
        }
        if !self.what_to_do.is_empty() {
            write!(
                f,
                "\n  to do: {}",
                wrapped(&self.what_to_do, 80 - TO_DO_INDENT.len(), TO_DO_INDENT)
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// As wide as `  to do: `.
const TO_DO_INDENT: &str = "         ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_wrapped_at_80_columns_between_words() {
        let advice = "word ".repeat(60);
        let shown = Failure::new(Exit::Failure, "it failed", "here", advice.trim()).to_string();
        assert!(
            shown.starts_with("holdfast: it failed\n  where: here\n  to do: word word"),
            "{shown}"
        );
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
        assert_eq!(shown.matches("word").count(), 60);
    }
}
