//! Random selectors against an evaluator that is too slow and too simple to be wrong in the same way.
//!
//! The reference never parses: it builds a tree, writes it down as text (with the fewest parentheses that the grammar's
//! precedence allows, or with all of them), and computes the tree by the definitions. Unknown is told from FALSE by negation.

use std::collections::BTreeMap;

use message::selector::{Selector, Source, Value};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Tree {
    Name(&'static str),
    Integer(i64),
    Float(f64),
    Text(&'static str),
    Boolean(bool),
    Negate(Box<Tree>),
    Not(Box<Tree>),
    And(Box<Tree>, Box<Tree>),
    Or(Box<Tree>, Box<Tree>),
    /// `+` `-` `*` `/` `%`
    Compute(char, Box<Tree>, Box<Tree>),
    /// `=` `<>` `<` `<=` `>` `>=`
    Compare(&'static str, Box<Tree>, Box<Tree>),
    Between(bool, Box<Tree>, Box<Tree>, Box<Tree>),
    Like(bool, Box<Tree>, &'static str),
    In(bool, &'static str, Vec<&'static str>),
    IsNull(bool, Box<Tree>),
}

/// What the reference computes with.
#[derive(Clone, Debug, PartialEq)]
enum Datum {
    Unknown,
    Boolean(bool),
    Integer(i128),
    Float(f64),
    Text(String),
}

type Message = BTreeMap<&'static str, Datum>;

struct Properties(Message);

impl Source for Properties {
    fn value(&self, identifier: &str) -> Value<'_> {
        match self.0.get(identifier) {
            None | Some(Datum::Unknown) => Value::Null,
            Some(Datum::Boolean(boolean)) => Value::Boolean(*boolean),
            Some(Datum::Integer(integer)) => Value::Integer(i64::try_from(*integer).expect("generated as i64")),
            Some(Datum::Float(float)) => Value::Float(*float),
            Some(Datum::Text(text)) => Value::String(text.as_str().into()),
        }
    }
}

/// How tightly a tree's outermost operator binds; 8 is an operand.
fn level(tree: &Tree) -> u8 {
    match tree {
        Tree::Or(..) => 0,
        Tree::And(..) => 1,
        Tree::Not(..) => 2,
        Tree::Compare("=" | "<>", ..) | Tree::IsNull(..) => 3,
        Tree::Compare(..) | Tree::Between(..) | Tree::Like(..) | Tree::In(..) => 4,
        Tree::Compute('+' | '-', ..) => 5,
        Tree::Compute(..) => 6,
        Tree::Negate(..) => 7,
        Tree::Integer(integer) if *integer < 0 => 7,
        Tree::Name(_) | Tree::Integer(_) | Tree::Float(_) | Tree::Text(_) | Tree::Boolean(_) => 8,
    }
}

/// The tree as text that may stand where `loosest` is the loosest operator; `all` puts parentheses around everything.
fn write(tree: &Tree, loosest: u8, all: bool) -> String {
    let negation = |negated: &bool| if *negated { "NOT " } else { "" };
    let own = level(tree);
    let text = match tree {
        Tree::Name(name) => (*name).to_owned(),
        Tree::Integer(integer) => integer.to_string(),
        Tree::Float(float) => format!("{float:?}"),
        Tree::Text(text) => format!("'{}'", text.replace('\'', "''")),
        Tree::Boolean(boolean) => boolean.to_string(),
        Tree::Negate(inner) => format!("- {}", write(inner, 7, all)),
        Tree::Not(inner) => format!("NOT {}", write(inner, 2, all)),
        Tree::And(left, right) => format!("{} AND {}", write(left, 1, all), write(right, 2, all)),
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
        Tree::Like(negated, value, pattern) => {
            format!(
                "{} {}LIKE '{pattern}' ESCAPE '!'",
                write(value, 4, all),
                negation(negated)
            )
        }
        Tree::In(negated, name, texts) => format!("{name} {}IN ('{}')", negation(negated), texts.join("', '")),
        Tree::IsNull(negated, value) => format!("{} IS {}NULL", write(value, 3, all), negation(negated)),
    };
    if own < loosest || all {
        format!("({text})")
    } else {
        text
    }
}

fn truth(datum: &Datum) -> Option<bool> {
    match datum {
        Datum::Unknown => None,
        Datum::Boolean(boolean) => Some(*boolean),
        _ => Some(false),
    }
}

fn boolean(truth: Option<bool>) -> Datum {
    truth.map_or(Datum::Unknown, Datum::Boolean)
}

fn not(truth: Option<bool>) -> Option<bool> {
    truth.map(|truth| !truth)
}

fn and(left: Option<bool>, right: Option<bool>) -> Option<bool> {
    match (left, right) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

fn float(datum: &Datum) -> f64 {
    match datum {
        Datum::Integer(integer) => *integer as f64,
        Datum::Float(float) => *float,
        _ => f64::NAN,
    }
}

fn compare(operator: &str, left: &Datum, right: &Datum) -> Option<bool> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let ordering = match (left, right) {
        (Datum::Unknown, _) | (_, Datum::Unknown) => return None,
        (Datum::Integer(left), Datum::Integer(right)) => Some(left.cmp(right)),
        (Datum::Integer(_) | Datum::Float(_), Datum::Integer(_) | Datum::Float(_)) => {
            float(left).partial_cmp(&float(right))
        }
        (Datum::Text(left), Datum::Text(right)) => Some(left.cmp(right)),
        (Datum::Boolean(left), Datum::Boolean(right)) => Some(left.cmp(right)),
        _ => None,
    };
    let accepted = match operator {
        "=" => vec![Some(Equal)],
        "<>" => vec![Some(Less), Some(Greater), None],
        "<" => vec![Some(Less)],
        "<=" => vec![Some(Less), Some(Equal)],
        ">" => vec![Some(Greater)],
        ">=" => vec![Some(Greater), Some(Equal)],
        other => panic!("{other}"),
    };
    Some(accepted.contains(&ordering))
}

fn compute(operator: char, left: &Datum, right: &Datum) -> Datum {
    let number = |datum: &Datum| matches!(datum, Datum::Integer(_) | Datum::Float(_));
    if let (Datum::Text(left), '+') = (left, operator) {
        return match right {
            Datum::Unknown => Datum::Unknown,
            Datum::Boolean(right) => Datum::Text(format!("{left}{right}")),
            Datum::Integer(right) => Datum::Text(format!("{left}{right}")),
            Datum::Float(right) => Datum::Text(format!("{left}{right:?}")),
            Datum::Text(right) => Datum::Text(format!("{left}{right}")),
        };
    }
    if !number(left) || !number(right) || ("/%".contains(operator) && float(right) == 0.0) {
        return Datum::Unknown;
    }
    if let (Datum::Integer(left), Datum::Integer(right)) = (left, right)
        && (operator != '/' || left % right == 0)
    {
        let exact = match operator {
            '+' => left + right,
            '-' => left - right,
            '*' => left * right,
            '/' => left / right,
            '%' => left % right,
            other => panic!("{other}"),
        };
        if i64::try_from(exact).is_ok() {
            return Datum::Integer(exact);
        }
        if operator != '/' {
            return Datum::Unknown;
        }
    }
    let (left, right) = (float(left), float(right));
    let approximate = match operator {
        '+' => left + right,
        '-' => left - right,
        '*' => left * right,
        '/' => left / right,
        '%' => left % right,
        other => panic!("{other}"),
    };
    if approximate.is_nan() {
        Datum::Unknown
    } else {
        Datum::Float(approximate)
    }
}

/// LIKE by its definition: exponential, for short texts only.
fn like(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['!', literal @ ('_' | '%' | '!'), rest @ ..] => text.first() == Some(literal) && like(rest, &text[1..]),
        ['%', rest @ ..] => (0..=text.len()).any(|skipped| like(rest, &text[skipped..])),
        ['_', rest @ ..] => !text.is_empty() && like(rest, &text[1..]),
        [literal, rest @ ..] => text.first() == Some(literal) && like(rest, &text[1..]),
    }
}

fn characters(text: &str) -> Vec<char> {
    text.chars().collect()
}

fn evaluate(tree: &Tree, message: &Message) -> Datum {
    match tree {
        Tree::Name(name) => message.get(name).cloned().unwrap_or(Datum::Unknown),
        Tree::Integer(integer) => Datum::Integer(i128::from(*integer)),
        Tree::Float(float) => Datum::Float(*float),
        Tree::Text(text) => Datum::Text((*text).to_owned()),
        Tree::Boolean(boolean) => Datum::Boolean(*boolean),
        Tree::Negate(inner) => match evaluate(inner, message) {
            Datum::Integer(integer) if i64::try_from(-integer).is_ok() => Datum::Integer(-integer),
            Datum::Float(float) => Datum::Float(-float),
            _ => Datum::Unknown,
        },
        Tree::Not(inner) => boolean(not(truth(&evaluate(inner, message)))),
        Tree::And(left, right) => boolean(and(truth(&evaluate(left, message)), truth(&evaluate(right, message)))),
        Tree::Or(left, right) => {
            let (left, right) = (truth(&evaluate(left, message)), truth(&evaluate(right, message)));
            boolean(not(and(not(left), not(right))))
        }
        Tree::Compute(operator, left, right) => compute(*operator, &evaluate(left, message), &evaluate(right, message)),
        Tree::Compare(operator, left, right) => {
            boolean(compare(operator, &evaluate(left, message), &evaluate(right, message)))
        }
        Tree::Between(negated, value, low, high) => {
            let [value, low, high] = [value, low, high].map(|tree| evaluate(tree, message));
            boolean(if *negated {
                not(and(not(compare("<", &value, &low)), not(compare(">", &value, &high))))
            } else {
                and(compare(">=", &value, &low), compare("<=", &value, &high))
            })
        }
        Tree::Like(negated, value, pattern) => match evaluate(value, message) {
            Datum::Unknown => Datum::Unknown,
            Datum::Text(text) => Datum::Boolean(like(&characters(pattern), &characters(&text)) != *negated),
            _ => Datum::Boolean(*negated),
        },
        Tree::In(negated, name, texts) => match message.get(name) {
            Some(Datum::Text(text)) => Datum::Boolean(texts.contains(&text.as_str()) != *negated),
            _ => Datum::Unknown,
        },
        Tree::IsNull(negated, value) => Datum::Boolean((evaluate(value, message) == Datum::Unknown) != *negated),
    }
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c", "d"])
}

fn text() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "a", "ab", "aé%", "_a!", "5"])
}

