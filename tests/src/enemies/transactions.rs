//! Transactions that are begun and left.

use super::arena::{Arena, Shown};
use super::frames::ALL_CLIENTS_BYTES;
use super::line::{Line, send, take_all};
use super::trouble::{Trouble, ensure};

/// Ten thousand transactions with a message each, one more than a connection may have, and a few as large as they may become; then all clients are gone.
pub(super) fn left_open(_: bool) -> Result<Shown, Trouble> {
    const LINES: usize = 10;
    const EACH: usize = 1_000;
    const LARGE: usize = 10;
    const LARGE_BYTES: usize = 60 << 20;
    let arena = Arena::open(&[])?;
    let mut lines = Vec::new();
    for _ in 0..LINES {
        let mut line = Line::connected(arena.stomp)?;
        let mut frames = Vec::new();
        for number in 0..EACH {
            frames.extend(format!("BEGIN\ntransaction:{number}\n\n\0").into_bytes());
            frames.extend(send(
                "/queue/left",
                &format!("transaction:{number}\npersistent:true\n"),
                "left",
            ));
        }
        line.write(&frames)?;
        line.write(b"BEGIN\ntransaction:one more\n\n\0")?;
        let error = line.expect("ERROR")?;
        ensure(error.text().contains("1000"), || {
            format!("the limit is not named: {}", error.text())
        })?;
        lines.push(line);
    }
    arena.is_well()?;
    // Each below transaction_bytes_max; together they are as much as all clients may take, and more. Who is held up or refused is right; who is not is counted in memory.
    let body = "x".repeat(1 << 20);
    for _ in 0..LARGE {
        let mut line = Line::connected(arena.stomp)?;
        line.write(b"BEGIN\ntransaction:large\n\n\0")?;
        super::frames::push(
            &line,
            &send("/queue/left", "transaction:large\npersistent:true\n", &body),
            LARGE_BYTES,
        )?;
        lines.push(line);
    }
    arena.is_well()?;
    drop(lines);
    arena.wait_alone()?;
    let taken = take_all(arena.stomp, "/queue/left")?;
    ensure(taken.is_empty(), || {
        format!("{} messages of transactions that were left came", taken.len())
    })?;
    // Beside the budget of transactions: one unfinished frame of each large one, and what a transaction takes by itself.
    const BESIDE_BYTES: u64 = ((LARGE as u64) << 20) + ((LINES * EACH) as u64) * 1024;
    arena.close(
        ALL_CLIENTS_BYTES + BESIDE_BYTES,
        format!(
            "{} transactions with a message each and {LARGE} of up to 60 MiB, left: nothing of them came",
            LINES * EACH
        ),
    )
}
