//! The seam to the machine: disk, time and randomness, as the layers above may see them.
//!
//! Owns: what a disk can be asked ([`Operation`]), what it answers ([`Outcome`], [`DiskError`]), the buffers that direct I/O needs
//! ([`Blocks`]), and [`Files`], which lets a procedure of many disk steps be written as one future that its owner polls by hand.
//! The real side ([`real`]) owns its I/O threads and every `unsafe` of the workspace.
//!
//! Invariant: nothing here but [`real`] makes a system call, reads a clock or starts a thread. The simulated side is a crate of
//! its own, and the layers above cannot tell which one they are on.

mod blocks;
mod disk;
mod files;
pub mod real;
mod time;

pub use blocks::{BLOCK_BYTES, Blocks};
pub use disk::{
    Class, Disk, DiskError, DiskErrorKind, FileId, FileSystem, Open, Operation, OperationId, Outcome, ProcessIdentity,
    ProcessState, Space,
};
pub use files::{Completion, Files, Task};
pub use time::{BootTime, Now, WallTime};

/// A source of bits that nobody outside can guess; from a seed in the simulation.
pub trait Random {
    /// 64 fresh bits.
    fn next_u64(&mut self) -> u64;

    /// 16 fresh bytes, for a nonce.
    fn nonce(&mut self) -> [u8; 16] {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&self.next_u64().to_le_bytes());
        nonce[8..].copy_from_slice(&self.next_u64().to_le_bytes());
        nonce
    }
}
