//! What goes to the client: a queue of things to say, encoded when the socket wants bytes.
//!
//! Invariant: bytes leave in the order in which things were pushed. A delivery is acknowledged (`ack:auto`) or becomes acknowledgeable only by being encoded; what is dropped
//! before was never the client's.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use message::{Acknowledge, ConnectionId, ConsumerId, Delivery, DeliveryTag, Disposition, LastDelivered};
use mutant::Mutant;

use super::super::delivered::{self, Written};
use super::super::destinations::{Temporaries, write as write_destination};
use super::super::subscription::{AckMode, Held, Subscription};
use super::super::{FrameWriter, HeartBeat, Version};
use super::SessionSettings;

/// How many bytes one poll encodes, roughly.
const POLL_BYTES: usize = 64 << 10;

/// The variable part of CONNECTED.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) session: Arc<str>,
    pub(super) response_id: Option<Box<str>>,
}

/// An ERROR frame.
#[derive(Debug)]
pub(super) struct ErrorFrame {
    pub(super) message: String,
    pub(super) explanation: String,
    pub(super) receipt_id: Option<Box<str>>,
    pub(super) subscription: Option<Box<str>>,
    /// The versions that would be understood.
    pub(super) version: Option<&'static str>,
}

impl ErrorFrame {
    pub(super) fn new(message: String, explanation: String) -> ErrorFrame {
        ErrorFrame {
            message,
            explanation,
            receipt_id: None,
            subscription: None,
            version: None,
        }
    }
}

/// After an encoding that was larger the buffer is given back when there is nothing more to say.
const KEPT_BUFFER_BYTES: usize = 4 << 10;

/// One thing to say.
#[derive(Debug)]
pub(super) enum Outgoing {
    HeartBeat,
    Connected(Connected),
    Receipt(Box<str>),
    Error(ErrorFrame),
    Message(Delivery),
    BrowseEnd { consumer: u32 },
}

impl Outgoing {
    /// Memory that an answer takes; a delivery is none.
    fn answer_bytes(&self) -> usize {
        let text = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| text.len());
        let texts = match self {
            Outgoing::Message(_) | Outgoing::BrowseEnd { .. } => return 0,
            Outgoing::HeartBeat => 0,
            Outgoing::Connected(connected) => text(&connected.response_id),
            Outgoing::Receipt(receipt) => receipt.len(),
            Outgoing::Error(error) => {
                error.message.len() + error.explanation.len() + text(&error.receipt_id) + text(&error.subscription)
            }
        };
        size_of::<Outgoing>() + texts
    }
}

/// A delivery of `ack:auto` whose last byte is not yet on its way.
#[derive(Debug)]
struct InFlight {
    /// Bytes of the connection up to its end.
    end: u64,
    consumer: u32,
    tag: DeliveryTag,
}

/// The queue, and how much of it went out.
#[derive(Debug)]
pub(super) struct Output {
    queue: VecDeque<Outgoing>,
    /// Memory of those of the queue that are no deliveries; bytes.
    answer_bytes: usize,
    /// Encoded and not polled.
    ready: VecDeque<Bytes>,
    buffer: BytesMut,
    /// Bytes of the last encoding.
    lately: usize,
    scratch: String,
    /// Bytes of the connection that were polled, and those of them that were transmitted.
    polled: u64,
    transmitted: u64,
    in_flight: VecDeque<InFlight>,
    /// Memory of messages that were encoded or given up since [`Output::take_taken`]; bytes.
    taken: usize,
    connection: ConnectionId,
    server: Arc<str>,
    /// `holdfast-EPOCH-CONNECTION-`, with which the ack ids of 1.2 begin.
    ack_prefix: String,
    /// What CONNECTED says.
    pub(super) heart_beat: HeartBeat,
}

impl Output {
    pub(super) fn new(settings: &SessionSettings) -> Output {
        Output {
            queue: VecDeque::new(),
            answer_bytes: 0,
            ready: VecDeque::new(),
            buffer: BytesMut::new(),
            lately: 0,
            scratch: String::new(),
            polled: 0,
            transmitted: 0,
            in_flight: VecDeque::new(),
            taken: 0,
            connection: settings.connection,
            server: settings.server.clone(),
            ack_prefix: format!("holdfast-{}-{}-", settings.epoch, settings.connection.0),
            heart_beat: HeartBeat::default(),
        }
    }

