//! What was delivered to a connection and not taken by its client: how much of it there may be, in bytes.
//!
//! The prefetch bounds the number of deliveries, this their memory: a client that does not read must not hold the bodies of a whole prefetch. Each connection may have
//! `untaken_bytes_max`; once all connections together have `untaken_bytes_all_max`, each may have [`FLOOR_BYTES`]. Whoever has nothing is given one message, whatever its size.
//! A delivery is taken when its session has encoded it for a socket that had room. Proved by `tests/engine/untaken.rs`.

use std::cell::Cell;
use std::rc::Rc;

use message::{ConnectionId, ConsumerId};
use record::Store;

use crate::engine::Engine;
use crate::settings::Settings;
use crate::time::EngineTime;

/// What a connection may have while all of them together have what they may, bytes.
const FLOOR_BYTES: usize = 16 << 10;

/// What all connections have, bytes.
pub(crate) type UntakenOfAll = Rc<Cell<usize>>;

/// What one connection has; its consumers share it.
#[derive(Debug)]
pub(crate) struct Untaken {
    own: Cell<usize>,
    own_max: usize,
    all: UntakenOfAll,
    all_max: usize,
    /// A consumer was passed over because of it.
    holds_up: Cell<bool>,
}

impl Untaken {
    pub(crate) fn new(settings: &Settings, all: &UntakenOfAll) -> Rc<Untaken> {
        Rc::new(Untaken {
            own: Cell::new(0),
            own_max: settings.untaken_bytes_max,
            all: Rc::clone(all),
            all_max: settings.untaken_bytes_all_max,
            holds_up: Cell::new(false),
        })
    }

    fn max(&self) -> usize {
        if self.all.get() < self.all_max {
            self.own_max
        } else {
            self.own_max.min(FLOOR_BYTES)
        }
    }

    /// Whether one more message may be delivered; if not, somebody waits.
    pub(crate) fn has_room(&self) -> bool {
        let has_room = self.own.get() == 0 || self.own.get() < self.max();
        if !has_room {
            self.holds_up.set(true);
        }
        has_room
    }

    pub(crate) fn add(&self, bytes: usize) {
        self.own.set(self.own.get() + bytes);
        self.all.set(self.all.get() + bytes);
    }

    fn remove(&self, bytes: usize) {
        let bytes = bytes.min(self.own.get());
        self.own.set(self.own.get() - bytes);
        self.all.set(self.all.get() - bytes);
    }

    /// Whether those who were held up can go on: when half is taken, so that not every message wakes them.
    fn lets_go_on(&self) -> bool {
        self.holds_up.get() && self.own.get() <= self.max() / 2
    }
}

/// The connection is gone, and what it had with it.
impl Drop for Untaken {
    fn drop(&mut self) {
        self.remove(self.own.get());
    }
}

impl Engine {
    /// Memory of deliveries that were not taken, of all connections; bytes.
    pub fn untaken_bytes(&self) -> usize {
        self.untaken.get()
    }

    /// A client has taken deliveries whose messages hold so many bytes ([`Message::bytes_held`](message::Message::bytes_held)), or they were given up.
    pub fn taken(&mut self, now: EngineTime, connection: ConnectionId, bytes: usize, store: &mut dyn Store) {
        let Some(known) = self.connections.get(&connection) else {
            return;
        };
        known.untaken.remove(bytes);
        if !known.untaken.lets_go_on() {
            return;
        }
        known.untaken.holds_up.set(false);
        let consumers: Vec<ConsumerId> = known.consumers.iter().copied().collect();
        for id in consumers {
            if self
                .consumers
                .get(&id)
                .is_some_and(|consumer| consumer.browser.is_some())
            {
                self.browsing.insert(id);
            }
            self.awake.insert(id);
        }
        let mut step = self.begin(now, store);
        self.settle(&mut step);
    }
}
