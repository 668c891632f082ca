//! Which values are like each other, and what the prefix for conversion changes.

use std::collections::BTreeMap;

use message::selector::Selector;

use crate::{Properties, all_false, all_true, string, truth};

#[test]
fn unlike_types_are_unequal_and_unordered() {
    all_false(&[
        "name = 5",
        "5 = name",
        "name > 5",
        "name <= 5",
        "yes = 1",
        "1 = yes",
        "yes = 'true'",
        "price = 5",
    ]);
    all_true(&[
        "name <> 5",
        "5 <> name",
        "yes <> 1",
        "price <> 5",
        "NOT (name > 5)",
        "list <> 1",
    ]);
    all_false(&[
        "list = 1",
        "list = list",
        "name < yes",
        "yes > rank",
        "nan = nan",
        "nan < 1",
        "nan >= 1",
    ]);
}

#[test]
fn like_types_compare_by_value() {
    all_true(&[
        "rank = 123.0",
        "rank < 123.5",
        "61 < ratio",
        "yes = TRUE",
        "yes <> FALSE",
        "name = 'James'",
        "zero = -0.0",
    ]);
    all_false(&["name = 'JAMES'", "yes = FALSE", "ratio >= 62", "largest < smallest"]);
    // Between properties ActiveMQ orders strings and booleans too; only literals are refused.
    all_true(&["name < place", "no < yes", "place >= name"]);
}

#[test]
fn strings_convert_to_numbers_and_booleans_only_with_the_prefix() {
    for text in [
        "price = 5",
        "price > 4",
        "price < 5.5",
        "cost > 7",
        "cost = 7.25",
        "flag = TRUE",
        "price - 1 = 4",
    ] {
        assert_ne!(truth(text), Some(true), "{text}");
        assert_eq!(
            truth(&format!("convert_string_expressions:{text}")),
            Some(true),
            "{text}"
        );
    }
    all_true(&[
        "convert_string_expressions:5 = price",
        "convert_string_expressions:4 < price",
        "convert_string_expressions:TRUE = flag",
        "convert_string_expressions:price BETWEEN 4 AND 6",
        "convert_string_expressions:-price = -5",
        "convert_string_expressions:price * 2 = 10",
        "convert_string_expressions:rank + price = 128",
        "convert_string_expressions:price + 1 = '51'",
        "convert_string_expressions:price = '5'",
        "convert_string_expressions:price <> '5.0'",
        "convert_string_expressions:name <> 5",
        "convert_string_expressions:name = FALSE",
        "convert_string_expressions:NOT flag",
    ]);
    all_false(&[
        "convert_string_expressions:name = 5",
        "convert_string_expressions:name > 5",
        "convert_string_expressions:empty = 0",
        "convert_string_expressions:flag = FALSE",
        "convert_string_expressions:price = cost",
    ]);
}

#[test]
fn converted_strings_are_decimal_numbers_and_nothing_else() {
    for (text, is_number) in [
        ("5", true),
        ("+5", true),
        ("-5", true),
        ("5.", true),
        (".5", true),
        ("5e2", true),
        ("5E-2", true),
        ("99999999999999999999", true),
        ("", false),
        (" 5", false),
        ("5 ", false),
        ("0x5", false),
        ("5L", false),
        ("5f", false),
        ("inf", false),
        ("NaN", false),
        ("infinity", false),
        ("e", false),
        (".", false),
        ("1e", false),
        ("--5", false),
        ("٥", false),
    ] {
        let source = Properties(BTreeMap::from([("x", string(String::leak(text.to_owned())))]));
        let selector = Selector::parse("convert_string_expressions:x > -1000").unwrap();
        assert_eq!(selector.matches(&source), is_number, "{text:?}");
    }
}

#[test]
fn of_several_prefixes_the_last_one_counts() {
    all_false(&[
        "no_convert_string_expressions:price = 5",
        "convert_string_expressions:no_convert_string_expressions:price = 5",
    ]);
    all_true(&[
        "no_convert_string_expressions:convert_string_expressions:price = 5",
        "convert_string_expressions:convert_string_expressions:price = 5",
    ]);
}
