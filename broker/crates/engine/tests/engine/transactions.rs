//! Local transactions.

use engine::Settings;
use message::{Command, RefusalKind, TransactionId};
use record::Record;

use super::broker::Broker;

#[test]
fn nothing_of_a_transaction_is_seen_before_its_commit_and_all_of_it_after() {
    let broker = Broker::new();
    let client = broker.client();
    client.send("A", "in");
    let consumer = client.subscribe("A");
    let transaction = client.begin();
    assert_eq!(client.send_in(transaction, "B", "b"), Some(Ok(())));
    assert_eq!(client.send_in(transaction, "topic:T", "t"), Some(Ok(())));
    assert_eq!(client.send_in(transaction, "C", "c"), Some(Ok(())));
    assert_eq!(consumer.ack_in(transaction, "in"), Some(Ok(())));
    let heard = client.subscribe("topic:T");
    assert_eq!(
        (broker.contents("A"), broker.contents("B"), heard.received()),
        (vec!["in".into()], vec![], vec![])
    );
    assert_eq!(client.commit(transaction), Some(Ok(())));
    assert_eq!(broker.contents("A"), [""; 0]);
    assert_eq!(
        (broker.contents("B"), broker.contents("C"), heard.received()),
        (vec!["b".into()], vec!["c".into()], vec!["t".into()])
    );
    let committed = |record: &Record| matches!(record, Record::Committed { sent, acknowledged } if sent.len() == 2 && acknowledged.len() == 1);
    assert_eq!(broker.records().iter().filter(|record| committed(record)).count(), 1);
}

#[test]
fn a_rolled_back_acknowledgement_leaves_the_delivery_with_its_consumer() {
    let broker = Broker::new();
    let client = broker.client();
    client.send("Q", "a");
    let consumer = client.subscribe("Q");
    let other = client.subscribe("Q");
    let transaction = client.begin();
    assert_eq!(consumer.ack_in(transaction, "a"), Some(Ok(())));
    assert_eq!(client.rollback(transaction), Some(Ok(())));
    assert_eq!(other.received(), [""; 0]);
    assert_eq!(consumer.received(), ["a"], "once");
    consumer.ack("a");
    assert_eq!(broker.contents("Q"), [""; 0]);
}

#[test]
fn a_lost_connection_rolls_back() {
    let broker = Broker::new();
    let client = broker.client();
    client.send("Q", "a");
    let consumer = client.subscribe("Q");
    let transaction = client.begin();
    assert_eq!(consumer.ack_in(transaction, "a"), Some(Ok(())));
    assert_eq!(client.send_in(transaction, "Q", "b"), Some(Ok(())));
    client.disconnect();
    assert_eq!(broker.contents("Q"), ["a"]);
    let again = broker.client().subscribe("Q").fresh();
    assert_eq!((again[0].body.as_str(), again[0].delivery.redeliveries), ("a", 1));
}

#[test]
fn what_was_acknowledged_stays_with_the_transaction_when_its_consumer_ends() {
    for commits in [true, false] {
        let broker = Broker::new();
        let client = broker.client();
        client.send("Q", "a");
        let consumer = client.subscribe("Q");
        let transaction = client.begin();
        assert_eq!(consumer.ack_in(transaction, "a"), Some(Ok(())));
        consumer.close();
        let other = client.subscribe("Q");
        assert_eq!(other.received(), [""; 0]);
        let outcome = if commits {
            client.commit(transaction)
        } else {
            client.rollback(transaction)
        };
        assert_eq!(outcome, Some(Ok(())));
        assert_eq!(other.received().len(), usize::from(!commits));
    }
}

#[test]
fn what_is_acknowledged_in_a_transaction_takes_no_room() {
    let broker = Broker::new();
    let client = broker.client();
    for body in ["a", "b", "c"] {
        client.send("Q", body);
    }
    let consumer = client.subscribe_with("Q", |subscribe| subscribe.prefetch = 1);
    let transaction = client.begin();
    for body in ["a", "b", "c"] {
        assert_eq!(consumer.received(), [body]);
        assert_eq!(consumer.ack_in(transaction, body), Some(Ok(())));
    }
    assert_eq!(client.commit(transaction), Some(Ok(())));
    assert_eq!(broker.contents("Q"), [""; 0]);
}

#[test]
fn an_empty_transaction_commits_without_a_record() {
    let broker = Broker::new();
    let client = broker.client();
    let transaction = client.begin();
    assert_eq!(client.commit(transaction), Some(Ok(())));
    assert_eq!(broker.appended(), 0);
}

#[test]
fn an_unknown_transaction_is_refused() {
    let broker = Broker::new();
    let client = broker.client();
    let unknown = TransactionId {
        connection: client.id,
        number: 99,
    };
    for command in [
        Command::Commit { transaction: unknown },
        Command::Rollback { transaction: unknown },
    ] {
        let refusal = client.ask(command).unwrap().unwrap_err();
        assert!(refusal.text.ends_with("has not been started."), "{refusal}");
    }
    assert!(client.send_in(unknown, "Q", "a").unwrap().is_err());
    let transaction = client.begin();
    assert_eq!(client.commit(transaction), Some(Ok(())));
    assert!(client.commit(transaction).unwrap().is_err(), "it has ended");
}

#[test]
fn a_transaction_that_grows_too_large_can_only_be_rolled_back() {
    let broker = Broker::with(Settings {
        transaction_bytes_max: 10_000,
        ..Settings::default()
    });
    let client = broker.client();
    let transaction = client.begin();
    assert_eq!(client.send_in(transaction, "Q", "small"), Some(Ok(())));
    let refusal = client
        .send_in(transaction, "Q", &"x".repeat(10_000))
        .unwrap()
        .unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::ResourceAllocation);
    let refusal = client.commit(transaction).unwrap().unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::TransactionRolledBack);
    assert_eq!(broker.contents("Q"), [""; 0]);
    assert!(
        client.rollback(transaction).unwrap().is_err(),
        "the failed commit ended it"
    );
    client.send("Q", "after");
}

