//! A message read back from its segment.
//!
//! Each message of a history as a leader leaves it is found at its place; any other place gives a message or damage, without reading more than a batch at a time.

use journal::{ReadError, read_message};
use message::Message;
use record::{Place, Record, RecordPlace, SegmentNumber};

use crate::directory::{self, History, finish};
use crate::input::Input;

/// A place; then the steps that build the directory.
pub fn run(input: &[u8]) {
    let mut input = Input::new(input);
    let mut near = [0; 6];
    near.fill_with(|| input.byte());
    let far = input
        .flag()
        .then(|| [input.count(), input.count(), input.count(), input.count()]);
    let history = directory::build(&mut input);
    if history.is_clean {
        let written = history.records.iter().flat_map(messages);
        for (place, expected) in history.places.iter().zip(written) {
            match read(&history, *place) {
                Ok(message) => assert_eq!(&message, expected),
                Err(error) => panic!("a message is not found at its place {place:?}: {error}"),
            }
        }
    }
    let known = history
        .places
        .get(usize::from(near[0]) % history.places.len().max(1))
        .copied();
    let mut place = known.unwrap_or_default();
    place.record.offset = place.record.offset.wrapping_add(u32::from(near[1]));
    place.skip = place.skip.wrapping_add(u32::from(near[2]));
    place.length = place.length.wrapping_add(u32::from(near[3]));
    place.record.segment.0 += u32::from(near[4] & 3);
    let any = far.map(|[segment, offset, skip, length]| Place {
        record: RecordPlace {
            segment: SegmentNumber(segment as u32),
            offset: offset as u32,
        },
        last_segment: SegmentNumber(segment as u32),
        skip: skip as u32,
        length: length as u32,
    });
    for place in [Some(place), any].into_iter().flatten() {
        match read(&history, place) {
            Ok(_) | Err(ReadError::Damaged(_)) => {}
            Err(ReadError::Io(error)) => assert_eq!(error.kind, platform::DiskErrorKind::NotFound),
        }
    }
}

fn read(history: &History, place: Place) -> Result<Message, ReadError> {
    let files = history.disk.files();
    let (reading, owners) = (files.clone(), history.owners());
    let read = finish(&files, async move { read_message(&reading, &owners, place).await });
    assert_eq!(history.disk.open_files(), 0, "a file stays open");
    read
}

fn messages(record: &Record) -> Vec<&Message> {
    match record {
        Record::Sent(sent) | Record::Moved { sent, .. } => vec![&*sent.message],
        Record::Committed { sent, .. } => sent.iter().map(|sent| &*sent.message).collect(),
        Record::Created { .. }
        | Record::Deleted { .. }
        | Record::Acknowledged(_)
        | Record::Expired(_)
        | Record::Redelivered { .. }
        | Record::Purged { .. }
        | Record::Dispatched { .. }
        | Record::SetAside { .. } => Vec::new(),
    }
}

/// Inputs to begin with.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<_> = directory::seeds()
        .iter()
        .map(|steps| [&[0; 7], &steps[..]].concat())
        .collect();
    seeds.push([&[1, 0, 1, 1, 0, 0, 1, 1, 72, 31, 9], &directory::seeds()[0][..]].concat());
    seeds
}
