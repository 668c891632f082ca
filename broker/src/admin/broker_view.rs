//! What the admin server knows of the broker: one trait and plain data.
//!
//! Invariant: [`BrokerView::status`] answers at once, from memory, whatever the disk does: health checks rest on it. The data types are the JSON of
//! the HTTP interface, so a field that is renamed here breaks clients: add, do not rename.

use std::future::Future;
use std::pin::Pin;

use message::Destination;
use serde::{Deserialize, Serialize};

use super::clients::{Closed, ConnectionStatus, ConnectionsRequest, Page, SubscriptionStatus, SubscriptionsRequest};
use super::moves::{DeadLettersAnswer, DeadLettersRequest, MoveRequest, MoveStatus};

/// An answer that takes a while.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Refused>> + 'a>>;

/// What the admin server asks of a broker. Both live on one thread, which never waits for a disk.
pub trait BrokerView: 'static {
    /// How things are, at once and without a disk.
    fn status(&self) -> Status;

    /// All counters, for `/metrics`; at once, as `status`.
    fn metrics(&self) -> Vec<Metric>;

    /// Destinations in the order of their names as shown (`queue://A`), at most `limit`, those after `after`.
    fn destinations(&self, after: Option<String>, limit: usize) -> Answer<'_, Vec<DestinationStatus>>;

    /// One destination.
    fn destination(&self, destination: Destination) -> Answer<'_, DestinationStatus>;

    /// Creates a destination; done when that is confirmed. Existing already is no error.
    fn create(&self, destination: Destination) -> Answer<'_, Created>;

    /// Deletes a destination with all its messages; done when that is confirmed.
    fn delete(&self, destination: Destination) -> Answer<'_, Deleted>;

    /// Removes all messages that waited when the purge began, or only those that are set aside; done when that is confirmed.
    fn purge(&self, destination: Destination, what: Purge) -> Answer<'_, Purged>;

    /// Moves waiting messages; done when that is confirmed. Whoever does not wait for the answer ends it.
    fn move_messages(&self, request: MoveRequest) -> Answer<'_, MoveStatus>;

    /// Looks at a dead-letter queue.
    fn dead_letters(&self, request: DeadLettersRequest) -> Answer<'_, DeadLettersAnswer>;

    /// Where this broker puts dead letters.
    fn dead_letter_queue(&self) -> Destination;

    /// Clients in the order in which they came.
    fn connections(&self, request: ConnectionsRequest) -> Answer<'_, Page<ConnectionStatus>>;

    /// Ends a connection at once, as if the network had.
    fn close_connection(&self, id: u64) -> Answer<'_, Closed>;

    /// Consumers in the order of their connections, then durable subscriptions that nobody uses now.
    fn subscriptions(&self, request: SubscriptionsRequest) -> Answer<'_, Page<SubscriptionStatus>>;

    /// Deletes a durable subscription with what waits in it; done when that is confirmed.
    fn delete_subscription(&self, client_id: String, name: String) -> Answer<'_, Deleted>;

    /// Looks at waiting messages without taking them.
    fn browse(&self, request: BrowseRequest) -> Answer<'_, Vec<BrowsedMessage>>;
}

/// What a broker is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Opening its directory.
    Starting,
    /// Waiting while another leads.
    Standby,
    /// Claiming and fencing.
    Claiming,
    /// Reading the journal.
    Recovering,
    /// Serving.
    Leading,
    /// On its way out.
    Stopping,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 6] = [
        Role::Starting,
        Role::Standby,
        Role::Claiming,
        Role::Recovering,
        Role::Leading,
        Role::Stopping,
    ];

    /// As in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Role::Starting => "starting",
            Role::Standby => "standby",
            Role::Claiming => "claiming",
            Role::Recovering => "recovering",
            Role::Leading => "leading",
            Role::Stopping => "stopping",
        }
    }
}

/// How things are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The broker's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it is doing.
    pub role: Role,
    /// Whether it leads, and proved so recently enough to answer clients.
    pub ready: bool,
    /// Why it is not ready, for people; empty if it is.
    #[serde(default)]
    pub reason: String,
    /// Its epoch, once claimed.
    pub epoch: Option<u32>,
    /// Who leads instead, for a standby.
    pub leader: Option<Leader>,
    /// Process id.
    pub pid: u32,
    /// Since the process started.
    pub uptime_seconds: u64,
    /// Where clients connect.
    pub listeners: Vec<String>,
    /// Where this interface listens.
    pub admin: String,
    /// The data directory.
    pub data: String,
    /// How far recovery is, while it recovers.
    pub recovery: Option<Progress>,
    /// Clients now.
    pub connections: u64,
    /// Consumers now.
    pub consumers: u64,
    /// Destinations now.
    pub destinations: u64,
    /// Messages waiting or being delivered, in queues and durable subscriptions.
    pub messages: u64,
    /// Beside them, messages whose bytes are damaged: set aside, kept until they are purged.
    #[serde(default)]
    pub set_aside: u64,
    /// The newest record that is confirmed.
    pub confirmed_sequence: u64,
    /// Age of the oldest write that has not returned.
    pub oldest_write_milliseconds: Option<u64>,
    /// The journal's disk.
    pub disk: DiskStatus,
    /// What should be looked at, most important first.
    #[serde(default)]
    pub warnings: Vec<Warning>,
}

