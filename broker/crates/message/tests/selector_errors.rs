//! What a selector's author reads when it is refused, and that no text is worse than refused.

use message::selector::{SELECTOR_BYTES_MAX, SELECTOR_DEPTH_MAX, Selector, SelectorError, Source, Value};
use proptest::prelude::*;

struct Nothing;

impl Source for Nothing {
    fn value(&self, _identifier: &str) -> Value<'_> {
        Value::Null
    }
}

#[track_caller]
fn error(text: &str) -> SelectorError {
    match Selector::parse(text) {
        Ok(_) => panic!("{text} was accepted"),
        Err(error) => error,
    }
}

#[test]
fn errors_say_what_was_expected_and_where() {
    for (text, message) in [
        (
            "",
            "at column 1: expected an identifier, a literal, (, NOT or a sign, found the end of the selector",
        ),
        (
            "  \n",
            "at column 4: expected an identifier, a literal, (, NOT or a sign, found the end of the selector",
        ),
        (
            "a =",
            "at column 4: expected an identifier, a literal, (, NOT or a sign, found the end of the selector",
        ),
        (
            "a == 1",
            "at column 4: expected an identifier, a literal, (, NOT or a sign, found =",
        ),
        (
            "=TEST 'test'",
            "at column 1: expected an identifier, a literal, (, NOT or a sign, found =",
        ),
        (
            "a = 1 AMD b = 2",
            "at column 7: expected an operator or the end of the selector, found AMD",
        ),
        (
            "a = 1)",
            "at column 6: expected an operator or the end of the selector, found )",
        ),
        (
            "(a = 1",
            "at column 7: expected an operator or ), found the end of the selector",
        ),
        (
            "ä = 'ü' b",
            "at column 9: expected an operator or the end of the selector, found b",
        ),
        (
            "a NOT 1",
            "at column 7: expected LIKE, BETWEEN or IN behind NOT, found 1",
        ),
        ("a IS 1", "at column 6: expected NULL or NOT NULL behind IS, found 1"),
        ("a IS NOT 1", "at column 10: expected NULL behind IS NOT, found 1"),
        (
            "a BETWEEN 1 OR 2",
            "at column 13: expected AND and the upper bound of BETWEEN, found OR",
        ),
        (
            "a LIKE 5",
            "at column 8: expected a pattern in single quotes behind LIKE, found 5",
        ),
        (
            "a LIKE 'x' ESCAPE b",
            "at column 19: expected one character in single quotes behind ESCAPE, found b",
        ),
        (
            "a IN 'x'",
            "at column 6: expected ( and a list of strings behind IN, found 'x'",
        ),
        ("a IN ()", "at column 7: expected a string in single quotes, found )"),
        (
            "a IN ('x', 5)",
            "at column 12: expected a string in single quotes, found 5",
        ),
        (
            "a IN ('x' 'y')",
            "at column 11: expected , or ) in the list of IN, found 'y'",
        ),
        (
            "1uncorrect IS NULL",
            "at column 2: expected an operator or the end of the selector, found uncorrect",
        ),
        (
            "INLIST(a, b)",
            "at column 8: expected MAKELIST(…) or SPLIT(…) as the first argument of INLIST, found a",
        ),
        (
            "INLIST(MAKELIST(), b)",
            "at column 17: expected an identifier, a literal, (, NOT or a sign, found )",
        ),
        (
            "INLIST(MAKELIST('a'))",
            "at column 21: expected , and the value to look for in INLIST, found )",
        ),
        (
            "a LIKE 'x' LIKE",
            "at column 16: expected a pattern in single quotes behind LIKE, found the end of the selector",
        ),
    ] {
        assert_eq!(error(text).to_string(), format!("invalid selector {message}"), "{text}");
        assert!(matches!(error(text), SelectorError::Syntax { .. }), "{text}");
    }
}

