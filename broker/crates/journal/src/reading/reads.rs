//! Reads under way: from memory if the batch is not confirmed yet, else from the segment, a bounded number at a time. Neighbours are read together.
//!
//! ```text
//! waiting ─▶ out ─▶ done
//!    ▲        │
//!    └─ again ◀┘ the bytes do not match: once more, from the start, a second later; the third time the body counts as damaged
//! ```
//! A failed read is no damage: it ends the process.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use message::Message;
use platform::{BootTime, Class, Completion, DiskError, Files, Open, Operation, OperationId, Outcome};
use record::{Place, ReadToken, SegmentNumber, SegmentRange, SegmentSet, decode_message, message_id};

use super::assembly::{Assembly, Step};
use super::descriptors::Descriptors;
use super::job::{Fate, Job};
use crate::format::Seed;
use crate::settings::{READ_AGAIN_AFTER, READ_GAP_BYTES_MAX, READ_TOGETHER_BYTES_MAX, READS_IN_FLIGHT};
use crate::writer::Memory;
use crate::{Owners, names};

/// A message's bytes are not what was written: set it aside.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}, offset {offset}: {what}")]
pub struct Damaged {
    /// The message's id, as far as the damaged bytes tell it: nothing has verified them.
    pub message_id: Option<Arc<str>>,
    /// The file, relative to the data directory.
    pub file: String,
    /// Where the damaged chunk begins.
    pub offset: u64,
    /// What is wrong.
    pub what: &'static str,
}

