//! Selectors that go wrong, and selectors that cost much.

use super::arena::{Arena, Shown};
use super::line::{Line, send, subscribe, take_all};
use super::trouble::{Trouble, ensure};

/// `>` over everything, with a selector that has no value for any message, and one that is none.
pub(super) fn erring_selector(_: bool) -> Result<Shown, Trouble> {
    const QUEUES: usize = 200;
    const MESSAGES: usize = 20;
    let arena = Arena::open(&[])?;
    let mut enemy = Line::connected(arena.stomp)?;
    enemy.write(&subscribe("bad", "/queue/>", "selector:color = = 'red'\nreceipt:bad\n"))?;
    let error = enemy.expect("ERROR")?;
    ensure(!error.header("message").is_empty(), || error.text())?;
    for (id, destination) in [("q", "/queue/>"), ("t", "/topic/>")] {
        // Text minus a number, a division by zero, a property that no message has: neither true nor false.
        for (number, selector) in ["color - 1 > 0", "size / 0 > 1 OR size % 0 = 1", "NOT (missing * 2 > 7)"]
            .iter()
            .enumerate()
        {
            let headers = format!("selector:{selector}\nack:client\nreceipt:s\n");
            enemy.ask(&subscribe(&format!("{id}{number}"), destination, &headers), "s")?;
        }
    }
    let mut producer = Line::connected(arena.stomp)?;
    for queue in 0..QUEUES {
        let mut frames = Vec::new();
        for number in 0..MESSAGES {
            let headers = "persistent:true\ncolor:red\nsize:7\n";
            frames.extend(send(&format!("/queue/sel.{queue}"), headers, &number.to_string()));
            frames.extend(send(&format!("/topic/sel.{queue}"), "color:red\nsize:7\n", "news"));
        }
        frames.extend(send("/topic/none", "receipt:r\n", ""));
        producer.ask(&frames, "r")?;
    }
    arena.is_well()?;
    for queue in 0..QUEUES {
        let taken = take_all(arena.stomp, &format!("/queue/sel.{queue}"))?;
        let expected: Vec<_> = (0..MESSAGES).map(|number| number.to_string().into_bytes()).collect();
        ensure(taken == expected, || {
            format!("{} of {MESSAGES} messages of queue {queue} came", taken.len())
        })?;
    }
    enemy.write(b"DISCONNECT\nreceipt:bye\n\n\0")?;
    for frame in enemy.until_closed()? {
        ensure(frame.command == "RECEIPT", || {
            format!("an erring selector got {}", frame.text())
        })?;
    }
    drop(producer);
    arena.close(
        32 << 20,
        format!("six subscriptions to > whose selectors err on {} messages in {QUEUES} queues and topics: they get none, who asks without gets all", 2 * QUEUES * MESSAGES),
    )
}

/// A thousand topic subscriptions, each with a selector that costs much for every message.
pub(super) fn costly_selectors(_: bool) -> Result<Shown, Trouble> {
    const SUBSCRIPTIONS: usize = 1_000;
    const MESSAGES: usize = 20;
    let arena = Arena::open(&[])?;
    let mut enemy = Line::connected(arena.stomp)?;
    let selector = vec!["text LIKE '%a%a%a%a%b'"; 40].join(" OR ");
    for number in 0..SUBSCRIPTIONS {
        let headers = format!("selector:{selector}\nreceipt:s\n");
        enemy.ask(&subscribe(&number.to_string(), "/topic/costly", &headers), "s")?;
    }
    let mut producer = Line::connected(arena.stomp)?;
    let text = format!("text:{}\nreceipt:r\n", "a".repeat(1_000));
    for _ in 0..MESSAGES {
        producer.ask(&send("/topic/costly", &text, ""), "r")?;
    }
    arena.is_well()?;
    drop((enemy, producer));
    arena.close(
        32 << 20,
        format!(
            "{SUBSCRIPTIONS} subscriptions with selectors of {} bytes, {MESSAGES} messages that cost most",
            selector.len()
        ),
    )
}
