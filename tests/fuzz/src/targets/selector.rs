//! The text of a selector, and its value for a message.
//!
//! The text and its negation are never both true, and the negation of what is accepted is accepted; the cost is bounded; an error points into the text.

use std::borrow::Cow;

use message::selector::{SELECTOR_BYTES_MAX, SELECTOR_EFFORT_MAX, Selector, SelectorError, Source, Value};

use crate::input::{Input, valid_text};

/// What one comparison, copy or search may add beyond the limit before it is noticed.
const EFFORT_STEP_MAX: u32 = 1 << 20;

/// The text, up to a zero byte; then a value for each identifier.
pub fn run(input: &[u8]) {
    let (text, values) = match input.iter().position(|byte| *byte == 0) {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (input, &[][..]),
    };
    let text = valid_text(text);
    let selector = match Selector::parse(text) {
        Ok(selector) => selector,
        Err(error) => {
            assert!(
                error.column() <= text.chars().count() + 1,
                "{error} points beyond {text:?}"
            );
            assert!(error.to_string().len() < 1000, "{error}");
            return;
        }
    };
    assert_eq!(selector.text(), text);
    let message = Message::new(&selector, values);
    let (holds, effort) = selector.judge(&message);
    assert_eq!(holds, selector.matches(&message));
    assert!(
        effort <= SELECTOR_EFFORT_MAX + EFFORT_STEP_MAX,
        "{text:?} cost {effort}"
    );
    let condition = text.trim_start_matches("convert_string_expressions:");
    if condition.contains("convert_string_expressions:") || text.len() + 6 > SELECTOR_BYTES_MAX {
        return;
    }
    let prefix = &text[..text.len() - condition.len()];
    match Selector::parse(&format!("{prefix}NOT ({condition})")) {
        Ok(negation) => assert!(
            !(holds && negation.matches(&message)),
            "{text:?} and its negation both hold"
        ),
        Err(SelectorError::TooDeep { .. }) => {}
        Err(error) => panic!("{text:?} is accepted and its negation is not: {error}"),
    }
}

/// What the identifiers of a selector stand for.
struct Message<'a>(Vec<(String, Value<'a>)>);

impl<'a> Message<'a> {
    fn new(selector: &Selector, values: &'a [u8]) -> Message<'a> {
        let mut values = Input::new(values);
        let named = selector.identifiers().map(|name| {
            let value = match values.below(7) {
                0 => Value::Null,
                1 => Value::Boolean(values.flag()),
                2 => Value::Integer(values.number().cast_signed()),
                3 => Value::Float(f64::from_bits(values.number())),
                4 => Value::String(Cow::Borrowed(values.text())),
                5 => Value::Integer(i64::from(values.byte())),
                _ => Value::Opaque,
            };
            (name.to_string(), value)
        });
        Message(named.collect())
    }
}

impl Source for Message<'_> {
    fn value(&self, identifier: &str) -> Value<'_> {
        let found = self.0.iter().find(|(name, _)| name == identifier);
        found.expect("only its own identifiers are asked for").1.clone()
    }
}

/// Inputs to begin with.
pub fn seeds() -> Vec<Vec<u8>> {
    let values = [
        5, 1, 4, 2, b'a', b'b', 2, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 6, 0, 3, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f,
    ];
    let texts = [
        "a > 1 AND b = 'x' OR NOT c",
        "JMSPriority BETWEEN 3 AND 7 AND colour IN ('red', 'blue', 'it''s')",
        "name LIKE 'a!%b_%' ESCAPE '!' AND name IS NOT NULL",
        "a + 1 * -2 / 3 % 4 <> 0x1F - 017L + 1.5e3F",
        "convert_string_expressions:a = 5 AND b <> TRUE",
        "INLIST(MAKELIST(1, 'a', b + 1), c) OR INLIST(SPLIT(d, ',', 2), 'x')",
        "REPLACE(a, '\\.', '-') = 'b' /* why */ AND -- because\nTRUE",
        "(((a NOT LIKE '%' ) = (b NOT BETWEEN 1 AND 2)))",
        "'text' + a = 'text1' AND a IS NULL",
        "a = -9223372036854775808",
        "a = ",
        "XPATH('//a')",
    ];
    texts
        .iter()
        .map(|text| [text.as_bytes(), &[0], &values].concat())
        .collect()
}
