//! Subscriptions: many at a time, many one after the other, many that last.

use std::collections::BTreeMap;
use std::time::Duration;

use super::arena::{Arena, Shown};
use super::line::{Line, ack, send, subscribe};
use super::trouble::{Trouble, ensure};

/// A thousand consumers of one queue that hold one message each.
pub(super) fn thousand_consumers(_: bool) -> Result<Shown, Trouble> {
    const LINES: usize = 100;
    const CONSUMERS: usize = 10;
    const MESSAGES: usize = 20_000;
    let arena = Arena::open(&[])?;
    let mut lines = Vec::new();
    for _ in 0..LINES {
        let mut line = Line::connected(arena.stomp)?;
        for consumer in 0..CONSUMERS {
            let headers = "ack:client-individual\nactivemq.prefetchSize:1\nreceipt:s\n";
            line.ask(&subscribe(&consumer.to_string(), "/queue/many", headers), "s")?;
        }
        lines.push(line);
    }
    let stomp = arena.stomp;
    let producing = std::thread::spawn(move || {
        let mut line = Line::connected(stomp)?;
        for first in (0..MESSAGES).step_by(100) {
            let mut frames = Vec::new();
            for number in first..first + 100 {
                let receipt = if number == first + 99 { "receipt:r\n" } else { "" };
                frames.extend(send(
                    "/queue/many",
                    &format!("persistent:true\n{receipt}"),
                    &number.to_string(),
                ));
            }
            line.ask(&frames, "r")?;
        }
        Ok::<_, Trouble>(())
    });
    // Each thread takes until the queue gives no more; the messages tell which is the last.
    let taken = std::sync::atomic::AtomicUsize::new(0);
    let counts = std::thread::scope(|scope| {
        let threads: Vec<_> = lines
            .iter_mut()
            .map(|line| scope.spawn(|| consume_until(line, &taken, MESSAGES)))
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().expect("it does not panic");
        threads.into_iter().map(join).collect::<Result<Vec<_>, Trouble>>()
    })?;
    producing.join().expect("it does not panic")?;
    let mut times = BTreeMap::<usize, usize>::new();
    let (mut idle, mut most) = (0, 0);
    for bodies in &counts {
        bodies.iter().for_each(|number| *times.entry(*number).or_default() += 1);
        idle += usize::from(bodies.is_empty());
        most = most.max(bodies.len());
    }
    ensure(
        times.len() == MESSAGES && times.values().all(|times| *times == 1),
        || {
            format!(
                "{} of {MESSAGES} messages came, one {} times",
                times.len(),
                times.values().max().unwrap_or(&0)
            )
        },
    )?;
    ensure(idle == 0, || format!("{idle} of {LINES} connections got nothing"))?;
    drop(lines);
    arena.close(
        32 << 20,
        format!("{} consumers with prefetch 1: each of {MESSAGES} messages once, at most {most} through one of {LINES} connections", LINES * CONSUMERS),
    )
}

fn consume_until(line: &mut Line, taken: &std::sync::atomic::AtomicUsize, all: usize) -> Result<Vec<usize>, Trouble> {
    use std::sync::atomic::Ordering::SeqCst;
    let mut numbers = Vec::new();
    while taken.load(SeqCst) < all {
        let Some(frame) = line.frame_within(Duration::from_millis(50))? else {
            continue;
        };
        ensure(frame.command == "MESSAGE", || frame.text())?;
        let text = String::from_utf8_lossy(frame.body());
        let number = text.parse().map_err(|_| Trouble::failed(format!("not ours: {text}")))?;
        numbers.push(number);
        taken.fetch_add(1, SeqCst);
        line.write(&ack(&frame, ""))?;
    }
    Ok(numbers)
}

/// SUBSCRIBE and UNSUBSCRIBE without an end, on queues and topics, by name and by pattern.
pub(super) fn churn(long: bool) -> Result<Shown, Trouble> {
    const AT_ONCE: usize = 100;
    let rounds = if long { 10_000 } else { 1_000 };
    let arena = Arena::open(&[])?;
    let mut line = Line::connected(arena.stomp)?;
    let mut middle = 0;
    for round in 0..rounds {
        let mut frames = Vec::new();
        for number in 0..AT_ONCE {
            let destination = ["/queue/churn", "/topic/churn", "/queue/ch.>", "/topic/*.rn"][number % 4];
            frames.extend(subscribe(
                &number.to_string(),
                destination,
                "selector:a > 1\nack:client\n",
            ));
        }
        for number in 0..AT_ONCE {
            let receipt = if number == AT_ONCE - 1 { "receipt:r\n" } else { "" };
            frames.extend(format!("UNSUBSCRIBE\nid:{number}\n{receipt}\n\0").into_bytes());
        }
        line.ask(&frames, "r")?;
        if round == rounds / 2 {
            middle = crate::process::resident_bytes(arena.pid());
        }
    }
    let end = crate::process::resident_bytes(arena.pid());
    ensure(end <= middle + (4 << 20), || {
        format!(
            "the second half of the rounds took memory from {} to {} MiB",
            middle >> 20,
            end >> 20
        )
    })?;
    arena.is_well()?;
    drop(line);
    arena.close(
        0,
        format!(
            "{} times SUBSCRIBE and UNSUBSCRIBE: memory stays flat",
            rounds * AT_ONCE
        ),
    )
}

/// Durable subscriptions that nobody serves, up to the limit and beyond it.
pub(super) fn durable(long: bool) -> Result<Shown, Trouble> {
    const AT_ONCE: usize = 500;
    // What a subscription may take in memory, its names included.
    const EACH_BYTES: u64 = 2 << 10;
    let limit: usize = if long { 100_000 } else { 4_000 };
    let arena = Arena::open(&[&format!("--limits-durable-subscriptions-max={limit}")])?;
    for first in (0..limit).step_by(AT_ONCE) {
        let mut line = Line::connected_with(arena.stomp, &format!("client-id:c{first}\n"))?;
        let mut frames = Vec::new();
        for number in first..first + AT_ONCE {
            let receipt = if number == first + AT_ONCE - 1 {
                "receipt:r\n"
            } else {
                ""
            };
            let headers = format!("activemq.subscriptionName:d{number}\nselector:n = {number}\n{receipt}");
            frames.extend(subscribe(&number.to_string(), "/topic/lasting", &headers));
        }
        line.ask(&frames, "r")?;
        line.ask(b"DISCONNECT\nreceipt:bye\n\n\0", "bye")?;
    }
    let mut line = Line::connected_with(arena.stomp, "client-id:more\n")?;
    line.write(&subscribe(
        "more",
        "/topic/lasting",
        "activemq.subscriptionName:more\nreceipt:r\n",
    ))?;
    let error = line.expect("ERROR")?;
    ensure(error.text().contains(&limit.to_string()), || {
        format!("the limit is not named: {}", error.text())
    })?;
    // One of them matches.
    line.ask(
        &send("/topic/lasting", "n:17\npersistent:true\nreceipt:s\n", "seventeen"),
        "s",
    )?;
    arena.is_well()?;
    let mut owner = Line::connected_with(arena.stomp, "client-id:c0\n")?;
    owner.write(&subscribe(
        "17",
        "/topic/lasting",
        "activemq.subscriptionName:d17\nselector:n = 17\n",
    ))?;
    let message = owner.expect("MESSAGE")?;
    ensure(message.body() == b"seventeen", || message.text())?;
    drop((line, owner));
    arena.close(
        limit as u64 * EACH_BYTES,
        format!(
            "{limit} durable subscriptions, each with a selector; one more is refused: {}",
            error.header("message")
        ),
    )
}
