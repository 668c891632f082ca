//! A STOMP client: 1.2 by preference, 1.1 and 1.0 if asked.
//!
//! Invariants: frames go out in the order of the calls; what is called before CONNECTED waits for it, because only then the escaping is known; whatever the server sends becomes
//! events, at last one [`Event::Broken`]. Tests: `tests/conversation.rs`, against the broker's own session.

pub mod bulk;
mod event;
mod settings;

use bytes::{BufMut, Bytes, BytesMut};
use platform::{BootTime, Now};
use std::collections::VecDeque;
use std::time::Duration;

pub use event::{AckToken, Connected, ErrorReport, Event, Message};
pub use settings::{Ack, ClientSettings, SendOptions, SubscribeOptions};
use wire::stomp::{Decoder, END_OF_FRAME, Frame, FrameWriter};
pub use wire::stomp::{FrameError, FrameLimits, HeartBeat, Version};

/// Where the connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// CONNECT is out.
    Connecting,
    /// CONNECTED came.
    Connected,
    /// The bytes made no sense, or the server fell silent.
    Broken,
}

/// A frame that waits for CONNECTED.
#[derive(Debug)]
struct Waiting {
    command: &'static str,
    headers: Vec<(String, String)>,
    body: Option<Bytes>,
}

/// One STOMP connection as a client sees it.
#[derive(Debug)]
pub struct Client {
    settings: ClientSettings,
    phase: Phase,
    version: Version,
    decoder: Decoder,
    out: BytesMut,
    waiting: VecDeque<Waiting>,
    events: VecDeque<Event>,
    send_every: Option<Duration>,
    silence_max: Option<Duration>,
    last_sent: BootTime,
    last_received: BootTime,
}

impl Client {
    /// A client for a connection that was just made; CONNECT is the first thing to go out.
    pub fn new(settings: ClientSettings, now: Now) -> Client {
        let mut client = Client {
            phase: Phase::Connecting,
            version: Version::V1_0,
            decoder: Decoder::new(settings.limits),
            out: BytesMut::new(),
            waiting: VecDeque::new(),
            events: VecDeque::new(),
            send_every: None,
            silence_max: None,
            last_sent: now.boot,
            last_received: now.boot,
            settings,
        };
        client.write_connect();
        client
    }

    /// The version in use; 1.0 until [`Event::Connected`].
    pub fn version(&self) -> Version {
        self.version
    }

    /// Sends a message.
    pub fn send(&mut self, destination: &str, body: &[u8], options: &SendOptions<'_>) {
        let length = body.len().to_string();
        let mut headers = vec![("destination", destination)];
        if !options.text {
            headers.push(("content-length", &length));
        }
        if options.persistent {
            headers.push(("persistent", "true"));
        }
        push_some(&mut headers, "transaction", options.transaction);
        push_some(&mut headers, "duplicate-id", options.duplicate_id);
        push_some(&mut headers, "receipt", options.receipt);
        headers.extend_from_slice(options.headers);
        self.frame("SEND", &headers, body);
    }

    /// Starts a subscription; `id` names it in deliveries and in [`Client::unsubscribe`].
    pub fn subscribe(&mut self, id: &str, destination: &str, options: &SubscribeOptions<'_>) {
        let prefetch = options.prefetch.map(|prefetch| prefetch.to_string());
        let mut headers = vec![("id", id), ("destination", destination), ("ack", options.ack.as_str())];
        push_some(&mut headers, "selector", options.selector);
        push_some(&mut headers, "activemq.prefetchSize", prefetch.as_deref());
        push_some(&mut headers, "activemq.subscriptionName", options.durable);
        push_some(&mut headers, "browser", options.browser.then_some("true"));
        push_some(&mut headers, "receipt", options.receipt);
        headers.extend_from_slice(options.headers);
        self.frame("SUBSCRIBE", &headers, b"");
    }

    /// Ends a subscription. A durable one goes on collecting; to delete it, add `activemq.subscriptionName` to `headers`.
    pub fn unsubscribe(&mut self, id: &str, receipt: Option<&str>, headers: &[(&str, &str)]) {
        let mut all = vec![("id", id)];
        push_some(&mut all, "receipt", receipt);
        all.extend_from_slice(headers);
        self.frame("UNSUBSCRIBE", &all, b"");
    }

