//! A conversation with a session: client bytes and events in, commands and bytes out, shown as text.

#![allow(dead_code, unreachable_pub)] // every test file uses a part of it

use std::sync::Arc;
use std::time::Duration;

use message::{
    Acknowledge, Body, BodyKind, Command, ConnectionId, ConsumerId, Delivery, DeliveryTag, Destination, Epoch, Event,
    Message, MessageNumber, Refusal, RefusalKind, RequestId,
};
use platform::{BootTime, Now, WallTime};
use wire::stomp::{Session, SessionSettings};

pub const CONNECTION: ConnectionId = ConnectionId(7);

pub struct Conversation {
    pub session: Session,
    pub now: Now,
    pub requests: Vec<RequestId>,
}

pub fn settings() -> SessionSettings {
    SessionSettings::new(Epoch(3), CONNECTION, "holdfast/0.1.0")
}

/// A frame in short: `^` stands for the null byte and is added where it is missing.
pub fn frame(text: &str) -> Vec<u8> {
    let mut bytes = text.replace('^', "\0").into_bytes();
    if !text.contains('^') {
        bytes.push(0);
    }
    bytes
}

impl Conversation {
    pub fn new() -> Conversation {
        Conversation::with(settings())
    }

    pub fn with(settings: SessionSettings) -> Conversation {
        let now = Now {
            boot: BootTime(1_000_000_000),
            wall: WallTime(1_700_000_000_000),
        };
        Conversation {
            session: Session::new(settings, now),
            now,
            requests: Vec::new(),
        }
    }

    /// A connected one.
    pub fn connected(version: &str) -> Conversation {
        Conversation::connected_with(settings(), version, "")
    }

    pub fn connected_with(settings: SessionSettings, version: &str, headers: &str) -> Conversation {
        let mut it = Conversation::with(settings);
        assert_eq!(
            it.client(&format!("CONNECT\naccept-version:{version}\n{headers}\n"))
                .len(),
            1
        );
        it.done(1);
        assert!(it.transmitted().starts_with("CONNECTED\n"));
        it
    }

    /// The client says a frame; the commands that follow.
    pub fn client(&mut self, text: &str) -> Vec<String> {
        self.client_bytes(&frame(text))
    }

    pub fn client_bytes(&mut self, bytes: &[u8]) -> Vec<String> {
        self.session.handle_bytes(self.now, bytes);
        self.commands()
    }

    pub fn commands(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.session.poll_command())
            .map(|(request, command)| {
                self.requests.extend(request);
                let request = request
                    .map(|request| format!("#{} ", request.0 + 1))
                    .unwrap_or_default();
                format!("{request}{}", show(&command))
            })
            .collect()
    }

    /// The engine carried out the command that was shown as `#request`.
    pub fn done(&mut self, request: u64) {
        self.event(Event::Done {
            request: RequestId(request - 1),
        });
    }

    pub fn refused(&mut self, request: Option<u64>, kind: RefusalKind, text: &str) {
        let request = request.map(|request| RequestId(request - 1));
        self.event(Event::Refused {
            request,
            refusal: Refusal::new(kind, text),
        });
    }

    pub fn event(&mut self, event: Event) {
        self.session.handle_event(self.now, event);
    }

    pub fn deliver(&mut self, consumer: u32, tag: u64, message: Message) {
        self.event(Event::Deliver(delivery(consumer, tag, message)));
    }

    /// Subscribes (consumer numbers count from 1) and lets it succeed.
    pub fn subscribe(&mut self, headers: &str) {
        self.client(&format!("SUBSCRIBE\n{headers}\n\n"));
        let request = *self.requests.last().expect("SUBSCRIBE asks with a request");
        self.event(Event::Done { request });
        self.commands();
    }

    /// What the session says, all of it; null bytes as `^`. Nothing counts as transmitted.
    pub fn output(&mut self) -> String {
        let mut all = Vec::new();
        while let Some(bytes) = self.session.poll_output() {
            all.extend_from_slice(&bytes);
        }
        String::from_utf8_lossy(&all).replace('\0', "^")
    }

    /// The same, and transmitted.
    pub fn transmitted(&mut self) -> String {
        let output = self.output();
        self.session.handle_transmitted(self.now, output.len());
        output
    }

    pub fn wait(&mut self, milliseconds: u64) {
        self.now.boot = self.now.boot + Duration::from_millis(milliseconds);
        self.session.handle_timeout(self.now);
    }
}

