//! A STOMP connection over a plain socket, one thread, no runtime.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use client::stomp::{Client, ClientSettings, ErrorReport, Event, HeartBeat};
use platform::real::RealClock;

use super::exit::Exit;
use super::failure::Failure;

/// Time to connect and to hear CONNECTED.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Heart-beats in both directions: a machine that is gone sends no farewell.
const HEART_BEAT_MS: u32 = 10_000;

/// A connection that the broker has accepted.
pub(super) struct StompConnection {
    stream: TcpStream,
    /// What is to be sent; see [`StompConnection::flush`].
    pub(super) client: Client,
    address: SocketAddr,
    buffer: Box<[u8]>,
}

impl StompConnection {
    /// Connects to the first address that answers.
    pub(super) fn open(addresses: &[SocketAddr]) -> Result<StompConnection, Failure> {
        let mut last = Failure::new(
            Exit::Unreachable,
            "the broker has no address",
            "its STOMP listeners",
            "name one with --broker",
        );
        for address in addresses {
            match StompConnection::open_one(*address) {
                Ok(connection) => return Ok(connection),
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }

    fn open_one(address: SocketAddr) -> Result<StompConnection, Failure> {
        let unreachable = |error: std::io::Error| {
            Failure::new(
                Exit::Unreachable,
                format!("no connection: {error}"),
                format!("stomp://{address}"),
                "check that the broker runs: holdfast status",
            )
        };
        let stream = TcpStream::connect_timeout(&address, CONNECT_WITHIN).map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        stream
            .set_write_timeout(Some(Duration::from_secs(60)))
            .map_err(unreachable)?;
        let settings = ClientSettings {
            heart_beat: HeartBeat {
                promises_ms: HEART_BEAT_MS,
                wants_ms: HEART_BEAT_MS,
            },
            ..ClientSettings::new(&address.ip().to_string())
        };
        let mut connection = StompConnection {
            stream,
            client: Client::new(settings, RealClock.now()),
            address,
            buffer: vec![0; 64 << 10].into(),
        };
        match connection.event(Some(Instant::now() + CONNECT_WITHIN))? {
            Some(Event::Connected(_)) => Ok(connection),
            Some(Event::Receipt { .. }) => Err(connection.no_connected("RECEIPT")),
            Some(Event::Message(_) | Event::BrowseEnd { .. }) => Err(connection.no_connected("MESSAGE")),
            Some(Event::Error(_) | Event::Broken(_) | Event::Unexpected { .. } | Event::Silent { .. }) => {
                unreachable!("these are failures already")
            }
            None => Err(connection.broken("it accepted the connection but did not answer CONNECT in time")),
        }
    }

    /// Sends what waits.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        while let Some(bytes) = self.client.poll_output(RealClock.now()) {
            if let Err(error) = self.stream.write_all(&bytes) {
                // The broker may have said why before it closed.
                return Err(self.last_words().unwrap_or_else(|| self.broken(&error.to_string())));
            }
        }
        Ok(())
    }

    /// The next event; `None` when `until` has passed. ERROR frames and the end of the connection are failures.
    pub(super) fn event(&mut self, until: Option<Instant>) -> Result<Option<Event>, Failure> {
        loop {
            if let Some(event) = self.client.poll_event() {
                return self.checked(event).map(Some);
            }
            self.flush()?;
            let now = RealClock.now();
            let due = self.client.next_timeout().map(|at| at.since(now.boot));
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(None);
            }
            // A timeout of zero would mean: for ever.
            let wait = due
                .into_iter()
                .chain(left)
                .min()
                .map(|wait| wait.max(Duration::from_millis(1)));
            self.stream
                .set_read_timeout(wait)
                .map_err(|error| self.broken(&error.to_string()))?;
            match self.stream.read(&mut self.buffer) {
                Ok(0) => return Err(self.broken("the broker closed the connection")),
                Ok(count) => self.client.handle_bytes(RealClock.now(), &self.buffer[..count]),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {
                        self.client.handle_timeout(RealClock.now());
                    }
                    _ => return Err(self.broken(&error.to_string())),
                },
            }
        }
    }

    /// Says goodbye; whatever was sent before has been carried out when this returns.
    pub(super) fn close(mut self, within: Duration) -> Result<(), Failure> {
        self.client.disconnect(Some("goodbye"));
        let until = Instant::now() + within;
        loop {
            match self.event(Some(until))? {
                Some(Event::Receipt { id }) if &*id == "goodbye" => return Ok(()),
                Some(_) => {}
                None => return Err(self.broken("the broker did not confirm the end of the connection in time")),
            }
        }
    }

    fn checked(&self, event: Event) -> Result<Event, Failure> {
        match event {
            Event::Error(report) => Err(self.refused(&report)),
            Event::Broken(error) => Err(self.broken(&format!("the broker sent what is no STOMP: {error}"))),
            Event::Unexpected { command } => Err(self.broken(&format!("the broker sent {command:?} out of place"))),
            Event::Silent { silence } => {
                Err(self.broken(&format!("the broker has said nothing for {} s", silence.as_secs())))
            }
            Event::Connected(_) | Event::Receipt { .. } | Event::Message(_) | Event::BrowseEnd { .. } => Ok(event),
        }
    }

    fn last_words(&mut self) -> Option<Failure> {
        self.stream.set_read_timeout(Some(Duration::from_millis(200))).ok()?;
        while let Ok(count @ 1..) = self.stream.read(&mut self.buffer) {
            self.client.handle_bytes(RealClock.now(), &self.buffer[..count]);
        }
        while let Some(event) = self.client.poll_event() {
            if let Err(failure) = self.checked(event) {
                return Some(failure);
            }
        }
        None
    }

    fn refused(&self, report: &ErrorReport) -> Failure {
        let explanation = report.explanation();
        let explanation = explanation.trim();
        let what = match explanation.is_empty() || explanation == report.message() {
            true => format!("the broker refused: {}", report.message()),
            false => format!("the broker refused: {} ({explanation})", report.message()),
        };
        Failure::new(
            Exit::Refused,
            what,
            self.url(),
            "put right what the broker's words name, then try again; `holdfast status` shows whether it lacks space",
        )
    }

    fn no_connected(&self, command: &str) -> Failure {
        self.broken(&format!("the broker answered CONNECT with {command}"))
    }

    /// A failure of the connection.
    pub(super) fn broken(&self, what: &str) -> Failure {
        Failure::new(
            Exit::Unreachable,
            what,
            self.url(),
            "check the broker with `holdfast status`; what was not confirmed may or may not have happened",
        )
    }

    fn url(&self) -> String {
        format!("stomp://{}", self.address)
    }
}

/// `queue://A` as STOMP writes it: `/queue/A`.
pub(super) fn stomp_destination(text: &str) -> Result<String, Failure> {
    let destination = crate::admin::parse_destination(text).map_err(|refused| {
        let mut failure = Failure::from(refused);
        failure.exit = Exit::Usage;
        failure
    })?;
    let shown = destination.to_string();
    Ok(match shown.split_once("://") {
        Some((kind, name)) => format!("/{kind}/{name}"),
        None => shown,
    })
}
