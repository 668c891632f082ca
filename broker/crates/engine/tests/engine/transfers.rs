//! What administrators move, from queue to queue and back from the dead-letter queue.

use engine::{AdminAnswer, AdminCommand, AdminRefusal, MoveTo, MoveToGo, Moved, Settings};
use message::Property;
use record::Record;

use super::broker::{Broker, destination};

fn order(from: &str, to: MoveTo, selector: Option<&str>, go_on: Option<MoveToGo>) -> AdminCommand {
    AdminCommand::Move {
        from: destination(from),
        to,
        selector: selector.map(Into::into),
        limit: 1000,
        go_on,
    }
}

/// One page.
fn page(broker: &Broker, from: &str, to: MoveTo, selector: Option<&str>, go_on: Option<MoveToGo>) -> Moved {
    match broker.admin(order(from, to, selector, go_on)) {
        AdminAnswer::Moved(moved) => moved,
        other => panic!("{other:?}"),
    }
}

fn queue(name: &str) -> MoveTo {
    MoveTo::Queue(destination(name))
}

/// All pages, one after the other.
fn all(broker: &Broker, from: &str, to: &MoveTo, selector: Option<&str>) -> Moved {
    let mut all = page(broker, from, to.clone(), selector, None);
    while let Some(next) = all.next.take() {
        let more = page(broker, from, to.clone(), selector, Some(next));
        all.messages += more.messages;
        all.in_delivery += more.in_delivery;
        all.set_aside += more.set_aside;
        all.unheard += more.unheard;
        all.stopped = more.stopped;
        all.next = more.next;
    }
    all
}

fn refusal(broker: &Broker, from: &str, to: MoveTo, selector: Option<&str>) -> (AdminRefusal, String) {
    match broker.admin(order(from, to, selector, None)) {
        AdminAnswer::Refused { kind, text } => (kind, text),
        other => panic!("{other:?}"),
    }
}

/// A broker with these queues.
fn with_queues(names: &[&str]) -> Broker {
    let broker = Broker::new();
    for name in names {
        broker.admin(AdminCommand::Create {
            destination: destination(name),
        });
    }
    broker
}

#[test]
fn a_move_takes_what_waits_in_order_with_one_record_each_and_leaves_what_is_in_delivery() {
    let broker = with_queues(&["B"]);
    let client = broker.client();
    for body in ["1", "2", "3", "4"] {
        client.send("A", body);
    }
    client.send_priority("A", "first", 9);
    let consumer = client.subscribe_with("A", |subscribe| subscribe.prefetch = 2);
    assert_eq!(consumer.received(), ["first", "1"]);
    let before = broker.appended();
    let moved = all(&broker, "A", &queue("B"), None);
    assert_eq!((moved.messages, moved.in_delivery), (3, 2), "{moved:?}");
    let records = broker.records().split_off(before);
    assert_eq!(records.len(), 3);
    assert!(
        records.iter().all(|record| matches!(record, Record::Moved { .. })),
        "{records:?}"
    );
    assert_eq!(broker.contents("B"), ["2", "3", "4"]);
    consumer.ack_all();
    assert_eq!(
        (broker.statistics("A").messages, broker.statistics("B").messages),
        (0, 3)
    );
    assert_eq!(
        client.subscribe("B").received(),
        ["2", "3", "4"],
        "they are delivered there"
    );
    broker.crash();
    assert_eq!(
        (broker.contents("A"), broker.contents("B")),
        (vec![], vec!["2".into(), "3".into(), "4".into()])
    );
}

