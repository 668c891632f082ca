//! Checks the model of the failover protocol and prints what was explored and caught; docs/model.md explains it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

use holdfast_model::configurations::{self, Configuration};
use holdfast_model::exploration::{self, Catch, Exploration};
use holdfast_model::mutants::Mutant;
use holdfast_model::protocol::Protocol;
use holdfast_model::table;

const USAGE: &str = "\
Usage: model [--long] [--write] [NAME…]

Explores the failover protocol in every configuration and looks for a counterexample to every mutant, or to those named.

  --long    explores the full configurations instead of the small ones: 2 brokers over 4 epochs, 3 over 3
  --try CONFIGURATION
            explores this alone: numbers of brokers, epochs and batches, then aspects, as in '2 3 1 late crash'
  --write   puts the tables into docs/model.md and the counterexamples into tests/model/counterexamples
            (the rows that were made now; of the small or of the full configurations, whichever were explored)

Exit code: 0 every promise held and every mutant was caught, its counterexample as it is kept; 1 not; 2 wrong usage.
";

/// Of one exploration: what fits into the memory of a small machine.
const TRANSITIONS_MAX: usize = 1_000_000_000;

const THREADS: usize = 2;

struct Options {
    is_long: bool,
    writes: bool,
    tried: Option<Configuration>,
    names: Vec<String>,
}

fn main() -> ExitCode {
    let Some(options) = options(std::env::args().skip(1)) else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    if let Some(configuration) = options.tried {
        let result = explore(&configuration);
        print!("{}{}", table::EXPLORATIONS, table::exploration(&result));
        if let Some(story) = &result.broken {
            println!("\n{story}");
        }
        return if result.is_good() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    let mut is_good = true;
    let configurations = if options.is_long {
        configurations::full()
    } else {
        configurations::small()
    };
    let wanted = |name: &str| options.names.is_empty() || options.names.iter().any(|wanted| wanted == name);
    let begun = Instant::now();

    print!("{}", table::EXPLORATIONS);
    let mut explored = Vec::new();
    for configuration in configurations.iter().filter(|configuration| wanted(configuration.name)) {
        let result = explore(configuration);
        let row = table::exploration(&result);
        print!("{row}");
        explored.push(row);
        is_good &= result.is_good();
        if let Some(story) = &result.broken {
            println!("\n{story}");
        }
    }
    println!("\n{}", table::never_met());

    let mutants: Vec<Mutant> = Mutant::ALL
        .iter()
        .copied()
        .filter(|mutant| wanted(mutant.name()))
        .collect();
    print!("{}", table::CATCHES);
    let mut catches = Vec::new();
    for (mutant, result) in catch_all(&mutants) {
        let Some(result) = result else {
            println!("| {} | **survives** | | | | |", mutant.name());
            is_good = false;
            continue;
        };
        let row = table::caught(&result);
        print!("{row}");
        catches.push(row);
        is_good &= if options.writes {
            write(&counterexample(mutant), &result.story)
        } else {
            is_kept(&result)
        };
    }
    if options.writes {
        let mark = if options.is_long { "full" } else { "small" };
        is_good &= write_document(mark, &explored, &catches);
    }
    println!("\n{:.0} s", begun.elapsed().as_secs_f64());
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options {
        is_long: false,
        writes: false,
        tried: None,
        names: Vec::new(),
    };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--long" => options.is_long = true,
            "--try" => {
                let text = arguments.next().unwrap_or_default();
                options.tried = Configuration::named("tried", &text);
                if options.tried.is_none() {
                    eprintln!("model: {text:?} is no configuration");
                    return None;
                }
            }
            "--write" => options.writes = true,
            name if is_known(name) => options.names.push(argument),
            unknown => {
                eprintln!("model: there is no option, configuration or mutant {unknown}");
                return None;
            }
        }
    }
    Some(options)
}

fn is_known(name: &str) -> bool {
    Mutant::named(name).is_some()
        || configurations::full()
            .iter()
            .any(|configuration| configuration.name == name)
}

fn explore(configuration: &Configuration) -> Exploration {
    exploration::explore(&Protocol::sound(*configuration), THREADS, TRANSITIONS_MAX)
}

/// Each by one thread, so that a counterexample is always the same; as many at once as there are threads. In the order of the list.
fn catch_all(mutants: &[Mutant]) -> Vec<(Mutant, Option<Catch>)> {
    let next = Mutex::new(mutants.iter().copied().enumerate());
    let caught = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let Some((index, mutant)) = next.lock().expect("no thread panics with it").next() else {
                        return;
                    };
                    let result = exploration::catch(mutant);
                    caught
                        .lock()
                        .expect("no thread panics with it")
                        .push((index, mutant, result));
                }
            });
        }
    });
    let mut caught = caught.into_inner().expect("no thread panics with it");
    caught.sort_by_key(|(index, _, _)| *index);
    caught.into_iter().map(|(_, mutant, result)| (mutant, result)).collect()
}

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn counterexample(mutant: Mutant) -> PathBuf {
    package().join("counterexamples").join(format!("{}.txt", mutant.name()))
}

fn is_kept(result: &Catch) -> bool {
    let path = counterexample(result.mutant);
    let is_kept = std::fs::read_to_string(&path).is_ok_and(|kept| kept == result.story);
    if !is_kept {
        println!(
            "{} is not what was found; `model --write {}` writes it",
            path.display(),
            result.mutant.name()
        );
    }
    is_kept
}

fn write(path: &Path, text: &str) -> bool {
    match std::fs::write(path, text) {
        Ok(()) => true,
        Err(error) => {
            println!("{} cannot be written: {error}", path.display());
            false
        }
    }
}

/// Puts the tables between their marks; rows that were not made now stay as they are.
fn write_document(mark: &str, explored: &[String], catches: &[String]) -> bool {
    let path = package().join("../../docs/model.md");
    let mut text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            println!("{} cannot be read: {error}", path.display());
            return false;
        }
    };
    let configurations: Vec<&str> = configurations::full()
        .iter()
        .map(|configuration| configuration.name)
        .collect();
    let mutants: Vec<&str> = Mutant::ALL.iter().map(|mutant| mutant.name()).collect();
    for mark in ["aspects", mark, "never-met", "mutants"] {
        let (begin, end) = (format!("<!-- {mark} -->\n"), format!("<!-- end of {mark} -->"));
        let (Some(from), Some(to)) = (text.find(&begin), text.find(&end)) else {
            println!("{} has no marks for {mark}", path.display());
            return false;
        };
        let inside = from + begin.len()..to;
        let old = &text[inside.clone()];
        let new = match mark {
            "aspects" => table::aspects(),
            "never-met" => table::never_met(),
            "mutants" => table::merged(table::CATCHES, old, catches, &mutants),
            _ => table::merged(table::EXPLORATIONS, old, explored, &configurations),
        };
        text.replace_range(inside, &new);
    }
    write(&path, &text)
}
