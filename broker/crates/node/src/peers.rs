//! The connections: each with its wire session and the events that wait for their records.
//!
//! Invariant: an event reaches its session only when the newest record that it rests on is confirmed, and events of one connection keep their order. So whatever a session sends is already safe.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

use message::{ConnectionId, Event, Sequence};
use platform::{BootTime, Now};
use wire::stomp::Session;

/// One connection.
pub(crate) struct Peer {
    pub(crate) session: Session,
    waiting: VecDeque<(Sequence, Waiting)>,
    /// The engine has said the last word: nothing more goes to it.
    pub(crate) closing: bool,
    timeout: Option<BootTime>,
}

enum Waiting {
    Event(Event),
    Close,
}

/// All connections, and who waits for which record.
#[derive(Default)]
pub(crate) struct Peers {
    peers: BTreeMap<ConnectionId, Peer>,
    /// The first event of each of these connections waits for this record.
    blocked: BTreeSet<(Sequence, ConnectionId)>,
    /// Connections whose session may have output, commands or a new deadline.
    touched: BTreeSet<ConnectionId>,
    /// When which session wants to be woken.
    timeouts: BTreeSet<(BootTime, ConnectionId)>,
}

impl Peers {
    pub(crate) fn insert(&mut self, connection: ConnectionId, session: Session) {
        self.peers.insert(
            connection,
            Peer {
                session,
                waiting: VecDeque::new(),
                closing: false,
                timeout: None,
            },
        );
        self.touched.insert(connection);
    }

    pub(crate) fn remove(&mut self, connection: ConnectionId) -> bool {
        let Some(peer) = self.peers.remove(&connection) else {
            return false;
        };
        if let Some((after, _)) = peer.waiting.front() {
            self.blocked.remove(&(*after, connection));
        }
        if let Some(timeout) = peer.timeout {
            self.timeouts.remove(&(timeout, connection));
        }
        self.touched.remove(&connection);
        true
    }

    pub(crate) fn get(&self, connection: ConnectionId) -> Option<&Peer> {
        self.peers.get(&connection)
    }

    pub(crate) fn get_mut(&mut self, connection: ConnectionId) -> Option<&mut Peer> {
        self.peers.get_mut(&connection)
    }

    /// Connections and their sessions, in the order in which they came.
    pub(crate) fn sessions(&self, from: Bound<ConnectionId>) -> impl Iterator<Item = (ConnectionId, &Session)> {
        let peers = self.peers.range((from, Bound::Unbounded));
        peers.map(|(connection, peer)| (*connection, &peer.session))
    }

    pub(crate) fn len(&self) -> usize {
        self.peers.len()
    }

    /// Whether nothing is read from somebody at this moment because of what it has not taken or not been answered.
    pub(crate) fn holds_up_somebody(&self) -> bool {
        self.peers.values().any(|peer| !peer.session.is_reading())
    }

    /// All connections, in order.
    pub(crate) fn connections(&self) -> impl Iterator<Item = ConnectionId> {
        self.peers.keys().copied()
    }

    /// Hands an event to a connection once `after` is confirmed, behind everything that was handed to it before.
    pub(crate) fn push(&mut self, connection: ConnectionId, after: Sequence, event: Event) {
        self.enqueue(connection, after, Waiting::Event(event));
    }

    /// Closes a connection once `after` is confirmed, behind everything that was handed to it before.
    pub(crate) fn push_close(&mut self, connection: ConnectionId, after: Sequence) {
        self.enqueue(connection, after, Waiting::Close);
    }

    fn enqueue(&mut self, connection: ConnectionId, after: Sequence, waiting: Waiting) {
        let Some(peer) = self.peers.get_mut(&connection) else {
            return;
        };
        if peer.waiting.is_empty() {
            self.blocked.insert((after, connection));
        }
        peer.waiting.push_back((after, waiting));
    }

    /// Hands over every event whose records are confirmed.
    pub(crate) fn release(&mut self, now: Now, confirmed: Sequence) {
        while let Some((after, connection)) = self.blocked.first().copied().filter(|(after, _)| *after <= confirmed) {
            self.blocked.remove(&(after, connection));
            let peer = self
                .peers
                .get_mut(&connection)
                .expect("a connection is unblocked when it is removed");
            while let Some((after, _)) = peer.waiting.front() {
                if *after > confirmed {
                    self.blocked.insert((*after, connection));
                    break;
                }
                match peer.waiting.pop_front().expect("its front was just seen").1 {
                    Waiting::Event(event) => peer.session.handle_event(now, event),
                    Waiting::Close => peer.closing = true,
                }
            }
            self.touched.insert(connection);
        }
    }

    pub(crate) fn touch(&mut self, connection: ConnectionId) {
        self.touched.insert(connection);
    }

    pub(crate) fn take_touched(&mut self) -> BTreeSet<ConnectionId> {
        std::mem::take(&mut self.touched)
    }

    /// Sets when a session wants to be woken next.
    pub(crate) fn schedule(&mut self, connection: ConnectionId, timeout: Option<BootTime>) {
        let Some(peer) = self.peers.get_mut(&connection) else {
            return;
        };
        if peer.timeout == timeout {
            return;
        }
        if let Some(before) = std::mem::replace(&mut peer.timeout, timeout) {
            self.timeouts.remove(&(before, connection));
        }
        if let Some(at) = timeout {
            self.timeouts.insert((at, connection));
        }
    }

    /// Connections whose session's time has come.
    pub(crate) fn take_due(&mut self, now: BootTime) -> Vec<ConnectionId> {
        let mut due = Vec::new();
        while let Some((at, connection)) = self.timeouts.first().copied().filter(|(at, _)| *at <= now) {
            self.timeouts.remove(&(at, connection));
            if let Some(peer) = self.peers.get_mut(&connection) {
                peer.timeout = None;
            }
            due.push(connection);
        }
        due
    }

    /// The earliest moment at which a session wants to be woken.
    pub(crate) fn next_timeout(&self) -> Option<BootTime> {
        self.timeouts.first().map(|(at, _)| *at)
    }
}
