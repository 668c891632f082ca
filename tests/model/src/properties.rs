//! What must hold in every state, and what must be reachable.

use stateright::Property;

use crate::broker::Phase;
use crate::protocol::Protocol;
use crate::state::{Cell, State};

/// A promise of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Promise {
    /// P1.
    NothingConfirmedIsLost,
    /// P2, first sentence.
    OneHistory,
    /// P2, second sentence.
    NothingConfirmedBehindAFence,
    /// Deletion.
    NothingNeededIsMissing,
    /// Damage is told of only where there is some.
    NoFalseDamage,
    /// Epochs only rise, and each has one owner.
    EpochsRise,
}

impl Promise {
    /// All of them.
    pub const ALL: [Promise; 6] = [
        Promise::NothingConfirmedIsLost,
        Promise::OneHistory,
        Promise::NothingConfirmedBehindAFence,
        Promise::NothingNeededIsMissing,
        Promise::NoFalseDamage,
        Promise::EpochsRise,
    ];

    /// As the table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Promise::NothingConfirmedIsLost => "nothing confirmed is lost",
            Promise::OneHistory => "there is one history",
            Promise::NothingConfirmedBehindAFence => "nothing is confirmed behind a fence",
            Promise::NothingNeededIsMissing => "nothing that is needed is missing",
            Promise::NoFalseDamage => "damage is told of only where there is some",
            Promise::EpochsRise => "epochs only rise",
        }
    }

    /// In words, for people.
    pub fn meaning(self) -> &'static str {
        match self {
            Promise::NothingConfirmedIsLost => {
                "whatever was confirmed is in what every later leader recovers, and its bytes are there or covered by two checkpoints"
            }
            Promise::OneHistory => {
                "each leader's history is its predecessor's and what the predecessor added, without a gap"
            }
            Promise::NothingConfirmedBehindAFence => {
                "no fence read that began after a successor's fence write returned lets anything be confirmed"
            }
            Promise::NothingNeededIsMissing => "no file that the newest leader's root needs is unlinked",
            Promise::NoFalseDamage => "no broker ends with a verdict of damage",
            Promise::EpochsRise => "nobody begins to lead an epoch that another leads, or after a higher one has begun",
        }
    }

    /// Whether it holds in this state.
    pub fn holds(self, state: &State) -> bool {
        match self {
            Promise::NothingConfirmedIsLost => nothing_confirmed_is_lost(state),
            Promise::OneHistory => !state.broken.history,
            Promise::NothingConfirmedBehindAFence => !state.broken.fence,
            Promise::NothingNeededIsMissing => nothing_needed_is_missing(state),
            Promise::NoFalseDamage => state.brokers.iter().all(|broker| broker.phase != Phase::Refused),
            Promise::EpochsRise => !state.broken.rising,
        }
    }

    pub(crate) fn property(self) -> Property<Protocol> {
        let name = self.name();
        match self {
            Promise::NothingConfirmedIsLost => {
                Property::always(name, |_, state| Promise::NothingConfirmedIsLost.holds(state))
            }
            Promise::OneHistory => Property::always(name, |_, state| Promise::OneHistory.holds(state)),
            Promise::NothingConfirmedBehindAFence => {
                Property::always(name, |_, state| Promise::NothingConfirmedBehindAFence.holds(state))
            }
            Promise::NothingNeededIsMissing => {
                Property::always(name, |_, state| Promise::NothingNeededIsMissing.holds(state))
            }
            Promise::NoFalseDamage => Property::always(name, |_, state| Promise::NoFalseDamage.holds(state)),
            Promise::EpochsRise => Property::always(name, |_, state| Promise::EpochsRise.holds(state)),
        }
    }
}

/// What must be reachable, or the rest proves nothing: that every epoch confirmed a batch of its own.
pub const EVERY_EPOCH_SERVES: &str = "every epoch in a row confirms something";

pub(crate) fn every_epoch_serves() -> Property<Protocol> {
    Property::sometimes(EVERY_EPOCH_SERVES, |protocol: &Protocol, state: &State| {
        state.served == (1 << protocol.configuration.epochs) - 1
    })
}

fn nothing_confirmed_is_lost(state: &State) -> bool {
    let confirmed = state.confirmed();
    let Some(led) = state.led else { return true };
    let is_recovered = led.recovered.contains(confirmed.below(led.epoch));
    // What a crash took, nobody reads any more; what was unlinked, two checkpoints hold.
    let is_there = (1..=led.epoch).all(|epoch| {
        let files = state.epoch(epoch);
        files.confirmed & !files.slots == 0
    });
    is_recovered && is_there
}

fn nothing_needed_is_missing(state: &State) -> bool {
    let Some(led) = state.led else { return true };
    state.epoch(led.epoch).roots.iter().all(|cell| match cell {
        Cell::Valid(root) => {
            // A start that fell back on the older one names that one alone; what had gone before stays gone.
            state.gone <= if root.older.is_none() { root.newer } else { root.older }
        }
        Cell::Blank | Cell::Bad => true,
    })
}
