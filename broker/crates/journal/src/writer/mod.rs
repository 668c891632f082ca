//! The writing side: append → batches → writes → confirmation, in order.
//!
//! [`Journal::append`](record::Store::append) encodes a record once, into the open batch; a batch that is full is closed at once and waits its turn. [`Journal::pump`] sends closed batches to the disk,
//! and closes the open one whenever fewer than `writes_in_flight` batches are out: a batch closes when the disk is free. A disk that keeps all of these places for [`NEXT_WRITE_AFTER`], with little to write, gets one
//! batch more, as long as that does not make it slower ([`Pace`]). Each write is the compound operation "write, then read the fence"; a batch is confirmed when that read said open and every batch before it is confirmed.
//!
//! Places are fixed when a batch opens, before its segment exists: segments of one epoch are numbered without gaps and are equally long.
//!
//! Invariants: batches go out in order and are confirmed in order; none goes into a segment that was not added; after the first failure nothing is confirmed any more
//! (`tests/journal/confirmation.rs`). Deliberately absent: any retry but the one after a lack of space, and creating segments.

mod batches;
mod open;
mod pace;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use message::{Epoch, Message, Sequence};
use platform::{BootTime, Completion, DiskError, DiskErrorKind, FileId, Files, Now, Operation, OperationId, Outcome};
use record::{
    BatchPosition, Fence, Leadership, Nonce, Place, ReadToken, Record, RecordPlace, SegmentNumber, SegmentSet, Store,
    Ticket,
};

use crate::format::Seed;
use crate::reading::{Damaged, Reads};
use crate::settings::{BUSY_DISK_BYTES, EMPTY_BATCH_AFTER, JournalSettings, NEXT_WRITE_AFTER, NO_SPACE_RETRY_AFTER};
use crate::{Owners, ReplayStart, SegmentOwner};
use batches::{Batch, State};
use open::OpenBatch;
use pace::Pace;

/// Where an epoch's journal starts.
#[derive(Clone, Debug)]
pub struct JournalStart {
    /// The own epoch.
    pub epoch: Epoch,
    /// The own claim's nonce.
    pub nonce: Nonce,
    /// The own claim, open.
    pub claim: FileId,
    /// Where its fence cell lies.
    pub fence_offset: u64,
    /// The first segment number that this epoch may use.
    pub first_segment: SegmentNumber,
    /// The number of the first batch.
    pub next_batch: u64,
    /// The sequence of the first record.
    pub next_sequence: Sequence,
    /// The checksum of the last batch that counts; 0 if there is none.
    pub previous_checksum: u32,
    /// Whose the segments of earlier epochs are.
    pub owners: Owners,
}

/// What became of a completion.
#[derive(Debug)]
pub enum Handled {
    /// The operation is not the journal's; here is its completion again.
    NotMine(Completion),
    /// The journal has moved on: ask what is confirmed and what was read, and pump.
    Progress,
}

/// Why nothing is confirmed any more: end the process at once. No retry, no flush, no polite close.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JournalFailure {
    /// A later epoch has taken over.
    #[error("epoch {by} has fenced this one: it leads now")]
    Fenced {
        /// Which.
        by: Epoch,
    },
    /// The disk failed.
    #[error("{0}")]
    Io(DiskError),
}

/// A segment that was announced and is being written, or will be.
#[derive(Clone, Copy, Debug)]
struct Announced {
    file: FileId,
}

/// The journal of the epoch that leads.
pub struct Journal {
    files: Files,
    settings: JournalSettings,
    epoch: Epoch,
    seed: Seed,
    owner: SegmentOwner,
    claim: FileId,
    fence_offset: u64,
    owners: Owners,
    /// Announced and not finished, by number.
    segments: BTreeMap<SegmentNumber, Announced>,
    /// The number of the segment that is added next.
    next_segment: SegmentNumber,
    finished: Vec<(SegmentNumber, FileId)>,
    open: OpenBatch,
    /// Closed and not confirmed, in order. Those that are out to the disk come first.
    batches: std::collections::VecDeque<Batch>,
    next_sequence: Sequence,
    confirmed: Sequence,
    /// The newest confirmed batch, of this epoch or before it.
    confirmed_batch: u64,
    confirmed_position: Option<BatchPosition>,
    empty_rule: EmptyRule,
    pace: Pace,
    engine_time: u64,
    failed: Option<JournalFailure>,
    reads: Reads,
    bytes_written: u64,
    /// Kept for their memory.
    scratch: Vec<u8>,
}

/// When an empty batch is due: its facts.
#[derive(Clone, Copy, Debug)]
struct EmptyRule {
    /// The newest closed batch with records.
    newest_with_records: u64,
    /// The highest number that a closed batch says is confirmed.
    said: u64,
    /// When `newest_with_records` was confirmed, if it is.
    confirmed_at: Option<BootTime>,
}

