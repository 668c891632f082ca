//! The frames of the stream: their golden bytes, the document that shows them, and a decoder that takes them however they are cut.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test may fail by panic; the document is read and, when asked, written"
)]

use bytes::{Bytes, BytesMut};
use message::Epoch;
use proptest::prelude::*;
use wire::stream::{
    BATCH_BYTES_MAX, Decoder, Direction, Frame, HOST_BYTES_MAX, Hello, Kind, Nonce, Position, Reason, Refusal,
    SHORT_FRAME_BYTES_MAX, Sealed, TABLES, TEXT_BYTES_MAX, Violation, Welcome, markdown_table,
};

const POSITION: Position = Position {
    epoch: Epoch(7),
    segment: 12,
    offset: 8192,
    batch: 4711,
    previous_checksum: 0xdead_beef,
};
/// Its bytes.
const POSITION_HEX: &str = "070000000c0000000020000067120000 00000000efbeadde";

/// One frame of each kind, with the bytes that it has had since version 1.
fn examples() -> Vec<(Frame, String)> {
    let member = "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf";
    let claim = "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf";
    let examples = [
        (
            Frame::Hello(Hello {
                member: nonce(0xa0),
                format_lowest: 1,
                format_highest: 2,
                from: POSITION,
                host: "b.example".into(),
            }),
            format!("3b000000 01 01 {member} 01000000 02000000 {POSITION_HEX} 622e6578616d706c65"),
        ),
        (
            Frame::Applied { batch: 4700 },
            "09000000 02 5c12000000000000".to_string(),
        ),
        (
            Frame::Welcome(Welcome {
                epoch: Epoch(8),
                nonce: nonce(0xc0),
                format_version: 1,
            }),
            format!("1a000000 10 01 08000000 {claim} 01000000"),
        ),
        (
            Frame::Batch {
                at: POSITION,
                bytes: Bytes::from_static(b"HFBT"),
            },
            format!("1d000000 11 {POSITION_HEX} 48464254"),
        ),
        (
            Frame::Confirmed { position: POSITION },
            format!("19000000 12 {POSITION_HEX}"),
        ),
        (Frame::Gap { from: POSITION }, format!("19000000 13 {POSITION_HEX}")),
        (
            Frame::Final { position: POSITION },
            format!("19000000 14 {POSITION_HEX}"),
        ),
        (
            Frame::Sealed(Sealed {
                epoch: Epoch(9),
                nonce: nonce(0xc0),
            }),
            format!("16000000 20 01 09000000 {claim}"),
        ),
        (
            Frame::Refused(Refusal {
                reason: Reason::NotLeading,
                text: "Ask b.".into(),
            }),
            "0a000000 21 01 0100 41736b20622e".to_string(),
        ),
    ];
    examples
        .into_iter()
        .map(|(frame, hex)| (frame, hex.replace(' ', "")))
        .collect()
}

fn nonce(first: u8) -> Nonce {
    Nonce(std::array::from_fn(|index| first + index as u8))
}

fn encoded(frame: &Frame) -> Vec<u8> {
    let mut out = BytesMut::new();
    frame.encode(&mut out);
    out.to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn direction_of(frame: &Frame) -> Direction {
    if frame.kind().goes(Direction::ToFollower) {
        Direction::ToFollower
    } else {
        Direction::ToLeader
    }
}

/// What a decoder makes of bytes that come in pieces; it is given each piece when the one before is used up.
fn decode<'a>(direction: Direction, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Frame>, Option<Violation>) {
    let mut decoder = Decoder::new(direction);
    let mut frames = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(violation) => return (frames, Some(violation)),
            }
        }
        assert!(decoder.buffered() < 4 + BATCH_BYTES_MAX as usize + 25);
    }
    (frames, None)
}

fn decode_one(direction: Direction, bytes: &[u8]) -> Result<Frame, Violation> {
    match decode(direction, [bytes]) {
        (_, Some(violation)) => Err(violation),
        (mut frames, None) => Ok(frames.pop().expect("the frame is whole")),
    }
}

