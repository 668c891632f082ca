//! What is to be done, checked: how many of what, where to, for how long.

use std::time::Duration;

use client::stomp::Ack;

use super::arguments::{BenchAck, BenchArguments};
use super::body::HEADER_BYTES;
use super::connection::{Place, Protocol};
use super::ledger::Kind;
use super::nats::Stream;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::stomp_connection::stomp_destination;

/// The largest body, in bytes; a broker's own limit may be lower.
const SIZE_MAX: u64 = 64 << 20;

/// How long a run is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// For so long.
    Duration(Duration),
    /// Until so many messages were confirmed and delivered.
    Messages(u64),
}

/// One run.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    /// Tells this run's messages from others'.
    pub(super) run: u32,
    pub(super) producers: usize,
    pub(super) consumers: usize,
    pub(super) in_flight: u32,
    pub(super) body_bytes: usize,
    pub(super) persistent: bool,
    pub(super) kind: Kind,
    /// As people write them: `queue://A`.
    pub(super) destinations: Vec<String>,
    pub(super) ack: Ack,
    pub(super) prefetch: u32,
    pub(super) backlog_max: Option<u64>,
    pub(super) extent: Extent,
    pub(super) warm_up: Duration,
    /// Nothing moving for this long ends the run.
    pub(super) timeout: Duration,
    pub(super) send_headers: Vec<(String, String)>,
    pub(super) subscribe_headers: Vec<(String, String)>,
}

impl Scenario {
    /// Takes the command line's word, where it makes sense.
    pub(super) fn new(arguments: &BenchArguments, run: u32) -> Result<Scenario, Failure> {
        let wrong = |what: String, location: &str, what_to_do: String| {
            Err(Failure::new(Exit::Usage, what, location, what_to_do))
        };
        let size = arguments.size.0;
        if !(HEADER_BYTES as u64..=SIZE_MAX).contains(&size) {
            return wrong(
                format!("a body of {size} bytes cannot be sent"),
                "--size",
                format!("give {HEADER_BYTES} (what the check needs) to {SIZE_MAX} bytes"),
            );
        }
        let queues = arguments.queues;
        if queues > 1 && (arguments.producers < queues || arguments.consumers > 0 && arguments.consumers < queues) {
            return wrong(
                format!("{queues} queues would not all be used"),
                "--queues",
                "give at least as many producers, and none or at least as many consumers".to_owned(),
            );
        }
        if arguments.backlog_max.is_some() && arguments.consumers == 0 {
            return wrong(
                "a backlog that nobody consumes never gets smaller".to_owned(),
                "--backlog-max",
                "give --consumers too".to_owned(),
            );
        }
        let name = match &arguments.destination {
            Some(name) => name.clone(),
            None => format!("holdfast.bench.{run:08x}"),
        };
        let destinations = match (arguments.topic, queues) {
            (true, _) => vec![format!("topic://{name}")],
            (false, 1) => vec![format!("queue://{name}")],
            (false, queues) => (1..=queues).map(|number| format!("queue://{name}-{number}")).collect(),
        };
        let default_warm_up = match arguments.count {
            Some(_) => Duration::ZERO,
            None => Duration::from_secs(2),
        };
        Ok(Scenario {
            run,
            producers: arguments.producers as usize,
            consumers: arguments.consumers as usize,
            in_flight: arguments.in_flight,
            body_bytes: usize::try_from(size).expect("at most SIZE_MAX"),
            persistent: arguments.persistent,
            kind: if arguments.topic { Kind::Topic } else { Kind::Queue },
            destinations,
            ack: match arguments.ack {
                BenchAck::Auto => Ack::Auto,
                BenchAck::Client => Ack::Client,
                BenchAck::ClientIndividual => Ack::ClientIndividual,
            },
            prefetch: arguments.prefetch,
            backlog_max: arguments.backlog_max,
            extent: arguments
                .count
                .map_or(Extent::Duration(arguments.duration), Extent::Messages),
            warm_up: arguments.warm_up.unwrap_or(default_warm_up),
            timeout: arguments.timeout,
            send_headers: arguments.send_headers.clone(),
            subscribe_headers: arguments.subscribe_headers.clone(),
        })
    }

    /// Refuses what a protocol has no words for.
    pub(super) fn fits(&self, protocol: Protocol) -> Result<(), Failure> {
        let wrong =
            |what: &str, location: &str, what_to_do: &str| Err(Failure::new(Exit::Usage, what, location, what_to_do));
        match (protocol, self.kind) {
            (Protocol::Stomp, _) => Ok(()),
            (Protocol::Nats, Kind::Topic) if self.persistent => wrong(
                "core NATS keeps no messages",
                "--persistent",
                "give --persistent false with --topic",
            ),
            (Protocol::Nats, Kind::Queue) if self.ack != Ack::ClientIndividual => wrong(
                "consumers that share a stream acknowledge each message by itself",
                "--ack",
                "leave --ack out",
            ),
            (Protocol::Nats, Kind::Topic | Kind::Queue) => Ok(()),
        }
    }

    /// Where one of several producers or consumers sends to or receives from.
    pub(super) fn place(&self, number: usize, protocol: Protocol) -> Result<Place, Failure> {
        let shown = &self.destinations[number % self.destinations.len()];
        let name = shown.split_once("://").map_or(shown.as_str(), |(_, name)| name);
        Ok(match (protocol, self.kind) {
            (Protocol::Stomp, _) => Place::Destination(stomp_destination(shown)?),
            (Protocol::Nats, Kind::Queue) => Place::Stream(Stream::new(name)),
            (Protocol::Nats, Kind::Topic) => Place::Subject(name.to_owned()),
        })
    }

    /// One line for people.
    pub(super) fn describe(&self) -> String {
        let several = |count: usize, noun: &str| match count {
            1 => format!("1 {noun}"),
            count => format!("{count} {noun}s"),
        };
        let to = match (self.kind, self.destinations.len()) {
            (Kind::Topic, _) => "a topic".to_owned(),
            (Kind::Queue, 1) => "a queue".to_owned(),
            (Kind::Queue, queues) => format!("{queues} queues"),
        };
        format!(
            "{} × {} in flight → {to} → {}, {} B {}",
            several(self.producers, "producer"),
            self.in_flight,
            several(self.consumers, "consumer"),
            self.body_bytes,
            if self.persistent {
                "persistent"
            } else {
                "non-persistent"
            },
        )
    }
}
