//! The batch that records go into.

use message::Sequence;
use platform::Blocks;
use record::{RecordPlace, SegmentNumber};

use crate::format::{ChunkHeader, HEADER_BYTES, Seed};

/// Memory that a batch starts with.
const BYTES_AT_FIRST: usize = 16 << 10;

/// The open batch: its place and number are fixed, its header is not written yet.
pub(super) struct OpenBatch {
    pub(super) segment: SegmentNumber,
    pub(super) offset: u32,
    pub(super) number: u64,
    /// The first record that begins here, or the next that will.
    pub(super) first_sequence: Sequence,
    pub(super) previous_checksum: u32,
    /// Room for the header, then the chunks.
    pub(super) blocks: Blocks,
}

impl OpenBatch {
    pub(super) fn new(
        segment: SegmentNumber,
        offset: u32,
        number: u64,
        first_sequence: Sequence,
        previous_checksum: u32,
    ) -> OpenBatch {
        let mut blocks = Blocks::with_capacity(BYTES_AT_FIRST);
        blocks.resize(HEADER_BYTES);
        OpenBatch {
            segment,
            offset,
            number,
            first_sequence,
            previous_checksum,
            blocks,
        }
    }

    pub(super) fn has_chunks(&self) -> bool {
        self.blocks.len() > HEADER_BYTES
    }

    /// Where the next chunk will lie.
    pub(super) fn next_place(&self) -> RecordPlace {
        RecordPlace {
            segment: self.segment,
            offset: self.offset + self.blocks.len() as u32,
        }
    }

    pub(super) fn add_chunk(&mut self, bytes: &[u8], first: bool, last: bool, next_segment: bool, seed: Seed) {
        let header = ChunkHeader::of(bytes, self.next_place(), first, last, next_segment, seed);
        self.blocks.extend_from_slice(&header.encode());
        self.blocks.extend_from_slice(bytes);
    }
}
