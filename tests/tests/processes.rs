//! The shipped binary as an operator meets it: two on one directory, wrong directories, taken ports, wrong keys; and a short kill loop.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use holdfast_tests::process::{
    Broker, Ended, Launch, Unavailable, command, holdfast, is_root, program, reachable_by_others,
};

/// Exit codes, as docs/exit-codes.md has them.
const ADDRESS_IN_USE: i32 = 71;
const DATA_UNUSABLE: i32 = 73;
const ANOTHER_LEADS: i32 = 75;
const CONFIGURATION: i32 = 78;

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// Starts one that must end by itself, with a code and words.
#[track_caller]
fn refused(launch: &Launch, code: i32, words: &[&str]) -> Ended {
    // Its reason is an ERROR in the log, or a line of its own.
    let ended = launch.start().expecting("").wait_end();
    assert_eq!(ended.code, Some(code), "{}", ended.text());
    for word in words {
        assert!(ended.text().contains(word), "{word:?} is not in:\n{}", ended.text());
    }
    ended
}

#[test]
fn second_process_on_a_directory_says_who_leads_and_where_and_the_first_serves_on() {
    let own = directory();
    let data = own.path().join("data");
    let mut first: Broker = Launch::new(&data).start();
    first.wait_ready();
    let (clients, pid) = (format!("stomp://{}", first.stomp()), format!("process {}", first.pid()));
    refused(
        &Launch::new(&data),
        ANOTHER_LEADS,
        &["another broker leads", &clients, &pid],
    );
    first.wait_ready();
    first.stop();
}

#[test]
fn killed_broker_serves_again_and_each_start_is_a_higher_epoch() {
    let own = directory();
    let data = own.path().join("data");
    let mut epochs = Vec::new();
    for _ in 0..3 {
        let mut broker = Launch::new(&data).start();
        broker.wait_ready();
        epochs.push(broker.epoch());
        broker.kill();
    }
    assert_eq!(epochs, [1, 2, 3]);
    Launch::new(&data).start().wait_ready();
}

#[test]
fn data_directory_that_is_a_file_is_refused() {
    let own = directory();
    let file = own.path().join("file");
    std::fs::write(&file, "not a directory").expect("the directory is ours");
    refused(&Launch::new(&file), DATA_UNUSABLE, &["file", "director"]);
    assert_eq!(std::fs::read_to_string(&file).expect("it is ours"), "not a directory");
}

#[test]
fn data_directory_without_a_parent_is_refused() {
    let own = directory();
    refused(
        &Launch::new(&own.path().join("no/such/parent")),
        DATA_UNUSABLE,
        &["no/such"],
    );
}

#[test]
fn data_directory_that_may_not_be_written_is_refused() {
    if !is_root() {
        return Unavailable("it takes root to become another user".into())
            .skip("data_directory_that_may_not_be_written_is_refused");
    }
    let own = directory();
    let data = own.path().join("data");
    std::fs::create_dir(&data).expect("the directory is ours");
    for path in [own.path(), &data] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o555)).expect("the directory is ours");
    }
    let launch = Launch {
        user: Some(65_534),
        ..Launch::new(&data)
    };
    if !reachable_by_others(holdfast()) {
        return Unavailable("the binary lies where other users cannot reach it".into())
            .skip("data_directory_that_may_not_be_written_is_refused");
    }
    refused(&launch, DATA_UNUSABLE, &["data", "ermission"]);
}

#[test]
fn data_directory_on_fuse_is_refused_without_the_flag_that_takes_the_risk() {
    let own = directory();
    let (source, mounted) = (own.path().join("source"), own.path().join("mounted"));
    std::fs::create_dir(&source)
        .and_then(|()| std::fs::create_dir(&mounted))
        .expect("the directory is ours");
    let name = "data_directory_on_fuse_is_refused_without_the_flag_that_takes_the_risk";
    let Some(bindfs) = program("bindfs") else {
        return Unavailable("bindfs is not installed".into()).skip(name);
    };
    let status = Command::new(bindfs)
        .arg(&source)
        .arg(&mounted)
        .stderr(Stdio::null())
        .status();
    if !status.is_ok_and(|status| status.success()) {
        return Unavailable("bindfs cannot mount here".into()).skip(name);
    }
    let launch = Launch::new(&mounted.join("data"));
    let result = std::panic::catch_unwind(|| {
        refused(&launch, DATA_UNUSABLE, &["fuse", "shared-unknown"]);
    });
    let _ = Command::new("fusermount").arg("-u").arg(&mounted).status();
    result.expect("FUSE is refused");
}

#[test]
fn taken_port_is_refused_and_fences_nobody() {
    let own = directory();
    let data = own.path().join("data");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let listen = Launch {
        listen: format!("stomp://{address}"),
        ..Launch::new(&data)
    };
    refused(&listen, ADDRESS_IN_USE, &[&address, "--listen"]);
    let admin = Launch {
        admin: address.clone(),
        ..Launch::new(&data)
    };
    refused(&admin, ADDRESS_IN_USE, &[&address, "--admin"]);
    let mut broker = Launch::new(&data).start();
    broker.wait_ready();
    assert_eq!(broker.epoch(), 1, "nothing was claimed by those who could not listen");
    broker.stop();
}

#[test]
fn wrong_configuration_key_is_refused_with_line_and_suggestion() {
    let own = directory();
    let file = own.path().join("holdfast.toml");
    std::fs::write(&file, "name = \"a\"\n\n[journal]\nsegment_byte = \"64MiB\"\n").expect("the directory is ours");
    let launch = Launch::new(&own.path().join("data")).flag(&format!("--config={}", file.display()));
    refused(
        &launch,
        CONFIGURATION,
        &["segment_byte", "4", "segment_bytes", "holdfast.toml"],
    );
    assert!(!own.path().join("data").exists(), "nothing was started");
}

#[test]
fn journal_of_a_stopped_broker_verifies() {
    let own = directory();
    let data = own.path().join("data");
    let mut broker = Launch::new(&data).start();
    broker.wait_ready();
    broker.stop();
    let output = command(&["journal".into(), "verify".into(), data.into()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
