//! Resent sends.

use super::broker::Broker;

#[test]
fn a_resend_is_answered_like_the_original_and_stored_once() {
    let broker = Broker::new();
    let client = broker.client();
    assert_eq!(client.send_unique("Q", "a", "1"), Some(Ok(())));
    assert_eq!(client.send_unique("Q", "a", "1"), Some(Ok(())));
    assert_eq!(client.send_unique("Q", "b", "2"), Some(Ok(())));
    assert_eq!(
        client.send_unique("R", "a", "1"),
        Some(Ok(())),
        "another destination, another message"
    );
    assert_eq!(
        (broker.contents("Q"), broker.contents("R")),
        (vec!["a".into(), "b".into()], vec!["a".into()])
    );
    assert_eq!(broker.statistics("Q").counters.duplicates, 1);
}

#[test]
fn the_answer_to_a_resend_waits_for_the_original() {
    let broker = Broker::new();
    let client = broker.client();
    client.send("Q", "first");
    broker.hold_disk();
    assert_eq!(client.send_unique("Q", "a", "1"), None);
    let original = client.waits_for();
    let other = broker.client();
    assert_eq!(other.send_unique("Q", "a", "1"), None);
    assert_eq!(other.waits_for(), original);
    broker.confirm();
    assert_eq!(other.events().len(), 2);
}

#[test]
fn a_resend_is_recognised_after_a_crash_and_after_a_checkpoint() {
    let broker = Broker::new();
    let client = broker.client();
    assert_eq!(client.send_unique("Q", "a", "1"), Some(Ok(())));
    broker.crash();
    assert_eq!(broker.client().send_unique("Q", "a", "1"), Some(Ok(())));
    broker.checkpoint();
    broker.crash();
    assert_eq!(broker.client().send_unique("Q", "a", "1"), Some(Ok(())));
    assert_eq!(broker.contents("Q"), ["a"]);
}

#[test]
fn the_acknowledged_original_still_counts() {
    let broker = Broker::new();
    let client = broker.client();
    assert_eq!(client.send_unique("Q", "a", "1"), Some(Ok(())));
    let consumer = client.subscribe("Q");
    consumer.ack("a");
    assert_eq!(client.send_unique("Q", "a", "1"), Some(Ok(())));
    assert_eq!(consumer.received(), ["a"]);
}

#[test]
fn after_the_window_it_is_a_new_message() {
    let broker = Broker::new();
    let client = broker.client();
    assert_eq!(client.send_unique("Q", "a", "1"), Some(Ok(())));
    broker.wait(3_600_000);
    assert_eq!(client.send_unique("Q", "a", "1"), Some(Ok(())));
    assert_eq!(broker.contents("Q"), ["a", "a"]);
}

#[test]
fn resends_in_transactions_are_recognised_within_and_across() {
    let broker = Broker::new();
    let client = broker.client();
    let send_in = |transaction, id: &str| {
        client.send_with("Q", id, |_, send| {
            send.transaction = Some(transaction);
            send.duplicate_id = Some(id.into());
        })
    };
    let (first, second) = (client.begin(), client.begin());
    for id in ["1", "1", "2"] {
        assert_eq!(send_in(first, id), Some(Ok(())));
        assert_eq!(send_in(second, id), Some(Ok(())));
    }
    assert_eq!(client.commit(first), Some(Ok(())));
    assert_eq!(client.commit(second), Some(Ok(())));
    assert_eq!(broker.contents("Q"), ["1", "2"]);
}

#[test]
fn a_commit_of_nothing_but_resends_waits_for_the_originals() {
    let broker = Broker::new();
    let client = broker.client();
    client.send("Q", "first");
    let transaction = client.begin();
    let outcome = client.send_with("Q", "a", |_, send| {
        send.transaction = Some(transaction);
        send.duplicate_id = Some("1".into());
    });
    assert_eq!(outcome, Some(Ok(())));
    broker.hold_disk();
    assert_eq!(client.send_unique("Q", "a", "1"), None);
    let original = client.waits_for();
    assert_eq!(client.commit(transaction), None);
    assert!(client.waits_for() >= original);
}

#[test]
fn a_resend_of_what_is_not_persistent_is_recognised_too() {
    let broker = Broker::new();
    let client = broker.client();
    for _ in 0..2 {
        let outcome = client.send_with("Q", "a", |message, send| {
            message.persistent = false;
            send.duplicate_id = Some("1".into());
        });
        assert_eq!(outcome, Some(Ok(())));
    }
    assert_eq!(broker.contents("Q"), ["a"]);
}
