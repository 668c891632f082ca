//! A stream of bytes from one end to the other, as bad as TCP can be: late, in pieces of any size, and cut off.
//!
//! Invariant: what arrives is a prefix of what was sent, in order.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use platform::BootTime;

use crate::Prng;

/// One direction of a connection.
#[derive(Clone, Debug)]
pub struct Link {
    prng: Prng,
    delay: (Duration, Duration),
    under_way: VecDeque<(BootTime, Bytes)>,
    cut: bool,
}

/// Pieces that one sending is cut into at most; the sizes are random, down to one byte.
const PIECES_MAX: u64 = 4;

impl Link {
    /// A link whose bytes take between both delays.
    pub fn new(prng: Prng, delay: (Duration, Duration)) -> Link {
        Link {
            prng,
            delay,
            under_way: VecDeque::new(),
            cut: false,
        }
    }

    /// Sends bytes at the moment `now`; on a link that is cut they are lost.
    pub fn send(&mut self, now: BootTime, bytes: &[u8]) {
        if self.cut {
            return;
        }
        let mut rest = Bytes::copy_from_slice(bytes);
        // Mostly in one, as networks do.
        let mut pieces = if self.prng.below(4) > 0 {
            1
        } else {
            1 + self.prng.below(PIECES_MAX)
        };
        while !rest.is_empty() {
            pieces -= 1;
            let length = if pieces == 0 {
                rest.len()
            } else {
                1 + self.prng.index(rest.len())
            };
            let arrival = now + self.prng.between(self.delay.0, self.delay.1);
            // A stream keeps its order.
            let arrival = self.under_way.back().map_or(arrival, |(last, _)| arrival.max(*last));
            self.under_way.push_back((arrival, rest.split_to(length)));
            if pieces == 0 {
                break;
            }
        }
    }

    /// The next piece that has arrived by `now`.
    pub fn receive(&mut self, now: BootTime) -> Option<Bytes> {
        if self.next_arrival()? > now {
            return None;
        }
        self.under_way.pop_front().map(|(_, bytes)| bytes)
    }

    /// When the next piece arrives.
    pub fn next_arrival(&self) -> Option<BootTime> {
        self.under_way.front().map(|(arrival, _)| *arrival)
    }

    /// Cuts the link: of what is under way a random beginning still arrives, the rest and everything later is lost.
    pub fn cut(&mut self) {
        if !self.cut {
            let arrives = self.prng.index(self.under_way.len() + 1);
            self.under_way.truncate(arrives);
            self.cut = true;
        }
    }

    /// Whether it was cut and everything that still arrives has been received: now the receiver notices.
    pub fn is_over(&self) -> bool {
        self.cut && self.under_way.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrives_is_what_was_sent_in_order_whatever_the_pieces() {
        let mut sizes = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let mut link = Link::new(Prng::new(seed), (Duration::ZERO, Duration::from_millis(5)));
            let sent: Vec<u8> = (0..50).collect();
            for (moment, part) in sent.chunks(10).enumerate() {
                link.send(BootTime(moment as u64 * 1_000_000), part);
            }
            let mut received = Vec::new();
            while let Some(arrival) = link.next_arrival() {
                assert!(arrival == BootTime(0) || link.receive(BootTime(arrival.0 - 1)).is_none());
                let piece = link.receive(arrival).unwrap();
                sizes.insert(piece.len());
                received.extend_from_slice(&piece);
            }
            assert_eq!(received, sent);
        }
        assert!(sizes.contains(&1) && sizes.contains(&10), "{sizes:?}");
    }

    #[test]
    fn a_cut_link_delivers_a_beginning_and_then_is_over() {
        let mut ends = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let mut link = Link::new(Prng::new(seed), (Duration::ZERO, Duration::from_millis(5)));
            link.send(BootTime(0), b"0123456789");
            link.cut();
            link.send(BootTime(0), b"lost");
            let mut received = Vec::new();
            while let Some(piece) = link.receive(BootTime(u64::MAX)) {
                received.extend_from_slice(&piece);
            }
            assert!(b"0123456789".starts_with(&received) && link.is_over());
            ends.insert(received.len());
        }
        assert!(ends.contains(&0) && ends.contains(&10) && ends.len() > 3, "{ends:?}");
    }
}
