//! Message groups.

use engine::Settings;
use message::Property;

use super::broker::{Broker, Client};

fn send(client: &Client, body: &str, group: &str, sequence: i32) {
    let outcome = client.send_with("Q", body, |message, _| {
        message.group_id = Some(group.into());
        message.group_sequence = sequence;
    });
    assert_eq!(outcome, Some(Ok(())));
}

#[test]
fn a_group_stays_with_its_consumer_and_moves_when_that_ends() {
    let broker = Broker::new();
    let client = broker.client();
    let (first, second) = (client.subscribe("Q"), client.subscribe("Q"));
    for body in ["a1", "a2", "a3"] {
        send(&client, body, "a", 0);
    }
    send(&client, "b1", "b", 0);
    assert_eq!(
        (first.received(), second.received()),
        (vec!["a1".into(), "a2".into(), "a3".into()], vec!["b1".into()])
    );
    first.ack_all();
    first.close();
    send(&client, "a4", "a", 0);
    assert_eq!(second.received(), ["a4"]);
}

#[test]
fn the_first_message_of_a_group_for_a_consumer_is_marked() {
    let broker = Broker::new();
    let client = broker.client();
    let consumer = client.subscribe("Q");
    send(&client, "a1", "a", 0);
    send(&client, "a2", "a", 0);
    let marks: Vec<_> = consumer
        .fresh()
        .iter()
        .map(|received| {
            received.delivery.message.properties.get("JMSXGroupFirstForConsumer") == Some(Property::Boolean(true))
        })
        .collect();
    assert_eq!(marks, [true, false]);
}

#[test]
fn a_group_whose_consumer_is_busy_waits_and_others_go_on() {
    let broker = Broker::new();
    let client = broker.client();
    let first = client.subscribe_with("Q", |subscribe| subscribe.prefetch = 1);
    let second = client.subscribe_with("Q", |subscribe| subscribe.prefetch = 10);
    for body in ["a1", "a2", "a3"] {
        send(&client, body, "a", 0);
    }
    send(&client, "b1", "b", 0);
    assert_eq!(
        (first.received(), second.received()),
        (vec!["a1".to_owned()], vec!["b1".to_owned()])
    );
    first.ack_all();
    assert_eq!(first.received(), ["a2"]);
    send(&client, "a4", "a", 0);
    first.ack_all();
    assert_eq!(first.received(), ["a3"]);
    first.ack_all();
    assert_eq!(first.received(), ["a4"], "in order, though it arrived while a3 waited");
}

#[test]
fn what_waited_for_a_busy_consumer_goes_to_others_when_it_ends() {
    let broker = Broker::new();
    let client = broker.client();
    let first = client.subscribe_with("Q", |subscribe| subscribe.prefetch = 1);
    for body in ["a1", "a2", "a3"] {
        send(&client, body, "a", 0);
    }
    let second = client.subscribe("Q");
    assert_eq!((first.received(), second.received()), (vec!["a1".into()], vec![]));
    first.close();
    assert_eq!(second.received(), ["a1", "a2", "a3"]);
}

#[test]
fn a_negative_sequence_closes_the_group() {
    let broker = Broker::new();
    let client = broker.client();
    let (first, second) = (client.subscribe("Q"), client.subscribe("Q"));
    send(&client, "a1", "a", 0);
    send(&client, "a2", "a", -1);
    assert_eq!(first.received(), ["a1", "a2"]);
    send(&client, "again", "a", 0);
    assert_eq!(
        second.received(),
        ["again"],
        "the group begins anew with whose turn it is"
    );
}

#[test]
fn groups_across_selectors_do_not_lose_messages() {
    let broker = Broker::new();
    let client = broker.client();
    let any = client.subscribe("Q");
    let selecting = client.subscribe_with("Q", |subscribe| subscribe.selector = Some("JMSXGroupID = 'a'".into()));
    for number in 0..10 {
        send(&client, &number.to_string(), "a", 0);
    }
    let (owner, other) = if any.all().is_empty() {
        (selecting, any)
    } else {
        (any, selecting)
    };
    assert_eq!(owner.received().len(), 10);
    owner.close();
    assert_eq!(other.received().len(), 10);
}

#[test]
fn only_so_many_groups_keep_their_consumer() {
    let broker = Broker::with(Settings {
        message_groups_max: 2,
        ..Settings::default()
    });
    let client = broker.client();
    let consumers = [client.subscribe("Q"), client.subscribe("Q")];
    for group in ["a", "b", "c"] {
        send(&client, group, group, 0);
    }
    send(&client, "a again", "a", 0);
    let received: Vec<_> = consumers.iter().map(|consumer| consumer.received().len()).collect();
    assert_eq!(received, [2, 2], "a was forgotten, and goes to whose turn it is");
}
