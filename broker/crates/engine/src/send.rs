//! From a send to what waits: which destinations, which durable subscriptions, what is recorded and what only remembered.
//!
//! A plan is made first and consults everything (names, selectors, duplicates, limits); carrying it out is one record, or none if nothing of it lasts. Invariant: all destinations of one send, and all
//! sends of one transaction, arrive with one record or not at all.

use std::collections::BTreeSet;
use std::sync::Arc;

use message::selector::Selector;
use message::{
    ConnectionId, Destination, Message, MessageNumber, Refusal, RefusalKind, RequestId, Selectable, Send, Sequence,
};
use mutant::Mutant;
use record::{Definition, ObjectId, Record, Sent, Waiting};

use crate::backlog::Position;
use crate::consumer::PendingCopy;
use crate::engine::Engine;
use crate::step::Step;
use crate::topic::Topic;

/// What sends come to.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// What is recorded.
    sent: Vec<Sent>,
    /// What is kept in memory only: where it waits, its number, the message.
    volatile: Vec<(ObjectId, MessageNumber, Arc<Message>)>,
    /// What subscribers of the moment are told: the topic, the number, the message.
    heard: Vec<(ObjectId, MessageNumber, Arc<Message>)>,
    /// Ids to remember that no record carries.
    duplicate_ids: Vec<(ObjectId, Arc<str>)>,
    /// The newest record that the outcome rests on beside its own.
    after: Sequence,
}

/// One message that waits where it did not before.
#[derive(Debug)]
pub(crate) struct Arrival {
    target: ObjectId,
    number: MessageNumber,
    priority: u8,
    expiration: u64,
}

/// One message for a queue or topic, judged once: nobody who decides by it judges another one than is sent.
#[derive(Debug)]
pub(crate) struct Incoming {
    sender: ConnectionId,
    object: ObjectId,
    /// Its number.
    pub(crate) number: MessageNumber,
    /// Where it will wait: the queue, or the topic's durable subscriptions that take it.
    pub(crate) targets: Vec<ObjectId>,
    /// What is sent.
    pub(crate) message: Arc<Message>,
}

impl Arrival {
    pub(crate) fn new(target: ObjectId, number: MessageNumber, message: &Message) -> Arrival {
        Arrival {
            target,
            number,
            priority: message.priority,
            expiration: message.expiration,
        }
    }
}

impl Engine {
    /// A send outside of a transaction, or into one.
    pub(crate) fn send(
        &mut self,
        step: &mut Step<'_>,
        connection: ConnectionId,
        request: Option<RequestId>,
        send: Send,
    ) {
        let outcome = match send.transaction {
            Some(transaction) => self.send_in_transaction(step, connection, transaction, send),
            None => {
                let mut plan = Plan::default();
                self.one_record_may_hold(&send)
                    .and_then(|()| self.plan(step, connection, &send, &mut plan))
                    .map(|()| self.carry_out(step, connection, plan, Vec::new()))
            }
        };
        match outcome {
            Ok(after) => self.effects.done(connection, request, after),
            Err(refusal) => self.effects.refused(connection, request, Sequence::NONE, refusal),
        }
    }

    /// What is stored for several destinations is a transaction of its own: one record has the message once for each of them.
    fn one_record_may_hold(&self, send: &Send) -> Result<(), Refusal> {
        let bytes_max = self.settings.transaction_bytes_max;
        let count = send.destinations.len();
        let bytes = send.bytes_held() + count.saturating_sub(1) * send.message.bytes_held();
        if count == 1 || !send.message.persistent || bytes <= bytes_max {
            return Ok(());
        }
        let text = format!(
            "Can not send message to {count} destinations at once: stored once for each it would take '{bytes}' bytes, and the maximum allowed size is '{bytes_max}' bytes. \
             Nothing was sent; send it to fewer at a time, or raise transaction_bytes_max"
        );
        Err(Refusal::new(RefusalKind::ResourceAllocation, text))
    }

    /// Adds a send to a plan, or says why it cannot be. That there is space for it was seen before (`flow.rs`).
    pub(crate) fn plan(
        &mut self,
        step: &mut Step<'_>,
        connection: ConnectionId,
        send: &Send,
        plan: &mut Plan,
    ) -> Result<(), Refusal> {
        let mut fresh: Vec<&Destination> = Vec::with_capacity(send.destinations.len());
        let mut known = BTreeSet::new();
        for destination in &send.destinations {
            if let Some(id) = &send.duplicate_id {
                if !known.insert(destination) {
                    continue;
                }
                if let Some(original) = self.find_duplicate(step, destination, id) {
                    plan.after = plan.after.max(original);
                    continue;
                }
            }
            fresh.push(destination);
        }
        let objects = self.resolve(step, connection, &fresh)?;
        for (destination, object) in fresh.into_iter().zip(objects) {
            let message = if send.message.destination == *destination {
                Arc::clone(&send.message)
            } else {
                Arc::new(Message {
                    destination: destination.clone(),
                    ..(*send.message).clone()
                })
            };
            self.plan_one(step, connection, object, message, send.duplicate_id.clone(), plan);
        }
        Ok(())
    }

