//! Values of identifiers and expressions: how they compare, compute and convert (JMS 1.1 section 3.8.1.1 and 3.8.1.2).
//!
//! Deliberately absent: widths of numbers. Java's byte, short, int and long are one 64-bit integer here, float and double one
//! 64-bit float, so that `a + b` does not depend on the type that a client happened to choose.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::COMPUTED_STRING_BYTES_MAX;
use super::expression::{Arithmetic, Comparison};

/// A value as a selector sees it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// No value: the message has no such header or property.
    Null,
    /// A boolean.
    Boolean(bool),
    /// Any of Java's exact numbers (byte, short, int, long).
    Integer(i64),
    /// Any of Java's approximate numbers (float, double).
    Float(f64),
    /// A string.
    String(Cow<'a, str>),
    /// There is a value, but selectors cannot look into it (bytes, lists, maps): not NULL, and unlike everything else.
    Opaque,
}

/// A number in a computation.
#[derive(Clone, Copy)]
enum Number {
    Integer(i64),
    Float(f64),
}

/// How two values relate.
enum Relation {
    /// One of them is missing.
    Unknown,
    /// Of types that cannot be compared; also NaN, which compares with nothing.
    Unlike,
    Ordered(Ordering),
}

impl Number {
    #[allow(clippy::cast_precision_loss)] // numeric promotion of the Java language, which JMS prescribes
    fn as_float(self) -> f64 {
        match self {
            Number::Integer(integer) => integer as f64,
            Number::Float(float) => float,
        }
    }
}

impl<'a> Value<'a> {
    /// The same value without its own copy of a string.
    pub(super) fn borrow(&self) -> Value<'_> {
        match self {
            Value::Null => Value::Null,
            Value::Boolean(boolean) => Value::Boolean(*boolean),
            Value::Integer(integer) => Value::Integer(*integer),
            Value::Float(float) => Value::Float(*float),
            Value::String(string) => Value::String(Cow::Borrowed(string)),
            Value::Opaque => Value::Opaque,
        }
    }

    /// A condition's result as a value.
    pub(super) fn of_condition(condition: Option<bool>) -> Value<'a> {
        condition.map_or(Value::Null, Value::Boolean)
    }

    /// This value as a condition: a missing one is unknown, one that is not a boolean is false.
    pub(super) fn as_condition(&self) -> Option<bool> {
        match self {
            Value::Null => None,
            Value::Boolean(boolean) => Some(*boolean),
            Value::Integer(_) | Value::Float(_) | Value::String(_) | Value::Opaque => Some(false),
        }
    }

    /// Compares two values; `convert` lets strings stand for the numbers or booleans that they spell.
    pub(super) fn compare(&self, comparison: Comparison, right: &Value<'_>, convert: bool) -> Option<bool> {
        let ordering = match self.relation(right, convert) {
            Relation::Unknown => return None,
            Relation::Unlike => return Some(comparison == Comparison::NotEqual),
            Relation::Ordered(ordering) => ordering,
        };
        Some(match comparison {
            Comparison::Equal => ordering.is_eq(),
            Comparison::NotEqual => ordering.is_ne(),
            Comparison::Less => ordering.is_lt(),
            Comparison::LessOrEqual => ordering.is_le(),
            Comparison::Greater => ordering.is_gt(),
            Comparison::GreaterOrEqual => ordering.is_ge(),
        })
    }

    fn relation(&self, right: &Value<'_>, convert: bool) -> Relation {
        match (self, right) {
            (Value::Null, _) | (_, Value::Null) => return Relation::Unknown,
            (Value::String(left), Value::String(right)) => return Relation::Ordered(left.cmp(right)),
            (Value::Boolean(left), Value::Boolean(right)) => return Relation::Ordered(left.cmp(right)),
            (Value::String(left), Value::Boolean(right)) if convert => {
                return Relation::Ordered(left.eq_ignore_ascii_case("true").cmp(right));
            }
            (Value::Boolean(left), Value::String(right)) if convert => {
                return Relation::Ordered(left.cmp(&right.eq_ignore_ascii_case("true")));
            }
            (Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::String(_) | Value::Opaque, _) => {}
        }
        let ordering = match (self.number(convert), right.number(convert)) {
            (Some(Number::Integer(left)), Some(Number::Integer(right))) => Some(left.cmp(&right)),
            (Some(left), Some(right)) => left.as_float().partial_cmp(&right.as_float()),
            (None, _) | (_, None) => None,
        };
        ordering.map_or(Relation::Unlike, Relation::Ordered)
    }

    /// Whether INLIST finds this value by that candidate: same type, same value.
    pub(super) fn is_same(&self, candidate: &Value<'_>) -> bool {
        match (self, candidate) {
            (Value::Boolean(left), Value::Boolean(right)) => left == right,
            (Value::Integer(left), Value::Integer(right)) => left == right,
            (Value::Float(left), Value::Float(right)) => left == right,
            (Value::String(left), Value::String(right)) => left == right,
            (
                Value::Null
                | Value::Boolean(_)
                | Value::Integer(_)
                | Value::Float(_)
                | Value::String(_)
                | Value::Opaque,
                _,
            ) => false,
        }
    }

    /// Computes; what has no result (a missing or unfit operand, an overflow, a division by zero) is [`Value::Null`].
    pub(super) fn compute(self, arithmetic: Arithmetic, right: &Value<'_>, convert: bool) -> Value<'a> {
        if arithmetic == Arithmetic::Add
            && let Value::String(left) = self
        {
            return concatenate(left, right);
        }
        let (Some(left), Some(right)) = (self.number(convert), right.number(convert)) else {
            return Value::Null;
        };
        let float = match (arithmetic, left, right) {
            (Arithmetic::Add, Number::Integer(left), Number::Integer(right)) => {
                return left.checked_add(right).map_or(Value::Null, Value::Integer);
            }
            (Arithmetic::Subtract, Number::Integer(left), Number::Integer(right)) => {
                return left.checked_sub(right).map_or(Value::Null, Value::Integer);
            }
            (Arithmetic::Multiply, Number::Integer(left), Number::Integer(right)) => {
                return left.checked_mul(right).map_or(Value::Null, Value::Integer);
            }
            (Arithmetic::Remainder, Number::Integer(left), Number::Integer(right)) => {
                // i64::MIN % -1 is 0; only the division behind it overflows.
                return if right == 0 {
                    Value::Null
                } else {
                    Value::Integer(left.wrapping_rem(right))
                };
            }
            (Arithmetic::Add, left, right) => left.as_float() + right.as_float(),
            (Arithmetic::Subtract, left, right) => left.as_float() - right.as_float(),
            (Arithmetic::Multiply, left, right) => left.as_float() * right.as_float(),
            (Arithmetic::Divide | Arithmetic::Remainder, _, right) if right.as_float() == 0.0 => return Value::Null,
            // Exact where the result is an integer, so that large ones do not lose digits.
            (Arithmetic::Divide, Number::Integer(left), Number::Integer(right))
                if left.checked_rem(right) == Some(0) =>
            {
                return Value::Integer(left / right);
            }
            (Arithmetic::Divide, left, right) => left.as_float() / right.as_float(),
            (Arithmetic::Remainder, left, right) => left.as_float() % right.as_float(),
        };
        if float.is_nan() {
            Value::Null
        } else {
            Value::Float(float)
        }
    }

    /// The negative; [`Value::Null`] where there is none.
    pub(super) fn negated(&self, convert: bool) -> Value<'a> {
        match self.number(convert) {
            Some(Number::Integer(integer)) => integer.checked_neg().map_or(Value::Null, Value::Integer),
            Some(Number::Float(float)) => Value::Float(-float),
            None => Value::Null,
        }
    }

    fn number(&self, convert: bool) -> Option<Number> {
        match self {
            Value::Integer(integer) => Some(Number::Integer(*integer)),
            Value::Float(float) => Some(Number::Float(*float)),
            Value::String(string) if convert => number_in(string),
            Value::Null | Value::Boolean(_) | Value::String(_) | Value::Opaque => None,
        }
    }
}

