//! Who is connected and what each consumer wants and has: counted, never computed from messages.

use std::ops::Bound;
use std::sync::Arc;

use message::{ConnectionId, ConsumerId, Destination};

use crate::consumer::Consumer;
use crate::engine::Engine;
use crate::flow::Scarce;

/// What a connection's send waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// Space in the store, for persistent messages.
    Store,
    /// Memory, for messages that are not persistent.
    Memory,
}

/// One connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionStatistics {
    /// The name that its client gave.
    pub client_id: Option<Arc<str>>,
    /// Its consumers now, browsers included.
    pub consumers: u64,
    /// Deliveries to them that are not acknowledged for good: those acknowledged in an open transaction count.
    pub unacknowledged: u64,
    /// Open transactions.
    pub transactions: u64,
    /// What its oldest command waits for; `None`: nothing waits.
    pub waits_for: Option<WaitsFor>,
    /// Commands that wait, that send included.
    pub waiting_commands: u64,
    /// Memory of those commands, bytes.
    pub waiting_bytes: u64,
}

/// One consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerStatistics {
    /// Which.
    pub consumer: ConsumerId,
    /// The name of its client.
    pub client_id: Option<Arc<str>>,
    /// What it takes from, patterns included.
    pub destinations: Vec<Destination>,
    /// Its selector, without ActiveMQ's prefixes.
    pub selector: Option<Arc<str>>,
    /// How many deliveries it may hold; 0: it asks for each.
    pub prefetch: u32,
    /// It only looks.
    pub browser: bool,
    /// Nobody else is served while it is there.
    pub exclusive: bool,
    /// The durable subscription that it reads.
    pub durable: Option<Arc<str>>,
    /// Deliveries so far.
    pub dispatched: u64,
    /// Deliveries that are not acknowledged for good.
    pub unacknowledged: u64,
    /// What waits for it alone, of topics or in its durable subscription; `None`: it shares a queue with others.
    pub pending: Option<u64>,
}

impl Engine {
    /// One connection.
    pub fn connection(&self, id: ConnectionId) -> Option<ConnectionStatistics> {
        let connection = self.connections.get(&id)?;
        let consumers = connection.consumers.iter().filter_map(|id| self.consumers.get(id));
        let (commands, bytes) = connection.backlog.held();
        Some(ConnectionStatistics {
            client_id: connection.client_id.clone(),
            consumers: connection.consumers.len() as u64,
            unacknowledged: consumers.map(|consumer| consumer.flights.len() as u64).sum(),
            transactions: connection.transactions.len() as u64,
            waits_for: connection.backlog.lacks().map(|scarce| match scarce {
                Scarce::Store => WaitsFor::Store,
                Scarce::Memory => WaitsFor::Memory,
            }),
            waiting_commands: commands as u64,
            waiting_bytes: bytes as u64,
        })
    }

    /// Consumers in the order of their connections, those behind `after`, at most `limit`.
    pub fn consumers(&self, after: Option<ConsumerId>, limit: usize) -> Vec<ConsumerStatistics> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let consumers = self.consumers.range((from, Bound::Unbounded)).take(limit);
        consumers
            .map(|(_, consumer)| self.describe_consumer(consumer))
            .collect()
    }

    fn describe_consumer(&self, consumer: &Consumer) -> ConsumerStatistics {
        let subscription = consumer.durable.and_then(|object| self.queues.get(&object));
        let pending = match subscription {
            Some(queue) => Some(queue.backlog.messages().saturating_sub(queue.in_flight.len() as u64)),
            None if consumer.queues.is_empty() => Some(consumer.pending.len() as u64),
            None => None,
        };
        ConsumerStatistics {
            consumer: consumer.id,
            client_id: self
                .connections
                .get(&consumer.id.connection)
                .and_then(|connection| connection.client_id.clone()),
            destinations: consumer.destinations.clone(),
            selector: consumer.selector.as_deref().map(|selector| selector.condition().into()),
            prefetch: consumer.prefetch(),
            browser: consumer.browser.is_some(),
            exclusive: consumer.exclusive,
            durable: subscription
                .and_then(|queue| queue.durable())
                .map(|durable| Arc::clone(&durable.name)),
            dispatched: consumer.dispatched(),
            unacknowledged: consumer.flights.len() as u64,
            pending,
        }
    }
}
