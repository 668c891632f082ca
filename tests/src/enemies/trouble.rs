//! Why a case has no good end.

use std::io::{Error, ErrorKind};

use crate::process::Unavailable;

/// Why a case did not come to its end.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// A promise was broken.
    Failed(String),
    /// The connection was cut, by whoever. Where nothing expects it, that is a broken promise too.
    Cut(String),
    /// This machine cannot show it.
    Unavailable(String),
}

impl Trouble {
    /// A promise was broken.
    pub fn failed(text: String) -> Trouble {
        Trouble::Failed(text)
    }

    /// With what was going on.
    pub fn during(self, what: &str) -> Trouble {
        match self {
            Trouble::Failed(text) => Trouble::Failed(format!("{what}: {text}")),
            Trouble::Cut(text) => Trouble::Cut(format!("{what}: {text}")),
            Trouble::Unavailable(text) => Trouble::Unavailable(text),
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        match error.kind() {
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => {
                Trouble::Cut(error.to_string())
            }
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                Trouble::Failed("the broker took nothing for as long as is waited for an answer".into())
            }
            _ => Trouble::Failed(error.to_string()),
        }
    }
}

impl From<Unavailable> for Trouble {
    fn from(why: Unavailable) -> Trouble {
        Trouble::Unavailable(why.0)
    }
}

/// Fails unless something holds.
///
/// # Errors
/// It does not hold.
pub(super) fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Trouble> {
    if holds {
        Ok(())
    } else {
        Err(Trouble::Failed(otherwise()))
    }
}
