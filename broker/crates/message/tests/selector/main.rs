//! What a selector selects: literals, operators, precedence, three-valued logic, and the examples of the JMS specification.

mod effort;
mod functions;
mod literals;
mod logic;
mod operators;
mod values;

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;

use message::selector::{Selector, Source, Value};

struct Properties(BTreeMap<&'static str, Value<'static>>);

impl Source for Properties {
    fn value(&self, identifier: &str) -> Value<'_> {
        self.0.get(identifier).cloned().unwrap_or(Value::Null)
    }
}

fn string(text: &'static str) -> Value<'static> {
    Value::String(Cow::Borrowed(text))
}

fn properties() -> Properties {
    Properties(BTreeMap::from([
        ("yes", Value::Boolean(true)),
        ("no", Value::Boolean(false)),
        ("rank", Value::Integer(123)),
        ("version", Value::Integer(2)),
        ("zero", Value::Integer(0)),
        ("largest", Value::Integer(i64::MAX)),
        ("smallest", Value::Integer(i64::MIN)),
        ("ratio", Value::Float(61.5)),
        ("nan", Value::Float(f64::NAN)),
        ("single", Value::Float(f64::from(0.1_f32))),
        ("name", string("James")),
        ("place", string("London")),
        ("quote", string("'In God We Trust'")),
        ("empty", string("")),
        ("tags", string("a,b,,c,,")),
        ("dotted", string("a.b.c")),
        ("underscored", string("_foo")),
        ("accented", string("Zürich")),
        ("price", string("5")),
        ("cost", string("7.25")),
        ("flag", string("TRUE")),
        ("list", Value::Opaque),
        ("JMSPriority", Value::Integer(4)),
        ("größe", Value::Integer(1)),
        ("$money_1", Value::Integer(2)),
        ("_x", Value::Integer(3)),
    ]))
}

/// TRUE, FALSE or unknown: unknown selects neither itself nor its negation.
fn truth(text: &str) -> Option<bool> {
    let properties = properties();
    let (prefix, condition) = match text.rsplit_once("expressions:") {
        Some((prefix, condition)) => (format!("{prefix}expressions:"), condition),
        None => (String::new(), text),
    };
    let parse = |text: &str| match Selector::parse(text) {
        Ok(selector) => selector,
        Err(error) => panic!("{text}: {error}"),
    };
    let holds = parse(text).matches(&properties);
    let denied = parse(&format!("{prefix}NOT ({condition})")).matches(&properties);
    assert!(!(holds && denied), "{text} and its negation both hold");
    if holds || denied { Some(holds) } else { None }
}

#[track_caller]
fn all_true(texts: &[&str]) {
    for text in texts {
        assert_eq!(truth(text), Some(true), "{text}");
    }
}

#[track_caller]
fn all_false(texts: &[&str]) {
    for text in texts {
        assert_eq!(truth(text), Some(false), "{text}");
    }
}

#[track_caller]
fn all_unknown(texts: &[&str]) {
    for text in texts {
        assert_eq!(truth(text), None, "{text}");
    }
}

#[test]
fn the_examples_of_the_specification_select_what_it_says() {
    let select = |text: &str, pairs: &[(&'static str, Value<'static>)]| {
        Selector::parse(text)
            .unwrap()
            .matches(&Properties(pairs.iter().cloned().collect()))
    };
    let text = "JMSType = 'car' AND color = 'blue' AND weight > 2500";
    let car = |weight| {
        [
            ("JMSType", string("car")),
            ("color", string("blue")),
            ("weight", Value::Integer(weight)),
        ]
    };
    assert!(select(text, &car(2501)));
    assert!(!select(text, &car(2500)));

    let age = |age| [("age", Value::Integer(age))];
    for (years, inside) in [(14, false), (15, true), (19, true), (20, false)] {
        assert_eq!(select("age BETWEEN 15 AND 19", &age(years)), inside);
        assert_eq!(select("age >= 15 AND age <= 19", &age(years)), inside);
        assert_eq!(select("age NOT BETWEEN 15 AND 19", &age(years)), !inside);
        assert_eq!(select("age < 15 OR age > 19", &age(years)), !inside);
    }

    let country = |name| [("Country", string(name))];
    for (name, inside) in [("UK", true), ("Peru", false)] {
        assert_eq!(
            select("Country IN (' UK', 'UK', 'US', 'France')", &country(name)),
            inside
        );
        assert_eq!(
            select(
                "(Country = 'UK') OR (Country = 'US') OR (Country = 'France')",
                &country(name)
            ),
            inside
        );
        assert_eq!(select("Country NOT IN ('UK', 'US', 'France')", &country(name)), !inside);
    }

    for (phone, inside) in [("123", true), ("12993", true), ("1234", false)] {
        assert_eq!(select("phone LIKE '12%3'", &[("phone", string(phone))]), inside);
        assert_eq!(select("phone NOT LIKE '12%3'", &[("phone", string(phone))]), !inside);
    }
    for (word, inside) in [("lose", true), ("loose", false)] {
        assert_eq!(select("word LIKE 'l_se'", &[("word", string(word))]), inside);
    }
    for (underscored, inside) in [("_foo", true), ("bar", false)] {
        assert_eq!(
            select(
                r"underscored LIKE '\_%' ESCAPE '\'",
                &[("underscored", string(underscored))]
            ),
            inside
        );
    }
    assert!(select("prop_name IS NULL", &[]));
    assert!(select("prop_name IS NOT NULL", &[("prop_name", Value::Boolean(false))]));
}

#[test]
fn the_source_is_asked_once_per_identifier() {
    struct Counting(RefCell<Vec<String>>);
    impl Source for Counting {
        fn value(&self, identifier: &str) -> Value<'_> {
            self.0.borrow_mut().push(identifier.to_owned());
            Value::Integer(1)
        }
    }
    let counting = Counting(RefCell::default());
    let selector = Selector::parse("a = 2 OR b = 2 OR a = 3 OR (a + b) BETWEEN a AND b OR a = 1").unwrap();
    assert!(selector.matches(&counting));
    assert_eq!(*counting.0.borrow(), ["a", "b"]);
    assert_eq!(selector.identifiers().collect::<Vec<_>>(), ["a", "b"]);

    // More identifiers than are remembered without allocating.
    let counting = Counting(RefCell::default());
    let names: Vec<String> = (0..40).map(|index| format!("p{index}")).collect();
    let text: Vec<String> = names.iter().chain(&names).map(|name| format!("{name} = 1")).collect();
    assert!(Selector::parse(&text.join(" AND ")).unwrap().matches(&counting));
    assert_eq!(*counting.0.borrow(), names);
}

#[test]
fn the_text_is_kept_as_given() {
    let text = "convert_string_expressions: a  =  1 /* é */";
    assert_eq!(Selector::parse(text).unwrap().text(), text);
}

#[test]
fn a_selector_works_through_a_trait_object() {
    let properties = properties();
    let source: &dyn Source = &properties;
    assert!(Selector::parse("rank = 123").unwrap().matches(source));
}
