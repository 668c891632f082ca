//! A consumer: what it wants, what it has, and how much more it may be sent.
//!
//! Invariant: `room` never grows but by an acknowledgement, a pull or the end of a transaction, and nothing is delivered without room. A delivery that was acknowledged in an open transaction takes no room:
//! a transaction may be larger than the prefetch (as in ActiveMQ).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use message::selector::Selector;
use message::{ConsumerId, DeliveryTag, Destination, Message, MessageNumber, Sequence, TransactionId};
use mutant::Mutant;
use record::ObjectId;

use crate::backlog::Position;
use crate::browser::Browser;
use crate::untaken::Untaken;

/// A delivery that is open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flight {
    pub(crate) what: InFlight,
    /// Acknowledged in this transaction, which is open.
    pub(crate) transaction: Option<TransactionId>,
}

/// What was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InFlight {
    /// A message of a queue or durable subscription, which waits there for its fate.
    Waiting { object: ObjectId, position: Position },
    /// A topic's message, or a look at one: nothing remains of it.
    Copy,
}

/// A topic's message that waits for a slow subscriber.
#[derive(Clone, Debug)]
pub(crate) struct PendingCopy {
    pub(crate) topic: ObjectId,
    pub(crate) number: MessageNumber,
    pub(crate) message: Arc<Message>,
    /// The record that it rests on.
    pub(crate) after: Sequence,
}

/// One consumer.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) id: ConsumerId,
    pub(crate) destinations: Vec<Destination>,
    pub(crate) selector: Option<Arc<Selector>>,
    pub(crate) no_local: bool,
    pub(crate) exclusive: bool,
    pub(crate) priority: i8,
    /// The durable subscription that it reads.
    pub(crate) durable: Option<ObjectId>,
    pub(crate) browser: Option<Browser>,
    prefetch: u32,
    pulls: u64,
    /// Its subscription is not answered yet: nothing goes to it before.
    pub(crate) is_starting: bool,
    /// Queues and durable subscriptions that serve it.
    pub(crate) queues: BTreeSet<ObjectId>,
    /// Topics that it hears.
    pub(crate) topics: BTreeSet<ObjectId>,
    /// Queues that passed it over because it had no room.
    pub(crate) passed_over: VecDeque<ObjectId>,
    pub(crate) flights: BTreeMap<DeliveryTag, Flight>,
    in_transactions: usize,
    last_tag: u64,
    /// What waits for it, of topics.
    pub(crate) pending: VecDeque<PendingCopy>,
    pub(crate) pending_bytes: usize,
    pub(crate) pending_max: usize,
    untaken: Rc<Untaken>,
}

/// What a consumer is made with.
pub(crate) struct Wish {
    pub(crate) id: ConsumerId,
    pub(crate) destinations: Vec<Destination>,
    pub(crate) selector: Option<Arc<Selector>>,
    pub(crate) no_local: bool,
    pub(crate) exclusive: bool,
    pub(crate) priority: i8,
    pub(crate) durable: Option<ObjectId>,
    pub(crate) browser: Option<Browser>,
    pub(crate) prefetch: u32,
    pub(crate) pending_max: usize,
    pub(crate) untaken: Rc<Untaken>,
}

impl Consumer {
    pub(crate) fn new(wish: Wish) -> Consumer {
        Consumer {
            id: wish.id,
            destinations: wish.destinations,
            selector: wish.selector,
            no_local: wish.no_local,
            exclusive: wish.exclusive,
            priority: wish.priority,
            durable: wish.durable,
            browser: wish.browser,
            prefetch: wish.prefetch,
            pulls: 0,
            is_starting: true,
            queues: BTreeSet::new(),
            topics: BTreeSet::new(),
            passed_over: VecDeque::new(),
            flights: BTreeMap::new(),
            in_transactions: 0,
            last_tag: 0,
            pending: VecDeque::new(),
            pending_bytes: 0,
            pending_max: wish.pending_max,
            untaken: wish.untaken,
        }
    }

    /// How many deliveries it may hold; 0: it asks for each.
    pub(crate) fn prefetch(&self) -> u32 {
        self.prefetch
    }

    /// Deliveries so far.
    pub(crate) fn dispatched(&self) -> u64 {
        self.last_tag
    }

