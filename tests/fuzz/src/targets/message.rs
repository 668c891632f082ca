//! A message's bytes, and the block of its properties.
//!
//! What is read is written as the same bytes; the id that damaged bytes tell is the message's; a property is found by its name.

use bytes::Bytes;
use message::{Body, BodyKind, Destination, Kind, Message, Properties, PropertiesBuilder, Property};
use record::{decode_message, encode_message, message_id};

/// The message's bytes; all of them and what is behind the first are also read as properties.
pub fn run(input: &[u8]) {
    properties(input);
    properties(input.get(1..).unwrap_or_default());
    let bytes = Bytes::copy_from_slice(input);
    let id = message_id(&bytes);
    let Ok(message) = decode_message(&bytes) else { return };
    let mut written = Vec::new();
    encode_message(&message, &mut written);
    assert_eq!(written, input, "{message:?} is written as other bytes");
    assert!(id.is_none_or(|id| id == message.id));
    assert!(message.bytes_held() >= message.body.bytes.len());
}

fn properties(block: &[u8]) {
    let Ok(properties) = Properties::decode(Bytes::copy_from_slice(block)) else {
        return;
    };
    let mut builder = PropertiesBuilder::default();
    properties.iter().for_each(|(key, value)| builder.push(key, value));
    assert_eq!(builder.finish(), properties, "properties are written as other bytes");
    assert_eq!(properties.is_empty(), block.is_empty());
    if let Some((key, _)) = properties.iter().last() {
        assert!(properties.get(key).is_some());
        assert_eq!(
            properties.with(key, Property::Long(5)).get(key),
            Some(Property::Long(5))
        );
    }
}

/// A message with everything that one may have.
pub(crate) fn example() -> Message {
    let mut properties = PropertiesBuilder::default();
    for (key, value) in [
        ("null", Property::Null),
        ("no", Property::Boolean(false)),
        ("byte", Property::Byte(-1)),
        ("short", Property::Short(-2)),
        ("int", Property::Int(3)),
        ("long", Property::Long(4)),
        ("float", Property::Float(1.5)),
        ("double", Property::Double(-2.5)),
        ("text", Property::String("grüße")),
        ("bytes", Property::Bytes(&[0, 255])),
    ] {
        properties.push(key, value);
    }
    Message {
        timestamp: 1_700_000_000_000,
        expiration: 1_700_000_060_000,
        priority: 7,
        correlation_id: Some("c".into()),
        reply_to: Some(Destination::new(Kind::TemporaryQueue, "ID:1").expect("a good name")),
        message_type: Some("t".into()),
        group_id: Some("g".into()),
        group_sequence: -1,
        user_id: Some("u".into()),
        original_destination: Some(Destination::topic("T").expect("a good name")),
        properties: properties.finish(),
        ..Message::new(
            "ID:7-1",
            Destination::queue("Q").expect("a good name"),
            Body {
                kind: BodyKind::Text,
                bytes: Bytes::from_static(b"body"),
            },
        )
    }
}

/// Inputs to begin with.
pub fn seeds() -> Vec<Vec<u8>> {
    let full = example();
    let plain = Message::new("m", full.destination.clone(), Body::default());
    let mut seeds: Vec<Vec<u8>> = [&full, &plain]
        .into_iter()
        .map(|message| {
            let mut bytes = Vec::new();
            encode_message(message, &mut bytes);
            bytes
        })
        .collect();
    seeds.push(full.properties.as_bytes().to_vec());
    seeds
}
