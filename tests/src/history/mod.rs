//! What clients did and saw, and the judgement over it.
//!
//! Owns: [`History`], to which whoever drives clients appends [`Event`]s in the order in which they happened to the clients, and [`judge`], which says what in it breaks a promise
//! of docs/guarantees.md. It knows nothing of the broker's code: the simulation and the real processes are judged by the same rules.
//!
//! Invariants: an event is appended when its client did or saw it; what a dead connection still had under way is appended before the death of the broker, or never. The history ends with
//! [`Event::Draining`] and everything that waited: queues, durable subscriptions, then the dead-letter queue. Deliberately absent: any tolerance that is not named in [`Tolerance`].
//! Tests: `tests.rs` here makes one bad history for each rule.

mod judge;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

pub use judge::{Rule, Tolerance, Violation, judge};

/// A message, by the number that its body carries. A resend under a duplicate-id has the number of the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Body(pub u64);

/// A queue or a durable subscription: something in which messages wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(pub u32);

/// One connection's life as a producer: within it the order of sends is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Producer(pub u32);

/// One subscription on one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Consumer(pub u32);

/// One transaction on one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Transaction(pub u32);

/// One ACK or NACK frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Settlement(pub u32);

/// One browser's walk through a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Browse(pub u32);

/// One order to empty a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Purge(pub u32);

/// One order to move messages, all its pages together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Movement(pub u32);

/// Where an operator moves messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// All of them there.
    Place(Place),
    /// Each to where it was before it was moved or became a dead letter.
    Origin,
}

/// A SEND that left the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sending {
    /// Which message.
    pub body: Body,
    /// By whom.
    pub producer: Producer,
    /// Every place that must take it once it is confirmed.
    pub places: Vec<Place>,
    /// Whether it asked to survive the process.
    pub persistent: bool,
    /// 0 to 9.
    pub priority: u8,
    /// From when on it is not to be delivered, milliseconds since 1970.
    pub expires: Option<u64>,
    /// In which transaction.
    pub transaction: Option<Transaction>,
}

/// What a client said of deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// ACK, or delivered in mode `auto`.
    Consumed,
    /// NACK.
    Rejected,
}

/// A delivery that reached a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// To whom.
    pub consumer: Consumer,
    /// From where.
    pub place: Place,
    /// Which message.
    pub body: Body,
    /// Marked as maybe delivered before.
    pub redelivered: bool,
    /// When, milliseconds since 1970.
    pub at: u64,
    /// A hash of its `message-id`.
    pub id: u64,
    /// Another broker led already when it came: it was handed out by one that had not noticed.
    pub superseded: bool,
    /// What was wrong with it by itself: altered bytes, a selector that does not match.
    pub flaw: Option<&'static str>,
}

/// One thing that happened to a client, or that every client could notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A broker leads.
    Leads {
        /// Its epoch.
        epoch: u32,
    },
    /// The broker died.
    Crashed,
    /// The broker stopped as asked.
    Stopped,
    /// A SEND left the client.
    Sending(Sending),
    /// Its receipt came; for a send in a transaction this says nothing.
    Sent(Body),
    /// It was refused: nothing of it was carried out.
    Refused(Body),
    /// A delivery came.
    Delivered(Delivered),
    /// A delivery in mode `auto` had left the broker whole and was lost on the way: the mode's risk.
    Vanished {
        /// From where.
        place: Place,
        /// Which message.
        body: Body,
    },
    /// An ACK or NACK left the client; also: a delivery in mode `auto` came.
    Settling {
        /// Its name.
        settlement: Settlement,
        /// Where the deliveries came from.
        place: Place,
        /// Which messages.
        bodies: Vec<Body>,
        /// What became of them.
        outcome: Outcome,
        /// In which transaction.
        transaction: Option<Transaction>,
    },
    /// Its receipt came; for one in a transaction this says nothing.
    Settled(Settlement),
    /// A consumer's end began: UNSUBSCRIBE or DISCONNECT left the client, or the connection broke. What it had goes back, and may be overtaken.
    Leaving {
        /// Who.
        consumer: Consumer,
        /// From where.
        places: Vec<Place>,
    },
    /// Its end is confirmed.
    Left(Consumer),
    /// A COMMIT left the client.
    Committing(Transaction),
    /// Its receipt came.
    Committed(Transaction),
    /// An ABORT left the client, or the broker refused the COMMIT.
    RolledBack(Transaction),
    /// A browser's SUBSCRIBE left the client.
    Browsing {
        /// Its name.
        browse: Browse,
        /// Through what.
        place: Place,
    },
    /// It saw a message.
    Browsed {
        /// Which browser.
        browse: Browse,
        /// Which message.
        body: Body,
    },
    /// It saw the end.
    BrowseEnded(Browse),
    /// An operator ordered a queue to be emptied: what waits in it at this moment goes, what is sent from here on stays.
    Purging {
        /// Its name.
        purge: Purge,
        /// Which queue.
        place: Place,
    },
    /// The order was answered: what it removed stays away.
    Purged(Purge),
    /// An operator ordered messages to be moved: what waits in a queue at this moment, and nothing that arrives later.
    Moving {
        /// Its name.
        movement: Movement,
        /// The queue.
        from: Place,
        /// Where they go.
        to: Target,
        /// The messages that its selector matches; `None`: it has none.
        only: Option<BTreeSet<Body>>,
    },
    /// The order was answered to its end: what it took is where it was to go, and stays away from where it was.
    Moved {
        /// Which.
        movement: Movement,
        /// Whether some of what waited there may have been left.
        left: bool,
    },
    /// The faultless end begins: what is delivered from here on had waited.
    Draining,
}