fn pattern() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "", "%", "_", "a%", "%b", "_%é%", "!_%", "a!%", "%!%", "5%", "!a", "%%_",
    ])
}

fn integer() -> impl Strategy<Value = i64> {
    prop_oneof![4 => -3..4_i64, 1 => prop::sample::select(vec![i64::MIN, i64::MIN + 1, i64::MAX, i64::MAX - 1])]
}

fn number() -> impl Strategy<Value = Tree> {
    prop_oneof![
        integer().prop_map(Tree::Integer),
        prop::sample::select(vec![0.0, 0.5, 1.0, 2.5, 100.0]).prop_map(Tree::Float),
    ]
}

/// Something with a value of any type, to compute and compare with.
fn value() -> BoxedStrategy<Tree> {
    let leaf = prop_oneof![4 => name().prop_map(Tree::Name), 3 => number()];
    leaf.prop_recursive(3, 12, 2, |inner| {
        let operator = prop::sample::select(vec!['+', '-', '*', '/', '%']);
        prop_oneof![
            inner.clone().prop_map(|inner| Tree::Negate(Box::new(inner))),
            (operator, inner.clone(), inner).prop_map(|(operator, left, right)| Tree::Compute(
                operator,
                Box::new(left),
                Box::new(right)
            )),
        ]
    })
    .boxed()
}

