//! What operators do to a running broker: who is connected, moves, dead letters, what is set aside. A real broker, as a process, with clients on sockets.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic, in its helpers too")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

/// A running broker on a directory of its own; killed when it is dropped.
struct Broker {
    process: Child,
    data: tempfile::TempDir,
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended by itself, and then the test has failed already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn start(data: &tempfile::TempDir) -> Child {
    let child = Command::new(env!("CARGO_BIN_EXE_holdfast"))
        .args(["run", "--data", data.path().to_str().unwrap(), "--admin", "127.0.0.1:0"])
        .args(["--listen", "stomp://127.0.0.1:0", "--journal-segment-bytes", "4MiB"])
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let ready = holdfast(
        &["status", "--data", data.path().to_str().unwrap(), "--wait", "30s"],
        &[],
    );
    assert!(ready.status.success(), "{ready:?}");
    child
}

fn holdfast(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_holdfast"))
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

impl Broker {
    fn new() -> Broker {
        let data = tempfile::tempdir().unwrap();
        Broker {
            process: start(&data),
            data,
        }
    }

    /// Kills it and starts another on the same directory.
    fn restart(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = start(&self.data);
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let data = self.data.path().to_str().unwrap();
        holdfast(&[arguments, &["--data", data]].concat(), &[])
    }

    /// What a command says, which must succeed.
    fn text(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.text(&[arguments, &["--json"]].concat())).unwrap()
    }

    /// The exit code and the words of a command that fails.
    fn failure(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(arguments);
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    fn client(&self, client_id: &str) -> Client {
        let status = self.json(&["status"]);
        let address = status["listeners"][0]
            .as_str()
            .unwrap()
            .trim_start_matches("stomp://")
            .to_owned();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut client = Client {
            reader: BufReader::new(stream.try_clone().unwrap()),
            stream,
        };
        client.send(&format!("CONNECT\naccept-version:1.2\nclient-id:{client_id}\n\n\0"));
        assert!(client.frame().starts_with("CONNECTED"));
        client
    }
}

/// A STOMP client, frame by frame.
struct Client {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Client {
    fn send(&mut self, frame: &str) {
        self.stream.write_all(frame.as_bytes()).unwrap();
    }

    /// Sends a frame and waits until it is confirmed.
    fn ask(&mut self, frame: &str) {
        let (command, rest) = frame.split_once('\n').unwrap();
        self.send(&format!("{command}\nreceipt:r\n{rest}"));
        let answer = self.frame();
        assert!(answer.starts_with("RECEIPT"), "{answer}");
    }

    /// The next frame; empty at the end of the connection.
    fn frame(&mut self) -> String {
        let mut bytes = Vec::new();
        self.reader.read_until(0, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap().trim_start_matches('\n').to_owned()
    }

    /// Rejects the next message: a dead letter.
    fn reject(&mut self) {
        let message = self.frame();
        let ack = message.lines().find_map(|line| line.strip_prefix("ack:")).unwrap();
        let nack = format!("NACK\nid:{ack}\n\n\0");
        self.ask(&nack);
    }
}

fn waiting(broker: &Broker, name: &str) -> u64 {
    let found = broker.json(&["destinations", "list"]);
    let all = found["destinations"].as_array().unwrap();
    let one = all.iter().find(|one| one["name"] == format!("queue://{name}"));
    one.map_or(0, |one| one["messages"].as_u64().unwrap())
}

#[test]
fn connections_and_subscriptions_are_listed_filtered_limited_and_closed() {
    let broker = Broker::new();
    assert_eq!(broker.text(&["connections"]), "No connections.\n");
    assert_eq!(broker.text(&["subscriptions"]), "No subscriptions.\n");
    let (mut billing, mut other) = (broker.client("billing"), broker.client("other"));
    billing.ask("SUBSCRIBE\nid:mine\ndestination:/queue/orders\nack:client-individual\nactivemq.prefetchSize:5\nselector:price > 5\n\n\0");
    other.ask("SUBSCRIBE\nid:1\ndestination:/topic/prices.>\nactivemq.subscriptionName:watch\n\n\0");
    other.ask("SUBSCRIBE\nid:2\ndestination:/queue/orders\nack:client\n\n\0");
    billing.ask("SEND\ndestination:/queue/orders\nprice:7\npersistent:true\n\nx\0");
    assert!(billing.frame().starts_with("MESSAGE"));

    let all = broker.json(&["connections"]);
    let connections = all["connections"].as_array().unwrap();
    assert_eq!(connections.len(), 2);
    let first = &connections[0];
    assert_eq!(
        (
            &first["client_id"],
            &first["protocol"],
            &first["subscriptions"],
            &first["unacknowledged"]
        ),
        (&"billing".into(), &"STOMP 1.2".into(), &1.into(), &1.into())
    );
    assert_eq!(first["address"], billing.stream.local_addr().unwrap().to_string());
    assert!(first["since"].as_u64().unwrap() > 1_600_000_000_000);
    let named = broker.json(&["connections", "--client-id", "other"]);
    assert_eq!(named["connections"].as_array().unwrap().len(), 1);
    assert_eq!(
        broker.json(&["connections", "--limit", "1"])["connections"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(broker.text(&["connections", "--waiting"]), "No such connections.\n");
    let table = broker.text(&["connections"]);
    assert!(
        table.starts_with("ID  SUBS  UNACKED") && table.contains("STOMP 1.2"),
        "{table}"
    );

    let all = broker.json(&["subscriptions"]);
    let subscriptions = all["subscriptions"].as_array().unwrap();
    assert_eq!(subscriptions.len(), 3);
    let mine = &subscriptions[0];
    assert_eq!(
        (
            &mine["id"],
            &mine["ack"],
            &mine["prefetch"],
            &mine["selector"],
            &mine["dispatched"]
        ),
        (
            &"mine".into(),
            &"client-individual".into(),
            &5.into(),
            &"price > 5".into(),
            &1.into()
        )
    );
    assert_eq!(
        (&subscriptions[1]["durable"], &subscriptions[1]["pending"]),
        (&"watch".into(), &0.into())
    );
    let of = |filter: &[&str]| {
        let found = broker.json(&[&["subscriptions"], filter].concat());
        found["subscriptions"].as_array().unwrap().len()
    };
    assert_eq!(of(&["--destination", "orders"]), 2);
    assert_eq!(of(&["--destination", "topic://prices.steel"]), 1);
    assert_eq!(of(&["--client-id", "billing"]), 1);
    assert_eq!(of(&["--limit", "2"]), 2);
    let id = first["id"].to_string();
    assert_eq!(of(&["--connection", &id]), 1);

    let (code, words) = broker.failure(&["subscriptions", "delete", "other", "watch"]);
    assert!(code == 76 && words.contains("in use"), "{words}");
    assert_eq!(
        broker.text(&["connections", "close", &id]),
        format!("Closed connection {id}.\n")
    );
    assert_eq!(billing.frame(), "", "its connection is closed");
    drop(other);
    // The broker hears of the end of a socket a moment later.
    while of(&[]) != 1
        || !broker.json(&["connections"])["connections"]
            .as_array()
            .unwrap()
            .is_empty()
    {}
    let offline = broker.text(&["subscriptions"]);
    assert!(
        offline.contains("OFFLINE") && offline.contains("client other, durable watch"),
        "{offline}"
    );
    let (code, words) = broker.failure(&["connections", "close", &id]);
    assert!(code == 76 && words.contains("there is no such connection"), "{words}");
    assert_eq!(
        broker.text(&["subscriptions", "delete", "other", "watch"]),
        "Deleted durable subscription watch of client other with 0 messages.\n"
    );
    assert_eq!(broker.text(&["subscriptions"]), "No subscriptions.\n");
    let (code, words) = broker.failure(&["subscriptions", "delete", "nobody", "none"]);
    assert!(
        code == 76 && words.contains("`holdfast subscriptions` shows"),
        "{words}"
    );
    assert_eq!(
        waiting(&broker, "orders"),
        1,
        "what its client had not acknowledged is back"
    );
}

#[test]
fn tables_are_cut_only_where_the_width_is_known() {
    let broker = Broker::new();
    let name = format!("orders.{}", "x".repeat(200));
    let mut client = broker.client(&"c".repeat(100));
    client.ask(&format!(
        "SUBSCRIBE\nid:1\ndestination:/queue/{name}\nselector:{}\n\n\0",
        "a = 1 OR ".repeat(30) + "a = 2"
    ));
    let data = broker.data.path().to_str().unwrap();
    for arguments in [
        &["connections"][..],
        &["subscriptions"],
        &["destinations", "list"],
        &["status"],
    ] {
        let whole = broker.text(arguments);
        let narrow = holdfast(&[arguments, &["--data", data]].concat(), &[("COLUMNS", "80")]);
        let narrow = String::from_utf8(narrow.stdout).unwrap();
        assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
        assert!(!whole.contains('…'), "{whole}");
        assert_eq!(narrow.contains('…'), whole != narrow, "{narrow}");
    }
    assert!(broker.text(&["destinations", "list"]).contains(&name));
}

#[test]
fn messages_move_between_queues_and_stay_moved_after_a_kill() {
    let mut broker = Broker::new();
    let mut client = broker.client("C");
    for number in 0..20 {
        client.send(&format!(
            "SEND\ndestination:/queue/A\nnumber:{number}\npersistent:true\n\n{number}\0"
        ));
    }
    client.ask("SEND\ndestination:/queue/B\npersistent:true\n\nthere\0");
    client.ask("SUBSCRIBE\nid:1\ndestination:/queue/A\nack:client\nactivemq.prefetchSize:2\n\n\0");
    assert!(client.frame().starts_with("MESSAGE") && client.frame().starts_with("MESSAGE"));
    assert_eq!(
        broker.text(&["destinations", "move", "A", "B", "--selector", "number >= 15"]),
        "Moved 5 messages from queue://A to queue://B.\n"
    );
    assert_eq!(
        broker.text(&["destinations", "move", "A", "B", "--limit", "3"]),
        "Moved 3 messages from queue://A to queue://B.\nLeft 2 messages: consumers have them.\n"
    );
    let rest = broker.json(&["destinations", "move", "A", "queue://B"]);
    assert_eq!(
        (&rest["messages"], &rest["left"]["in_delivery"]),
        (&10.into(), &2.into())
    );
    broker.restart();
    assert_eq!((waiting(&broker, "A"), waiting(&broker, "B")), (2, 19));
    for (arguments, code, words) in [
        (&["move", "A", "A"][..], 76, "is where the messages are"),
        (&["move", "A", "nowhere"], 76, "create it first"),
        (&["move", "A", "nowhere"], 76, "where: queue://nowhere"),
        (&["move", "nowhere", "A"], 76, "where: queue://nowhere"),
        (&["move", "nowhere", "A"], 76, "there is no queue://nowhere"),
        (&["move", "A", "topic://T"], 76, "moved to a queue"),
        (&["move", "A", "B", "--selector", "a = ="], 76, "selector"),
        (&["move", "A", "B", "--limit", "0"], 2, "0 is not in 1.."),
        (&["move", "A", "B.>"], 76, "pattern"),
        (&["move", "A"], 2, "required arguments"),
    ] {
        let (found, said) = broker.failure(&[&["destinations"], arguments].concat());
        assert!(
            found == code && said.to_lowercase().contains(words),
            "{arguments:?}: {found} {said}"
        );
    }
}

/// Killed while it moves messages, again and again, until three kills came in the middle of a move.
#[test]
fn every_message_is_in_one_queue_when_a_broker_is_killed_in_the_middle_of_a_move() {
    const MESSAGES: u64 = 5000;
    let mut broker = Broker::new();
    let mut client = broker.client("C");
    client.ask("SEND\ndestination:/queue/B\npersistent:true\n\nfirst\0");
    for number in 1..MESSAGES {
        client.send(&format!("SEND\ndestination:/queue/A\npersistent:true\n\n{number}\0"));
    }
    client.ask("SEND\ndestination:/queue/A\npersistent:true\n\nlast\0");
    let (mut from, mut to, mut interrupted) = ("A", "B", 0);
    for _ in 0..100 {
        let (before, there) = (waiting(&broker, from), waiting(&broker, to));
        assert_eq!(before + there, MESSAGES + 1);
        let mut order = Command::new(env!("CARGO_BIN_EXE_holdfast"))
            .args([
                "destinations",
                "move",
                from,
                to,
                "--data",
                broker.data.path().to_str().unwrap(),
            ])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while waiting(&broker, to) == there && order.try_wait().unwrap().is_none() {}
        broker.restart();
        order.wait().unwrap();
        let left = waiting(&broker, from);
        assert_eq!(left + waiting(&broker, to), MESSAGES + 1, "{left} are left in {from}");
        interrupted += u32::from(left > 0 && left < before);
        if interrupted == 3 {
            break;
        }
        (from, to) = (to, from);
    }
    assert_eq!(interrupted, 3, "no kill came in the middle");
    let mut client = broker.client("D");
    let mut bodies = std::collections::BTreeSet::new();
    for queue in ["A", "B"] {
        let messages = waiting(&broker, queue);
        client.ask(&format!(
            "SUBSCRIBE\nid:{queue}\ndestination:/queue/{queue}\nack:auto\n\n\0"
        ));
        for _ in 0..messages {
            let frame = client.frame();
            let (_, body) = frame.split_once("\n\n").unwrap();
            assert!(bodies.insert(body.to_owned()), "{body:?} came twice");
        }
    }
    assert_eq!(bodies.len() as u64, MESSAGES + 1);
}

#[test]
fn dead_letters_are_listed_with_their_reasons_and_sent_back() {
    let broker = Broker::new();
    assert_eq!(
        broker.text(&["dlq", "list"]),
        "No dead letters in queue://ActiveMQ.DLQ.\n"
    );
    assert_eq!(
        broker.text(&["dlq", "retry"]),
        "Sent 0 messages of queue://ActiveMQ.DLQ back.\n",
        "it is made for the first dead letter"
    );
    assert_eq!(broker.failure(&["dlq", "retry", "nowhere"]).0, 76);
    let (code, words) = broker.failure(&["dlq", "retry", "--id", "X"]);
    assert!(
        code == 76 && words.contains("there is no message with the id X"),
        "{words}"
    );
    let mut client = broker.client("C");
    for queue in ["A", "B"] {
        client.ask(&format!(
            "SEND\ndestination:/queue/{queue}\npersistent:true\nkind:{queue}\n\nbody\0"
        ));
        client.ask(&format!(
            "SUBSCRIBE\nid:{queue}\ndestination:/queue/{queue}\nack:client-individual\n\n\0"
        ));
        client.reject();
        client.ask(&format!("UNSUBSCRIBE\nid:{queue}\n\n\0"));
    }
    let listed = broker.json(&["dlq", "list"]);
    assert_eq!(listed["queue"], "queue://ActiveMQ.DLQ");
    let messages = listed["messages"].as_array().unwrap();
    let origins: Vec<_> = messages
        .iter()
        .map(|message| message["original_destination"].as_str().unwrap())
        .collect();
    assert_eq!(origins, ["queue://A", "queue://B"]);
    assert!(messages[0]["reason"].as_str().unwrap().contains("rejected"));
    assert_eq!(
        (&messages[0]["body_bytes"], &messages[0]["redeliveries"]),
        (&4.into(), &0.into())
    );
    let id = messages[1]["id"].as_str().unwrap();
    let text = broker.text(&["dlq", "list", "--limit", "1"]);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[1].starts_with("  from queue://A, sent 20"), "{text}");
    assert_eq!(lines[2], "  Message rejected by the consumer");
    let only_b = broker.json(&["dlq", "list", "--selector", "kind = 'B'"]);
    assert_eq!(only_b["messages"].as_array().unwrap().len(), 1);

    client.ask("SUBSCRIBE\nid:D\ndestination:/queue/ActiveMQ.DLQ\nack:client\n\n\0");
    assert!(client.frame().starts_with("MESSAGE") && client.frame().starts_with("MESSAGE"));
    let (code, words) = broker.failure(&["dlq", "retry", "--id", id]);
    assert!(
        code == 76 && words.contains("was sent back. Left 1 message: a consumer has it"),
        "{words}"
    );
    client.ask("UNSUBSCRIBE\nid:D\n\n\0");
    let back = "Sent 1 message of queue://ActiveMQ.DLQ back.\n";
    assert_eq!(broker.text(&["dlq", "retry", "--id", id]), back);
    assert_eq!((waiting(&broker, "A"), waiting(&broker, "B")), (0, 1));
    let (code, words) = broker.failure(&["dlq", "retry", "--id", id]);
    assert!(
        code == 76 && words.contains("there is no message with the id"),
        "{words}"
    );
    assert_eq!(
        broker.text(&["dlq", "retry", "--selector", "kind = 'A'", "--limit", "5"]),
        back
    );
    assert_eq!((waiting(&broker, "A"), waiting(&broker, "ActiveMQ.DLQ")), (1, 0));
    assert_eq!(
        broker.text(&["dlq", "retry", "queue://A"]),
        "Sent 1 message of queue://A back.\n",
        "to the dead-letter queue, where it was moved from"
    );
    let both = ["dlq", "retry", "--id", "x", "--selector", "a = 1"];
    assert_eq!(broker.failure(&both).0, 2);
    assert_eq!(broker.failure(&["dlq", "list", "nowhere"]).0, 76);
}

#[test]
fn a_purge_of_what_is_set_aside_leaves_everything_else() {
    let broker = Broker::new();
    let mut client = broker.client("C");
    client.ask("SEND\ndestination:/queue/A\npersistent:true\n\nwhole\0");
    assert_eq!(
        broker.text(&["destinations", "purge", "A", "--set-aside"]),
        "Removed 0 messages that were set aside from queue://A.\n"
    );
    assert_eq!(waiting(&broker, "A"), 1);
    assert_eq!(
        broker.text(&["destinations", "purge", "A"]),
        "Removed 1 message from queue://A.\n"
    );
    assert_eq!(
        broker.failure(&["destinations", "purge", "nowhere", "--set-aside"]).0,
        76
    );
}
