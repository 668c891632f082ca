//! What may be deleted: a pure decision.
//!
//! A segment goes when both named checkpoints lie wholly beyond it and neither refers to a byte in it, lower numbers first; a checkpoint's files go when neither named checkpoint
//! needs them. Deliberately absent: claims, which never go, and anything of a later epoch or of a name that no broker makes. The caller reads its fence between this decision and the first unlink.

use std::collections::BTreeSet;

use message::Epoch;
use record::EpochSeal;

use crate::{CheckpointSummary, names};

/// What the own root in force says, as far as deletion depends on it.
#[derive(Clone, Debug)]
pub struct DeletionView<'a> {
    /// The own epoch.
    pub own: Epoch,
    /// The two named checkpoints, newest first. With fewer than two nothing is deleted.
    pub named: [Option<&'a CheckpointSummary>; 2],
}

/// The files that may go, in the order in which they should: relative to the data directory. `segments` and `checkpoints`: the names in these directories.
pub fn deletable(view: &DeletionView<'_>, segments: &[String], checkpoints: &[String]) -> Vec<String> {
    let [Some(newer), Some(older)] = view.named else {
        return Vec::new();
    };
    let lowest = newer.lowest_segment.min(older.lowest_segment);
    let mut going: Vec<_> = segments
        .iter()
        .filter_map(|name| names::segment_of(name))
        .filter(|(epoch, number)| *epoch <= view.own && *number < lowest)
        .collect();
    going.sort_by_key(|(epoch, number)| (*number, *epoch));
    let mut going: Vec<String> = going
        .into_iter()
        .map(|(epoch, number)| names::segment(epoch, number))
        .collect();

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
    going.extend(files.into_iter().map(|(name, has_pieces)| {
        if has_pieces {
            names::pieces(name)
        } else {
            names::checkpoint(name)
        }
    }));
    going
}

/// The entries of a SEALED list that recovery can still need: those of epochs that count since the older named checkpoint; all, if fewer than two are named.
pub fn needed_seals(sealed: &[EpochSeal], older: Option<&CheckpointSummary>) -> Vec<EpochSeal> {
    let from = older.map_or(0, |older| older.start.batch);
    sealed.iter().filter(|seal| seal.batch >= from).copied().collect()
}
