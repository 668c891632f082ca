//! Bytes to frames, incrementally, for either side of a connection.
//!
//! Invariants: never more is kept than one frame within its limits and the bytes that came with its last part; nothing is allocated because a frame *says* it is
//! large; whatever the bytes are, the result is frames or one [`FrameError`]. After an error the decoder is spent: the caller closes the connection.
//! Tests: `tests/decoder.rs` (every split point gives the same frames; random bytes; every error).

use bytes::{Buf, Bytes, BytesMut};
use std::collections::BTreeSet;
use std::fmt;

use super::body::Body;
use super::frame::{Frame, Span};
use super::{FrameLimits, Version};

/// The longest command line, in bytes; as ActiveMQ has it.
const COMMAND_BYTES_MAX: usize = 1024;

/// A buffer that was larger is given back when nothing is in it: most connections say nothing most of the time.
const KEPT_BUFFER_BYTES: usize = 4 << 10;

/// Up to so many headers a new one is compared with each of them; the work for more must not grow with their square.
const FEW_HEADERS: usize = 32;

/// Why the bytes are not a frame. The connection cannot go on: where the next frame begins is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The first byte is nothing that a command begins with; often TLS on a plain port.
    NotStomp {
        /// The byte.
        first: u8,
    },
    /// The command line has no end.
    CommandTooLong,
    /// Command and headers are larger than the limit.
    HeadersTooLong {
        /// `header_bytes_max`.
        limit: u32,
    },
    /// More headers than the limit.
    TooManyHeaders {
        /// `headers_max`.
        limit: u32,
    },
    /// The whole frame is, or says that it is, larger than the limit.
    FrameTooLong {
        /// `frame_bytes_max`.
        limit: u32,
    },
    /// A header line without a colon.
    HeaderWithoutColon {
        /// The line, shortened.
        line: String,
    },
    /// A zero byte in the header block: the blank line before the body is missing.
    NulInHeaders,
    /// Command or headers are not UTF-8.
    NotUtf8,
    /// A backslash that begins no escape sequence of this version (1.1 and 1.2: fatal by specification).
    UndefinedEscape {
        /// The line, shortened.
        line: String,
    },
    /// `content-length` is not a number.
    LengthNotANumber,
    /// `content-length` is negative.
    LengthNegative,
    /// The byte behind a body of `content-length` bytes is not zero.
    NoTrailingNul,
}

impl FrameError {
    /// The text of the ERROR frame's `message` header, as ActiveMQ words it where it has the case.
    pub fn message(&self) -> &'static str {
        match self {
            FrameError::NotStomp { .. } => "The bytes are not a STOMP frame",
            FrameError::CommandTooLong => "The maximum command length was exceeded",
            FrameError::HeadersTooLong { .. } => "The maximum header length was exceeded",
            FrameError::TooManyHeaders { .. } => "The maximum number of headers was exceeded",
            FrameError::FrameTooLong { .. } => "The maximum frame size was exceeded",
            FrameError::HeaderWithoutColon { .. } => "Unable to parse header line",
            FrameError::NulInHeaders => "A header line contains a null byte",
            FrameError::NotUtf8 => "The headers are not UTF-8",
            FrameError::UndefinedEscape { .. } => "Undefined escape sequence in a header",
            FrameError::LengthNotANumber => "Specified content-length is not a valid integer",
            FrameError::LengthNegative => "Specified content-length may not be negative",
            FrameError::NoTrailingNul => "content-length bytes were read and there was no trailing null byte",
        }
    }
}