#[test]
fn a_moved_message_keeps_what_it_is_and_says_where_it_came_from() {
    let broker = with_queues(&["B", "C"]);
    let client = broker.client();
    client.send_with("A", "x", |message, _| {
        message.priority = 7;
        message.expiration = super::broker::START + 99_000;
        message.correlation_id = Some("c".into());
    });
    let consumer = client.subscribe("A");
    consumer.release("x");
    consumer.close();
    let before = broker.messages("A")[0].clone();
    all(&broker, "A", &queue("B"), None);
    all(&broker, "B", &queue("C"), None);
    let after = broker.messages("C")[0].clone();
    assert_eq!(after.destination, destination("C"));
    assert_eq!(
        after.original_destination,
        Some(destination("A")),
        "not where it lay meanwhile"
    );
    assert_eq!(
        (
            &after.id,
            after.priority,
            after.expiration,
            &after.correlation_id,
            &after.body,
            after.timestamp
        ),
        (
            &before.id,
            before.priority,
            before.expiration,
            &before.correlation_id,
            &before.body,
            before.timestamp
        )
    );
    let delivery = client.subscribe("C").fresh()[0].delivery.clone();
    assert_eq!((delivery.redeliveries, delivery.redelivered), (0, false));
}

#[test]
fn a_moved_message_is_in_exactly_one_queue_whenever_the_process_dies() {
    let broker = with_queues(&["B"]);
    let client = broker.client();
    for number in 0..20 {
        client.send("A", &number.to_string());
    }
    let sent = broker.appended();
    all(&broker, "A", &queue("B"), None);
    for records in (sent..=broker.appended()).rev() {
        broker.crash_after(records);
        let mut places = [broker.contents("A"), broker.contents("B")].concat();
        places.sort_by_key(|body| body.parse::<u32>().unwrap());
        let expected: Vec<String> = (0..20).map(|number: u32| number.to_string()).collect();
        assert_eq!(places, expected, "after {records} records");
        assert_eq!(broker.contents("B").len(), records - sent);
    }
}

#[test]
fn a_move_goes_page_by_page_and_never_meets_what_arrives_meanwhile() {
    let broker = with_queues(&["B"]);
    let client = broker.client();
    for number in 0..2500 {
        client.send("A", &number.to_string());
    }
    let (mut go_on, mut pages, mut moved) = (None, 0, 0);
    loop {
        let page = page(&broker, "A", queue("B"), None, go_on);
        assert!(page.messages <= 1000);
        pages += 1;
        moved += page.messages;
        client.send("A", "late");
        client.send_priority("A", "late and urgent", 9);
        go_on = page.next;
        if go_on.is_none() {
            break;
        }
    }
    assert_eq!(moved, 2500);
    assert!(pages >= 3, "{pages}");
    let left = broker.contents("A");
    assert_eq!(left.len(), 2 * pages);
    assert!(left.iter().all(|body| body.starts_with("late")));
    let expected: Vec<String> = (0..2500).map(|number| number.to_string()).collect();
    assert_eq!(broker.contents("B"), expected);
}

#[test]
fn a_page_holds_few_bytes_however_many_messages_are_asked_for() {
    let broker = with_queues(&["B"]);
    let client = broker.client();
    for _ in 0..5 {
        client.send("A", &"x".repeat(700_000));
    }
    let first = page(&broker, "A", queue("B"), None, None);
    assert_eq!(first.messages, 2, "two reach a page's bytes");
    assert!(first.next.is_some());
    assert_eq!(all(&broker, "A", &queue("B"), None).messages, 3);
}

#[test]
fn only_what_the_selector_matches_is_moved_also_what_must_be_read_back_first() {
    let broker = with_queues(&["B"]);
    let client = broker.client();
    for number in 0..100 {
        client.send_priority("A", &number.to_string(), if number % 10 == 0 { 8 } else { 3 });
    }
    client.send_volatile("A", "volatile");
    // Nothing of a restarted broker is in memory.
    broker.crash();
    broker.hold_reads();
    let asked = broker.admin_after(order("A", queue("B"), Some("JMSPriority = 8"), None));
    assert!(asked.is_none(), "it waits for bodies");
    broker.answer_reads();
    assert_eq!(broker.contents("B").len(), 10);
    assert_eq!(broker.statistics("A").messages, 90);
    let limited = AdminCommand::Move {
        from: destination("A"),
        to: queue("B"),
        selector: None,
        limit: 7,
        go_on: None,
    };
    assert!(matches!(
        broker.admin(limited),
        AdminAnswer::Moved(Moved {
            messages: 7,
            next: Some(_),
            ..
        })
    ));
}

