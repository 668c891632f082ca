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
    epochs(directory, 2)
}

/// So many epochs with messages, each of them killed.
fn epochs(directory: &Path, count: usize) -> String {
    let data = directory.join("data").to_str().unwrap().to_string();
    for round in 0..count {
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

/// What a start on the directory ends with.
fn refusal(data: &str) -> Output {
    let arguments = [
        "run",
        "--data",
        data,
        "--listen",
        "stomp://127.0.0.1:0",
        "--admin",
        "none",
    ];
    holdfast(&arguments)
}

/// That the start refuses, that verify and inspect end as it does, and what verify says.
fn damages_as_for_a_start(data: &str) -> String {
    let verified = holdfast(&["journal", "verify", data]);
    assert_eq!(code(&verified), 65, "{verified:?}");
    assert_eq!(code(&holdfast(&["journal", "inspect", data])), 65);
    let refused = refusal(data);
    assert_eq!(code(&refused), 65, "{refused:?}");
    let text = String::from_utf8(verified.stdout).unwrap();
    for debug in ["Some(", "ObjectId(", "Epoch(", "SegmentNumber(", " {"] {
        assert!(!text.contains(debug), "{text}");
    }
    text
}

#[test]
fn a_missing_or_empty_claim_is_named() {
    for hurt in [1, 2, 3] {
        let directory = tempfile::tempdir().unwrap();
        let data = epochs(directory.path(), 3);
        let claim = format!("epochs/{hurt:08}");
        let path = Path::new(&data).join(&claim);
        std::fs::remove_file(&path).unwrap();
        let text = damages_as_for_a_start(&data);
        assert!(
            text.contains(&format!(
                "DAMAGE  {claim} is damaged at offset 0: the claim does not exist"
            )),
            "{text}"
        );
        if hurt == 3 {
            std::fs::write(&path, "").unwrap();
            let text = damages_as_for_a_start(&data);
            assert!(
                text.contains(&format!(
                    "DAMAGE  {claim} is damaged at offset 0: the claim is 0 bytes long"
                )),
                "{text}"
            );
        }
    }
}

#[test]
fn all_claims_missing_is_damage_and_no_directory_of_something_else() {
    let directory = tempfile::tempdir().unwrap();
    let data = written(directory.path());
    std::fs::remove_dir_all(Path::new(&data).join("epochs")).unwrap();
    let text = damages_as_for_a_start(&data);
    assert!(
        text.contains("epochs/00000001") && text.contains("epochs/00000002"),
        "{text}"
    );
}

#[test]
fn a_missing_journal_directory_is_damage_and_no_failure_of_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let data = written(directory.path());
    std::fs::remove_dir(Path::new(&data).join("checkpoints")).unwrap();
    for command in ["inspect", "verify"] {
        let output = holdfast(&["journal", command, &data]);
        assert_eq!(
            code(&output),
            0,
            "no checkpoint is named, and a start makes the directory: {output:?}"
        );
    }
    std::fs::remove_dir_all(Path::new(&data).join("journal")).unwrap();
    let text = damages_as_for_a_start(&data);
    assert!(text.contains("DAMAGE  journal/00000001-00000001"), "{text}");
}

#[test]
fn a_missing_announced_segment_is_damage() {
    let directory = tempfile::tempdir().unwrap();
    let data = written(directory.path());
    let newest = rows(&data, &[]).into_iter().rfind(|row| row["row"] == "segment");
    let newest = newest.unwrap()["file"].as_str().unwrap().to_string();
    std::fs::remove_file(Path::new(&data).join(&newest)).unwrap();
    let text = damages_as_for_a_start(&data);
    assert!(text.contains(&format!("DAMAGE  {newest} ")), "{text}");
}

#[test]
fn a_claim_that_led_and_lost_its_roots_is_damage() {
    let directory = tempfile::tempdir().unwrap();
    let data = epochs(directory.path(), 1);
    let path = Path::new(&data).join("epochs/00000001");
    let whole = std::fs::read(&path).unwrap();
    let blank = |cells: &[leadership::Cell]| {
        let mut bytes = whole.clone();
        for cell in cells {
            let start = cell.offset() as usize;
            bytes[start..start + 4096].fill(0);
        }
        std::fs::write(&path, bytes).unwrap();
    };
    // Without the heartbeat, segments and FORMAT still tell.
    let [.., root_a, root_b, heartbeat, _] = leadership::Cell::ALL;
    for cells in [&[root_a, root_b][..], &[root_a, root_b, heartbeat]] {
        blank(cells);
        let text = damages_as_for_a_start(&data);
        assert!(text.contains("DAMAGE  epochs/00000001 "), "{text}");
        assert!(text.contains("DAMAGE  FORMAT "), "{text}");
    }
}

#[test]
fn exchanged_claims_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let data = epochs(directory.path(), 3);
    let claim = |epoch: u32| Path::new(&data).join(format!("epochs/{epoch:08}"));
    for other in [2, 3] {
        let aside = directory.path().join("aside");
        let exchange = || {
            std::fs::rename(claim(1), &aside).unwrap();
            std::fs::rename(claim(other), claim(1)).unwrap();
            std::fs::rename(&aside, claim(other)).unwrap();
        };
        exchange();
        let verified = holdfast(&["journal", "verify", &data]);
        assert_eq!(code(&verified), 65, "{verified:?}");
        let text = String::from_utf8(verified.stdout).unwrap();
        assert!(text.contains(&format!("DAMAGE  epochs/{other:08} ")), "{text}");
        exchange();
        assert_eq!(code(&holdfast(&["journal", "verify", &data])), 0);
    }
}

#[test]
fn a_claim_that_is_older_than_the_log_is_damage() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data").to_str().unwrap().to_string();
    let broker = start(&data);
    let claim = Path::new(&data).join("epochs/00000001");
    let older = std::fs::read(&claim).unwrap();
    // Three segments of 4 MiB.
    let body = "x".repeat(100 << 10);
    for _ in 0..100 {
        let sent = holdfast(&["send", "Q", &body, "--data", &data]);
        assert_eq!(code(&sent), 0, "{sent:?}");
    }
    drop(broker);
    assert_eq!(code(&holdfast(&["journal", "verify", &data])), 0);
    std::fs::write(&claim, older).unwrap();
    let verified = holdfast(&["journal", "verify", &data]);
    assert_eq!(code(&verified), 65, "{verified:?}");
    let text = String::from_utf8(verified.stdout).unwrap();
    assert!(text.contains("the claim of epoch 1 is older than the log"), "{text}");
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
