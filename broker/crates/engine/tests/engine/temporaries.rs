//! Temporary destinations.

use message::{Command, RefusalKind};

use super::broker::{Broker, Client, destination};

fn create(client: &Client, name: &str) {
    assert_eq!(
        client.ask(Command::CreateTemporary {
            destination: destination(name)
        }),
        Some(Ok(()))
    );
}

#[test]
fn a_reply_comes_to_the_owner_of_a_temporary_queue_and_leaves_no_record() {
    let broker = Broker::new();
    let (asker, server) = (broker.client(), broker.client());
    create(&asker, "temp-queue:X");
    let replies = asker.subscribe("temp-queue:X");
    server.send("temp-queue:X", "reply");
    assert_eq!(replies.received(), ["reply"]);
    replies.ack_all();
    assert_eq!(broker.appended(), 0);
}

#[test]
fn only_its_owner_may_consume_from_it() {
    let broker = Broker::new();
    let (owner, other) = (broker.client(), broker.client());
    for (kind, name) in [("queue", "temp-queue:X"), ("topic", "temp-topic:X")] {
        create(&owner, name);
        let refusal = other.try_subscribe(name, |_| {}).1.unwrap().unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::InvalidDestination);
        let text = format!("Subscribing to a temporary {kind} created by another connection is not permitted");
        assert_eq!(refusal.text, text);
        owner.subscribe(name);
    }
}

#[test]
fn it_goes_with_its_connection() {
    let broker = Broker::new();
    let (owner, other) = (broker.client(), broker.client());
    create(&owner, "temp-queue:X");
    other.send("temp-queue:X", "waits");
    owner.disconnect();
    let refusal = other.try_send("temp-queue:X", "late").unwrap().unwrap_err();
    assert_eq!(refusal.text, "The destination temp-queue://X does not exist.");
    assert!(other.try_subscribe("temp-queue:X", |_| {}).1.unwrap().is_err());
    assert_eq!(broker.0.borrow().engine.statistics().volatile_bytes, 0);
    other.disconnect();
}

#[test]
fn its_owner_deletes_it_when_nobody_reads_it() {
    let broker = Broker::new();
    let (owner, other) = (broker.client(), broker.client());
    create(&owner, "temp-topic:X");
    let delete = || Command::DeleteTemporary {
        destination: destination("temp-topic:X"),
    };
    assert!(other.ask(delete()).unwrap().is_err(), "it is not theirs");
    let consumer = owner.subscribe("temp-topic:X");
    let refusal = owner.ask(delete()).unwrap().unwrap_err();
    assert!(
        refusal
            .text
            .starts_with("Destination: temp-topic://X still has an active subscription"),
        "{refusal}"
    );
    consumer.close();
    assert_eq!(owner.ask(delete()), Some(Ok(())));
    assert!(owner.try_send("temp-topic:X", "late").unwrap().is_err());
}

#[test]
fn a_checkpoint_knows_nothing_of_it() {
    let broker = Broker::new();
    let client = broker.client();
    create(&client, "temp-queue:X");
    client.send("temp-queue:X", "gone");
    client.send("Q", "stays");
    broker.checkpoint();
    broker.crash();
    assert_eq!(broker.0.borrow().engine.statistics().destinations, 1);
    assert_eq!(broker.contents("Q"), ["stays"]);
}

/// A server that answers each request through a temporary queue of its own would be remembered as the producer of each, for as long as its connection lasts.
#[test]
fn who_answers_through_a_temporary_queue_is_not_counted_among_its_producers() {
    let broker = Broker::new();
    let (asker, server) = (broker.client(), broker.client());
    create(&asker, "temp-queue:X");
    server.send("temp-queue:X", "reply");
    let statistics = broker.statistics("temp-queue:X");
    assert_eq!((statistics.messages, statistics.producers), (1, 0));
}
