//! A queue, or a durable subscription, which is a queue that topics fill: what waits, who takes it, and what is in flight.
//!
//! Invariants: a message in `in_flight` is in the backlog and with nobody else; every delivery of a persistent message lies at or below the mark. Deliberately absent: the
//! choice of whom to serve (`dispatch.rs`), and records (`apply.rs`).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use message::selector::Selector;
use message::{ConnectionId, ConsumerId, Destination, MessageNumber, Sequence};
use record::ObjectId;

use crate::admin::Counters;
use crate::backlog::{Backlog, Position};
use crate::consumer::Consumer;
use crate::duplicates::Duplicates;
use crate::groups::Groups;
use crate::interest::{Interest, Turn};

/// What a queue is.
#[derive(Debug)]
pub(crate) enum Role {
    /// A queue.
    Queue(Destination),
    /// A queue that lives and dies with a connection.
    Temporary(Destination, ConnectionId),
    /// A durable subscription.
    Durable(Durable),
}

/// A durable subscription's definition.
#[derive(Clone, Debug)]
pub(crate) struct Durable {
    pub(crate) client_id: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) destinations: Vec<Destination>,
    pub(crate) selector: Option<Arc<Selector>>,
    pub(crate) no_local: bool,
}

impl Durable {
    /// Whether another definition takes the same messages.
    pub(crate) fn is_same(&self, other: &Durable) -> bool {
        let text = |durable: &Durable| durable.selector.as_deref().map(|selector| selector.text().to_owned());
        self.destinations == other.destinations && self.no_local == other.no_local && text(self) == text(other)
    }
}

/// How far deliveries may have gone.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mark {
    /// The highest number that may have been delivered.
    pub(crate) through: MessageNumber,
    /// The record that says so.
    pub(crate) sequence: Sequence,
    /// Where the mark stood when this epoch began: what lies at or below it goes out as redelivered.
    pub(crate) recovered: MessageNumber,
}

#[derive(Debug)]
struct Member {
    interest: u32,
    priority: i8,
    exclusive: bool,
    no_local: bool,
    served: u64,
    is_ready: bool,
}

/// One queue.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) id: ObjectId,
    pub(crate) role: Role,
    pub(crate) backlog: Backlog,
    pub(crate) duplicates: Duplicates,
    pub(crate) mark: Mark,
    /// The newest record that speaks of it.
    pub(crate) newest: Sequence,
    /// The record that made it.
    pub(crate) created: Sequence,
    /// Arrivals whose records may not be confirmed yet, oldest first.
    unconfirmed: VecDeque<(MessageNumber, Sequence)>,
    /// The newest record that counted redeliveries.
    pub(crate) counted: Sequence,
    pub(crate) counters: Counters,
    /// Connections that sent to it; not counted for temporary ones.
    pub(crate) producers: u64,
    pub(crate) browsers: u64,
    pub(crate) in_flight: BTreeSet<MessageNumber>,
    members: BTreeMap<ConsumerId, Member>,
    pub(crate) interests: BTreeMap<u32, Interest>,
    next_interest: u32,
    pub(crate) groups: Groups,
    pub(crate) exclusive: Option<ConsumerId>,
    /// Consumers that are still giving back what they had: nobody is served meanwhile, or the order would suffer.
    pub(crate) closing: u32,
    /// Deliveries so far: the clock of turns.
    turns: u64,
    /// Who sent what, kept while a consumer leaves out its own connection's messages.
    pub(crate) senders: BTreeMap<MessageNumber, ConnectionId>,
    /// Its consumers are about to be served.
    pub(crate) is_scheduled: bool,
    /// They are served step by step.
    pub(crate) is_queued: bool,
}

impl Queue {
    pub(crate) fn new(id: ObjectId, role: Role, newest: Sequence) -> Queue {
        Queue {
            id,
            role,
            backlog: Backlog::default(),
            duplicates: Duplicates::default(),
            mark: Mark::default(),
            newest,
            created: newest,
            unconfirmed: VecDeque::new(),
            counted: Sequence::NONE,
            counters: Counters::default(),
            producers: 0,
            browsers: 0,
            in_flight: BTreeSet::new(),
            members: BTreeMap::new(),
            interests: BTreeMap::new(),
            next_interest: 0,
            groups: Groups::default(),
            exclusive: None,
            closing: 0,
            turns: 0,
            senders: BTreeMap::new(),
            is_scheduled: false,
            is_queued: false,
        }
    }

