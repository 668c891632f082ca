//! One message that was asked for, and what bytes do for it.

use std::sync::Arc;

use bytes::Bytes;
use message::Message;
use record::{Place, ReadToken, decode_message};

use super::assembly::{Assembly, Step};
use super::reads::Damaged;
use crate::format::Seed;
use crate::settings::READ_ATTEMPTS;
use crate::writer::Memory;
use crate::{Owners, SegmentOwner, names};

/// One message that was asked for.
pub(super) struct Job {
    pub(super) token: ReadToken,
    pub(super) place: Place,
    pub(super) assembly: Assembly,
    /// Bytes to read next, from the assembly's place on.
    pub(super) want: usize,
    /// Readings that did not match.
    mismatches: u32,
}

/// What bytes from the disk came to.
pub(super) enum Fate {
    Finished(Result<Arc<Message>, Damaged>),
    /// More is needed: [`Job::want`] bytes.
    More,
    /// They do not match: once more from the start, later.
    Again,
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
    pub(super) fn new(place: Place, token: ReadToken) -> Job {
        let assembly = Assembly::new(place);
        Job {
            token,
            place,
            want: assembly.guess(),
            assembly,
            mismatches: 0,
        }
    }

    /// Takes what the disk gave where [`Job::want`] bytes were asked for, as a part of a reading of `reading` bytes.
    pub(super) fn handle(&mut self, bytes: &Bytes, reading: usize, owners: &Owners, memory: &Memory<'_>) -> Fate {
        let (owner, what) = match self.took(bytes, reading, owners) {
            Took::More => return self.take_held(owners, memory).map_or(Fate::More, Fate::Finished),
            Took::Done(message) => return Fate::Finished(Ok(message)),
            Took::Unknown => return Fate::Finished(Err(self.unknown())),
            Took::Mismatch(owner, what) => (owner, what),
        };
        self.mismatches += 1;
        if self.mismatches >= READ_ATTEMPTS {
            return Fate::Finished(Err(self.damaged(bytes, &owner, what)));
        }
        self.assembly = Assembly::new(self.place);
        self.want = self.assembly.guess();
        Fate::Again
    }

    /// Goes on as long as the batches are held in memory; `Some`: it is finished.
    pub(super) fn take_held(&mut self, owners: &Owners, memory: &Memory<'_>) -> Option<Result<Arc<Message>, Damaged>> {
        loop {
            let bytes = memory.bytes_at(self.assembly.place(), self.want)?;
            match self.took(&bytes, bytes.len(), owners) {
                Took::More => {}
                Took::Done(message) => return Some(Ok(message)),
                Took::Mismatch(owner, what) => return Some(Err(self.damaged(&bytes, &owner, what))),
                Took::Unknown => return Some(Err(self.unknown())),
            }
        }
    }

    /// Fewer bytes than were wanted mean that there are no more.
    fn took(&mut self, bytes: &Bytes, reading: usize, owners: &Owners) -> Took {
        let place = self.assembly.place();
        let Some(owner) = owners.of(place.segment).copied() else {
            return Took::Unknown;
        };
        match self.assembly.take(bytes, reading, Seed::of(owner.nonce)) {
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

    fn damaged(&self, bytes: &Bytes, owner: &SegmentOwner, what: &'static str) -> Damaged {
        let place = self.assembly.place();
        Damaged {
            message_id: self.assembly.message_id(bytes),
            file: names::segment(owner.epoch, place.segment),
            offset: place.offset.into(),
            what,
        }
    }

    /// No checkpoint, seal or claim says who wrote the segment.
    pub(super) fn unknown(&self) -> Damaged {
        let place = self.assembly.place();
        Damaged {
            message_id: None,
            file: names::unknown_segment(place.segment),
            offset: place.offset.into(),
            what: "nothing says which epoch wrote this segment",
        }
    }
}
