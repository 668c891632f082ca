//! How a node stands, as one look from memory: what health checks and people are shown.

use std::sync::Arc;
use std::time::Duration;

use engine::Waiting;
use leadership::Identity;
use message::{Epoch, Sequence};
use platform::{Now, Space};
use record::Store;

use crate::node::{End, Node, Phase};
use crate::space;

/// What a node is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// From the first look at the directory to the seal.
    Starting,
    /// Serving.
    Leading,
    /// Confirming what is open, then gone.
    Stopping,
    /// Gone.
    Ended,
}

/// One look at a node.
#[derive(Clone, Debug)]
pub struct NodeStatus {
    /// What it is doing.
    pub role: Role,
    /// The same in words, while it starts.
    pub phase: &'static str,
    /// Its epoch, once it has claimed.
    pub epoch: Option<Epoch>,
    /// Since when it has that role.
    pub since: Now,
    /// Why it is not ready to serve; `None`: it is.
    pub not_ready: Option<String>,
    /// Bytes of the history read so far, and of how many.
    pub recovered: (u64, u64),
    /// Clients connected.
    pub connections: usize,
    /// The newest confirmed record.
    pub confirmed: Sequence,
    /// The newest record.
    pub appended: Sequence,
    /// For how long the oldest disk operation has been out.
    pub oldest_operation: Option<Duration>,
    /// Whether a write waits for space.
    pub lacks_space: bool,
    /// Why persistent sends are refused for want of space; `None`: they go on.
    pub sends_wait: Option<Arc<str>>,
    /// Connections whose sends wait for space at this moment.
    pub waiting: Waiting,
    /// Memory of unfinished frames beyond what each connection has of its own, and of commands that wait for space; bytes.
    pub unfinished_bytes: usize,
    /// Memory of messages that were delivered and that clients have not taken; bytes.
    pub untaken_bytes: usize,
    /// Space on the file system at the last look.
    pub space: Option<Space>,
    /// Segments written or reserved by this epoch, and bytes of batches confirmed by it.
    pub journal_bytes: u64,
    /// Bytes of segments that are kept, and of the ballast.
    pub store_bytes: u64,
    /// Who leads instead, if that is why it ended.
    pub leader: Option<Identity>,
    /// Messages delivered at once whose senders asked for scheduled delivery.
    pub unscheduled: u64,
    /// Damaged root, unreadable checkpoint, wall clock: what was warned of since the start.
    pub warnings: Vec<String>,
}

impl Node {
    /// How it stands now.
    pub fn status(&self, now: Now) -> NodeStatus {
        let (phase, recovered, epoch) = self.start_facts();
        let mut status = NodeStatus {
            role: Role::Starting,
            phase,
            epoch,
            since: self.since,
            not_ready: None,
            recovered,
            connections: self.peers.len(),
            confirmed: Sequence::NONE,
            appended: Sequence::NONE,
            oldest_operation: None,
            lacks_space: false,
            sends_wait: None,
            waiting: Waiting::default(),
            unfinished_bytes: 0,
            untaken_bytes: 0,
            space: None,
            journal_bytes: 0,
            store_bytes: 0,
            leader: None,
            unscheduled: self.unscheduled,
            warnings: self.warned.clone(),
        };
        match &self.phase {
            Phase::Starting(_) => status.not_ready = Some(format!("starting: {phase}")),
            Phase::Leading(leading) => {
                let oldest = leading.oldest_operation().map(|since| now.boot.since(since));
                status.role = if leading.is_resigning() {
                    Role::Stopping
                } else {
                    Role::Leading
                };
                status.confirmed = leading.journal.confirmed();
                status.appended = leading.journal.appended();
                status.oldest_operation = oldest;
                status.lacks_space = leading.journal.lacks_space();
                status.sends_wait = space::shortage(leading.space.sends);
                status.waiting = leading.engine.waiting();
                status.untaken_bytes = leading.engine.untaken_bytes();
                status.unfinished_bytes = self.unfinished.bytes() + leading.engine.bytes_waiting();
                status.space = leading.space.last;
                status.journal_bytes = leading.journal.bytes_written();
                status.store_bytes = leading.store_bytes();
                let stale = now.boot.since(leading.fresh_since());
                status.not_ready = if leading.is_resigning() {
                    Some("stopping".into())
                } else if !leading.is_fresh(now) {
                    Some(format!(
                        "the disk has not taken a heartbeat for {:.1} s; nothing is sent until it does",
                        stale.as_secs_f64()
                    ))
                } else {
                    oldest
                        .filter(|waited| *waited >= self.settings.fence_fresh)
                        .map(|waited| {
                            format!(
                                "a disk write has been out for {:.1} s; nothing is confirmed until it returns",
                                waited.as_secs_f64()
                            )
                        })
                };
            }
            Phase::Ended(end) => {
                status.role = Role::Ended;
                status.not_ready = Some(match end {
                    End::Stopped => "stopped".into(),
                    End::Failed(failure) => failure.to_string(),
                });
                if let End::Failed(crate::Failure::AnotherLeads { identity, .. }) = end {
                    status.leader = identity.as_deref().cloned();
                }
            }
        }
        status
    }
}
