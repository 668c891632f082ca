//! A full disk: persistent sends are refused clearly, everything else goes on, and it heals by itself.

use platform::FileSystem;

use crate::world::World;

/// Sends that find no space fail: so a test sees at once that there is none.
fn settings() -> node::Settings {
    let mut settings = crate::world::settings();
    settings.engine.send_fail_if_no_space = true;
    settings
}

/// Sends persistent messages of 40 KiB until one is refused; gives how many were confirmed, and the refusal.
fn fill(world: &World, broker: &mut crate::world::Broker, client: &mut crate::world::Client) -> (u32, String) {
    fill_with(world, broker, client, 40 << 10)
}

fn fill_with(
    world: &World,
    broker: &mut crate::world::Broker,
    client: &mut crate::world::Client,
    body_bytes: usize,
) -> (u32, String) {
    let body = "x".repeat(body_bytes);
    for number in 1..10_000 {
        let frame = format!("SEND\ndestination:/queue/Q\npersistent:true\nreceipt:r{number}\n\n{body}");
        world.say(broker, client, &frame);
        let answer = world.listen(broker, client, "\0");
        if answer.starts_with("ERROR") {
            return (number - 1, answer);
        }
        assert!(answer.starts_with("RECEIPT"), "{answer}");
    }
    panic!("the disk never got full");
}

#[test]
fn on_a_full_disk_sends_are_refused_acknowledgements_go_on_and_space_heals_it() {
    let mut world = World::new(FileSystem::Local);
    let mut broker = world.start(settings());
    world.lead(&mut broker);
    world.storage.set_capacity(Some(4 << 20));
    let mut producer = world.client(&mut broker);
    let (sent, refusal) = fill(&world, &mut broker, &mut producer);
    assert!(sent > 10, "{sent}");
    assert!(refusal.contains("Persistent store is Full"), "{refusal}");
    assert!(broker.node.status(world.now()).sends_wait.is_some());

    let mut consumer = world.client(&mut broker);
    world.say(
        &mut broker,
        &mut consumer,
        "SUBSCRIBE\nid:1\ndestination:/queue/Q\nack:client-individual\nactivemq.prefetchSize:1\n\n",
    );
    for _ in 0..sent {
        let delivery = world.listen(&mut broker, &mut consumer, "\0");
        let (_, rest) = delivery.split_once("\nack:").expect("a 1.2 delivery has an ack header");
        let id = rest.lines().next().expect("it is followed by a line end");
        world.say(&mut broker, &mut consumer, &format!("ACK\nid:{id}\n\n"));
    }
    world.say(&mut broker, &mut consumer, "UNSUBSCRIBE\nid:1\nreceipt:done\n\n");
    world.listen(&mut broker, &mut consumer, "receipt-id:done");
    assert!(broker.node.end().is_none());

    world.storage.set_capacity(None);
    world.run(std::time::Duration::from_secs(3), &mut [&mut broker], |_| false);
    world.say(
        &mut broker,
        &mut producer,
        "SEND\ndestination:/queue/Q\npersistent:true\nreceipt:again\n\nx",
    );
    assert!(
        world
            .listen(&mut broker, &mut producer, "\0")
            .contains("receipt-id:again")
    );
}

#[test]
fn a_broker_starts_on_a_full_disk_by_its_ballast() {
    let mut world = World::new(FileSystem::Local);
    let with_ballast = || node::Settings {
        ballast_bytes: 1 << 20,
        ..settings()
    };
    let mut first = world.start(with_ballast());
    world.lead(&mut first);
    let mut client = world.client(&mut first);
    world.say(
        &mut first,
        &mut client,
        "SEND\ndestination:/queue/Q\npersistent:true\nreceipt:r\n\nkept",
    );
    world.listen(&mut first, &mut client, "RECEIPT");
    world.run(std::time::Duration::from_secs(2), &mut [&mut first], |_| false);
    world.kill(first);

    let used = world.storage.space();
    world.storage.set_capacity(Some(used.total - used.available));
    assert_eq!(world.storage.space().available, 0);
    let mut second = world.start(with_ballast());
    world.lead(&mut second);
    let mut client = world.client(&mut second);
    world.say(&mut second, &mut client, "SUBSCRIBE\nid:1\ndestination:/queue/Q\n\n");
    assert!(world.listen(&mut second, &mut client, "MESSAGE").contains("kept"));
}

