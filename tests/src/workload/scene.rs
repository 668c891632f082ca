//! What all clients of a run share.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use client::stomp::Message;
use simulated::{Coverage, Prng};

use super::Content;
use super::content::SELECTED;
use crate::history::{Body, Event, History, Place};

/// The queues of the workload.
pub const QUEUES: [&str; 3] = ["work.a", "work.b", "work.c"];

/// The topic of the workload.
pub(crate) const TOPIC: &str = "/topic/news.today";

/// The dead-letter queue.
pub(crate) const DEAD_LETTERS: &str = "/queue/ActiveMQ.DLQ";

/// A durable subscription of the workload.
#[derive(Clone, Copy, Debug)]
pub struct DurableSubscription {
    /// Its owner.
    pub client_id: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What it subscribes to.
    pub destination: &'static str,
    /// Whether it wants only selected messages.
    pub selective: bool,
}

/// The durable subscriptions of the workload.
pub const DURABLES: [DurableSubscription; 2] = [
    DurableSubscription {
        client_id: "archive",
        name: "all",
        destination: TOPIC,
        selective: false,
    },
    DurableSubscription {
        client_id: "alarm",
        name: "red",
        destination: "/topic/news.>",
        selective: true,
    },
];

/// What a delivery is acknowledged by: worth nothing on another connection.
#[derive(Clone, Debug)]
pub(crate) struct Overheard {
    /// The `ack` header, in 1.2.
    pub(crate) ack_id: Option<String>,
    pub(crate) message_id: String,
    pub(crate) subscription: String,
}

/// Deliveries that are remembered for others to use.
const OVERHEARD_MAX: usize = 8;

/// The history, the names in it, and the numbers that are given out.
#[derive(Clone, Debug)]
pub struct Scene {
    /// What happened so far.
    pub history: History,
    /// What clients did, by name.
    pub coverage: Coverage,
    /// About how large the rare large messages are, bytes.
    pub large: usize,
    /// Frames that clients sent to work, CONNECT and the end aside.
    pub operations: u64,
    /// Whoever is being listened to is not the newest leader.
    pub superseded: bool,
    /// What is being read may have been sent as early as this, milliseconds since 1970, because its reader is late; `None`: just now.
    pub as_of: Option<u64>,
    /// Everything that ought not to be said by a broker that is well.
    pub complaints: Vec<String>,
    /// Every destination of the workload exists: from then on others may use up their number.
    pub places_exist: bool,
    /// Deliveries of anybody whose names others may use: the last few, if anybody does; see [`Scene::remember`].
    pub(crate) overheard: Option<VecDeque<Overheard>>,
    queues: Vec<Place>,
    durables: Vec<Place>,
    dead_letters: Place,
    subscribed: Vec<bool>,
    next_body: u64,
    /// What was promised of each message, to be held against its deliveries.
    promised: BTreeMap<Body, (bool, u8)>,
}

impl Scene {
    /// A scene in which nothing has happened.
    pub fn new(large: usize) -> Scene {
        Scene::beginning_at(large, 0)
    }

    /// A scene behind others on the same broker, which had so many messages: duplicate-ids are remembered.
    pub fn beginning_at(large: usize, bodies: u64) -> Scene {
        let mut history = History::default();
        let queues = QUEUES.iter().map(|name| history.place(name)).collect();
        let durables = DURABLES
            .iter()
            .map(|durable| history.subscription_place(&format!("{}/{}", durable.client_id, durable.name)))
            .collect();
        let dead_letters = history.dead_letter_place("ActiveMQ.DLQ");
        Scene {
            history,
            coverage: Coverage::default(),
            large,
            operations: 0,
            superseded: false,
            as_of: None,
            complaints: Vec::new(),
            places_exist: false,
            overheard: None,
            queues,
            durables,
            dead_letters,
            subscribed: vec![false; DURABLES.len()],
            next_body: bodies,
            promised: BTreeMap::new(),
        }
    }