#[test]
fn every_kind_of_frame_has_its_golden_bytes_and_comes_back() {
    let examples = examples();
    let kinds: Vec<Kind> = examples.iter().map(|(frame, _)| frame.kind()).collect();
    assert_eq!(kinds, Kind::ALL, "each kind has an example");
    for (frame, golden) in examples {
        let bytes = encoded(&frame);
        assert_eq!(hex(&bytes), golden, "{}", frame.kind());
        assert_eq!(decode_one(direction_of(&frame), &bytes), Ok(frame));
    }
}

#[test]
fn the_tables_say_where_each_field_of_a_frame_lies() {
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u64::from(*byte))
    };
    for ((frame, _), (kind, fields)) in examples().into_iter().zip(TABLES) {
        assert_eq!(frame.kind(), *kind);
        let bytes = encoded(&frame);
        let mut at = 0;
        for field in *fields {
            assert_eq!(field.offset, at, "{kind}: {} leaves a gap, or overlaps", field.name);
            let value = match field.bytes {
                0 => &bytes[at..],
                length => &bytes[at..at + length],
            };
            at += value.len();
            let expected: &[u8] = match field.name {
                "length" => {
                    assert_eq!(number(value), bytes.len() as u64 - 4);
                    continue;
                }
                "kind" => {
                    assert_eq!(
                        (number(value), field.meaning),
                        (*kind as u64, &*(*kind as u8).to_string())
                    );
                    continue;
                }
                "protocol" => &[1],
                "member" => &nonce(0xa0).0,
                "nonce" => &nonce(0xc0).0,
                "lowest format" | "format version" => &[1, 0, 0, 0],
                "highest format" => &[2, 0, 0, 0],
                "epoch" => &[7, 0, 0, 0],
                "leader's epoch" => &[8, 0, 0, 0],
                "sealed epoch" => &[9, 0, 0, 0],
                "segment" => &[12, 0, 0, 0],
                "offset" => &[0, 0x20, 0, 0],
                "batch" => &[0x67, 0x12, 0, 0, 0, 0, 0, 0],
                "previous checksum" => &[0xef, 0xbe, 0xad, 0xde],
                "applied" => &[0x5c, 0x12, 0, 0, 0, 0, 0, 0],
                "reason" => &[1, 0],
                "host" => b"b.example",
                "bytes" => b"HFBT",
                "text" => b"Ask b.",
                other => panic!("{kind}: the test knows no field {other}"),
            };
            assert_eq!(value, expected, "{kind}: {}", field.name);
        }
        assert_eq!(at, bytes.len(), "{kind}: the table ends before the frame");
    }
}

#[test]
fn the_document_shows_the_tables_and_the_golden_bytes() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/stream.md");
    let mut document = std::fs::read_to_string(&path).expect("docs/stream.md is in the repository");
    let before = document.clone();
    for ((frame, golden), (kind, fields)) in examples().iter().zip(TABLES) {
        assert_eq!(frame.kind(), *kind);
        let (begin, end) = (format!("<!-- frame: {kind} -->\n"), format!("<!-- end: {kind} -->"));
        let from = document.find(&begin).unwrap_or_else(|| panic!("{begin} is missing")) + begin.len();
        let to = document.find(&end).unwrap_or_else(|| panic!("{end} is missing"));
        let shown = format!("{}\nExample: `{golden}`\n", markdown_table(fields));
        document.replace_range(from..to, &shown);
    }
    if document != before && std::env::var_os("HOLDFAST_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, &document).expect("the document can be written");
        return;
    }
    assert!(
        document == before,
        "docs/stream.md does not show what the code writes; HOLDFAST_WRITE_GOLDEN=1 puts it right"
    );
}

#[test]
fn the_document_lists_every_reason_with_its_number() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/stream.md");
    let document = std::fs::read_to_string(&path).expect("docs/stream.md is in the repository");
    for code in 1.. {
        let reason = Reason::of(code);
        assert_eq!(reason.code(), code);
        let row = document.lines().find(|line| line.starts_with(&format!("| {code} | *")));
        if let Reason::Other(_) = reason {
            assert_eq!(row, None, "the document knows a reason that the code does not");
            break;
        }
        assert!(row.is_some(), "{reason:?} is missing from docs/stream.md");
    }
}

