//! Slow readers: what a connection was delivered and has not taken is bounded in bytes, and costs nobody else anything.

use engine::Settings;

use super::broker::{Broker, Client, Consumer};

const BODY_BYTES: usize = 4_000;

fn settings() -> Settings {
    Settings {
        untaken_bytes_max: 50_000,
        untaken_bytes_all_max: 200_000,
        body_cache_bytes: 0,
        ..Settings::default()
    }
}

fn untaken(broker: &Broker) -> usize {
    broker.0.borrow().engine.untaken_bytes()
}

fn fill(client: &Client, destination: &str, count: usize) {
    for number in 0..count {
        client.send(destination, &format!("{number:03}{}", "x".repeat(BODY_BYTES - 3)));
    }
}

fn slow_consumer(broker: &Broker, destination: &str) -> (Client, Consumer) {
    let client = broker.client();
    client.stop_taking();
    let consumer = client.subscribe_with(destination, |subscribe| subscribe.prefetch = 32_767);
    (client, consumer)
}

fn numbers(bodies: &[String]) -> Vec<usize> {
    bodies.iter().map(|body| body[..3].parse().unwrap()).collect()
}

#[test]
fn a_reader_that_takes_nothing_is_delivered_no_more_than_its_bytes_and_goes_on_where_it_was() {
    let broker = Broker::with(settings());
    fill(&broker.client(), "Q", 200);
    let (client, consumer) = slow_consumer(&broker, "Q");
    let first = consumer.received();
    assert!((10..=13).contains(&first.len()), "{}", first.len());
    assert!(untaken(&broker) <= 50_000 + 2 * BODY_BYTES, "{}", untaken(&broker));
    // Half of it has to go before more comes.
    client.take(10_000);
    assert!(consumer.received().is_empty());
    let mut all = numbers(&first);
    while all.len() < 200 {
        client.take(untaken(&broker));
        let more = consumer.received();
        assert!(!more.is_empty(), "it stopped at {}", all.len());
        all.extend(numbers(&more));
    }
    assert_eq!(all, (0..200).collect::<Vec<_>>());
}

#[test]
fn all_consumers_of_a_connection_share_its_bytes_and_all_go_on() {
    let broker = Broker::with(settings());
    let producer = broker.client();
    let client = broker.client();
    client.stop_taking();
    let consumers: Vec<Consumer> = ["A", "B", "C"].map(|queue| client.subscribe(queue)).into();
    ["A", "B", "C"].iter().for_each(|queue| fill(&producer, queue, 20));
    let browser = client.subscribe_with("A", |subscribe| subscribe.browser = true);
    assert!(untaken(&broker) <= 50_000 + 2 * BODY_BYTES, "{}", untaken(&broker));
    let mut seen = [0; 4];
    for _ in 0..60 {
        for (count, consumer) in seen.iter_mut().zip(consumers.iter().chain([&browser])) {
            *count += consumer.received().len();
        }
        client.take(untaken(&broker));
    }
    assert_eq!(seen, [20, 20, 20, 20]);
}

#[test]
fn consumers_of_a_connection_take_turns_with_its_bytes_however_much_waits_for_each() {
    let broker = Broker::with(settings());
    let producer = broker.client();
    let slow: Vec<(Client, Vec<Consumer>)> = (0..2)
        .map(|number| {
            let client = broker.client();
            client.stop_taking();
            let consumers = ["A", "B", "topic:C", "D"].map(|name| client.subscribe(&format!("{name}{number}")));
            (client, consumers.into())
        })
        .collect();
    for number in 0..2 {
        ["A", "B", "topic:C", "D"]
            .iter()
            .for_each(|name| fill(&producer, &format!("{name}{number}"), 200));
    }
    slow.iter()
        .for_each(|(_, consumers)| consumers.iter().for_each(|consumer| drop(consumer.fresh())));
    for _ in 0..5 {
        for (client, _) in &slow {
            client.take(50_000 + 2 * BODY_BYTES);
        }
    }
    for (_, consumers) in &slow {
        let counts: Vec<usize> = consumers.iter().map(|consumer| consumer.fresh().len()).collect();
        assert!(counts.iter().all(|count| *count >= 10), "{counts:?}");
    }
}

#[test]
fn many_slow_readers_share_a_limit_and_others_are_served_all_the_same() {
    let broker = Broker::with(settings());
    let producer = broker.client();
    let slow: Vec<(Client, Consumer)> = (0..30)
        .map(|number| {
            let queue = format!("slow.{number}");
            fill(&producer, &queue, 20);
            slow_consumer(&broker, &queue)
        })
        .collect();
    let most = 200_000 + 50_000 + 30 * (16 << 10) + 30 * 2 * BODY_BYTES;
    assert!(untaken(&broker) <= most, "{}", untaken(&broker));
    assert!(
        slow.iter().all(|(_, consumer)| !consumer.received().is_empty()),
        "each has one"
    );
    let consumer = broker.client().subscribe("Q");
    fill(&producer, "Q", 100);
    assert_eq!(consumer.received().len(), 100);
    slow.iter().for_each(|(client, _)| client.disconnect());
    assert_eq!(untaken(&broker), 0);
}

#[test]
fn one_message_is_always_delivered_whatever_its_size() {
    let broker = Broker::with(Settings {
        untaken_bytes_max: 0,
        untaken_bytes_all_max: 0,
        ..Settings::default()
    });
    fill(&broker.client(), "Q", 3);
    let (client, consumer) = slow_consumer(&broker, "Q");
    for _ in 0..3 {
        assert_eq!(consumer.received().len(), 1);
        client.take(untaken(&broker));
    }
    assert!(consumer.received().is_empty());
}

#[test]
fn what_a_topic_subscriber_does_not_take_waits_within_its_prefetch_before_anything_is_dropped() {
    let broker = Broker::with(settings());
    let producer = broker.client();
    let client = broker.client();
    client.stop_taking();
    let consumer = client.subscribe_with("topic:T", |subscribe| {
        subscribe.prefetch = 40;
        subscribe.pending_max = Some(0);
    });
    fill(&producer, "topic:T", 60);
    let mut all = numbers(&consumer.received());
    assert!(all.len() < 20, "{}", all.len());
    for _ in 0..10 {
        client.take(untaken(&broker));
        all.extend(numbers(&consumer.received()));
    }
    // Of 60, 40 fit into the prefetch; the oldest of those that waited were dropped.
    assert_eq!(all.len(), 40, "{all:?}");
    assert_eq!(all.last(), Some(&59));
}
