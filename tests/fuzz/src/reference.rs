//! A slow evaluator of selectors, too simple to be wrong in the way that the fast one could be.
//!
//! It never parses. An input builds a [`Tree`]; the tree is written down as text, with the fewest parentheses that the grammar allows or with all, and computed by the definitions of
//! JMS 2.0, sections 3.8.1.1 (syntax) to 3.8.1.2 (null values), in three-valued logic and with 128-bit integers. Where ActiveMQ's dialect says more, the definitions are those at the
//! head of `message::selector`. The grammar that is built here is everything that the product accepts, but for comments, which mean nothing.

use std::cmp::Ordering;

use crate::input::Input;

/// A condition or a value.
#[derive(Clone, Debug)]
pub enum Tree {
    /// A header or property.
    Name(&'static str),
    /// An integer literal that is not negative, and how it is spelled.
    Integer(u64, u8),
    /// An approximate literal that is not negative.
    Float(f64),
    /// A string literal.
    Text(&'static str),
    /// A boolean literal.
    Boolean(bool),
    /// `-`
    Negate(Box<Tree>),
    /// `+`
    Plus(Box<Tree>),
    /// NOT
    Not(Box<Tree>),
    /// AND
    And(Box<Tree>, Box<Tree>),
    /// OR
    Or(Box<Tree>, Box<Tree>),
    /// `+` `-` `*` `/` `%`
    Compute(char, Box<Tree>, Box<Tree>),
    /// `=` `<>` `<` `<=` `>` `>=`
    Compare(&'static str, Box<Tree>, Box<Tree>),
    /// BETWEEN; whether negated.
    Between(bool, Box<Tree>, Box<Tree>, Box<Tree>),
    /// LIKE; whether negated; the pattern; the escape character.
    Like(bool, Box<Tree>, String, Option<char>),
    /// IN; whether negated.
    In(bool, &'static str, Vec<&'static str>),
    /// IS NULL; whether negated.
    IsNull(bool, Box<Tree>),
    /// `INLIST(MAKELIST(…), candidate)`
    InItems(Vec<Tree>, Box<Tree>),
    /// `INLIST(SPLIT(source, separator, limit), candidate)`
    InPieces(Box<Tree>, &'static str, Option<i64>, Box<Tree>),
    /// `REPLACE(source, pattern, replacement)`
    Replace(Box<Tree>, &'static str, &'static str),
}

/// What a tree comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Datum {
    /// No value, or one that cannot be computed.
    Unknown,
    /// TRUE or FALSE.
    Boolean(bool),
    /// An exact number.
    Integer(i128),
    /// An approximate number.
    Float(f64),
    /// A string.
    Text(String),
    /// A value into which selectors cannot look.
    Opaque,
}

/// Names of properties.
pub const NAMES: [&str; 5] = ["a", "b", "JMSPriority", "größe", "$x_1"];
const TEXTS: [&str; 12] = [
    "", "a", "ab", "aé%", "_a!", "5", "5.0", "-7e1", "true", "it's", "a,b,,", ",a",
];
const PIECES: [&str; 5] = [",", "a", "b", "ab", "é"];
const FLOATS: [f64; 7] = [0.0, 0.5, 1.0, 2.5, 100.0, 1e300, 9.007_199_254_740_993e15];
const DEPTH_MAX: u32 = 6;

/// A condition.
pub fn condition(input: &mut Input<'_>, depth: u32) -> Tree {
    let deeper = |input: &mut Input<'_>| Box::new(condition(input, depth + 1));
    let kind = if depth >= DEPTH_MAX {
        6 + input.below(10)
    } else {
        input.below(16)
    };
    match kind {
        0 => Tree::Not(deeper(input)),
        1 | 2 => Tree::And(deeper(input), deeper(input)),
        3 | 4 => Tree::Or(deeper(input), deeper(input)),
        5 => match input.flag() {
            true => Tree::IsNull(input.flag(), deeper(input)),
            false => Tree::Compare(if input.flag() { "=" } else { "<>" }, name(input).into(), deeper(input)),
        },
        6 | 7 => {
            let operator = ["<", "<=", ">", ">="][input.below(4)];
            Tree::Compare(operator, value(input, 0).into(), value(input, 0).into())
        }
        8 => Tree::Compare(
            if input.flag() { "=" } else { "<>" },
            value(input, 0).into(),
            value(input, 0).into(),
        ),
        9 => {
            let literal = match input.below(3) {
                0 => Tree::Boolean(input.flag()),
                _ => Tree::Text(TEXTS[input.below(TEXTS.len())]),
            };
            Tree::Compare(
                if input.flag() { "=" } else { "<>" },
                value(input, 0).into(),
                literal.into(),
            )
        }
        10 => Tree::Between(
            input.flag(),
            value(input, 0).into(),
            value(input, 0).into(),
            value(input, 0).into(),
        ),
        11 => {
            let negated = input.flag();
            let escape = [None, Some('!'), Some('a'), Some('%'), Some('é')][input.below(5)];
            let pattern = (0..input.below(8)).map(|_| ['a', 'b', '%', '_', '!', 'é', '5'][input.below(7)]);
            let pattern = pattern.collect();
            Tree::Like(negated, value(input, 0).into(), pattern, escape)
        }
        12 => {
            let texts = (0..=input.below(4)).map(|_| TEXTS[input.below(TEXTS.len())]).collect();
            Tree::In(input.flag(), NAMES[input.below(NAMES.len())], texts)
        }
        13 => Tree::IsNull(input.flag(), value(input, 0).into()),
        14 if input.flag() => {
            let items = (0..=input.below(3)).map(|_| anything(input, 0)).collect();
            Tree::InItems(items, anything(input, 0).into())
        }
        14 => {
            let limit = [None, Some(0), Some(1), Some(2), Some(-1)][input.below(5)];
            let separator = PIECES[input.below(PIECES.len())];
            Tree::InPieces(anything(input, 0).into(), separator, limit, anything(input, 0).into())
        }
        _ => match input.flag() {
            true => name(input),
            false => Tree::Boolean(input.flag()),
        },
    }
}

fn name(input: &mut Input<'_>) -> Tree {
    Tree::Name(NAMES[input.below(NAMES.len())])
}

/// Something that may stand under every operator: no string, boolean or condition by itself.
fn value(input: &mut Input<'_>, depth: u32) -> Tree {
    let kind = if depth >= DEPTH_MAX {
        input.below(5)
    } else {
        input.below(11)
    };
    match kind {
        0..=2 => name(input),
        3 => match input.below(4) {
            0 => Tree::Integer(
                [1 << 62, i64::MAX as u64, i64::MAX as u64 - 1, 1 << 53][input.below(4)],
                input.byte(),
            ),
            _ => Tree::Integer(input.byte().into(), input.byte()),
        },
        4 => Tree::Float(FLOATS[input.below(FLOATS.len())]),
        5 => Tree::Negate(value(input, depth + 1).into()),
        6 => Tree::Plus(value(input, depth + 1).into()),
        7 => {
            let pattern = PIECES[input.below(PIECES.len())];
            Tree::Replace(
                anything(input, depth + 1).into(),
                pattern,
                TEXTS[input.below(TEXTS.len())],
            )
        }
        8 => Tree::Compute(
            '+',
            Tree::Text(TEXTS[input.below(TEXTS.len())]).into(),
            value(input, depth + 1).into(),
        ),
        _ => {
            let operator = ['+', '-', '*', '/', '%'][input.below(5)];
            Tree::Compute(operator, value(input, depth + 1).into(), value(input, depth + 1).into())
        }
    }
}

/// An argument of a function. REPLACE may make a text several times as long: nested without end, it would be longer than the product computes.
fn anything(input: &mut Input<'_>, depth: u32) -> Tree {
    match input.below(4) {
        0 => Tree::Text(TEXTS[input.below(TEXTS.len())]),
        1 => Tree::Boolean(input.flag()),
        _ => value(input, depth.max(DEPTH_MAX - 2)),
    }
}

/// The value of a property.
pub fn datum(input: &mut Input<'_>) -> Datum {
    match input.below(8) {
        0 => Datum::Unknown,
        1 => Datum::Boolean(input.flag()),
        2 => Datum::Integer(i128::from(input.number().cast_signed())),
        3 => Datum::Integer(i128::from(input.byte().cast_signed())),
        4 => Datum::Float(f64::from_bits(input.number())),
        5 => Datum::Float([f64::NAN, f64::INFINITY, -0.0, 0.5, -2.5][input.below(5)]),
        6 => Datum::Text(TEXTS[input.below(TEXTS.len())].to_string()),
        _ => Datum::Opaque,
    }
}

/// How tightly a tree's outermost operator binds; 8: it is an operand.
fn level(tree: &Tree) -> u8 {
    match tree {
        Tree::Or(..) => 0,
        Tree::And(..) => 1,
        Tree::Not(..) => 2,
        Tree::Compare("=" | "<>", ..) | Tree::IsNull(..) => 3,
        Tree::Compare(..) | Tree::Between(..) | Tree::Like(..) | Tree::In(..) => 4,
        Tree::Compute('+' | '-', ..) => 5,
        Tree::Compute(..) => 6,
        Tree::Negate(..) | Tree::Plus(..) => 7,
        Tree::Name(_)
        | Tree::Integer(..)
        | Tree::Float(_)
        | Tree::Text(_)
        | Tree::Boolean(_)
        | Tree::InItems(..)
        | Tree::InPieces(..)
        | Tree::Replace(..) => 8,
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The tree as text where `loosest` is the loosest operator that may stand without parentheses; `all` puts them everywhere.
pub fn write(tree: &Tree, loosest: u8, all: bool) -> String {
    let negation = |negated: &bool| if *negated { "NOT " } else { "" };
    let own = level(tree);
    let text = match tree {
        Tree::Name(name) => (*name).to_string(),
        Tree::Integer(integer, spelling) => match spelling % 4 {
            0 => integer.to_string(),
            1 => format!("0x{integer:X}"),
            2 => format!("0{integer:o}l"),
            _ => format!("{integer}L"),
        },
        Tree::Float(float) => format!("{float:?}"),
        Tree::Text(text) => quoted(text),
        Tree::Boolean(boolean) => boolean.to_string(),
        // With a space: two minus signs begin a comment.
        Tree::Negate(inner) => format!("- {}", write(inner, 7, all)),
        Tree::Plus(inner) => format!("+{}", write(inner, 7, all)),
        Tree::Not(inner) => format!("NOT {}", write(inner, 2, all)),
        Tree::And(left, right) => format!("{} and {}", write(left, 1, all), write(right, 2, all)),
        Tree::Or(left, right) => format!("{} OR {}", write(left, 0, all), write(right, 1, all)),
        Tree::Compute(operator, left, right) => {
            format!("{} {operator} {}", write(left, own, all), write(right, own + 1, all))
        }
        Tree::Compare(operator, left, right) => {
            format!("{} {operator} {}", write(left, own, all), write(right, own + 1, all))
        }
        Tree::Between(negated, value, low, high) => {
            let (value, low, high) = (write(value, 4, all), write(low, 5, all), write(high, 5, all));
            format!("{value} {}BETWEEN {low} AND {high}", negation(negated))
        }
        Tree::Like(negated, value, pattern, escape) => {
            let escape = escape.map_or(String::new(), |escape| format!(" ESCAPE '{escape}'"));
            format!(
                "{} {}LIKE {}{escape}",
                write(value, 4, all),
                negation(negated),
                quoted(pattern)
            )
        }
        Tree::In(negated, name, texts) => {
            let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
            format!("{name} {}IN ({})", negation(negated), texts.join(", "))
        }
        Tree::IsNull(negated, value) => format!("{} IS {}NULL", write(value, 3, all), negation(negated)),
        Tree::InItems(items, candidate) => {
            let items: Vec<String> = items.iter().map(|item| write(item, 0, all)).collect();
            format!("INLIST(MAKELIST({}), {})", items.join(", "), write(candidate, 0, all))
        }
        Tree::InPieces(source, separator, limit, candidate) => {
            let limit = limit.map_or(String::new(), |limit| format!(", {limit}"));
            let (source, candidate) = (write(source, 0, all), write(candidate, 0, all));
            format!("INLIST(SPLIT({source}, '{separator}'{limit}), {candidate})")
        }
        Tree::Replace(source, pattern, replacement) => {
            format!(
                "REPLACE({}, '{pattern}', {})",
                write(source, 0, all),
                quoted(replacement)
            )
        }
    };
    if own < loosest || all {
        format!("({text})")
    } else {
        text
    }
}

/// TRUE, FALSE or unknown.
pub fn truth(datum: &Datum) -> Option<bool> {
    match datum {
        Datum::Unknown => None,
        Datum::Boolean(boolean) => Some(*boolean),
        Datum::Integer(_) | Datum::Float(_) | Datum::Text(_) | Datum::Opaque => Some(false),
    }
}

fn boolean(truth: Option<bool>) -> Datum {
    truth.map_or(Datum::Unknown, Datum::Boolean)
}

fn not(truth: Option<bool>) -> Option<bool> {
    truth.map(|truth| !truth)
}

/// The table of section 3.8.1.2.
fn and(left: Option<bool>, right: Option<bool>) -> Option<bool> {
    match (left, right) {
        (Some(true), Some(true)) => Some(true),
        (Some(false), _) | (_, Some(false)) => Some(false),
        (None, _) | (_, None) => None,
    }
}

/// The tree's value for a message. `convert`: strings stand for the numbers and booleans that they spell.
pub fn evaluate(tree: &Tree, message: &dyn Fn(&str) -> Datum, convert: bool) -> Datum {
    let of = |tree: &Tree| evaluate(tree, message, convert);
    match tree {
        Tree::Name(name) => message(name),
        Tree::Integer(integer, _) => Datum::Integer(i128::from(*integer)),
        Tree::Float(float) => Datum::Float(*float),
        Tree::Text(text) => Datum::Text((*text).to_string()),
        Tree::Boolean(boolean) => Datum::Boolean(*boolean),
        Tree::Negate(inner) => match number(&of(inner), convert) {
            Some(Datum::Integer(integer)) => exact(-integer),
            Some(Datum::Float(float)) => Datum::Float(-float),
            _ => Datum::Unknown,
        },
        // A plus sign leaves what is behind it as it is.
        Tree::Plus(inner) => of(inner),
        Tree::Not(inner) => boolean(not(truth(&of(inner)))),
        Tree::And(left, right) => boolean(and(truth(&of(left)), truth(&of(right)))),
        Tree::Or(left, right) => boolean(not(and(not(truth(&of(left))), not(truth(&of(right)))))),
        Tree::Compute(operator, left, right) => compute(*operator, &of(left), &of(right), convert),
        Tree::Compare(operator, left, right) => boolean(compare(operator, &of(left), &of(right), convert)),
        Tree::Between(negated, value, low, high) => {
            let (value, low, high) = (of(value), of(low), of(high));
            boolean(match negated {
                false => and(
                    compare(">=", &value, &low, convert),
                    compare("<=", &value, &high, convert),
                ),
                true => {
                    let (below, above) = (
                        compare("<", &value, &low, convert),
                        compare(">", &value, &high, convert),
                    );
                    not(and(not(below), not(above)))
                }
            })
        }
        Tree::Like(negated, value, pattern, escape) => match of(value) {
            Datum::Unknown => Datum::Unknown,
            Datum::Text(text) => Datum::Boolean(like(&characters(pattern), *escape, &characters(&text)) != *negated),
            Datum::Boolean(_) | Datum::Integer(_) | Datum::Float(_) | Datum::Opaque => Datum::Boolean(*negated),
        },
        Tree::In(negated, name, texts) => match message(name) {
            Datum::Text(text) => Datum::Boolean(texts.contains(&text.as_str()) != *negated),
            Datum::Unknown | Datum::Boolean(_) | Datum::Integer(_) | Datum::Float(_) | Datum::Opaque => Datum::Unknown,
        },
        Tree::IsNull(negated, value) => Datum::Boolean((of(value) == Datum::Unknown) != *negated),
        Tree::InItems(items, candidate) => {
            let candidate = of(candidate);
            let is_candidate = |item: &Tree| {
                let item = of(item);
                item == candidate && !matches!(item, Datum::Unknown | Datum::Opaque)
            };
            Datum::Boolean(items.iter().any(is_candidate))
        }
        Tree::InPieces(source, separator, limit, candidate) => match (of(source), of(candidate)) {
            (Datum::Text(source), Datum::Text(candidate)) => {
                Datum::Boolean(pieces(&source, separator, limit.unwrap_or(0)).contains(&candidate))
            }
            (Datum::Text(_), _) => Datum::Boolean(false),
            (_, _) => Datum::Unknown,
        },
        Tree::Replace(source, pattern, replacement) => match of(source) {
            Datum::Text(source) => Datum::Text(source.replace(pattern, replacement)),
            Datum::Unknown | Datum::Boolean(_) | Datum::Integer(_) | Datum::Float(_) | Datum::Opaque => Datum::Unknown,
        },
    }
}

/// A whole number that fits 64 bits.
fn exact(integer: i128) -> Datum {
    match i64::try_from(integer) {
        Ok(_) => Datum::Integer(integer),
        Err(_) => Datum::Unknown,
    }
}

/// A number, or one that a string spells.
fn number(datum: &Datum, convert: bool) -> Option<Datum> {
    match datum {
        Datum::Integer(_) | Datum::Float(_) => Some(datum.clone()),
        Datum::Text(text) if convert => match text.parse::<i64>() {
            Ok(integer) => Some(Datum::Integer(integer.into())),
            Err(_) if text.chars().any(|character| !"0123456789.+-eE".contains(character)) => None,
            Err(_) => text.parse().ok().map(Datum::Float),
        },
        Datum::Unknown | Datum::Boolean(_) | Datum::Text(_) | Datum::Opaque => None,
    }
}

fn float(number: &Datum) -> f64 {
    match number {
        Datum::Integer(integer) => *integer as f64,
        Datum::Float(float) => *float,
        Datum::Unknown | Datum::Boolean(_) | Datum::Text(_) | Datum::Opaque => f64::NAN,
    }
}

fn compare(operator: &str, left: &Datum, right: &Datum, convert: bool) -> Option<bool> {
    let spelled = |text: &String| text.eq_ignore_ascii_case("true");
    let ordering = match (left, right) {
        (Datum::Unknown, _) | (_, Datum::Unknown) => return None,
        (Datum::Text(left), Datum::Text(right)) => Some(left.cmp(right)),
        (Datum::Boolean(left), Datum::Boolean(right)) => Some(left.cmp(right)),
        (Datum::Text(left), Datum::Boolean(right)) if convert => Some(spelled(left).cmp(right)),
        (Datum::Boolean(left), Datum::Text(right)) if convert => Some(left.cmp(&spelled(right))),
        (left, right) => match (number(left, convert), number(right, convert)) {
            (Some(Datum::Integer(left)), Some(Datum::Integer(right))) => Some(left.cmp(&right)),
            (Some(left), Some(right)) => float(&left).partial_cmp(&float(&right)),
            (None, _) | (_, None) => None,
        },
    };
    let accepted: &[Option<Ordering>] = match operator {
        "=" => &[Some(Ordering::Equal)],
        "<>" => &[Some(Ordering::Less), Some(Ordering::Greater), None],
        "<" => &[Some(Ordering::Less)],
        "<=" => &[Some(Ordering::Less), Some(Ordering::Equal)],
        ">" => &[Some(Ordering::Greater)],
        ">=" => &[Some(Ordering::Greater), Some(Ordering::Equal)],
        other => panic!("{other} is no comparison"),
    };
    Some(accepted.contains(&ordering))
}

fn compute(operator: char, left: &Datum, right: &Datum, convert: bool) -> Datum {
    if let (Datum::Text(left), '+') = (left, operator) {
        return match right {
            Datum::Unknown | Datum::Opaque => Datum::Unknown,
            Datum::Boolean(right) => Datum::Text(format!("{left}{right}")),
            Datum::Integer(right) => Datum::Text(format!("{left}{right}")),
            Datum::Float(right) => Datum::Text(format!("{left}{}", as_java_writes(*right))),
            Datum::Text(right) => Datum::Text(format!("{left}{right}")),
        };
    }
    let (Some(left), Some(right)) = (number(left, convert), number(right, convert)) else {
        return Datum::Unknown;
    };
    if matches!(operator, '/' | '%') && float(&right) == 0.0 {
        return Datum::Unknown;
    }
    if let (Datum::Integer(left), Datum::Integer(right)) = (&left, &right) {
        match operator {
            '+' => return exact(left + right),
            '-' => return exact(left - right),
            '*' => return exact(left * right),
            '%' => return exact(left % right),
            // What does not come out even keeps its fraction; what does not fit, approximately.
            _ if left % right == 0 && i64::try_from(left / right).is_ok() => return exact(left / right),
            _ => {}
        }
    }
    let (left, right) = (float(&left), float(&right));
    let approximate = match operator {
        '+' => left + right,
        '-' => left - right,
        '*' => left * right,
        '/' => left / right,
        _ => left % right,
    };
    if approximate.is_nan() {
        Datum::Unknown
    } else {
        Datum::Float(approximate)
    }
}

/// `Double.toString`, from Rust's shortest digits.
fn as_java_writes(float: f64) -> String {
    if !float.is_finite() {
        let name = if float.is_nan() { "NaN" } else { "Infinity" };
        return if float < 0.0 {
            format!("-{name}")
        } else {
            name.to_string()
        };
    }
    let size = float.abs();
    if size == 0.0 || (0.001..10_000_000.0).contains(&size) {
        return format!("{float:?}");
    }
    let text = format!("{float:E}");
    match text.contains('.') {
        true => text,
        false => text.replace('E', ".0E"),
    }
}

fn characters(text: &str) -> Vec<char> {
    text.chars().collect()
}

/// LIKE by its definition: exponential, for short texts.
fn like(pattern: &[char], escape: Option<char>, text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [first, literal, rest @ ..]
            if Some(*first) == escape && (['_', '%'].contains(literal) || Some(*literal) == escape) =>
        {
            text.first() == Some(literal) && like(rest, escape, &text[1..])
        }
        ['%', rest @ ..] => (0..=text.len()).any(|skipped| like(rest, escape, &text[skipped..])),
        ['_', rest @ ..] => !text.is_empty() && like(rest, escape, &text[1..]),
        [literal, rest @ ..] => text.first() == Some(literal) && like(rest, escape, &text[1..]),
    }
}

/// Java's `String.split`.
fn pieces(source: &str, separator: &str, limit: i64) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = source;
    while let Some(at) = rest.find(separator) {
        if limit > 0 && pieces.len() as i64 == limit - 1 {
            break;
        }
        pieces.push(rest[..at].to_string());
        rest = &rest[at + separator.len()..];
    }
    let was_cut = !pieces.is_empty();
    pieces.push(rest.to_string());
    while limit == 0 && was_cut && pieces.last().is_some_and(String::is_empty) {
        pieces.pop();
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_truth_tables_of_the_specification_hold() {
        let [yes, no, unknown] = [Some(true), Some(false), None];
        for (left, right, both) in [
            (yes, yes, yes),
            (yes, no, no),
            (yes, unknown, unknown),
            (no, no, no),
            (no, unknown, no),
            (unknown, unknown, unknown),
        ] {
            assert_eq!((and(left, right), and(right, left)), (both, both));
        }
        assert_eq!([yes, no, unknown].map(not), [no, yes, unknown]);
    }

    #[test]
    fn the_examples_of_the_specification_come_out() {
        let holds = |pattern, escape, text| like(&characters(pattern), escape, &characters(text));
        assert!(holds("12%3", None, "123") && holds("12%3", None, "12993") && !holds("12%3", None, "1234"));
        assert!(holds("l_se", None, "lose") && !holds("l_se", None, "loose"));
        assert!(holds("\\_%", Some('\\'), "_foo") && !holds("\\_%", Some('\\'), "bar"));
        assert_eq!(pieces("a,b,,", ",", 0), ["a", "b"]);
        assert_eq!(pieces("a,b,,", ",", -1), ["a", "b", "", ""]);
        assert_eq!(pieces("a,b,,", ",", 2), ["a", "b,,"]);
        assert_eq!(as_java_writes(-1.25e10), "-1.25E10");
        assert_eq!(as_java_writes(1e-4), "1.0E-4");
    }
}
