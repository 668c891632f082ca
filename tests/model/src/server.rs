//! The file server: writes that take effect and return, operations of the dead that land, the crash, damage.
//!
//! A write by a living broker is two steps while the server can still crash: it takes effect, and is in doubt; it returns, and is durable. Afterwards it is one, because nobody could see the difference.
//! The crash loses any part of what is in doubt. What a living broker had out it sends again (a hard mount does); what a dead one had out is late again.

use crate::aspects::Aspect;
use crate::broker::{Phase, Step};
use crate::history::{EPOCHS_MAX, SLOTS_MAX};
use crate::protocol::{Action, Protocol};
use crate::state::{Cell, Root, State};

/// Both cells at once: how a root is written where the order of A and B is not modelled.
const BOTH: u8 = 2;

/// Something that a crash can take back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doubt {
    /// A claim's name; with it, every later one.
    Link { epoch: u8 },
    /// FENCED.
    Fence { epoch: u8 },
    /// The last write of a root cell.
    Root { epoch: u8 },
    /// A batch.
    Slot { epoch: u8, slot: u8 },
    /// A heartbeat.
    Beat { epoch: u8 },
}

/// What is in doubt, in the order that [`Action::CrashServer`] counts in.
pub fn in_doubt(protocol: &Protocol, state: &State) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    for epoch in 1..=EPOCHS_MAX as u8 {
        let files = state.epoch(epoch);
        let mut doubt = |is_one, what| {
            if is_one {
                doubts.push(what);
            }
        };
        doubt(files.link_in_doubt, Doubt::Link { epoch });
        doubt(files.fence_in_doubt, Doubt::Fence { epoch });
        doubt(files.root_in_doubt.is_some(), Doubt::Root { epoch });
        for slot in 0..SLOTS_MAX {
            doubt(files.slots_in_doubt & 1 << slot != 0, Doubt::Slot { epoch, slot });
        }
        doubt(protocol.beats() && files.beat != 0, Doubt::Beat { epoch });
    }
    doubts
}

pub(crate) fn actions(protocol: &Protocol, state: &State, actions: &mut Vec<Action>) {
    if protocol.has(Aspect::Late) {
        landings(state, actions);
    }
    if state.crash_left {
        let count = in_doubt(protocol, state).len();
        let torn_too = protocol.has(Aspect::TwoRoots) && state.damage_left;
        // A crash that loses nothing cannot be told from none.
        for lost in 1..1u16 << count {
            actions.push(Action::CrashServer { lost, torn: false });
            if torn_too {
                actions.push(Action::CrashServer { lost, torn: true });
            }
        }
    }
    if state.damage_left {
        for epoch in 1..=protocol.configuration.epochs {
            for cell in 0..2 {
                if let Cell::Valid(_) = state.epoch(epoch).roots[usize::from(cell)] {
                    actions.push(Action::DamageRoot { epoch, cell });
                }
            }
            let files = state.epoch(epoch);
            if files.linked && !files.fenced {
                actions.push(Action::DamageFence { epoch });
            }
            if files.beat != 0 {
                actions.push(Action::DamageBeat { epoch });
            }
        }
        if let Some(led) = state.led {
            let named = state.epoch(led.epoch).roots.iter().filter_map(|cell| match cell {
                Cell::Valid(root) if !root.older.is_none() => Some(root.newer),
                Cell::Valid(_) | Cell::Blank | Cell::Bad => None,
            });
            if let Some(checkpoint) = named.max() {
                actions.push(Action::DamageCheckpoint { checkpoint });
            }
        }
    }
}

fn landings(state: &State, actions: &mut Vec<Action>) {
    for epoch in 1..=EPOCHS_MAX as u8 {
        let files = state.epoch(epoch);
        for slot in 0..SLOTS_MAX {
            if files.slots_late & 1 << slot != 0 {
                actions.push(Action::LandWrite { epoch, slot });
            }
        }
        if files.root_late.is_some() {
            actions.push(Action::LandRoot { epoch });
        }
        if files.fence_late {
            actions.push(Action::LandFence { epoch });
        }
        if files.beat_late != 0 {
            actions.push(Action::LandBeat { epoch });
        }
        if files.link_late {
            actions.push(Action::LandLink { epoch });
        }
    }
    if !state.gone_late.is_none() {
        actions.push(Action::LandUnlinks);
    }
}