/// One line: what is wrong and what to do.
impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::NotStomp { first } => write!(
                f,
                "A STOMP frame begins with a command such as CONNECT, not with the byte 0x{first:02x}. Is this the right port, and is TLS used on one side only?"
            ),
            FrameError::CommandTooLong => {
                write!(f, "The first line of the frame is longer than {COMMAND_BYTES_MAX} bytes.")
            }
            FrameError::HeadersTooLong { limit } => {
                write!(f, "Command and headers are longer than {limit} bytes (header_bytes_max).")
            }
            FrameError::TooManyHeaders { limit } => write!(f, "The frame has more than {limit} headers (headers_max)."),
            FrameError::FrameTooLong { limit } => {
                write!(f, "The frame is longer than {limit} bytes (frame_bytes_max).")
            }
            FrameError::HeaderWithoutColon { line } => {
                write!(f, "The header line {line:?} has no colon. Is the blank line before the body missing?")
            }
            FrameError::NulInHeaders => {
                f.write_str("A null byte stands before the blank line that ends the headers. Is the blank line missing?")
            }
            FrameError::NotUtf8 => f.write_str("Commands and headers have to be UTF-8."),
            FrameError::UndefinedEscape { line } => write!(
                f,
                "The header line {line:?} has a backslash that begins no escape sequence of the negotiated version; write a backslash as \\\\."
            ),
            FrameError::LengthNotANumber => f.write_str("The content-length header has to be the body's length in bytes, in decimal."),
            FrameError::LengthNegative => f.write_str("The content-length header has to be 0 or more."),
            FrameError::NoTrailingNul => f.write_str(
                "The byte behind the body has to be zero. Is content-length the number of bytes (not of characters) of the body?",
            ),
        }
    }
}

/// How far the frame at the front of the buffer was read.
#[derive(Debug)]
enum Stage {
    /// Between frames.
    Between,
    /// Inside the header block.
    Head {
        /// Bytes looked through.
        scanned: usize,
        /// Where the present line begins.
        line: usize,
        /// Lines so far, command included.
        lines: u32,
    },
    /// Behind the blank line; the buffer begins with the body, or with what `body` does not have of it.
    Body {
        frame: Frame,
        /// Bytes that the header block had.
        head: usize,
        /// `content-length`, where it counts.
        length: Option<usize>,
        /// What has come of it and is not in the buffer any more.
        body: Body,
        /// Bytes of the buffer looked through for the end.
        scanned: usize,
    },
}

/// Turns a stream of bytes into frames.
#[derive(Debug)]
pub struct Decoder {
    limits: FrameLimits,
    version: Version,
    buffer: BytesMut,
    /// The most that was in the buffer since it was new.
    most: usize,
    stage: Stage,
    frames: u64,
}

impl Decoder {
    /// A decoder for a connection that is not yet connected: it reads as 1.0 does.
    pub fn new(limits: FrameLimits) -> Decoder {
        Decoder {
            limits,
            version: Version::V1_0,
            buffer: BytesMut::new(),
            most: 0,
            stage: Stage::Between,
            frames: 0,
        }
    }

    /// From the next frame on: this version and these limits.
    pub fn connected(&mut self, version: Version, limits: FrameLimits) {
        self.version = version;
        self.limits = limits;
    }

