//! Reads under way: from memory if the batch is not confirmed yet, else from the segment, a bounded number at a time.
//!
//! ```text
//! Waiting ─▶ Reading ─▶ done
//!    ▲          │
//!    └─ Again ◀─┘ the bytes do not match: once more, from the start, a second later; the third time the body counts as damaged
//! ```
//! A failed read is no damage: it ends the process.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use message::Message;
use platform::{BootTime, Class, Completion, DiskError, FileId, Files, Open, Operation, OperationId, Outcome};
use record::{Place, ReadToken, SegmentNumber, SegmentRange, SegmentSet, decode_message, message_id};

use super::assembly::{Assembly, Step};
use crate::format::Seed;
use crate::settings::{READ_AGAIN_AFTER, READ_ATTEMPTS, READ_DESCRIPTORS_MAX, READS_IN_FLIGHT};
use crate::writer::Memory;
use crate::{Owners, SegmentOwner, names};

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

/// One message that was asked for.
struct Job {
    token: ReadToken,
    place: Place,
    assembly: Assembly,
    /// Bytes to read next.
    want: usize,
    /// Readings that did not match.
    mismatches: u32,
    state: JobState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum JobState {
    /// For a free place or a descriptor.
    Waiting,
    /// Out to the disk.
    Reading(OperationId),
    /// To be read again.
    Again(BootTime),
}

/// An open segment.
#[derive(Clone, Copy, Debug)]
struct Descriptor {
    state: DescriptorState,
    /// Reads out.
    users: u32,
    /// Rises with each use.
    used: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DescriptorState {
    Opening(OperationId),
    Open(FileId),
}

/// Every read of a journal that is not finished.
pub(crate) struct Reads {
    files: Files,
    jobs: VecDeque<Job>,
    descriptors: BTreeMap<SegmentNumber, Descriptor>,
    closing: Vec<OperationId>,
    uses: u64,
    finished: VecDeque<(ReadToken, Result<Arc<Message>, Damaged>)>,
}

impl Reads {
    pub(crate) fn new(files: Files) -> Reads {
        Reads {
            files,
            jobs: VecDeque::new(),
            descriptors: BTreeMap::new(),
            closing: Vec::new(),
            uses: 0,
            finished: VecDeque::new(),
        }
    }

    pub(crate) fn start(&mut self, place: Place, token: ReadToken, owners: &Owners, memory: &Memory<'_>) {
        let assembly = Assembly::new(place);
        let mut job = Job {
            token,
            place,
            want: assembly.guess(),
            assembly,
            mismatches: 0,
            state: JobState::Waiting,
        };
        match job.take_held(owners, memory) {
            Some(result) => self.finished.push_back((token, result)),
            None => {
                self.jobs.push_back(job);
                self.go_on(owners);
            }
        }
    }

    pub(crate) fn poll(&mut self) -> Option<(ReadToken, Result<Arc<Message>, Damaged>)> {
        self.finished.pop_front()
    }

    pub(crate) fn is_mine(&self, id: OperationId) -> bool {
        self.closing.contains(&id)
            || self.jobs.iter().any(|job| job.state == JobState::Reading(id))
            || self.opening(id).is_some()
    }

    pub(crate) fn next_deadline(&self) -> Option<BootTime> {
        let again = self.jobs.iter().filter_map(|job| match job.state {
            JobState::Again(at) => Some(at),
            JobState::Waiting | JobState::Reading(_) => None,
        });
        again.min()
    }

    /// Starts again what is due.
    pub(crate) fn pump(&mut self, now: BootTime, owners: &Owners) {
        for job in &mut self.jobs {
            if let JobState::Again(at) = job.state
                && now >= at
            {
                job.state = JobState::Waiting;
            }
        }
        self.go_on(owners);
    }

    /// The segments in which the records lie that are being read.
    pub(crate) fn segments(&self) -> SegmentSet {
        let segments = |job: &Job| SegmentRange {
            first: job.place.record.segment,
            last: job.place.last_segment,
        };
        self.jobs.iter().map(segments).collect()
    }

