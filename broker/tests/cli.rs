//! The commands as a script sees them: what is printed where, and the exit code. A broker is played by threads of the test.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic, in its helpers too")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

/// Runs the command with an empty environment and no input.
fn holdfast(arguments: &[&str]) -> Output {
    holdfast_with(arguments, &[], b"")
}

fn holdfast_with(arguments: &[&str], environment: &[(&str, &str)], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_holdfast"))
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read its input may have ended already.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("{output:?}"))
}

/// A frame that a client sent: command, headers, body.
type Frame = (String, Vec<(String, String)>, String);

/// A STOMP server with one script: it confirms what asks for a receipt, and answers SUBSCRIBE with these frames.
struct Played {
    url: String,
    frames: Arc<Mutex<Vec<Frame>>>,
}

impl Played {
    fn start(deliveries: Vec<String>) -> Played {
        Played::start_refusing(deliveries, None)
    }

    /// `refused`: a SEND with this body is answered by ERROR.
    fn start_refusing(deliveries: Vec<String>, refused: Option<&'static str>) -> Played {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("stomp://{}", listener.local_addr().unwrap());
        let frames = Arc::new(Mutex::new(Vec::new()));
        let seen = frames.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                converse(stream.unwrap(), &deliveries, refused, &seen);
            }
        });
        Played { url, frames }
    }

    fn commands(&self) -> Vec<String> {
        self.frames
            .lock()
            .unwrap()
            .iter()
            .map(|frame| frame.0.clone())
            .collect()
    }

    fn first(&self, command: &str) -> Frame {
        let frames = self.frames.lock().unwrap();
        frames.iter().find(|frame| frame.0 == command).unwrap().clone()
    }
}

fn header<'a>(frame: &'a Frame, name: &str) -> Option<&'a str> {
    frame
        .1
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

