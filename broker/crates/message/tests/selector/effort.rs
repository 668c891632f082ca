//! A selector that would cost too much for one message is unknown for it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use message::selector::{SELECTOR_EFFORT_MAX, Selector, Value};

use crate::Properties;

fn judged(text: &str) -> (bool, u32) {
    let long: Cow<'static, str> = Cow::Owned("a".repeat(60_000));
    let properties = Properties(BTreeMap::from([("a", Value::String(long))]));
    Selector::parse(text).expect("it is well formed").judge(&properties)
}

#[test]
fn what_costs_too_much_selects_neither_itself_nor_its_negation() {
    let greedy = format!("a LIKE '%{}b'", "_a".repeat(100));
    for text in [
        greedy.clone(),
        format!("NOT ({greedy})"),
        format!("{greedy} OR TRUE"),
        format!("TRUE AND NOT ({greedy})"),
        vec![greedy.as_str(); 100].join(" OR "),
        vec!["REPLACE(a, 'b', 'c') = 'x'"; 1_000].join(" OR "),
        vec!["a = 'b'"; 5_000].join(" OR "),
    ] {
        let (is_true, effort) = judged(&text);
        assert!(!is_true, "{}…", &text[..40]);
        // Nothing that is begun costs more than a text is long.
        let end = SELECTOR_EFFORT_MAX + 200_000;
        assert!(
            (SELECTOR_EFFORT_MAX..end).contains(&effort),
            "{effort} for {}…",
            &text[..40]
        );
    }
}

#[test]
fn what_people_write_is_far_from_the_limit_also_for_long_texts() {
    for (text, expected) in [
        ("a LIKE '%b%'", false),
        ("a LIKE 'a%a'", true),
        ("a LIKE '%aaaa'", true),
        ("a IN ('x', 'y') OR a <> 'b' OR a IS NOT NULL", true),
    ] {
        let (is_true, effort) = judged(text);
        assert_eq!(is_true, expected, "{text}");
        assert!(effort < SELECTOR_EFFORT_MAX / 2, "{effort} for {text}");
    }
}
