//! Messages that expire.

use record::Record;

use super::broker::Broker;

#[test]
fn an_expired_message_is_never_delivered_and_goes_to_the_dead_letter_queue() {
    let broker = Broker::new();
    let client = broker.client();
    client.send_expiring("Q", "late", 1000);
    client.send("Q", "kept");
    broker.wait(1000);
    assert_eq!(client.subscribe("Q").received(), ["kept"]);
    assert_eq!(broker.contents("ActiveMQ.DLQ"), ["late"]);
    let dead = &broker.messages("ActiveMQ.DLQ")[0];
    let expected = format!(
        "java.lang.Throwable: Message Expired. Expiration:{}",
        super::broker::START + 1000
    );
    assert_eq!(
        dead.properties.get("dlqDeliveryFailureCause"),
        Some(message::Property::String(&expected))
    );
    assert_eq!(broker.statistics("Q").counters.expired, 1);
}

#[test]
fn a_message_is_delivered_until_the_very_millisecond() {
    let broker = Broker::new();
    let client = broker.client();
    client.send_expiring("Q", "just in time", 1000);
    broker.wait(999);
    assert_eq!(client.subscribe("Q").received(), ["just in time"]);
}

#[test]
fn the_sweep_finds_what_nobody_looks_at() {
    let broker = Broker::new();
    let client = broker.client();
    for number in 0..2500 {
        client.send_expiring("Q", &number.to_string(), 10_000);
        client.send("Q", "kept");
    }
    broker.wait(30_000);
    assert_eq!(broker.statistics("Q").messages, 2500);
    assert_eq!(broker.statistics("ActiveMQ.DLQ").messages, 2500);
}

#[test]
fn what_arrives_expired_goes_at_once() {
    let broker = Broker::new();
    let client = broker.client();
    client.send_expiring("Q", "late", 0);
    assert_eq!(
        (broker.contents("Q").len(), broker.contents("ActiveMQ.DLQ")),
        (0, vec!["late".to_owned()])
    );
}

#[test]
fn what_expires_and_is_not_persistent_is_dropped() {
    let broker = Broker::new();
    let client = broker.client();
    let expiration = super::broker::START + 1000;
    let outcome = client.send_with("Q", "late", |message, _| {
        message.persistent = false;
        message.expiration = expiration;
    });
    assert_eq!(outcome, Some(Ok(())));
    let before = broker.appended();
    broker.wait(30_000);
    assert_eq!(broker.statistics("Q").messages, 0);
    assert_eq!(broker.appended(), before);
    assert_eq!(broker.0.borrow().engine.statistics().volatile_bytes, 0);
}

#[test]
fn what_expires_in_the_dead_letter_queue_is_dropped() {
    let broker = Broker::new();
    let client = broker.client();
    client.send_expiring("ActiveMQ.DLQ", "late", 1000);
    broker.wait(31_000);
    assert_eq!(broker.contents("ActiveMQ.DLQ"), [""; 0]);
    assert!(matches!(broker.records().last(), Some(Record::Expired(_))));
}

#[test]
fn what_is_in_flight_expires_only_when_it_comes_back() {
    let broker = Broker::new();
    let client = broker.client();
    client.send_expiring("Q", "a", 1000);
    client.send_expiring("Q", "b", 1000);
    let consumer = client.subscribe("Q");
    assert_eq!(consumer.received(), ["a", "b"]);
    broker.wait(31_000);
    consumer.ack("a");
    assert_eq!(broker.contents("ActiveMQ.DLQ"), [""; 0]);
    consumer.close();
    broker.wait(30_000);
    assert_eq!(broker.contents("ActiveMQ.DLQ"), ["b"]);
}

#[test]
fn durable_subscriptions_give_an_expired_message_up_together_once() {
    let broker = Broker::new();
    let client = broker.client_named(Some("C"));
    for name in ["1", "2"] {
        client
            .subscribe_with("topic:T", |subscribe| subscribe.durable = Some(name.into()))
            .close();
    }
    client.send_expiring("topic:T", "late", 1000);
    broker.wait(31_000);
    assert_eq!(broker.contents("ActiveMQ.DLQ"), ["late"]);
    assert_eq!(broker.statistics("topic:T").messages, 0);
    broker.crash();
    assert_eq!(broker.contents("ActiveMQ.DLQ"), ["late"]);
}

#[test]
fn a_message_expired_before_a_crash_stays_where_it_went() {
    let broker = Broker::new();
    let client = broker.client();
    client.send_expiring("Q", "late", 1000);
    broker.wait(31_000);
    broker.crash();
    assert_eq!(
        (broker.contents("Q").len(), broker.contents("ActiveMQ.DLQ").len()),
        (0, 1)
    );
}
