//! Which checkpoint replay starts from.
//!
//! | row | newer named checkpoint | older named checkpoint | replay starts |
//! |---|---|---|---|
//! | C1 | readable | any, or none | from the newer |
//! | C2 | damaged | readable | from the older, with a warning |
//! | C3 | damaged | damaged | refuse: nothing older exists any more |
//! | C4 | damaged | none named | at the beginning, with a warning, if the first batch of all is still there; else refuse |
//! | C5 | none named | none named | at the beginning |
//!
//! A piece that both share, damaged, damages both: C3. In C1 the older one must still be good to fall back on (C7): a segment that it needs and that does not exist is
//! warned of; the pieces that only it uses are handed out, to be checked once somebody leads. Whatever replay starts from, every segment that the checkpoint refers to must exist (C6): a directory that was restored in part is refused before
//! it is led. A segment between two of these that neither named checkpoint refers to may be gone.

use std::collections::BTreeSet;

use platform::{Class, DiskError, DiskErrorKind, Files, Open};
use record::{CheckpointName, SegmentNumber};

use super::{RecoveryError, Warning};
use crate::checkpoint::{Index, read_index};
use crate::{
    CheckpointError, CheckpointSummary, Damage, Loaded, Owners, SegmentOwner, UnreadPieces, names, read_checkpoint,
};

/// What is known of one named checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    /// It can be read.
    Readable,
    /// It cannot.
    Damaged,
    /// The root names none.
    Nothing,
}

/// Where replay starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Newer,
    Older,
    Beginning,
    Refuse,
}

/// The table.
fn choose(newer: Named, older: Named) -> (&'static str, Choice) {
    match (newer, older) {
        (Named::Readable, Named::Readable | Named::Damaged | Named::Nothing) => ("C1", Choice::Newer),
        (Named::Damaged, Named::Readable) => ("C2", Choice::Older),
        (Named::Damaged, Named::Damaged) => ("C3", Choice::Refuse),
        (Named::Damaged, Named::Nothing) => ("C4", Choice::Beginning),
        // Whichever is named is the newer.
        (Named::Nothing, Named::Readable | Named::Damaged | Named::Nothing) => ("C5", Choice::Beginning),
    }
}

/// The checkpoints of a plan, as far as they can be read.
pub(super) struct Checkpoints {
    /// What replay starts from; `None`: the beginning.
    pub(super) loaded: Option<Loaded>,
    /// Both, in the plan's order.
    pub(super) summaries: [Option<CheckpointSummary>; 2],
    pub(super) warnings: Vec<Warning>,
    /// The older one, if the newer is loaded.
    pub(super) fall_back: Option<FallBack>,
    /// What is wrong with the only one, if replay starts at the beginning because of it.
    pub(super) unusable: Option<Damage>,
}

/// The older checkpoint, of which the index alone has been read.
pub(super) struct FallBack {
    summary: CheckpointSummary,
    owners: Vec<SegmentOwner>,
    /// What it has of its own.
    pub(super) unread: UnreadPieces,
}

pub(super) async fn load(files: &Files, named: [Option<CheckpointName>; 2]) -> Result<Checkpoints, RecoveryError> {
    let mut names = named.into_iter().flatten();
    let newer = whole(files, names.next()).await?;
    let older = match newer.state() {
        Named::Readable => index_alone(files, names.next()).await?,
        Named::Damaged | Named::Nothing => whole(files, names.next()).await?,
    };
    let (row, choice) = choose(newer.state(), older.state());
    let mut checkpoints = Checkpoints {
        loaded: None,
        summaries: [newer.summary(), older.summary()],
        warnings: Vec::new(),
        fall_back: None,
        unusable: None,
    };
    let mut first_damage = None;
    for attempt in [&newer, &older] {
        if let Attempt::Damaged(name, damage) = attempt {
            let (name, damage) = (*name, damage.clone());
            first_damage.get_or_insert_with(|| damage.clone());
            checkpoints.warnings.push(match choice {
                Choice::Newer => Warning::OlderCheckpointDamaged { name, damage },
                Choice::Older | Choice::Beginning | Choice::Refuse => Warning::CheckpointDamaged { name, damage },
            });
        }
    }
    match choice {
        Choice::Newer => {
            checkpoints.loaded = newer.loaded();
            checkpoints.fall_back = older
                .index()
                .zip(checkpoints.loaded.as_ref())
                .map(|(older, newer)| FallBack {
                    summary: older.summary.clone(),
                    owners: older.owners.clone(),
                    unread: UnreadPieces::between(older, newer),
                });
        }
        Choice::Older => checkpoints.loaded = older.loaded(),
        Choice::Beginning => checkpoints.unusable = first_damage,
        Choice::Refuse => {
            let damage = first_damage.expect("only damage makes the table refuse");
            return Err(refusal(&damage, row, "neither named checkpoint can be read"));
        }
    }
    Ok(checkpoints)
}

