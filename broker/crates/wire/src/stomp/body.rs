//! The bytes of a body as they come.
//!
//! A large body is kept in pieces of one size until its end is there. A buffer that grows with it would be moved each time to a larger place, and what it left would fit nobody: forty bodies that grow
//! beside one another took three times what they had. A piece that one body leaves is the next one's.
//! Tests: `tests/decoder.rs`; what it is worth is held by `scripts/test enemies` (bodies without an end).

use bytes::{Buf, Bytes, BytesMut};

/// One piece.
const PIECE_BYTES: usize = 64 << 10;

/// A body up to this many bytes is copied out of the buffer: a small message must not keep a large buffer alive.
const COPIED_BODY_BYTES_MAX: usize = 16 << 10;

/// What has come of one body and is no longer in the connection's buffer: nothing, unless it is large.
#[derive(Debug, Default)]
pub(super) struct Body(Vec<Box<[u8]>>);

impl Body {
    /// Its bytes.
    pub(super) fn len(&self) -> usize {
        self.0.len() * PIECE_BYTES
    }

    /// Takes what is there of the body, and belongs to it whole, in pieces.
    pub(super) fn take_pieces(&mut self, buffer: &mut BytesMut) {
        while let Some(piece) = buffer.get(..PIECE_BYTES) {
            self.0.push(piece.into());
            buffer.advance(PIECE_BYTES);
        }
    }

    /// The whole body, whose last `rest` bytes the buffer begins with.
    pub(super) fn finish(self, buffer: &mut BytesMut, rest: usize) -> Bytes {
        if self.0.is_empty() && rest > COPIED_BODY_BYTES_MAX {
            let body = buffer.split_to(rest).freeze();
            // The rest moves: an idle connection must not keep the body's memory, nor the body the connection's.
            *buffer = BytesMut::from(&buffer[..]);
            return body;
        }
        let mut whole = Vec::with_capacity(self.len() + rest);
        for piece in self.0 {
            whole.extend_from_slice(&piece);
        }
        whole.extend_from_slice(&buffer[..rest]);
        buffer.advance(rest);
        whole.into()
    }
}
