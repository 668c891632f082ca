//! The engine's part of a checkpoint, and the records behind it: what a start takes before anybody is served.
//!
//! What fits is taken, what does not is refused; a state that was taken is written as a checkpoint from which the same state comes.

use ::record::{
    PackedSegments, PieceContent, PieceKey, PieceReference, Record, RecordPlace, SegmentNumber, SegmentSet,
};
use bytes::Bytes;
use engine::{Engine, EngineTime, Settings};
use message::{Epoch, Sequence};

use super::{pieces, record};
use crate::input::Input;

/// The catalog, as a long block; how many pieces, and each; then records as long blocks.
pub fn run(input: &[u8]) {
    let mut input = Input::new(input);
    let catalog = Bytes::copy_from_slice(input.long_block());
    let listed: Vec<_> = (0..input.below(4)).filter_map(|_| piece(&mut input)).collect();
    let mut engine = Engine::new(Settings::default(), Epoch(2));
    if !catalog.is_empty() {
        if engine.restore(&catalog, listed).is_err() {
            return;
        }
        imaged(&mut engine);
    }
    let mut sequence = engine.image().through;
    while !input.is_empty() {
        let bytes = Bytes::copy_from_slice(input.long_block());
        let Ok((record, messages)) = Record::decode(&bytes) else {
            return;
        };
        let Some(next) = sequence.0.checked_add(1).map(Sequence) else {
            return;
        };
        sequence = next;
        let place = RecordPlace {
            segment: SegmentNumber(1),
            offset: 0,
        };
        if let Err(inconsistent) = engine.replay(sequence, record, place, SegmentNumber(1), &messages) {
            assert!(!inconsistent.to_string().is_empty());
            return;
        }
    }
    engine.recovered(EngineTime(1_700_000_000_000));
    imaged(&mut engine);
}

fn piece(input: &mut Input<'_>) -> Option<(PieceKey, PieceReference, PieceContent)> {
    let kind = input.byte();
    let object = record_object(input);
    let (priority, ordinal) = (input.byte(), input.count());
    let bytes = Bytes::copy_from_slice(input.block());
    let content = match kind & 1 {
        0 => PieceContent::Page(::record::Page::decode(&bytes).ok()?.into()),
        _ => PieceContent::Duplicates(::record::DuplicateIds::decode(&bytes).ok()?.into()),
    };
    let key = match kind >> 1 & 1 {
        0 => PieceKey::Page {
            object,
            priority,
            ordinal,
        },
        _ => PieceKey::Duplicates { object, ordinal },
    };
    Some((key, pieces::reference(0, &bytes, &SegmentSet::default()), content))
}

fn record_object(input: &mut Input<'_>) -> ::record::ObjectId {
    ::record::ObjectId(u32::from(input.byte()))
}

/// The state as a checkpoint, and the same again from that.
fn imaged(engine: &mut Engine) {
    let image = engine.image();
    let listed = image.pieces.iter().map(|piece| {
        let reference = piece.stored.clone().unwrap_or(PieceReference {
            segments: PackedSegments::default(),
            ..pieces::reference(0, &[], &SegmentSet::default())
        });
        (piece.key, reference, piece.content.clone())
    });
    let mut again = Engine::new(Settings::default(), Epoch(3));
    let restored = again.restore(&image.catalog, listed.collect());
    assert_eq!(restored, Ok(()), "an engine refuses its own checkpoint");
    let repeated = again.image();
    assert_eq!((repeated.through, &repeated.catalog), (image.through, &image.catalog));
    assert_eq!(repeated.pieces.len(), image.pieces.len());
    for (left, right) in repeated.pieces.iter().zip(&image.pieces) {
        assert_eq!((left.key, &left.content), (right.key, &right.content));
    }
}

/// The catalog, and pieces for it, of an engine that has seen one of each record but the last, which deletes.
pub(crate) fn example() -> Bytes {
    replayed(|kept| kept < record::every_kind().len() - 5).image().catalog
}

fn replayed(keep: impl Fn(usize) -> bool) -> Engine {
    let mut engine = Engine::new(Settings::default(), Epoch(1));
    for (index, record) in record::every_kind()
        .into_iter()
        .enumerate()
        .filter(|(index, _)| keep(*index))
    {
        let (mut bytes, mut messages) = (Vec::new(), Vec::new());
        record.encode(&mut bytes, &mut messages);
        let place = RecordPlace {
            segment: SegmentNumber(1),
            offset: 0,
        };
        let sequence = Sequence(index as u64 + 1);
        let applied = engine.replay(sequence, record, place, SegmentNumber(1), &messages);
        applied.expect("these records follow from each other");
    }
    engine
}

/// Inputs to begin with.
pub fn seeds() -> Vec<Vec<u8>> {
    let with_length = |bytes: &[u8]| [&(bytes.len() as u16).to_le_bytes(), bytes].concat();
    let records: Vec<u8> = record::every_kind()
        .iter()
        .flat_map(|record| with_length(&record::encoded(record)))
        .collect();
    let few: Vec<u8> = record::every_kind()
        .iter()
        .take(3)
        .flat_map(|record| with_length(&record::encoded(record)))
        .collect();
    let catalog = example();
    let (mut page, mut ids) = (Vec::new(), Vec::new());
    pieces::page(&[20, 21]).encode(&mut page);
    pieces::ids().encode(&mut ids);
    let catalog_block = with_length(&catalog);
    let page = [&[0, 1, 4, 5, page.len() as u8], &page[..]].concat();
    let ids = [&[3, 1, 0, 5, ids.len() as u8], &ids[..]].concat();
    vec![
        [&[0, 0, 0], &few[..]].concat(),
        [&[0, 0, 0], &records[..]].concat(),
        [&catalog_block[..], &[0]].concat(),
        [&catalog_block[..], &[2], &page, &ids].concat(),
    ]
}
