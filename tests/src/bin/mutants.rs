//! Builds the simulation with all deliberate faults and runs it with each until a promise breaks; one that survives is a hole in the simulation.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::time::Instant;

use holdfast_tests::workspace;
use mutant::Mutant;

/// Simulated runs that a fault may survive at most.
const RUNS_MAX: u64 = 1_000;

/// What a build says that must not have them.
const REFUSAL: &str = "must not get into a release build";

const USAGE: &str = "\
Usage: mutants [--runs N] [NAME…]

Builds the simulation with the deliberate faults of the shipped code and runs it with each, or with
those named, until a promise breaks. Exit code: 0 each was noticed, 1 one survived, 2 wrong usage.";

fn main() -> ExitCode {
    let (mut runs, mut wanted) = (RUNS_MAX, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--runs" => match arguments.next().and_then(|value| value.parse().ok()) {
                Some(value) => runs = value,
                None => return usage("--runs needs a number"),
            },
            name => match Mutant::ALL.iter().find(|mutant| mutant.name() == name) {
                Some(mutant) => wanted.push(*mutant),
                None => return usage(&format!("there is no mutant {name}")),
            },
        }
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace().join("target"), PathBuf::from)
        .join("mutants");
    let started = Instant::now();
    let refused = build(
        &target,
        &["check", "--profile", "release", "--package", "holdfast-mutant"],
    );
    if refused.status.success() || !String::from_utf8_lossy(&refused.stderr).contains(REFUSAL) {
        println!(
            "a release build takes the faults:\n{}",
            String::from_utf8_lossy(&refused.stderr)
        );
        return ExitCode::FAILURE;
    }
    println!("a release build refuses the faults");
    let built = build(
        &target,
        &[
            "build",
            "--profile",
            "simulation",
            "--package",
            "holdfast-tests",
            "--bin",
            "simulate",
        ],
    );
    if !built.status.success() {
        println!(
            "the build with the faults fails\n{}",
            String::from_utf8_lossy(&built.stderr)
        );
        return ExitCode::FAILURE;
    }
    println!(
        "the simulation is built with all of them, in {:.0} s",
        started.elapsed().as_secs_f64()
    );

    let all = if wanted.is_empty() { Mutant::ALL } else { &wanted };
    let survivors: Vec<Mutant> = all
        .iter()
        .copied()
        .filter(|mutant| !is_noticed(&target.join("simulation/simulate"), *mutant, runs))
        .collect();
    println!(
        "{} of {} were noticed within {runs} runs",
        all.len() - survivors.len(),
        all.len()
    );
    if survivors.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn usage(error: &str) -> ExitCode {
    eprintln!("mutants: {error}\n{USAGE}");
    ExitCode::from(2)
}

/// Runs the simulation with one fault, and says what came of it.
fn is_noticed(simulate: &Path, mutant: Mutant, runs: u64) -> bool {
    let started = Instant::now();
    let run = Command::new(simulate)
        .args([
            "--brief",
            "--failures",
            "1",
            "--mutant",
            mutant.name(),
            "--runs",
            &runs.to_string(),
        ])
        .output()
        .expect("what was built runs");
    let text = String::from_utf8_lossy(&run.stdout);
    let took = started.elapsed().as_secs_f64();
    let first = text.lines().find(|line| line.contains("FAILED"));
    match (run.status.code(), first) {
        (Some(1), Some(first)) => {
            let first: String = first.chars().take(160).collect();
            println!("{:31} noticed in {took:.1} s: {first}", mutant.name());
            true
        }
        (Some(0), _) => {
            println!(
                "{:31} SURVIVED {runs} runs ({took:.1} s): it {}",
                mutant.name(),
                mutant.does()
            );
            false
        }
        (code, _) => {
            let errors = String::from_utf8_lossy(&run.stderr);
            println!("{:31} ended with {code:?}\n{text}{errors}", mutant.name());
            false
        }
    }
}

/// Runs cargo with the faults compiled in.
fn build(target: &Path, how: &[&str]) -> Output {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(how)
        .args(["--locked", "--quiet", "--target-dir"])
        .arg(target)
        .current_dir(workspace())
        .env("RUSTFLAGS", "--cfg holdfast_mutants")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .expect("cargo starts")
}
