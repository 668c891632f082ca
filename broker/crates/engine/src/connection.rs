//! Connections: who they are, and what ends with them.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use message::{
    ConnectionId, ConsumerId, Destination, Event, LastDelivered, Refusal, RefusalKind, RequestId, Sequence,
    TransactionId,
};
use mutant::Mutant;
use record::ObjectId;

use crate::apply::FIRST_TEMPORARY;
use crate::effect::Effect;
use crate::engine::{Engine, illegal};
use crate::flow::Backlog;
use crate::queue::{Queue, Role};
use crate::step::Step;
use crate::topic::Topic;
use crate::untaken::Untaken;
use crate::work::Work;

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) client_id: Option<Arc<str>>,
    pub(crate) consumers: BTreeSet<ConsumerId>,
    pub(crate) transactions: BTreeSet<TransactionId>,
    temporaries: BTreeSet<Destination>,
    /// Destinations that count it among their producers.
    pub(crate) sends_to: BTreeSet<ObjectId>,
    /// What it asked for and has not got, for want of space.
    pub(crate) backlog: Backlog,
    /// What it was delivered and has not taken.
    pub(crate) untaken: Rc<Untaken>,
    /// The number of its consumer that was last woken and had room.
    pub(crate) last_woken: u32,
}

impl Connection {
    pub(crate) fn new(untaken: Rc<Untaken>) -> Connection {
        Connection {
            client_id: None,
            consumers: BTreeSet::new(),
            transactions: BTreeSet::new(),
            temporaries: BTreeSet::new(),
            sends_to: BTreeSet::new(),
            backlog: Backlog::default(),
            untaken,
            last_woken: 0,
        }
    }
}

impl Engine {
    /// The client says who it is.
    pub(crate) fn introduce(
        &mut self,
        connection: ConnectionId,
        request: Option<RequestId>,
        client_id: Option<Arc<str>>,
    ) {
        if let Some(client_id) = &client_id {
            match self.clients.get(client_id) {
                Some(other) if *other != connection => {
                    let text = format!(
                        "Broker: {} - Client: {client_id} already connected from another connection",
                        self.settings.broker_name
                    );
                    let refusal = Refusal::new(RefusalKind::InvalidClientId, text);
                    self.effects.refused(connection, request, Sequence::NONE, refusal);
                    self.effects.push(Effect::Close {
                        connection,
                        after: Sequence::NONE,
                    });
                    return;
                }
                Some(_) | None => {
                    self.clients.insert(Arc::clone(client_id), connection);
                }
            }
        }
        if let Some(known) = self.connections.get_mut(&connection) {
            let before = std::mem::replace(&mut known.client_id, client_id);
            if let Some(before) = before
                && known.client_id.as_ref() != Some(&before)
            {
                self.clients.remove(&before);
            }
        }
        self.effects.done(connection, request, Sequence::NONE);
    }