    /// Closes what is open of the segments that are gone. A read that is out keeps its descriptor: it is closed when this is called next.
    pub(crate) fn forget(&mut self, is_gone: impl Fn(SegmentNumber) -> bool) {
        let idle = |(number, descriptor): (&SegmentNumber, &Descriptor)| {
            (is_gone(*number) && descriptor.users == 0).then_some(*number)
        };
        let gone: Vec<_> = self.descriptors.iter().filter_map(idle).collect();
        gone.into_iter().for_each(|number| self.close(number));
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
        if let Some(index) = self.closing.iter().position(|closing| *closing == id) {
            self.closing.swap_remove(index);
            completion?;
        } else if let Some(segment) = self.opening(id) {
            let file = match completion? {
                Outcome::Opened { file, .. } => file,
                other => unreachable!("the disk was asked to open and answered {other:?}"),
            };
            if let Some(descriptor) = self.descriptors.get_mut(&segment) {
                descriptor.state = DescriptorState::Open(file);
            }
        } else if let Some(index) = self.jobs.iter().position(|job| job.state == JobState::Reading(id)) {
            let bytes = match completion? {
                Outcome::Read(bytes) => bytes,
                other => unreachable!("the disk was asked to read and answered {other:?}"),
            };
            let mut job = self.jobs.remove(index).expect("its index was found above");
            if let Some(descriptor) = self.descriptors.get_mut(&job.assembly.place().segment) {
                descriptor.users -= 1;
            }
            job.state = JobState::Waiting;
            match self.took(now, &mut job, &bytes, owners, memory) {
                Some(result) => self.finished.push_back((job.token, result)),
                None => self.jobs.push_front(job),
            }
        }
        self.go_on(owners);
        Ok(())
    }

    /// Gives bytes from the disk to a job; `Some`: it is finished.
    fn took(
        &mut self,
        now: BootTime,
        job: &mut Job,
        bytes: &Bytes,
        owners: &Owners,
        memory: &Memory<'_>,
    ) -> Option<Result<Arc<Message>, Damaged>> {
        let (owner, what) = match job.took(bytes, owners) {
            Took::More => return job.take_held(owners, memory),
            Took::Done(message) => return Some(Ok(message)),
            Took::Unknown => return Some(Err(unknown(job))),
            Took::Mismatch(owner, what) => (owner, what),
        };
        job.mismatches += 1;
        if job.mismatches >= READ_ATTEMPTS {
            return Some(Err(damaged(job, bytes, &owner, what)));
        }
        job.assembly = Assembly::new(job.place);
        job.want = job.assembly.guess();
        job.state = JobState::Again(now + READ_AGAIN_AFTER);
        None
    }

    /// Sends waiting reads to the disk, opening segments as needed.
    fn go_on(&mut self, owners: &Owners) {
        let mut out = self
            .jobs
            .iter()
            .filter(|job| matches!(job.state, JobState::Reading(_)))
            .count();
        let mut index = 0;
        while index < self.jobs.len() && out < READS_IN_FLIGHT {
            if self.jobs[index].state != JobState::Waiting {
                index += 1;
                continue;
            }
            let place = self.jobs[index].assembly.place();
            let Some(owner) = owners.of(place.segment).copied() else {
                if let Some(job) = self.jobs.remove(index) {
                    self.finished.push_back((job.token, Err(unknown(&job))));
                }
                continue;
            };
            if let Some(file) = self.descriptor(place.segment, &owner) {
                let job = &mut self.jobs[index];
                job.state = JobState::Reading(self.files.submit(Operation::Read {
                    file,
                    offset: place.offset.into(),
                    length: job.want,
                }));
                out += 1;
            }
            index += 1;
        }
    }

