//! The walk along the chain of batches.
//!
//! What does not fit in a sealed epoch is damage without exception:
//!
//! | row | in a sealed epoch | verdict |
//! |---|---|---|
//! | S1 | a batch that the seal counts is not whole or not there | damage |
//! | S2 | a batch lies beyond the sealed length | damage |
//! | S3 | the last batch is not the sealed one | damage |
//! | S4 | checkpoint and root do not agree on where replay starts | damage |
//!
//! In the predecessor's log, [`verdict`] decides, and:
//!
//! | row | in the predecessor's log | verdict |
//! |---|---|---|
//! | R8 | the batch that the heartbeat names is another one | damage |
//! | R9 | the log ends before the newest record that the checkpoint contains | damage |

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;
use message::{Epoch, Sequence};
use mutant::Mutant;
use platform::{BLOCK_BYTES, Class, DiskError, Files};
use record::{BatchPosition, EpochSeal, Nonce, SegmentNumber};

use super::load::{fall_back_lacks, load, nothing_without, segments_exist};
use super::replay::Replay;
use super::scan::look_behind;
use super::verdict::{Found, Later, Verdict, decide};
use super::{Predecessor, Recovered, RecoveryError, RecoveryPlan, RecoverySink, Tail, TailBatch, Warning};
use crate::format::{BatchHeader, HEADER_BYTES, HeaderFault, Seed};
use crate::settings::SEGMENT_BYTES;
use crate::stream::FileStream;
use crate::{Damage, Owners, ReplayStart, SegmentOwner, names};

/// Progress is told after so many bytes.
const PROGRESS_BYTES: u64 = 1 << 20;

/// Reads a history into `sink`: the checkpoint, the sealed epochs after it, the predecessor's log. Changes nothing on disk.
///
/// Before the seal, [`super::harden`] must have hardened [`Recovered::tail`].
pub async fn recover(
    files: Files,
    plan: RecoveryPlan,
    sink: Rc<RefCell<dyn RecoverySink>>,
) -> Result<Recovered, RecoveryError> {
    let mut checkpoints = load(&files, plan.checkpoints).await?;
    let mut owners = Owners::new();
    let mut start = ReplayStart::BEGINNING;
    let (mut through, mut engine_time, mut started_from) = (Sequence::NONE, 0, None);
    let loaded = checkpoints.loaded.take();
    for owner in loaded.iter().flat_map(|loaded| &loaded.owners) {
        owners.insert(*owner);
    }
    plan.sealed.iter().for_each(|seal| owners.insert(seal.into()));
    if let Some(predecessor) = &plan.predecessor {
        owners.insert(predecessor.owner());
    }
    if let Some(loaded) = loaded {
        let summary = loaded.summary;
        start = summary.start;
        (through, engine_time, started_from) = (summary.through, summary.engine_time, Some(summary.name));
        segments_exist(&files, &summary, &owners).await?;
        if let Some(older) = &checkpoints.fall_back {
            let lacks = fall_back_lacks(&files, older, &summary, &owners).await?;
            checkpoints.warnings.extend(lacks);
        }
        let restored = sink.borrow_mut().restore(&loaded.catalog, loaded.pieces);
        restored.map_err(|malformed| Damage::new(names::checkpoint(summary.name), 0, malformed.0))?;
    }

    let mut walk = Walk {
        files,
        start,
        started: false,
        segment: start.segment,
        offset: start.offset,
        next_batch: start.batch,
        previous_checksum: start.previous_checksum,
        engine_time,
        replay: Replay::new(sink.clone(), through, start.sequence),
        sink,
        bytes: 0,
        told: 0,
        of: bytes_at_most(&plan, &start),
        stream: None,
    };
    for seal in &plan.sealed {
        walk.sealed(seal, started_from.map(names::checkpoint)).await?;
    }
    let mut end = LogEnd::default();
    if let Some(predecessor) = &plan.predecessor {
        end = walk.log(predecessor, started_from.map(names::checkpoint)).await?;
        if walk.replay.next() <= through {
            let what = format!(
                "the log ends before record {}, and the checkpoint contains record {through}, which was confirmed [R9]",
                walk.replay.next()
            );
            return Err(Damage::in_segment(predecessor.epoch, walk.segment, walk.offset, what).into());
        }
    }
    walk.close().await?;
    if let Some(damage) = checkpoints
        .unusable
        .filter(|_| walk.next_batch == ReplayStart::BEGINNING.batch)
    {
        return Err(nothing_without(&damage));
    }
    checkpoints.warnings.extend(end.warning);
    Ok(Recovered {
        seal: end.seal,
        next_batch: walk.next_batch,
        next_sequence: walk.replay.next(),
        previous_checksum: walk.previous_checksum,
        engine_time: walk.engine_time,
        checkpoints: checkpoints.summaries,
        started_from,
        owners,
        tail: end.tail,
        records: walk.replay.records,
        bytes: walk.bytes,
        warnings: checkpoints.warnings,
        unread: checkpoints.fall_back.map(|older| older.unread),
    })
}

