//! Measures how long a broker takes from its start until it serves, with many messages waiting: after kill -9 and after a clean stop.
//!
//! Each shape is filled once with the shipped binary and its default settings; each start works on a copy of that directory, so that every round reads the same history. Served means: a client
//! connected and was answered. It prints and judges nothing: the machine decides what is fast.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use holdfast_tests::options::count;
use holdfast_tests::process::{Launch, holdfast, processor_time, resident_bytes};

/// Messages between two receipts.
const MESSAGES_PER_RECEIPT: usize = 10_000;

/// Fills a broker with messages, ends it with SIGKILL and by a clean stop, and prints for both the median time from exec to serving, with the size of the journal, the processor time until then
/// (which another load on the machine changes least) and the memory that is resident then.
///
/// The binary is what HOLDFAST_BIN names, else it is built with this program's profile: use --profile quick or --release. Exit code: 0 measured, 2 wrong usage.
#[derive(Parser)]
struct Options {
    /// How many wait
    #[arg(long, value_name = "N", value_parser = count, default_value = "1000000")]
    messages: usize,
    /// Length of a body
    #[arg(long, value_name = "N", value_parser = count, default_value = "200")]
    bytes: usize,
    /// Over so many queues; several: one measurement after the other
    #[arg(long, value_name = "N", value_parser = count, value_delimiter = ',', default_value = "1,1000")]
    destinations: Vec<usize>,
    /// Starts of which the median is taken
    #[arg(long, value_name = "N", value_parser = count, default_value = "5")]
    rounds: usize,
    /// Where the data directories are made; without it: in a temporary one
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let own = tempfile::tempdir().expect("a temporary directory");
    let root = options.data.clone().unwrap_or_else(|| own.path().to_path_buf());
    println!("binary: {}", holdfast().display());
    println!(
        "{:>10} {:>6} {:>7}  {:8} {:>13} {:>14} {:>14} {:>12} {:>12} {:>12}",
        "waiting",
        "bytes",
        "queues",
        "ended by",
        "journal (MiB)",
        "median (ms)",
        "fastest (ms)",
        "slowest (ms)",
        "CPU (ms)",
        "RSS (MiB)"
    );
    for destinations in &options.destinations {
        for end in [End::Kill, End::Stop] {
            measure(&options, &root, *destinations, end);
        }
    }
    ExitCode::SUCCESS
}

/// How the broker that filled the directory ends.
#[derive(Clone, Copy)]
enum End {
    Kill,
    Stop,
}

fn measure(options: &Options, root: &Path, destinations: usize, end: End) {
    let filled = root.join("filled");
    remove(&filled);
    let mut broker = Launch::new(&filled).start();
    broker.wait_ready();
    fill(broker.stomp(), options, destinations);
    let name = match end {
        End::Kill => {
            broker.kill();
            "kill -9"
        }
        End::Stop => {
            broker.stop();
            "stop"
        }
    };
    let mut times = Vec::new();
    let (mut processor, mut resident) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        let copy = root.join("copy");
        remove(&copy);
        copy_directory(&filled, &copy);
        let begun = Instant::now();
        // A batch that was under way when the broker was killed is warned of.
        let mut broker = Launch::new(&copy).start().expecting("nothing shows it as confirmed");
        let address = broker.stomp();
        drop(connect(address));
        times.push(begun.elapsed());
        processor.push(processor_time(broker.pid()));
        resident.push(resident_bytes(broker.pid()));
        broker.kill();
        remove(&copy);
    }
    times.sort();
    processor.sort();
    resident.sort_unstable();
    let ms = |time: Duration| format!("{:.0}", time.as_secs_f64() * 1e3);
    println!(
        "{:>10} {:>6} {:>7}  {:8} {:>13} {:>14} {:>14} {:>12} {:>12} {:>12}",
        options.messages,
        options.bytes,
        destinations,
        name,
        directory_bytes(&filled) >> 20,
        ms(times[times.len() / 2]),
        ms(times[0]),
        ms(times[times.len() - 1]),
        ms(processor[processor.len() / 2]),
        resident[resident.len() / 2] >> 20
    );
    remove(&filled);
}

/// Connects a STOMP client, and waits until it was answered.
fn connect(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("a leading broker listens");
    stream
        .write_all(b"CONNECT\naccept-version:1.2\nhost:a\n\n\0")
        .expect("a leading broker reads");
    wait_for(&mut stream, "CONNECTED");
    stream
}

/// Reads up to the end of a frame that contains a text.
fn wait_for(stream: &mut TcpStream, text: &str) {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    while !(seen.contains(&0) && String::from_utf8_lossy(&seen).contains(text)) {
        let count = stream.read(&mut buffer).expect("the connection holds");
        assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buffer[..count]);
    }
}

fn fill(address: SocketAddr, options: &Options, destinations: usize) {
    let mut stream = connect(address);
    let body = "x".repeat(options.bytes);
    let mut frames = String::new();
    for number in 0..options.messages {
        let last = (number + 1).is_multiple_of(MESSAGES_PER_RECEIPT) || number + 1 == options.messages;
        let receipt = if last {
            format!("receipt:r{number}\n")
        } else {
            String::new()
        };
        let queue = number % destinations;
        frames += &format!("SEND\ndestination:/queue/waiting.{queue}\npersistent:true\n{receipt}\n{body}\0");
        if last {
            stream.write_all(frames.as_bytes()).expect("the broker reads");
            frames.clear();
            wait_for(&mut stream, &format!("receipt-id:r{number}\n"));
        }
    }
}

fn remove(directory: &Path) {
    if directory.exists() {
        fs::remove_dir_all(directory).expect("it is ours");
    }
}

fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir(to).expect("its parent is ours");
    for entry in fs::read_dir(from).expect("it is ours") {
        let entry = entry.expect("it is ours");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_directory(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), &to).expect("there is space");
            // The copy is not part of what is measured.
            fs::File::open(&to)
                .and_then(|file| file.sync_all())
                .expect("it was just written");
        }
    }
}

fn directory_bytes(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).expect("it is ours");
    let entries = entries.map(|entry| entry.expect("it is ours").path());
    entries
        .map(|path| {
            if path.is_dir() {
                directory_bytes(&path)
            } else {
                fs::metadata(path).map_or(0, |file| file.len())
            }
        })
        .sum()
}