    /// Acknowledges a delivery (with `ack:client` also all before it).
    pub fn ack(&mut self, delivery: &AckToken, transaction: Option<&str>, receipt: Option<&str>) {
        self.settle("ACK", delivery, transaction, receipt);
    }

    /// Says that a delivery cannot be processed: it goes to the dead-letter queue. Not in 1.0.
    pub fn nack(&mut self, delivery: &AckToken, transaction: Option<&str>, receipt: Option<&str>) {
        self.settle("NACK", delivery, transaction, receipt);
    }

    /// Opens a transaction.
    pub fn begin(&mut self, transaction: &str, receipt: Option<&str>) {
        self.transaction("BEGIN", transaction, receipt);
    }

    /// Carries out a transaction.
    pub fn commit(&mut self, transaction: &str, receipt: Option<&str>) {
        self.transaction("COMMIT", transaction, receipt);
    }

    /// Gives up a transaction.
    pub fn abort(&mut self, transaction: &str, receipt: Option<&str>) {
        self.transaction("ABORT", transaction, receipt);
    }

    /// Says goodbye. When the receipt has come, everything sent before it was carried out and the connection may be closed.
    pub fn disconnect(&mut self, receipt: Option<&str>) {
        let mut headers = Vec::new();
        push_some(&mut headers, "receipt", receipt);
        self.frame("DISCONNECT", &headers, b"");
    }

    /// Takes what was read from the server.
    pub fn handle_bytes(&mut self, now: Now, bytes: &[u8]) {
        self.last_received = now.boot;
        if self.phase == Phase::Broken {
            return;
        }
        self.decoder.push(bytes);
        loop {
            match self.decoder.next_frame() {
                Ok(Some(frame)) => self.handle_frame(now, frame),
                Ok(None) => return,
                Err(error) => {
                    self.break_off(Event::Broken(error));
                    return;
                }
            }
        }
    }

