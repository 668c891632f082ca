//! `holdfast bench` against a real broker, and against servers that break their word.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic, in its helpers too")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

fn holdfast(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("{output:?}"))
}

fn json(output: &Output) -> serde_json::Value {
    assert_eq!(code(output), 0, "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A broker, killed at the end of the test.
struct Broker(Child);

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended by itself, and then the test has failed already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(data: &str) -> Broker {
    let arguments = [
        "run",
        "--listen",
        "stomp://127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--data",
        data,
    ];
    let child = Command::new(env!("CARGO_BIN_EXE_holdfast"))
        .args(arguments)
        .args(["--journal-segment-bytes", "4MiB", "--journal-ballast-bytes", "8MiB"])
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let broker = Broker(child);
    let ready = holdfast(&["status", "--data", data, "--wait", "30s"]);
    assert_eq!(code(&ready), 0, "{ready:?}");
    broker
}

/// Runs the benchmark on a data directory's broker; what it prints as JSON.
fn bench(data: &str, arguments: &[&str]) -> serde_json::Value {
    json(&holdfast(&[&["bench", "--json", "--data", data], arguments].concat()))
}

fn temporary() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap().to_owned();
    (directory, path)
}

#[test]
fn every_kind_of_run_is_counted_checked_and_cleaned_up_after() {
    let (_directory, data) = temporary();
    let _broker = start(&format!("{data}/data"));
    let data = format!("{data}/data");
    let count = ["--count", "300", "--producers", "3", "--in-flight", "10"];
    for (arguments, due) in [
        (&["--consumers", "2"][..], 300),
        (&["--consumers", "2", "--queues", "2", "--ack", "client"], 300),
        (&["--consumers", "1", "--ack", "auto", "--persistent", "false"], 300),
        (
            &[
                "--consumers",
                "4",
                "--topic",
                "--persistent",
                "false",
                "--backlog-max",
                "50",
            ],
            1200,
        ),
        // Nobody consumes: they are looked at behind the measurement.
        (&["--size", "48"], 300),
    ] {
        let figures = bench(&data, &[&count, arguments].concat());
        assert_eq!(
            (
                &figures["confirmed"],
                &figures["confirmation"]["count"],
                &figures["received_in_all"]
            ),
            (&300.into(), &300.into(), &due.into()),
            "{arguments:?}: {figures}"
        );
        assert_eq!(
            (&figures["checked"], &figures["faults"]["first"]),
            (&true.into(), &().into())
        );
        assert!(figures["confirmation"]["p50_ns"].as_u64().unwrap() > 0);
        assert!(figures["confirmed_per_second"].as_f64().unwrap() > 0.0);
        assert!(
            figures["process"]["rss_after_bytes"].as_u64().unwrap() > 1 << 20,
            "{figures}"
        );
    }
    let left = json(&holdfast(&["destinations", "list", "--json", "--data", &data]));
    assert_eq!(left["destinations"], serde_json::json!([]));
}

#[test]
fn a_run_is_measured_for_a_time_behind_a_warm_up_and_shown_as_text() {
    let (_directory, data) = temporary();
    let data = format!("{data}/data");
    let _broker = start(&data);
    let shown = holdfast(&[
        "bench",
        "--data",
        &data,
        "--duration",
        "200ms",
        "--warm-up",
        "100ms",
        "--consumers",
        "1",
    ]);
    assert_eq!(code(&shown), 0, "{shown:?}");
    let text = String::from_utf8(shown.stdout).unwrap();
    for part in [
        "1 producer × 1 in flight → a queue → 1 consumer, 1024 B persistent",
        "Measured      0.2 s behind a warm-up of 0.1 s",
        "none lost, doubled, out of order or changed",
        "Broker's RSS",
    ] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn figures_are_appended_as_rows_and_latencies_written_as_a_histogram_log() {
    let (_directory, path) = temporary();
    let (csv, histogram) = (format!("{path}/samples.csv"), format!("{path}/latencies.hlog"));
    std::fs::write(&csv, "# of this machine\n").unwrap();
    let run = |labels: &[&str]| {
        let fixed = [
            "bench",
            "--against-nothing",
            "--count",
            "20",
            "--csv",
            &csv,
            "--histogram",
            &histogram,
        ];
        holdfast(&[&fixed, labels].concat())
    };
    for number in ["1", "2"] {
        let label = format!("repetition={number}");
        let done = run(&["--label", "name=a,b", "--label", &label]);
        assert_eq!(code(&done), 0, "{done:?}");
    }
    let text = std::fs::read_to_string(&csv).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert_eq!(lines[0], "# of this machine");
    assert!(lines[1].starts_with("name,repetition,address,at,"), "{text}");
    assert!(lines[1].contains(",confirmation.p999_ns,") && lines[1].contains(",scenario.in_flight,"));
    assert!(lines[2].starts_with("\"a,b\",1,stomp://") && lines[3].starts_with("\"a,b\",2,stomp://"));
    let refused = run(&["--label", "other=columns"]);
    assert_eq!(code(&refused), 76, "{refused:?}");
    assert_eq!(std::fs::read_to_string(&csv).unwrap(), text);
    let log = std::fs::read_to_string(&histogram).unwrap();
    for tag in ["Tag=confirmation,", "Tag=end-to-end,"] {
        assert_eq!(log.matches(tag).count(), 1, "{log}");
    }
}

#[test]
fn the_client_is_measured_against_a_server_that_only_answers() {
    for (arguments, due) in [
        (&["--in-flight", "50"][..], 0),
        (&["--consumers", "3"], 1000),
        (&["--topic", "--consumers", "3", "--backlog-max", "100"], 3000),
    ] {
        let fixed = ["bench", "--json", "--against-nothing", "--count", "1000"];
        let figures = json(&holdfast(&[&fixed, arguments].concat()));
        assert_eq!(
            (&figures["confirmed"], &figures["received_in_all"], &figures["server"]),
            (&1000.into(), &due.into(), &"nothing".into()),
            "{arguments:?}"
        );
    }
}

#[test]
fn the_disk_and_the_loopback_can_be_measured() {
    let (_directory, path) = temporary();
    let disk = json(&holdfast(&[
        "bench", "disk", "--json", "--count", "20", "--data", &path,
    ]));
    assert_eq!(disk["latency"]["count"], 20);
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0, "nothing is left behind");
    let loopback = json(&holdfast(&["bench", "loopback", "--json", "--count", "20"]));
    assert_eq!(loopback["latency"]["count"], 20);
    assert_eq!(code(&holdfast(&["bench", "disk", "--data", "/proc/none"])), 73);
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_sent() {
    for arguments in [
        &["--size", "47"][..],
        &["--queues", "3", "--producers", "2"],
        &["--queues", "3", "--producers", "3", "--consumers", "2"],
        &["--backlog-max", "5"],
        &["--pid", "4294967295"],
        &["--producers", "0"],
        &["--label", "a=b"],
    ] {
        let refused = holdfast(&[&["bench", "--against-nothing"], arguments].concat());
        assert_eq!(code(&refused), 2, "{arguments:?}: {refused:?}");
    }
}

#[test]
fn what_nats_has_no_words_for_is_refused() {
    for arguments in [
        &["--topic", "--consumers", "1"][..],
        &["--ack", "auto", "--consumers", "1"],
        &["--ack", "client"],
    ] {
        let refused = holdfast(&[&["bench", "--broker", "nats://127.0.0.1:1"], arguments].concat());
        assert_eq!(code(&refused), 2, "{arguments:?}: {refused:?}");
    }
}

/// A NATS server: it answers requests and publications to `store.`, and delivers at once to who listens.
fn play_nats() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    let listening: Listening = Arc::default();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let listening = Arc::clone(&listening);
            std::thread::spawn(move || converse_in_nats(stream.unwrap(), &listening));
        }
    });
    url
}

