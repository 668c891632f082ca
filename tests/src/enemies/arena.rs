//! A broker, a healthy client, and room for an enemy: what every case begins and ends with.

use std::net::SocketAddr;
use std::time::Duration;

use super::pace;
use super::trouble::{Trouble, ensure};
use super::witness::{Testimony, Witness, ensure_credible};
use crate::process::{Broker, Launch, get, processor_time, resident_bytes, resident_bytes_max};

/// What a broker may take beside what its limits say: allocator, batches on their way to the disk, a checkpoint.
pub(super) const SLACK_BYTES: u64 = 64 << 20;

/// Messages of the healthy client before an enemy comes, while it is there, and after it is gone.
const WITNESSED: u64 = 20;

/// What a case showed.
#[derive(Clone, Debug)]
pub struct Shown {
    /// What was done, and what came of it.
    pub text: String,
    /// Resident memory before the enemy came, at most, and after it was gone; bytes.
    pub resident: [u64; 3],
    /// What `resident[1]` had to stay below.
    pub bound: u64,
    /// Processor time of the broker.
    pub processor: Duration,
    /// Of the healthy client.
    pub testimony: Testimony,
}

/// A broker with a healthy client.
#[derive(Debug)]
pub struct Arena {
    directory: Option<tempfile::TempDir>,
    broker: Broker,
    /// Where clients connect.
    pub stomp: SocketAddr,
    /// Where it serves HTTP.
    pub admin: SocketAddr,
    witness: Witness,
    before: u64,
    connections: u64,
}

impl Arena {
    /// On a temporary directory, with the defaults and these flags.
    ///
    /// # Errors
    /// It takes no healthy client.
    pub fn open(flags: &[&str]) -> Result<Arena, Trouble> {
        let directory = tempfile::tempdir()?;
        let mut launch = Launch::new(&directory.path().join("data"));
        launch.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let mut arena = Arena::of(&launch, &[])?;
        arena.directory = Some(directory);
        Ok(arena)
    }

    /// Started in a way of its own; `expected` are texts of warnings that it may give.
    ///
    /// # Errors
    /// It takes no healthy client.
    pub fn of(launch: &Launch, expected: &[&str]) -> Result<Arena, Trouble> {
        let mut broker = launch.start();
        for text in expected {
            broker = broker.expecting(text);
        }
        broker.wait_ready();
        let (stomp, admin) = (broker.stomp(), broker.admin());
        let witness = Witness::start(stomp, broker.epoch())?;
        witness.goes_on(WITNESSED)?;
        let before = resident_bytes(broker.pid());
        let mut arena = Arena {
            directory: None,
            broker,
            stomp,
            admin,
            witness,
            before,
            connections: 0,
        };
        arena.connections = arena.number("connections")?;
        Ok(arena)
    }

    /// The broker's process.
    pub fn pid(&self) -> u32 {
        self.broker.pid()
    }

    /// From here on a warning with this text is right.
    pub fn expecting(mut self, text: &str) -> Arena {
        self.broker = self.broker.expecting(text);
        self
    }

    /// While the enemy is at work: the healthy client goes on, and so do health checks.
    ///
    /// # Errors
    /// Something hangs or broke.
    pub fn is_well(&self) -> Result<(), Trouble> {
        self.witness.goes_on(WITNESSED)?;
        for path in ["/live", "/ready"] {
            let answer = get(self.admin, path)?;
            ensure(answer.status == 200, || {
                format!("{path} says {}: {}", answer.status, answer.body)
            })?;
        }
        Ok(())
    }

    /// The healthy client alone goes on.
    ///
    /// # Errors
    /// Something hangs or broke.
    pub fn witness_goes_on(&self) -> Result<(), Trouble> {
        self.witness.goes_on(WITNESSED)
    }

    /// The broker's status.
    ///
    /// # Errors
    /// It does not answer.
    pub fn status(&self) -> Result<serde_json::Value, Trouble> {
        let answer = get(self.admin, "/status")?;
        serde_json::from_str(&answer.body).map_err(|error| Trouble::Failed(format!("/status is no JSON: {error}")))
    }

    /// One number of the status.
    ///
    /// # Errors
    /// It does not answer.
    pub fn number(&self, name: &str) -> Result<u64, Trouble> {
        let status = self.status()?;
        status[name]
            .as_u64()
            .ok_or_else(|| Trouble::Failed(format!("/status has no number {name}: {status}")))
    }

    /// Asks the status until something holds.
    ///
    /// # Errors
    /// It does not come to hold.
    pub fn wait_for(&self, what: &str, holds: impl Fn(&serde_json::Value) -> bool) -> Result<(), Trouble> {
        let until = std::time::Instant::now() + super::line::ANSWER_WITHIN;
        loop {
            let status = self.status()?;
            if holds(&status) {
                return Ok(());
            }
            ensure(std::time::Instant::now() < until, || {
                format!("still not so: {what}; {status}")
            })?;
            pace::pass(Duration::from_millis(20));
        }
    }

    /// Waits until the healthy client is alone again.
    ///
    /// # Errors
    /// Connections are left.
    pub fn wait_alone(&self) -> Result<(), Trouble> {
        let own = self.connections;
        self.wait_for("only the healthy client is connected", |status| {
            status["connections"].as_u64() == Some(own)
        })
    }

    /// The end of every case: the enemy is gone, the healthy client goes on, is judged, memory is compared with `before + allowed + SLACK_BYTES`, and the broker stops cleanly.
    ///
    /// # Errors
    /// What broke.
    pub fn close(self, allowed: u64, text: String) -> Result<Shown, Trouble> {
        self.wait_alone()?;
        self.is_well()?;
        let Arena {
            broker,
            witness,
            stomp,
            before,
            directory,
            ..
        } = self;
        let testimony = witness.finish(stomp)?;
        ensure_credible(testimony)?;
        let pid = broker.pid();
        let resident = [before, resident_bytes_max(pid), resident_bytes(pid)];
        let processor = processor_time(pid);
        broker.stop();
        drop(directory);
        let bound = before + allowed + SLACK_BYTES;
        let shown = Shown {
            text,
            resident,
            bound,
            processor,
            testimony,
        };
        ensure(resident[1] <= bound, || {
            format!(
                "{} MiB were resident, {} were allowed ({} before): {}",
                resident[1] >> 20,
                bound >> 20,
                before >> 20,
                shown.text
            )
        })?;
        Ok(shown)
    }

    /// The broker died, or shall die, under its clients: the parts, for who goes on with another.
    pub fn into_parts(self) -> (Broker, Witness, u64) {
        (self.broker, self.witness, self.before)
    }
}
