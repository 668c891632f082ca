//! As much of the NATS protocol as a run against JetStream needs, without I/O.
//!
//! A queue is a stream with work-queue retention and one push consumer whose deliveries the run's consumers share; a publication is confirmed by the stream's answer. A topic is core NATS,
//! which confirms nothing: each publication is followed by PING, and the PONG says that the server has taken it. Deliberately absent: headers, TLS, users, reconnecting. Tests: below.

use serde::Serialize;

/// The subscription of confirmations and answers.
const ANSWERS_ID: &str = "1";

/// The subscription of deliveries.
const DELIVERIES_ID: &[u8] = b"2";

/// Digits of a confirmation's subject: enough for every `u32`.
const PLACE_DIGITS: usize = 10;

/// How long a delivery may stay unacknowledged, in nanoseconds: longer than any run stalls.
const ACK_WAIT_NS: u64 = 600_000_000_000;

/// What a server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// The stream's answer to a publication at this place.
    Confirmed(u64),
    /// The answer to a request.
    Answer,
    /// A delivery; `reply`: where its acknowledgement goes, if it wants one.
    Message { reply: Option<&'a [u8]>, body: &'a [u8] },
    /// It wants PONG.
    Ping,
    /// The answer to PING.
    Pong,
    /// What it is, at the beginning and when it changes.
    Info,
    /// It refused something.
    Refused(&'a [u8]),
    /// Something that has no place here.
    Other(&'a [u8]),
}

/// The bytes are not NATS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoLine;

/// The first line with its payload, and how many bytes they take; `None` if they are not complete.
pub(super) fn next_line(buffer: &[u8]) -> Result<Option<(Line<'_>, usize)>, NoLine> {
    let Some(end) = buffer.iter().position(|byte| *byte == b'\n') else {
        return Ok(None);
    };
    let text = buffer[..end].strip_suffix(b"\r").ok_or(NoLine)?;
    let (verb, rest) = match text.iter().position(|byte| *byte == b' ') {
        Some(space) => (&text[..space], text[space..].trim_ascii()),
        None => (text, &b""[..]),
    };
    let line = match verb {
        b"MSG" => return message(buffer, rest, end + 1),
        b"PING" => Line::Ping,
        b"PONG" => Line::Pong,
        b"INFO" => Line::Info,
        b"-ERR" => Line::Refused(rest),
        other => Line::Other(other),
    };
    Ok(Some((line, end + 1)))
}

/// `MSG subject id [reply] bytes`, with the payload that begins at `start`.
fn message<'a>(buffer: &'a [u8], fields: &'a [u8], start: usize) -> Result<Option<(Line<'a>, usize)>, NoLine> {
    let mut fields = fields.split(|byte| *byte == b' ');
    let mut field = || fields.next().ok_or(NoLine);
    let (subject, id, third) = (field()?, field()?, field()?);
    let (reply, bytes) = match field() {
        Ok(bytes) => (Some(third), bytes),
        Err(NoLine) => (None, third),
    };
    let bytes = usize::try_from(number(bytes).ok_or(NoLine)?).map_err(|_| NoLine)?;
    let end = start.checked_add(bytes).ok_or(NoLine)?;
    let Some(behind) = buffer.get(end..end + 2) else {
        return Ok(None);
    };
    if behind != b"\r\n" {
        return Err(NoLine);
    }
    let body = &buffer[start..end];
    let line = if id == DELIVERIES_ID {
        Line::Message { reply, body }
    } else if contains(body, b"\"error\"") {
        Line::Refused(body)
    } else {
        let place = subject.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
        number(place).map_or(Line::Answer, Line::Confirmed)
    };
    Ok(Some((line, end + 2)))
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// A publication of which only the place and the body's content change.
#[derive(Clone, Debug)]
pub(super) struct PublishTemplate {
    bytes: Box<[u8]>,
    /// Where the place is written; `None`: a PONG confirms it.
    place_at: Option<usize>,
    body_at: usize,
    body_bytes: usize,
}

impl PublishTemplate {
    /// To a stream, whose answer comes to `inbox`, or without one to whoever listens.
    pub(super) fn new(subject: &str, inbox: Option<&str>, body: &[u8]) -> PublishTemplate {
        let mut bytes = format!("PUB {subject} ").into_bytes();
        let place_at = inbox.map(|inbox| {
            bytes.extend_from_slice(format!("{inbox}.").as_bytes());
            let place_at = bytes.len();
            bytes.extend_from_slice(&[b'0'; PLACE_DIGITS]);
            bytes.push(b' ');
            place_at
        });
        bytes.extend_from_slice(format!("{}\r\n", body.len()).as_bytes());
        let body_at = bytes.len();
        bytes.extend_from_slice(body);
        bytes.extend_from_slice(match place_at {
            Some(_) => b"\r\n",
            None => b"\r\nPING\r\n",
        });
        PublishTemplate {
            bytes: bytes.into(),
            place_at,
            body_at,
            body_bytes: body.len(),
        }
    }

    /// Appends it, and gives its body, to be changed in place.
    pub(super) fn write<'a>(&self, out: &'a mut Vec<u8>, place: u32) -> &'a mut [u8] {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let written = &mut out[start..];
        if let Some(place_at) = self.place_at {
            let mut rest = place;
            for digit in written[place_at..place_at + PLACE_DIGITS].iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
        &mut written[self.body_at..self.body_at + self.body_bytes]
    }
}