/// Why a message cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk failed.
    #[error("{0}")]
    Io(#[from] DiskError),
    /// The bytes are damaged.
    #[error("{0}")]
    Damaged(#[from] Damaged),
}

/// One read of the disk, and the jobs that it is for.
struct Reading {
    segment: SegmentNumber,
    start: u64,
    end: u64,
    jobs: Vec<Job>,
}

impl Reading {
    fn of(job: Job) -> Reading {
        let place = job.assembly.place();
        Reading {
            segment: place.segment,
            start: place.offset.into(),
            end: u64::from(place.offset) + job.want as u64,
            jobs: vec![job],
        }
    }

    /// Whether a job lies so near that it costs less to read it along than to read it by itself.
    fn reaches(&self, job: &Job) -> bool {
        let (place, want) = (job.assembly.place(), job.want as u64);
        let offset = u64::from(place.offset);
        place.segment == self.segment
            && offset >= self.start
            && offset <= self.end + READ_GAP_BYTES_MAX
            && offset + want <= self.start + READ_TOGETHER_BYTES_MAX
    }

    fn add(&mut self, job: Job) {
        self.end = self.end.max(u64::from(job.assembly.place().offset) + job.want as u64);
        self.jobs.push(job);
    }

    /// What a job asked for, of the bytes that were read; fewer where the file ends.
    fn part(&self, job: &Job, bytes: &Bytes) -> Bytes {
        let from = usize::try_from(u64::from(job.assembly.place().offset) - self.start).unwrap_or(usize::MAX);
        let from = from.min(bytes.len());
        bytes.slice(from..from.saturating_add(job.want).min(bytes.len()))
    }
}

/// Every read of a journal that is not finished.
pub(crate) struct Reads {
    files: Files,
    /// For a free place or a descriptor.
    waiting: VecDeque<Job>,
    out: BTreeMap<OperationId, Reading>,
    /// To be read again, and when.
    again: Vec<(BootTime, Job)>,
    descriptors: Descriptors,
    finished: VecDeque<(ReadToken, Result<Arc<Message>, Damaged>)>,
}

impl Reads {
    pub(crate) fn new(files: Files) -> Reads {
        Reads {
            descriptors: Descriptors::new(files.clone()),
            files,
            waiting: VecDeque::new(),
            out: BTreeMap::new(),
            again: Vec::new(),
            finished: VecDeque::new(),
        }
    }

    /// Asks for a message. Nothing goes to the disk before [`Reads::pump`], so that neighbours which are asked for one after the other can be read together.
    pub(crate) fn start(&mut self, place: Place, token: ReadToken, owners: &Owners, memory: &Memory<'_>) {
        let mut job = Job::new(place, token);
        match job.take_held(owners, memory) {
            Some(result) => self.finished.push_back((token, result)),
            None => self.waiting.push_back(job),
        }
    }

    pub(crate) fn poll(&mut self) -> Option<(ReadToken, Result<Arc<Message>, Damaged>)> {
        self.finished.pop_front()
    }

    pub(crate) fn is_mine(&self, id: OperationId) -> bool {
        self.out.contains_key(&id) || self.descriptors.is_mine(id)
    }

    pub(crate) fn next_deadline(&self) -> Option<BootTime> {
        self.again.iter().map(|(at, _)| *at).min()
    }

    /// Starts what waits, and again what is due.
    pub(crate) fn pump(&mut self, now: BootTime, owners: &Owners) {
        let due = self.again.extract_if(.., |(at, _)| now >= *at).map(|(_, job)| job);
        self.waiting.extend(due);
        self.go_on(owners);
    }

    /// The segments in which the records lie that are being read.
    pub(crate) fn segments(&self) -> SegmentSet {
        let segments = |job: &Job| SegmentRange {
            first: job.place.record.segment,
            last: job.place.last_segment,
        };
        let out = self.out.values().flat_map(|reading| &reading.jobs);
        let again = self.again.iter().map(|(_, job)| job);
        self.waiting.iter().chain(out).chain(again).map(segments).collect()
    }

    /// Closes what is open of the segments that are gone. A read that is out keeps its descriptor: it is closed when this is called next.
    pub(crate) fn forget(&mut self, is_gone: impl Fn(SegmentNumber) -> bool) {
        self.descriptors.forget(is_gone);
    }

    /// Takes the completion of an own operation. Fails if the disk did.
    pub(crate) fn handle(
        &mut self,
        now: BootTime,
        id: OperationId,
        completion: Completion,
        owners: &Owners,
        memory: &Memory<'_>,
    ) -> Result<(), DiskError> {
        let outcome = completion?;
        match self.out.remove(&id) {
            Some(reading) => {
                let Outcome::Read(bytes) = outcome else {
                    unreachable!("the disk was asked to read and answered {outcome:?}")
                };
                self.descriptors.give_back(reading.segment);
                self.took(now, reading, &bytes, owners, memory);
            }
            None => {
                let opened = match outcome {
                    Outcome::Opened { file, .. } => Some(file),
                    _ => None,
                };
                self.descriptors.done(id, opened);
            }
        }
        self.go_on(owners);
        Ok(())
    }

    /// Gives the jobs of a reading their bytes.
    fn took(&mut self, now: BootTime, mut reading: Reading, bytes: &Bytes, owners: &Owners, memory: &Memory<'_>) {
        let mut unfinished = Vec::new();
        for mut job in std::mem::take(&mut reading.jobs) {
            let part = reading.part(&job, bytes);
            match job.handle(&part, bytes.len(), owners, memory) {
                Fate::Finished(result) => self.finished.push_back((job.token, result)),
                Fate::More => unfinished.push(job),
                Fate::Again => self.again.push((now + READ_AGAIN_AFTER, job)),
            }
        }
        // What was begun goes on before what was not.
        unfinished
            .into_iter()
            .rev()
            .for_each(|job| self.waiting.push_front(job));
    }

    /// Sends waiting reads to the disk, opening segments as needed.
    fn go_on(&mut self, owners: &Owners) {
        let mut index = 0;
        while self.out.len() < READS_IN_FLIGHT
            && let Some(job) = self.waiting.get(index)
        {
            let segment = job.assembly.place().segment;
            let owner = owners.of(segment).copied();
            let file = owner.and_then(|owner| self.descriptors.take(segment, &owner));
            if owner.is_some() && file.is_none() {
                index += 1;
                continue;
            }
            let job = self.waiting.remove(index).expect("it was looked at just now");
            let Some(file) = file else {
                self.finished.push_back((job.token, Err(job.unknown())));
                continue;
            };
            let mut reading = Reading::of(job);
            while self.waiting.get(index).is_some_and(|next| reading.reaches(next)) {
                reading.add(self.waiting.remove(index).expect("it was looked at just now"));
            }
            let id = self.files.submit(Operation::Read {
                file,
                offset: reading.start,
                length: usize::try_from(reading.end - reading.start).expect("a reading is short"),
            });
            self.out.insert(id, reading);
        }
    }
}

/// Reads one message; for tools. A mismatch is reported at once.
///
/// `NotFound` if the segment does not exist.
pub async fn read_message(files: &Files, owners: &Owners, place: Place) -> Result<Message, ReadError> {
    let mut assembly = Assembly::new(place);
    let mut want = assembly.guess();
    loop {
        let at = assembly.place();
        let damaged = |message_id, file: String, what| Damaged {
            message_id,
            file,
            offset: at.offset.into(),
            what,
        };
        let Some(owner) = owners.of(at.segment) else {
            let file = names::unknown_segment(at.segment);
            return Err(damaged(None, file, "nothing says which epoch wrote this segment").into());
        };
        let path = names::segment(owner.epoch, at.segment);
        let (file, _) = files.open(&path, Class::Segment, Open::Read).await?;
        let bytes = files.read(file, at.offset.into(), want).await;
        files.close(file).await?;
        let bytes = bytes?;
        match assembly.take(&bytes, bytes.len(), Seed::of(owner.nonce)) {
            Step::Need(more) if assembly.place() == at && more <= want => {
                return Err(damaged(assembly.message_id(&bytes), path, "the segment is cut short").into());
            }
            Step::Need(more) => want = more,
            Step::Mismatch(what) => return Err(damaged(assembly.message_id(&bytes), path, what).into()),
            Step::Done(message) => {
                return decode_message(&message).map_err(|error| damaged(message_id(&message), path, error.0).into());
            }
        }
    }
}
