//! Closed batches: cut, sent, and confirmed in order.

use std::sync::Arc;

use mutant::Mutant;
use platform::Blocks;

use super::*;
use crate::format::{BatchHeader, CHUNK_HEADER_BYTES, HEADER_BYTES};

/// A record that does not fit into what is left of a batch is split only if at least this share of the batch is left, or if no batch could hold it.
const SPLIT_SHARE: usize = 16;

/// A closed batch.
pub(super) struct Batch {
    pub(super) position: BatchPosition,
    pub(super) blocks: Arc<Blocks>,
    pub(super) state: State,
    /// When it went out, the last time.
    pub(super) sent: BootTime,
    /// Whether as many others were out then as to any disk.
    beside_many: bool,
    /// The newest record that ends in it or before it.
    through: Sequence,
    last_of_segment: bool,
}

/// ```text
/// Queued ─▶ Writing ─▶ Durable ─▶ (confirmed, in order)
///              │  ▲
///              ▼  │
///            NoSpace
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Not sent yet.
    Queued,
    /// Out to the disk.
    Writing {
        /// As this operation.
        id: OperationId,
    },
    /// There was no space: the same bytes again.
    NoSpace {
        /// When.
        retry_at: BootTime,
    },
    /// The write returned, and the fence was open after it.
    Durable,
}

impl Journal {
    pub(super) fn append_record(&mut self, record: &Record) -> Ticket {
        let mut bytes = std::mem::take(&mut self.scratch);
        let mut messages = Vec::new();
        record.encode(&mut bytes, &mut messages);
        let sequence = self.next_sequence;
        let place = self.append_bytes(&bytes);
        let last_segment = self.open.segment;
        bytes.clear();
        bytes.shrink_to(self.settings.batch_bytes_max as usize);
        self.scratch = bytes;
        Ticket {
            sequence,
            place,
            last_segment,
            messages,
        }
    }

    fn append_bytes(&mut self, bytes: &[u8]) -> RecordPlace {
        let batch_bytes_max = self.settings.batch_bytes_max as usize;
        let largest = batch_bytes_max - HEADER_BYTES - CHUNK_HEADER_BYTES;
        let share_worth_splitting = batch_bytes_max / SPLIT_SHARE;
        let room = |open: &OpenBatch| (batch_bytes_max - open.blocks.len()).saturating_sub(CHUNK_HEADER_BYTES);
        if bytes.len() > room(&self.open)
            && (bytes.len() <= largest && room(&self.open) < share_worth_splitting || room(&self.open) == 0)
        {
            self.close_open(true);
        }
        let place = self.open.next_place();
        self.next_sequence = self.next_sequence.next();
        let mut left = bytes;
        loop {
            let first = left.len() == bytes.len();
            if left.len() <= room(&self.open) {
                self.open.add_chunk(left, first, true, false, self.seed);
                return place;
            }
            let (chunk, rest) = left.split_at(room(&self.open));
            let next_segment = self.ends_segment(self.settings.batch_bytes_max);
            self.open.add_chunk(chunk, first, false, next_segment, self.seed);
            self.close_open(false);
            left = rest;
        }
    }

    /// Whether a batch of this extent, at the open batch's place, is the last of its segment: what remains behind it is smaller than one full batch.
    fn ends_segment(&self, extent: u32) -> bool {
        self.settings.segment_bytes - self.open.offset - extent < self.settings.batch_bytes_max
    }

    /// Closes the open batch as it is and opens the next. `whole_record`: its last record ends in it.
    pub(super) fn close_open(&mut self, whole_record: bool) {
        let payload = (self.open.blocks.len() - HEADER_BYTES) as u32;
        let mut header = BatchHeader {
            last_of_segment: false,
            empty: payload == 0,
            epoch: self.epoch,
            segment: self.open.segment,
            offset: self.open.offset,
            payload,
            number: self.open.number,
            first_sequence: self.open.first_sequence,
            engine_time: self.engine_time,
            confirmed_through: self.confirmed_batch,
            previous_checksum: self.open.previous_checksum,
            checksum: 0,
        };
        header.last_of_segment = self.ends_segment(header.extent());
        let (segment, offset) = if header.last_of_segment {
            (SegmentNumber(self.open.segment.0 + 1), 0)
        } else {
            (self.open.segment, self.open.offset + header.extent())
        };
        // The next record to begin: a record that is not whole has its number already.
        let next = OpenBatch::new(segment, offset, self.open.number + 1, self.next_sequence, 0);
        let mut closed = std::mem::replace(&mut self.open, next);
        let checksum = header.finish(&mut closed.blocks, self.seed);
        self.open.previous_checksum = checksum;
        if header.last_of_segment {
            self.owner.last = segment;
            self.owners.insert(self.owner);
        }
        self.empty_rule.said = self.confirmed_batch;
        if !header.empty {
            self.empty_rule.newest_with_records = header.number;
            self.empty_rule.confirmed_at = None;
        }
        self.batches.push_back(Batch {
            position: BatchPosition {
                segment: header.segment,
                offset: header.offset,
                batch: header.number,
                checksum,
            },
            blocks: Arc::new(closed.blocks),
            state: State::Queued,
            sent: BootTime(0),
            beside_many: false,
            through: Sequence(self.next_sequence.0 - if whole_record { 1 } else { 2 }),
            last_of_segment: header.last_of_segment,
        });
    }

    /// The segment into which the next batch goes out.
    pub(super) fn writing_segment(&self) -> SegmentNumber {
        self.next_out().0
    }

    /// The offset at which the next batch goes out.
    pub(super) fn writing_offset(&self) -> u32 {
        self.next_out().1
    }

