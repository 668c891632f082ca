//! Connections and subscriptions as the admin interface shows them: plain data. A field that is renamed here breaks clients: add, do not rename.

use message::Destination;
use serde::{Deserialize, Serialize};

/// A client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionStatus {
    /// Its number; never used twice by one process.
    pub id: u64,
    /// Where it comes from: `127.0.0.1:40000`.
    pub address: String,
    /// The name that it gave.
    pub client_id: Option<String>,
    /// `STOMP 1.2`; nothing before its CONNECT was answered.
    pub protocol: Option<String>,
    /// When it came, milliseconds since 1970.
    pub since: u64,
    /// For how long it has been there.
    pub age_seconds: u64,
    /// Its subscriptions now, browsers included.
    pub subscriptions: u64,
    /// Open transactions.
    pub transactions: u64,
    /// Deliveries that it has not acknowledged for good.
    pub unacknowledged: u64,
    /// Its frames that wait for the broker's answer: mostly for the disk.
    pub unanswered: u64,
    /// What its oldest send waits for: `store` or `memory`; nothing: it does not wait.
    pub waits_for: Option<String>,
    /// Commands that wait behind that send, itself included.
    pub waiting_commands: u64,
    /// What is held of it: commands that wait, and bytes that are no whole frame yet.
    pub held_bytes: u64,
}

/// Which connections are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionsRequest {
    /// Those behind this one.
    pub after: Option<u64>,
    /// At most so many.
    pub limit: usize,
    /// Only those of this client.
    pub client_id: Option<String>,
    /// Only those whose sends wait for space.
    pub waiting: bool,
}

/// A subscription, or a durable one that nobody uses now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionStatus {
    /// Its connection; nothing while a durable subscription is not in use.
    pub connection: Option<u64>,
    /// What its client calls it.
    pub id: Option<String>,
    /// The name of its client.
    pub client_id: Option<String>,
    /// The durable subscription's name.
    pub durable: Option<String>,
    /// Whether a consumer is there.
    pub active: bool,
    /// What it takes from, patterns included.
    pub destinations: Vec<String>,
    /// Its selector.
    pub selector: Option<String>,
    /// `auto`, `client`, `client-individual`.
    pub ack: Option<String>,
    /// How many deliveries it may hold; 0: it asks for each.
    pub prefetch: Option<u32>,
    /// It only looks.
    pub browser: bool,
    /// Nobody else is served while it is there.
    pub exclusive: bool,
    /// Deliveries so far: to this consumer, or since this broker leads.
    pub dispatched: u64,
    /// Deliveries that are not acknowledged for good.
    pub unacknowledged: u64,
    /// What waits for it alone; nothing where it shares a queue with others (`holdfast destinations list` has that).
    pub pending: Option<u64>,
}

/// Which subscriptions are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionsRequest {
    /// Those behind this place, which an answer has named.
    pub after: Option<String>,
    /// At most so many.
    pub limit: usize,
    /// Only those that take from this destination, those with patterns included.
    pub destination: Option<Destination>,
    /// Only those of this client.
    pub client_id: Option<String>,
    /// Only those of this connection.
    pub connection: Option<u64>,
}

/// Some of many, and where to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// Those that were found.
    pub found: Vec<T>,
    /// What to pass as `after` for more, although this page may be empty; nothing: these were all.
    pub next: Option<String>,
}

/// Answer to a list of connections.
#[derive(Debug, Serialize, Deserialize)]
pub struct ConnectionsAnswer {
    /// In the order in which they came.
    pub connections: Vec<ConnectionStatus>,
    /// What to pass as `after` for more; nothing if these were all.
    pub next: Option<String>,
}

/// Answer to a list of subscriptions.
#[derive(Debug, Serialize, Deserialize)]
pub struct SubscriptionsAnswer {
    /// Consumers in the order of their connections, then durable subscriptions that are not in use, by client and name.
    pub subscriptions: Vec<SubscriptionStatus>,
    /// What to pass as `after` for more; nothing if these were all.
    pub next: Option<String>,
}

/// Answer to the order to close a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// Which.
    pub id: u64,
}
