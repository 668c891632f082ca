//! What the wire sessions and the engine say to each other, whatever the protocol.
//!
//! A session turns a client's bytes into [`Command`]s; the engine answers with [`Event`]s. A command that carries a request is answered exactly once, with [`Event::Done`]
//! or [`Event::Refused`]; one without is answered only if it fails. The engine may send other events ([`Event::Deliver`], …) at any time. Events reach a session in
//! the order in which the engine made them, and only after everything they rest on is confirmed: a session never needs to know of disks.

use std::fmt;
use std::sync::Arc;

use crate::{ConsumerId, DeliveryTag, Destination, Message, MessageNumber, RequestId, TransactionId};

/// One thing that a client wants.
#[derive(Clone, Debug)]
pub enum Command {
    /// The client introduced itself. Always the first command of a connection.
    Connect {
        /// `client-id`: names the owner of durable subscriptions; at most one connection at a time has it.
        client_id: Option<Arc<str>>,
    },
    /// Stores or passes on a message. Two or more destinations are all or nothing.
    Send(Box<Send>),
    /// Starts a consumer; its deliveries come after the answer.
    Subscribe(Box<Subscribe>),
    /// Ends a consumer. What it was delivered and did not acknowledge goes back to its queue, counted as redelivered up to `last_delivered`.
    Unsubscribe {
        /// The consumer.
        consumer: ConsumerId,
        /// How far the client is known to have got.
        last_delivered: LastDelivered,
    },
    /// Deletes a durable subscription and what waits in it.
    RemoveDurable {
        /// Its owner.
        client_id: Arc<str>,
        /// Its name.
        name: Arc<str>,
    },
    /// Says what became of deliveries.
    Acknowledge(Acknowledge),
    /// Asks for messages on behalf of a consumer with prefetch 0.
    Pull {
        /// The consumer.
        consumer: ConsumerId,
        /// How many more it may be sent.
        count: u32,
    },
    /// Opens a transaction.
    Begin {
        /// Its id.
        transaction: TransactionId,
    },
    /// Does everything in a transaction, or nothing.
    Commit {
        /// Its id.
        transaction: TransactionId,
    },
    /// Forgets a transaction. Deliveries acknowledged in it are unacknowledged again.
    Rollback {
        /// Its id.
        transaction: TransactionId,
    },
    /// Makes a temporary destination of this connection.
    CreateTemporary {
        /// Its kind is temporary, its name unique.
        destination: Destination,
    },
    /// Ends a temporary destination of this connection.
    DeleteTemporary {
        /// Which.
        destination: Destination,
    },
    /// Does nothing. Its answer says that everything the connection asked for before was carried out or refused, also what waited for space.
    Barrier,
}

/// A message to send.
#[derive(Clone, Debug)]
pub struct Send {
    /// The message; `destination` is the first of `destinations`.
    pub message: Arc<Message>,
    /// Where to: at least one, no patterns.
    pub destinations: Vec<Destination>,
    /// In which transaction.
    pub transaction: Option<TransactionId>,
    /// `duplicate-id`: a second send with the same id to the same destination is answered like the first and stored once.
    pub duplicate_id: Option<Arc<str>>,
}

impl Send {
    /// Bytes that it holds in memory, roughly: what limits count.
    pub fn bytes_held(&self) -> usize {
        let names = bytes_of_names(&self.destinations);
        let duplicate_id = self.duplicate_id.as_ref().map_or(0, |id| id.len());
        size_of::<Send>() + self.message.bytes_held() + names + duplicate_id
    }
}

fn bytes_of_names(destinations: &[Destination]) -> usize {
    let bytes = |destination: &Destination| size_of::<Destination>() + destination.name.len();
    destinations.iter().map(bytes).sum()
}