    /// The objects of these destinations; makes those that do not exist.
    pub(crate) fn resolve(
        &mut self,
        step: &mut Step<'_>,
        connection: ConnectionId,
        destinations: &[&Destination],
    ) -> Result<Vec<ObjectId>, Refusal> {
        let mut missing = 0;
        for destination in destinations {
            if destination.is_pattern() {
                let text = format!("cannot send to {destination:#}: it is a pattern; name one destination");
                return Err(Refusal::new(RefusalKind::InvalidDestination, text));
            }
            if !self.names.contains_key(destination) {
                if destination.kind.is_temporary() {
                    let text = format!("The destination {destination:#} does not exist.");
                    return Err(Refusal::new(RefusalKind::InvalidDestination, text));
                }
                missing += 1;
            }
        }
        if missing > 0
            && self.names.len() + missing > self.settings.destinations_max
            && let Some(refusal) = self.too_many_destinations_for(missing)
        {
            return Err(refusal);
        }
        let mut objects = Vec::with_capacity(destinations.len());
        for destination in destinations {
            let object = self.ensure(step, destination);
            // Who answers through temporary destinations sends to a new one each time: remembered, they would pile up for as long as its connection lasts.
            if !destination.kind.is_temporary() {
                self.count_producer(connection, object);
            }
            objects.push(object);
        }
        Ok(objects)
    }

    fn count_producer(&mut self, connection: ConnectionId, object: ObjectId) {
        let Some(connection) = self.connections.get_mut(&connection) else {
            return;
        };
        if connection.sends_to.insert(object) {
            if let Some(queue) = self.queues.get_mut(&object) {
                queue.producers += 1;
            } else if let Some(topic) = self.topics.get_mut(&object) {
                topic.producers += 1;
            }
        }
    }

    /// The object of a queue or topic; makes it if it does not exist.
    pub(crate) fn ensure(&mut self, step: &mut Step<'_>, destination: &Destination) -> ObjectId {
        if let Some(object) = self.names.get(destination) {
            return *object;
        }
        let object = ObjectId(self.next_object);
        let name = Arc::clone(&destination.name);
        let definition = if destination.kind.is_queue() {
            Definition::Queue { name }
        } else {
            Definition::Topic { name }
        };
        self.record(step, &Record::Created { object, definition });
        self.attach_waiting(destination, object);
        object
    }

    /// Why one more destination cannot be made.
    pub(crate) fn too_many_destinations(&self) -> Option<Refusal> {
        self.too_many_destinations_for(1)
    }

    fn too_many_destinations_for(&self, more: usize) -> Option<Refusal> {
        let max = self.settings.destinations_max;
        (self.names.len() + more > max).then(|| {
            let text = format!(
                "The maximum number of destinations allowed ({max}, destinations_max) has already been reached."
            );
            Refusal::new(RefusalKind::ResourceAllocation, text)
        })
    }

    /// The record that the original of a resend came with.
    pub(crate) fn original_of(&self, step: &Step<'_>, destination: &Destination, id: &str) -> Option<Sequence> {
        let object = self.names.get(destination)?;
        let duplicates = match self.queues.get(object) {
            Some(queue) => &queue.duplicates,
            None => &self.topics.get(object)?.duplicates,
        };
        duplicates.find(id, step.now.0, self.settings.duplicate_window)
    }

    /// As [`Engine::original_of`], and counts it.
    fn find_duplicate(&mut self, step: &Step<'_>, destination: &Destination, id: &str) -> Option<Sequence> {
        let original = self.original_of(step, destination, id)?;
        let object = self.names.get(destination)?;
        let counters = match self.queues.get_mut(object) {
            Some(queue) => &mut queue.counters,
            None => &mut self.topics.get_mut(object)?.counters,
        };
        counters.duplicates += 1;
        self.totals.duplicates += 1;
        Some(if Mutant::AnswerResendEarly.is_at_work() {
            Sequence::NONE
        } else {
            original
        })
    }

