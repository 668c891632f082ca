//! Destinations and the wildcards that name many of them.
//!
//! A name is a path of elements joined by `.`; in a subscription `*` stands for one element and a final `>` for all that follow, none included
//! (ActiveMQ: wildcards). Deliberately absent: how a protocol spells a destination (`/queue/A`), which is the codec's.

use std::fmt;
use std::sync::Arc;

use crate::excerpt::{EXCERPT_CHARS_MAX, excerpt};

/// Longest accepted name, in bytes.
pub const DESTINATION_NAME_BYTES_MAX: usize = 1024;

/// What kind of destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Each message to one consumer; kept until it is acknowledged.
    Queue,
    /// Each message to every subscriber of the moment, and to durable subscriptions.
    Topic,
    /// A queue that lives and dies with a connection.
    TemporaryQueue,
    /// A topic that lives and dies with a connection.
    TemporaryTopic,
}

impl Kind {
    /// Whether messages wait here for one consumer each.
    pub fn is_queue(self) -> bool {
        match self {
            Kind::Queue | Kind::TemporaryQueue => true,
            Kind::Topic | Kind::TemporaryTopic => false,
        }
    }

    /// Whether it lives and dies with a connection.
    pub fn is_temporary(self) -> bool {
        match self {
            Kind::TemporaryQueue | Kind::TemporaryTopic => true,
            Kind::Queue | Kind::Topic => false,
        }
    }
}

/// A destination, or, in a subscription, a pattern of destinations of one kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// What kind.
    pub kind: Kind,
    /// The name, without a protocol's prefix.
    pub name: Arc<str>,
}

/// Why a name was refused; the text is for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidName(pub String);

impl Destination {
    /// A destination with this name; checks it.
    pub fn new(kind: Kind, name: &str) -> Result<Destination, InvalidName> {
        if name.is_empty() {
            return Err(InvalidName("a destination needs a name".into()));
        }
        if name.len() > DESTINATION_NAME_BYTES_MAX {
            return Err(InvalidName(format!(
                "the destination name is {} bytes long, more than {DESTINATION_NAME_BYTES_MAX}",
                name.len()
            )));
        }
        if name.chars().any(char::is_control) {
            return Err(InvalidName(format!(
                "the destination name {:?} contains a control character",
                excerpt(name, EXCERPT_CHARS_MAX)
            )));
        }
        Ok(Destination {
            kind,
            name: name.into(),
        })
    }

    /// A queue.
    pub fn queue(name: &str) -> Result<Destination, InvalidName> {
        Destination::new(Kind::Queue, name)
    }

    /// A topic.
    pub fn topic(name: &str) -> Result<Destination, InvalidName> {
        Destination::new(Kind::Topic, name)
    }

    /// Whether the name is a pattern: has `*` or `>` as an element.
    pub fn is_pattern(&self) -> bool {
        self.name.split('.').any(|element| element == "*" || element == ">")
    }

    /// Whether this, as a pattern, covers `other`. A plain name covers itself.
    pub fn covers(&self, other: &Destination) -> bool {
        if self.kind != other.kind {
            return false;
        }
        let mut names = other.name.split('.');
        for pattern in self.name.split('.') {
            match (pattern, names.next()) {
                (">", _) => return true,
                ("*", Some(_)) => {}
                (element, Some(name)) if element == name => {}
                (_, _) => return false,
            }
        }
        names.next().is_none()
    }
}

/// Shown as ActiveMQ shows it: `queue://A`. With `{:#}` a long name is cut in the middle: for errors and logs.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            Kind::Queue => "queue",
            Kind::Topic => "topic",
            Kind::TemporaryQueue => "temp-queue",
            Kind::TemporaryTopic => "temp-topic",
        };
        let name = match f.alternate() {
            true => excerpt(&self.name, EXCERPT_CHARS_MAX),
            false => (&*self.name).into(),
        };
        write!(f, "{scheme}://{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(pattern: &str, name: &str) -> bool {
        let topic = |name| Destination::topic(name).expect("a good name");
        topic(pattern).covers(&topic(name))
    }

    #[test]
    fn star_stands_for_exactly_one_element_and_greater_for_all_that_follow() {
        for (pattern, name, expected) in [
            ("PRICE.STOCK.*.IBM", "PRICE.STOCK.NASDAQ.IBM", true),
            ("PRICE.STOCK.*.IBM", "PRICE.STOCK.IBM", false),
            ("PRICE.>", "PRICE.STOCK.NYSE.SUNW", true),
            ("PRICE.>", "PRICE", true),
            ("PRICE.*", "PRICE", false),
            ("PRICE.*", "PRICE.A.B", false),
            (">", "anything.at.all", true),
            ("A.B", "A.B", true),
            ("A.B", "A.B.C", false),
            ("A.B*", "A.BC", false),
        ] {
            assert_eq!(covers(pattern, name), expected, "{pattern} over {name}");
        }
    }

    #[test]
    fn a_long_name_is_cut_only_where_that_is_asked_for() {
        let long = Destination::queue(&"x".repeat(1000)).expect("a good name");
        assert_eq!(long.to_string().len(), "queue://".len() + 1000);
        assert_eq!(
            format!("{long:#}").chars().count(),
            "queue://".len() + EXCERPT_CHARS_MAX
        );
    }

    #[test]
    fn a_pattern_never_covers_another_kind() {
        let queues = Destination::queue(">").expect("a good name");
        assert!(!queues.covers(&Destination::topic("A").expect("a good name")));
    }

    #[test]
    fn empty_long_and_control_names_are_refused() {
        for name in ["", "a\nb", &"x".repeat(DESTINATION_NAME_BYTES_MAX + 1)] {
            assert!(Destination::queue(name).is_err(), "{name:?}");
        }
    }
}
