//! No step does more than its share.

use engine::{AdminAnswer, AdminCommand, AdminRequest, BrowsePosition, Effect, EngineTime, MoveTo, STEP_MESSAGES_MAX};
use message::{Command, ConsumerId, MessageNumber, Subscribe};

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

/// Steps that an order takes until its answer is there.
fn steps_of(broker: &Broker, command: AdminCommand) -> usize {
    {
        let mut inner = broker.0.borrow_mut();
        let inner = &mut *inner;
        inner
            .engine
            .handle_admin(EngineTime(inner.now), AdminRequest(u64::MAX), command, &mut inner.store);
    }
    let is_answered = |broker: &Broker| {
        let mut inner = broker.0.borrow_mut();
        std::iter::from_fn(|| inner.engine.poll_effect()).any(|effect| matches!(effect, Effect::Admin { .. }))
    };
    1 + steps(broker, is_answered)
}

#[test]
fn what_a_move_sends_to_a_topic_counts_for_each_subscription() {
    let broker = Broker::new();
    let client = broker.client_named(Some("C"));
    let rejects = client.subscribe_with("topic:T", |subscribe| subscribe.durable = Some("D".into()));
    for number in 0..20 {
        client.send("topic:T", &number.to_string());
        rejects.reject(&number.to_string());
    }
    for number in 0..STEP_MESSAGES_MAX / 2 {
        let durable = Some(format!("{number}").into());
        client
            .subscribe_with("topic:T", |subscribe| subscribe.durable = durable)
            .close();
    }
    let steps = steps_of(&broker, retry());
    assert!(
        steps >= 10,
        "{steps} steps for 20 messages to {} subscriptions",
        STEP_MESSAGES_MAX / 2
    );
}

fn retry() -> AdminCommand {
    AdminCommand::Move {
        from: destination("ActiveMQ.DLQ"),
        to: MoveTo::Origin,
        selector: None,
        limit: STEP_MESSAGES_MAX,
        go_on: None,
    }
}

/// A selector that takes as long as some hundred messages for each that it judges.
fn costly() -> String {
    ["long LIKE '%y%'"; 8].join(" OR ")
}

fn long() -> String {
    "x".repeat(40_000)
}

#[test]
fn the_selectors_of_the_subscriptions_that_a_move_sends_to_count() {
    let broker = Broker::new();
    let client = broker.client_named(Some("C"));
    let rejects = client.subscribe_with("topic:T", |subscribe| subscribe.durable = Some("D".into()));
    for number in 0..20 {
        client.send_property("topic:T", &number.to_string(), "long", &long());
        rejects.reject(&number.to_string());
    }
    let unwilling = |subscribe: &mut Subscribe| {
        subscribe.durable = Some("unwilling".into());
        subscribe.selector = Some(costly().into());
    };
    client.subscribe_with("topic:T", unwilling).close();
    let plain = steps_of(&broker, browse(None));
    let steps = steps_of(&broker, retry());
    assert!(steps >= 4 && plain == 1, "{steps} steps");
}

fn browse(selector: Option<&str>) -> AdminCommand {
    AdminCommand::Browse {
        queue: destination("ActiveMQ.DLQ"),
        from: None,
        limit: STEP_MESSAGES_MAX,
        selector: selector.map(Into::into),
    }
}

#[test]
fn the_selector_of_an_administrators_browse_counts() {
    let broker = Broker::new();
    let client = broker.client();
    for number in 0..20 {
        client.send_property("ActiveMQ.DLQ", &number.to_string(), "long", &long());
    }
    assert_eq!(steps_of(&broker, browse(None)), 1);
    let steps = steps_of(&broker, browse(Some(&costly())));
    assert!(steps >= 4, "{steps} steps");
}

#[test]
fn subscriptions_with_nothing_set_aside_are_passed_over_a_thousand_a_step() {
    let broker = Broker::new();
    let client = broker.client_named(Some("C"));
    for number in 0..3 * STEP_MESSAGES_MAX {
        let durable = Some(format!("{number}").into());
        client
            .subscribe_with("topic:T", |subscribe| subscribe.durable = durable)
            .close();
    }
    let command = AdminCommand::PurgeSetAside {
        destination: destination("topic:T"),
    };
    let steps = steps_of(&broker, command);
    assert!(steps >= 3, "{steps} steps");
}

#[test]
fn a_browse_behind_the_last_possible_place_finds_nothing() {
    let broker = Broker::new();
    broker.client().send_priority("Q", "x", 9);
    let command = AdminCommand::Browse {
        queue: destination("Q"),
        from: Some(BrowsePosition {
            priority: 9,
            number: MessageNumber(u64::MAX),
        }),
        limit: 10,
        selector: Some("JMSPriority = 9".into()),
    };
    assert!(matches!(broker.admin(command), AdminAnswer::Browsed { messages, next: None } if messages.is_empty()));
}