    /// Adds one message for a queue or topic to a plan.
    pub(crate) fn plan_one(
        &mut self,
        step: &mut Step<'_>,
        connection: ConnectionId,
        object: ObjectId,
        message: Arc<Message>,
        duplicate_id: Option<Arc<str>>,
        plan: &mut Plan,
    ) {
        let incoming = self.judge(step, connection, object, message);
        self.plan_judged(step, incoming, duplicate_id, plan);
    }

    /// Gives a message its number and says where it would wait.
    pub(crate) fn judge(
        &mut self,
        step: &mut Step<'_>,
        sender: ConnectionId,
        object: ObjectId,
        message: Arc<Message>,
    ) -> Incoming {
        let number = self.take_number();
        let targets = if self.queues.contains_key(&object) {
            vec![object]
        } else {
            self.durable_targets(step, sender, object, number, &message)
        };
        Incoming {
            sender,
            object,
            number,
            targets,
            message,
        }
    }

    /// Adds a message to a plan.
    pub(crate) fn plan_judged(
        &mut self,
        step: &Step<'_>,
        incoming: Incoming,
        duplicate_id: Option<Arc<str>>,
        plan: &mut Plan,
    ) {
        let Incoming {
            sender,
            object,
            number,
            targets,
            message,
        } = incoming;
        let is_recorded = match self.queues.get_mut(&object) {
            Some(queue) => {
                if queue.keeps_senders() {
                    queue.senders.insert(number, sender);
                }
                queue.counters.enqueued += 1;
                plan.after = plan.after.max(queue.newest);
                message.persistent && queue.is_recorded()
            }
            None => {
                let Some(topic) = self.topics.get_mut(&object) else {
                    return;
                };
                topic.counters.enqueued += 1;
                plan.after = plan.after.max(topic.newest);
                plan.heard.push((object, number, Arc::clone(&message)));
                message.persistent && !targets.is_empty()
            }
        };
        self.totals.enqueued += 1;
        if is_recorded {
            plan.sent.push(Sent {
                destination: object,
                number,
                targets,
                duplicate_id,
                time: step.now.0,
                message,
            });
        } else {
            plan.volatile
                .extend(targets.into_iter().map(|target| (target, number, Arc::clone(&message))));
            plan.duplicate_ids.extend(duplicate_id.map(|id| (object, id)));
        }
    }

    /// The durable subscriptions that take a topic's message. Their selectors' effort counts.
    fn durable_targets(
        &self,
        step: &mut Step<'_>,
        sender: ConnectionId,
        topic: ObjectId,
        number: MessageNumber,
        message: &Message,
    ) -> Vec<ObjectId> {
        let sender = self
            .connections
            .get(&sender)
            .and_then(|connection| connection.client_id.as_ref());
        let durables = self.topics.get(&topic).map(|topic| &topic.durables);
        let mut effort = 0_u32;
        let mut takes = |object: &ObjectId| {
            let Some(durable) = self.queues.get(object).and_then(|queue| queue.durable()) else {
                return false;
            };
            if durable.no_local && sender == Some(&durable.client_id) {
                return false;
            }
            let (is_wanted, spent) = judged(durable.selector.as_deref(), number, message);
            effort = effort.saturating_add(spent);
            is_wanted
        };
        let targets = durables
            .into_iter()
            .flatten()
            .copied()
            .filter(|object| takes(object))
            .collect();
        step.spend_effort(effort);
        targets
    }

    /// Makes a plan, and what was acknowledged with it, come true; the newest record that the answer rests on.
    pub(crate) fn carry_out(
        &mut self,
        step: &mut Step<'_>,
        connection: ConnectionId,
        plan: Plan,
        acknowledged: Vec<Waiting>,
    ) -> Sequence {
        self.carry_out_as(step, connection, plan, |mut sent| {
            match (sent.len(), acknowledged.is_empty()) {
                (0, true) => None,
                (1, true) => sent.pop().map(Record::Sent),
                _ => Some(Record::Committed { sent, acknowledged }),
            }
        })
    }