impl Journal {
    /// The journal of an epoch that has sealed. Everything before it counts as confirmed.
    pub fn new(files: Files, settings: JournalSettings, start: JournalStart) -> Journal {
        assert!(
            settings.are_sound(),
            "the journal's settings do not go together: {settings:?}"
        );
        let owner = SegmentOwner {
            epoch: start.epoch,
            nonce: start.nonce,
            first: start.first_segment,
            last: start.first_segment,
        };
        let mut owners = start.owners;
        owners.insert(owner);
        let confirmed_batch = start.next_batch - 1;
        Journal {
            reads: Reads::new(files.clone()),
            files,
            settings,
            epoch: start.epoch,
            seed: Seed::of(start.nonce),
            owner,
            claim: start.claim,
            fence_offset: start.fence_offset,
            owners,
            segments: BTreeMap::new(),
            next_segment: start.first_segment,
            finished: Vec::new(),
            open: OpenBatch::new(
                start.first_segment,
                0,
                start.next_batch,
                start.next_sequence,
                start.previous_checksum,
            ),
            batches: std::collections::VecDeque::new(),
            next_sequence: start.next_sequence,
            confirmed: Sequence(start.next_sequence.0 - 1),
            confirmed_batch,
            confirmed_position: None,
            empty_rule: EmptyRule {
                newest_with_records: 0,
                said: 0,
                confirmed_at: None,
            },
            pace: Pace::default(),
            engine_time: 0,
            failed: None,
            bytes_written: 0,
            scratch: Vec::new(),
        }
    }

    /// Adds the segment that [`Journal::wants_segment`] asked for. It is announced, locked and reserved with [`JournalSettings::segment_bytes`]: batches may go into it from now on.
    pub fn add_segment(&mut self, number: SegmentNumber, file: FileId, length: u32) {
        assert_eq!(number, self.next_segment, "segments are added in order, each once");
        assert_eq!(
            length, self.settings.segment_bytes,
            "places were given out for segments of the settings' length"
        );
        self.segments.insert(number, Announced { file });
        self.next_segment = SegmentNumber(number.0 + 1);
    }

    /// The segment that should be made ready now, so that one announced segment is free beside the one that is being written.
    pub fn wants_segment(&self) -> Option<SegmentNumber> {
        (self.next_segment.0 <= self.writing_segment().0 + 1).then_some(self.next_segment)
    }

    /// Announced segments into which nothing was written yet. At 1 or less, with no room for another, only acknowledgements, expiry and deletion should go on.
    pub fn free_segments(&self) -> u32 {
        let begun = u32::from(self.writing_offset() > 0);
        self.next_segment.0.saturating_sub(self.writing_segment().0 + begun)
    }

    /// Segments that are full and wholly confirmed since the last call: their locks and descriptors may go. Bodies are read through other descriptors.
    pub fn finished_segments(&mut self) -> Vec<(SegmentNumber, FileId)> {
        std::mem::take(&mut self.finished)
    }

    /// Sends to the disk what may go, closing the open batch if the disk is free; writes the empty batch that is due; repeats what is due for repetition.
    ///
    /// `engine_time`, in milliseconds since 1970, goes into the batches that are closed from now on.
    pub fn pump(&mut self, now: Now, engine_time: u64) {
        self.engine_time = self.engine_time.max(engine_time);
        if self.failed.is_some() {
            return;
        }
        for index in 0..self.batches.len() {
            if let State::NoSpace { retry_at } = self.batches[index].state
                && now.boot >= retry_at
            {
                self.submit(index, now.boot);
            }
        }
        while self.may_submit(now.boot) {
            let queued = self.batches.iter().position(|batch| batch.state == State::Queued);
            if let Some(index) = queued {
                self.submit(index, now.boot);
            } else if self.open.has_chunks() || self.empty_batch_due_at().is_some_and(|due| now.boot >= due) {
                self.close_open(true);
            } else {
                break;
            }
        }
        self.reads.pump(now.boot, &self.owners);
    }

    /// Takes the completion of an operation, if it is the journal's.
    ///
    /// Fails with the first failure, and from then on with the same for each of the journal's operations.
    pub fn handle(
        &mut self,
        now: Now,
        id: OperationId,
        completion: Completion,
        leadership: &dyn Leadership,
    ) -> Result<Handled, JournalFailure> {
        let writing = |batch: &Batch| matches!(batch.state, State::Writing { id: own, .. } if own == id);
        if let Some(index) = self.batches.iter().position(writing) {
            if let Some(failure) = &self.failed {
                return Err(failure.clone());
            }
            self.written(now.boot, index, completion, leadership)?;
            return Ok(Handled::Progress);
        }
        if !self.reads.is_mine(id) {
            return Ok(Handled::NotMine(completion));
        }
        if let Some(failure) = &self.failed {
            return Err(failure.clone());
        }
        let memory = Memory {
            batches: &self.batches,
            open: &self.open,
        };
        match self.reads.handle(now.boot, id, completion, &self.owners, &memory) {
            Ok(()) => Ok(Handled::Progress),
            Err(error) => self.fail(JournalFailure::Io(error)),
        }
    }

    /// A finished read of [`Store::read`], if there is one.
    pub fn poll_read(&mut self) -> Option<(ReadToken, Result<Arc<Message>, Damaged>)> {
        self.reads.poll()
    }

