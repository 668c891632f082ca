//! Frames to bytes.
//!
//! Invariant: whatever a header's name or value holds, the bytes are one frame with these headers and no others. What a version cannot express is replaced: in 1.0 (and
//! CONNECT, CONNECTED) a line end or, in a name, a colon becomes a space; a null byte becomes U+FFFD everywhere.

use bytes::{BufMut, BytesMut};

use super::Version;

/// Ends a frame. The line end is not needed, but old clients wait for it and ActiveMQ sends it.
pub const END_OF_FRAME: &[u8] = b"\0\n";

/// Writes one frame into a buffer: headers, then [`body`](FrameWriter::body) or [`end`](FrameWriter::end).
#[derive(Debug)]
pub struct FrameWriter<'a> {
    out: &'a mut BytesMut,
    version: Version,
}

impl<'a> FrameWriter<'a> {
    /// Begins a frame in the syntax of `version`.
    pub fn new(out: &'a mut BytesMut, version: Version, command: &str) -> FrameWriter<'a> {
        let version = match command {
            "CONNECT" | "STOMP" | "CONNECTED" => Version::V1_0,
            _ => version,
        };
        out.put_slice(command.as_bytes());
        out.put_u8(b'\n');
        FrameWriter { out, version }
    }

    /// Adds a header.
    pub fn header(&mut self, name: &str, value: &str) -> &mut FrameWriter<'a> {
        self.put(name, true);
        self.out.put_u8(b':');
        self.put(value, false);
        self.out.put_u8(b'\n');
        self
    }

    /// Adds a header whose value is a number.
    pub fn number(&mut self, name: &str, value: u64) -> &mut FrameWriter<'a> {
        self.put(name, true);
        self.out.put_u8(b':');
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut rest = value;
        loop {
            at -= 1;
            digits[at] = b'0' + u8::try_from(rest % 10).expect("a remainder of 10 is a digit");
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.out.put_slice(&digits[at..]);
        self.out.put_u8(b'\n');
        self
    }

    /// Ends the headers; the caller writes the body and [`END_OF_FRAME`].
    pub fn head(self) {
        self.out.put_u8(b'\n');
    }

    /// Writes the body and the end. The caller has added `content-length` where the body may hold a null byte.
    pub fn body(self, body: &[u8]) {
        self.out.put_u8(b'\n');
        self.out.put_slice(body);
        self.out.put_slice(END_OF_FRAME);
    }

    /// Ends a frame without a body.
    pub fn end(self) {
        self.body(b"");
    }

    fn put(&mut self, text: &str, is_name: bool) {
        let is_plain = |byte: &u8| !matches!(byte, b'\\' | b'\n' | b'\r' | b':' | 0);
        if text.as_bytes().iter().all(is_plain) {
            self.out.put_slice(text.as_bytes());
            return;
        }
        for byte in text.bytes() {
            match (byte, self.version) {
                (0, _) => self.out.put_slice("\u{fffd}".as_bytes()),
                (b'\n' | b'\r', Version::V1_0) => self.out.put_u8(b' '),
                (b':', Version::V1_0) => self.out.put_u8(if is_name { b' ' } else { b':' }),
                (b'\\', Version::V1_1 | Version::V1_2) => self.out.put_slice(b"\\\\"),
                (b'\n', Version::V1_1 | Version::V1_2) => self.out.put_slice(b"\\n"),
                (b':', Version::V1_1 | Version::V1_2) => self.out.put_slice(b"\\c"),
                (b'\r', Version::V1_2) => self.out.put_slice(b"\\r"),
                (byte, Version::V1_0 | Version::V1_1 | Version::V1_2) => self.out.put_u8(byte),
            }
        }
    }
}