#[test]
fn deliveries_of_a_consumer_that_ended_are_counted_once_when_their_transaction_fails() {
    let broker = Broker::with(Settings {
        transaction_bytes_max: 100_000,
        ..Settings::default()
    });
    let client = broker.client();
    (0..100).for_each(|number| client.send("Q", &number.to_string()));
    let consumer = client.subscribe("Q");
    let transaction = client.begin();
    (0..100).for_each(|number: usize| {
        assert_eq!(consumer.ack_in(transaction, &number.to_string()), Some(Ok(())));
    });
    consumer.close();
    assert!(client.send_in(transaction, "Q", &"x".repeat(100_000)).unwrap().is_err());
    assert_eq!(client.rollback(transaction), Some(Ok(())));
    assert_eq!(broker.0.borrow().engine.transactions_bytes(), 0);
    assert_eq!(broker.contents("Q").len(), 100);
}

#[test]
fn acknowledgements_count_against_the_limit_too() {
    let broker = Broker::with(Settings {
        transaction_bytes_max: 1000,
        ..Settings::default()
    });
    let client = broker.client();
    let bodies: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    bodies.iter().for_each(|body| client.send("Q", body));
    let consumer = client.subscribe("Q");
    let transaction = client.begin();
    let outcomes: Vec<bool> = bodies
        .iter()
        .map(|body| consumer.ack_in(transaction, body).unwrap().is_ok())
        .collect();
    assert!(outcomes[0] && !outcomes[9], "{outcomes:?}");
    assert!(client.commit(transaction).unwrap().is_err());
    consumer.ack_all();
    assert_eq!(broker.contents("Q"), [""; 0]);
}

#[test]
fn open_transactions_of_all_connections_share_one_limit() {
    let broker = Broker::with(Settings {
        transactions_bytes_max: 20_000,
        ..Settings::default()
    });
    let bytes = || broker.0.borrow().engine.transactions_bytes();
    let (first, second) = (broker.client(), broker.client());
    let kept = first.begin();
    assert_eq!(first.send_in(kept, "Q", &"x".repeat(12_000)), Some(Ok(())));
    let failed = second.begin();
    assert_eq!(second.send_in(failed, "Q", "small"), Some(Ok(())));
    let before = bytes();
    let refusal = second.send_in(failed, "Q", &"y".repeat(12_000)).unwrap().unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::ResourceAllocation);
    assert!(refusal.text.contains("raise transactions_bytes_max"), "{refusal}");
    assert!(bytes() < before, "what it had is let go: {} of {before}", bytes());
    let refusal = second.commit(failed).unwrap().unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::TransactionRolledBack);
    // Whoever was within it commits, and makes room.
    assert_eq!(first.commit(kept), Some(Ok(())));
    assert_eq!(bytes(), 0);
    let again = second.begin();
    assert_eq!(second.send_in(again, "Q", &"y".repeat(12_000)), Some(Ok(())));
    second.disconnect();
    assert_eq!(bytes(), 0);
    assert_eq!(broker.contents("Q"), ["x".repeat(12_000)]);
}

#[test]
fn transactions_with_nothing_in_them_count_too() {
    let broker = Broker::with(Settings {
        transactions_bytes_max: 5_000,
        ..Settings::default()
    });
    let client = broker.client();
    let opened: Vec<_> = (0..20)
        .map(|number| {
            let transaction = TransactionId {
                connection: client.id,
                number: 100 + number,
            };
            (transaction, client.ask(Command::Begin { transaction }).unwrap())
        })
        .collect();
    let refused = opened.iter().filter_map(|(_, outcome)| outcome.as_ref().err());
    let texts: Vec<&str> = refused.map(|refusal| refusal.text.as_str()).collect();
    assert!(!texts.is_empty() && texts.len() < 20, "{}", texts.len());
    assert!(texts[0].contains("transactions_bytes_max"), "{}", texts[0]);
    for (transaction, outcome) in opened {
        assert_eq!(client.rollback(transaction).unwrap().is_ok(), outcome.is_ok());
    }
    assert_eq!(broker.0.borrow().engine.transactions_bytes(), 0);
}

#[test]
fn a_rejection_cannot_be_part_of_a_transaction() {
    let broker = Broker::new();
    let client = broker.client();
    client.send("Q", "a");
    let consumer = client.subscribe("Q");
    let transaction = client.begin();
    let refusal = consumer.reject_in(transaction, "a").unwrap().unwrap_err();
    assert!(refusal.text.starts_with("Poison ack cannot be transacted"), "{refusal}");
    assert_eq!(broker.contents("Q"), ["a"]);
}

#[test]
fn a_transaction_survives_a_crash_whole_or_not_at_all() {
    let broker = Broker::new();
    let client = broker.client();
    client.send("A", "in");
    let consumer = client.subscribe("A");
    let transaction = client.begin();
    for queue in ["B", "C"] {
        assert_eq!(client.send_in(transaction, queue, "out"), Some(Ok(())));
    }
    assert_eq!(consumer.ack_in(transaction, "in"), Some(Ok(())));
    broker.hold_disk();
    assert_eq!(client.commit(transaction), None, "not confirmed yet");
    let confirmed = broker.0.borrow().store.confirmed as usize;
    broker.crash_after(confirmed);
    assert_eq!(
        (
            broker.contents("A").len(),
            broker.contents("B").len(),
            broker.contents("C").len()
        ),
        (1, 0, 0)
    );
}
