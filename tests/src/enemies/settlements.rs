//! ACKs and NACKs, more and other than the broker waits for.

use super::arena::{Arena, Shown};
use super::line::{Line, send, subscribe, take_all};
use super::trouble::{Trouble, ensure};

/// Acknowledgements of what was never delivered, in a flood; the connection stays usable.
pub(super) fn unknown_acks(_: bool) -> Result<Shown, Trouble> {
    const ROUNDS: usize = 100;
    const EACH: usize = 1_000;
    let arena = Arena::open(&[])?;
    let mut line = Line::connected(arena.stomp)?;
    line.ask(&subscribe("s", "/queue/unknown", "ack:client\nreceipt:s\n"), "s")?;
    for round in 0..ROUNDS {
        let mut frames = Vec::new();
        for number in 0..EACH {
            let command = ["ACK", "NACK"][number % 2];
            let id = ["holdfast-1-2-1-", "never-", "holdfast-99-1-1-", ""][number % 4];
            frames.extend(format!("{command}\nid:{id}{round}{number}\n\n\0").into_bytes());
        }
        line.write(&frames)?;
        for _ in 0..EACH {
            let error = line.expect("ERROR")?;
            ensure(!error.header("message").is_empty(), || error.text())?;
        }
    }
    arena.is_well()?;
    line.ask(&send("/queue/unknown", "persistent:true\nreceipt:r\n", "known"), "r")?;
    drop(line);
    let taken = take_all(arena.stomp, "/queue/unknown")?;
    ensure(taken == [b"known".to_vec()], || {
        format!("{} messages came instead of one", taken.len())
    })?;
    arena.close(
        0,
        format!(
            "{} ACKs and NACKs of what never was: an ERROR for each, the connection stays usable",
            ROUNDS * EACH
        ),
    )
}

/// Every delivery is rejected: each is in the dead-letter queue, once.
pub(super) fn nack_storm(_: bool) -> Result<Shown, Trouble> {
    const MESSAGES: usize = 20_000;
    const EACH: usize = 100;
    let arena = Arena::open(&[])?;
    let mut producer = Line::connected(arena.stomp)?;
    let mut consumer = Line::connected(arena.stomp)?;
    consumer.ask(
        &subscribe("s", "/queue/nacked", "ack:client-individual\nreceipt:s\n"),
        "s",
    )?;
    for first in (0..MESSAGES).step_by(EACH) {
        let mut frames = Vec::new();
        for number in first..first + EACH {
            let receipt = if number == first + EACH - 1 { "receipt:r\n" } else { "" };
            frames.extend(send(
                "/queue/nacked",
                &format!("persistent:true\n{receipt}"),
                &number.to_string(),
            ));
        }
        producer.ask(&frames, "r")?;
        let mut nacks = Vec::new();
        for number in 0..EACH {
            let message = consumer.expect("MESSAGE")?;
            let receipt = if number == EACH - 1 { "receipt:n\n" } else { "" };
            nacks.extend(format!("NACK\nid:{}\n{receipt}\n\0", message.header("ack")).into_bytes());
        }
        consumer.ask(&nacks, "n")?;
    }
    arena.is_well()?;
    drop((producer, consumer));
    let dead = take_all(arena.stomp, "/queue/ActiveMQ.DLQ")?;
    let expected: Vec<_> = (0..MESSAGES).map(|number| number.to_string().into_bytes()).collect();
    ensure(dead == expected, || {
        format!("{} messages are in the dead-letter queue", dead.len())
    })?;
    let left = take_all(arena.stomp, "/queue/nacked")?;
    ensure(left.is_empty(), || {
        format!("{} rejected messages came back", left.len())
    })?;
    arena.close(
        32 << 20,
        format!("{MESSAGES} NACKs: each message is in the dead-letter queue, once, in order"),
    )
}
