//! A leader: the commit loop, root updates, checkpoints, deletion, heartbeats.

use crate::aspects::Aspect;
use crate::broker::{self, Phase, Reign};
use crate::history::{Checkpoint, first, prefix};
use crate::mutants::Mutant;
use crate::protocol::{Action, Protocol};
use crate::server;
use crate::state::{Cell, Root, State};

pub(crate) fn actions(protocol: &Protocol, state: &State, broker: u8, reign: &Reign, actions: &mut Vec<Action>) {
    let writable = reign.writable(protocol);
    let early = protocol.is(Mutant::FenceReadBeforeWriteReturned);
    for slot in 0..protocol.configuration.slots {
        let bit = 1 << slot;
        if writable & bit != 0 {
            actions.push(Action::Write { broker, slot });
        }
        let may_read = if early {
            (reign.returned | writable) & bit != 0
        } else {
            reign.returned & bit != 0
        };
        if may_read && reign.open & bit == 0 {
            actions.push(Action::ReadFence { broker, slot });
        }
    }
    if reign.update.is_some() {
        actions.push(Action::UpdateRoot { broker });
    } else {
        if protocol.has(Aspect::Roll) && reign.root.announced < protocol.configuration.slots {
            actions.push(Action::Announce { broker });
        }
        if protocol.has(Aspect::Checkpoints) && checkpoint(protocol, state, reign) > reign.root.newer {
            actions.push(Action::NameCheckpoint { broker });
        }
    }
    if protocol.has(Aspect::Checkpoints) {
        if deletable(protocol, &reign.root) > state.gone.max(reign.doomed) {
            actions.push(Action::ReadFenceToDelete { broker });
        }
        if !reign.doomed.is_none() {
            actions.push(Action::Unlink { broker });
        }
    }
    if protocol.beats() && beat(protocol, state, reign) > state.epoch(reign.own).beat {
        actions.push(Action::Beat { broker });
    }
    if protocol.is(Mutant::ClaimsRemoved) {
        for epoch in 1..reign.own {
            let files = state.epoch(epoch);
            if files.linked && files.roots[0] == Cell::Blank {
                actions.push(Action::RemoveClaim { broker, epoch });
            }
        }
    }
}

/// The checkpoint that could be named now: of what is confirmed.
fn checkpoint(protocol: &Protocol, state: &State, reign: &Reign) -> Checkpoint {
    let count = if protocol.is(Mutant::CheckpointOfUnconfirmed) {
        prefix(state.epoch(reign.own).slots)
    } else {
        reign.confirmed()
    };
    Checkpoint::new(reign.own, count)
}

/// Up to where files are needed by neither named checkpoint.
fn deletable(protocol: &Protocol, root: &Root) -> Checkpoint {
    if root.older.is_none() {
        Checkpoint::NONE
    } else if protocol.is(Mutant::DeletionOlderForbids) {
        root.newer
    } else {
        root.older
    }
}

/// The position that a heartbeat would carry.
fn beat(protocol: &Protocol, state: &State, reign: &Reign) -> u8 {
    if protocol.is(Mutant::BeatNamesUnconfirmed) {
        prefix(state.epoch(reign.own).slots)
    } else {
        reign.confirmed()
    }
}

pub(crate) fn act(protocol: &Protocol, state: &mut State, broker: u8, action: Action) {
    let index = usize::from(broker);
    let Phase::Leading(mut reign) = state.brokers[index].phase else {
        return;
    };
    let own = reign.own;
    match action {
        Action::Write { slot, .. } => {
            let bit = 1 << slot;
            if server::write_slot(state, own, slot) {
                reign.returned |= bit;
                if protocol.is(Mutant::NoFenceRead) {
                    reign.open |= bit;
                }
                confirm(protocol, state, &reign);
            }
        }
        Action::ReadFence { slot, .. } => {
            if !reads_open(protocol, state, own) {
                return broker::end(protocol, state, index);
            }
            reign.open |= 1 << slot;
            state.broken.fence |= is_fenced(state, own);
            confirm(protocol, state, &reign);
        }
        Action::Announce { .. } => {
            let announced = reign.root.announced + 1;
            let root = Root {
                announced,
                ..reign.root
            };
            begin_update(&mut reign, root);
        }
        Action::NameCheckpoint { .. } => {
            let (newer, older) = (checkpoint(protocol, state, &reign), reign.root.newer);
            // The list needs no entry of an epoch that lies wholly before the older one.
            let since = if protocol.is(Mutant::ListSinceNewer) {
                newer
            } else {
                older
            };
            let sealed = reign.root.sealed.since(since.owner());
            let root = Root {
                sealed,
                newer,
                older,
                ..reign.root
            };
            begin_update(&mut reign, root);
        }
        Action::UpdateRoot { .. } => {
            let Some(root) = reign.update else { return };
            if server::write_root(protocol, state, own, reign.cell, root) {
                if is_in_force(protocol, reign.cell) {
                    reign.root = root;
                }
                if reign.cell == 0 && protocol.writes_roots_apart() {
                    reign.cell = 1;
                } else {
                    reign.cell = 0;
                    reign.update = None;
                }
            }
        }
        Action::ReadFenceToDelete { .. } => {
            if !protocol.is(Mutant::UnlinkWithoutFenceRead) && !reads_open(protocol, state, own) {
                return broker::end(protocol, state, index);
            }
            reign.doomed = deletable(protocol, &reign.root);
        }
        Action::Unlink { .. } => {
            state.gone = state.gone.max(reign.doomed);
            reign.doomed = Checkpoint::NONE;
        }
        Action::RemoveClaim { epoch, .. } => {
            let files = state.epoch_mut(epoch);
            files.linked = false;
            files.fenced = false;
        }
        Action::Beat { .. } => {
            let position = beat(protocol, state, &reign);
            state.epoch_mut(own).beat = position;
        }
        _ => unreachable!("{action:?} is no leader's"),
    }
    state.brokers[index].phase = Phase::Leading(reign);
}

/// What the own fence cell says when it is read now.
pub(crate) fn reads_open(protocol: &Protocol, state: &State, own: u8) -> bool {
    !state.epoch(own).fenced || protocol.is(Mutant::FenceReadFromCache)
}

/// A successor's fence write has returned.
fn is_fenced(state: &State, own: u8) -> bool {
    let files = state.epoch(own);
    files.fenced && !files.fence_in_doubt
}

/// A root is in force when both cells have returned.
pub(crate) fn is_in_force(protocol: &Protocol, cell: u8) -> bool {
    cell == 1 || !protocol.writes_roots_apart() || protocol.is(Mutant::RootAfterOneCell)
}

fn begin_update(reign: &mut Reign, root: Root) {
    reign.update = Some(Root {
        update: reign.root.update + 1,
        ..root
    });
    reign.cell = 0;
}

/// Hands out every receipt that rests on batches whose write returned and whose fence read said OPEN, in order.
fn confirm(protocol: &Protocol, state: &mut State, reign: &Reign) {
    let confirmed = if protocol.is(Mutant::ConfirmOutOfOrder) {
        reign.open & reign.returned
    } else {
        first(reign.confirmed())
    };
    if confirmed != 0 {
        state.served |= 1 << (reign.own - 1);
    }
    state.epoch_mut(reign.own).confirmed |= confirmed;
}
