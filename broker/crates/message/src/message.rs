//! A message as the broker sees it: headers that it acts on, properties and body that it carries.
//!
//! Invariant: the body is bytes that nobody here interprets or copies.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use crate::selector::{Source, Value};
use crate::{Destination, MessageNumber, Properties, Property};

/// The priority of a message that names none.
pub const PRIORITY_DEFAULT: u8 = 4;

/// The highest priority; 0 is the lowest.
pub const PRIORITY_MAX: u8 = 9;

/// What the bytes of a body are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyKind {
    /// No body: a bare JMS message.
    #[default]
    Empty,
    /// UTF-8 text (JMS TextMessage).
    Text,
    /// Bytes (JMS BytesMessage).
    Bytes,
    /// A map, as the protocol that sent it encodes maps (JMS MapMessage).
    Map,
    /// A stream of typed values (JMS StreamMessage).
    Stream,
    /// A serialized object, which the broker never opens (JMS ObjectMessage).
    Object,
}

/// A body: its kind and its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// What the bytes are.
    pub kind: BodyKind,
    /// The bytes.
    pub bytes: Bytes,
}

/// One message. Shared, never changed; a changed copy is a new message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `JMSMessageID`; unique over all epochs.
    pub id: Arc<str>,
    /// Where it was sent.
    pub destination: Destination,
    /// `JMSTimestamp`: when it was sent, milliseconds since 1970.
    pub timestamp: u64,
    /// `JMSExpiration`: engine time in milliseconds since 1970 from which on it is not delivered; 0: never.
    pub expiration: u64,
    /// `JMSPriority`, 0 to [`PRIORITY_MAX`].
    pub priority: u8,
    /// `JMSDeliveryMode`: whether it survives the process.
    pub persistent: bool,
    /// `JMSCorrelationID`.
    pub correlation_id: Option<Arc<str>>,
    /// `JMSReplyTo`.
    pub reply_to: Option<Destination>,
    /// `JMSType`.
    pub message_type: Option<Arc<str>>,
    /// `JMSXGroupID`.
    pub group_id: Option<Arc<str>>,
    /// `JMSXGroupSeq`.
    pub group_sequence: i32,
    /// `JMSXUserID`.
    pub user_id: Option<Arc<str>>,
    /// Where it was before it was moved (dead-letter queue).
    pub original_destination: Option<Destination>,
    /// Everything else that the application attached.
    pub properties: Properties,
    /// The body.
    pub body: Body,
}

impl Message {
    /// A persistent message with this id, destination and body; everything else at its default.
    pub fn new(id: &str, destination: Destination, body: Body) -> Message {
        Message {
            id: id.into(),
            destination,
            timestamp: 0,
            expiration: 0,
            priority: PRIORITY_DEFAULT,
            persistent: true,
            correlation_id: None,
            reply_to: None,
            message_type: None,
            group_id: None,
            group_sequence: 0,
            user_id: None,
            original_destination: None,
            properties: Properties::default(),
            body,
        }
    }

    /// Bytes that it holds in memory, roughly: what limits count.
    pub fn bytes_held(&self) -> usize {
        let text = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |text| text.len());
        size_of::<Message>()
            + self.id.len()
            + text(&self.correlation_id)
            + text(&self.message_type)
            + text(&self.group_id)
            + text(&self.user_id)
            + self.properties.as_bytes().len()
            + self.body.bytes.len()
    }
}

/// A message with what only its delivery knows, as a selector sees it.
#[derive(Clone, Copy, Debug)]
pub struct Selectable<'a> {
    /// The message.
    pub message: &'a Message,
    /// Its place in the order of arrival.
    pub number: MessageNumber,
    /// How often it was delivered before.
    pub redeliveries: u32,
}

impl Source for Selectable<'_> {
    fn value(&self, identifier: &str) -> Value<'_> {
        let message = self.message;
        let text = |text: &'_ Option<Arc<str>>| match text {
            Some(text) => Value::String(Cow::Owned(text.to_string())),
            None => Value::Null,
        };
        match identifier {
            "JMSDestination" => Value::String(Cow::Owned(message.destination.to_string())),
            "JMSReplyTo" => match &message.reply_to {
                Some(destination) => Value::String(Cow::Owned(destination.to_string())),
                None => Value::Null,
            },
            "JMSType" => text(&message.message_type),
            "JMSDeliveryMode" => Value::String(Cow::Borrowed(if message.persistent {
                "PERSISTENT"
            } else {
                "NON_PERSISTENT"
            })),
            "JMSPriority" => Value::Integer(message.priority.into()),
            "JMSMessageID" => Value::String(Cow::Borrowed(&message.id)),
            "JMSTimestamp" => Value::Integer(saturating(message.timestamp)),
            "JMSCorrelationID" => text(&message.correlation_id),
            "JMSExpiration" => Value::Integer(saturating(message.expiration)),
            "JMSRedelivered" => Value::Boolean(self.redeliveries > 0),
            "JMSXDeliveryCount" => Value::Integer(i64::from(self.redeliveries) + 1),
            "JMSXGroupID" => text(&message.group_id),
            "JMSXGroupSeq" => Value::Integer(message.group_sequence.into()),
            "JMSXUserID" => text(&message.user_id),
            name => match message.properties.get(name) {
                None | Some(Property::Null | Property::Bytes(_)) => Value::Null,
                Some(Property::Boolean(value)) => Value::Boolean(value),
                Some(Property::Byte(value)) => Value::Integer(value.into()),
                Some(Property::Short(value)) => Value::Integer(value.into()),
                Some(Property::Int(value)) => Value::Integer(value.into()),
                Some(Property::Long(value)) => Value::Integer(value),
                Some(Property::Float(value)) => Value::Float(value.into()),
                Some(Property::Double(value)) => Value::Float(value),
                Some(Property::String(value)) => Value::String(Cow::Borrowed(value)),
            },
        }
    }
}

fn saturating(milliseconds: u64) -> i64 {
    i64::try_from(milliseconds).unwrap_or(i64::MAX)
}
