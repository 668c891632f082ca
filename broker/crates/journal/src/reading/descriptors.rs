//! Segments that are open for reading: a bounded number, the least recently used closed first.
//!
//! Invariant: a descriptor with a read out stays open. They are other descriptors than the writer's, whose locks must not go with them.

use std::collections::BTreeMap;

use platform::{Class, FileId, Files, Open, Operation, OperationId};
use record::SegmentNumber;

use crate::settings::READ_DESCRIPTORS_MAX;
use crate::{SegmentOwner, names};

/// An open segment.
#[derive(Clone, Copy, Debug)]
struct Descriptor {
    state: State,
    /// Reads out.
    users: u32,
    /// Rises with each use.
    used: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Opening(OperationId),
    Open(FileId),
}

/// Every segment that is open for reading.
pub(super) struct Descriptors {
    files: Files,
    by_segment: BTreeMap<SegmentNumber, Descriptor>,
    closing: Vec<OperationId>,
    uses: u64,
}

impl Descriptors {
    pub(super) fn new(files: Files) -> Descriptors {
        Descriptors {
            files,
            by_segment: BTreeMap::new(),
            closing: Vec::new(),
            uses: 0,
        }
    }

    /// Whether an operation opens or closes one of them.
    pub(super) fn is_mine(&self, id: OperationId) -> bool {
        self.closing.contains(&id) || self.opening(id).is_some()
    }

    /// An operation that is [mine](Descriptors::is_mine) succeeded; `Some(file)` if it opened one.
    pub(super) fn done(&mut self, id: OperationId, opened: Option<FileId>) {
        if let Some(index) = self.closing.iter().position(|closing| *closing == id) {
            self.closing.swap_remove(index);
        } else if let Some(descriptor) = self.opening(id).and_then(|segment| self.by_segment.get_mut(&segment))
            && let Some(file) = opened
        {
            descriptor.state = State::Open(file);
        }
    }

    /// A segment's descriptor with one more user, if it is open; else it is being opened, or waits until another can be closed.
    pub(super) fn take(&mut self, segment: SegmentNumber, owner: &SegmentOwner) -> Option<FileId> {
        self.uses += 1;
        if let Some(descriptor) = self.by_segment.get_mut(&segment) {
            descriptor.used = self.uses;
            return match descriptor.state {
                State::Opening(_) => None,
                State::Open(file) => {
                    descriptor.users += 1;
                    Some(file)
                }
            };
        }
        if self.by_segment.len() >= READ_DESCRIPTORS_MAX {
            let idle = self
                .by_segment
                .iter()
                .filter(|(_, descriptor)| descriptor.users == 0 && matches!(descriptor.state, State::Open(_)));
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
        self.by_segment.insert(
            segment,
            Descriptor {
                state: State::Opening(id),
                users: 0,
                used: self.uses,
            },
        );
        None
    }

    /// A read of this segment has come back.
    pub(super) fn give_back(&mut self, segment: SegmentNumber) {
        if let Some(descriptor) = self.by_segment.get_mut(&segment) {
            descriptor.users -= 1;
        }
    }

    /// Closes what is open of the segments that are gone. A read that is out keeps its descriptor: it is closed when this is called next.
    pub(super) fn forget(&mut self, is_gone: impl Fn(SegmentNumber) -> bool) {
        let idle = |(number, descriptor): (&SegmentNumber, &Descriptor)| {
            (is_gone(*number) && descriptor.users == 0).then_some(*number)
        };
        let gone: Vec<_> = self.by_segment.iter().filter_map(idle).collect();
        gone.into_iter().for_each(|number| self.close(number));
    }

    fn close(&mut self, segment: SegmentNumber) {
        if let Some(State::Open(file)) = self.by_segment.get(&segment).map(|descriptor| descriptor.state) {
            self.by_segment.remove(&segment);
            self.closing.push(self.files.submit(Operation::Close { file }));
        }
    }

    fn opening(&self, id: OperationId) -> Option<SegmentNumber> {
        let opening = |(_, descriptor): &(&SegmentNumber, &Descriptor)| descriptor.state == State::Opening(id);
        self.by_segment.iter().find(opening).map(|(number, _)| *number)
    }
}
