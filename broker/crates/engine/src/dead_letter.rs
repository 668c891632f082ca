//! The way to the dead-letter queue: for messages that a client rejected, and for those that expired.
//!
//! A persistent message leaves its queue and arrives, changed, in `ActiveMQ.DLQ` with one record; a non-persistent one is discarded (ActiveMQ: `processNonPersistent=false`). What is in the dead-letter queue itself and is rejected or
//! expires there is discarded (ActiveMQ never sends a message from there back to itself). A topic's message that several durable subscriptions give up goes there once, by a duplicate id of its
//! own. The body may have to be read first: meanwhile the message is held in flight. Proved by `tests/engine/dead_letters.rs`.

use std::sync::Arc;

use message::{ConnectionId, Destination, Kind, Message, MessageNumber, Property, RequestId, Sequence};
use record::{ObjectId, Record, Sent, Waiting};

use crate::backlog::{BodyAt, Position};
use crate::effect::Effect;
use crate::engine::{Damaged, Engine};
use crate::reads::Waiter;
use crate::send::Arrival;
use crate::settings::{DEAD_LETTER_CAUSE, ORIGINAL_EXPIRATION};
use crate::step::Step;

/// What the cause says of a message that a client rejected. ActiveMQ leaves the property out after a STOMP NACK; with it, an operator sees why the message is there.
const REJECTED: &str = "java.lang.Throwable: Message rejected by the consumer";

/// Why a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A client cannot process it; its rejection's number.
    Rejected(u64),
    /// Nobody took it in time.
    Expired,
}

/// A message whose body is being read on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeadLetter {
    position: Position,
    cause: Cause,
}

/// A client's rejection of some messages that is not answered yet.
#[derive(Debug)]
pub(crate) struct Rejection {
    pub(crate) connection: ConnectionId,
    pub(crate) request: Option<RequestId>,
    /// Messages that have not arrived, and one for the command itself.
    pub(crate) remaining: usize,
    pub(crate) after: Sequence,
}

impl Engine {
    /// A message in flight was rejected.
    pub(crate) fn bury_rejected(&mut self, step: &mut Step<'_>, object: ObjectId, position: Position, rejection: u64) {
        self.bury(step, object, position, Cause::Rejected(rejection));
    }

    /// A message that is held in flight has expired.
    pub(crate) fn bury_expired(&mut self, step: &mut Step<'_>, object: ObjectId, position: Position) {
        step.spend(1);
        self.bury(step, object, position, Cause::Expired);
    }

    /// The body of a message on its way has been read, or never will be.
    pub(crate) fn bury_on(&mut self, step: &mut Step<'_>, object: ObjectId, number: MessageNumber) {
        if let Some(DeadLetter { position, cause }) = self.dead_letters.remove(&(object, number)) {
            self.bury(step, object, position, cause);
        }
        if let Some(sweep) = &mut self.sweep {
            sweep.is_waiting = false;
        }
    }

    fn bury(&mut self, step: &mut Step<'_>, object: ObjectId, position: Position, cause: Cause) {
        let rejection = match cause {
            Cause::Rejected(id) => Some(id),
            Cause::Expired => None,
        };
        let Some(queue) = self.queues.get_mut(&object) else {
            return self.buried(rejection, Sequence::NONE);
        };
        let found = queue
            .backlog
            .get(position)
            .filter(|_| queue.in_flight.contains(&position.number));
        let Some(found) = found.filter(|found| !found.set_aside) else {
            // Purged meanwhile, or damaged: then nobody has it any more.
            queue.in_flight.remove(&position.number);
            let newest = queue.newest;
            return self.buried(rejection, newest);
        };
        let place = match found.body {
            BodyAt::Stored(place) => place,
            BodyAt::Memory(_) => {
                let newest = queue.newest;
                self.count_buried(object, cause, false);
                self.drop_volatile(object, position);
                return self.buried(rejection, newest);
            }
        };
        let is_dead_letter_queue = queue.destination().is_some_and(|destination| {
            destination.kind == Kind::Queue && destination.name == self.settings.dead_letter_queue
        });
        if is_dead_letter_queue {
            let after = self.discard(step, object, position, cause);
            return self.buried(rejection, after);
        }
        let body = match &self.in_hand {
            Some((number, message)) if *number == position.number => Some(Arc::clone(message)),
            Some(_) | None => self.cache.get(position.number),
        };
        let Some(message) = body else {
            self.dead_letters
                .insert((object, position.number), DeadLetter { position, cause });
            self.reads
                .ask(step.store, position.number, place, Waiter::DeadLetter(object));
            return;
        };
        let after = self.relocate(step, object, position, cause, &message);
        self.buried(rejection, after);
    }

