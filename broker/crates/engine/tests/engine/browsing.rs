//! Browsers.

use super::broker::{Broker, Client, Consumer};

fn browse(client: &Client, prefetch: u32) -> Consumer {
    client.subscribe_with("Q", |subscribe| {
        subscribe.browser = true;
        subscribe.prefetch = prefetch;
    })
}

#[test]
fn a_browser_sees_everything_also_what_is_in_flight_and_takes_nothing() {
    let broker = Broker::new();
    let client = broker.client();
    for (body, priority) in [("a", 4), ("b", 9), ("c", 4)] {
        client.send_priority("Q", body, priority);
    }
    client.send_volatile("Q", "d");
    let consumer = client.subscribe_with("Q", |subscribe| subscribe.prefetch = 2);
    assert_eq!(consumer.received(), ["b", "a"]);
    let before = broker.appended();
    let browser = browse(&client, 100);
    assert_eq!(browser.received(), ["b", "a", "c", "d"]);
    assert!(browser.is_at_end());
    browser.ack_all();
    browser.close();
    assert_eq!(broker.appended(), before, "it leaves no trace");
    consumer.ack_all();
    assert_eq!(consumer.received(), ["c", "d"]);
    assert!(consumer.all().iter().all(|received| !received.delivery.redelivered));
}

#[test]
fn a_browser_goes_through_a_backlog_larger_than_memory_and_prefetch() {
    let broker = Broker::new();
    let client = broker.client();
    for number in 0..5000 {
        client.post("Q", &number.to_string(), |_, _| {});
    }
    broker.crash();
    let client = broker.client();
    let browser = browse(&client, 10);
    let mut seen = 0;
    while seen < 5000 {
        let fresh = browser.fresh();
        assert!(
            !fresh.is_empty() && fresh.len() <= 10,
            "{seen} seen, then {}",
            fresh.len()
        );
        assert!(seen >= 4990 || !browser.is_at_end());
        for received in &fresh {
            assert_eq!(received.body, seen.to_string());
            seen += 1;
        }
        assert_eq!(browser.ack_tags(1, u64::MAX), Some(Ok(())));
    }
    assert!(browser.is_at_end());
}

#[test]
fn what_arrives_later_is_not_browsed() {
    let broker = Broker::new();
    let client = broker.client();
    client.send("Q", "a");
    client.send("Q", "b");
    let browser = browse(&client, 1);
    client.send_priority("Q", "late", 9);
    client.send("Q", "late");
    browser.ack_all();
    browser.ack_all();
    assert_eq!(browser.received(), ["a", "b"]);
    assert!(browser.is_at_end());
}

#[test]
fn an_empty_queue_ends_at_once_and_a_selector_applies() {
    let broker = Broker::new();
    let client = broker.client();
    assert!(browse(&client, 1).is_at_end());
    client.send_property("Q", "blue", "colour", "blue");
    client.send_property("Q", "red", "colour", "red");
    let browser = client.subscribe_with("Q", |subscribe| {
        subscribe.browser = true;
        subscribe.selector = Some("colour = 'red'".into());
    });
    assert_eq!(browser.received(), ["red"]);
    assert!(browser.is_at_end());
}

#[test]
fn a_browser_without_prefetch_sees_what_it_pulls() {
    let broker = Broker::new();
    let client = broker.client();
    client.send("Q", "a");
    client.send("Q", "b");
    let browser = browse(&client, 0);
    assert_eq!(browser.received(), [""; 0]);
    browser.pull(1);
    assert_eq!(browser.received(), ["a"]);
    browser.pull(5);
    assert_eq!(browser.received(), ["b"]);
    assert!(browser.is_at_end());
}

#[test]
fn a_pattern_browses_queue_after_queue() {
    let broker = Broker::new();
    let client = broker.client();
    for queue in ["A.1", "A.2", "B.1"] {
        client.send(queue, queue);
    }
    let browser = client.subscribe_with("A.*", |subscribe| subscribe.browser = true);
    assert_eq!(browser.received(), ["A.1", "A.2"]);
    assert!(browser.is_at_end());
}
