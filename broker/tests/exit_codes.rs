//! Every exit code as a program meets it: with `--json` a failure says what happened, where, and what to do.
//!
//! Those that need a failing disk or a second machine (74, 77) are shown by the unit test beside the table that makes them, `every_end_of_a_broker_says_what_happened_where_and_what_to_do`.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic, in its helpers too")]

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use holdfast::cli::Exit;

fn holdfast(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_holdfast"))
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The code with which a command ended, once its words have been looked at: as JSON, and as text.
fn checked(arguments: &[&str]) -> u8 {
    let output = holdfast(&[arguments, &["--json"]].concat());
    let code = u8::try_from(output.status.code().unwrap_or_else(|| panic!("{output:?}"))).unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    // A broker logs before it ends; its last line is the failure.
    let last = words
        .lines()
        .last()
        .unwrap_or_else(|| panic!("{arguments:?} said nothing"));
    let said: serde_json::Value = serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {words}"));
    // The log has the message beside its fields.
    let said = said.get("error").unwrap_or(&said);
    let exit = Exit::ALL.iter().find(|exit| exit.code() == code).unwrap();
    assert_eq!(said["exit_code"], code, "{said}");
    assert_eq!(said["name"], exit.name(), "{said}");
    let what = said.get("what").or_else(|| said.get("message"));
    for part in [what, said.get("where"), said.get("what_to_do")] {
        let text = part.and_then(serde_json::Value::as_str).unwrap_or_default();
        assert!(!text.trim().is_empty(), "{arguments:?} leaves something out: {said}");
    }
    code
}

/// A running broker; killed when it is dropped.
struct Broker(Child);

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended by itself, and then the test has failed already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The arguments of a small broker on free ports.
fn run(data: &str) -> [&str; 9] {
    [
        "run",
        "--data",
        data,
        "--listen",
        "stomp://127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--journal-segment-bytes",
        "4MiB",
    ]
}

fn start(data: &str) -> Broker {
    let child = Command::new(env!("CARGO_BIN_EXE_holdfast"))
        .args(run(data))
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let broker = Broker(child);
    let ready = holdfast(&["status", "--data", data, "--wait", "30s"]);
    assert!(ready.status.success(), "{ready:?}");
    broker
}

/// An admin interface that says of its broker only that it does not lead.
fn not_leading() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let refused = serde_json::json!({ "error": {
            "kind": "unavailable", "what": "the broker does not lead: it is starting", "where": "", "what_to_do": "",
        }});
        let body = refused.to_string();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let head = format!("HTTP/1.1 503 Service Unavailable\r\nContent-Length: {}\r\n", body.len());
            let _ = stream.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes());
        }
    });
    address
}

/// Flips a bit in the first batch that is in the directory.
fn damage(data: &Path) {
    let segment = data.join("journal/00000001-00000001");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[130] ^= 4;
    std::fs::write(&segment, bytes).unwrap();
}

