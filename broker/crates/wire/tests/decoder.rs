//! The decoder: every version's rules, every error, every way of cutting the stream.

use proptest::prelude::*;
use wire::stomp::{Decoder, Frame, FrameError, FrameLimits, FrameWriter, Version};

fn decoder(version: Version, limits: FrameLimits) -> Decoder {
    let mut decoder = Decoder::new(limits);
    decoder.connected(version, limits);
    decoder
}

fn shown(frame: &Frame) -> String {
    let headers: Vec<String> = frame
        .headers()
        .map(|(name, value)| format!("{name:?}={value:?}"))
        .collect();
    format!(
        "{} [{}] {:?}",
        frame.command(),
        headers.join(" "),
        String::from_utf8_lossy(&frame.body)
    )
}

fn all_frames(decoder: &mut Decoder, pieces: &[&[u8]]) -> Result<Vec<String>, FrameError> {
    let mut frames = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        while let Some(frame) = decoder.next_frame()? {
            frames.push(shown(&frame));
        }
    }
    Ok(frames)
}

fn decode(version: Version, bytes: &[u8]) -> Result<Vec<String>, FrameError> {
    all_frames(&mut decoder(version, FrameLimits::default()), &[bytes])
}

#[test]
fn the_first_of_a_repeated_header_counts_among_many_too() {
    let headers: String = (0..100).map(|number| format!("h{number}:first\n")).collect();
    let again = headers.replace("first", "again");
    let frame = |headers: &str| format!("SEND\n{headers}\n\0");
    let both = decode(Version::V1_2, frame(&(headers.clone() + &again)).as_bytes());
    assert_eq!(both, decode(Version::V1_2, frame(&headers).as_bytes()));
}

