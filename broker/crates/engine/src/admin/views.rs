//! Statistics: copied from counters, never computed from messages.

use std::ops::Bound;
use std::sync::Arc;

use message::Destination;
use record::ObjectId;

use super::{DestinationStatistics, Statistics, SubscriptionStatistics};
use crate::engine::Engine;
use crate::queue::Queue;

impl Engine {
    /// Destinations in order (by kind, then name), those behind `after`, at most `limit`.
    pub fn destinations(&self, after: Option<&Destination>, limit: usize) -> Vec<DestinationStatistics> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let names = self.names.range::<Destination, _>((from, Bound::Unbounded)).take(limit);
        names
            .filter_map(|(name, object)| self.describe(name, *object))
            .collect()
    }

    /// One destination.
    pub fn destination(&self, destination: &Destination) -> Option<DestinationStatistics> {
        self.describe(destination, *self.names.get(destination)?)
    }

    fn describe(&self, destination: &Destination, object: ObjectId) -> Option<DestinationStatistics> {
        if let Some(queue) = self.queues.get(&object) {
            return Some(DestinationStatistics {
                destination: destination.clone(),
                counters: queue.counters,
                messages: queue.backlog.messages(),
                set_aside: queue.backlog.set_aside(),
                bytes: queue.backlog.bytes(),
                in_flight: queue.in_flight.len() as u64,
                consumers: queue.consumers() as u64 + queue.browsers,
                producers: queue.producers,
            });
        }
        let topic = self.topics.get(&object)?;
        let mut statistics = DestinationStatistics {
            destination: destination.clone(),
            counters: topic.counters,
            messages: 0,
            set_aside: 0,
            bytes: 0,
            in_flight: 0,
            consumers: topic.subscribers.len() as u64,
            producers: topic.producers,
        };
        for durable in topic.durables.iter().filter_map(|durable| self.queues.get(durable)) {
            statistics.messages += durable.backlog.messages();
            statistics.set_aside += durable.backlog.set_aside();
            statistics.bytes += durable.backlog.bytes();
            statistics.in_flight += durable.in_flight.len() as u64;
            statistics.consumers += durable.consumers() as u64;
            statistics.counters.dequeued += durable.counters.dequeued;
            statistics.counters.dispatched += durable.counters.dispatched;
            statistics.counters.expired += durable.counters.expired;
            statistics.counters.dead_lettered += durable.counters.dead_lettered;
        }
        Some(statistics)
    }

    /// Durable subscriptions in order (by owner, then name), those behind `after`, at most `limit`.
    pub fn subscriptions(&self, after: Option<(&str, &str)>, limit: usize) -> Vec<SubscriptionStatistics> {
        let after = after.map(|(client_id, name)| (Arc::from(client_id), Arc::from(name)));
        let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let durables = self
            .durables
            .range::<(Arc<str>, Arc<str>), _>((from, Bound::Unbounded))
            .take(limit);
        let queues = durables.filter_map(|(_, object)| self.queues.get(object));
        queues
            .filter_map(|queue| queue.durable().map(|durable| (queue.as_ref(), durable)))
            .map(subscription)
            .collect()
    }

    /// Queues and durable subscriptions in which messages are set aside, as logs call them, and how many in each.
    pub fn set_aside(&self) -> impl Iterator<Item = (Arc<str>, u64)> {
        let counts = self.queues.values().map(|queue| (queue, queue.backlog.set_aside()));
        counts
            .filter(|(_, count)| *count > 0)
            .map(|(queue, count)| (queue.label(), count))
    }

    /// Everything together.
    pub fn statistics(&self) -> Statistics {
        Statistics {
            connections: self.connections.len() as u64,
            consumers: self.consumers.len() as u64,
            destinations: self.names.len() as u64,
            durable_subscriptions: self.durables.len() as u64,
            transactions: self.transactions.len() as u64,
            messages: self.queues.values().map(|queue| queue.backlog.messages()).sum(),
            set_aside: self.queues.values().map(|queue| queue.backlog.set_aside()).sum(),
            body_cache_bytes: self.cache.bytes() as u64,
            volatile_bytes: self.volatile_bytes,
            reads_outstanding: self.reads.len() as u64,
            counters: self.totals,
        }
    }
}

fn subscription((queue, durable): (&Queue, &crate::queue::Durable)) -> SubscriptionStatistics {
    SubscriptionStatistics {
        client_id: Arc::clone(&durable.client_id),
        name: Arc::clone(&durable.name),
        destinations: durable.destinations.clone(),
        selector: durable.selector.as_deref().map(|selector| selector.condition().into()),
        active: queue.consumers() > 0,
        counters: queue.counters,
        messages: queue.backlog.messages(),
        set_aside: queue.backlog.set_aside(),
        bytes: queue.backlog.bytes(),
        in_flight: queue.in_flight.len() as u64,
    }
}