#[test]
fn messages_that_are_not_persistent_move_in_memory() {
    let broker = with_queues(&["B"]);
    let client = broker.client();
    client.send_volatile("A", "a");
    client.send_volatile("A", "b");
    let (before, held) = (broker.appended(), broker.statistics("A").bytes);
    assert_eq!(all(&broker, "A", &queue("B"), None).messages, 2);
    assert_eq!(broker.appended(), before, "no record");
    assert_eq!(broker.contents("B"), ["a", "b"]);
    let all_held = broker.0.borrow().engine.statistics().volatile_bytes;
    assert!(broker.statistics("A").bytes == 0 && all_held == broker.statistics("B").bytes && all_held >= held);
}

#[test]
fn a_move_that_makes_no_sense_is_refused_and_moves_nothing() {
    let broker = with_queues(&["A", "topic:T"]);
    let client = broker.client();
    client.send("A", "x");
    let temporary = destination("temp-queue:X");
    client.ask(message::Command::CreateTemporary {
        destination: temporary.clone(),
    });
    for (from, to, kind, words) in [
        ("A", "A", AdminRefusal::Invalid, "is where the messages are"),
        ("A", "topic:T", AdminRefusal::Invalid, "moved to a queue"),
        ("A", "temp-queue:X", AdminRefusal::Invalid, "moved to a queue"),
        ("A", "B.>", AdminRefusal::Invalid, "without wildcards"),
        (
            "A",
            "B",
            AdminRefusal::NotFound,
            "there is no queue://B: create it first",
        ),
        ("B", "A", AdminRefusal::NotFound, "there is no queue://B"),
        ("topic:T", "A", AdminRefusal::Invalid, "is a topic"),
        ("temp-queue:X", "A", AdminRefusal::Invalid, "its owner's alone"),
    ] {
        let (refused, text) = refusal(&broker, from, queue(to), None);
        assert_eq!(refused, kind, "{from} to {to}: {text}");
        assert!(text.contains(words), "{from} to {to}: {text}");
    }
    assert_eq!(
        refusal(&broker, "A", MoveTo::Origin, Some("a = = b")).0,
        AdminRefusal::Invalid
    );
    assert_eq!(broker.contents("A"), ["x"]);
}

#[test]
fn a_full_store_stops_a_move_and_it_can_be_asked_for_again() {
    let broker = with_queues(&["B"]);
    let client = broker.client();
    client.send("A", "x");
    client.send_volatile("A", "volatile");
    broker
        .0
        .borrow_mut()
        .engine
        .set_store_full(Some("nothing is left".into()));
    let moved = all(&broker, "A", &queue("B"), None);
    assert_eq!((moved.messages, moved.next), (0, None));
    let why = moved.stopped.unwrap();
    assert!(why.starts_with("Persistent store is Full: nothing is left"), "{why}");
    broker.0.borrow_mut().engine.set_store_full(None);
    assert_eq!(all(&broker, "A", &queue("B"), None).messages, 2);
}

#[test]
fn a_queue_that_goes_while_messages_are_moved_to_it_ends_the_move_and_loses_nothing() {
    let broker = with_queues(&["B"]);
    let client = broker.client();
    for number in 0..1500 {
        client.send("A", &number.to_string());
    }
    let first = page(&broker, "A", queue("B"), None, None);
    broker.admin(AdminCommand::Delete {
        destination: destination("B"),
    });
    let AdminAnswer::Refused { kind, .. } = broker.admin(order("A", queue("B"), None, first.next)) else {
        panic!("nothing is there to move to");
    };
    assert_eq!((kind, broker.statistics("A").messages), (AdminRefusal::NotFound, 500));
}