fn converse(stream: TcpStream, deliveries: &[String], refused: Option<&str>, seen: &Mutex<Vec<Frame>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    let mut bytes = Vec::new();
    while reader.read_until(0, &mut bytes).unwrap_or(0) > 0 {
        let text = String::from_utf8(std::mem::take(&mut bytes)).unwrap();
        let text = text.trim_end_matches('\0').trim_start_matches('\n');
        if text.is_empty() {
            continue;
        }
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let command = lines.next().unwrap_or("").to_string();
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        let frame: Frame = (command, headers, body.to_string());
        let mut answer = String::new();
        match frame.0.as_str() {
            "CONNECT" => answer.push_str("CONNECTED\nversion:1.2\nheart-beat:0,0\n\n\0"),
            "SUBSCRIBE" => deliveries.iter().for_each(|delivery| answer.push_str(delivery)),
            "SEND" if refused == Some(body) => answer.push_str("ERROR\nmessage:no space\n\nthe store is full\0"),
            _ => {}
        }
        if let Some(receipt) = header(&frame, "receipt").filter(|_| !answer.starts_with("ERROR")) {
            answer.push_str(&format!("RECEIPT\nreceipt-id:{receipt}\n\n\0"));
        }
        seen.lock().unwrap().push(frame);
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn delivery(number: u32, body: &str) -> String {
    format!(
        "MESSAGE\nsubscription:receive\nmessage-id:m{number}\nack:a{number}\ndestination:/queue/Q\npriority:4\ntimestamp:1\ncontent-length:{}\n\n{body}\0",
        body.len()
    )
}

#[test]
fn send_waits_for_the_receipt_and_says_what_it_did() {
    let broker = Played::start(vec![]);
    let sent = holdfast(&[
        "send",
        "Q",
        "Hello, world",
        "--header",
        "price=7",
        "--priority",
        "9",
        "--broker",
        &broker.url,
    ]);
    assert_eq!(
        (code(&sent), out(&sent).as_str()),
        (0, "Sent 1 message to queue://Q.\n"),
        "{sent:?}"
    );
    assert_eq!(broker.commands(), ["CONNECT", "SEND", "DISCONNECT"]);
    let frame = broker.first("SEND");
    assert_eq!(frame.2, "Hello, world");
    for (name, value) in [
        ("destination", "/queue/Q"),
        ("persistent", "true"),
        ("price", "7"),
        ("priority", "9"),
    ] {
        assert_eq!(header(&frame, name), Some(value), "{name}");
    }
    assert!(header(&frame, "receipt").is_some());
    assert_eq!(header(&frame, "content-length"), None);
}

#[test]
fn send_reads_bodies_from_standard_input_and_files() {
    let broker = Played::start(vec![]);
    let lines = holdfast_with(
        &["send", "topic://T", "--lines", "--json", "--broker", &broker.url],
        &[],
        b"one\ntwo\r\nthree",
    );
    let answer: serde_json::Value = serde_json::from_str(&out(&lines)).unwrap();
    assert_eq!(
        (&answer["messages"], &answer["destination"]),
        (&3.into(), &"topic://T".into()),
        "{lines:?}"
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "from a file").unwrap();
    let path = file.path().to_str().unwrap();
    assert_eq!(
        code(&holdfast(&["send", "Q", "--file", path, "--broker", &broker.url])),
        0
    );
    let many = holdfast(&[
        "send",
        "Q",
        "again",
        "--count",
        "200",
        "--persistent",
        "false",
        "--broker",
        &broker.url,
    ]);
    assert_eq!(out(&many), "Sent 200 messages to queue://Q.\n");
    let bodies: Vec<String> = broker
        .frames
        .lock()
        .unwrap()
        .iter()
        .filter(|frame| frame.0 == "SEND")
        .map(|frame| frame.2.clone())
        .collect();
    assert_eq!(bodies[..4], ["one", "two", "three", "from a file"]);
    assert_eq!(bodies.len(), 204);
}

#[test]
fn a_refused_send_says_how_many_messages_were_confirmed() {
    let broker = Played::start_refusing(vec![], Some("two"));
    let sent = holdfast_with(&["send", "Q", "--lines", "--broker", &broker.url], &[], b"one\ntwo\n");
    assert_eq!(code(&sent), 76, "{sent:?}");
    assert!(
        err(&sent).contains("the broker refused: no space (the store is full) (1 of 2 messages sent were confirmed)"),
        "{}",
        err(&sent)
    );
    assert_eq!(out(&sent), "");
}

#[test]
fn receive_acknowledges_after_printing_and_stops_at_the_count() {
    let broker = Played::start(vec![delivery(1, "one"), delivery(2, "two"), delivery(3, "three")]);
    let received = holdfast(&[
        "receive",
        "Q",
        "--count",
        "2",
        "--selector",
        "price > 5",
        "--broker",
        &broker.url,
    ]);
    assert_eq!(
        (code(&received), out(&received).as_str()),
        (0, "one\ntwo\n"),
        "{received:?}"
    );
    let subscribe = broker.first("SUBSCRIBE");
    for (name, value) in [
        ("ack", "client-individual"),
        ("selector", "price > 5"),
        ("activemq.prefetchSize", "2"),
    ] {
        assert_eq!(header(&subscribe, name), Some(value), "{name}");
    }
    let acks = broker
        .frames
        .lock()
        .unwrap()
        .iter()
        .filter(|frame| frame.0 == "ACK")
        .count();
    assert_eq!(acks, 2);
}

#[test]
fn receive_shows_headers_and_json() {
    let broker = Played::start(vec![delivery(1, "text")]);
    let received = holdfast(&["receive", "Q", "--headers", "--broker", &broker.url]);
    assert!(
        out(&received).contains("message-id: m1\n") && out(&received).ends_with("\n\ntext\n"),
        "{}",
        out(&received)
    );
    let json = holdfast(&["receive", "Q", "--json", "--broker", &broker.url]);
    let message: serde_json::Value = serde_json::from_str(&out(&json)).unwrap();
    assert_eq!((&message["text"], &message["id"]), (&"text".into(), &"m1".into()));
    assert_eq!(message["headers"]["priority"], "4");
}

#[test]
fn receive_ends_with_66_when_too_little_comes_in_time() {
    let broker = Played::start(vec![delivery(1, "one")]);
    let received = holdfast(&[
        "receive",
        "Q",
        "--count",
        "2",
        "--timeout",
        "100ms",
        "--broker",
        &broker.url,
    ]);
    assert_eq!((code(&received), out(&received).as_str()), (66, "one\n"));
    assert!(
        err(&received).contains("only 1 of 2 messages came"),
        "{}",
        err(&received)
    );
}

#[test]
fn browse_lists_messages_and_takes_none() {
    let end = "MESSAGE\nsubscription:browse\nmessage-id:end\nbrowser:end\ndestination:/queue/Q\n\n\0".to_string();
    let long = "a long text, ".repeat(20);
    let broker = Played::start(vec![delivery(1, "one"), delivery(2, &long), end]);
    let browsed = holdfast(&["browse", "Q", "--broker", &broker.url]);
    assert_eq!(code(&browsed), 0, "{browsed:?}");
    let text = out(&browsed);
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert_eq!(header(&broker.first("SUBSCRIBE"), "browser"), Some("true"));
    assert_eq!(code(&holdfast(&["browse", "topic://T", "--broker", &broker.url])), 2);
}

#[test]
fn a_broker_that_is_not_there_is_69_and_json_says_the_same() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let text = holdfast(&["status", "--admin", &free]);
    assert_eq!(code(&text), 69);
    assert!(err(&text).contains(&format!("where: http://{free}")), "{}", err(&text));
    let json = holdfast(&["status", "--json", "--admin", &free]);
    let error: serde_json::Value = serde_json::from_str(&err(&json)).unwrap();
    assert_eq!(
        (code(&json), &error["error"]["exit_code"], &error["error"]["name"]),
        (69, &69.into(), &"unreachable".into())
    );
    assert_eq!(
        code(&holdfast(&["send", "Q", "x", "--broker", &format!("stomp://{free}")])),
        69
    );
}

#[test]
fn what_is_no_broker_is_recognised() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
        }
    });
    let status = holdfast(&["status", "--admin", &address]);
    assert_eq!(code(&status), 69, "{status:?}");
    assert!(err(&status).contains("what answers is no Holdfast"), "{}", err(&status));
    assert_eq!(
        code(&holdfast(&["receive", "Q", "--broker", &format!("stomp://{address}")])),
        69
    );
}