/// What an attempt to read a named checkpoint came to.
enum Attempt {
    Whole(Box<Loaded>),
    /// Of the older one only what it refers to is wanted, unless the newer is damaged.
    Index(Box<Index>),
    Damaged(CheckpointName, Damage),
    Nothing,
}

impl Attempt {
    fn state(&self) -> Named {
        match self {
            Attempt::Whole(_) | Attempt::Index(_) => Named::Readable,
            Attempt::Damaged(..) => Named::Damaged,
            Attempt::Nothing => Named::Nothing,
        }
    }

    fn summary(&self) -> Option<CheckpointSummary> {
        match self {
            Attempt::Whole(loaded) => Some(loaded.summary.clone()),
            Attempt::Index(index) => Some(index.summary.clone()),
            Attempt::Damaged(..) | Attempt::Nothing => None,
        }
    }

    fn loaded(self) -> Option<Loaded> {
        match self {
            Attempt::Whole(loaded) => Some(*loaded),
            Attempt::Index(_) | Attempt::Damaged(..) | Attempt::Nothing => None,
        }
    }

    fn index(self) -> Option<Index> {
        match self {
            Attempt::Index(index) => Some(*index),
            Attempt::Whole(_) | Attempt::Damaged(..) | Attempt::Nothing => None,
        }
    }
}

async fn whole(files: &Files, name: Option<CheckpointName>) -> Result<Attempt, RecoveryError> {
    let Some(name) = name else {
        return Ok(Attempt::Nothing);
    };
    Ok(match settle(read_checkpoint(files.clone(), name).await)? {
        Ok(loaded) => Attempt::Whole(Box::new(loaded)),
        Err(damage) => Attempt::Damaged(name, damage),
    })
}

async fn index_alone(files: &Files, name: Option<CheckpointName>) -> Result<Attempt, RecoveryError> {
    let Some(name) = name else {
        return Ok(Attempt::Nothing);
    };
    Ok(match settle(read_index(files, name).await)? {
        Ok(index) => Attempt::Index(Box::new(index)),
        Err(damage) => Attempt::Damaged(name, damage),
    })
}

/// Tells damage, which has a remedy here, from a disk that failed.
fn settle<T>(read: Result<T, CheckpointError>) -> Result<Result<T, Damage>, RecoveryError> {
    match read {
        Ok(read) => Ok(Ok(read)),
        Err(CheckpointError::Damaged(damage)) => Ok(Err(damage)),
        Err(CheckpointError::Io(error)) => Err(error.into()),
    }
}

/// C4, after replay from the beginning found not one batch: the history began somewhere else.
pub(super) fn nothing_without(damage: &Damage) -> RecoveryError {
    refusal(
        damage,
        "C4",
        "no other checkpoint is named, and the first batch of the history is gone",
    )
}

fn refusal(damage: &Damage, row: &str, why: &str) -> RecoveryError {
    let what = format!("{}; {why} [{row}]", damage.what);
    RecoveryError::Damaged(Damage { what, ..damage.clone() })
}

