//! One scripted client.

mod hearing;
mod mischief;
mod refusal;
mod transacting;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use client::stomp::{
    Ack, AckToken, Client, ClientSettings, Event as Told, HeartBeat, Message, SendOptions, SubscribeOptions, Version,
};
use platform::{BootTime, Now};
use simulated::Prng;

pub use self::mischief::Manner;
use super::content::SELECTED;
use super::scene::{DURABLES, QUEUES, TOPIC, weighted};
use super::{Content, Scene};
use crate::history::{
    Body, Browse, Consumer, Delivered, Event, Outcome, Place, Producer, Sending, Settlement, Transaction,
};
use mischief::Mischief;

/// Requests without an answer from which on a client waits.
const UNANSWERED_MAX: usize = 8;

/// What a client does for a living.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Sends to queues and the topic.
    Producer,
    /// Sends and consumes in transactions over several queues.
    Transactor,
    /// Consumes from queues, one way or another.
    Consumer,
    /// Owns a durable subscription.
    Durable(usize),
    /// Looks through queues.
    Browser,
    /// Consumes from queues and sends over the same connection.
    Worker,
}

/// How a workload differs from run to run.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Whether consumers may use mode `auto`, which loses what is on its way when a connection is cut.
    pub auto: bool,
    /// Whether some messages expire.
    pub expiry: bool,
    /// Whether some clients ask for heart-beats.
    pub heart_beats: bool,
}

/// A scripted client: connects, works, is cut off, connects again.
#[derive(Debug)]
pub struct Actor {
    role: Role,
    work: Work,
    prng: Prng,
    line: Option<Line>,
    /// Sends whose receipt never came, to be sent again under their duplicate-id.
    resends: VecDeque<Parcel>,
    manner: Manner,
    /// Its own pace or manner may cost it answers.
    expects_errors: bool,
    /// It begins nothing new, and finishes what it has.
    rests: bool,
}

/// One connection.
#[derive(Debug)]
struct Line {
    client: Client,
    connected: bool,
    over: bool,
    producer: Producer,
    requests: BTreeMap<u32, Request>,
    /// What left without asking for a receipt: what a later one confirms, and of whom if it is one consumer's.
    unasked: Vec<(Option<Consumer>, Event)>,
    subscriptions: Vec<Subscription>,
    /// UNSUBSCRIBE left; deliveries may still be under way.
    ended: Vec<Subscription>,
    open: Option<Open>,
    leaving: bool,
    browsed: bool,
    deliveries: u64,
    expects_errors: bool,
    mischief: Mischief,
}

/// What waits for a receipt.
#[derive(Debug)]
enum Request {
    Send(Parcel),
    Settle(Settlement),
    Commit(Open),
    Subscribe(Option<usize>),
    Unsubscribe(Consumer),
    Disconnect,
}

/// A send.
#[derive(Clone, Debug)]
struct Parcel {
    sending: Sending,
    destination: String,
    duplicate_id: Option<String>,
}

#[derive(Debug)]
struct Subscription {
    id: String,
    consumer: Consumer,
    /// For durable subscriptions; queues are told by the deliveries.
    place: Option<Place>,
    ack: Ack,
    selective: bool,
    browse: Option<Browse>,
    held: Vec<Held>,
}

#[derive(Clone, Debug)]
struct Held {
    /// Its number among the deliveries of its connection.
    serial: u64,
    body: Body,
    place: Place,
    token: AckToken,
}

/// An open transaction.
#[derive(Debug)]
struct Open {
    transaction: Transaction,
    name: String,
    sends: Vec<Parcel>,
    /// With the number of the subscription.
    settled: Vec<(usize, Held)>,
    steps: u64,
}

impl Actor {
    /// A client that is not connected yet.
    pub fn new(role: Role, work: Work, prng: Prng) -> Actor {
        Actor {
            role,
            work,
            prng,
            line: None,
            resends: VecDeque::new(),
            manner: Manner::Polite,
            expects_errors: false,
            rests: false,
        }
    }

