//! Counters and gauges, as plain data.

use std::sync::Arc;

use message::Destination;

/// What went through a destination or durable subscription since this epoch began; cheap to copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages that came in.
    pub enqueued: u64,
    /// Messages that were acknowledged or rejected.
    pub dequeued: u64,
    /// Deliveries.
    pub dispatched: u64,
    /// Messages that expired.
    pub expired: u64,
    /// Messages that went to the dead-letter queue.
    pub dead_lettered: u64,
    /// Messages dropped for slow topic consumers.
    pub dropped: u64,
    /// Messages recognised as sent before.
    pub duplicates: u64,
}

/// One destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationStatistics {
    /// Which; temporary ones included.
    pub destination: Destination,
    /// What went through.
    pub counters: Counters,
    /// Messages waiting or being delivered; for a topic, those of the durable subscriptions that take from it.
    pub messages: u64,
    /// Beside them, messages set aside because their bytes are damaged: nobody gets them, and they stay until they are purged.
    pub set_aside: u64,
    /// Bytes of both, as stored.
    pub bytes: u64,
    /// Of the messages, delivered and not yet acknowledged.
    pub in_flight: u64,
    /// Consumers now.
    pub consumers: u64,
    /// Connections now that have sent to it.
    pub producers: u64,
}

/// One subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionStatistics {
    /// Its owner.
    pub client_id: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// The topics, patterns included.
    pub destinations: Vec<Destination>,
    /// Its selector, without ActiveMQ's prefixes.
    pub selector: Option<Arc<str>>,
    /// Whether a consumer uses it now.
    pub active: bool,
    /// What went through.
    pub counters: Counters,
    /// Messages waiting or being delivered.
    pub messages: u64,
    /// Beside them, messages set aside because their bytes are damaged.
    pub set_aside: u64,
    /// Bytes of both, as stored.
    pub bytes: u64,
    /// Of the messages, delivered and not yet acknowledged.
    pub in_flight: u64,
}

/// Everything together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Clients now.
    pub connections: u64,
    /// Consumers now.
    pub consumers: u64,
    /// Queues and topics now, temporary ones included.
    pub destinations: u64,
    /// Durable subscriptions now.
    pub durable_subscriptions: u64,
    /// Open transactions.
    pub transactions: u64,
    /// Messages waiting or being delivered, in queues and durable subscriptions.
    pub messages: u64,
    /// Beside them, messages set aside because their bytes are damaged; one that several durable subscriptions have counts for each.
    pub set_aside: u64,
    /// Bodies of persistent messages in memory, bytes.
    pub body_cache_bytes: u64,
    /// Non-persistent messages that wait, bytes.
    pub volatile_bytes: u64,
    /// Reads from the store that have not returned.
    pub reads_outstanding: u64,
    /// What went through all destinations since this epoch began, deleted ones included; a topic's message counts once.
    pub counters: Counters,
}
