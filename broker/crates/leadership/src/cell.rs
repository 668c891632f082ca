//! One cell: 4 KiB that are written whole, with a checksum, or found blank or bad.
//!
//! Layout, little endian: magic `HFCELL` (6 bytes), version 1 (1), kind (1), nonce of the claim (16), body length (u16), body, zeros, CRC-32 of all bytes before it (u32, at 4092).
//! The nonce ties a cell to its claim: a block that strayed from another file is bad, not valid.

use bytes::Bytes;
use platform::{BLOCK_BYTES, Blocks};
use record::{Malformed, Nonce, Reader};

const MAGIC: &[u8; 6] = b"HFCELL";
const VERSION: u8 = 1;
const BODY_AT: usize = 26;
const CHECKSUM_AT: usize = BLOCK_BYTES - 4;

/// Most bytes of a cell's body.
pub const CELL_BODY_BYTES_MAX: usize = CHECKSUM_AT - BODY_AT;

/// What a reading of one cell gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellState<T> {
    /// All zeros: never written.
    Blank,
    /// Written whole.
    Valid(T),
    /// Anything else: torn, damaged, or of another claim.
    Bad,
}

impl<T> CellState<T> {
    /// The content, if valid.
    pub fn valid(self) -> Option<T> {
        match self {
            CellState::Valid(content) => Some(content),
            CellState::Blank | CellState::Bad => None,
        }
    }
}

/// A cell's 4 KiB. Fails if the body is longer than [`CELL_BODY_BYTES_MAX`].
pub fn encode(kind: u8, nonce: Nonce, body: &[u8]) -> Result<Blocks, Malformed> {
    if body.len() > CELL_BODY_BYTES_MAX {
        return Err(Malformed("cell: the body does not fit into one block"));
    }
    let mut block = Blocks::zeroed(BLOCK_BYTES);
    block[..6].copy_from_slice(MAGIC);
    block[6] = VERSION;
    block[7] = kind;
    block[8..24].copy_from_slice(&nonce.0);
    block[24..26].copy_from_slice(&(body.len() as u16).to_le_bytes());
    block[BODY_AT..BODY_AT + body.len()].copy_from_slice(body);
    let checksum = crc32fast::hash(&block[..CHECKSUM_AT]);
    block[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
    Ok(block)
}

/// Reads a cell of this kind; `nonce`: the claim's, or `None` where it is not known yet (the identity).
pub fn decode<T>(
    block: &Bytes,
    kind: u8,
    nonce: Option<Nonce>,
    body: impl FnOnce(Nonce, &mut Reader<'_>) -> Result<T, Malformed>,
) -> CellState<T> {
    if block.len() != BLOCK_BYTES {
        return CellState::Bad;
    }
    if block.iter().all(|byte| *byte == 0) {
        return CellState::Blank;
    }
    let checksum = crc32fast::hash(&block[..CHECKSUM_AT]).to_le_bytes();
    if &block[..6] != MAGIC || block[6] != VERSION || block[7] != kind || block[CHECKSUM_AT..] != checksum {
        return CellState::Bad;
    }
    let mut found = Nonce::default();
    found.0.copy_from_slice(&block[8..24]);
    if nonce.is_some_and(|nonce| nonce != found) {
        return CellState::Bad;
    }
    let length = usize::from(u16::from_le_bytes([block[24], block[25]]));
    if length > CELL_BODY_BYTES_MAX {
        return CellState::Bad;
    }
    let bytes = block.slice(BODY_AT..BODY_AT + length);
    let mut reader = Reader::new(&bytes);
    match body(found, &mut reader).and_then(|content| reader.end("cell: bytes left over").map(|()| content)) {
        Ok(content) => CellState::Valid(content),
        Err(_) => CellState::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(block: &[u8], nonce: Nonce) -> CellState<u64> {
        decode(&Bytes::copy_from_slice(block), 4, Some(nonce), |_, reader| reader.u64())
    }

    #[test]
    fn a_cell_is_blank_or_whole_or_bad_and_every_flipped_bit_is_noticed() {
        let nonce = Nonce([7; 16]);
        let block = encode(4, nonce, &42u64.to_le_bytes()).expect("eight bytes fit");
        assert_eq!(read(&block, nonce), CellState::Valid(42));
        assert_eq!(read(&[0; BLOCK_BYTES], nonce), CellState::Blank);
        for bit in 0..BLOCK_BYTES * 8 {
            let mut flipped = block.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&flipped, nonce), CellState::Bad, "bit {bit}");
        }
    }

    #[test]
    fn a_cell_of_another_claim_kind_or_length_is_bad() {
        let nonce = Nonce([7; 16]);
        let block = encode(4, nonce, &42u64.to_le_bytes()).expect("eight bytes fit");
        assert_eq!(read(&block, Nonce([8; 16])), CellState::Bad);
        assert_eq!(
            decode(&Bytes::copy_from_slice(&block), 5, None, |_, reader| reader.u64()),
            CellState::Bad
        );
        assert_eq!(read(&block[..100], nonce), CellState::Bad);
        assert_eq!(
            decode(&Bytes::copy_from_slice(&block), 4, None, |_, reader| reader.u32()),
            CellState::Bad
        );
        assert!(encode(4, nonce, &[0; CELL_BODY_BYTES_MAX + 1]).is_err());
    }
}
