//! One fuzzing target for each decoder, and what starts them: seeds and words.
//!
//! A target is a plain function of bytes that panics if a promise is broken: besides "no panic", that what is decoded comes out the same when it is encoded and decoded again, that
//! the result does not depend on how bytes were cut, that two ways of computing one thing agree. `scripts/fuzz` builds each with the engine's runtime (`src/engine/`);
//! `tests/replay.rs` runs each over its seeds and over every input that once found something (`regressions/`), so that `cargo test` does too.
//!
//! | module | owns |
//! |---|---|
//! | [`targets`] | the targets, each with its seeds |
//! | [`input`] | an input as a sequence of small choices, for targets whose subject is not bytes |
//! | [`reference`] | a slow evaluator of selectors, to compare with |
//! | [`directory`] | a data directory in memory, built by an input |
//!
//! Deliberately absent: the engine. docs/decisions/0008-fuzzing.md says which one and why; docs/fuzzing.md what was run.
#![forbid(unsafe_code)]

pub mod directory;
pub mod input;
pub mod reference;
pub mod targets;

/// One target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: that of its program without `fuzz-`, and of its folder in `regressions/`.
    pub name: &'static str,
    /// Runs it on one input.
    pub run: fn(&[u8]),
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Words that its inputs are made of, so that the engine need not guess them.
    pub words: &'static [&'static str],
    /// The longest input, in bytes: long enough for every kind of structure to occur several times, short enough to be fast.
    pub input_bytes_max: usize,
}

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    targets::ALL.iter().find(|target| target.name == name)
}

/// The inputs that once found something with this target: name and bytes, by name.
pub fn regressions(name: &str) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("regressions")
        .join(name);
    if !directory.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        found.push((name, std::fs::read(entry.path())?));
    }
    found.sort();
    Ok(found)
}