    /// Makes a plan come true with the record that `record` makes of what it stores.
    pub(crate) fn carry_out_as(
        &mut self,
        step: &mut Step<'_>,
        connection: ConnectionId,
        mut plan: Plan,
        record: impl FnOnce(Vec<Sent>) -> Option<Record>,
    ) -> Sequence {
        let mut arrived = Vec::new();
        for sent in &plan.sent {
            arrived.extend(
                sent.targets
                    .iter()
                    .map(|target| Arrival::new(*target, sent.number, &sent.message)),
            );
        }
        let bodies: Vec<_> = plan
            .sent
            .iter()
            .map(|sent| (sent.number, Arc::clone(&sent.message)))
            .collect();
        let record = record(std::mem::take(&mut plan.sent));
        let recorded = record.map_or(Sequence::NONE, |record| self.record(step, &record).sequence);
        for (number, message) in bodies {
            self.cache.insert(number, message);
        }
        for (target, number, message) in plan.volatile {
            let Some(queue) = self.queues.get_mut(&target) else {
                continue;
            };
            arrived.push(Arrival::new(target, number, &message));
            self.volatile_bytes += message.bytes_held() as u64;
            queue.backlog.push_volatile(number, message);
            queue.arrived(number, recorded, step.store.confirmed());
        }
        for arrival in arrived {
            self.arrived(step, &arrival);
        }
        for (object, id) in plan.duplicate_ids {
            let duplicates = match self.queues.get_mut(&object) {
                Some(queue) => &mut queue.duplicates,
                None => match self.topics.get_mut(&object) {
                    Some(topic) => &mut topic.duplicates,
                    None => continue,
                },
            };
            duplicates.remember_volatile(&id, step.now.0, &self.settings);
        }
        for (topic, number, message) in plan.heard {
            self.tell(step, connection, topic, number, &message, recorded);
        }
        if recorded > Sequence::NONE {
            recorded
        } else {
            self.unchanged(plan.after)
        }
    }

    /// Something waits in a queue or durable subscription that did not before.
    pub(crate) fn arrived(&mut self, step: &Step<'_>, arrival: &Arrival) {
        let Some(queue) = self.queues.get_mut(&arrival.target) else {
            return;
        };
        if queue.durable().is_some() {
            queue.counters.enqueued += 1;
        }
        // What arrives expired goes at once, as in ActiveMQ: nobody may be there to look at it.
        if crate::dispatch::is_past(arrival.expiration, step.now.0) && queue.in_flight.insert(arrival.number) {
            self.expired
                .push((arrival.target, Position::new(arrival.priority, arrival.number)));
        }
        self.schedule(arrival.target);
    }

    /// Tells a topic's subscribers of the moment.
    fn tell(
        &mut self,
        step: &mut Step<'_>,
        connection: ConnectionId,
        id: ObjectId,
        number: MessageNumber,
        message: &Arc<Message>,
        recorded: Sequence,
    ) {
        let Some(Topic {
            subscribers,
            counters,
            newest,
            ..
        }) = self.topics.get_mut(&id)
        else {
            return;
        };
        if crate::dispatch::is_past(message.expiration, step.now.0) {
            counters.expired += 1;
            self.totals.expired += 1;
            return;
        }
        let after = recorded.max(*newest);
        let mut effort = 0_u32;
        for subscriber in subscribers.iter() {
            let Some(consumer) = self.consumers.get_mut(subscriber) else {
                continue;
            };
            let is_own = consumer.no_local && subscriber.connection == connection;
            if is_own {
                continue;
            }
            let (is_wanted, spent) = judged(consumer.selector.as_deref(), number, message);
            effort = effort.saturating_add(spent);
            if !is_wanted {
                continue;
            }
            let copy = PendingCopy {
                topic: id,
                number,
                message: Arc::clone(message),
                after,
            };
            if consumer.pending.is_empty() && consumer.room() > 0 {
                counters.dispatched += 1;
                self.totals.dispatched += 1;
                crate::subscriber::deliver(consumer, copy, &mut self.effects);
            } else {
                for _ in consumer.hold(copy, self.settings.topic_consumer_bytes_max) {
                    counters.dropped += 1;
                    self.totals.dropped += 1;
                }
                if consumer.room() > 0 {
                    self.awake.insert(*subscriber);
                }
            }
        }
        step.spend_effort(effort);
    }

    /// Whether a subscriber of the moment wants a topic's message.
    pub(crate) fn is_heard(
        &self,
        step: &mut Step<'_>,
        topic: ObjectId,
        number: MessageNumber,
        message: &Message,
    ) -> bool {
        let subscribers = self.topics.get(&topic).map(|topic| &topic.subscribers);
        let consumers = subscribers.into_iter().flatten();
        let mut effort = 0_u32;
        let is_heard = consumers.filter_map(|id| self.consumers.get(id)).any(|consumer| {
            let (is_wanted, spent) = judged(consumer.selector.as_deref(), number, message);
            effort = effort.saturating_add(spent);
            is_wanted
        });
        step.spend_effort(effort);
        is_heard
    }
}

/// Whether a selector, if there is one, matches a topic's message, and what that cost.
fn judged(selector: Option<&Selector>, number: MessageNumber, message: &Message) -> (bool, u32) {
    let seen = Selectable {
        message,
        number,
        redeliveries: 0,
    };
    selector.map_or((true, 0), |selector| selector.judge(&seen))
}
