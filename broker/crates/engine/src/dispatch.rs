//! Who gets the next message of a queue.
//!
//! The consumers' turn decides: higher priority first, then who was served longest ago; an exclusive consumer alone. The message is the first in the order of delivery that the consumer's interest wants. A message whose
//! body is not in memory is asked of the store, and the interest waits for it (others go on), so that each consumer gets its messages in order. Every look counts against the step's
//! budget: a backlog that does not match is passed in steps and hides nothing (`tests/engine/selectors.rs`).

use std::collections::BTreeMap;
use std::sync::Arc;

use message::{ConsumerId, Delivery, Event, Message, MessageNumber, Property, Selectable, Sequence};
use mutant::Mutant;
use record::{ObjectId, Place, Record};

use crate::backlog::{BodyAt, Found, Position};
use crate::cache::BodyCache;
use crate::consumer::{Consumer, InFlight};
use crate::effect::Effects;
use crate::interest::Source;
use crate::queue::Queue;
use crate::reads::{Reads, Waiter};
use crate::settings::{DISPATCHED_AHEAD_MAX, GROUP_FIRST, Settings};
use crate::step::Step;

/// A body that has just been read.
pub(crate) type InHand = Option<(MessageNumber, Arc<Message>)>;

/// What dispatching a queue needs of the engine.
pub(crate) struct Dispatch<'a, 's, 't> {
    pub(crate) queue: &'a mut Queue,
    pub(crate) consumers: &'a mut BTreeMap<ConsumerId, Consumer>,
    pub(crate) cache: &'a mut BodyCache,
    pub(crate) reads: &'a mut Reads,
    pub(crate) effects: &'a mut Effects,
    pub(crate) settings: &'a Settings,
    /// The newest record.
    pub(crate) newest: &'a mut Sequence,
    pub(crate) in_hand: &'a InHand,
    /// What was found expired; held in flight until the caller sees to it.
    pub(crate) expired: &'a mut Vec<(ObjectId, Position)>,
    pub(crate) step: &'s mut Step<'t>,
}

/// What a look for a message brought.
enum Look {
    /// This one.
    Found(Candidate),
    /// Nothing now.
    Nothing,
    /// The step is over.
    Over,
}

struct Candidate {
    position: Position,
    source: Source,
    found: Found,
    message: Arc<Message>,
}

