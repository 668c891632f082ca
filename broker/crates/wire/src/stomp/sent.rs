//! SEND to message: which header becomes what.
//!
//! | header | becomes |
//! |---|---|
//! | `correlation-id`, `type`, `reply-to`, `expires`, `priority`, `persistent`, `timestamp` | the JMS header; `persistent` is false, `priority` 4, `timestamp` now unless given |
//! | `JMSXGroupID`, `JMSXGroupSeq`; `JMSCorrelationID`, `JMSType`, `JMSPriority`, `JMSExpiration`, `JMSTimestamp`, `JMSDeliveryMode` | the JMS header, where STOMP's own is absent |
//! | `destination`, `transaction`, `receipt`, `content-length`, `duplicate-id` | instructions, not part of the message |
//! | `message-id`, `redelivered`, `subscription`, `JMSXUserID`, `JMSXDeliveryCount`, `JMSRedelivered` | dropped: only the broker says so |
//! | `AMQ_SCHEDULED_DELAY`, `AMQ_SCHEDULED_PERIOD`, `AMQ_SCHEDULED_CRON` | a property like any other, and counted: the message is delivered at once |
//! | everything else | a property of type string |
//!
//! The body is bytes where `content-length` is given, else text; `amq-msg-type` overrides that. A body without `content-length` that is no UTF-8 is kept as bytes
//! (ActiveMQ replaces the offending ones). `reply-to` that names no destination stays a property, as in ActiveMQ.

use std::sync::Arc;

use bytes::Bytes;
use message::{Body, BodyKind, Destination, Message, PRIORITY_MAX, PropertiesBuilder, Property};

use super::Frame;
use super::destinations::{Temporaries, parse_reply_to};
use super::map;
use super::problem::Problem;

/// What a SEND asks for, its destinations and transaction aside.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) message: Message,
    pub(super) duplicate_id: Option<Arc<str>>,
    /// Whether the sender asked for a later or repeated delivery, which nobody does here.
    pub(super) asks_for_schedule: bool,
}

/// Turns a SEND frame into a message for `destination`.
pub(super) fn message_of(
    frame: Frame,
    id: &str,
    destination: Destination,
    wall_ms: u64,
    temporaries: &mut Temporaries,
) -> Result<Sent, Problem> {
    let mut message = Message::new(id, destination, Body::default());
    message.timestamp = wall_ms;
    message.persistent = false;
    let mut properties = PropertiesBuilder::default();
    let mut duplicate_id = None;
    let mut message_type = None;
    let mut transformation = None;
    let mut is_sized = false;
    let mut asks_for_schedule = false;
    for (name, value) in frame.headers() {
        match name {
            "destination" | "transaction" | "receipt" | "message-id" | "redelivered" | "subscription"
            | "JMSXUserID" | "JMSXDeliveryCount" | "JMSRedelivered" => {}
            "content-length" => is_sized = true,
            // An empty one names nothing: two messages without an id are not the same.
            "duplicate-id" => duplicate_id = Some(value).filter(|id| !id.is_empty()).map(Into::into),
            "correlation-id" => message.correlation_id = Some(value.into()),
            "type" => message.message_type = Some(value.into()),
            "expires" => message.expiration = milliseconds(name, value)?,
            "timestamp" => message.timestamp = milliseconds(name, value)?,
            "priority" => message.priority = priority(name, value)?,
            "persistent" => message.persistent = value == "true",
            "reply-to" => match parse_reply_to(value, temporaries) {
                Ok(reply_to) => message.reply_to = Some(reply_to),
                Err(_) => properties.push(name, Property::String(value)),
            },
            "JMSXGroupID" => message.group_id = Some(value.into()),
            "JMSXGroupSeq" => message.group_sequence = number(name, value)?,
            "JMSCorrelationID" if frame.header("correlation-id").is_none() => {
                message.correlation_id = Some(value.into());
            }
            "JMSType" if frame.header("type").is_none() => message.message_type = Some(value.into()),
            "JMSPriority" if frame.header("priority").is_none() => message.priority = priority(name, value)?,
            "JMSExpiration" if frame.header("expires").is_none() => message.expiration = milliseconds(name, value)?,
            "JMSTimestamp" if frame.header("timestamp").is_none() => message.timestamp = milliseconds(name, value)?,
            "JMSDeliveryMode" if frame.header("persistent").is_none() => {
                message.persistent = delivery_mode(name, value)?;
            }
            "JMSCorrelationID" | "JMSType" | "JMSPriority" | "JMSExpiration" | "JMSTimestamp" | "JMSDeliveryMode" => {}
            _ => {
                match name {
                    "amq-msg-type" => message_type = Some(value),
                    "transformation" => transformation = Some(value),
                    "AMQ_SCHEDULED_PERIOD" | "AMQ_SCHEDULED_CRON" => asks_for_schedule = true,
                    // A delay of nothing is what it gets.
                    "AMQ_SCHEDULED_DELAY" => asks_for_schedule |= value.trim() != "0",
                    _ => {}
                }
                properties.push(name, Property::String(value));
            }
        }
    }
    let (kind, error) = body_kind(message_type, transformation, is_sized, &frame.body)?;
    if let Some(error) = error {
        properties.push("transformation-error", Property::String(error));
    }
    message.properties = properties.finish();
    message.body = Body {
        kind,
        bytes: frame.body,
    };
    Ok(Sent {
        message,
        duplicate_id,
        asks_for_schedule,
    })
}

