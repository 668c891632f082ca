//! Every kind of record comes back as it went in, and hostile bytes are refused without a panic.

use super::*;
use crate::SegmentRange;
use message::{PropertiesBuilder, Property};

fn message() -> Message {
    let mut properties = PropertiesBuilder::default();
    properties.push("colour", Property::String("blue"));
    Message {
        timestamp: 1_700_000_000_000,
        expiration: 1_700_000_060_000,
        priority: 7,
        correlation_id: Some("c".into()),
        reply_to: Some(Destination::new(Kind::TemporaryQueue, "ID:1").expect("a good name")),
        message_type: Some("t".into()),
        group_id: Some("g".into()),
        group_sequence: -1,
        user_id: Some("u".into()),
        original_destination: Some(Destination::topic("T").expect("a good name")),
        properties: properties.finish(),
        ..Message::new(
            "ID:7-1",
            Destination::queue("Q").expect("a good name"),
            Body {
                kind: BodyKind::Text,
                bytes: Bytes::from_static(b"body"),
            },
        )
    }
}

fn sent(number: u64) -> Sent {
    Sent {
        destination: ObjectId(3),
        number: MessageNumber(number),
        targets: vec![ObjectId(3), ObjectId(9)],
        duplicate_id: Some("d-1".into()),
        time: 1_700_000_000_001,
        message: Arc::new(message()),
    }
}

fn waiting() -> Waiting {
    Waiting {
        object: ObjectId(3),
        numbers: vec![MessageNumber(5), MessageNumber(8)],
    }
}

pub(super) fn every_kind() -> Vec<Record> {
    let durable = Definition::Durable {
        client_id: "client".into(),
        name: "sub".into(),
        destinations: vec![Destination::topic("T.>").expect("a good name")],
        selector: Some("a > 1".into()),
        no_local: true,
    };
    vec![
        Record::Created {
            object: ObjectId(3),
            definition: Definition::Queue { name: "Q".into() },
        },
        Record::Created {
            object: ObjectId(4),
            definition: Definition::Topic { name: "T".into() },
        },
        Record::Created {
            object: ObjectId(9),
            definition: durable,
        },
        Record::Deleted { object: ObjectId(4) },
        Record::Sent(sent(5)),
        Record::Acknowledged(waiting()),
        Record::Expired(waiting()),
        Record::Moved {
            object: ObjectId(3),
            number: MessageNumber(5),
            sent: sent(6),
        },
        Record::Redelivered {
            object: ObjectId(3),
            counts: vec![(MessageNumber(5), 2)],
        },
        Record::Purged {
            object: ObjectId(3),
            through: MessageNumber(8),
        },
        Record::Dispatched {
            object: ObjectId(3),
            through: MessageNumber(8),
        },
        Record::Committed {
            sent: vec![sent(9), sent(10)],
            acknowledged: vec![waiting()],
        },
        Record::SetAside {
            object: ObjectId(3),
            number: MessageNumber(8),
        },
    ]
}

fn encoded(record: &Record) -> (Bytes, Vec<(u32, u32)>) {
    let (mut out, mut messages) = (Vec::new(), Vec::new());
    record.encode(&mut out, &mut messages);
    (out.into(), messages)
}

#[test]
fn every_kind_of_record_comes_back_as_it_went_in() {
    for record in every_kind() {
        let (bytes, places) = encoded(&record);
        let (read, read_places) = Record::decode(&bytes).unwrap_or_else(|error| panic!("{record:?}: {error}"));
        assert_eq!(read, record);
        assert_eq!(read_places, places);
    }
}

#[test]
fn a_message_is_found_at_the_place_that_encoding_gave() {
    let (bytes, places) = encoded(&Record::Committed {
        sent: vec![sent(1), sent(2)],
        acknowledged: vec![waiting()],
    });
    assert_eq!(places.len(), 2);
    for (skip, length) in places {
        let block = bytes.slice(skip as usize..(skip + length) as usize);
        assert_eq!(decode_message(&block), Ok(message()));
    }
}

#[test]
fn a_record_cut_anywhere_is_refused() {
    for record in every_kind() {
        let (bytes, _) = encoded(&record);
        for cut in 0..bytes.len() {
            assert!(Record::decode(&bytes.slice(..cut)).is_err(), "{record:?} cut at {cut}");
        }
    }
}

#[test]
fn a_flipped_bit_never_panics_and_a_huge_count_never_allocates() {
    for record in every_kind() {
        let (bytes, _) = encoded(&record);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let _ = Record::decode(&flipped.into());
        }
    }
    let mut huge = vec![4, 3, 0, 0, 0];
    huge.extend_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(
        Record::decode(&huge.into()),
        Err(Malformed("record: a count is larger than what follows"))
    );
}

#[test]
fn pages_and_duplicate_ids_come_back_and_disorder_is_refused() {
    let entry = |number| Entry {
        number: MessageNumber(number),
        place: Place {
            record: RecordPlace {
                segment: SegmentNumber(2),
                offset: 4096,
            },
            last_segment: SegmentNumber(3),
            skip: 31,
            length: 99,
        },
        expiration: 7,
        redeliveries: 2,
        priority: 4,
        set_aside: true,
    };
    let encode = |page: &Page| {
        let mut out = Vec::new();
        page.encode(&mut out);
        Bytes::from(out)
    };
    let page = Page {
        entries: vec![entry(1), entry(4)],
    };
    assert_eq!(Page::decode(&encode(&page)).as_ref(), Ok(&page));
    let disorder = Page {
        entries: vec![entry(4), entry(4)],
    };
    assert_eq!(
        Page::decode(&encode(&disorder)),
        Err(Malformed("page: numbers do not rise"))
    );
    let mut backwards = Page {
        entries: vec![entry(1)],
    };
    backwards.entries[0].place.last_segment = SegmentNumber(1);
    assert_eq!(
        Page::decode(&encode(&backwards)),
        Err(Malformed("page: a record ends before it begins"))
    );
    assert_eq!(
        page.segments().ranges(),
        [SegmentRange {
            first: SegmentNumber(2),
            last: SegmentNumber(3)
        }],
        "a record that goes on counts for every segment in which it lies"
    );
    assert_eq!(size_of::<Entry>(), 40);

    let ids = DuplicateIds {
        ids: vec![(5, "a".into()), (6, "b".into())],
    };
    let mut out = Vec::new();
    ids.encode(&mut out);
    assert_eq!(DuplicateIds::decode(&out.into()), Ok(ids));
}

#[test]
fn the_id_of_a_message_is_found_in_damaged_bytes_as_long_as_its_own_are_plausible() {
    let mut bytes = Vec::new();
    encode_message(&message(), &mut bytes);
    let found = |bytes: &[u8]| message_id(&Bytes::copy_from_slice(bytes));
    let after = MESSAGE_ID_AT + 2 + "ID:7-1".len();
    for cut in 0..bytes.len() {
        let expected = (cut >= after).then_some("ID:7-1");
        assert_eq!(found(&bytes[..cut]).as_deref(), expected, "cut at {cut}");
    }
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x80;
        let expected = !(MESSAGE_ID_AT..after).contains(&at);
        assert_eq!(found(&flipped).is_some(), expected, "a bit of byte {at} flipped");
    }
    assert_eq!(found(&[0; 4096]), None);
    assert_eq!(found(&[0xFF; 4096]), None);
}
