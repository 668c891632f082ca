//! Bodies that were asked of the store and have not come back.
//!
//! Invariant: one read per message at a time, however many wait for it.

use std::collections::BTreeMap;

use message::{ConsumerId, MessageNumber};
use record::{ObjectId, Place, ReadToken, Store};

/// Who waits for a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiter {
    /// The consumers of a queue or durable subscription.
    Consumers(ObjectId),
    /// A browser that looks through this queue.
    Browser(ConsumerId, ObjectId),
    /// A message of this object on its way to the dead-letter queue.
    DeadLetter(ObjectId),
    /// An administrator's browse of this queue; its number.
    Administrator(u64, ObjectId),
    /// An administrator's move out of this queue; its number.
    Transfer(u64, ObjectId),
}

impl Waiter {
    /// Where the message waits.
    pub(crate) fn object(self) -> ObjectId {
        match self {
            Waiter::Consumers(object)
            | Waiter::Browser(_, object)
            | Waiter::DeadLetter(object)
            | Waiter::Administrator(_, object)
            | Waiter::Transfer(_, object) => object,
        }
    }
}

/// Outstanding reads.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    next_token: u64,
    tokens: BTreeMap<ReadToken, MessageNumber>,
    waiting: BTreeMap<MessageNumber, Vec<Waiter>>,
}

impl Reads {
    /// Reads not returned.
    pub(crate) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether somebody waits for this body already.
    pub(crate) fn is_waiting(&self, number: MessageNumber, waiter: Waiter) -> bool {
        self.waiting
            .get(&number)
            .is_some_and(|waiters| waiters.contains(&waiter))
    }

    /// Asks for a body on behalf of somebody.
    pub(crate) fn ask(&mut self, store: &mut dyn Store, number: MessageNumber, place: Place, waiter: Waiter) {
        if let Some(waiters) = self.waiting.get_mut(&number) {
            if !waiters.contains(&waiter) {
                waiters.push(waiter);
            }
            return;
        }
        self.next_token += 1;
        let token = ReadToken(self.next_token);
        self.tokens.insert(token, number);
        self.waiting.insert(number, vec![waiter]);
        store.read(place, token);
    }

    /// A read came back: which message, and who waited. `None`: not one of ours.
    pub(crate) fn returned(&mut self, token: ReadToken) -> Option<(MessageNumber, Vec<Waiter>)> {
        let number = self.tokens.remove(&token)?;
        Some((number, self.waiting.remove(&number).unwrap_or_default()))
    }
}
