//! Sets every enemy on the shipped binary and prints what came of it.

use std::process::{Command, ExitCode};
use std::time::Instant;

use clap::Parser;
use holdfast_tests::enemies::{CASES, Case, Shown, Trouble};
use holdfast_tests::process::{holdfast, kill_started};

/// Exit code of a case that this machine cannot show.
const SKIPPED: u8 = 77;

/// Sets enemies on the shipped binary, one case after the other, while a healthy client works, and judges what came of it.
///
/// The binary is what HOLDFAST_BIN names, else it is built with this program's profile: use --profile quick or --release. Memory is what is resident in the broker before the enemy came, at most,
/// and after it was gone, and what its limits allow at most; PROC is its processor time; SLOWEST the longest that a durable message of the healthy client waited for its receipt, which is printed and
/// not judged.
///
/// Exit code: 0 all is well, 1 a promise was broken, 2 wrong usage.
#[derive(Parser)]
struct Options {
    /// Those alone whose name contains one of these
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// With the numbers that take hours
    #[arg(long)]
    long: bool,
    /// Name the cases and run none
    #[arg(long)]
    list: bool,
    /// In this process, the case of exactly this name
    #[arg(long, value_name = "NAME", hide = true)]
    one: Option<String>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(name) = &options.one {
        let case = CASES.iter().find(|case| case.name == name);
        return case.map_or(ExitCode::from(2), |case| run(case, options.long));
    }
    let is_wanted =
        |case: &&Case| options.only.is_empty() || options.only.iter().any(|name| case.name.contains(&**name));
    let cases: Vec<&Case> = CASES.iter().filter(is_wanted).collect();
    if cases.is_empty() {
        eprintln!("enemies: there is no such case; --list names them all");
        return ExitCode::from(2);
    }
    if options.list {
        cases.iter().for_each(|case| println!("{}", case.name));
        return ExitCode::SUCCESS;
    }
    println!("binary: {}", holdfast().display());
    println!(
        "{:22} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} {:>8}  {:8} what was done",
        "case", "before", "most", "allowed", "after", "proc", "took", "slowest", "verdict"
    );
    println!(
        "{:22} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} {:>8}",
        "", "MiB", "MiB", "MiB", "MiB", "s", "s", "ms"
    );
    let begun = Instant::now();
    let (mut failed, mut skipped) = (Vec::new(), 0);
    for case in &cases {
        match run_alone(case, options.long) {
            Some(0) => {}
            Some(code) if code == i32::from(SKIPPED) => skipped += 1,
            Some(1) => failed.push(case.name),
            code => {
                println!(
                    "{:22} FAILED: it ended with {code:?}; what it said stands above",
                    case.name
                );
                failed.push(case.name);
            }
        }
    }
    println!(
        "{} cases in {:.0} s, {skipped} skipped, {} failed{}{}",
        cases.len(),
        begun.elapsed().as_secs_f64(),
        failed.len(),
        if failed.is_empty() { "" } else { ": " },
        failed.join(", ")
    );
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs one case in a process of its own, so that a panic ends that case alone and no case has the memory and descriptors of another; its exit code.
fn run_alone(case: &Case, long: bool) -> Option<i32> {
    let own = std::env::current_exe().expect("a process knows its own file");
    let mut command = Command::new(own);
    command.args(["--one", case.name]).env("HOLDFAST_BIN", holdfast());
    if long {
        command.arg("--long");
    }
    command.status().expect("this program starts again").code()
}

/// Runs one case here and prints its row.
fn run(case: &Case, long: bool) -> ExitCode {
    // Where a panic aborts, nothing else would end the broker.
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        kill_started();
        before(panic);
    }));
    let started = Instant::now();
    match (case.run)(long) {
        Ok(shown) => {
            print_shown(case, &shown, started);
            ExitCode::SUCCESS
        }
        Err(Trouble::Unavailable(why)) => {
            println!("{:22} SKIPPED: {why}", case.name);
            ExitCode::from(SKIPPED)
        }
        Err(Trouble::Failed(why) | Trouble::Cut(why)) => {
            println!(
                "{:22} FAILED after {:.1} s: {why}",
                case.name,
                started.elapsed().as_secs_f64()
            );
            ExitCode::FAILURE
        }
    }
}

fn print_shown(case: &Case, shown: &Shown, started: Instant) {
    let [before, most, after] = shown.resident.map(|bytes| bytes >> 20);
    println!(
        "{:22} {before:>7} {most:>7} {:>7} {after:>7} {:>7.1} {:>7.1} {:>8.1}  {:8} {}",
        case.name,
        shown.bound >> 20,
        shown.processor.as_secs_f64(),
        started.elapsed().as_secs_f64(),
        shown.testimony.slowest.as_secs_f64() * 1e3,
        "well",
        shown.text
    );
}
