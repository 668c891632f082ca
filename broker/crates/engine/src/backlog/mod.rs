//! What waits in one queue or durable subscription: ten lanes, one for each priority, in the order of delivery.
//!
//! Owns the messages and nothing of who gets them. Persistent ones are entries of 40 bytes whose bodies lie in the store; the others are held in memory. Deliberately
//! absent: what is in flight (the queue's), and bodies (the cache's).
//!
//! A message whose bytes are damaged is set aside: it keeps its place and its space until it is purged, and is not counted among those that wait.

mod lane;
mod position;

use std::sync::Arc;

use message::{Message, MessageNumber};
use record::{Entry, PieceReference};

use lane::Lane;
pub(crate) use lane::{BodyAt, Expired, Found, Taken};
pub(crate) use position::{Cursors, LANES, Position};

/// Messages in the order of delivery.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    lanes: [Lane; LANES],
    /// Persistent messages that are set aside.
    set_aside: u64,
    bytes: u64,
    volatile_bytes: u64,
}

impl Backlog {
    /// Messages in it, those set aside not counted.
    pub(crate) fn messages(&self) -> u64 {
        self.everything() - self.set_aside
    }

    /// Messages in it that are set aside.
    pub(crate) fn set_aside(&self) -> u64 {
        self.set_aside
    }