/// Another process that leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leader {
    /// Its machine.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// Its epoch.
    pub epoch: u32,
    /// Where its clients connect.
    pub listeners: Vec<String>,
}

/// How far something long has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Done so far.
    pub bytes: u64,
    /// Of so many, as far as known.
    pub of: u64,
}

/// The journal's disk, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskStatus {
    /// What the data directory takes.
    pub used_bytes: u64,
    /// What is free on its file system.
    pub free_bytes: u64,
    /// Free space below which persistent sends wait.
    pub watermark_bytes: u64,
    /// Whether they wait now.
    pub sends_wait: bool,
}

/// Something that should be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// What is the matter.
    pub what: String,
    /// What to do about it.
    pub what_to_do: String,
}

/// A destination and what went through it since this broker leads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationStatus {
    /// `queue://NAME` or `topic://NAME`.
    pub name: String,
    /// Messages waiting or being delivered; for a topic, those of its durable subscriptions.
    pub messages: u64,
    /// Beside them, messages whose bytes are damaged: set aside, kept until they are purged.
    #[serde(default)]
    pub set_aside: u64,
    /// Of those, delivered and not yet acknowledged.
    pub in_flight: u64,
    /// Consumers now.
    pub consumers: u64,
    /// Messages that came in.
    pub enqueued: u64,
    /// Messages that were acknowledged.
    pub dequeued: u64,
    /// Messages that expired.
    pub expired: u64,
    /// Messages that went to a dead-letter queue.
    pub dead_lettered: u64,
    /// Whether it ends with the connection that made it.
    pub temporary: bool,
}

/// Answer to a creation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Created {
    /// The destination.
    pub name: String,
    /// False if it existed already.
    pub created: bool,
}

/// Answer to a deletion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// The destination.
    pub name: String,
    /// Messages that went with it.
    pub messages: u64,
}

/// What a purge removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purge {
    /// Everything that waits in a queue, what is in delivery and what is set aside included.
    Everything,
    /// What is set aside, of a queue or of the durable subscriptions that take from a topic.
    SetAside,
}

/// Answer to a purge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// The destination.
    pub name: String,
    /// Messages removed.
    pub messages: u64,
}

/// Which messages to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrowseRequest {
    /// The queue.
    pub destination: Destination,
    /// At most so many messages.
    pub limit: usize,
    /// At most so many bytes of each body.
    pub body_bytes_max: usize,
    /// Only messages that match, if given.
    pub selector: Option<String>,
}

/// A message that was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrowsedMessage {
    /// The id that clients see.
    pub id: String,
    /// 0 to 9.
    pub priority: u8,
    /// Whether it survives a restart.
    pub persistent: bool,
    /// Whether it was delivered before.
    pub redelivered: bool,
    /// Milliseconds since 1970.
    pub timestamp: u64,
    /// Milliseconds since 1970; 0 if it never expires.
    pub expires: u64,
    /// Properties and headers, in the order of the message.
    pub headers: Vec<(String, String)>,
    /// Length of the whole body.
    pub body_bytes: u64,
    /// The beginning of the body, if it is text.
    pub text: Option<String>,
}

/// One number for `/metrics`.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// As Prometheus names things, without `holdfast_`: `messages_enqueued_total`; counters end in `_total`.
    pub name: &'static str,
    /// What it counts, and its unit.
    pub help: &'static str,
    /// Whether it only rises.
    pub counter: bool,
    /// Label → value.
    pub labels: Vec<(&'static str, String)>,
    /// The number.
    pub value: f64,
}

/// Why an order was not carried out; the variants say what the caller can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedKind {
    /// Ask for something else: there is no such thing.
    NotFound,
    /// Put the request right.
    Invalid,
    /// Change something first: consumers are there, it is temporary, …
    Conflict,
    /// Try again later: the broker does not lead, or is not ready.
    Unavailable,
}

/// Why an order was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// What can be done.
    pub kind: RefusedKind,
    /// What happened.
    pub what: String,
    /// Where: the destination, parameter or file.
    #[serde(rename = "where", default)]
    pub location: String,
    /// What to do about it.
    #[serde(default)]
    pub what_to_do: String,
}

impl Refused {
    /// A refusal with everything in it.
    pub fn new(
        kind: RefusedKind,
        what: impl Into<String>,
        location: impl Into<String>,
        what_to_do: impl Into<String>,
    ) -> Refused {
        Refused {
            kind,
            what: what.into(),
            location: location.into(),
            what_to_do: what_to_do.into(),
        }
    }
}