#[test]
fn a_damaged_message_is_set_aside_by_a_move_and_the_rest_goes_on() {
    let broker = with_queues(&["B"]);
    let client = broker.client();
    for body in ["damaged", "b", "c"] {
        client.send("A", body);
    }
    broker.crash();
    broker.hold_reads();
    assert!(broker.admin_after(order("A", queue("B"), None, None)).is_none());
    broker.damage_a_read("gone");
    broker.answer_reads();
    assert_eq!(broker.contents("B"), ["b", "c"]);
    assert_eq!(
        (broker.statistics("A").messages, broker.statistics("A").set_aside),
        (0, 1)
    );
    assert_eq!(all(&broker, "A", &queue("B"), None).set_aside, 1, "it is told");
}

#[test]
fn a_retry_brings_dead_letters_back_where_they_came_from_as_if_new() {
    let broker = Broker::new();
    let client = broker.client();
    for (to, body) in [("A", "a"), ("B", "b")] {
        client.send(to, body);
        client.subscribe(to).reject(body);
    }
    client.send("ActiveMQ.DLQ", "of its own");
    broker.admin(AdminCommand::Delete {
        destination: destination("B"),
    });
    let consumers_of_b = broker.0.borrow().engine.destination(&destination("B"));
    assert!(consumers_of_b.is_some(), "a consumer keeps it");
    let moved = page(&broker, "ActiveMQ.DLQ", MoveTo::Origin, None, None);
    assert_eq!((moved.messages, moved.without_origin), (2, 1), "{moved:?}");
    assert_eq!(broker.contents("ActiveMQ.DLQ"), ["of its own"]);
    let back = broker.messages("A")[0].clone();
    assert_eq!((&back.destination, back.expiration), (&destination("A"), 0));
    assert_eq!(
        back.original_destination,
        Some(destination("ActiveMQ.DLQ")),
        "as ActiveMQ says it"
    );
    assert!(matches!(
        back.properties.get("dlqDeliveryFailureCause"),
        Some(Property::String(_))
    ));
    // It may fail again, and come back again.
    let consumer = client.subscribe("A");
    client.disconnect();
    let client = broker.client();
    drop(consumer);
    let consumer = client.subscribe("A");
    assert_eq!(consumer.fresh().last().unwrap().delivery.redeliveries, 1);
    consumer.reject("a");
    let dead = broker.messages("ActiveMQ.DLQ");
    assert_eq!(dead.last().unwrap().original_destination, Some(destination("A")));
    assert_eq!(page(&broker, "ActiveMQ.DLQ", MoveTo::Origin, None, None).messages, 1);
    broker.crash();
    assert_eq!(broker.contents("A"), ["a"]);
}

#[test]
fn what_was_parked_keeps_its_expiration_and_does_not_expire_once_it_is_sent_back() {
    let broker = with_queues(&["parked"]);
    broker.client().send_expiring("A", "x", 50_000);
    let expiration = broker.messages("A")[0].expiration;
    all(&broker, "A", &queue("parked"), None);
    assert_eq!(broker.messages("parked")[0].expiration, expiration);
    all(&broker, "parked", &MoveTo::Origin, None);
    assert_eq!(broker.messages("A")[0].expiration, 0);
    broker.wait(100_000);
    assert_eq!(broker.contents("A"), ["x"]);
}

#[test]
fn a_retry_makes_the_queue_again_that_was_deleted_unless_there_are_too_many() {
    let broker = Broker::with(Settings {
        destinations_max: 2,
        ..Settings::default()
    });
    let client = broker.client();
    client.send("A", "a");
    let consumer = client.subscribe("A");
    consumer.reject("a");
    consumer.close();
    let delete = |name: &str| {
        broker.admin(AdminCommand::Delete {
            destination: destination(name),
        })
    };
    assert!(matches!(delete("A"), AdminAnswer::Deleted { .. }));
    client.send("other", "x");
    let moved = page(&broker, "ActiveMQ.DLQ", MoveTo::Origin, None, None);
    assert_eq!((moved.messages, moved.next), (0, None));
    let why = moved.stopped.unwrap();
    assert!(why.contains("maximum number of destinations"), "{why}");
    delete("other");
    assert_eq!(page(&broker, "ActiveMQ.DLQ", MoveTo::Origin, None, None).messages, 1);
    assert_eq!(broker.contents("A"), ["a"]);
}

