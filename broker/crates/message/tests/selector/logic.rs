//! Three-valued logic: the truth tables, and what a missing value does to every operator.

use message::selector::Selector;

use crate::{all_false, all_true, all_unknown, properties, truth};

const TRUTHS: [(&str, Option<bool>); 3] = [("yes", Some(true)), ("no", Some(false)), ("missing", None)];

#[test]
fn not_has_three_values() {
    for (operand, value) in TRUTHS {
        assert_eq!(truth(&format!("NOT {operand}")), value.map(|value| !value));
    }
}

#[test]
fn and_has_three_values_for_two_and_for_three_operands() {
    for (left, left_value) in TRUTHS {
        for (right, right_value) in TRUTHS {
            let expected = match (left_value, right_value) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            };
            assert_eq!(truth(&format!("{left} AND {right}")), expected, "{left} AND {right}");
            assert_eq!(
                truth(&format!("{left} AND yes AND {right}")),
                expected,
                "{left} AND yes AND {right}"
            );
        }
    }
}

#[test]
fn or_has_three_values_for_two_and_for_three_operands() {
    for (left, left_value) in TRUTHS {
        for (right, right_value) in TRUTHS {
            let expected = match (left_value, right_value) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            };
            assert_eq!(truth(&format!("{left} OR {right}")), expected, "{left} OR {right}");
            assert_eq!(
                truth(&format!("{left} OR no OR {right}")),
                expected,
                "{left} OR no OR {right}"
            );
        }
    }
}

#[test]
fn unknown_selects_nothing() {
    let properties = properties();
    for text in [
        "missing",
        "NULL",
        "missing = 1",
        "missing <> 1",
        "NOT missing",
        "missing OR no",
    ] {
        assert!(!Selector::parse(text).unwrap().matches(&properties), "{text}");
    }
}

#[test]
fn every_operator_on_a_missing_value_is_unknown() {
    for comparison in ["=", "<>", "<", "<=", ">", ">="] {
        all_unknown(&[&format!("missing {comparison} 1"), &format!("1 {comparison} missing")]);
        all_unknown(&[
            &format!("missing {comparison} missing"),
            &format!("missing {comparison} rank"),
        ]);
    }
    for arithmetic in ["+", "-", "*", "/", "%"] {
        all_unknown(&[
            &format!("missing {arithmetic} 1 = 1"),
            &format!("1 {arithmetic} missing = 1"),
        ]);
    }
    all_unknown(&[
        "-missing = 1",
        "+missing = 1",
        "missing LIKE '%'",
        "missing NOT LIKE '%'",
        "missing IN ('a')",
        "missing NOT IN ('a')",
        "missing BETWEEN 1 AND 2",
        "missing NOT BETWEEN 1 AND 2",
        "name + missing = 'James'",
    ]);
}

#[test]
fn is_null_is_never_unknown() {
    all_true(&[
        "missing IS NULL",
        "name IS NOT NULL",
        "NULL IS NULL",
        "list IS NOT NULL",
        "(missing = 1) is null",
    ]);
    all_false(&[
        "missing IS NOT NULL",
        "name IS NULL",
        "empty IS NULL",
        "list IS NULL",
        "(rank = 1) IS NULL",
    ]);
    all_true(&["rank / 0 IS NULL", "missing + 1 IS NULL", "NOT name IS NULL"]);
}

#[test]
fn a_value_that_is_no_boolean_is_a_false_condition() {
    all_true(&["yes", "(yes)", "+yes", "NOT rank", "NOT name", "TRUE"]);
    all_false(&["no", "rank", "name", "list", "FALSE", "yes AND rank", "name OR no"]);
}
