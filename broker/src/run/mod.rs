//! `holdfast run`: the broker's process, from bound ports to a clean end.
//!
//! Order matters: ports are bound before the node starts (a taken port must not fence a leader), and listened on only once it leads, so that a load balancer sees exactly the nodes that serve.
//! One thread runs everything but the disk's I/O threads.

mod view;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use leadership::Addresses;
use node::{End, Failure, Node, NodeIdentity, Notice};
use platform::BootTime;
use platform::real::{self, DiskDelays, RealClock, RealDisk, RealRandom};
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use crate::listen::Pump;
use crate::observe;

pub use crate::listen::AdmissionLimits;
pub(crate) use view::NodeView;

/// Connections that the kernel may hold for us.
const BACKLOG: u32 = 1024;

/// A clean stop that takes longer than this ends without GOODBYE.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// What a broker is run with.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The broker's name, for people.
    pub name: String,
    /// The data directory.
    pub data: PathBuf,
    /// Where to listen for STOMP.
    pub stomp: Vec<SocketAddr>,
    /// Where to serve HTTP for people and probes; `None`: nowhere.
    pub admin: Option<SocketAddr>,
    /// How many connections one address and all of them may have.
    pub admission: AdmissionLimits,
    /// The node's settings.
    pub settings: node::Settings,
    /// How much longer the disk takes than it does; for measurements.
    pub disk_delays: DiskDelays,
}

/// Why a broker did not run, or stopped running; each becomes an exit code.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A port cannot be had.
    #[error("cannot listen on {address}: {error}")]
    Port {
        /// The address.
        address: SocketAddr,
        /// The system's words.
        error: std::io::Error,
        /// How to choose another.
        flag: &'static str,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    Directory(#[from] real::OpenError),
    /// The machine cannot be asked who this process is.
    #[error("cannot learn from the system who this process is (/proc), or get randomness: {0}")]
    Process(std::io::Error),
    /// The event loop cannot be made.
    #[error("cannot set up the event loop: {0}")]
    Loop(std::io::Error),
    /// The node ended.
    #[error(transparent)]
    Node(#[from] Failure),
}

/// Runs a broker until it is asked to stop (SIGTERM, SIGINT) or fails.
pub fn run(options: RunOptions) -> Result<(), RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(RunError::Loop)?;
    let result = tokio::task::LocalSet::new().block_on(&runtime, serve(options));
    // Nothing of ours blocks in the runtime; a stuck disk thread must not hold the exit.
    runtime.shutdown_timeout(Duration::ZERO);
    result
}

/// A port that is bound and not listened on yet.
struct Bound {
    socket: TcpSocket,
    address: SocketAddr,
}

impl Bound {
    fn new(address: SocketAddr, flag: &'static str) -> Result<Bound, RunError> {
        let refused = |error| RunError::Port { address, error, flag };
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        }
        .map_err(refused)?;
        socket.set_reuseaddr(true).map_err(refused)?;
        socket.bind(address).map_err(refused)?;
        let address = socket.local_addr().map_err(refused)?;
        Ok(Bound { socket, address })
    }

    fn listen(self, flag: &'static str) -> Result<TcpListener, RunError> {
        let address = self.address;
        self.socket
            .listen(BACKLOG)
            .map_err(|error| RunError::Port { address, error, flag })
    }
}

async fn serve(options: RunOptions) -> Result<(), RunError> {
    let stomp = options
        .stomp
        .iter()
        .map(|address| Bound::new(*address, "--listen"))
        .collect::<Result<Vec<_>, _>>()?;
    let admin = options
        .admin
        .map(|address| Bound::new(address, "--admin"))
        .transpose()?;
    let addresses = Addresses {
        clients: stomp.iter().map(|bound| format!("stomp://{}", bound.address)).collect(),
        admin: admin
            .as_ref()
            .map(|bound| bound.address.to_string())
            .unwrap_or_default(),
        stream: String::new(),
    };

    let (connections_max, shortage) = connections_possible(options.settings.connections_max);
    let wake = Arc::new(Notify::new());
    let disk_wake = Arc::clone(&wake);
    let disk = RealDisk::open_delayed(
        &options.data,
        options.disk_delays,
        Arc::new(move || disk_wake.notify_one()),
    )?;
    let identity = NodeIdentity {
        process: real::this_process().map_err(RunError::Process)?,
        addresses: addresses.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let mut random = RealRandom::open().map_err(RunError::Process)?;
    let mut node = Node::new(
        Box::new(disk),
        node::Settings {
            connections_max,
            ..options.settings.clone()
        },
        identity,
        &mut random,
        RealClock.now(),
    );
    if let Some(shortage) = shortage {
        node.warn(shortage);
    }
    let pump = Pump::new(node, options.admission, wake, || RealClock.now());

    tokio::task::spawn_local(Rc::clone(&pump).drive_what_comes());
    let view = Rc::new(NodeView::new(Rc::clone(&pump), &options, addresses.clone()));

    // Probes may ask from the first moment on; clients only once this node leads.
    if let Some(admin) = admin {
        let listener = admin.listen("--admin")?;
        tokio::task::spawn_local(crate::admin::serve(
            listener,
            Rc::clone(&view) as Rc<dyn crate::admin::BrokerView>,
        ));
    }
    let mut stomp = Some(stomp);
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Loop)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Loop)?;
    let mut stopping: Option<tokio::time::Instant> = None;
    let mut supervisor = Supervisor::new();
    let mut listeners = Vec::new();
    loop {
        pump.drive();
        view.deliver();
        for notice in pump.node.borrow_mut().take_notices() {
            if let Notice::Leads { .. } = notice {
                for bound in stomp.take().into_iter().flatten() {
                    let listener = bound.listen("--listen")?;
                    listeners.push(tokio::task::spawn_local(Rc::clone(&pump).accept(listener)));
                }
                observe::ready(&addresses);
            }
            tell(notice, &addresses);
        }
        let end = pump.node.borrow().end().cloned();
        match end {
            Some(End::Stopped) => return Ok(()),
            Some(End::Failed(failure)) => return Err(failure.into()),
            None => {}
        }
        let supervised = supervisor.tell(&pump);
        let wait = pump
            .sleep_until()
            .into_iter()
            .chain(supervised)
            .min()
            .map(|at| at.since(pump.now().boot));
        tokio::select! {
            () = pump.wake.notified() => {}
            () = sleep(wait) => {}
            _ = terminate.recv(), if stopping.is_none() => stopping = Some(stop(&pump, &mut listeners)),
            _ = interrupt.recv(), if stopping.is_none() => stopping = Some(stop(&pump, &mut listeners)),
            () = sleep_until(stopping) => {
                tracing::warn!("the disk did not confirm what was open within {} s; stopping without GOODBYE", STOP_WITHIN.as_secs());
                return Ok(());
            }
        }
    }
}