/// Room for a ballast, and for the checkpoints that consuming asks for.
fn with_ballast() -> node::Settings {
    node::Settings {
        ballast_bytes: 1 << 20,
        ..settings()
    }
}

/// Takes everything that waits with one acknowledgement, so that nothing is recorded afterwards.
fn drain(world: &World, broker: &mut crate::world::Broker, count: u32) {
    let mut consumer = world.client(broker);
    let subscribe = "SUBSCRIBE\nid:1\ndestination:/queue/Q\nack:client\nactivemq.prefetchSize:1000\n\n";
    world.say(broker, &mut consumer, subscribe);
    let mut seen = String::new();
    while seen.matches("\nack:").count() < count as usize {
        seen.push_str(&world.listen(broker, &mut consumer, "\0"));
    }
    let (_, last) = seen.rsplit_once("\nack:").expect("a 1.2 delivery has an ack header");
    let id = last.lines().next().expect("it is followed by a line end");
    world.say(broker, &mut consumer, &format!("ACK\nid:{id}\nreceipt:taken\n\n"));
    world.listen(broker, &mut consumer, "receipt-id:taken");
    world.say(broker, &mut consumer, "UNSUBSCRIBE\nid:1\nreceipt:left\n\n");
    world.listen(broker, &mut consumer, "receipt-id:left");
}

/// Whether a persistent send is confirmed within ten seconds, tried again while it is refused.
fn sends_go_on(world: &World, broker: &mut crate::world::Broker) -> bool {
    let mut producer = world.client(broker);
    (0..10).any(|number| {
        world.run(std::time::Duration::from_secs(1), &mut [&mut *broker], |_| false);
        world.say(
            broker,
            &mut producer,
            &format!("SEND\ndestination:/queue/Q\npersistent:true\nreceipt:again{number}\n\nx"),
        );
        world.listen(broker, &mut producer, "\0").starts_with("RECEIPT")
    })
}

#[test]
fn what_consuming_leaves_behind_on_a_full_disk_is_given_back_though_nothing_is_recorded_afterwards() {
    let mut world = World::new(FileSystem::Local);
    let mut broker = world.start(with_ballast());
    world.lead(&mut broker);
    world.storage.set_capacity(Some(6 << 20));
    let mut producer = world.client(&mut broker);
    let (sent, _) = fill(&world, &mut broker, &mut producer);
    drain(&world, &mut broker, sent);
    assert!(
        sends_go_on(&world, &mut broker),
        "{:?}",
        broker.node.status(world.now())
    );
}

#[test]
fn a_checkpoint_that_found_no_space_is_taken_again_when_there_is_some() {
    let mut world = World::new(FileSystem::Local);
    let mut broker = world.start(settings());
    world.lead(&mut broker);
    world.storage.set_capacity(Some(6 << 20));
    let mut producer = world.client(&mut broker);
    let (sent, _) = fill(&world, &mut broker, &mut producer);
    // Somebody else takes the rest, so that the checkpoints behind what is consumed now find no space.
    let space = world.storage.space();
    world.storage.set_capacity(Some(space.total - space.available));
    drain(&world, &mut broker, sent);
    world.run(std::time::Duration::from_secs(10), &mut [&mut broker], |_| false);
    assert!(broker.node.status(world.now()).sends_wait.is_some());

    world.storage.set_capacity(Some(space.total));
    assert!(
        sends_go_on(&world, &mut broker),
        "{:?}",
        broker.node.status(world.now())
    );
}

#[test]
fn on_a_disk_that_others_filled_the_ballast_gives_a_checkpoint_its_space() {
    let mut world = World::new(FileSystem::Local);
    let mut broker = world.start(with_ballast());
    world.lead(&mut broker);
    world.storage.set_capacity(Some(6 << 20));
    let mut producer = world.client(&mut broker);
    let (sent, _) = fill(&world, &mut broker, &mut producer);
    let space = world.storage.space();
    let filled = space.total - space.available;
    world.storage.set_capacity(Some(filled));
    drain(&world, &mut broker, sent);
    assert!(
        sends_go_on(&world, &mut broker),
        "{:?}",
        broker.node.status(world.now())
    );
}

