//! Consumers of one queue that want the same: one look at each message for all of them.
//!
//! An interest is a selector (or none) and, for consumers that leave out their own connection's messages, that connection. It remembers how far it has looked in each lane; what was given back behind that point
//! waits in `returned`, and what only a busy consumer may have, because of its message group, in `parked`. Invariant: every message that is not in flight, and that an interest has not found
//! unsuitable, lies at or beyond its cursors, in `returned` or in `parked`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use message::selector::Selector;
use message::{ConnectionId, ConsumerId};

use crate::backlog::{Backlog, Cursors, Found, Position};

/// Whose turn it is: higher priority first, then who was served longest ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Turn {
    pub(crate) priority: Reverse<i8>,
    /// When it was last served, counted by the queue's deliveries.
    pub(crate) served: u64,
    pub(crate) consumer: ConsumerId,
}

/// Where a message for an interest was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Ahead of the cursors.
    Ahead,
    /// It was given back.
    Returned,
}

/// One interest.
#[derive(Debug, Default)]
pub(crate) struct Interest {
    pub(crate) selector: Option<Arc<Selector>>,
    pub(crate) no_local: Option<ConnectionId>,
    /// Its consumers.
    pub(crate) members: usize,
    /// Those of them that may have room.
    pub(crate) ready: BTreeSet<Turn>,
    cursors: Cursors,
    returned: BTreeSet<Position>,
    parked: BTreeMap<ConsumerId, BTreeSet<Position>>,
    parked_count: usize,
    /// Messages passed since bodies were last asked for ahead.
    pub(crate) passed: usize,
    /// Nothing is left to look at until something arrives or comes back.
    pub(crate) is_exhausted: bool,
}

impl Interest {
    pub(crate) fn new(selector: Option<Arc<Selector>>, no_local: Option<ConnectionId>) -> Interest {
        Interest {
            selector,
            no_local,
            ..Interest::default()
        }
    }

    /// Whether `other` wants the same.
    pub(crate) fn wants(&self, selector: Option<&Selector>, no_local: Option<ConnectionId>) -> bool {
        self.no_local == no_local && self.selector.as_deref().map(Selector::text) == selector.map(Selector::text)
    }

    /// The next message to look at.
    pub(crate) fn peek(&self, backlog: &Backlog) -> Option<(Position, Source, Option<Found>)> {
        let returned = self.returned.first().copied();
        let lane_end = returned.map_or(crate::backlog::LANES, |position| position.lane() + 1);
        let ahead = backlog.next_before(&self.cursors, lane_end);
        match (returned, ahead) {
            (None, None) => None,
            (Some(position), None) => Some((position, Source::Returned, backlog.get(position))),
            (Some(returned), Some((position, _))) if returned <= position => {
                Some((returned, Source::Returned, backlog.get(returned)))
            }
            (None | Some(_), Some((position, found))) => Some((position, Source::Ahead, Some(found))),
        }
    }

    /// Counts a message as looked at.
    pub(crate) fn pass(&mut self, position: Position, source: Source) {
        self.passed += 1;
        match source {
            Source::Ahead => self.cursors.advance(position),
            Source::Returned => {
                self.returned.remove(&position);
            }
        }
    }

    /// A message is to be had again.
    pub(crate) fn give_back(&mut self, position: Position) {
        self.is_exhausted = false;
        if self.cursors.has_passed(position) {
            self.returned.insert(position);
        }
    }

    /// Keeps a message aside for a consumer that is busy.
    pub(crate) fn park(&mut self, position: Position, source: Source, owner: ConsumerId) {
        self.pass(position, source);
        if self.parked.entry(owner).or_default().insert(position) {
            self.parked_count += 1;
        }
    }

    /// How many messages are kept aside.
    pub(crate) fn parked(&self) -> usize {
        self.parked_count
    }

    /// Whether messages are kept aside for a consumer.
    pub(crate) fn has_parked_for(&self, owner: ConsumerId) -> bool {
        self.parked.contains_key(&owner)
    }

    /// Gives back up to `count` messages that were kept aside for a consumer; `true` if more are left.
    pub(crate) fn unpark(&mut self, owner: ConsumerId, count: usize) -> bool {
        let Some(parked) = self.parked.get_mut(&owner) else {
            return false;
        };
        for _ in 0..count {
            let Some(position) = parked.pop_first() else { break };
            self.parked_count -= 1;
            self.returned.insert(position);
            self.is_exhausted = false;
        }
        if parked.is_empty() {
            self.parked.remove(&owner);
            return false;
        }
        true
    }

    /// The cursors, for reading ahead.
    pub(crate) fn cursors(&self) -> &Cursors {
        &self.cursors
    }

    /// What was given back, in order, for reading ahead.
    pub(crate) fn returned(&self) -> impl Iterator<Item = Position> {
        self.returned.iter().copied()
    }
}
