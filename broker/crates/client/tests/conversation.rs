//! The client against the broker's own session: what one says the other understands.

use std::sync::Arc;
use std::time::Duration;

use client::stomp::{Ack, Client, ClientSettings, Event, HeartBeat, SendOptions, SubscribeOptions, Version};
use message::{
    Command, ConnectionId, Delivery, DeliveryTag, Disposition, Epoch, Event as BrokerEvent, Message, MessageNumber,
};
use platform::{BootTime, Now, WallTime};
use wire::stomp::{Session, SessionSettings};

/// A client, a session, and a broker of one queue that confirms everything and echoes what is sent to the first consumer.
struct Pair {
    client: Client,
    session: Session,
    now: Now,
    consumer: Option<message::ConsumerId>,
    tag: u64,
    commands: Vec<String>,
}

impl Pair {
    fn new(settings: ClientSettings) -> Pair {
        let now = Now {
            boot: BootTime(1),
            wall: WallTime(5),
        };
        let session = Session::new(SessionSettings::new(Epoch(1), ConnectionId(2), "holdfast/test"), now);
        Pair {
            client: Client::new(settings, now),
            session,
            now,
            consumer: None,
            tag: 0,
            commands: Vec::new(),
        }
    }

    /// Carries bytes both ways, in pieces, until nobody says anything more.
    fn settle(&mut self) {
        loop {
            let mut is_quiet = true;
            while let Some(bytes) = self.client.poll_output(self.now) {
                is_quiet = false;
                for piece in bytes.chunks(7) {
                    self.session.handle_bytes(self.now, piece);
                    self.serve();
                }
            }
            while let Some(bytes) = self.session.poll_output() {
                is_quiet = false;
                for piece in bytes.chunks(5) {
                    self.client.handle_bytes(self.now, piece);
                }
                self.session.handle_transmitted(self.now, bytes.len());
                self.serve();
            }
            if is_quiet {
                return;
            }
        }
    }

    fn serve(&mut self) {
        while let Some((request, command)) = self.session.poll_command() {
            let mut delivered = None;
            self.commands.push(match command {
                Command::Connect { client_id } => format!("connect {client_id:?}"),
                Command::Send(send) => {
                    delivered = Some(send.message);
                    "send".to_string()
                }
                Command::Subscribe(subscribe) => {
                    self.consumer = Some(subscribe.consumer);
                    format!("subscribe {:?} {}", subscribe.selector, subscribe.prefetch)
                }
                Command::Acknowledge(it) => match it.outcome {
                    Disposition::Consumed => format!("ack {}..{}", it.first.0, it.last.0),
                    Disposition::Rejected => format!("nack {}..{}", it.first.0, it.last.0),
                    Disposition::Released => "release".to_string(),
                },
                Command::Unsubscribe { .. } => "unsubscribe".to_string(),
                Command::Begin { .. } => "begin".to_string(),
                Command::Commit { .. } => "commit".to_string(),
                Command::Rollback { .. } => "rollback".to_string(),
                Command::Barrier => "barrier".to_string(),
                other => panic!("{other:?}"),
            });
            if let Some(request) = request {
                self.session.handle_event(self.now, BrokerEvent::Done { request });
            }
            if let (Some(message), Some(_)) = (delivered, self.consumer) {
                self.deliver(message);
            }
        }
    }

    fn deliver(&mut self, message: Arc<Message>) {
        self.tag += 1;
        let delivery = Delivery {
            consumer: self.consumer.expect("somebody subscribed"),
            tag: DeliveryTag(self.tag),
            message,
            number: MessageNumber(self.tag),
            redelivered: self.tag > 1,
            redeliveries: 0,
        };
        self.session.handle_event(self.now, BrokerEvent::Deliver(delivery));
    }

    fn events(&mut self) -> Vec<Event> {
        self.settle();
        std::iter::from_fn(|| self.client.poll_event()).collect()
    }
}

fn settings(version_max: Version) -> ClientSettings {
    ClientSettings {
        version_max,
        ..ClientSettings::new("localhost")
    }
}

const VERSIONS: [Version; 3] = [Version::V1_0, Version::V1_1, Version::V1_2];

