//! A batch: its header, its chunks, and messages put together from them; as it is and with every checksum right.
//!
//! A header that is read is written as the same header; a changed bit is noticed; the chunks of a payload fill it without gap, or end at the first bytes that are none.

use bytes::Bytes;
use journal::format::{BatchHeader, CHUNK_HEADER_BYTES, ChunkHeader, Chunks, HEADER_BYTES, Seed};
use message::{Epoch, Sequence};
use platform::Blocks;
use record::{RecordPlace, SegmentNumber};

use super::NONCE;
use crate::input::Input;

/// Whether it is sealed; the header's fields and a change, or the batch as it is; the payload.
pub fn run(input: &[u8]) {
    let seed = Seed::of(NONCE);
    let mut input = Input::new(input);
    if !input.flag() {
        let bytes = input.rest();
        if let Ok(header) = BatchHeader::read(bytes, seed) {
            header.is_whole(bytes, seed);
            assert!(header.extent() as usize >= HEADER_BYTES);
        }
        chunks(&Bytes::copy_from_slice(bytes), seed);
        return;
    }
    let flags = input.byte();
    let mut header = BatchHeader {
        last_of_segment: flags & 1 != 0,
        empty: flags & 2 != 0,
        epoch: Epoch(input.count() as u32),
        segment: SegmentNumber(input.count() as u32),
        offset: input.count() as u32,
        payload: 0,
        number: input.count(),
        first_sequence: Sequence(input.count()),
        engine_time: input.count(),
        confirmed_through: input.count(),
        previous_checksum: input.count() as u32,
        checksum: 0,
    };
    let (change, change_at) = (input.byte(), usize::from(input.byte()));
    let payload = input.rest();
    header.payload = payload.len() as u32;
    let mut batch = Blocks::zeroed(HEADER_BYTES);
    batch.extend_from_slice(payload);
    header.finish(&mut batch, seed);
    assert_eq!(BatchHeader::read(&batch, seed), Ok(header));
    assert!(header.is_whole(&batch, seed));
    if change != 0 {
        let at = change_at.min(batch.len() - 1);
        batch[at] ^= change;
        let unnoticed = BatchHeader::read(&batch, seed).is_ok_and(|header| header.is_whole(&batch, seed));
        assert!(!unnoticed, "a change of byte {at} is not noticed");
    }
    chunks(&Bytes::copy_from_slice(payload), seed);
}

fn chunks(payload: &Bytes, seed: Seed) {
    let mut next = 0;
    for chunk in Chunks::of(payload) {
        let Ok((at, header, bytes)) = chunk else { return };
        assert_eq!(at, next);
        assert_eq!(bytes.len(), header.length as usize);
        next = at + CHUNK_HEADER_BYTES + bytes.len();
        assert_eq!(ChunkHeader::read(&header.encode()), Some(header));
        let place = RecordPlace {
            segment: SegmentNumber(1),
            offset: at as u32,
        };
        header.matches(&bytes, place, seed);
        let sealed = ChunkHeader::of(&bytes, place, header.first, header.last, header.next_segment, seed);
        assert!(sealed.matches(&bytes, place, seed));
    }
    assert_eq!(next, payload.len(), "chunks end where the payload does");
}

/// Inputs to begin with.
pub fn seeds() -> Vec<Vec<u8>> {
    let seed = Seed::of(NONCE);
    let place = RecordPlace::default();
    let mut payload = Vec::new();
    for (bytes, first, last) in [(&b"abc"[..], true, true), (b"", true, false), (b"d", false, true)] {
        payload.extend(ChunkHeader::of(bytes, place, first, last, false, seed).encode());
        payload.extend_from_slice(bytes);
    }
    let fields = [1, 1, 7, 12, 64, 55, 100, 17, 51, 9, 1, 3];
    let mut header = BatchHeader {
        last_of_segment: false,
        empty: false,
        epoch: Epoch(1),
        segment: SegmentNumber(1),
        offset: 0,
        payload: payload.len() as u32,
        number: 1,
        first_sequence: Sequence(1),
        engine_time: 1,
        confirmed_through: 0,
        previous_checksum: 0,
        checksum: 0,
    };
    let mut batch = Blocks::zeroed(HEADER_BYTES);
    batch.extend_from_slice(&payload);
    header.finish(&mut batch, seed);
    vec![
        [&fields[..], &payload].concat(),
        [&[0], &payload[..]].concat(),
        [&[0], &batch[..HEADER_BYTES + payload.len()]].concat(),
    ]
}
