//! What only a process with sockets can show: limits of connections, half-open ones and open files, and that no client keeps the others waiting.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use holdfast_tests::process::{Launch, Unavailable, get, holdfast, is_root, reachable_by_others};

/// What takes longer does not come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client that reads and writes frames, and waits for each.
struct Plain {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Plain {
    /// A connection that has said nothing yet.
    fn silent(address: SocketAddr) -> Plain {
        let stream = TcpStream::connect(address).expect("the kernel accepts it");
        stream.set_read_timeout(Some(PATIENCE)).expect("it is a socket");
        Plain {
            stream,
            read: Vec::new(),
        }
    }

    /// A client that was let in.
    fn connected(address: SocketAddr) -> Plain {
        let mut client = Plain::silent(address);
        assert!(client.connect(), "it was refused");
        client
    }

    /// Introduces itself; whether it was let in.
    fn connect(&mut self) -> bool {
        self.say("CONNECT\naccept-version:1.2\nhost:a\n\n");
        self.hear().is_some_and(|frame| frame.starts_with("CONNECTED"))
    }

    /// A connection that was closed shows when it is read.
    fn say(&mut self, frame: &str) {
        let _ = self.stream.write_all(format!("{frame}\0").as_bytes());
    }

    /// The next frame; `None`: the broker closed the connection.
    fn hear(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == 0) {
                let rest = self.read.split_off(end + 1);
                let frame = std::mem::replace(&mut self.read, rest);
                return Some(String::from_utf8_lossy(&frame[..end]).trim_start().to_owned());
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(count) if count > 0 => self.read.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("nothing came"),
                Ok(_) | Err(_) => return None,
            }
        }
    }

    /// Sends a persistent message and waits for its receipt.
    fn send(&mut self, body: &str) {
        self.say(&format!(
            "SEND\ndestination:/queue/Q\npersistent:true\nreceipt:r\n\n{body}"
        ));
        assert_eq!(
            self.hear().expect("it stays connected").trim_end(),
            "RECEIPT\nreceipt-id:r"
        );
    }
}

fn refused_total(admin: SocketAddr) -> u64 {
    let metrics = get(admin, "/metrics").expect("it serves").body;
    let line = metrics
        .lines()
        .find(|line| line.starts_with("holdfast_connections_refused_total "));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
        .unwrap_or_else(|| panic!("no such metric in {metrics}"))
}

#[test]
fn an_address_with_many_connections_that_say_nothing_gets_no_more_and_its_clients_go_on() {
    let own = tempfile::tempdir().expect("a temporary directory");
    let launch = Launch::new(&own.path().join("data")).flag("--limits-half-open-per-address-max=3");
    let mut broker = launch.start().expecting("limits.half_open_per_address_max");
    broker.wait_ready();
    let (stomp, admin) = (broker.stomp(), broker.admin());
    let mut client = Plain::connected(stomp);
    let mut silent: Vec<Plain> = (0..3).map(|_| Plain::silent(stomp)).collect();
    for _ in 0..2 {
        assert_eq!(Plain::silent(stomp).hear(), None, "one more is closed at once");
    }
    client.send("it goes on");
    assert_eq!(refused_total(admin), 2);
    // One that introduces itself makes room for another.
    assert!(silent[0].connect());
    Plain::connected(stomp).send("let in");
    let ended = broker.stop();
    let warnings = ended.text().matches("refused since").count();
    assert_eq!(warnings, 1, "{}", ended.text());
}

#[test]
fn half_open_connections_of_all_addresses_are_limited() {
    let own = tempfile::tempdir().expect("a temporary directory");
    let launch = Launch::new(&own.path().join("data")).flag("--limits-half-open-max=2");
    let mut broker = launch.start().expecting("limits.half_open_max");
    broker.wait_ready();
    let stomp = broker.stomp();
    let silent = [Plain::silent(stomp), Plain::silent(stomp)];
    assert_eq!(Plain::silent(stomp).hear(), None);
    drop(silent);
    // Those who left make room, as soon as the broker has seen that.
    while !Plain::silent(stomp).connect() {}
    broker.stop();
}

#[test]
fn connections_of_one_address_and_of_all_are_limited() {
    for (flag, name) in [
        (
            "--limits-connections-per-address-max=2",
            "limits.connections_per_address_max",
        ),
        ("--limits-connections-max=2", "limits.connections_max"),
    ] {
        let own = tempfile::tempdir().expect("a temporary directory");
        let mut broker = Launch::new(&own.path().join("data")).flag(flag).start().expecting(name);
        broker.wait_ready();
        let (stomp, admin) = (broker.stomp(), broker.admin());
        let mut clients = [Plain::connected(stomp), Plain::connected(stomp)];
        assert!(!Plain::silent(stomp).connect(), "{name}");
        clients[0].send("both go on");
        clients[1].send("both go on");
        assert_eq!(refused_total(admin), 1);
        let ended = broker.stop();
        assert!(ended.text().contains(name), "{}", ended.text());
    }
}

