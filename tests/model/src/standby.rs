//! A standby: it watches, follows the leader's stream with a warm engine, and decides to claim.
//!
//! When it claims is up to it: silence, clocks and GOODBYE decide only that, so a model in which a standby may claim at any time allows more than the protocol does.

use crate::aspects::Aspect;
use crate::broker::{Claimant, Phase, Step};
use crate::claimant::before_link;
use crate::history::{Slots, first};
use crate::mutants::Mutant;
use crate::protocol::{Action, Protocol};
use crate::state::{RootState, State};

pub(crate) fn actions(protocol: &Protocol, state: &State, broker: u8, actions: &mut Vec<Action>) {
    let highest = state.highest_claim();
    let lowest_seen = if protocol.has(Aspect::Stale) { 0 } else { highest };
    for seen in lowest_seen..=highest {
        if seen < protocol.configuration.epochs {
            actions.push(Action::Survey { broker, seen });
        }
    }
    if !protocol.has(Aspect::Standby) {
        return;
    }
    for leader in 0..protocol.configuration.brokers {
        if let Phase::Leading(_) = state.brokers[usize::from(leader)].phase {
            actions.push(Action::Follow { broker, leader });
        }
    }
}

/// It knows these claims, and of them the newest that is sealed.
pub(crate) fn survey(protocol: &Protocol, state: &mut State, broker: u8, seen: u8) {
    if state.has_gap_below(seen) && !protocol.is(Mutant::ClaimsRemoved) {
        state.brokers[usize::from(broker)].phase = Phase::Refused;
        return;
    }
    let is_sealed = |epoch: &u8| {
        let roots = state.epoch(*epoch).roots;
        matches!(RootState::read(roots[0], roots[1]), RootState::Sealed(_))
    };
    let from = (1..=seen).rev().find(is_sealed).unwrap_or(0);
    state.brokers[usize::from(broker)].phase = Phase::Claiming(Claimant {
        own: seen + 1,
        from,
        // Where nothing is sealed, somebody may have led all the same.
        step: if from == 0 {
            Step::Explain
        } else {
            before_link(protocol, state, seen + 1)
        },
        ..Claimant::default()
    });
}

/// Applies what the leader says is confirmed. What contradicts what is already applied is damage.
pub(crate) fn follow(protocol: &Protocol, state: &mut State, broker: u8, leader: u8) {
    let Phase::Leading(reign) = state.brokers[usize::from(leader)].phase else {
        return;
    };
    let written: Slots = if protocol.is(Mutant::StandbyAppliesUnconfirmed) {
        state.epoch(reign.own).slots
    } else {
        first(reign.confirmed())
    };
    let told = reign.base.with(reign.own, written);
    let process = &mut state.brokers[usize::from(broker)];
    if told.contains(process.engine) {
        process.engine = told;
    } else if !process.engine.contains(told) {
        process.phase = Phase::Refused;
    }
}
