//! Takes everything that waits, one place after the other, and knows when a place is empty without waiting.
//!
//! Into each place it sends an end mark of the lowest priority: when that comes back, everything that waited before it has come. The mark is not persistent, so that a full disk does not refuse it.

use bytes::Bytes;
use client::stomp::{Ack, AckToken, Client, ClientSettings, Event as Told, SendOptions, SubscribeOptions};
use platform::Now;

use super::actor::{crc32_of, flaw_of};
use super::content::SELECTED;
use super::scene::DurableSubscription;
use super::{Content, Scene};
use crate::history::{Body, Consumer, Delivered, Event, Outcome, Place, Settlement};

/// Deliveries that a drain holds at most; larger than any run's backlog.
const PREFETCH: u32 = 32_000;

/// How far a drain of one place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// More may come.
    Waiting,
    /// The end mark came and everything was acknowledged, with receipt.
    Everything,
}

/// The drain of one place over one connection.
#[derive(Debug)]
pub struct Drainer {
    client: Client,
    place: Place,
    consumer: Consumer,
    mark: String,
    bodies: Vec<Body>,
    last: Option<AckToken>,
    settlement: Option<Settlement>,
    taken: Taken,
}

impl Drainer {
    /// Begins to drain over a connection that was just made.
    pub fn new(
        place: Place,
        destination: &str,
        durable: Option<DurableSubscription>,
        now: Now,
        scene: &mut Scene,
    ) -> Drainer {
        let mut settings = ClientSettings::new("holdfast");
        settings.client_id = durable.map(|durable| durable.client_id.to_owned());
        let mut client = Client::new(settings, now);
        let selector = durable
            .filter(|durable| durable.selective)
            .map(|_| format!("color = '{SELECTED}'"));
        client.subscribe(
            "drain",
            destination,
            &SubscribeOptions {
                ack: Ack::Client,
                prefetch: Some(PREFETCH),
                selector: selector.as_deref(),
                durable: durable.map(|durable| durable.name),
                ..SubscribeOptions::default()
            },
        );
        let number = scene.history.fresh();
        let mark = format!("end:{number}");
        let to = destination.replace('>', "today");
        let headers = [("priority", "0"), ("color", SELECTED)];
        client.send(
            &to,
            mark.as_bytes(),
            &SendOptions {
                persistent: false,
                headers: &headers,
                ..SendOptions::default()
            },
        );
        Drainer {
            client,
            place,
            consumer: Consumer(number),
            mark,
            bodies: Vec::new(),
            last: None,
            settlement: None,
            taken: Taken::Waiting,
        }
    }

    /// How far it is.
    pub fn taken(&self) -> Taken {
        self.taken
    }

    /// Bytes to send.
    pub fn poll_output(&mut self, now: Now) -> Option<Bytes> {
        self.client.poll_output(now)
    }

    /// Bytes came.
    pub fn handle_bytes(&mut self, now: Now, bytes: &[u8], scene: &mut Scene) {
        self.client.handle_bytes(now, bytes);
        while let Some(told) = self.client.poll_event() {
            self.told(now, told, scene);
        }
    }

    fn told(&mut self, now: Now, told: Told, scene: &mut Scene) {
        match told {
            Told::Connected(_) => {}
            Told::Receipt { .. } => {
                if let Some(settlement) = self.settlement {
                    scene.push(Event::Settled(settlement));
                    self.taken = Taken::Everything;
                }
            }
            Told::Message(message) => {
                self.last = Some(message.ack_token());
                if let Some(body) = Content::number(message.body()) {
                    let content = scene.content_of(body);
                    let flaw = flaw_of(&message, &content, scene.promised(body), false);
                    self.bodies.push(body);
                    scene.count("drained");
                    scene.push(Event::Delivered(Delivered {
                        consumer: self.consumer,
                        place: self.place,
                        body,
                        redelivered: message.is_redelivered(),
                        at: now.wall.0,
                        id: u64::from(crc32_of(message.id())),
                        superseded: scene.superseded,
                        flaw,
                    }));
                } else if **message.body() == *self.mark.as_bytes() {
                    self.finish(scene);
                }
            }
            Told::BrowseEnd { .. }
            | Told::Error(_)
            | Told::Broken(_)
            | Told::Unexpected { .. }
            | Told::Silent { .. } => {
                scene.complain(format!(
                    "during the drain of {}: {told:?}",
                    scene.history.name(self.place)
                ));
            }
        }
    }

    fn finish(&mut self, scene: &mut Scene) {
        let settlement = Settlement(scene.history.fresh());
        scene.push(Event::Settling {
            settlement,
            place: self.place,
            bodies: std::mem::take(&mut self.bodies),
            outcome: Outcome::Consumed,
            transaction: None,
        });
        self.settlement = Some(settlement);
        let token = self.last.take().expect("the end mark was just delivered");
        self.client.ack(&token, None, Some("drained"));
    }
}
