//! Builds the simulation with each deliberate fault and runs it until a promise breaks; a fault that survives is a hole in the simulation.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::time::Instant;

use holdfast_tests::mutants::{MUTANTS, RUNS_MAX, workspace};

const USAGE: &str = "\
Usage: mutants [--runs N] [NAME…]

Builds the simulation with each deliberate fault of the shipped code, or with those named, and runs
it until a promise breaks. Exit code: 0 each was noticed, 1 one survived, 2 wrong usage.";

fn main() -> ExitCode {
    let (mut runs, mut wanted) = (RUNS_MAX, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--runs" => match arguments.next().and_then(|value| value.parse().ok()) {
                Some(value) => runs = value,
                None => return usage("--runs needs a number"),
            },
            name if MUTANTS.iter().any(|mutant| mutant.name == name) => wanted.push(argument),
            other => return usage(&format!("there is no mutant {other}")),
        }
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace().join("target"), PathBuf::from)
        .join("mutants");
    let mut survivors = Vec::new();
    if wanted.is_empty() && !release_refuses(&target) {
        survivors.push("a release build takes a mutant");
    }
    let mut noticed = 0;
    for mutant in MUTANTS
        .iter()
        .filter(|mutant| wanted.is_empty() || wanted.iter().any(|name| name == mutant.name))
    {
        let started = Instant::now();
        let built = build(&target, mutant.name, &["build"]);
        if !built.status.success() {
            println!(
                "{}: does not build\n{}",
                mutant.name,
                String::from_utf8_lossy(&built.stderr)
            );
            survivors.push(mutant.name);
            continue;
        }
        let building = started.elapsed();
        let run = Command::new(target.join("debug/simulate"))
            .args(["--brief", "--failures", "1", "--runs", &runs.to_string()])
            .output()
            .expect("what was built runs");
        let text = String::from_utf8_lossy(&run.stdout);
        let total = started.elapsed();
        let times = format!(
            "{:.1} s to build, {:.1} s to run",
            building.as_secs_f64(),
            (total - building).as_secs_f64()
        );
        match run.status.code() {
            Some(1) => {
                noticed += 1;
                let first = text.lines().find(|line| line.contains("FAILED")).unwrap_or_default();
                let first: String = first.chars().take(160).collect();
                println!("{:32} noticed ({times}): {first}", mutant.name);
            }
            Some(0) => {
                println!("{:32} SURVIVED {runs} runs ({times}): it {}", mutant.name, mutant.does);
                survivors.push(mutant.name);
            }
            code => {
                println!(
                    "{:32} ended with {code:?} ({times})\n{text}{}",
                    mutant.name,
                    String::from_utf8_lossy(&run.stderr)
                );
                survivors.push(mutant.name);
            }
        }
    }
    println!(
        "{noticed} noticed, {} not{}",
        survivors.len(),
        if survivors.is_empty() { "" } else { ": " }
    );
    survivors.iter().for_each(|name| println!("  {name}"));
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

/// Builds with one fault. The cfg goes to the workspace's crates alone, through a wrapper of its own: everything else is built once for all.
fn build(target: &Path, name: &str, how: &[&str]) -> Output {
    let directory = target.join("wrappers");
    std::fs::create_dir_all(&directory).expect("the target directory is writable");
    let wrapper = directory.join(name);
    std::fs::write(
        &wrapper,
        format!("#!/bin/sh\nexec \"$@\" --cfg 'holdfast_mutant=\"{name}\"'\n"),
    )
    .expect("the target directory is writable");
    std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).expect("the file is ours");
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(how)
        .args([
            "--locked",
            "--quiet",
            "--package",
            "holdfast-tests",
            "--bin",
            "simulate",
            "--target-dir",
        ])
        .arg(target)
        .current_dir(workspace())
        .env("RUSTC_WORKSPACE_WRAPPER", wrapper)
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("CARGO_INCREMENTAL", "0")
        .output()
        .expect("cargo starts")
}

/// Whether a release build refuses a fault; one of each crate that has any.
fn release_refuses(target: &Path) -> bool {
    let mut of_crate = std::collections::BTreeMap::new();
    for (name, crates) in holdfast_tests::mutants::in_sources() {
        crates
            .into_iter()
            .for_each(|owner| drop(of_crate.insert(owner, name.clone())));
    }
    of_crate.into_iter().all(|(owner, name)| {
        let built = build(target, &name, &["check", "--release"]);
        let refused = !built.status.success()
            && String::from_utf8_lossy(&built.stderr).contains("must not get into a release build");
        println!(
            "{:32} {} by a release build of {owner}",
            name,
            if refused { "refused" } else { "NOT refused" }
        );
        refused
    })
}