    /// What logs and people call it.
    pub(crate) fn label(&self) -> Arc<str> {
        match &self.role {
            Role::Queue(destination) | Role::Temporary(destination, _) => destination.to_string().into(),
            Role::Durable(durable) => {
                format!("durable subscription {} of client {}", durable.name, durable.client_id).into()
            }
        }
    }

    /// Whose it is, if it lives and dies with a connection.
    pub(crate) fn owner(&self) -> Option<ConnectionId> {
        match &self.role {
            Role::Temporary(_, owner) => Some(*owner),
            Role::Queue(_) | Role::Durable(_) => None,
        }
    }

    /// Its destination, unless it is a durable subscription.
    pub(crate) fn destination(&self) -> Option<&Destination> {
        match &self.role {
            Role::Queue(destination) | Role::Temporary(destination, _) => Some(destination),
            Role::Durable(_) => None,
        }
    }

    /// The durable subscription that it is.
    pub(crate) fn durable(&self) -> Option<&Durable> {
        match &self.role {
            Role::Durable(durable) => Some(durable),
            Role::Queue(_) | Role::Temporary(..) => None,
        }
    }

    /// Whether records speak of it.
    pub(crate) fn is_recorded(&self) -> bool {
        match self.role {
            Role::Queue(_) | Role::Durable(_) => true,
            Role::Temporary(..) => false,
        }
    }

    /// Consumers, browsers not counted.
    pub(crate) fn consumers(&self) -> usize {
        self.members.len()
    }

    /// Its consumers.
    pub(crate) fn members(&self) -> impl Iterator<Item = ConsumerId> {
        self.members.keys().copied()
    }

    /// Something arrived with this record; `confirmed` is the newest confirmed one.
    pub(crate) fn arrived(&mut self, number: MessageNumber, sequence: Sequence, confirmed: Sequence) {
        while self
            .unconfirmed
            .front()
            .is_some_and(|(_, sequence)| *sequence <= confirmed)
        {
            self.unconfirmed.pop_front();
        }
        if sequence > confirmed {
            self.unconfirmed.push_back((number, sequence));
        }
        for interest in self.interests.values_mut() {
            interest.is_exhausted = false;
        }
    }

    /// The newest record that a delivery of this message rests on, its mark aside.
    pub(crate) fn rests_on(&self, number: MessageNumber) -> Sequence {
        let arrival = self.unconfirmed.binary_search_by_key(&number, |(number, _)| *number);
        let arrival = arrival.map_or(Sequence::NONE, |index| self.unconfirmed[index].1);
        arrival.max(self.counted).max(self.created)
    }

    /// Whether somebody's own messages are left out here.
    pub(crate) fn keeps_senders(&self) -> bool {
        self.members.values().any(|member| member.no_local)
    }

    /// Starts to serve a consumer.
    pub(crate) fn join(&mut self, consumer: &Consumer) {
        let no_local = consumer.no_local.then_some(consumer.id.connection);
        // A durable subscription's selector and owner decided when the message arrived.
        let (selector, no_local) = match self.role {
            Role::Durable(_) => (None, None),
            Role::Queue(_) | Role::Temporary(..) => (consumer.selector.as_ref(), no_local),
        };
        let same = self
            .interests
            .iter()
            .find(|(_, interest)| interest.wants(selector.map(|s| &**s), no_local));
        let id = match same {
            Some((id, _)) => *id,
            None => {
                self.next_interest += 1;
                let interest = Interest::new(selector.cloned(), no_local);
                self.interests.insert(self.next_interest, interest);
                self.next_interest
            }
        };
        let member = Member {
            interest: id,
            priority: consumer.priority,
            exclusive: consumer.exclusive,
            no_local: no_local.is_some(),
            served: 0,
            is_ready: false,
        };
        self.members.insert(consumer.id, member);
        if let Some(interest) = self.interests.get_mut(&id) {
            interest.members += 1;
        }
        if consumer.exclusive {
            let holder = self.exclusive.and_then(|holder| self.members.get(&holder));
            // As in ActiveMQ: a newcomer takes over if its priority is higher, or the highest there is.
            if holder.is_none_or(|holder| consumer.priority > holder.priority || consumer.priority == i8::MAX) {
                self.exclusive = Some(consumer.id);
            }
        }
        self.set_ready(consumer);
    }