#[test]
fn acknowledgements_that_take_more_space_than_the_reserve_still_drain_a_full_disk() {
    let mut world = World::new(FileSystem::Local);
    let mut broker = world.start(settings());
    world.lead(&mut broker);
    world.storage.set_capacity(Some(8 << 20));
    let mut producer = world.client(&mut broker);
    // A message takes two blocks and its acknowledgement one: together they take half of what the messages do, and less than that is left.
    let (sent, _) = fill_with(&world, &mut broker, &mut producer, 4 << 10);
    let reserve = world.storage.space().available + u64::from(2 * settings().journal.segment_bytes);
    assert!(u64::from(sent) * 4096 > reserve, "{sent} messages, {reserve} bytes");
    let mut consumer = world.client(&mut broker);
    world.say(
        &mut broker,
        &mut consumer,
        "SUBSCRIBE\nid:1\ndestination:/queue/Q\nack:client-individual\nactivemq.prefetchSize:1\n\n",
    );
    for number in 0..sent {
        let delivery = world.listen(&mut broker, &mut consumer, "\0");
        let (_, rest) = delivery.split_once("\nack:").expect("a 1.2 delivery has an ack header");
        let id = rest.lines().next().expect("it is followed by a line end");
        world.say(
            &mut broker,
            &mut consumer,
            &format!("ACK\nid:{id}\nreceipt:{number}.\n\n"),
        );
        if number + 1 < sent {
            world.comes(&mut broker, &mut consumer, &format!("receipt-id:{number}.\n"));
        } else {
            world.listen(&mut broker, &mut consumer, &format!("receipt-id:{number}."));
        }
    }
    assert!(
        sends_go_on(&world, &mut broker),
        "{:?}",
        broker.node.status(world.now())
    );
}

#[test]
fn a_start_on_a_full_disk_without_ballast_claims_nothing_waits_and_goes_on_when_there_is_space() {
    let mut world = World::new(FileSystem::Local);
    let mut first = world.start(settings());
    world.lead(&mut first);
    world.run(std::time::Duration::from_secs(2), &mut [&mut first], |_| false);
    world.kill(first);
    let space = world.storage.space();
    world.storage.set_capacity(Some(space.total - space.available));

    let mut second = world.start(settings());
    world.run(std::time::Duration::from_secs(5), &mut [&mut second], |_| false);
    let status = second.node.status(world.now());
    assert!(second.node.end().is_none(), "{:?}", second.node.end());
    assert_eq!(status.epoch, None, "it has claimed");
    assert!(status.phase.contains("waiting for space"), "{}", status.phase);
    let told = |text: &node::Notice| matches!(text, node::Notice::Warning(text) if text.contains("wait for space"));
    let notices = second.node.take_notices();
    assert_eq!(
        notices.iter().filter(|notice| told(notice)).count(),
        1,
        "said once: {notices:?}"
    );
    assert_eq!(status.warnings, [""; 0], "it is not true for ever");

    world.storage.set_capacity(None);
    world.lead(&mut second);
}