    /// Moves a message to the dead-letter queue, unless another durable subscription has moved it there.
    fn relocate(
        &mut self,
        step: &mut Step<'_>,
        object: ObjectId,
        position: Position,
        cause: Cause,
        message: &Arc<Message>,
    ) -> Sequence {
        let name = Arc::clone(&self.settings.dead_letter_queue);
        let destination = Destination {
            kind: Kind::Queue,
            name,
        };
        let dead_letters = self.ensure(step, &destination);
        let is_durable = self.queues.get(&object).is_some_and(|queue| queue.durable().is_some());
        let duplicate_id: Option<Arc<str>> =
            is_durable.then(|| format!("holdfast:dead-letter:{}", position.number.0).into());
        let window = self.settings.duplicate_window;
        let is_there = |id: &Arc<str>| {
            let queue = self.queues.get(&dead_letters);
            queue.is_some_and(|queue| queue.duplicates.find(id, step.now.0, window).is_some())
        };
        if duplicate_id.as_ref().is_some_and(is_there) {
            return self.discard(step, object, position, cause);
        }
        let dead = Arc::new(dead_letter(message, destination, cause));
        let number = self.take_number();
        let arrival = Arrival::new(dead_letters, number, &dead);
        let sent = Sent {
            destination: dead_letters,
            number,
            targets: vec![dead_letters],
            duplicate_id,
            time: step.now.0,
            message: Arc::clone(&dead),
        };
        self.count_buried(object, cause, true);
        if let Some(queue) = self.queues.get_mut(&dead_letters) {
            queue.counters.enqueued += 1;
        }
        let record = Record::Moved {
            object,
            number: position.number,
            sent,
        };
        let after = self.record(step, &record).sequence;
        self.cache.insert(number, dead);
        self.arrived(step, &arrival);
        after
    }

    /// Removes a persistent message for good.
    fn discard(&mut self, step: &mut Step<'_>, object: ObjectId, position: Position, cause: Cause) -> Sequence {
        self.count_buried(object, cause, false);
        let waiting = Waiting {
            object,
            numbers: vec![position.number],
        };
        let record = match cause {
            Cause::Rejected(_) => Record::Acknowledged(waiting),
            Cause::Expired => Record::Expired(waiting),
        };
        self.record(step, &record).sequence
    }

    fn count_buried(&mut self, object: ObjectId, cause: Cause, is_moved: bool) {
        let own = self.queues.get_mut(&object).map(|queue| &mut queue.counters);
        for counters in own.into_iter().chain([&mut self.totals]) {
            match cause {
                Cause::Rejected(_) => counters.dequeued += 1,
                Cause::Expired => counters.expired += 1,
            }
            counters.dead_lettered += u64::from(is_moved);
        }
    }

    /// One message of a rejection has gone; answers if it was the last.
    pub(crate) fn buried(&mut self, rejection: Option<u64>, after: Sequence) {
        let Some(id) = rejection else { return };
        let Some(rejection) = self.rejections.get_mut(&id) else {
            return;
        };
        rejection.after = rejection.after.max(after);
        rejection.remaining -= 1;
        if rejection.remaining == 0
            && let Some(rejection) = self.rejections.remove(&id)
        {
            self.effects
                .done(rejection.connection, rejection.request, rejection.after);
        }
    }

    /// A message's bytes are damaged: it is set aside wherever somebody waits for it, and its queues go on.
    pub(crate) fn put_aside(
        &mut self,
        step: &mut Step<'_>,
        number: MessageNumber,
        waiters: &[Waiter],
        damaged: &Damaged,
    ) {
        for waiter in waiters {
            let object = waiter.object();
            let Some(queue) = self.queues.get(&object) else {
                continue;
            };
            let found = queue
                .backlog
                .locate(number)
                .and_then(|position| queue.backlog.get(position));
            if found.is_none_or(|found| found.set_aside) {
                continue;
            }
            let label = queue.label();
            self.record(step, &Record::SetAside { object, number });
            // A delivery stays in flight: its consumer may have the message from before.
            if self.dead_letters.contains_key(&(object, number))
                && let Some(queue) = self.queues.get_mut(&object)
            {
                queue.in_flight.remove(&number);
            }
            self.effects.push(Effect::Damaged {
                object: label,
                number,
                message_id: damaged.message_id.clone(),
                text: damaged.text.clone(),
            });
        }
    }
}

/// The message as it lies in the dead-letter queue, as ActiveMQ makes it.
fn dead_letter(message: &Message, destination: Destination, cause: Cause) -> Message {
    let mut properties = message.properties.clone();
    if properties.get(ORIGINAL_EXPIRATION).is_none() {
        let expiration = i64::try_from(message.expiration).unwrap_or(i64::MAX);
        properties = properties.with(ORIGINAL_EXPIRATION, Property::Long(expiration));
    }
    let text = match cause {
        Cause::Rejected(_) => REJECTED.to_owned(),
        Cause::Expired => format!(
            "java.lang.Throwable: Message Expired. Expiration:{}",
            message.expiration
        ),
    };
    Message {
        original_destination: Some(message.destination.clone()),
        destination,
        expiration: 0,
        properties: properties.with(DEAD_LETTER_CAUSE, Property::String(&text)),
        ..message.clone()
    }
}
