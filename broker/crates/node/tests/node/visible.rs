//! What a client may see, and when: never before it is safe, never without a fresh look at the fence.

use std::time::Duration;

use node::Notice;
use platform::FileSystem;
use simulated::{Fault, Stalled};

use crate::world::{World, settings};

const SEND: &str = "SEND\ndestination:/queue/Q\npersistent:true\nreceipt:r\nduplicate-id:d\n\nbody";

#[test]
fn a_receipt_and_a_delivery_wait_for_the_disk_and_a_volatile_send_does_not() {
    let mut world = World::new(FileSystem::Local);
    let mut broker = world.start(settings());
    world.lead(&mut broker);
    let mut consumer = world.client(&mut broker);
    world.say(
        &mut broker,
        &mut consumer,
        "SUBSCRIBE\nid:1\ndestination:/queue/Q\nreceipt:s\n\n",
    );
    world.listen(&mut broker, &mut consumer, "RECEIPT");
    let mut producer = world.client(&mut broker);
    // The queue exists: what is tested is the message.
    world.say(
        &mut broker,
        &mut producer,
        "SEND\ndestination:/queue/volatile\nreceipt:q\n\nbefore",
    );
    world.listen(&mut broker, &mut producer, "receipt-id:q");

    world
        .storage
        .stall(Stalled::Writes, world.storage.now() + Duration::from_secs(1));
    world.say(&mut broker, &mut producer, SEND);
    let mut other = world.client(&mut broker);
    world.say(
        &mut broker,
        &mut other,
        "SEND\ndestination:/queue/volatile\nreceipt:v\n\nbody",
    );
    world.run(Duration::from_millis(500), &mut [&mut broker], |_| false);
    for client in [&mut producer, &mut consumer, &mut other] {
        world.hear(&mut broker, client);
    }
    assert_eq!(
        (producer.seen.as_str(), consumer.seen.as_str()),
        ("", ""),
        "the record is not durable yet"
    );
    assert!(
        other.seen.contains("receipt-id:v"),
        "a non-persistent send rests on no record: {:?}",
        other.seen
    );
    world.listen(&mut broker, &mut producer, "receipt-id:r");
    world.listen(&mut broker, &mut consumer, "body");
}

#[test]
fn the_answer_to_a_resend_waits_for_the_original() {
    let mut world = World::new(FileSystem::Local);
    let mut broker = world.start(settings());
    world.lead(&mut broker);
    let (mut first, mut second) = (world.client(&mut broker), world.client(&mut broker));
    // The queue exists: what is tested is the duplicate.
    world.say(
        &mut broker,
        &mut first,
        "SEND\ndestination:/queue/Q\npersistent:true\nreceipt:q\n\nbefore",
    );
    world.listen(&mut broker, &mut first, "receipt-id:q");
    world
        .storage
        .stall(Stalled::Writes, world.storage.now() + Duration::from_secs(1));
    world.say(&mut broker, &mut first, SEND);
    world.say(&mut broker, &mut second, SEND);
    world.run(Duration::from_millis(500), &mut [&mut broker], |_| false);
    world.hear(&mut broker, &mut second);
    assert_eq!(second.seen, "", "the original is not durable yet");
    world.listen(&mut broker, &mut second, "receipt-id:r");

    let mut consumer = world.client(&mut broker);
    world.say(&mut broker, &mut consumer, "SUBSCRIBE\nid:1\ndestination:/queue/Q\n\n");
    world.run(Duration::from_secs(1), &mut [&mut broker], |_| false);
    world.hear(&mut broker, &mut consumer);
    assert_eq!(
        consumer.seen.matches("MESSAGE").count(),
        2,
        "before and body, once each: {}",
        consumer.seen
    );
}

