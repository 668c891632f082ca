//! What a server says, as the client reads it: [`Client`], and the reader of benchmarks.
//!
//! The same events come out however the bytes are cut; the reader of benchmarks makes progress with every frame and never looks beyond its buffer.

use client::stomp::bulk::{next_frame, write_ack};
use client::stomp::{Client, ClientSettings, Event, Version};
use platform::{BootTime, Now, WallTime};

const NOW: Now = Now {
    boot: BootTime(1_000_000_000),
    wall: WallTime(1_700_000_000_000),
};

/// Bytes: the version that is offered; the length of pieces; then what the server says.
pub fn run(input: &[u8]) {
    let [choice, piece, stream @ ..] = input else { return };
    let version = match choice % 3 {
        0 => Version::V1_0,
        1 => Version::V1_1,
        _ => Version::V1_2,
    };
    let whole = events(version, stream, stream.len());
    for piece in [1, usize::from(*piece).max(1)] {
        assert_eq!(
            whole,
            events(version, stream, piece),
            "the events depend on the cut, every {piece} bytes"
        );
    }
    in_bulk(stream);
}

fn events(version_max: Version, stream: &[u8], piece: usize) -> Vec<String> {
    let mut client = Client::new(
        ClientSettings {
            version_max,
            ..ClientSettings::new("h")
        },
        NOW,
    );
    client.subscribe("s:1\n", "/queue/A", &Default::default());
    let mut events = Vec::new();
    for bytes in stream.chunks(piece.max(1)) {
        client.handle_bytes(NOW, bytes);
        while let Some(event) = client.poll_event() {
            if let Event::Message(message) = &event {
                client.ack(&message.ack_token(), None, Some("r"));
            }
            events.push(shown(event));
        }
    }
    let mut written = 0;
    while let Some(bytes) = client.poll_output(NOW) {
        written += bytes.len();
    }
    assert!(
        written <= 1024 + stream.len() * 64,
        "{written} bytes of answers to {}",
        stream.len()
    );
    client.next_timeout();
    events
}

fn shown(event: Event) -> String {
    match event {
        Event::Message(message) => format!(
            "message {:?} {:?} {:?} {} {:?} {:?}",
            message.id(),
            message.destination(),
            message.subscription(),
            message.is_redelivered(),
            message.headers().collect::<Vec<_>>(),
            message.body()
        ),
        Event::Error(error) => format!(
            "error {:?} {:?} {}",
            error.message(),
            error.receipt(),
            error.explanation()
        ),
        Event::Connected(_)
        | Event::Receipt { .. }
        | Event::BrowseEnd { .. }
        | Event::Broken(_)
        | Event::Unexpected { .. }
        | Event::Silent { .. } => format!("{event:?}"),
    }
}

fn in_bulk(stream: &[u8]) {
    let mut rest = stream;
    while let Ok(Some((frame, used))) = next_frame(rest) {
        assert!((1..=rest.len()).contains(&used));
        for name in ["message-id", "content-length", "receipt-id", ""] {
            frame.header(name.as_bytes());
            frame.number(name.as_bytes());
        }
        for version in [Version::V1_0, Version::V1_1, Version::V1_2] {
            let mut out = b"before".to_vec();
            let is_complete = write_ack(&mut out, version, &frame);
            assert!(out.starts_with(b"before") && (is_complete || out.len() == 6));
        }
        rest = &rest[used..];
    }
}

/// Inputs to begin with.
pub fn seeds() -> Vec<Vec<u8>> {
    let streams: [&[u8]; 5] = [
        b"CONNECTED\nversion:1.2\nheart-beat:10000,10000\nsession:s\nserver:x\n\n\0\nMESSAGE\nsubscription:s\\c1\nmessage-id:m\ndestination:/queue/A\nack:a1\ncontent-length:2\n\na\0\0\n",
        b"CONNECTED\nversion:1.1\n\n\0RECEIPT\nreceipt-id:r\n\n\0ERROR\nmessage:no\nreceipt-id:r\n\nwhy\0",
        b"CONNECTED\n\n\0MESSAGE\nbrowser:end\nsubscription:s\n\n\0MESSAGE\nmessage-id:1\nredelivered:true\n\nx\0",
        b"CONNECTED\nversion:1.3\n\n\0",
        b"MESSAGE\r\nmessage-id:1\r\ncontent-length:3\r\n\r\nabc\0SEND\n\n\0",
    ];
    streams
        .iter()
        .enumerate()
        .map(|(index, stream)| [&[2 - index as u8 % 3, 5], *stream].concat())
        .collect()
}
