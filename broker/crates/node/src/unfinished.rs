//! The memory of unfinished frames and of commands that wait for space, over all connections: who may be read, and how much.
//!
//! Every connection has [`FLOOR_BYTES`] of its own, whatever others hold: so small frames, acknowledgements above all, always get through. What goes beyond is taken from one budget,
//! `unfinished_bytes_max`. Once that is used up, a connection is not read beyond its floor, and TCP makes its client wait. The oldest unfinished frame alone may go on, up to
//! one frame beyond the budget, so that frames never wait for each other in a circle; it has to come on by [`PROGRESS_BYTES`] within `unfinished_progress_within` while others wait, or
//! its connection is closed. A connection that is not read for a reason of its own (its client takes no answers, or its sends wait for space) gives up its place: nobody can say when it is read again.
//!
//! Invariant: all of it together takes at most the budget, one frame, and two floors for each connection. docs/decisions/0009 has the reasons. Tests: here, and `tests/node/unfinished.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use message::ConnectionId;
use platform::BootTime;

/// What a connection may always have unfinished, bytes.
pub(crate) const FLOOR_BYTES: usize = 16 << 10;

/// By how much the oldest unfinished frame must come on while others wait, bytes.
pub(crate) const PROGRESS_BYTES: usize = 1 << 20;

/// The most that is read from a connection at a time, bytes.
pub(crate) const READ_BYTES_MAX: usize = 64 << 10;

/// What bounds the unfinished.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) bytes_max: usize,
    pub(crate) frame_bytes_max: usize,
    pub(crate) progress_within: Duration,
}

/// A connection whose unfinished frame has used up its floor.
#[derive(Debug)]
struct Large {
    bytes: usize,
    /// How many frames its connection had finished when this one was begun.
    frames: u64,
    /// Its place in the line: the lower is the older.
    ticket: u64,
}

/// How the oldest frame gets on while others wait.
#[derive(Clone, Copy, Debug)]
struct Watch {
    ticket: u64,
    bytes: usize,
    until: BootTime,
}

/// All unfinished frames.
#[derive(Debug)]
pub(crate) struct Unfinished {
    bounds: Bounds,
    large: BTreeMap<ConnectionId, Large>,
    line: BTreeMap<u64, ConnectionId>,
    next_ticket: u64,
    /// What the frames take beyond the floors.
    beyond: usize,
    watch: Option<Watch>,
}

impl Unfinished {
    pub(crate) fn new(bounds: Bounds) -> Unfinished {
        Unfinished {
            bounds,
            large: BTreeMap::new(),
            line: BTreeMap::new(),
            next_ticket: 0,
            beyond: 0,
            watch: None,
        }
    }

    /// Takes note of what a connection has unfinished, and how many frames it has finished.
    pub(crate) fn update(&mut self, connection: ConnectionId, bytes: usize, frames: u64) {
        if bytes < FLOOR_BYTES {
            self.remove(connection);
            return;
        }
        self.beyond += bytes - FLOOR_BYTES;
        if let Some(large) = self.large.get_mut(&connection) {
            self.beyond -= large.bytes - FLOOR_BYTES;
            large.bytes = bytes;
            if large.frames == frames {
                return;
            }
            // Another frame: it stands in line behind all others.
            large.frames = frames;
            self.line.remove(&large.ticket);
            large.ticket = self.next_ticket;
        } else {
            let ticket = self.next_ticket;
            self.large.insert(connection, Large { bytes, frames, ticket });
        }
        self.line.insert(self.next_ticket, connection);
        self.next_ticket += 1;
    }

    /// A connection is gone, or has nothing large unfinished any more.
    pub(crate) fn remove(&mut self, connection: ConnectionId) {
        if let Some(large) = self.large.remove(&connection) {
            self.beyond -= large.bytes - FLOOR_BYTES;
            self.line.remove(&large.ticket);
        }
    }

    /// Lets the first in line that is read come first: those before it step back behind all others, in their order.
    pub(crate) fn pass_over(&mut self, is_read: impl Fn(ConnectionId) -> bool) {
        let Some(first) = self
            .line
            .iter()
            .find(|(_, id)| is_read(**id))
            .map(|(ticket, _)| *ticket)
        else {
            return;
        };
        let rest = self.line.split_off(&first);
        for connection in std::mem::replace(&mut self.line, rest).into_values() {
            if let Some(large) = self.large.get_mut(&connection) {
                large.ticket = self.next_ticket;
                self.line.insert(self.next_ticket, connection);
                self.next_ticket += 1;
            }
        }
    }

    /// How many connections have a large frame unfinished.
    pub(crate) fn len(&self) -> usize {
        self.large.len()
    }

    /// Bytes of frames beyond the floors.
    pub(crate) fn bytes(&self) -> usize {
        self.beyond
    }

    /// How much may be read from a connection that has so much unfinished and waiting, while `waiting` bytes of commands wait on all connections.
    pub(crate) fn read_bytes_max(&self, connection: ConnectionId, own: usize, waiting: usize) -> usize {
        let floor = FLOOR_BYTES.saturating_sub(own);
        let taken = self.beyond + waiting;
        let bound = match self.oldest() {
            Some(oldest) if oldest == connection => self.bounds.bytes_max + self.bounds.frame_bytes_max,
            Some(_) | None => self.bounds.bytes_max,
        };
        bound.saturating_sub(taken).max(floor).min(READ_BYTES_MAX)
    }

