//! Builds expressions from tokens by precedence climbing.
//!
//! From loose to tight: OR; AND; NOT; `=` `<>` IS NULL; `<` `<=` `>` `>=` LIKE BETWEEN IN; `+` `-`; `*` `/` `%`; signs. Equal
//! levels associate to the left. Every recursion of the parser is one level of [`SELECTOR_DEPTH_MAX`].
//!
//! What ActiveMQ refuses for the kinds of its operands is refused here too, with the column of the operand: conditions and string,
//! boolean or NULL literals under `<` and BETWEEN, NULL under `=`, IN on anything but an identifier, values where a condition must be.

use std::collections::BTreeMap;

use super::SELECTOR_DEPTH_MAX;
use super::error::SelectorError;
use super::expression::{Arithmetic, Comparison, Expression, List, Literal, Step};
use super::function::{plain_pattern, plain_replacement};
use super::lexer::{Lexer, Token, TokenKind, shortened};
use super::like::LikePattern;

/// How tightly an operator binds, loosest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Or,
    And,
    Not,
    Equality,
    Comparison,
    Sum,
    Product,
    Sign,
}

/// An operator behind an operand.
#[derive(Clone, Copy, Debug)]
enum Infix {
    Or,
    And,
    Compare(Comparison),
    Is,
    /// NOT before LIKE, BETWEEN or IN.
    Not,
    Like,
    Between,
    In,
    Compute(Arithmetic),
}

/// An expression and where it begins.
struct Operand {
    expression: Expression,
    start: usize,
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token<'a>,
    depth: usize,
    indices: BTreeMap<&'a str, usize>,
    identifiers: Vec<Box<str>>,
}

/// A whole selector, parsed.
pub(super) struct Parsed {
    /// The condition.
    pub(super) root: Expression,
    /// The identifiers that it refers to by index.
    pub(super) identifiers: Box<[Box<str>]>,
}

/// Parses a whole text, which has no prefix any more.
pub(super) fn parse(text: &str) -> Result<Parsed, SelectorError> {
    let mut lexer = Lexer::new(text);
    let token = lexer.next_token()?;
    let mut parser = Parser {
        lexer,
        token,
        depth: 0,
        indices: BTreeMap::new(),
        identifiers: Vec::new(),
    };
    let operand = parser.expression(Level::Or)?;
    if parser.token.kind != TokenKind::End {
        return Err(parser.expected("an operator or the end of the selector"));
    }
    let root = parser.condition(operand, "a selector must be a condition")?;
    Ok(Parsed {
        root,
        identifiers: parser.identifiers.into(),
    })
}

impl<'a> Parser<'a> {
    /// Parses an operand and all operators behind it that bind at least as tightly as `loosest`.
    fn expression(&mut self, loosest: Level) -> Result<Operand, SelectorError> {
        if self.depth == SELECTOR_DEPTH_MAX {
            return Err(SelectorError::TooDeep {
                column: self.lexer.column(self.token.start),
            });
        }
        self.depth += 1;
        let mut left = self.prefix()?;
        while let Some(infix) = Infix::of(&self.token.kind).filter(|infix| infix.level() >= loosest) {
            let operator = self.advance()?;
            let start = left.start;
            left = Operand {
                expression: self.infix(infix, left, operator.start)?,
                start,
            };
        }
        self.depth -= 1;
        Ok(left)
    }

