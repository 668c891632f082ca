//! Offline inspection: every file, batch and record as a row, and every damage with file and offset. Changes nothing.
//!
//! Unlike recovery it goes on behind damage: it looks for the next block at which a batch of the same claim begins. What is damage and what is only an end follows recovery's table: an incomplete
//! batch is damage if a seal, a later batch or the heartbeat says that it was confirmed.
//!
//! What checkpoints and roots refer to is looked at first, while it is as fresh as the claims that the caller read: a running broker deletes what it no longer needs. One hurt is told once: what the
//! walk names in a file is not said again of the messages in it.
//!
//! Invariant: memory is bounded by one record, one step of reading and the named checkpoints (`tests/journal/inspection.rs`). Deliberately absent: roots and claims, which the caller reads, and any repair.

mod references;
mod segments;
mod walk;

use std::collections::{BTreeMap, BTreeSet};

use message::{Epoch, Sequence};
use platform::{DiskError, DiskErrorKind, Files};
use record::{BatchPosition, CheckpointName, EpochSeal, Nonce, SegmentNumber};

use crate::format::BatchHeader;
use crate::{CheckpointSummary, Damage, SegmentOwner, names};
use references::References;
use segments::Segments;

/// Missing segments of an epoch that are named one by one. A number far from the others, in the name of a file or in what refers to files, must not make a row for each number between.
const MISSING_NAMED_MAX: usize = 1000;

/// What the claims and roots say.
#[derive(Clone, Debug, Default)]
pub struct Inspection {
    /// Every claim's nonce.
    pub claims: BTreeMap<Epoch, Nonce>,
    /// The segments that the root of each claim that led announces; the last is the newest leader's.
    pub announced: BTreeMap<Epoch, SegmentOwner>,
    /// The SEALED list in force.
    pub sealed: Vec<EpochSeal>,
    /// The checkpoints that the root in force names, newest first.
    pub named: [Option<CheckpointName>; 2],
    /// The confirmed position in the newest leader's heartbeat, and whose it is.
    pub confirmed: Option<(Epoch, BatchPosition)>,
    /// Whether records get rows of their own.
    pub with_records: bool,
}

/// Whether a batch belongs to the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It counts, or will when its epoch is sealed.
    Counts,
    /// It lies beyond its epoch's seal or behind the end of the log: nothing reads it.
    Dead,
}

/// One finding.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// A segment begins.
    Segment {
        /// The file.
        file: String,
        /// Its epoch.
        epoch: Epoch,
        /// Its number.
        number: SegmentNumber,
        /// Its length.
        bytes: u64,
    },
    /// A whole batch.
    Batch {
        /// The file.
        file: String,
        /// What it says of itself.
        header: BatchHeader,
        /// Whether it counts.
        standing: Standing,
    },
    /// A whole record that counts.
    Record {
        /// The file in which it begins.
        file: String,
        /// Where.
        offset: u64,
        /// Its sequence.
        sequence: Sequence,
        /// What it is.
        kind: &'static str,
        /// Its length.
        bytes: u64,
        /// Messages in it.
        messages: u32,
    },
    /// Behind the last batch of a segment: space that was never used, or an unfinished write that nothing shows as confirmed.
    Unused {
        /// The file.
        file: String,
        /// From here on.
        offset: u64,
        /// So many bytes.
        bytes: u64,
        /// Whether something other than zeros lies there.
        written: bool,
    },
    /// A named checkpoint, whole with its pieces.
    Checkpoint {
        /// What it refers to.
        summary: CheckpointSummary,
        /// Its pieces.
        pieces: usize,
    },
    /// A file that no claim explains, or that no broker makes.
    Foreign {
        /// The file.
        file: String,
    },
    /// Something is wrong.
    Damage(Damage),
}

/// What an inspection came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Segments.
    pub segments: u64,
    /// Whole batches.
    pub batches: u64,
    /// Records that count.
    pub records: u64,
    /// Checkpoints read.
    pub checkpoints: u64,
    /// Bytes of segments.
    pub bytes: u64,
    /// Damages.
    pub damages: u64,
}

/// Takes rows and counts them.
struct Rows<'a> {
    take: &'a mut dyn FnMut(Row),
    totals: Totals,
    /// The files in which something is wrong.
    damaged: BTreeSet<String>,
}

impl Rows<'_> {
    fn row(&mut self, row: Row) {
        match &row {
            Row::Segment { bytes, .. } => {
                self.totals.segments += 1;
                self.totals.bytes += bytes;
            }
            Row::Batch { .. } => self.totals.batches += 1,
            Row::Record { .. } => self.totals.records += 1,
            Row::Checkpoint { .. } => self.totals.checkpoints += 1,
            Row::Damage(damage) => {
                self.totals.damages += 1;
                self.damaged.insert(damage.file.clone());
            }
            Row::Unused { .. } | Row::Foreign { .. } => {}
        }
        (self.take)(row);
    }

    fn damage(&mut self, file: String, offset: u64, what: impl Into<String>) {
        self.row(Row::Damage(Damage::new(file, offset, what)));
    }
}

/// Walks everything that lies in `journal/` and `checkpoints/`. Fails only if the disk does; a directory that does not exist holds nothing.
pub async fn inspect(files: Files, inspection: &Inspection, take: &mut dyn FnMut(Row)) -> Result<Totals, DiskError> {
    let mut rows = Rows {
        take,
        totals: Totals::default(),
        damaged: BTreeSet::new(),
    };
    let segments = Segments::list(&files).await?;
    segments.announced_before_written(&files, inspection, &mut rows).await?;
    let references = References::read(&files, inspection, &segments).await?;
    // What wrote a segment is also known without its claim; claims are the caller's to judge.
    let mut nonces = inspection.claims.clone();
    nonces.extend(references.owners.iter().map(|owner| (owner.epoch, owner.nonce)));
    segments.foreign(&nonces, &mut rows);
    references.missing(inspection, &segments, &mut rows);
    for (epoch, nonce) in &nonces {
        let numbers = segments.of(*epoch);
        walk::epoch(
            &files,
            inspection,
            (&nonces, &references),
            *epoch,
            *nonce,
            &numbers,
            &mut rows,
        )
        .await?;
    }
    segments.cut(inspection, &mut rows);
    for name in listed(&files, names::CHECKPOINTS).await? {
        if names::checkpoint_of(&name).is_none_or(|(name, _)| !nonces.contains_key(&name.epoch)) {
            rows.row(Row::Foreign {
                file: format!("{}/{name}", names::CHECKPOINTS),
            });
        }
    }
    references.tell(&mut rows);
    Ok(rows.totals)
}

async fn listed(files: &Files, directory: &str) -> Result<Vec<String>, DiskError> {
    match files.list(directory).await {
        Err(error) if error.kind == DiskErrorKind::NotFound => Ok(Vec::new()),
        listed => listed,
    }
}
