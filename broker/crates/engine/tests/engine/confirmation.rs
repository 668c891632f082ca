//! Nothing becomes visible before what it rests on is confirmed.

use message::Sequence;
use record::Record;

use super::broker::Broker;

fn sequence_of(broker: &Broker, is_it: impl Fn(&Record) -> bool) -> Sequence {
    let at = broker.records().iter().rposition(is_it).unwrap();
    Sequence(at as u64 + 1)
}

#[test]
fn a_send_is_answered_when_its_record_is_confirmed() {
    let broker = Broker::new();
    let client = broker.client();
    broker.hold_disk();
    let request = client.post("Q", "a", |_, _| {});
    assert_eq!(client.outcome(request), None);
    broker.confirm();
    assert_eq!(client.outcome(request), Some(Ok(())));
}

#[test]
fn a_delivery_waits_for_its_message_and_for_its_mark() {
    let broker = Broker::new();
    let client = broker.client();
    let consumer = client.subscribe("Q");
    broker.hold_disk();
    let sender = broker.client();
    sender.post("Q", "a", |_, _| {});
    assert_eq!(consumer.received(), [""; 0]);
    let mark = sequence_of(&broker, |record| matches!(record, Record::Dispatched { .. }));
    let sent = sequence_of(&broker, |record| matches!(record, Record::Sent(_)));
    assert!(mark > sent);
    assert_eq!(client.waits_for(), Some(mark));
    broker.0.borrow_mut().store.confirmed = sent.0;
    broker.wait(1);
    assert_eq!(consumer.received(), [""; 0], "the mark is not confirmed");
    broker.confirm();
    assert_eq!(consumer.received(), ["a"]);
}

#[test]
fn a_delivery_below_a_confirmed_mark_waits_for_nothing() {
    let broker = Broker::new();
    let client = broker.client();
    for body in ["a", "b"] {
        client.send("Q", body);
    }
    let consumer = client.subscribe_with("Q", |subscribe| subscribe.prefetch = 1);
    assert_eq!(consumer.received(), ["a"]);
    let confirmed = Sequence(broker.appended() as u64);
    broker.hold_disk();
    let request = consumer.post_ack("a");
    assert_eq!(client.outcome(request), None);
    // Behind the answer in the connection's order, but resting on nothing newer than what is confirmed.
    assert_eq!(client.waits_for(), Some(confirmed));
    broker.confirm();
    assert_eq!(consumer.received(), ["b"]);
}

#[test]
fn a_counted_redelivery_waits_for_its_count() {
    let broker = Broker::new();
    let (first, second) = (broker.client(), broker.client());
    first.send("Q", "a");
    let consumer = first.subscribe("Q");
    let other = second.subscribe("Q");
    assert_eq!(consumer.received(), ["a"]);
    broker.hold_disk();
    first.disconnect();
    assert_eq!(other.received(), [""; 0]);
    let counted = sequence_of(&broker, |record| matches!(record, Record::Redelivered { .. }));
    assert_eq!(second.waits_for(), Some(counted));
    broker.confirm();
    assert_eq!(other.received(), ["a"]);
}

#[test]
fn an_answer_that_changes_nothing_waits_for_what_it_rests_on() {
    let broker = Broker::new();
    let client = broker.client();
    client.send("Q", "a");
    let consumer = client.subscribe("Q");
    broker.hold_disk();
    consumer.post_ack("a");
    let first = client.waits_for();
    consumer.post_ack("a");
    assert_eq!(
        client.waits_for(),
        first,
        "the second changes nothing, and is answered no earlier"
    );
    let other = broker.client();
    let made = other.post("Q", "volatile", |message, _| message.persistent = false);
    assert_eq!((other.outcome(made), other.waits_for()), (None, first));
    let command = engine::AdminCommand::Create {
        destination: super::broker::destination("New"),
    };
    assert!(broker.admin_after(command.clone()).unwrap().0 > first.unwrap());
    let created = sequence_of(&broker, |record| matches!(record, Record::Created { .. }));
    let (after, answer) = broker.admin_after(command).unwrap();
    assert_eq!(after, created);
    assert!(matches!(answer, engine::AdminAnswer::Created { created: false }));
}

#[test]
fn a_topics_message_that_lasts_is_heard_when_it_is_confirmed() {
    let broker = Broker::new();
    let client = broker.client_named(Some("C"));
    client
        .subscribe_with("topic:T", |subscribe| subscribe.durable = Some("D".into()))
        .close();
    let heard = broker.client().subscribe("topic:T");
    broker.hold_disk();
    client.post("topic:T", "x", |_, _| {});
    assert_eq!(heard.received(), [""; 0]);
    broker.confirm();
    assert_eq!(heard.received(), ["x"]);
}

#[test]
fn a_rejection_and_an_expiry_are_seen_when_they_are_confirmed() {
    let broker = Broker::new();
    let client = broker.client();
    client.send("Q", "bad");
    let consumer = client.subscribe("Q");
    let dead = broker.client().subscribe("ActiveMQ.DLQ");
    broker.hold_disk();
    let request = consumer.post_reject("bad");
    assert_eq!((client.outcome(request), dead.received()), (None, vec![]));
    broker.confirm();
    assert_eq!(
        (client.outcome(request), dead.received()),
        (Some(Ok(())), vec!["bad".to_owned()])
    );
}