#[test]
fn every_split_point_gives_the_same_frames() {
    for direction in [Direction::ToLeader, Direction::ToFollower] {
        let frames: Vec<Frame> = examples()
            .into_iter()
            .map(|(frame, _)| frame)
            .filter(|frame| frame.kind().goes(direction))
            .collect();
        let stream: Vec<u8> = frames.iter().flat_map(encoded).collect();
        for at in 0..=stream.len() {
            let (left, right) = stream.split_at(at);
            assert_eq!(decode(direction, [left, right]), (frames.clone(), None), "cut at {at}");
        }
        assert_eq!(decode(direction, stream.chunks(1)), (frames, None), "byte by byte");
    }
}

#[test]
fn a_frame_is_refused_as_soon_as_its_head_says_that_it_cannot_be() {
    let head = |length: u32, kind: u8| [&length.to_le_bytes()[..], &[kind]].concat();
    let cases = [
        (Direction::ToLeader, 0u32.to_le_bytes().to_vec(), Violation::Empty),
        (Direction::ToLeader, head(9, 3), Violation::UnknownKind { kind: 3 }),
        (
            Direction::ToLeader,
            head(30, Kind::Batch as u8),
            Violation::WrongDirection { kind: Kind::Batch },
        ),
        (
            Direction::ToFollower,
            head(9, Kind::Applied as u8),
            Violation::WrongDirection { kind: Kind::Applied },
        ),
        (
            Direction::ToLeader,
            head(SHORT_FRAME_BYTES_MAX + 1, Kind::Hello as u8),
            Violation::TooLong {
                kind: Kind::Hello,
                bytes: SHORT_FRAME_BYTES_MAX + 1,
                bytes_max: SHORT_FRAME_BYTES_MAX,
            },
        ),
        (
            Direction::ToFollower,
            head(25 + BATCH_BYTES_MAX + 1, Kind::Batch as u8),
            Violation::TooLong {
                kind: Kind::Batch,
                bytes: 25 + BATCH_BYTES_MAX + 1,
                bytes_max: 25 + BATCH_BYTES_MAX,
            },
        ),
        // What other protocols say first.
        (
            Direction::ToLeader,
            b"CONNECT\n".to_vec(),
            Violation::UnknownKind { kind: b'E' },
        ),
        (
            Direction::ToLeader,
            b"\x16\x03\x01\x02\x00\x01".to_vec(),
            Violation::UnknownKind { kind: 0 },
        ),
    ];
    for (direction, bytes, violation) in cases {
        assert_eq!(decode(direction, [&bytes[..]]), (vec![], Some(violation.clone())));
        assert_eq!(
            decode(direction, bytes.chunks(1)),
            (vec![], Some(violation)),
            "byte by byte"
        );
    }
}

#[test]
fn a_frame_that_is_cut_or_has_bytes_left_over_is_refused() {
    for (frame, _) in examples() {
        let kind = frame.kind();
        let whole = encoded(&frame);
        let with_length = |body: &[u8]| [&(body.len() as u32).to_le_bytes()[..], body].concat();
        let has_tail = matches!(kind, Kind::Hello | Kind::Batch | Kind::Refused);
        let (_, fields) = TABLES.iter().find(|(known, _)| *known == kind).unwrap();
        let tail_at = fields
            .iter()
            .find(|field| field.bytes == 0)
            .map_or(whole.len(), |field| field.offset);
        for end in 5..tail_at {
            assert_eq!(
                decode_one(direction_of(&frame), &with_length(&whole[4..end])),
                Err(Violation::WrongLength { kind }),
                "{kind} cut at {end}"
            );
        }
        let longer = decode_one(direction_of(&frame), &with_length(&[&whole[4..], b"x"].concat()));
        assert_eq!(
            longer == Err(Violation::WrongLength { kind }),
            !has_tail,
            "{kind} with a byte more"
        );
    }
    let empty_batch = [&25u32.to_le_bytes()[..], &encoded(&examples()[3].0)[4..29]].concat();
    assert_eq!(
        decode_one(Direction::ToFollower, &empty_batch),
        Err(Violation::Malformed {
            kind: Kind::Batch,
            what: "the batch has no bytes"
        })
    );
}