    /// Adds what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        self.most = self.most.max(self.buffer.len());
    }

    /// Bytes kept that belong to no finished frame.
    pub fn buffered(&self) -> usize {
        let taken = match &self.stage {
            Stage::Body { body, .. } => body.len(),
            Stage::Between | Stage::Head { .. } => 0,
        };
        taken + self.buffer.len()
    }

    /// Memory that it holds, bytes: also what is not filled.
    pub fn memory(&self) -> usize {
        self.buffered() - self.buffer.len() + self.buffer.capacity()
    }

    /// Frames completed so far.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Forgets everything that was not yet decoded.
    pub fn clear(&mut self) {
        self.buffer = BytesMut::new();
        self.stage = Stage::Between;
    }

    /// The command of the frame that is being read, as soon as its line is there. Lets a server refuse early what may not come.
    pub fn command(&self) -> Option<&[u8]> {
        match &self.stage {
            Stage::Between => None,
            Stage::Head { lines, .. } => {
                if *lines == 0 {
                    return None;
                }
                let end = memchr::memchr(b'\n', &self.buffer)?;
                // Trimmed as the whole frame's will be.
                let line = &self.buffer[..end];
                Some(std::str::from_utf8(line).map_or(line, |text| text.trim().as_bytes()))
            }
            Stage::Body { frame, .. } => Some(frame.command().as_bytes()),
        }
    }

    /// The next frame, if it is complete.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            match &mut self.stage {
                Stage::Between => {
                    // End-of-lines between frames are heart-beats; spaces and extra null bytes are tolerated as ActiveMQ does.
                    let skipped = self.buffer.iter().take_while(|byte| is_between_frames(**byte)).count();
                    self.buffer.advance(skipped);
                    match self.buffer.first() {
                        None => {
                            if self.most > KEPT_BUFFER_BYTES {
                                self.buffer = BytesMut::new();
                                self.most = 0;
                            }
                            return Ok(None);
                        }
                        Some(first) if !first.is_ascii_alphabetic() => {
                            return Err(FrameError::NotStomp { first: *first });
                        }
                        Some(_) => {
                            self.stage = Stage::Head {
                                scanned: 0,
                                line: 0,
                                lines: 0,
                            }
                        }
                    }
                }
                Stage::Head { scanned, line, lines } => {
                    match scan_head(&self.buffer, &self.limits, scanned, line, lines)? {
                        None => return Ok(None),
                        Some(end) => {
                            let frame = parse_head(&self.buffer[..end], self.version)?;
                            let length = body_length(&frame, end, &self.limits)?;
                            self.buffer.advance(end);
                            self.stage = Stage::Body {
                                frame,
                                head: end,
                                length,
                                body: Body::default(),
                                scanned: 0,
                            };
                        }
                    }
                }
                Stage::Body {
                    head,
                    length,
                    body,
                    scanned,
                    ..
                } => {
                    let length = length.map(|length| length - body.len());
                    let Some(rest) = scan_body(&self.buffer, &self.limits, *head + body.len(), length, scanned)? else {
                        body.take_pieces(&mut self.buffer);
                        *scanned = self.buffer.len();
                        return Ok(None);
                    };
                    match std::mem::replace(&mut self.stage, Stage::Between) {
                        Stage::Body { mut frame, body, .. } => {
                            frame.body = body.finish(&mut self.buffer, rest);
                            self.buffer.advance(1);
                            self.frames += 1;
                            return Ok(Some(frame));
                        }
                        Stage::Between | Stage::Head { .. } => unreachable!("the stage was Body above"),
                    }
                }
            }
        }
    }
}

fn is_between_frames(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r' | b' ' | b'\t' | 0)
}

/// Looks for the blank line; the position behind it.
fn scan_head(
    buffer: &[u8],
    limits: &FrameLimits,
    scanned: &mut usize,
    line: &mut usize,
    lines: &mut u32,
) -> Result<Option<usize>, FrameError> {
    let header_bytes_max = limits.header_bytes_max.min(limits.frame_bytes_max);
    loop {
        let found = memchr::memchr2(b'\n', 0, &buffer[*scanned..]).map(|at| *scanned + at);
        let reached = found.unwrap_or(buffer.len());
        if reached >= header_bytes_max as usize {
            return Err(FrameError::HeadersTooLong {
                limit: header_bytes_max,
            });
        }
        if *lines == 0 && reached > COMMAND_BYTES_MAX {
            return Err(FrameError::CommandTooLong);
        }
        let Some(at) = found else {
            *scanned = buffer.len();
            return Ok(None);
        };
        if buffer[at] == 0 {
            return Err(FrameError::NulInHeaders);
        }
        let blank = matches!(&buffer[*line..at], b"" | b"\r");
        *scanned = at + 1;
        *line = at + 1;
        if blank {
            return Ok(Some(at + 1));
        }
        *lines += 1;
        if *lines > limits.headers_max.saturating_add(1) {
            return Err(FrameError::TooManyHeaders {
                limit: limits.headers_max,
            });
        }
    }
}