    /// The same client with a manner of its own. If it `expects_errors`, because of that or because it is slow, what it is refused is no complaint.
    pub fn behaving(self, manner: Manner, expects_errors: bool) -> Actor {
        Actor {
            manner,
            expects_errors,
            ..self
        }
    }

    /// Whether it has done nothing that could cost it an answer.
    pub fn is_well_behaved(&self) -> bool {
        self.manner == Manner::Polite && !self.expects_errors
    }

    /// From now on it begins nothing new, and finishes what it has.
    pub fn rest(&mut self) {
        self.rests = true;
    }

    /// It goes on with what it did before it rested.
    pub fn wake_up(&mut self) {
        self.rests = false;
    }

    /// Whether it has a connection.
    pub fn has_line(&self) -> bool {
        self.line.is_some()
    }

    /// Whether it was let in and waits for no answer to an ACK or NACK outside of a transaction.
    pub fn is_settled(&self) -> bool {
        let settles = |request: &Request| matches!(request, Request::Settle(_));
        self.line
            .as_ref()
            .is_some_and(|line| line.connected && !line.requests.values().any(settles))
    }

    /// Whether it only takes up a connection.
    pub fn says_nothing(&self) -> bool {
        self.manner == Manner::Silent
    }

    /// Whether its connection is to be closed by closing its own side only.
    pub fn half_closes(&self) -> bool {
        self.line.as_ref().is_some_and(|line| line.mischief.half_closes)
    }

    /// What it waits for, for reports.
    pub fn waits_for(&self) -> String {
        match &self.line {
            None => format!("{:?} without a connection", self.role),
            Some(line) if !line.connected => format!("{:?} for CONNECTED", self.role),
            Some(line) => format!("{:?} for the answers to {:?}", self.role, line.requests.values()),
        }
    }

    /// Whether its connection is to be closed.
    pub fn is_over(&self) -> bool {
        self.line.as_ref().is_some_and(|line| line.over)
    }

    /// Whether it is connected and waits for nothing.
    pub fn is_answered(&self) -> bool {
        self.line
            .as_ref()
            .is_none_or(|line| line.connected && line.requests.is_empty())
    }

    /// A connection was made.
    pub fn connect(&mut self, now: Now, scene: &mut Scene) {
        let mut settings = ClientSettings::new("holdfast");
        settings.version_max = match self.role {
            Role::Producer => weighted(
                &mut self.prng,
                &[(1, Version::V1_0), (1, Version::V1_1), (2, Version::V1_2)],
            ),
            Role::Transactor | Role::Consumer | Role::Durable(_) | Role::Browser | Role::Worker => {
                weighted(&mut self.prng, &[(1, Version::V1_1), (2, Version::V1_2)])
            }
        };
        if self.work.heart_beats && self.prng.below(6) == 0 {
            let every = 500 + self.prng.below(2_000) as u32;
            settings.heart_beat = HeartBeat {
                promises_ms: every,
                wants_ms: every,
            };
        }
        if let Role::Durable(index) = self.role {
            settings.client_id = Some(DURABLES[index].client_id.into());
        }
        if let Some(client_id) = self.manner.client_id(scene) {
            settings.client_id = Some(client_id);
        }
        let mut line = Line {
            client: Client::new(settings, now),
            connected: false,
            over: false,
            producer: Producer(scene.history.fresh()),
            requests: BTreeMap::new(),
            unasked: Vec::new(),
            subscriptions: Vec::new(),
            ended: Vec::new(),
            open: None,
            leaving: false,
            browsed: false,
            deliveries: 0,
            expects_errors: self.expects_errors,
            mischief: Mischief::new(self.manner, &mut self.prng, scene),
        };
        match self.role {
            Role::Producer | Role::Browser => {}
            Role::Transactor | Role::Consumer | Role::Worker => {
                let count = 1 + self.prng.below(2);
                for _ in 0..count {
                    line.subscribe_to_queue(&mut self.prng, self.role, self.work, scene);
                }
            }
            Role::Durable(index) => line.subscribe_durably(&mut self.prng, index, scene),
        }
        scene.count("connected");
        self.line = Some(line);
    }

