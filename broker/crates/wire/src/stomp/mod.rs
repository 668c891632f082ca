//! STOMP 1.0, 1.1 and 1.2 as ActiveMQ speaks it: [`Decoder`] and [`FrameWriter`] for either side, [`Session`] for the broker's.
//!
//! Where ActiveMQ and the specification differ, or ActiveMQ does what no client wants, this is what holds here:
//!
//! - **Errors.** A frame that breaks the protocol (malformed, unknown, without a required header, before CONNECT) gets an ERROR and ends the connection, as the specification
//!   says; ActiveMQ often goes on. A well-formed frame that cannot be carried out (unknown transaction, unexpected ACK, illegal destination, refused by the broker) gets an
//!   ERROR and leaves the connection open, as in ActiveMQ; the specification would close. ERROR bodies are one line, not a stack trace.
//! - **Escapes.** An undefined escape ends the connection in 1.1 and 1.2 (specification); ActiveMQ keeps the backslash. In 1.0 nothing is unescaped.
//! - **`ack:auto`** is acknowledged when the frame's last byte went to the socket, not before: what never left the process is delivered again.
//!   So what was on its way when the client sent UNSUBSCRIBE may reach it and, as redelivered, another consumer too.
//! - **NACK** stands for one message in every mode, as in ActiveMQ (the specification makes it cumulative with `ack:client`): it leads to the dead-letter queue.
//! - **Transactions** stay all or nothing: after a SEND in a transaction was refused here, its COMMIT is refused and rolls back.
//! - **Prefetch 0** is one message at a time: the next is pulled when the one before it is acknowledged.
//! - **Heart-beats**: a client is given up after twice the silence that it promised, times the grace; ActiveMQ's checks lie between once and twice.
//! - **Subscription ids** are unique within a connection; ActiveMQ lets a second one shadow the first. A durable subscription needs a `client-id`.
//! - **Destinations**: a bare name is a queue (ActiveMQ); `/other/A` is refused (ActiveMQ: a queue of that whole name).
//! - **`duplicate-id`** of SEND is ours: an instruction, not a property, so that a message that is forwarded with its headers is not taken for a duplicate.
//! - **Scheduled delivery** is absent: `AMQ_SCHEDULED_DELAY`, `AMQ_SCHEDULED_PERIOD` and `AMQ_SCHEDULED_CRON` stay properties, and the message is delivered at once, as by an ActiveMQ
//!   without `schedulerSupport` (its default). There it is silent; here the log has a WARN for the first such message, and a metric counts them all. Refusing the SEND would break clients
//!   that such an ActiveMQ serves.
//! - Accepted and without effect: `host`, `login`, `passcode`, `activemq.retroactive`, `activemq.dispatchAsync`.
//! - Transformations: `jms-map-json` and `jms-byte`; others go on untransformed with `transformation-error`.
//!
//! Deliberately absent: I/O, users, and every decision about messages. Tests: `tests/`.

mod body;
mod decoder;
mod delivered;
mod destinations;
mod encoder;
mod frame;
mod heart_beat;
mod limits;
mod map;
mod problem;
mod sent;
mod session;
mod subscription;
mod version;

pub use decoder::{Decoder, FrameError};
pub use encoder::{END_OF_FRAME, FrameWriter};
pub use frame::Frame;
pub use heart_beat::HeartBeat;
pub use limits::{FrameLimits, Limits};
pub use session::{Session, SessionReport, SessionSettings, SubscriptionReport};
pub use version::Version;
