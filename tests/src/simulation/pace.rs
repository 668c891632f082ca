//! How fast a client moves bytes: what it reads of what its kernel has, and what it says of what it has to say.
//!
//! Invariant: what is read and what is said keeps its order; only the moments differ. A client that keeps up reads and says everything at once.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use platform::BootTime;
use simulated::Prng;

/// How fast a client moves bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Reads and says everything at once.
    Even,
    /// Reads a piece now and then.
    Sips,
    /// Reads at once, then nothing for long, and goes on.
    Pauses,
    /// Reads the first pieces and then nothing more.
    Deaf,
    /// Says a few bytes at a time.
    Trickles,
    /// Stops in the middle of what it says, for good.
    FallsSilent,
}

impl Pace {
    /// Its name among what was met.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Pace::Even => None,
            Pace::Sips => Some("slow client: reads a piece now and then"),
            Pace::Pauses => Some("slow client: pauses in reading"),
            Pace::Deaf => Some("slow client: reads no more"),
            Pace::Trickles => Some("slow client: a few bytes at a time"),
            Pace::FallsSilent => Some("slow client: falls silent"),
        }
    }

    fn reads_slowly(self) -> bool {
        match self {
            Pace::Sips | Pace::Pauses | Pace::Deaf => true,
            Pace::Even | Pace::Trickles | Pace::FallsSilent => false,
        }
    }

    fn says_slowly(self) -> bool {
        match self {
            Pace::Trickles | Pace::FallsSilent => true,
            Pace::Even | Pace::Sips | Pace::Pauses | Pace::Deaf => false,
        }
    }
}

/// What both kernels hold of what a client does not read, bytes; one of these.
const WINDOWS: [usize; 4] = [512, 4 << 10, 32 << 10, 128 << 10];

/// One connection's pace.
#[derive(Debug)]
pub(super) struct Tempo {
    pace: Pace,
    prng: Prng,
    window: usize,
    /// It reads nothing before; `None`: never again.
    reads_from: Option<BootTime>,
    /// Pieces until a deaf client reads no more.
    pieces: u64,
    unsaid: VecDeque<u8>,
    says_from: BootTime,
    /// Bytes until one who falls silent says no more.
    bytes: usize,
}

impl Tempo {
    pub(super) fn new(pace: Pace, mut prng: Prng) -> Tempo {
        Tempo {
            window: WINDOWS[prng.index(WINDOWS.len())],
            pieces: 1 + prng.below(20),
            bytes: prng.index(1_500),
            pace,
            prng,
            reads_from: Some(BootTime(0)),
            unsaid: VecDeque::new(),
            says_from: BootTime(0),
        }
    }

    /// The pace of one who keeps up: nothing is drawn for it.
    pub(super) fn even() -> Tempo {
        Tempo::new(Pace::Even, Prng::new(0))
    }

    /// Whether it may be late in reading: what it reads now may have left long ago.
    pub(super) fn reads_slowly(&self) -> bool {
        self.pace.reads_slowly()
    }

    /// How many bytes the kernels take beside those that are under way already.
    pub(super) fn room(&self, under_way: usize) -> usize {
        if self.reads_slowly() {
            self.window.saturating_sub(under_way)
        } else {
            usize::MAX
        }
    }

    /// When it reads what arrives at that moment; `None`: never.
    pub(super) fn reads_at(&self, arrival: BootTime) -> Option<BootTime> {
        self.reads_from.map(|from| from.max(arrival))
    }

    /// It read a piece.
    pub(super) fn has_read(&mut self, now: BootTime) {
        match self.pace {
            Pace::Even | Pace::Trickles | Pace::FallsSilent => {}
            Pace::Sips => {
                let pause = self.prng.between(Duration::from_millis(1), Duration::from_millis(120));
                self.reads_from = Some(now + pause);
            }
            Pace::Pauses => {
                if self.prng.below(30) == 0 {
                    let pause = self.prng.between(Duration::from_millis(300), Duration::from_secs(12));
                    self.reads_from = Some(now + pause);
                }
            }
            Pace::Deaf => {
                self.pieces -= 1;
                if self.pieces == 0 {
                    self.reads_from = None;
                }
            }
        }
    }

    /// Takes what the client has to say; what of it leaves at once.
    pub(super) fn say(&mut self, bytes: Bytes) -> Option<Bytes> {
        if self.pace.says_slowly() {
            self.unsaid.extend(&bytes);
            None
        } else {
            Some(bytes)
        }
    }

    /// When [`Tempo::said`] gives something.
    pub(super) fn says_at(&self) -> Option<BootTime> {
        let is_silent = self.pace == Pace::FallsSilent && self.bytes == 0;
        (!self.unsaid.is_empty() && !is_silent).then_some(self.says_from)
    }

    /// What leaves now of what was not said yet.
    pub(super) fn said(&mut self, now: BootTime) -> Option<Bytes> {
        if self.says_at()? > now {
            return None;
        }
        let count = if self.pace == Pace::FallsSilent {
            let count = self.unsaid.len().min(self.bytes);
            self.bytes -= count;
            count
        } else {
            // Mostly one by one; larger ones now and then, or nothing would ever be done.
            let most = if self.prng.below(3) == 0 { 300 } else { 3 };
            (1 + self.prng.index(most)).min(self.unsaid.len())
        };
        self.says_from = now + self.prng.between(Duration::from_millis(1), Duration::from_millis(30));
        Some(self.unsaid.drain(..count).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything_said(pace: Pace) -> (Vec<u8>, usize) {
        let (mut tempo, mut said, mut pieces) = (Tempo::new(pace, Prng::new(4)), Vec::new(), 0);
        for part in [&b"SEND\n"[..], b"destination:/queue/a\n", b"\nhello\0"] {
            said.extend(tempo.say(Bytes::copy_from_slice(part)).into_iter().flatten());
        }
        while let Some(at) = tempo.says_at() {
            said.extend(tempo.said(at).expect("its time has come"));
            pieces += 1;
        }
        (said, pieces)
    }

    #[test]
    fn who_trickles_says_everything_in_order_and_in_many_pieces() {
        let (said, pieces) = everything_said(Pace::Trickles);
        assert_eq!(said, b"SEND\ndestination:/queue/a\n\nhello\0");
        assert!(pieces > 1, "{pieces}");
        assert_eq!(everything_said(Pace::Even), (said, 0));
    }

    #[test]
    fn who_falls_silent_says_a_beginning_and_nothing_more() {
        let ends = (0..50).map(|seed| {
            let mut tempo = Tempo::new(Pace::FallsSilent, Prng::new(seed));
            tempo.say(Bytes::from(vec![7; 2_000]));
            let said = tempo.said(BootTime(0)).map_or(0, |bytes| bytes.len());
            assert_eq!(tempo.says_at(), None);
            said
        });
        let ends: std::collections::BTreeSet<usize> = ends.collect();
        assert!(ends.len() > 20 && ends.iter().all(|end| *end < 2_000), "{ends:?}");
    }

    #[test]
    fn who_is_deaf_reads_a_few_pieces_and_then_never_again() {
        let mut tempo = Tempo::new(Pace::Deaf, Prng::new(1));
        let mut pieces = 0;
        while let Some(at) = tempo.reads_at(BootTime(5)) {
            tempo.has_read(at);
            pieces += 1;
        }
        assert!((1..=20).contains(&pieces), "{pieces}");
        assert!(tempo.room(0) < usize::MAX && tempo.room(usize::MAX) == 0);
    }
}