    /// Does what is due: sends a heart-beat, or gives the server up.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.phase == Phase::Broken {
            return;
        }
        if let Some(silence_max) = self.silence_max
            && now.boot >= self.last_received + silence_max
        {
            // Said once. What was under way may still arrive before the caller closes.
            (self.silence_max, self.send_every) = (None, None);
            self.events.push_back(Event::Silent {
                silence: now.boot.since(self.last_received),
            });
            return;
        }
        if let Some(every) = self.send_every
            && now.boot >= self.last_sent + every
        {
            self.last_sent = now.boot;
            if self.out.is_empty() {
                self.out.put_u8(b'\n');
            }
        }
    }

    /// When [`Client::handle_timeout`] wants to be called.
    pub fn next_timeout(&self) -> Option<BootTime> {
        match self.phase {
            Phase::Connecting | Phase::Connected => {
                let silence = self.silence_max.map(|silence| self.last_received + silence);
                let send = self.send_every.map(|every| self.last_sent + every);
                silence.into_iter().chain(send).min()
            }
            Phase::Broken => None,
        }
    }

    /// The bytes to write, if there are any.
    pub fn poll_output(&mut self, now: Now) -> Option<Bytes> {
        if self.out.is_empty() {
            return None;
        }
        self.last_sent = now.boot;
        Some(self.out.split().freeze())
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn write_connect(&mut self) {
        let settings = &self.settings;
        let heart_beat = settings.heart_beat.to_string();
        let mut frame = FrameWriter::new(&mut self.out, Version::V1_0, "CONNECT");
        frame.header("accept-version", settings.accept_version());
        frame.header("host", &settings.host).header("heart-beat", &heart_beat);
        for (name, value) in [
            ("login", &settings.login),
            ("passcode", &settings.passcode),
            ("client-id", &settings.client_id),
        ] {
            if let Some(value) = value {
                frame.header(name, value);
            }
        }
        frame.end();
    }

    fn transaction(&mut self, command: &'static str, transaction: &str, receipt: Option<&str>) {
        let mut headers = vec![("transaction", transaction)];
        push_some(&mut headers, "receipt", receipt);
        self.frame(command, &headers, b"");
    }

    fn settle(&mut self, command: &'static str, delivery: &AckToken, transaction: Option<&str>, receipt: Option<&str>) {
        let mut headers = Vec::with_capacity(4);
        match self.version {
            Version::V1_2 => push_some(&mut headers, "id", delivery.ack_id.as_deref()),
            Version::V1_0 | Version::V1_1 => {
                headers.push(("message-id", &*delivery.message_id));
                push_some(&mut headers, "subscription", delivery.subscription.as_deref());
            }
        }
        push_some(&mut headers, "transaction", transaction);
        push_some(&mut headers, "receipt", receipt);
        self.frame(command, &headers, b"");
    }

    fn frame(&mut self, command: &'static str, headers: &[(&str, &str)], body: &[u8]) {
        match self.phase {
            Phase::Connected => {
                let mut frame = FrameWriter::new(&mut self.out, self.version, command);
                for (name, value) in headers {
                    frame.header(name, value);
                }
                frame.head();
                self.out.put_slice(body);
                self.out.put_slice(END_OF_FRAME);
            }
            Phase::Connecting => self.waiting.push_back(Waiting {
                command,
                headers: headers
                    .iter()
                    .map(|(name, value)| (name.to_string(), value.to_string()))
                    .collect(),
                body: (!body.is_empty()).then(|| Bytes::copy_from_slice(body)),
            }),
            Phase::Broken => {}
        }
    }

    fn handle_frame(&mut self, now: Now, frame: Frame) {
        match frame.command() {
            "CONNECTED" => self.handle_connected(now, &frame),
            "RECEIPT" => {
                let id = frame.header("receipt-id").unwrap_or_default().into();
                self.events.push_back(Event::Receipt { id });
            }
            "MESSAGE" if frame.header("browser") == Some("end") => {
                let subscription = frame.header("subscription").unwrap_or_default().into();
                self.events.push_back(Event::BrowseEnd { subscription });
            }
            "MESSAGE" => self.events.push_back(Event::Message(Message::new(frame))),
            "ERROR" => self.events.push_back(Event::Error(ErrorReport::new(frame))),
            other => {
                let command = other.into();
                self.break_off(Event::Unexpected { command });
            }
        }
    }

    fn handle_connected(&mut self, now: Now, frame: &Frame) {
        let version = frame.header("version").map_or(Some(Version::V1_0), Version::parse);
        let Some(version) = version.filter(|version| *version <= self.settings.version_max) else {
            let command = format!("CONNECTED version:{}", frame.header("version").unwrap_or_default()).into();
            self.break_off(Event::Unexpected { command });
            return;
        };
        if self.phase != Phase::Connecting {
            self.break_off(Event::Unexpected {
                command: "CONNECTED".into(),
            });
            return;
        }
        let theirs = frame
            .header("heart-beat")
            .and_then(HeartBeat::parse)
            .unwrap_or_default();
        let ours = self.settings.heart_beat;
        self.send_every = ours.send_every(theirs);
        // Twice what was promised: both clocks and the network have their delays (STOMP 1.2, Heart-beating).
        self.silence_max = ours.receive_every(theirs).map(|every| every.saturating_mul(2));
        self.last_sent = now.boot;
        self.version = version;
        self.decoder.connected(version, self.settings.limits);
        self.phase = Phase::Connected;
        self.events.push_back(Event::Connected(Connected {
            version,
            session: frame.header("session").map(Into::into),
            server: frame.header("server").map(Into::into),
            heart_beat: theirs,
        }));
        for waiting in std::mem::take(&mut self.waiting) {
            let headers: Vec<(&str, &str)> = waiting
                .headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            self.frame(waiting.command, &headers, waiting.body.as_deref().unwrap_or_default());
        }
    }

    fn break_off(&mut self, event: Event) {
        self.phase = Phase::Broken;
        self.decoder.clear();
        self.waiting.clear();
        self.events.push_back(event);
    }
}

fn push_some<'a>(headers: &mut Vec<(&'a str, &'a str)>, name: &'a str, value: Option<&'a str>) {
    if let Some(value) = value {
        headers.push((name, value));
    }
}