/// What the body is, and, where a transformation was asked for that is not done, why: the message then goes on untransformed, as in ActiveMQ.
fn body_kind(
    message_type: Option<&str>,
    transformation: Option<&str>,
    is_sized: bool,
    body: &Bytes,
) -> Result<(BodyKind, Option<&'static str>), Problem> {
    let untransformed = || match message_type {
        Some(kind) if kind.eq_ignore_ascii_case("bytes") => Ok(BodyKind::Bytes),
        Some(kind) if kind.eq_ignore_ascii_case("text") => {
            if std::str::from_utf8(body).is_ok() {
                Ok(BodyKind::Text)
            } else {
                Err(Problem::refused("Text could not be set: the body is not UTF-8")
                    .because("amq-msg-type says text; send other encodings as bytes. The connection stays open."))
            }
        }
        Some(kind) => Err(Problem::refused(format!("Unsupported message type '{kind}'"))
            .because("amq-msg-type may be text or bytes. The connection stays open.")),
        None if is_sized || std::str::from_utf8(body).is_err() => Ok(BodyKind::Bytes),
        None => Ok(BodyKind::Text),
    };
    match transformation {
        None | Some("jms-byte") => Ok((untransformed()?, None)),
        Some(_) if is_sized => Ok((untransformed()?, None)),
        Some("jms-map-json") => match std::str::from_utf8(body) {
            Ok(text) if map::is_map(text) => Ok((BodyKind::Map, None)),
            Ok(_) | Err(_) => Ok((
                untransformed()?,
                Some("the body is not a map in the JSON form of jms-map-json"),
            )),
        },
        Some(_) => Ok((
            untransformed()?,
            Some("of the transformations, holdfast does jms-map-json and jms-byte"),
        )),
    }
}

fn invalid(name: &str, value: &str) -> Problem {
    Problem::refused(format!("Invalid {name} header:{value}")).because(format!(
        "{name} has to be a number that fits. The connection stays open."
    ))
}

/// A point in time; negative is 0, as in never.
fn milliseconds(name: &str, value: &str) -> Result<u64, Problem> {
    let number: i64 = value.trim().parse().map_err(|_| invalid(name, value))?;
    Ok(u64::try_from(number).unwrap_or(0))
}

fn number(name: &str, value: &str) -> Result<i32, Problem> {
    value.trim().parse().map_err(|_| invalid(name, value))
}

/// 0 to 9; what lies outside is moved to the nearer end, as ActiveMQ does.
fn priority(name: &str, value: &str) -> Result<u8, Problem> {
    let number = number(name, value)?.clamp(0, PRIORITY_MAX.into());
    Ok(u8::try_from(number).expect("clamped to 0..=9"))
}

fn delivery_mode(name: &str, value: &str) -> Result<bool, Problem> {
    match value.trim() {
        mode if mode.eq_ignore_ascii_case("PERSISTENT") || mode == "2" => Ok(true),
        mode if mode.eq_ignore_ascii_case("NON_PERSISTENT") || mode == "1" => Ok(false),
        _ => Err(invalid(name, value)),
    }
}
