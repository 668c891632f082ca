//! What an administrator may ask, and what comes back: plain data.

use std::sync::Arc;

use message::{Destination, Message, MessageNumber};

/// Names an administrator's request; chosen by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AdminRequest(pub u64);

/// One thing that an administrator wants. Each is answered exactly once, with an [`AdminAnswer`].
#[derive(Clone, Debug)]
pub enum AdminCommand {
    /// Makes a queue or topic; existing already is no error.
    Create {
        /// Which; neither temporary nor a pattern.
        destination: Destination,
    },
    /// Deletes a destination and all that waits in it; refused while it has consumers or durable subscriptions.
    Delete {
        /// Which.
        destination: Destination,
    },
    /// Removes everything that waits in a queue when this is asked, deliveries in flight included (as ActiveMQ does).
    Purge {
        /// Which.
        queue: Destination,
    },
    /// Removes the messages that are set aside, and nothing else: of a queue, or of the durable subscriptions that take from a topic.
    PurgeSetAside {
        /// Which.
        destination: Destination,
    },
    /// Moves waiting messages, one page; what is being delivered stays. The answer says whether and where to go on.
    Move {
        /// The queue.
        from: Destination,
        /// Where they go.
        to: MoveTo,
        /// Only messages that match this selector.
        selector: Option<Arc<str>>,
        /// At most so many messages; at most [`crate::STEP_MESSAGES_MAX`].
        limit: usize,
        /// What the page before said; `None`: from the start, and nothing that arrives from now on.
        go_on: Option<MoveToGo>,
    },
    /// Looks at waiting messages, those in flight included, in the order of delivery.
    Browse {
        /// The queue.
        queue: Destination,
        /// Where the page before ended; `None`: from the start.
        from: Option<BrowsePosition>,
        /// At most so many messages in the answer; at most [`crate::STEP_MESSAGES_MAX`].
        limit: usize,
        /// Only messages that match this selector.
        selector: Option<Arc<str>>,
    },
    /// Deletes a durable subscription and what waits in it; refused while a consumer uses it.
    RemoveDurable {
        /// Its owner.
        client_id: Arc<str>,
        /// Its name.
        name: Arc<str>,
    },
}

/// What an administrator is told.
#[derive(Clone, Debug)]
pub enum AdminAnswer {
    /// The destination exists.
    Created {
        /// False if it did before.
        created: bool,
    },
    /// The destination or durable subscription is gone.
    Deleted {
        /// Messages that went with it.
        messages: u64,
    },
    /// The queue was emptied.
    Purged {
        /// Messages that went.
        messages: u64,
    },
    /// A page of messages was moved.
    Moved(Moved),
    /// A page of messages.
    Browsed {
        /// The messages, in the order of delivery.
        messages: Vec<Browsed>,
        /// Where to go on; `None`: nothing is left.
        next: Option<BrowsePosition>,
    },
    /// Nothing was done.
    Refused {
        /// What the caller can do.
        kind: AdminRefusal,
        /// What happened and what to do.
        text: String,
    },
}

/// Why an administrator's request was refused: what the caller can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminRefusal {
    /// Ask for something else: there is no such thing.
    NotFound,
    /// Put the request right.
    Invalid,
    /// Change something first: consumers are there, a limit is reached, …
    Conflict,
}

/// Where messages are moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MoveTo {
    /// To a queue that exists; neither temporary nor the one where they are.
    Queue(Destination),
    /// Each to where it came from before it was moved, without an expiration: dead letters to the queue or topic in which they were rejected or expired. A queue that is gone is made again.
    Origin,
}

/// Where a move goes on. The default is a place behind which nothing is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MoveToGo {
    /// Behind this message.
    pub(crate) behind: Option<BrowsePosition>,
    /// Up to this number.
    pub(crate) through: MessageNumber,
}

/// What a page of a move did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Messages moved.
    pub messages: u64,
    /// Messages left because a consumer has them.
    pub in_delivery: u64,
    /// Messages left because their bytes are damaged; what of them the selector would match cannot be known.
    pub set_aside: u64,
    /// Messages left because nothing says where they came from, or they came from where they are.
    pub without_origin: u64,
    /// Messages left because they came from a temporary destination.
    pub origin_gone: u64,
    /// Messages left because they came from a topic where nobody would keep them now: persistent ones go back only to durable subscriptions.
    pub unheard: u64,
    /// Why nothing more can be moved now, although there may be more.
    pub stopped: Option<String>,
    /// Where to go on; `None`: everything was looked at, or it stopped.
    pub next: Option<MoveToGo>,
}

/// Behind which message a page of a browse ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrowsePosition {
    /// Its priority.
    pub priority: u8,
    /// Its number.
    pub number: MessageNumber,
}

/// One message that was looked at.
#[derive(Clone, Debug)]
pub struct Browsed {
    /// The message.
    pub message: Arc<Message>,
    /// Its place in the order of arrival.
    pub number: MessageNumber,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// How many failed deliveries are recorded.
    pub redeliveries: u32,
    /// Whether a consumer has it now.
    pub in_flight: bool,
}