    /// Bytes came.
    pub fn handle_bytes(&mut self, now: Now, bytes: &[u8], scene: &mut Scene) {
        if let Some(line) = &mut self.line {
            line.client.handle_bytes(now, bytes);
            while let Some(told) = line.client.poll_event() {
                line.told(now, told, scene);
            }
        }
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now: Now, scene: &mut Scene) {
        if let Some(line) = &mut self.line {
            line.client.handle_timeout(now);
            while let Some(told) = line.client.poll_event() {
                line.told(now, told, scene);
            }
        }
    }

    /// When [`Actor::handle_timeout`] is due.
    pub fn next_timeout(&self) -> Option<BootTime> {
        self.line.as_ref().and_then(|line| line.client.next_timeout())
    }

    /// Bytes to send.
    pub fn poll_output(&mut self, now: Now) -> Option<Bytes> {
        self.line.as_mut()?.poll_output(now)
    }

    /// The connection is gone; `lost` are bytes that had left the broker and never came.
    pub fn disconnected(&mut self, now: Now, lost: &[u8], scene: &mut Scene) {
        let Some(mut line) = self.line.take() else { return };
        line.client.handle_bytes(now, lost);
        while let Some(told) = line.client.poll_event() {
            if let Told::Message(message) = told {
                line.vanished(&message, scene);
            }
        }
        if !line.leaving {
            line.leave(scene);
        }
        for subscription in line.subscriptions.iter().chain(&line.ended) {
            scene.push(Event::Left(subscription.consumer));
        }
        let open = line.open.take();
        let unanswered = line.requests.into_values();
        for request in unanswered {
            match request {
                Request::Send(parcel) if parcel.sending.transaction.is_none() => self.resends.push_back(parcel),
                Request::Commit(open) => self.resends.extend(open.sends),
                Request::Send(_)
                | Request::Settle(_)
                | Request::Subscribe(_)
                | Request::Unsubscribe(_)
                | Request::Disconnect => {}
            }
        }
        self.resends.extend(open.into_iter().flat_map(|open| open.sends));
        self.resends.retain(|parcel| parcel.duplicate_id.is_some());
    }

    /// Does one thing, if there is something to do.
    pub fn act(&mut self, now: Now, scene: &mut Scene) -> bool {
        let Some(line) = &mut self.line else { return false };
        if !line.connected || line.over || line.leaving {
            return false;
        }
        let prng = &mut self.prng;
        if line.misbehave(prng, now, scene) {
            return true;
        }
        let waits = line.requests.len() >= UNANSWERED_MAX;
        if self.rests {
            return !waits && line.finish(prng, scene);
        }
        if waits && self.role != Role::Worker {
            return false;
        }
        if self.role == Role::Worker && (waits || prng.below(2) == 0) {
            // Its acknowledgements may be what its own sends wait for.
            return line.requests.len() < 2 * UNANSWERED_MAX && line.settle_something(prng, scene);
        }
        if prng.below(60) == 0 && line.open.is_none() {
            line.leaving = true;
            line.leave(scene);
            let receipt = line.request(Request::Disconnect, scene);
            line.client.disconnect(Some(&receipt));
            scene.operate("DISCONNECT");
            return true;
        }
        match self.role {
            Role::Producer | Role::Worker => {
                let parcel = match self.resends.pop_front() {
                    Some(parcel) => {
                        scene.count("resend");
                        parcel
                    }
                    None => new_parcel(prng, self.work, now, scene),
                };
                line.send(prng, parcel, scene);
                true
            }
            Role::Transactor => line.work_in_transaction(prng, self.work, now, &mut self.resends, scene),
            Role::Consumer if self.manner == Manner::Hoards => false,
            Role::Consumer | Role::Durable(_) => line.consume(prng, self.role, self.work, scene),
            Role::Browser => line.browse(prng, scene),
        }
    }
}

