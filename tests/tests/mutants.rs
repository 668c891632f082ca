//! Every deliberate fault is at work somewhere in the shipped code, and described. That each is noticed: the binary `mutants`.

use std::path::Path;

use holdfast_tests::workspace;
use mutant::Mutant;

/// All sources of the crates that ship.
fn sources(directory: &Path, text: &mut String) {
    for entry in std::fs::read_dir(directory).expect("a directory of the sources can be read") {
        let path = entry.expect("an entry of the sources can be read").path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(&path).expect("a source is text"));
        }
    }
}

#[test]
fn every_mutant_is_at_work_somewhere_in_the_sources() {
    let mut text = String::new();
    sources(&workspace().join("broker"), &mut text);
    for mutant in Mutant::ALL {
        assert!(
            text.contains(&format!("Mutant::{mutant:?}.is_at_work()")),
            "{} does nothing",
            mutant.name()
        );
    }
}

#[test]
fn every_mutant_is_described_in_the_documents_as_in_the_code() {
    let text = std::fs::read_to_string(workspace().join("docs/testing.md")).expect("the document exists");
    for mutant in Mutant::ALL {
        let row = format!("| `{}` | {} |", mutant.name(), mutant.does());
        assert!(text.contains(&row), "docs/testing.md lacks: {row}");
    }
}