/// The example of a kind with one field overwritten.
fn changed(kind: Kind, field: &str, value: &[u8]) -> Vec<u8> {
    let (frame, _) = examples().into_iter().find(|(frame, _)| frame.kind() == kind).unwrap();
    let (_, fields) = TABLES.iter().find(|(known, _)| *known == kind).unwrap();
    let at = fields.iter().find(|known| known.name == field).unwrap().offset;
    let mut bytes = encoded(&frame);
    bytes[at..at + value.len()].copy_from_slice(value);
    bytes
}

#[test]
fn fields_with_values_that_they_cannot_have_are_refused() {
    let malformed = |kind, what| Err(Violation::Malformed { kind, what });
    for kind in [Kind::Hello, Kind::Batch, Kind::Confirmed, Kind::Gap, Kind::Final] {
        for batch in [0, u64::MAX] {
            let bytes = changed(kind, "batch", &batch.to_le_bytes());
            let direction = if kind == Kind::Hello {
                Direction::ToLeader
            } else {
                Direction::ToFollower
            };
            assert_eq!(
                decode_one(direction, &bytes),
                malformed(kind, "no batch has this number")
            );
        }
    }
    assert_eq!(
        decode_one(
            Direction::ToLeader,
            &changed(Kind::Hello, "lowest format", &[3, 0, 0, 0])
        ),
        malformed(Kind::Hello, "the lowest format version is above the highest")
    );
    assert_eq!(
        decode_one(Direction::ToLeader, &changed(Kind::Hello, "host", &[0xff])),
        malformed(Kind::Hello, "the host is not UTF-8")
    );
    assert_eq!(
        decode_one(Direction::ToFollower, &changed(Kind::Refused, "text", &[0xff])),
        malformed(Kind::Refused, "the text is not UTF-8")
    );
    let unknown = decode_one(Direction::ToFollower, &changed(Kind::Refused, "reason", &[9, 3])).unwrap();
    assert!(
        matches!(&unknown, Frame::Refused(refusal) if refusal.reason == Reason::Other(777)),
        "a reason that a later version knows is heard: {unknown:?}"
    );
}

#[test]
fn another_version_is_named_but_who_leads_and_refusals_are_heard_whatever_the_version() {
    let version = Err(Violation::Version { theirs: 2 });
    assert_eq!(
        decode_one(Direction::ToLeader, &changed(Kind::Hello, "protocol", &[2])),
        version
    );
    assert_eq!(
        decode_one(Direction::ToFollower, &changed(Kind::Welcome, "protocol", &[2])),
        version
    );
    let longer = [&90u32.to_le_bytes()[..], &[Kind::Hello as u8, 2], &[0; 88]].concat();
    assert_eq!(
        decode_one(Direction::ToLeader, &longer),
        version,
        "whatever a later version has behind the version byte"
    );
    for kind in [Kind::Sealed, Kind::Refused] {
        let heard = decode_one(Direction::ToFollower, &changed(kind, "protocol", &[2]));
        assert_eq!(
            heard,
            decode_one(Direction::ToFollower, &changed(kind, "protocol", &[1]))
        );
    }
}

