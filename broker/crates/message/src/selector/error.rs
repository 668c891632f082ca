//! Why a text is not a selector.
//!
//! Every variant means the same to the caller: refuse the subscription and hand the text of the error to whoever wrote the
//! selector (JMS: `InvalidSelectorException`). Proved by `tests/selector_errors.rs`.

use std::fmt;

use super::{SELECTOR_BYTES_MAX, SELECTOR_DEPTH_MAX};

/// Why a text is not a selector. Columns count characters from 1, behind any `convert_string_expressions:` prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelectorError {
    /// The text is longer than [`SELECTOR_BYTES_MAX`].
    TooLong {
        /// Length of the text in bytes.
        bytes: usize,
    },
    /// The text nests deeper than [`SELECTOR_DEPTH_MAX`].
    TooDeep {
        /// Where the first level too many begins.
        column: usize,
    },
    /// Something else stands where the grammar wants `expected`.
    Syntax {
        /// Where it stands.
        column: usize,
        /// What the grammar wants there.
        expected: &'static str,
        /// What stands there instead, shortened.
        found: String,
    },
    /// Grammatical, but without a meaning: operands that an operator cannot have, a number out of range, a bad escape.
    Invalid {
        /// Where the part in question begins.
        column: usize,
        /// What is wrong with it and what would be right.
        problem: String,
    },
    /// ActiveMQ has it, this broker does not.
    Unsupported {
        /// Where it stands.
        column: usize,
        /// What it is, and what to use instead.
        feature: String,
    },
}

impl SelectorError {
    /// The column that the error is about, from 1; 0 where the text as a whole is refused.
    pub fn column(&self) -> usize {
        match self {
            SelectorError::TooLong { .. } => 0,
            SelectorError::TooDeep { column }
            | SelectorError::Syntax { column, .. }
            | SelectorError::Invalid { column, .. }
            | SelectorError::Unsupported { column, .. } => *column,
        }
    }
}

impl fmt::Display for SelectorError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SelectorError::TooLong { bytes } => {
                write!(
                    formatter,
                    "invalid selector: {bytes} bytes long, at most {SELECTOR_BYTES_MAX} are accepted"
                )
            }
            SelectorError::TooDeep { column } => write!(
                formatter,
                "invalid selector at column {column}: nested deeper than {SELECTOR_DEPTH_MAX} levels; remove parentheses or prefix operators"
            ),
            SelectorError::Syntax {
                column,
                expected,
                found,
            } => {
                write!(
                    formatter,
                    "invalid selector at column {column}: expected {expected}, found {found}"
                )
            }
            SelectorError::Invalid { column, problem } => {
                write!(formatter, "invalid selector at column {column}: {problem}")
            }
            SelectorError::Unsupported { column, feature } => {
                write!(formatter, "unsupported selector at column {column}: {feature}")
            }
        }
    }
}

impl std::error::Error for SelectorError {}