#[test]
fn each_version_reads_headers_by_its_own_rules() {
    use Version::{V1_0, V1_1, V1_2};
    for (version, bytes, expected) in [
        (V1_0, &b"SEND\na: x \\n:y \n\nhi\0"[..], r#"SEND ["a"="x \\n:y"] "hi""#),
        (V1_1, b"SEND\na: x\\n\\c\\\\ \n\n\0", r#"SEND ["a"=" x\n:\\ "] """#),
        (V1_2, b"SEND\na: x\\r\\n \n\n\0", r#"SEND ["a"=" x\r\n "] """#),
        (V1_2, b"SEND\nk\\cey:v:w\n\n\0", r#"SEND ["k:ey"="v:w"] """#),
        // line ends
        (V1_0, b"SEND\r\na:b\r\n\r\nx\0", r#"SEND ["a"="b"] "x""#),
        (V1_2, b"SEND\r\na:b\r\n\r\n\r\nx\0", r#"SEND ["a"="b"] "\r\nx""#),
        (V1_1, b"SEND\na:b\r\n\n\0", r#"SEND ["a"="b\r"] """#),
        // the first of a repeated header counts
        (V1_2, b"SEND\na:1\nb:2\na:3\n\n\0", r#"SEND ["a"="1" "b"="2"] """#),
        // CONNECT is never unescaped
        (
            V1_2,
            b"CONNECT\npasscode:a\\nb\n\n\0",
            r#"CONNECT ["passcode"="a\\nb"] """#,
        ),
        // content-length: null bytes in the body
        (
            V1_2,
            b"SEND\ncontent-length:3\n\na\0b\0",
            r#"SEND ["content-length"="3"] "a\0b""#,
        ),
        (
            V1_2,
            b"SEND\ncontent-length: 3 \n\na\0b\0",
            r#"SEND ["content-length"=" 3 "] "a\0b""#,
        ),
        (
            V1_2,
            b"SEND\ncontent-length:0\n\n\0",
            r#"SEND ["content-length"="0"] """#,
        ),
        // … which only counts where a body may be
        (
            V1_2,
            b"ACK\ncontent-length:100\n\n\0",
            r#"ACK ["content-length"="100"] """#,
        ),
        // what may stand before a frame
        (V1_2, b"\n\r\n\n\0 SEND\n\n\0", r#"SEND [] """#),
        (V1_0, b"SEND\na:\n:b\n\n\0", r#"SEND ["a"="" ""="b"] """#),
    ] {
        assert_eq!(
            decode(version, bytes),
            Ok(vec![expected.to_string()]),
            "{}",
            bytes.escape_ascii()
        );
    }
}

#[test]
fn what_is_no_frame_is_refused_with_its_reason() {
    let limits = FrameLimits {
        frame_bytes_max: 3000,
        header_bytes_max: 2000,
        headers_max: 3,
    };
    let long_command = [b'A'; 1500];
    let long_header = [&b"SEND\na:"[..], &[b'x'; 2000]].concat();
    let long_body = [&b"SEND\n\n"[..], &[b'x'; 3000]].concat();
    for (bytes, expected) in [
        (&b"\x16\x03\x01"[..], FrameError::NotStomp { first: 0x16 }),
        (b"{}", FrameError::NotStomp { first: b'{' }),
        (&long_command, FrameError::CommandTooLong),
        (&long_header, FrameError::HeadersTooLong { limit: 2000 }),
        (b"SEND\na:1\nb:2\nc:3\nd:4\n", FrameError::TooManyHeaders { limit: 3 }),
        (&long_body, FrameError::FrameTooLong { limit: 3000 }),
        (
            b"SEND\ncontent-length:2990\n\n",
            FrameError::FrameTooLong { limit: 3000 },
        ),
        (
            b"SEND\ncontent-length:9223372036854775807\n\n",
            FrameError::FrameTooLong { limit: 3000 },
        ),
        (
            b"SEND\nnocolon\n\n",
            FrameError::HeaderWithoutColon { line: "nocolon".into() },
        ),
        (b"SEND\na:b\0", FrameError::NulInHeaders),
        (b"SEND\na:\xff\n\n", FrameError::NotUtf8),
        (b"SEND\na:\\t\n\n", FrameError::UndefinedEscape { line: "a:\\t".into() }),
        (b"SEND\na:\\\n\n", FrameError::UndefinedEscape { line: "a:\\".into() }),
        (b"SEND\ncontent-length:x\n\n", FrameError::LengthNotANumber),
        (b"SEND\ncontent-length:-1\n\n", FrameError::LengthNegative),
        (b"SEND\ncontent-length:1\n\nab", FrameError::NoTrailingNul),
    ] {
        let result = all_frames(&mut decoder(Version::V1_2, limits), &[bytes]);
        assert_eq!(result, Err(expected), "{}", bytes.escape_ascii());
    }
    // 1.1 does not know \r.
    assert!(decode(Version::V1_1, b"SEND\na:\\r\n\n\0").is_err());
}

#[test]
fn limits_hold_to_the_byte() {
    let limits = FrameLimits {
        frame_bytes_max: 20,
        header_bytes_max: 10,
        headers_max: 1,
    };
    let frames = |bytes: &[u8]| all_frames(&mut decoder(Version::V1_2, limits), &[bytes]).map(|frames| frames.len());
    assert_eq!(frames(b"SEND\na:b\n\n0123456789\0"), Ok(1));
    assert_eq!(
        frames(b"SEND\na:b\n\n01234567890\0"),
        Err(FrameError::FrameTooLong { limit: 20 })
    );
    assert_eq!(
        frames(b"SEND\na:bc\n\n\0"),
        Err(FrameError::HeadersTooLong { limit: 10 })
    );
}

#[test]
fn a_declared_length_takes_no_memory_before_the_bytes_come() {
    let mut decoder = decoder(Version::V1_2, FrameLimits::default());
    decoder.push(b"SEND\ncontent-length:104000000\n\nabc");
    assert!(decoder.next_frame().expect("a good start").is_none());
    assert_eq!(decoder.buffered(), 3);
}

#[test]
fn large_bodies_come_through_whole() {
    let body: Vec<u8> = (0..300_000_u32).map(|byte| byte as u8).collect();
    let mut decoder = decoder(Version::V1_2, FrameLimits::default());
    decoder.push(format!("SEND\ncontent-length:{}\n\n", body.len()).as_bytes());
    for piece in body.chunks(1000) {
        decoder.push(piece);
        assert!(decoder.next_frame().expect("no error").is_none());
    }
    decoder.push(b"\0SEND\n\nnext\0");
    assert_eq!(decoder.next_frame().expect("no error").expect("a frame").body, body);
    assert_eq!(
        &decoder.next_frame().expect("no error").expect("a frame").body[..],
        b"next"
    );
}

#[test]
fn a_body_of_any_size_is_the_same_however_it_comes_and_whether_its_length_is_said_or_not() {
    const KIB64: usize = 64 << 10;
    for length in [KIB64 - 1, KIB64, KIB64 + 1, 2 * KIB64, 3 * KIB64 - 7] {
        let body: Vec<u8> = (0..length).map(|byte| (byte % 251) as u8 + 1).collect();
        for head in [format!("SEND\ncontent-length:{length}\n\n"), "SEND\n\n".to_string()] {
            let whole = [head.as_bytes(), &body, b"\0SEND\n\nnext\0"].concat();
            let limits = FrameLimits {
                frame_bytes_max: (head.len() + length) as u32,
                ..FrameLimits::default()
            };
            for piece in [997, KIB64 - 1, KIB64, KIB64 + head.len(), whole.len()] {
                let mut decoder = decoder(Version::V1_2, limits);
                let mut frames = Vec::new();
                let mut pushed = 0;
                for piece in whole.chunks(piece) {
                    decoder.push(piece);
                    pushed += piece.len();
                    while let Some(frame) = decoder.next_frame().expect("within the limits") {
                        frames.push(frame);
                    }
                    if frames.is_empty() && pushed >= head.len() {
                        assert_eq!(decoder.buffered(), pushed - head.len());
                    }
                }
                let bodies: Vec<&[u8]> = frames.iter().map(|frame| &frame.body[..]).collect();
                assert!(
                    bodies == [&body[..], b"next"],
                    "{length} bytes in pieces of {piece} after {head:?}"
                );
                assert_eq!(decoder.buffered(), 0);
            }
            let too_long = FrameLimits {
                frame_bytes_max: limits.frame_bytes_max - 1,
                ..limits
            };
            let mut decoder = decoder(Version::V1_2, too_long);
            let pieces: Vec<&[u8]> = whole.chunks(KIB64).collect();
            assert!(matches!(
                all_frames(&mut decoder, &pieces),
                Err(FrameError::FrameTooLong { .. })
            ));
        }
    }
}

#[test]
fn neither_a_large_body_nor_its_connection_keeps_the_others_memory() {
    let mut decoder = decoder(Version::V1_2, FrameLimits::default());
    decoder.push(b"SEND\ncontent-length:100000\n\n");
    decoder.push(&[b'x'; 100_000]);
    decoder.push(b"\0SEND\n\nsmall\0");
    let large = decoder.next_frame().expect("no error").expect("a frame").body;
    assert!(large.is_unique());
    let small = decoder.next_frame().expect("no error").expect("a frame").body;
    assert!(small.is_unique());
}

#[test]
fn a_body_takes_no_more_memory_than_came_of_it_and_two_pieces_and_leaves_none() {
    const READ: usize = 64 << 10;
    for length in [20_000, READ + 200, 2 * READ - 200, 2 * READ, 3 * READ + 1000] {
        for read in [100, 16 << 10, READ] {
            let mut decoder = decoder(Version::V1_2, FrameLimits::default());
            let whole = [b"SEND\n\n", &vec![b'x'; length][..]].concat();
            for piece in whole.chunks(read) {
                decoder.push(piece);
                assert!(decoder.next_frame().expect("no error").is_none());
                let (memory, buffered) = (decoder.memory(), decoder.buffered());
                assert!(
                    memory <= buffered + (32 << 10),
                    "{length} by {read}: {memory} for {buffered}"
                );
            }
            // The first byte of another frame must not keep what the large one needed.
            decoder.push(b"\0S");
            assert!(decoder.next_frame().expect("no error").is_some());
            assert!(decoder.next_frame().expect("no error").is_none());
            assert_eq!(decoder.buffered(), 1);
            assert!(decoder.memory() <= 64, "{length} by {read}: {}", decoder.memory());
        }
    }
}

/// Frames of every kind, one after another.
const STREAM: &[u8] = b"\n\nCONNECT\naccept-version:1.2\n\n\0\r\nSEND\ndestination:/queue/A\ncontent-length:5\n\na\0\n\0b\0\nSEND\r\nx\\c:\\n\r\n\r\ntext\0\n\nACK\nid:1\n\n\0KEEPALIVE\n\n\0";

#[test]
fn every_split_point_gives_the_same_frames() {
    let whole = decode(Version::V1_2, STREAM).expect("a good stream");
    assert_eq!(whole.len(), 5);
    for first in 0..=STREAM.len() {
        for second in first..=STREAM.len() {
            let pieces = [&STREAM[..first], &STREAM[first..second], &STREAM[second..]];
            let mut decoder = decoder(Version::V1_2, FrameLimits::default());
            assert_eq!(
                all_frames(&mut decoder, &pieces),
                Ok(whole.clone()),
                "split at {first} and {second}"
            );
            assert_eq!(decoder.buffered(), 0);
        }
    }
}

fn version() -> impl Strategy<Value = Version> {
    prop_oneof![Just(Version::V1_0), Just(Version::V1_1), Just(Version::V1_2)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn random_bytes_never_panic_and_never_exceed_the_limits(
        version in version(),
        pieces in proptest::collection::vec(
            prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..40),
                Just(b"SEND\n".to_vec()),
                Just(b"content-length:7\n".to_vec()),
                Just(b"\n\n".to_vec()),
                Just(b"a:b\\".to_vec()),
                Just(b"\0".to_vec()),
                Just(vec![b'x'; 300]),
            ],
            0..30,
        ),
    ) {
        let limits = FrameLimits { frame_bytes_max: 1000, header_bytes_max: 500, headers_max: 10 };
        let mut decoder = decoder(version, limits);
        'stream: for piece in &pieces {
            decoder.push(piece);
            loop {
                match decoder.next_frame() {
                    Ok(Some(frame)) => prop_assert!(frame.body.len() <= 1000),
                    Ok(None) => break,
                    Err(_) => break 'stream,
                }
            }
            prop_assert!(decoder.buffered() <= 1000 + 1);
        }
    }

    #[test]
    fn what_is_written_is_read_back(
        version in prop_oneof![Just(Version::V1_1), Just(Version::V1_2)],
        headers in proptest::collection::btree_map("[a-z:\\\\\n\r]{1,8}", "[^\0]{0,20}", 0..8),
        body in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        // 1.1 has no escape for a carriage return; at the end of a line it would be the line's.
        let said = |text: &str| if version == Version::V1_1 { text.replace('\r', "") } else { text.to_string() };
        let headers: std::collections::BTreeMap<String, String> =
            headers.iter().map(|(name, value)| (said(name), said(value))).collect();
        let mut bytes = bytes::BytesMut::new();
        let mut frame = FrameWriter::new(&mut bytes, version, "SEND");
        frame.number("content-length", body.len() as u64);
        for (name, value) in &headers {
            frame.header(name, value);
        }
        frame.body(&body);
        let mut decoder = decoder(version, FrameLimits::default());
        decoder.push(&bytes);
        let frame = decoder.next_frame().expect("a good frame").expect("a whole frame");
        let read: Vec<(&str, &str)> = frame.headers().skip(1).collect();
        let written: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        prop_assert_eq!(read, written);
        prop_assert_eq!(&frame.body[..], &body[..]);
    }

    #[test]
    fn no_header_can_forge_another_in_any_version(version in version(), name in "[^\0]{1,12}", value in ".{0,12}|[\n\r:\\\\\0a]{0,12}") {
        let mut bytes = bytes::BytesMut::new();
        let mut frame = FrameWriter::new(&mut bytes, version, "MESSAGE");
        frame.header(&name, &value).header("end", "1");
        frame.end();
        let mut decoder = decoder(version, FrameLimits::default());
        decoder.push(&bytes);
        let frame = decoder.next_frame().expect("a good frame").expect("a whole frame");
        prop_assert!(frame.headers().count() <= 2);
        prop_assert_eq!(frame.headers().last().map(|(_, value)| value), Some("1"));
        prop_assert!(decoder.next_frame().expect("nothing more").is_none());
    }
}