/// A dead letter `bad` of topic T, whose subscription is gone.
fn orphan() -> Broker {
    let broker = Broker::new();
    let client = broker.client_named(Some("C"));
    let durable = client.subscribe_with("topic:T", |subscribe| subscribe.durable = Some("D".into()));
    client.send("topic:T", "bad");
    durable.reject("bad");
    durable.close();
    broker.admin(AdminCommand::RemoveDurable {
        client_id: "C".into(),
        name: "D".into(),
    });
    broker
}

#[test]
fn a_topics_dead_letter_goes_back_only_when_somebody_keeps_it() {
    let broker = orphan();
    let retry = || page(&broker, "ActiveMQ.DLQ", MoveTo::Origin, None, None);
    assert_eq!((retry().messages, retry().unheard), (0, 1));
    assert_eq!(broker.contents("ActiveMQ.DLQ"), ["bad"], "it is not lost");
    let listening = broker.client();
    // What it cannot take at once is only remembered, and dropped when that becomes too much.
    let slow = listening.subscribe_with("topic:T", |subscribe| subscribe.prefetch = 0);
    let listener = listening.subscribe("topic:T");
    assert_eq!(
        (retry().messages, retry().unheard),
        (0, 1),
        "a subscriber of the moment keeps nothing"
    );
    broker.crash();
    assert_eq!(broker.contents("ActiveMQ.DLQ"), ["bad"]);
    drop((slow, listener));
    let client = broker.client_named(Some("C"));
    let unwilling = client.subscribe_with("topic:T", |subscribe| {
        subscribe.durable = Some("unwilling".into());
        subscribe.selector = Some("a = 1".into());
    });
    assert_eq!((retry().messages, retry().unheard), (0, 1));
    let durable = client.subscribe_with("topic:T", |subscribe| subscribe.durable = Some("E".into()));
    let listener = client.subscribe("topic:T");
    assert_eq!(retry().messages, 1);
    let heard = [durable.received(), listener.received(), unwilling.received()];
    assert_eq!(heard.concat(), ["bad", "bad"]);
    assert_eq!(broker.contents("ActiveMQ.DLQ"), [""; 0]);
}

#[test]
fn what_came_from_a_topic_and_is_not_persistent_goes_back_to_whoever_hears_it() {
    let broker = with_queues(&["topic:T"]);
    let client = broker.client();
    client.send_with("parked", "bad", |message, _| {
        message.persistent = false;
        message.original_destination = Some(destination("topic:T"));
    });
    let retry = || page(&broker, "parked", MoveTo::Origin, None, None);
    let unwilling = client.subscribe_with("topic:T", |subscribe| subscribe.selector = Some("a = 1".into()));
    assert_eq!((retry().messages, retry().unheard), (0, 1));
    let listener = client.subscribe("topic:T");
    assert_eq!(retry().messages, 1);
    assert_eq!(
        (listener.received(), unwilling.received()),
        (vec!["bad".into()], vec![])
    );
}

/// It lies in the dead-letter queue under another destination than it is sent back to, and selectors see that.
#[test]
fn who_gets_a_dead_letter_is_judged_by_what_is_sent() {
    for (selector, goes) in [
        ("JMSDestination <> 'topic://T'", false),
        ("JMSDestination = 'topic://T'", true),
    ] {
        let broker = orphan();
        let client = broker.client_named(Some("W"));
        let watch = client.subscribe_with("topic:>", |subscribe| {
            subscribe.durable = Some("W".into());
            subscribe.selector = Some(selector.into());
        });
        let moved = page(&broker, "ActiveMQ.DLQ", MoveTo::Origin, None, None);
        assert_eq!((moved.messages, moved.unheard), (u64::from(goes), u64::from(!goes)));
        broker.crash();
        drop(watch);
        assert_eq!(broker.contents("ActiveMQ.DLQ").len(), usize::from(!goes), "{selector}");
        let client = broker.client_named(Some("W"));
        let watch = client.subscribe_with("topic:>", |subscribe| {
            subscribe.durable = Some("W".into());
            subscribe.selector = Some(selector.into());
        });
        assert_eq!(watch.received().len(), usize::from(goes), "{selector}");
    }
}

