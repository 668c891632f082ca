//! What clients say of deliveries, and what becomes of those that nobody finished.
//!
//! One command's deliveries are bounded by its consumer's prefetch; their records by 1 000 numbers each. An acknowledgement of what is no longer there (purged, acknowledged before) is answered and changes nothing.

use std::collections::BTreeMap;

use message::{
    Acknowledge, ConnectionId, ConsumerId, DeliveryTag, Disposition, LastDelivered, MessageNumber, RequestId, Sequence,
};
use record::{ObjectId, Record, Waiting};

use crate::backlog::{BodyAt, Position, Taken};
use crate::consumer::InFlight;
use crate::dead_letter::Rejection;
use crate::engine::{Engine, illegal};
use crate::settings::STEP_MESSAGES_MAX;
use crate::step::Step;
use crate::work::{Closing, Work};

impl Engine {
    /// A client says what became of some deliveries.
    pub(crate) fn acknowledge(
        &mut self,
        step: &mut Step<'_>,
        connection: ConnectionId,
        request: Option<RequestId>,
        acknowledge: Acknowledge,
    ) {
        let Acknowledge {
            consumer: id,
            first,
            last,
            outcome,
            transaction,
        } = acknowledge;
        let refusal = match self.consumers.get(&id) {
            Some(consumer) if consumer.id.connection == connection => (transaction.is_some()
                && outcome == Disposition::Rejected)
                .then(|| illegal("Poison ack cannot be transacted: reject the message outside of the transaction")),
            Some(_) | None => Some(illegal(format!("The subscription does not exist: {}", id.number))),
        };
        let refusal = refusal.or_else(|| transaction.and_then(|id| self.transaction(connection, id).err()));
        if let Some(refusal) = refusal {
            self.effects.refused(connection, request, Sequence::NONE, refusal);
            return;
        }
        let Some(consumer) = self.consumers.get_mut(&id) else {
            return;
        };
        let open = consumer.open(first, last);
        let touched = open.iter().filter_map(|(_, what)| match what {
            InFlight::Waiting { object, .. } => Some(*object),
            InFlight::Copy => None,
        });
        let mut touched: Vec<ObjectId> = touched.collect();
        touched.dedup();
        if touched.is_empty() {
            touched.extend(&consumer.queues);
        }
        let unchanged = self.unchanged(self.newest_of(touched));
        if let Some(transaction) = transaction
            && outcome != Disposition::Released
        {
            match self.enlist(id, transaction, open.iter().map(|(tag, _)| *tag)) {
                Ok(()) => self.effects.done(connection, request, unchanged),
                Err(refusal) => self.effects.refused(connection, request, unchanged, refusal),
            }
            return;
        }
        let Some(consumer) = self.consumers.get_mut(&id) else {
            return;
        };
        for (tag, _) in &open {
            consumer.land(*tag);
        }
        self.awake.insert(id);
        if consumer.browser.is_some() {
            self.browsing.insert(id);
        }
        let what = open.into_iter().map(|(_, what)| what);
        match outcome {
            Disposition::Consumed => {
                let after = self.consume(step, what.collect());
                self.effects.done(
                    connection,
                    request,
                    if after > Sequence::NONE { after } else { unchanged },
                );
            }
            Disposition::Released => {
                let after = self.give_back(step, what.map(|what| (what, true)).collect());
                self.effects.done(
                    connection,
                    request,
                    if after > Sequence::NONE { after } else { unchanged },
                );
            }
            Disposition::Rejected => self.reject(step, connection, request, what.collect(), unchanged),
        }
    }