#[test]
fn every_exit_code_comes_with_what_happened_where_and_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_string();
    let (data, other, file) = (at("data"), at("other"), at("file"));
    std::fs::write(&file, "unknown = 1\n").unwrap();
    let looped = at("loop");
    std::os::unix::fs::symlink(&looped, &looped).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().map(|address| (taken, address.to_string())).unwrap();
    let nobody = {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().to_string()
    };
    let listen = format!("stomp://{}", taken.1);
    let no_broker = format!("stomp://{nobody}");
    let starting = not_leading();

    let broker = start(&data);
    let sent = holdfast(&["send", "Q", "x", "--data", &data]);
    assert!(sent.status.success(), "{sent:?}");
    let mut cases: Vec<(Exit, Vec<&str>)> = vec![
        (Exit::Failure, vec!["send", "Q", "--file", "/nowhere", "--data", &data]),
        (Exit::Usage, vec!["sned", "Q"]),
        (Exit::Usage, vec!["send", "amqp://Q", "x"]),
        (Exit::Usage, vec!["browse", "topic://T", "--data", &data]),
        (Exit::Usage, vec!["status", "--admin", "https://127.0.0.1"]),
        (Exit::Usage, vec!["send", "Q", "x", "--broker", "amqp://127.0.0.1"]),
        (
            Exit::NothingReceived,
            vec!["receive", "empty", "--timeout", "100ms", "--data", &data],
        ),
        (Exit::Unreachable, vec!["status", "--admin", &nobody]),
        (Exit::Unreachable, vec!["send", "Q", "x", "--broker", &no_broker]),
        (
            Exit::AddressInUse,
            vec!["run", "--data", &other, "--admin", "none", "--listen", &listen],
        ),
        (
            Exit::AddressInUse,
            vec![
                "run",
                "--data",
                &other,
                "--listen",
                "stomp://127.0.0.1:0",
                "--admin",
                &taken.1,
            ],
        ),
        (Exit::DataUnusable, vec!["journal", "verify", &other]),
        (
            Exit::DataUnusable,
            vec!["journal", "inspect", directory.path().to_str().unwrap()],
        ),
        (Exit::DataUnusable, vec!["status", "--data", &other]),
        (Exit::DataUnusable, run(&file).to_vec()),
        (Exit::DataUnusable, run(&looped).to_vec()),
        (Exit::AnotherLeads, run(&data).to_vec()),
        (
            Exit::Refused,
            vec!["destinations", "delete", "queue://none", "--data", &data],
        ),
        (
            Exit::Refused,
            vec!["destinations", "purge", "topic://T", "--data", &data],
        ),
        (
            Exit::Usage,
            vec!["destinations", "move", "A", "amqp://B", "--data", &data],
        ),
        (Exit::Usage, vec!["completions", "tcsh"]),
        (Exit::Failure, vec!["man", "/nowhere"]),
        (Exit::Refused, vec!["destinations", "move", "Q", "Q", "--data", &data]),
        (Exit::Refused, vec!["dlq", "retry", "nowhere", "--data", &data]),
        (Exit::Refused, vec!["dlq", "list", "topic://T", "--data", &data]),
        (Exit::Refused, vec!["connections", "close", "999", "--data", &data]),
        (
            Exit::Refused,
            vec!["subscriptions", "delete", "C", "D", "--data", &data],
        ),
        (Exit::Unreachable, vec!["connections", "--admin", &nobody]),
        (Exit::NotReady, vec!["subscriptions", "--admin", &starting]),
        (Exit::Refused, vec!["browse", "Q", "--selector", "a =", "--data", &data]),
        // The message that waits there is none of the run's.
        (
            Exit::WrongMessages,
            vec![
                "bench",
                "--destination",
                "Q",
                "--consumers",
                "1",
                "--count",
                "1",
                "--data",
                &data,
            ],
        ),
        (Exit::Configuration, vec!["config", "check", &file]),
        (Exit::Configuration, vec!["run", "--listen", "stomp://0.0.0.0:1"]),
        (Exit::NotReady, vec!["destinations", "list", "--admin", &starting]),
    ];
    let mut met: BTreeSet<u8> = BTreeSet::new();
    for (exit, arguments) in cases.drain(..) {
        assert_eq!(checked(&arguments), exit.code(), "{arguments:?}");
        met.insert(exit.code());
    }
    drop(broker);
    damage(Path::new(&data));
    for arguments in [vec!["journal", "verify", &data], run(&data).to_vec()] {
        assert_eq!(checked(&arguments), Exit::Damage.code(), "{arguments:?}");
        met.insert(Exit::Damage.code());
    }

    let elsewhere = [Exit::Success, Exit::StorageFailed, Exit::LeadershipLost];
    met.extend(elsewhere.map(Exit::code));
    let all: BTreeSet<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
    assert_eq!(met, all, "a code that nothing here provokes");
}