#[test]
fn texts_that_are_too_long_are_cut_between_characters_and_refused_from_others() {
    let host = "ü".repeat(200);
    let Frame::Hello(hello) = examples().remove(0).0 else {
        panic!("the first example is Hello")
    };
    let bytes = encoded(&Frame::Hello(Hello { host, ..hello }));
    let Ok(Frame::Hello(read)) = decode_one(Direction::ToLeader, &bytes) else {
        panic!("a cut host is a host")
    };
    assert_eq!(read.host, "ü".repeat(HOST_BYTES_MAX / 2));
    let text = "é".repeat(TEXT_BYTES_MAX);
    let reason = Reason::TooMany;
    let bytes = encoded(&Frame::Refused(Refusal { reason, text }));
    let Ok(Frame::Refused(read)) = decode_one(Direction::ToFollower, &bytes) else {
        panic!("a cut text is a text")
    };
    assert_eq!(read.text, "é".repeat(TEXT_BYTES_MAX / 2));
    let with_tail = |kind: Kind, tail: usize| {
        let (_, fields) = TABLES.iter().find(|(known, _)| *known == kind).unwrap();
        let tail_at = fields.last().unwrap().offset;
        let example = examples().into_iter().find(|(frame, _)| frame.kind() == kind).unwrap();
        let body = [&encoded(&example.0)[4..tail_at], &vec![b'x'; tail][..]].concat();
        [&(body.len() as u32).to_le_bytes()[..], &body].concat()
    };
    let wrong = |kind| Err(Violation::WrongLength { kind });
    assert_eq!(
        decode_one(Direction::ToLeader, &with_tail(Kind::Hello, HOST_BYTES_MAX + 1)),
        wrong(Kind::Hello)
    );
    assert_eq!(
        decode_one(Direction::ToFollower, &with_tail(Kind::Refused, TEXT_BYTES_MAX + 1)),
        wrong(Kind::Refused)
    );
}

#[test]
fn the_largest_batch_passes_and_comes_out_byte_for_byte() {
    let bytes: Bytes = (0..BATCH_BYTES_MAX)
        .map(|at| (at % 251) as u8)
        .collect::<Vec<u8>>()
        .into();
    let frame = Frame::Batch {
        at: POSITION,
        bytes: bytes.clone(),
    };
    let stream = [encoded(&frame), encoded(&examples()[4].0)].concat();
    let (frames, violation) = decode(Direction::ToFollower, stream.chunks(64 << 10));
    assert_eq!(violation, None);
    assert_eq!(frames.len(), 2);
    assert!(frames[0] == frame && frames[1] == examples()[4].0);
}

#[test]
fn a_violation_tells_a_person_what_is_wrong() {
    let cases = [
        (Violation::Version { theirs: 2 }, "version 2"),
        (Violation::UnknownKind { kind: 3 }, "kind 3"),
        (
            Violation::WrongBatch { expected: 6, found: 8 },
            "Batch 8 came where batch 6",
        ),
        (Violation::Diverged { batch: 7 }, "Batch 7"),
        (Violation::AppliedAhead { told: 6, applied: 7 }, "applied batch 7"),
    ];
    for (violation, named) in cases {
        assert!(violation.to_string().contains(named), "{violation}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn any_bytes_are_frames_or_one_violation_however_they_are_cut(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        piece in 1usize..40,
        to_leader: bool,
    ) {
        let direction = if to_leader { Direction::ToLeader } else { Direction::ToFollower };
        prop_assert_eq!(decode(direction, [&bytes[..]]), decode(direction, bytes.chunks(piece)));
    }

    #[test]
    fn frames_with_some_bytes_changed_are_frames_or_one_violation_however_they_are_cut(
        order in prop::collection::vec(0usize..9, 1..6),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        piece in 1usize..40,
        to_leader: bool,
    ) {
        let direction = if to_leader { Direction::ToLeader } else { Direction::ToFollower };
        let examples = examples();
        let mut stream: Vec<u8> = order.into_iter().flat_map(|index| encoded(&examples[index].0)).collect();
        for (at, byte) in changes {
            let at = at.index(stream.len());
            stream[at] = byte;
        }
        let whole = decode(direction, [&stream[..]]);
        prop_assert_eq!(&whole, &decode(direction, stream.chunks(piece)));
        for frame in whole.0 {
            // Sealed and Refused are taken from later versions too, and written as this one.
            let again = decode_one(direction, &encoded(&frame));
            prop_assert_eq!(again, Ok(frame));
        }
    }
}