/// Stops accepting and asks the node for a clean end; gives the moment from which on nobody waits for it.
fn stop(pump: &Rc<Pump>, listeners: &mut Vec<tokio::task::JoinHandle<()>>) -> tokio::time::Instant {
    observe::stopping();
    listeners.drain(..).for_each(|listener| listener.abort());
    pump.node.borrow_mut().stop(pump.now());
    tokio::time::Instant::now() + STOP_WITHIN
}

async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// What the service manager is told while the broker runs: that the loop turns, and, during a long start, how far it is.
struct Supervisor {
    interval: Option<Duration>,
    next_watchdog: BootTime,
    next_extension: BootTime,
}

/// Between two words about a start that takes long; each asks for twice as much.
const EXTENSION_INTERVAL: Duration = Duration::from_secs(5);

impl Supervisor {
    fn new() -> Supervisor {
        // Told twice as often as the service manager wants to hear it.
        let interval = observe::watchdog_interval().map(|interval| interval / 2);
        Supervisor {
            interval,
            next_watchdog: BootTime(0),
            next_extension: BootTime(0),
        }
    }

    /// Says what is due; gives when the next word is.
    fn tell(&mut self, pump: &Pump) -> Option<BootTime> {
        let now = pump.now().boot;
        if let Some(interval) = self.interval
            && now >= self.next_watchdog
        {
            observe::watchdog();
            self.next_watchdog = now + interval;
        }
        let status = pump.node.borrow().status(pump.now());
        let starting = status.role == node::Role::Starting;
        if starting && now >= self.next_extension {
            let (bytes, of) = status.recovered;
            observe::status(&format!("{}, {bytes} of {of} bytes of the history read", status.phase));
            observe::extend_start(2 * EXTENSION_INTERVAL);
            self.next_extension = now + EXTENSION_INTERVAL;
        }
        let watchdog = self.interval.map(|_| self.next_watchdog);
        watchdog
            .into_iter()
            .chain(starting.then_some(self.next_extension))
            .min()
    }
}

/// Notices are logged here and nowhere else.
fn tell(notice: Notice, addresses: &Addresses) {
    match notice {
        Notice::Leads { epoch } => {
            tracing::info!(
                epoch = epoch.0,
                clients = addresses.clients.join(","),
                admin = addresses.admin,
                "leading"
            );
        }
        Notice::Warning(text) => tracing::warn!("{text}"),
        Notice::Error(text) => tracing::error!("{text}"),
    }
}

/// Descriptors that are not for clients: the journal's files, administrators, listeners, and connections that are about to be refused.
const DESCRIPTORS_RESERVED: u64 = 256;

/// How many connections the limit of open files allows, raised as far as it goes; and what to warn of, if that is fewer than wanted. The journal must never lack a descriptor.
fn connections_possible(connections_max: usize) -> (usize, Option<String>) {
    let want = connections_max as u64 + DESCRIPTORS_RESERVED;
    match real::raise_descriptor_limit(want) {
        Ok(have) if have >= want => (connections_max, None),
        Ok(have) => {
            let possible = connections_within(have);
            let warning = format!(
                "no more than {possible} connections are accepted, not the {connections_max} of limits.connections_max: the limit of open files is {have}, \
                 and {} of them are kept for the journal; raise LimitNOFILE or ulimit -n to {want}, or lower limits.connections_max",
                have - possible as u64
            );
            (possible, Some(warning))
        }
        Err(error) => {
            let warning =
                format!("cannot learn or raise the limit of open files: {error}; if they run out, connections fail");
            (connections_max, Some(warning))
        }
    }
}

/// Connections that so many open files allow: where they are very few, half of them.
fn connections_within(descriptors: u64) -> usize {
    let possible = descriptors.saturating_sub(DESCRIPTORS_RESERVED).max(descriptors / 2);
    usize::try_from(possible).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_kept_for_the_journal_and_where_they_are_few_half_of_them() {
        assert_eq!(connections_within(20_000), 20_000 - 256);
        assert_eq!(connections_within(1_024), 1_024 - 256);
        assert_eq!(connections_within(256), 128);
        assert_eq!(connections_within(0), 0);
    }
}
