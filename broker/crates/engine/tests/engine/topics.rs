//! Subscribers of the moment.

use engine::Settings;

use super::broker::Broker;

#[test]
fn every_subscriber_of_the_moment_hears_a_message_and_nobody_later() {
    let broker = Broker::new();
    let client = broker.client();
    let (a, b) = (client.subscribe("topic:T"), broker.client().subscribe("topic:T"));
    client.send("topic:T", "x");
    let late = client.subscribe("topic:T");
    assert_eq!(
        (a.received(), b.received(), late.received()),
        (vec!["x".into()], vec!["x".into()], vec![])
    );
}

#[test]
fn a_persistent_message_that_nobody_keeps_needs_no_record() {
    let broker = Broker::new();
    let client = broker.client();
    let consumer = client.subscribe("topic:T");
    broker.hold_disk();
    let before = broker.appended();
    assert_eq!(client.try_send("topic:T", "x"), Some(Ok(())));
    assert_eq!(consumer.received(), ["x"]);
    assert_eq!(broker.appended(), before);
}

#[test]
fn patterns_hear_existing_and_future_topics() {
    let broker = Broker::new();
    let client = broker.client();
    client.send("topic:PRICE.STOCK.IBM", "early");
    let one = client.subscribe("topic:PRICE.*.IBM");
    let rest = client.subscribe("topic:PRICE.>");
    client.send("topic:PRICE.STOCK.IBM", "a");
    client.send("topic:PRICE.BOND.IBM", "b");
    client.send("topic:PRICE.BOND", "c");
    assert_eq!(one.received(), ["a", "b"]);
    assert_eq!(rest.received(), ["a", "b", "c"]);
}

#[test]
fn selectors_and_no_local_apply() {
    let broker = Broker::new();
    let (own, other) = (broker.client(), broker.client());
    let red = own.subscribe_with("topic:T", |subscribe| {
        subscribe.selector = Some("colour = 'red'".into())
    });
    let foreign = own.subscribe_with("topic:T", |subscribe| subscribe.no_local = true);
    own.send_property("topic:T", "own red", "colour", "red");
    other.send_property("topic:T", "other blue", "colour", "blue");
    assert_eq!(red.received(), ["own red"]);
    assert_eq!(foreign.received(), ["other blue"]);
}

#[test]
fn a_slow_subscriber_loses_the_oldest_beyond_its_limit_and_nobody_else_does() {
    let broker = Broker::with(Settings {
        topic_consumer_messages_max: 3,
        ..Settings::default()
    });
    let client = broker.client();
    let slow = client.subscribe_with("topic:T", |subscribe| subscribe.prefetch = 1);
    let quick = client.subscribe("topic:T");
    for number in 0..10 {
        client.send("topic:T", &number.to_string());
    }
    assert_eq!(quick.received().len(), 10);
    assert_eq!(slow.received(), ["0"]);
    for expected in ["7", "8", "9"] {
        slow.ack_all();
        assert_eq!(slow.received(), [expected]);
    }
    assert_eq!(broker.statistics("topic:T").counters.dropped, 6);
}

#[test]
fn a_slow_subscriber_is_limited_in_bytes_too_and_may_choose_its_own_count() {
    let broker = Broker::with(Settings {
        topic_consumer_bytes_max: 10_000,
        ..Settings::default()
    });
    let client = broker.client();
    let slow = client.subscribe_with("topic:T", |subscribe| {
        subscribe.prefetch = 1;
        subscribe.pending_max = Some(5);
    });
    for number in 0..4 {
        client.send("topic:T", &format!("{number}{}", "x".repeat(4000)));
    }
    slow.ack_all();
    let rest: Vec<String> = slow.received().iter().map(|body| body[..1].to_owned()).collect();
    assert_eq!(rest, ["0", "2"]);
    for number in 0..9 {
        client.send("topic:T", &number.to_string());
    }
    assert_eq!(broker.statistics("topic:T").counters.dropped, 1 + 5);
}

#[test]
fn what_waits_for_a_subscriber_and_expires_is_not_delivered() {
    let broker = Broker::new();
    let client = broker.client();
    let consumer = client.subscribe_with("topic:T", |subscribe| subscribe.prefetch = 1);
    client.send("topic:T", "a");
    client.send_expiring("topic:T", "b", 100);
    client.send("topic:T", "c");
    broker.wait(100);
    consumer.ack("a");
    assert_eq!(consumer.received(), ["a", "c"]);
}