impl Predecessor {
    fn owner(&self) -> SegmentOwner {
        SegmentOwner {
            epoch: self.epoch,
            nonce: self.nonce,
            first: self.first_segment,
            last: self.highest_segment,
        }
    }
}

/// An upper bound of what replay reads, as long as segments have the default size.
fn bytes_at_most(plan: &RecoveryPlan, start: &ReplayStart) -> u64 {
    let segments = |first: SegmentNumber, last: SegmentNumber| {
        let first = first.max(start.segment);
        (u64::from(last.0) + 1).saturating_sub(first.0.into()) * u64::from(SEGMENT_BYTES)
    };
    let sealed = plan.sealed.iter().map(|seal| segments(seal.first, seal.last));
    let log = plan
        .predecessor
        .iter()
        .map(|log| segments(log.first_segment, log.highest_segment));
    sealed.chain(log).sum()
}

/// What the end of the predecessor's log comes to.
#[derive(Default)]
struct LogEnd {
    seal: Option<EpochSeal>,
    tail: Tail,
    warning: Option<Warning>,
}

/// What lies where the next batch should be.
enum Next {
    /// The batch, whole, with its payload.
    Batch(BatchHeader, Bytes),
    /// Something else.
    Stop(Found),
}

/// How far the chain has been followed.
struct Walk {
    files: Files,
    start: ReplayStart,
    /// Whether an epoch was begun: the first one may start in its middle.
    started: bool,
    segment: SegmentNumber,
    offset: u32,
    next_batch: u64,
    previous_checksum: u32,
    engine_time: u64,
    replay: Replay,
    sink: Rc<RefCell<dyn RecoverySink>>,
    bytes: u64,
    /// `bytes` when progress was last told.
    told: u64,
    of: u64,
    stream: Option<(SegmentNumber, FileStream)>,
}

impl Walk {
    /// Goes to where this epoch's part begins.
    fn begin(&mut self, epoch: Epoch, first: SegmentNumber, checkpoint: Option<String>) -> Result<(), RecoveryError> {
        let inside = !self.started && self.start.epoch == epoch;
        if !self.started && self.start.epoch > epoch {
            let what = format!(
                "replay starts at batch {} of epoch {}, and by the root that batch is epoch {epoch}'s [S4]",
                self.start.batch, self.start.epoch
            );
            return Err(Damage::new(checkpoint.unwrap_or_default(), 0, what).into());
        }
        self.started = true;
        (self.segment, self.offset) = if inside {
            (self.start.segment, self.start.offset)
        } else {
            (first, 0)
        };
        Ok(())
    }

