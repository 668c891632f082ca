//! Selectors on queues.

use message::RefusalKind;

use super::broker::Broker;

#[test]
fn a_backlog_of_a_hundred_thousand_that_does_not_match_hides_nothing() {
    let broker = Broker::new();
    let client = broker.client();
    for _ in 0..100_000 {
        client.post("Q", "plain", |_, _| {});
    }
    client.send_property("Q", "wanted", "colour", "red");
    broker.crash();
    let client = broker.client();
    let other = client.subscribe_with("P", |subscribe| subscribe.prefetch = 1);
    let consumer = client.subscribe_with("Q", |subscribe| subscribe.selector = Some("colour = 'red'".into()));
    assert_eq!(consumer.received(), ["wanted"]);
    client.send("P", "meanwhile");
    assert_eq!(other.received(), ["meanwhile"]);
    consumer.ack("wanted");
    client.send_property("Q", "wanted too", "colour", "red");
    assert_eq!(consumer.received(), ["wanted too"]);
    assert_eq!(broker.statistics("Q").messages, 100_001);
}

#[test]
fn each_message_is_read_once_for_a_selector_however_often_something_arrives() {
    let broker = Broker::new();
    let client = broker.client();
    for _ in 0..1000 {
        client.send("Q", "plain");
    }
    broker.crash();
    let client = broker.client();
    let consumer = client.subscribe_with("Q", |subscribe| subscribe.selector = Some("colour = 'red'".into()));
    assert_eq!(consumer.received(), [""; 0]);
    let reads = broker.0.borrow().store.reads_asked;
    assert_eq!(reads, 1000);
    for _ in 0..100 {
        client.send("Q", "plain");
    }
    assert_eq!(broker.0.borrow().store.reads_asked, reads);
}

#[test]
fn consumers_with_different_selectors_share_a_queue() {
    let broker = Broker::new();
    let client = broker.client();
    let with = |selector: &str| client.subscribe_with("Q", |subscribe| subscribe.selector = Some(selector.into()));
    let (red, blue) = (with("colour = 'red'"), with("colour = 'blue'"));
    for (body, colour) in [("1", "red"), ("2", "blue"), ("3", "green"), ("4", "red")] {
        client.send_property("Q", body, "colour", colour);
    }
    assert_eq!(
        (red.received(), blue.received()),
        (vec!["1".into(), "4".into()], vec!["2".into()])
    );
    assert_eq!(client.subscribe("Q").received(), ["3"]);
}

#[test]
fn what_one_consumer_gives_back_goes_to_another_whose_selector_matches() {
    let broker = Broker::new();
    let client = broker.client();
    client.send_property("Q", "1", "colour", "red");
    let any = client.subscribe("Q");
    assert_eq!(any.received(), ["1"]);
    let blue = client.subscribe_with("Q", |subscribe| subscribe.selector = Some("colour = 'blue'".into()));
    let red = client.subscribe_with("Q", |subscribe| subscribe.selector = Some("colour = 'red'".into()));
    any.close();
    assert_eq!((blue.received(), red.received()), (vec![], vec!["1".to_owned()]));
}

#[test]
fn unknown_is_not_true() {
    let broker = Broker::new();
    let client = broker.client();
    client.send("Q", "no colour");
    let not_red = client.subscribe_with("Q", |subscribe| {
        subscribe.selector = Some("NOT (colour = 'red')".into())
    });
    assert_eq!(not_red.received(), [""; 0]);
    let without = client.subscribe_with("Q", |subscribe| subscribe.selector = Some("colour IS NULL".into()));
    assert_eq!(without.received(), ["no colour"]);
}

#[test]
fn a_selector_that_cannot_be_parsed_is_refused_and_changes_nothing() {
    let broker = Broker::new();
    let client = broker.client();
    let (_, outcome) = client.try_subscribe("Q", |subscribe| subscribe.selector = Some("a = ".into()));
    assert_eq!(outcome.unwrap().unwrap_err().kind, RefusalKind::InvalidSelector);
    assert_eq!(broker.appended(), 0);
    client.send("Q", "a");
    assert_eq!(broker.contents("Q"), ["a"]);
}
