//! The parameters of a request, and destinations as people write them.

use std::collections::BTreeMap;

use message::{Destination, EXCERPT_CHARS_MAX, Kind, excerpt};

use super::broker_view::{Refused, RefusedKind};

/// Parameters of a query string, decoded; the last one of a name wins.
pub fn parameters(query: Option<&str>) -> Result<BTreeMap<String, String>, Refused> {
    let mut parameters = BTreeMap::new();
    for pair in query.unwrap_or("").split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        parameters.insert(decode(name)?, decode(value)?);
    }
    Ok(parameters)
}

/// Percent-decoding, with `+` for a space.
fn decode(text: &str) -> Result<String, Refused> {
    let malformed = || {
        Refused::new(
            RefusedKind::Invalid,
            "a parameter is not encoded as UTF-8 with percent signs",
            excerpt(text, EXCERPT_CHARS_MAX),
            "encode it, for example with curl --data-urlencode",
        )
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
                let digits = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
                let value = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                bytes.push(value.ok_or_else(malformed)?);
                rest = &rest[2..];
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| malformed())
}

/// A destination as people write it: `queue://A`, `topic://A`, `/queue/A`, `/topic/A`; a bare name is a queue.
pub fn parse_destination(text: &str) -> Result<Destination, Refused> {
    let kinds = [
        ("queue", Kind::Queue),
        ("topic", Kind::Topic),
        ("temp-queue", Kind::TemporaryQueue),
        ("temp-topic", Kind::TemporaryTopic),
    ];
    let refused = |what: String| {
        Refused::new(
            RefusedKind::Invalid,
            what,
            excerpt(text, EXCERPT_CHARS_MAX),
            "write queue://NAME or topic://NAME; a bare NAME is a queue",
        )
    };
    let found = kinds.iter().find_map(|(scheme, kind)| {
        let url = text.strip_prefix(scheme).and_then(|rest| rest.strip_prefix("://"));
        let path = text
            .strip_prefix('/')
            .and_then(|rest| rest.strip_prefix(scheme))
            .and_then(|rest| rest.strip_prefix('/'));
        url.or(path).map(|name| (*kind, name))
    });
    let (kind, name) = match found {
        Some(found) => found,
        None if text.contains("://") || text.starts_with('/') => {
            return Err(refused("this is no kind of destination".to_string()));
        }
        None => (Kind::Queue, text),
    };
    Destination::new(kind, name).map_err(|invalid| refused(invalid.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_read_in_every_usual_spelling() {
        for (text, shown) in [
            ("A", "queue://A"),
            ("queue://A.B", "queue://A.B"),
            ("/queue/A", "queue://A"),
            ("topic://A", "topic://A"),
            ("/topic/A/B", "topic://A/B"),
            ("/temp-queue/x", "temp-queue://x"),
        ] {
            assert_eq!(parse_destination(text).expect(text).to_string(), shown);
        }
        for text in ["", "queue://", "/exchange/A", "amqp://A", "a\nb"] {
            assert!(parse_destination(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn parameters_are_decoded_and_bad_encodings_refused() {
        let read = parameters(Some("name=queue%3A%2F%2FA+b&limit=5&x")).expect("well formed");
        assert_eq!(read["name"], "queue://A b");
        assert_eq!(read["limit"], "5");
        assert_eq!(read["x"], "");
        for bad in ["a=%", "a=%4", "a=%zz", "a=%ff", "a=%+1"] {
            assert!(parameters(Some(bad)).is_err(), "{bad}");
        }
    }
}
