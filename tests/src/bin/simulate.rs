//! Runs the simulation: one seed, many, or every crash of the fixed workload.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use holdfast_tests::ledger::{self, Row};
use holdfast_tests::options::{count, hours, mutant_named, number};
use holdfast_tests::simulation::{self, coverage, exhaustive};
use mutant::Mutant;
use simulated::Coverage;

/// What clients must have done in a run for it to count.
const OPERATIONS_MIN: u64 = 200;

/// Failing seeds after which it is mostly pointless to go on.
const FAILURES_MAX: usize = 20;

/// Runs the shipped node over a simulated machine.
///
/// Exit code: 0 all is well, 1 a promise was broken, 2 wrong usage.
#[derive(Parser)]
struct Options {
    /// One run; prints what it came to
    #[arg(long, value_name = "N", value_parser = number)]
    seed: Option<u64>,
    /// With --seed: prints what happens, as it happens
    #[arg(long, requires = "seed")]
    trace: bool,
    /// So many runs, seeds from --from on
    #[arg(long, value_name = "N", value_parser = number, default_value = "1000")]
    runs: u64,
    /// The first seed; without it: 1
    #[arg(long, value_name = "N", value_parser = number)]
    from: Option<u64>,
    /// Adds a row about the runs to the table in FILE; the tree must have no changes
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "mutant", "exhaustive"])]
    append: Option<PathBuf>,
    /// With --append: the first seed is the one behind the table's last
    #[arg(long = "continue", requires = "append", conflicts_with = "from")]
    goes_on: bool,
    /// Runs for so long, however many that is
    #[arg(long, value_name = "H", value_parser = hours)]
    hours: Option<Duration>,
    /// Threads; without it: the machine's
    #[arg(long, value_name = "N", value_parser = count)]
    jobs: Option<usize>,
    /// Stop after so many failing seeds
    #[arg(long, value_name = "N", value_parser = count, default_value_t = FAILURES_MAX)]
    failures: usize,
    /// No table of what was met
    #[arg(long)]
    brief: bool,
    /// With a deliberate fault, in a build that has them
    #[arg(long, value_name = "NAME", value_parser = mutant_named)]
    mutant: Option<Mutant>,
    /// Every crash of one fixed workload
    #[arg(long)]
    exhaustive: bool,
}

impl Options {
    fn jobs(&self) -> usize {
        let machine = || std::thread::available_parallelism().map_or(1, usize::from);
        self.jobs.unwrap_or_else(machine)
    }

