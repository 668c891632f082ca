//! Where the predecessor's log stops: is that its end, or damage? The table.
//!
//! Facts: what lies where the next batch should be, what lies behind it, and what says that this batch was confirmed.
//!
//! | row | what lies there | batches behind it | the heartbeat says it was confirmed | verdict |
//! |---|---|---|---|---|
//! | R1 | nothing was written: zeros | none | no | the log ends here |
//! | R2 | a batch that is not whole, or other bytes | none, or none that says it was confirmed | no | the log ends here, with a warning |
//! | R2 | zeros | some, none of which says it was confirmed | no | the same: writes were under way |
//! | R3 | the file ends | none, or none that says it was confirmed | no | the log ends here, with a warning |
//! | R4 | the segment was never announced | none, or none that says it was confirmed | no | the log ends here |
//! | R5 | the segment was announced and does not exist | any | any | damage |
//! | R6 | anything but R5 | any | yes | damage |
//! | R7 | anything but R5 | one says it was confirmed | no | damage |
//!
//! A file that ends is no damage of itself: what was cut off was never confirmed, as far as anything says.

use std::fmt;

/// What lies where the next batch should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Zeros.
    Blank,
    /// A batch that is not whole, or anything else.
    Broken,
    /// The file ends before the batch would.
    Cut,
    /// The segment was never announced: no batch can be in it.
    Unannounced,
    /// The segment was announced, and there is no such file.
    Missing,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Found::Blank => "zeros lie there",
            Found::Broken => "other bytes lie there",
            Found::Cut => "the file ends before it",
            Found::Unannounced => "the segment was never announced",
            Found::Missing => "the file does not exist",
        })
    }
}

/// What the headers of this epoch's batches behind that place say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Later {
    /// There are none.
    Nothing,
    /// None says that the missing batch was confirmed.
    Unconfirmed,
    /// One says so.
    Confirmed,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The log ends here.
    End,
    /// The log ends here; a person should hear of it.
    EndWithWarning,
    /// Refuse, in these words.
    Damage(&'static str),
}

/// The table. `heartbeat`: its position says that the missing batch was confirmed.
pub(crate) fn decide(found: Found, later: Later, heartbeat: bool) -> (&'static str, Verdict) {
    match (found, later, heartbeat) {
        (Found::Missing, _, _) => (
            "R5",
            Verdict::Damage("the epoch's root announced this segment, and the file does not exist"),
        ),
        (Found::Blank | Found::Broken | Found::Cut | Found::Unannounced, _, true) => (
            "R6",
            Verdict::Damage(
                "the batch that belongs here is not whole, and the epoch's heartbeat says that it was confirmed",
            ),
        ),
        (Found::Blank | Found::Broken | Found::Cut | Found::Unannounced, Later::Confirmed, false) => (
            "R7",
            Verdict::Damage("the batch that belongs here is not whole, and a later batch says that it was confirmed"),
        ),
        (Found::Blank, Later::Nothing, false) => ("R1", Verdict::End),
        (Found::Blank, Later::Unconfirmed, false) | (Found::Broken, Later::Nothing | Later::Unconfirmed, false) => {
            ("R2", Verdict::EndWithWarning)
        }
        (Found::Cut, Later::Nothing | Later::Unconfirmed, false) => ("R3", Verdict::EndWithWarning),
        (Found::Unannounced, Later::Nothing | Later::Unconfirmed, false) => ("R4", Verdict::End),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_combination_of_facts_has_one_row_and_every_row_is_used() {
        let laters = [Later::Nothing, Later::Unconfirmed, Later::Confirmed];
        // What lies there, and for each of `laters` the row without the heartbeat; with it, it is always the last.
        let table = [
            (Found::Blank, ["R1", "R2", "R7"], "R6"),
            (Found::Broken, ["R2", "R2", "R7"], "R6"),
            (Found::Cut, ["R3", "R3", "R7"], "R6"),
            (Found::Unannounced, ["R4", "R4", "R7"], "R6"),
            (Found::Missing, ["R5", "R5", "R5"], "R5"),
        ];
        let mut used = BTreeMap::new();
        for (found, rows, with_heartbeat) in table {
            for (row, later) in rows.into_iter().zip(laters) {
                for (row, heartbeat) in [(row, false), (with_heartbeat, true)] {
                    let (label, verdict) = decide(found, later, heartbeat);
                    assert_eq!(label, row, "{found:?}, {later:?}, heartbeat {heartbeat}");
                    assert_eq!(*used.entry(label).or_insert(verdict), verdict, "{label} says one thing");
                }
            }
        }
        assert_eq!(
            used.keys().copied().collect::<Vec<_>>(),
            ["R1", "R2", "R3", "R4", "R5", "R6", "R7"]
        );
        for (row, verdict) in used {
            let refuses = matches!(verdict, Verdict::Damage(_));
            assert_eq!(refuses, ["R5", "R6", "R7"].contains(&row), "{row}");
        }
    }
}
