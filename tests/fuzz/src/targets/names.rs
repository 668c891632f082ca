//! Names of files in the data directory: what a name is read as, is written as that name.

use journal::names::{checkpoint, checkpoint_of, pieces, segment, segment_of};
use leadership::names::{claim, epoch_of, owner_of};

use crate::input::valid_text;

/// The name.
pub fn run(input: &[u8]) {
    let name = valid_text(input);
    if let Some((epoch, number)) = segment_of(name) {
        assert_eq!(segment(epoch, number), format!("journal/{name}"));
        assert_eq!(owner_of(name), Some(epoch));
    }
    if let Some((found, has_pieces)) = checkpoint_of(name) {
        let written = if has_pieces { pieces(found) } else { checkpoint(found) };
        assert_eq!(written, format!("checkpoints/{name}"));
        assert_eq!(owner_of(name), Some(found.epoch));
    }
    if let Some(epoch) = epoch_of(name) {
        let written = claim(epoch);
        assert_eq!(epoch_of(written.trim_start_matches("epochs/")), Some(epoch), "{name}");
    }
}

/// Inputs to begin with.
pub fn seeds() -> Vec<Vec<u8>> {
    [
        "00000007-00000012",
        "00000007-0003",
        "00000007-0003.pieces",
        "00000007",
        "123456789",
        "4294967295-4294967295",
        "4294967296-00000001",
        "claim-00",
        "lost+found",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}
