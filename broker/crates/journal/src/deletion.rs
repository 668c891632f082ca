//! What may be deleted: a pure decision.
//!
//! A segment goes when both named checkpoints lie wholly beyond it and neither refers to a byte in it, lower numbers first, wherever it lies: between two that stay, too. A checkpoint's files go
//! when neither named checkpoint needs them. Deliberately absent: claims, which never go, and anything of a later epoch or of a name that no broker makes. The caller reads its fence between this decision and the first unlink.

use std::collections::BTreeSet;

use message::Epoch;
use mutant::Mutant;
use record::{CheckpointName, EpochSeal, SegmentNumber, SegmentSet};

use crate::{CheckpointSummary, names};

/// What the own root in force says, as far as deletion depends on it.
#[derive(Clone, Debug)]
pub struct DeletionView<'a> {
    /// The own epoch.
    pub own: Epoch,
    /// The two named checkpoints, newest first. With fewer than two nothing is deleted.
    pub named: [Option<&'a CheckpointSummary>; 2],
    /// The segments that reads need which are under way: of a message, perhaps, that was consumed meanwhile. A read that begins later is of one that waits.
    pub being_read: &'a SegmentSet,
}

/// Files that may go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deletable {
    /// Segments, in the order in which they should.
    pub segments: Vec<(Epoch, SegmentNumber)>,
    /// Files of checkpoints, after the segments, in the order in which they should: whose, and whether it holds pieces.
    pub checkpoints: Vec<(CheckpointName, bool)>,
}

impl Deletable {
    /// The files, in the order in which they should go: relative to the data directory.
    pub fn paths(&self) -> impl Iterator<Item = String> + '_ {
        let segments = self.segments.iter();
        let segments = segments.map(|(epoch, number)| names::segment(*epoch, *number));
        let checkpoints = self.checkpoints.iter().map(|(name, has_pieces)| match has_pieces {
            true => names::pieces(*name),
            false => names::checkpoint(*name),
        });
        segments.chain(checkpoints)
    }
}

/// The files that may go. `segments` and `checkpoints`: the names in these directories.
pub fn deletable(view: &DeletionView<'_>, segments: &[String], checkpoints: &[String]) -> Deletable {
    let [Some(newer), Some(older)] = view.named else {
        return Deletable::default();
    };
    let needed_by_older = |segment| match Mutant::DeleteReferredSegment.is_at_work() {
        true => segment >= older.start.segment,
        false => older.needs(segment),
    };
    let mut going: Vec<_> = segments
        .iter()
        .filter_map(|name| names::segment_of(name))
        .filter(|(epoch, number)| *epoch <= view.own && !newer.needs(*number) && !needed_by_older(*number))
        .filter(|(_, number)| !view.being_read.contains(*number))
        .collect();
    going.sort_by_key(|(epoch, number)| (*number, *epoch));

    let named = [newer.name, older.name];
    let newest = newer.name.max(older.name);
    let needed: BTreeSet<_> = [newer, older]
        .into_iter()
        .flat_map(|summary| summary.piece_files.iter().map(|(name, _)| *name))
        .collect();
    let mut files: Vec<_> = checkpoints
        .iter()
        .filter_map(|name| names::checkpoint_of(name))
        .filter(|(name, has_pieces)| {
            // An unnamed one of the own epoch that is newer than the newest named is being written.
            let abandoned = name.epoch < view.own || (name.epoch == view.own && *name < newest);
            let wanted = if *has_pieces {
                needed.contains(name)
            } else {
                named.contains(name)
            };
            abandoned && !wanted
        })
        .collect();
    files.sort();
    Deletable {
        segments: going,
        checkpoints: files,
    }
}

/// The entries of a SEALED list that recovery can still need: those of epochs that count since the older named checkpoint; all, if fewer than two are named.
pub fn needed_seals(sealed: &[EpochSeal], older: Option<&CheckpointSummary>) -> Vec<EpochSeal> {
    let from = older.map_or(0, |older| older.start.batch);
    sealed.iter().filter(|seal| seal.batch >= from).copied().collect()
}
