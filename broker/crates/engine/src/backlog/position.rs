//! The order of delivery: higher priorities first, then by arrival.

use message::{MessageNumber, PRIORITY_MAX};

/// How many priorities, and so lanes, there are.
pub(crate) const LANES: usize = PRIORITY_MAX as usize + 1;

/// A message's place in the order of delivery of one backlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// 0 for the highest priority.
    rank: u8,
    /// Its number.
    pub(crate) number: MessageNumber,
}

impl Position {
    /// Where a message of this priority and number stands. A priority beyond the highest counts as the highest.
    pub(crate) fn new(priority: u8, number: MessageNumber) -> Position {
        Position {
            rank: PRIORITY_MAX - priority.min(PRIORITY_MAX),
            number,
        }
    }

    /// The message's priority.
    pub(crate) fn priority(self) -> u8 {
        PRIORITY_MAX - self.rank
    }

    /// The index of its lane.
    pub(crate) fn lane(self) -> usize {
        usize::from(self.rank)
    }
}

/// How far somebody has looked through a backlog: per lane, the first number not yet looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursors([MessageNumber; LANES]);

impl Cursors {
    /// Behind this position: everything that stands before it counts as looked at.
    pub(crate) fn behind(position: Position) -> Cursors {
        let mut cursors = Cursors::default();
        (0..position.lane()).for_each(|lane| cursors.finish(lane));
        cursors.advance(position);
        cursors
    }

    /// The first number not yet looked at in a lane.
    pub(crate) fn at(&self, lane: usize) -> MessageNumber {
        self.0[lane]
    }

    /// Counts a position, and all before it in its lane, as looked at.
    pub(crate) fn advance(&mut self, position: Position) {
        self.0[position.lane()] = MessageNumber(position.number.0.saturating_add(1));
    }

    /// Counts a whole lane as looked at.
    pub(crate) fn finish(&mut self, lane: usize) {
        self.0[lane] = MessageNumber(u64::MAX);
    }

    /// Whether a position was looked at.
    pub(crate) fn has_passed(&self, position: Position) -> bool {
        position.number < self.0[position.lane()]
    }
}
