//! Clients that do not read what they asked for.

use super::arena::{Arena, Shown};
use super::frames::{ALL_CLIENTS_BYTES, Pushed, push_all};
use super::line::{Line, send, subscribe, take_all};
use super::trouble::{Trouble, ensure};

/// Sends numbered messages of a size, each 100 with a receipt.
fn fill(line: &mut Line, destination: &str, headers: &str, count: usize, bytes: usize) -> Result<(), Trouble> {
    const AT_ONCE: usize = 100;
    let filler = "x".repeat(bytes);
    for first in (0..count).step_by(AT_ONCE) {
        let last = (first + AT_ONCE).min(count) - 1;
        let mut frames = Vec::new();
        for number in first..=last {
            let receipt = if number == last { "receipt:r\n" } else { "" };
            frames.extend(send(
                destination,
                &format!("{headers}{receipt}"),
                &format!("{number}:{filler}"),
            ));
        }
        line.ask(&frames, "r")?;
    }
    Ok(())
}

/// What `journal.body_cache_bytes` is by default.
const BODY_CACHE_BYTES: u64 = 32 << 20;

/// Consumers of a queue that never read, each with as much on its way as ActiveMQ's default prefetch gives.
pub(super) fn slow_consumers(_: bool) -> Result<Shown, Trouble> {
    const CONSUMERS: usize = 6;
    const BYTES: usize = 64 << 10;
    const MESSAGES: usize = 6_000;
    let arena = Arena::open(&[])?;
    let mut lines = Vec::new();
    for _ in 0..CONSUMERS {
        let mut line = Line::connected(arena.stomp)?;
        line.ask(&subscribe("never", "/queue/slow", "ack:client\nreceipt:s\n"), "s")?;
        lines.push(line);
    }
    let mut producer = Line::connected(arena.stomp)?;
    fill(&mut producer, "/queue/slow", "persistent:true\n", MESSAGES, BYTES)?;
    arena.is_well()?;
    drop(lines);
    let taken = take_all(arena.stomp, "/queue/slow")?;
    ensure(taken.len() == MESSAGES, || {
        format!("{} of {MESSAGES} messages came", taken.len())
    })?;
    drop(producer);
    arena.close(
        BODY_CACHE_BYTES + ALL_CLIENTS_BYTES,
        format!(
            "{CONSUMERS} consumers of a queue never read {MESSAGES} messages of 64 KiB; another then takes them all"
        ),
    )
}

/// Consumers of a topic that never read: what waits for them is bounded, and everybody else gets everything.
pub(super) fn slow_topic_consumers(_: bool) -> Result<Shown, Trouble> {
    const CONSUMERS: usize = 10;
    const BYTES: usize = 10 << 10;
    const MESSAGES: usize = 20_000;
    // As the defaults have it; what left the engine for the socket is on top, as ActiveMQ's prefetch allows.
    const CONSUMER_BYTES_MAX: u64 = 16 << 20;
    let arena = Arena::open(&[])?;
    let mut lines = Vec::new();
    for _ in 0..CONSUMERS {
        let mut line = Line::connected(arena.stomp)?;
        line.ask(
            &subscribe("never", "/topic/slow", "activemq.prefetchSize:100\nreceipt:s\n"),
            "s",
        )?;
        lines.push(line);
    }
    let mut reader = Line::connected(arena.stomp)?;
    reader.ask(&subscribe("all", "/topic/slow", "receipt:s\n"), "s")?;
    let stomp = arena.stomp;
    let producing = std::thread::spawn(move || {
        let mut producer = Line::connected(stomp)?;
        fill(&mut producer, "/topic/slow", "", MESSAGES, BYTES)
    });
    for number in 0..MESSAGES {
        let message = reader.expect("MESSAGE")?;
        let expected = format!("{number}:");
        ensure(message.body().starts_with(expected.as_bytes()), || {
            format!("instead of message {number}: {}", message.text())
        })?;
    }
    producing.join().expect("it does not panic")?;
    arena.is_well()?;
    drop((lines, reader));
    arena.close(
        CONSUMERS as u64 * CONSUMER_BYTES_MAX,
        format!("{CONSUMERS} consumers of a topic never read {MESSAGES} messages of 10 KiB; one that reads gets them all, in order"),
    )
}

/// Clients that ask for receipts, long ones, and read none.
pub(super) fn unread_receipts(_: bool) -> Result<Shown, Trouble> {
    const CLIENTS: usize = 4;
    const RECEIPT_BYTES: usize = 32 << 10;
    let arena = Arena::open(&[])?;
    let mut lines = Vec::new();
    for _ in 0..CLIENTS {
        lines.push(Line::connected(arena.stomp)?);
    }
    let receipt = format!("receipt:{}\n", "r".repeat(RECEIPT_BYTES));
    let pushed = push_all(&lines, &send("/topic/nobody", &receipt, ""), 1 << 30)?;
    ensure(!pushed.contains(&Pushed::Taken), || {
        "a client that reads nothing is read for ever".into()
    })?;
    arena.is_well()?;
    drop(lines);
    arena.close(
        ALL_CLIENTS_BYTES,
        format!("{CLIENTS} clients ask for receipts of 32 KiB and read none: no more is read from them"),
    )
}
