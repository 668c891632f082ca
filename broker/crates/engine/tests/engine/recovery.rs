//! What a crash leaves.

use super::broker::Broker;

#[test]
fn what_was_confirmed_and_not_acknowledged_is_there_after_a_crash() {
    let broker = Broker::new();
    let client = broker.client();
    for body in ["a", "b", "c"] {
        client.send("Q", body);
    }
    let consumer = client.subscribe_with("Q", |subscribe| subscribe.prefetch = 1);
    consumer.ack("a");
    broker.crash();
    assert_eq!(broker.contents("Q"), ["b", "c"]);
    assert_eq!(broker.client().subscribe("Q").received(), ["b", "c"]);
}

#[test]
fn what_is_not_persistent_goes_with_the_process() {
    let broker = Broker::new();
    let client = broker.client();
    client.send_volatile("Q", "gone");
    client.send("Q", "stays");
    broker.crash();
    assert_eq!(broker.contents("Q"), ["stays"]);
}

#[test]
fn what_may_have_been_delivered_is_marked_as_redelivered_after_a_crash() {
    let broker = Broker::new();
    let client = broker.client();
    client.send("Q", "seen");
    let consumer = client.subscribe("Q");
    let first = consumer.fresh();
    assert!(!first[0].delivery.redelivered);
    broker.crash();
    let client = broker.client();
    client.send("Q", "new");
    let again = client.subscribe("Q").fresh();
    assert_eq!(
        (
            again[0].body.as_str(),
            again[0].delivery.redelivered,
            again[0].delivery.redeliveries
        ),
        ("seen", true, 0)
    );
    assert_eq!((again[1].body.as_str(), again[1].delivery.redelivered), ("new", false));
}

#[test]
fn one_mark_covers_up_to_a_thousand_waiting_messages() {
    let broker = Broker::new();
    let client = broker.client();
    for number in 0..1500 {
        client.send("Q", &number.to_string());
    }
    let before = broker.appended();
    let consumer = client.subscribe_with("Q", |subscribe| subscribe.prefetch = 1200);
    assert_eq!(consumer.received().len(), 1200);
    assert_eq!(broker.appended() - before, 2, "two marks, and nothing else");
}

#[test]
fn numbers_rise_across_crashes() {
    let broker = Broker::new();
    broker.client().send("Q", "a");
    broker.crash();
    broker.client().send("Q", "b");
    broker.checkpoint();
    broker.crash();
    let client = broker.client();
    client.send("Q", "c");
    let received = client.subscribe("Q").fresh();
    let numbers: Vec<_> = received.iter().map(|received| received.delivery.number).collect();
    assert!(
        numbers.is_sorted() && numbers[1] > numbers[0] && numbers[2] > numbers[1],
        "{numbers:?}"
    );
    assert_eq!(numbers[2].0 >> 44, 3, "the epoch stands in front");
}

#[test]
fn a_checkpoint_and_the_records_behind_it_make_the_same_state() {
    let broker = Broker::new();
    let client = broker.client_named(Some("C"));
    client
        .subscribe_with("topic:T.*", |subscribe| subscribe.durable = Some("D".into()))
        .close();
    for number in 0..3000 {
        client.send("Q", &number.to_string());
    }
    client.send("topic:T.x", "early");
    assert_eq!(client.send_unique("Q", "once", "id"), Some(Ok(())));
    let consumer = client.subscribe_with("Q", |subscribe| subscribe.prefetch = 2000);
    assert_eq!(consumer.ack_tags(1, 1000), Some(Ok(())));
    broker.checkpoint();
    assert_eq!(consumer.ack_tags(1500, 1600), Some(Ok(())));
    client.send("topic:T.x", "late");
    client.send("Q", "last");
    broker.crash();
    let client = broker.client_named(Some("C"));
    assert_eq!(client.send_unique("Q", "once", "id"), Some(Ok(())));
    let expected: Vec<String> = (1000..1499)
        .chain(1600..3000)
        .map(|number| number.to_string())
        .collect();
    let contents = broker.contents("Q");
    assert_eq!(contents[..expected.len()], expected);
    assert_eq!(contents[expected.len()..], ["once", "last"]);
    let durable = client.subscribe_with("topic:T.*", |subscribe| subscribe.durable = Some("D".into()));
    assert_eq!(durable.received(), ["early", "late"]);
}

