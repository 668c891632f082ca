//! Damage behind what a start reads: what the operator hears, at once and at every later start.

use std::time::Duration;

use message::Destination;
use node::{End, Notice, Settings};
use platform::FileSystem;

use crate::world::{Broker, World, settings};

fn with_checkpoints() -> Settings {
    Settings {
        checkpoint_interval: Duration::from_secs(1),
        ..settings()
    }
}

/// Waiting and set aside in `queue://Q`.
fn counted(broker: &Broker) -> (u64, u64) {
    let queue = Destination::queue("Q").expect("a good name");
    let engine = broker.node.engine().expect("it leads");
    let statistics = engine.destination(&queue).expect("the queue exists");
    (statistics.messages, statistics.set_aside)
}

fn warnings(broker: &mut Broker) -> Vec<String> {
    let notices = broker.node.take_notices();
    let texts = notices.into_iter().filter_map(|notice| match notice {
        Notice::Warning(text) => Some(text),
        Notice::Error(_) | Notice::Leads { .. } => None,
    });
    texts.collect()
}

fn errors(broker: &mut Broker) -> Vec<String> {
    let notices = broker.node.take_notices();
    let texts = notices.into_iter().filter_map(|notice| match notice {
        Notice::Error(text) => Some(text),
        Notice::Warning(_) | Notice::Leads { .. } => None,
    });
    texts.collect()
}

#[test]
fn a_message_damaged_behind_the_checkpoint_is_named_when_it_is_set_aside_and_told_of_at_every_later_start() {
    let mut world = World::new(FileSystem::Local);
    let mut broker = world.start(with_checkpoints());
    world.lead(&mut broker);
    let mut client = world.client(&mut broker);
    for body in ["precious", "other"] {
        let frame = format!("SEND\ndestination:/queue/Q\npersistent:true\nreceipt:{body}\n\n{body}");
        world.say(&mut broker, &mut client, &frame);
        world.listen(&mut broker, &mut client, "RECEIPT");
    }
    // A checkpoint is named, and replay begins behind it.
    world.run(Duration::from_secs(5), &mut [&mut broker], |_| false);
    world.kill(broker);
    let segment = "journal/00000001-00000001";
    let content = world.storage.read_file(segment).expect("the segment is there");
    let at = content.windows(8).rposition(|bytes| bytes == b"precious");
    assert!(
        world
            .storage
            .flip_bit(segment, at.expect("the body is in it") as u64, 1)
    );

    let mut broker = world.start(with_checkpoints());
    world.lead(&mut broker);
    assert_eq!(counted(&broker), (2, 0), "the start does not read it");
    assert_eq!(warnings(&mut broker), [""; 0]);
    let mut client = world.client(&mut broker);
    world.say(
        &mut broker,
        &mut client,
        "SUBSCRIBE\ndestination:/queue/Q\nid:1\nack:client\n\n",
    );
    let seen = world.listen(&mut broker, &mut client, "other");
    assert!(!seen.contains("precious"), "{seen}");
    assert_eq!(counted(&broker), (1, 1));
    let said = errors(&mut broker);
    let [error] = &said[..] else { panic!("{said:?}") };
    for part in [
        "queue://Q",
        "message-id ID:holdfast-1-1",
        segment,
        "offset ",
        "docs/operating.md",
    ] {
        assert!(error.contains(part), "no {part:?} in {error:?}");
    }

    for how in ["killed", "stopped", "stopped again, behind a checkpoint"] {
        if how == "killed" {
            world.run(Duration::from_millis(100), &mut [&mut broker], |_| false);
        } else {
            world.run(Duration::from_secs(5), &mut [&mut broker], |_| false);
            broker.node.stop(world.now());
            assert!(matches!(world.end(&mut broker), End::Stopped));
        }
        world.kill(broker);
        broker = world.start(with_checkpoints());
        world.lead(&mut broker);
        assert_eq!(counted(&broker), (1, 1), "{how}");
        let said = warnings(&mut broker);
        assert!(said.len() == 1 && said[0].contains("1 in queue://Q"), "{how}: {said:?}");
    }
}

#[test]
fn an_older_checkpoint_that_is_damaged_is_told_of_soon_after_the_start_and_is_gone_with_the_next() {
    let mut world = World::new(FileSystem::Local);
    let mut broker = world.start(with_checkpoints());
    world.lead(&mut broker);
    let mut client = world.client(&mut broker);
    // Each round changes the queue's page, and a checkpoint follows: the two that are named do not share it.
    for round in 0..3 {
        let frame = format!("SEND\ndestination:/queue/Q\npersistent:true\nreceipt:{round}\n\n{round}");
        world.say(&mut broker, &mut client, &frame);
        world.listen(&mut broker, &mut client, "RECEIPT");
        world.run(Duration::from_secs(2), &mut [&mut broker], |_| false);
    }
    world.kill(broker);
    let mut pieces: Vec<String> = world.storage.files();
    pieces.retain(|file| file.ends_with(".pieces"));
    assert_eq!(pieces.len(), 2, "{pieces:?}");
    let length = world.storage.read_file(&pieces[0]).expect("it is listed").len() as u64;
    assert!(world.storage.flip_bit(&pieces[0], length - 1, 0));

    let calm = settings();
    let mut broker = world.start(calm);
    world.lead(&mut broker);
    world.run(Duration::from_secs(1), &mut [&mut broker], |_| false);
    let said = warnings(&mut broker);
    assert!(
        said.len() == 1 && said[0].contains(&pieces[0]) && said[0].contains("[C7]"),
        "{said:?}"
    );
    world.kill(broker);

    let mut broker = world.start(with_checkpoints());
    world.lead(&mut broker);
    let mut client = world.client(&mut broker);
    let frame = "SEND\ndestination:/queue/Q\npersistent:true\nreceipt:r\n\nlast";
    world.say(&mut broker, &mut client, frame);
    world.listen(&mut broker, &mut client, "RECEIPT");
    world.run(Duration::from_secs(5), &mut [&mut broker], |_| false);
    assert_eq!(warnings(&mut broker).len(), 1, "it was still named at this start");
    world.kill(broker);
    let mut broker = world.start(settings());
    world.lead(&mut broker);
    world.run(Duration::from_secs(1), &mut [&mut broker], |_| false);
    assert_eq!(warnings(&mut broker), [""; 0], "two whole ones are named now");
}
