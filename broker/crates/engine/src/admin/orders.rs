//! Administrators' orders: create, delete, purge.

use std::sync::Arc;

use message::{Destination, MessageNumber, Sequence};
use record::{ObjectId, Record, Store};

use super::transfer::Wish;
use super::{AdminAnswer, AdminCommand, AdminRefusal, AdminRequest};
use crate::connection::still_used;
use crate::engine::Engine;
use crate::queue::Queue;
use crate::settings::STEP_MESSAGES_MAX;
use crate::step::Step;
use crate::time::EngineTime;
use crate::work::{Purge, Work};

impl Engine {
    /// Carries out an administrator's order. Exactly one answer follows.
    pub fn handle_admin(
        &mut self,
        now: EngineTime,
        request: AdminRequest,
        command: AdminCommand,
        store: &mut dyn Store,
    ) {
        self.now = self.now.max(now);
        let mut step = Step::new(self.now, store);
        let step = &mut step;
        match command {
            AdminCommand::Create { destination } => self.create_destination(step, request, &destination),
            AdminCommand::Delete { destination } => self.delete_destination(step, request, &destination),
            AdminCommand::Purge { queue } => self.purge(step, request, &queue),
            AdminCommand::PurgeSetAside { destination } => self.clear_set_aside(step, request, &destination),
            AdminCommand::Move {
                from,
                to,
                selector,
                limit,
                go_on,
            } => {
                let wish = Wish {
                    from: &from,
                    to: &to,
                    selector: selector.as_deref(),
                    limit,
                    go_on,
                };
                self.transfer(step, request, &wish);
            }
            AdminCommand::Browse {
                queue,
                from,
                limit,
                selector,
            } => {
                self.browse(step, request, &queue, from, limit, selector.as_deref());
            }
            AdminCommand::RemoveDurable { client_id, name } => match self.remove_durable(step, &client_id, &name) {
                Ok((after, messages)) => self.effects.admin(request, after, AdminAnswer::Deleted { messages }),
                Err((after, refusal)) => {
                    let exists = self.durables.contains_key(&(Arc::clone(&client_id), Arc::clone(&name)));
                    let kind = if exists {
                        AdminRefusal::Conflict
                    } else {
                        AdminRefusal::NotFound
                    };
                    self.effects.admin(
                        request,
                        after,
                        AdminAnswer::Refused {
                            kind,
                            text: refusal.text,
                        },
                    );
                }
            },
        }
        self.settle(step);
    }

    pub(super) fn refuse(&mut self, request: AdminRequest, kind: AdminRefusal, text: impl Into<String>) {
        let answer = AdminAnswer::Refused {
            kind,
            text: text.into(),
        };
        // What it says may be what the newest records made so: that something is gone, or there.
        let after = self.unchanged(self.newest);
        self.effects.admin(request, after, answer);
    }

    /// The queue of this name; answers if there is none.
    pub(super) fn queue_for(&mut self, request: AdminRequest, destination: &Destination) -> Option<ObjectId> {
        let object = self.names.get(destination).copied();
        let queue = object.filter(|object| self.queues.contains_key(object));
        if queue.is_none() {
            let text = if destination.kind.is_queue() {
                format!("there is no {destination:#}: list the destinations for their names")
            } else {
                format!("{destination:#} is a topic: messages wait in queues and durable subscriptions only")
            };
            let kind = if destination.kind.is_queue() {
                AdminRefusal::NotFound
            } else {
                AdminRefusal::Invalid
            };
            self.refuse(request, kind, text);
        }
        queue
    }

    fn create_destination(&mut self, step: &mut Step<'_>, request: AdminRequest, destination: &Destination) {
        if destination.is_pattern() || destination.kind.is_temporary() {
            let text = format!("{destination:#} cannot be created: name one queue or topic, without wildcards");
            return self.refuse(request, AdminRefusal::Invalid, text);
        }
        let created = !self.names.contains_key(destination);
        if created && let Some(refusal) = self.too_many_destinations() {
            return self.refuse(request, AdminRefusal::Conflict, refusal.text);
        }
        let object = self.ensure(step, destination);
        let newest = match self.topics.get(&object) {
            Some(topic) => topic.newest,
            None => self.newest_of([object]),
        };
        self.effects.admin(request, newest, AdminAnswer::Created { created });
    }