    pub(super) fn push(&mut self, outgoing: Outgoing) {
        self.answer_bytes += outgoing.answer_bytes();
        self.queue.push_back(outgoing);
    }

    /// Memory of things to say that are no deliveries (whoever makes deliveries limits those); bytes.
    pub(super) fn answer_bytes(&self) -> usize {
        self.answer_bytes
    }

    /// Whether everything was polled.
    pub(super) fn is_polled(&self) -> bool {
        self.queue.is_empty() && self.ready.is_empty()
    }

    /// Whether everything was transmitted: if not, something is on its way that serves as a heart-beat.
    pub(super) fn is_idle(&self) -> bool {
        self.is_polled() && self.polled == self.transmitted
    }

    /// Forgets deliveries that were not encoded: the client is leaving.
    pub(super) fn drop_deliveries(&mut self) {
        for outgoing in std::mem::take(&mut self.queue) {
            match outgoing {
                Outgoing::Message(delivery) => self.give_up(&delivery),
                Outgoing::BrowseEnd { .. } => {}
                Outgoing::HeartBeat | Outgoing::Connected(_) | Outgoing::Receipt(_) | Outgoing::Error(_) => {
                    self.queue.push_back(outgoing);
                }
            }
        }
    }

    /// A delivery takes no memory any more.
    pub(super) fn give_up(&mut self, delivery: &Delivery) {
        self.taken += delivery.message.bytes_held();
    }

    /// See [`Session::take_delivered_bytes`](super::Session::take_delivered_bytes).
    pub(super) fn take_taken(&mut self) -> usize {
        std::mem::take(&mut self.taken)
    }

    /// The delivery that an ack id of 1.2 names.
    pub(super) fn parse_ack_id(&self, id: &str) -> Option<(u32, DeliveryTag)> {
        let own = match id.strip_prefix(&self.ack_prefix) {
            None if Mutant::AckIdUnchecked.is_at_work() => id.splitn(4, '-').nth(3)?,
            own => own?,
        };
        let (consumer, tag) = own.split_once('-')?;
        Some((consumer.parse().ok()?, DeliveryTag(tag.parse().ok()?)))
    }

    /// Takes note of transmitted bytes: what is acknowledged by them, as few ranges as can be.
    pub(super) fn transmitted(&mut self, count: usize) -> Vec<Acknowledge> {
        self.transmitted = (self.transmitted + count as u64).min(self.polled);
        let mut ranges: BTreeMap<u32, (DeliveryTag, DeliveryTag)> = BTreeMap::new();
        while let Some(delivery) = self.in_flight.pop_front_if(|delivery| delivery.end <= self.transmitted) {
            ranges
                .entry(delivery.consumer)
                .or_insert((delivery.tag, delivery.tag))
                .1 = delivery.tag;
        }
        let acknowledge = |(number, (first, last))| Acknowledge {
            consumer: ConsumerId {
                connection: self.connection,
                number,
            },
            first,
            last,
            outcome: Disposition::Consumed,
            transaction: None,
        };
        ranges.into_iter().map(acknowledge).collect()
    }

    pub(super) fn poll(
        &mut self,
        subscriptions: &mut BTreeMap<u32, Subscription>,
        temporaries: &Temporaries,
        version: Version,
    ) -> Option<Bytes> {
        if self.ready.is_empty() {
            self.encode(subscriptions, temporaries, version);
        }
        let bytes = self.ready.pop_front()?;
        self.polled += bytes.len() as u64;
        Some(bytes)
    }

    fn encode(&mut self, subscriptions: &mut BTreeMap<u32, Subscription>, temporaries: &Temporaries, version: Version) {
        let mut encoded = 0;
        if self.buffer.capacity() == 0 {
            // As much as lately, so that it need not grow step by step.
            self.buffer.reserve(self.lately);
        }
        while encoded + self.buffer.len() < POLL_BYTES
            && let Some(outgoing) = self.queue.pop_front()
        {
            self.answer_bytes -= outgoing.answer_bytes();
            match outgoing {
                Outgoing::HeartBeat => self.buffer.extend_from_slice(b"\n"),
                Outgoing::Connected(connected) => self.write_connected(&connected, version),
                Outgoing::Receipt(receipt) => {
                    let mut frame = FrameWriter::new(&mut self.buffer, version, "RECEIPT");
                    frame.header("receipt-id", &receipt);
                    frame.end();
                }
                Outgoing::Error(error) => self.write_error(&error, version),
                Outgoing::BrowseEnd { consumer } => {
                    if let Some(subscription) = subscriptions.get(&consumer) {
                        self.write_browse_end(subscription, temporaries, version);
                    }
                }
                Outgoing::Message(delivery) => {
                    self.give_up(&delivery);
                    if let Some(subscription) = subscriptions.get_mut(&delivery.consumer.number) {
                        self.write_message(delivery, subscription, temporaries, version, &mut encoded);
                    }
                }
            }
        }
        self.flush(&mut encoded);
        if self.queue.is_empty() {
            self.lately = encoded.min(POLL_BYTES);
            if encoded > KEPT_BUFFER_BYTES {
                self.buffer = BytesMut::new();
            }
        }
    }

