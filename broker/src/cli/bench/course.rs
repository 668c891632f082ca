//! The course of a run: connect, load, measure, come to an end, empty what was filled.
//!
//! Everything waits for events; one ticker shows the progress and notices that nothing moves. Invariant: whatever was sent is looked for at the end, also where nobody consumed
//! during the run.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior};

use super::connection::{Connection, Place, Target};
use super::ledger::{Faults, Kind};
use super::measurement::Measurement;
use super::process::{UsageReport, Watched};
use super::scenario::{Extent, Scenario};
use super::traffic::{Traffic, consume, produce, subscribe};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::Output;

/// Time between two looks at how far the run is.
const TICK: Duration = Duration::from_millis(100);

/// What a run came to.
pub(super) struct Outcome {
    pub(super) measurement: Measurement,
    pub(super) faults: Faults,
    /// All messages, those of the warm-up included.
    pub(super) sent_in_all: u64,
    /// All deliveries, those of the warm-up and the draining included.
    pub(super) received_in_all: u64,
    /// Ctrl-C ended it early.
    pub(super) interrupted: bool,
    /// What the broker called itself.
    pub(super) server: Option<String>,
    pub(super) usage: UsageReport,
}

/// How a part of the run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Done,
    Interrupted,
    /// Nothing moved for as long as `timeout`.
    Stalled,
}

/// A run under way.
struct Course<'a> {
    traffic: Rc<Traffic>,
    output: &'a Output,
    tasks: JoinSet<Result<(), Failure>>,
    ticker: Interval,
    interrupt: Signal,
    interrupted: bool,
    moved: u64,
    moved_at: Instant,
    part: &'static str,
}

/// Carries a scenario out. `drains`: empties what nobody consumed.
pub(super) async fn carry_out(
    scenario: Scenario,
    target: Target,
    watched: Watched,
    drains: bool,
    output: &Output,
) -> Result<Outcome, Failure> {
    let traffic = Traffic::new(scenario, target);
    let scenario = &traffic.scenario;
    let mut ticker = tokio::time::interval(TICK);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let interrupt = signal(SignalKind::interrupt()).map_err(|error| {
        Failure::new(
            Exit::Failure,
            format!("Ctrl-C cannot be listened for: {error}"),
            "this machine",
            "raise the limit of open files (ulimit -n), then try again",
        )
    })?;
    let mut course = Course {
        traffic: Rc::clone(&traffic),
        output,
        tasks: JoinSet::new(),
        ticker,
        interrupt,
        interrupted: false,
        moved: 0,
        moved_at: Instant::now(),
        part: "connecting",
    };

    let before = watched.usage();
    let (stop, stopped) = watch::channel(false);
    let mut server = None;
    let protocol = traffic.target.endpoint.protocol;
    course.create().await?;
    course.start_consumers(scenario.consumers, &stopped).await?;
    let mut producers = Vec::new();
    for number in 0..scenario.producers {
        let connection = Connection::open(&traffic.target).await?;
        server = connection.server.clone();
        producers.push((connection, scenario.place(number, protocol)?));
        course.show();
    }
    traffic.producing.set(scenario.producers);
    for (number, (connection, place)) in producers.into_iter().enumerate() {
        let producing = produce(Rc::clone(&traffic), connection, number, place);
        course.tasks.spawn_local(producing);
    }

    // Without a warm-up no producer may run before what it sends is counted.
    if !scenario.warm_up.is_zero() {
        course.part = "warming up";
        let warm = course.until(|_| false, Some(scenario.warm_up)).await?;
        course.refuse_stall(warm)?;
    }

    course.part = "measuring";
    let begin = watched.usage();
    let now = traffic.now();
    let measured = match scenario.extent {
        Extent::Duration(duration) => {
            let length = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
            traffic
                .measurement
                .borrow_mut()
                .begin(now, Some(now.saturating_add(length)));
            course.until(|_| false, Some(duration)).await?
        }
        Extent::Messages(count) => {
            traffic.measurement.borrow_mut().begin(now, None);
            traffic.allow(if course.interrupted { 0 } else { count });
            course.until(|traffic| traffic.producing.get() == 0, None).await?
        }
    };
    course.refuse_stall(measured)?;
    if let Extent::Duration(_) = scenario.extent {
        traffic.measurement.borrow_mut().close(traffic.now());
    }
    let mut end = watched.usage();

    course.part = "waiting for confirmations";
    traffic.allow(0);
    let confirmed = course.until(|traffic| traffic.producing.get() == 0, None).await?;
    course.refuse_stall(confirmed)?;

    course.part = "waiting for deliveries";
    course.finish_deliveries(scenario.consumers, stop).await?;
    if let Extent::Messages(_) = scenario.extent {
        traffic.measurement.borrow_mut().close(traffic.now());
        end = watched.usage();
    }
    let after = watched.usage();

    if drains && scenario.kind == Kind::Queue && scenario.consumers == 0 {
        course.part = "emptying the queues";
        let (stop, stopped) = watch::channel(false);
        course.start_consumers(scenario.destinations.len(), &stopped).await?;
        course.finish_deliveries(scenario.destinations.len(), stop).await?;
    }
    course.delete().await?;
    let ledger = traffic.ledger.borrow();
    let looked_for = scenario.consumers > 0 || drains && scenario.kind == Kind::Queue;
    let measurement = traffic.measurement.borrow().clone();
    Ok(Outcome {
        measurement,
        faults: match looked_for {
            true => ledger.verdict(),
            false => ledger.faults().clone(),
        },
        sent_in_all: ledger.sent(),
        received_in_all: ledger.received(),
        interrupted: course.interrupted,
        server,
        usage: watched.report(before, begin, end, after),
    })
}

