//! Bodies that cannot be read back.

use engine::{AdminAnswer, AdminCommand};
use record::Record;

use super::broker::{Broker, destination};

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
        damaged[0].starts_with("queue://Q ") && damaged[0].ends_with(" ID:damaged: journal/1 at 4096: checksum"),
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
}

/// Waiting and set aside, of a queue and of everything, which is that queue.
fn counted(broker: &Broker, queue: &str) -> (u64, u64) {
    let one = broker.statistics(queue);
    let all = broker.0.borrow().engine.statistics();
    assert_eq!((one.messages, one.set_aside), (all.messages, all.set_aside));
    (one.messages, one.set_aside)
}

#[test]
fn a_message_that_is_set_aside_does_not_wait_also_after_a_crash_and_from_a_checkpoint() {
    let broker = Broker::new();
    let client = broker.client();
    for body in ["damaged", "b", "c"] {
        client.send("Q", body);
    }
    broker.crash();
    assert_eq!(counted(&broker, "Q"), (3, 0));
    broker.hold_reads();
    let consumer = broker.client().subscribe("Q");
    broker.damage_a_read("gone");
    broker.answer_reads();
    assert_eq!(counted(&broker, "Q"), (2, 1));
    consumer.ack("b");
    broker.crash();
    assert_eq!(counted(&broker, "Q"), (1, 1), "by the records");
    broker.checkpoint();
    broker.crash();
    assert_eq!(counted(&broker, "Q"), (1, 1), "by the checkpoint");
    let where_set_aside: Vec<_> = broker.0.borrow().engine.set_aside().collect();
    assert_eq!(where_set_aside, [("queue://Q".into(), 1)]);
    let answer = broker.admin(AdminCommand::Purge {
        queue: destination("Q"),
    });
    assert!(
        matches!(answer, AdminAnswer::Purged { messages: 2 }),
        "what is set aside goes with the rest, and is told: {answer:?}"
    );
    assert_eq!(counted(&broker, "Q"), (0, 0));
    broker.crash();
    assert_eq!(counted(&broker, "Q"), (0, 0));
}

/// Sets the first message of a queue aside: a consumer that waits for it is served the rest.
fn damage_first(broker: &Broker, queue: &str) {
    broker.hold_reads();
    let browser = broker.client();
    browser.subscribe_with(queue, |subscribe| subscribe.browser = true);
    broker.damage_a_read("gone");
    broker.answer_reads();
    browser.disconnect();
}

fn clear(broker: &Broker, name: &str) -> u64 {
    let destination = destination(name);
    match broker.admin(AdminCommand::PurgeSetAside { destination }) {
        AdminAnswer::Purged { messages } => messages,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_set_aside_can_be_removed_alone_and_everything_else_stays() {
    let broker = Broker::new();
    let client = broker.client();
    // More than one step looks at, of several priorities.
    for number in 0..2500 {
        client.send_priority("Q", &number.to_string(), (number % 3) as u8);
    }
    broker.crash();
    damage_first(&broker, "Q");
    broker.crash();
    damage_first(&broker, "Q");
    assert_eq!(counted(&broker, "Q"), (2498, 2));
    let before = broker.appended();
    assert_eq!(clear(&broker, "Q"), 2);
    assert!(
        matches!(&broker.records()[before..], [Record::Acknowledged(_)]),
        "one record for both"
    );
    assert_eq!(counted(&broker, "Q"), (2498, 0));
    assert_eq!(broker.statistics("Q").counters.dequeued, 0, "nobody consumed it");
    broker.crash();
    assert_eq!(counted(&broker, "Q"), (2498, 0));
    assert_eq!((clear(&broker, "Q"), broker.contents("Q").len()), (0, 2498));
}

#[test]
fn what_is_set_aside_in_durable_subscriptions_is_removed_by_their_topic() {
    let broker = Broker::new();
    let client = broker.client_named(Some("C"));
    for name in ["1", "2"] {
        client
            .subscribe_with("topic:T", |subscribe| subscribe.durable = Some(name.into()))
            .close();
    }
    client.send("topic:T", "damaged");
    client.send("topic:T", "whole");
    broker.crash();
    broker.hold_reads();
    let client = broker.client_named(Some("C"));
    let durable = |name: &str| client.subscribe_with("topic:T", |subscribe| subscribe.durable = Some(name.into()));
    let (first, second) = (durable("1"), durable("2"));
    broker.damage_a_read("gone");
    broker.answer_reads();
    assert_eq!(counted(&broker, "topic:T"), (2, 2));
    assert_eq!(clear(&broker, "topic:T"), 2);
    assert_eq!(counted(&broker, "topic:T"), (2, 0));
    assert_eq!(
        (first.received(), second.received()),
        (vec!["whole".into()], vec!["whole".into()])
    );
    assert!(matches!(
        broker.admin(AdminCommand::PurgeSetAside {
            destination: destination("nothing")
        }),
        AdminAnswer::Refused { .. }
    ));
}

#[test]
fn a_delivery_whose_message_is_set_aside_meanwhile_ends_with_whatever_its_consumer_says() {
    for (is_rejected, expected) in [(false, (0, 0)), (true, (0, 1))] {
        let broker = Broker::new();
        let client = broker.client();
        client.send("Q", "delivered");
        let consumer = client.subscribe("Q");
        assert_eq!(consumer.received(), ["delivered"]);
        client.send("other", &"x".repeat(40 << 20));
        broker.hold_reads();
        let _browser = client.subscribe_with("Q", |subscribe| subscribe.browser = true);
        broker.damage_a_read("gone");
        broker.answer_reads();
        let before = broker.statistics("Q");
        assert_eq!((before.messages, before.set_aside, before.in_flight), (0, 1, 1));
        if is_rejected {
            consumer.reject("delivered");
        } else {
            consumer.ack("delivered");
        }
        let after = broker.statistics("Q");
        assert_eq!((after.messages, after.set_aside), expected);
        assert_eq!(after.in_flight, 0, "nobody has it any more");
    }
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
    assert_eq!(
        (broker.statistics("Q").messages, broker.statistics("Q").set_aside),
        (0, 1)
    );
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
