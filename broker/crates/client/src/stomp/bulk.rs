//! For connections that carry millions of messages: frames that are encoded once and copied, and frames that are looked at where they lie.
//!
//! Beside [`Client`](super::Client), which does what is rare (CONNECT, SUBSCRIBE, DISCONNECT), a benchmark writes its SENDs with a [`SendTemplate`], its ACKs with [`write_ack`], and reads
//! with [`next_frame`]. Invariants: nothing here allocates but the caller's output buffer, when it grows; a body is copied once, into the bytes that go to the socket, and never on the way in.
//! Deliberately absent: unescaping (a header's value is given as it stands on the wire, which is also how ACK has to repeat it), limits (the caller trusts its server, or bounds its
//! buffer), heart-beats. Tests: `tests/bulk.rs`, against the frames that [`Client`](super::Client) writes and the decoder reads.

use std::fmt;

use bytes::BytesMut;
use wire::stomp::{END_OF_FRAME, FrameWriter, Version};

use super::SendOptions;

/// Digits of a template's receipt: enough for every `u32`.
const RECEIPT_DIGITS: usize = 10;

/// A SEND of which only the receipt and the body's content change.
#[derive(Clone, Debug)]
pub struct SendTemplate {
    frame: Box<[u8]>,
    receipt_at: usize,
    body_at: usize,
    body_bytes: usize,
}

impl SendTemplate {
    /// Encodes the frame once; `options.receipt` is replaced by what [`SendTemplate::write`] is given.
    pub fn new(version: Version, destination: &str, body: &[u8], options: &SendOptions<'_>) -> SendTemplate {
        let mut out = BytesMut::new();
        let mut writer = FrameWriter::new(&mut out, version, "SEND");
        writer.header("destination", destination);
        if !options.text {
            writer.number("content-length", body.len() as u64);
        }
        if options.persistent {
            writer.header("persistent", "true");
        }
        for (name, value) in [
            ("transaction", options.transaction),
            ("duplicate-id", options.duplicate_id),
        ] {
            if let Some(value) = value {
                writer.header(name, value);
            }
        }
        for (name, value) in options.headers {
            writer.header(name, value);
        }
        writer.header("receipt", "0000000000");
        writer.head();
        let body_at = out.len();
        // Behind the digits: the header's line end and the blank line.
        let receipt_at = body_at - 2 - RECEIPT_DIGITS;
        out.extend_from_slice(body);
        out.extend_from_slice(END_OF_FRAME);
        SendTemplate {
            frame: out[..].into(),
            receipt_at,
            body_at,
            body_bytes: body.len(),
        }
    }

    /// Appends the frame with this receipt, and gives its body, to be changed in place.
    pub fn write<'a>(&self, out: &'a mut Vec<u8>, receipt: u32) -> &'a mut [u8] {
        let start = out.len();
        out.extend_from_slice(&self.frame);
        let frame = &mut out[start..];
        let mut rest = receipt;
        for digit in frame[self.receipt_at..self.receipt_at + RECEIPT_DIGITS]
            .iter_mut()
            .rev()
        {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        &mut frame[self.body_at..self.body_at + self.body_bytes]
    }
}

/// Appends an ACK of a MESSAGE; false if that frame lacks what an ACK names.
pub fn write_ack(out: &mut Vec<u8>, version: Version, message: &FrameView<'_>) -> bool {
    let start = out.len();
    let mut header = |name: &[u8], value: Option<&[u8]>| match value {
        Some(value) => {
            out.extend_from_slice(name);
            out.extend_from_slice(value);
            out.push(b'\n');
            true
        }
        None => false,
    };
    let complete = match version {
        Version::V1_2 => header(b"ACK\nid:", message.header(b"ack")),
        Version::V1_0 | Version::V1_1 => {
            let named = header(b"ACK\nmessage-id:", message.header(b"message-id"));
            // In 1.0 a subscription may have no id.
            let subscribed = header(b"subscription:", message.header(b"subscription"));
            named && (subscribed || version == Version::V1_0)
        }
    };
    match complete {
        true => {
            out.push(b'\n');
            out.extend_from_slice(END_OF_FRAME);
        }
        false => out.truncate(start),
    }
    complete
}

/// A frame in the buffer that it was read into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameView<'a> {
    /// The command.
    pub command: &'a [u8],
    headers: &'a [u8],
    /// The body.
    pub body: &'a [u8],
}

impl<'a> FrameView<'a> {
    /// A header's value as it stands on the wire, still escaped.
    pub fn header(&self, name: &[u8]) -> Option<&'a [u8]> {
        let mut rest = self.headers;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let line = &rest[..end];
            if let Some(value) = line.strip_prefix(name)
                && value.first() == Some(&b':')
            {
                return Some(without_carriage_return(&value[1..]));
            }
            rest = &rest[end + 1..];
        }
        None
    }

    /// The number in a header, such as the receipt of a [`SendTemplate`].
    pub fn number(&self, name: &[u8]) -> Option<u64> {
        number(self.header(name)?)
    }
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoFrame {
    /// `content-length` is not a number.
    Length,
    /// The byte behind the body is not zero.
    End,
}

impl fmt::Display for NoFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NoFrame::Length => "a content-length is not a number",
            NoFrame::End => "the byte behind a body is not zero",
        })
    }
}

/// The first frame of the buffer and how many bytes it takes, with the line ends before it; `None` if it is not complete.
pub fn next_frame(buffer: &[u8]) -> Result<Option<(FrameView<'_>, usize)>, NoFrame> {
    let Some(start) = buffer.iter().position(|byte| !matches!(byte, b'\n' | b'\r')) else {
        return Ok(None);
    };
    let frame = &buffer[start..];
    let Some(command_end) = memchr::memchr(b'\n', frame) else {
        return Ok(None);
    };
    let headers_at = command_end + 1;
    let mut line_at = headers_at;
    let mut length = None;
    loop {
        let Some(line_bytes) = memchr::memchr(b'\n', &frame[line_at..]) else {
            return Ok(None);
        };
        let line = &frame[line_at..line_at + line_bytes];
        if matches!(line, b"" | b"\r") {
            break;
        }
        if let Some(value) = line.strip_prefix(b"content-length:") {
            length = Some(number(without_carriage_return(value)).ok_or(NoFrame::Length)?);
        }
        line_at += line_bytes + 1;
    }
    let body_at = memchr::memchr(b'\n', &frame[line_at..]).map_or(line_at, |end| line_at + end + 1);
    let body = &frame[body_at..];
    let body_bytes = match length {
        Some(length) => {
            let length = usize::try_from(length).map_err(|_| NoFrame::Length)?;
            match body.get(length) {
                None => return Ok(None),
                Some(0) => length,
                Some(_) => return Err(NoFrame::End),
            }
        }
        None => match memchr::memchr(0, body) {
            None => return Ok(None),
            Some(length) => length,
        },
    };
    let view = FrameView {
        command: without_carriage_return(&frame[..command_end]),
        headers: &frame[headers_at..line_at],
        body: &body[..body_bytes],
    };
    Ok(Some((view, start + body_at + body_bytes + 1)))
}

fn without_carriage_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn number(digits: &[u8]) -> Option<u64> {
    let digits = digits.trim_ascii();
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}
