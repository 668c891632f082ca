//! An administrator's move of waiting messages: from queue to queue, or out of a dead-letter queue to where each came from. Page by page, each a bounded piece of work.
//!
//! Every persistent message leaves one queue and arrives in the other with one record, so that it is in exactly one of them whatever happens. It arrives as ActiveMQ's move lets it: with its id, priority,
//! properties and, unless it goes back where it came from, expiration, behind what waits there, and never delivered before. What a consumer has stays with it. Invariant: a page never meets what arrived after the first page was asked for.
//! The store's space counts: a move stops when sends would wait. Deliberately absent: the loop over the pages (the caller's). Proved by `tests/engine/transfers.rs`.

use std::sync::Arc;

use message::selector::Selector;
use message::{ConnectionId, Destination, Kind, Message, MessageNumber, Selectable, Sequence};
use mutant::Mutant;
use record::{ObjectId, Record};

use super::{AdminAnswer, AdminRefusal, AdminRequest, BrowsePosition, MoveTo, MoveToGo, Moved};
use crate::backlog::{BodyAt, Cursors, Found, Position};
use crate::dispatch::is_past;
use crate::engine::Engine;
use crate::reads::Waiter;
use crate::send::{Incoming, Plan};
use crate::settings::STEP_MESSAGES_MAX;
use crate::step::Step;
use crate::work::Work;

/// Bytes of messages in one page, roughly: what others send and confirm meanwhile waits behind no more.
const PAGE_BYTES_MAX: usize = 1 << 20;

/// Who sends what an administrator moves: no connection has this number.
const ADMINISTRATOR: ConnectionId = ConnectionId(0);

/// A page that is being moved.
#[derive(Debug)]
pub(crate) struct Transfer {
    request: AdminRequest,
    queue: ObjectId,
    to: Target,
    selector: Option<Selector>,
    limit: usize,
    /// Nothing behind this number is looked at.
    through: MessageNumber,
    cursors: Cursors,
    last: Option<Position>,
    looked: usize,
    /// Messages passed since bodies were asked for.
    passed: usize,
    bytes: usize,
    moved: Moved,
    after: Sequence,
}

/// Where messages go.
#[derive(Debug)]
enum Target {
    Queue(ObjectId),
    Origin,
}

/// Why a message stays.
enum Stays {
    /// Nothing says where it came from, or it came from here.
    WithoutOrigin,
    /// Where it came from was temporary.
    OriginGone,
    /// Nobody would get it, or nobody would keep it although it is persistent.
    Unheard,
    /// Nothing can be moved any more.
    Everything(String),
}

/// What is asked for.
pub(super) struct Wish<'a> {
    pub(super) from: &'a Destination,
    pub(super) to: &'a MoveTo,
    pub(super) selector: Option<&'a str>,
    pub(super) limit: usize,
    pub(super) go_on: Option<MoveToGo>,
}

impl Engine {
    /// Begins a page.
    pub(super) fn transfer(&mut self, step: &mut Step<'_>, request: AdminRequest, wish: &Wish<'_>) {
        if wish.from.kind.is_temporary() {
            let text = format!("{:#} is temporary: what waits there is its owner's alone", wish.from);
            return self.refuse(request, AdminRefusal::Invalid, text);
        }
        let Some(queue) = self.queue_for(request, wish.from) else {
            return;
        };
        let to = match self.target(wish) {
            Ok(to) => to,
            Err((kind, text)) => return self.refuse(request, kind, text),
        };
        let selector = match wish.selector.map(Selector::parse).transpose() {
            Ok(selector) => selector,
            Err(error) => return self.refuse(request, AdminRefusal::Invalid, error.to_string()),
        };
        let through = match wish.go_on {
            Some(go_on) => go_on.through,
            // Numbers rise over all destinations: what comes later is above this one.
            None => self.last_number(),
        };
        let last = wish.go_on.and_then(|go_on| go_on.behind);
        let last = last.map(|behind| Position::new(behind.priority, behind.number));
        let transfer = Transfer {
            request,
            queue,
            to,
            selector,
            limit: wish.limit.clamp(1, STEP_MESSAGES_MAX),
            through,
            cursors: last.map_or_else(Cursors::default, Cursors::behind),
            last,
            looked: 0,
            passed: 0,
            bytes: 0,
            moved: Moved::default(),
            after: Sequence::NONE,
        };
        self.next_browse += 1;
        self.transfers.insert(self.next_browse, transfer);
        self.transfer_on(step, self.next_browse);
    }

    fn target(&self, wish: &Wish<'_>) -> Result<Target, (AdminRefusal, String)> {
        let to = match wish.to {
            MoveTo::Origin => return Ok(Target::Origin),
            MoveTo::Queue(to) => to,
        };
        if to.kind != Kind::Queue || to.is_pattern() {
            let text = format!("messages are moved to a queue, and {to:#} is none: name one queue, without wildcards");
            return Err((AdminRefusal::Invalid, text));
        }
        if to == wish.from {
            return Err((AdminRefusal::Invalid, format!("{to:#} is where the messages are")));
        }
        let object = self.names.get(to).copied();
        object.map(Target::Queue).ok_or_else(|| {
            let text = format!("there is no {to:#}: create it first, if that is what you mean");
            (AdminRefusal::NotFound, text)
        })
    }