    /// Ends everything that a connection had.
    pub(crate) fn end_connection(&mut self, step: &mut Step<'_>, id: ConnectionId) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        for transaction in connection.transactions.clone() {
            if !Mutant::GoneConnectionKept.is_at_work() {
                self.roll_back(step, transaction);
            }
        }
        let consumers = self
            .connections
            .get(&id)
            .map(|connection| connection.consumers.clone())
            .unwrap_or_default();
        for consumer in consumers {
            self.close(step, consumer, LastDelivered::Unknown, None);
        }
        let Some(connection) = self.connections.remove(&id) else {
            return;
        };
        self.lines.bytes -= connection.backlog.bytes;
        if let Some(client_id) = connection.client_id {
            self.clients.remove(&client_id);
        }
        for object in connection.sends_to {
            if let Some(queue) = self.queues.get_mut(&object) {
                queue.producers -= 1;
            } else if let Some(topic) = self.topics.get_mut(&object) {
                topic.producers -= 1;
            }
        }
        for destination in connection.temporaries {
            self.drop_temporary(&destination);
        }
    }

    /// Makes a temporary destination.
    pub(crate) fn create_temporary(
        &mut self,
        connection: ConnectionId,
        request: Option<RequestId>,
        destination: &Destination,
    ) {
        let refusal = if !destination.kind.is_temporary() || destination.is_pattern() {
            let text = format!("{destination:#} is not the name of a temporary destination");
            Some(Refusal::new(RefusalKind::InvalidDestination, text))
        } else if self.names.contains_key(destination) {
            Some(Refusal::new(
                RefusalKind::InvalidDestination,
                format!("The destination {destination:#} exists already."),
            ))
        } else {
            self.too_many_destinations()
        };
        if let Some(refusal) = refusal {
            self.effects.refused(connection, request, Sequence::NONE, refusal);
            return;
        }
        let object = self.take_temporary();
        self.names.insert(destination.clone(), object);
        if destination.kind.is_queue() {
            let role = Role::Temporary(destination.clone(), connection);
            self.queues
                .insert(object, Box::new(Queue::new(object, role, Sequence::NONE)));
        } else {
            self.topics.insert(
                object,
                Topic::new(destination.clone(), Some(connection), Sequence::NONE),
            );
        }
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.temporaries.insert(destination.clone());
        }
        self.attach_waiting(destination, object);
        self.effects.done(connection, request, Sequence::NONE);
    }

    /// A number for a temporary destination. After 2^31 of them they begin anew: those in use are few, and nothing refers to one that was dropped so long ago.
    fn take_temporary(&mut self) -> ObjectId {
        loop {
            let object = ObjectId(self.next_temporary);
            self.next_temporary = self.next_temporary.checked_add(1).unwrap_or(FIRST_TEMPORARY);
            if !self.queues.contains_key(&object) && !self.topics.contains_key(&object) {
                return object;
            }
        }
    }

    /// Ends a temporary destination, at its owner's wish.
    pub(crate) fn delete_temporary(
        &mut self,
        connection: ConnectionId,
        request: Option<RequestId>,
        destination: &Destination,
    ) {
        let owned = self
            .connections
            .get(&connection)
            .is_some_and(|owner| owner.temporaries.contains(destination));
        let refusal = if !owned {
            Some(Refusal::new(
                RefusalKind::InvalidDestination,
                format!("The destination {destination:#} does not exist."),
            ))
        } else {
            self.user_of(destination)
                .map(|consumer| illegal(still_used(destination, consumer)))
        };
        match refusal {
            Some(refusal) => self.effects.refused(connection, request, Sequence::NONE, refusal),
            None => {
                if let Some(connection) = self.connections.get_mut(&connection) {
                    connection.temporaries.remove(destination);
                }
                self.drop_temporary(destination);
                self.effects.done(connection, request, Sequence::NONE);
            }
        }
    }

    /// A consumer of this destination.
    pub(crate) fn user_of(&self, destination: &Destination) -> Option<ConsumerId> {
        let object = self.names.get(destination)?;
        if let Some(queue) = self.queues.get(object) {
            let looks = |consumer: &&crate::consumer::Consumer| consumer.queues.contains(object);
            let browser = || self.consumers.values().find(looks).map(|consumer| consumer.id);
            return queue
                .members()
                .next()
                .or_else(|| if queue.browsers > 0 { browser() } else { None });
        }
        self.topics
            .get(object)
            .and_then(|topic| topic.subscribers.first().copied())
    }

    fn drop_temporary(&mut self, destination: &Destination) {
        let Some(object) = self.names.remove(destination) else {
            return;
        };
        if let Some(queue) = self.queues.remove(&object) {
            self.volatile_bytes -= queue.backlog.volatile_bytes();
            for consumer in queue.members() {
                if let Some(consumer) = self.consumers.get_mut(&consumer) {
                    consumer.queues.remove(&object);
                }
                self.end_without_destination(consumer, destination);
            }
            self.work.push_back(Work::Discard(Box::new(queue.backlog)));
        }
        if let Some(topic) = self.topics.remove(&object) {
            for consumer in topic.subscribers {
                if let Some(consumer) = self.consumers.get_mut(&consumer) {
                    consumer.topics.remove(&object);
                }
                self.end_without_destination(consumer, destination);
            }
        }
    }

    /// Tells a consumer that what it read is gone; it stays, empty, until it is ended.
    fn end_without_destination(&mut self, consumer: ConsumerId, destination: &Destination) {
        let text = format!("The destination {destination:#} does not exist.");
        let reason = Refusal::new(RefusalKind::InvalidDestination, text);
        self.effects.event(
            consumer.connection,
            Sequence::NONE,
            Event::ConsumerEnded { consumer, reason },
        );
    }
}

/// ActiveMQ's words for a destination that cannot go yet.
pub(crate) fn still_used(destination: &Destination, consumer: ConsumerId) -> String {
    format!(
        "Destination: {destination:#} still has an active subscription: consumer {} of connection {}",
        consumer.number, consumer.connection.0
    )
}

#[cfg(test)]
mod tests {
    use message::Epoch;

    use super::*;
    use crate::settings::Settings;

    #[test]
    fn numbers_of_temporary_destinations_begin_anew_and_pass_over_those_in_use() {
        let mut engine = Engine::new(Settings::default(), Epoch(1));
        let owner = ConnectionId(1);
        engine.connect(owner);
        let create = |engine: &mut Engine, number: u32| {
            let name = format!("ID:x:{number}");
            let destination = Destination::new(message::Kind::TemporaryQueue, &name).expect("a good name");
            engine.create_temporary(owner, None, &destination);
            engine.names[&destination]
        };
        assert_eq!(create(&mut engine, 1), ObjectId(FIRST_TEMPORARY));
        engine.next_temporary = u32::MAX;
        assert_eq!(create(&mut engine, 2), ObjectId(u32::MAX));
        assert_eq!(create(&mut engine, 3), ObjectId(FIRST_TEMPORARY + 1));
    }
}
