//! `holdfast receive`.

use std::time::{Duration, Instant};

use client::stomp::{Ack, Event, Message, SubscribeOptions};
use serde_json::{Map, Value};

use super::arguments::{AckMode, ReceiveArguments};
use super::exit::Exit;
use super::failure::Failure;
use super::output::Output;
use super::stomp_connection::{StompConnection, stomp_destination};

/// Time for the broker to confirm an acknowledgement.
const CONFIRM_WITHIN: Duration = Duration::from_secs(30);

/// Deliveries that may be on their way when there is no end.
const PREFETCH_MAX: u64 = 100;

pub(super) fn run(arguments: &ReceiveArguments, output: &Output) -> Result<(), Failure> {
    let destination = stomp_destination(&arguments.destination)?;
    let addresses = arguments.reach.stomp_addresses()?;
    let mut connection = StompConnection::open(&addresses)?;
    let wanted = if arguments.follow { u64::MAX } else { arguments.count };
    let acknowledges = arguments.ack == AckMode::Client;
    connection.client.subscribe(
        "receive",
        &destination,
        &SubscribeOptions {
            ack: if acknowledges { Ack::ClientIndividual } else { Ack::Auto },
            selector: arguments.selector.as_deref(),
            // Never more than is wanted: the rest belongs to others. With `auto` each delivery is gone once sent, so they come one at a time.
            prefetch: Some(if acknowledges {
                wanted.min(PREFETCH_MAX) as u32
            } else {
                1
            }),
            ..SubscribeOptions::default()
        },
    );
    let shown = super::destinations::shown(&arguments.destination);
    let mut received = 0;
    while received < wanted {
        if received == 0 {
            output.remark(&format!("Waiting for messages of {shown} (Ctrl-C ends this)…"));
        }
        let until = arguments.timeout.map(|timeout| Instant::now() + timeout);
        let Some(message) = next_message(&mut connection, until)? else {
            break;
        };
        print(&message, arguments.headers, output)?;
        received += 1;
        if acknowledges {
            connection.client.ack(&message.ack_token(), None, Some("ack"));
            connection.flush()?;
        }
    }
    connection.close(CONFIRM_WITHIN)?;
    match received == wanted || arguments.follow && received > 0 {
        true => Ok(()),
        false => {
            let seconds = arguments.timeout.unwrap_or_default().as_secs_f64();
            let what = match (received, wanted) {
                (0, _) => format!("no message came within {seconds} s"),
                (_, _) => format!("only {received} of {wanted} messages came; then none within {seconds} s"),
            };
            let advice = "see what waits with `holdfast destinations list`";
            Err(Failure::new(Exit::NothingReceived, what, shown, advice))
        }
    }
}

fn next_message(connection: &mut StompConnection, until: Option<Instant>) -> Result<Option<Message>, Failure> {
    loop {
        match connection.event(until)? {
            Some(Event::Message(message)) => return Ok(Some(message)),
            Some(_) => {}
            None => return Ok(None),
        }
    }
}

/// Writes a message: its body, with `headers` also these; as one line of JSON if programs read.
pub(super) fn print(message: &Message, headers: bool, output: &Output) -> Result<(), Failure> {
    if output.json {
        return output.object_line(&json(message));
    }
    if headers {
        let lines: String = message
            .headers()
            .map(|(name, value)| format!("{name}: {value}\n"))
            .collect();
        output.text(&output.foreign(&lines))?;
        output.text("\n")?;
    }
    match std::str::from_utf8(message.body()) {
        Ok(text) => output.text(&format!("{}\n", output.foreign(text))),
        Err(_) => output.bytes(message.body()),
    }
}

/// A message as JSON: the body as `text` if it is UTF-8, else as `base64`.
pub(super) fn json(message: &Message) -> Value {
    let mut headers = Map::new();
    for (name, value) in message.headers() {
        // The first of a repeated header counts (STOMP 1.2, Repeated Header Entries).
        headers.entry(name).or_insert_with(|| value.into());
    }
    let mut object = Map::new();
    object.insert("id".into(), message.id().into());
    object.insert("destination".into(), message.destination().into());
    object.insert("redelivered".into(), message.is_redelivered().into());
    object.insert("headers".into(), headers.into());
    match std::str::from_utf8(message.body()) {
        Ok(text) => object.insert("text".into(), text.into()),
        Err(_) => object.insert("base64".into(), base64(message.body()).into()),
    };
    object.into()
}

/// Base64 with padding (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            match place <= group.len() {
                true => text.push(char::from(DIGITS[(bits >> (18 - 6 * place)) as usize & 63])),
                false => text.push('='),
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        // RFC 4648, section 10.
        let expected = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        for (length, expected) in expected.iter().enumerate() {
            assert_eq!(base64(&b"foobar"[..length]), *expected);
        }
        assert_eq!(base64(&[0xff, 0xfe, 0]), "//4A");
    }
}