/// Who listens: subject, id, and where to write.
type Listening = Arc<Mutex<Vec<(String, String, TcpStream)>>>;

fn converse_in_nats(mut writer: TcpStream, listening: &Listening) {
    let mut reader = BufReader::new(writer.try_clone().unwrap());
    writer.write_all(b"INFO {}\r\nPING\r\n").unwrap();
    let mut inbox = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["PING"] => writer.write_all(b"PONG\r\n").unwrap(),
            ["SUB", subject, "1"] => inbox = subject.trim_end_matches('>').to_owned(),
            ["SUB", subject, .., id] => {
                let stream = writer.try_clone().unwrap();
                let listener = (subject.to_owned(), id.to_owned(), stream);
                listening.lock().unwrap().push(listener);
            }
            ["PUB", subject, .., bytes] => {
                let mut body = vec![0; bytes.parse::<usize>().unwrap() + 2];
                reader.read_exact(&mut body).unwrap();
                let body = String::from_utf8(body).unwrap();
                if let [_, _, reply, _] = words[..] {
                    assert!(reply.starts_with(&inbox));
                    writer
                        .write_all(format!("MSG {reply} 1 2\r\n{{}}\r\n").as_bytes())
                        .unwrap();
                }
                for (heard, id, stream) in listening.lock().unwrap().iter_mut() {
                    let message = match heard.starts_with("deliver.") {
                        true if subject.starts_with("holdfast.bench.") => {
                            format!("MSG {subject} {id} ack.1 {bytes}\r\n{body}")
                        }
                        false if heard == subject => format!("MSG {subject} {id} {bytes}\r\n{body}"),
                        _ => continue,
                    };
                    stream.write_all(message.as_bytes()).unwrap();
                }
            }
            _ => {}
        }
    }
}

