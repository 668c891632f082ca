//! Where things lie in the journal, as far as the layers above and below it must agree on it.

use std::fmt;

use message::Epoch;

/// What makes a claim unique; secret, because batch checksums are seeded with it.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nonce(pub [u8; 16]);

impl fmt::Debug for Nonce {
    /// Only its first two bytes: a nonce in a log would let a client imitate batches.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nonce({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// A segment's number. It rises across epochs, so that one number names one live segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentNumber(pub u32);

/// Where a record begins: its first chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordPlace {
    /// The segment.
    pub segment: SegmentNumber,
    /// Offset of the first chunk's header, in bytes from the segment's start.
    pub offset: u32,
}

/// Where a message's bytes lie: inside a record, which may go on in later batches and segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Where the record begins.
    pub record: RecordPlace,
    /// The segment that holds the record's last chunk.
    pub last_segment: SegmentNumber,
    /// Bytes of the record before the message.
    pub skip: u32,
    /// Bytes of the message.
    pub length: u32,
}

/// A batch: where it lies and what it is chained by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchPosition {
    /// The segment that holds it.
    pub segment: SegmentNumber,
    /// Its first byte, a multiple of 4 KiB.
    pub offset: u32,
    /// Its number: 1, 2, 3, … without gaps, across epochs.
    pub batch: u64,
    /// Its checksum.
    pub checksum: u32,
}

/// What counts of one epoch: an entry of a root's SEALED list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochSeal {
    /// The epoch.
    pub epoch: Epoch,
    /// Its claim's nonce, which seeds its batches' checksums.
    pub nonce: Nonce,
    /// Its first segment that counts.
    pub first: SegmentNumber,
    /// Its last segment that counts.
    pub last: SegmentNumber,
    /// Bytes of the last segment that count.
    pub length: u32,
    /// Number of its last batch that counts.
    pub batch: u64,
    /// Checksum of that batch.
    pub checksum: u32,
}

/// Names a checkpoint: `checkpoints/EPOCH-NUMBER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckpointName {
    /// Who wrote it.
    pub epoch: Epoch,
    /// 1, 2, 3, … within the epoch.
    pub number: u32,
}