/// Everything that happened, in order.
#[derive(Clone, Debug, Default)]
pub struct History {
    places: Vec<String>,
    subscriptions: Vec<Place>,
    dead_letters: Option<Place>,
    events: Vec<Event>,
    next: u32,
}

impl History {
    /// A place with this name, for reports.
    pub fn place(&mut self, name: &str) -> Place {
        self.places.push(name.to_owned());
        Place(self.places.len() as u32 - 1)
    }

    /// A durable subscription. What several of them give up goes to the dead-letter queue once, as in ActiveMQ.
    pub fn subscription_place(&mut self, name: &str) -> Place {
        let place = self.place(name);
        self.subscriptions.push(place);
        place
    }

    /// Whether a place is a durable subscription.
    pub fn is_subscription(&self, place: Place) -> bool {
        self.subscriptions.contains(&place)
    }

    /// The dead-letter queue, of which there is one.
    pub fn dead_letter_place(&mut self, name: &str) -> Place {
        let place = self.place(name);
        self.dead_letters = Some(place);
        place
    }

    /// A number that no other thing of this history has.
    pub fn fresh(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    /// Appends what happened.
    pub fn push(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Everything, in order.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// A place's name.
    pub fn name(&self, place: Place) -> &str {
        &self.places[place.0 as usize]
    }

    /// The dead-letter queue's place.
    pub fn dead_letters(&self) -> Option<Place> {
        self.dead_letters
    }

    /// What happened to one message, a line for each event with its number: for reports.
    pub fn story(&self, body: Body) -> String {
        let mut transactions = Vec::new();
        let mut settlements = Vec::new();
        let mut movements = Vec::new();
        let mut lines = String::new();
        for (index, event) in self.events.iter().enumerate() {
            let concerns = match event {
                Event::Sending(sending) => {
                    if sending.body == body {
                        transactions.extend(sending.transaction);
                    }
                    sending.body == body
                }
                Event::Sent(of) | Event::Refused(of) => *of == body,
                Event::Delivered(delivered) => delivered.body == body,
                Event::Vanished { body: of, .. } | Event::Browsed { body: of, .. } => *of == body,
                Event::Settling {
                    settlement,
                    bodies,
                    transaction,
                    ..
                } => {
                    if bodies.contains(&body) {
                        settlements.push(*settlement);
                        transactions.extend(*transaction);
                    }
                    bodies.contains(&body)
                }
                Event::Settled(of) => settlements.contains(of),
                Event::Committing(of) | Event::Committed(of) | Event::RolledBack(of) => transactions.contains(of),
                Event::Moving { movement, only, .. } => {
                    let concerned = only.as_ref().is_none_or(|only| only.contains(&body));
                    movements.extend(concerned.then_some(*movement));
                    concerned
                }
                Event::Moved { movement, .. } => movements.contains(movement),
                Event::Leads { .. }
                | Event::Crashed
                | Event::Stopped
                | Event::Draining
                | Event::Purging { .. }
                | Event::Purged(_) => true,
                Event::Browsing { .. } | Event::BrowseEnded(_) | Event::Leaving { .. } | Event::Left(_) => false,
            };
            if concerns {
                lines.push_str(&format!("  {index:>5} {event:?}\n"));
            }
        }
        lines
    }
}
