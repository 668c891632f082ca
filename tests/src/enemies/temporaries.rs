//! Temporary queues, made and dropped without an end.

use std::time::Instant;

use super::arena::{Arena, Shown};
use super::line::{Line, send, subscribe};
use super::trouble::{Trouble, ensure};

/// Requests that are answered through a temporary queue of their own: as many as a thousand per second are in a minute, or in an hour.
pub(super) fn created_and_dropped(long: bool) -> Result<Shown, Trouble> {
    const EACH: usize = 200;
    let connections = if long { 18_000 } else { 300 };
    let arena = Arena::open(&[])?;
    let begun = Instant::now();
    let mut middle = 0;
    let mut server = Line::connected(arena.stomp)?;
    server.ask(&subscribe("requests", "/queue/requests", "receipt:s\n"), "s")?;
    for connection in 0..connections {
        let mut client = Line::connected(arena.stomp)?;
        let mut requests = Vec::new();
        for number in 0..EACH {
            let own = format!("/temp-queue/answer.{number}");
            requests.extend(subscribe(&number.to_string(), &own, "ack:auto\n"));
            requests.extend(send(
                "/queue/requests",
                &format!("reply-to:{own}\n"),
                &number.to_string(),
            ));
        }
        client.write(&requests)?;
        let mut answers = Vec::new();
        for _ in 0..EACH {
            let request = server.expect("MESSAGE")?;
            let number = String::from_utf8_lossy(request.body()).into_owned();
            answers.extend(send(request.header("reply-to"), "", &number));
        }
        server.write(&answers)?;
        let mut answered = [false; EACH];
        for _ in 0..EACH {
            let answer = client.expect("MESSAGE")?;
            let text = String::from_utf8_lossy(answer.body()).into_owned();
            let number: usize = text.parse().map_err(|_| Trouble::failed(answer.text()))?;
            ensure(!std::mem::replace(&mut answered[number], true), || {
                format!("{number} came twice")
            })?;
        }
        client.ask(b"DISCONNECT\nreceipt:bye\n\n\0", "bye")?;
        if connection == connections / 2 {
            middle = crate::process::resident_bytes(arena.pid());
        }
    }
    drop(server);
    let (count, took) = (connections * EACH, begun.elapsed());
    let end = crate::process::resident_bytes(arena.pid());
    ensure(end <= middle + (4 << 20), || {
        format!("the second half took memory from {} to {} MiB", middle >> 20, end >> 20)
    })?;
    arena.wait_alone()?;
    let destinations = arena.number("destinations")?;
    ensure(destinations <= 3, || format!("{destinations} destinations are left"))?;
    arena.close(
        16 << 20,
        format!(
            "{count} temporary queues made, used and dropped, {:.0} per second: memory stays flat",
            count as f64 / took.as_secs_f64()
        ),
    )
}
