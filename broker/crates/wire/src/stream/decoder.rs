//! Bytes to frames, incrementally.
//!
//! Invariants: what is kept is at most one frame within its limit and the bytes that came with its last piece; nothing is allocated because a frame *says* that it is long; a frame that may not
//! come from this side, or is too long for its kind, is refused as soon as its first five bytes are there.

use bytes::{Buf, BytesMut};

use super::frame::{Direction, Frame, HEAD_BYTES, Kind};
use super::{PIECE_BYTES, Violation};

/// A batch up to this many bytes is copied out of the buffer, so that it does not keep a large one alive.
const COPIED_BYTES_MAX: usize = 16 << 10;

/// Turns a stream of bytes into frames.
#[derive(Debug)]
pub struct Decoder {
    direction: Direction,
    buffer: BytesMut,
}

impl Decoder {
    /// A decoder for what travels in this direction.
    pub fn new(direction: Direction) -> Decoder {
        Decoder {
            direction,
            buffer: BytesMut::new(),
        }
    }

    /// Adds what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes kept that belong to no finished frame.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Forgets everything that was not yet decoded.
    pub fn clear(&mut self) {
        self.buffer = BytesMut::new();
    }

    /// The next frame, if it is complete.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Violation> {
        let Some((head, _)) = self.buffer.split_first_chunk::<HEAD_BYTES>() else {
            return match self.buffer.split_first_chunk::<4>() {
                Some((length, _)) if u32::from_le_bytes(*length) == 0 => Err(Violation::Empty),
                Some(_) => Ok(None),
                None => {
                    self.give_back();
                    Ok(None)
                }
            };
        };
        let [length @ .., kind] = *head;
        let bytes = u32::from_le_bytes(length);
        if bytes == 0 {
            return Err(Violation::Empty);
        }
        let kind = Kind::of(kind).ok_or(Violation::UnknownKind { kind })?;
        if !kind.goes(self.direction) {
            return Err(Violation::WrongDirection { kind });
        }
        let bytes_max = kind.bytes_max();
        if bytes > bytes_max {
            return Err(Violation::TooLong { kind, bytes, bytes_max });
        }
        let end = 4 + bytes as usize;
        if self.buffer.len() < end {
            return Ok(None);
        }
        let body = if end <= COPIED_BYTES_MAX {
            let body = bytes::Bytes::copy_from_slice(&self.buffer[HEAD_BYTES..end]);
            self.buffer.advance(end);
            body
        } else {
            let mut frame = self.buffer.split_to(end);
            // The rest moves: a batch must not keep the connection's memory, nor the connection the batch's.
            self.buffer = BytesMut::from(&self.buffer[..]);
            frame.advance(HEAD_BYTES);
            frame.freeze()
        };
        Frame::decode(kind, body).map(Some)
    }

    /// A quiet connection keeps no large buffer.
    fn give_back(&mut self) {
        if self.buffer.is_empty() && self.buffer.capacity() > PIECE_BYTES {
            self.buffer = BytesMut::new();
        }
    }
}
