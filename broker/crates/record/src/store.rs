//! The two seams that later work stands on: where records go, and who may lead.

use message::{Epoch, Sequence};

use crate::{Place, Record, RecordPlace, SegmentNumber};

/// Keeps records, in order.
pub trait Store {
    /// Adds a record to the history. It is not confirmed yet: nothing that rests on it may become visible.
    fn append(&mut self, record: &Record) -> Ticket;

    /// The newest record that nothing can undo any more.
    fn confirmed(&self) -> Sequence;

    /// Asks for a message's bytes; the owner of the store hands them back with the token. A store may wait for more to be asked for before it begins, until its owner's next turn.
    fn read(&mut self, place: Place, token: ReadToken);
}

/// What a store gives for a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The record's place in the history.
    pub sequence: Sequence,
    /// Where it begins.
    pub place: RecordPlace,
    /// The segment that holds its last chunk.
    pub last_segment: SegmentNumber,
    /// Where each of its messages lies within it: bytes before it, and its length, in the order in which the record lists them.
    pub messages: Vec<(u32, u32)>,
}

impl Ticket {
    /// Where the record's message `index` lies.
    pub fn message_place(&self, index: usize) -> Place {
        let (skip, length) = self.messages[index];
        Place {
            record: self.place,
            last_segment: self.last_segment,
            skip,
            length,
        }
    }
}

/// Names a read, chosen by whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadToken(pub u64);

/// What one look at the own fence says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// Nobody has fenced this epoch.
    Open,
    /// A later epoch has: nothing may be confirmed any more.
    Fenced {
        /// Which.
        by: Epoch,
    },
}

/// Who may write the history. The shared-file protocol is the first implementation.
pub trait Leadership {
    /// The epoch that leads, if this is it.
    fn epoch(&self) -> Option<Epoch>;

    /// What a fence cell's bytes say; a damaged one counts as fenced.
    fn confirm(&self, fence_cell: &[u8]) -> Fence;

    /// Gives leadership up; nothing is confirmed from here on.
    fn resign(&mut self);
}