    /// Parses what stands before any operator.
    fn prefix(&mut self) -> Result<Operand, SelectorError> {
        let start = self.token.start;
        let expression = match self.token.kind {
            TokenKind::Minus => {
                self.advance()?;
                if self.token.kind == TokenKind::IntegerMinimum {
                    self.advance()?;
                    Expression::Literal(Literal::Integer(i64::MIN))
                } else {
                    Expression::Negate(Box::new(self.expression(Level::Sign)?.expression))
                }
            }
            TokenKind::Plus => {
                self.advance()?;
                self.expression(Level::Sign)?.expression
            }
            TokenKind::Not => {
                self.advance()?;
                let operand = self.expression(Level::Not)?;
                Expression::Not(Box::new(self.condition(operand, "NOT needs a condition")?))
            }
            TokenKind::ParenthesisOpen => {
                self.advance()?;
                let inner = self.expression(Level::Or)?;
                self.expect(&TokenKind::ParenthesisClose, "an operator or )")?;
                inner.expression
            }
            TokenKind::Xpath | TokenKind::Xquery => {
                let language = self.lexer.shown(&self.token).to_ascii_uppercase();
                let feature = format!("{language} is not supported, bodies are not looked into; select by properties");
                return Err(self.unsupported(start, feature));
            }
            TokenKind::IntegerMinimum => return Err(self.lexer.out_of_range(start)),
            TokenKind::Identifier(name) => {
                self.advance()?;
                if self.token.kind == TokenKind::ParenthesisOpen {
                    self.function(name, start)?
                } else {
                    self.identifier(name)
                }
            }
            TokenKind::String(_)
            | TokenKind::Integer(_)
            | TokenKind::Float(_)
            | TokenKind::True
            | TokenKind::False
            | TokenKind::Null => Expression::Literal(self.literal()?),
            TokenKind::And
            | TokenKind::Between
            | TokenKind::Escape
            | TokenKind::In
            | TokenKind::Is
            | TokenKind::Like
            | TokenKind::Or
            | TokenKind::Equal
            | TokenKind::NotEqual
            | TokenKind::Less
            | TokenKind::LessOrEqual
            | TokenKind::Greater
            | TokenKind::GreaterOrEqual
            | TokenKind::Star
            | TokenKind::Slash
            | TokenKind::Percent
            | TokenKind::ParenthesisClose
            | TokenKind::Comma
            | TokenKind::End => return Err(self.expected("an identifier, a literal, (, NOT or a sign")),
        };
        Ok(Operand { expression, start })
    }

    /// Parses what stands behind an operator that stands behind `left`.
    fn infix(&mut self, infix: Infix, left: Operand, operator_start: usize) -> Result<Expression, SelectorError> {
        match infix {
            Infix::Or => {
                let left = self.condition(left, "OR needs conditions")?;
                let right = self.expression(Level::And)?;
                let right = self.condition(right, "OR needs conditions")?;
                Ok(match left {
                    Expression::Any(mut operands) => {
                        operands.push(right);
                        Expression::Any(operands)
                    }
                    other => Expression::Any(vec![other, right]),
                })
            }
            Infix::And => {
                let left = self.condition(left, "AND needs conditions")?;
                let right = self.expression(Level::Not)?;
                let right = self.condition(right, "AND needs conditions")?;
                Ok(match left {
                    Expression::All(mut operands) => {
                        operands.push(right);
                        Expression::All(operands)
                    }
                    other => Expression::All(vec![other, right]),
                })
            }
            Infix::Compare(comparison @ (Comparison::Equal | Comparison::NotEqual)) => {
                self.not_null(&left)?;
                let right = self.expression(Level::Comparison)?;
                self.not_null(&right)?;
                self.comparable_literals(&left, &right, operator_start)?;
                Ok(left.expression.then(Step::Compare(comparison, right.expression)))
            }
            Infix::Compare(
                comparison @ (Comparison::Less
                | Comparison::LessOrEqual
                | Comparison::Greater
                | Comparison::GreaterOrEqual),
            ) => {
                self.has_order(&left)?;
                let right = self.expression(Level::Sum)?;
                self.has_order(&right)?;
                Ok(left.expression.then(Step::Compare(comparison, right.expression)))
            }
            Infix::Compute(arithmetic @ (Arithmetic::Add | Arithmetic::Subtract)) => {
                let right = self.expression(Level::Product)?;
                Ok(left.expression.then(Step::Arithmetic(arithmetic, right.expression)))
            }
            Infix::Compute(arithmetic @ (Arithmetic::Multiply | Arithmetic::Divide | Arithmetic::Remainder)) => {
                let right = self.expression(Level::Sign)?;
                Ok(left.expression.then(Step::Arithmetic(arithmetic, right.expression)))
            }
            Infix::Is => {
                let negated = self.skip(&TokenKind::Not)?;
                self.expect(
                    &TokenKind::Null,
                    if negated {
                        "NULL behind IS NOT"
                    } else {
                        "NULL or NOT NULL behind IS"
                    },
                )?;
                Ok(left.expression.then(Step::IsNull { negated }))
            }
            Infix::Not if self.skip(&TokenKind::Like)? => self.like(left, true),
            Infix::Not if self.skip(&TokenKind::Between)? => self.between(left, true),
            Infix::Not if self.skip(&TokenKind::In)? => self.membership(left, true),
            Infix::Not => Err(self.expected("LIKE, BETWEEN or IN behind NOT")),
            Infix::Like => self.like(left, false),
            Infix::Between => self.between(left, false),
            Infix::In => self.membership(left, false),
        }
    }

