//! A place between two batches, and the nonce of a claim, as both sides of a stream name them.

use std::fmt;

use bytes::{BufMut, BytesMut};
use message::Epoch;

use super::frame::{Fields, Short};

/// What makes a claim, or a running member, unique. Secret: batch checksums are seeded with a claim's.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nonce(pub [u8; 16]);

impl fmt::Debug for Nonce {
    /// Only its first two bytes, as everywhere: a nonce in a log would let a client imitate batches.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nonce({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// A place between two batches: where the next one lies, or will lie, and what chains it to the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The epoch whose segment it is.
    pub epoch: Epoch,
    /// The segment's number.
    pub segment: u32,
    /// Bytes from the segment's start.
    pub offset: u32,
    /// The number of the batch that begins here: 1, 2, 3, … across epochs, below 2^64 − 1. Every batch before it lies before this place.
    pub batch: u64,
    /// The checksum of the batch before it; 0 before the first of all.
    pub previous_checksum: u32,
}

impl Position {
    /// The number of the last batch before this place; 0 if there is none.
    pub fn last_batch(&self) -> u64 {
        self.batch - 1
    }

    pub(super) fn put(&self, out: &mut BytesMut) {
        assert!(is_number(self.batch), "batches are numbered from 1, below 2^64 − 1");
        out.put_u32_le(self.epoch.0);
        out.put_u32_le(self.segment);
        out.put_u32_le(self.offset);
        out.put_u64_le(self.batch);
        out.put_u32_le(self.previous_checksum);
    }

    pub(super) fn take(fields: &mut Fields<'_>) -> Result<Position, Short> {
        Ok(Position {
            epoch: Epoch(fields.u32()?),
            segment: fields.u32()?,
            offset: fields.u32()?,
            batch: fields.u64()?,
            previous_checksum: fields.u32()?,
        })
    }

    /// Whether the batch's number is one that a batch can have, and has a successor.
    pub(super) fn is_valid(&self) -> bool {
        is_number(self.batch)
    }
}

fn is_number(batch: u64) -> bool {
    batch != 0 && batch != u64::MAX
}