fn condition() -> BoxedStrategy<Tree> {
    let order = prop::sample::select(vec!["<", "<=", ">", ">="]);
    let equality = || prop::sample::select(vec!["=", "<>"]);
    let leaf = prop_oneof![
        2 => name().prop_map(Tree::Name),
        1 => any::<bool>().prop_map(Tree::Boolean),
        4 => (order, value(), value()).prop_map(|(operator, left, right)| Tree::Compare(operator, left.into(), right.into())),
        2 => (equality(), value(), value()).prop_map(|(operator, left, right)| Tree::Compare(operator, left.into(), right.into())),
        2 => (equality(), value(), text()).prop_map(|(operator, left, right)| Tree::Compare(operator, left.into(), Tree::Text(right).into())),
        2 => (any::<bool>(), value(), value(), value())
            .prop_map(|(negated, value, low, high)| Tree::Between(negated, value.into(), low.into(), high.into())),
        2 => (any::<bool>(), value(), pattern()).prop_map(|(negated, value, pattern)| Tree::Like(negated, value.into(), pattern)),
        2 => (any::<bool>(), name(), prop::collection::vec(text(), 1..4))
            .prop_map(|(negated, name, texts)| Tree::In(negated, name, texts)),
        1 => (any::<bool>(), value()).prop_map(|(negated, value)| Tree::IsNull(negated, value.into())),
    ];
    leaf.prop_recursive(5, 40, 2, move |inner| {
        prop_oneof![
            2 => inner.clone().prop_map(|inner| Tree::Not(inner.into())),
            3 => (inner.clone(), inner.clone()).prop_map(|(left, right)| Tree::And(left.into(), right.into())),
            3 => (inner.clone(), inner.clone()).prop_map(|(left, right)| Tree::Or(left.into(), right.into())),
            1 => (any::<bool>(), inner.clone()).prop_map(|(negated, value)| Tree::IsNull(negated, value.into())),
            1 => (any::<bool>(), inner.clone()).prop_map(|(negated, right)| {
                let operator = if negated { "<>" } else { "=" };
                Tree::Compare(operator, Tree::Name("a").into(), right.into())
            }),
            1 => (inner.clone(), inner).prop_map(|(left, right)| Tree::Compare("=", left.into(), right.into())),
        ]
    })
    .boxed()
}