    /// Replays what counts of a sealed epoch.
    async fn sealed(&mut self, seal: &EpochSeal, checkpoint: Option<String>) -> Result<(), RecoveryError> {
        if seal.batch < self.next_batch {
            if seal.batch + 1 == self.next_batch && seal.checksum != self.previous_checksum {
                let what = format!(
                    "replay starts behind another batch {} than the one that epoch {} was sealed with [S4]",
                    seal.batch, seal.epoch
                );
                return Err(Damage::new(checkpoint.unwrap_or_default(), 0, what).into());
            }
            return Ok(());
        }
        self.begin(seal.epoch, seal.first, checkpoint)?;
        while self.next_batch <= seal.batch {
            let (segment, offset) = (self.segment, self.offset);
            let damage = |what: String| RecoveryError::from(Damage::in_segment(seal.epoch, segment, offset, what));
            match self.next(seal.epoch, seal.nonce).await? {
                Next::Stop(found) => {
                    return Err(damage(format!(
                        "batch {} is sealed, and it is not there whole: {found} [S1]",
                        self.next_batch
                    )));
                }
                Next::Batch(header, payload) => {
                    let end = (segment, offset + header.extent());
                    if end > (seal.last, seal.length) {
                        return Err(damage(format!(
                            "batch {} lies beyond the sealed length [S2]",
                            header.number
                        )));
                    }
                    self.take(&header, &payload)?;
                }
            }
        }
        if self.previous_checksum != seal.checksum {
            let what = format!("batch {} is not the one that was sealed [S3]", seal.batch);
            return Err(Damage::in_segment(seal.epoch, self.segment, self.offset, what).into());
        }
        self.replay.end_of_epoch();
        Ok(())
    }

    /// Replays the predecessor's log to its end, and decides whether that is an end.
    async fn log(&mut self, log: &Predecessor, checkpoint: Option<String>) -> Result<LogEnd, RecoveryError> {
        self.begin(log.epoch, log.first_segment, checkpoint)?;
        let heartbeat = log.confirmed.filter(|_| !Mutant::IgnoreHeartbeatPosition.is_at_work());
        // Batches of this epoch before the place where replay starts are counted by that place alone.
        let mut end = (self.segment, self.offset);
        let mut counts = end != (log.first_segment, 0);
        let mut confirmed = heartbeat.map_or(0, |position| position.batch);
        let mut tail: VecDeque<TailBatch> = VecDeque::new();
        if let Some(position) = heartbeat
            && position.batch.checked_add(1) == Some(self.next_batch)
            && position.checksum != self.previous_checksum
        {
            return Err(other_batch(log, &position));
        }
        let found = loop {
            if self.segment > log.highest_segment {
                break Found::Unannounced;
            }
            let (header, payload) = match self.next(log.epoch, log.nonce).await? {
                Next::Batch(header, payload) => (header, payload),
                Next::Stop(found) => break found,
            };
            let position = BatchPosition {
                segment: header.segment,
                offset: header.offset,
                batch: header.number,
                checksum: header.checksum,
            };
            if let Some(named) = heartbeat
                && named.batch == position.batch
                && named != position
            {
                return Err(other_batch(log, &named));
            }
            self.take(&header, &payload)?;
            counts = true;
            end = (header.segment, header.offset + header.extent());
            tail.push_back(TailBatch {
                position,
                extent: header.extent(),
            });
            confirmed = confirmed.max(header.confirmed_through);
            while tail.front().is_some_and(|batch| batch.position.batch <= confirmed) {
                tail.pop_front();
            }
        };
        self.replay.end_of_epoch();

        let behind = look_behind(&self.files, log, self.segment, self.offset, self.next_batch).await?;
        let missing = behind.missing.filter(|_| found != Found::Missing);
        let (segment, offset) = missing.map_or((self.segment, self.offset), |segment| (segment, 0));
        let found = if missing.is_some() { Found::Missing } else { found };
        let confirms = behind.confirmed_through >= self.next_batch && !Mutant::IgnoreConfirmedThrough.is_at_work();
        let later = match (behind.written, confirms) {
            (_, true) => Later::Confirmed,
            (true, false) => Later::Unconfirmed,
            (false, false) => Later::Nothing,
        };
        let heartbeat_says = heartbeat.is_some_and(|position| position.batch >= self.next_batch);
        let file = names::segment(log.epoch, segment);
        let warning = match decide(found, later, heartbeat_says) {
            (row, Verdict::Damage(what)) => {
                let what = format!("{what} (batch {}) [{row}]", self.next_batch);
                return Err(Damage::new(file, offset.into(), what).into());
            }
            (_, Verdict::EndWithWarning) => Some(Warning::UnfinishedWrite { file, offset }),
            (_, Verdict::End) => None,
        };
        let seal = counts.then_some(EpochSeal {
            epoch: log.epoch,
            nonce: log.nonce,
            first: log.first_segment,
            last: end.0,
            length: end.1,
            batch: self.next_batch - 1,
            checksum: self.previous_checksum,
        });
        confirmed = confirmed.max(behind.confirmed_through);
        tail.retain(|batch| batch.position.batch > confirmed);
        let tail = Tail {
            epoch: log.epoch,
            nonce: log.nonce,
            batches: tail.into(),
        };
        Ok(LogEnd { seal, tail, warning })
    }

