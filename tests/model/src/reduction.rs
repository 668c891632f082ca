//! States that cannot differ in anything that follows are taken for one.
//!
//! Each rule rests on what the protocol says, not on what it is to show:
//! - brokers have no names, so their order does not matter;
//! - an operation that would write what is durable there already has no effect;
//! - once an epoch has led, its root cells are in force, so whoever looks for a predecessor stops there at the latest: what lower epochs have in their roots, heartbeats and behind what counts is
//!   never read again. A process of such an epoch whose fence is closed for good can neither lead nor confirm any more: it may as well be dead. (Unlinks that it had decided on stay.)
//!
//! A broken protocol is checked without all this, but for two whose error is elsewhere; a test compares both ways on a small configuration.

use crate::broker::{self, Phase, Step};
use crate::history::Checkpoint;
use crate::protocol::Protocol;
use crate::state::{Cell, Led, State};

pub(crate) fn reduce(protocol: &Protocol, state: &mut State) {
    if let Some(led) = state.led
        && state.confirmed().below(led.epoch) == led.recovered
    {
        end_those_behind(protocol, state, led.epoch);
        forget_below(state, led);
    }
    forget_without_effect(state);
    // In a story they keep their names.
    if protocol.mutant.is_none() {
        state.brokers[..usize::from(protocol.configuration.brokers)].sort_unstable();
    }
}

/// Whether the epoch can never confirm anything any more.
fn is_closed(state: &State, epoch: u8) -> bool {
    let files = state.epoch(epoch);
    files.fenced && !files.fence_in_doubt
}

fn end_those_behind(protocol: &Protocol, state: &mut State, led: u8) {
    for index in 0..state.brokers.len() {
        let is_behind = match &state.brokers[index].phase {
            Phase::Claiming(claimant) => {
                !matches!(claimant.step, Step::Explain | Step::SyncNames | Step::Link)
                    && claimant.own < led
                    && is_closed(state, claimant.own)
            }
            Phase::Leading(reign) => reign.own < led && is_closed(state, reign.own),
            Phase::Standby | Phase::Refused => false,
        };
        if is_behind {
            broker::end(protocol, state, index);
        }
    }
}

fn forget_below(state: &mut State, led: Led) {
    for epoch in 1..led.epoch {
        if !is_closed(state, epoch) {
            continue;
        }
        let files = state.epoch_mut(epoch);
        files.roots = [Cell::Blank; 2];
        files.root_in_doubt = None;
        files.root_late = None;
        files.slots &= files.confirmed;
        files.slots_in_doubt &= files.confirmed;
        files.slots_late &= files.confirmed;
        files.beat = 0;
        files.beat_late = 0;
        // Whoever led there had recovered this, or the history would be broken.
        files.recovered = led.recovered.below(epoch);
    }
    let all_are_closed = (1..led.epoch).all(|epoch| is_closed(state, epoch));
    for broker in &mut state.brokers {
        // Whoever has not begun to fence would write only what is there already below the epoch that led.
        if let Phase::Claiming(claimant) = &mut broker.phase
            && matches!(
                claimant.step,
                Step::SyncNames | Step::Link | Step::SyncDirectory | Step::Look
            )
            && all_are_closed
        {
            claimant.from = claimant.from.max(led.epoch);
        }
    }
}

fn forget_without_effect(state: &mut State) {
    for files in &mut state.epochs {
        files.slots_late &= !files.slots | files.slots_in_doubt;
        files.fence_late &= !files.fenced || files.fence_in_doubt;
        files.link_late &= !files.linked || files.link_in_doubt;
        if files.beat_late == files.beat {
            files.beat_late = 0;
        }
    }
    if state.gone_late <= state.gone {
        state.gone_late = Checkpoint::NONE;
    }
    for index in 0..state.brokers.len() {
        while tries_a_taken_number(state, index) {
            if let Phase::Claiming(claimant) = &mut state.brokers[index].phase {
                claimant.own += 1;
            }
        }
    }
}

/// Its link can only come back with EEXIST.
fn tries_a_taken_number(state: &State, index: usize) -> bool {
    match &state.brokers[index].phase {
        Phase::Claiming(claimant) if claimant.step == Step::Link && usize::from(claimant.own) <= state.epochs.len() => {
            let files = state.epoch(claimant.own);
            files.linked && !files.link_in_doubt
        }
        Phase::Claiming(_) | Phase::Standby | Phase::Leading(_) | Phase::Refused => false,
    }
}