    /// Messages in it, those set aside included.
    pub(crate) fn everything(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.len() as u64).sum()
    }

    /// Bytes of everything in it: as stored, or as held in memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes + self.volatile_bytes
    }

    /// Memory of the messages that are not persistent.
    pub(crate) fn volatile_bytes(&self) -> u64 {
        self.volatile_bytes
    }

    fn lane(&self, position: Position) -> &Lane {
        &self.lanes[position.lane()]
    }

    fn lane_mut(&mut self, position: Position) -> &mut Lane {
        &mut self.lanes[position.lane()]
    }

    /// Adds a persistent message. `false`: its number is not above those of its lane.
    pub(crate) fn push(&mut self, entry: Entry) -> bool {
        let lane = self.lane_mut(Position::new(entry.priority, entry.number));
        if lane.last().is_some_and(|last| last >= entry.number) {
            return false;
        }
        lane.push(entry);
        self.set_aside += u64::from(entry.set_aside);
        self.bytes += u64::from(entry.place.length);
        true
    }

    /// Adds a message that is not persistent.
    pub(crate) fn push_volatile(&mut self, number: MessageNumber, message: Arc<Message>) {
        self.volatile_bytes += message.bytes_held() as u64;
        self.lane_mut(Position::new(message.priority, number))
            .push_volatile(number, message);
    }

    /// Where the persistent entry with this number stands.
    pub(crate) fn locate(&self, number: MessageNumber) -> Option<Position> {
        (0..LANES as u8)
            .map(|priority| Position::new(priority, number))
            .find(|position| self.lane(*position).has_stored(number))
    }

    /// The message at a position.
    pub(crate) fn get(&self, position: Position) -> Option<Found> {
        self.lane(position).get(position.number)
    }

    /// The first message that `cursors` have not passed.
    pub(crate) fn next(&self, cursors: &Cursors) -> Option<(Position, Found)> {
        self.next_before(cursors, LANES)
    }

    /// The same, only in lanes before `lane_end`.
    pub(crate) fn next_before(&self, cursors: &Cursors, lane_end: usize) -> Option<(Position, Found)> {
        self.lanes[..lane_end].iter().enumerate().find_map(|(index, lane)| {
            let found = lane.next(cursors.at(index))?;
            let position = Position::new(LANES as u8 - 1 - index as u8, found.number);
            Some((position, found))
        })
    }

    /// The number up to which a dispatched-through mark is written when this message is delivered.
    pub(crate) fn ahead(&self, position: Position, count: usize) -> MessageNumber {
        self.lane(position).ahead(position.number, count)
    }

    /// The next expired message of a lane from a number on, and how many were looked at.
    pub(crate) fn next_expired(&self, from: Position, now: u64, look_max: usize) -> (Expired, usize) {
        self.lane(from).next_expired(from.number, now, look_max)
    }

    /// Takes a message out.
    pub(crate) fn take(&mut self, position: Position) -> Option<Taken> {
        let taken = self.lane_mut(position).take(position.number)?;
        match &taken {
            Taken::Stored(entry) => {
                self.set_aside -= u64::from(entry.set_aside);
                self.bytes -= u64::from(entry.place.length);
            }
            Taken::Memory(message) => self.volatile_bytes -= message.bytes_held() as u64,
        }
        Some(taken)
    }

    /// Sets the redelivery count of a persistent message. `false`: there is none.
    pub(crate) fn count_redeliveries(&mut self, number: MessageNumber, redeliveries: u16) -> bool {
        self.change(number, |entry| entry.redeliveries = redeliveries)
    }

    /// Sets a persistent message aside; twice is once. `false`: there is none.
    pub(crate) fn put_aside(&mut self, number: MessageNumber) -> bool {
        let mut is_news = false;
        let exists = self.change(number, |entry| is_news = !std::mem::replace(&mut entry.set_aside, true));
        self.set_aside += u64::from(is_news);
        exists
    }

    fn change(&mut self, number: MessageNumber, change: impl FnOnce(&mut Entry)) -> bool {
        self.locate(number)
            .is_some_and(|position| self.lane_mut(position).change(number, change))
    }

    /// Counts one more redelivery of a message that is not persistent.
    pub(crate) fn count_volatile_redelivery(&mut self, position: Position) {
        self.lane_mut(position).count_volatile_redelivery(position.number);
    }

    /// Takes all persistent messages up to a number out, those set aside included.
    pub(crate) fn purge(&mut self, through: MessageNumber) {
        for lane in &mut self.lanes {
            let gone = lane.purge(through);
            self.set_aside -= gone.set_aside;
            self.bytes -= gone.bytes;
        }
    }

    /// Takes messages up to a number out that are not persistent; how many.
    pub(crate) fn purge_volatile(&mut self, through: MessageNumber, count_max: usize) -> u64 {
        let mut gone = 0;
        for lane in &mut self.lanes {
            for message in lane.purge_volatile(through, count_max) {
                gone += 1;
                self.volatile_bytes -= message.bytes_held() as u64;
            }
        }
        gone
    }

    /// A number up to which about `count` messages stand, if there are any.
    pub(crate) fn purge_step(&self, count: usize) -> Option<MessageNumber> {
        let lanes = self.lanes.iter().filter(|lane| lane.len() > 0).count();
        self.lanes
            .iter()
            .filter_map(|lane| lane.nth((count / lanes.max(1)).max(1) - 1))
            .min()
    }

    /// The lowest number in it.
    pub(crate) fn first_number(&self) -> Option<MessageNumber> {
        self.lanes
            .iter()
            .filter_map(|lane| lane.next(MessageNumber(0)))
            .map(|found| found.number)
            .min()
    }

    /// Whether a persistent message stands at or before this number.
    pub(crate) fn has_stored_through(&self, through: MessageNumber) -> bool {
        self.lanes.iter().any(|lane| lane.has_stored_through(through))
    }

    /// Forgets up to about 1 000 messages of each priority that nobody refers to any more. How many messages could have been looked at meanwhile, and whether nothing is left.
    pub(crate) fn discard(&mut self) -> (usize, bool) {
        let mut spent = 0;
        for lane in &mut self.lanes {
            let (lane_spent, is_empty) = lane.discard();
            spent += lane_spent;
            if !is_empty {
                return (spent, false);
            }
        }
        (spent, true)
    }

    /// The lanes for an image, with their priorities.
    pub(crate) fn lanes_mut(&mut self) -> impl Iterator<Item = (u8, &mut Lane)> {
        self.lanes
            .iter_mut()
            .enumerate()
            .map(|(index, lane)| (LANES as u8 - 1 - index as u8, lane))
    }

    /// The ordinals that the next pages get, by priority; those never used are left out.
    pub(crate) fn ordinals(&self) -> impl Iterator<Item = (u8, u64)> {
        let used = |(index, lane): (usize, &Lane)| (LANES as u8 - 1 - index as u8, lane.next_ordinal());
        self.lanes.iter().enumerate().map(used).filter(|(_, next)| *next > 0)
    }

    /// Ordinals below this were used.
    pub(crate) fn skip_ordinals(&mut self, priority: u8, next: u64) {
        self.lane_mut(Position::new(priority, MessageNumber(0)))
            .skip_ordinals(next);
    }

    /// A page of the newest image lies there now.
    pub(crate) fn stored(&mut self, priority: u8, ordinal: u64, reference: PieceReference) {
        self.lane_mut(Position::new(priority, MessageNumber(0)))
            .stored(ordinal, reference);
    }

    /// Puts a page back that a checkpoint holds; those of one priority in rising order.
    pub(crate) fn restore(
        &mut self,
        priority: u8,
        ordinal: u64,
        page: Arc<record::Page>,
        reference: PieceReference,
    ) -> Result<(), &'static str> {
        if usize::from(priority) >= LANES || page.entries.iter().any(|entry| entry.priority != priority) {
            return Err("page: of another priority");
        }
        let bytes: u64 = page.entries.iter().map(|entry| u64::from(entry.place.length)).sum();
        let set_aside = lane::set_aside(&page.entries);
        self.lane_mut(Position::new(priority, MessageNumber(0)))
            .restore(ordinal, page, reference)?;
        self.set_aside += set_aside;
        self.bytes += bytes;
        Ok(())
    }
}
