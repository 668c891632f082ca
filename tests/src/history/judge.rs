//! The rules, each judged over a whole history.

mod conclusion;
mod moves;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{
    Body, Browse, Consumer, Delivered, Event, History, Movement, Outcome, Place, Producer, Purge, Sending, Settlement,
    Target, Transaction,
};

/// A promise that a history can break; named in docs/guarantees.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A persistent message whose send or commit was confirmed is delivered, consumed, or in the dead-letter queue.
    Lost,
    /// What was acknowledged, and confirmed, never comes back.
    CameBack,
    /// A message that was delivered before is marked when it is delivered again.
    UnmarkedDuplicate,
    /// A send is stored once in each place, a resend under a duplicate-id included.
    StoredTwice,
    /// First deliveries of one priority keep the order in which the messages were sent.
    Order,
    /// What waits is delivered by falling priority.
    Priority,
    /// A transaction takes place wholly or not at all.
    HalfTransaction,
    /// What was never sent, was refused or rolled back is never delivered.
    Phantom,
    /// An expired message is never delivered afterwards.
    Expired,
    /// A rejected or expired message is in the dead-letter queue exactly once.
    DeadLetter,
    /// A message is delivered as it was sent, to those whose selector matches.
    Altered,
    /// Epochs only rise, and an id names one message.
    Identity,
    /// A browser sees everything that waits from its beginning to its end.
    Browser,
    /// What an operator moves is in exactly one place, and no longer where it was once that is answered.
    Moved,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// The message that it was broken for, if it is one message's.
    pub body: Option<Body>,
    /// How.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.text)
    }
}

/// What the faults that were injected excuse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tolerance {
    /// How long a delivery may have been under way from the decision to the client, milliseconds; an expiry inside that time is not the broker's.
    pub under_way: u64,
    /// Messages that the broker set aside as damaged and said so.
    pub set_aside: usize,
}

/// Judges a history. What it returns is empty, or names what broke.
pub fn judge(history: &History, tolerance: Tolerance) -> Vec<Violation> {
    let mut judge = Judge {
        history,
        tolerance,
        messages: BTreeMap::new(),
        waiting: BTreeMap::new(),
        settlements: BTreeMap::new(),
        transactions: BTreeMap::new(),
        consumers: BTreeMap::new(),
        producers: BTreeMap::new(),
        browses: BTreeMap::new(),
        ids: BTreeMap::new(),
        drained: BTreeMap::new(),
        purges: BTreeMap::new(),
        movements: BTreeMap::new(),
        leaves: Vec::new(),
        overtaken: Vec::new(),
        epoch: 0,
        draining: false,
        violations: Vec::new(),
    };
    for (index, event) in history.events().iter().enumerate() {
        judge.see(index, event);
    }
    judge.conclude();
    judge.violations
}

/// A moment: the number of an event.
type Moment = usize;

struct Judge<'a> {
    history: &'a History,
    tolerance: Tolerance,
    messages: BTreeMap<Body, Message>,
    waiting: BTreeMap<(Body, Place), Waiting>,
    settlements: BTreeMap<Settlement, Settled>,
    transactions: BTreeMap<Transaction, Unit>,
    /// By the order that brought the messages, if one did.
    consumers: BTreeMap<(Consumer, Place, u8, Option<Movement>), Progress>,
    producers: BTreeMap<Producer, u64>,
    browses: BTreeMap<Browse, Walk>,
    ids: BTreeMap<u64, Body>,
    /// The lowest priority that each drained consumer has come to.
    drained: BTreeMap<(Consumer, Place), u8>,
    purges: BTreeMap<Purge, Emptying>,
    movements: BTreeMap<Movement, Moving>,
    leaves: Vec<Leave>,
    overtaken: Vec<Overtaken>,
    epoch: u32,
    draining: bool,
    violations: Vec<Violation>,
}

/// What is known of a message.
struct Message {
    sending: Sending,
    attempts: u32,
    /// When it can have been stored at the earliest; for a send in a transaction: when its COMMIT left.
    begun: Option<Moment>,
    confirmed: Option<Moment>,
    /// Its place in the order of its producer.
    position: u64,
    refused: bool,
    rolled_back: bool,
    seen: bool,
    dead_letters: u32,
    /// An operator may have moved it.
    moved: bool,
    /// An operator may have moved it out of the dead-letter queue.
    retried: bool,
    /// It may have lost its expiration on such a way.
    outlives: bool,
    /// When a client last rejected it.
    rejected: Moment,
}

