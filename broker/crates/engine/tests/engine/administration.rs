//! What administrators do.

use engine::{AdminAnswer, AdminCommand, AdminRefusal};
use record::Record;

use super::broker::{Broker, body, destination};

fn refusal(answer: AdminAnswer) -> (AdminRefusal, String) {
    match answer {
        AdminAnswer::Refused { kind, text } => (kind, text),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_purge_removes_everything_that_waited_also_what_is_in_flight_in_steps() {
    let broker = Broker::new();
    let client = broker.client();
    for number in 0..4500 {
        client.send_priority("Q", &number.to_string(), (number % 10) as u8);
        if number % 3 == 0 {
            client.send_volatile("Q", "volatile");
        }
    }
    let consumer = client.subscribe_with("Q", |subscribe| subscribe.prefetch = 10);
    assert_eq!(consumer.received().len(), 10);
    let answer = broker.admin(AdminCommand::Purge {
        queue: destination("Q"),
    });
    assert!(matches!(answer, AdminAnswer::Purged { messages: 6000 }), "{answer:?}");
    let statistics = broker.statistics("Q");
    assert_eq!((statistics.messages, statistics.bytes, statistics.in_flight), (0, 0, 0));
    assert!(
        broker
            .records()
            .iter()
            .filter(|record| matches!(record, Record::Purged { .. }))
            .count()
            >= 4
    );
    consumer.ack_all();
    client.send("Q", "after");
    assert_eq!(consumer.received(), ["after"]);
    broker.crash();
    assert_eq!(broker.contents("Q"), ["after"]);
}

#[test]
fn a_purge_leaves_what_arrives_after_it_was_asked_for() {
    let broker = Broker::new();
    let client = broker.client();
    for number in 0..3000 {
        client.send("Q", &number.to_string());
    }
    {
        let mut inner = broker.0.borrow_mut();
        let inner = &mut *inner;
        let command = AdminCommand::Purge {
            queue: destination("Q"),
        };
        let now = engine::EngineTime(inner.now);
        inner
            .engine
            .handle_admin(now, engine::AdminRequest(1), command, &mut inner.store);
    }
    client.send("Q", "late");
    assert_eq!(broker.contents("Q"), ["late"]);
}

#[test]
fn deleting_is_refused_while_somebody_consumes_and_takes_everything_afterwards() {
    let broker = Broker::new();
    let client = broker.client();
    client.send("Q", "a");
    let consumer = client.subscribe("Q");
    let delete = || AdminCommand::Delete {
        destination: destination("Q"),
    };
    let (kind, text) = refusal(broker.admin(delete()));
    assert_eq!(kind, AdminRefusal::Conflict);
    assert!(
        text.starts_with("Destination: queue://Q still has an active subscription"),
        "{text}"
    );
    consumer.close();
    assert!(matches!(broker.admin(delete()), AdminAnswer::Deleted { messages: 1 }));
    assert_eq!(refusal(broker.admin(delete())).0, AdminRefusal::NotFound);
    broker.crash();
    assert!(broker.0.borrow().engine.destination(&destination("Q")).is_none());
    broker.client().send("Q", "anew");
    assert_eq!(broker.contents("Q"), ["anew"]);
}

#[test]
fn a_topic_stays_while_a_durable_subscription_takes_from_it() {
    let broker = Broker::new();
    let client = broker.client_named(Some("C"));
    client
        .subscribe_with("topic:T", |subscribe| subscribe.durable = Some("D".into()))
        .close();
    let delete = || AdminCommand::Delete {
        destination: destination("topic:T"),
    };
    assert_eq!(refusal(broker.admin(delete())).0, AdminRefusal::Conflict);
    let remove = AdminCommand::RemoveDurable {
        client_id: "C".into(),
        name: "D".into(),
    };
    assert!(matches!(
        broker.admin(remove.clone()),
        AdminAnswer::Deleted { messages: 0 }
    ));
    assert_eq!(refusal(broker.admin(remove)).0, AdminRefusal::NotFound);
    assert!(matches!(broker.admin(delete()), AdminAnswer::Deleted { .. }));
}

#[test]
fn browsing_goes_page_by_page_in_the_order_of_delivery() {
    let broker = Broker::new();
    let client = broker.client();
    for number in 0..250 {
        client.send_priority("Q", &number.to_string(), if number == 200 { 9 } else { 4 });
    }
    broker.crash();
    let (mut from, mut seen, mut pages) = (None, Vec::new(), 0);
    loop {
        let command = AdminCommand::Browse {
            queue: destination("Q"),
            from,
            limit: 100,
            selector: None,
        };
        let AdminAnswer::Browsed { messages, next } = broker.admin(command) else {
            panic!("refused")
        };
        assert!(messages.len() <= 100);
        seen.extend(messages.iter().map(|browsed| body(&browsed.message)));
        pages += 1;
        from = next;
        if from.is_none() {
            break;
        }
    }
    let expected: Vec<String> = [200]
        .into_iter()
        .chain((0..250).filter(|n| *n != 200))
        .map(|n| n.to_string())
        .collect();
    assert_eq!((seen, pages), (expected, 3));
    let selector = Some("JMSPriority = 9".into());
    let command = AdminCommand::Browse {
        queue: destination("Q"),
        from: None,
        limit: 10,
        selector,
    };
    assert!(matches!(broker.admin(command), AdminAnswer::Browsed { messages, next: None } if messages.len() == 1));
}

#[test]
fn creating_what_exists_changes_nothing_and_patterns_are_refused() {
    let broker = Broker::new();
    let create = |name: &str| {
        broker.admin(AdminCommand::Create {
            destination: destination(name),
        })
    };
    assert!(matches!(create("Q"), AdminAnswer::Created { created: true }));
    assert!(matches!(create("Q"), AdminAnswer::Created { created: false }));
    assert_eq!(refusal(create("Q.>")).0, AdminRefusal::Invalid);
    let purge = AdminCommand::Purge {
        queue: destination("nothing"),
    };
    assert_eq!(refusal(broker.admin(purge)).0, AdminRefusal::NotFound);
    let purge = AdminCommand::Purge {
        queue: destination("topic:T"),
    };
    assert_eq!(refusal(broker.admin(purge)).0, AdminRefusal::Invalid);
}

#[test]
fn destinations_and_subscriptions_are_listed_page_by_page() {
    let broker = Broker::new();
    let client = broker.client_named(Some("C"));
    for name in ["A", "B", "C", "topic:T"] {
        client.send(name, "x");
    }
    for name in ["1", "2"] {
        client.subscribe_with("topic:T", |subscribe| subscribe.durable = Some(name.into()));
    }
    let inner = broker.0.borrow();
    let names = |after: Option<&str>, limit| {
        let after = after.map(destination);
        let listed = inner.engine.destinations(after.as_ref(), limit);
        listed
            .iter()
            .map(|statistics| statistics.destination.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(None, 2), ["queue://A", "queue://B"]);
    assert_eq!(names(Some("B"), 9), ["queue://C", "topic://T"]);
    let subscriptions = inner.engine.subscriptions(Some(("C", "1")), 9);
    assert_eq!(subscriptions.len(), 1);
    assert_eq!((&*subscriptions[0].name, subscriptions[0].active), ("2", true));
    let statistics = inner.engine.statistics();
    assert_eq!(
        (
            statistics.destinations,
            statistics.durable_subscriptions,
            statistics.messages
        ),
        (4, 2, 3)
    );
    assert_eq!(
        (
            statistics.connections,
            statistics.consumers,
            statistics.counters.enqueued
        ),
        (1, 2, 4)
    );
}

#[test]
fn connections_and_consumers_are_counted_with_what_they_hold_and_wait_for() {
    let broker = Broker::with(engine::Settings {
        volatile_bytes_max: 3000,
        ..engine::Settings::default()
    });
    let client = broker.client_named(Some("C"));
    for body in ["a", "b", "c"] {
        client.send("Q", body);
    }
    let consumer = client.subscribe_with("Q", |subscribe| {
        subscribe.prefetch = 2;
        subscribe.selector = Some("a IS NULL".into());
    });
    consumer.ack("a");
    let durable = client.subscribe_with("topic:T", |subscribe| {
        subscribe.durable = Some("D".into());
        subscribe.prefetch = 1;
    });
    let plain = client.subscribe_with("topic:T", |subscribe| subscribe.prefetch = 1);
    for body in ["1", "2", "3"] {
        client.send("topic:T", body);
    }
    let sender = broker.client();
    sender.post("other", &"x".repeat(2000), |message, _| message.persistent = false);
    sender.post("other", &"x".repeat(2000), |message, _| message.persistent = false);
    sender.post("other", "behind it", |_, _| {});
    let inner = broker.0.borrow();
    let one = inner.engine.connection(client.id).unwrap();
    assert_eq!(one.client_id.as_deref(), Some("C"));
    assert_eq!((one.consumers, one.unacknowledged, one.waits_for), (3, 4, None));
    let blocked = inner.engine.connection(sender.id).unwrap();
    assert_eq!(
        (blocked.waits_for, blocked.waiting_commands),
        (Some(engine::WaitsFor::Memory), 2)
    );
    assert!(blocked.waiting_bytes > 2000, "{blocked:?}");
    assert_eq!(inner.engine.connection(message::ConnectionId(7)), None);

    let consumers = inner.engine.consumers(None, 10);
    let facts: Vec<_> = consumers
        .iter()
        .map(|one| {
            (
                one.consumer,
                one.prefetch,
                one.dispatched,
                one.unacknowledged,
                one.pending,
            )
        })
        .collect();
    assert_eq!(
        facts,
        [
            (consumer.id, 2, 3, 2, None),
            (durable.id, 1, 1, 1, Some(2)),
            (plain.id, 1, 1, 1, Some(2)),
        ]
    );
    assert_eq!(consumers[0].selector.as_deref(), Some("a IS NULL"));
    assert_eq!(
        (consumers[1].durable.as_deref(), consumers[1].client_id.as_deref()),
        (Some("D"), Some("C"))
    );
    let page = inner.engine.consumers(Some(consumer.id), 1);
    assert_eq!(page.iter().map(|one| one.consumer).collect::<Vec<_>>(), [durable.id]);
}

/// The first finds at its end that the second took the rest, which a crash can still undo.
#[test]
fn a_purge_rests_on_what_another_took_before_its_end() {
    let broker = Broker::new();
    let client = broker.client();
    for number in 0..1_500 {
        client.send("A", &number.to_string());
    }
    broker.hold_disk();
    for _ in 0..2 {
        broker.order(AdminCommand::Purge {
            queue: destination("A"),
        });
    }
    broker.answer_reads();
    let answers = broker.take_admin_answers();
    let newest = broker.appended() as u64;
    assert_eq!((answers.len(), broker.statistics("A").messages), (2, 0));
    assert!(answers.iter().all(|(after, _)| after.0 == newest), "{answers:?}");
}

/// A page that a deletion cut off says that nothing more is there: a crash can still undo that.
#[test]
fn an_answer_to_a_browse_rests_on_a_deletion_that_came_between() {
    let broker = Broker::new();
    let client = broker.client();
    client.send("A", "x");
    broker.crash();
    broker.hold_reads();
    broker.hold_disk();
    broker.order(AdminCommand::Browse {
        queue: destination("A"),
        from: None,
        limit: 10,
        selector: None,
    });
    broker.order(AdminCommand::Delete {
        destination: destination("A"),
    });
    broker.answer_reads();
    let answers = broker.take_admin_answers();
    let newest = broker.appended() as u64;
    assert!(answers.iter().all(|(after, _)| after.0 == newest), "{answers:?}");
}

/// "There is no queue": while its deletion can still be undone.
#[test]
fn that_something_is_not_there_rests_on_the_record_that_took_it_away() {
    let broker = Broker::new();
    let client = broker.client();
    client.send("A", "x");
    broker.hold_disk();
    broker.order(AdminCommand::Delete {
        destination: destination("A"),
    });
    broker.order(AdminCommand::Delete {
        destination: destination("A"),
    });
    broker.order(AdminCommand::Purge {
        queue: destination("A"),
    });
    broker.answer_reads();
    let answers = broker.take_admin_answers();
    let newest = broker.appended() as u64;
    assert!(answers.iter().all(|(after, _)| after.0 == newest), "{answers:?}");
}
