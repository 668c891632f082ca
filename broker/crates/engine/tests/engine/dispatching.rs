//! Who gets which message of a queue.

use super::broker::Broker;

#[test]
fn a_queue_gives_each_message_to_one_consumer_in_order() {
    let broker = Broker::new();
    let client = broker.client();
    for body in ["a", "b", "c"] {
        client.send("Q", body);
    }
    let consumer = client.subscribe("Q");
    assert_eq!(consumer.received(), ["a", "b", "c"]);
    consumer.ack_all();
    assert_eq!(broker.contents("Q"), [""; 0]);
    let other = client.subscribe("Q");
    client.send("Q", "d");
    client.send("Q", "e");
    let mut both = [consumer.received(), other.received()].concat();
    both.sort();
    assert_eq!(both, ["d", "e"]);
}

#[test]
fn equal_consumers_take_turns() {
    let broker = Broker::new();
    let client = broker.client();
    let consumers = [client.subscribe("Q"), client.subscribe("Q"), client.subscribe("Q")];
    for number in 0..9 {
        client.send("Q", &number.to_string());
    }
    for consumer in consumers {
        assert_eq!(consumer.received().len(), 3);
    }
}

#[test]
fn the_consumer_of_higher_priority_is_served_first_until_it_is_full() {
    let broker = Broker::new();
    let client = broker.client();
    let low = client.subscribe("Q");
    let high = client.subscribe_with("Q", |subscribe| {
        subscribe.priority = 10;
        subscribe.prefetch = 2;
    });
    for body in ["a", "b", "c"] {
        client.send("Q", body);
    }
    assert_eq!(high.received(), ["a", "b"]);
    assert_eq!(low.received(), ["c"]);
    high.ack("a");
    client.send("Q", "d");
    assert_eq!(high.received(), ["d"]);
}

#[test]
fn higher_priorities_go_first_and_equal_ones_in_order_of_arrival() {
    let broker = Broker::new();
    let client = broker.client();
    for (body, priority) in [("a4", 4), ("a9", 9), ("b4", 4), ("a0", 0), ("b9", 9)] {
        client.send_priority("Q", body, priority);
    }
    client.send_volatile("Q", "c4 volatile");
    assert_eq!(
        client.subscribe("Q").received(),
        ["a9", "b9", "a4", "b4", "c4 volatile", "a0"]
    );
}

#[test]
fn nothing_is_delivered_beyond_the_prefetch_until_something_is_acknowledged() {
    let broker = Broker::new();
    let client = broker.client();
    let consumer = client.subscribe_with("Q", |subscribe| subscribe.prefetch = 2);
    for body in ["a", "b", "c", "d"] {
        client.send("Q", body);
    }
    assert_eq!(consumer.received(), ["a", "b"]);
    consumer.ack("b");
    assert_eq!(consumer.received(), ["c"]);
    consumer.ack("a");
    assert_eq!(consumer.received(), ["d"]);
}

#[test]
fn without_prefetch_a_consumer_gets_what_it_pulls() {
    let broker = Broker::new();
    let client = broker.client();
    let consumer = client.subscribe_with("Q", |subscribe| subscribe.prefetch = 0);
    for body in ["a", "b", "c"] {
        client.send("Q", body);
    }
    assert_eq!(consumer.received(), [""; 0]);
    consumer.pull(2);
    assert_eq!(consumer.received(), ["a", "b"]);
    consumer.pull(5);
    assert_eq!(consumer.received(), ["c"]);
    client.send("Q", "d");
    assert_eq!(consumer.received(), ["d"], "a pull waits for what comes");
}

#[test]
fn only_the_first_exclusive_consumer_is_served_until_it_ends() {
    let broker = Broker::new();
    let client = broker.client();
    let plain = client.subscribe("Q");
    let first = client.subscribe_with("Q", |subscribe| subscribe.exclusive = true);
    let second = client.subscribe_with("Q", |subscribe| subscribe.exclusive = true);
    client.send("Q", "a");
    client.send("Q", "b");
    assert_eq!(first.received(), ["a", "b"]);
    first.ack_all();
    first.close();
    client.send("Q", "c");
    assert_eq!(second.received(), ["c"]);
    second.ack_all();
    second.close();
    client.send("Q", "d");
    assert_eq!(plain.received(), ["d"]);
}

#[test]
fn a_pattern_serves_existing_and_future_queues_within_one_prefetch() {
    let broker = Broker::new();
    let client = broker.client();
    client.send("ORDERS.EU.NEW", "a");
    client.send("ORDERS.US", "b");
    client.send("OTHER", "x");
    let consumer = client.subscribe_with("ORDERS.>", |subscribe| subscribe.prefetch = 3);
    let mut received = consumer.received();
    received.sort();
    assert_eq!(received, ["a", "b"]);
    client.send("ORDERS.ASIA", "c");
    client.send("ORDERS.ASIA", "d");
    assert_eq!(consumer.received(), ["c"]);
    consumer.ack("a");
    assert_eq!(consumer.received(), ["d"]);
}

#[test]
fn a_composite_destination_sends_to_all_and_subscribes_to_all() {
    let broker = Broker::new();
    let client = broker.client();
    let heard = client.subscribe("topic:T");
    client.send("A,B,topic:T", "x");
    assert_eq!(
        (broker.contents("A"), broker.contents("B")),
        (vec!["x".to_owned()], vec!["x".to_owned()])
    );
    assert_eq!(heard.received(), ["x"]);
    assert_eq!(broker.messages("B")[0].destination.to_string(), "queue://B");
    let both = client.subscribe("A,B");
    assert_eq!(both.received(), ["x", "x"]);
}

#[test]
fn a_consumer_that_leaves_its_own_messages_out_leaves_them_to_others() {
    let broker = Broker::new();
    let (own, other) = (broker.client(), broker.client());
    let consumer = own.subscribe_with("Q", |subscribe| subscribe.no_local = true);
    own.send("Q", "own");
    other.send("Q", "other");
    assert_eq!(consumer.received(), ["other"]);
    assert_eq!(other.subscribe("Q").received(), ["own"]);
}