    /// How many more deliveries it may be sent at this moment.
    pub(crate) fn room(&self) -> usize {
        match self.prefetch_room() {
            0 => 0,
            room if self.untaken.has_room() => room,
            _ => 0,
        }
    }

    /// How many messages may wait for it. Those that wait only because the client does not take what it was delivered are part of its prefetch.
    pub(crate) fn pending_messages_max(&self) -> usize {
        self.pending_max.saturating_add(self.prefetch_room())
    }

    /// How many more deliveries it may hold unacknowledged.
    fn prefetch_room(&self) -> usize {
        if self.is_starting {
            return 0;
        }
        if self.prefetch == 0 {
            return usize::try_from(self.pulls).unwrap_or(usize::MAX);
        }
        (self.prefetch as usize).saturating_sub(self.flights.len() - self.in_transactions)
    }

    /// Asks for more, if it has no prefetch.
    pub(crate) fn pull(&mut self, count: u32) {
        if self.prefetch == 0 {
            self.pulls = self.pulls.saturating_add(count.into());
        }
    }

    /// Starts a delivery.
    pub(crate) fn take_off(&mut self, what: InFlight, message: &Message) -> DeliveryTag {
        self.untaken.add(message.bytes_held());
        self.last_tag += 1;
        self.pulls = self.pulls.saturating_sub(1);
        let tag = DeliveryTag(self.last_tag);
        self.flights.insert(
            tag,
            Flight {
                what,
                transaction: None,
            },
        );
        tag
    }

    /// Ends a delivery.
    pub(crate) fn land(&mut self, tag: DeliveryTag) -> Option<Flight> {
        let flight = self.flights.remove(&tag)?;
        if flight.transaction.is_some() {
            self.in_transactions -= 1;
        }
        Some(flight)
    }

    /// Puts a delivery into a transaction.
    pub(crate) fn enlist(&mut self, tag: DeliveryTag, transaction: TransactionId) {
        if let Some(flight) = self.flights.get_mut(&tag)
            && flight.transaction.is_none()
        {
            flight.transaction = Some(transaction);
            self.in_transactions += 1;
        }
    }

    /// Whether a delivery from one tag to another is part of an open transaction.
    pub(crate) fn is_enlisted(&self, first: DeliveryTag, last: DeliveryTag) -> bool {
        self.in_transactions > 0
            && first <= last
            && self
                .flights
                .range(first..=last)
                .any(|(_, flight)| flight.transaction.is_some())
    }

    /// Takes a delivery out of its transaction: it is unacknowledged again.
    pub(crate) fn delist(&mut self, tag: DeliveryTag) {
        if let Some(flight) = self.flights.get_mut(&tag)
            && flight.transaction.take().is_some()
        {
            self.in_transactions -= 1;
        }
    }

    /// The open deliveries from one tag to another that are in no transaction.
    pub(crate) fn open(&self, first: DeliveryTag, last: DeliveryTag) -> Vec<(DeliveryTag, InFlight)> {
        if first > last {
            return Vec::new();
        }
        let open = self
            .flights
            .range(first..=last)
            .filter(|(_, flight)| flight.transaction.is_none());
        open.map(|(tag, flight)| (*tag, flight.what)).collect()
    }

    /// Adds a topic's message to what waits, and drops the oldest beyond the limits; how many were dropped, by topic.
    pub(crate) fn hold(&mut self, copy: PendingCopy, bytes_max: usize) -> Vec<ObjectId> {
        self.pending_bytes += copy.message.bytes_held();
        self.pending.push_back(copy);
        let mut dropped = Vec::new();
        let pending_max = self.pending_messages_max();
        while (self.pending.len() > pending_max || self.pending_bytes > bytes_max)
            && !Mutant::TopicLimitForgotten.is_at_work()
        {
            let Some(oldest) = self.next_pending() else { break };
            dropped.push(oldest.topic);
        }
        dropped
    }

    /// Takes the oldest message that waits.
    pub(crate) fn next_pending(&mut self) -> Option<PendingCopy> {
        let copy = self.pending.pop_front()?;
        self.pending_bytes -= copy.message.bytes_held();
        Some(copy)
    }
}
