//! The engine's limits and periods, each with its unit and what happens when it is reached.

use std::sync::Arc;
use std::time::Duration;

/// Most messages that one step looks at; what is left waits for the next [`crate::Engine::handle_timeout`].
pub const STEP_MESSAGES_MAX: usize = 1000;

/// Most entries that one dispatched-through mark is written ahead.
pub const DISPATCHED_AHEAD_MAX: usize = 1000;

/// The property that says why a message is in the dead-letter queue.
pub const DEAD_LETTER_CAUSE: &str = "dlqDeliveryFailureCause";

/// The property that keeps the expiration that a dead letter had.
pub const ORIGINAL_EXPIRATION: &str = "originalExpiration";

/// The property that marks the first message of a group for its consumer.
pub const GROUP_FIRST: &str = "JMSXGroupFirstForConsumer";

/// What decides the engine's behaviour.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The broker's name, for texts.
    pub broker_name: Arc<str>,
    /// Where rejected and expired messages go.
    pub dead_letter_queue: Arc<str>,
    /// Bodies of persistent messages kept in memory, bytes. A body beyond it is read back when it is needed; what is read ahead is kept in any case.
    pub body_cache_bytes: usize,
    /// Memory of one open transaction, bytes; one that grows larger can only be rolled back.
    pub transaction_bytes_max: usize,
    /// Memory of all open transactions together, bytes; the one that would go beyond it can only be rolled back.
    pub transactions_bytes_max: usize,
    /// Memory of all non-persistent messages that wait in queues and durable subscriptions, bytes; a send beyond it waits, or fails.
    pub volatile_bytes_max: usize,
    /// Whether a send that finds no space fails at once instead of waiting (ActiveMQ's `sendFailIfNoSpace`).
    pub send_fail_if_no_space: bool,
    /// How long a send waits for space before it fails (ActiveMQ's `sendFailIfNoSpaceAfterTimeout`); `None`: as long as it takes.
    pub send_fail_if_no_space_after: Option<Duration>,
    /// What is held of one connection behind a send that waits, bytes; then nothing more is read from it.
    pub waiting_bytes_max: usize,
    /// Queues and topics; creating one beyond it is refused.
    pub destinations_max: usize,
    /// Durable subscriptions; creating one beyond it is refused.
    pub subscriptions_max: usize,
    /// Messages that wait for one slow topic consumer, unless it names its own limit; the oldest are dropped beyond.
    pub topic_consumer_messages_max: usize,
    /// Memory of the messages that wait for one slow topic consumer, bytes; the oldest are dropped beyond.
    pub topic_consumer_bytes_max: usize,
    /// Memory of messages that one connection was delivered and has not taken, bytes; then it is delivered no more until it takes some.
    pub untaken_bytes_max: usize,
    /// The same of all connections together, bytes; then each may have a little, one message at least.
    pub untaken_bytes_all_max: usize,
    /// Duplicate ids remembered for each destination; the oldest are forgotten beyond.
    pub duplicate_ids_max: usize,
    /// Time for which a duplicate id is remembered.
    pub duplicate_window: Duration,
    /// Between two sweeps for expired messages.
    pub expiry_interval: Duration,
    /// Message groups of one queue that keep their consumer; the least recently used is forgotten beyond.
    pub message_groups_max: usize,
    /// Messages of groups whose consumer is busy that one set of consumers passes over; it stops there until that consumer takes some.
    pub group_parked_max: usize,
    /// Messages that are read ahead for one set of consumers.
    pub read_ahead_messages: usize,
    /// Bytes that are read ahead for one set of consumers; at least one message.
    pub read_ahead_bytes: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            broker_name: "holdfast".into(),
            dead_letter_queue: "ActiveMQ.DLQ".into(),
            body_cache_bytes: 32 << 20,
            transaction_bytes_max: 64 << 20,
            transactions_bytes_max: 256 << 20,
            volatile_bytes_max: 256 << 20,
            send_fail_if_no_space: false,
            send_fail_if_no_space_after: None,
            waiting_bytes_max: 1 << 20,
            destinations_max: 100_000,
            subscriptions_max: 100_000,
            topic_consumer_messages_max: 1000,
            topic_consumer_bytes_max: 16 << 20,
            untaken_bytes_max: 1 << 20,
            untaken_bytes_all_max: 256 << 20,
            duplicate_ids_max: 100_000,
            duplicate_window: Duration::from_secs(3600),
            expiry_interval: Duration::from_secs(30),
            message_groups_max: 100_000,
            group_parked_max: 100_000,
            read_ahead_messages: 1024,
            read_ahead_bytes: 2 << 20,
        }
    }
}
