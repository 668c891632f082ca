//! The deliberate faults in the shipped code, each of which the simulation must notice.
//!
//! A fault stands in the sources behind `cfg(holdfast_mutant = "NAME")`. Here is the list of all names; `tests/tests/mutants.rs` holds it against the sources, and the binary `mutants` builds the
//! simulation with each and fails if one survives. A release build refuses every one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Simulated runs that a mutant may survive at most.
pub const RUNS_MAX: u64 = 1_000;

/// A deliberate fault.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// Its name in the cfg.
    pub name: &'static str,
    /// What the broker does wrong with it.
    pub does: &'static str,
}

/// All of them, by name.
pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "accept-wrong-nonce",
        does: "takes bytes that were made to look like a batch for a batch",
    },
    Mutant {
        name: "accept-wrong-previous-checksum",
        does: "goes on with a batch that does not follow from the one before",
    },
    Mutant {
        name: "ack-forgotten-on-replay",
        does: "delivers again after a restart what was acknowledged",
    },
    Mutant {
        name: "answer-no-change-early",
        does: "answers what changes nothing before what it rests on is durable",
    },
    Mutant {
        name: "answer-resend-early",
        does: "answers a resend while the original is not durable",
    },
    Mutant {
        name: "checkpoint-of-unconfirmed",
        does: "names a checkpoint that holds what is not confirmed",
    },
    Mutant {
        name: "confirm-before-write-returned",
        does: "answers before the bytes are durable",
    },
    Mutant {
        name: "confirm-out-of-order",
        does: "answers for a batch while an earlier one is still on its way",
    },
    Mutant {
        name: "deliver-unconfirmed",
        does: "delivers what a crash can undo",
    },
    Mutant {
        name: "expired-delivered",
        does: "delivers what has expired",
    },
    Mutant {
        name: "ignore-confirmed-through",
        does: "takes damage inside the confirmed log for its end",
    },
    Mutant {
        name: "ignore-heartbeat-position",
        does: "takes damage before the heartbeat's position for the end of the log",
    },
    Mutant {
        name: "no-dispatched-mark",
        does: "delivers again after a restart without the mark",
    },
    Mutant {
        name: "no-fence-read",
        does: "goes on confirming after a successor has fenced it",
    },
    Mutant {
        name: "no-harden",
        does: "builds on what is visible and not durable",
    },
    Mutant {
        name: "unlink-without-fence-read",
        does: "deletes what a successor may need",
    },
];

/// The workspace's directory.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the package lies in the workspace")
        .to_path_buf()
}

/// Every name in the shipped sources, with the crates that it stands in.
///
/// # Panics
/// If the sources cannot be read.
pub fn in_sources() -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let crates = workspace().join("broker/crates");
    let mut open = vec![crates.clone(), workspace().join("broker/src")];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).expect("a directory of the sources can be read") {
            let path = entry.expect("an entry of the sources can be read").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("a source is text");
                let owner = path
                    .strip_prefix(&crates)
                    .ok()
                    .and_then(|path| path.components().next());
                let owner = owner.map_or("broker".to_owned(), |owner| {
                    owner.as_os_str().to_string_lossy().into_owned()
                });
                for name in names_in(&text) {
                    found.entry(name).or_default().insert(owner.clone());
                }
            }
        }
    }
    found
}

/// The names that a source tests for.
fn names_in(text: &str) -> Vec<String> {
    text.split("holdfast_mutant = \"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .map(str::to_owned)
        .filter(|name| *name != "NAME")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_every_form_of_cfg() {
        let text =
            r#"#[cfg(not(holdfast_mutant = "a-b"))] if cfg!(holdfast_mutant = "c") { } // holdfast_mutant = "NAME""#;
        assert_eq!(names_in(text), ["a-b", "c"]);
    }
}
