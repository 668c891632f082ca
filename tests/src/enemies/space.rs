//! No space: a disk that fills up again and again, and clients that produce and consume over one connection at every limit.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::arena::{Arena, Shown};
use super::line::{Line, ack, send, subscribe, take_all};
use super::trouble::{Trouble, ensure};
use crate::process::{Launch, SmallFileSystem};

const DISK_BYTES: u64 = 64 << 20;

/// What a broker says when persistent sends begin to wait.
const WAITS: &str = "wait for space";

fn small_disk() -> Result<(SmallFileSystem, Arena), Trouble> {
    let disk = SmallFileSystem::mount(DISK_BYTES)?;
    let arena = Arena::of(&Launch::small(&disk.path().join("data")), &[WAITS])?;
    Ok((disk, arena))
}

fn sends_wait(arena: &Arena, wanted: bool) -> Result<(), Trouble> {
    arena.wait_for(&format!("sends wait: {wanted}"), |status| {
        status["disk"]["sends_wait"].as_bool() == Some(wanted)
    })
}

/// Sends numbered messages, each with a receipt, until it is told to end; the number of the last that was confirmed.
fn flood(stomp: SocketAddr, over: &AtomicBool, confirmed: &AtomicU64) -> Result<(), Trouble> {
    const AT_ONCE: u64 = 8;
    let mut line = Line::connected(stomp)?;
    let filler = "x".repeat(16 << 10);
    let mut number = 0;
    while !over.load(Ordering::SeqCst) {
        let mut frames = Vec::new();
        for next in number + 1..=number + AT_ONCE {
            frames.extend(send(
                "/queue/flood",
                &format!("persistent:true\nreceipt:{next}\n"),
                &format!("{next}:{filler}"),
            ));
        }
        line.write(&frames)?;
        for next in number + 1..=number + AT_ONCE {
            line.receipt(&next.to_string())?;
            confirmed.store(next, Ordering::SeqCst);
        }
        number += AT_ONCE;
    }
    line.ask(b"DISCONNECT\nreceipt:bye\n\n\0", "bye")
}

fn number_of(body: &[u8]) -> Result<u64, Trouble> {
    let text = String::from_utf8_lossy(body);
    let number = text.split(':').next().and_then(|number| number.parse().ok());
    number.ok_or_else(|| Trouble::failed(format!("not ours: {}", text.chars().take(40).collect::<String>())))
}

/// Fills the disk with what is not the broker's.
fn fill_with_foreign_bytes(file: &Path) -> Result<(), Trouble> {
    let mut file = fs::File::create(file)?;
    let block = vec![0; 64 << 10];
    // Until it is full: what the last write did not take does not matter.
    while file.write_all(&block).is_ok() {}
    Ok(())
}

/// Fills the disk under load and frees it, again and again, by messages and by foreign files in turn.
pub(super) fn full_disk(_: bool) -> Result<Shown, Trouble> {
    const ROUNDS: usize = 10;
    const STOCK: usize = 500;
    const ACKS_WHILE_FULL: usize = STOCK / ROUNDS;
    let (disk, arena) = small_disk()?;
    // What is acknowledged while the disk is full.
    let mut holder = Line::connected(arena.stomp)?;
    for number in 0..STOCK {
        let frame = send("/queue/stock", "persistent:true\nreceipt:r\n", &number.to_string());
        holder.ask(&frame, "r")?;
    }
    holder.write(&subscribe("s", "/queue/stock", "ack:client-individual\n"))?;
    let mut stock = Vec::new();
    for _ in 0..STOCK {
        stock.push(holder.expect("MESSAGE")?);
    }
    let (over, confirmed) = (AtomicBool::new(false), AtomicU64::new(0));
    let foreign = disk.path().join("foreign");
    let mut taken = Vec::new();
    std::thread::scope(|scope| {
        let flooding = scope.spawn(|| flood(arena.stomp, &over, &confirmed));
        let rounds = (|| {
            for round in 0..ROUNDS {
                if round % 2 == 1 {
                    fill_with_foreign_bytes(&foreign)?;
                }
                sends_wait(&arena, true)?;
                for message in stock.drain(..ACKS_WHILE_FULL) {
                    holder
                        .ask(&ack(&message, "receipt:a\n"), "a")
                        .map_err(|trouble| trouble.during("an acknowledgement on a full disk"))?;
                }
                if round % 2 == 1 {
                    fs::remove_file(&foreign)?;
                }
                taken.extend(take_all(arena.stomp, "/queue/flood")?);
                arena
                    .is_well()
                    .map_err(|trouble| trouble.during("after the disk was freed"))?;
            }
            Ok(())
        })();
        over.store(true, Ordering::SeqCst);
        // It may be waiting for space.
        let freed = take_all(arena.stomp, "/queue/flood").map(|more| taken.extend(more));
        rounds.and(freed).and(flooding.join().expect("it does not panic"))
    })?;
    taken.extend(take_all(arena.stomp, "/queue/flood")?);
    let numbers = taken
        .iter()
        .map(|body| number_of(body))
        .collect::<Result<Vec<_>, _>>()?;
    let once: BTreeSet<u64> = numbers.iter().copied().collect();
    let confirmed = confirmed.into_inner();
    ensure(once.len() == numbers.len(), || {
        format!("{} of {} came twice", numbers.len() - once.len(), numbers.len())
    })?;
    ensure(once.len() as u64 == confirmed, || {
        format!("{} of {confirmed} confirmed messages came", once.len())
    })?;
    drop(holder);
    let left = take_all(arena.stomp, "/queue/stock")?;
    ensure(left.is_empty(), || {
        format!("{} acknowledged messages came back", left.len())
    })?;
    arena.close(
        DISK_BYTES,
        format!("the disk filled and freed {ROUNDS} times under {confirmed} messages of 16 KiB: {STOCK} acknowledgements while it was full"),
    )
}