    fn like(&mut self, left: Operand, negated: bool) -> Result<Expression, SelectorError> {
        let pattern = self.string("a pattern in single quotes behind LIKE")?;
        let mut escape = None;
        if self.skip(&TokenKind::Escape)? {
            let start = self.token.start;
            let text = self.string("one character in single quotes behind ESCAPE")?;
            let mut characters = text.chars();
            escape = characters.next();
            if escape.is_none() || characters.next().is_some() {
                let count = text.chars().count();
                return Err(self
                    .lexer
                    .invalid(start, format!("ESCAPE takes exactly one character, not {count}")));
            }
        }
        let pattern = LikePattern::parse(&pattern, escape);
        Ok(left.expression.then(Step::Like { negated, pattern }))
    }

    fn between(&mut self, left: Operand, negated: bool) -> Result<Expression, SelectorError> {
        self.has_order(&left)?;
        let low = self.expression(Level::Sum)?;
        self.has_order(&low)?;
        self.expect(&TokenKind::And, "AND and the upper bound of BETWEEN")?;
        let high = self.expression(Level::Sum)?;
        self.has_order(&high)?;
        Ok(left.expression.then(Step::Between {
            negated,
            low: low.expression,
            high: high.expression,
        }))
    }

    fn membership(&mut self, left: Operand, negated: bool) -> Result<Expression, SelectorError> {
        if !matches!(left.expression, Expression::Identifier(_)) {
            let problem = "IN applies to an identifier; write INLIST(MAKELIST(…), value) for other values".to_owned();
            return Err(self.lexer.invalid(left.start, problem));
        }
        self.expect(&TokenKind::ParenthesisOpen, "( and a list of strings behind IN")?;
        let mut strings = Vec::new();
        loop {
            strings.push(self.string("a string in single quotes")?.into_boxed_str());
            if !self.skip(&TokenKind::Comma)? {
                break;
            }
        }
        self.expect(&TokenKind::ParenthesisClose, ", or ) in the list of IN")?;
        strings.sort_unstable();
        strings.dedup();
        Ok(left.expression.then(Step::In {
            negated,
            strings: strings.into(),
        }))
    }

    /// Parses a call from its opening parenthesis on.
    fn function(&mut self, name: &str, start: usize) -> Result<Expression, SelectorError> {
        match name {
            "INLIST" => {
                self.advance()?;
                let list = self.list()?;
                self.expect(&TokenKind::Comma, ", and the value to look for in INLIST")?;
                let candidate = Box::new(self.expression(Level::Or)?.expression);
                self.expect(
                    &TokenKind::ParenthesisClose,
                    "an operator or ) behind the two arguments of INLIST",
                )?;
                Ok(Expression::InList { list, candidate })
            }
            "REPLACE" => {
                self.advance()?;
                let source = Box::new(self.expression(Level::Or)?.expression);
                self.expect(&TokenKind::Comma, ", and the pattern of REPLACE")?;
                let pattern = self.pattern("REPLACE")?;
                self.expect(&TokenKind::Comma, ", and the replacement of REPLACE")?;
                let replacement_start = self.token.start;
                let Some(replacement) = plain_replacement(&self.string("a replacement in single quotes")?) else {
                    let feature = "groups ($) in replacements are not supported; write \\$ for a dollar sign";
                    return Err(self.unsupported(replacement_start, feature.to_owned()));
                };
                self.expect(&TokenKind::ParenthesisClose, ") behind the three arguments of REPLACE")?;
                Ok(Expression::Replace {
                    source,
                    pattern,
                    replacement,
                })
            }
            "REGEX" => Err(self.unsupported(start, "REGEX is not supported; use LIKE".to_owned())),
            "MAKELIST" | "SPLIT" => Err(self.lexer.invalid(
                start,
                format!("{name} makes a list, which only INLIST takes, as its first argument"),
            )),
            other => {
                let shown = shortened(other);
                let problem =
                    format!("there is no function {shown}; INLIST, MAKELIST, SPLIT and REPLACE exist, in capitals");
                Err(self.lexer.invalid(start, problem))
            }
        }
    }