    /// Removes what was consumed; the newest record, if there is one.
    pub(crate) fn consume(&mut self, step: &mut Step<'_>, what: Vec<InFlight>) -> Sequence {
        let mut recorded: BTreeMap<ObjectId, Vec<MessageNumber>> = BTreeMap::new();
        for what in what {
            match what {
                InFlight::Waiting { object, position } => {
                    if self.consume_one(object, position) {
                        recorded.entry(object).or_default().push(position.number);
                    }
                }
                InFlight::Copy => {}
            }
        }
        let mut after = Sequence::NONE;
        for (object, mut numbers) in recorded {
            numbers.sort_unstable();
            for numbers in numbers.chunks(STEP_MESSAGES_MAX) {
                let record = Record::Acknowledged(Waiting {
                    object,
                    numbers: numbers.to_vec(),
                });
                after = after.max(self.record(step, &record).sequence);
            }
        }
        after
    }

    /// Counts a message as consumed; removes it if it is not persistent. `true`: it is, and a record must remove it.
    pub(crate) fn consume_one(&mut self, object: ObjectId, position: Position) -> bool {
        let Some(queue) = self.queues.get_mut(&object) else {
            return false;
        };
        if !queue.in_flight.contains(&position.number) {
            return false;
        }
        queue.counters.dequeued += 1;
        self.totals.dequeued += 1;
        match queue.backlog.get(position).map(|found| found.body) {
            Some(BodyAt::Stored(_)) => true,
            Some(BodyAt::Memory(_)) => {
                self.drop_volatile(object, position);
                false
            }
            None => false,
        }
    }

    /// Removes a message that is not persistent.
    pub(crate) fn drop_volatile(&mut self, object: ObjectId, position: Position) {
        let Some(queue) = self.queues.get_mut(&object) else {
            return;
        };
        if let Some(Taken::Memory(message)) = queue.backlog.take(position) {
            self.volatile_bytes -= message.bytes_held() as u64;
        }
        queue.forget(position.number);
    }

    /// Sends what was rejected to the dead-letter queue; answers when all of it has arrived there.
    fn reject(
        &mut self,
        step: &mut Step<'_>,
        connection: ConnectionId,
        request: Option<RequestId>,
        what: Vec<InFlight>,
        unchanged: Sequence,
    ) {
        self.next_rejection += 1;
        let id = self.next_rejection;
        let rejection = Rejection {
            connection,
            request,
            remaining: what.len() + 1,
            after: unchanged,
        };
        self.rejections.insert(id, rejection);
        for what in what {
            match what {
                InFlight::Waiting { object, position } => self.bury_rejected(step, object, position, id),
                InFlight::Copy => self.buried(Some(id), Sequence::NONE),
            }
        }
        self.buried(Some(id), Sequence::NONE);
    }

    /// Gives deliveries back, counting those marked as failed; the newest record, if there is one.
    pub(crate) fn give_back(&mut self, step: &mut Step<'_>, what: Vec<(InFlight, bool)>) -> Sequence {
        let mut back: BTreeMap<ObjectId, Vec<Position>> = BTreeMap::new();
        let mut counts: BTreeMap<ObjectId, Vec<(MessageNumber, u32)>> = BTreeMap::new();
        for (what, is_counted) in what {
            let InFlight::Waiting { object, position } = what else {
                continue;
            };
            let Some(queue) = self.queues.get_mut(&object) else {
                continue;
            };
            let Some(found) = queue
                .backlog
                .get(position)
                .filter(|_| queue.in_flight.contains(&position.number))
            else {
                continue;
            };
            back.entry(object).or_default().push(position);
            if is_counted {
                match found.body {
                    BodyAt::Stored(_) => {
                        let count = found.redeliveries.saturating_add(1);
                        counts.entry(object).or_default().push((found.number, count));
                    }
                    BodyAt::Memory(_) => queue.backlog.count_volatile_redelivery(position),
                }
            }
        }
        let mut after = Sequence::NONE;
        for (object, mut counts) in counts {
            counts.sort_unstable();
            for counts in counts.chunks(STEP_MESSAGES_MAX) {
                let record = Record::Redelivered {
                    object,
                    counts: counts.to_vec(),
                };
                after = after.max(self.record(step, &record).sequence);
            }
        }
        for (object, positions) in back {
            if let Some(queue) = self.queues.get_mut(&object) {
                positions.into_iter().for_each(|position| queue.give_back(position));
                self.schedule(object);
            }
        }
        after
    }