#[test]
fn nothing_leaves_while_the_fence_was_not_seen_open_for_fence_fresh() {
    let mut world = World::new(FileSystem::Local);
    let mut broker = world.start(settings());
    world.lead(&mut broker);
    let mut client = world.client(&mut broker);
    world
        .storage
        .stall(Stalled::Everything, world.storage.now() + Duration::from_secs(5));
    world.run(Duration::from_secs(4), &mut [&mut broker], |_| false);
    world.say(
        &mut broker,
        &mut client,
        "SEND\ndestination:/topic/T\nreceipt:t\n\nrests on nothing",
    );
    assert_eq!(client.seen, "", "silent: the last beat was issued over two seconds ago");
    assert!(broker.node.take_ready(world.now()).is_empty());
    world.listen(&mut broker, &mut client, "receipt-id:t");
}

/// A standby sees beats alone: a leader that went on talking because its batches came back would talk beside its successor.
#[test]
fn a_leader_whose_beat_hangs_falls_silent_though_its_batches_return() {
    let mut world = World::new(FileSystem::Local);
    let mut broker = world.start(settings());
    world.lead(&mut broker);
    let mut client = world.client(&mut broker);
    // Everything that follows from the start is over; the next operation is a beat.
    world.run(Duration::from_millis(50), &mut [&mut broker], |_| false);
    let beat = world.storage.submitted();
    world.storage.fault_at(beat, Fault::Stall(Duration::from_secs(5)));
    world.run(Duration::from_secs(1), &mut [&mut broker], |_| {
        world.storage.submitted() > beat
    });
    assert!(world.storage.submitted() > beat);
    world.run(Duration::from_millis(2_100), &mut [&mut broker], |_| false);
    let before = broker.node.confirmed();
    world.say(&mut broker, &mut client, SEND);
    world.run(Duration::from_millis(500), &mut [&mut broker], |_| false);
    world.hear(&mut broker, &mut client);
    assert!(broker.node.confirmed() > before, "batches return, with open fences");
    assert_eq!(client.seen, "");
    world.listen(&mut broker, &mut client, "receipt-id:r");
}

#[test]
fn a_message_of_ten_megabytes_spans_batches_and_segments_and_survives_a_kill() {
    let mut world = World::new(FileSystem::Local);
    let mut first = world.start(settings());
    world.lead(&mut first);
    let mut client = world.client(&mut first);
    let body: String = (0..10 << 20)
        .map(|index: u32| char::from(b'a' + (index % 23) as u8))
        .collect();
    world.say(
        &mut first,
        &mut client,
        &format!("SEND\ndestination:/queue/Q\npersistent:true\nreceipt:r\n\n{body}"),
    );
    world.listen(&mut first, &mut client, "RECEIPT");
    world.kill(first);
    let mut second = world.start(settings());
    world.lead(&mut second);
    let mut client = world.client(&mut second);
    world.say(&mut second, &mut client, "SUBSCRIBE\nid:1\ndestination:/queue/Q\n\n");
    let delivery = world.listen(&mut second, &mut client, "\0");
    assert!(delivery.contains(&body));
}

#[test]
fn a_message_that_asks_for_a_delay_comes_at_once_and_the_operator_hears_of_it_once() {
    let mut world = World::new(FileSystem::Local);
    let mut broker = world.start(settings());
    world.lead(&mut broker);
    broker.node.take_notices();
    for round in 1..=2 {
        let mut client = world.client(&mut broker);
        world.say(&mut broker, &mut client, "SUBSCRIBE\ndestination:/queue/Q\nid:1\n\n");
        let frame = "SEND\ndestination:/queue/Q\nAMQ_SCHEDULED_DELAY:60000\n\nnow";
        world.say(&mut broker, &mut client, frame);
        world.listen(&mut broker, &mut client, "now");
        let notices = broker.node.take_notices();
        let said = notices
            .iter()
            .filter(|notice| matches!(notice, Notice::Warning(text) if text.contains("AMQ_SCHEDULED_DELAY")));
        assert_eq!(said.count(), usize::from(round == 1), "{notices:?}");
        assert_eq!(broker.node.status(world.now()).unscheduled, round);
    }
}
