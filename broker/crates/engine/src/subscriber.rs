//! Topics' subscribers of the moment: what waits for a slow one goes out when it has room; what expired meanwhile does not.

use message::{ConsumerId, Delivery, Event};

use crate::consumer::{Consumer, InFlight, PendingCopy};
use crate::effect::Effects;
use crate::engine::Engine;
use crate::step::Step;

/// Delivers a topic's message.
pub(crate) fn deliver(consumer: &mut Consumer, copy: PendingCopy, effects: &mut Effects) {
    let tag = consumer.take_off(InFlight::Copy, &copy.message);
    let delivery = Delivery {
        consumer: consumer.id,
        tag,
        message: copy.message,
        number: copy.number,
        redelivered: false,
        redeliveries: 0,
    };
    effects.event(consumer.id.connection, copy.after, Event::Deliver(delivery));
}

impl Engine {
    /// Delivers what waits for a subscriber, as far as it has room.
    pub(crate) fn deliver_pending(&mut self, step: &mut Step<'_>, id: ConsumerId) {
        let Some(consumer) = self.consumers.get_mut(&id) else {
            return;
        };
        while !step.is_over() && consumer.room() > 0 {
            let Some(copy) = consumer.next_pending() else { return };
            step.spend(1);
            let is_expired = crate::dispatch::is_past(copy.message.expiration, step.now.0);
            if let Some(topic) = self.topics.get_mut(&copy.topic) {
                if is_expired {
                    topic.counters.expired += 1;
                } else {
                    topic.counters.dispatched += 1;
                }
            }
            if is_expired {
                self.totals.expired += 1;
            } else {
                self.totals.dispatched += 1;
                deliver(consumer, copy, &mut self.effects);
            }
        }
    }
}