/// What happened to a message in one place.
#[derive(Default)]
struct Waiting {
    deliveries: u32,
    first_delivery: Option<Moment>,
    last_delivery: Option<Moment>,
    drained: u32,
    drained_unmarked: bool,
    consumed: Certainty,
    rejected: Certainty,
    /// An operator ordered it away.
    purged: Certainty,
    /// Deliveries without a mark.
    unmarked: u32,
    /// Acknowledgements and rejections, each counted once: those that may have taken effect, and those that have.
    consumptions: Count,
    rejections: Count,
    /// How often an operator may have moved it here, by which order lately, and when that was given.
    arrivals: u32,
    brought_by: Option<Movement>,
    brought: Moment,
    /// An operator moved it away, with answer, and it cannot have come again.
    left: bool,
}

#[derive(Clone, Copy, Default)]
struct Count {
    possible: u32,
    certain: u32,
}

/// An order to empty a queue.
#[derive(Clone)]
struct Emptying {
    place: Place,
    from: Moment,
    /// What goes for certain.
    bodies: Vec<Body>,
}

/// An order to move messages.
struct Moving {
    place: Place,
    from: Moment,
    /// What it may take, with where that may arrive.
    takes: BTreeSet<(Body, Place)>,
    /// What is certainly no longer where it was, if the answer says that nothing was left.
    certain: Vec<Body>,
    /// It may still take something.
    open: bool,
}

/// Whether something took effect.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Certainty {
    #[default]
    No,
    Perhaps,
    Yes,
}

struct Settled {
    place: Place,
    bodies: Vec<Body>,
    outcome: Outcome,
    transaction: Option<Transaction>,
    /// What of it is in the counts of its messages.
    counted: Certainty,
}

#[derive(Default)]
struct Unit {
    sends: Vec<Body>,
    settlements: Vec<Settlement>,
    committing: Option<Moment>,
    committed: bool,
    rolled_back: bool,
}

/// How far the first deliveries of one priority to one consumer have come.
#[derive(Default)]
struct Progress {
    begun: Option<(Moment, Body)>,
    positions: BTreeMap<Producer, (u64, Body)>,
}

/// A consumer's end.
struct Leave {
    consumer: Consumer,
    places: Vec<Place>,
    from: Moment,
    until: Option<Moment>,
}

/// A first delivery behind one that should have come later.
struct Overtaken {
    body: Body,
    place: Place,
    begun: Moment,
    at: Moment,
    text: String,
}

struct Walk {
    place: Place,
    from: Moment,
    until: Option<Moment>,
    bodies: Vec<Body>,
}

