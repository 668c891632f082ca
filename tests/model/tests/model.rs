//! What can be checked within seconds; the step `model` of scripts/test does the rest.

use std::path::Path;

use holdfast_model::aspects::Aspect;
use holdfast_model::configurations::{self, Configuration};
use holdfast_model::exploration::{catch, explore};
use holdfast_model::mutants::Mutant;
use holdfast_model::protocol::Protocol;
use holdfast_model::table;

const THREADS: usize = 2;
const TRANSITIONS_MAX: usize = 20_000_000;

#[test]
fn every_promise_holds_and_four_epochs_in_a_row_confirm_something() {
    let core = Configuration::new("core", 2, 4, 1, &[Aspect::Late]);
    let explored = explore(&Protocol::sound(core), THREADS, TRANSITIONS_MAX);
    assert_eq!(explored.broken, None);
    assert!(explored.is_exhausted && explored.every_epoch_serves, "{explored:?}");
}

#[test]
fn reduction_changes_no_verdict() {
    let configurations: [(u8, &[Aspect]); 5] = [
        (2, &[Aspect::Late, Aspect::Crash, Aspect::Heartbeat]),
        (2, &[Aspect::Late, Aspect::TwoRoots, Aspect::Damage]),
        (2, &[Aspect::Late, Aspect::Stale, Aspect::Standby]),
        (2, &[Aspect::Late, Aspect::TwoRoots, Aspect::Checkpoints]),
        (3, &[Aspect::Late, Aspect::Standby]),
    ];
    for (epochs, aspects) in configurations {
        let sound = Protocol::sound(Configuration::new("reduced", 2, epochs, 1, aspects));
        let reduced = explore(&sound, THREADS, TRANSITIONS_MAX);
        let whole = Protocol {
            is_reduced: false,
            ..sound
        };
        let whole = explore(&whole, THREADS, TRANSITIONS_MAX);
        assert!(reduced.is_good() && reduced.is_exhausted, "{aspects:?}: {reduced:?}");
        assert!(whole.is_good() && whole.is_exhausted, "{aspects:?}: {whole:?}");
        assert!(reduced.states < whole.states, "{aspects:?}: nothing was reduced");
    }
}

#[test]
fn every_mutant_has_a_counterexample_that_names_it_and_what_it_breaks() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("counterexamples");
    for mutant in Mutant::ALL {
        let path = folder.join(format!("{}.txt", mutant.name()));
        let kept = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (_, promise) = mutant.trial();
        assert!(
            kept.starts_with(&format!("Mutant {}: ", mutant.name())),
            "{}",
            path.display()
        );
        assert!(kept.contains(promise.name()), "{}", path.display());
    }
    let files = std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(files, Mutant::ALL.len(), "a counterexample belongs to no mutant");
}

#[test]
fn a_counterexample_that_is_kept_is_what_the_checker_finds() {
    // The quick ones of each kind; the step compares all.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("counterexamples");
    for mutant in [
        Mutant::NoFenceRead,
        Mutant::LogReadBeforeFenced,
        Mutant::ConfirmOutOfOrder,
        Mutant::CreateThenWrite,
        Mutant::TailNotHardened,
        Mutant::DeletionOlderForbids,
        Mutant::StandbyAppliesUnconfirmed,
    ] {
        let found = catch(mutant).unwrap_or_else(|| panic!("{} survives", mutant.name()));
        let kept = std::fs::read_to_string(folder.join(format!("{}.txt", mutant.name()))).unwrap();
        assert_eq!(found.story, kept, "{}", mutant.name());
    }
}

#[test]
fn every_pair_of_aspects_meets() {
    assert_eq!(
        configurations::never_met(&configurations::full(), 2),
        Vec::<Vec<Aspect>>::new()
    );
}

#[test]
fn a_table_keeps_the_rows_that_were_not_made_anew() {
    let old = "| a |\n|---|\n| [two]: old |\n| one | old |\n| gone | old |\n";
    let new = ["| [two]: new |\n".to_owned()];
    let merged = table::merged("| a |\n|---|\n", old, &new, &["one", "two", "three"]);
    assert_eq!(merged, "| a |\n|---|\n| one | old |\n| [two]: new |\n");
}