pub(crate) fn act(protocol: &Protocol, state: &mut State, action: Action) {
    let in_doubt_now = state.crash_left;
    match action {
        Action::LandWrite { epoch, slot } => {
            let files = state.epoch_mut(epoch);
            let bit = 1 << slot;
            files.slots_late &= !bit;
            if files.slots & bit == 0 {
                files.slots |= bit;
                files.slots_in_doubt |= if in_doubt_now { bit } else { 0 };
            }
        }
        Action::LandRoot { epoch } => {
            if let Some((cell, root)) = state.epoch_mut(epoch).root_late.take() {
                put_root(protocol, state, epoch, cell, root);
            }
        }
        Action::LandFence { epoch } => {
            let files = state.epoch_mut(epoch);
            files.fence_late = false;
            if !files.fenced {
                files.fenced = true;
                files.fence_in_doubt = in_doubt_now;
            }
        }
        Action::LandBeat { epoch } => {
            let files = state.epoch_mut(epoch);
            files.beat = std::mem::take(&mut files.beat_late);
        }
        Action::LandLink { epoch } => {
            let files = state.epoch_mut(epoch);
            files.link_late = false;
            if !files.linked {
                files.linked = true;
                files.link_in_doubt = in_doubt_now;
            }
        }
        Action::LandUnlinks => {
            state.gone = state.gone.max(state.gone_late);
            state.gone_late = crate::history::Checkpoint::NONE;
        }
        Action::CrashServer { lost, torn } => crash(protocol, state, lost, torn),
        Action::DamageRoot { epoch, cell } => {
            state.damage_left = false;
            state.epoch_mut(epoch).roots[usize::from(cell)] = Cell::Bad;
        }
        Action::DamageFence { epoch } => {
            state.damage_left = false;
            state.epoch_mut(epoch).fenced = true;
        }
        Action::DamageBeat { epoch } => {
            state.damage_left = false;
            state.epoch_mut(epoch).beat = 0;
        }
        Action::DamageCheckpoint { checkpoint } => {
            state.damage_left = false;
            state.bad_checkpoint = checkpoint;
        }
        _ => unreachable!("{action:?} is not the server's"),
    }
}

/// A sync of the directory, or any synchronous change in it, makes every earlier name durable.
pub(crate) fn sync_names(state: &mut State) {
    for files in &mut state.epochs {
        files.link_in_doubt = false;
    }
}

/// A write of a batch takes effect, or returns: `true` when it has returned. What is there already, or was put there by a dead broker with the same bytes, needs one step only.
pub(crate) fn write_slot(state: &mut State, epoch: u8, slot: u8) -> bool {
    let crash_left = state.crash_left;
    let files = state.epoch_mut(epoch);
    let bit = 1 << slot;
    if files.slots & bit != 0 {
        files.slots_in_doubt &= !bit;
        return true;
    }
    files.slots |= bit;
    if crash_left {
        files.slots_in_doubt |= bit;
    }
    !crash_left
}

/// The same for a root cell.
pub(crate) fn write_root(protocol: &Protocol, state: &mut State, epoch: u8, cell: u8, root: Root) -> bool {
    let files = state.epoch_mut(epoch);
    if files.root_in_doubt.take().is_some() {
        return true;
    }
    put_root(protocol, state, epoch, cell, root);
    !state.crash_left
}

fn put_root(protocol: &Protocol, state: &mut State, epoch: u8, cell: u8, root: Root) {
    let crash_left = state.crash_left;
    let files = state.epoch_mut(epoch);
    let before = files.roots[usize::from(cell)];
    let cell = if protocol.writes_roots_apart() { cell } else { BOTH };
    set_root(&mut files.roots, cell, Cell::Valid(root));
    if crash_left {
        files.root_in_doubt = Some((cell, before));
    }
}

