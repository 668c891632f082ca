//! `holdfast bench`: how fast a broker is, and whether it keeps what it confirms.
//!
//! | module | owns |
//! |---|---|
//! | `scenario` | what is to be done |
//! | `course` | when it begins, is measured, and ends |
//! | `traffic` | producers and consumers |
//! | `connection`, `nats` | sockets, buffers, protocols |
//! | `body`, `ledger` | what a message carries, and whether everything came, once and in order |
//! | `measurement`, `process`, `report` | figures |
//! | `machine`, `nothing` | what to hold them against: disk, loopback, the client by itself |
//!
//! Everything runs on one thread, so that on a small machine the broker has the others. Invariant: every body is looked at; a fault is an exit code.
//! Deliberately absent: sending at a fixed rate (producers wait for confirmations, as ActiveMQ's do). Tests: in each module, and `broker/tests/bench.rs`.

mod arguments;
mod body;
mod connection;
mod course;
mod ledger;
mod machine;
mod measurement;
mod nats;
mod nothing;
mod process;
mod report;
mod scenario;
mod traffic;

use platform::Random;
use platform::real::RealRandom;

pub(super) use arguments::BenchArguments;

use self::connection::{Endpoint, Protocol, Target};
use self::process::Watched;
use self::report::Report;
use self::scenario::Scenario;
use super::admin_client::AdminClient;
use super::exit::Exit;
use super::failure::Failure;
use super::output::Output;
use super::reach::stomp_address;
use crate::admin::Deleted;

/// Whom the run is against.
struct Found {
    endpoint: Endpoint,
    /// Its admin interface, if it has one and was reached by it.
    admin: Option<AdminClient>,
    /// Its process on this machine, as it says itself.
    pid: Option<u32>,
    /// Whether it keeps messages that nobody consumes.
    keeps: bool,
}

pub(super) fn run(arguments: &BenchArguments, output: &Output) -> Result<(), Failure> {
    if let Some(command) = &arguments.machine {
        return machine::run(command, output);
    }
    let mut random = RealRandom::open().map_err(|error| {
        Failure::new(
            Exit::Failure,
            format!("no random number for the run's name: {error}"),
            "/dev/urandom",
            "look at why the system gives none",
        )
    })?;
    let run = u32::try_from(random.next_u64() >> 32).expect("the upper half of 64 bits");
    let scenario = Scenario::new(arguments, run)?;
    let found = find(arguments)?;
    let watched = Watched::new(arguments.pid, found.pid)?;
    scenario.fits(found.endpoint.protocol)?;
    let target = Target {
        endpoint: found.endpoint,
        login: arguments.login.clone(),
        passcode: arguments.passcode.clone(),
    };
    let address = target.endpoint.to_string();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::new(
                Exit::Failure,
                format!("no event loop can be made: {error}"),
                "this machine",
                "raise the limit of open files (ulimit -n) or free memory, then try again",
            )
        })?;
    // Many connections want many descriptors; what cannot be had is said by the connection that fails.
    let _ = platform::real::raise_descriptor_limit(scenario.producers as u64 + scenario.consumers as u64 + 64);
    let carrying_out = course::carry_out(scenario.clone(), target, watched, found.keeps, output);
    let outcome = tokio::task::LocalSet::new().block_on(&runtime, carrying_out)?;
    // What is at fault stays to be looked at, and what the user named is the user's.
    let deletes = outcome.faults.none() && arguments.destination.is_none();
    if let Some(admin) = found.admin.filter(|_| deletes) {
        clean_up(admin, &scenario)?;
    }

    let client = Watched::new(None, Some(std::process::id()))?.usage();
    let report = Report::new(&scenario, address, &outcome, client.rss_bytes);
    if let Some(path) = &arguments.histogram {
        report::write_histograms(path, &report, &outcome)?;
    }
    if let Some(path) = &arguments.csv {
        report.append_csv(path, &arguments.labels)?;
    }
    match output.json {
        true => output.object(&report)?,
        false => output.text(&output.foreign(&report.text(&scenario)))?,
    }
    if report.faults.none() {
        return Ok(());
    }
    let first = report.faults.first.clone().unwrap_or_default();
    Err(Failure::new(
        Exit::WrongMessages,
        format!("the broker broke its word: {} ({first})", report.faults),
        format!("{} at {}", scenario.destinations[0], report.address),
        "keep the data directory and the log; with a topic, a consumer that is too slow loses messages by design: see --backlog-max",
    ))
}

fn find(arguments: &BenchArguments) -> Result<Found, Failure> {
    let apart = |protocol, address, keeps| Found {
        endpoint: Endpoint { protocol, address },
        admin: None,
        pid: None,
        keeps,
    };
    if arguments.against_nothing {
        return Ok(apart(Protocol::Stomp, nothing::start()?, false));
    }
    if let Some(address) = arguments
        .reach
        .broker
        .as_ref()
        .and_then(|url| url.strip_prefix("nats://"))
    {
        return Ok(apart(Protocol::Nats, stomp_address(address)?, true));
    }
    let addresses = arguments.reach.stomp_addresses()?;
    let address = *addresses.first().ok_or_else(|| no_address(arguments))?;
    if arguments.reach.broker.is_some() {
        return Ok(apart(Protocol::Stomp, address, true));
    }
    let admin = arguments.reach.reach.admin_client()?;
    let pid = match address.ip().is_loopback() {
        true => Some(admin.status()?.pid),
        false => None,
    };
    Ok(Found {
        admin: Some(admin),
        pid,
        ..apart(Protocol::Stomp, address, true)
    })
}

/// Deletes the run's destinations, which are empty by now.
fn clean_up(admin: AdminClient, scenario: &Scenario) -> Result<(), Failure> {
    for destination in &scenario.destinations {
        match admin.delete_destination::<Deleted>(destination) {
            Ok(_) => {}
            // A topic, for one, may be gone with its last subscription.
            Err(failure) if failure.exit == Exit::Refused => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

fn no_address(arguments: &BenchArguments) -> Failure {
    Failure::new(
        Exit::Unreachable,
        "the broker has no address",
        arguments.reach.broker.clone().unwrap_or_default(),
        "name one with --broker",
    )
}