    /// Goes on with a page.
    pub(crate) fn transfer_on(&mut self, step: &mut Step<'_>, id: u64) {
        let Some(mut transfer) = self.transfers.remove(&id) else {
            return;
        };
        let mut is_more = true;
        while transfer.has_room() {
            if step.is_over() {
                self.transfers.insert(id, transfer);
                self.work.push_back(Work::Transfer(id));
                return;
            }
            let next = self
                .queues
                .get(&transfer.queue)
                .and_then(|queue| queue.backlog.next(&transfer.cursors));
            let Some((position, found)) = next else {
                is_more = false;
                break;
            };
            step.spend(1);
            if position.number > transfer.through {
                // All that is left in this lane came later.
                transfer.cursors.finish(position.lane());
                continue;
            }
            let message = match &found.body {
                _ if found.set_aside || is_past(found.expiration, step.now.0) => None,
                BodyAt::Memory(message) => Some(Arc::clone(message)),
                BodyAt::Stored(_) => match self.body_at_hand(position.number) {
                    Some(message) => Some(message),
                    None => {
                        self.read_for_transfer(step, id, &mut transfer, position.number);
                        self.transfers.insert(id, transfer);
                        return;
                    }
                },
            };
            transfer.pass(position);
            let Some(message) = message else {
                transfer.moved.set_aside += u64::from(found.set_aside);
                continue;
            };
            if let Some(selector) = &transfer.selector {
                let seen = Selectable {
                    message: &message,
                    number: found.number,
                    redeliveries: found.redeliveries,
                };
                let (is_wanted, effort) = selector.judge(&seen);
                step.spend_effort(effort);
                if !is_wanted {
                    continue;
                }
            }
            let is_in_flight = |queue: &crate::queue::Queue| queue.in_flight.contains(&position.number);
            if self
                .queues
                .get(&transfer.queue)
                .is_some_and(|queue| is_in_flight(queue))
            {
                transfer.moved.in_delivery += 1;
                continue;
            }
            match self.hand_over(step, &transfer, position, &found, &message) {
                Ok(after) => {
                    transfer.after = transfer.after.max(after);
                    transfer.bytes += message.bytes_held();
                    transfer.moved.messages += 1;
                }
                Err(Stays::WithoutOrigin) => transfer.moved.without_origin += 1,
                Err(Stays::OriginGone) => transfer.moved.origin_gone += 1,
                Err(Stays::Unheard) => transfer.moved.unheard += 1,
                Err(Stays::Everything(why)) => {
                    transfer.moved.stopped = Some(why);
                    is_more = false;
                    break;
                }
            }
        }
        let through = transfer.through;
        let behind = transfer.last.map(|last| BrowsePosition {
            priority: last.priority(),
            number: last.number,
        });
        transfer.moved.next = is_more.then_some(MoveToGo { behind, through });
        let after = if Mutant::MoveAnsweredEarly.is_at_work() {
            Sequence::NONE
        } else {
            transfer.after.max(self.as_it_is(transfer.queue))
        };
        // What stood in the way, or was not there, is another destination.
        let moved = &transfer.moved;
        let others = moved.stopped.is_some() || moved.origin_gone > 0 || moved.unheard > 0;
        let after = if others {
            after.max(self.unchanged(self.newest))
        } else {
            after
        };
        self.effects
            .admin(transfer.request, after, AdminAnswer::Moved(transfer.moved));
    }

