//! Reading a history: from a checkpoint through every sealed epoch to the end of the predecessor's log.
//!
//! [`recover`] feeds a [`RecoverySink`] and says where the log ends; [`harden`] then makes its unconfirmed part durable. What a missing or broken batch means is the table of
//! [`verdict`]. Everything before the end is read once, in order, in steps of at most 1 MiB.
//!
//! Invariants: a sealed epoch counts up to its sealed length and not a byte further, and ends with the sealed batch or is damage; the predecessor's log never ends at or before a
//! batch that anything says was confirmed (`tests/journal/damage.rs`). Deliberately absent: repair, and reading of any root or cell.

mod harden;
mod load;
mod log;
mod plan;
mod replay;
mod scan;
mod verdict;
mod written;

pub use harden::harden;
pub use log::recover;
pub use plan::{Predecessor, Recovered, RecoveryError, RecoveryPlan, RecoverySink, Refused, Tail, TailBatch, Warning};
pub use written::is_written;
