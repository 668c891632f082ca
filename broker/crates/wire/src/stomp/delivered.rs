//! Message to MESSAGE: which headers a delivery shows.
//!
//! The broker's own headers come first; a property of the same name is left out, so that no sender can forge one. Texts go without `content-length` (ActiveMQ's clients take its
//! presence for "bytes"), unless they hold a null byte. `JMSXGroupID` and `JMSXGroupSeq` are shown, which ActiveMQ's STOMP forgets.

use std::fmt::Write;

use bytes::{Bytes, BytesMut};
use message::{BodyKind, Delivery, Property};

use super::destinations::{Temporaries, write as write_destination};
use super::encoder::{END_OF_FRAME, FrameWriter};
use super::subscription::Subscription;
use super::{Version, map};

/// A body from this many bytes on is handed over as it is, not copied into the output buffer.
const SHARED_BODY_BYTES_MIN: usize = 16 << 10;

/// What goes out for one delivery.
pub(super) enum Written {
    /// All of it is in the buffer.
    Whole,
    /// The buffer has the headers; this follows, then [`END_OF_FRAME`].
    BodyFollows(Bytes),
}

/// Writes a delivery. `ack_id` is what the client of a 1.2 connection acknowledges it by.
pub(super) fn write(
    out: &mut BytesMut,
    version: Version,
    delivery: &Delivery,
    subscription: &Subscription,
    ack_id: Option<&str>,
    temporaries: &Temporaries,
    scratch: &mut String,
) -> Written {
    let message = &*delivery.message;
    let body = shown_body(message.body.kind, &message.body.bytes);
    let mut frame = FrameWriter::new(out, version, "MESSAGE");
    write_destination(&message.destination, temporaries, scratch);
    frame.header("destination", scratch).header("message-id", &message.id);
    if let Some(id) = &subscription.id {
        frame.header("subscription", id);
    }
    if let Some(ack_id) = ack_id {
        frame.header("ack", ack_id);
    }
    if let Some(correlation_id) = &message.correlation_id {
        frame.header("correlation-id", correlation_id);
    }
    frame
        .number("expires", message.expiration)
        .number("priority", message.priority.into());
    frame.number("timestamp", message.timestamp);
    if delivery.redelivered {
        frame.header("redelivered", "true");
    }
    if let Some(reply_to) = &message.reply_to {
        write_destination(reply_to, temporaries, scratch);
        frame.header("reply-to", scratch);
    }
    if let Some(message_type) = &message.message_type {
        frame.header("type", message_type);
    }
    if let Some(user_id) = &message.user_id {
        frame.header("JMSXUserID", user_id);
    }
    if let Some(original) = &message.original_destination {
        write_destination(original, temporaries, scratch);
        frame.header("original-destination", scratch);
    }
    if message.persistent {
        frame.header("persistent", "true");
    }
    if let Some(group_id) = &message.group_id {
        frame.header("JMSXGroupID", group_id);
        if message.group_sequence != 0 {
            scratch.clear();
            write!(scratch, "{}", message.group_sequence).expect("a String takes everything");
            frame.header("JMSXGroupSeq", scratch);
        }
    }
    let transformation = match message.body.kind {
        BodyKind::Bytes => None,
        BodyKind::Empty | BodyKind::Text | BodyKind::Map | BodyKind::Stream | BodyKind::Object => {
            subscription.transformation.as_deref()
        }
    };
    if let Some(transformation) = transformation {
        // A map is JSON whatever the subscriber would like: it is told what it gets.
        let is_map = message.body.kind == BodyKind::Map;
        frame.header("transformation", if is_map { "jms-map-json" } else { transformation });
    }
    for (name, value) in message.properties.iter() {
        let is_taken = match name {
            "destination" | "message-id" | "subscription" | "expires" | "priority" | "timestamp" | "redelivered"
            | "JMSXUserID" | "persistent" | "content-length" | "browser" | "receipt-id" => true,
            "ack" => ack_id.is_some(),
            "correlation-id" => message.correlation_id.is_some(),
            "reply-to" => message.reply_to.is_some(),
            "type" => message.message_type.is_some(),
            "original-destination" => message.original_destination.is_some(),
            "JMSXGroupID" | "JMSXGroupSeq" => message.group_id.is_some(),
            "transformation" => transformation.is_some(),
            _ => false,
        };
        if !is_taken {
            write_property(&mut frame, name, value, scratch);
        }
    }
    if message.body.kind == BodyKind::Bytes || memchr::memchr(0, &body).is_some() {
        frame.number("content-length", body.len() as u64);
    }
    if body.len() < SHARED_BODY_BYTES_MIN {
        frame.body(&body);
        return Written::Whole;
    }
    frame.head();
    Written::BodyFollows(body)
}

/// The rest of a frame whose body was handed over.
pub(super) fn write_end(out: &mut BytesMut) {
    out.extend_from_slice(END_OF_FRAME);
}

/// The bytes that a STOMP client can read. Streams, objects and maps of other protocols show as empty, as in ActiveMQ.
fn shown_body(kind: BodyKind, bytes: &Bytes) -> Bytes {
    match kind {
        BodyKind::Text | BodyKind::Bytes => bytes.clone(),
        BodyKind::Map => match std::str::from_utf8(bytes) {
            Ok(text) if map::is_map(text) => bytes.clone(),
            Ok(_) | Err(_) => Bytes::new(),
        },
        BodyKind::Empty | BodyKind::Stream | BodyKind::Object => Bytes::new(),
    }
}

fn write_property(frame: &mut FrameWriter<'_>, name: &str, value: Property<'_>, scratch: &mut String) {
    scratch.clear();
    let written = match value {
        Property::String(text) => {
            frame.header(name, text);
            return;
        }
        // Java would print an address.
        Property::Bytes(_) => return,
        Property::Null => write!(scratch, "null"),
        Property::Boolean(value) => write!(scratch, "{value}"),
        Property::Byte(value) => write!(scratch, "{value}"),
        Property::Short(value) => write!(scratch, "{value}"),
        Property::Int(value) => write!(scratch, "{value}"),
        Property::Long(value) => write!(scratch, "{value}"),
        Property::Float(value) => write!(scratch, "{value:?}"),
        Property::Double(value) => write!(scratch, "{value:?}"),
    };
    written.expect("a String takes everything");
    frame.header(name, scratch);
}