    /// Serves a consumer no more. What it has in flight stays there: whoever calls this gives it back.
    pub(crate) fn leave(&mut self, consumer: ConsumerId) {
        let Some(member) = self.members.remove(&consumer) else {
            return;
        };
        if let Some(interest) = self.interests.get_mut(&member.interest) {
            interest.ready.remove(&turn(consumer, &member));
            interest.members -= 1;
            if interest.members == 0 {
                self.interests.remove(&member.interest);
            }
        }
        self.groups.end(consumer);
        for interest in self.interests.values_mut() {
            interest.unpark(consumer, usize::MAX);
        }
        if self.exclusive == Some(consumer) {
            let exclusive = self.members.iter().filter(|(_, member)| member.exclusive);
            self.exclusive = exclusive
                .max_by_key(|(id, member)| (member.priority, Reverse(**id)))
                .map(|(id, _)| *id);
        }
        if !self.keeps_senders() {
            self.senders.clear();
        }
        if self.members.is_empty() {
            // A map that is emptied keeps a node, which has room for eleven: three kilobytes for each queue that nobody serves any more.
            (self.members, self.interests) = (BTreeMap::new(), BTreeMap::new());
        }
    }

    /// A consumer has room.
    pub(crate) fn set_ready(&mut self, consumer: &Consumer) {
        let Some(member) = self.members.get_mut(&consumer.id) else {
            return;
        };
        if !member.is_ready {
            member.is_ready = true;
            let turn = turn(consumer.id, member);
            if let Some(interest) = self.interests.get_mut(&member.interest) {
                interest.ready.insert(turn);
                interest.unpark(consumer.id, consumer.room());
            }
        }
    }

    /// A consumer has no room. `true`: that is news.
    pub(crate) fn set_full(&mut self, consumer: ConsumerId) -> bool {
        let Some(member) = self.members.get_mut(&consumer) else {
            return false;
        };
        let is_news = std::mem::replace(&mut member.is_ready, false);
        let turn = turn(consumer, member);
        if is_news && let Some(interest) = self.interests.get_mut(&member.interest) {
            interest.ready.remove(&turn);
        }
        is_news
    }

    /// Whose turn it is, and in which interest; interests in `skip` have nothing to give now.
    pub(crate) fn next_turn(&self, skip: &[u32]) -> Option<(u32, Turn)> {
        if let Some(exclusive) = self.exclusive {
            let member = self.members.get(&exclusive)?;
            let interest = self.interests.get(&member.interest)?;
            let idle = !member.is_ready || interest.is_exhausted || skip.contains(&member.interest);
            return (!idle).then(|| (member.interest, turn(exclusive, member)));
        }
        let willing = self
            .interests
            .iter()
            .filter(|(id, interest)| !interest.is_exhausted && !skip.contains(id));
        willing
            .filter_map(|(id, interest)| Some((*interest.ready.first()?, *id)))
            .min()
            .map(|(turn, id)| (id, turn))
    }

    /// The interest that a consumer shares.
    pub(crate) fn interest_of(&self, consumer: ConsumerId) -> Option<u32> {
        self.members.get(&consumer).map(|member| member.interest)
    }

    /// A consumer was served: others come first now.
    pub(crate) fn served(&mut self, consumer: ConsumerId) {
        self.turns += 1;
        let Some(member) = self.members.get_mut(&consumer) else {
            return;
        };
        let before = turn(consumer, member);
        member.served = self.turns;
        if member.is_ready
            && let Some(interest) = self.interests.get_mut(&member.interest)
        {
            interest.ready.remove(&before);
            interest.ready.insert(turn(consumer, member));
        }
    }

    /// A message in flight is to be had again.
    pub(crate) fn give_back(&mut self, position: Position) {
        if self.in_flight.remove(&position.number) {
            for interest in self.interests.values_mut() {
                interest.give_back(position);
            }
        }
    }

    /// Everything up to a number is gone.
    pub(crate) fn purged(&mut self, through: MessageNumber) {
        let rest = MessageNumber(through.0.saturating_add(1));
        self.in_flight = self.in_flight.split_off(&rest);
        self.senders = self.senders.split_off(&rest);
    }

    /// A message is gone.
    pub(crate) fn forget(&mut self, number: MessageNumber) {
        self.in_flight.remove(&number);
        self.senders.remove(&number);
    }
}

fn turn(consumer: ConsumerId, member: &Member) -> Turn {
    Turn {
        priority: Reverse(member.priority),
        served: member.served,
        consumer,
    }
}
