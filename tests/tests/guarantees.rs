//! Every promise of docs/guarantees.md and every row of docs/recovery.md and docs/limits.md names a test that exists.

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

/// What a limit is called inside, where that is not its setting's name.
const INSIDE: [(&str, &str); 5] = [
    ("answers_bytes_per_connection_max", "answers_bytes_max"),
    ("durable_subscriptions_max", "subscriptions_max"),
    ("read_ahead_bytes_max", "waiting_bytes_max"),
    ("untaken_bytes_max", "untaken_bytes_all_max"),
    ("untaken_bytes_per_connection_max", "untaken_bytes_max"),
];

/// The broker's sources as one text, without what only their layout adds.
fn sources() -> String {
    fn collect(directory: &std::path::Path, text: &mut String) {
        for entry in std::fs::read_dir(directory).expect("the sources exist") {
            let path = entry.expect("it can be read").path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "tests") {
                collect(&path, text);
            } else if path.extension().is_some_and(|end| end == "rs") {
                text.push_str(&std::fs::read_to_string(&path).expect("it is text"));
            }
        }
    }
    let mut text = String::new();
    collect(&workspace().join("broker"), &mut text);
    // A string that goes on in the next line.
    let mut lines = text.lines();
    let mut joined = String::new();
    while let Some(line) = lines.next() {
        let mut line = line.trim_end().to_owned();
        while let Some(begun) = line.strip_suffix('\\') {
            line = format!("{begun}{}", lines.next().unwrap_or_default().trim());
        }
        joined.push_str(&line);
        joined.push('\n');
    }
    joined
}

#[test]
fn every_limit_has_a_row_that_names_its_words_and_a_test_that_reaches_it() {
    let reference = document("docs/configuration.md");
    let settings: BTreeSet<&str> = reference
        .lines()
        .filter_map(|line| line.strip_prefix("### `limits.")?.strip_suffix('`'))
        .collect();
    assert!(settings.len() > 20, "{settings:?}");
    let text = document("docs/limits.md");
    let sources = sources();
    let mut seen = BTreeSet::new();
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| `limits.")).collect();
    check(&rows, "");
    for row in &rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [setting, _, words, _] = cells[..] else {
            panic!("a row has four cells: {row}");
        };
        let setting = setting.trim_matches('`').trim_start_matches("limits.");
        assert!(settings.contains(setting), "there is no setting limits.{setting}");
        assert!(seen.insert(setting), "limits.{setting} stands there twice");
        for part in words.split('"').skip(1).step_by(2).flat_map(|words| words.split('…')) {
            assert!(
                sources.contains(part),
                "the broker never says {part:?} (limits.{setting})"
            );
        }
        let inside = INSIDE.iter().find(|(outside, _)| *outside == setting);
        let names = [setting, inside.map_or(setting, |(_, inside)| inside)];
        for (file, _) in named(row) {
            let source = std::fs::read_to_string(workspace().join(&file)).expect("it was read above");
            let mentions = |name: &str| source.contains(name) || source.contains(&name.replace('_', "-"));
            assert!(
                names.iter().any(|name| mentions(name)),
                "{file} does not mention {setting}"
            );
        }
    }
    let missing: Vec<_> = settings.difference(&seen).collect();
    assert!(missing.is_empty(), "docs/limits.md has no row for {missing:?}");
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
