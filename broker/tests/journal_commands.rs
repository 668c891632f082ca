//! `holdfast journal` on directories that the shipped broker has written.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic, in its helpers too")]

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

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

/// A running broker; killed when it is dropped.
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
        "--data",
        data,
        "--listen",
        "stomp://127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
    ];
    let child = Command::new(env!("CARGO_BIN_EXE_holdfast"))
        .args(arguments)
        .args(["--journal-segment-bytes", "4MiB"])
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

/// The rows that `journal inspect --json` prints.
fn rows(data: &str, options: &[&str]) -> Vec<serde_json::Value> {
    let inspected = holdfast(&[&["journal", "inspect", data, "--json"], options].concat());
    assert_eq!(code(&inspected), 0, "{inspected:?}");
    let text = String::from_utf8(inspected.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Two epochs with messages, the second one killed.
fn written(directory: &Path) -> String {
    let data = directory.join("data").to_str().unwrap().to_string();
    for round in 0..2 {
        let _broker = start(&data);
        for _ in 0..3 {
            let sent = holdfast(&["send", "Q", &format!("round {round}"), "--data", &data]);
            assert_eq!(code(&sent), 0, "{sent:?}");
        }
    }
    data
}

#[test]
fn a_whole_directory_verifies_beside_a_running_broker_and_after_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let data = written(directory.path());
    let after_kill = holdfast(&["journal", "verify", &data]);
    assert_eq!(code(&after_kill), 0, "{after_kill:?}");
    let _broker = start(&data);
    let beside = holdfast(&["journal", "verify", &data, "--json"]);
    let answer: serde_json::Value = serde_json::from_slice(&beside.stdout).unwrap();
    assert_eq!(
        (code(&beside), &answer["totals"]["damages"]),
        (0, &0.into()),
        "{answer}"
    );
    assert!(answer["totals"]["records"].as_u64().unwrap() >= 6, "{answer}");
}

#[test]
fn inspect_shows_claims_segments_batches_and_records() {
    let directory = tempfile::tempdir().unwrap();
    let data = written(directory.path());
    let rows = rows(&data, &["--records"]);
    let count = |kind: &str| rows.iter().filter(|row| row["row"] == kind).count();
    assert_eq!(count("claim"), 2);
    assert_eq!(count("seal"), 1, "the first epoch is sealed by the second");
    assert!(count("segment") >= 2 && count("batch") >= 6);
    let sent = rows
        .iter()
        .filter(|row| row["row"] == "record" && row["kind"] == "sent")
        .count();
    assert_eq!(sent, 6);
    let text = holdfast(&["journal", "inspect", &data, "--batches"]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("epoch 1      led        fenced by 2, process "), "{text}");
}

#[test]
fn a_flipped_bit_is_found_with_file_and_offset_and_ends_with_65() {
    let directory = tempfile::tempdir().unwrap();
    let data = written(directory.path());
    let batch = rows(&data, &["--batches"])
        .into_iter()
        .find(|row| row["row"] == "batch" && row["number"] == 2)
        .unwrap();
    let (name, offset) = (batch["file"].as_str().unwrap(), batch["offset"].as_u64().unwrap());
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .open(Path::new(&data).join(name))
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset + 130).unwrap();
    file.write_all_at(&[byte[0] ^ 4], offset + 130).unwrap();
    let verified = holdfast(&["journal", "verify", &data]);
    assert_eq!(code(&verified), 65, "{verified:?}");
    let text = String::from_utf8(verified.stdout).unwrap();
    assert!(
        text.contains(&format!("DAMAGE  {name} is damaged at offset {offset}")),
        "{text}"
    );
    let refused = holdfast(&[
        "run",
        "--data",
        &data,
        "--listen",
        "stomp://127.0.0.1:0",
        "--admin",
        "none",
    ]);
    assert_eq!(code(&refused), 65, "{refused:?}");
}

#[test]
fn a_directory_of_something_else_is_73() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    for data in [path, "/proc/self/cmdline", "missing"] {
        for command in ["inspect", "verify"] {
            let output = holdfast(&["journal", command, data]);
            assert_eq!(code(&output), 73, "{output:?}");
        }
    }
    assert_eq!(std::fs::read_dir(path).unwrap().count(), 0, "nothing was created");
}
