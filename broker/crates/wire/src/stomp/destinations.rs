//! How STOMP spells destinations, and the temporary ones of a connection.
//!
//! `/queue/A`, `/topic/A`; `/temp-queue/A` and `/temp-topic/A` are names of the connection's own for temporary destinations that are made at the first use; those of
//! other connections show as `/remote-temp-queue/ID:…` and can be sent to under that name. A comma joins several. A bare name is a queue, as in ActiveMQ; one that begins
//! with a slash and has none of these prefixes is refused (ActiveMQ takes it for a queue of that whole name).
//! Options behind a `?` are cut off: in ActiveMQ they are its own client's affair.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use message::{Destination, Kind};

use super::problem::Problem;

/// The temporary destinations that a connection made by using their names.
#[derive(Debug)]
pub(super) struct Temporaries {
    /// `ID:holdfast-EPOCH-CONNECTION`.
    prefix: Arc<str>,
    limit: u32,
    by_alias: BTreeMap<Box<str>, Destination>,
    by_name: BTreeMap<Arc<str>, Box<str>>,
    /// Made since the last [`Temporaries::take_made`].
    made: Vec<Destination>,
}

impl Temporaries {
    pub(super) fn new(prefix: Arc<str>, limit: u32) -> Temporaries {
        Temporaries {
            prefix,
            limit,
            by_alias: BTreeMap::new(),
            by_name: BTreeMap::new(),
            made: Vec::new(),
        }
    }

    /// Those that the engine has to hear of before the command that uses them.
    pub(super) fn take_made(&mut self) -> Vec<Destination> {
        std::mem::take(&mut self.made)
    }

    fn resolve(&mut self, alias: &str, kind: Kind) -> Result<Destination, Problem> {
        if let Some(known) = self.by_alias.get(alias) {
            return Ok(known.clone());
        }
        if self.by_alias.len() >= self.limit as usize {
            return Err(Problem::refused(format!(
                "Too many temporary destinations: {alias} would be one more than {}",
                self.limit
            ))
            .because(
                "The limit is temporary_destinations_per_connection_max; they end with the connection. The connection stays open.",
            ));
        }
        let number = self.by_alias.len() + 1;
        let name = format!("{}:{number}", self.prefix);
        let destination = Destination::new(kind, &name).map_err(|invalid| Problem::refused(invalid.0))?;
        self.by_alias.insert(alias.into(), destination.clone());
        self.by_name.insert(destination.name.clone(), alias.into());
        self.made.push(destination.clone());
        Ok(destination)
    }
}

/// How many destinations a header may name, repeated ones included. Each of them costs a SEND a message, and a frame's headers would have room for thousands.
const DESTINATIONS_MAX: usize = 1000;

/// The destinations that a header names: at least one, each once.
pub(super) fn parse_all(text: &str, temporaries: &mut Temporaries) -> Result<Vec<Destination>, Problem> {
    let count = text.split(',').count();
    if count == 1 {
        return Ok(vec![parse(text.trim(), text, true, temporaries)?]);
    }
    if count > DESTINATIONS_MAX {
        let problem = Problem::refused(format!("Too many destinations: the frame names {count}"));
        return Err(problem.because(format!(
            "One frame may name up to {DESTINATIONS_MAX}: spread them over several frames. The connection stays open."
        )));
    }
    let (mut all, mut known) = (Vec::with_capacity(count), BTreeSet::new());
    for part in text.split(',') {
        let destination = parse(part.trim(), text, true, temporaries)?;
        if known.insert(destination.clone()) {
            all.push(destination);
        }
    }
    Ok(all)
}

/// What `reply-to` names, if it is a destination.
pub(super) fn parse_reply_to(text: &str, temporaries: &mut Temporaries) -> Result<Destination, Problem> {
    parse(text.trim(), text, false, temporaries)
}

fn parse(part: &str, whole: &str, takes_bare: bool, temporaries: &mut Temporaries) -> Result<Destination, Problem> {
    let is_prefixed = |prefix: &str| part.strip_prefix(prefix);
    let (kind, name) = if let Some(name) = is_prefixed("/queue/") {
        (Kind::Queue, name)
    } else if let Some(name) = is_prefixed("/topic/") {
        (Kind::Topic, name)
    } else if let Some(name) = is_prefixed("/remote-temp-queue/") {
        (Kind::TemporaryQueue, name)
    } else if let Some(name) = is_prefixed("/remote-temp-topic/") {
        (Kind::TemporaryTopic, name)
    } else if part.starts_with("/temp-queue/") {
        return temporaries.resolve(part, Kind::TemporaryQueue);
    } else if part.starts_with("/temp-topic/") {
        return temporaries.resolve(part, Kind::TemporaryTopic);
    } else if takes_bare && !part.starts_with('/') && !part.is_empty() {
        (Kind::Queue, part)
    } else {
        return Err(Problem::refused(format!(
            "Illegal destination name: [{whole}] -- ActiveMQ STOMP destinations must begin with one of: /queue/ /topic/ /temp-queue/ /temp-topic/"
        )));
    };
    let name = name.split_once('?').map_or(name, |(name, _)| name).trim();
    Destination::new(kind, name)
        .map_err(|invalid| Problem::refused(format!("Illegal destination name: [{whole}] -- {}", invalid.0)))
}

