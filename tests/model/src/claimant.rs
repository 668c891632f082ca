//! A takeover: claim, fence, read, harden, seal.

use crate::aspects::Aspect;
use crate::broker::{self, Broker, Claimant, Phase, Reign, Step};
use crate::history::{Checkpoint, History, Slots, first, prefix};
use crate::leader::reads_open;
use crate::mutants::Mutant;
use crate::protocol::{Action, Protocol};
use crate::server;
use crate::state::{Cell, EpochFiles, Led, Root, RootState, State};

pub(crate) fn actions(protocol: &Protocol, broker: u8, claimant: &Claimant, actions: &mut Vec<Action>) {
    match claimant.step {
        Step::Explain => actions.push(Action::LookForFormat { broker }),
        Step::Link => {
            if claimant.own <= protocol.configuration.epochs {
                actions.push(Action::Link { broker });
            }
        }
        Step::SyncNames => actions.push(Action::SyncNames { broker }),
        Step::SyncDirectory => actions.push(Action::SyncDirectory { broker }),
        Step::WriteClaim => actions.push(Action::WriteClaim { broker }),
        Step::Look => {
            actions.push(Action::GoOn { broker });
            if protocol.has(Aspect::Standby) {
                actions.push(Action::StandDown { broker });
            }
        }
        Step::Fence => {
            for epoch in 1..claimant.own {
                if claimant.unfenced & 1 << (epoch - 1) != 0 {
                    actions.push(Action::Fence { broker, epoch });
                }
            }
        }
        Step::ReadRootA | Step::ReadRootB => actions.push(Action::ReadRoot { broker }),
        Step::Load => actions.push(Action::Load { broker }),
        Step::ReadLog => {
            actions.push(Action::ReadLog { broker });
            if protocol.is(Mutant::NotFoundBelieved) && claimant.next < claimant.root.announced {
                actions.push(Action::NotFound { broker });
            }
        }
        Step::Judge => actions.push(Action::Judge { broker }),
        Step::Harden => {
            for slot in 0..protocol.configuration.slots {
                if claimant.soft & 1 << slot != 0 {
                    actions.push(Action::Harden { broker, slot });
                }
            }
        }
        Step::Seal => actions.push(Action::Seal { broker }),
        Step::ReadFence => actions.push(Action::ReadFenceToLead { broker }),
        Step::Suspect => actions.push(Action::ReadFenceToRefuse { broker }),
    }
}

pub(crate) fn act(protocol: &Protocol, state: &mut State, broker: u8, action: Action) {
    let index = usize::from(broker);
    let Phase::Claiming(mut claimant) = state.brokers[index].phase else {
        return;
    };
    match action {
        Action::LookForFormat { .. } => {
            if !state.has_format() {
                claimant.step = before_link(protocol, state, claimant.own);
            } else if protocol.is(Mutant::FormatBelievedAtOnce) {
                state.brokers[index].phase = Phase::Refused;
                return;
            } else {
                // Somebody has sealed since, or the listing was stale: it looks around anew.
                state.brokers[index].phase = Phase::Standby;
                return;
            }
        }
        Action::Link { .. } => link(protocol, state, &mut claimant),
        Action::SyncNames { .. } => {
            server::sync_names(state);
            if state.has_gap_below(claimant.own) {
                // A crash took back what it had seen: it looks around anew.
                state.brokers[index].phase = Phase::Standby;
                return;
            }
            claimant.step = Step::Link;
        }
        Action::SyncDirectory { .. } => {
            server::sync_names(state);
            claimant.step = Step::Look;
        }
        Action::WriteClaim { .. } => {
            state.epoch_mut(claimant.own).fenced = false;
            claimant.step = Step::Look;
        }
        Action::GoOn { .. } => {
            go_on(protocol, state, &mut claimant);
        }
        Action::StandDown { .. } => {
            state.brokers[index].phase = Phase::Standby;
            return;
        }
        Action::Fence { epoch, .. } => {
            if server::write_fence(state, epoch) {
                claimant.unfenced &= !(1 << (epoch - 1));
                leave_fencing_if_done(protocol, &mut claimant);
            }
        }
        Action::ReadRoot { .. } => read_root(protocol, state, &mut claimant),
        Action::Load { .. } => load(protocol, state, &mut claimant),
        Action::ReadLog { .. } => read_log(protocol, state, &mut claimant),
        Action::NotFound { .. } => claimant.step = Step::Judge,
        Action::Judge { .. } => judge(protocol, state, index, &mut claimant),
        Action::Harden { slot, .. } => {
            if server::write_slot(state, claimant.at, slot) {
                claimant.soft &= !(1 << slot);
                if claimant.soft == 0 {
                    begin_seal(protocol, &mut claimant);
                }
            }
        }
        Action::Seal { .. } => {
            if server::write_root(protocol, state, claimant.own, claimant.cell, claimant.root) {
                let leads_early = protocol.is(Mutant::RootAfterOneCell);
                if claimant.cell == 0 && protocol.writes_roots_apart() && !leads_early {
                    claimant.cell = 1;
                } else {
                    claimant.step = Step::ReadFence;
                    if protocol.is(Mutant::NoFenceReadBeforeLeading) {
                        return lead(protocol, state, index, &claimant);
                    }
                }
            }
        }
        Action::ReadFenceToLead { .. } => {
            if reads_open(protocol, state, claimant.own) {
                return lead(protocol, state, index, &claimant);
            }
            return stop(protocol, state, index, &claimant);
        }
        Action::ReadFenceToRefuse { .. } => {
            if reads_open(protocol, state, claimant.own) || protocol.is(Mutant::VerdictWithoutFenceRead) {
                state.brokers[index] = Broker {
                    phase: Phase::Refused,
                    engine: History::default(),
                };
                return;
            }
            return stop(protocol, state, index, &claimant);
        }
        _ => unreachable!("{action:?} is no claimant's"),
    }
    state.brokers[index].phase = Phase::Claiming(claimant);
}

