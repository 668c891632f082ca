//! The evaluator of selectors against a slow one: [`crate::reference`].
//!
//! An input builds a selector and a message. Written with the fewest parentheses and with all, the product must find it TRUE, FALSE or unknown exactly as the reference does (FALSE is told
//! from unknown by negation).

use message::selector::{Selector, SelectorError, Source, Value};

use crate::input::Input;
use crate::reference::{Datum, NAMES, condition, datum, evaluate, truth, write};

/// Whether strings are converted; the value of each property; then the tree.
pub fn run(input: &[u8]) {
    let mut input = Input::new(input);
    let convert = input.flag();
    let message = Message(std::array::from_fn(|_| datum(&mut input)));
    let tree = condition(&mut input, 0);
    let expected = truth(&evaluate(&tree, &|name| message.datum(name).clone(), convert));
    for all in [false, true] {
        let text = write(&tree, 0, all);
        let found = judged(&text, &message, convert);
        assert!(
            found.is_none_or(|found| found == expected),
            "{text} is {found:?} and should be {expected:?} for {:?}",
            message.0
        );
    }
}

/// What the product finds; `None` if it nests too deep for it.
fn judged(text: &str, message: &Message, convert: bool) -> Option<Option<bool>> {
    let prefix = if convert { "convert_string_expressions:" } else { "" };
    let [holds, is_false] =
        [format!("{prefix}{text}"), format!("{prefix}NOT ({text})")].map(|text| match Selector::parse(&text) {
            Ok(selector) => Some(selector.matches(message)),
            Err(SelectorError::TooDeep { .. }) => None,
            Err(error) => panic!("{text}: {error}"),
        });
    match (holds?, is_false?) {
        (true, true) => panic!("{text} and its negation both hold"),
        (true, false) => Some(Some(true)),
        (false, true) => Some(Some(false)),
        (false, false) => Some(None),
    }
}

struct Message([Datum; NAMES.len()]);

impl Message {
    fn datum(&self, name: &str) -> &Datum {
        let index = NAMES.iter().position(|known| *known == name);
        &self.0[index.expect("only these names are used")]
    }
}

impl Source for Message {
    fn value(&self, identifier: &str) -> Value<'_> {
        match self.datum(identifier) {
            Datum::Unknown => Value::Null,
            Datum::Boolean(boolean) => Value::Boolean(*boolean),
            Datum::Integer(integer) => Value::Integer(i64::try_from(*integer).expect("it was made from one")),
            Datum::Float(float) => Value::Float(*float),
            Datum::Text(text) => Value::String(text.as_str().into()),
            Datum::Opaque => Value::Opaque,
        }
    }
}

/// Inputs to begin with: one for each kind of condition, with values of every type.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for convert in [0, 1] {
        for kind in 0..16_u8 {
            let message = [3, 5, 6, 5, 1, 1, 5, 3, 0];
            let tree = [
                kind, 1, 11, 0, 2, 5, 1, 3, 9, 4, 1, 6, 2, 0, 1, 10, 3, 7, 1, 2, 13, 1, 4, 8, 1, 0, 3, 1, 4,
            ];
            seeds.push([&[convert], &message[..], &tree[..]].concat());
        }
    }
    seeds
}