    fn next_out(&self) -> (SegmentNumber, u32) {
        let queued = self.batches.iter().find(|batch| batch.state == State::Queued);
        queued.map_or((self.open.segment, self.open.offset), |batch| {
            (batch.position.segment, batch.position.offset)
        })
    }

    /// Whether the next batch's segment was added.
    pub(super) fn segment_is_ready(&self) -> bool {
        self.segments.contains_key(&self.writing_segment())
    }

    /// Whether one more batch may go out: none waits for space, its segment is ready, and [`Journal::place_free_at`] has come.
    pub(super) fn may_submit(&self, now: BootTime) -> bool {
        let is_free = self.place_free_at().is_some_and(|at| now >= at);
        is_free && !self.lacks_space() && self.segment_is_ready()
    }

    /// From when on there is a place for one more batch, even if none of those that are out comes back.
    ///
    /// | batches out | bytes out | place |
    /// |---|---|---|
    /// | fewer than `writes_in_flight` | any | now |
    /// | fewer than four times as many | fewer than [`BUSY_DISK_BYTES`] | [`NEXT_WRITE_AFTER`] after the newest went out, if more get more done ([`Pace`]) |
    /// | fewer than four times as many | more | none |
    /// | more | any | none |
    pub(super) fn place_free_at(&self) -> Option<BootTime> {
        let (mut out, mut bytes, mut newest) = (0, 0, BootTime(0));
        for batch in self.batches.iter().take_while(|batch| batch.state != State::Queued) {
            out += 1;
            bytes += batch.blocks.len();
            newest = newest.max(batch.sent);
        }
        if out < self.settings.writes_in_flight {
            return Some(BootTime(0));
        }
        let is_far =
            out < self.settings.far_writes_in_flight() && bytes < BUSY_DISK_BYTES && self.pace.is_helped_by_more();
        is_far.then(|| newest + NEXT_WRITE_AFTER)
    }

    /// Sends a batch: for the first time, or the same bytes to the same place after a lack of space.
    pub(super) fn submit(&mut self, index: usize, now: BootTime) {
        let out = self.batches.iter().filter(|batch| batch.state != State::Queued).count();
        let batch = &mut self.batches[index];
        // What is sent again is out itself.
        batch.beside_many = batch.state == State::Queued && out >= self.settings.writes_in_flight;
        let segment = self.segments.get(&batch.position.segment);
        let file = segment.expect("a batch goes out only when its segment was added, and a segment goes only when its batches are confirmed").file;
        let id = self.files.submit(Operation::WriteThenRead {
            file,
            offset: batch.position.offset.into(),
            blocks: batch.blocks.clone(),
            read_file: self.claim,
            read_offset: self.fence_offset,
        });
        batch.state = State::Writing { id };
        batch.sent = now;
        if Mutant::ConfirmBeforeWriteReturned.is_at_work() {
            self.confirmed = self.confirmed.max(self.batches[index].through);
        }
    }

    /// The write of a batch came back.
    pub(super) fn written(
        &mut self,
        now: BootTime,
        index: usize,
        completion: Completion,
        leadership: &dyn Leadership,
    ) -> Result<(), JournalFailure> {
        let State::Writing { .. } = self.batches[index].state else {
            unreachable!("only a batch that is being written comes back")
        };
        let fence = match completion {
            Ok(Outcome::Read(fence_cell)) => leadership.confirm(&fence_cell),
            Ok(other) => unreachable!("the disk was asked to write and read and answered {other:?}"),
            Err(error) if error.kind == DiskErrorKind::NoSpace => {
                self.batches[index].state = State::NoSpace {
                    retry_at: now + NO_SPACE_RETRY_AFTER,
                };
                return Ok(());
            }
            Err(error) => return self.fail(JournalFailure::Io(error)),
        };
        match fence {
            Fence::Open => {}
            Fence::Fenced { .. } if Mutant::NoFenceRead.is_at_work() => {}
            Fence::Fenced { by } => return self.fail(JournalFailure::Fenced { by }),
        }
        let batch = &mut self.batches[index];
        batch.state = State::Durable;
        self.pace.took(now, now.since(batch.sent), batch.beside_many);
        if Mutant::ConfirmOutOfOrder.is_at_work() {
            self.confirmed = self.confirmed.max(self.batches[index].through);
        }
        while self.batches.front().is_some_and(|batch| batch.state == State::Durable) {
            let batch = self.batches.pop_front().expect("the loop's condition saw it");
            self.confirm(now, &batch);
        }
        Ok(())
    }

    fn confirm(&mut self, now: BootTime, batch: &Batch) {
        assert_eq!(
            batch.position.batch,
            self.confirmed_batch + 1,
            "batches are confirmed in order"
        );
        self.confirmed_batch = batch.position.batch;
        self.confirmed_position = Some(batch.position);
        self.confirmed = self.confirmed.max(batch.through);
        self.bytes_written += batch.blocks.len() as u64;
        if self.confirmed_batch == self.empty_rule.newest_with_records {
            self.empty_rule.confirmed_at = Some(now);
        }
        if batch.last_of_segment
            && let Some(segment) = self.segments.remove(&batch.position.segment)
        {
            self.finished.push((batch.position.segment, segment.file));
        }
    }

    /// When an empty batch is due: the newest batch with records is confirmed, no later batch says so, and a second has passed.
    pub(super) fn empty_batch_due_at(&self) -> Option<BootTime> {
        let rule = &self.empty_rule;
        let unsaid = rule.said < rule.newest_with_records && !self.open.has_chunks();
        rule.confirmed_at.filter(|_| unsaid).map(|at| at + EMPTY_BATCH_AFTER)
    }
}
