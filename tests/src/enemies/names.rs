//! Destinations, as many as there may be and more.

use super::arena::{Arena, Shown};
use super::line::{Line, send, take_all};
use super::trouble::{Trouble, ensure};

/// A message in each of as many queues as there may be; then as many names again, all refused.
pub(super) fn many_queues(long: bool) -> Result<Shown, Trouble> {
    const AT_ONCE: usize = 500;
    // What a queue with a message may take in memory, its name included.
    const EACH_BYTES: u64 = 3 << 10;
    let limit: usize = if long { 100_000 } else { 10_000 };
    let refused_max = if long { 900_000 } else { 50_000 };
    let arena = Arena::open(&[&format!("--limits-destinations-max={limit}")])?;
    let mut line = Line::connected(arena.stomp)?;
    let (mut made, mut refused, mut first_error) = (0, 0, String::new());
    while refused < refused_max {
        let mut frames = Vec::new();
        for number in made + refused..made + refused + AT_ONCE {
            frames.extend(send(
                &format!("/queue/name.{number}"),
                "persistent:true\nreceipt:r\n",
                "x",
            ));
        }
        line.write(&frames)?;
        for _ in 0..AT_ONCE {
            let frame = line.frame()?;
            if frame.command == "RECEIPT" {
                ensure(refused == 0, || "a queue was made after one was refused".into())?;
                made += 1;
            } else {
                ensure(frame.text().contains(&limit.to_string()), || {
                    format!("the limit is not named: {}", frame.text())
                })?;
                first_error = frame.header("message").to_owned();
                refused += 1;
            }
        }
    }
    ensure(made <= limit && made + 10 > limit, || {
        format!("{made} queues were made, {limit} are allowed")
    })?;
    arena.is_well()?;
    drop(line);
    let taken = take_all(arena.stomp, "/queue/name.0")?;
    ensure(taken.len() == 1, || {
        format!("{} messages in the first queue", taken.len())
    })?;
    arena.close(
        limit as u64 * EACH_BYTES,
        format!("{made} queues with a message each; {refused} more names refused: {first_error}"),
    )
}
