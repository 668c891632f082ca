//! Where replay starts, whose a segment is, and what damage is called.

use std::fmt;

use message::{Epoch, Sequence};
use record::{EpochSeal, Nonce, SegmentNumber, SegmentRange, SegmentSet};

use crate::names;

/// Where replay begins for a picture of the state: at a batch, with what chains it to the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayStart {
    /// The epoch that was leading; the batch may never have been written, and nothing of the epoch may count.
    pub epoch: Epoch,
    /// The segment of the first batch to replay.
    pub segment: SegmentNumber,
    /// Its offset.
    pub offset: u32,
    /// Its number.
    pub batch: u64,
    /// Checksum of the batch before it; 0 before the first.
    pub previous_checksum: u32,
    /// The first record that begins in it or later.
    pub sequence: Sequence,
}

impl ReplayStart {
    /// Before everything.
    pub const BEGINNING: ReplayStart = ReplayStart {
        epoch: Epoch(0),
        segment: SegmentNumber(0),
        offset: 0,
        batch: 1,
        previous_checksum: 0,
        sequence: Sequence(1),
    };
}

/// Whose some consecutive segments are: what a reader needs to find and check them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentOwner {
    /// The epoch that wrote them.
    pub epoch: Epoch,
    /// What its checksums are seeded with.
    pub nonce: Nonce,
    /// The first.
    pub first: SegmentNumber,
    /// The last.
    pub last: SegmentNumber,
}

/// Whose each segment is, by rising numbers that do not overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners(Vec<SegmentOwner>);

impl Owners {
    /// Of nothing.
    pub fn new() -> Owners {
        Owners::default()
    }

    /// Adds an epoch's segments. What was said of the same epoch before is replaced; an empty range adds nothing.
    pub fn insert(&mut self, owner: SegmentOwner) {
        self.0.retain(|known| known.epoch != owner.epoch);
        if owner.first <= owner.last {
            self.0.push(owner);
            self.0.sort_by_key(|known| known.first);
        }
    }

    /// Whose a segment is.
    pub fn of(&self, segment: SegmentNumber) -> Option<&SegmentOwner> {
        let behind = self.0.partition_point(|owner| owner.first <= segment);
        self.0[..behind].last().filter(|owner| segment <= owner.last)
    }

    /// Those that own one of these segments, or one with at least the number `from`.
    pub fn needed(&self, segments: &SegmentSet, from: SegmentNumber) -> impl Iterator<Item = &SegmentOwner> {
        self.0.iter().filter(move |owner| {
            let owned = SegmentRange {
                first: owner.first,
                last: owner.last,
            };
            owner.last >= from || segments.meets(owned)
        })
    }

    /// All, by rising segments.
    pub fn iter(&self) -> impl Iterator<Item = &SegmentOwner> {
        self.0.iter()
    }
}

impl From<&EpochSeal> for SegmentOwner {
    fn from(seal: &EpochSeal) -> SegmentOwner {
        SegmentOwner {
            epoch: seal.epoch,
            nonce: seal.nonce,
            first: seal.first,
            last: seal.last,
        }
    }
}

/// Something that must be there and is not, or is not what it was: where, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file, relative to the data directory.
    pub file: String,
    /// The first byte of what is damaged.
    pub offset: u64,
    /// What is wrong there and how that is known, with the label of the table's row where a table decided.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is damaged at offset {}: {}", self.file, self.offset, self.what)
    }
}

impl Damage {
    pub(crate) fn new(file: String, offset: u64, what: impl Into<String>) -> Damage {
        Damage {
            file,
            offset,
            what: what.into(),
        }
    }

    pub(crate) fn in_segment(epoch: Epoch, segment: SegmentNumber, offset: u32, what: impl Into<String>) -> Damage {
        Damage::new(names::segment(epoch, segment), offset.into(), what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(epoch: u32, first: u32, last: u32) -> SegmentOwner {
        SegmentOwner {
            epoch: Epoch(epoch),
            nonce: Nonce([epoch as u8; 16]),
            first: SegmentNumber(first),
            last: SegmentNumber(last),
        }
    }

    #[test]
    fn each_segment_has_the_owner_that_was_named_last_and_gaps_have_none() {
        let mut owners = Owners::new();
        owners.insert(owner(7, 10, 11));
        owners.insert(owner(5, 1, 3));
        owners.insert(owner(6, 4, 3));
        owners.insert(owner(7, 10, 14));
        let epoch = |segment| owners.of(SegmentNumber(segment)).map(|owner| owner.epoch.0);
        assert_eq!(
            [0, 1, 3, 4, 9, 10, 14, 15].map(epoch),
            [None, Some(5), Some(5), None, None, Some(7), Some(7), None]
        );
        let needed = |first: u32, last: u32, from: u32| {
            let range = SegmentRange {
                first: SegmentNumber(first),
                last: SegmentNumber(last),
            };
            let segments = [range].into_iter().collect();
            let needed = owners.needed(&segments, SegmentNumber(from));
            needed.map(|owner| owner.epoch.0).collect::<Vec<_>>()
        };
        assert_eq!(needed(4, 9, 15), [0; 0]);
        assert_eq!(needed(3, 3, 15), [5]);
        assert_eq!(needed(4, 10, 15), [7]);
        assert_eq!(needed(4, 9, 14), [7]);
        assert_eq!(needed(4, 9, 3), [5, 7]);
    }
}
