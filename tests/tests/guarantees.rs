//! Every promise of docs/guarantees.md and every row of docs/recovery.md names a test that exists.

use std::collections::BTreeSet;

use holdfast_tests::workspace;

fn document(name: &str) -> String {
    std::fs::read_to_string(workspace().join(name)).expect("the document exists")
}

/// The tests that a line names: `file::test`.
fn named(line: &str) -> Vec<(String, String)> {
    line.split('`')
        .filter_map(|code| code.split_once(".rs::"))
        .map(|(file, test)| (format!("{file}.rs"), test.to_owned()))
        .collect()
}

/// The rows of its tables, headings and rules aside.
fn rows(text: &str) -> Vec<&str> {
    let row = |line: &&str| line.starts_with("| ") && !line.starts_with("| promise") && !line.starts_with("| place");
    text.lines().filter(row).collect()
}

/// Fails unless each row names a test below `directory`, and each test that is named exists.
fn check(rows: &[&str], directory: &str) {
    assert!(rows.len() > 20, "{} rows", rows.len());
    for row in rows {
        let tests = named(row);
        assert!(!tests.is_empty(), "a row names no test: {row}");
        for (file, test) in tests {
            let path = workspace().join(directory).join(&file);
            let source = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"));
            let declaration = format!("#[test]\nfn {test}(");
            let squeezed: String = source.lines().map(|line| format!("{}\n", line.trim())).collect();
            assert!(squeezed.contains(&declaration), "{file} has no test {test}");
        }
    }
}

#[test]
fn every_promise_names_a_test_that_exists() {
    check(&rows(&document("docs/guarantees.md")), "");
}

#[test]
fn every_row_of_recovery_names_a_test_that_exists() {
    check(&rows(&document("docs/recovery.md")), "broker/crates");
}

#[test]
fn every_rule_of_the_checker_stands_for_a_promise() {
    let text = document("docs/guarantees.md");
    let source = std::fs::read_to_string(workspace().join("tests/src/history/judge.rs")).expect("the checker exists");
    let rules = source
        .split("pub enum Rule {")
        .nth(1)
        .and_then(|rest| rest.split("\n}").next())
        .expect("it has rules");
    let rules: BTreeSet<&str> = rules
        .lines()
        .map(str::trim)
        .filter_map(|line| line.strip_suffix(','))
        .collect();
    assert!(rules.len() > 10, "{rules:?}");
    for rule in rules {
        let has = rows(&text).iter().any(|row| {
            row.trim_end_matches(['|', ' '])
                .rsplit('|')
                .next()
                .is_some_and(|cell| cell.trim() == rule)
        });
        assert!(has, "no promise of docs/guarantees.md stands for the rule {rule}");
    }
}