fn new_parcel(prng: &mut Prng, work: Work, now: Now, scene: &mut Scene) -> Parcel {
    let content = scene.content();
    let persistent = prng.below(100) < 88;
    let (destination, places) = match prng.below(20) {
        0..=3 if scene.has_durables() => (TOPIC.to_owned(), scene.takers(&content)),
        4 => (
            format!("/queue/{},/queue/{}", QUEUES[0], QUEUES[1]),
            vec![scene.queue(0), scene.queue(1)],
        ),
        _ => {
            let index = prng.index(QUEUES.len());
            (format!("/queue/{}", QUEUES[index]), vec![scene.queue(index)])
        }
    };
    let priority = if prng.below(10) < 7 { 4 } else { prng.below(10) as u8 };
    let expires = (work.expiry && prng.below(10) == 0).then(|| now.wall.0 + 20 + prng.below(3_000));
    let duplicate_id = (persistent && prng.below(3) == 0).then(|| format!("d-{}", content.body.0));
    scene.promise(content.body, persistent, priority);
    let sending = Sending {
        body: content.body,
        producer: Producer(0),
        places,
        persistent,
        priority,
        expires,
        transaction: None,
    };
    Parcel {
        sending,
        destination,
        duplicate_id,
    }
}

impl Line {
    /// Every consumer's end begins.
    fn leave(&mut self, scene: &mut Scene) {
        for subscription in &self.subscriptions {
            let places = subscription.place.map_or_else(|| scene.queues(), |place| vec![place]);
            scene.push(Event::Leaving {
                consumer: subscription.consumer,
                places,
            });
        }
    }

    /// A receipt to ask for.
    fn request(&mut self, request: Request, scene: &mut Scene) -> String {
        let number = scene.history.fresh();
        self.requests.insert(number, request);
        number.to_string()
    }

    fn send(&mut self, prng: &mut Prng, mut parcel: Parcel, scene: &mut Scene) {
        let content = scene.content_of(parcel.sending.body);
        parcel.sending.producer = self.producer;
        parcel.sending.transaction = self.open.as_ref().map(|open| open.transaction);
        let transaction = self.open.as_ref().map(|open| open.name.clone());
        let (priority, expires) = (
            parcel.sending.priority.to_string(),
            parcel.sending.expires.unwrap_or(0).to_string(),
        );
        let headers = [
            ("priority", priority.as_str()),
            ("expires", expires.as_str()),
            ("color", content.color),
        ];
        let Parcel {
            sending,
            destination,
            duplicate_id,
        } = parcel.clone();
        let in_transaction = sending.transaction.is_some();
        let persistent = sending.persistent;
        scene.push(Event::Sending(sending));
        scene.operate(if persistent {
            "SEND persistent"
        } else {
            "SEND non-persistent"
        });
        if let Some(open) = &mut self.open {
            open.sends.push(parcel.clone());
        }
        let asks = !in_transaction && prng.below(20) > 0;
        if !asks && !in_transaction {
            self.unasked.push((None, Event::Sent(parcel.sending.body)));
        }
        let receipt = asks.then(|| self.request(Request::Send(parcel), scene));
        self.client.send(
            &destination,
            &content.bytes,
            &SendOptions {
                persistent,
                transaction: transaction.as_deref(),
                duplicate_id: duplicate_id.as_deref(),
                receipt: receipt.as_deref(),
                headers: &headers,
                ..SendOptions::default()
            },
        );
    }

    fn consume(&mut self, prng: &mut Prng, role: Role, work: Work, scene: &mut Scene) -> bool {
        if role == Role::Consumer && prng.below(40) == 0 {
            let Some(subscription) = self.subscriptions.pop() else {
                return false;
            };
            scene.push(Event::Leaving {
                consumer: subscription.consumer,
                places: scene.queues(),
            });
            let receipt = self.request(Request::Unsubscribe(subscription.consumer), scene);
            self.client.unsubscribe(&subscription.id, Some(&receipt), &[]);
            scene.operate("UNSUBSCRIBE");
            self.ended.push(subscription);
            self.subscribe_to_queue(prng, role, work, scene);
            return true;
        }
        self.settle_something(prng, scene)
    }