#[test]
fn what_is_sent_comes_back_in_every_version() {
    for version in VERSIONS {
        let mut pair = Pair::new(settings(version));
        let subscribe = SubscribeOptions {
            ack: Ack::Client,
            selector: Some("a = 1"),
            prefetch: Some(3),
            receipt: Some("s"),
            ..SubscribeOptions::default()
        };
        let value = if version == Version::V1_0 { "plain" } else { "a:b\\n\nc" };
        pair.client.subscribe("sub", "/queue/A", &subscribe);
        let send = SendOptions {
            persistent: true,
            receipt: Some("m"),
            headers: &[("x", value)],
            ..SendOptions::default()
        };
        pair.client.send("/queue/A", b"nul\0inside", &send);
        let mut events = pair.events().into_iter();
        match events.next() {
            Some(Event::Connected(connected)) => {
                assert_eq!(connected.version, version);
                assert_eq!(connected.server.as_deref(), Some("holdfast/test"));
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(events.next(), Some(Event::Receipt { id }) if &*id == "s"));
        assert!(matches!(events.next(), Some(Event::Receipt { id }) if &*id == "m"));
        let Some(Event::Message(message)) = events.next() else {
            panic!("no message in {version}")
        };
        assert_eq!(
            (&message.body()[..], message.header("x")),
            (&b"nul\0inside"[..], Some(value))
        );
        assert_eq!(
            (message.destination(), message.subscription(), message.id()),
            ("/queue/A", "sub", "ID:holdfast-1-2:1")
        );
        assert_eq!(message.header("persistent"), Some("true"));
        assert!(events.next().is_none());
        pair.client.ack(&message.ack_token(), None, Some("a"));
        assert!(matches!(&pair.events()[..], [Event::Receipt { id }] if &**id == "a"));
        assert_eq!(
            pair.commands,
            [
                "connect None",
                "subscribe Some(\"convert_string_expressions:a = 1\") 3",
                "send",
                "ack 1..1"
            ]
        );
    }
}

#[test]
fn transactions_nacks_and_goodbye_reach_the_broker_in_order() {
    let mut pair = Pair::new(settings(Version::V1_2));
    let individual = SubscribeOptions {
        ack: Ack::ClientIndividual,
        ..SubscribeOptions::default()
    };
    pair.client.subscribe("s", "/queue/A", &individual);
    pair.client.begin("t", None);
    pair.client.send(
        "/queue/A",
        b"1",
        &SendOptions {
            transaction: Some("t"),
            ..SendOptions::default()
        },
    );
    pair.client.send(
        "/queue/A",
        b"text",
        &SendOptions {
            text: true,
            ..SendOptions::default()
        },
    );
    let messages: Vec<_> = pair
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Message(message) => Some(message),
            _ => None,
        })
        .collect();
    assert_eq!(messages.len(), 2);
    assert!(messages[1].is_redelivered() && messages[1].header("content-length").is_none());
    pair.client.nack(&messages[0].ack_token(), None, None);
    pair.client.commit("t", None);
    pair.client.ack(&messages[1].ack_token(), None, None);
    pair.client.begin("u", None);
    pair.client.abort("u", None);
    pair.client.unsubscribe("s", None, &[]);
    pair.client.disconnect(Some("bye"));
    assert!(matches!(&pair.events()[..], [Event::Receipt { id }] if &**id == "bye"));
    assert!(pair.session.is_closing());
    assert_eq!(
        pair.commands[1..],
        [
            "subscribe None 1000",
            "begin",
            "send",
            "send",
            "nack 1..1",
            "commit",
            "ack 2..2",
            "begin",
            "rollback",
            "unsubscribe",
            "barrier"
        ]
    );
}

#[test]
fn an_error_names_what_it_is_about() {
    let mut pair = Pair::new(settings(Version::V1_1));
    pair.client.commit("none", Some("c"));
    let events = pair.events();
    let [Event::Connected(_), Event::Error(error)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(
        (error.message(), error.receipt()),
        ("Invalid transaction id: none", Some("c"))
    );
    assert!(error.explanation().ends_with("The connection stays open."));
}

#[test]
fn both_sides_beat_and_the_client_gives_a_silent_broker_up() {
    let heart_beat = HeartBeat {
        promises_ms: 1000,
        wants_ms: 1000,
    };
    let mut pair = Pair::new(ClientSettings {
        heart_beat,
        ..settings(Version::V1_2)
    });
    assert_eq!(pair.events().len(), 1);
    for _ in 0..10 {
        pair.now.boot = pair
            .client
            .next_timeout()
            .expect("it beats")
            .min(pair.session.next_timeout().expect("it beats"));
        pair.client.handle_timeout(pair.now);
        pair.session.handle_timeout(pair.now);
        assert!(pair.events().is_empty());
    }
    assert!(pair.now.boot >= BootTime(1) + Duration::from_secs(5));
    pair.now.boot = pair.now.boot + Duration::from_secs(2);
    pair.client.handle_timeout(pair.now);
    let silence = Duration::from_secs(2);
    assert!(matches!(pair.client.poll_event(), Some(Event::Silent { silence: it }) if it == silence));
    assert_eq!(pair.client.next_timeout(), None);
}

#[test]
fn nonsense_from_a_server_breaks_off_without_panic() {
    for (bytes, is_broken) in [
        (&b"\x15\x03"[..], true),
        (b"HELLO\n\n\0", false),
        (b"CONNECTED\nversion:9.9\n\n\0", false),
        (b"CONNECTED\nversion:1.2\n\n\0CONNECTED\nversion:1.2\n\n\0", false),
    ] {
        let mut client = Client::new(settings(Version::V1_2), Now::default());
        client.handle_bytes(Now::default(), bytes);
        let last = std::iter::from_fn(|| client.poll_event()).last();
        match last {
            Some(Event::Broken(_)) => assert!(is_broken),
            Some(Event::Unexpected { .. }) => assert!(!is_broken),
            other => panic!("{other:?}"),
        }
    }
}
