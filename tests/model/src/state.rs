//! A state of the whole: the file server, the brokers, and what has been confirmed.
//!
//! What an operation does at the server is one step; its issue and its reply are none, because nobody sees them. So *delayed at will* is: the step comes when it comes, and the broker's next step too.
//! An operation that a dead broker had out is *late*: it can still take effect, at any time, or never. While the server can still crash, what has taken effect is *in doubt* until the reply is back.

use crate::broker::Broker;
use crate::history::{Checkpoint, EPOCHS_MAX, History, Slots};

/// More brokers do not fit.
pub const BROKERS_MAX: usize = 3;

/// What a root says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Root {
    /// Rises with every update, from 1.
    pub update: u8,
    /// SEALED: what counts of lower epochs, since the older named checkpoint.
    pub sealed: History,
    /// Slots in announced segments. (A segment holds one slot where rolls are modelled, all of them otherwise.)
    pub announced: u8,
    /// The newer of the two named checkpoints.
    pub newer: Checkpoint,
    /// The older of them.
    pub older: Checkpoint,
}

/// A root cell as it is read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub enum Cell {
    /// Never written.
    #[default]
    Blank,
    /// Its checksum does not match.
    Bad,
    /// Whole.
    Valid(Root),
}

/// What a pair of root cells says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RootState {
    /// The epoch never led.
    NeverSealed,
    /// It sealed, and this is what counts.
    Sealed(Root),
    /// Not to be known.
    Damaged,
}

impl RootState {
    /// *Root updates* in failover.md; the same table as `leadership::Root::read`.
    pub fn read(a: Cell, b: Cell) -> RootState {
        use Cell::{Bad, Blank, Valid};
        match (a, b) {
            (Valid(a), Valid(b)) => RootState::Sealed(if a.update >= b.update { a } else { b }),
            (Valid(root), Blank | Bad) | (Blank | Bad, Valid(root)) => RootState::Sealed(root),
            (Blank | Bad, Blank) => RootState::NeverSealed,
            (Blank | Bad, Bad) => RootState::Damaged,
        }
    }
}

/// Everything at the server that belongs to one epoch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct EpochFiles {
    /// The claim has its name.
    pub linked: bool,
    /// … and a crash can take it away.
    pub link_in_doubt: bool,
    /// A dead claimant's link of this number is still out.
    pub link_late: bool,
    /// FENCED.
    pub fenced: bool,
    /// … and a crash can take it back.
    pub fence_in_doubt: bool,
    /// A dead claimant's fence write is still out.
    pub fence_late: bool,
    /// Root A and root B.
    pub roots: [Cell; 2],
    /// The root cell (0 or 1) whose last write is in doubt, and what was there before.
    pub root_in_doubt: Option<(u8, Cell)>,
    /// A dead owner's root write that is still out.
    pub root_late: Option<(u8, Root)>,
    /// Batches that are there.
    pub slots: Slots,
    /// … of which a crash can take these.
    pub slots_in_doubt: Slots,
    /// Batches of a dead owner, or of a dead claimant that hardened, that are still out.
    pub slots_late: Slots,
    /// The confirmed position in the heartbeat: so many batches. 0: blank.
    pub beat: u8,
    /// A dead owner's heartbeat that is still out; 0: none.
    pub beat_late: u8,
    /// What was confirmed to clients, by whomever.
    pub confirmed: Slots,
    /// What its leader recovered; its checkpoints hold that, and as much of its own log as their name says.
    pub recovered: History,
}

/// Who led last, and what it had recovered when it began.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Led {
    /// Its epoch.
    pub epoch: u8,
    /// Every batch of lower epochs that counts.
    pub recovered: History,
}

/// What was broken by a step, not visible in a state afterwards.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Broken {
    /// A leader began with another history than its predecessor's, or with one that has a gap.
    pub history: bool,
    /// Something was confirmed on the strength of a fence read that began after the fence write had returned.
    pub fence: bool,
    /// A leader began after one of a higher epoch, or two of one epoch.
    pub rising: bool,
}

/// The whole.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct State {
    /// By epoch; see [`State::epoch`].
    pub epochs: [EpochFiles; EPOCHS_MAX],
    /// The processes; those beyond the configuration's number never move.
    pub brokers: [Broker; BROKERS_MAX],
    /// The newest epoch that led.
    pub led: Option<Led>,
    /// Epochs that confirmed a batch of their own, one bit each.
    pub served: u8,
    /// Segments that this checkpoint covers, and checkpoints before it, are unlinked.
    pub gone: Checkpoint,
    /// An unlink of a dead leader that is still out, the same way.
    pub gone_late: Checkpoint,
    /// The server can still crash.
    pub crash_left: bool,
    /// A cell can still be damaged.
    pub damage_left: bool,
    /// A checkpoint that cannot be read.
    pub bad_checkpoint: Checkpoint,
    /// What was broken on the way.
    pub broken: Broken,
}

impl State {
    /// The files of an epoch, counted from 1.
    pub fn epoch(&self, epoch: u8) -> &EpochFiles {
        &self.epochs[usize::from(epoch) - 1]
    }

    /// The same, to be changed.
    pub fn epoch_mut(&mut self, epoch: u8) -> &mut EpochFiles {
        &mut self.epochs[usize::from(epoch) - 1]
    }

    /// The highest claim that has a name; 0: none.
    pub fn highest_claim(&self) -> u8 {
        (1..=EPOCHS_MAX as u8)
            .rev()
            .find(|epoch| self.epoch(*epoch).linked)
            .unwrap_or(0)
    }

    /// A claim below this one has no name: damage, because claims are never removed.
    pub fn has_gap_below(&self, epoch: u8) -> bool {
        (1..epoch).any(|lower| !self.epoch(lower).linked)
    }

    /// FORMAT exists: somebody has led.
    pub fn has_format(&self) -> bool {
        self.led.is_some()
    }

    /// Everything confirmed so far.
    pub fn confirmed(&self) -> History {
        (1..=EPOCHS_MAX as u8).fold(History::default(), |confirmed, epoch| {
            confirmed.with(epoch, self.epoch(epoch).confirmed)
        })
    }
}
