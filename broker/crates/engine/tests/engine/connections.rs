//! Connections and what is refused.

use message::{Command, ConsumerId, LastDelivered, RefusalKind};

use super::broker::Broker;
use engine::Settings;

#[test]
fn one_connection_at_a_time_has_a_client_id() {
    let broker = Broker::new();
    let first = broker.client_named(Some("C"));
    let second = broker.stranger();
    let refusal = second
        .ask(Command::Connect {
            client_id: Some("C".into()),
        })
        .unwrap()
        .unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::InvalidClientId);
    assert!(
        refusal
            .text
            .starts_with("Broker: holdfast - Client: C already connected from"),
        "{refusal}"
    );
    assert_eq!(broker.0.borrow().closed, [second.id]);
    second.disconnect();
    first.disconnect();
    broker.client_named(Some("C"));
}

#[test]
fn what_is_asked_of_an_unknown_consumer_is_refused() {
    let broker = Broker::new();
    let client = broker.client();
    let consumer = ConsumerId {
        connection: client.id,
        number: 7,
    };
    let refusal = client.ask(Command::Pull { consumer, count: 1 }).unwrap().unwrap_err();
    assert_eq!(refusal.text, "The subscription does not exist: 7");
    let end = Command::Unsubscribe {
        consumer,
        last_delivered: LastDelivered::Unknown,
    };
    assert!(client.ask(end).unwrap().is_err());
}

#[test]
fn nobody_touches_another_connections_consumers() {
    let broker = Broker::new();
    let (own, other) = (broker.client(), broker.client());
    own.send("Q", "a");
    let consumer = own.subscribe("Q");
    assert_eq!(consumer.received(), ["a"]);
    let end = Command::Unsubscribe {
        consumer: consumer.id,
        last_delivered: LastDelivered::Unknown,
    };
    assert!(other.ask(end).unwrap().is_err());
    consumer.ack("a");
}

#[test]
fn a_send_to_a_pattern_is_refused() {
    let refusal = Broker::new().client().try_send("A.>", "x").unwrap().unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::InvalidDestination);
}

#[test]
fn destinations_and_subscriptions_are_limited_and_a_refused_composite_makes_nothing() {
    let broker = Broker::with(Settings {
        destinations_max: 2,
        subscriptions_max: 1,
        ..Settings::default()
    });
    let client = broker.client_named(Some("C"));
    client.send("A", "x");
    let refusal = client.try_send("B,C", "x").unwrap().unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::ResourceAllocation);
    assert_eq!(broker.0.borrow().engine.statistics().destinations, 1);
    client.subscribe_with("topic:T", |subscribe| subscribe.durable = Some("1".into()));
    for (to, durable) in [("topic:T", Some("2")), ("D", None)] {
        let (_, outcome) = client.try_subscribe(to, |subscribe| subscribe.durable = durable.map(Into::into));
        assert_eq!(outcome.unwrap().unwrap_err().kind, RefusalKind::ResourceAllocation);
    }
}

#[test]
fn producers_and_consumers_are_counted_while_they_are_there() {
    let broker = Broker::new();
    let (a, b) = (broker.client(), broker.client());
    a.send("Q", "1");
    a.send("Q", "2");
    b.send("Q", "3");
    a.subscribe("Q");
    let statistics = broker.statistics("Q");
    assert_eq!(
        (statistics.producers, statistics.consumers, statistics.in_flight),
        (2, 1, 3)
    );
    assert_eq!((statistics.counters.enqueued, statistics.counters.dispatched), (3, 3));
    a.disconnect();
    let statistics = broker.statistics("Q");
    assert_eq!(
        (statistics.producers, statistics.consumers, statistics.in_flight),
        (1, 0, 0)
    );
}