#[test]
fn errors_say_what_is_wrong_and_what_would_be_right() {
    for (text, message) in [
        (
            "a = \"x\"",
            "at column 5: strings stand in single quotes ('text'), and identifiers without quotes",
        ),
        ("a != 1", "at column 3: 'not equal' is written <>"),
        ("a & b", "at column 3: the character '&' has no meaning in a selector"),
        (
            "a = '€' ; b",
            "at column 9: the character ';' has no meaning in a selector",
        ),
        (
            "a\u{a0}= 1",
            "at column 2: the character '\\u{a0}' has no meaning in a selector",
        ),
        (
            "a\0 = 1",
            "at column 2: the character '\\0' has no meaning in a selector",
        ),
        (
            "a = 'x",
            "at column 5: the string that begins here is not closed; ' is missing (a quote inside a string is written '')",
        ),
        (
            "a = 'x''",
            "at column 5: the string that begins here is not closed; ' is missing (a quote inside a string is written '')",
        ),
        (
            "a /* = 1",
            "at column 3: the comment that begins here is not closed; */ is missing",
        ),
        (
            "a = 08",
            "at column 5: 08 begins with 0 and is octal, but has a digit that octal numbers do not have",
        ),
        (
            "a = NULL",
            "at column 5: nothing equals NULL; write IS NULL or IS NOT NULL",
        ),
        (
            "NULL <> a",
            "at column 1: nothing equals NULL; write IS NULL or IS NOT NULL",
        ),
        ("TRUE = 1", "at column 6: a boolean compares only with a boolean"),
        (
            "3 + 5",
            "at column 1: a selector must be a condition; what begins here is a value, and no comparison follows it",
        ),
        (
            "'text'",
            "at column 1: a selector must be a condition; what begins here is a value, and no comparison follows it",
        ),
        (
            "-a",
            "at column 1: a selector must be a condition; what begins here is a value, and no comparison follows it",
        ),
        (
            "TRUE AND 3 + 5",
            "at column 10: AND needs conditions; what begins here is a value, and no comparison follows it",
        ),
        (
            "5 OR a",
            "at column 1: OR needs conditions; what begins here is a value, and no comparison follows it",
        ),
        (
            "a OR NOT 5",
            "at column 10: NOT needs a condition; what begins here is a value, and no comparison follows it",
        ),
        (
            "REPLACE(a, 'b', 'c')",
            "at column 1: a selector must be a condition; what begins here is a value, and no comparison follows it",
        ),
        (
            "a > 'x'",
            "at column 5: <, <=, >, >= and BETWEEN compare numbers, not a string; strings and booleans have only = and <>",
        ),
        (
            "a <= NULL",
            "at column 6: <, <=, >, >= and BETWEEN compare numbers, not NULL; strings and booleans have only = and <>",
        ),
        (
            "TRUE > 0",
            "at column 1: <, <=, >, >= and BETWEEN compare numbers, not a boolean; strings and booleans have only = and <>",
        ),
        (
            "a < b < c",
            "at column 1: <, <=, >, >= and BETWEEN compare numbers, not a condition; strings and booleans have only = and <>",
        ),
        (
            "a BETWEEN 1 AND ('x')",
            "at column 17: <, <=, >, >= and BETWEEN compare numbers, not a string; strings and booleans have only = and <>",
        ),
        (
            "a + 1 IN ('x')",
            "at column 1: IN applies to an identifier; write INLIST(MAKELIST(…), value) for other values",
        ),
        (
            "a LIKE 'x' ESCAPE ''",
            "at column 19: ESCAPE takes exactly one character, not 0",
        ),
        (
            "a LIKE 'x' ESCAPE 'éé'",
            "at column 19: ESCAPE takes exactly one character, not 2",
        ),
        (
            "TOTAL(a) = 1",
            "at column 1: there is no function TOTAL; INLIST, MAKELIST, SPLIT and REPLACE exist, in capitals",
        ),
        (
            "inlist(a)",
            "at column 1: there is no function inlist; INLIST, MAKELIST, SPLIT and REPLACE exist, in capitals",
        ),
        (
            "MAKELIST(1) = 1",
            "at column 1: MAKELIST makes a list, which only INLIST takes, as its first argument",
        ),
        (
            "b = SPLIT(a, ',')",
            "at column 5: SPLIT makes a list, which only INLIST takes, as its first argument",
        ),
    ] {
        assert_eq!(error(text).to_string(), format!("invalid selector {message}"), "{text}");
        assert!(matches!(error(text), SelectorError::Invalid { .. }), "{text}");
    }
}