    /// Every place, with what a drain subscribes to, the dead-letter queue last.
    pub fn places(&self) -> Vec<(Place, String, Option<DurableSubscription>)> {
        let queues = self
            .queues
            .iter()
            .zip(QUEUES)
            .map(|(place, name)| (*place, format!("/queue/{name}"), None));
        let durables = self
            .durables
            .iter()
            .zip(DURABLES)
            .map(|(place, durable)| (*place, durable.destination.to_owned(), Some(durable)));
        queues
            .chain(durables)
            .chain([(self.dead_letters, DEAD_LETTERS.to_owned(), None)])
            .collect()
    }

    /// Every queue's place.
    pub(crate) fn queues(&self) -> Vec<Place> {
        self.queues.clone()
    }

    pub(crate) fn queue(&self, index: usize) -> Place {
        self.queues[index]
    }

    pub(crate) fn durable(&self, index: usize) -> Place {
        self.durables[index]
    }

    /// The queue that a delivery's destination names.
    pub(crate) fn place_of(&self, destination: &str) -> Option<Place> {
        if destination == DEAD_LETTERS {
            return Some(self.dead_letters);
        }
        let name = destination.strip_prefix("/queue/")?;
        QUEUES
            .iter()
            .position(|queue| *queue == name)
            .map(|index| self.queues[index])
    }

    /// A durable subscription's first SUBSCRIBE was confirmed.
    pub(crate) fn subscribed(&mut self, index: usize) {
        self.subscribed[index] = true;
    }

    /// Whether every durable subscription exists for certain: from then on a topic's message belongs to each that matches.
    pub fn has_durables(&self) -> bool {
        self.subscribed.iter().all(|subscribed| *subscribed)
    }

    /// The durable subscriptions that a message belongs to.
    pub(crate) fn takers(&self, content: &Content) -> Vec<Place> {
        DURABLES
            .iter()
            .zip(&self.durables)
            .filter(|(durable, _)| !durable.selective || content.is_selected())
            .map(|(_, place)| *place)
            .collect()
    }

    /// The number of the newest message.
    pub fn bodies(&self) -> u64 {
        self.next_body
    }

    /// A new message.
    pub(crate) fn content(&mut self) -> Content {
        self.next_body += 1;
        Content::of(Body(self.next_body), self.large)
    }

    /// The message of a number again.
    pub(crate) fn content_of(&self, body: Body) -> Content {
        Content::of(body, self.large)
    }

    /// Every message that the workload's selector matches.
    pub(crate) fn selected(&self) -> BTreeSet<Body> {
        let bodies = (1..=self.next_body).map(Body);
        bodies.filter(|body| Content::color_of(*body) == SELECTED).collect()
    }

    /// The place of the dead-letter queue.
    pub(crate) fn dead_letters(&self) -> Place {
        self.dead_letters
    }

    pub(crate) fn promise(&mut self, body: Body, persistent: bool, priority: u8) {
        self.promised.insert(body, (persistent, priority));
    }

    pub(crate) fn promised(&self, body: Body) -> Option<(bool, u8)> {
        self.promised.get(&body).copied()
    }

    /// From now on deliveries are remembered, for those who acknowledge what is not theirs.
    pub fn let_overhear(&mut self) {
        self.overheard.get_or_insert_default();
    }

    /// A delivery came to somebody.
    pub(crate) fn remember(&mut self, message: &Message) {
        let Some(overheard) = &mut self.overheard else { return };
        if overheard.len() == OVERHEARD_MAX {
            overheard.pop_front();
        }
        overheard.push_back(Overheard {
            ack_id: message.header("ack").map(str::to_owned),
            message_id: message.id().to_owned(),
            subscription: message.subscription().to_owned(),
        });
    }

    pub(crate) fn push(&mut self, event: Event) {
        self.history.push(event);
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        self.coverage.count(what);
    }

    /// Counts an operation of a client.
    pub(crate) fn operate(&mut self, what: &'static str) {
        self.operations += 1;
        self.coverage.count(what);
    }

    pub(crate) fn complain(&mut self, what: String) {
        self.complaints.push(what);
    }
}

/// One of several, by weight.
pub(crate) fn weighted<T: Copy>(prng: &mut Prng, choices: &[(u64, T)]) -> T {
    let total = choices.iter().map(|(weight, _)| weight).sum();
    let mut at = prng.below(total);
    for (weight, choice) in choices {
        if at < *weight {
            return *choice;
        }
        at -= weight;
    }
    unreachable!("the weights sum up to more than what was drawn")
}