fn message() -> impl Strategy<Value = Message> {
    let datum = prop_oneof![
        Just(Datum::Unknown),
        any::<bool>().prop_map(Datum::Boolean),
        integer().prop_map(|integer| Datum::Integer(i128::from(integer))),
        prop::sample::select(vec![-0.5, -0.0, 0.5, 1.0, 2.5, f64::NAN]).prop_map(Datum::Float),
        text().prop_map(|text| Datum::Text(text.to_owned())),
    ];
    prop::collection::btree_map(name(), datum, 0..5)
}

fn check(tree: &Tree, message: Message, all: bool) -> Result<(), TestCaseError> {
    let expected = truth(&evaluate(tree, &message));
    let text = write(tree, 0, all);
    let negated = format!("NOT ({text})");
    let source = Properties(message);
    let parse = |text: &str| Selector::parse(text).map_err(|error| TestCaseError::fail(format!("{text}: {error}")));
    let outcome = match (parse(&text)?.matches(&source), parse(&negated)?.matches(&source)) {
        (true, true) => return Err(TestCaseError::fail(format!("{text} and its negation both hold"))),
        (true, false) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
    };
    prop_assert_eq!(outcome, expected, "{}", text);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn selectors_agree_with_the_reference(tree in condition(), message in message()) {
        check(&tree, message, false)?;
    }

    #[test]
    fn parentheses_that_change_nothing_change_nothing(tree in condition(), message in message()) {
        check(&tree, message, true)?;
    }

    #[test]
    fn like_agrees_with_the_reference(pattern in "[ab%_!]{0,8}", text in "[ab%_!]{0,8}", negated in any::<bool>()) {
        let tree = Tree::Like(negated, Tree::Name("a").into(), String::leak(pattern));
        check(&tree, BTreeMap::from([("a", Datum::Text(text))]), false)?;
    }
}
