//! What is kept in memory, and what is read back.

use engine::Settings;
use message::RefusalKind;

use super::broker::Broker;

#[test]
fn a_backlog_beyond_the_cache_is_read_back_in_order() {
    let broker = Broker::with(Settings {
        body_cache_bytes: 0,
        ..Settings::default()
    });
    let client = broker.client();
    let filling = "x".repeat(20_000);
    for number in 0..500 {
        client.send("Q", &format!("{number} {filling}"));
    }
    assert!(broker.0.borrow().engine.statistics().body_cache_bytes <= 4 << 20);
    let consumer = client.subscribe("Q");
    let received: Vec<String> = consumer
        .received()
        .iter()
        .map(|body| body.split(' ').next().unwrap().into())
        .collect();
    assert_eq!(received, (0..500).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[test]
fn bodies_are_read_ahead_and_delivered_in_order_whenever_they_come() {
    let read_ahead_messages = 32;
    let broker = Broker::with(Settings {
        read_ahead_messages,
        ..Settings::default()
    });
    let client = broker.client();
    for number in 0..100 {
        client.send("Q", &number.to_string());
    }
    broker.crash();
    broker.hold_reads();
    let client = broker.client();
    let consumer = client.subscribe("Q");
    assert_eq!(broker.0.borrow().store.reads.len(), read_ahead_messages);
    broker.0.borrow_mut().store.reads.make_contiguous().reverse();
    broker.answer_reads();
    assert_eq!(
        consumer.received(),
        (0..100).map(|number| number.to_string()).collect::<Vec<_>>()
    );
}

#[test]
fn no_more_is_read_ahead_than_consumers_have_room_for() {
    let broker = Broker::new();
    let client = broker.client();
    for number in 0..100 {
        client.send("Q", &number.to_string());
    }
    broker.crash();
    let client = broker.client();
    let consumer = client.subscribe_with("Q", |subscribe| subscribe.prefetch = 1);
    assert_eq!(consumer.received(), ["0"]);
    assert_eq!(broker.0.borrow().store.reads_asked, 1);
}

#[test]
fn what_comes_first_is_read_first_however_much_was_given_back_behind_it() {
    let broker = Broker::with(Settings {
        body_cache_bytes: 0,
        ..Settings::default()
    });
    let (producer, client) = (broker.client(), broker.client());
    // More than the cache holds at the least, 4 MiB.
    let filling = "x".repeat(1 << 20);
    let consumer = producer.subscribe_with("Q", |subscribe| subscribe.prefetch = 1);
    producer.send("Q", "one");
    (0..8).for_each(|_| producer.send("Q", &filling));
    let busy = client.subscribe_with("Q", |subscribe| subscribe.prefetch = 8);
    assert_eq!(busy.received().len(), 8);
    producer.send_priority("Q", "urgent", 9);
    (0..8).for_each(|_| producer.send("other", &filling));
    broker.hold_reads();
    client.disconnect();
    assert_eq!(consumer.received(), ["one"]);
    consumer.ack_all();
    let lengths = || -> Vec<u32> {
        broker
            .0
            .borrow()
            .store
            .reads
            .iter()
            .map(|(place, _)| place.length)
            .collect()
    };
    assert!(matches!(lengths()[..], [length] if length < 1 << 10), "{:?}", lengths());
    broker.answer_reads();
    assert_eq!(consumer.received(), ["urgent"]);
}

#[test]
fn a_persistent_send_to_several_destinations_takes_no_more_than_a_transaction() {
    let transaction_bytes_max = 100_000;
    let broker = Broker::with(Settings {
        transaction_bytes_max,
        ..Settings::default()
    });
    let client = broker.client();
    let body = "x".repeat(30_000);
    client.send("A,B,C", &body);
    client.send("A", &body.repeat(5));
    let refusal = client.try_send("A,B,C,D", &body).unwrap().unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::ResourceAllocation);
    assert!(
        refusal
            .text
            .starts_with("Can not send message to 4 destinations at once"),
        "{}",
        refusal.text
    );
    assert!(refusal.text.contains("transaction_bytes_max"));
    let counts = ["A", "B", "C", "D"].map(|name| broker.contents(name).len());
    assert_eq!(counts, [2, 1, 1, 0], "all or nothing");
    // What is not stored is one body in memory.
    let volatile = client.send_with("A,B,C,D", &body, |message, _| message.persistent = false);
    assert_eq!(volatile, Some(Ok(())));
}

#[test]
fn another_queue_goes_on_while_one_waits_for_the_disk() {
    let broker = Broker::new();
    broker.client().send("slow", "old");
    broker.crash();
    broker.hold_reads();
    let client = broker.client();
    let (slow, quick) = (client.subscribe("slow"), client.subscribe("quick"));
    client.send("quick", "new");
    client.send("slow", "new");
    assert_eq!((slow.received(), quick.received()), (vec![], vec!["new".to_owned()]));
    broker.answer_reads();
    assert_eq!(slow.received(), ["old", "new"]);
}
