//! Frames that are too long, and clients that go on after they were told so.

use std::io::{ErrorKind, Write};
use std::time::Duration;

use super::arena::{Arena, Shown};
use super::line::{Line, connect, send, take_all};
use super::trouble::{Trouble, ensure};

/// What became of a client that writes and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// The broker closed.
    Cut,
    /// The broker took nothing more, for as long as was waited.
    HeldUp,
    /// It took everything.
    Taken,
}

/// A client whose bytes are not taken for so long is held up.
const HELD_UP_AFTER: Duration = Duration::from_secs(2);

/// Writes the same bytes again and again, so many in all, and reads nothing.
pub(super) fn push(line: &Line, bytes: &[u8], total: usize) -> Result<Pushed, Trouble> {
    let mut stream = line.stream();
    stream.set_write_timeout(Some(HELD_UP_AFTER))?;
    let mut left = total;
    while left > 0 {
        let count = left.min(bytes.len());
        match stream.write_all(&bytes[..count]) {
            Ok(()) => left -= count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(Pushed::HeldUp);
            }
            Err(error) => {
                return match Trouble::from(error) {
                    Trouble::Cut(_) => Ok(Pushed::Cut),
                    trouble => Err(trouble),
                };
            }
        }
    }
    Ok(Pushed::Taken)
}

/// Several that push at once, each on a thread.
pub(super) fn push_all(lines: &[Line], bytes: &[u8], total: usize) -> Result<Vec<Pushed>, Trouble> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = lines
            .iter()
            .map(|line| scope.spawn(move || push(line, bytes, total)))
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().expect("it does not panic");
        threads.into_iter().map(join).collect()
    })
}

fn ends_with_error(line: &mut Line, words: &str) -> Result<(), Trouble> {
    let frames = line.until_closed()?;
    // The kernel may take back an ERROR that was on its way while the client still wrote.
    for frame in &frames {
        ensure(frame.command == "ERROR", || {
            format!("instead of an ERROR: {}", frame.text())
        })?;
        ensure(frame.text().contains(words), || {
            format!("no {words} in: {}", frame.text())
        })?;
    }
    Ok(())
}

/// A header of a megabyte, in CONNECT and in SEND.
pub(super) fn long_headers(_: bool) -> Result<Shown, Trouble> {
    const CLIENTS: usize = 100;
    const HEADER_BYTES: usize = 1 << 20;
    // As the defaults have them.
    const LIMIT: u64 = 64 << 10;
    let arena = Arena::open(&[])?;
    let filler = vec![b'x'; HEADER_BYTES];
    let mut told = 0;
    for begin in [
        b"CONNECT\naccept-version:1.2\nhost:".to_vec(),
        b"SEND\ndestination:/queue/a\nlong:".to_vec(),
    ] {
        let mut lines = Vec::new();
        for _ in 0..CLIENTS {
            let mut line = if begin.starts_with(b"SEND") {
                Line::connected(arena.stomp)?
            } else {
                Line::open(arena.stomp)?
            };
            line.write(&begin)?;
            lines.push(line);
        }
        push_all(&lines, &filler, HEADER_BYTES)?;
        arena.is_well()?;
        for line in &mut lines {
            ends_with_error(line, "65536")?;
            told += 1;
        }
    }
    arena.close(
        2 * CLIENTS as u64 * LIMIT,
        format!("{told} headers of 1 MiB, in CONNECT and in SEND: each closed at 64 KiB"),
    )
}

/// More headers than are allowed.
pub(super) fn many_headers(_: bool) -> Result<Shown, Trouble> {
    const CLIENTS: usize = 100;
    let arena = Arena::open(&[])?;
    for _ in 0..CLIENTS {
        let mut line = Line::connected(arena.stomp)?;
        line.write(&send("/queue/a", &"h:1\n".repeat(2_000), ""))?;
        let frames = line.until_closed()?;
        let said = frames
            .iter()
            .any(|frame| frame.command == "ERROR" && frame.text().contains("1000"));
        ensure(said, || format!("nobody was told of headers_max: {frames:?}"))?;
    }
    arena.close(
        0,
        format!("{CLIENTS} SENDs of 2000 headers: each told of headers_max, and closed"),
    )
}

/// Bodies without an end, on many connections: each is told, and together they do not take more than what unfinished frames may take.
pub(super) fn endless_bodies(_: bool) -> Result<Shown, Trouble> {
    const CLIENTS: usize = 40;
    const FRAME_BYTES_MAX: usize = 16 << 20;
    // How fast the machine is decides whether they use up what unfinished frames may take.
    let arena =
        Arena::open(&["--limits-frame-bytes-max=16MiB"])?.expecting("large frames are read one after the other");
    let mut lines = Vec::new();
    for _ in 0..CLIENTS {
        let mut line = Line::connected(arena.stomp)?;
        line.write(b"SEND\ndestination:/queue/a\n\n")?;
        lines.push(line);
    }
    let pushed = push_all(&lines, &vec![b'x'; 64 << 10], 2 * FRAME_BYTES_MAX)?;
    arena.is_well()?;
    ensure(!pushed.contains(&Pushed::Taken), || {
        format!("{} bytes of one body were taken", 2 * FRAME_BYTES_MAX)
    })?;
    let held_up = pushed.iter().filter(|pushed| **pushed == Pushed::HeldUp).count();
    drop(lines);
    arena.close(
        ALL_CLIENTS_BYTES,
        format!(
            "{CLIENTS} bodies without an end, 16 MiB allowed each: {} closed, {held_up} held up",
            CLIENTS - held_up
        ),
    )
}

/// What unfinished frames, and what nobody reads, may take of all connections together.
pub(super) const ALL_CLIENTS_BYTES: u64 = 256 << 20;

/// Clients that break the protocol and go on sending without a look at their ERROR.
pub(super) fn deaf_senders(_: bool) -> Result<Shown, Trouble> {
    const CLIENTS: usize = 50;
    const BYTES: usize = 32 << 20;
    let arena = Arena::open(&[])?;
    let mut lines = Vec::new();
    for _ in 0..CLIENTS {
        let mut line = Line::open(arena.stomp)?;
        line.write(&connect(""))?;
        line.write(b"NONSENSE\n\n\0")?;
        lines.push(line);
    }
    let flood = send("/queue/deaf", "persistent:true\nreceipt:r\n", &"x".repeat(1000));
    let pushed = push_all(&lines, &flood.repeat(60), BYTES)?;
    ensure(pushed.iter().all(|pushed| *pushed == Pushed::Cut), || {
        format!("not all were closed: {pushed:?}")
    })?;
    drop(lines);
    let taken = take_all(arena.stomp, "/queue/deaf")?;
    ensure(taken.is_empty(), || {
        format!("{} SENDs behind a broken frame were carried out", taken.len())
    })?;
    arena.close(
        CLIENTS as u64 * (1 << 20),
        format!("{CLIENTS} clients break the protocol and send on without reading: all closed, nothing behind it carried out"),
    )
}