/// Writes a destination as this connection sees it.
pub(super) fn write(destination: &Destination, temporaries: &Temporaries, text: &mut String) {
    text.clear();
    if destination.kind.is_temporary()
        && let Some(alias) = temporaries.by_name.get(&destination.name)
    {
        text.push_str(alias);
        return;
    }
    text.push_str(match destination.kind {
        Kind::Queue => "/queue/",
        Kind::Topic => "/topic/",
        Kind::TemporaryQueue => "/remote-temp-queue/",
        Kind::TemporaryTopic => "/remote-temp-topic/",
    });
    text.push_str(&destination.name);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn temporaries() -> Temporaries {
        Temporaries::new("ID:holdfast-1-2".into(), 2)
    }

    fn shown(text: &str) -> String {
        match parse_all(text, &mut temporaries()) {
            Ok(all) => all.iter().map(Destination::to_string).collect::<Vec<_>>().join(" "),
            Err(problem) => problem.message,
        }
    }

    #[test]
    fn every_spelling_names_its_destination() {
        for (text, expected) in [
            ("/queue/A", "queue://A"),
            (" /queue/A ", "queue://A"),
            ("/queue/A/B", "queue://A/B"),
            ("/topic/A.>", "topic://A.>"),
            ("bare", "queue://bare"),
            ("/queue/A?consumer.prefetchSize=1", "queue://A"),
            ("/queue/A,/topic/B,C", "queue://A topic://B queue://C"),
            ("/queue/A,/queue/A", "queue://A"),
            ("/temp-queue/x", "temp-queue://ID:holdfast-1-2:1"),
            (
                "/temp-topic/x,/temp-queue/y",
                "temp-topic://ID:holdfast-1-2:1 temp-queue://ID:holdfast-1-2:2",
            ),
            ("/remote-temp-queue/ID:a:1", "temp-queue://ID:a:1"),
            ("/remote-temp-topic/ID:a:1", "temp-topic://ID:a:1"),
            (
                "/que/A",
                "Illegal destination name: [/que/A] -- ActiveMQ STOMP destinations must begin with one of: /queue/ /topic/ /temp-queue/ /temp-topic/",
            ),
            (
                "/queue/",
                "Illegal destination name: [/queue/] -- a destination needs a name",
            ),
            (
                "/temp-queue/1,/temp-queue/2,/temp-queue/3",
                "Too many temporary destinations: /temp-queue/3 would be one more than 2",
            ),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn a_frame_names_so_many_destinations_and_makes_none_if_it_names_more() {
        let named = |count: usize| {
            (0..count)
                .map(|number| format!("/queue/{number}"))
                .collect::<Vec<_>>()
                .join(",")
        };
        let all = parse_all(&named(DESTINATIONS_MAX), &mut temporaries()).expect("so many may be");
        assert_eq!(all.len(), DESTINATIONS_MAX);
        assert_eq!(&*all[999].name, "999");
        let mut temporaries = temporaries();
        let one_more = format!("/temp-queue/x,{}", named(DESTINATIONS_MAX));
        let problem = parse_all(&one_more, &mut temporaries).expect_err("it is one more");
        assert_eq!(problem.message, "Too many destinations: the frame names 1001");
        assert_eq!(temporaries.take_made(), vec![]);
    }

    #[test]
    fn own_temporary_destinations_show_under_their_alias_and_foreign_ones_as_remote() {
        let mut temporaries = temporaries();
        let own = parse_all("/temp-queue/reply", &mut temporaries).expect("a good name")[0].clone();
        let foreign = Destination::new(Kind::TemporaryQueue, "ID:other:1").expect("a good name");
        let mut text = String::new();
        write(&own, &temporaries, &mut text);
        assert_eq!(text, "/temp-queue/reply");
        write(&foreign, &temporaries, &mut text);
        assert_eq!(text, "/remote-temp-queue/ID:other:1");
        assert_eq!(temporaries.take_made(), vec![own]);
        assert_eq!(temporaries.take_made(), vec![]);
    }
}