    /// The newest confirmed batch of this epoch, for the heartbeat.
    pub fn confirmed_position(&self) -> Option<BatchPosition> {
        self.confirmed_position
    }

    /// Since when the oldest write is out, for the stall rule. One that waits for space does not count.
    pub fn oldest_write_since(&self) -> Option<BootTime> {
        let since = self.batches.iter().filter_map(|batch| match batch.state {
            State::Writing { .. } => Some(batch.sent),
            State::Queued | State::NoSpace { .. } | State::Durable => None,
        });
        since.min()
    }

    /// Whether a write waits for space on the disk.
    pub fn lacks_space(&self) -> bool {
        let lacks = |batch: &Batch| matches!(batch.state, State::NoSpace { .. });
        self.batches.iter().any(lacks)
    }

    /// Where replay for an image taken now must start: at the open batch.
    pub fn replay_start(&self) -> ReplayStart {
        ReplayStart {
            epoch: self.epoch,
            segment: self.open.segment,
            offset: self.open.offset,
            batch: self.open.number,
            previous_checksum: self.open.previous_checksum,
            sequence: self.open.first_sequence,
        }
    }

    /// Whether a checkpoint of this image may be named: the newest record in it is confirmed, and so is every batch before the place where its replay starts.
    pub fn is_confirmed(&self, through: Sequence, start: &ReplayStart) -> bool {
        self.confirmed >= through && self.confirmed_batch + 1 >= start.batch
    }

    /// When [`Journal::pump`] wants to be called at the latest, if nothing else happens.
    pub fn next_deadline(&self) -> Option<BootTime> {
        if self.failed.is_some() {
            return None;
        }
        let retries = self.batches.iter().filter_map(|batch| match batch.state {
            State::NoSpace { retry_at } => Some(retry_at),
            State::Queued | State::Writing { .. } | State::Durable => None,
        });
        let empty = self.empty_batch_due_at().filter(|_| self.segment_is_ready());
        let has_more = self.open.has_chunks() || self.batches.back().is_some_and(|batch| batch.state == State::Queued);
        let place = self
            .place_free_at()
            .filter(|at| has_more && at.0 > 0 && !self.lacks_space() && self.segment_is_ready());
        retries
            .chain(place)
            .chain(empty)
            .chain(self.reads.next_deadline())
            .min()
    }

    /// The sequence of the newest record appended.
    pub fn appended(&self) -> Sequence {
        Sequence(self.next_sequence.0 - 1)
    }

    /// Bytes of batches confirmed since the start, padding included: drives checkpoints.
    pub fn bytes_written(&self) -> u64 {
        self.bytes_written
    }

    /// Bytes appended that are not confirmed yet; they are held in memory.
    pub fn bytes_unconfirmed(&self) -> usize {
        self.batches.iter().map(|batch| batch.blocks.len()).sum::<usize>() + self.open.blocks.len()
    }

    /// Whose each segment is, this epoch's included as far as places were given out.
    pub fn owners(&self) -> &Owners {
        &self.owners
    }

    /// The first failure, if there was one.
    pub fn failure(&self) -> Option<&JournalFailure> {
        self.failed.as_ref()
    }

    /// The segments that unfinished reads need, whether or not their messages still wait: they must not go yet.
    pub fn segments_being_read(&self) -> SegmentSet {
        self.reads.segments()
    }

    /// Closes the descriptors of segments that are gone.
    pub fn forget_segments(&mut self, is_gone: impl Fn(SegmentNumber) -> bool) {
        self.reads.forget(is_gone);
    }

    fn fail<T>(&mut self, failure: JournalFailure) -> Result<T, JournalFailure> {
        Err(self.failed.get_or_insert(failure).clone())
    }
}

/// What is appended and not confirmed, for reading it back.
pub(crate) struct Memory<'a> {
    batches: &'a std::collections::VecDeque<Batch>,
    open: &'a OpenBatch,
}

impl Memory<'_> {
    /// Up to `length` bytes from a place on, fewer only where its batch ends; `None` if that batch is not held.
    pub(crate) fn bytes_at(&self, place: RecordPlace, length: usize) -> Option<Bytes> {
        let held = |segment: SegmentNumber, offset: u32, bytes: &[u8]| {
            let from = (segment == place.segment)
                .then(|| place.offset.checked_sub(offset))
                .flatten()? as usize;
            (from < bytes.len()).then(|| Bytes::copy_from_slice(&bytes[from..bytes.len().min(from + length)]))
        };
        let closed = self.batches.iter();
        closed
            .map(|batch| (batch.position.segment, batch.position.offset, &batch.blocks[..]))
            .chain([(self.open.segment, self.open.offset, &self.open.blocks[..])])
            .find_map(|(segment, offset, bytes)| held(segment, offset, bytes))
    }
}

impl Store for Journal {
    fn append(&mut self, record: &Record) -> Ticket {
        self.append_record(record)
    }

    fn confirmed(&self) -> Sequence {
        self.confirmed
    }

    fn read(&mut self, place: Place, token: ReadToken) {
        let memory = Memory {
            batches: &self.batches,
            open: &self.open,
        };
        self.reads.start(place, token, &self.owners, &memory);
    }
}
