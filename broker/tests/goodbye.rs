//! `holdfast goodbye` against real processes: said for the dead, refused for the living, and a successor need not wait.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic, in its helpers too")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

fn goodbye(data: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_holdfast"))
        .args(["goodbye", "--json", "--data", data.to_str().unwrap()])
        .args(more)
        .env_clear()
        .output()
        .unwrap()
}

/// A broker that leads.
fn leader(data: &Path) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_holdfast"))
        .args([
            "run",
            "--data",
            data.to_str().unwrap(),
            "--listen",
            "stomp://127.0.0.1:0",
        ])
        .args(["--admin", "none", "--journal-segment-bytes", "4MiB"])
        .env_clear()
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(
        log.any(|line| line.unwrap().contains("\"leading\"")),
        "it ended before it led"
    );
    // What it still says must go somewhere.
    std::thread::spawn(move || log.for_each(drop));
    child
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn goodbye_is_said_for_the_dead_and_never_for_the_living() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    assert_eq!(
        goodbye(&data, &[]).status.code(),
        Some(73),
        "there is no such directory"
    );
    assert!(!data.exists(), "and none was made");

    let mut broker = leader(&data);
    let refused = goodbye(&data, &[]);
    assert_eq!(refused.status.code(), Some(76), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("runs"), "{refused:?}");
    assert_eq!(
        goodbye(&data, &["--epoch", "2"]).status.code(),
        Some(76),
        "there is no such epoch"
    );

    broker.kill().unwrap();
    broker.wait().unwrap();
    let said = json(&goodbye(&data, &[]));
    assert_eq!(
        (&said["epoch"], &said["said_before"]),
        (&1.into(), &false.into()),
        "{said}"
    );
    let again = json(&goodbye(&data, &["--epoch", "1"]));
    assert_eq!(again["said_before"], true, "{again}");

    let mut successor = leader(&data);
    let refused = goodbye(&data, &[]);
    assert_eq!(
        refused.status.code(),
        Some(76),
        "its own claim is the newest: {refused:?}"
    );
    successor.kill().unwrap();
    successor.wait().unwrap();
}

#[test]
fn nobody_is_taken_for_dead_where_nobody_ever_claimed() {
    let directory = tempfile::tempdir().unwrap();
    let output = goodbye(directory.path(), &[]);
    assert_eq!(output.status.code(), Some(73), "{output:?}");
    assert_eq!(
        std::fs::read_dir(directory.path()).unwrap().count(),
        0,
        "nothing was made"
    );
}