    fn settle_something(&mut self, prng: &mut Prng, scene: &mut Scene) -> bool {
        let filled: Vec<usize> = (0..self.subscriptions.len())
            .filter(|index| !self.subscriptions[*index].held.is_empty())
            .collect();
        if filled.is_empty() {
            return false;
        }
        let index = filled[prng.index(filled.len())];
        let subscription = &mut self.subscriptions[index];
        let consumer = subscription.consumer;
        // Mostly the oldest: a delivery that is never acknowledged must not stop the work.
        let mut at = if prng.below(3) > 0 {
            0
        } else {
            prng.index(subscription.held.len())
        };
        if self.client.version() < Version::V1_2 {
            // Before 1.2 an ACK names the message: of two copies from two queues the older is meant.
            let body = subscription.held[at].body;
            at = subscription
                .held
                .iter()
                .position(|held| held.body == body)
                .unwrap_or(at);
        }
        // A rejection cannot be part of a transaction.
        let rejects = self.open.is_none() && prng.below(12) == 0;
        let is_alone = subscription.ack == Ack::ClientIndividual;
        let (token, settled): (AckToken, Vec<Held>) = match subscription.ack {
            Ack::Client if !rejects => {
                let token = subscription.held[at].token.clone();
                (token, subscription.held.drain(..=at).collect())
            }
            Ack::Client | Ack::ClientIndividual | Ack::Auto => {
                let held = subscription.held.remove(at);
                (held.token.clone(), vec![held])
            }
        };
        let outcome = if rejects { Outcome::Rejected } else { Outcome::Consumed };
        let settlement = Settlement(scene.history.fresh());
        let mut by_place: BTreeMap<Place, Vec<Body>> = BTreeMap::new();
        for held in &settled {
            by_place.entry(held.place).or_default().push(held.body);
        }
        let (transaction, name) = match &mut self.open {
            Some(open) => {
                open.settled.extend(settled.into_iter().map(|held| (index, held)));
                (Some(open.transaction), Some(open.name.clone()))
            }
            None => (None, None),
        };
        // A wildcard's cumulative ACK spans queues: a settlement for each, the first of which is confirmed; the others stay possible.
        let mut first = Some(settlement);
        for (place, bodies) in by_place {
            let settlement = first.take().unwrap_or_else(|| Settlement(scene.history.fresh()));
            scene.push(Event::Settling {
                settlement,
                place,
                bodies,
                outcome,
                transaction,
            });
        }
        scene.operate(match (outcome, transaction.is_some()) {
            (Outcome::Consumed, false) => "ACK",
            (Outcome::Consumed, true) => "ACK in a transaction",
            (Outcome::Rejected, _) => "NACK",
        });
        if transaction.is_none() && is_alone {
            self.mischief.settled(&token);
        }
        let asks = transaction.is_none() && prng.below(4) > 0;
        if !asks && transaction.is_none() {
            self.unasked.push((Some(consumer), Event::Settled(settlement)));
        }
        let receipt = asks.then(|| self.request(Request::Settle(settlement), scene));
        match outcome {
            Outcome::Consumed => self.client.ack(&token, name.as_deref(), receipt.as_deref()),
            Outcome::Rejected => self.client.nack(&token, name.as_deref(), receipt.as_deref()),
        }
        true
    }

    fn browse(&mut self, prng: &mut Prng, scene: &mut Scene) -> bool {
        if let Some(subscription) = self.subscriptions.pop() {
            if self.browsed {
                self.browsed = false;
                self.client.unsubscribe(&subscription.id, None, &[]);
                self.ended.push(subscription);
            } else {
                self.subscriptions.push(subscription);
            }
            return false;
        }
        let index = prng.index(QUEUES.len());
        let number = scene.history.fresh();
        let id = format!("b-{number}");
        let place = scene.queue(index);
        scene.push(Event::Browsing {
            browse: Browse(number),
            place,
        });
        scene.operate("browse");
        let options = SubscribeOptions {
            browser: true,
            ..SubscribeOptions::default()
        };
        self.client
            .subscribe(&id, &format!("/queue/{}", QUEUES[index]), &options);
        self.subscriptions.push(Subscription {
            id,
            consumer: Consumer(number),
            place: Some(place),
            ack: Ack::Auto,
            selective: false,
            browse: Some(Browse(number)),
            held: Vec::new(),
        });
        true
    }