#[test]
fn a_record_that_cannot_follow_is_refused_with_object_and_number() {
    use engine::{Engine, Settings};
    use message::{Epoch, MessageNumber, Sequence};
    use record::{Definition, ObjectId, Record, RecordPlace, Waiting};
    let mut engine = Engine::new(Settings::default(), Epoch(2));
    let object = ObjectId(7);
    let acknowledged = Record::Acknowledged(Waiting {
        object,
        numbers: vec![MessageNumber(9)],
    });
    let place = RecordPlace::default();
    let refused = engine
        .replay(Sequence(1), acknowledged.clone(), place, place.segment, &[])
        .unwrap_err();
    assert_eq!(refused.to_string(), "object 7: there is no such object");
    let created = Record::Created {
        object,
        definition: Definition::Queue { name: "Q".into() },
    };
    engine
        .replay(Sequence(1), created.clone(), place, place.segment, &[])
        .unwrap();
    let refused = engine
        .replay(Sequence(2), acknowledged, place, place.segment, &[])
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "object 7, message 9: consumed, but it does not wait here"
    );
    let refused = engine
        .replay(Sequence(2), created, place, place.segment, &[])
        .unwrap_err();
    assert_eq!(refused.to_string(), "object 7: created twice");
}

#[test]
fn a_message_number_behind_which_there_is_none_is_refused() {
    use engine::{Engine, Settings};
    use message::{Body, Destination, Epoch, Message, MessageNumber, Sequence};
    use record::{Definition, ObjectId, Record, RecordPlace, Sent};
    let replayed = |number: MessageNumber| {
        let mut engine = Engine::new(Settings::default(), Epoch(2));
        let (object, place) = (ObjectId(1), RecordPlace::default());
        let created = Record::Created {
            object,
            definition: Definition::Queue { name: "Q".into() },
        };
        engine
            .replay(Sequence(1), created, place, place.segment, &[])
            .expect("an id that was not used");
        let destination = Destination::queue("Q").expect("a good name");
        let sent = Record::Sent(Sent {
            destination: object,
            number,
            targets: vec![object],
            duplicate_id: None,
            time: 1,
            message: std::sync::Arc::new(Message::new("m", destination, Body::default())),
        });
        let result = engine.replay(Sequence(2), sent, place, place.segment, &[(0, 1)]);
        result.map(|()| engine)
    };
    let refused = replayed(MessageNumber(u64::MAX)).expect_err("nothing could follow");
    assert_eq!(
        refused.to_string(),
        format!("object 1, message {}: no epoch gives such a number", u64::MAX)
    );
    let mut engine = replayed(MessageNumber::RECORDED_MAX).expect("the highest that an epoch gives");
    engine.recovered(engine::EngineTime(1));
    let mut catalog = engine.image().catalog.to_vec();
    let restored =
        |catalog: &[u8]| Engine::new(Settings::default(), Epoch(3)).restore(&catalog.to_vec().into(), Vec::new());
    assert_eq!(restored(&catalog), Ok(()));
    let at = 1 + 8 + 4;
    catalog[at..at + 8].fill(0xff);
    assert!(
        restored(&catalog).is_err(),
        "the catalog's highest number is the highest of all"
    );
}

#[test]
fn a_catalog_cut_or_changed_anywhere_never_panics() {
    use engine::{Engine, Settings};
    let broker = Broker::new();
    let client = broker.client_named(Some("C"));
    client.subscribe_with("topic:T", |subscribe| {
        subscribe.durable = Some("D".into());
        subscribe.selector = Some("a = 'b'".into());
    });
    client.send("Q", "a");
    broker.checkpoint();
    let image = broker.0.borrow().image.clone().unwrap();
    for cut in 0..image.catalog.len() {
        let mut engine = Engine::new(Settings::default(), message::Epoch(2));
        assert!(
            engine.restore(&image.catalog.slice(..cut), Vec::new()).is_err(),
            "cut at {cut}"
        );
        for value in [0, 1, 255] {
            let mut changed = image.catalog.to_vec();
            changed[cut] = value;
            let mut engine = Engine::new(Settings::default(), message::Epoch(2));
            let _ = engine.restore(&changed.into(), super::broker::pieces(&image));
        }
    }
}
