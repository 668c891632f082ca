//! The entry: what goes in and comes out, and the order in which a step does things.
//!
//! Every call is one step. It does what was asked, then serves whoever can be served with what that changed (`settle`), within a budget of messages; what is left is long work, done piece by piece at
//! [`Engine::handle_timeout`], for which [`Engine::next_timeout`] asks at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use message::{
    Command, ConnectionId, ConsumerId, Destination, Epoch, Message, MessageNumber, Refusal, RefusalKind, RequestId,
    Sequence, TransactionId,
};
use mutant::Mutant;
use record::{ObjectId, ReadToken, Record, RecordPlace, SegmentNumber, Store, Ticket};

use crate::admin::{AdminBrowse, Counters, Transfer};
use crate::apply::{FIRST_TEMPORARY, Inconsistent};
use crate::backlog::Position;
use crate::cache::BodyCache;
use crate::connection::Connection;
use crate::consumer::Consumer;
use crate::dead_letter::{DeadLetter, Rejection};
use crate::dispatch::{Dispatch, InHand};
use crate::effect::{Effect, Effects};
use crate::expiry::Sweep;
use crate::flow::Lines;
use crate::queue::Queue;
use crate::reads::{Reads, Waiter};
use crate::settings::Settings;
use crate::step::Step;
use crate::time::EngineTime;
use crate::topic::Topic;
use crate::transaction::Transaction;
use crate::untaken::{Untaken, UntakenOfAll};
use crate::work::Work;

/// A message's bytes could not be read back: they are damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// Its id, as far as the damaged bytes tell it.
    pub message_id: Option<Arc<str>>,
    /// What was found, with file and offset.
    pub text: String,
}

/// Queues, topics and everything that happens in them.
#[derive(Debug)]
pub struct Engine {
    pub(crate) settings: Settings,
    epoch: Epoch,

    // What lasts, and what is kept beside it in the same tables (temporary destinations, non-persistent messages).
    /// Boxed: a look-up walks the keys alone, and with a thousand queues they stay in the cache.
    pub(crate) queues: BTreeMap<ObjectId, Box<Queue>>,
    pub(crate) topics: BTreeMap<ObjectId, Topic>,
    pub(crate) names: BTreeMap<Destination, ObjectId>,
    pub(crate) durables: BTreeMap<(Arc<str>, Arc<str>), ObjectId>,
    pub(crate) durables_by_topic: BTreeMap<Destination, BTreeSet<ObjectId>>,
    pub(crate) pattern_durables: BTreeSet<ObjectId>,
    pub(crate) next_object: u32,
    pub(crate) highest: MessageNumber,
    /// The newest record.
    pub(crate) newest: Sequence,

    // What ends with the process.
    pub(crate) now: EngineTime,
    pub(crate) next_temporary: u32,
    next_number: MessageNumber,
    pub(crate) connections: BTreeMap<ConnectionId, Connection>,
    pub(crate) clients: BTreeMap<Arc<str>, ConnectionId>,
    pub(crate) consumers: BTreeMap<ConsumerId, Consumer>,
    /// Consumers with patterns: they hear of new destinations.
    pub(crate) pattern_consumers: BTreeSet<ConsumerId>,
    pub(crate) transactions: BTreeMap<TransactionId, Transaction>,
    pub(crate) cache: BodyCache,
    pub(crate) reads: Reads,
    pub(crate) effects: Effects,
    pub(crate) totals: Counters,
    pub(crate) volatile_bytes: u64,
    pub(crate) transactions_bytes: usize,
    pub(crate) untaken: UntakenOfAll,
    /// Why persistent sends do not go on at present.
    pub(crate) store_full: Option<Arc<str>>,
    /// Who waits for space.
    pub(crate) lines: Lines,

    // What is to be done.
    /// Queues whose consumers may be served.
    pub(crate) ready: VecDeque<ObjectId>,
    /// Consumers that have room and were passed over, or have topics' messages waiting.
    pub(crate) awake: BTreeSet<ConsumerId>,
    /// Browsers that can go on.
    pub(crate) browsing: BTreeSet<ConsumerId>,
    /// Messages found expired, held in flight.
    pub(crate) expired: Vec<(ObjectId, Position)>,
    pub(crate) work: VecDeque<Work>,
    pub(crate) dead_letters: BTreeMap<(ObjectId, MessageNumber), DeadLetter>,
    pub(crate) rejections: BTreeMap<u64, Rejection>,
    pub(crate) next_rejection: u64,
    pub(crate) browses: BTreeMap<u64, AdminBrowse>,
    pub(crate) transfers: BTreeMap<u64, Transfer>,
    pub(crate) next_browse: u64,
    pub(crate) sweep: Option<Sweep>,
    pub(crate) next_sweep: EngineTime,
    sweeps_first: bool,
    pub(crate) in_hand: InHand,
}

