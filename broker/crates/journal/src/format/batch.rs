//! A batch: its header, and the checksums over header and whole.
//!
//! ```text
//! |<------------------------- whole 4 KiB blocks, at most 1 MiB ------------------------->|
//! | header (72) | chunk | chunk | … | chunk | zeros up to the next block                  |
//!                |<------- payload length ------>|
//! ```

use message::{Epoch, Sequence};
use platform::{BLOCK_BYTES, Blocks};
use record::SegmentNumber;

use super::{Field, Seed};
use crate::settings::BATCH_BYTES_MAX;

const MAGIC_BYTES: &[u8] = b"HFBT";
const VERSION_NUMBER: u8 = 1;

/// Bytes of a batch before its payload.
pub const HEADER_BYTES: usize = 72;

/// Flag: the next batch lies at offset 0 of the next segment.
pub const LAST_OF_SEGMENT: u8 = 1;
/// Flag: it carries no records; it was written to say what is confirmed.
pub const WITHOUT_RECORDS: u8 = 2;

const MAGIC: Field = Field::new("magic", 0, 4, "`HFBT`");
const VERSION: Field = Field::new("version", 4, 1, "1");
const FLAGS: Field = Field::new(
    "flags",
    5,
    1,
    "1: last of its segment; 2: without records; other bits are 0",
);
const RESERVED: Field = Field::new("reserved", 6, 2, "0");
const CHECKSUM: Field = Field::new(
    "checksum",
    8,
    4,
    "CRC-32 of the claim's nonce (16 bytes) and the whole batch, padding included, with this field as 0",
);
const HEADER_CHECKSUM: Field = Field::new(
    "header checksum",
    12,
    4,
    "CRC-32 of the claim's nonce and these 72 bytes, with this field and `checksum` as 0",
);
const EPOCH: Field = Field::new("epoch", 16, 4, "the epoch that wrote it");
const SEGMENT: Field = Field::new("segment", 20, 4, "the number of the segment that holds it");
const OFFSET: Field = Field::new("offset", 24, 4, "its first byte in that segment, a multiple of 4096");
const PAYLOAD: Field = Field::new("payload length", 28, 4, "bytes of chunks behind this header");
const NUMBER: Field = Field::new("batch number", 32, 8, "1, 2, 3, … without gaps, across epochs");
const FIRST: Field = Field::new(
    "first sequence",
    40,
    8,
    "the sequence of the first record that begins in it, or if none does, of the next one that will begin",
);
const TIME: Field = Field::new(
    "engine time",
    48,
    8,
    "milliseconds since 1970 on the engine's clock when it was closed",
);
const CONFIRMED: Field = Field::new(
    "confirmed through",
    56,
    8,
    "the number of the last batch that was confirmed when it was closed",
);
const PREVIOUS: Field = Field::new(
    "previous checksum",
    64,
    4,
    "`checksum` of the batch before it, 0 for the first of all",
);
const RESERVED_END: Field = Field::new("reserved", 68, 4, "0");

/// The header's layout.
pub const BATCH_FIELDS: &[Field] = &[
    MAGIC,
    VERSION,
    FLAGS,
    RESERVED,
    CHECKSUM,
    HEADER_CHECKSUM,
    EPOCH,
    SEGMENT,
    OFFSET,
    PAYLOAD,
    NUMBER,
    FIRST,
    TIME,
    CONFIRMED,
    PREVIOUS,
    RESERVED_END,
];

/// What a batch says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Whether the next batch lies in the next segment.
    pub last_of_segment: bool,
    /// Whether it carries no records.
    pub empty: bool,
    /// Who wrote it.
    pub epoch: Epoch,
    /// Where it lies.
    pub segment: SegmentNumber,
    /// Its first byte there.
    pub offset: u32,
    /// Bytes of chunks.
    pub payload: u32,
    /// Its number.
    pub number: u64,
    /// The first record that begins in it, or the next that will.
    pub first_sequence: Sequence,
    /// Engine time in milliseconds.
    pub engine_time: u64,
    /// The last batch confirmed before it.
    pub confirmed_through: u64,
    /// Checksum of the batch before it.
    pub previous_checksum: u32,
    /// Its own checksum; filled in by [`BatchHeader::finish`].
    pub checksum: u32,
}

/// Why some bytes do not begin a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderFault {
    /// All zeros: never written.
    Blank,
    /// Anything else.
    Broken,
}

impl BatchHeader {
    /// Bytes that the batch takes on disk: header, payload and padding.
    pub fn extent(&self) -> u32 {
        (HEADER_BYTES as u32 + self.payload).next_multiple_of(BLOCK_BYTES as u32)
    }

    /// Writes the header over the first bytes of a batch that holds all its chunks, pads it, and puts the checksums in. Gives the batch's checksum.
    pub fn finish(&mut self, batch: &mut Blocks, seed: Seed) -> u32 {
        batch.pad_to_block();
        let header = &mut batch[..HEADER_BYTES];
        header.fill(0);
        MAGIC.put(header, MAGIC_BYTES);
        VERSION.put(header, &[VERSION_NUMBER]);
        let flags =
            if self.last_of_segment { LAST_OF_SEGMENT } else { 0 } | if self.empty { WITHOUT_RECORDS } else { 0 };
        FLAGS.put(header, &[flags]);
        EPOCH.put_u32(header, self.epoch.0);
        SEGMENT.put_u32(header, self.segment.0);
        OFFSET.put_u32(header, self.offset);
        PAYLOAD.put_u32(header, self.payload);
        NUMBER.put_u64(header, self.number);
        FIRST.put_u64(header, self.first_sequence.0);
        TIME.put_u64(header, self.engine_time);
        CONFIRMED.put_u64(header, self.confirmed_through);
        PREVIOUS.put_u32(header, self.previous_checksum);
        let header_checksum = header_checksum(header, seed);
        HEADER_CHECKSUM.put_u32(header, header_checksum);
        self.checksum = whole_checksum(batch, seed);
        CHECKSUM.put_u32(batch, self.checksum);
        self.checksum
    }

