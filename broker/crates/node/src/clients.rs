//! Who is connected, as one bounded look: what the engine and the sessions know, joined.

use std::ops::Bound;

use engine::{ConnectionStatistics, ConsumerStatistics};
use message::{ConnectionId, ConsumerId};
use wire::stomp::{SessionReport, SubscriptionReport};

use crate::node::Node;

/// Connections and consumers that one look goes through.
const LOOK_MAX: usize = engine::STEP_MESSAGES_MAX;

/// One client.
#[derive(Clone, Debug)]
pub struct ConnectionReport {
    /// Which.
    pub connection: ConnectionId,
    /// What the engine knows of it.
    pub statistics: ConnectionStatistics,
    /// What its session knows of it.
    pub session: SessionReport,
}

/// One consumer.
#[derive(Clone, Debug)]
pub struct ConsumerReport {
    /// What the engine knows of it.
    pub statistics: ConsumerStatistics,
    /// What its client calls it; `None`: its session ended it, and the engine is about to hear of it.
    pub subscription: Option<SubscriptionReport>,
}

impl Node {
    /// Connections in the order in which they came, those behind `after`; looks at no more than about 1 000 connections and consumers. Empty: those were all, or nobody leads here.
    pub fn connections(&self, after: Option<ConnectionId>) -> Vec<ConnectionReport> {
        let Some(engine) = self.engine() else {
            return Vec::new();
        };
        let mut looked = 0;
        let mut found = Vec::new();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        for (connection, session) in self.peers.sessions(from) {
            if looked >= LOOK_MAX {
                break;
            }
            looked += 1;
            if let Some(statistics) = engine.connection(connection) {
                looked += usize::try_from(statistics.consumers).unwrap_or(LOOK_MAX);
                found.push(ConnectionReport {
                    connection,
                    statistics,
                    session: session.report(),
                });
            }
        }
        found
    }

    /// Consumers in the order of their connections, those behind `after`, at most 1 000. Empty: those were all, or nobody leads here.
    pub fn consumers(&self, after: Option<ConsumerId>) -> Vec<ConsumerReport> {
        let Some(engine) = self.engine() else {
            return Vec::new();
        };
        let consumers = engine.consumers(after, LOOK_MAX).into_iter();
        consumers
            .map(|statistics| {
                let session = self.peers.get(statistics.consumer.connection).map(|peer| &peer.session);
                ConsumerReport {
                    subscription: session.and_then(|session| session.subscription(statistics.consumer)),
                    statistics,
                }
            })
            .collect()
    }
}
