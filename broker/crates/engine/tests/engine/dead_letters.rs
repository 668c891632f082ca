//! The dead-letter queue.

use message::{Message, Property};
use record::Record;

use super::broker::Broker;

fn property(message: &Message, key: &str) -> Option<String> {
    message.properties.get(key).map(|value| format!("{value:?}"))
}

#[test]
fn a_rejected_message_arrives_in_the_dead_letter_queue_with_one_record() {
    let broker = Broker::new();
    let client = broker.client();
    client.send_with("Q", "bad", |message, _| {
        message.expiration = super::broker::START + 99_000
    });
    let consumer = client.subscribe("Q");
    let before = broker.appended();
    consumer.reject("bad");
    let records = broker.records().split_off(before);
    assert!(
        matches!(&records[..], [Record::Created { .. }, Record::Moved { .. }]),
        "{records:?}"
    );
    assert_eq!(broker.contents("Q"), [""; 0]);
    let dead = &broker.messages("ActiveMQ.DLQ")[0];
    assert_eq!(dead.destination.to_string(), "queue://ActiveMQ.DLQ");
    assert_eq!(dead.original_destination.as_ref().unwrap().to_string(), "queue://Q");
    assert_eq!((dead.expiration, dead.persistent), (0, true));
    assert_eq!(
        dead.properties.get("originalExpiration"),
        Some(Property::Long((super::broker::START + 99_000) as i64))
    );
    assert!(property(dead, "dlqDeliveryFailureCause").unwrap().contains("rejected"));
    assert_eq!(broker.statistics("Q").counters.dead_lettered, 1);
}

#[test]
fn a_rejected_message_is_in_exactly_one_place_whenever_the_process_dies() {
    let broker = Broker::new();
    let client = broker.client();
    client.send("Q", "bad");
    let consumer = client.subscribe("Q");
    consumer.reject("bad");
    for records in (2..=broker.appended()).rev() {
        broker.crash_after(records);
        let places = broker.contents("Q").len() + broker.contents("ActiveMQ.DLQ").len();
        assert_eq!(places, 1, "after {records} records");
    }
}

#[test]
fn what_is_rejected_in_the_dead_letter_queue_is_discarded() {
    let broker = Broker::new();
    let client = broker.client();
    client.send("Q", "bad");
    client.subscribe("Q").reject("bad");
    let consumer = client.subscribe("ActiveMQ.DLQ");
    consumer.reject("bad");
    assert_eq!(broker.contents("ActiveMQ.DLQ"), [""; 0]);
    broker.crash();
    assert_eq!(broker.contents("ActiveMQ.DLQ"), [""; 0]);
}

#[test]
fn what_is_rejected_and_not_persistent_is_discarded() {
    let broker = Broker::new();
    let client = broker.client();
    client.send_volatile("Q", "bad");
    client.subscribe("Q").reject("bad");
    assert_eq!(
        (broker.contents("Q").len(), broker.contents("ActiveMQ.DLQ").len()),
        (0, 0)
    );
}

#[test]
fn a_topics_message_that_two_durable_subscriptions_reject_goes_there_once() {
    let broker = Broker::new();
    let client = broker.client_named(Some("C"));
    let durable = |name: &str| client.subscribe_with("topic:T", |subscribe| subscribe.durable = Some(name.into()));
    let (first, second) = (durable("1"), durable("2"));
    client.send("topic:T", "bad");
    first.reject("bad");
    broker.checkpoint();
    second.reject("bad");
    assert_eq!(broker.contents("ActiveMQ.DLQ"), ["bad"]);
    broker.crash();
    assert_eq!(broker.contents("ActiveMQ.DLQ"), ["bad"]);
}

#[test]
fn a_rejection_is_answered_when_its_messages_have_been_read_and_moved() {
    let broker = Broker::new();
    let client = broker.client();
    client.send("Q", "bad");
    broker.crash();
    let client = broker.client();
    let consumer = client.subscribe("Q");
    assert_eq!(consumer.received(), ["bad"]);
    // Push its body out of memory.
    client.send("other", &"x".repeat(40 << 20));
    broker.hold_reads();
    let request = consumer.post_reject("bad");
    assert_eq!(client.outcome(request), None);
    assert_eq!(broker.client().subscribe("Q").received(), [""; 0], "it is on its way");
    broker.answer_reads();
    assert_eq!(client.outcome(request), Some(Ok(())));
    assert_eq!(broker.contents("ActiveMQ.DLQ"), ["bad"]);
}

#[test]
fn a_rejection_frees_room_for_the_next_message() {
    let broker = Broker::new();
    let client = broker.client();
    let consumer = client.subscribe_with("Q", |subscribe| subscribe.prefetch = 1);
    client.send("Q", "a");
    client.send("Q", "b");
    consumer.reject("a");
    assert_eq!(consumer.received(), ["a", "b"]);
}