    /// Reads a header from the first bytes of a block. A header that passes was written by the claim with this nonce, whatever lies behind it.
    pub fn read(block: &[u8], seed: Seed) -> Result<BatchHeader, HeaderFault> {
        let Some(header) = block.get(..HEADER_BYTES) else {
            return Err(HeaderFault::Broken);
        };
        if header.iter().all(|byte| *byte == 0) {
            return Err(HeaderFault::Blank);
        }
        let flags = FLAGS.u8(header);
        let well_formed = MAGIC.get(header) == MAGIC_BYTES
            && VERSION.u8(header) == VERSION_NUMBER
            && flags & !(LAST_OF_SEGMENT | WITHOUT_RECORDS) == 0
            && RESERVED.is_zero(header)
            && RESERVED_END.is_zero(header)
            && PAYLOAD.u32(header) <= BATCH_BYTES_MAX - HEADER_BYTES as u32
            && HEADER_CHECKSUM.u32(header) == header_checksum(header, seed);
        if !well_formed {
            return Err(HeaderFault::Broken);
        }
        Ok(BatchHeader {
            last_of_segment: flags & LAST_OF_SEGMENT != 0,
            empty: flags & WITHOUT_RECORDS != 0,
            epoch: Epoch(EPOCH.u32(header)),
            segment: SegmentNumber(SEGMENT.u32(header)),
            offset: OFFSET.u32(header),
            payload: PAYLOAD.u32(header),
            number: NUMBER.u64(header),
            first_sequence: Sequence(FIRST.u64(header)),
            engine_time: TIME.u64(header),
            confirmed_through: CONFIRMED.u64(header),
            previous_checksum: PREVIOUS.u32(header),
            checksum: CHECKSUM.u32(header),
        })
    }

    /// The place that a block says it has, if it looks like a batch's first, whatever its checksum says: evidence for people, never to go by.
    pub(crate) fn place_unchecked(block: &[u8]) -> Option<(Epoch, SegmentNumber, u64)> {
        let header = block.get(..HEADER_BYTES)?;
        let looks_like_one = MAGIC.get(header) == MAGIC_BYTES && VERSION.u8(header) == VERSION_NUMBER;
        looks_like_one.then(|| {
            (
                Epoch(EPOCH.u32(header)),
                SegmentNumber(SEGMENT.u32(header)),
                OFFSET.u32(header).into(),
            )
        })
    }

    /// Whether the whole batch, of [`BatchHeader::extent`] bytes, is what its checksum says.
    pub fn is_whole(&self, batch: &[u8], seed: Seed) -> bool {
        batch.len() == self.extent() as usize && whole_checksum(batch, seed) == self.checksum
    }
}

fn header_checksum(header: &[u8], seed: Seed) -> u32 {
    let mut hasher = seed.hasher();
    hasher.update(&header[..CHECKSUM.offset]);
    hasher.update(&[0; 8]);
    hasher.update(&header[HEADER_CHECKSUM.offset + HEADER_CHECKSUM.bytes..HEADER_BYTES]);
    hasher.finalize()
}

fn whole_checksum(batch: &[u8], seed: Seed) -> u32 {
    let mut hasher = seed.hasher();
    hasher.update(&batch[..CHECKSUM.offset]);
    hasher.update(&[0; 4]);
    hasher.update(&batch[CHECKSUM.offset + CHECKSUM.bytes..]);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::Nonce;

    #[test]
    fn the_fields_fill_the_header_without_gap_or_overlap() {
        let mut at = 0;
        for field in BATCH_FIELDS {
            assert_eq!(field.offset, at, "{}", field.name);
            at += field.bytes;
        }
        assert_eq!(at, HEADER_BYTES);
    }

    #[test]
    fn a_batch_comes_back_and_every_flipped_bit_is_noticed() {
        let seed = Seed::of(Nonce([9; 16]));
        let mut blocks = Blocks::zeroed(HEADER_BYTES);
        blocks.extend_from_slice(b"some payload");
        let mut header = BatchHeader {
            last_of_segment: true,
            empty: false,
            epoch: Epoch(7),
            segment: SegmentNumber(12),
            offset: 8192,
            payload: 12,
            number: 55,
            first_sequence: Sequence(1000),
            engine_time: 1_700_000_000_000,
            confirmed_through: 51,
            previous_checksum: 0xdead_beef,
            checksum: 0,
        };
        header.finish(&mut blocks, seed);
        assert_eq!(BatchHeader::read(&blocks, seed), Ok(header));
        assert!(header.is_whole(&blocks, seed));
        for bit in 0..blocks.len() * 8 {
            let mut flipped = blocks.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let noticed = BatchHeader::read(&flipped, seed).map_or(true, |header| !header.is_whole(&flipped, seed));
            assert!(noticed, "bit {bit}");
        }
        assert_eq!(BatchHeader::read(&[0; HEADER_BYTES], seed), Err(HeaderFault::Blank));
        assert_eq!(BatchHeader::read(&blocks[..71], seed), Err(HeaderFault::Broken));
        assert_eq!(
            BatchHeader::read(&blocks, Seed::of(Nonce([8; 16]))),
            Err(HeaderFault::Broken),
            "another claim's nonce"
        );
    }
}
