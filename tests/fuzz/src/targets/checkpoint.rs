//! A checkpoint read whole: its index and its pieces, as they are and with every checksum right.
//!
//! It is read or called damaged; a piece that is read is what its checksum says; no file stays open.

use bytes::Bytes;
use journal::checkpoint::Index;
use journal::{CheckpointError, names, read_checkpoint};

use super::checkpoint_index::{NAME, example, seal};
use super::pieces;
use crate::directory::{MemoryDisk, finish};
use crate::input::Input;

/// Which checksums are right; the index as a long block; then the file of pieces.
pub fn run(input: &[u8]) {
    let mut input = Input::new(input);
    let sealed = input.byte();
    let mut index = input.long_block().to_vec();
    let file = input.rest();
    if sealed & 1 != 0 {
        seal(&mut index);
    }
    let bytes = Bytes::from(index.clone());
    if sealed & 2 != 0
        && let Ok(mut decoded) = Index::decode(&bytes, NAME)
    {
        for (_, reference) in &mut decoded.pieces {
            let from = usize::try_from(reference.offset).unwrap_or(usize::MAX);
            let to = from.saturating_add(reference.length as usize);
            if let Some(piece) = file.get(from..to) {
                reference.written_by = NAME;
                reference.checksum = crc32fast::hash(piece);
            }
        }
        index = decoded.encode();
    }
    let disk = MemoryDisk::default();
    disk.put(names::checkpoint(NAME), index);
    disk.put(names::pieces(NAME), file.to_vec());
    let files = disk.files();
    let reading = files.clone();
    match finish(&files, async move { read_checkpoint(reading, NAME).await }) {
        Ok(loaded) => {
            for (_, reference, _) in &loaded.pieces {
                let from = reference.offset as usize;
                assert_eq!(
                    crc32fast::hash(&file[from..from + reference.length as usize]),
                    reference.checksum
                );
            }
        }
        Err(CheckpointError::Damaged(damage)) => assert!(!damage.to_string().is_empty()),
        Err(CheckpointError::Io(error)) => panic!("this disk does not fail: {error}"),
    }
    assert_eq!(disk.open_files(), 0, "a file stays open");
}

/// Inputs to begin with.
pub fn seeds() -> Vec<Vec<u8>> {
    let (index, pieces) = example(b"catalog", &pieces::page(&[1, 2]));
    let index = index.encode();
    let length = (index.len() as u16).to_le_bytes();
    [0, 1, 3]
        .iter()
        .map(|sealed| [&[*sealed], &length[..], &index, &pieces].concat())
        .collect()
}