#[test]
fn integers_that_do_not_fit_are_refused() {
    for number in [
        "9223372036854775808",
        "-9223372036854775809",
        "- -9223372036854775808 + 9223372036854775808",
        "99999999999999999999999999L",
        "0x8000000000000000",
        "0xFFFFFFFFFFFFFFFFFF",
        "-0x8000000000000000",
        "01000000000000000000000",
    ] {
        let error = error(&format!("a = {number}"));
        let message =
            "the integer does not fit 64 bits; write it with a decimal point if an approximate number will do";
        assert!(
            matches!(&error, SelectorError::Invalid { problem, .. } if problem == message),
            "{number}: {error}"
        );
    }
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let plain = "give plain text, with a backslash before ^ $ . | ? * + ( ) [ ] { }";
    for (text, message) in [
        (
            "a = 1 AND XPATH '//a'",
            "at column 11: XPATH is not supported, bodies are not looked into; select by properties".to_owned(),
        ),
        (
            "xquery '//a'",
            "at column 1: XQUERY is not supported, bodies are not looked into; select by properties".to_owned(),
        ),
        (
            "REGEX('^a', b)",
            "at column 1: REGEX is not supported; use LIKE".to_owned(),
        ),
        (
            "INLIST(SPLIT(a, '[,;]'), b)",
            format!("at column 17: regular expressions are not supported in SPLIT; {plain}"),
        ),
        (
            "INLIST(SPLIT(a, ''), b)",
            format!("at column 17: regular expressions are not supported in SPLIT; {plain}"),
        ),
        (
            "REPLACE(a, '\\d', 'x') = 'x'",
            format!("at column 12: regular expressions are not supported in REPLACE; {plain}"),
        ),
        (
            "REPLACE(a, 'x\\', 'x') = 'x'",
            format!("at column 12: regular expressions are not supported in REPLACE; {plain}"),
        ),
        (
            "REPLACE(a, 'x', '$1') = 'x'",
            "at column 17: groups ($) in replacements are not supported; write \\$ for a dollar sign".to_owned(),
        ),
    ] {
        assert_eq!(
            error(text).to_string(),
            format!("unsupported selector {message}"),
            "{text}"
        );
        assert!(matches!(error(text), SelectorError::Unsupported { .. }), "{text}");
    }
}

#[test]
fn columns_count_from_behind_the_prefix() {
    assert_eq!(error("a = = 1").column(), 5);
    assert_eq!(error("convert_string_expressions:a = = 1").column(), 5);
    assert_eq!(
        error("no_convert_string_expressions:convert_string_expressions:a = = 1").column(),
        5
    );
    assert_eq!(error("convert_string_expressions:").column(), 1);
    assert_eq!(error("'日本語' = = 1").column(), 9);
    let both = "no_convert_string_expressions:convert_string_expressions:a = 1";
    assert_eq!(Selector::parse(both).unwrap().condition(), "a = 1");
}

#[test]
fn errors_do_not_repeat_long_tokens() {
    let name = "é".repeat(10_000);
    for text in [
        format!("a = 1 {name}"),
        format!("a IS '{name}'"),
        format!("a = {name}(1)"),
    ] {
        let message = error(&text).to_string();
        assert!(message.len() < 300, "{message}");
        assert!(message.contains('…'), "{message}");
    }
    let digits = format!("a = 0{}", "8".repeat(10_000));
    assert!(error(&digits).to_string().len() < 300);
}

#[test]
fn text_is_limited() {
    let text = format!("a = '{}'", "x".repeat(SELECTOR_BYTES_MAX - 6));
    assert_eq!(text.len(), SELECTOR_BYTES_MAX);
    assert!(Selector::parse(&text).is_ok());
    let longer = format!("{text} ");
    let too_long = error(&longer);
    assert_eq!(
        too_long,
        SelectorError::TooLong {
            bytes: SELECTOR_BYTES_MAX + 1
        }
    );
    assert_eq!(
        too_long.to_string(),
        "invalid selector: 65537 bytes long, at most 65536 are accepted"
    );
    assert_eq!(too_long.column(), 0);
}

