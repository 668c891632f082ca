//! Finding the broker: by its admin address, or by its data directory, where the claims hold the addresses.

use std::fs::File;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;

use bytes::Bytes;
use leadership::{Addresses, Cell, CellState, Identity, names};
use platform::BLOCK_BYTES;

use super::admin_client::AdminClient;
use super::arguments::{Reach, ReachClients};
use super::exit::Exit;
use super::failure::Failure;

/// How many claims are looked at, from the newest down: those above the leader's are of claimers that stood down.
const CLAIMS_MAX: usize = 16;

/// Where a broker is looked for if nothing is said.
const DEFAULT_ADMIN: &str = "127.0.0.1:8161";

impl Reach {
    /// The admin interface.
    pub(super) fn admin_client(&self) -> Result<AdminClient, Failure> {
        if let Some(url) = &self.admin {
            return AdminClient::parse(url);
        }
        if let Some(directory) = &self.data {
            return by_directory(directory);
        }
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        if let Some(url) = variable("HOLDFAST_ADMIN") {
            return AdminClient::parse(&url);
        }
        match variable("HOLDFAST_DATA") {
            Some(directory) => by_directory(Path::new(&directory)),
            None => AdminClient::parse(DEFAULT_ADMIN),
        }
    }
}

impl ReachClients {
    /// The STOMP listeners, best first; never empty.
    pub(super) fn stomp_addresses(&self) -> Result<Vec<SocketAddr>, Failure> {
        if let Some(url) = &self.broker {
            return Ok(vec![stomp_address(url)?]);
        }
        let status = self.reach.admin_client()?.status()?;
        if !status.ready {
            let what = format!(
                "the broker is {} and serves no clients: {}",
                status.role.name(),
                status.reason
            );
            let leader = status
                .leader
                .map(|leader| format!("; the leader serves {}", leader.listeners.join(", ")));
            let wait = "wait with `holdfast status --wait 30s`".to_string();
            return Err(Failure::new(
                Exit::NotReady,
                what,
                status.admin,
                wait + &leader.unwrap_or_default(),
            ));
        }
        let stomp = status
            .listeners
            .iter()
            .filter(|listener| listener.starts_with("stomp://"));
        let addresses: Vec<SocketAddr> = stomp
            .map(|listener| stomp_address(listener))
            .collect::<Result<_, _>>()?;
        match addresses.is_empty() {
            false => Ok(addresses),
            true => Err(Failure::new(
                Exit::Unreachable,
                "the broker has no STOMP listener",
                status.admin,
                "run it with `--listen stomp://…`, or name a listener with --broker",
            )),
        }
    }
}

/// The address in `stomp://host:port`, `host:port` or `host`.
pub(super) fn stomp_address(url: &str) -> Result<SocketAddr, Failure> {
    let wrong = |what: String| {
        Failure::new(
            Exit::Usage,
            what,
            url,
            "give a STOMP address such as stomp://127.0.0.1:61613",
        )
    };
    let rest = url.strip_prefix("stomp://").unwrap_or(url);
    if rest.contains("://") {
        return Err(wrong("the commands speak stomp:// only".to_string()));
    }
    let rest = rest.trim_end_matches('/');
    let found = rest.to_socket_addrs().or_else(|_| (rest, 61613).to_socket_addrs());
    let mut found = found.map_err(|error| wrong(format!("this is no address that can be found: {error}")))?;
    found
        .next()
        .ok_or_else(|| wrong("this name has no address".to_string()))
}

/// The broker that runs on a directory: of those that claimed, the newest that answers.
fn by_directory(directory: &Path) -> Result<AdminClient, Failure> {
    let location = directory.display().to_string();
    let claims = claims(directory).map_err(|error| {
        Failure::new(
            Exit::DataUnusable,
            format!("no broker's claim can be read there: {error}"),
            location.clone(),
            "give the data directory of a broker that has run, as this user or one that may read it",
        )
    })?;
    let mut last = Failure::new(
        Exit::Unreachable,
        "no broker of this directory has an admin address",
        location,
        "run it with --admin, or name its STOMP listener with --broker where the command takes that",
    );
    for addresses in claims {
        if addresses.admin.is_empty() {
            continue;
        }
        let client = AdminClient::parse(&addresses.admin)?;
        match client.status() {
            Ok(_) => return Ok(client),
            Err(failure) => last = failure,
        }
    }
    Err(last)
}

/// The addresses in the newest claims, newest first. A claim that is damaged is passed over: another may lead.
fn claims(directory: &Path) -> std::io::Result<Vec<Addresses>> {
    use std::os::unix::fs::FileExt;
    let mut epochs = Vec::new();
    for entry in std::fs::read_dir(directory.join(names::EPOCHS))? {
        epochs.extend(names::epoch_of(&entry?.file_name().to_string_lossy()));
    }
    epochs.sort_unstable_by(|left, right| right.cmp(left));
    let mut found = Vec::new();
    for epoch in epochs.into_iter().take(CLAIMS_MAX) {
        let mut block = vec![0; BLOCK_BYTES];
        File::open(directory.join(names::claim(epoch)))?.read_exact_at(&mut block, Cell::Identity.offset())?;
        if let CellState::Valid(identity) = Identity::decode(&Bytes::from(block)) {
            found.push(identity.addresses);
        }
    }
    Ok(found)
}