    /// Reads what lies where the next batch should be.
    async fn next(&mut self, epoch: Epoch, nonce: Nonce) -> Result<Next, DiskError> {
        if self.stream.as_ref().is_none_or(|(segment, _)| *segment != self.segment) {
            self.close().await?;
            let path = names::segment(epoch, self.segment);
            match FileStream::open(&self.files, path, Class::Segment, self.offset.into()).await? {
                Some(stream) => self.stream = Some((self.segment, stream)),
                None => return Ok(Next::Stop(Found::Missing)),
            }
        }
        let Some((_, stream)) = &mut self.stream else {
            return Ok(Next::Stop(Found::Missing));
        };
        let seed = Seed::of(nonce);
        let Some(block) = stream.get(self.offset.into(), BLOCK_BYTES).await? else {
            return Ok(Next::Stop(Found::Cut));
        };
        let header = match BatchHeader::read(&block, seed) {
            Ok(header) => header,
            Err(HeaderFault::Blank) if block.iter().all(|byte| *byte == 0) => return Ok(Next::Stop(Found::Blank)),
            Err(HeaderFault::Blank | HeaderFault::Broken) => return Ok(Next::Stop(Found::Broken)),
        };
        let in_place = (header.epoch, header.segment, header.offset) == (epoch, self.segment, self.offset);
        let in_chain = header.number == self.next_batch
            && (header.previous_checksum == self.previous_checksum || Mutant::AcceptWrongPreviousChecksum.is_at_work());
        if !in_place || !in_chain {
            return Ok(Next::Stop(Found::Broken));
        }
        let Some(batch) = stream.get(self.offset.into(), header.extent() as usize).await? else {
            return Ok(Next::Stop(Found::Cut));
        };
        if !header.is_whole(&batch, seed) {
            return Ok(Next::Stop(Found::Broken));
        }
        Ok(Next::Batch(
            header,
            batch.slice(HEADER_BYTES..HEADER_BYTES + header.payload as usize),
        ))
    }

    /// Applies a batch and goes on behind it.
    fn take(&mut self, header: &BatchHeader, payload: &Bytes) -> Result<(), RecoveryError> {
        self.replay.batch(header, payload)?;
        self.engine_time = self.engine_time.max(header.engine_time);
        self.next_batch += 1;
        self.previous_checksum = header.checksum;
        (self.segment, self.offset) = if header.last_of_segment {
            (SegmentNumber(self.segment.0 + 1), 0)
        } else {
            (self.segment, self.offset + header.extent())
        };
        self.bytes += u64::from(header.extent());
        if self.bytes >= self.told + PROGRESS_BYTES {
            self.told = self.bytes;
            self.sink.borrow_mut().progress(self.bytes, self.of.max(self.bytes));
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<(), DiskError> {
        match self.stream.take() {
            Some((_, stream)) => stream.close().await,
            None => Ok(()),
        }
    }
}

fn other_batch(log: &Predecessor, named: &BatchPosition) -> RecoveryError {
    let what = format!(
        "batch {} is not the one that the epoch's heartbeat says was confirmed [R8]",
        named.batch
    );
    Damage::in_segment(log.epoch, named.segment, named.offset, what).into()
}