    fn flush(&mut self, encoded: &mut usize) {
        if !self.buffer.is_empty() {
            *encoded += self.buffer.len();
            self.ready.push_back(self.buffer.split().freeze());
        }
    }

    fn write_message(
        &mut self,
        delivery: Delivery,
        subscription: &mut Subscription,
        temporaries: &Temporaries,
        version: Version,
        encoded: &mut usize,
    ) {
        let mut ack_id = String::new();
        let ack_id = match (version, subscription.ack) {
            (Version::V1_2, AckMode::Client | AckMode::ClientIndividual) => {
                write!(
                    ack_id,
                    "{}{}-{}",
                    self.ack_prefix, delivery.consumer.number, delivery.tag.0
                )
                .expect("a String takes everything");
                Some(&*ack_id)
            }
            (Version::V1_0 | Version::V1_1 | Version::V1_2, _) => None,
        };
        let written = delivered::write(
            &mut self.buffer,
            version,
            &delivery,
            subscription,
            ack_id,
            temporaries,
            &mut self.scratch,
        );
        match written {
            Written::Whole => {}
            Written::BodyFollows(body) => {
                self.flush(encoded);
                *encoded += body.len();
                self.ready.push_back(body);
                delivered::write_end(&mut self.buffer);
            }
        }
        subscription.last_delivered = LastDelivered::Through(delivery.number);
        match subscription.ack {
            AckMode::Auto => {
                let end = self.polled + (*encoded + self.buffer.len()) as u64;
                self.in_flight.push_back(InFlight {
                    end,
                    consumer: delivery.consumer.number,
                    tag: delivery.tag,
                });
            }
            AckMode::Client | AckMode::ClientIndividual => subscription.held.push_back(Held {
                tag: delivery.tag,
                message_id: delivery.message.id.clone(),
                transaction: None,
            }),
        }
    }

    fn write_connected(&mut self, connected: &Connected, version: Version) {
        let mut frame = FrameWriter::new(&mut self.buffer, version, "CONNECTED");
        frame.header("version", version.as_str());
        frame.header("session", &connected.session);
        frame.header("server", &self.server);
        self.scratch.clear();
        write!(self.scratch, "{}", self.heart_beat).expect("a String takes everything");
        frame.header("heart-beat", &self.scratch);
        if let Some(id) = &connected.response_id {
            frame.header("response-id", id).header("receipt-id", id);
        }
        frame.end();
    }

    fn write_error(&mut self, error: &ErrorFrame, version: Version) {
        let mut frame = FrameWriter::new(&mut self.buffer, version, "ERROR");
        if let Some(version) = error.version {
            frame.header("version", version);
        }
        frame
            .header("message", &error.message)
            .header("content-type", "text/plain");
        if let Some(id) = &error.receipt_id {
            frame.header("receipt-id", id);
        }
        if let Some(id) = &error.subscription {
            frame.header("subscription", id);
        }
        // No null byte can be in it: explanations quote headers, and those hold none.
        frame.body(error.explanation.as_bytes());
    }

    /// As ActiveMQ words it, message-id included.
    fn write_browse_end(&mut self, subscription: &Subscription, temporaries: &Temporaries, version: Version) {
        let mut frame = FrameWriter::new(&mut self.buffer, version, "MESSAGE");
        self.scratch.clear();
        let mut name = String::new();
        for (at, destination) in subscription.destinations.iter().enumerate() {
            write_destination(destination, temporaries, &mut name);
            self.scratch.push_str(if at == 0 { "" } else { "," });
            self.scratch.push_str(&name);
        }
        frame.header("destination", &self.scratch).header("message-id", "0");
        if let Some(id) = &subscription.id {
            frame.header("subscription", id);
        }
        frame.header("browser", "end");
        frame.end();
    }
}
