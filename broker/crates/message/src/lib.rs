//! What every other part speaks of: ids, destinations, messages, selectors, and the commands and events between protocols and engine.
//!
//! The lowest layer. Deliberately absent: bytes on disk or wire (except the property block, which is kept encoded), clocks, I/O.
//!
//! Architecture invariant: nothing here depends on a protocol or on how messages are stored.

#![forbid(unsafe_code)]

mod command;
mod destination;
mod excerpt;
mod ids;
mod message;
mod properties;
pub mod selector;

pub use command::{
    Acknowledge, Command, Delivery, Disposition, Event, LastDelivered, Refusal, RefusalKind, Send, Subscribe,
};
pub use destination::{DESTINATION_NAME_BYTES_MAX, Destination, InvalidName, Kind};
pub use excerpt::{EXCERPT_CHARS_MAX, excerpt};
pub use ids::{ConnectionId, ConsumerId, DeliveryTag, Epoch, MessageNumber, RequestId, Sequence, TransactionId};
pub use message::{Body, BodyKind, Message, PRIORITY_DEFAULT, PRIORITY_MAX, Selectable};
pub use properties::{MalformedProperties, PROPERTY_KEY_BYTES_MAX, Properties, PropertiesBuilder, Property};
