//! A chunk: a record, or the part of one that fits into a batch.
//!
//! A chunk carries a checksum of its own, over its place too, so that a body can be read back and checked without its batch.

use bytes::Bytes;
use record::RecordPlace;

use super::{Field, Seed};
use crate::settings::BATCH_BYTES_MAX;

/// Bytes of a chunk before its share of the record.
pub const CHUNK_HEADER_BYTES: usize = 12;

/// Flag: the record begins here.
pub const FIRST_OF_RECORD: u8 = 1;
/// Flag: the record ends here.
pub const LAST_OF_RECORD: u8 = 2;
/// Flag: the record goes on at offset 0 of the next segment; without it, an unfinished record goes on in the next block of this one.
pub const GOES_ON_IN_NEXT_SEGMENT: u8 = 4;

const LENGTH: Field = Field::new("length", 0, 4, "bytes of the record behind this header");
const CHECKSUM: Field = Field::new(
    "checksum",
    4,
    4,
    "CRC-32 of the claim's nonce, the segment (4), the chunk's offset in it (4), its length (4), its flags (1) and its bytes",
);
const FLAGS: Field = Field::new(
    "flags",
    8,
    1,
    "1: the record begins here; 2: it ends here; 4: it goes on in the next segment; other bits are 0",
);
const RESERVED: Field = Field::new("reserved", 9, 3, "0");

/// The chunk header's layout.
pub const CHUNK_FIELDS: &[Field] = &[LENGTH, CHECKSUM, FLAGS, RESERVED];

/// What a chunk says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkHeader {
    /// Bytes of the record in this chunk.
    pub length: u32,
    /// Over place and bytes.
    pub checksum: u32,
    /// The record begins here.
    pub first: bool,
    /// The record ends here.
    pub last: bool,
    /// The record goes on in the next segment.
    pub next_segment: bool,
}

impl ChunkHeader {
    /// The header of a chunk with these bytes at this place.
    pub fn of(
        bytes: &[u8],
        place: RecordPlace,
        first: bool,
        last: bool,
        next_segment: bool,
        seed: Seed,
    ) -> ChunkHeader {
        let mut header = ChunkHeader {
            length: u32::try_from(bytes.len()).expect("a chunk fits into a batch"),
            checksum: 0,
            first,
            last,
            next_segment,
        };
        header.checksum = header.checksum_of(bytes, place, seed);
        header
    }

    /// Its bytes.
    pub fn encode(&self) -> [u8; CHUNK_HEADER_BYTES] {
        let mut bytes = [0; CHUNK_HEADER_BYTES];
        LENGTH.put_u32(&mut bytes, self.length);
        CHECKSUM.put_u32(&mut bytes, self.checksum);
        FLAGS.put(&mut bytes, &[self.flags()]);
        bytes
    }

    /// Reads a chunk's header; `None` if these bytes are none.
    pub fn read(bytes: &[u8]) -> Option<ChunkHeader> {
        let bytes = bytes.get(..CHUNK_HEADER_BYTES)?;
        let flags = FLAGS.u8(bytes);
        let length = LENGTH.u32(bytes);
        let well_formed = flags & !(FIRST_OF_RECORD | LAST_OF_RECORD | GOES_ON_IN_NEXT_SEGMENT) == 0
            && RESERVED.is_zero(bytes)
            && length <= BATCH_BYTES_MAX;
        well_formed.then(|| ChunkHeader {
            length,
            checksum: CHECKSUM.u32(bytes),
            first: flags & FIRST_OF_RECORD != 0,
            last: flags & LAST_OF_RECORD != 0,
            next_segment: flags & GOES_ON_IN_NEXT_SEGMENT != 0,
        })
    }

    /// Whether a chunk with this header at this place holds these bytes.
    pub fn matches(&self, bytes: &[u8], place: RecordPlace, seed: Seed) -> bool {
        bytes.len() == self.length as usize && self.checksum_of(bytes, place, seed) == self.checksum
    }

    fn flags(&self) -> u8 {
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        flag(self.first, FIRST_OF_RECORD)
            | flag(self.last, LAST_OF_RECORD)
            | flag(self.next_segment, GOES_ON_IN_NEXT_SEGMENT)
    }

    fn checksum_of(&self, bytes: &[u8], place: RecordPlace, seed: Seed) -> u32 {
        let mut about = [0; 13];
        about[..4].copy_from_slice(&place.segment.0.to_le_bytes());
        about[4..8].copy_from_slice(&place.offset.to_le_bytes());
        about[8..12].copy_from_slice(&self.length.to_le_bytes());
        about[12] = self.flags();
        let mut hasher = seed.hasher();
        hasher.update(&about);
        hasher.update(bytes);
        hasher.finalize()
    }
}

/// The chunks of a payload whose batch was found whole; each with its place's offset within the payload. Stops with `Err(())` at bytes that are no chunk.
pub struct Chunks<'a> {
    payload: &'a Bytes,
    at: usize,
}

impl<'a> Chunks<'a> {
    /// Over a payload.
    pub fn of(payload: &'a Bytes) -> Chunks<'a> {
        Chunks { payload, at: 0 }
    }
}

/// Bytes within a whole batch that are no chunk, at this offset of the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAChunk(pub usize);

impl Iterator for Chunks<'_> {
    type Item = Result<(usize, ChunkHeader, Bytes), NotAChunk>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at == self.payload.len() {
            return None;
        }
        let at = self.at;
        let start = at + CHUNK_HEADER_BYTES;
        let chunk = ChunkHeader::read(&self.payload[at..]).and_then(|header| {
            let end = start + header.length as usize;
            (end <= self.payload.len()).then(|| (at, header, self.payload.slice(start..end)))
        });
        match chunk {
            Some((_, header, _)) => self.at = start + header.length as usize,
            None => self.at = self.payload.len(),
        }
        Some(chunk.ok_or(NotAChunk(at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::{Nonce, SegmentNumber};

    #[test]
    fn a_chunk_is_checked_with_its_place() {
        let seed = Seed::of(Nonce([9; 16]));
        let place = |segment, offset| RecordPlace {
            segment: SegmentNumber(segment),
            offset,
        };
        let header = ChunkHeader::of(b"abc", place(3, 72), true, false, true, seed);
        assert_eq!(ChunkHeader::read(&header.encode()), Some(header));
        assert!(header.matches(b"abc", place(3, 72), seed));
        for (bytes, at) in [(b"abd", place(3, 72)), (b"abc", place(4, 72)), (b"abc", place(3, 73))] {
            assert!(!header.matches(bytes, at, seed));
        }
        assert!(!header.matches(b"abc", place(3, 72), Seed::of(Nonce([8; 16]))));
    }

    #[test]
    fn a_payload_that_is_not_made_of_chunks_is_noticed_and_ends_the_walk() {
        let seed = Seed::of(Nonce([9; 16]));
        let header = ChunkHeader::of(b"abc", RecordPlace::default(), true, true, false, seed);
        let mut payload = header.encode().to_vec();
        payload.extend_from_slice(b"abc");
        payload.extend_from_slice(&[0xff; 5]);
        let payload = Bytes::from(payload);
        let mut chunks = Chunks::of(&payload);
        assert_eq!(chunks.next(), Some(Ok((0, header, Bytes::from_static(b"abc")))));
        assert_eq!(chunks.next(), Some(Err(NotAChunk(15))));
        assert_eq!(chunks.next(), None);
    }
}
