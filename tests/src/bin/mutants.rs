//! Builds the simulation with all deliberate faults and runs it with each until a promise breaks; one that survives is a hole in the simulation.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::time::Instant;

use clap::Parser;
use holdfast_tests::options::{mutant_named, number};
use holdfast_tests::workspace;
use mutant::Mutant;

/// Simulated runs that a fault may survive at most.
const RUNS_MAX: u64 = 1_000;

/// What a build says that must not have them.
const REFUSAL: &str = "must not get into a release build";

/// Builds the simulation with the deliberate faults of the shipped code and runs it with each, or with those named, until a promise breaks.
///
/// Exit code: 0 each was noticed, 1 one survived, 2 wrong usage.
#[derive(Parser)]
struct Options {
    /// Simulated runs that a fault may survive at most
    #[arg(long, value_name = "N", value_parser = number, default_value_t = RUNS_MAX)]
    runs: u64,
    /// Those alone
    #[arg(value_name = "NAME", value_parser = mutant_named)]
    mutants: Vec<Mutant>,
}

fn main() -> ExitCode {
    let Options { runs, mutants: wanted } = Options::parse();
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
