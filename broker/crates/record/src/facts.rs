//! The kinds of records.

use std::sync::Arc;

use message::{Destination, Message, MessageNumber};

/// Names a durable object: a queue, a topic or a durable subscription. 1, 2, 3, …; never used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub u32);

/// One fact.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// An object exists from now on.
    Created {
        /// Its id.
        object: ObjectId,
        /// What it is.
        definition: Definition,
    },
    /// An object, and everything that waited in it, is gone.
    Deleted {
        /// Which.
        object: ObjectId,
    },
    /// A message arrived.
    Sent(Sent),
    /// Messages were consumed.
    Acknowledged(Waiting),
    /// Messages expired without a dead-letter queue.
    Expired(Waiting),
    /// A message left one object and arrived, changed, in another: the dead-letter queue.
    Moved {
        /// From where.
        object: ObjectId,
        /// Its number there.
        number: MessageNumber,
        /// What arrived.
        sent: Sent,
    },
    /// How often deliveries have failed, counted absolutely.
    Redelivered {
        /// In which object.
        object: ObjectId,
        /// Message and count.
        counts: Vec<(MessageNumber, u32)>,
    },
    /// Everything up to a number is gone from an object.
    Purged {
        /// Which object.
        object: ObjectId,
        /// The last number that went.
        through: MessageNumber,
    },
    /// Messages up to this number may have been delivered; what a later epoch delivers of them is marked as redelivered.
    Dispatched {
        /// In which object.
        object: ObjectId,
        /// Up to where.
        through: MessageNumber,
    },
    /// A transaction took place, all at once.
    Committed {
        /// What arrived, in order.
        sent: Vec<Sent>,
        /// What was consumed.
        acknowledged: Vec<Waiting>,
    },
    /// A message's bytes are damaged; it is no longer delivered and stays for inspection where it lies.
    SetAside {
        /// In which object.
        object: ObjectId,
        /// Which.
        number: MessageNumber,
    },
}

/// What an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Definition {
    /// A queue.
    Queue {
        /// Its name.
        name: Arc<str>,
    },
    /// A topic.
    Topic {
        /// Its name.
        name: Arc<str>,
    },
    /// A durable subscription.
    Durable {
        /// Its owner.
        client_id: Arc<str>,
        /// Its name.
        name: Arc<str>,
        /// The topics, patterns included.
        destinations: Vec<Destination>,
        /// Its selector's text.
        selector: Option<Arc<str>>,
        /// Whether the owner's own messages are left out.
        no_local: bool,
    },
}

/// A message's arrival.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// The queue or topic that it was sent to.
    pub destination: ObjectId,
    /// Its number.
    pub number: MessageNumber,
    /// Where it waits: the queue itself, or each durable subscription that takes it; may be empty.
    pub targets: Vec<ObjectId>,
    /// The sender's id for it, by which a resend is recognised.
    pub duplicate_id: Option<Arc<str>>,
    /// Engine time of arrival, milliseconds since 1970; dates `duplicate_id`.
    pub time: u64,
    /// The message.
    pub message: Arc<Message>,
}

/// Some messages that wait in one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The object.
    pub object: ObjectId,
    /// Their numbers, rising.
    pub numbers: Vec<MessageNumber>,
}
