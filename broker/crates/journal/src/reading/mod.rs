//! Reading messages back: directly wherever segments are written directly, by plain reads, never a mapping.
//!
//! Invariants: bytes are handed out only if every chunk's checksum matches at its place; a body counts as damaged only after three readings at least a second apart did not match, and
//! a failed read never does (`tests/journal/reading.rs`). Deliberately absent: a cache of bodies, which is the engine's.

mod assembly;
mod descriptors;
mod job;
mod reads;

pub(crate) use reads::Reads;
pub use reads::{Damaged, ReadError, read_message};