    /// The connection whose large frame was begun first.
    pub(crate) fn oldest(&self) -> Option<ConnectionId> {
        self.line.values().next().copied()
    }

    /// Whether somebody waits for what the oldest frame takes.
    pub(crate) fn is_scarce(&self, waiting: usize) -> bool {
        self.large.len() > 1 && self.beyond + waiting >= self.bounds.bytes_max
    }

    /// Looks after the oldest frame: the connection to close, because it does not come on. `is_read`: whether the oldest is read at present; if not, its silence is ours.
    pub(crate) fn stalled(&mut self, now: BootTime, waiting: usize, is_read: bool) -> Option<ConnectionId> {
        let oldest = self.oldest().and_then(|oldest| self.large.get_key_value(&oldest));
        let Some((connection, large)) = oldest.filter(|_| is_read && self.is_scarce(waiting)) else {
            self.watch = None;
            return None;
        };
        match self.watch {
            Some(watch) if watch.ticket == large.ticket && large.bytes < watch.bytes + PROGRESS_BYTES => {
                (now >= watch.until).then_some(*connection)
            }
            Some(_) | None => {
                self.watch = Some(Watch {
                    ticket: large.ticket,
                    bytes: large.bytes,
                    until: now + self.bounds.progress_within,
                });
                None
            }
        }
    }

