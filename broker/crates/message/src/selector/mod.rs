//! Message selectors: the conditional expressions by which a consumer chooses messages (JMS 1.1 section 3.8.1, in ActiveMQ's dialect).
//!
//! This module owns the language: [`lexer`] cuts the text into tokens, [`parser`] (precedence climbing) builds an
//! [`expression`], [`evaluation`] computes it in three-valued logic over whatever a [`Source`] says about one message.
//!
//! Invariants:
//! - Hostile text is an error with a column, never a panic: text is limited to [`SELECTOR_BYTES_MAX`], nesting to
//!   [`SELECTOR_DEPTH_MAX`], and with them the depth of every recursion here.
//! - A match allocates nothing unless the selector computes strings, asks the source for each identifier at most once,
//!   and costs at most (length of the selector) × (length of the strings it looks at): LIKE does not backtrack exponentially.
//! - Only TRUE selects. Whatever cannot be computed (a missing property, arithmetic on a boolean, an overflow, a division by
//!   zero) is unknown, and unknown is not an error: one odd message must not end a subscription.
//!
//! Where ActiveMQ leaves the JMS specification, this module follows
//! - ActiveMQ in what it accepts in addition: comments, identifiers as conditions, `'text' + x`, `/` that keeps the
//!   fraction (`3 / 2` is 1.5), order between two string properties, functions, `convert_string_expressions:`;
//! - ActiveMQ in unlike types: `name = 5` and `name > 5` on a string are false, `name <> 5` is true;
//! - the specification where ActiveMQ contradicts it: `NOT a = 1` is `NOT (a = 1)`; every comparison with a missing value is
//!   unknown, whichever side it is on (`5 <> missing` and `missing = missing` select nothing); integers are 64 bits wide throughout
//!   and do not wrap; literals take the suffixes `L`, `F`, `D`, and identifiers all letters of Unicode;
//! - neither where a selector could only fail or never match: an integer literal that does not fit 64 bits is refused.
//!
//! Deliberately absent: XPATH and XQUERY (the broker does not interpret bodies), regular expressions (REGEX, and patterns in
//! SPLIT and REPLACE that are more than plain text), quoted identifiers (neither JMS nor ActiveMQ has them). All are refused by name.
//!
//! Proved by `tests/selector/` (literals, operators, truth tables, examples of the specification), `tests/selector_errors.rs`
//! (texts, columns, hostile input) and `tests/selector_reference.rs` (random selectors against a slow and simple evaluator).

mod effort;
mod error;
mod evaluation;
mod expression;
mod function;
mod lexer;
mod like;
mod parser;
mod value;

use std::cell::OnceCell;

pub use error::SelectorError;
pub use value::Value;

use effort::Effort;
use evaluation::Evaluation;
use expression::Expression;
use parser::Parsed;

/// Longest selector that is accepted, in bytes of UTF-8, its prefix included.
pub const SELECTOR_BYTES_MAX: usize = 64 * 1024;

/// Deepest nesting that is accepted, in levels: each parenthesis, prefix operator, function argument and right-hand operand
/// inside another is one level. Chains (`a OR b OR c …`, `1 + 1 + 1 …`) do not nest, however long they are.
pub const SELECTOR_DEPTH_MAX: usize = 100;

/// Longest string that a selector may compute (`a + b`, REPLACE), in bytes of UTF-8; a longer one is unknown.
pub const COMPUTED_STRING_BYTES_MAX: usize = 256 * 1024;

/// Characters that one match may compare, copy or search, about; what costs more is unknown (some milliseconds: nobody else is served meanwhile).
pub const SELECTOR_EFFORT_MAX: u32 = 1_000_000;

/// Prefix that lets strings compare with numbers and booleans; ActiveMQ puts it before every selector that comes over STOMP.
pub const CONVERT_PREFIX: &str = "convert_string_expressions:";
/// Prefix that takes [`CONVERT_PREFIX`] back: of several prefixes the last one counts.
const NO_CONVERT_PREFIX: &str = "no_convert_string_expressions:";

/// Identifiers whose values are remembered during one match without allocating.
const INLINE_SLOTS: usize = 8;

/// The text behind the prefixes, and whether they let strings compare with numbers.
fn without_prefixes(text: &str) -> (&str, bool) {
    let (mut condition, mut convert_strings) = (text, false);
    loop {
        if let Some(rest) = condition.strip_prefix(CONVERT_PREFIX) {
            (condition, convert_strings) = (rest, true);
        } else if let Some(rest) = condition.strip_prefix(NO_CONVERT_PREFIX) {
            (condition, convert_strings) = (rest, false);
        } else {
            return (condition, convert_strings);
        }
    }
}

/// What one message says to a selector.
pub trait Source {
    /// The value of a header by its JMS name (`JMSPriority`, `JMSType`, …) or of a property, case-sensitive;
    /// [`Value::Null`] if the message has none. Asked at most once per identifier and match.
    fn value(&self, identifier: &str) -> Value<'_>;
}

/// A parsed selector: immutable, shared freely between threads.
#[derive(Clone, Debug)]
pub struct Selector {
    text: Box<str>,
    /// Distinct identifiers, in order of appearance; expressions refer to them by index.
    identifiers: Box<[Box<str>]>,
    root: Expression,
    convert_strings: bool,
}

impl Selector {
    /// Parses a selector, prefix included; columns of errors count from the first character after the prefix.
    ///
    /// Errors: [`SelectorError`]; the text is then unusable and the one who sent it must be told. An empty or blank text
    /// is an error as well: JMS lets it mean "no selector", which is the caller's decision.
    pub fn parse(text: &str) -> Result<Selector, SelectorError> {
        if text.len() > SELECTOR_BYTES_MAX {
            return Err(SelectorError::TooLong { bytes: text.len() });
        }
        let (condition, convert_strings) = without_prefixes(text);
        let Parsed { root, identifiers } = parser::parse(condition)?;
        Ok(Selector {
            text: text.into(),
            identifiers,
            root,
            convert_strings,
        })
    }

    /// The text that was parsed, prefix included, byte for byte.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text behind the prefixes: what a person wrote.
    pub fn condition(&self) -> &str {
        without_prefixes(&self.text).0
    }

    /// Whether the selector is TRUE for this message; both false and unknown are `false`.
    pub fn matches(&self, source: &(impl Source + ?Sized)) -> bool {
        self.judge(source).0
    }

    /// As [`Selector::matches`], and what it cost: characters compared, copied or searched, at most a little over [`SELECTOR_EFFORT_MAX`].
    pub fn judge(&self, source: &(impl Source + ?Sized)) -> (bool, u32) {
        let effort = Effort::default();
        let inline = [const { OnceCell::new() }; INLINE_SLOTS];
        let allocated: Vec<OnceCell<Value<'_>>>;
        let slots = if self.identifiers.len() <= INLINE_SLOTS {
            &inline[..]
        } else {
            allocated = self.identifiers.iter().map(|_| OnceCell::new()).collect();
            &allocated[..]
        };
        let evaluation = Evaluation {
            selector: self,
            source,
            slots,
            effort: &effort,
        };
        let is_true = evaluation.condition(&self.root) == Some(true);
        // What became true by something that was left out is not true.
        (is_true && !effort.is_spent(), effort.sum())
    }

    /// The distinct identifiers that the selector asks for, in order of first appearance.
    pub fn identifiers(&self) -> impl Iterator<Item = &str> {
        self.identifiers.iter().map(|identifier| &**identifier)
    }
}