    fn subscribe_to_queue(&mut self, prng: &mut Prng, role: Role, work: Work, scene: &mut Scene) {
        let ack = match role {
            Role::Consumer if work.auto => {
                weighted(prng, &[(1, Ack::Auto), (2, Ack::Client), (3, Ack::ClientIndividual)])
            }
            Role::Consumer => weighted(prng, &[(2, Ack::Client), (3, Ack::ClientIndividual)]),
            Role::Producer | Role::Transactor | Role::Durable(_) | Role::Browser | Role::Worker => {
                weighted(prng, &[(1, Ack::Client), (2, Ack::ClientIndividual)])
            }
        };
        let destination = match prng.below(8) {
            0 => "/queue/work.>".to_owned(),
            _ => format!("/queue/{}", QUEUES[prng.index(QUEUES.len())]),
        };
        let number = scene.history.fresh();
        let id = format!("s-{number}");
        let selective = prng.below(4) == 0;
        let selector = selective.then(|| format!("color = '{SELECTED}'"));
        let receipt = self.request(Request::Subscribe(None), scene);
        let prefetch = weighted(
            prng,
            &[(1, Some(0)), (3, Some(1)), (4, Some(5)), (4, Some(50)), (2, None)],
        );
        scene.operate("SUBSCRIBE");
        let options = SubscribeOptions {
            ack,
            selector: selector.as_deref(),
            prefetch,
            receipt: Some(&receipt),
            ..SubscribeOptions::default()
        };
        self.client.subscribe(&id, &destination, &options);
        self.subscriptions.push(Subscription {
            id,
            consumer: Consumer(number),
            place: None,
            ack,
            selective,
            browse: None,
            held: Vec::new(),
        });
    }

    fn subscribe_durably(&mut self, prng: &mut Prng, index: usize, scene: &mut Scene) {
        let durable = DURABLES[index];
        let number = scene.history.fresh();
        let id = format!("s-{number}");
        let ack = weighted(prng, &[(1, Ack::Client), (2, Ack::ClientIndividual)]);
        let selector = durable.selective.then(|| format!("color = '{SELECTED}'"));
        let receipt = self.request(Request::Subscribe(Some(index)), scene);
        scene.operate("SUBSCRIBE durably");
        let options = SubscribeOptions {
            ack,
            selector: selector.as_deref(),
            durable: Some(durable.name),
            receipt: Some(&receipt),
            prefetch: weighted(prng, &[(1, Some(1)), (1, Some(10)), (1, None)]),
            ..SubscribeOptions::default()
        };
        self.client.subscribe(&id, durable.destination, &options);
        self.subscriptions.push(Subscription {
            id,
            consumer: Consumer(number),
            place: Some(scene.durable(index)),
            ack,
            selective: durable.selective,
            browse: None,
            held: Vec::new(),
        });
    }
}

/// What is wrong with a delivery by itself.
pub(crate) fn flaw_of(
    message: &Message,
    content: &Content,
    promised: Option<(bool, u8)>,
    selective: bool,
) -> Option<&'static str> {
    let priority = message
        .header("priority")
        .and_then(|priority| priority.parse::<u8>().ok());
    let persistent = message.header("persistent") == Some("true");
    if **message.body() != *content.bytes {
        Some("with another body")
    } else if message.header("color") != Some(content.color) {
        Some("with another property")
    } else if promised.is_some_and(|promised| promised != (persistent, priority.unwrap_or(u8::MAX))) {
        Some("with another priority or persistence")
    } else if selective && !content.is_selected() {
        Some("although the selector does not match")
    } else {
        None
    }
}

pub(crate) fn crc32_of(text: &str) -> u32 {
    crc32fast::hash(text.as_bytes())
}