pub fn message(id: &str, destination: &str, text: &str) -> Message {
    let body = Body {
        kind: BodyKind::Text,
        bytes: text.to_string().into(),
    };
    Message {
        persistent: false,
        ..Message::new(id, Destination::queue(destination).expect("a good name"), body)
    }
}

pub fn delivery(consumer: u32, tag: u64, message: Message) -> Delivery {
    Delivery {
        consumer: ConsumerId {
            connection: CONNECTION,
            number: consumer,
        },
        tag: DeliveryTag(tag),
        message: Arc::new(message),
        number: MessageNumber(100 + tag),
        redelivered: false,
        redeliveries: 0,
    }
}

pub fn consumer(number: u32) -> ConsumerId {
    ConsumerId {
        connection: CONNECTION,
        number,
    }
}

pub fn joined(destinations: &[Destination]) -> String {
    destinations
        .iter()
        .map(Destination::to_string)
        .collect::<Vec<_>>()
        .join(",")
}

pub fn show(command: &Command) -> String {
    match command {
        Command::Connect { client_id } => format!("Connect {client_id:?}"),
        Command::Send(send) => {
            let message = &send.message;
            assert_eq!(message.destination, send.destinations[0]);
            let mut text = format!(
                "Send {} {} {:?} {:?}",
                joined(&send.destinations),
                message.id,
                message.body.kind,
                String::from_utf8_lossy(&message.body.bytes)
            );
            if message.persistent {
                text += " persistent";
            }
            if let Some(transaction) = send.transaction {
                text += &format!(" tx={}", transaction.number);
            }
            if let Some(duplicate_id) = &send.duplicate_id {
                text += &format!(" duplicate-id={duplicate_id}");
            }
            text
        }
        Command::Subscribe(subscribe) => {
            assert_eq!(subscribe.consumer.connection, CONNECTION);
            let mut text = format!(
                "Subscribe {} {} prefetch={}",
                subscribe.consumer.number,
                joined(&subscribe.destinations),
                subscribe.prefetch
            );
            if let Some(selector) = &subscribe.selector {
                text += &format!(" selector={selector}");
            }
            for (name, is_set) in [
                ("browser", subscribe.browser),
                ("no-local", subscribe.no_local),
                ("exclusive", subscribe.exclusive),
            ] {
                if is_set {
                    text += &format!(" {name}");
                }
            }
            if subscribe.priority != 0 {
                text += &format!(" priority={}", subscribe.priority);
            }
            if let Some(durable) = &subscribe.durable {
                text += &format!(" durable={durable}");
            }
            if let Some(pending_max) = subscribe.pending_max {
                text += &format!(" pending={pending_max}");
            }
            text
        }
        Command::Unsubscribe {
            consumer,
            last_delivered,
        } => {
            format!("Unsubscribe {} {last_delivered:?}", consumer.number)
        }
        Command::RemoveDurable { client_id, name } => format!("RemoveDurable {client_id} {name}"),
        Command::Acknowledge(Acknowledge {
            consumer,
            first,
            last,
            outcome,
            transaction,
        }) => {
            let transaction = transaction.map(|it| format!(" tx={}", it.number)).unwrap_or_default();
            format!(
                "Acknowledge {} {}..{} {outcome:?}{transaction}",
                consumer.number, first.0, last.0
            )
        }
        Command::Pull { consumer, count } => format!("Pull {} {count}", consumer.number),
        Command::Begin { transaction } => format!("Begin {}", transaction.number),
        Command::Commit { transaction } => format!("Commit {}", transaction.number),
        Command::Rollback { transaction } => format!("Rollback {}", transaction.number),
        Command::CreateTemporary { destination } => format!("CreateTemporary {destination}"),
        Command::DeleteTemporary { destination } => format!("DeleteTemporary {destination}"),
        Command::Barrier => "Barrier".to_string(),
    }
}

/// The `message` header of the one ERROR frame in the output.
pub fn error_message(output: &str) -> &str {
    assert_eq!(output.matches("ERROR\n").count(), 1, "{output}");
    output
        .split('\n')
        .find_map(|line| line.strip_prefix("message:"))
        .expect("an ERROR has a message")
}