impl Engine {
    /// An engine of this epoch over an empty history.
    pub fn new(settings: Settings, epoch: Epoch) -> Engine {
        Engine {
            cache: BodyCache::new(settings.body_cache_bytes),
            settings,
            epoch,
            queues: BTreeMap::new(),
            topics: BTreeMap::new(),
            names: BTreeMap::new(),
            durables: BTreeMap::new(),
            durables_by_topic: BTreeMap::new(),
            pattern_durables: BTreeSet::new(),
            next_object: 1,
            highest: MessageNumber::default(),
            newest: Sequence::NONE,
            now: EngineTime::default(),
            next_temporary: FIRST_TEMPORARY,
            next_number: MessageNumber::first_of(epoch, MessageNumber::default()),
            connections: BTreeMap::new(),
            clients: BTreeMap::new(),
            consumers: BTreeMap::new(),
            pattern_consumers: BTreeSet::new(),
            transactions: BTreeMap::new(),
            reads: Reads::default(),
            effects: Effects::default(),
            totals: Counters::default(),
            volatile_bytes: 0,
            transactions_bytes: 0,
            untaken: UntakenOfAll::default(),
            store_full: None,
            lines: Lines::default(),
            ready: VecDeque::new(),
            awake: BTreeSet::new(),
            browsing: BTreeSet::new(),
            expired: Vec::new(),
            work: VecDeque::new(),
            dead_letters: BTreeMap::new(),
            rejections: BTreeMap::new(),
            next_rejection: 0,
            browses: BTreeMap::new(),
            transfers: BTreeMap::new(),
            next_browse: 0,
            sweep: None,
            next_sweep: EngineTime::default(),
            sweeps_first: false,
            in_hand: None,
        }
    }

    /// Applies the next record of the history. The caller skips those that the restored checkpoint contains. `place`, `last_segment`, `messages`: as in [`Ticket`].
    ///
    /// Fails if the record cannot follow what came before: the history is damaged, refuse to start.
    pub fn replay(
        &mut self,
        sequence: Sequence,
        record: Record,
        place: RecordPlace,
        last_segment: SegmentNumber,
        messages: &[(u32, u32)],
    ) -> Result<(), Inconsistent> {
        if Mutant::AckForgottenOnReplay.is_at_work() && matches!(record, Record::Acknowledged(_)) {
            return Ok(());
        }
        let ticket = Ticket {
            sequence,
            place,
            last_segment,
            messages: messages.to_vec(),
        };
        // Everything that is read back has been made durable before anybody is served.
        self.apply(&record, &ticket, sequence)
    }

    /// The history is complete: from here on the engine serves.
    pub fn recovered(&mut self, now: EngineTime) {
        self.now = now;
        self.next_number = MessageNumber::first_of(self.epoch, self.highest);
        self.next_sweep = now.after(self.settings.expiry_interval);
        for queue in self.queues.values_mut() {
            queue.mark.recovered = queue.mark.through;
            queue.mark.sequence = Sequence::NONE;
            queue.counted = Sequence::NONE;
            queue.created = Sequence::NONE;
        }
    }

    /// A connection was accepted.
    pub fn connect(&mut self, connection: ConnectionId) {
        let untaken = Untaken::new(&self.settings, &self.untaken);
        self.connections
            .entry(connection)
            .or_insert_with(|| Connection::new(untaken));
    }

    /// A connection is gone: its transactions are rolled back, its consumers end, its temporary destinations go.
    pub fn disconnect(&mut self, now: EngineTime, connection: ConnectionId, store: &mut dyn Store) {
        let mut step = self.begin(now, store);
        self.end_connection(&mut step, connection);
        self.settle(&mut step);
    }

    /// Carries out a command. If it carries a request, exactly one answer follows.
    pub fn handle(
        &mut self,
        now: EngineTime,
        connection: ConnectionId,
        request: Option<RequestId>,
        command: Command,
        store: &mut dyn Store,
    ) {
        let mut step = self.begin(now, store);
        let step = &mut step;
        self.admit(step, connection, request, command);
        self.settle(step);
    }