/// Fenced: the process ends and starts anew; an engine into which the tail was applied is not used again.
fn stop(protocol: &Protocol, state: &mut State, index: usize, claimant: &Claimant) {
    broker::end(protocol, state, index);
    if protocol.is(Mutant::StoppedClaimantKeepsEngine) {
        state.brokers[index].engine = claimant.found;
    }
}

/// A claim may stand only above claims whose names no crash can take back, or it would leave a gap.
pub(crate) fn before_link(protocol: &Protocol, state: &State, number: u8) -> Step {
    // Where all are there and durable, there is nothing to do.
    let is_in_doubt = state.epochs.iter().any(|files| files.link_in_doubt);
    if (is_in_doubt || state.has_gap_below(number)) && !protocol.is(Mutant::LinkAboveDoubt) {
        Step::SyncNames
    } else {
        Step::Link
    }
}

fn link(protocol: &Protocol, state: &mut State, claimant: &mut Claimant) {
    let in_doubt = state.crash_left;
    let files = state.epoch_mut(claimant.own);
    if files.linked && !protocol.is(Mutant::ExistsBelieved) {
        claimant.own += 1;
        claimant.step = before_link(protocol, state, claimant.own);
        return;
    }
    files.link_in_doubt = in_doubt && !files.linked;
    files.linked = true;
    claimant.step = if in_doubt {
        Step::SyncDirectory
    } else if protocol.is(Mutant::CreateThenWrite) {
        // A blank fence cell reads as FENCED.
        files.fenced = true;
        Step::WriteClaim
    } else {
        Step::Look
    };
}

fn go_on(protocol: &Protocol, state: &State, claimant: &mut Claimant) {
    let lowest = if protocol.is(Mutant::OnlyLastFenced) {
        claimant.own.saturating_sub(1).max(1)
    } else {
        claimant.from.max(1)
    };
    claimant.unfenced = 0;
    for epoch in lowest..claimant.own {
        let files = state.epoch(epoch);
        // What is fenced for good stays so: writing it again has no effect.
        if !files.fenced || files.fence_in_doubt {
            claimant.unfenced |= 1 << (epoch - 1);
        }
    }
    if !protocol.is(Mutant::SearchStopsAtKnown) {
        claimant.from = 0;
    }
    if state.has_gap_below(claimant.own) && !protocol.is(Mutant::ClaimsRemoved) {
        return suspect(claimant);
    }
    if protocol.is(Mutant::SealSoughtBeforeFenced) || protocol.is(Mutant::LogReadBeforeFenced) {
        begin_search(protocol, claimant);
    } else {
        claimant.step = Step::Fence;
        leave_fencing_if_done(protocol, claimant);
    }
}

fn leave_fencing_if_done(protocol: &Protocol, claimant: &mut Claimant) {
    if claimant.unfenced != 0 {
        return;
    }
    if protocol.is(Mutant::SealSoughtBeforeFenced) {
        claimant.step = Step::Load;
    } else if protocol.is(Mutant::LogReadBeforeFenced) {
        begin_hardening(protocol, claimant);
    } else {
        begin_search(protocol, claimant);
    }
}

fn begin_search(protocol: &Protocol, claimant: &mut Claimant) {
    claimant.step = Step::ReadRootA;
    claimant.at = claimant.own - 1;
    if is_below_search(protocol, claimant) {
        found_nothing(protocol, claimant);
    }
}

fn is_below_search(protocol: &Protocol, claimant: &Claimant) -> bool {
    let lowest = if protocol.is(Mutant::SearchStopsAtKnown) {
        claimant.from.max(1)
    } else {
        1
    };
    claimant.at < lowest
}

