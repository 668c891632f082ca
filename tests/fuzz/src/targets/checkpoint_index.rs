//! The index of a checkpoint, as it is and with its checksum right.
//!
//! What is read is written as the same bytes, and its segments are those of its pieces.

use ::record::{CheckpointName, ObjectId, Page, PieceKey, SegmentNumber, SegmentSet};
use bytes::Bytes;
use journal::checkpoint::{CheckpointSummary, Index};
use journal::{ReplayStart, SegmentOwner};
use message::{Epoch, Sequence};

use super::{NONCE, pieces};

/// The checkpoint's name.
pub(crate) const NAME: CheckpointName = CheckpointName {
    epoch: Epoch(1),
    number: 1,
};

/// The checksum's place; beside it, name and version are put right too, or nothing would come further.
const CHECKSUM_AT: usize = 8;

/// Whether it is sealed; then the index.
pub fn run(input: &[u8]) {
    let [is_sealed, rest @ ..] = input else { return };
    let mut bytes = rest.to_vec();
    if is_sealed & 1 == 1 {
        seal(&mut bytes);
    }
    let bytes = Bytes::from(bytes);
    let index = match Index::decode(&bytes, NAME) {
        Ok(index) => index,
        Err(damage) => {
            assert!(damage.offset <= 88 && !damage.to_string().is_empty());
            return;
        }
    };
    assert_eq!(index.encode(), bytes, "an index is written as other bytes");
    for (_, reference) in &index.pieces {
        assert!(
            reference
                .segments
                .ranges()
                .all(|range| index.summary.segments.covers(range))
        );
    }
    let summary = &index.summary;
    assert!(
        !summary.needs_less_than(summary),
        "a checkpoint does not need less than itself"
    );
    summary.needs(SegmentNumber(5));
}

/// Puts magic, version, name and checksum right.
pub(crate) fn seal(index: &mut [u8]) {
    if index.len() < 20 {
        return;
    }
    index[..8].copy_from_slice(b"HFCX\x01\0\0\0");
    index[12..16].copy_from_slice(&NAME.epoch.0.to_le_bytes());
    index[16..20].copy_from_slice(&NAME.number.to_le_bytes());
    index[CHECKSUM_AT..CHECKSUM_AT + 4].fill(0);
    let checksum = crc32fast::hash(index);
    index[CHECKSUM_AT..CHECKSUM_AT + 4].copy_from_slice(&checksum.to_le_bytes());
}

/// An index with two pieces, this page and some duplicate ids, and the file that holds them.
pub(crate) fn example(catalog: &[u8], page: &Page) -> (Index, Vec<u8>) {
    let segments = page.segments();
    let (mut page_bytes, mut ids) = (Vec::new(), Vec::new());
    page.encode(&mut page_bytes);
    pieces::ids().encode(&mut ids);
    let mut file = b"HFPC\x01\0\0\0\x01\0\0\0\x01\0\0\0".to_vec();
    let object = ObjectId(1);
    let key = PieceKey::Page {
        object,
        priority: 4,
        ordinal: 0,
    };
    let mut listed = vec![(key, pieces::reference(file.len() as u64, &page_bytes, &segments))];
    file.extend_from_slice(&page_bytes);
    let key = PieceKey::Duplicates { object, ordinal: 0 };
    listed.push((key, pieces::reference(file.len() as u64, &ids, &SegmentSet::default())));
    file.extend_from_slice(&ids);
    let index = Index {
        summary: CheckpointSummary {
            name: NAME,
            through: Sequence(2),
            start: ReplayStart {
                epoch: Epoch(1),
                segment: SegmentNumber(1),
                offset: 4096,
                batch: 2,
                previous_checksum: 0,
                sequence: Sequence(3),
            },
            engine_time: 1_700_000_000_000,
            segments,
            piece_files: vec![(NAME, file.len() as u64)],
            bytes: 0,
        },
        owners: vec![SegmentOwner {
            epoch: Epoch(1),
            nonce: NONCE,
            first: SegmentNumber(1),
            last: SegmentNumber(3),
        }],
        pieces: listed,
        catalog: Bytes::copy_from_slice(catalog),
    };
    (index, file)
}

/// Inputs to begin with.
pub fn seeds() -> Vec<Vec<u8>> {
    let (full, _) = example(b"catalog", &pieces::page(&[1, 2]));
    let mut empty = full.clone();
    (empty.owners, empty.pieces, empty.catalog) = (Vec::new(), Vec::new(), Bytes::new());
    empty.summary.piece_files = Vec::new();
    let mut seeds = Vec::new();
    for index in [full, empty] {
        for is_sealed in [0, 1] {
            seeds.push([&[is_sealed], &index.encode()[..]].concat());
        }
    }
    seeds
}