/// The number that a whole string spells in decimal digits, with fraction and exponent or without.
fn number_in(string: &str) -> Option<Number> {
    if let Ok(integer) = string.parse::<i64>() {
        return Some(Number::Integer(integer));
    }
    // Rust also reads `inf` and `nan`; a header that says so is a word.
    let spells_a_number = string
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'+' | b'-' | b'e' | b'E'));
    if spells_a_number {
        string.parse().ok().map(Number::Float)
    } else {
        None
    }
}

/// `left` with the text of `right` behind it, as Java writes it; [`Value::Null`] if that is too long or `right` has no text.
fn concatenate<'a>(left: Cow<'a, str>, right: &Value<'_>) -> Value<'a> {
    let appended = match right {
        Value::Null | Value::Opaque => return Value::Null,
        Value::Boolean(boolean) => Cow::Owned(boolean.to_string()),
        Value::Integer(integer) => Cow::Owned(integer.to_string()),
        Value::Float(float) => Cow::Owned(float_text(*float)),
        Value::String(string) => Cow::Borrowed(&**string),
    };
    if left.len() + appended.len() > COMPUTED_STRING_BYTES_MAX {
        return Value::Null;
    }
    let mut joined = left.into_owned();
    joined.push_str(&appended);
    Value::String(Cow::Owned(joined))
}

/// A float in the notation of Java's `Double.toString`: `61.5`, `2.0`, `1.0E10`.
fn float_text(float: f64) -> String {
    if float.is_nan() {
        return "NaN".to_owned();
    }
    if float.is_infinite() {
        return if float > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if float == 0.0 || (1e-3..1e7).contains(&float.abs()) {
        return format!("{float:?}");
    }
    let scientific = format!("{float:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let fraction = if digits.contains('.') { "" } else { ".0" };
    format!("{digits}{fraction}E{exponent}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_java_writes_them() {
        for (float, text) in [
            (61.5, "61.5"),
            (2.0, "2.0"),
            (-0.0, "-0.0"),
            (0.001, "0.001"),
            (0.0001, "1.0E-4"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (-1.25e10, "-1.25E10"),
            (f64::MAX, "1.7976931348623157E308"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(float_text(float), text);
        }
    }
}