/// No lower epoch has sealed: the first boot of all.
fn found_nothing(protocol: &Protocol, claimant: &mut Claimant) {
    claimant.at = 0;
    claimant.root = Root::default();
    search_ended(protocol, claimant);
}

fn search_ended(protocol: &Protocol, claimant: &mut Claimant) {
    claimant.cell_a = Cell::Blank;
    claimant.step = Step::Load;
    if protocol.is(Mutant::SealSoughtBeforeFenced) && claimant.unfenced != 0 {
        claimant.step = Step::Fence;
    }
}

fn read_root(protocol: &Protocol, state: &State, claimant: &mut Claimant) {
    let files = state.epoch(claimant.at);
    if claimant.step == Step::ReadRootA {
        claimant.cell_a = files.roots[0];
        claimant.step = Step::ReadRootB;
        // Read together where nobody can write in between, or where their order is not modelled.
        let is_still =
            files.root_late.is_none() && files.root_in_doubt.is_none() && !server::has_owner(state, claimant.at);
        let can_change = !is_still || state.damage_left;
        if protocol.has(Aspect::TwoRoots) && can_change {
            return;
        }
    }
    match RootState::read(claimant.cell_a, files.roots[1]) {
        RootState::Sealed(root) => {
            claimant.root = root;
            search_ended(protocol, claimant);
        }
        RootState::NeverSealed => {
            claimant.cell_a = Cell::Blank;
            claimant.at -= 1;
            claimant.step = Step::ReadRootA;
            if is_below_search(protocol, claimant) {
                found_nothing(protocol, claimant);
            }
        }
        // Between the two reads the owner may have written both, so the pair is read again before it counts.
        RootState::Damaged if has_changed(protocol, files, claimant.cell_a) => {
            claimant.cell_a = Cell::Blank;
            claimant.step = Step::ReadRootA;
        }
        RootState::Damaged => suspect(claimant),
    }
}

fn has_changed(protocol: &Protocol, files: &EpochFiles, cell_a: Cell) -> bool {
    files.roots[0] != cell_a && !protocol.is(Mutant::PairNotReadAgain)
}

fn suspect(claimant: &mut Claimant) {
    claimant.step = Step::Suspect;
}

fn load(protocol: &Protocol, state: &State, claimant: &mut Claimant) {
    claimant.next = 0;
    claimant.found = claimant.root.sealed;
    if claimant.at == 0 {
        // A first boot, but not where somebody has led before. (The code looks for FORMAT only when its survey finds no sealed epoch; the mutant does as it does.)
        if state.has_format() && !(protocol.is(Mutant::SearchStopsAtKnown) && claimant.from != 0) {
            return suspect(claimant);
        }
        claimant.step = Step::Judge;
        return;
    }
    let root = &mut claimant.root;
    if root.newer == state.bad_checkpoint && !root.newer.is_none() {
        // Recovery falls back on the older one, and names it alone.
        root.newer = root.older;
        root.older = Checkpoint::NONE;
    }
    let base = root.newer;
    // Below its owner's epoch the checkpoint says what counts, from there on the list.
    if !base.is_none() {
        let content = state.epoch(base.owner()).recovered;
        claimant.found = content.and(root.sealed.since(base.owner()));
    }
    if base < state.gone {
        // A segment that is needed, or the checkpoint itself, is not there.
        return suspect(claimant);
    }
    for epoch in 1..claimant.at {
        if protocol.is(Mutant::ScanOldEpochs) {
            let seen = first(prefix(state.epoch(epoch).slots));
            claimant.found = claimant.found.with(epoch, seen);
        } else if !is_there(state, base, epoch, claimant.found.slots(epoch)) {
            return suspect(claimant);
        }
    }
    // What the checkpoint holds of the predecessor's log must be in the log.
    let covered = if base.owner() == claimant.at {
        first(base.count())
    } else {
        0
    };
    if covered & !unlinked(state, claimant.at) & !state.epoch(claimant.at).slots != 0 {
        return suspect(claimant);
    }
    claimant.found = claimant.found.with(claimant.at, covered);
    claimant.next = prefix(covered);
    claimant.step = Step::ReadLog;
}

/// Whether those of these slots that the checkpoint does not cover are there.
fn is_there(state: &State, base: Checkpoint, epoch: u8, slots: Slots) -> bool {
    let needed = slots & !base.covers(epoch, slots);
    needed & !state.epoch(epoch).slots == 0
}

/// Slots whose segments are unlinked.
fn unlinked(state: &State, epoch: u8) -> Slots {
    state.gone.covers(epoch, u8::MAX)
}

