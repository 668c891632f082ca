//! Every promise of docs/guarantees.md names a test that exists.

use std::collections::BTreeSet;

use holdfast_tests::workspace;

fn document() -> String {
    std::fs::read_to_string(workspace().join("docs/guarantees.md")).expect("the document exists")
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
    let row = |line: &&str| line.starts_with("| ") && !line.starts_with("| promise");
    text.lines().filter(row).collect()
}

#[test]
fn every_promise_names_a_test_that_exists() {
    let text = document();
    let rows = rows(&text);
    assert!(rows.len() > 20, "{} promises", rows.len());
    for row in rows {
        let tests = named(row);
        assert!(!tests.is_empty(), "a promise names no test: {row}");
        for (file, test) in tests {
            let source =
                std::fs::read_to_string(workspace().join(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            let declaration = format!("#[test]\nfn {test}(");
            let squeezed: String = source.lines().map(|line| format!("{}\n", line.trim())).collect();
            assert!(squeezed.contains(&declaration), "{file} has no test {test}");
        }
    }
}

#[test]
fn every_rule_of_the_checker_stands_for_a_promise() {
    let text = document();
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