    fn delete_destination(&mut self, step: &mut Step<'_>, request: AdminRequest, destination: &Destination) {
        let Some(object) = self.names.get(destination).copied() else {
            let text = format!("there is no {destination:#}: list the destinations for their names");
            return self.refuse(request, AdminRefusal::NotFound, text);
        };
        if destination.kind.is_temporary() {
            let text = format!("{destination:#} is temporary: it goes with the connection that made it");
            return self.refuse(request, AdminRefusal::Conflict, text);
        }
        if let Some(consumer) = self.user_of(destination) {
            return self.refuse(request, AdminRefusal::Conflict, still_used(destination, consumer));
        }
        let durable = self.topics.get(&object).and_then(|topic| topic.durables.first());
        if let Some(durable) = durable.and_then(|durable| self.queues.get(durable)) {
            let text = format!(
                "Destination: {destination:#} still has an active subscription: {}",
                durable.label()
            );
            return self.refuse(request, AdminRefusal::Conflict, text);
        }
        let queue = self.queues.get(&object);
        if queue.is_some_and(|queue| queue.closing > 0) {
            let text = format!("{destination:#} is still taking back what its last consumer had: try again");
            return self.refuse(request, AdminRefusal::Conflict, text);
        }
        let messages = queue.map_or(0, |queue| queue.backlog.everything());
        for connection in self.connections.values_mut() {
            connection.sends_to.remove(&object);
        }
        let after = self.record(step, &Record::Deleted { object }).sequence;
        self.effects.admin(request, after, AdminAnswer::Deleted { messages });
    }

    fn purge(&mut self, step: &mut Step<'_>, request: AdminRequest, destination: &Destination) {
        let Some(queue) = self.queue_for(request, destination) else {
            return;
        };
        // Numbers rise over all destinations: what comes later is above this one.
        let through = self.take_number();
        self.purge_on(
            step,
            Purge {
                request,
                queue,
                through,
                gone: 0,
                after: Sequence::NONE,
            },
        );
    }

    /// Goes on with a purge: about 1 000 messages, and one record for them.
    pub(crate) fn purge_on(&mut self, step: &mut Step<'_>, mut purge: Purge) {
        if step.budget < STEP_MESSAGES_MAX / 2 {
            self.work.push_back(Work::Purge(purge));
            return;
        }
        let Some(queue) = self.queues.get_mut(&purge.queue) else {
            return self.purged(&purge);
        };
        let through = queue
            .backlog
            .purge_step(STEP_MESSAGES_MAX)
            .map(|number| number.min(purge.through));
        let Some(through) = through.filter(|number| has_any(queue, *number)) else {
            return self.purged(&purge);
        };
        step.spend(step.budget);
        let (before, volatile) = (queue.backlog.everything(), queue.backlog.volatile_bytes());
        let gone_volatile = queue.backlog.purge_volatile(through, usize::MAX);
        self.volatile_bytes -= volatile - queue.backlog.volatile_bytes();
        let is_recorded = queue.is_recorded() && queue.backlog.has_stored_through(through);
        queue.purged(through);
        if is_recorded {
            let record = Record::Purged {
                object: purge.queue,
                through,
            };
            purge.after = self.record(step, &record).sequence;
        }
        if let Some(queue) = self.queues.get_mut(&purge.queue) {
            let gone = before - queue.backlog.everything();
            debug_assert!(gone >= gone_volatile);
            purge.gone += gone;
            queue.counters.dequeued += gone;
            self.totals.dequeued += gone;
        }
        self.work.push_back(Work::Purge(purge));
    }

    fn purged(&mut self, purge: &Purge) {
        let (after, messages) = (purge.after.max(self.as_it_is(purge.queue)), purge.gone);
        self.effects
            .admin(purge.request, after, AdminAnswer::Purged { messages });
    }
}

fn has_any(queue: &Queue, through: MessageNumber) -> bool {
    queue.backlog.first_number().is_some_and(|first| first <= through)
}
