//! The simulated machine: disk, processes, clocks, network and randomness from a seed.
//!
//! Owns a world in which the shipped node code runs unchanged and every run can be replayed: [`SimulatedStorage`] is the file system that outlives processes,
//! [`SimulatedDisk`] one process's handle on it, [`SimulatedClock`] a machine's clocks, [`Link`] a stream of bytes that is delayed, cut into pieces and cut off, [`Prng`] the randomness.
//!
//! Invariants: the same seed and the same calls give the same answers; nothing completes by itself, time moves only in [`SimulatedStorage::advance_to`]; a write that
//! completed without error in class `Cell` or `Segment` is durable, unless the plan names a corruption (misdirected write, flipped bit).
//! Deliberately absent: threads, clocks and files of the real machine; stale NFS caches (directory listings are always fresh).
//!
//! How a driver uses it:
//! ```text
//! storage = SimulatedStorage::new(seed, FaultPlan::calm())
//! machine = storage.boot_machine("a");  disk = storage.start_process(machine)     // hand `disk` to the node under test
//! loop: t = the earliest of storage.next_completion_at(), the node's deadline, the links' arrivals
//!       storage.advance_to(t); turn the node; move bytes
//! storage.crash(Crash::Process(p), Landed::Random);  start_process again
//! ```
//! Exhaustively: run once with [`SimulatedStorage::keep_snapshots`]; for each snapshot and each choice of what landed: build a storage from it, crash, recover, check.
//! Tests: `simulated/tests/`, and `tests/conformance.rs` there runs one test on this disk and on the real one.
#![forbid(unsafe_code)]

mod clock;
mod coverage;
mod crash;
mod disk;
mod effect;
mod flight;
mod inode;
mod link;
mod plan;
mod random;
mod storage;
mod tree;
mod world;

pub use clock::SimulatedClock;
pub use coverage::Coverage;
pub use crash::{Crash, Landed};
pub use disk::SimulatedDisk;
pub use link::Link;
pub use plan::{Chance, Fault, FaultPlan};
pub use random::Prng;
pub use storage::{MachineNumber, Point, ProcessNumber, SimulatedStorage, Snapshot, Stalled};
