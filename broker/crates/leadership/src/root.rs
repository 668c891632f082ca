//! The root: what counts of the history, written twice.
//!
//! An update goes to cell A and, after that returned, to cell B; it is in force when both returned. [`Root::read`] decides what a pair of cells says, as a labelled table.

use bytes::Bytes;
use message::Epoch;
use platform::Blocks;
use record::{CheckpointName, EpochSeal, Malformed, Nonce, Reader, SegmentNumber};

use crate::cell::{self, CellState};
use crate::claim::Cell;

/// Room for this many entries in the SEALED list.
pub const SEALED_MAX: usize = 64;

/// From this many on, a leader confirms nothing until two checkpoints are named.
pub const SEALED_URGENT: usize = 48;

/// What an owner says of the history up to its own epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// The claim's nonce: known from here too if the identity cell is damaged.
    pub nonce: Nonce,
    /// Rises with every update: 1, 2, 3, ….
    pub update: u64,
    /// The version of everything on disk.
    pub format_version: u32,
    /// The first segment number that this epoch may use.
    pub first_segment: SegmentNumber,
    /// The highest segment announced; below `first_segment`: none.
    pub highest_segment: SegmentNumber,
    /// The newest checkpoints, newest first.
    pub checkpoints: [Option<CheckpointName>; 2],
    /// What counts of earlier epochs, oldest first, one entry per epoch that counts since the older named checkpoint.
    pub sealed: Vec<EpochSeal>,
}

/// What a pair of root cells says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootState {
    /// This epoch never led.
    NeverSealed,
    /// This epoch sealed.
    Sealed {
        /// Its root.
        root: Root,
        /// One of the two cells is bad: worth a warning.
        one_bad: bool,
    },
    /// Neither cell can be read, and the seal was once in force: refuse.
    Damaged,
}

impl Root {
    /// The cell; both copies are the same bytes. Fails if the SEALED list is longer than [`SEALED_MAX`].
    pub fn encode(&self) -> Result<Blocks, Malformed> {
        if self.sealed.len() > SEALED_MAX {
            return Err(Malformed("root: more sealed epochs than fit"));
        }
        let mut body = Vec::new();
        body.extend_from_slice(&self.update.to_le_bytes());
        body.extend_from_slice(&self.format_version.to_le_bytes());
        body.extend_from_slice(&self.first_segment.0.to_le_bytes());
        body.extend_from_slice(&self.highest_segment.0.to_le_bytes());
        for checkpoint in self.checkpoints {
            let name = checkpoint.unwrap_or(CheckpointName {
                epoch: Epoch(0),
                number: 0,
            });
            body.extend_from_slice(&name.epoch.0.to_le_bytes());
            body.extend_from_slice(&name.number.to_le_bytes());
        }
        body.extend_from_slice(&(self.sealed.len() as u32).to_le_bytes());
        for seal in &self.sealed {
            body.extend_from_slice(&seal.epoch.0.to_le_bytes());
            body.extend_from_slice(&seal.nonce.0);
            body.extend_from_slice(&seal.first.0.to_le_bytes());
            body.extend_from_slice(&seal.last.0.to_le_bytes());
            body.extend_from_slice(&seal.length.to_le_bytes());
            body.extend_from_slice(&seal.batch.to_le_bytes());
            body.extend_from_slice(&seal.checksum.to_le_bytes());
        }
        cell::encode(Cell::RootA.kind(), self.nonce, &body)
    }

    /// Reads one of the two cells; `nonce`: the claim's, or `None` if its identity cannot be read.
    pub fn decode(block: &Bytes, nonce: Option<Nonce>) -> CellState<Root> {
        cell::decode(block, Cell::RootA.kind(), nonce, |nonce, reader| {
            Ok(Root {
                nonce,
                update: reader.u64()?,
                format_version: reader.u32()?,
                first_segment: SegmentNumber(reader.u32()?),
                highest_segment: SegmentNumber(reader.u32()?),
                checkpoints: [take_checkpoint(reader)?, take_checkpoint(reader)?],
                sealed: reader.list(44, take_seal)?,
            })
        })
    }

