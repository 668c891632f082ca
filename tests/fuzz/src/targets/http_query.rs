//! The query string of an HTTP request, and destinations as people write them.

use holdfast::admin::{parameters, parse_destination};

use crate::input::valid_text;

/// The query string; each value of it and the whole are also read as destinations.
pub fn run(input: &[u8]) {
    let text = valid_text(input);
    destination(text);
    let Ok(found) = parameters(Some(text)) else { return };
    for (name, value) in &found {
        assert!(name.len() + value.len() <= text.len(), "{text:?} became longer");
        destination(value);
    }
    let written: Vec<String> = found
        .iter()
        .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
        .collect();
    let again = parameters(Some(&written.join("&")));
    assert!(
        again.is_ok_and(|again| again == found),
        "{text:?} is {found:?}, and {written:?} is not"
    );
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

fn destination(text: &str) {
    if let Ok(destination) = parse_destination(text) {
        let shown = destination.to_string();
        assert!(
            parse_destination(&shown).is_ok_and(|again| again == destination),
            "{text:?} is shown as {shown:?}"
        );
    }
}

/// Inputs to begin with.
pub fn seeds() -> Vec<Vec<u8>> {
    [
        "name=queue%3A%2F%2FA+b&limit=5&x",
        "a=%",
        "name=%ff",
        "",
        "queue://A.B",
        "/topic/A/>",
        "temp-queue://ID:1",
        "A",
        "name=/queue/A&selector=a%20%3E%201&limit=100",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}
