//! Browsers: consumers that look through a queue and take nothing.
//!
//! A browser sees everything that waited when it began, what is in flight included, in the order of delivery, however much that is; then it is told so. It moves no mark and counts no delivery. It holds as many
//! deliveries as its prefetch allows. Proved by `tests/engine/browsing.rs`.

use std::collections::VecDeque;
use std::sync::Arc;

use message::{ConsumerId, Delivery, Event, MessageNumber, Selectable, Sequence};
use record::ObjectId;

use crate::backlog::{Backlog, BodyAt, Cursors, Found, Position};
use crate::consumer::InFlight;
use crate::dispatch::is_past;
use crate::engine::Engine;
use crate::reads::Waiter;
use crate::step::Step;

/// How far a browser has come.
#[derive(Debug, Default)]
pub(crate) struct Browser {
    /// Queues to look through, the one at hand first, and the last number that is looked at in each.
    pub(crate) queues: VecDeque<(ObjectId, MessageNumber)>,
    pub(crate) cursors: Cursors,
    /// Messages passed since bodies were last asked for.
    pub(crate) passed: usize,
    /// The newest record that what it has seen rests on.
    pub(crate) after: Sequence,
    /// Its queues are not all known yet.
    pub(crate) is_attaching: bool,
    pub(crate) is_ended: bool,
}

/// The next message up to `last` that somebody who looks through a backlog may see.
pub(crate) fn next_to_see(
    backlog: &Backlog,
    cursors: &mut Cursors,
    last: MessageNumber,
    step: &mut Step<'_>,
) -> Option<(Position, Found)> {
    while !step.is_over() {
        let (position, found) = backlog.next(cursors)?;
        step.spend(1);
        if position.number > last {
            // All that is left in this lane came later.
            cursors.finish(position.lane());
        } else if found.set_aside || is_past(found.expiration, step.now.0) {
            cursors.advance(position);
        } else {
            return Some((position, found));
        }
    }
    None
}

impl Engine {
    /// Lets a browser look on, as far as it has room.
    pub(crate) fn look_through(&mut self, step: &mut Step<'_>, id: ConsumerId) {
        loop {
            step.spend(1);
            let Some(consumer) = self.consumers.get_mut(&id) else {
                return;
            };
            let room = consumer.room();
            let Some(browser) = &mut consumer.browser else { return };
            if browser.is_ended || browser.is_attaching {
                return;
            }
            let Some((object, last)) = browser.queues.front().copied() else {
                browser.is_ended = true;
                let after = browser.after;
                self.effects
                    .event(id.connection, after, Event::BrowseEnd { consumer: id });
                return;
            };
            let Some(queue) = self.queues.get_mut(&object) else {
                browser.queues.pop_front();
                browser.cursors = Cursors::default();
                continue;
            };
            let Some((position, found)) = next_to_see(&queue.backlog, &mut browser.cursors, last, step) else {
                if step.is_over() {
                    self.browsing.insert(id);
                    return;
                }
                browser.after = browser.after.max(queue.newest);
                browser.queues.pop_front();
                browser.cursors = Cursors::default();
                continue;
            };
            if room == 0 {
                return;
            }
            let in_hand = self.in_hand.as_ref().filter(|(number, _)| *number == position.number);
            let message = match &found.body {
                BodyAt::Memory(message) => Some(Arc::clone(message)),
                BodyAt::Stored(_) => in_hand
                    .map(|(_, message)| Arc::clone(message))
                    .or_else(|| self.cache.get(position.number)),
            };
            let Some(message) = message else {
                self.read_for_browser(step, id, object, position.number);
                return;
            };
            browser.cursors.advance(position);
            browser.passed += 1;
            let seen = Selectable {
                message: &message,
                number: found.number,
                redeliveries: found.redeliveries,
            };
            if let Some(selector) = &consumer.selector {
                let (is_wanted, effort) = selector.judge(&seen);
                step.spend_effort(effort);
                if !is_wanted {
                    continue;
                }
            }
            let redelivered = found.redeliveries > 0 || position.number <= queue.mark.recovered;
            let after = queue.rests_on(found.number);
            let tag = consumer.take_off(InFlight::Copy, &message);
            let delivery = Delivery {
                consumer: id,
                tag,
                message,
                number: found.number,
                redelivered,
                redeliveries: found.redeliveries,
            };
            self.effects.event(id.connection, after, Event::Deliver(delivery));
        }
    }

    /// Asks for the bodies that a browser needs next, `first` first of all.
    fn read_for_browser(&mut self, step: &mut Step<'_>, id: ConsumerId, object: ObjectId, first: MessageNumber) {
        let browser = self
            .consumers
            .get_mut(&id)
            .and_then(|consumer| consumer.browser.as_mut());
        let Some(browser) = browser else { return };
        let waiter = Waiter::Browser(id, object);
        if browser.passed < self.settings.read_ahead_messages / 2 && self.reads.is_waiting(first, waiter) {
            return;
        }
        browser.passed = 0;
        let Some(queue) = self.queues.get(&object) else { return };
        let mut cursors = browser.cursors;
        let (mut asked, mut bytes) = (0, 0);
        for _ in 0..self.settings.read_ahead_messages.max(1) {
            let Some((position, found)) = queue.backlog.next(&cursors) else {
                return;
            };
            cursors.advance(position);
            let BodyAt::Stored(place) = found.body else { continue };
            if found.set_aside || self.cache.contains(found.number) {
                continue;
            }
            bytes += place.length as usize;
            if asked > 0 && bytes > self.settings.read_ahead_bytes {
                return;
            }
            asked += 1;
            self.reads.ask(step.store, found.number, place, waiter);
        }
    }
}
