//! Offline inspection: every file, batch and record as a row, and every damage with file and offset. Changes nothing.
//!
//! Unlike recovery it goes on behind damage: it looks for the next block at which a batch of the same claim begins. What is damage and what is only an end follows recovery's table: an incomplete
//! batch is damage if a seal, a later batch or the heartbeat says that it was confirmed.
//!
//! Invariant: memory is bounded by one record and one step of reading (`tests/journal/inspection.rs`). Deliberately absent: roots and claims, which the caller reads, and any repair.

mod walk;

use std::collections::{BTreeMap, BTreeSet};

use message::{Epoch, Sequence};
use platform::{DiskError, Files};
use record::{BatchPosition, CheckpointName, EpochSeal, Nonce, SegmentNumber};

use crate::checkpoint::read_index;
use crate::format::BatchHeader;
use crate::{CheckpointError, CheckpointSummary, Damage, names, read_checkpoint};

/// What the claims and roots say.
#[derive(Clone, Debug, Default)]
pub struct Inspection {
    /// Every claim's nonce.
    pub claims: BTreeMap<Epoch, Nonce>,
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
            Row::Damage(_) => self.totals.damages += 1,
            Row::Unused { .. } | Row::Foreign { .. } => {}
        }
        (self.take)(row);
    }

    fn damage(&mut self, file: String, offset: u64, what: impl Into<String>) {
        self.row(Row::Damage(Damage::new(file, offset, what)));
    }
}

/// Walks everything that lies in `journal/` and `checkpoints/`. Fails only if the disk does.
pub async fn inspect(files: Files, inspection: &Inspection, take: &mut dyn FnMut(Row)) -> Result<Totals, DiskError> {
    let mut rows = Rows {
        take,
        totals: Totals::default(),
    };
    let mut epochs: BTreeMap<Epoch, Vec<SegmentNumber>> = BTreeMap::new();
    for name in files.list(names::JOURNAL).await? {
        match names::segment_of(&name) {
            Some((epoch, number)) if inspection.claims.contains_key(&epoch) => {
                epochs.entry(epoch).or_default().push(number)
            }
            Some(_) | None => rows.row(Row::Foreign {
                file: format!("{}/{name}", names::JOURNAL),
            }),
        }
    }
    for seal in &inspection.sealed {
        epochs.entry(seal.epoch).or_default();
    }
    let needed = Needed::by_named(&files, inspection).await?;
    let mut existing = BTreeSet::new();
    for (epoch, mut segments) in epochs {
        let Some(nonce) = inspection.claims.get(&epoch) else {
            rows.damage(
                names::segment(epoch, SegmentNumber(0)),
                0,
                format!("epoch {epoch} is sealed, and there is no claim of it"),
            );
            continue;
        };
        segments.sort();
        existing.extend(segments.iter().copied());
        walk::epoch(&files, inspection, epoch, *nonce, &segments, &needed, &mut rows).await?;
    }
    for (missing, file) in needed.referred.iter().filter(|(number, _)| !existing.contains(number)) {
        let what = format!(
            "a named checkpoint refers to segment {}, and it does not exist",
            missing.0
        );
        rows.damage(file.clone(), 0, what);
    }
    checkpoints(&files, inspection, existing.first().copied(), &mut rows).await?;
    Ok(rows.totals)
}

/// What the named checkpoints need of the journal, as far as they can be read: a segment that none of them needs may be gone, wherever it lies.
#[derive(Default)]
struct Needed {
    /// From here on, every segment: replay starts nowhere before. Without a readable checkpoint it starts at the beginning.
    from: SegmentNumber,
    /// Before the segment in which their replay starts: what they refer to, with its file.
    referred: BTreeMap<SegmentNumber, String>,
}

impl Needed {
    async fn by_named(files: &Files, inspection: &Inspection) -> Result<Needed, DiskError> {
        let mut starts = Vec::new();
        let mut referred = BTreeMap::new();
        for name in inspection.named.into_iter().flatten() {
            let index = match read_index(files, name).await {
                Ok(index) => index,
                // Told of when it is read whole.
                Err(CheckpointError::Damaged(_)) => continue,
                Err(CheckpointError::Io(error)) => return Err(error),
            };
            starts.push(index.summary.start.segment);
            for number in index.summary.segments_before_start() {
                let mut owners = index.owners.iter();
                let owner = owners.find(|owner| owner.first <= number && number <= owner.last);
                let file = owner.map_or_else(
                    || format!("{}/*-{:08}", names::JOURNAL, number.0),
                    |owner| names::segment(owner.epoch, number),
                );
                referred.insert(number, file);
            }
        }
        Ok(Needed {
            from: starts.into_iter().min().unwrap_or_default(),
            referred,
        })
    }

    /// Whether replay reads it.
    fn replay_reads(&self, number: SegmentNumber) -> bool {
        number >= self.from && !self.referred.contains_key(&number)
    }
}

async fn checkpoints(
    files: &Files,
    inspection: &Inspection,
    lowest: Option<SegmentNumber>,
    rows: &mut Rows<'_>,
) -> Result<(), DiskError> {
    for name in files.list(names::CHECKPOINTS).await? {
        if names::checkpoint_of(&name).is_none_or(|(name, _)| !inspection.claims.contains_key(&name.epoch)) {
            rows.row(Row::Foreign {
                file: format!("{}/{name}", names::CHECKPOINTS),
            });
        }
    }
    for name in inspection.named.into_iter().flatten() {
        match read_checkpoint(files.clone(), name).await {
            Ok(loaded) => {
                let needed = loaded.summary.start.segment;
                if lowest.is_none_or(|lowest| needed < lowest) && loaded.summary.start.batch > 1 {
                    let what = format!(
                        "replay from the checkpoint starts in segment {}, and the lowest that exists is {:?}",
                        needed.0,
                        lowest.map(|lowest| lowest.0)
                    );
                    rows.damage(names::checkpoint(name), 0, what);
                }
                rows.row(Row::Checkpoint {
                    summary: loaded.summary,
                    pieces: loaded.pieces.len(),
                });
            }
            Err(CheckpointError::Damaged(damage)) => rows.row(Row::Damage(damage)),
            Err(CheckpointError::Io(error)) => return Err(error),
        }
    }
    Ok(())
}
