//! A topic: who hears it. It keeps nothing itself: what must last waits in durable subscriptions, what is slow waits with its consumer.

use std::collections::BTreeSet;

use message::{ConnectionId, ConsumerId, Destination, Sequence};
use record::ObjectId;

use crate::admin::Counters;
use crate::duplicates::Duplicates;

#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) destination: Destination,
    /// Whose it is, if it lives and dies with a connection.
    pub(crate) owner: Option<ConnectionId>,
    /// The newest record that made it, or a durable subscription of it, come or go.
    pub(crate) newest: Sequence,
    pub(crate) duplicates: Duplicates,
    /// Subscribers of the moment.
    pub(crate) subscribers: BTreeSet<ConsumerId>,
    /// Durable subscriptions.
    pub(crate) durables: BTreeSet<ObjectId>,
    pub(crate) counters: Counters,
    /// Connections that sent to it; not counted for temporary ones.
    pub(crate) producers: u64,
}

impl Topic {
    pub(crate) fn new(destination: Destination, owner: Option<ConnectionId>, newest: Sequence) -> Topic {
        Topic {
            destination,
            owner,
            newest,
            duplicates: Duplicates::default(),
            subscribers: BTreeSet::new(),
            durables: BTreeSet::new(),
            counters: Counters::default(),
            producers: 0,
        }
    }
}
