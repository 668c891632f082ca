//! The list of mutants is complete, described, and refused by release builds.

use std::collections::BTreeSet;

use holdfast_tests::mutants::{MUTANTS, in_sources, workspace};

#[test]
fn every_mutant_in_the_sources_is_listed_and_every_listed_one_exists() {
    let listed: BTreeSet<String> = MUTANTS.iter().map(|mutant| mutant.name.to_owned()).collect();
    let found: BTreeSet<String> = in_sources().into_keys().collect();
    assert_eq!(
        listed, found,
        "tests/src/mutants.rs (left) and the sources (right) differ"
    );
    assert!(
        MUTANTS.windows(2).all(|pair| pair[0].name < pair[1].name),
        "the list is sorted by name"
    );
}

#[test]
fn every_mutant_is_described_in_the_documents() {
    let text = std::fs::read_to_string(workspace().join("docs/testing.md")).expect("the document exists");
    for mutant in MUTANTS {
        assert!(
            text.contains(&format!("`{}`", mutant.name)),
            "docs/testing.md does not name {}",
            mutant.name
        );
    }
}

#[test]
fn every_crate_with_mutants_refuses_them_in_a_release_build() {
    for (name, crates) in in_sources() {
        for owner in crates {
            let root = workspace().join("broker/crates").join(&owner).join("src/lib.rs");
            let text = std::fs::read_to_string(root).expect("a crate has a root");
            let guard = text
                .split("must not get into a release build")
                .next()
                .unwrap_or_default();
            assert!(
                text.contains("compile_error!(\"a deliberate fault")
                    && guard.contains(&format!("holdfast_mutant = \"{name}\"")),
                "{owner}/src/lib.rs does not refuse {name} without debug_assertions"
            );
        }
    }
}