    /// Carries out a command that finds what it needs.
    pub(crate) fn perform(
        &mut self,
        step: &mut Step<'_>,
        connection: ConnectionId,
        request: Option<RequestId>,
        command: Command,
    ) {
        match command {
            Command::Connect { client_id } => self.introduce(connection, request, client_id),
            Command::Send(send) => self.send(step, connection, request, *send),
            Command::Subscribe(subscribe) => self.subscribe(step, connection, request, *subscribe),
            Command::Unsubscribe {
                consumer,
                last_delivered,
            } => {
                self.unsubscribe(step, connection, request, consumer, last_delivered);
            }
            Command::RemoveDurable { client_id, name } => {
                let removed = self.remove_durable(step, &client_id, &name);
                match removed {
                    Ok((after, _)) => self.effects.done(connection, request, after),
                    Err((after, refusal)) => self.effects.refused(connection, request, after, refusal),
                }
            }
            Command::Acknowledge(acknowledge) => self.acknowledge(step, connection, request, acknowledge),
            Command::Pull { consumer, count } => self.pull(connection, request, consumer, count),
            Command::Begin { transaction } => self.begin_transaction(connection, request, transaction),
            Command::Commit { transaction } => self.commit(step, connection, request, transaction),
            Command::Rollback { transaction } => self.rollback(step, connection, request, transaction),
            Command::CreateTemporary { destination } => self.create_temporary(connection, request, &destination),
            Command::DeleteTemporary { destination } => self.delete_temporary(connection, request, &destination),
            Command::Barrier => self.effects.done(connection, request, Sequence::NONE),
        }
    }

    /// A read that was asked of the store came back.
    pub fn loaded(
        &mut self,
        now: EngineTime,
        token: ReadToken,
        result: Result<Arc<Message>, Damaged>,
        store: &mut dyn Store,
    ) {
        let mut step = self.begin(now, store);
        let step = &mut step;
        let Some((number, waiters)) = self.reads.returned(token) else {
            return;
        };
        match result {
            Ok(message) => {
                self.cache.insert(number, Arc::clone(&message));
                self.in_hand = Some((number, message));
            }
            Err(damaged) => self.put_aside(step, number, &waiters, &damaged),
        }
        for waiter in waiters {
            match waiter {
                Waiter::Consumers(queue) => self.schedule(queue),
                Waiter::Browser(consumer, _) => {
                    self.browsing.insert(consumer);
                }
                Waiter::DeadLetter(object) => self.bury_on(step, object, number),
                Waiter::Administrator(browse, _) => self.browse_on(step, browse),
                Waiter::Transfer(transfer, _) => self.transfer_on(step, transfer),
            }
        }
        self.settle(step);
        self.in_hand = None;
    }

    /// Goes on with what could not be done in one step, and sweeps for expired messages when that is due.
    pub fn handle_timeout(&mut self, now: EngineTime, store: &mut dyn Store) {
        let mut step = self.begin(now, store);
        let step = &mut step;
        self.give_up(step);
        self.settle(step);
        // By turns, so that neither starves the other.
        self.sweeps_first = !self.sweeps_first;
        if self.sweeps_first {
            self.sweep_on(step);
            self.go_on(step);
        } else {
            self.go_on(step);
            self.sweep_on(step);
        }
        self.settle(step);
    }

    /// When [`Engine::handle_timeout`] is due.
    pub fn next_timeout(&self) -> Option<EngineTime> {
        let is_busy = !self.work.is_empty()
            || !self.ready.is_empty()
            || !self.awake.is_empty()
            || !self.browsing.is_empty()
            || !self.expired.is_empty()
            || self.lines.may_move
            || self.sweep.as_ref().is_some_and(|sweep| !sweep.is_waiting);
        if is_busy {
            return Some(self.now);
        }
        let next = self
            .next_give_up()
            .map_or(self.next_sweep, |at| at.min(self.next_sweep));
        Some(next.max(self.now))
    }

