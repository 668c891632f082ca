//! Bytes to STOMP frames.
//!
//! The same frames and the same error come out however the bytes are cut; no more is kept than the limits allow; a frame that is written again is read as the same frame.

use bytes::BytesMut;
use wire::stomp::{Decoder, Frame, FrameError, FrameLimits, FrameWriter, Version};

/// Small, so that inputs reach them.
const SMALL: FrameLimits = FrameLimits {
    frame_bytes_max: 200,
    header_bytes_max: 120,
    headers_max: 5,
};

/// Bytes: the version and the limits; the length of pieces; then the stream.
pub fn run(input: &[u8]) {
    let [choice, piece, stream @ ..] = input else { return };
    let version = match choice % 3 {
        0 => Version::V1_0,
        1 => Version::V1_1,
        _ => Version::V1_2,
    };
    let limits = if choice & 0x80 == 0 {
        FrameLimits::default()
    } else {
        SMALL
    };
    let whole = decode(version, limits, stream, stream.len());
    for piece in [1, usize::from(*piece).max(1)] {
        let pieces = decode(version, limits, stream, piece);
        assert_eq!(whole.1, pieces.1, "the error depends on the cut, every {piece} bytes");
        assert_eq!(
            whole.0.len(),
            pieces.0.len(),
            "the frames depend on the cut, every {piece} bytes"
        );
        for (left, right) in whole.0.iter().zip(&pieces.0) {
            assert_same(left, right);
        }
    }
    whole.0.iter().for_each(|frame| written_again(version, frame));
}

fn decode(version: Version, limits: FrameLimits, stream: &[u8], piece: usize) -> (Vec<Frame>, Option<FrameError>) {
    let mut decoder = Decoder::new(limits);
    decoder.connected(version, limits);
    let mut frames = Vec::new();
    for bytes in stream.chunks(piece.max(1)) {
        decoder.push(bytes);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => {
                    assert!(!error.message().is_empty() && !error.to_string().is_empty());
                    return (frames, Some(error));
                }
            }
        }
        if let Some(command) = decoder.command() {
            assert!(command.len() <= limits.header_bytes_max as usize);
        }
        assert!(decoder.buffered() <= limits.frame_bytes_max as usize + piece);
    }
    (frames, None)
}

fn assert_same(left: &Frame, right: &Frame) {
    assert_eq!(left.command(), right.command());
    assert!(left.headers().eq(right.headers()), "{left:?} is not {right:?}");
    assert_eq!(left.body, right.body);
}

/// In 1.0 a header cannot hold everything that it may be asked to: nothing to compare. The same holds for CONNECT and CONNECTED.
fn written_again(version: Version, frame: &Frame) {
    if version == Version::V1_0 || ["CONNECT", "STOMP", "CONNECTED"].contains(&frame.command()) {
        return;
    }
    let mut out = BytesMut::new();
    let mut writer = FrameWriter::new(&mut out, version, frame.command());
    for (name, value) in frame.headers() {
        writer.header(name, value);
    }
    writer.body(&frame.body);
    let (frames, error) = decode(version, FrameLimits::default(), &out, out.len());
    assert_eq!((frames.len(), error), (1, None), "{frame:?} is written as {out:?}");
    assert_same(frame, &frames[0]);
}

/// Inputs to begin with.
pub fn seeds() -> Vec<Vec<u8>> {
    let streams: [&[u8]; 6] = [
        b"\nCONNECT\naccept-version:1.0,1.1,1.2\nhost:h\n\n\0",
        b"SEND\ndestination:/queue/A\ncontent-length:3\n\na\0b\0\n\nSEND\ndestination:/queue/A\n\nhello\0",
        b"MESSAGE\r\nmessage-id:a\\cb\\nc\\\\d\r\nx: y \r\n\r\nbody\0\r\n",
        b"ACK\nid:1\ncontent-length:99\n\n\0\0\0KEEPALIVE\n\n\0",
        b"SEND\nno colon\n\n\0",
        b"\x16\x03\x01",
    ];
    let mut seeds = Vec::new();
    for (index, stream) in streams.into_iter().enumerate() {
        for choice in [index as u8 % 3, 0x80 | (index as u8 + 1)] {
            seeds.push([&[choice, 7], stream].concat());
        }
    }
    seeds
}