impl Judge<'_> {
    fn break_rule(&mut self, rule: Rule, body: Option<Body>, text: String) {
        self.violations.push(Violation { rule, body, text });
    }

    fn name(&self, place: Place) -> String {
        self.history.name(place).to_owned()
    }

    fn see(&mut self, now: Moment, event: &Event) {
        match event {
            Event::Leads { epoch } => {
                if *epoch <= self.epoch {
                    self.break_rule(
                        Rule::Identity,
                        None,
                        format!("epoch {epoch} leads after epoch {}", self.epoch),
                    );
                }
                self.epoch = *epoch;
                // Nothing of the leader before can be added any more.
                for moving in self.movements.values_mut() {
                    moving.open = false;
                }
            }
            Event::Crashed | Event::Stopped => {}
            Event::Leaving { consumer, places } => {
                self.leaves.push(Leave {
                    consumer: *consumer,
                    places: places.clone(),
                    from: now,
                    until: None,
                });
            }
            Event::Left(consumer) => {
                for leave in self.leaves.iter_mut().filter(|leave| leave.consumer == *consumer) {
                    leave.until.get_or_insert(now);
                }
            }
            Event::Sending(sending) => self.sending(now, sending),
            Event::Sent(body) => {
                if let Some(message) = self.messages.get_mut(body)
                    && message.sending.transaction.is_none()
                {
                    message.confirmed.get_or_insert(now);
                }
            }
            Event::Refused(body) => {
                if let Some(message) = self.messages.get_mut(body) {
                    message.refused = true;
                }
            }
            Event::Delivered(delivered) => self.delivered(now, delivered),
            Event::Vanished { place, body } => {
                let waiting = self.waiting.entry((*body, *place)).or_default();
                waiting.consumed = Certainty::Perhaps;
                waiting.consumptions.possible += 1;
                if let Some(message) = self.messages.get_mut(body) {
                    message.seen = true;
                }
            }
            Event::Settling {
                settlement,
                place,
                bodies,
                outcome,
                transaction,
            } => {
                let settled = Settled {
                    place: *place,
                    bodies: bodies.clone(),
                    outcome: *outcome,
                    transaction: *transaction,
                    counted: Certainty::No,
                };
                if *outcome == Outcome::Rejected {
                    self.rejecting(now, bodies);
                }
                self.settlements.insert(*settlement, settled);
                match transaction {
                    None => self.settle(*settlement, Certainty::Perhaps),
                    Some(transaction) => {
                        self.transactions
                            .entry(*transaction)
                            .or_default()
                            .settlements
                            .push(*settlement);
                    }
                }
            }
            Event::Settled(settlement) => {
                if self
                    .settlements
                    .get(settlement)
                    .is_some_and(|settled| settled.transaction.is_none())
                {
                    self.settle(*settlement, Certainty::Yes);
                }
            }
            Event::Committing(transaction) => {
                let unit = self.transactions.entry(*transaction).or_default();
                unit.committing = Some(now);
                for body in unit.sends.clone() {
                    let position = self.next_position(body);
                    let message = self.messages.get_mut(&body).expect("a transaction's sends were seen");
                    message.begun = Some(now);
                    message.position = position;
                }
            }
            Event::Committed(transaction) => {
                let unit = self.transactions.entry(*transaction).or_default();
                unit.committed = true;
                let (sends, settlements) = (unit.sends.clone(), unit.settlements.clone());
                for body in sends {
                    let message = self.messages.get_mut(&body).expect("a transaction's sends were seen");
                    message.confirmed.get_or_insert(now);
                }
                for settlement in settlements {
                    self.settle(settlement, Certainty::Yes);
                }
            }
            Event::RolledBack(transaction) => {
                let unit = self.transactions.entry(*transaction).or_default();
                unit.rolled_back = true;
                for body in unit.sends.clone() {
                    let message = self.messages.get_mut(&body).expect("a transaction's sends were seen");
                    message.rolled_back = message.attempts == 1;
                }
            }
            Event::Browsing { browse, place } => {
                self.browses.insert(
                    *browse,
                    Walk {
                        place: *place,
                        from: now,
                        until: None,
                        bodies: Vec::new(),
                    },
                );
            }
            Event::Browsed { browse, body } => {
                if !self.messages.contains_key(body) {
                    self.break_rule(
                        Rule::Phantom,
                        Some(*body),
                        format!("message {} was browsed and never sent", body.0),
                    );
                }
                if let Some(walk) = self.browses.get_mut(browse) {
                    walk.bodies.push(*body);
                }
            }
            Event::BrowseEnded(browse) => {
                if let Some(walk) = self.browses.get_mut(browse) {
                    walk.until = Some(now);
                }
            }
            Event::Purging { purge, place } => self.purging(now, *purge, *place),
            Event::Purged(purge) => {
                if let Some(Emptying { place, from, bodies }) = self.purges.get(purge).cloned() {
                    for body in bodies {
                        let waiting = self.waiting.entry((body, place)).or_default();
                        if waiting.brought <= from {
                            waiting.purged = Certainty::Yes;
                        }
                    }
                }
            }
            Event::Moving {
                movement,
                from,
                to,
                only,
            } => self.moving(now, *movement, *from, *to, only.as_ref()),
            Event::Moved { movement, left } => self.moved(*movement, *left),
            Event::Draining => self.draining = true,
        }
    }

    /// Everything that may be in the queue may go; what was confirmed before goes for certain, once the order is answered.
    fn purging(&mut self, now: Moment, purge: Purge, place: Place) {
        let mut certain = Vec::new();
        for (body, message) in &self.messages {
            if self.copies_in(*body, message, place) == 0 {
                continue;
            }
            if message.confirmed.is_some() && !self.is_on_its_way_to(*body, place) {
                certain.push(*body);
            }
            let waiting = self.waiting.entry((*body, place)).or_default();
            waiting.purged = waiting.purged.max(Certainty::Perhaps);
        }
        let emptying = Emptying {
            place,
            from: now,
            bodies: certain,
        };
        self.purges.insert(purge, emptying);
    }

    fn next_position(&mut self, body: Body) -> u64 {
        let producer = self.messages[&body].sending.producer;
        let position = self.producers.entry(producer).or_default();
        *position += 1;
        *position
    }

    fn sending(&mut self, now: Moment, sending: &Sending) {
        let message = self.messages.entry(sending.body).or_insert_with(|| Message {
            sending: sending.clone(),
            attempts: 0,
            begun: None,
            confirmed: None,
            position: 0,
            refused: false,
            rolled_back: false,
            seen: false,
            dead_letters: 0,
            moved: false,
            retried: false,
            outlives: false,
            rejected: 0,
        });
        message.attempts += 1;
        message.refused = false;
        message.rolled_back = false;
        // A resend may be in another transaction, or in none.
        message.sending.transaction = sending.transaction;
        match sending.transaction {
            None => {
                message.begun.get_or_insert(now);
                let position = self.next_position(sending.body);
                self.messages.get_mut(&sending.body).expect("just inserted").position = position;
            }
            Some(transaction) => self
                .transactions
                .entry(transaction)
                .or_default()
                .sends
                .push(sending.body),
        }
    }

    fn settle(&mut self, settlement: Settlement, certainty: Certainty) {
        let Some(settled) = self.settlements.get_mut(&settlement) else {
            return;
        };
        let before = settled.counted;
        // What a drain takes is counted as what it found.
        let counted = if self.draining { before } else { before.max(certainty) };
        settled.counted = counted;
        for body in &settled.bodies {
            let waiting = self.waiting.entry((*body, settled.place)).or_default();
            let (outcome, count) = match settled.outcome {
                Outcome::Consumed => (&mut waiting.consumed, &mut waiting.consumptions),
                Outcome::Rejected => (&mut waiting.rejected, &mut waiting.rejections),
            };
            *outcome = certainty.max(*outcome);
            count.possible += u32::from(before == Certainty::No && counted > Certainty::No);
            count.certain += u32::from(before < Certainty::Yes && counted == Certainty::Yes);
        }
    }

    fn delivered(&mut self, now: Moment, delivered: &Delivered) {
        let Delivered {
            consumer,
            place,
            body,
            redelivered,
            at,
            id,
            superseded,
            flaw,
        } = *delivered;
        let (draining, dead_letter) = (self.draining, self.history.dead_letters() == Some(place));
        let name = self.name(place);
        let Some(message) = self.messages.get_mut(&body) else {
            return self.break_rule(
                Rule::Phantom,
                Some(body),
                format!("message {} was delivered from {name} and never sent", body.0),
            );
        };
        message.seen = true;
        let sending = message.sending.clone();
        let (alone, begun, confirmed, position) = (
            message.attempts == 1,
            message.begun,
            message.confirmed,
            message.position,
        );
        let (refused, rolled_back) = (message.refused && alone, message.rolled_back);
        if dead_letter && draining {
            message.dead_letters += 1;
        }
        if let Some(flaw) = flaw {
            self.break_rule(
                Rule::Altered,
                Some(body),
                format!("message {} came from {name} {flaw}", body.0),
            );
        }
        if refused || rolled_back || (alone && begun.is_none()) {
            let how = if refused {
                "was refused"
            } else if rolled_back {
                "was rolled back"
            } else {
                "is of a transaction that was not committed"
            };
            self.break_rule(
                Rule::Phantom,
                Some(body),
                format!("message {} came from {name} and {how}", body.0),
            );
        }
        let arrivals = self.waiting.get(&(body, place)).map_or(0, |waiting| waiting.arrivals);
        if draining && self.waiting.get(&(body, place)).is_some_and(|waiting| waiting.left) {
            self.break_rule(
                Rule::Moved,
                Some(body),
                format!(
                    "message {} was moved away from {name}, with answer, and waits there",
                    body.0
                ),
            );
        }
        if dead_letter {
            return;
        }
        let first = *self.ids.entry(id).or_insert(body);
        if first != body {
            self.break_rule(
                Rule::Identity,
                Some(body),
                format!("messages {} and {} have the same message-id", first.0, body.0),
            );
        }
        let is_home = sending.places.contains(&place);
        if !is_home && arrivals == 0 {
            self.break_rule(
                Rule::Phantom,
                Some(body),
                format!(
                    "message {} came from {name}, where it was neither sent nor moved",
                    body.0
                ),
            );
        }
        if superseded {
            // It is in what the successor kept, and no more than that is promised: it may have been settled there, and go out there too.
            self.waiting.entry((body, place)).or_default().deliveries += 1;
            return;
        }
        let (outlives, is_moved) = (self.messages[&body].outlives, self.messages[&body].moved);
        if sending
            .expires
            .is_some_and(|expires| !outlives && at >= expires + self.tolerance.under_way)
        {
            self.break_rule(
                Rule::Expired,
                Some(body),
                format!(
                    "message {} expired at {:?} and came from {name} at {at}",
                    body.0, sending.expires
                ),
            );
        }

        let waiting = self.waiting.entry((body, place)).or_default();
        waiting.deliveries += 1;
        waiting.unmarked += u32::from(!redelivered);
        waiting.first_delivery.get_or_insert(now);
        // What was on its way to a consumer that leaves may come behind what somebody else got since.
        let leaving = self.leaves.iter().any(|leave| leave.consumer == consumer);
        if !leaving {
            waiting.last_delivery = Some(now);
        }
        let (deliveries, purged) = (waiting.deliveries, waiting.purged);
        // Each time that it may have come here it is as if new.
        let lives = u32::from(is_home) + arrivals;
        let (is_gone, is_repeated) = if arrivals == 0 {
            let gone = waiting.consumed.max(waiting.rejected);
            (gone == Certainty::Yes, deliveries > 1 && !redelivered)
        } else {
            let settled = waiting.consumptions.certain + waiting.rejections.certain;
            (settled >= lives, waiting.unmarked > lives && !redelivered)
        };
        if draining {
            waiting.drained += 1;
            waiting.drained_unmarked |= !redelivered;
        }
        if (is_gone || is_moved && self.is_used_up(body)) && !leaving {
            self.break_rule(
                Rule::CameBack,
                Some(body),
                format!(
                    "message {} was settled, with receipt, and came again from {name}",
                    body.0
                ),
            );
        }
        if is_repeated && !leaving {
            self.break_rule(
                Rule::UnmarkedDuplicate,
                Some(body),
                format!(
                    "message {} came {deliveries} times from {name}, the last time unmarked",
                    body.0
                ),
            );
        }
        if draining && purged == Certainty::Yes {
            self.break_rule(
                Rule::CameBack,
                Some(body),
                format!(
                    "message {} was purged from {name}, with answer, and waits there",
                    body.0
                ),
            );
        }
        if draining {
            let lowest = self.drained.entry((consumer, place)).or_insert(u8::MAX);
            let before = *lowest;
            *lowest = before.min(sending.priority);
            if before < sending.priority {
                self.break_rule(
                    Rule::Priority,
                    Some(body),
                    format!(
                        "message {} of priority {} waited in {name} and came behind one of priority {before}",
                        body.0, sending.priority
                    ),
                );
            }
        }
        if !redelivered
            && alone
            && let Some(begun) = begun
            && let Some(brought_by) = self.order_of(body, place)
        {
            self.keep_order(now, delivered, &sending, brought_by, (begun, confirmed, position));
        }
    }

    fn keep_order(
        &mut self,
        now: Moment,
        delivered: &Delivered,
        sending: &Sending,
        brought_by: Option<Movement>,
        (begun, confirmed, position): (Moment, Option<Moment>, u64),
    ) {
        let progress = self
            .consumers
            .entry((delivered.consumer, delivered.place, sending.priority, brought_by))
            .or_default();
        let body = delivered.body;
        let mut behind = None;
        if let Some((latest, other)) = progress.begun
            && confirmed.is_some_and(|confirmed| confirmed < latest)
        {
            behind = Some((other, "which was sent after its receipt"));
        }
        if progress.begun.is_none_or(|(latest, _)| latest < begun) {
            progress.begun = Some((begun, body));
        }
        let (furthest, other) = progress.positions.entry(sending.producer).or_insert((position, body));
        if position < *furthest {
            behind = Some((*other, "which the same producer sent later"));
        } else {
            (*furthest, *other) = (position, body);
        }
        if let Some((other, why)) = behind {
            let place = delivered.place;
            let text = format!(
                "message {} came from {} behind message {}, {why}",
                body.0,
                self.name(place),
                other.0
            );
            self.overtaken.push(Overtaken {
                body,
                place,
                begun,
                at: now,
                text,
            });
        }
    }
}
