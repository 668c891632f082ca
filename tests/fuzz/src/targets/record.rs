//! One record of the history.
//!
//! What is read is written as the same bytes, with the same places of its messages; each message is found again at its place.

use std::sync::Arc;

use ::message::{Body, BodyKind, Destination, Message, MessageNumber};
use ::record::{Definition, ObjectId, Record, Sent, Waiting, decode_message};
use bytes::Bytes;

/// The record's bytes.
pub fn run(input: &[u8]) {
    let bytes = Bytes::copy_from_slice(input);
    let Ok((record, places)) = Record::decode(&bytes) else {
        return;
    };
    let (mut written, mut written_places) = (b"before".to_vec(), Vec::new());
    record.encode(&mut written, &mut written_places);
    assert_eq!(&written[6..], input, "{record:?} is written as other bytes");
    assert_eq!(places, written_places, "{record:?}");
    let messages = messages(&record);
    assert_eq!(messages.len(), places.len());
    for (message, (skip, length)) in messages.into_iter().zip(places) {
        let block = bytes.slice(skip as usize..(skip + length) as usize);
        assert_eq!(decode_message(&block).as_ref(), Ok(&**message));
    }
}

fn messages(record: &Record) -> Vec<&Arc<Message>> {
    match record {
        Record::Sent(sent) | Record::Moved { sent, .. } => vec![&sent.message],
        Record::Committed { sent, .. } => sent.iter().map(|sent| &sent.message).collect(),
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

/// One record of each kind, about objects 1 (a queue), 2 (a topic) and 3 (a durable subscription).
pub(crate) fn every_kind() -> Vec<Record> {
    let (object, number) = (ObjectId(1), MessageNumber(5));
    let waiting = Waiting {
        object,
        numbers: vec![number, MessageNumber(6)],
    };
    vec![
        Record::Created {
            object,
            definition: Definition::Queue { name: "Q".into() },
        },
        Record::Created {
            object: ObjectId(2),
            definition: Definition::Topic { name: "T.x".into() },
        },
        Record::Created {
            object: ObjectId(3),
            definition: Definition::Durable {
                client_id: "c".into(),
                name: "n".into(),
                destinations: vec![Destination::topic("T.>").expect("a good name")],
                selector: Some("a > 1".into()),
                no_local: true,
            },
        },
        Record::Sent(sent(5)),
        Record::Sent(sent(6)),
        Record::Redelivered {
            object,
            counts: vec![(number, 2)],
        },
        Record::Dispatched {
            object,
            through: number,
        },
        Record::SetAside { object, number },
        Record::Acknowledged(waiting.clone()),
        Record::Sent(sent(7)),
        Record::Moved {
            object,
            number: MessageNumber(7),
            sent: sent(8),
        },
        Record::Committed {
            sent: vec![sent(9), sent(10)],
            acknowledged: vec![Waiting {
                object,
                numbers: vec![MessageNumber(8)],
            }],
        },
        Record::Purged {
            object,
            through: MessageNumber(9),
        },
        Record::Expired(Waiting {
            object,
            numbers: vec![MessageNumber(10)],
        }),
        Record::Deleted { object },
    ]
}

/// A message that arrives in queue 1.
pub(crate) fn sent(number: u64) -> Sent {
    Sent {
        destination: ObjectId(1),
        number: MessageNumber(number),
        targets: vec![ObjectId(1)],
        duplicate_id: Some(format!("d{number}").into()),
        time: 1_700_000_000_001,
        message: Arc::new(super::message::example()),
    }
}

/// The bytes of a record.
pub(crate) fn encoded(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::new();
    record.encode(&mut bytes, &mut Vec::new());
    bytes
}

/// Inputs to begin with.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut plain = sent(5);
    plain.message = Arc::new(Message::new(
        "m",
        Destination::queue("Q").expect("a good name"),
        Body {
            kind: BodyKind::Empty,
            bytes: Bytes::new(),
        },
    ));
    plain.duplicate_id = None;
    let mut seeds: Vec<_> = every_kind().iter().map(encoded).collect();
    seeds.push(encoded(&Record::Sent(plain)));
    seeds
}
