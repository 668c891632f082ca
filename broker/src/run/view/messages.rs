//! A message as the admin interface shows it.

use engine::Browsed;
use message::{BodyKind, Message, Property};

use crate::admin::BrowsedMessage;

pub(super) fn browsed(one: &Browsed, body_bytes_max: usize) -> BrowsedMessage {
    let message: &Message = &one.message;
    let text = (message.body.kind == BodyKind::Text).then(|| {
        let shown = &message.body.bytes[..message.body.bytes.len().min(body_bytes_max)];
        String::from_utf8_lossy(shown).into_owned()
    });
    BrowsedMessage {
        id: message.id.to_string(),
        priority: message.priority,
        persistent: message.persistent,
        redelivered: one.redelivered,
        timestamp: message.timestamp,
        expires: message.expiration,
        headers: headers(message),
        body_bytes: message.body.bytes.len() as u64,
        text,
    }
}

fn headers(message: &Message) -> Vec<(String, String)> {
    let texts = [
        ("correlation-id", message.correlation_id.as_deref().map(str::to_owned)),
        ("type", message.message_type.as_deref().map(str::to_owned)),
        ("reply-to", message.reply_to.as_ref().map(ToString::to_string)),
        (
            "original-destination",
            message.original_destination.as_ref().map(ToString::to_string),
        ),
        ("JMSXGroupID", message.group_id.as_deref().map(str::to_owned)),
        ("JMSXUserID", message.user_id.as_deref().map(str::to_owned)),
    ];
    let own = texts
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    own.chain(
        message
            .properties
            .iter()
            .map(|(key, value)| (key.to_owned(), shown(value))),
    )
    .collect()
}

fn shown(value: Property<'_>) -> String {
    match value {
        Property::Null => String::new(),
        Property::Boolean(value) => value.to_string(),
        Property::Byte(value) => value.to_string(),
        Property::Short(value) => value.to_string(),
        Property::Int(value) => value.to_string(),
        Property::Long(value) => value.to_string(),
        Property::Float(value) => value.to_string(),
        Property::Double(value) => value.to_string(),
        Property::String(value) => value.to_owned(),
        Property::Bytes(value) => format!("{} bytes", value.len()),
    }
}