impl Dispatch<'_, '_, '_> {
    /// Serves consumers until nothing is left to give, or the step is over: then `true`.
    pub(crate) fn run(mut self) -> bool {
        let mut idle = Vec::new();
        loop {
            if self.queue.closing > 0 {
                return false;
            }
            if self.step.is_over() {
                return true;
            }
            let Some((interest, turn)) = self.queue.next_turn(&idle) else {
                return false;
            };
            let Some(consumer) = self.consumers.get_mut(&turn.consumer) else {
                return false;
            };
            if consumer.room() == 0 {
                if self.queue.set_full(turn.consumer) {
                    consumer.passed_over.push_back(self.queue.id);
                }
                self.step.spend(1);
                continue;
            }
            match self.look(interest) {
                Look::Found(candidate) => {
                    if !self.give(interest, turn.consumer, candidate) {
                        idle.push(interest);
                    }
                }
                Look::Nothing => idle.push(interest),
                Look::Over => return true,
            }
        }
    }

    /// The next message for an interest.
    fn look(&mut self, id: u32) -> Look {
        loop {
            if self.step.is_over() {
                return Look::Over;
            }
            let Some(interest) = self.queue.interests.get_mut(&id) else {
                return Look::Nothing;
            };
            let Some((position, source, found)) = interest.peek(&self.queue.backlog) else {
                if self.unpark(id) {
                    continue;
                }
                if let Some(interest) = self.queue.interests.get_mut(&id) {
                    interest.is_exhausted = true;
                }
                return Look::Nothing;
            };
            self.step.spend(1);
            let is_free = |found: &Found| !found.set_aside && !self.queue.in_flight.contains(&found.number);
            let Some(found) = found.filter(is_free) else {
                interest.pass(position, source);
                continue;
            };
            if is_past(found.expiration, self.step.now.0) {
                interest.pass(position, source);
                self.queue.in_flight.insert(found.number);
                self.expired.push((self.queue.id, position));
                continue;
            }
            if interest.no_local.is_some() && self.queue.senders.get(&found.number).copied() == interest.no_local {
                interest.pass(position, source);
                continue;
            }
            let message = match &found.body {
                BodyAt::Memory(message) => Arc::clone(message),
                BodyAt::Stored(place) => match self.body(found.number) {
                    Some(message) => message,
                    None => {
                        self.read_ahead(id, found.number, *place);
                        return Look::Nothing;
                    }
                },
            };
            let Some(interest) = self.queue.interests.get_mut(&id) else {
                return Look::Nothing;
            };
            if let Some(selector) = &interest.selector {
                let seen = Selectable {
                    message: &message,
                    number: found.number,
                    redeliveries: found.redeliveries,
                };
                let (is_wanted, effort) = selector.judge(&seen);
                self.step.spend_effort(effort);
                if !is_wanted {
                    interest.pass(position, source);
                    continue;
                }
            }
            return Look::Found(Candidate {
                position,
                source,
                found,
                message,
            });
        }
    }

    fn body(&mut self, number: MessageNumber) -> Option<Arc<Message>> {
        match self.in_hand {
            Some((in_hand, message)) if *in_hand == number => Some(Arc::clone(message)),
            Some(_) | None => self.cache.get(number),
        }
    }

    /// Asks for the bodies that an interest needs next, `first` first of all; many at a time rather than one after each.
    fn read_ahead(&mut self, id: u32, first: MessageNumber, place: Place) {
        let Some(interest) = self.queue.interests.get_mut(&id) else {
            return;
        };
        let (asked_max, bytes_max) = (self.settings.read_ahead_messages.max(1), self.settings.read_ahead_bytes);
        let waiter = Waiter::Consumers(self.queue.id);
        if interest.passed < asked_max / 2 && self.reads.is_waiting(first, waiter) {
            return;
        }
        interest.passed = 0;
        let interest = &*interest;
        // It may lie behind more of what was given back than the cache holds: read in their order, they would push each other out for ever.
        self.reads.ask(self.step.store, first, place, waiter);
        let (mut asked, mut bytes) = (1, place.length as usize);
        let wanted = if interest.selector.is_some() {
            asked_max
        } else {
            let room = |turn: &crate::interest::Turn| self.consumers.get(&turn.consumer).map_or(0, Consumer::room);
            let room = interest
                .ready
                .iter()
                .take(asked_max)
                .map(room)
                .fold(0, usize::saturating_add);
            asked_max.min(room)
        };
        let mut cursors = *interest.cursors();
        let backlog = &self.queue.backlog;
        let ahead = std::iter::from_fn(|| {
            let (position, found) = backlog.next(&cursors)?;
            cursors.advance(position);
            Some(found)
        });
        let returned = interest.returned().filter_map(|position| backlog.get(position));
        for found in returned.take(asked_max).chain(ahead.take(2 * asked_max)) {
            let BodyAt::Stored(place) = found.body else { continue };
            let is_here = found.number == first || self.cache.contains(found.number);
            if found.set_aside || is_here || self.queue.in_flight.contains(&found.number) {
                continue;
            }
            if asked >= wanted || bytes + place.length as usize > bytes_max {
                break;
            }
            asked += 1;
            bytes += place.length as usize;
            self.reads.ask(self.step.store, found.number, place, waiter);
        }
    }

    /// Gives back what was kept aside for consumers that have room now; `true` if there was any.
    fn unpark(&mut self, id: u32) -> bool {
        let Some(interest) = self.queue.interests.get_mut(&id) else {
            return false;
        };
        if interest.parked() == 0 {
            return false;
        }
        let ready: Vec<ConsumerId> = interest.ready.iter().map(|turn| turn.consumer).collect();
        let mut any = false;
        for consumer in ready {
            let room = self.consumers.get(&consumer).map_or(0, Consumer::room);
            if room > 0 && interest.has_parked_for(consumer) {
                interest.unpark(consumer, room);
                any = true;
            }
        }
        any
    }

    /// Delivers a message, or keeps it aside for the consumer that has its group. `false`: too much is kept aside already.
    fn give(&mut self, id: u32, turn: ConsumerId, candidate: Candidate) -> bool {
        let Candidate {
            position,
            source,
            found,
            mut message,
        } = candidate;
        let mut consumer = turn;
        if let Some(group) = message.group_id.clone()
            && self.queue.exclusive.is_none()
        {
            // A sequence of 1 starts the group anew with whoever is at hand, as in ActiveMQ.
            let owner = if message.group_sequence == 1 {
                None
            } else {
                self.queue.groups.owner(&group)
            };
            match owner {
                None => {
                    if message.group_sequence >= 0 {
                        self.queue
                            .groups
                            .assign(&group, consumer, self.settings.message_groups_max);
                    }
                    let properties = message.properties.with(GROUP_FIRST, Property::Boolean(true));
                    message = Arc::new(Message {
                        properties,
                        ..(*message).clone()
                    });
                }
                Some(owner) => {
                    let room = self.consumers.get(&owner).map_or(0, Consumer::room);
                    let shares = self.queue.interest_of(owner) == Some(id);
                    let Some(interest) = self.queue.interests.get_mut(&id) else {
                        return false;
                    };
                    if !shares || room == 0 {
                        if interest.parked() >= self.settings.group_parked_max {
                            return false;
                        }
                        interest.park(position, source, owner);
                        if shares && self.queue.set_full(owner) {
                            // When it has room again, it is asked first.
                            if let Some(owner) = self.consumers.get_mut(&owner) {
                                owner.passed_over.push_back(self.queue.id);
                            }
                        }
                        return true;
                    }
                    if interest.has_parked_for(owner) {
                        interest.unpark(owner, room);
                        return true;
                    }
                    consumer = owner;
                    if message.group_sequence < 0 {
                        self.queue.groups.close(&group);
                        for interest in self.queue.interests.values_mut() {
                            interest.unpark(owner, crate::settings::STEP_MESSAGES_MAX);
                        }
                    }
                }
            }
        }
        if let Some(interest) = self.queue.interests.get_mut(&id) {
            interest.pass(position, source);
        }
        self.deliver(consumer, position, &found, message);
        true
    }

    fn deliver(&mut self, to: ConsumerId, position: Position, found: &Found, message: Arc<Message>) {
        let Some(consumer) = self.consumers.get_mut(&to) else {
            return;
        };
        let mut redelivered = found.redeliveries > 0;
        let mut after = self.queue.rests_on(found.number);
        if let BodyAt::Stored(_) = found.body {
            redelivered |= found.number <= self.queue.mark.recovered;
            if found.number > self.queue.mark.through && !Mutant::NoDispatchedMark.is_at_work() {
                let through = self.queue.backlog.ahead(position, DISPATCHED_AHEAD_MAX - 1);
                let record = Record::Dispatched {
                    object: self.queue.id,
                    through,
                };
                let ticket = self.step.store.append(&record);
                *self.newest = ticket.sequence;
                self.queue.mark.through = through;
                self.queue.mark.sequence = ticket.sequence;
                self.queue.newest = ticket.sequence;
            }
            after = after.max(self.queue.mark.sequence);
        }
        if Mutant::DeliverUnconfirmed.is_at_work() {
            after = Sequence::NONE;
        }
        let tag = consumer.take_off(
            InFlight::Waiting {
                object: self.queue.id,
                position,
            },
            &message,
        );
        self.queue.in_flight.insert(found.number);
        self.queue.counters.dispatched += 1;
        self.queue.served(to);
        let delivery = Delivery {
            consumer: to,
            tag,
            message,
            number: found.number,
            redelivered,
            redeliveries: found.redeliveries,
        };
        self.effects.event(to.connection, after, Event::Deliver(delivery));
    }
}

/// Whether a message with this expiration must not be delivered any more.
pub(crate) fn is_past(expiration: u64, now: u64) -> bool {
    expiration > 0 && expiration <= now && !Mutant::ExpiredDelivered.is_at_work()
}