    /// Parses the first argument of INLIST.
    fn list(&mut self) -> Result<List, SelectorError> {
        const EXPECTED: &str = "MAKELIST(…) or SPLIT(…) as the first argument of INLIST";
        let makes_items = match self.token.kind {
            TokenKind::Identifier("MAKELIST") => true,
            TokenKind::Identifier("SPLIT") => false,
            _ => return Err(self.expected(EXPECTED)),
        };
        self.advance()?;
        self.expect(&TokenKind::ParenthesisOpen, "( behind the name of a function")?;
        if makes_items {
            let mut items = vec![self.expression(Level::Or)?.expression];
            while self.skip(&TokenKind::Comma)? {
                items.push(self.expression(Level::Or)?.expression);
            }
            self.expect(&TokenKind::ParenthesisClose, "an operator, a comma or ) in MAKELIST")?;
            return Ok(List::Items(items));
        }
        let source = Box::new(self.expression(Level::Or)?.expression);
        self.expect(&TokenKind::Comma, ", and the separator of SPLIT")?;
        let separator = self.pattern("SPLIT")?;
        let mut limit = None;
        if self.skip(&TokenKind::Comma)? {
            limit = Some(Box::new(self.expression(Level::Or)?.expression));
        }
        self.expect(
            &TokenKind::ParenthesisClose,
            ") behind the two or three arguments of SPLIT",
        )?;
        Ok(List::Split {
            source,
            separator,
            limit,
        })
    }

    fn pattern(&mut self, function: &str) -> Result<Box<str>, SelectorError> {
        let start = self.token.start;
        plain_pattern(&self.string("a pattern in single quotes")?).ok_or_else(|| {
            let feature = format!(
                "regular expressions are not supported in {function}; give plain text, with a backslash before ^ $ . | ? * + ( ) [ ] {{ }}"
            );
            self.unsupported(start, feature)
        })
    }

    fn identifier(&mut self, name: &'a str) -> Expression {
        let next = self.identifiers.len();
        let index = *self.indices.entry(name).or_insert(next);
        if index == next {
            self.identifiers.push(name.into());
        }
        Expression::Identifier(index)
    }

    fn literal(&mut self) -> Result<Literal, SelectorError> {
        Ok(match self.advance()?.kind {
            TokenKind::String(text) => Literal::String(text.into()),
            TokenKind::Integer(integer) => Literal::Integer(integer),
            TokenKind::Float(float) => Literal::Float(float),
            TokenKind::True => Literal::Boolean(true),
            TokenKind::False => Literal::Boolean(false),
            _ => Literal::Null,
        })
    }

    fn string(&mut self, expected: &'static str) -> Result<String, SelectorError> {
        if !matches!(self.token.kind, TokenKind::String(_)) {
            return Err(self.expected(expected));
        }
        match self.advance()?.kind {
            TokenKind::String(text) => Ok(text),
            _ => Ok(String::new()),
        }
    }

