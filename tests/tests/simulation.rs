//! A share of the simulation for every test run; scripts/test.d/50-simulation.sh runs the rest, optimised.

use holdfast_tests::simulation::scenario::{Damage, Scenario};
use holdfast_tests::simulation::{Report, coverage, exhaustive, run};
use simulated::Coverage;

/// Seeds that found something, with what it was. They are run for ever.
const SEEDS: [u64; 5] = [
    // Nothing: an ordinary run.
    1,
    // The simulation itself: a process that was halted for a power loss failed in the same turn, and the power loss never came.
    1168,
    // A client whose CONNECT lay unread while a clean stop waited for a stalled disk was told that it had sent none.
    3069, // A start ended because there was no space for one of its directories, instead of waiting.
    500_199,
    // An administrator was told that a move had left nothing, because another had just taken it with a record that was lost.
    4155,
];

/// Runs for every test run; debug builds are slow.
const RUNS: u64 = 150;

#[track_caller]
fn holds(report: &Report) {
    assert!(
        report.failures.is_empty(),
        "seed {}: {:#?}\nreplay: cargo run -p holdfast-tests --profile simulation --bin simulate -- --seed {} --trace",
        report.seed,
        report.failures,
        report.seed
    );
}

#[test]
fn promises_hold_in_many_simulated_runs() {
    let (mut met, mut with_company) = (Coverage::default(), 0);
    for seed in 1..=RUNS {
        let report = run(seed, false);
        holds(&report);
        assert!(
            report.operations >= 200,
            "seed {seed} does too little: {}",
            report.operations
        );
        met.add(&report.coverage);
        with_company += u64::from(Scenario::of(seed).company.is_some());
    }
    assert!(
        (RUNS / 3..RUNS * 2 / 3).contains(&with_company),
        "{with_company} runs have company"
    );
    let unlisted = coverage::unlisted(&met);
    assert!(unlisted.is_empty(), "coverage.rs does not list {unlisted:?}");
    for kind in [
        "mischief: a flood of SEND",
        "slow client: reads no more",
        "a full disk at the end",
    ] {
        assert!(met.of(kind) > 0, "{kind} was not met");
    }
}

#[test]
fn promises_hold_for_every_seed_that_once_broke_one() {
    for seed in SEEDS {
        holds(&run(seed, false));
    }
}

#[test]
fn promises_hold_at_every_crash_of_the_fixed_workload() {
    let report = exhaustive::run_every(exhaustive::SHARE_OF_A_TEST, 2);
    assert!(report.crashes > 100, "{}", report.crashes);
    assert!(report.failures.is_empty(), "{:#?}", report.failures.first());
}

#[test]
fn flipped_bits_are_refused_or_harmless() {
    let is_damaged = |seed: &u64| {
        matches!(
            Scenario::of(*seed).damage,
            Damage::FlippedBit | Damage::CutTail | Damage::DamagedConfirmed
        )
    };
    let damaged = (1..).filter(is_damaged).take(60);
    let mut refused = 0;
    for seed in damaged {
        let report = run(seed, false);
        holds(&report);
        refused += report.coverage.of("damage refused, undone, started");
    }
    assert!(refused > 0, "no damage was refused");
}

#[test]
fn a_seed_gives_the_same_run_every_time() {
    let (first, second) = (run(5, false), run(5, false));
    assert_eq!(first.history.events(), second.history.events());
    assert_eq!(first.coverage, second.coverage);
    assert_eq!(first.disk_operations, second.disk_operations);
}
