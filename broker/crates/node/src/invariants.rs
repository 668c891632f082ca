//! What must be true of what a node holds between two turns. It walks everything, so it is for tests: the simulation asks after every run, and at points in it.

use std::collections::BTreeSet;

use message::ConnectionId;

use crate::node::{Node, Phase};

impl Node {
    /// The first invariant that is broken, in words; `None`: all hold, or nobody leads here.
    pub fn broken_invariant(&self) -> Option<String> {
        let Phase::Leading(leading) = &self.phase else {
            return None;
        };
        let (connections, connections_max) = (self.peers.len(), self.settings.connections_max);
        if connections > connections_max {
            return Some(format!("there are {connections} connections of {connections_max}"));
        }
        let peers: BTreeSet<ConnectionId> = self.peers.connections().collect();
        let known: BTreeSet<ConnectionId> = leading.engine.connected().collect();
        if let Some(connection) = known.symmetric_difference(&peers).next() {
            return Some(format!("only one of session and engine knows {connection:?}"));
        }
        leading.engine.broken_invariant()
    }
}
