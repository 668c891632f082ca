//! INLIST, MAKELIST, SPLIT, REPLACE, and the limit on what strings may become.

use std::collections::BTreeMap;

use message::selector::{COMPUTED_STRING_BYTES_MAX, Selector};

use crate::{Properties, all_false, all_true, all_unknown, string};

#[test]
fn joined_strings_are_limited() {
    let long = "x".repeat(COMPUTED_STRING_BYTES_MAX / 8);
    let source = |factor: usize| {
        let text: &'static str = String::leak(long.repeat(factor));
        Properties(BTreeMap::from([("long", string(text))]))
    };
    let selector = Selector::parse("long + long LIKE 'x%x'").unwrap();
    assert!(selector.matches(&source(4)));
    assert!(!selector.matches(&source(5)));
    let selector = Selector::parse("REPLACE(long, 'x', 'yy') LIKE 'y%y'").unwrap();
    assert!(selector.matches(&source(4)));
    assert!(!selector.matches(&source(5)));
}

#[test]
fn inlist_finds_equal_values_of_the_same_type() {
    all_true(&[
        "INLIST(MAKELIST('Tom', 'James', 'George'), name)",
        "INLIST(MAKELIST(1, rank), 123)",
        "INLIST(MAKELIST(version + 1), 1 + 2)",
        "INLIST(MAKELIST(yes), TRUE) AND yes",
        "NOT INLIST(MAKELIST('Tom'), name)",
        "INLIST(MAKELIST('Tom'), name) = no",
    ]);
    all_false(&[
        "INLIST(MAKELIST('Tom', 'Dick'), name)",
        "INLIST(MAKELIST(missing), missing)",
        "INLIST(MAKELIST(2), 2.0)",
        "INLIST(MAKELIST('123'), rank)",
        "INLIST(MAKELIST(list), list)",
    ]);
}

#[test]
fn split_makes_the_pieces_of_java() {
    all_true(&[
        "INLIST(SPLIT('Tom,James,George', ','), name)",
        "INLIST(SPLIT(tags, ','), 'a')",
        "INLIST(SPLIT(tags, ','), 'c')",
        "INLIST(SPLIT(tags, ','), '')",
        r"INLIST(SPLIT(dotted, '\.'), 'b')",
        "INLIST(SPLIT('a::b', '::'), 'b')",
        "INLIST(SPLIT('a,b,c', ',', 2), 'b,c')",
        "INLIST(SPLIT('a,b,c', ',', 9), 'c')",
        "INLIST(SPLIT('a,', ',', -1), '')",
        "INLIST(SPLIT('a,', ',', 2), '')",
        "INLIST(SPLIT('a', ',', 1), 'a')",
        "INLIST(SPLIT(',a', ','), '')",
        "INLIST(SPLIT('', ','), '')",
    ]);
    all_false(&[
        "INLIST(SPLIT(tags, ','), 'd')",
        "INLIST(SPLIT('a,b,,', ','), '')",
        "INLIST(SPLIT('a,b,,', ',', 0), '')",
        "INLIST(SPLIT(',', ','), '')",
        "INLIST(SPLIT('a,b,c', ',', 2), 'b')",
        "INLIST(SPLIT(tags, ','), missing)",
        "INLIST(SPLIT(tags, ','), rank)",
    ]);
    all_unknown(&[
        "INLIST(SPLIT(missing, ','), 'a')",
        "INLIST(SPLIT(rank, ','), 'a')",
        "INLIST(SPLIT(tags, ',', name), 'a')",
    ]);
}

#[test]
fn replace_replaces_every_occurrence() {
    all_true(&[
        "REPLACE(dotted, '\\.', '') = 'abc'",
        "REPLACE(name, 'James', 'Bob') = 'Bob'",
        "REPLACE('aaa', 'aa', 'b') = 'ba'",
        "REPLACE('a', 'a', '\\$1') = '$1'",
        "REPLACE(name, 'x', 'y') = name",
        "REPLACE(REPLACE('a:b', ':', '-'), '-', '+') = 'a+b'",
    ]);
    all_unknown(&["REPLACE(missing, 'a', 'b') = 'b'", "REPLACE(rank, '1', '2') = '223'"]);
}