    /// A segment's descriptor with one more user, if it is open; else it is being opened.
    fn descriptor(&mut self, segment: SegmentNumber, owner: &SegmentOwner) -> Option<FileId> {
        self.uses += 1;
        if let Some(descriptor) = self.descriptors.get_mut(&segment) {
            descriptor.used = self.uses;
            return match descriptor.state {
                DescriptorState::Opening(_) => None,
                DescriptorState::Open(file) => {
                    descriptor.users += 1;
                    Some(file)
                }
            };
        }
        if self.descriptors.len() >= READ_DESCRIPTORS_MAX {
            let idle = self.descriptors.iter().filter(|(_, descriptor)| {
                descriptor.users == 0 && matches!(descriptor.state, DescriptorState::Open(_))
            });
            let oldest = idle
                .min_by_key(|(_, descriptor)| descriptor.used)
                .map(|(number, _)| *number)?;
            self.close(oldest);
        }
        let id = self.files.submit(Operation::Open {
            path: names::segment(owner.epoch, segment),
            class: Class::Segment,
            how: Open::Read,
        });
        self.descriptors.insert(
            segment,
            Descriptor {
                state: DescriptorState::Opening(id),
                users: 0,
                used: self.uses,
            },
        );
        None
    }

    fn close(&mut self, segment: SegmentNumber) {
        if let Some(DescriptorState::Open(file)) = self.descriptors.get(&segment).map(|descriptor| descriptor.state) {
            self.descriptors.remove(&segment);
            self.closing.push(self.files.submit(Operation::Close { file }));
        }
    }

    fn opening(&self, id: OperationId) -> Option<SegmentNumber> {
        let opening =
            |(_, descriptor): &(&SegmentNumber, &Descriptor)| descriptor.state == DescriptorState::Opening(id);
        self.descriptors.iter().find(opening).map(|(number, _)| *number)
    }
}

/// What some bytes did for a job.
enum Took {
    /// It needs more: [`Job::want`] bytes at its assembly's place.
    More,
    Done(Arc<Message>),
    Mismatch(SegmentOwner, &'static str),
    /// Nothing says whose the segment is.
    Unknown,
}

impl Job {
    /// Takes what was found where [`Job::want`] bytes were asked for; fewer bytes mean that there are no more.
    fn took(&mut self, bytes: &Bytes, owners: &Owners) -> Took {
        let place = self.assembly.place();
        let Some(owner) = owners.of(place.segment).copied() else {
            return Took::Unknown;
        };
        match self.assembly.take(bytes, Seed::of(owner.nonce)) {
            Step::Need(_) if self.assembly.place() == place && bytes.len() < self.want => {
                Took::Mismatch(owner, "the chunk is cut short")
            }
            Step::Need(want) => {
                self.want = want;
                Took::More
            }
            Step::Mismatch(what) => Took::Mismatch(owner, what),
            Step::Done(message) => match decode_message(&message) {
                Ok(message) => Took::Done(Arc::new(message)),
                Err(malformed) => Took::Mismatch(owner, malformed.0),
            },
        }
    }

    /// Goes on as long as the batches are held in memory; `Some`: it is finished.
    fn take_held(&mut self, owners: &Owners, memory: &Memory<'_>) -> Option<Result<Arc<Message>, Damaged>> {
        loop {
            let bytes = memory.bytes_at(self.assembly.place(), self.want)?;
            match self.took(&bytes, owners) {
                Took::More => {}
                Took::Done(message) => return Some(Ok(message)),
                Took::Mismatch(owner, what) => return Some(Err(damaged(self, &bytes, &owner, what))),
                Took::Unknown => return Some(Err(unknown(self))),
            }
        }
    }
}

fn damaged(job: &Job, bytes: &Bytes, owner: &SegmentOwner, what: &'static str) -> Damaged {
    let place = job.assembly.place();
    Damaged {
        message_id: job.assembly.message_id(bytes),
        file: names::segment(owner.epoch, place.segment),
        offset: place.offset.into(),
        what,
    }
}

/// No checkpoint, seal or claim says who wrote the segment.
fn unknown(job: &Job) -> Damaged {
    let place = job.assembly.place();
    Damaged {
        message_id: None,
        file: names::unknown_segment(place.segment),
        offset: place.offset.into(),
        what: "nothing says which epoch wrote this segment",
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
        match assembly.take(&bytes, Seed::of(owner.nonce)) {
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
