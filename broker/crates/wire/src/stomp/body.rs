//! The bytes of a body as they come.
//!
//! A large body is kept in pieces of one size until its end is there. A buffer that grows with it would be moved each time to a larger place, and what it left would fit nobody: forty bodies that grow
//! beside one another took three times what they had. A piece that one body leaves is the next one's. While it is put
//! together it is there twice.
//! Tests: `tests/decoder.rs`; what it is worth is held by `scripts/test enemies` (bodies without an end).

use bytes::{Buf, Bytes, BytesMut};

/// One piece; also the most that a buffer keeps of a body whose end is not there.
const PIECE_BYTES: usize = 16 << 10;

/// What has come of one body and is no longer in the connection's buffer: nothing, unless it is large.
#[derive(Debug, Default)]
pub(super) struct Body(Vec<Box<[u8]>>);

impl Body {
    /// Its bytes.
    pub(super) fn len(&self) -> usize {
        self.0.len() * PIECE_BYTES
    }

    /// Takes what is there of the body, and belongs to it whole, in pieces. The buffer is then no larger than what it keeps.
    pub(super) fn take_pieces(&mut self, buffer: &mut BytesMut) {
        if buffer.len() < PIECE_BYTES {
            return;
        }
        let mut pieces = buffer.chunks_exact(PIECE_BYTES);
        self.0.extend(pieces.by_ref().map(Box::from));
        *buffer = BytesMut::from(pieces.remainder());
    }

    /// The whole body, whose last `rest` bytes the buffer begins with; copied, because neither a message nor its idle connection must keep the other's memory.
    pub(super) fn finish(self, buffer: &mut BytesMut, rest: usize) -> Bytes {
        let mut whole = Vec::with_capacity(self.len() + rest);
        for piece in self.0 {
            whole.extend_from_slice(&piece);
        }
        whole.extend_from_slice(&buffer[..rest]);
        if whole.len() < PIECE_BYTES {
            buffer.advance(rest);
        } else {
            *buffer = BytesMut::from(&buffer[rest..]);
        }
        whole.into()
    }
}