/// Sends over the connection that consumes, more than there is room for, and acknowledges only what came: everything must come through.
fn send_and_consume(
    arena: &Arena,
    headers: &str,
    messages: usize,
    bytes: usize,
    at_once: usize,
) -> Result<(), Trouble> {
    let filler = "x".repeat(bytes);
    let mut line = Line::connected(arena.stomp)?;
    line.ask(
        &subscribe("own", "/queue/own", "ack:client-individual\nreceipt:s\n"),
        "s",
    )?;
    let (mut sent, mut confirmed, mut came) = (0, 0, 0);
    while came < messages || confirmed < messages {
        while sent < messages && sent - confirmed < at_once {
            sent += 1;
            line.write(&send(
                "/queue/own",
                &format!("{headers}receipt:{sent}\n"),
                &format!("{sent}:{filler}"),
            ))?;
        }
        let frame = line.frame()?;
        match frame.command.as_str() {
            "RECEIPT" => confirmed += 1,
            "MESSAGE" => {
                came += 1;
                let number = number_of(frame.body())?;
                ensure(number == came as u64, || format!("message {number} instead of {came}"))?;
                line.write(&ack(&frame, ""))?;
            }
            _ => return Err(Trouble::failed(format!("in the middle of it: {}", frame.text()))),
        }
    }
    line.ask(b"DISCONNECT\nreceipt:bye\n\n\0", "bye")
}

/// With less memory for messages that are not persistent than one round of sends takes.
pub(super) fn own_consumer_memory(_: bool) -> Result<Shown, Trouble> {
    const MESSAGES: usize = 3_000;
    let arena = Arena::open(&["--limits-volatile-bytes-max=1MiB"])?.expecting("sends wait");
    // A foreign backlog keeps nearly all of it, so that every few sends wait.
    let mut other = Line::connected(arena.stomp)?;
    other.ask(&send("/queue/foreign", "receipt:r\n", &"x".repeat(900 << 10)), "r")?;
    send_and_consume(&arena, "", MESSAGES, 10 << 10, 60)?;
    drop(other);
    arena.close(
        16 << 20,
        format!("{MESSAGES} messages produced and consumed over one connection, with memory for ten at a time"),
    )
}

/// With a disk that is full of what the connection itself has to consume.
pub(super) fn own_consumer_disk(_: bool) -> Result<Shown, Trouble> {
    const ROUNDS: usize = 3;
    let (_disk, arena) = small_disk()?;
    let filler = "x".repeat(30 << 10);
    let mut line = Line::connected(arena.stomp)?;
    let headers = "ack:client-individual\nactivemq.prefetchSize:32000\nreceipt:s\n";
    line.ask(&subscribe("own", "/queue/own", headers), "s")?;
    let (mut sent, mut confirmed, mut came) = (0, 0, 0);
    for _ in 0..ROUNDS {
        // Until one waits: a few at a time, so that acknowledgements behind them are within what is read ahead.
        let mut held = Vec::new();
        loop {
            for _ in 0..10 {
                sent += 1;
                line.write(&send(
                    "/queue/own",
                    &format!("persistent:true\nreceipt:{sent}\n"),
                    &format!("{sent}:{filler}"),
                ))?;
            }
            let mut waits = false;
            while confirmed < sent && !waits {
                match line.frame_within(std::time::Duration::from_millis(200))? {
                    Some(frame) if frame.command == "RECEIPT" => confirmed += 1,
                    Some(frame) if frame.command == "MESSAGE" => held.push(frame),
                    Some(frame) => return Err(Trouble::failed(frame.text())),
                    None => waits = arena.status()?["disk"]["sends_wait"].as_bool() == Some(true),
                }
            }
            if waits {
                break;
            }
        }
        // What it holds makes room for what it sends.
        while confirmed < sent || !held.is_empty() {
            for frame in held.drain(..) {
                came += 1;
                ensure(number_of(frame.body())? == came, || {
                    format!("instead of {came}: {}", frame.text())
                })?;
                line.write(&ack(&frame, ""))?;
            }
            if confirmed < sent {
                let frame = line.frame()?;
                match frame.command.as_str() {
                    "RECEIPT" => confirmed += 1,
                    "MESSAGE" => held.push(frame),
                    _ => return Err(Trouble::failed(frame.text())),
                }
            }
        }
    }
    while came < sent {
        let frame = line.expect("MESSAGE")?;
        came += 1;
        ensure(number_of(frame.body())? == came, || {
            format!("instead of {came}: {}", frame.text())
        })?;
        line.write(&ack(&frame, ""))?;
    }
    line.ask(b"DISCONNECT\nreceipt:bye\n\n\0", "bye")?;
    arena.close(
        DISK_BYTES,
        format!("the disk filled {ROUNDS} times by a connection that then acknowledges: {sent} messages came through"),
    )
}