#[test]
fn a_file_system_that_is_too_small_for_a_segment_is_refused_with_its_size_and_nothing_is_claimed() {
    let mut world = World::new(FileSystem::Local);
    world.storage.set_capacity(Some(200 << 10));
    let mut broker = world.start(settings());
    match world.end(&mut broker) {
        node::End::Failed(node::Failure::Unfit { what_to_do, .. }) => {
            assert!(what_to_do.contains("journal.segment_bytes"), "{what_to_do}")
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(broker.node.status(world.now()).epoch, None);
}

#[test]
fn a_file_system_on_which_sends_can_never_go_on_is_warned_of_at_the_start() {
    let mut world = World::new(FileSystem::Local);
    world.storage.set_capacity(Some(700 << 10));
    let mut broker = world.start(settings());
    world.lead(&mut broker);
    let warnings = broker.node.status(world.now()).warnings;
    assert!(
        warnings
            .iter()
            .any(|text| text.contains("find no space from the beginning")),
        "{warnings:?}"
    );
}

#[test]
fn on_a_file_system_too_small_for_a_ballast_none_is_made_or_counted_and_sends_go_on() {
    let mut world = World::new(FileSystem::Local);
    let ballast = with_ballast().ballast_bytes;
    let (alone, beside) = (
        journal::smallest_sending_file_system_bytes(256 << 10, 0),
        journal::smallest_sending_file_system_bytes(256 << 10, ballast),
    );
    // A little more than the ballast: it would fit, and leave no space for sends.
    world.storage.set_capacity(Some((alone + beside) / 2 + (200 << 10)));
    let mut broker = world.start(with_ballast());
    world.lead(&mut broker);
    world.run(std::time::Duration::from_secs(5), &mut [&mut broker], |_| false);
    let status = broker.node.status(world.now());
    assert_eq!(status.sends_wait, None, "{status:?}");
    assert!(status.store_bytes < ballast, "a ballast is counted: {status:?}");
    assert!(
        status.warnings.iter().any(|text| text.contains("no ballast is made")),
        "{:?}",
        status.warnings
    );
    let used = world.storage.space();
    assert!(used.total - used.available < ballast, "a ballast was made");
}

#[test]
fn a_start_that_finds_no_space_for_any_one_file_that_it_makes_waits_and_leads() {
    let mut lacked = 0;
    for number in 0..80 {
        let mut world = World::new(FileSystem::Local);
        let mut first = world.start(settings());
        world.lead(&mut first);
        world.run(std::time::Duration::from_secs(2), &mut [&mut first], |_| false);
        world.kill(first);
        let fault = simulated::Fault::Fail(platform::DiskErrorKind::NoSpace);
        world.storage.fault_at(world.storage.submitted() + number, fault);
        let mut second = world.start(settings());
        world.run(std::time::Duration::from_secs(20), &mut [&mut second], |brokers| {
            brokers[0].node.end().is_some() || brokers[0].node.status(world.now()).role == node::Role::Leading
        });
        let status = second.node.status(world.now());
        let Some(end) = second.node.end() else {
            assert_eq!(status.role, node::Role::Leading, "{number}: {}", status.phase);
            lacked += 1;
            continue;
        };
        // What is there already takes no space: reading it, opening it, writing a cell in its place once the claim is linked. A failed sync is never repeated.
        let node::End::Failed(node::Failure::Disk(error)) = end else {
            panic!("{number}: {end:?}")
        };
        let claim = error.path.contains("claim-") && status.epoch.is_none() || error.operation == "link";
        let segment = error.path.contains("/00000002-");
        let directory = error.operation == "create directory";
        let repeatable = (claim || segment || directory) && !error.operation.contains("sync");
        assert!(!repeatable, "{number}: {error:?}");
    }
    assert!(lacked > 30, "{lacked}");
}

#[test]
fn on_a_full_disk_sends_wait_and_go_on_when_consumers_have_made_room() {
    let mut world = World::new(FileSystem::Local);
    let mut broker = world.start(crate::world::settings());
    world.lead(&mut broker);
    world.storage.set_capacity(Some(4 << 20));
    let mut producer = world.client(&mut broker);
    let body = "x".repeat(40 << 10);
    let mut sent = 0;
    loop {
        sent += 1;
        let frame = format!("SEND\ndestination:/queue/Q\npersistent:true\nreceipt:r{sent}\n\n{body}");
        world.say(&mut broker, &mut producer, &frame);
        if !world.comes(&mut broker, &mut producer, &format!("receipt-id:r{sent}\n")) {
            break;
        }
    }
    assert!(sent > 10, "{sent}");
    assert!(!producer.seen.contains("ERROR"), "it waits");
    let status = broker.node.status(world.now());
    assert_eq!((status.waiting.store, status.sends_wait.is_some()), (1, true));
    let warned = broker.node.take_notices();
    let waits =
        |notice: &node::Notice| matches!(notice, node::Notice::Warning(text) if text.contains("sends wait for space"));
    assert_eq!(warned.iter().filter(|notice| waits(notice)).count(), 1, "{warned:?}");

    world.say(
        &mut broker,
        &mut producer,
        "SEND\ndestination:/queue/R\npersistent:true\nreceipt:behind\n\nbehind",
    );
    let mut consumer = world.client(&mut broker);
    world.say(
        &mut broker,
        &mut consumer,
        "SUBSCRIBE\nid:1\ndestination:/queue/Q\nack:auto\n\n",
    );
    while !producer.seen.contains("receipt-id:behind") {
        // In mode auto a message is done when it was written for its client.
        assert!(world.comes(&mut broker, &mut consumer, "MESSAGE"));
        consumer.seen.clear();
        world.hear(&mut broker, &mut producer);
    }
    assert!(broker.node.end().is_none());
    assert_eq!(broker.node.status(world.now()).waiting, engine::Waiting::default());
}

/// Sends persistent messages of 100 bytes, many to a batch, until one is refused; gives how many were confirmed.
fn fill_with_small(world: &World, broker: &mut crate::world::Broker, client: &mut crate::world::Client) -> u32 {
    const BURST: usize = 100;
    let frame = format!(
        "SEND\ndestination:/queue/Q\npersistent:true\nreceipt:r\n\n{}",
        "x".repeat(100)
    );
    let mut confirmed = 0;
    loop {
        for _ in 0..BURST {
            world.say(broker, client, &frame);
        }
        let mut answers = String::new();
        while answers.matches('\0').count() < BURST && !answers.contains("ERROR") {
            answers.push_str(&world.listen(broker, client, "\0"));
        }
        confirmed += answers.matches("RECEIPT").count() as u32;
        if answers.contains("ERROR") {
            return confirmed;
        }
    }
}

#[test]
fn a_full_disk_of_small_messages_that_are_consumed_one_by_one_drains_to_the_end() {
    const CAPACITY: u64 = 4 << 20;
    let mut world = World::new(FileSystem::Local);
    let mut broker = world.start(with_ballast());
    world.lead(&mut broker);
    world.storage.set_capacity(Some(CAPACITY));
    let mut producer = world.client(&mut broker);
    let sent = fill_with_small(&world, &mut broker, &mut producer);
    // Each acknowledgement takes a batch of its own: together several times what the disk holds.
    assert!(u64::from(sent) * 4096 > 3 * CAPACITY, "{sent} messages");
    let mut consumer = world.client(&mut broker);
    world.say(
        &mut broker,
        &mut consumer,
        "SUBSCRIBE\nid:1\ndestination:/queue/Q\nack:client-individual\nactivemq.prefetchSize:1\n\n",
    );
    for number in 0..sent {
        let delivery = world.listen(&mut broker, &mut consumer, "\0");
        let (_, rest) = delivery.split_once("\nack:").expect("a 1.2 delivery has an ack header");
        let id = rest.lines().next().expect("it is followed by a line end");
        world.say(
            &mut broker,
            &mut consumer,
            &format!("ACK\nid:{id}\nreceipt:{number}.\n\n"),
        );
        let receipt = format!("receipt-id:{number}.\n");
        assert!(
            world.comes(&mut broker, &mut consumer, &receipt),
            "stuck after {number} of {sent}: {:?}",
            broker.node.status(world.now())
        );
        if number + 1 == sent {
            consumer.seen.clear();
        }
    }
    assert!(
        sends_go_on(&world, &mut broker),
        "{:?}",
        broker.node.status(world.now())
    );

    // What is left is a whole history.
    world.kill(broker);
    let mut second = world.start(with_ballast());
    world.lead(&mut second);
    assert_eq!(second.node.status(world.now()).warnings, [""; 0]);
}

#[test]
fn one_message_that_nobody_takes_keeps_its_own_segment_and_none_behind_it() {
    let mut world = World::new(FileSystem::Local);
    let mut broker = world.start(with_ballast());
    world.lead(&mut broker);
    world.storage.set_capacity(Some(6 << 20));
    let mut producer = world.client(&mut broker);
    world.say(
        &mut broker,
        &mut producer,
        "SEND\ndestination:/queue/FORGOTTEN\npersistent:true\nreceipt:first\n\nkept",
    );
    world.listen(&mut broker, &mut producer, "receipt-id:first");
    for round in 0..3 {
        let mut producer = world.client(&mut broker);
        let (sent, _) = fill(&world, &mut broker, &mut producer);
        assert!(sent > 50, "round {round}: {sent}");
        // In the later rounds one of the sends that showed that they go on waits too.
        drain(&world, &mut broker, sent + round.min(1));
        assert!(
            sends_go_on(&world, &mut broker),
            "round {round}: {:?}",
            broker.node.status(world.now())
        );
    }
    world.kill(broker);

    let mut second = world.start(with_ballast());
    world.lead(&mut second);
    assert_eq!(second.node.status(world.now()).warnings, [""; 0]);
    let mut consumer = world.client(&mut second);
    world.say(
        &mut second,
        &mut consumer,
        "SUBSCRIBE\nid:1\ndestination:/queue/FORGOTTEN\n\n",
    );
    assert!(world.listen(&mut second, &mut consumer, "MESSAGE").contains("kept"));
}
