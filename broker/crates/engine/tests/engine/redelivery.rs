//! What comes back when a consumer ends, and how it is counted.

use message::LastDelivered;

use super::broker::Broker;

fn three_delivered() -> (Broker, super::broker::Client, super::broker::Consumer) {
    let broker = Broker::new();
    let client = broker.client();
    for body in ["a", "b", "c"] {
        client.send("Q", body);
    }
    let consumer = client.subscribe("Q");
    assert_eq!(consumer.received(), ["a", "b", "c"]);
    (broker, client, consumer)
}

fn counts(broker: &Broker) -> Vec<(String, u32, bool)> {
    let received = broker.client().subscribe("Q").fresh();
    let seen = |received: &super::broker::Received| {
        (
            received.body.clone(),
            received.delivery.redeliveries,
            received.delivery.redelivered,
        )
    };
    received.iter().map(seen).collect()
}

fn expected(counts: [u32; 3]) -> Vec<(String, u32, bool)> {
    ["a", "b", "c"]
        .iter()
        .zip(counts)
        .map(|(body, count)| ((*body).to_owned(), count, count > 0))
        .collect()
}

#[test]
fn an_unknown_last_delivery_counts_everything_in_flight() {
    let (broker, _, consumer) = three_delivered();
    consumer.close_after(LastDelivered::Unknown);
    assert_eq!(counts(&broker), expected([1, 1, 1]));
}

#[test]
fn nothing_delivered_counts_nothing() {
    let (broker, _, consumer) = three_delivered();
    consumer.close_after(LastDelivered::Nothing);
    assert_eq!(counts(&broker), expected([0, 0, 0]));
}

#[test]
fn the_last_delivery_and_those_before_it_are_counted() {
    let (broker, _, consumer) = three_delivered();
    let second = consumer.all()[1].delivery.number;
    consumer.close_after(LastDelivered::Through(second));
    assert_eq!(counts(&broker), expected([1, 1, 0]));
}

#[test]
fn a_lost_connection_gives_everything_back_counted() {
    let (broker, client, _) = three_delivered();
    client.disconnect();
    assert_eq!(counts(&broker), expected([1, 1, 1]));
}

#[test]
fn counts_survive_a_crash() {
    let (broker, _, consumer) = three_delivered();
    consumer.close();
    broker.crash();
    assert_eq!(counts(&broker), expected([1, 1, 1]));
}

#[test]
fn what_came_back_goes_out_before_what_is_new() {
    let (broker, client, consumer) = three_delivered();
    client.send("Q", "d");
    consumer.ack("a");
    consumer.close();
    client.send("Q", "e");
    assert_eq!(broker.client().subscribe("Q").received(), ["b", "c", "d", "e"]);
}

#[test]
fn a_released_message_comes_again_counted() {
    let (_, _, consumer) = three_delivered();
    consumer.release("b");
    let again = consumer.fresh();
    assert_eq!(
        (
            again[0].body.as_str(),
            again[0].delivery.redeliveries,
            again[0].delivery.redelivered
        ),
        ("b", 1, true)
    );
}

#[test]
fn messages_that_are_not_persistent_come_back_counted_without_a_record() {
    let broker = Broker::new();
    let client = broker.client();
    client.send_volatile("Q", "a");
    let consumer = client.subscribe("Q");
    assert_eq!(consumer.received(), ["a"]);
    let before = broker.appended();
    consumer.close();
    assert_eq!(broker.appended(), before);
    assert_eq!(counts(&broker), [("a".to_owned(), 1, true)]);
}

#[test]
fn thousands_in_flight_come_back_in_order_over_several_steps() {
    let broker = Broker::new();
    let client = broker.client();
    for number in 0..3500 {
        client.send("Q", &number.to_string());
    }
    let consumer = client.subscribe_with("Q", |subscribe| subscribe.prefetch = 3500);
    assert_eq!(consumer.received().len(), 3500);
    let other = broker
        .client()
        .subscribe_with("Q", |subscribe| subscribe.prefetch = 10_000);
    client.send("Q", "last");
    consumer.close();
    let mut expected: Vec<String> = (0..3500).map(|number| number.to_string()).collect();
    expected.insert(0, "last".into());
    assert_eq!(other.received(), expected);
}
