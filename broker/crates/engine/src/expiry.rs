//! The sweep for expired messages that nobody looks at.
//!
//! Every `expiry_interval`, through all queues and durable subscriptions, some messages a step. What is in flight is left alone until it comes back (as in ActiveMQ). Proved by `tests/engine/expiry.rs`.

use std::ops::Bound;

use message::MessageNumber;
use record::ObjectId;

use crate::backlog::{Expired, LANES, Position};
use crate::engine::Engine;
use crate::step::Step;

/// So many expired messages may wait for their bodies before the sweep waits for them.
const READS_MAX: usize = 256;

/// How far a sweep has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sweep {
    object: ObjectId,
    from: Position,
    /// For bodies to be read.
    pub(crate) is_waiting: bool,
}

impl Engine {
    /// Goes on with a sweep, or begins one when it is due.
    pub(crate) fn sweep_on(&mut self, step: &mut Step<'_>) {
        if self.sweep.is_none() {
            if step.now < self.next_sweep {
                return;
            }
            self.next_sweep = step.now.after(self.settings.expiry_interval);
            self.sweep = self.sweep_from(ObjectId(0));
        }
        while !step.is_over()
            && let Some(mut sweep) = self.sweep
        {
            if self.dead_letters.len() >= READS_MAX {
                sweep.is_waiting = true;
                self.sweep = Some(sweep);
                return;
            }
            step.spend(1);
            self.sweep = match self.queues.get_mut(&sweep.object) {
                None => self.sweep_from(sweep.object),
                Some(queue) => {
                    let (outcome, looked) = queue.backlog.next_expired(sweep.from, step.now.0, step.budget);
                    step.spend(looked);
                    match outcome {
                        Expired::At(number) => {
                            sweep.from.number = MessageNumber(number.0 + 1);
                            let position = Position::new(sweep.from.priority(), number);
                            let is_kept = queue.backlog.get(position).is_some_and(|found| found.set_aside);
                            if !is_kept && queue.in_flight.insert(number) {
                                self.bury_expired(step, sweep.object, position);
                            }
                            Some(sweep)
                        }
                        Expired::LookedTo(number) => {
                            sweep.from.number = number;
                            Some(sweep)
                        }
                        Expired::None if sweep.from.lane() + 1 < LANES => {
                            sweep.from = Position::new(sweep.from.priority() - 1, MessageNumber(0));
                            Some(sweep)
                        }
                        Expired::None => self.sweep_from(sweep.object),
                    }
                }
            };
        }
    }

    /// At the first queue behind `object`.
    fn sweep_from(&self, object: ObjectId) -> Option<Sweep> {
        let mut queues = self.queues.range((Bound::Excluded(object), Bound::Unbounded));
        let (object, _) = queues.next()?;
        let from = Position::new(message::PRIORITY_MAX, MessageNumber(0));
        Some(Sweep {
            object: *object,
            from,
            is_waiting: false,
        })
    }
}