#[test]
fn nesting_is_limited_and_says_where() {
    let levels = SELECTOR_DEPTH_MAX - 1;
    let nested = |levels: usize| format!("{}a{}", "(".repeat(levels), ")".repeat(levels));
    assert!(Selector::parse(&nested(levels)).is_ok());
    assert_eq!(
        error(&nested(levels + 1)),
        SelectorError::TooDeep { column: levels + 2 }
    );
    assert_eq!(
        error(&nested(levels + 1)).to_string(),
        "invalid selector at column 101: nested deeper than 100 levels; remove parentheses or prefix operators"
    );

    assert!(Selector::parse(&format!("{}a", "NOT ".repeat(levels))).is_ok());
    assert!(Selector::parse(&format!("{}a = 1", "- ".repeat(levels))).is_ok());
    for repeated in [
        "(",
        "NOT ",
        "- ",
        "+ ",
        "a OR (",
        "a AND b OR c = d + e * (",
        "REPLACE(",
        "INLIST(MAKELIST(",
    ] {
        let text = repeated.repeat(SELECTOR_BYTES_MAX / repeated.len());
        assert!(matches!(error(&text), SelectorError::TooDeep { .. }), "{repeated}");
    }
}

#[test]
fn chains_are_not_nesting() {
    let terms = |count: usize, term: &str, glue: &str| vec![term; count].join(glue);
    for text in [
        terms(8000, "a", " OR "),
        terms(8000, "a=1", " OR "),
        terms(8000, "a", " AND "),
        format!("{} = 1", terms(30_000, "a", "+")),
        format!("{} = 1", terms(30_000, "1", "-")),
        format!("{} = 1", terms(30_000, "1", "*")),
        terms(30_000, "a", "="),
        format!("a{}", " IS NULL".repeat(8000)),
        format!("a IN ({})", terms(16_000, "'a'", ",")),
        format!("INLIST(MAKELIST({}), b)", terms(16_000, "'a'", ",")),
    ] {
        let selector = Selector::parse(&text).unwrap_or_else(|error| panic!("{error}"));
        // Evaluated and dropped without running out of stack.
        selector.matches(&Nothing);
        drop(selector.clone());
    }
}

#[test]
fn like_takes_no_exponential_time() {
    struct Repeated(String);
    impl Source for Repeated {
        fn value(&self, _identifier: &str) -> Value<'_> {
            Value::String(self.0.as_str().into())
        }
    }
    let source = Repeated("a".repeat(2000));
    for pattern in [
        "%a".repeat(300) + "b",
        "%_".repeat(300) + "b",
        "a%".repeat(300) + "b%",
        "%".repeat(5000) + "b",
    ] {
        let selector = Selector::parse(&format!("x LIKE '{pattern}'")).unwrap();
        assert!(!selector.matches(&source));
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,60}") {
        if let Ok(selector) = Selector::parse(&text) {
            selector.matches(&Nothing);
        }
    }

    #[test]
    fn no_sequence_of_tokens_panics(
        tokens in prop::collection::vec(prop::sample::select(vec![
            "a", "b", "'x'", "'%'", "''", "1", "0x", "0x1", "08", "1.", ".5", "1E", "1e5", "5L", "9223372036854775808",
            "AND", "OR", "NOT", "BETWEEN", "LIKE", "ESCAPE", "IN", "IS", "NULL", "TRUE", "XPATH", "=", "<>", "<", "<=", ">=",
            "+", "-", "*", "/", "%", "(", ")", ",", "--", "\n", "/*", "*/", "INLIST(", "MAKELIST(", "SPLIT(", "REPLACE(",
            "REGEX(", "\"", "é", "\\", "'",
        ]), 0..25),
        blanks in any::<bool>(),
    ) {
        let text = tokens.join(if blanks { " " } else { "" });
        match Selector::parse(&text) {
            Ok(selector) => {
                selector.matches(&Nothing);
            }
            Err(error) => {
                prop_assert!((1..=text.chars().count() + 1).contains(&error.column()));
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }
}