    /// Moves on by one token and returns the one that was current.
    fn advance(&mut self) -> Result<Token<'a>, SelectorError> {
        let next = self.lexer.next_token()?;
        Ok(std::mem::replace(&mut self.token, next))
    }

    fn skip(&mut self, kind: &TokenKind<'_>) -> Result<bool, SelectorError> {
        let found = self.token.kind == *kind;
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn expect(&mut self, kind: &TokenKind<'_>, expected: &'static str) -> Result<(), SelectorError> {
        if self.skip(kind)? {
            Ok(())
        } else {
            Err(self.expected(expected))
        }
    }

    fn condition(&self, operand: Operand, problem: &str) -> Result<Expression, SelectorError> {
        if operand.expression.is_condition() || matches!(operand.expression, Expression::Identifier(_)) {
            return Ok(operand.expression);
        }
        let problem = format!("{problem}; what begins here is a value, and no comparison follows it");
        Err(self.lexer.invalid(operand.start, problem))
    }

    fn not_null(&self, operand: &Operand) -> Result<(), SelectorError> {
        if !matches!(operand.expression, Expression::Literal(Literal::Null)) {
            return Ok(());
        }
        Err(self.lexer.invalid(
            operand.start,
            "nothing equals NULL; write IS NULL or IS NOT NULL".to_owned(),
        ))
    }

    fn comparable_literals(&self, left: &Operand, right: &Operand, operator: usize) -> Result<(), SelectorError> {
        let Expression::Literal(Literal::Boolean(_)) = left.expression else {
            return Ok(());
        };
        let Expression::Literal(Literal::Integer(_) | Literal::Float(_) | Literal::String(_)) = right.expression else {
            return Ok(());
        };
        Err(self
            .lexer
            .invalid(operator, "a boolean compares only with a boolean".to_owned()))
    }

    fn has_order(&self, operand: &Operand) -> Result<(), SelectorError> {
        let kind = match &operand.expression {
            Expression::Literal(Literal::String(_)) => "a string",
            Expression::Literal(Literal::Boolean(_)) => "a boolean",
            Expression::Literal(Literal::Null) => "NULL",
            expression if expression.is_condition() => "a condition",
            _ => return Ok(()),
        };
        let problem =
            format!("<, <=, >, >= and BETWEEN compare numbers, not {kind}; strings and booleans have only = and <>");
        Err(self.lexer.invalid(operand.start, problem))
    }

    fn expected(&self, expected: &'static str) -> SelectorError {
        let column = self.lexer.column(self.token.start);
        SelectorError::Syntax {
            column,
            expected,
            found: self.lexer.shown(&self.token),
        }
    }

    fn unsupported(&self, start: usize, feature: String) -> SelectorError {
        SelectorError::Unsupported {
            column: self.lexer.column(start),
            feature,
        }
    }
}

impl Infix {
    fn of(kind: &TokenKind<'_>) -> Option<Infix> {
        match kind {
            TokenKind::Or => Some(Infix::Or),
            TokenKind::And => Some(Infix::And),
            TokenKind::Equal => Some(Infix::Compare(Comparison::Equal)),
            TokenKind::NotEqual => Some(Infix::Compare(Comparison::NotEqual)),
            TokenKind::Less => Some(Infix::Compare(Comparison::Less)),
            TokenKind::LessOrEqual => Some(Infix::Compare(Comparison::LessOrEqual)),
            TokenKind::Greater => Some(Infix::Compare(Comparison::Greater)),
            TokenKind::GreaterOrEqual => Some(Infix::Compare(Comparison::GreaterOrEqual)),
            TokenKind::Is => Some(Infix::Is),
            TokenKind::Not => Some(Infix::Not),
            TokenKind::Like => Some(Infix::Like),
            TokenKind::Between => Some(Infix::Between),
            TokenKind::In => Some(Infix::In),
            TokenKind::Plus => Some(Infix::Compute(Arithmetic::Add)),
            TokenKind::Minus => Some(Infix::Compute(Arithmetic::Subtract)),
            TokenKind::Star => Some(Infix::Compute(Arithmetic::Multiply)),
            TokenKind::Slash => Some(Infix::Compute(Arithmetic::Divide)),
            TokenKind::Percent => Some(Infix::Compute(Arithmetic::Remainder)),
            TokenKind::Identifier(_)
            | TokenKind::String(_)
            | TokenKind::Integer(_)
            | TokenKind::IntegerMinimum
            | TokenKind::Float(_)
            | TokenKind::Escape
            | TokenKind::False
            | TokenKind::Null
            | TokenKind::True
            | TokenKind::Xpath
            | TokenKind::Xquery
            | TokenKind::ParenthesisOpen
            | TokenKind::ParenthesisClose
            | TokenKind::Comma
            | TokenKind::End => None,
        }
    }

    fn level(self) -> Level {
        match self {
            Infix::Or => Level::Or,
            Infix::And => Level::And,
            Infix::Compare(Comparison::Equal | Comparison::NotEqual) | Infix::Is => Level::Equality,
            Infix::Compare(
                Comparison::Less | Comparison::LessOrEqual | Comparison::Greater | Comparison::GreaterOrEqual,
            )
            | Infix::Not
            | Infix::Like
            | Infix::Between
            | Infix::In => Level::Comparison,
            Infix::Compute(Arithmetic::Add | Arithmetic::Subtract) => Level::Sum,
            Infix::Compute(Arithmetic::Multiply | Arithmetic::Divide | Arithmetic::Remainder) => Level::Product,
        }
    }
}