#[test]
fn nats_is_measured_and_checked_like_the_others() {
    let fixed = ["bench", "--json", "--count", "200", "--in-flight", "7", "--broker"];
    for (arguments, due) in [
        (&["--consumers", "1"][..], 200),
        (&["--consumers", "3", "--topic", "--persistent", "false"], 600),
    ] {
        let broker = play_nats();
        let figures = json(&holdfast(&[&fixed[..], &[&broker], arguments].concat()));
        assert_eq!(
            (&figures["confirmed"], &figures["received_in_all"], &figures["address"]),
            (&200.into(), &due.into(), &broker.as_str().into()),
            "{arguments:?}: {figures}"
        );
    }
    // This server keeps nothing, so what nobody consumed at once is lost.
    let lost = holdfast(&[&fixed[..], &[&play_nats(), "--timeout", "5s"]].concat());
    assert_eq!(code(&lost), 67, "{lost:?}");
}

/// What a played server does to the deliveries of message 3.
#[derive(Clone, Copy, Debug)]
enum Betrayal {
    Lose,
    Double,
    Delay,
    Change,
}

/// A STOMP server that confirms everything and betrays one message.
fn play(betrayal: Betrayal) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("stomp://{}", listener.local_addr().unwrap());
    let consumer: Arc<Mutex<Option<TcpStream>>> = Arc::default();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let consumer = Arc::clone(&consumer);
            std::thread::spawn(move || converse(stream.unwrap(), betrayal, &consumer));
        }
    });
    url
}

fn converse(stream: TcpStream, betrayal: Betrayal, consumer: &Mutex<Option<TcpStream>>) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    let mut held = None;
    let mut sent = 0;
    loop {
        let (mut command, mut receipt, mut length) = (String::new(), None, 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim_end_matches('\n').trim_start_matches('\0');
            match line.split_once(':') {
                Some(("receipt", id)) => receipt = Some(id.to_owned()),
                Some(("content-length", bytes)) => length = bytes.parse().unwrap(),
                Some(_) => {}
                None if line.is_empty() && !command.is_empty() => break,
                None => command.push_str(line),
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        match command.as_str() {
            "CONNECT" => writer.write_all(b"CONNECTED\nversion:1.2\n\n\0\n").unwrap(),
            "SUBSCRIBE" => *consumer.lock().unwrap() = Some(writer.try_clone().unwrap()),
            "SEND" => {
                let mut deliveries = vec![body];
                if sent == 3 {
                    match betrayal {
                        Betrayal::Lose => deliveries.clear(),
                        Betrayal::Double => deliveries.push(deliveries[0].clone()),
                        Betrayal::Delay => held = deliveries.pop(),
                        Betrayal::Change => *deliveries[0].last_mut().unwrap() = b'!',
                    }
                } else {
                    deliveries.extend(held.take());
                }
                sent += 1;
                let mut consumer = consumer.lock().unwrap();
                for body in deliveries {
                    let mut frame = b"MESSAGE\nmessage-id:1\nack:1\nsubscription:bench\n\n".to_vec();
                    frame.extend_from_slice(&body);
                    frame.extend_from_slice(b"\0\n");
                    consumer.as_mut().unwrap().write_all(&frame).unwrap();
                }
            }
            _ => {}
        }
        if let Some(receipt) = receipt {
            let answer = format!("RECEIPT\nreceipt-id:{receipt}\n\n\0\n");
            writer.write_all(answer.as_bytes()).unwrap();
        }
    }
}

#[test]
fn a_broker_that_breaks_its_word_is_67_and_the_message_is_named() {
    for (betrayal, words) in [
        (Betrayal::Lose, "1 lost (message 3 of producer 0 never came)"),
        (
            Betrayal::Double,
            "1 doubled (message 3 of producer 0 came to consumer 0 and had been delivered before)",
        ),
        (
            Betrayal::Delay,
            "1 out of order (message 3 of producer 0 came to consumer 0 behind message 4)",
        ),
        (
            Betrayal::Change,
            "1 lost, 1 changed or foreign (a body that came to consumer 0 is changed)",
        ),
    ] {
        let broker = play(betrayal);
        let fixed = ["bench", "--count", "10", "--consumers", "1", "--timeout", "5s"];
        let done = holdfast(&[&fixed[..], &["--broker", &broker]].concat());
        let error = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(code(&done), 67, "{betrayal:?}: {done:?}");
        assert!(error.contains(words), "{betrayal:?}: {error}");
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(
            text.contains("Checked") && text.contains("1 "),
            "the figures are shown all the same: {text}"
        );
    }
}
