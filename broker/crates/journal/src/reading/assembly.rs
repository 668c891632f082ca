//! A message put together from the chunks of its record: pure.
//!
//! A chunk that is not its record's last ends its batch, so the next lies behind the header of the next block, or of the next segment if the chunk says so. Every chunk is checked
//! with its place, so the batches need not be read.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use platform::BLOCK_BYTES;
use record::{Place, RecordPlace, SegmentNumber, message_id};

use crate::format::{CHUNK_HEADER_BYTES, ChunkHeader, HEADER_BYTES, Seed};
use crate::settings::BATCH_BYTES_MAX;

/// A message under way.
#[derive(Clone, Debug)]
pub(super) struct Assembly {
    at: RecordPlace,
    is_first: bool,
    /// Bytes of the record before the message that are still to come.
    skip: usize,
    /// Bytes of the message that are still to come.
    wanted: usize,
    parts: Vec<Bytes>,
}

/// What an assembly needs next, or has come to.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// So many bytes from [`Assembly::place`] on.
    Need(usize),
    /// The message's bytes.
    Done(Bytes),
    /// These bytes are not what was written there.
    Mismatch(&'static str),
}

impl Assembly {
    pub(super) fn new(place: Place) -> Assembly {
        Assembly {
            at: place.record,
            is_first: true,
            skip: place.skip as usize,
            wanted: place.length as usize,
            parts: Vec::new(),
        }
    }

    /// Where the chunk that is needed next begins.
    pub(super) fn place(&self) -> RecordPlace {
        self.at
    }

    /// How many bytes to read there at first: enough, if the chunk ends with the message.
    pub(super) fn guess(&self) -> usize {
        CHUNK_HEADER_BYTES + (self.skip + self.wanted).min(BATCH_BYTES_MAX as usize)
    }

    /// The message's id, as far as what came so far and `bytes` from [`Assembly::place`] on tell it, whole or damaged: for people, who look for the message elsewhere.
    pub(super) fn message_id(&self, bytes: &Bytes) -> Option<Arc<str>> {
        let mut seen = BytesMut::new();
        self.parts.iter().for_each(|part| seen.extend_from_slice(part));
        seen.extend_from_slice(bytes.get(CHUNK_HEADER_BYTES + self.skip..).unwrap_or_default());
        message_id(&seen.freeze())
    }

    /// Takes bytes from [`Assembly::place`] on, more or fewer than the chunk has: a part of `reading` bytes in one piece of memory.
    pub(super) fn take(&mut self, bytes: &Bytes, reading: usize, seed: Seed) -> Step {
        let Some(header) = ChunkHeader::read(bytes) else {
            return Step::Mismatch("there is no chunk");
        };
        let end = CHUNK_HEADER_BYTES + header.length as usize;
        if end > bytes.len() {
            return Step::Need(end);
        }
        let data = bytes.slice(CHUNK_HEADER_BYTES..end);
        if !header.matches(&data, self.at, seed) {
            return Step::Mismatch("the chunk's checksum does not match");
        }
        if header.first != self.is_first {
            return Step::Mismatch("the chunk belongs to another record");
        }
        let skipped = self.skip.min(data.len());
        let taken = self.wanted.min(data.len() - skipped);
        self.skip -= skipped;
        self.wanted -= taken;
        self.parts.push(data.slice(skipped..skipped + taken));
        if self.wanted == 0 {
            return Step::Done(joined(std::mem::take(&mut self.parts), reading));
        }
        if header.last {
            return Step::Mismatch("the record ends before the message does");
        }
        self.is_first = false;
        self.at = if header.next_segment {
            RecordPlace {
                segment: SegmentNumber(self.at.segment.0 + 1),
                offset: HEADER_BYTES as u32,
            }
        } else {
            let end_of_batch = (self.at.offset as usize + end).next_multiple_of(BLOCK_BYTES);
            RecordPlace {
                segment: self.at.segment,
                offset: u32::try_from(end_of_batch + HEADER_BYTES).unwrap_or(u32::MAX),
            }
        };
        Step::Need(self.guess())
    }
}

/// One piece of memory. A small part of a large read is copied, so that a cache of small messages does not hold large reads.
fn joined(parts: Vec<Bytes>, read: usize) -> Bytes {
    match parts.as_slice() {
        [only] if only.len() * 2 >= read => only.clone(),
        _ => {
            let mut whole = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
            parts.iter().for_each(|part| whole.extend_from_slice(part));
            whole.freeze()
        }
    }
}
