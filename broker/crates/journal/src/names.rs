//! The names of segments and checkpoints, relative to the data directory.
//!
//! Invariant: a name is written by one epoch only, because it begins with that epoch.

use message::Epoch;
use record::{CheckpointName, SegmentNumber};

/// Holds the segments.
pub const JOURNAL: &str = "journal";
/// Holds the checkpoints and their pieces.
pub const CHECKPOINTS: &str = "checkpoints";

const PIECES: &str = ".pieces";

/// A segment: `journal/00000007-00000012`.
pub fn segment(epoch: Epoch, number: SegmentNumber) -> String {
    format!("{JOURNAL}/{epoch:08}-{number:08}", epoch = epoch.0, number = number.0)
}

/// A segment of which only the number is known: `journal/*-00000012`.
pub(crate) fn unknown_segment(number: SegmentNumber) -> String {
    format!("{JOURNAL}/*-{number:08}", number = number.0)
}

/// A checkpoint's index: `checkpoints/00000007-0003`.
pub fn checkpoint(name: CheckpointName) -> String {
    format!(
        "{CHECKPOINTS}/{epoch:08}-{number:04}",
        epoch = name.epoch.0,
        number = name.number
    )
}

/// The pieces that a checkpoint wrote: `checkpoints/00000007-0003.pieces`.
pub fn pieces(name: CheckpointName) -> String {
    checkpoint(name) + PIECES
}

/// What a name in `journal/` says; `None` for a name that no broker makes.
pub fn segment_of(name: &str) -> Option<(Epoch, SegmentNumber)> {
    let (epoch, number) = name.split_once('-')?;
    Some((Epoch(digits(epoch, 8)?), SegmentNumber(digits(number, 8)?)))
}

/// What a name in `checkpoints/` says: whose it is, and whether it holds pieces; `None` for a name that no broker makes.
pub fn checkpoint_of(name: &str) -> Option<(CheckpointName, bool)> {
    let (stem, has_pieces) = match name.strip_suffix(PIECES) {
        Some(stem) => (stem, true),
        None => (name, false),
    };
    let (epoch, number) = stem.split_once('-')?;
    let name = CheckpointName {
        epoch: Epoch(digits(epoch, 8)?),
        number: digits(number, 4)?,
    };
    Some((name, has_pieces))
}

/// A number of at least `width` digits, without superfluous zeros: exactly what the functions above write.
fn digits(text: &str, width: usize) -> Option<u32> {
    let well_formed = text.bytes().all(|byte| byte.is_ascii_digit())
        && (text.len() == width || (text.len() > width && !text.starts_with('0')));
    well_formed.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_it_was_made_from_and_a_foreign_one_says_nothing() {
        for (epoch, number) in [(7, 12), (0, 0), (123_456_789, 4_000_000_000)] {
            let name = segment(Epoch(epoch), SegmentNumber(number));
            let name = name.strip_prefix("journal/").expect("a segment lies in journal/");
            assert_eq!(segment_of(name), Some((Epoch(epoch), SegmentNumber(number))));
            let checkpoint_name = CheckpointName {
                epoch: Epoch(epoch),
                number,
            };
            let index = checkpoint(checkpoint_name);
            let index = index
                .strip_prefix("checkpoints/")
                .expect("an index lies in checkpoints/");
            assert_eq!(checkpoint_of(index), Some((checkpoint_name, false)));
            assert_eq!(checkpoint_of(&format!("{index}.pieces")), Some((checkpoint_name, true)));
        }
        for foreign in [
            "",
            "lost+found",
            "7-12",
            "00000007-0000001x",
            "00000007-00000012~",
            "000000007-00000012",
            "00000007-99999999999",
        ] {
            assert_eq!(segment_of(foreign), None, "{foreign}");
            assert_eq!(checkpoint_of(foreign), None, "{foreign}");
        }
    }
}
