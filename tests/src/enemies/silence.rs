//! Connections that say nothing, or hardly anything, or go away.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::arena::{Arena, Shown};
use super::line::{Frame, Line, connect, send, subscribe, take_all};
use super::pace;
use super::trouble::{Trouble, ensure};

/// Connections of a siege: below connections_max, so that the healthy client can come again.
const CROWD: usize = 9_900;

/// What docs/status.md promises for 10 000 idle connections.
const IDLE_BYTES_MAX: u64 = 200 << 20;

fn open(address: SocketAddr, count: usize) -> Result<Vec<Line>, Trouble> {
    (0..count).map(|_| Line::open(address)).collect()
}

fn connected(address: SocketAddr, count: usize) -> Result<Vec<Line>, Trouble> {
    (0..count).map(|_| Line::connected(address)).collect()
}

/// Everything that these were told until the broker closed; only errors are right.
fn told(lines: &mut [Line]) -> Result<Vec<Frame>, Trouble> {
    let mut errors = Vec::new();
    for line in lines {
        for frame in line.until_closed()? {
            ensure(frame.command == "ERROR", || {
                format!("instead of an ERROR: {}", frame.text())
            })?;
            errors.push(frame);
        }
    }
    Ok(errors)
}

/// 9 900 connections that never say CONNECT.
pub(super) fn silent_connections(_: bool) -> Result<Shown, Trouble> {
    let arena = Arena::open(&["--limits-connect-within=3s"])?.expecting("connection was refused");
    let mut lines = open(arena.stomp, CROWD)?;
    arena.is_well()?;
    let errors = told(&mut lines)?;
    for error in &errors {
        ensure(!error.header("message").is_empty(), || {
            format!("an ERROR without words: {}", error.text())
        })?;
    }
    let in_time = errors
        .iter()
        .filter(|error| error.header("message") == "Not connected.")
        .count();
    arena.close(
        IDLE_BYTES_MAX,
        format!("{CROWD} connections that say nothing: all closed by the broker, {in_time} told that no CONNECT came"),
    )
}

/// 9 900 connected clients that do nothing.
pub(super) fn idle_connections(_: bool) -> Result<Shown, Trouble> {
    let arena = Arena::open(&[])?;
    let lines = connected(arena.stomp, CROWD)?;
    arena.is_well()?;
    let resident = crate::process::resident_bytes(arena.pid());
    ensure(resident <= IDLE_BYTES_MAX, || {
        format!("{} MiB are resident with {CROWD} idle clients", resident >> 20)
    })?;
    drop(lines);
    arena.close(
        IDLE_BYTES_MAX,
        format!("{CROWD} connected clients that do nothing: {} MiB", resident >> 20),
    )
}

/// Clients that send one byte per second: half of them their CONNECT, half of them a SEND.
pub(super) fn byte_per_second(_: bool) -> Result<Shown, Trouble> {
    const CLIENTS: usize = 300;
    const SECONDS: usize = 5;
    let arena = Arena::open(&["--limits-connect-within=3s"])?.expecting("connection was refused");
    let mut strangers = open(arena.stomp, CLIENTS)?;
    let mut clients = connected(arena.stomp, CLIENTS)?;
    let frame = send("/queue/slow", "persistent:true\nreceipt:late\n", "one byte per second");
    for second in 0..SECONDS {
        for stranger in &mut strangers {
            match stranger.write(&connect("")[second..=second]) {
                Ok(()) | Err(Trouble::Cut(_)) => {}
                Err(trouble) => return Err(trouble),
            }
        }
        for client in &mut clients {
            client.write(&frame[second..=second])?;
        }
        // This is what it is about: time passes between two bytes.
        pace::pass(Duration::from_secs(1));
    }
    arena.is_well()?;
    let errors = told(&mut strangers)?;
    for client in &mut clients {
        client.ask(&frame[SECONDS..], "late")?;
    }
    drop(clients);
    let told = errors.len();
    arena.close(
        0,
        format!("{CLIENTS} send a byte of CONNECT per second: closed, {told} told why; {CLIENTS} a byte of SEND: confirmed when it is whole"),
    )
}

/// Clients that close their direction behind a SEND.
pub(super) fn half_closed(_: bool) -> Result<Shown, Trouble> {
    const CLIENTS: usize = 500;
    let arena = Arena::open(&[])?;
    let mut lines = open(arena.stomp, CLIENTS)?;
    for (number, line) in lines.iter_mut().enumerate() {
        let mut bytes = connect("");
        bytes.extend(send("/queue/half", "persistent:true\nreceipt:r\n", &number.to_string()));
        line.write(&bytes)?;
        line.say_no_more();
    }
    let mut confirmed = 0;
    for line in &mut lines {
        for frame in line.until_closed()? {
            ensure(frame.command != "ERROR", || frame.text())?;
            confirmed += usize::from(frame.command == "RECEIPT");
        }
    }
    let taken = take_all(arena.stomp, "/queue/half")?;
    let came: BTreeSet<_> = taken.iter().collect();
    ensure(came.len() == taken.len(), || "a message came twice".into())?;
    ensure(came.len() >= confirmed && came.len() <= CLIENTS, || {
        format!("{} messages of {confirmed} confirmed", came.len())
    })?;
    arena.close(
        0,
        format!(
            "{CLIENTS} clients close their direction behind a SEND: {} messages taken, {confirmed} confirmed",
            came.len()
        ),
    )
}

/// Clients that connect and are gone: what they leave unread makes the kernel reset the connection.
pub(super) fn vanishing(long: bool) -> Result<Shown, Trouble> {
    const AT_ONCE: usize = 250;
    let rounds = if long { 2_000 } else { 200 };
    let arena = Arena::open(&[])?;
    for _ in 0..rounds {
        let mut lines = open(arena.stomp, AT_ONCE)?;
        for line in &mut lines {
            let mut bytes = connect("");
            bytes.extend(subscribe("s", "/queue/gone", "ack:client\n"));
            bytes.extend(b"BEGIN\ntransaction:t\n\n\0");
            bytes.extend(send(
                "/queue/gone",
                "transaction:t\npersistent:true\n",
                "never committed",
            ));
            line.write(&bytes)?;
        }
        for line in &lines {
            // It waits for the answer and leaves it.
            line.stream().peek(&mut [0])?;
        }
    }
    arena.wait_alone()?;
    let status = arena.status()?;
    ensure(status["consumers"].as_u64() == Some(1), || {
        format!("consumers are left: {status}")
    })?;
    arena.close(
        (AT_ONCE as u64) << 17,
        format!(
            "{} clients subscribe, begin a transaction and vanish (RST)",
            rounds * AT_ONCE
        ),
    )
}
