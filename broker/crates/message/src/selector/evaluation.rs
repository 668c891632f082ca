//! Computes an expression for one message, in three-valued logic (JMS 1.1 section 3.8.1.2).
//!
//! Recursion goes down the tree, whose depth the parser bounds; chains and lists of operands are loops.
//! Proved by the truth tables in `tests/selector/logic.rs` and by `tests/selector_reference.rs`.

use std::borrow::Cow;
use std::cell::OnceCell;

use super::effort::Effort;
use super::expression::{Comparison, Expression, List, Literal, Step};
use super::function::{replace, split_contains};
use super::value::Value;
use super::{Selector, Source};

/// One selector applied to one message.
pub(super) struct Evaluation<'e, 's, S: Source + ?Sized> {
    pub(super) selector: &'e Selector,
    pub(super) source: &'s S,
    /// What the source said, per identifier; at least as many as the selector has identifiers.
    pub(super) slots: &'e [OnceCell<Value<'s>>],
    /// What it has cost so far. From when on it is too much everything is unknown.
    pub(super) effort: &'e Effort,
}

impl<'e, S: Source + ?Sized> Evaluation<'e, '_, S> {
    /// TRUE, FALSE or unknown.
    pub(super) fn condition(&self, expression: &'e Expression) -> Option<bool> {
        if !self.effort.add(1) {
            return None;
        }
        match expression {
            Expression::Not(operand) => self.condition(operand).map(|condition| !condition),
            Expression::All(operands) => self.first_or_unknown(operands, false),
            Expression::Any(operands) => self.first_or_unknown(operands, true),
            Expression::Literal(_)
            | Expression::Identifier(_)
            | Expression::Negate(_)
            | Expression::Chain { .. }
            | Expression::InList { .. }
            | Expression::Replace { .. } => self.value(expression).as_condition(),
        }
    }

    /// `decisive` as soon as one operand is it (AND: false, OR: true); else unknown if one is unknown; else the opposite.
    fn first_or_unknown(&self, operands: &'e [Expression], decisive: bool) -> Option<bool> {
        let mut outcome = Some(!decisive);
        for operand in operands {
            match self.condition(operand) {
                Some(condition) if condition == decisive => return Some(decisive),
                Some(_) => {}
                None => outcome = None,
            }
        }
        outcome
    }

    fn value(&self, expression: &'e Expression) -> Value<'e> {
        match expression {
            Expression::Literal(literal) => match literal {
                Literal::Null => Value::Null,
                Literal::Boolean(boolean) => Value::Boolean(*boolean),
                Literal::Integer(integer) => Value::Integer(*integer),
                Literal::Float(float) => Value::Float(*float),
                Literal::String(string) => Value::String(Cow::Borrowed(string)),
            },
            Expression::Identifier(index) => self.slots[*index]
                .get_or_init(|| self.source.value(&self.selector.identifiers[*index]))
                .borrow(),
            Expression::Negate(operand) => self.value(operand).negated(self.selector.convert_strings),
            Expression::Not(_) | Expression::All(_) | Expression::Any(_) => {
                Value::of_condition(self.condition(expression))
            }
            Expression::Chain { first, steps } => {
                steps.iter().fold(self.value(first), |left, step| self.step(left, step))
            }
            Expression::InList { list, candidate } => Value::of_condition(self.in_list(list, candidate)),
            Expression::Replace {
                source,
                pattern,
                replacement,
            } => match self.value(source) {
                Value::String(source) if self.effort.add(source.len()) => {
                    replace(&source, pattern, replacement).map_or(Value::Null, |text| Value::String(Cow::Owned(text)))
                }
                Value::String(_)
                | Value::Null
                | Value::Boolean(_)
                | Value::Integer(_)
                | Value::Float(_)
                | Value::Opaque => Value::Null,
            },
        }
    }

    fn step(&self, left: Value<'e>, step: &'e Step) -> Value<'e> {
        // Text is compared, copied or parsed at most once a step, and quicker than LIKE goes through it.
        if let Value::String(text) = &left
            && !self.effort.add(text.len() / 16)
        {
            return Value::Null;
        }
        let convert = self.selector.convert_strings;
        let outcome = match step {
            Step::Arithmetic(arithmetic, right) => {
                return left.compute(*arithmetic, &self.value(right), convert);
            }
            Step::Compare(comparison, right) => left.compare(*comparison, &self.value(right), convert),
            Step::Between { negated, low, high } => {
                let (below, above, decisive) = if *negated {
                    (Comparison::Less, Comparison::Greater, true)
                } else {
                    (Comparison::GreaterOrEqual, Comparison::LessOrEqual, false)
                };
                let low = left.compare(below, &self.value(low), convert);
                let high = left.compare(above, &self.value(high), convert);
                if low == Some(decisive) || high == Some(decisive) {
                    Some(decisive)
                } else {
                    low.and(high)
                }
            }
            Step::Like { negated, pattern } => match left {
                Value::Null => None,
                Value::String(text) => pattern.matches(&text, self.effort).map(|matches| matches != *negated),
                Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::Opaque => Some(*negated),
            },
            Step::In { negated, strings } => match left {
                Value::String(text) => {
                    let found = strings.binary_search_by(|string| (**string).cmp(&*text)).is_ok();
                    Some(found != *negated)
                }
                Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::Opaque => None,
            },
            Step::IsNull { negated } => Some((left == Value::Null) != *negated),
        };
        Value::of_condition(outcome)
    }

    /// Whether the list has the candidate; unknown only if there is no list to split. A missing candidate is in no list.
    fn in_list(&self, list: &'e List, candidate: &'e Expression) -> Option<bool> {
        let candidate = self.value(candidate);
        match list {
            List::Items(items) => {
                let is_candidate = |item| self.effort.add(1) && self.value(item).is_same(&candidate);
                let found = items.iter().any(is_candidate);
                (!self.effort.is_spent()).then_some(found)
            }
            List::Split {
                source,
                separator,
                limit,
            } => {
                let limit = match limit.as_ref().map(|limit| self.value(limit)) {
                    None => 0,
                    Some(Value::Integer(limit)) => limit,
                    Some(Value::Null | Value::Boolean(_) | Value::Float(_) | Value::String(_) | Value::Opaque) => {
                        return None;
                    }
                };
                match (self.value(source), candidate) {
                    (Value::String(source), Value::String(candidate)) if self.effort.add(source.len()) => {
                        Some(split_contains(&source, separator, limit, &candidate))
                    }
                    (Value::String(_), _) => (!self.effort.is_spent()).then_some(false),
                    (Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::Opaque, _) => None,
                }
            }
        }
    }
}