/// What a client says first; the server has to answer PONG.
pub(super) fn connect(inbox: &str) -> String {
    let options = r#"{"verbose":false,"pedantic":false,"tls_required":false,"lang":"holdfast","version":"0","protocol":1,"echo":true,"headers":false}"#;
    format!("CONNECT {options}\r\nSUB {inbox}.> {ANSWERS_ID}\r\nPING\r\n")
}

/// Listens for deliveries; `group`: shares them with the others of that name. The server answers PONG.
pub(super) fn subscribe(subject: &str, group: Option<&str>) -> String {
    let id = String::from_utf8_lossy(DELIVERIES_ID);
    let group = group.map_or(String::new(), |group| format!("{group} "));
    format!("SUB {subject} {group}{id}\r\nPING\r\n")
}

/// Ends that. The server answers PONG.
pub(super) fn unsubscribe() -> String {
    format!("UNSUB {}\r\nPING\r\n", String::from_utf8_lossy(DELIVERIES_ID))
}

/// Acknowledges a delivery.
pub(super) fn write_ack(out: &mut Vec<u8>, reply: &[u8]) {
    out.extend_from_slice(b"PUB ");
    out.extend_from_slice(reply);
    out.extend_from_slice(b" 4\r\n+ACK\r\n");
}

/// The names under which a queue lives in JetStream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stream {
    /// Where messages are sent.
    pub(super) subject: String,
    /// Where the shared deliveries go.
    pub(super) deliveries: String,
    name: String,
}

/// The group that shares a queue's deliveries.
pub(super) const GROUP: &str = "bench";

#[derive(Serialize)]
struct StreamSettings<'a> {
    name: &'a str,
    subjects: [&'a str; 1],
    retention: &'a str,
    storage: &'a str,
    num_replicas: u32,
    max_consumers: i64,
    max_msgs: i64,
    max_bytes: i64,
    max_age: u64,
    discard: &'a str,
}

#[derive(Serialize)]
struct ConsumerRequest<'a> {
    stream_name: &'a str,
    config: ConsumerSettings<'a>,
}

#[derive(Serialize)]
struct ConsumerSettings<'a> {
    durable_name: &'a str,
    deliver_subject: &'a str,
    deliver_group: &'a str,
    deliver_policy: &'a str,
    ack_policy: &'a str,
    ack_wait: u64,
    max_ack_pending: u64,
    replay_policy: &'a str,
}

impl Stream {
    /// Of the queue of this name.
    pub(super) fn new(queue: &str) -> Stream {
        let name = queue.replace('.', "_");
        Stream {
            subject: queue.to_owned(),
            deliveries: format!("deliver.{name}"),
            name,
        }
    }