#[test]
fn a_topics_dead_letter_goes_back_to_its_durable_subscription_with_one_record() {
    let broker = Broker::new();
    let client = broker.client_named(Some("C"));
    let durable = client.subscribe_with("topic:T", |subscribe| subscribe.durable = Some("D".into()));
    client.send("topic:T", "bad");
    durable.reject("bad");
    let before = broker.appended();
    assert_eq!(page(&broker, "ActiveMQ.DLQ", MoveTo::Origin, None, None).messages, 1);
    assert!(matches!(broker.records().split_off(before)[0], Record::Moved { .. }));
    assert_eq!(durable.received(), ["bad", "bad"]);
    durable.reject("bad");
    assert_eq!(broker.contents("ActiveMQ.DLQ"), ["bad"], "it counts as another message");
}

#[test]
fn what_an_answer_says_was_moved_rests_on_its_records() {
    let broker = with_queues(&["B"]);
    let client = broker.client();
    client.send("A", "x");
    broker.hold_disk();
    let (after, answer) = broker.admin_after(order("A", queue("B"), None, None)).unwrap();
    assert!(matches!(answer, AdminAnswer::Moved(Moved { messages: 1, .. })));
    assert_eq!(after.0, broker.appended() as u64);
}

/// Found by simulation: the second was told that nothing was left, while what the first took could still come back.
#[test]
fn an_answer_that_finds_nothing_rests_on_what_others_took_while_it_waited_for_bodies() {
    let broker = with_queues(&["B", "C"]);
    broker.client().send("A", "x");
    broker.crash();
    broker.hold_reads();
    broker.hold_disk();
    for to in ["B", "C"] {
        assert!(broker.admin_after(order("A", queue(to), None, None)).is_none());
    }
    broker.answer_reads();
    let answers = broker.take_admin_answers();
    let moved = |answer: &AdminAnswer| match answer {
        AdminAnswer::Moved(moved) => moved.messages,
        other => panic!("{other:?}"),
    };
    assert_eq!(answers.iter().map(|(_, answer)| moved(answer)).sum::<u64>(), 1);
    let newest = broker.appended() as u64;
    assert!(answers.iter().all(|(after, _)| after.0 == newest), "{answers:?}");
}

#[test]
fn bodies_are_asked_for_many_at_a_time_and_not_again_after_each() {
    let broker = with_queues(&["B"]);
    broker.0.borrow_mut().settings.read_ahead_messages = 16;
    let client = broker.client();
    for number in 0..40 {
        client.send("A", &number.to_string());
    }
    broker.crash();
    broker.hold_reads();
    assert!(broker.admin_after(order("A", queue("B"), None, None)).is_none());
    let asked = || broker.0.borrow().store.reads.len();
    assert_eq!(asked(), 16);
    for answered in 1..8 {
        broker.answer_a_read();
        assert_eq!(asked(), 16 - answered, "half of them first");
    }
    broker.answer_a_read();
    assert_eq!(asked(), 16, "then the next ones");
    broker.answer_reads();
    assert_eq!(broker.contents("B").len(), 40);
}

#[test]
fn a_move_that_was_stopped_rests_on_the_deletion_of_the_target() {
    let broker = with_queues(&["B"]);
    broker.client().send("A", "x");
    broker.crash();
    broker.hold_reads();
    broker.hold_disk();
    broker.order(order("A", queue("B"), None, None));
    broker.order(AdminCommand::Delete {
        destination: destination("B"),
    });
    broker.answer_reads();
    let answers = broker.take_admin_answers();
    let newest = broker.appended() as u64;
    assert!(answers.iter().all(|(after, _)| after.0 == newest), "{answers:?}");
}
