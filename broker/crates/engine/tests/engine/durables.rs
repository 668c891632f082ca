//! Durable subscriptions.

use message::{Command, RefusalKind};
use record::Record;

use super::broker::{Broker, Client, Consumer};

fn durable(client: &Client, topic: &str, name: &str) -> Consumer {
    client.subscribe_with(topic, |subscribe| subscribe.durable = Some(name.into()))
}

#[test]
fn a_durable_subscription_keeps_what_arrives_while_nobody_is_there_also_across_a_crash() {
    let broker = Broker::new();
    let client = broker.client_named(Some("C"));
    durable(&client, "topic:T", "D").close();
    client.send("topic:T", "a");
    broker.crash();
    let client = broker.client_named(Some("C"));
    client.send("topic:T", "b");
    let consumer = durable(&client, "topic:T", "D");
    assert_eq!(consumer.received(), ["a", "b"]);
    consumer.ack_all();
    consumer.close();
    assert_eq!(durable(&client, "topic:T", "D").received(), [""; 0]);
}

#[test]
fn one_record_serves_all_durable_subscriptions_that_take_a_message() {
    let broker = Broker::new();
    let client = broker.client_named(Some("C"));
    for (name, selector) in [
        ("all", None),
        ("red", Some("colour = 'red'")),
        ("blue", Some("colour = 'blue'")),
    ] {
        let consumer = client.subscribe_with("topic:T", |subscribe| {
            subscribe.durable = Some(name.into());
            subscribe.selector = selector.map(Into::into);
        });
        consumer.close();
    }
    let before = broker.appended();
    client.send_property("topic:T", "x", "colour", "red");
    let records = broker.records().split_off(before);
    assert!(
        matches!(&records[..], [Record::Sent(sent)] if sent.targets.len() == 2),
        "{records:?}"
    );
}

#[test]
fn one_consumer_at_a_time_may_use_a_durable_subscription() {
    let broker = Broker::new();
    let client = broker.client_named(Some("C"));
    let first = durable(&client, "topic:T", "D");
    let (_, outcome) = client.try_subscribe("topic:T", |subscribe| subscribe.durable = Some("D".into()));
    let refusal = outcome.unwrap().unwrap_err();
    assert_eq!(
        refusal.text,
        "Durable consumer is in use for client: C and subscriptionName: D"
    );
    first.close();
    durable(&client, "topic:T", "D");
}

#[test]
fn a_changed_selector_or_topic_starts_the_subscription_anew() {
    for change in ["selector", "topic", "no_local"] {
        let broker = Broker::new();
        let client = broker.client_named(Some("C"));
        durable(&client, "topic:T", "D").close();
        client.send("topic:T", "old");
        let consumer = client.subscribe_with(if change == "topic" { "topic:U" } else { "topic:T" }, |subscribe| {
            subscribe.durable = Some("D".into());
            subscribe.selector = (change == "selector").then(|| "JMSPriority >= 0".into());
            subscribe.no_local = change == "no_local";
        });
        assert_eq!(consumer.received(), [""; 0], "{change}");
        broker.client().send("topic:T", "new");
        assert_eq!(consumer.received().len(), usize::from(change != "topic"), "{change}");
    }
}

#[test]
fn patterns_keep_what_future_topics_bring() {
    let broker = Broker::new();
    let client = broker.client_named(Some("C"));
    durable(&client, "topic:T.>", "D").close();
    client.send("topic:T.new", "a");
    broker.crash();
    broker.client().send("topic:T.newer", "b");
    let client = broker.client_named(Some("C"));
    assert_eq!(durable(&client, "topic:T.>", "D").received(), ["a", "b"]);
}

#[test]
fn a_subscription_that_leaves_its_owner_out_keeps_only_what_others_send() {
    let broker = Broker::new();
    let client = broker.client_named(Some("C"));
    let wish = |client: &Client| {
        client.subscribe_with("topic:T", |subscribe| {
            subscribe.durable = Some("D".into());
            subscribe.no_local = true;
        })
    };
    wish(&client).close();
    client.send("topic:T", "own");
    broker.client().send("topic:T", "other");
    assert_eq!(wish(&client).received(), ["other"]);
}

#[test]
fn removing_a_subscription_takes_what_waited_and_is_refused_while_it_is_used() {
    let broker = Broker::new();
    let client = broker.client_named(Some("C"));
    let consumer = durable(&client, "topic:T", "D");
    let remove = || Command::RemoveDurable {
        client_id: "C".into(),
        name: "D".into(),
    };
    assert_eq!(
        client.ask(remove()).unwrap().unwrap_err().text,
        "Durable consumer is in use"
    );
    consumer.close();
    client.send("topic:T", "a");
    assert_eq!(client.ask(remove()), Some(Ok(())));
    let refusal = client.ask(remove()).unwrap().unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::InvalidDestination);
    assert_eq!(
        refusal.text,
        "No durable subscription exists for clientID: C and subscriptionName: D"
    );
    assert_eq!(durable(&client, "topic:T", "D").received(), [""; 0]);
}

#[test]
fn a_durable_subscription_needs_a_client_id_and_topics() {
    let broker = Broker::new();
    let (_, outcome) = broker
        .client()
        .try_subscribe("topic:T", |subscribe| subscribe.durable = Some("D".into()));
    assert!(outcome.unwrap().is_err());
    let (_, outcome) = broker
        .client_named(Some("C"))
        .try_subscribe("Q", |subscribe| subscribe.durable = Some("D".into()));
    assert_eq!(outcome.unwrap().unwrap_err().kind, RefusalKind::InvalidDestination);
}

#[test]
fn what_is_not_persistent_waits_in_memory_for_a_durable_subscription() {
    let broker = Broker::new();
    let client = broker.client_named(Some("C"));
    durable(&client, "topic:T", "D").close();
    let before = broker.appended();
    client.send_volatile("topic:T", "a");
    assert_eq!(broker.appended(), before);
    assert_eq!(durable(&client, "topic:T", "D").received(), ["a"]);
}
