//! Moves and dead letters as the admin interface shows them: plain data. A field that is renamed here breaks clients: add, do not rename.

use message::Destination;
use serde::{Deserialize, Serialize};

/// Which messages to move, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveRequest {
    /// Where they wait.
    pub from: Destination,
    /// Where they go; `None`: each to where it came from.
    pub to: Option<Destination>,
    /// Only messages that match.
    pub selector: Option<String>,
    /// At most so many; `None`: all that wait now.
    pub limit: Option<u64>,
}

/// What a move did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveStatus {
    /// From where.
    pub from: String,
    /// To where; nothing: each to where it came from.
    pub to: Option<String>,
    /// Messages moved.
    pub messages: u64,
    /// What was left, and why.
    #[serde(default)]
    pub left: Left,
    /// Why it stopped before its end; nothing: it did not.
    pub stopped: Option<String>,
}

/// Messages that a move left where they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Left {
    /// Consumers have them.
    pub in_delivery: u64,
    /// Damaged, set aside; whether the selector matches them is not known.
    pub set_aside: u64,
    /// Nothing says where they came from.
    pub without_origin: u64,
    /// They came from a temporary destination.
    pub origin_gone: u64,
    /// They came from a topic where nobody would keep them now: persistent messages go back only to durable subscriptions.
    pub unheard: u64,
}

/// Which dead letters to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLettersRequest {
    /// The queue; `None`: where this broker puts dead letters.
    pub queue: Option<Destination>,
    /// Those behind this place, which an answer has named.
    pub after: Option<String>,
    /// At most so many.
    pub limit: usize,
    /// Only messages that match.
    pub selector: Option<String>,
}

/// A message in a dead-letter queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The id that clients see.
    pub id: String,
    /// Where it was sent to; nothing: it was sent here.
    pub original_destination: Option<String>,
    /// Why it is here (`dlqDeliveryFailureCause`).
    pub reason: Option<String>,
    /// Failed deliveries since it is here.
    pub redeliveries: u32,
    /// When it was sent, milliseconds since 1970.
    pub timestamp: u64,
    /// 0 to 9.
    pub priority: u8,
    /// Length of its body.
    pub body_bytes: u64,
    /// Whether a consumer has it now.
    pub in_delivery: bool,
}

/// Answer to a list of dead letters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLettersAnswer {
    /// The queue.
    pub queue: String,
    /// In the order of delivery.
    pub messages: Vec<DeadLetter>,
    /// What to pass as `after` for more; nothing if these were all.
    pub next: Option<String>,
}
