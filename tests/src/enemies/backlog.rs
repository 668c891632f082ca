//! One queue with a million messages: a selector that matches the last, a browser that sees them all, and a purge while others work.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::arena::{Arena, Shown};
use super::line::{Line, ack, send, subscribe, take_all};
use super::pace;
use super::trouble::{Trouble, ensure};
use crate::process::post;

const MESSAGES: usize = 1_000_000;

/// Clients that wait for one receipt after the other while the queue is purged.
const WORKERS: usize = 4;

/// A million bodies are read back to find the one: that takes as long as the disk takes.
const SELECTED_WITHIN: Duration = Duration::from_secs(600);

/// How long they work before, to compare with.
const QUIET: Duration = Duration::from_secs(3);

/// What an entry may take in memory, its place in the log included, and what is cached of bodies.
const ENTRY_BYTES_MAX: u64 = 100;
const BODY_CACHE_BYTES: u64 = 32 << 20;

fn fill(stomp: SocketAddr) -> Result<(), Trouble> {
    const AT_ONCE: usize = 5_000;
    let mut line = Line::connected(stomp)?;
    for first in (0..MESSAGES).step_by(AT_ONCE) {
        let mut frames = Vec::with_capacity(AT_ONCE * 120);
        for number in first..first + AT_ONCE {
            let receipt = if number == first + AT_ONCE - 1 {
                "receipt:r\n"
            } else {
                ""
            };
            frames.extend(send(
                "/queue/million",
                &format!("persistent:true\nn:{number}\n{receipt}"),
                &number.to_string(),
            ));
        }
        line.ask(&frames, "r")?;
    }
    Ok(())
}

/// Sends and waits for the receipt, again and again; how long each took.
fn work(stomp: SocketAddr, worker: usize, over: &AtomicBool) -> Result<Vec<Duration>, Trouble> {
    let mut line = Line::connected(stomp)?;
    let frame = send(
        &format!("/queue/worker.{worker}"),
        "persistent:true\nreceipt:r\n",
        &"x".repeat(1000),
    );
    let mut times = Vec::new();
    while !over.load(Ordering::SeqCst) {
        let begun = Instant::now();
        line.ask(&frame, "r")?;
        times.push(begun.elapsed());
    }
    Ok(times)
}

/// What clients beside it measure while something goes on.
fn beside<T>(stomp: SocketAddr, act: impl FnOnce() -> Result<T, Trouble>) -> Result<(T, Vec<Duration>), Trouble> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let over = &over;
        let threads: Vec<_> = (0..WORKERS)
            .map(|worker| scope.spawn(move || work(stomp, worker, over)))
            .collect();
        let result = act();
        over.store(true, Ordering::SeqCst);
        let mut times = Vec::new();
        for thread in threads {
            times.extend(thread.join().expect("it does not panic")?);
        }
        times.sort();
        Ok((result?, times))
    })
}

fn percentile(sorted: &[Duration], of_thousand: usize) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted
        .get((sorted.len() * of_thousand / 1000).min(last))
        .copied()
        .unwrap_or_default()
}

fn select_the_last(stomp: SocketAddr) -> Result<Duration, Trouble> {
    let mut line = Line::connected(stomp)?.patient(SELECTED_WITHIN);
    let begun = Instant::now();
    let selector = format!("selector:n = {}\nack:client-individual\n", MESSAGES - 1);
    line.write(&subscribe("last", "/queue/million", &selector))?;
    let message = line.expect("MESSAGE")?;
    let took = begun.elapsed();
    ensure(message.body() == (MESSAGES - 1).to_string().as_bytes(), || {
        message.text()
    })?;
    line.ask(&ack(&message, "receipt:r\n"), "r")?;
    line.ask(b"UNSUBSCRIBE\nid:last\nreceipt:u\n\n\0", "u")?;
    Ok(took)
}

fn browse(stomp: SocketAddr) -> Result<Duration, Trouble> {
    let mut line = Line::connected(stomp)?;
    let begun = Instant::now();
    line.write(&subscribe("browse", "/queue/million", "browser:true\nack:auto\n"))?;
    for number in 0..MESSAGES - 1 {
        let message = line.expect("MESSAGE")?;
        ensure(message.body() == number.to_string().as_bytes(), || {
            format!("the browser saw, instead of message {number}: {}", message.text())
        })?;
    }
    let end = line.expect("MESSAGE")?;
    ensure(end.header("browser") == "end", || {
        format!("no end of the browser: {}", end.text())
    })?;
    Ok(begun.elapsed())
}

/// All three.
pub(super) fn million(_: bool) -> Result<Shown, Trouble> {
    let arena = Arena::open(&[])?;
    fill(arena.stomp)?;
    let selected = select_the_last(arena.stomp)?;
    arena.is_well()?;
    let browsed = browse(arena.stomp)?;
    arena.is_well()?;
    let ((), quiet) = beside(arena.stomp, || {
        pace::pass(QUIET);
        Ok(())
    })?;
    let begun = Instant::now();
    let (purged, meanwhile) = beside(arena.stomp, || {
        let answer = post(arena.admin, "/api/destinations/purge", r#"{"name": "queue://million"}"#)?;
        ensure(answer.status == 200, || {
            format!("the purge got {}: {}", answer.status, answer.body)
        })?;
        Ok(begun.elapsed())
    })?;
    let left = take_all(arena.stomp, "/queue/million")?;
    ensure(left.is_empty(), || {
        format!("{} messages are left behind the purge", left.len())
    })?;
    let p99 = |times: &[Duration]| percentile(times, 990).as_secs_f64() * 1e3;
    arena.close(
        MESSAGES as u64 * ENTRY_BYTES_MAX + BODY_CACHE_BYTES,
        format!(
            "{MESSAGES} messages: the last one by selector in {:.0} ms, browsed in {:.1} s, purged in {:.0} ms; p99 of {WORKERS} others {:.1} ms before ({} sends), {:.1} ms meanwhile ({} sends)",
            selected.as_secs_f64() * 1e3,
            browsed.as_secs_f64(),
            purged.as_secs_f64() * 1e3,
            p99(&quiet),
            quiet.len(),
            p99(&meanwhile),
            meanwhile.len()
        ),
    )
}