#[test]
fn a_directory_without_claims_is_73() {
    let directory = tempfile::tempdir().unwrap();
    let status = holdfast(&["status", "--data", directory.path().to_str().unwrap()]);
    assert_eq!(code(&status), 73, "{status:?}");
}

#[test]
fn wrong_command_lines_are_2_also_in_json() {
    for arguments in [
        &["sned", "Q"][..],
        &["send"],
        &["send", "amqp://Q", "x"],
        &["receive", "Q", "--timeout", "3"],
        &["send", "Q", "x", "--priority", "10"],
    ] {
        assert_eq!(code(&holdfast(arguments)), 2, "{arguments:?}");
    }
    let json = holdfast(&["sned", "--json"]);
    let error: serde_json::Value = serde_json::from_str(&err(&json)).unwrap();
    assert_eq!(error["error"]["name"], "usage");
    assert!(
        error["error"]["what_to_do"].as_str().unwrap().contains("'send'"),
        "{error}"
    );
    assert_eq!(code(&holdfast(&["--help"])), 0);
}

#[test]
fn config_check_shows_where_each_value_came_from_and_refuses_with_78() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("holdfast.toml");
    let path = path.to_str().unwrap();
    std::fs::write(path, "name = \"mine\"\n").unwrap();
    let good = holdfast_with(
        &["config", "check", path],
        &[("HOLDFAST_LOG_LEVEL", "debug"), ("HOLDFAST_NMAE", "x")],
        b"",
    );
    assert_eq!(code(&good), 0, "{good:?}");
    let text = out(&good);
    assert!(
        text.lines()
            .any(|line| line.starts_with("name = \"mine\" ") && line.ends_with(&format!("# {path}:1:8"))),
        "{text}"
    );
    assert!(
        text.lines().any(|line| line.starts_with("level = \"debug\" ")
            && line.ends_with("# environment variable HOLDFAST_LOG_LEVEL"))
    );
    assert!(err(&good).contains("HOLDFAST_NMAE is no setting"), "{}", err(&good));
    std::fs::write(path, "nmae = \"mine\"\n").unwrap();
    let bad = holdfast_with(&["config", "check"], &[("HOLDFAST_CONFIG", path)], b"");
    assert_eq!((code(&bad), out(&bad).as_str()), (78, ""));
    assert!(
        err(&bad).contains(&format!("{path}:1:1: there is no setting `nmae`; did you mean `name`?")),
        "{}",
        err(&bad)
    );
}

#[test]
fn run_refuses_a_wrong_configuration_before_it_touches_anything() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let refused = holdfast(&["run", "--data", data.to_str().unwrap(), "--listen", "stomp://0.0.0.0:0"]);
    assert_eq!(code(&refused), 78, "{refused:?}");
    assert!(
        err(&refused).contains("flag --listen: `listen` names stomp://0.0.0.0:0, which other machines can reach"),
        "{}",
        err(&refused)
    );
    assert!(!data.exists());
}

#[test]
fn a_reader_that_goes_away_ends_the_command_quietly() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_holdfast"))
        .args(["config", "reference"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(err(&output), "");
}
