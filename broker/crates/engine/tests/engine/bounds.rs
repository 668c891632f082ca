//! No step does more than its share.

use engine::{AdminCommand, AdminRequest, EngineTime, STEP_MESSAGES_MAX};
use message::{Command, ConsumerId, Subscribe};

use super::broker::{Broker, destination};

fn steps(broker: &Broker, is_done: impl Fn(&Broker) -> bool) -> usize {
    let mut steps = 0;
    while !is_done(broker) {
        broker.tick();
        steps += 1;
        assert!(steps < 10_000, "it never ends");
    }
    steps
}

fn ten_thousand(name: &str, persistent: bool) -> Broker {
    let broker = Broker::new();
    let client = broker.client();
    for number in 0..10_000 {
        client.post(name, &number.to_string(), |message, _| message.persistent = persistent);
    }
    broker
}

#[test]
fn a_selector_over_a_backlog_takes_a_thousand_messages_a_step() {
    let broker = ten_thousand("Q", false);
    let client = broker.client();
    let consumer = ConsumerId {
        connection: client.id,
        number: 1,
    };
    let subscribe = Subscribe {
        consumer,
        destinations: vec![destination("Q")],
        selector: Some("colour = 'red'".into()),
        prefetch: 1,
        browser: false,
        no_local: false,
        exclusive: false,
        priority: 0,
        durable: None,
        pending_max: None,
    };
    {
        let mut inner = broker.0.borrow_mut();
        let inner = &mut *inner;
        let command = Command::Subscribe(Box::new(subscribe));
        inner
            .engine
            .handle(EngineTime(inner.now), client.id, None, command, &mut inner.store);
    }
    let is_idle = |broker: &Broker| {
        let inner = broker.0.borrow();
        inner.engine.next_timeout().unwrap().0 > inner.now
    };
    let steps = steps(&broker, is_idle);
    assert!(steps >= 10_000 / STEP_MESSAGES_MAX - 1, "{steps} steps");
}

#[test]
fn a_purge_takes_about_a_thousand_messages_a_step() {
    let broker = ten_thousand("Q", true);
    {
        let mut inner = broker.0.borrow_mut();
        let inner = &mut *inner;
        let command = AdminCommand::Purge {
            queue: destination("Q"),
        };
        inner
            .engine
            .handle_admin(EngineTime(inner.now), AdminRequest(1), command, &mut inner.store);
    }
    let (mut before, mut steps) = (10_000, 0);
    loop {
        let left = broker.statistics("Q").messages;
        assert!(
            before - left <= STEP_MESSAGES_MAX as u64,
            "{} in one step",
            before - left
        );
        if left == 0 {
            break;
        }
        before = left;
        broker.tick();
        steps += 1;
    }
    assert!(steps >= 9, "{steps} steps");
}

#[test]
fn an_expiry_sweep_takes_at_most_a_thousand_messages_a_step() {
    let broker = Broker::new();
    let client = broker.client();
    let expiration = super::broker::START + 1000;
    for number in 0..5000 {
        client.post("Q", &number.to_string(), |message, _| {
            message.persistent = false;
            message.expiration = expiration;
        });
    }
    broker.0.borrow_mut().now += 30_000;
    let mut before = 5000;
    let steps = steps(&broker, |broker| broker.statistics("Q").messages == 0);
    assert!(steps >= 5, "{steps} steps");
    before -= broker.statistics("Q").messages;
    assert_eq!(before, 5000);
}

#[test]
fn what_is_gone_is_freed_in_steps() {
    let broker = ten_thousand("Q", true);
    let answer = {
        let mut inner = broker.0.borrow_mut();
        let inner = &mut *inner;
        let command = AdminCommand::Delete {
            destination: destination("Q"),
        };
        inner
            .engine
            .handle_admin(EngineTime(inner.now), AdminRequest(1), command, &mut inner.store);
        inner.engine.poll_effect()
    };
    assert!(answer.is_some(), "the answer does not wait for the memory");
    let is_idle = |broker: &Broker| {
        let inner = broker.0.borrow();
        inner.engine.next_timeout().unwrap().0 > inner.now
    };
    assert!(steps(&broker, is_idle) >= 9);
}

#[test]
fn no_delivery_overtakes_the_answer_to_a_subscription_that_takes_several_steps() {
    let broker = Broker::new();
    let client = broker.client();
    for number in 0..3000 {
        client.send(&format!("A.{number:04}"), "x");
    }
    let consumer = ConsumerId {
        connection: client.id,
        number: 1,
    };
    let subscribe = Subscribe {
        consumer,
        destinations: vec![destination("A.>")],
        selector: None,
        prefetch: 5000,
        browser: false,
        no_local: false,
        exclusive: false,
        priority: 0,
        durable: None,
        pending_max: None,
    };
    {
        let mut inner = broker.0.borrow_mut();
        let inner = &mut *inner;
        let (now, request) = (EngineTime(inner.now), Some(message::RequestId(1 << 40)));
        let command = Command::Subscribe(Box::new(subscribe));
        inner.engine.handle(now, client.id, request, command, &mut inner.store);
    }
    let before = client.events().len();
    broker.client().send("A.0000", "y");
    let events = client.events().split_off(before);
    assert!(matches!(events[0], message::Event::Done { .. }), "{:?}", events[0]);
    assert_eq!(events.len(), 1 + 3001);
}

#[test]
fn a_pattern_looks_through_names_in_steps_and_is_answered_at_the_end() {
    let broker = Broker::new();
    let client = broker.client();
    for number in 0..3000 {
        client.send(&format!("A.{number}"), "x");
    }
    let consumer = client.subscribe_with("A.>", |subscribe| subscribe.prefetch = 3000);
    assert_eq!(consumer.received().len(), 3000);
}

/// Each of them once took a step of its own: a client that made and dropped a few hundred at a time filled the memory with queues that waited to be freed.
#[test]
fn hundreds_of_dropped_queues_are_freed_in_one_step() {
    let broker = Broker::new();
    let owner = broker.client();
    for number in 0..STEP_MESSAGES_MAX / 2 {
        let name = format!("temp-queue:{number}");
        owner.ask(Command::CreateTemporary {
            destination: destination(&name),
        });
        owner.send_volatile(&name, "left");
    }
    {
        let mut inner = broker.0.borrow_mut();
        let inner = &mut *inner;
        inner
            .engine
            .disconnect(EngineTime(inner.now), owner.id, &mut inner.store);
    }
    let is_idle = |broker: &Broker| {
        let inner = broker.0.borrow();
        inner.engine.next_timeout().unwrap().0 > inner.now
    };
    assert_eq!(steps(&broker, is_idle), 1);
}
