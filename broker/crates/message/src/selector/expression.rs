//! The parsed form of a selector.
//!
//! Invariant: the tree is not deeper than a small multiple of [`super::SELECTOR_DEPTH_MAX`], however long the text:
//! what associates to the left (`a + b - c = d`) is one [`Expression::Chain`], and AND and OR take any number of operands.
//! Evaluating and dropping a tree therefore need no more stack than parsing it did.

use super::like::LikePattern;

/// A part of a selector that has a value.
#[derive(Clone, Debug)]
pub(super) enum Expression {
    Literal(Literal),
    /// Index into the selector's table of identifiers.
    Identifier(usize),
    Negate(Box<Expression>),
    Not(Box<Expression>),
    /// Operands joined by AND, two or more.
    All(Vec<Expression>),
    /// Operands joined by OR, two or more.
    Any(Vec<Expression>),
    /// A value that passes through the steps from left to right; one step or more.
    Chain {
        first: Box<Expression>,
        steps: Vec<Step>,
    },
    /// `INLIST(list, candidate)`
    InList {
        list: List,
        candidate: Box<Expression>,
    },
    /// `REPLACE(source, pattern, replacement)` with plain text for a pattern.
    Replace {
        source: Box<Expression>,
        pattern: Box<str>,
        replacement: Box<str>,
    },
}

/// What a literal says.
#[derive(Clone, Debug)]
pub(super) enum Literal {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    String(Box<str>),
}

/// What happens to the value on the left of an operator.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Arithmetic(Arithmetic, Expression),
    Compare(Comparison, Expression),
    Between {
        negated: bool,
        low: Expression,
        high: Expression,
    },
    Like {
        negated: bool,
        pattern: LikePattern,
    },
    /// Sorted, without repetitions.
    In {
        negated: bool,
        strings: Box<[Box<str>]>,
    },
    IsNull {
        negated: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// The first argument of INLIST.
#[derive(Clone, Debug)]
pub(super) enum List {
    /// `MAKELIST(…)`
    Items(Vec<Expression>),
    /// `SPLIT(source, separator)` or `SPLIT(source, separator, limit)` with plain text for a separator.
    Split {
        source: Box<Expression>,
        separator: Box<str>,
        limit: Option<Box<Expression>>,
    },
}

impl Expression {
    /// This value, with one more step behind it.
    pub(super) fn then(self, step: Step) -> Expression {
        match self {
            Expression::Chain { first, mut steps } => {
                steps.push(step);
                Expression::Chain { first, steps }
            }
            Expression::Literal(_)
            | Expression::Identifier(_)
            | Expression::Negate(_)
            | Expression::Not(_)
            | Expression::All(_)
            | Expression::Any(_)
            | Expression::InList { .. }
            | Expression::Replace { .. } => Expression::Chain {
                first: Box::new(self),
                steps: vec![step],
            },
        }
    }

    /// Whether the value is TRUE, FALSE or unknown whatever the message says.
    pub(super) fn is_condition(&self) -> bool {
        match self {
            Expression::Literal(Literal::Null | Literal::Boolean(_))
            | Expression::Not(_)
            | Expression::All(_)
            | Expression::Any(_)
            | Expression::InList { .. } => true,
            Expression::Chain { steps, .. } => steps.last().is_some_and(|step| match step {
                Step::Arithmetic(..) => false,
                Step::Compare(..)
                | Step::Between { .. }
                | Step::Like { .. }
                | Step::In { .. }
                | Step::IsNull { .. } => true,
            }),
            Expression::Literal(Literal::Integer(_) | Literal::Float(_) | Literal::String(_))
            | Expression::Identifier(_)
            | Expression::Negate(_)
            | Expression::Replace { .. } => false,
        }
    }
}
