//! The real machine: Linux's files, clocks, process table and randomness.
//!
//! Owns every system call of the broker's lower layers. [`RealDisk`] executes operations on threads of its own, so that a hung mount hangs none of the owner's;
//! [`RealClock`], [`RealRandom`], [`this_process`] and [`raise_descriptor_limit`] are what else a node asks of its machine.
//!
//! Invariants: nothing here waits on behalf of its caller but [`RealDisk::open`] and [`this_process`]; everything is relative to one directory descriptor,
//! so that a mount that vanishes is an error and never the bare directory below it.
//! Deliberately absent: retries (but for EINTR), deadlines (the owner knows what it waits for), mappings (but in [`OfflineDisk`], for tools).
//! Tests: `platform/tests/real_disk.rs`, and `simulated/tests/conformance.rs` on both disks.
#![allow(
    clippy::disallowed_methods,
    reason = "this is the one place below the broker that may touch the machine"
)]

mod clock;
mod descriptors;
mod directory;
mod disk;
mod errors;
mod file;
mod file_system;
mod offline;
mod open_error;
mod process;
mod queue;
mod random;

pub use clock::RealClock;
pub use descriptors::raise_descriptor_limit;
pub use disk::{DiskDelays, RealDisk};
pub use offline::OfflineDisk;
pub use open_error::OpenError;
pub use process::this_process;
pub use random::RealRandom;
