//! Bodies that cannot be read back.

use record::Record;

use super::broker::Broker;

#[test]
fn a_damaged_message_is_set_aside_and_its_queue_goes_on() {
    let broker = Broker::new();
    let client = broker.client();
    for body in ["damaged", "b", "c"] {
        client.send("Q", body);
    }
    broker.crash();
    broker.hold_reads();
    let consumer = broker.client().subscribe("Q");
    broker.damage_a_read("journal/1 at 4096: checksum");
    broker.answer_reads();
    assert_eq!(consumer.received(), ["b", "c"]);
    let damaged = broker.0.borrow().damaged.clone();
    assert!(
        damaged[0].starts_with("queue://Q ") && damaged[0].ends_with("checksum"),
        "{damaged:?}"
    );
    assert!(
        broker
            .records()
            .iter()
            .any(|record| matches!(record, Record::SetAside { .. }))
    );
    consumer.ack_all();
    broker.crash();
    assert_eq!(broker.client().subscribe("Q").received(), [""; 0]);
    assert_eq!(broker.statistics("Q").messages, 1, "it stays for inspection");
}

#[test]
fn a_damaged_message_on_its_way_to_the_dead_letter_queue_is_set_aside_and_the_rejection_answered() {
    let broker = Broker::new();
    let client = broker.client();
    client.send("Q", "bad");
    let consumer = client.subscribe("Q");
    client.send("other", &"x".repeat(40 << 20));
    broker.hold_reads();
    let request = consumer.post_reject("bad");
    broker.damage_a_read("gone");
    assert_eq!(client.outcome(request), Some(Ok(())));
    broker.answer_reads();
    assert_eq!(broker.statistics("Q").messages, 1);
    assert_eq!(broker.contents("ActiveMQ.DLQ"), [""; 0]);
}

#[test]
fn a_browser_passes_over_what_is_damaged() {
    let broker = Broker::new();
    let client = broker.client();
    client.send("Q", "damaged");
    client.send("Q", "whole");
    broker.crash();
    broker.hold_reads();
    let browser = broker
        .client()
        .subscribe_with("Q", |subscribe| subscribe.browser = true);
    broker.damage_a_read("gone");
    broker.answer_reads();
    assert_eq!(browser.received(), ["whole"]);
    assert!(browser.is_at_end());
}