/// Refuses if a segment does not exist to which the checkpoint refers, before the one in which replay starts (C6).
pub(super) async fn segments_exist(
    files: &Files,
    summary: &CheckpointSummary,
    owners: &Owners,
) -> Result<(), RecoveryError> {
    match missing_segment(files, summary, summary.start.segment, owners).await? {
        None => Ok(()),
        Some(damage) => Err(damage.into()),
    }
}

/// Whether a segment is missing that a fall-back on the older checkpoint would need: what it refers to, and the log up to where the newer one's replay starts (C7).
pub(super) async fn fall_back_lacks(
    files: &Files,
    older: &FallBack,
    newer: &CheckpointSummary,
    known: &Owners,
) -> Result<Option<Warning>, DiskError> {
    let mut owners = Owners::new();
    for owner in &older.owners {
        let mut owner = *owner;
        if owner.epoch == older.summary.name.epoch {
            // That epoch was still going on: what it had announced beyond this may never have counted, and be gone.
            owner.last = owner.last.min(older.summary.start.segment);
        }
        owners.insert(owner);
    }
    known.iter().for_each(|owner| owners.insert(*owner));
    let missing = missing_segment(files, &older.summary, newer.start.segment, &owners).await?;
    Ok(missing.map(|damage| Warning::OlderCheckpointUnusable {
        name: older.summary.name,
        damage,
    }))
}

/// The first segment that a checkpoint needs before `end` and that does not exist: one that it refers to, or one of the log from where its replay starts. In the log, numbers that are nobody's are left out.
async fn missing_segment(
    files: &Files,
    summary: &CheckpointSummary,
    end: SegmentNumber,
    owners: &Owners,
) -> Result<Option<Damage>, DiskError> {
    let listed: BTreeSet<String> = files.list(names::JOURNAL).await?.into_iter().collect();
    let log = owners.iter().flat_map(|owner| {
        let first = owner.first.max(summary.start.segment);
        (first.0..=owner.last.0)
            .map(SegmentNumber)
            .take_while(|number| *number < end)
    });
    for number in summary.segments_before_start().chain(log) {
        let Some(owner) = owners.of(number) else {
            let what = format!(
                "it refers to segment {}, and nothing says which epoch wrote that [C6]",
                number.0
            );
            return Ok(Some(Damage::new(names::checkpoint(summary.name), 0, what)));
        };
        let path = names::segment(owner.epoch, number);
        if path
            .strip_prefix(names::JOURNAL)
            .is_some_and(|name| listed.contains(&name[1..]))
        {
            continue;
        }
        // A listing may be stale: the name decides.
        match files.open(&path, Class::Segment, Open::Read).await {
            Ok((file, _)) => files.close(file).await?,
            Err(error) if error.kind == DiskErrorKind::NotFound => {
                let what = format!(
                    "checkpoint {}-{} needs this segment, and it does not exist [C6]",
                    summary.name.epoch, summary.name.number
                );
                return Ok(Some(Damage::new(path, 0, what)));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_named_checkpoints_has_one_row_and_every_row_is_used() {
        let states = [Named::Readable, Named::Damaged, Named::Nothing];
        let expected = [
            // older: readable, damaged, nothing
            (Named::Readable, ["C1", "C1", "C1"]),
            (Named::Damaged, ["C2", "C3", "C4"]),
            (Named::Nothing, ["C5", "C5", "C5"]),
        ];
        let choices = [
            ("C1", Choice::Newer),
            ("C2", Choice::Older),
            ("C3", Choice::Refuse),
            ("C4", Choice::Beginning),
            ("C5", Choice::Beginning),
        ];
        let mut used = BTreeSet::new();
        for (newer, rows) in expected {
            for (older, row) in states.into_iter().zip(rows) {
                assert_eq!(choose(newer, older).0, row, "{newer:?}, {older:?}");
                assert!(choices.contains(&choose(newer, older)));
                used.insert(row);
            }
        }
        assert_eq!(used.len(), choices.len());
    }
}