/// The frame of a complete header block, its body still empty.
fn parse_head(block: &[u8], version: Version) -> Result<Frame, FrameError> {
    let block = std::str::from_utf8(block).map_err(|_| FrameError::NotUtf8)?;
    let mut lines = block.split('\n');
    let command_line = lines.next().unwrap_or_default().trim();
    let mut text = String::with_capacity(block.len());
    text.push_str(command_line);
    let command = span(0, text.len());
    // CONNECT and CONNECTED are written as in 1.0 whatever is negotiated (STOMP 1.2, Value Encoding).
    let version = match command_line {
        "CONNECT" | "STOMP" | "CONNECTED" => Version::V1_0,
        _ => version,
    };
    let mut headers: Vec<(Span, Span)> = Vec::with_capacity(8);
    // Their names, once there are many.
    let mut known: BTreeSet<Box<str>> = BTreeSet::new();
    for line in lines {
        let line = match version {
            Version::V1_0 | Version::V1_2 => line.strip_suffix('\r').unwrap_or(line),
            Version::V1_1 => line,
        };
        if line.is_empty() || line == "\r" {
            break;
        }
        let Some((name, value)) = line.split_once(':') else {
            return Err(FrameError::HeaderWithoutColon { line: shortened(line) });
        };
        let start = text.len();
        unescape(name, version, &mut text).ok_or_else(|| FrameError::UndefinedEscape { line: shortened(line) })?;
        let middle = text.len();
        match version {
            Version::V1_0 => text.push_str(value.trim()),
            Version::V1_1 | Version::V1_2 => {
                unescape(value, version, &mut text)
                    .ok_or_else(|| FrameError::UndefinedEscape { line: shortened(line) })?;
            }
        }
        let name = span(start, middle);
        let is_repeated = if headers.len() < FEW_HEADERS {
            headers.iter().any(|(known, _)| known.of(&text) == name.of(&text))
        } else {
            if known.is_empty() {
                known.extend(headers.iter().map(|(known, _)| known.of(&text).into()));
            }
            !known.insert(name.of(&text).into())
        };
        if is_repeated {
            text.truncate(start);
        } else {
            headers.push((name, span(middle, text.len())));
        }
    }
    Ok(Frame {
        text,
        command,
        headers,
        body: Bytes::new(),
    })
}

fn span(start: usize, end: usize) -> Span {
    let narrow = |at| u32::try_from(at).expect("a header block is at most header_bytes_max, a u32, long");
    Span {
        start: narrow(start),
        end: narrow(end),
    }
}

fn unescape(escaped: &str, version: Version, text: &mut String) -> Option<()> {
    if version == Version::V1_0 {
        text.push_str(escaped);
        return Some(());
    }
    let mut rest = escaped;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        text.push_str(&rest[..at]);
        text.push(match (rest.as_bytes().get(at + 1)?, version) {
            (b'n', _) => '\n',
            (b'c', _) => ':',
            (b'\\', _) => '\\',
            (b'r', Version::V1_2) => '\r',
            (_, _) => return None,
        });
        rest = &rest[at + 2..];
    }
    text.push_str(rest);
    Some(())
}

fn shortened(line: &str) -> String {
    line[..line.floor_char_boundary(80)].to_string()
}

/// `content-length` counts only where a body may be: clients copy a MESSAGE's headers into their ACKs.
fn body_length(frame: &Frame, head: usize, limits: &FrameLimits) -> Result<Option<usize>, FrameError> {
    let declared = match frame.command() {
        "SEND" | "MESSAGE" | "ERROR" => frame.header("content-length"),
        _ => None,
    };
    let Some(declared) = declared else { return Ok(None) };
    let length: i64 = declared.trim().parse().map_err(|_| FrameError::LengthNotANumber)?;
    let length = u64::try_from(length).map_err(|_| FrameError::LengthNegative)?;
    if length.saturating_add(head as u64) > u64::from(limits.frame_bytes_max) {
        return Err(FrameError::FrameTooLong {
            limit: limits.frame_bytes_max,
        });
    }
    Ok(Some(usize::try_from(length).expect("at most frame_bytes_max, a u32")))
}

/// Where the body ends in the buffer, if its end is there. `before`: the frame's bytes in front of the buffer; `length`: how long the rest of the body says it is.
fn scan_body(
    buffer: &[u8],
    limits: &FrameLimits,
    before: usize,
    length: Option<usize>,
    scanned: &mut usize,
) -> Result<Option<usize>, FrameError> {
    match length {
        Some(length) => match buffer.get(length) {
            None => Ok(None),
            Some(0) => Ok(Some(length)),
            Some(_) => Err(FrameError::NoTrailingNul),
        },
        None => {
            let found = memchr::memchr(0, &buffer[*scanned..]).map(|at| *scanned + at);
            *scanned = buffer.len();
            if before + found.unwrap_or(buffer.len()) > limits.frame_bytes_max as usize {
                return Err(FrameError::FrameTooLong {
                    limit: limits.frame_bytes_max,
                });
            }
            Ok(found)
        }
    }
}