/// Whether nothing can happen to this log while it is read, so that it may be read in one step.
fn is_log_still(state: &State, epoch: u8) -> bool {
    let files = state.epoch(epoch);
    let is_hardened = state.brokers.iter().any(|broker| match &broker.phase {
        Phase::Claiming(claimant) => claimant.at == epoch && claimant.soft != 0,
        Phase::Standby | Phase::Leading(_) | Phase::Refused => false,
    });
    let can_change = files.slots_late != 0 || files.slots_in_doubt != 0 || is_hardened;
    !can_change && state.gone_late.is_none() && !server::has_owner(state, epoch)
}

fn read_log(protocol: &Protocol, state: &State, claimant: &mut Claimant) {
    let files = state.epoch(claimant.at);
    let is_still = is_log_still(state, claimant.at);
    loop {
        let slot = claimant.next;
        if slot >= claimant.root.announced {
            claimant.step = Step::Judge;
            return;
        }
        let bit = 1 << slot;
        if unlinked(state, claimant.at) & bit != 0 {
            return suspect(claimant);
        }
        if files.slots & bit != 0 {
            let slots = claimant.found.slots(claimant.at) | bit;
            claimant.found = claimant.found.with(claimant.at, slots);
        } else if !protocol.is(Mutant::GapSkipped) {
            claimant.step = Step::Judge;
            return;
        }
        claimant.next += 1;
        if !is_still {
            return;
        }
    }
}

fn judge(protocol: &Protocol, state: &mut State, index: usize, claimant: &mut Claimant) {
    claimant.next = 0;
    let engine = std::mem::take(&mut state.brokers[index].engine);
    if !claimant.found.contains(engine) {
        return suspect(claimant);
    }
    claimant.soft = 0;
    if claimant.at != 0 {
        let beat = state.epoch(claimant.at).beat;
        let tail = claimant.found.slots(claimant.at);
        if prefix(tail) < beat {
            return suspect(claimant);
        }
        // What the heartbeat or the checkpoint shows to be confirmed was durable before.
        let newer = claimant.root.newer;
        let covered = if newer.owner() == claimant.at { newer.count() } else { 0 };
        let shown = first(beat.max(covered));
        let can_be_lost = state.crash_left || tail & !state.epoch(claimant.at).slots != 0;
        if can_be_lost && !protocol.is(Mutant::TailNotHardened) {
            claimant.soft = tail & !shown;
        }
    }
    if protocol.is(Mutant::LogReadBeforeFenced) && claimant.unfenced != 0 {
        claimant.step = Step::Fence;
    } else {
        begin_hardening(protocol, claimant);
    }
}

fn begin_hardening(protocol: &Protocol, claimant: &mut Claimant) {
    claimant.step = Step::Harden;
    if claimant.soft == 0 {
        begin_seal(protocol, claimant);
    }
}

fn begin_seal(protocol: &Protocol, claimant: &mut Claimant) {
    claimant.step = Step::Seal;
    claimant.cell = 0;
    let sealed = if protocol.is(Mutant::SealOnlyPredecessor) && claimant.at != 0 {
        History::default().with(claimant.at, claimant.found.slots(claimant.at))
    } else if protocol.is(Mutant::ScanOldEpochs) || claimant.at == 0 {
        claimant.found
    } else {
        claimant
            .root
            .sealed
            .with(claimant.at, claimant.found.slots(claimant.at))
    };
    claimant.root = Root {
        update: 1,
        sealed,
        announced: protocol.announced_first(),
        newer: claimant.root.newer,
        older: claimant.root.older,
    };
    claimant.at = 0;
}

/// OPEN: it leads. Everything recovered may be confirmed from now on, to a client that asks again.
fn lead(protocol: &Protocol, state: &mut State, index: usize, claimant: &Claimant) {
    let own = claimant.own;
    let recovered = claimant.found;
    if let Some(before) = state.led {
        state.broken.rising |= before.epoch >= own;
        state.broken.history |= before.epoch < own && before.recovered != recovered.below(before.epoch);
    }
    state.broken.history |= recovered.has_gap();
    for epoch in 1..own {
        state.epoch_mut(epoch).confirmed |= recovered.slots(epoch);
    }
    state.epoch_mut(own).recovered = recovered;
    if state.led.is_none_or(|before| before.epoch < own) {
        state.led = Some(Led { epoch: own, recovered });
    }
    let writes_b_later = protocol.is(Mutant::RootAfterOneCell) && protocol.has(Aspect::TwoRoots);
    state.brokers[index] = Broker {
        phase: Phase::Leading(Reign {
            own,
            base: recovered,
            root: claimant.root,
            update: writes_b_later.then_some(claimant.root),
            cell: u8::from(writes_b_later),
            ..Reign::default()
        }),
        engine: History::default(),
    };
}
