//! What the broker is told: a TOML file, the environment and flags, in rising order of precedence.
//!
//! Every setting is declared once, as data, in [`settings`]; parser, environment, flags, `docs/configuration.md` and `config check` are made from that
//! table. Invariants: a [`Config`] that exists is valid (types, limits, and the rules of [`rules`]); an unknown key is an error with its line, never ignored;
//! each value knows where it came from.
//!
//! Deliberately absent: reading the file again while the broker runs; defaults anywhere else than in the table; a way to listen beyond loopback (there are no
//! users yet, so whoever reaches a port may do everything).
//! Tests: `broker/tests/config.rs`.

mod declaration;
mod effective;
mod file;
mod problem;
mod reference;
mod rules;
mod settings;
mod suggestion;
mod values;

pub use declaration::{Raw, Setting, Shape};
pub use effective::{Effective, FlagValue, Sources, load, read_text};
pub use problem::{Origin, Problem, Problems};
pub use reference::markdown;
pub use settings::{Config, SETTINGS};
pub use suggestion::nearest;
pub use values::{AdminAddress, Automatic, ListenAddress, LogFormat, LogLevel, Scheme, Size, parse_duration};