    /// A client ends a consumer.
    pub(crate) fn unsubscribe(
        &mut self,
        step: &mut Step<'_>,
        connection: ConnectionId,
        request: Option<RequestId>,
        consumer: ConsumerId,
        last_delivered: LastDelivered,
    ) {
        if consumer.connection != connection || !self.consumers.contains_key(&consumer) {
            let refusal = illegal(format!("The subscription does not exist: {}", consumer.number));
            self.effects.refused(connection, request, Sequence::NONE, refusal);
            return;
        }
        self.close(step, consumer, last_delivered, request);
    }

    /// Ends a consumer: nobody is served in its queues until what it had is given back.
    pub(crate) fn close(
        &mut self,
        step: &mut Step<'_>,
        id: ConsumerId,
        last_delivered: LastDelivered,
        request: Option<RequestId>,
    ) {
        let Some(consumer) = self.consumers.remove(&id) else {
            return;
        };
        self.pattern_consumers.remove(&id);
        self.awake.remove(&id);
        self.browsing.remove(&id);
        if let Some(connection) = self.connections.get_mut(&id.connection) {
            connection.consumers.remove(&id);
        }
        for topic in &consumer.topics {
            if let Some(topic) = self.topics.get_mut(topic) {
                topic.subscribers.remove(&id);
            }
        }
        let mut after = Sequence::NONE;
        for queue in &consumer.queues {
            let Some(queue) = self.queues.get_mut(queue) else {
                continue;
            };
            after = after.max(queue.newest);
            if consumer.browser.is_some() {
                queue.browsers -= 1;
            } else {
                queue.leave(id);
                queue.closing += 1;
            }
        }
        let tag_of = |number: MessageNumber| {
            let is_it =
                |what: &InFlight| matches!(what, InFlight::Waiting { position, .. } if position.number == number);
            consumer
                .flights
                .iter()
                .find(|(_, flight)| is_it(&flight.what))
                .map(|(tag, _)| *tag)
        };
        let counted = match last_delivered {
            LastDelivered::Unknown => DeliveryTag(u64::MAX),
            LastDelivered::Nothing => DeliveryTag(0),
            // Settled since: what came before it may not be told from what came after.
            LastDelivered::Through(number) => tag_of(number).unwrap_or(DeliveryTag(u64::MAX)),
        };
        let mut flights = consumer.flights;
        // What was acknowledged in an open transaction stays with it.
        flights.retain(|_, flight| {
            let transaction = flight
                .transaction
                .and_then(|transaction| self.transactions.get_mut(&transaction));
            match (transaction, flight.what) {
                (Some(transaction), InFlight::Waiting { object, position }) => {
                    transaction.orphans.push((object, position));
                    false
                }
                (Some(_), InFlight::Copy) => false,
                (None, _) => true,
            }
        });
        let queues = if consumer.browser.is_some() {
            Vec::new()
        } else {
            consumer.queues.into_iter().collect()
        };
        let after = self.unchanged(after);
        self.close_on(
            step,
            Closing {
                connection: id.connection,
                request,
                after,
                flights,
                counted,
                queues,
            },
        );
    }

    /// Goes on with giving back what a consumer had.
    pub(crate) fn close_on(&mut self, step: &mut Step<'_>, mut closing: Closing) {
        let mut back = Vec::new();
        while !step.is_over()
            && let Some((tag, flight)) = closing.flights.pop_first()
        {
            step.spend(1);
            back.push((flight.what, tag <= closing.counted));
        }
        closing.after = closing.after.max(self.give_back(step, back));
        if !closing.flights.is_empty() {
            self.work.push_back(Work::Close(closing));
            return;
        }
        for id in closing.queues {
            if let Some(queue) = self.queues.get_mut(&id) {
                queue.closing -= 1;
                self.schedule(id);
            }
        }
        self.effects.done(closing.connection, closing.request, closing.after);
    }
}