    /// The next thing to do, in order.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.take()
    }

    pub(crate) fn begin<'a>(&mut self, now: EngineTime, store: &'a mut dyn Store) -> Step<'a> {
        self.now = self.now.max(now);
        Step::new(self.now, store)
    }

    /// The next message number.
    pub(crate) fn take_number(&mut self) -> MessageNumber {
        let number = self.next_number;
        self.next_number = MessageNumber(number.0 + 1);
        number
    }

    /// The highest number that was given, or recovered.
    pub(crate) fn last_number(&self) -> MessageNumber {
        MessageNumber(self.next_number.0 - 1)
    }

    /// Serves whoever can be served.
    pub(crate) fn settle(&mut self, step: &mut Step<'_>) {
        while !step.is_over() {
            if let Some((object, position)) = self.expired.pop() {
                self.bury_expired(step, object, position);
            } else if let Some(queue) = self.ready.pop_front() {
                self.dispatch(step, queue);
            } else if let Some(consumer) = self.next_awake() {
                self.wake(step, consumer);
            } else if let Some(consumer) = self.browsing.pop_first() {
                self.look_through(step, consumer);
            } else if !self.resume(step) {
                return;
            }
        }
        self.lines.look_again();
    }

    /// Has the consumers of a queue served in this step, or the next.
    pub(crate) fn schedule(&mut self, id: ObjectId) {
        if let Some(queue) = self.queues.get_mut(&id)
            && !std::mem::replace(&mut queue.is_scheduled, true)
        {
            self.ready.push_back(id);
        }
    }

    /// Serves the consumers of a queue.
    pub(crate) fn dispatch(&mut self, step: &mut Step<'_>, id: ObjectId) {
        step.spend(1);
        let Some(queue) = self.queues.get_mut(&id) else { return };
        queue.is_scheduled = false;
        if queue.is_queued {
            return;
        }
        let before = queue.counters.dispatched;
        let dispatch = Dispatch {
            queue,
            consumers: &mut self.consumers,
            cache: &mut self.cache,
            reads: &mut self.reads,
            effects: &mut self.effects,
            settings: &self.settings,
            newest: &mut self.newest,
            in_hand: &self.in_hand,
            expired: &mut self.expired,
            step,
        };
        let is_unfinished = dispatch.run();
        let Some(queue) = self.queues.get_mut(&id) else { return };
        self.totals.dispatched += queue.counters.dispatched - before;
        if is_unfinished {
            queue.is_queued = true;
            self.work.push_back(Work::Dispatch(id));
        }
    }

    /// Who is served next of those that are awake: the consumers of a connection by turns, because they share its room.
    fn next_awake(&self) -> Option<ConsumerId> {
        let first = *self.awake.first()?;
        let last = self
            .connections
            .get(&first.connection)
            .map_or(0, |known| known.last_woken);
        let numbered = |number| ConsumerId { number, ..first };
        let behind = (Bound::Excluded(numbered(last)), Bound::Included(numbered(u32::MAX)));
        Some(self.awake.range(behind).next().copied().unwrap_or(first))
    }

    /// A consumer has room: topics' messages that wait for it go out, and one queue that passed it over serves it.
    fn wake(&mut self, step: &mut Step<'_>, id: ConsumerId) {
        if self.consumers.get(&id).is_some_and(|consumer| consumer.room() > 0)
            && let Some(connection) = self.connections.get_mut(&id.connection)
        {
            connection.last_woken = id.number;
        }
        self.deliver_pending(step, id);
        step.spend(1);
        let Some(consumer) = self.consumers.get_mut(&id) else {
            self.awake.remove(&id);
            return;
        };
        if consumer.room() == 0 {
            self.awake.remove(&id);
            return;
        }
        match consumer.passed_over.pop_front() {
            Some(queue) => {
                if let Some(serving) = self.queues.get_mut(&queue) {
                    serving.set_ready(consumer);
                    self.schedule(queue);
                }
            }
            None if consumer.pending.is_empty() => {
                self.awake.remove(&id);
            }
            None => {}
        }
    }

    /// The newest record that speaks of any of these queues.
    pub(crate) fn newest_of(&self, queues: impl IntoIterator<Item = ObjectId>) -> Sequence {
        let newest = |id| self.queues.get(&id).map_or(Sequence::NONE, |queue| queue.newest);
        queues.into_iter().map(newest).max().unwrap_or(Sequence::NONE)
    }

    /// What an answer about a queue as it is now waits for. At the end of what took several steps: others may have taken meanwhile what it did not find.
    pub(crate) fn as_it_is(&self, queue: ObjectId) -> Sequence {
        self.unchanged(self.queues.get(&queue).map_or(self.newest, |queue| queue.newest))
    }

    /// Lets persistent sends wait (or fail, see [`Settings::send_fail_if_no_space`]) from now on, for this reason, or go on. Acknowledgements, expiry and deletion go on in either case.
    pub fn set_store_full(&mut self, why: Option<Arc<str>>) {
        if why.is_none() {
            self.lines.look_again();
        }
        self.store_full = why;
    }

    /// What an answer that changes nothing waits for.
    pub(crate) fn unchanged(&self, newest: Sequence) -> Sequence {
        if Mutant::AnswerNoChangeEarly.is_at_work() {
            Sequence::NONE
        } else {
            newest
        }
    }
}

/// A refusal of what makes no sense now.
pub(crate) fn illegal(text: impl Into<String>) -> Refusal {
    Refusal::new(RefusalKind::IllegalState, text)
}
