//! What scripts/fuzz asks before it starts an engine: the targets, their seeds and their words.
//!
//! `fuzz-inputs list` prints a line for each target: its name and its longest input. `fuzz-inputs write DIRECTORY NAME` writes the seeds and past findings of a target into
//! `DIRECTORY/seeds/`, its words into `DIRECTORY/words`.
#![forbid(unsafe_code)]

// Built with the flags of the engine's programs, it needs what these flags call.
#[cfg(feature = "engine")]
use libfuzzer_sys as _;

use std::path::Path;
use std::process::ExitCode;

use holdfast_fuzz::{Target, regressions, target, targets};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["list"] => {
            for target in targets::ALL {
                println!("{} {}", target.name, target.input_bytes_max);
            }
            ExitCode::SUCCESS
        }
        ["write", directory, name] => match target(name) {
            Some(target) => match write(Path::new(directory), target) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("fuzz-inputs: {directory}: {error}");
                    ExitCode::FAILURE
                }
            },
            None => {
                eprintln!("fuzz-inputs: there is no target {name}; `fuzz-inputs list` lists them");
                ExitCode::from(2)
            }
        },
        _ => {
            eprintln!("usage: fuzz-inputs list | fuzz-inputs write DIRECTORY TARGET");
            ExitCode::from(2)
        }
    }
}

fn write(directory: &Path, target: &Target) -> std::io::Result<()> {
    let seeds = directory.join("seeds");
    std::fs::create_dir_all(&seeds)?;
    for (number, seed) in (target.seeds)().into_iter().enumerate() {
        std::fs::write(seeds.join(format!("seed-{number:02}")), seed)?;
    }
    for (name, bytes) in regressions(target.name)? {
        std::fs::write(seeds.join(name), bytes)?;
    }
    let line = |word: &&str| {
        let bytes = word.bytes().map(|byte| match byte {
            b'"' | b'\\' => format!("\\{}", char::from(byte)),
            b' '..=b'~' => char::from(byte).to_string(),
            byte => format!("\\x{byte:02X}"),
        });
        format!("\"{}\"\n", bytes.collect::<String>())
    };
    std::fs::write(
        directory.join("words"),
        target.words.iter().map(line).collect::<String>(),
    )
}