fn set_root(roots: &mut [Cell; 2], cell: u8, content: Cell) {
    if cell == BOTH {
        *roots = [content; 2];
    } else {
        roots[usize::from(cell)] = content;
    }
}

/// The same for a fence cell.
pub(crate) fn write_fence(state: &mut State, epoch: u8) -> bool {
    let crash_left = state.crash_left;
    let files = state.epoch_mut(epoch);
    if files.fenced {
        files.fence_in_doubt = false;
        return true;
    }
    files.fenced = true;
    files.fence_in_doubt = crash_left;
    !crash_left
}

fn crash(protocol: &Protocol, state: &mut State, lost: u16, torn: bool) {
    let doubts = in_doubt(protocol, state);
    let is_lost = |index: usize| lost & 1 << index != 0;
    state.crash_left = false;
    let mut lowest_lost_link = None;
    for (index, doubt) in doubts.iter().enumerate() {
        match *doubt {
            Doubt::Link { epoch } => {
                // A directory's changes reach the disk in their order.
                if is_lost(index) && lowest_lost_link.is_none() {
                    lowest_lost_link = Some(epoch);
                }
                state.epoch_mut(epoch).link_in_doubt = false;
            }
            Doubt::Fence { epoch } => {
                let files = state.epoch_mut(epoch);
                files.fence_in_doubt = false;
                if is_lost(index) {
                    files.fenced = false;
                    // Whoever wrote it may send it again.
                    files.fence_late = true;
                }
            }
            Doubt::Root { epoch } => lose_root(state, epoch, is_lost(index), torn),
            Doubt::Slot { epoch, slot } => {
                let has_owner = has_owner(state, epoch);
                let files = state.epoch_mut(epoch);
                files.slots_in_doubt &= !(1 << slot);
                if is_lost(index) {
                    files.slots &= !(1 << slot);
                    files.slots_late |= if has_owner { 0 } else { 1 << slot };
                }
            }
            Doubt::Beat { epoch } => {
                if is_lost(index) {
                    state.epoch_mut(epoch).beat = 0;
                }
            }
        }
    }
    if let Some(lowest) = lowest_lost_link {
        lose_links(protocol, state, lowest);
    }
}

fn lose_root(state: &mut State, epoch: u8, is_lost: bool, torn: bool) {
    let has_owner = has_owner(state, epoch);
    let files = state.epoch_mut(epoch);
    let Some((cell, before)) = files.root_in_doubt.take() else {
        return;
    };
    if !is_lost {
        return;
    }
    let written = files.roots[if cell == BOTH { 0 } else { usize::from(cell) }];
    set_root(&mut files.roots, cell, if torn { Cell::Bad } else { before });
    if let (Cell::Valid(root), false) = (written, has_owner) {
        files.root_late = Some((if cell == BOTH { 0 } else { cell }, root));
    }
    state.damage_left &= !torn;
}

/// Every claim from this one on loses its name, unless it was durable. Living claimants link again.
fn lose_links(protocol: &Protocol, state: &mut State, lowest: u8) {
    for epoch in lowest..=protocol.configuration.epochs {
        let files = state.epoch_mut(epoch);
        if !files.linked {
            continue;
        }
        files.linked = false;
        let mut has_claimant = false;
        for broker in &mut state.brokers {
            if let Phase::Claiming(claimant) = &mut broker.phase
                && claimant.own == epoch
                && claimant.step == Step::SyncDirectory
            {
                claimant.step = Step::Link;
                has_claimant = true;
            }
        }
        state.epoch_mut(epoch).link_late = !has_claimant;
    }
}

/// Whether a living broker owns the epoch.
pub(crate) fn has_owner(state: &State, epoch: u8) -> bool {
    state.brokers.iter().any(|broker| match &broker.phase {
        Phase::Leading(reign) => reign.own == epoch,
        Phase::Claiming(claimant) => claimant.own == epoch,
        Phase::Standby | Phase::Refused => false,
    })
}
