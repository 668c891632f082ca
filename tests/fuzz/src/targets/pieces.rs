//! The pieces of a checkpoint: pages, duplicate ids, and references to either.
//!
//! What is read is written as the same bytes, and refers to what it says.

use std::sync::Arc;

use bytes::Bytes;
use message::{Epoch, MessageNumber};
use record::{
    CheckpointName, DuplicateIds, Entry, PackedSegments, Page, PieceReference, Place, Reader, RecordPlace,
    SegmentNumber, SegmentRange, SegmentSet,
};

/// Which of the three; then its bytes.
pub fn run(input: &[u8]) {
    let [kind, rest @ ..] = input else { return };
    let bytes = Bytes::copy_from_slice(rest);
    let mut written = Vec::new();
    match kind % 3 {
        0 => {
            let Ok(page) = Page::decode(&bytes) else { return };
            page.encode(&mut written);
            let segments = page.segments();
            for entry in &page.entries {
                let (first, last) = (entry.place.record.segment, entry.place.last_segment);
                assert!(segments.covers(SegmentRange { first, last }));
            }
            let packed = PackedSegments::of(&segments);
            assert!(packed.ranges().eq(segments.ranges().iter().copied()), "{segments:?}");
        }
        1 => {
            let Ok(ids) = DuplicateIds::decode(&bytes) else { return };
            ids.encode(&mut written);
        }
        _ => {
            let mut reader = Reader::new(&bytes);
            let Ok(reference) = PieceReference::decode(&mut reader) else {
                return;
            };
            if reader.end("bytes left over").is_err() {
                return;
            }
            reference.encode(&mut written);
            let set: SegmentSet = reference.segments.ranges().collect();
            assert_eq!(PackedSegments::of(&set), reference.segments);
        }
    }
    assert_eq!(written, rest, "a piece is written as other bytes");
}

/// A page with these numbers, of records in segment 1.
pub(crate) fn page(numbers: &[u64]) -> Page {
    let entry = |number: &u64| Entry {
        number: MessageNumber(*number),
        place: Place {
            record: RecordPlace {
                segment: SegmentNumber(1),
                offset: 4096 + *number as u32 * 64,
            },
            last_segment: SegmentNumber(1),
            skip: 31,
            length: 9,
        },
        expiration: 0,
        redeliveries: 1,
        priority: 4,
        set_aside: false,
    };
    Page {
        entries: numbers.iter().map(entry).collect(),
    }
}

/// Some duplicate ids.
pub(crate) fn ids() -> DuplicateIds {
    DuplicateIds {
        ids: vec![(5, Arc::from("a")), (6, Arc::from("bc"))],
    }
}

/// A reference to segments far apart.
pub(crate) fn reference(offset: u64, bytes: &[u8], segments: &SegmentSet) -> PieceReference {
    PieceReference {
        written_by: CheckpointName {
            epoch: Epoch(1),
            number: 1,
        },
        offset,
        length: bytes.len() as u32,
        checksum: crc32fast::hash(bytes),
        segments: PackedSegments::of(segments),
    }
}

/// Inputs to begin with.
pub fn seeds() -> Vec<Vec<u8>> {
    let far = [(1, 1), (5, 7), (300, 70_000), (u32::MAX, u32::MAX)]
        .map(|(first, last)| SegmentRange {
            first: SegmentNumber(first),
            last: SegmentNumber(last),
        })
        .into_iter()
        .collect();
    let (mut first, mut second, mut third) = (vec![0], vec![1], vec![2]);
    page(&[1, 2, 9]).encode(&mut first);
    ids().encode(&mut second);
    reference(16, b"x", &far).encode(&mut third);
    vec![first, second, third]
}