    /// Takes one message out of its queue and lets it arrive where it goes; the record that says so.
    fn hand_over(
        &mut self,
        step: &mut Step<'_>,
        transfer: &Transfer,
        position: Position,
        found: &Found,
        message: &Arc<Message>,
    ) -> Result<Sequence, Stays> {
        let Some(from) = self.queues.get(&transfer.queue).and_then(|queue| queue.destination()) else {
            return Err(Stays::WithoutOrigin);
        };
        let from = from.clone();
        if let Some(why) = self.store_full.as_ref().filter(|_| message.persistent) {
            return Err(Stays::Everything(format!("Persistent store is Full: {why}")));
        }
        let (target, original, expiration) = match transfer.to {
            Target::Queue(object) => {
                // What it came from before says more than where it lay meanwhile.
                let original = message.original_destination.clone();
                (object, original.unwrap_or_else(|| from.clone()), message.expiration)
            }
            // As if it were new; what was parked here by a move does not expire on its way back.
            Target::Origin => (self.origin_of(step, &from, message)?, from.clone(), 0),
        };
        let destination = match (self.queues.get(&target), self.topics.get(&target)) {
            (Some(queue), _) => queue.destination().cloned(),
            (None, topic) => topic.map(|topic| topic.destination.clone()),
        };
        let Some(destination) = destination else {
            return Err(Stays::Everything("the queue that messages go to was deleted".into()));
        };
        let moved = Arc::new(Message {
            original_destination: Some(original),
            destination,
            expiration,
            ..(**message).clone()
        });
        let (object, number) = (transfer.queue, position.number);
        let incoming = self.judge_once(step, target, moved)?;
        let is_stored = matches!(found.body, BodyAt::Stored(_));
        if !is_stored {
            self.drop_volatile(object, position);
        }
        let mut plan = Plan::default();
        self.plan_judged(step, incoming, None, &mut plan);
        let after = self.carry_out_as(step, ADMINISTRATOR, plan, |mut sent| match (sent.pop(), is_stored) {
            (Some(sent), true) => Some(Record::Moved { object, number, sent }),
            (Some(sent), false) => Some(Record::Sent(sent)),
            // Never what is stored: it is persistent, and goes only where it is recorded.
            (None, _) => None,
        });
        let own = self.queues.get_mut(&object).map(|queue| &mut queue.counters);
        for counters in own.into_iter().chain([&mut self.totals]) {
            counters.dequeued += 1;
        }
        Ok(after)
    }

    /// Judges a message that is about to be moved. What is persistent goes to a topic only if a durable subscription keeps it: a subscriber of the moment that is slow or gone may never get it.
    fn judge_once(&mut self, step: &mut Step<'_>, target: ObjectId, moved: Arc<Message>) -> Result<Incoming, Stays> {
        if let Some(topic) = self.topics.get(&target) {
            step.spend(topic.durables.len() + topic.subscribers.len());
        }
        let incoming = self.judge(step, ADMINISTRATOR, target, moved);
        let message = &incoming.message;
        let is_kept = !incoming.targets.is_empty();
        if is_kept || (!message.persistent && self.is_heard(step, target, incoming.number, message)) {
            Ok(incoming)
        } else {
            Err(Stays::Unheard)
        }
    }

    /// Where a dead letter came from; makes the queue again if it is gone.
    fn origin_of(
        &mut self,
        step: &mut Step<'_>,
        from: &Destination,
        message: &Arc<Message>,
    ) -> Result<ObjectId, Stays> {
        let origin = message.original_destination.as_ref().filter(|origin| *origin != from);
        let Some(origin) = origin else {
            return Err(Stays::WithoutOrigin);
        };
        if origin.kind.is_temporary() {
            return Err(Stays::OriginGone);
        }
        let is_new = !self.names.contains_key(origin);
        if is_new && let Some(refusal) = self.too_many_destinations() {
            return Err(Stays::Everything(refusal.text));
        }
        if origin.kind.is_queue() {
            return Ok(self.ensure(step, origin));
        }
        self.names.get(origin).copied().ok_or(Stays::Unheard)
    }

    fn body_at_hand(&mut self, number: MessageNumber) -> Option<Arc<Message>> {
        match &self.in_hand {
            Some((in_hand, message)) if *in_hand == number => Some(Arc::clone(message)),
            Some(_) | None => self.cache.get(number),
        }
    }

    /// Asks for the bodies that a page needs next, `first` first of all; many at a time rather than one after each.
    fn read_for_transfer(&mut self, step: &mut Step<'_>, id: u64, transfer: &mut Transfer, first: MessageNumber) {
        let Some(queue) = self.queues.get(&transfer.queue) else {
            return;
        };
        let (asked_max, bytes_max) = (self.settings.read_ahead_messages.max(1), self.settings.read_ahead_bytes);
        let waiter = Waiter::Transfer(id, transfer.queue);
        // Most of what the last look asked for is still to come: another would find nothing new.
        if transfer.passed < asked_max / 2 && self.reads.is_waiting(first, waiter) {
            return;
        }
        transfer.passed = 0;
        let mut cursors = transfer.cursors;
        let (mut asked, mut bytes) = (0, 0);
        for _ in 0..asked_max {
            let Some((position, found)) = queue.backlog.next(&cursors) else {
                return;
            };
            cursors.advance(position);
            let BodyAt::Stored(place) = found.body else { continue };
            if found.set_aside || position.number > transfer.through || self.cache.contains(found.number) {
                continue;
            }
            bytes += place.length as usize;
            if asked > 0 && bytes > bytes_max {
                return;
            }
            asked += 1;
            self.reads.ask(step.store, found.number, place, waiter);
        }
    }
}

impl Transfer {
    /// Whether the page takes another message.
    fn has_room(&self) -> bool {
        self.moved.messages < self.limit as u64 && self.looked < STEP_MESSAGES_MAX && self.bytes < PAGE_BYTES_MAX
    }

    fn pass(&mut self, position: Position) {
        self.cursors.advance(position);
        self.last = Some(position);
        self.looked += 1;
        self.passed += 1;
    }
}