impl Course<'_> {
    /// Has the destinations made, where the protocol wants that.
    async fn create(&self) -> Result<(), Failure> {
        let scenario = &self.traffic.scenario;
        let pending_max = u64::from(scenario.prefetch) * scenario.consumers.max(1) as u64;
        for place in self.places_to_make()? {
            let mut connection = Connection::open(&self.traffic.target).await?;
            connection.create(&place, scenario.persistent, pending_max).await?;
        }
        Ok(())
    }

    /// Has them removed again.
    async fn delete(&self) -> Result<(), Failure> {
        for place in self.places_to_make()? {
            let mut connection = Connection::open(&self.traffic.target).await?;
            connection.delete(&place).await?;
        }
        Ok(())
    }

    /// The destinations that are not there by being used.
    fn places_to_make(&self) -> Result<Vec<Place>, Failure> {
        let scenario = &self.traffic.scenario;
        let protocol = self.traffic.target.endpoint.protocol;
        let mut places = Vec::new();
        for number in 0..scenario.destinations.len() {
            let place = scenario.place(number, protocol)?;
            match place {
                Place::Stream(_) => places.push(place),
                Place::Destination(_) | Place::Subject(_) => {}
            }
        }
        Ok(places)
    }

    /// Subscribes `count` consumers, spread over the destinations, one after the other.
    async fn start_consumers(&mut self, count: usize, stop: &watch::Receiver<bool>) -> Result<(), Failure> {
        for number in 0..count {
            let place = self
                .traffic
                .scenario
                .place(number, self.traffic.target.endpoint.protocol)?;
            let mut connection = Connection::open(&self.traffic.target).await?;
            let consumer = self.traffic.ledger.borrow_mut().consumer();
            subscribe(&self.traffic, &mut connection, consumer, &place).await?;
            let consuming = consume(Rc::clone(&self.traffic), connection, consumer, stop.clone());
            self.tasks.spawn_local(consuming);
            self.show();
        }
        Ok(())
    }

    /// Waits until everything sent was delivered, or nothing more comes; then has the consumers end.
    async fn finish_deliveries(&mut self, consumers: usize, stop: watch::Sender<bool>) -> Result<(), Failure> {
        if consumers > 0 {
            self.traffic.awaits_completion.set(true);
            // What is missing when nothing moves any more is in the verdict.
            self.until(|traffic| traffic.ledger.borrow().complete(), None).await?;
            self.traffic.awaits_completion.set(false);
        }
        // No consumer may be there to hear it.
        let _ = stop.send(true);
        let leaving = async {
            while let Some(joined) = self.tasks.join_next().await {
                ended(joined)?;
            }
            Ok(())
        };
        let left = tokio::time::timeout(self.traffic.scenario.timeout, leaving).await;
        left.unwrap_or_else(|_| Err(self.stalled()))
    }

    /// Waits until `done`, at most for `limit`.
    async fn until(&mut self, done: impl Fn(&Traffic) -> bool, limit: Option<Duration>) -> Result<Ended, Failure> {
        let deadline = limit.map(|limit| tokio::time::Instant::now() + limit);
        self.moved_at = Instant::now();
        loop {
            if done(&self.traffic) || limit.is_some() && self.interrupted {
                return Ok(Ended::Done);
            }
            tokio::select! {
                joined = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    if let Some(joined) = joined {
                        ended(joined)?;
                    }
                }
                () = self.traffic.changed.notified() => {}
                () = passed(deadline) => return Ok(Ended::Done),
                _ = self.interrupt.recv() => {
                    if self.interrupted {
                        return Err(self.given_up());
                    }
                    self.interrupted = true;
                    self.output.remark("Coming to an end; Ctrl-C again leaves everything as it is.");
                    self.traffic.allow(0);
                    return Ok(Ended::Interrupted);
                }
                _ = self.ticker.tick() => {
                    self.show();
                    let moved = self.traffic.moved();
                    if moved != self.moved {
                        (self.moved, self.moved_at) = (moved, Instant::now());
                    } else if self.moved_at.elapsed() >= self.traffic.scenario.timeout {
                        return Ok(Ended::Stalled);
                    }
                }
            }
        }
    }

    fn show(&self) {
        self.output.progress(|| {
            let ledger = self.traffic.ledger.borrow();
            let (sent, received) = (ledger.sent(), ledger.received());
            let seconds = self.traffic.now() / 1_000_000_000;
            let confirmed = self.traffic.confirmed.get();
            format!(
                "{}: {seconds} s, {sent} sent, {confirmed} confirmed, {received} received",
                self.part
            )
        });
    }

    fn refuse_stall(&self, part: Ended) -> Result<(), Failure> {
        match part {
            Ended::Done | Ended::Interrupted => Ok(()),
            Ended::Stalled => Err(self.stalled()),
        }
    }

    fn stalled(&self) -> Failure {
        let seconds = self.traffic.scenario.timeout.as_secs_f64();
        self.failure(
            Exit::Unreachable,
            format!("while {}, nothing has moved for {seconds} s", self.part),
            "look at the broker's log and its disk, or give it more time with --timeout",
        )
    }

    fn given_up(&self) -> Failure {
        self.failure(
            Exit::Failure,
            format!("given up while {}", self.part),
            "the destinations of the run are left as they are; purge them",
        )
    }

    fn failure(&self, exit: Exit, what: String, what_to_do: &str) -> Failure {
        let sent = self.traffic.ledger.borrow().sent();
        let confirmed = self.traffic.confirmed.get();
        let what = format!("{what} ({confirmed} of {sent} messages sent were confirmed)");
        let first = &self.traffic.scenario.destinations[0];
        let location = format!("{first} at {}", self.traffic.target.endpoint);
        Failure::new(exit, what, location, what_to_do)
    }
}

/// What a task ended with.
fn ended(joined: Result<Result<(), Failure>, tokio::task::JoinError>) -> Result<(), Failure> {
    joined.unwrap_or_else(|error| {
        Err(Failure::new(
            Exit::Failure,
            format!("a connection's task ended early: {error}"),
            "holdfast bench",
            "please report this",
        ))
    })
}

async fn passed(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