#[test]
fn a_client_that_never_pauses_keeps_nobody_waiting() {
    let own = tempfile::tempdir().expect("a temporary directory");
    let mut broker = Launch::new(&own.path().join("data")).start();
    broker.wait_ready();
    let stomp = broker.stomp();
    // The broker takes longer for these than the kernel takes to bring them: there is always something to read.
    let frame = format!("SEND\ndestination:/topic/T\n\n{}\0", "x".repeat(200));
    let frames = frame.repeat(1000).into_bytes();
    let mut restless = Plain::connected(stomp).stream;
    let ends = Arc::new(AtomicBool::new(false));
    let talking = std::thread::spawn({
        let ends = Arc::clone(&ends);
        move || {
            while !ends.load(Ordering::Relaxed) {
                restless.write_all(&frames).expect("the broker reads");
            }
        }
    });
    let mut other = Plain::connected(stomp);
    (0..20).for_each(|number| other.send(&format!("message {number}")));
    ends.store(true, Ordering::Relaxed);
    talking.join().expect("it was read to the end");
    broker.stop();
}

#[test]
fn a_client_that_is_gone_is_noticed_while_its_sends_wait_for_memory() {
    let own = tempfile::tempdir().expect("a temporary directory");
    let launch = Launch::new(&own.path().join("data")).flag("--limits-volatile-bytes-max=1MiB");
    let mut broker = launch.start().expecting("sends wait");
    broker.wait_ready();
    let (stomp, admin) = (broker.stomp(), broker.admin());
    let mut client = Plain::silent(stomp);
    client.say("CONNECT\naccept-version:1.2\nhost:a\n\n");
    let frame = format!("SEND\ndestination:/queue/nobody\n\n{}\0", "x".repeat(100_000));
    client.stream.set_nonblocking(true).expect("it is a socket");
    let status = || get(admin, "/status").expect("it serves").body;
    while !status().contains("waits to send") {
        let _ = client.stream.write(frame.as_bytes());
    }
    // It never read that it was let in: the kernel resets the connection.
    drop(client);
    while !status().contains("\"connections\": 0,") {}
    broker.stop();
}

#[test]
fn where_open_files_are_few_the_journal_keeps_its_own_and_clients_are_refused() {
    const USER: u32 = 65_534;
    let name = "where_open_files_are_few_the_journal_keeps_its_own_and_clients_are_refused";
    let own = tempfile::tempdir().expect("a temporary directory");
    let data = own.path().join("data");
    let mut launch = Launch {
        before: Some("ulimit -n 128".into()),
        ..Launch::small(&data)
    };
    if is_root() {
        // root may open more files than its limit says.
        if !reachable_by_others(holdfast()) {
            return Unavailable("the binary lies where other users cannot reach it".into()).skip(name);
        }
        std::fs::create_dir(&data).expect("the directory is ours");
        for path in [own.path(), &data] {
            std::os::unix::fs::chown(path, Some(USER), Some(USER)).expect("root may");
        }
        launch.user = Some(USER);
    }
    let mut broker = launch
        .start()
        .expecting("no more than 64 connections are accepted")
        .expecting("refused since");
    broker.wait_ready();
    let (stomp, admin) = (broker.stomp(), broker.admin());
    let mut clients: Vec<Plain> = (0..100).map(|_| Plain::silent(stomp)).collect();
    clients.retain_mut(Plain::connect);
    assert_eq!(clients.len(), 64);
    assert_eq!(refused_total(admin), 36);
    let status = get(admin, "/status").expect("it serves").body;
    assert!(status.contains("no more than 64 connections are accepted"), "{status}");
    // Segments are filled, checkpoints written and old segments deleted all the same.
    let body = "x".repeat(500 << 10);
    for number in 0..60 {
        clients[number % 64].send(&body);
    }
    let mut consumer = clients.swap_remove(0);
    consumer.say("SUBSCRIBE\nid:1\ndestination:/queue/Q\nack:client-individual\nactivemq.prefetchSize:1\n\n");
    for _ in 0..60 {
        let frame = consumer.hear().expect("it stays connected");
        let (_, rest) = frame.split_once("\nack:").expect("a 1.2 delivery has an ack header");
        let id = rest.lines().next().expect("it is followed by a line end");
        consumer.say(&format!("ACK\nid:{id}\nreceipt:a\n\n"));
        let answer = consumer.hear().expect("it stays connected");
        assert!(answer.starts_with("RECEIPT"), "{answer}");
    }
    broker.stop();
}