    /// What a pair of cells says. Rows: what A is, what B is.
    ///
    /// | row | A | B | says |
    /// |---|---|---|---|
    /// | R1 | valid | valid | sealed: the higher update |
    /// | R2 | valid | blank | sealed: B's first write was under way |
    /// | R3 | valid | bad | sealed, with a warning |
    /// | R4 | blank | blank | never sealed |
    /// | R5 | bad | blank | never sealed: the seal was under way and never in force |
    /// | R6 | bad | valid | sealed, with a warning |
    /// | R7 | blank | valid | sealed, with a warning: A is written first, so it was lost |
    /// | R8 | blank | bad | damaged |
    /// | R9 | bad | bad | damaged |
    pub fn read(a: CellState<Root>, b: CellState<Root>) -> RootState {
        use CellState::{Bad, Blank, Valid};
        match (a, b) {
            (Valid(a), Valid(b)) => RootState::Sealed {
                root: if a.update >= b.update { a } else { b },
                one_bad: false,
            },
            (Valid(root), Blank) => RootState::Sealed { root, one_bad: false },
            (Valid(root), Bad) | (Bad | Blank, Valid(root)) => RootState::Sealed { root, one_bad: true },
            (Blank | Bad, Blank) => RootState::NeverSealed,
            (Blank | Bad, Bad) => RootState::Damaged,
        }
    }
}

fn take_checkpoint(reader: &mut Reader<'_>) -> Result<Option<CheckpointName>, Malformed> {
    let name = CheckpointName {
        epoch: Epoch(reader.u32()?),
        number: reader.u32()?,
    };
    Ok((name.number != 0).then_some(name))
}

fn take_seal(reader: &mut Reader<'_>) -> Result<EpochSeal, Malformed> {
    let epoch = Epoch(reader.u32()?);
    let mut nonce = Nonce::default();
    nonce.0[..8].copy_from_slice(&reader.u64()?.to_le_bytes());
    nonce.0[8..].copy_from_slice(&reader.u64()?.to_le_bytes());
    Ok(EpochSeal {
        epoch,
        nonce,
        first: SegmentNumber(reader.u32()?),
        last: SegmentNumber(reader.u32()?),
        length: reader.u32()?,
        batch: reader.u64()?,
        checksum: reader.u32()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(update: u64, sealed: usize) -> Root {
        let seal = |epoch| EpochSeal {
            epoch: Epoch(epoch),
            nonce: Nonce([epoch as u8; 16]),
            first: SegmentNumber(epoch),
            last: SegmentNumber(epoch + 1),
            length: 4096,
            batch: 9,
            checksum: 77,
        };
        Root {
            nonce: Nonce([3; 16]),
            update,
            format_version: 1,
            first_segment: SegmentNumber(8),
            highest_segment: SegmentNumber(12),
            checkpoints: [
                Some(CheckpointName {
                    epoch: Epoch(3),
                    number: 1,
                }),
                None,
            ],
            sealed: (1..=sealed as u32).map(seal).collect(),
        }
    }

    #[test]
    fn a_root_with_the_longest_list_fits_into_its_cell_and_comes_back() {
        let nonce = Nonce([3; 16]);
        let block = root(5, SEALED_MAX).encode().expect("64 entries fit");
        assert_eq!(
            Root::decode(&Bytes::copy_from_slice(&block), Some(nonce)),
            CellState::Valid(root(5, SEALED_MAX))
        );
        assert!(root(5, SEALED_MAX + 1).encode().is_err());
    }

    #[test]
    fn every_pair_of_root_cells_has_one_row() {
        use CellState::{Bad, Blank, Valid};
        let sealed = |update, one_bad| RootState::Sealed {
            root: root(update, 1),
            one_bad,
        };
        let cells = [Blank, Bad, Valid(root(5, 1))];
        let expected = [
            // A blank, with B blank, bad, valid (update 6)
            [RootState::NeverSealed, RootState::Damaged, sealed(6, true)],
            [RootState::NeverSealed, RootState::Damaged, sealed(6, true)],
            [sealed(5, false), sealed(5, true), sealed(6, false)],
        ];
        for (a, row) in cells.iter().zip(expected) {
            for (b, expected) in [Blank, Bad, Valid(root(6, 1))].into_iter().zip(row) {
                assert_eq!(Root::read(a.clone(), b.clone()), expected, "A {a:?}, B {b:?}");
            }
        }
        assert_eq!(Root::read(Valid(root(7, 1)), Valid(root(6, 1))), sealed(7, false));
    }
}
