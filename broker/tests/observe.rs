//! What the process tells others about itself.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic, in its helpers too")]

use std::process::{Command, Stdio};

/// A part of this file that runs in a process of its own, because it changes the whole process.
const PART: &str = "HOLDFAST_TEST_PART";

fn run_part(part: &str) -> std::process::Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_part_in_a_process_of_its_own", "--nocapture"])
        .env(PART, part)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn a_part_in_a_process_of_its_own() {
    use holdfast::config::{LogFormat, LogLevel};
    use holdfast::observe::{self, install_logging, install_panic_hook};
    let Ok(part) = std::env::var(PART) else { return };
    install_logging(LogLevel::Info, LogFormat::Json);
    match part.as_str() {
        "panic" => {
            install_panic_hook();
            let thread = std::thread::Builder::new().name("worker".into());
            let worker = thread.spawn(|| panic!("a state that must not exist"));
            let _ = worker.unwrap().join();
            println!("the process lived on");
        }
        "log" => {
            tracing::info!(epoch = 7, "leading");
            tracing::debug!("a detail");
        }
        "service" => {
            let addresses = leadership::Addresses {
                clients: vec!["stomp://127.0.0.1:61613".into()],
                ..leadership::Addresses::default()
            };
            observe::status("recovering");
            observe::ready(&addresses);
            observe::stopping();
        }
        _ => unreachable!("no such part"),
    }
}

#[test]
fn a_panic_in_any_thread_is_logged_and_ends_the_process() {
    let output = run_part("panic");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("lived on"));
    assert!(
        said.contains("a state that must not exist") && said.contains("\"thread\":\"worker\""),
        "{said}"
    );
}

#[test]
fn a_log_line_is_one_json_object_with_its_fields() {
    let output = run_part("log");
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with('{')).collect();
    assert_eq!(lines.len(), 1, "{said}");
    let line: serde_json::Value = serde_json::from_str(lines[0]).unwrap();
    assert_eq!(
        (&line["level"], &line["message"], &line["epoch"]),
        (&"INFO".into(), &"leading".into(), &7.into())
    );
}

#[test]
fn the_service_manager_hears_when_the_broker_is_ready_and_when_it_stops() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_part_in_a_process_of_its_own"])
        .env(PART, "service")
        .env("NOTIFY_SOCKET", &path)
        .output()
        .unwrap();
    assert!(output.status.success());
    socket.set_nonblocking(true).unwrap();
    let mut heard = Vec::new();
    let mut buffer = [0; 256];
    while let Ok(count) = socket.recv(&mut buffer) {
        heard.push(String::from_utf8_lossy(&buffer[..count]).trim().to_string());
    }
    assert_eq!(
        heard,
        [
            "STATUS=recovering",
            "READY=1\nSTATUS=leading, clients at stomp://127.0.0.1:61613",
            "STOPPING=1\nSTATUS=stopping"
        ]
    );
}
