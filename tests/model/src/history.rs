//! What a leader holds of the log: for each epoch, which of its batches count.
//!
//! A batch is named by its epoch and its slot (0, 1, …); bytes do not matter here. An epoch's owner writes no slot twice, so the name says what is in it.

/// More epochs than a configuration can have do not fit into the masks.
pub const EPOCHS_MAX: usize = 4;

/// More batches per epoch than a configuration can have do not fit into the masks.
pub const SLOTS_MAX: u8 = 4;

/// A set of slots of one epoch, one bit each.
pub type Slots = u8;

/// The slots below `count`.
pub fn first(count: u8) -> Slots {
    (1u8 << count) - 1
}

/// How many slots are there without a gap, from the first on.
pub fn prefix(slots: Slots) -> u8 {
    slots.trailing_ones() as u8
}

/// The batches that count, of every epoch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct History(u16);

impl History {
    /// Those of one epoch.
    pub fn slots(self, epoch: u8) -> Slots {
        (self.0 >> Self::shift(epoch)) as u8 & first(SLOTS_MAX)
    }

    /// The same, with exactly these of one epoch.
    #[must_use]
    pub fn with(self, epoch: u8, slots: Slots) -> History {
        let shift = Self::shift(epoch);
        let others = self.0 & !(u16::from(first(SLOTS_MAX)) << shift);
        History(others | u16::from(slots) << shift)
    }

    /// Those of the epochs below this one.
    #[must_use]
    pub fn below(self, epoch: u8) -> History {
        let mut below = History::default();
        for lower in 1..epoch {
            below = below.with(lower, self.slots(lower));
        }
        below
    }

    /// Those of this epoch and the ones above.
    #[must_use]
    pub fn since(self, epoch: u8) -> History {
        History(self.0 & !self.below(epoch).0)
    }

    /// These and those.
    #[must_use]
    pub fn and(self, other: History) -> History {
        History(self.0 | other.0)
    }

    /// Whether every batch of `other` is in here.
    pub fn contains(self, other: History) -> bool {
        other.0 & !self.0 == 0
    }

    /// Whether some epoch has a batch that counts behind one that does not.
    pub fn has_gap(self) -> bool {
        (1..=EPOCHS_MAX as u8).any(|epoch| {
            let slots = self.slots(epoch);
            slots != first(prefix(slots))
        })
    }

    fn shift(epoch: u8) -> u32 {
        u32::from(epoch - 1) * u32::from(SLOTS_MAX)
    }
}

impl std::fmt::Display for History {
    /// `1:2 3:1`: two batches of epoch 1, one of epoch 3; a mask where there is a gap.
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut separator = "";
        for epoch in 1..=EPOCHS_MAX as u8 {
            let slots = self.slots(epoch);
            if slots == 0 {
                continue;
            }
            if slots == first(prefix(slots)) {
                write!(to, "{separator}{epoch}:{}", prefix(slots))?;
            } else {
                let named: Vec<String> = (0..SLOTS_MAX)
                    .filter(|slot| slots & 1 << slot != 0)
                    .map(|slot| slot.to_string())
                    .collect();
                write!(to, "{separator}{epoch}:only slot {}", named.join(", "))?;
            }
            separator = " ";
        }
        if separator.is_empty() {
            to.write_str("nothing")?;
        }
        Ok(())
    }
}

/// A checkpoint, by what it covers: every epoch below its owner's, and the first `count` batches of the owner. Later ones compare greater.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Checkpoint(u8);

impl Checkpoint {
    /// No checkpoint.
    pub const NONE: Checkpoint = Checkpoint(0);

    /// The one that `owner` takes behind its first `count` batches.
    pub fn new(owner: u8, count: u8) -> Checkpoint {
        Checkpoint(owner * (SLOTS_MAX + 1) + count)
    }

    /// Whether there is none.
    pub fn is_none(self) -> bool {
        self == Checkpoint::NONE
    }

    /// Whose it is; 0: none.
    pub fn owner(self) -> u8 {
        self.0 / (SLOTS_MAX + 1)
    }

    /// How many batches of its owner it covers.
    pub fn count(self) -> u8 {
        self.0 % (SLOTS_MAX + 1)
    }

    /// Which slots of an epoch it covers, of those that count.
    pub fn covers(self, epoch: u8, slots: Slots) -> Slots {
        match epoch.cmp(&self.owner()) {
            std::cmp::Ordering::Less => slots,
            std::cmp::Ordering::Equal => slots & first(self.count()),
            std::cmp::Ordering::Greater => 0,
        }
    }
}

impl std::fmt::Display for Checkpoint {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_none() {
            to.write_str("–")
        } else {
            write!(to, "c{}.{}", self.owner(), self.count())
        }
    }
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, to)
    }
}