/// A consumer to start.
#[derive(Clone, Debug)]
pub struct Subscribe {
    /// Its id.
    pub consumer: ConsumerId,
    /// What it reads: at least one; patterns are allowed. All of one durable subscription are topics.
    pub destinations: Vec<Destination>,
    /// The selector's text, checked by the engine.
    pub selector: Option<Arc<str>>,
    /// How many unacknowledged deliveries it may hold; 0: only what it pulls.
    pub prefetch: u32,
    /// A look through a queue that takes nothing.
    pub browser: bool,
    /// No messages that the same connection sent.
    pub no_local: bool,
    /// While it lives, only the first exclusive consumer of a queue is served.
    pub exclusive: bool,
    /// 0 to 127; the higher is served first.
    pub priority: i8,
    /// For topics: the name of the durable subscription; its owner is the connection's client id.
    pub durable: Option<Arc<str>>,
    /// For non-durable topic subscribers: how many messages may wait beyond the prefetch before the oldest are dropped; `None`: the broker's limit.
    pub pending_max: Option<u32>,
}

impl Subscribe {
    /// Bytes that it holds in memory, roughly: what limits count.
    pub fn bytes_held(&self) -> usize {
        let text = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |text| text.len());
        size_of::<Subscribe>() + bytes_of_names(&self.destinations) + text(&self.selector) + text(&self.durable)
    }
}

/// What became of deliveries `first` to `last` of a consumer (only those still open among them).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledge {
    /// The consumer.
    pub consumer: ConsumerId,
    /// First tag.
    pub first: DeliveryTag,
    /// Last tag; may equal `first`.
    pub last: DeliveryTag,
    /// What became of them.
    pub outcome: Disposition,
    /// In which transaction.
    pub transaction: Option<TransactionId>,
}

/// What a client did with a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Done with it: it is removed.
    Consumed,
    /// Cannot be processed: it goes to the dead-letter queue (STOMP NACK, OpenWire poison).
    Rejected,
    /// Given back: delivered again, counted.
    Released,
}

/// How far a client got before its consumer ended (OpenWire `lastDeliveredSequenceId`); decides which redelivery counters rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastDelivered {
    /// Not known: every open delivery counts.
    Unknown,
    /// None: no counter rises.
    Nothing,
    /// Up to this message, in order of delivery.
    Through(MessageNumber),
}

/// What the engine tells a session.
#[derive(Clone, Debug)]
pub enum Event {
    /// The request was carried out, durably where that was asked for.
    Done {
        /// Which.
        request: RequestId,
    },
    /// The request was not carried out, and nothing of it was.
    Refused {
        /// Which; `None` where none was given.
        request: Option<RequestId>,
        /// Why.
        refusal: Refusal,
    },
    /// A message for a consumer.
    Deliver(Delivery),
    /// A browser has seen everything.
    BrowseEnd {
        /// Which.
        consumer: ConsumerId,
    },
    /// The broker ended a consumer (its destination was deleted, …).
    ConsumerEnded {
        /// Which.
        consumer: ConsumerId,
        /// Why, for the client.
        reason: Refusal,
    },
}

/// One delivery of a message.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// To whom.
    pub consumer: ConsumerId,
    /// By which the consumer acknowledges it.
    pub tag: DeliveryTag,
    /// The message.
    pub message: Arc<Message>,
    /// Its place in the order of arrival.
    pub number: MessageNumber,
    /// Whether it may have been delivered before, here or under an earlier leader.
    pub redelivered: bool,
    /// How many failed deliveries are recorded (`JMSXDeliveryCount` less one).
    pub redeliveries: u32,
}

/// Why a command was not carried out: a class that the session maps to its protocol, and one line for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The class.
    pub kind: RefusalKind,
    /// What happened and what to do.
    pub text: String,
}

/// The classes of refusal, after the JMS exceptions that they become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// `JMSException`: a request that makes no sense in the present state.
    IllegalState,
    /// `InvalidDestinationException`.
    InvalidDestination,
    /// `InvalidSelectorException`.
    InvalidSelector,
    /// `InvalidClientIDException`: the connection is closed after it.
    InvalidClientId,
    /// `ResourceAllocationException`: a limit was reached.
    ResourceAllocation,
    /// `TransactionRolledBackException`.
    TransactionRolledBack,
    /// `JMSSecurityException`.
    Security,
}

impl Refusal {
    /// A refusal.
    pub fn new(kind: RefusalKind, text: impl Into<String>) -> Refusal {
        Refusal {
            kind,
            text: text.into(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
