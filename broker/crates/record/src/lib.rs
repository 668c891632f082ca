//! The facts of which the history consists, their bytes, and the two seams that stores and leadership are built on.
//!
//! A [`Record`] is a fact with absolute values, never a command: applying it consults no clock, limit, selector, configuration or duplicate table, so a replay cannot come out
//! differently. The bytes are written here by hand, each kind with its tag, and described in docs/journal-format.md; no serde.
//!
//! Architecture invariant: nothing here does I/O, and nothing here knows how records reach a disk.

#![forbid(unsafe_code)]

mod checkpoint;
mod codec;
mod facts;
mod place;
mod segments;
mod store;

pub use checkpoint::{
    DuplicateIds, Entry, Image, PAGE_ENTRIES_MAX, Page, Piece, PieceContent, PieceKey, PieceReference,
};
pub use codec::{Malformed, Reader, decode_message, encode_message, message_id};
pub use facts::{Definition, ObjectId, Record, Sent, Waiting};
pub use place::{BatchPosition, CheckpointName, EpochSeal, Nonce, Place, RecordPlace, SegmentNumber};
pub use segments::{PackedSegments, SegmentRange, SegmentSet};
pub use store::{Fence, Leadership, ReadToken, Store, Ticket};