/// At the other limits of a connection: prefetch, transaction, answers that wait, a topic's bound, and sends that fail instead of waiting.
pub(super) fn own_consumer_limits(_: bool) -> Result<Shown, Trouble> {
    let flags = [
        "--limits-volatile-bytes-max=1MiB",
        "--limits-transaction-bytes-max=64KiB",
        "--limits-send-fail-if-no-space=true",
        "--limits-prefetch-max=1",
        "--limits-topic-consumer-messages-max=10",
    ];
    let arena = Arena::open(&flags)?;
    send_and_consume(&arena, "persistent:true\n", 2_000, 100, 100)?;
    let mut line = Line::connected(arena.stomp)?;
    for (id, destination) in [("q", "/queue/limit"), ("t", "/topic/limit")] {
        line.ask(&subscribe(id, destination, "ack:client-individual\nreceipt:s\n"), "s")?;
    }
    // A transaction that is too large is refused as a whole, and the connection goes on.
    line.write(b"BEGIN\ntransaction:t\n\n\0")?;
    for _ in 0..5 {
        line.write(&send(
            "/queue/limit",
            "transaction:t\npersistent:true\n",
            &"x".repeat(20_000),
        ))?;
    }
    line.write(b"COMMIT\ntransaction:t\nreceipt:c\n\n\0")?;
    loop {
        let frame = line.expect("ERROR")?;
        ensure(frame.text().contains("65536"), || {
            format!("the limit is not named: {}", frame.text())
        })?;
        if frame.header("receipt-id") == "c" {
            break;
        }
    }
    // Sends without space fail with ActiveMQ's words, and what is consumed makes room.
    let mut failed = 0;
    for number in 0..200 {
        line.write(&send(
            "/queue/limit",
            &format!("receipt:{number}\n"),
            &"x".repeat(20_000),
        ))?;
    }
    let (mut answered, mut held) = (0, Vec::new());
    while answered < 200 {
        let frame = line.frame()?;
        match frame.command.as_str() {
            "MESSAGE" => held.push(frame),
            "RECEIPT" => answered += 1,
            _ => {
                ensure(frame.text().contains("Usage Manager Memory Limit reached"), || {
                    frame.text()
                })?;
                answered += 1;
                failed += 1;
            }
        }
    }
    ensure(failed > 0, || "no send failed for want of memory".into())?;
    let first = match held.pop() {
        Some(frame) => frame,
        None => line.expect("MESSAGE")?,
    };
    line.ask(&ack(&first, "receipt:a\n"), "a")
        .map_err(|trouble| trouble.during("an acknowledgement while memory is full"))?;
    line.ask(b"UNSUBSCRIBE\nid:q\nreceipt:u\n\n\0", "u")?;
    let taken = take_all(arena.stomp, "/queue/limit")?;
    ensure(taken.len() + 1 + failed == 200, || {
        format!(
            "{} messages came of {} that were confirmed",
            taken.len() + 1,
            200 - failed
        )
    })?;
    line.ask(&send("/queue/limit", "receipt:again\n", "again"), "again")?;
    // More answers than may wait, and nobody reads until everything is written.
    const UNREAD: usize = 30_000;
    let stomp = arena.stomp;
    let (mut writer, unread) = (Line::connected(stomp)?, send("/topic/limit", "receipt:r\n", "x"));
    let mut reader = writer.other_end()?;
    std::thread::scope(|scope| {
        let writing = scope.spawn(move || writer.write(&unread.repeat(UNREAD)));
        for _ in 0..UNREAD {
            reader.expect("RECEIPT")?;
        }
        writing.join().expect("it does not panic")
    })?;
    drop((line, reader));
    arena.close(
        16 << 20,
        format!("at prefetch 1, 64 KiB of transaction, {UNREAD} answers, full memory ({failed} sends fail in ActiveMQ's words): the connection goes on"),
    )
}
