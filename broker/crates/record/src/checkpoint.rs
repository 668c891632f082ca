//! What a checkpoint holds: a picture of the durable state at one record, in pieces that are written only when they changed.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use message::{MessageNumber, Sequence};

use crate::{CheckpointName, ObjectId, PackedSegments, Place, SegmentRange, SegmentSet};

/// Most entries of one page: what one change may make a checkpoint write again.
pub const PAGE_ENTRIES_MAX: usize = 1024;

/// One waiting message: 40 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub number: MessageNumber,
    /// Where its bytes lie.
    pub place: Place,
    /// When it expires, engine time in milliseconds since 1970; 0: never.
    pub expiration: u64,
    /// How many failed deliveries are recorded.
    pub redeliveries: u16,
    /// Its priority.
    pub priority: u8,
    /// Whether its bytes were found damaged: it is not delivered.
    pub set_aside: bool,
}

/// Consecutive entries of one object and one priority, by rising number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// At most [`PAGE_ENTRIES_MAX`].
    pub entries: Vec<Entry>,
}

impl Page {
    /// The segments that its entries refer to: those in which the records lie that hold its messages.
    pub fn segments(&self) -> SegmentSet {
        let segments = |entry: &Entry| SegmentRange {
            first: entry.place.record.segment,
            last: entry.place.last_segment,
        };
        self.entries.iter().map(segments).collect()
    }
}

/// Some consecutive duplicate ids of one destination, oldest first, each with the engine time at which it was first seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DuplicateIds {
    /// At most [`PAGE_ENTRIES_MAX`].
    pub ids: Vec<(u64, Arc<str>)>,
}

/// Names a piece within a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PieceKey {
    /// A [`Page`].
    Page {
        /// Whose.
        object: ObjectId,
        /// Of which priority.
        priority: u8,
        /// Its place among the pages: rising, never used twice for one object and priority.
        ordinal: u64,
    },
    /// [`DuplicateIds`].
    Duplicates {
        /// Of which destination.
        object: ObjectId,
        /// Its place among the pieces.
        ordinal: u64,
    },
}

impl fmt::Display for PieceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PieceKey::Page {
                object,
                priority,
                ordinal,
            } => write!(f, "page {ordinal} of priority {priority} of object {}", object.0),
            PieceKey::Duplicates { object, ordinal } => {
                write!(f, "duplicate ids {ordinal} of object {}", object.0)
            }
        }
    }
}

/// A piece's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PieceContent {
    /// Waiting messages.
    Page(Arc<Page>),
    /// Duplicate ids.
    Duplicates(Arc<DuplicateIds>),
}

/// Where a piece was written: once, for as many checkpoints as it stays unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PieceReference {
    /// The checkpoint that wrote it.
    pub written_by: CheckpointName,
    /// First byte in that checkpoint's file of pieces.
    pub offset: u64,
    /// Bytes.
    pub length: u32,
    /// CRC-32 of the bytes.
    pub checksum: u32,
    /// The segments that its entries refer to: [`Page::segments`].
    pub segments: PackedSegments,
}

/// A piece of an image: what it is, and either where it lies or what to write.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Its name.
    pub key: PieceKey,
    /// Where it lies unchanged; `None`: it must be written.
    pub stored: Option<PieceReference>,
    /// What it holds.
    pub content: PieceContent,
}

/// The durable state as it was right after record `through`.
#[derive(Clone, Debug)]
pub struct Image {
    /// The newest record that it contains; replay applies those beyond it.
    pub through: Sequence,
    /// Objects and counters, in the engine's own bytes; written whole each time.
    pub catalog: Bytes,
    /// Everything else.
    pub pieces: Vec<Piece>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_named_in_words() {
        let object = ObjectId(1);
        let page = PieceKey::Page {
            object,
            priority: 4,
            ordinal: 0,
        };
        let ids = PieceKey::Duplicates { object, ordinal: 7 };
        assert_eq!(
            [page, ids].map(|key| key.to_string()),
            ["page 0 of priority 4 of object 1", "duplicate ids 7 of object 1"]
        );
    }
}
