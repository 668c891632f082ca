//! What must be true of what the engine holds between two steps: everything is within its limit, and nothing is held for a connection that is gone.
//!
//! It walks everything, so it is for tests: the simulation asks after every run, and at points in it. Proved able to fail by the mutants of `broker/crates/mutant`.

use message::ConnectionId;

use crate::engine::Engine;

impl Engine {
    /// The first invariant that is broken, in words; `None`: all hold.
    pub fn broken_invariant(&self) -> Option<String> {
        self.beyond_limits().or_else(|| self.held_for_nobody())
    }

    /// Who is connected, as far as the engine knows; in order.
    pub fn connected(&self) -> impl Iterator<Item = ConnectionId> {
        self.connections.keys().copied()
    }

    fn beyond_limits(&self) -> Option<String> {
        let settings = &self.settings;
        for (id, transaction) in &self.transactions {
            let (bytes, bytes_max) = (transaction.bytes(), settings.transaction_bytes_max);
            if transaction.failed.is_none() && bytes > bytes_max {
                return Some(format!(
                    "transaction {id:?} holds {bytes} bytes of {bytes_max} (transaction_bytes_max)"
                ));
            }
        }
        for (id, consumer) in &self.consumers {
            let (messages, bytes) = (consumer.pending.len(), consumer.pending_bytes);
            let (messages_max, bytes_max) = (consumer.pending_messages_max(), settings.topic_consumer_bytes_max);
            if messages > messages_max || bytes > bytes_max {
                return Some(format!(
                    "{messages} messages of {messages_max} and {bytes} bytes of {bytes_max} wait for topic consumer {id:?}"
                ));
            }
        }
        // A topic's message counts once when it is looked for room, and for each durable subscription when it waits.
        let copies_max = self.durables.len().max(1) as u64;
        let (volatile, volatile_max) = (self.volatile_bytes, settings.volatile_bytes_max as u64 * copies_max);
        if volatile > volatile_max {
            return Some(format!(
                "messages that are not persistent take {volatile} bytes of {volatile_max} (volatile_bytes_max)"
            ));
        }
        // The dead-letter queue is made when it is needed.
        let (destinations, destinations_max) = (self.names.len(), settings.destinations_max + 1);
        if destinations > destinations_max {
            return Some(format!("there are {destinations} destinations of {destinations_max}"));
        }
        None
    }

    fn held_for_nobody(&self) -> Option<String> {
        let is_gone = |connection: ConnectionId| !self.connections.contains_key(&connection);
        let gone = |what: &str| Some(format!("{what} of a connection that is gone"));
        if let Some((name, _)) = self.clients.iter().find(|(_, connection)| is_gone(**connection)) {
            return gone(&format!("client-id {name}"));
        }
        if let Some(id) = self.consumers.keys().find(|id| is_gone(id.connection)) {
            return gone(&format!("consumer {id:?}"));
        }
        if let Some(id) = self.transactions.keys().find(|id| is_gone(id.connection)) {
            return gone(&format!("transaction {id:?}"));
        }
        let temporary = self.queues.values().find(|queue| queue.owner().is_some_and(is_gone));
        if let Some(queue) = temporary {
            return gone(&format!("temporary {}", queue.label()));
        }
        let temporary = self.topics.values().find(|topic| topic.owner.is_some_and(is_gone));
        if let Some(topic) = temporary {
            return gone(&format!("temporary {}", topic.destination));
        }
        if self.connections.is_empty() {
            let producers = self.queues.values().map(|queue| queue.producers).sum::<u64>()
                + self.topics.values().map(|topic| topic.producers).sum::<u64>();
            if producers > 0 {
                return Some(format!("{producers} producers are counted, and nobody is connected"));
            }
            let is_at_rest = self.work.is_empty() && self.dead_letters.is_empty() && self.expired.is_empty();
            let in_flight = self.queues.values().find(|queue| !queue.in_flight.is_empty());
            if let Some(queue) = in_flight.filter(|_| is_at_rest) {
                let count = queue.in_flight.len();
                return Some(format!(
                    "{count} messages of {} are in flight, and nobody is connected",
                    queue.label()
                ));
            }
        }
        None
    }
}
