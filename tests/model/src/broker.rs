//! A broker process: what it is doing, and what it leaves behind when it dies.
//!
//! A broker whose process ends starts anew at once, as a cold standby; how long that takes does not matter. A pause needs no state of its own: a broker that takes no step is paused.

use crate::aspects::Aspect;
use crate::history::{Checkpoint, History, Slots, first, prefix};
use crate::protocol::Protocol;
use crate::state::{Cell, Root, State};

/// One process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Broker {
    /// What it is doing.
    pub phase: Phase,
    /// What a standby's engine holds; of a cold one, and from the fence writes on, nothing.
    pub engine: History,
}

/// What a process is doing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub enum Phase {
    /// Watching, with or without a warm engine.
    #[default]
    Standby,
    /// Taking over.
    Claiming(Claimant),
    /// Leading.
    Leading(Reign),
    /// Ended with a verdict of damage. In a sound run nobody ever comes here.
    Refused,
}

/// The step that a claimant takes next. Numbers are those of docs/failover.md.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub enum Step {
    /// Before 1: look for FORMAT where no claim is sealed.
    Explain,
    /// 1: make the names of the claims that it saw durable.
    SyncNames,
    /// 1: link the claim to a number.
    #[default]
    Link,
    /// 1: sync the directory.
    SyncDirectory,
    /// Only a mutant: create was one step, write the content is this one.
    WriteClaim,
    /// 1: look once more whether anybody moved.
    Look,
    /// 2: write FENCED into every lower epoch.
    Fence,
    /// 3: read root A of the next lower epoch.
    ReadRootA,
    /// 3: read its root B, and decide whether it is the predecessor.
    ReadRootB,
    /// 3: load the checkpoint, look for what the list counts.
    Load,
    /// 3: read the predecessor's log, slot by slot.
    ReadLog,
    /// 3: compare with the heartbeat's position and with what a warm engine holds.
    Judge,
    /// 4: write the tail once more.
    Harden,
    /// 5: write root A, then B.
    Seal,
    /// 5: read the own fence.
    ReadFence,
    /// Something looks like damage: read the own fence before saying so.
    Suspect,
}

/// A takeover under way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Claimant {
    /// Its epoch; in [`Step::Link`], the number it tries.
    pub own: u8,
    /// The newest sealed epoch that it knew before it claimed, or 1.
    pub from: u8,
    /// What it does next.
    pub step: Step,
    /// Lower epochs whose fence write has not returned, one bit each.
    pub unfenced: u8,
    /// The epoch whose root is read; from [`Step::Load`] on, the predecessor. 0: none.
    pub at: u8,
    /// What root A said, while B is read.
    pub cell_a: Cell,
    /// The predecessor's root; in [`Step::Seal`] and behind, the own one.
    pub root: Root,
    /// The slot that is read next.
    pub next: u8,
    /// The tail that is to be hardened.
    pub soft: Slots,
    /// The root cell that is written next.
    pub cell: u8,
    /// What counts of all lower epochs, as far as it is known.
    pub found: History,
}

/// A leader.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Reign {
    /// Its epoch.
    pub own: u8,
    /// What it recovered.
    pub base: History,
    /// The root in force.
    pub root: Root,
    /// An update of the root under way.
    pub update: Option<Root>,
    /// … and the cell that is written next.
    pub cell: u8,
    /// Batches whose write has returned.
    pub returned: Slots,
    /// Batches whose fence read returned OPEN.
    pub open: Slots,
    /// Files to be unlinked: the list is fixed, the fence was read.
    pub doomed: Checkpoint,
}

impl Reign {
    /// Own batches that it has confirmed: in order.
    pub fn confirmed(&self) -> u8 {
        prefix(self.open & self.returned)
    }

    /// Slots whose write may be out: a window behind the lowest that has not returned, in announced segments.
    pub fn writable(&self, protocol: &Protocol) -> Slots {
        let window = prefix(self.returned) + protocol.writes_in_flight();
        let limit = window.min(protocol.writable_slots(&self.root));
        first(limit) & !self.returned
    }
}

/// Whether the end of this process could make a difference: it has begun something, or holds something.
pub fn can_die(protocol: &Protocol, broker: &Broker) -> bool {
    match broker.phase {
        Phase::Standby => broker.engine != History::default() && protocol.has(Aspect::Standby),
        Phase::Claiming(_) | Phase::Leading(_) => true,
        Phase::Refused => false,
    }
}

/// The process ends, killed, fenced or by its own decision. What it had out is late from now on.
pub fn end(protocol: &Protocol, state: &mut State, broker: usize) {
    let phase = state.brokers[broker].phase;
    match phase {
        Phase::Standby | Phase::Refused => {}
        Phase::Claiming(claimant) => leave_claim(protocol, state, &claimant),
        Phase::Leading(reign) => leave_reign(protocol, state, &reign),
    }
    state.brokers[broker] = Broker::default();
}

fn leave_claim(protocol: &Protocol, state: &mut State, claimant: &Claimant) {
    match claimant.step {
        Step::Link if claimant.own <= protocol.configuration.epochs => {
            state.epoch_mut(claimant.own).link_late = true;
        }
        Step::Fence => {
            for epoch in 1..claimant.own {
                if claimant.unfenced & 1 << (epoch - 1) != 0 {
                    state.epoch_mut(epoch).fence_late = true;
                }
            }
        }
        Step::Harden if claimant.soft != 0 => state.epoch_mut(claimant.at).slots_late |= claimant.soft,
        Step::Seal => leave_root(state, claimant.own, claimant.cell, claimant.root),
        Step::Explain
        | Step::SyncNames
        | Step::Link
        | Step::SyncDirectory
        | Step::WriteClaim
        | Step::Look
        | Step::ReadRootA
        | Step::ReadRootB
        | Step::Load
        | Step::ReadLog
        | Step::Judge
        | Step::Harden
        | Step::ReadFence
        | Step::Suspect => {}
    }
}

fn leave_reign(protocol: &Protocol, state: &mut State, reign: &Reign) {
    let out = reign.writable(protocol);
    let files = state.epoch_mut(reign.own);
    files.slots_late |= out;
    if protocol.beats() && reign.confirmed() > files.beat {
        files.beat_late = reign.confirmed();
    }
    if let Some(root) = reign.update {
        leave_root(state, reign.own, reign.cell, root);
    }
    state.gone_late = state.gone_late.max(reign.doomed);
}

/// A root write that has taken effect is in doubt; one that has not is late.
fn leave_root(state: &mut State, own: u8, cell: u8, root: Root) {
    let files = state.epoch_mut(own);
    if files.root_in_doubt.is_none() {
        files.root_late = Some((cell, root));
    }
}