    fn first_seed(&self) -> Result<u64, String> {
        match (&self.append, self.goes_on) {
            (Some(file), true) => ledger::next_seed(file),
            (_, _) => Ok(self.from.unwrap_or(1)),
        }
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(mutant) = options.mutant
        && !mutant.choose()
    {
        eprintln!("simulate: this build has no deliberate faults; the binary `mutants` makes one that has");
        return ExitCode::from(2);
    }
    // Before hours of work, not behind them: what is checked out may be another commit by then.
    let checked = options.append.as_deref().map(ledger::clean_commit).transpose();
    let (commit, from) = match checked.and_then(|commit| Ok((commit, options.first_seed()?))) {
        Ok(checked) => checked,
        Err(error) => {
            eprintln!("simulate: {error}");
            return ExitCode::from(2);
        }
    };
    let is_well = match (options.seed, options.exhaustive) {
        (_, true) => run_exhaustive(&options),
        (Some(seed), false) => run_one(seed, options.trace),
        (None, false) => run_many(&options, commit.as_deref(), from),
    };
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_one(seed: u64, trace: bool) -> bool {
    let report = simulation::run(seed, trace);
    println!(
        "seed {seed}: {} operations of clients, {} of the disk",
        report.operations, report.disk_operations
    );
    print!("{}", report.coverage);
    for failure in &report.failures {
        println!("FAILED: {failure}");
    }
    report.failures.is_empty()
}

/// What many runs came to.
#[derive(Default)]
struct Total {
    runs: u64,
    last_seed: u64,
    operations: u64,
    disk_operations: u64,
    /// Runs that ended before enough was done, because the damage was refused: they do not count.
    short: u64,
    faultless: u64,
    coverage: Coverage,
    failed: BTreeSet<u64>,
}

fn run_many(options: &Options, commit: Option<&str>, from: u64) -> bool {
    let (started, cpu_before) = (Instant::now(), cpu_time());
    let next = AtomicU64::new(from);
    let enough = AtomicBool::new(false);
    let total = Mutex::new(Total::default());
    let until = options.hours.map(|hours| started + hours);
    std::thread::scope(|scope| {
        for _ in 0..options.jobs() {
            scope.spawn(|| work(options, from, &next, &enough, until, &total));
        }
    });
    let total = total.into_inner().expect("no thread panics while it holds the total");
    let cpu = cpu_time() - cpu_before;
    if !options.brief {
        println!("\nWhat was met, over all runs:\n{}", total.coverage);
        let list = |title: &str, names: Vec<&str>| {
            if !names.is_empty() {
                println!("{title}:\n  {}\n", names.join("\n  "));
            }
        };
        list("Never met", coverage::never_met(&total.coverage));
        list(
            "Met, and missing in the list of what can be",
            coverage::unlisted(&total.coverage),
        );
    }
    let cpu_millis = cpu.as_secs_f64() * 1e3 / total.runs.max(1) as f64;
    println!(
        "{} runs of at least {OPERATIONS_MIN} operations of clients in {:.1} s, {:.2} ms of CPU each; {} such operations, {} of the disk; {} runs without a fault; {} more ended early and do not count; {} failed",
        total.runs,
        started.elapsed().as_secs_f64(),
        cpu_millis,
        total.operations,
        total.disk_operations,
        total.faultless,
        total.short,
        total.failed.len()
    );
    for seed in &total.failed {
        println!("replay: cargo run -p holdfast-tests --profile simulation --bin simulate -- --seed {seed} --trace");
    }
    let is_well = total.failed.is_empty();
    if let (Some(file), Some(commit)) = (&options.append, commit) {
        let row = Row {
            seeds: (from, total.last_seed),
            runs: total.runs,
            failed: total.failed.into_iter().collect(),
            operations: total.operations,
            disk_operations: total.disk_operations,
            coverage: total.coverage,
            cpu_millis,
        };
        if let Err(error) = row.append(file, commit) {
            eprintln!("simulate: no row was added: {error}");
            return false;
        }
        println!("a row was added to {}", file.display());
    }
    is_well
}

fn work(
    options: &Options,
    from: u64,
    next: &AtomicU64,
    enough: &AtomicBool,
    until: Option<Instant>,
    total: &Mutex<Total>,
) {
    while !enough.load(Ordering::Relaxed) {
        if until.is_some_and(|until| Instant::now() >= until) {
            return;
        }
        // Every seed that is taken is run: those of a row leave nothing out.
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if until.is_none() && seed >= from + options.runs {
            return;
        }
        let report = std::panic::catch_unwind(|| simulation::run(seed, false));
        let mut total = total.lock().expect("no thread panics while it holds the total");
        total.runs += 1;
        total.last_seed = total.last_seed.max(seed);
        let first = match report {
            Ok(report) => {
                total.operations += report.operations;
                total.disk_operations += report.disk_operations;
                if report.operations < OPERATIONS_MIN && report.failures.is_empty() {
                    total.short += 1;
                    total.runs -= 1;
                }
                total.faultless += u64::from(!report.coverage.iter().any(|(name, _)| simulation::run::is_fault(name)));
                total.coverage.add(&report.coverage);
                report.failures.into_iter().next()
            }
            Err(_) => Some("it panicked".to_owned()),
        };
        if let Some(failure) = first {
            println!("seed {seed} FAILED: {failure}");
            println!(
                "  replay: cargo run -p holdfast-tests --profile simulation --bin simulate -- --seed {seed} --trace"
            );
            total.failed.insert(seed);
            enough.store(total.failed.len() >= options.failures, Ordering::Relaxed);
        }
    }
}

fn run_exhaustive(options: &Options) -> bool {
    let (started, cpu_before) = (Instant::now(), cpu_time());
    let report = exhaustive::run(options.jobs());
    for failure in report.failures.iter().take(options.failures) {
        println!("FAILED: {failure}");
    }
    println!(
        "{} disk operations, {} crashes (every prefix, with all, none and each subset of at most {} blocks of what had not returned), {} failed; {:.1} s, {:.2} ms of CPU each",
        report.operations,
        report.crashes,
        exhaustive::SUBSET_MAX,
        report.failures.len(),
        started.elapsed().as_secs_f64(),
        (cpu_time() - cpu_before).as_secs_f64() * 1e3 / report.crashes.max(1) as f64
    );
    report.failures.is_empty()
}

/// CPU time of this process, user and system.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| {
        fields
            .get(index)
            .and_then(|field| field.parse::<u64>().ok())
            .unwrap_or(0)
    };
    // Fields 14 and 15 of proc(5), in hundredths of a second.
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}
