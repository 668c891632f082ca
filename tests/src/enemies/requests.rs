//! HTTP requests, more and worse than a person makes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::arena::{Arena, Shown};
use super::line::{Line, send};
use super::trouble::{Trouble, ensure};
use crate::process::get;

const PATHS: [&str; 6] = [
    "/metrics",
    "/status",
    "/api/destinations?limit=1000",
    "/api/browse?name=queue://http.1&limit=1000",
    "/none",
    "/api/destination?name=queue://http.2",
];

/// A request that is cut, too long, or none.
fn malformed(address: SocketAddr, number: usize) -> Result<(), Trouble> {
    let mut stream = TcpStream::connect(address)?;
    let bytes = match number % 4 {
        0 => b"\0\x01\x02 nonsense\r\n\r\n".to_vec(),
        1 => format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100 << 10)).into_bytes(),
        2 => format!(
            "POST /api/destinations HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n{}",
            "x".repeat(100 << 10)
        )
        .into_bytes(),
        _ => b"GET /status HTTP/1.1\r\nHo".to_vec(),
    };
    // Refused while it still writes is a right answer as well.
    if stream.write_all(&bytes).is_ok() && number % 4 != 3 {
        stream.set_read_timeout(Some(super::line::ANSWER_WITHIN))?;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        ensure(!answer.starts_with(b"HTTP/1.1 200"), || {
            "a malformed request was answered with 200".into()
        })?;
    }
    Ok(())
}

/// Floods of requests, connections that say nothing and requests that are none, all at once.
pub(super) fn admin_flood(_: bool) -> Result<Shown, Trouble> {
    const THREADS: usize = 6;
    const EACH: usize = 300;
    const SILENT: usize = 500;
    let arena = Arena::open(&[])?;
    let mut line = Line::connected(arena.stomp)?;
    for queue in 0..200 {
        let frame = send(
            &format!("/queue/http.{queue}"),
            "persistent:true\nreceipt:r\n",
            &"x".repeat(1000),
        );
        line.ask(&frame, "r")?;
    }
    let address = arena.admin;
    let silent = (0..SILENT)
        .map(|_| TcpStream::connect(address))
        .collect::<Result<Vec<_>, _>>()?;
    let answered = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    let mut answered = 0;
                    for number in 0..EACH {
                        malformed(address, thread + number)?;
                        // Beyond 64 at a time the oldest connection ends: then there is no answer.
                        answered += usize::from(get(address, PATHS[number % PATHS.len()]).is_ok());
                    }
                    Ok::<_, Trouble>(answered)
                })
            })
            .collect();
        let well = arena.witness_goes_on();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().expect("it does not panic");
        let answered = threads.into_iter().map(join).sum::<Result<usize, Trouble>>();
        well.and(answered)
    })?;
    ensure(answered > 0, || "no request was answered".into())?;
    arena.is_well()?;
    drop((silent, line));
    arena.close(
        32 << 20,
        format!(
            "{SILENT} silent HTTP connections, {} malformed requests, {answered} of {} others answered",
            THREADS * EACH,
            THREADS * EACH
        ),
    )
}
