//! What a configuration lets happen, beyond brokers that take steps, pause and die, whose operations land late.

/// One aspect of the protocol or of the world that can be switched on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Aspect {
    /// Operations of a dead broker land after its death, also behind a successor's seal.
    Late,
    /// The file server crashes once and loses what had not returned: batches, cells, links.
    Crash,
    /// One cell or checkpoint is damaged: torn by the crash, or later.
    Damage,
    /// Root A and root B are written, and read, one after the other.
    TwoRoots,
    /// Several writes are in flight; they take effect, and their fence reads return, in any order.
    Overlap,
    /// A segment holds one batch, so each next one is announced before it is used.
    Roll,
    /// Two named checkpoints, and deletion behind the fence.
    Checkpoints,
    /// The heartbeat carries the confirmed position.
    Heartbeat,
    /// Directory listings lag, and a look-up may say "not found" of what was created before.
    Stale,
    /// Claimants stand down after the link, and standbys follow a leader's stream with a warm engine.
    Standby,
    /// A third broker.
    Three,
}

impl Aspect {
    /// All of them, in the order of the table.
    pub const ALL: [Aspect; 11] = [
        Aspect::Late,
        Aspect::Crash,
        Aspect::Damage,
        Aspect::TwoRoots,
        Aspect::Overlap,
        Aspect::Roll,
        Aspect::Checkpoints,
        Aspect::Heartbeat,
        Aspect::Stale,
        Aspect::Standby,
        Aspect::Three,
    ];

    /// All that is not a number of brokers.
    pub const WORLD: [Aspect; 10] = [
        Aspect::Late,
        Aspect::Crash,
        Aspect::Damage,
        Aspect::TwoRoots,
        Aspect::Overlap,
        Aspect::Roll,
        Aspect::Checkpoints,
        Aspect::Heartbeat,
        Aspect::Stale,
        Aspect::Standby,
    ];

    /// As the table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Aspect::Late => "late",
            Aspect::Crash => "crash",
            Aspect::Damage => "damage",
            Aspect::TwoRoots => "two-roots",
            Aspect::Overlap => "overlap",
            Aspect::Roll => "roll",
            Aspect::Checkpoints => "checkpoints",
            Aspect::Heartbeat => "heartbeat",
            Aspect::Stale => "stale",
            Aspect::Standby => "standby",
            Aspect::Three => "three",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Aspect> {
        Aspect::ALL.into_iter().find(|aspect| aspect.name() == name)
    }

    /// One sentence for people.
    pub fn meaning(self) -> &'static str {
        match self {
            Aspect::Late => {
                "what a dead broker had out (batch, root, fence, heartbeat, link, hardening, unlink) lands at any later time, or never"
            }
            Aspect::Crash => {
                "the file server crashes once and loses any part of what had not returned, though others may have seen it: batches, cells, links"
            }
            Aspect::Damage => "one root cell or one checkpoint is damaged: torn by the crash, or at any other time",
            Aspect::TwoRoots => "root A and root B are written, and read, one after the other",
            Aspect::Overlap => "two writes are in flight; they take effect in any order, and so do their fence reads",
            Aspect::Roll => "each batch lies in a segment of its own, which the root must announce first",
            Aspect::Checkpoints => {
                "two named checkpoints, recovery from the newer or the older, deletion of what both cover"
            }
            Aspect::Heartbeat => {
                "the heartbeat carries the confirmed position, which spares hardening and shows damage"
            }
            Aspect::Stale => "directory listings lag by any number of claims",
            Aspect::Standby => {
                "standbys apply what a leader tells them is confirmed; claimants stand down after the link and keep the engine"
            }
            Aspect::Three => "a third broker",
        }
    }

    fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// A set of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Aspects(u16);

impl Aspects {
    /// Those in the list.
    pub fn of(list: &[Aspect]) -> Aspects {
        Aspects(list.iter().fold(0, |bits, aspect| bits | aspect.bit()))
    }

    /// These and one more.
    #[must_use]
    pub fn and(self, aspect: Aspect) -> Aspects {
        Aspects(self.0 | aspect.bit())
    }

    /// Whether it is among them.
    pub fn has(self, aspect: Aspect) -> bool {
        self.0 & aspect.bit() != 0
    }
}