    /// Requests that make the stream and its consumer.
    pub(super) fn create(&self, inbox: &str, persistent: bool, pending_max: u64) -> Vec<Vec<u8>> {
        let settings = StreamSettings {
            name: &self.name,
            subjects: [&self.subject],
            retention: "workqueue",
            storage: if persistent { "file" } else { "memory" },
            num_replicas: 1,
            max_consumers: -1,
            max_msgs: -1,
            max_bytes: -1,
            max_age: 0,
            discard: "old",
        };
        let consumer = ConsumerRequest {
            stream_name: &self.name,
            config: ConsumerSettings {
                durable_name: GROUP,
                deliver_subject: &self.deliveries,
                deliver_group: GROUP,
                deliver_policy: "all",
                ack_policy: "explicit",
                ack_wait: ACK_WAIT_NS,
                max_ack_pending: pending_max,
                replay_policy: "instant",
            },
        };
        vec![
            request(&format!("$JS.API.STREAM.CREATE.{}", self.name), inbox, &json(&settings)),
            request(
                &format!("$JS.API.CONSUMER.DURABLE.CREATE.{}.{GROUP}", self.name),
                inbox,
                &json(&consumer),
            ),
        ]
    }

    /// The request that removes it with all that it holds.
    pub(super) fn delete(&self, inbox: &str) -> Vec<u8> {
        request(&format!("$JS.API.STREAM.DELETE.{}", self.name), inbox, "")
    }
}

fn json(content: &impl Serialize) -> String {
    serde_json::to_string(content).expect("strings and numbers have a form in JSON")
}

fn request(subject: &str, inbox: &str, content: &str) -> Vec<u8> {
    format!("PUB {subject} {inbox}.answer {}\r\n{content}\r\n", content.len()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publication_comes_back_as_a_delivery_or_a_confirmation() {
        let template = PublishTemplate::new("a.b", Some("_INBOX.7"), b"body ?");
        let mut out = Vec::new();
        template.write(&mut out, 42)[5] = b'!';
        assert_eq!(out, b"PUB a.b _INBOX.7.0000000042 6\r\nbody !\r\n");
        let unconfirmed = PublishTemplate::new("a.b", None, b"x");
        out.clear();
        unconfirmed.write(&mut out, 42);
        assert_eq!(out, b"PUB a.b 1\r\nx\r\nPING\r\n");
    }

    #[test]
    fn every_line_is_seen_only_when_it_is_complete() {
        let bytes = b"MSG a 2 $JS.ACK.1 3\r\nab\n\r\nPING\r\n";
        for end in 0..26 {
            assert_eq!(next_line(&bytes[..end]), Ok(None), "{end}");
        }
        let (message, taken) = next_line(bytes).unwrap().unwrap();
        let expected = Line::Message {
            reply: Some(b"$JS.ACK.1"),
            body: b"ab\n",
        };
        assert_eq!((message, taken), (expected, 26));
        assert_eq!(next_line(&bytes[26..]), Ok(Some((Line::Ping, 6))));
    }

    #[test]
    fn answers_are_told_apart() {
        let line = |bytes: &'static [u8]| next_line(bytes).map(|found| found.unwrap().0);
        assert_eq!(
            line(b"MSG _I.7.0000000042 1 7\r\n{\"a\":1}\r\n"),
            Ok(Line::Confirmed(42))
        );
        assert_eq!(line(b"MSG _I.7.answer 1 2\r\n{}\r\n"), Ok(Line::Answer));
        let refused = b"{\"error\":{}}";
        assert_eq!(
            line(b"MSG _I.7.0000000042 1 12\r\n{\"error\":{}}\r\n"),
            Ok(Line::Refused(refused))
        );
        assert_eq!(line(b"-ERR 'no'\r\n"), Ok(Line::Refused(b"'no'")));
        assert_eq!(line(b"INFO {}\r\n"), Ok(Line::Info));
        assert_eq!(line(b"MSG a 2 1\r\nabc\r\n"), Err(NoLine));
        assert_eq!(line(b"MSG a\r\n"), Err(NoLine));
        assert_eq!(line(b"HTTP/1.1 400\n"), Err(NoLine));
    }

    #[test]
    fn requests_carry_json_of_the_length_that_they_say() {
        for request in Stream::new("holdfast.bench.1").create("_I.7", true, 4000) {
            let text = String::from_utf8(request).unwrap();
            let (head, content) = text.trim_end().split_once("\r\n").unwrap();
            assert!(
                head.starts_with("PUB $JS.API.") && head.contains(" _I.7.answer "),
                "{head}"
            );
            assert!(head.ends_with(&format!(" {}", content.len())));
            serde_json::from_str::<serde_json::Value>(content).unwrap();
            assert!(
                !head.contains("STREAM.CREATE.holdfast.bench"),
                "a stream's name has no dots"
            );
        }
    }
}
