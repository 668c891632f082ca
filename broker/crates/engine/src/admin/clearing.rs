//! An administrator's removal of what is set aside, and of nothing else: step by step.
//!
//! Damaged messages are not delivered and do not expire; they keep their segments until somebody says that they may go. Proved by `tests/engine/damage.rs`.

use std::collections::VecDeque;

use message::{Destination, Sequence};
use record::{ObjectId, Record, Waiting};

use super::{AdminAnswer, AdminRefusal, AdminRequest};
use crate::backlog::Cursors;
use crate::engine::Engine;
use crate::step::Step;
use crate::work::Work;

/// A removal under way.
#[derive(Debug)]
pub(crate) struct Clearing {
    request: AdminRequest,
    /// Queues and durable subscriptions to look through, the one at hand first.
    objects: VecDeque<ObjectId>,
    cursors: Cursors,
    gone: u64,
    after: Sequence,
}

impl Engine {
    /// Begins with a queue, or with the durable subscriptions that take from a topic.
    pub(super) fn clear_set_aside(&mut self, step: &mut Step<'_>, request: AdminRequest, destination: &Destination) {
        let object = self.names.get(destination).copied();
        let topic = object.and_then(|object| self.topics.get(&object));
        let objects: VecDeque<ObjectId> = match (object, topic) {
            (_, Some(topic)) => topic.durables.iter().copied().collect(),
            (Some(object), None) => [object].into(),
            (None, None) => {
                let text = format!("there is no {destination:#}: list the destinations for their names");
                return self.refuse(request, AdminRefusal::NotFound, text);
            }
        };
        let after = topic.map_or(Sequence::NONE, |topic| self.unchanged(topic.newest));
        let clearing = Clearing {
            request,
            objects,
            cursors: Cursors::default(),
            gone: 0,
            after,
        };
        self.clear_on(step, clearing);
    }

    /// Goes on: looks at as many messages as the step allows, and records what of them goes.
    pub(crate) fn clear_on(&mut self, step: &mut Step<'_>, mut clearing: Clearing) {
        while let Some(object) = clearing.objects.front().copied() {
            if step.is_over() {
                self.work.push_back(Work::Clear(clearing));
                return;
            }
            let queue = self.queues.get(&object).filter(|queue| queue.backlog.set_aside() > 0);
            let Some(queue) = queue else {
                step.spend(1);
                clearing.after = clearing.after.max(self.as_it_is(object));
                clearing.objects.pop_front();
                clearing.cursors = Cursors::default();
                continue;
            };
            let (mut numbers, mut is_at_end) = (Vec::new(), false);
            while !step.is_over() {
                let Some((position, found)) = queue.backlog.next(&clearing.cursors) else {
                    is_at_end = true;
                    break;
                };
                step.spend(1);
                clearing.cursors.advance(position);
                if found.set_aside {
                    numbers.push(position.number);
                }
            }
            if !numbers.is_empty() {
                numbers.sort_unstable();
                clearing.gone += numbers.len() as u64;
                let record = Record::Acknowledged(Waiting { object, numbers });
                clearing.after = self.record(step, &record).sequence;
            }
            if is_at_end {
                clearing.after = clearing.after.max(self.as_it_is(object));
                clearing.objects.pop_front();
                clearing.cursors = Cursors::default();
            }
        }
        let messages = clearing.gone;
        self.effects
            .admin(clearing.request, clearing.after, AdminAnswer::Purged { messages });
    }
}