    /// When [`Unfinished::stalled`] is to be asked next.
    pub(crate) fn next_deadline(&self) -> Option<BootTime> {
        self.watch.map(|watch| watch.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    /// Clients that send whatever they are read, each a frame of a given length after the other, until nobody gets on.
    struct Crowd {
        unfinished: Unfinished,
        clients: BTreeMap<ConnectionId, Client>,
        most: usize,
    }

    struct Client {
        has: usize,
        of: usize,
        frames: u64,
        /// It says nothing more.
        is_silent: bool,
    }

    impl Crowd {
        fn new(bytes_max: usize, frame_bytes_max: usize) -> Crowd {
            let progress_within = Duration::from_secs(10);
            Crowd {
                unfinished: Unfinished::new(Bounds {
                    bytes_max,
                    frame_bytes_max,
                    progress_within,
                }),
                clients: BTreeMap::new(),
                most: 0,
            }
        }

        fn join(&mut self, number: u64, of: usize) {
            let client = Client {
                has: 0,
                of,
                frames: 0,
                is_silent: false,
            };
            self.clients.insert(ConnectionId(number), client);
        }

        /// Reads once from every client; whether anything came.
        fn round(&mut self) -> bool {
            let mut came = false;
            for (id, client) in &mut self.clients {
                let may = self.unfinished.read_bytes_max(*id, client.has, 0);
                let count = may.min(client.of - client.has);
                if client.is_silent || count == 0 {
                    continue;
                }
                came = true;
                client.has += count;
                if client.has == client.of {
                    client.has = 0;
                    client.frames += 1;
                }
                self.unfinished.update(*id, client.has, client.frames);
                self.most = self.most.max(self.unfinished.bytes());
            }
            came
        }

        fn frames(&self, number: u64) -> u64 {
            self.clients[&ConnectionId(number)].frames
        }
    }

    #[test]
    fn many_large_frames_come_to_their_end_one_after_another_within_the_budget_and_one_frame() {
        let (budget, frame) = (8 * MIB, 3 * MIB);
        let mut crowd = Crowd::new(budget, frame);
        (0..40).for_each(|number| crowd.join(number, frame));
        while (0..40).any(|number| crowd.frames(number) < 3) {
            assert!(crowd.round(), "nobody gets on");
        }
        assert!(crowd.most > budget - MIB, "{}", crowd.most);
        assert!(crowd.most <= budget + frame, "{}", crowd.most);
        let frames: Vec<u64> = (0..40).map(|number| crowd.frames(number)).collect();
        let (least, most) = (frames.iter().min().unwrap(), frames.iter().max().unwrap());
        assert!(*most < least + 40, "{frames:?}: nobody is passed over for ever");
    }

    #[test]
    fn a_budget_below_one_frame_lets_frames_through_one_by_one() {
        let mut crowd = Crowd::new(0, 3 * MIB);
        (0..5).for_each(|number| crowd.join(number, 3 * MIB));
        while (0..5).any(|number| crowd.frames(number) < 2) {
            assert!(crowd.round(), "nobody gets on");
        }
        assert!(crowd.most <= 3 * MIB, "{}", crowd.most);
    }

    #[test]
    fn small_frames_get_through_while_everything_is_taken() {
        let mut crowd = Crowd::new(MIB, 3 * MIB);
        (0..4).for_each(|number| crowd.join(number, 2 * MIB));
        for _ in 0..100 {
            crowd.round();
            for client in crowd.clients.values_mut() {
                client.is_silent |= client.has > MIB / 8;
            }
        }
        crowd.join(9, 1 << 10);
        crowd.join(10, FLOOR_BYTES);
        for round in 1..=50 {
            crowd.round();
            assert_eq!((crowd.frames(9), crowd.frames(10)), (round, round));
        }
    }

    #[test]
    fn who_holds_what_others_wait_for_and_does_not_come_on_is_closed() {
        let mut crowd = Crowd::new(MIB, 3 * MIB);
        crowd.join(1, 3 * MIB);
        while crowd.clients[&ConnectionId(1)].has < 2 * MIB {
            crowd.round();
        }
        crowd.clients.get_mut(&ConnectionId(1)).unwrap().is_silent = true;
        let second = Duration::from_secs(1);
        let at = |seconds: u32| BootTime(0) + second * seconds;
        let stalled = |crowd: &mut Crowd, seconds| crowd.unfinished.stalled(at(seconds), 0, true);
        // Nobody else waits: it may take its time.
        assert_eq!(stalled(&mut crowd, 0), None);
        assert_eq!(crowd.unfinished.next_deadline(), None);
        crowd.join(2, 3 * MIB);
        while crowd.round() {}
        assert_eq!(crowd.frames(2), 0);
        assert_eq!(stalled(&mut crowd, 100), None);
        assert_eq!(crowd.unfinished.next_deadline(), Some(at(110)));
        assert_eq!(stalled(&mut crowd, 109), None);
        // While the broker does not read from it, its silence is not its own.
        assert_eq!(crowd.unfinished.stalled(at(110), 0, false), None);
        assert_eq!(stalled(&mut crowd, 120), None);
        assert_eq!(stalled(&mut crowd, 130), Some(ConnectionId(1)));
        crowd.unfinished.remove(ConnectionId(1));
        crowd.clients.remove(&ConnectionId(1));
        crowd.round();
        assert_eq!(stalled(&mut crowd, 131), None);
        while crowd.frames(2) == 0 {
            assert!(crowd.round(), "it goes on");
        }
    }

    #[test]
    fn who_is_not_read_lets_the_next_that_is_read_pass() {
        let mut crowd = Crowd::new(MIB, 3 * MIB);
        (1..=4).for_each(|number| crowd.join(number, 3 * MIB));
        while crowd.round() {
            crowd.clients.get_mut(&ConnectionId(1)).unwrap().is_silent = true;
            crowd.clients.get_mut(&ConnectionId(2)).unwrap().is_silent = true;
        }
        assert_eq!(crowd.unfinished.oldest(), Some(ConnectionId(1)));
        crowd.unfinished.pass_over(|_| false);
        assert_eq!(crowd.unfinished.oldest(), Some(ConnectionId(1)), "nobody is read");
        crowd.unfinished.pass_over(|id| id.0 > 2);
        assert_eq!(crowd.unfinished.oldest(), Some(ConnectionId(3)));
        let line: Vec<u64> = crowd.unfinished.line.values().map(|id| id.0).collect();
        assert_eq!(line, [3, 4, 1, 2]);
        while crowd.frames(3) == 0 || crowd.frames(4) == 0 {
            assert!(crowd.round(), "those who are read get on");
        }
        assert!(crowd.most <= 4 * MIB, "{}", crowd.most);
    }

    #[test]
    fn coming_on_slowly_is_enough() {
        let mut unfinished = Unfinished::new(Bounds {
            bytes_max: 0,
            frame_bytes_max: 100 * MIB,
            progress_within: Duration::from_secs(10),
        });
        let mut bytes = MIB;
        unfinished.update(ConnectionId(1), bytes, 0);
        unfinished.update(ConnectionId(2), MIB, 0);
        for tenth in 0..50_u32 {
            let now = BootTime(0) + Duration::from_secs(9) * tenth;
            assert_eq!(unfinished.stalled(now, 0, true), None, "{tenth}");
            bytes += PROGRESS_BYTES;
            unfinished.update(ConnectionId(1), bytes, 0);
        }
    }

    #[test]
    fn what_waits_for_space_is_part_of_the_budget_and_stops_the_oldest_too() {
        let mut unfinished = Unfinished::new(Bounds {
            bytes_max: 10 * MIB,
            frame_bytes_max: 2 * MIB,
            progress_within: Duration::from_secs(10),
        });
        let (first, second) = (ConnectionId(1), ConnectionId(2));
        assert_eq!(unfinished.read_bytes_max(first, 0, 0), READ_BYTES_MAX);
        unfinished.update(first, FLOOR_BYTES, 0);
        unfinished.update(second, FLOOR_BYTES, 0);
        let may_read = |id, waiting| unfinished.read_bytes_max(id, FLOOR_BYTES, waiting);
        assert_eq!(may_read(second, 9 * MIB), READ_BYTES_MAX);
        assert_eq!(may_read(second, 10 * MIB), 0);
        assert_eq!(may_read(first, 10 * MIB), READ_BYTES_MAX);
        assert_eq!(may_read(first, 12 * MIB), 0);
        assert_eq!(
            unfinished.read_bytes_max(ConnectionId(3), 100, 12 * MIB),
            FLOOR_BYTES - 100
        );
    }
}
