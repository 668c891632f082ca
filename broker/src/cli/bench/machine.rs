//! What the machine under a broker can do: the disk's synchronous overwrite, the loopback's round trip.
//!
//! Both are measured without a runtime, by threads that block: this is the limit that a broker is held against.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::fcntl::OFlag;
use platform::{BLOCK_BYTES, Blocks};
use serde::Serialize;

use super::arguments::{DiskArguments, LoopbackArguments, MachineCommand};
use super::measurement::{Latencies, LatencySummary};
use super::report::duration_text;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::Output;

/// Blocks of the file that is written over: 16 MiB.
const BLOCKS: u64 = 4096;

/// Round trips before the measured ones.
const WARM_UP_TRIPS: u32 = 100;

/// Bytes on the way back, about a receipt.
const ANSWER_BYTES: usize = 64;

/// The largest request, in bytes.
const REQUEST_BYTES_MAX: u64 = 64 << 20;

/// What is shown.
#[derive(Clone, Copy, Debug, Serialize)]
struct MachineReport {
    what: &'static str,
    /// Whether the page cache was passed by.
    direct: Option<bool>,
    latency: LatencySummary,
}

pub(super) fn run(command: &MachineCommand, output: &Output) -> Result<(), Failure> {
    let report = match command {
        MachineCommand::Disk(arguments) => disk(arguments, output)?,
        MachineCommand::Loopback(arguments) => loopback(arguments)?,
    };
    if output.json {
        return output.object(&report);
    }
    let time = |value: Option<u64>| value.map_or("-".to_owned(), duration_text);
    let latency = report.latency;
    let cached = match report.direct {
        Some(false) => "The file system refuses direct I/O: this went through the page cache.\n",
        Some(true) | None => "",
    };
    output.text(&format!(
        "{}\n  p50 {}, p99 {}, p99.9 {}, max {} ({} times)\n{cached}",
        report.what,
        time(latency.p50_ns),
        time(latency.p99_ns),
        time(latency.p999_ns),
        time(latency.max_ns),
        latency.count
    ))
}

/// A file that goes when its owner goes.
struct Scratch {
    path: PathBuf,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing can be done about it here; the name says what it was.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn disk(arguments: &DiskArguments, output: &Output) -> Result<MachineReport, Failure> {
    let path = arguments.data.join(format!("holdfast-bench-{}", std::process::id()));
    let failed = |error: std::io::Error| {
        Failure::new(
            Exit::DataUnusable,
            format!("the disk cannot be measured there: {error}"),
            path.display().to_string(),
            "give a directory that exists, that this user may write to, with 16 MiB to spare",
        )
    };
    let scratch = Scratch { path: path.clone() };
    let zeros = Blocks::zeroed(BLOCK_BYTES);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .map_err(failed)?;
    // Written, not only allocated: the first write of a block costs more than the next.
    for _ in 0..BLOCKS {
        file.write_all(&zeros).map_err(failed)?;
    }
    file.sync_all().map_err(failed)?;
    let (file, direct) = match synchronous(&path, OFlag::O_DIRECT) {
        Ok(file) => (file, true),
        Err(_) => (synchronous(&path, OFlag::empty()).map_err(failed)?, false),
    };
    let mut latencies = Latencies::new();
    for number in 0..arguments.count {
        let offset = u64::from(number) % BLOCKS * BLOCK_BYTES as u64;
        let begun = Instant::now();
        file.write_all_at(&zeros, offset).map_err(failed)?;
        latencies.record(nanoseconds_since(begun));
        output.progress(|| format!("{number} of {} overwrites", arguments.count));
    }
    drop(scratch);
    Ok(MachineReport {
        what: "Synchronous overwrite of 4 KiB",
        direct: Some(direct),
        latency: latencies.summary(),
    })
}

fn synchronous(path: &Path, further: OFlag) -> std::io::Result<File> {
    let flags = OFlag::O_DSYNC | further;
    OpenOptions::new().write(true).custom_flags(flags.bits()).open(path)
}

fn loopback(arguments: &LoopbackArguments) -> Result<MachineReport, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(
            Exit::Failure,
            format!("the round trip cannot be measured: {error}"),
            "127.0.0.1",
            "check that this machine has a loopback interface and descriptors to spare",
        )
    };
    let size = arguments.size.0;
    if !(1..=REQUEST_BYTES_MAX).contains(&size) {
        return Err(Failure::new(
            Exit::Usage,
            format!("a request of {size} bytes cannot be sent"),
            "--size",
            format!("give 1 to {REQUEST_BYTES_MAX} bytes"),
        ));
    }
    let size = usize::try_from(size).expect("at most REQUEST_BYTES_MAX");
    let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let trips = arguments.count.saturating_add(WARM_UP_TRIPS);
    std::thread::scope(|scope| {
        let answering = scope.spawn(move || answer(&listener, size, trips));
        let mut latencies = Latencies::new();
        let asked = ask(address, size, trips, &mut latencies);
        // The other side's error is the cause of this one's.
        let answered = answering
            .join()
            .unwrap_or_else(|_| Err(std::io::Error::other("its thread panicked")));
        answered.and(asked).map_err(failed)?;
        Ok(MachineReport {
            what: "Round trip between two threads over loopback",
            direct: None,
            latency: latencies.summary(),
        })
    })
}

fn answer(listener: &TcpListener, size: usize, trips: u32) -> std::io::Result<()> {
    let (mut stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    let mut request = vec![0; size];
    for _ in 0..trips {
        stream.read_exact(&mut request)?;
        stream.write_all(&[0; ANSWER_BYTES])?;
    }
    Ok(())
}

fn ask(address: std::net::SocketAddr, size: usize, trips: u32, latencies: &mut Latencies) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let request = vec![0; size];
    let mut answer = [0; ANSWER_BYTES];
    for number in 0..trips {
        let begun = Instant::now();
        stream.write_all(&request)?;
        stream.read_exact(&mut answer)?;
        if number >= WARM_UP_TRIPS {
            latencies.record(nanoseconds_since(begun));
        }
    }
    Ok(())
}

fn nanoseconds_since(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
