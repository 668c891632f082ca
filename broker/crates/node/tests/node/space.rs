//! A full disk: persistent sends are refused clearly, everything else goes on, and it heals by itself.

use platform::FileSystem;

use crate::world::{World, settings};

/// Sends persistent messages of 40 KiB until one is refused; gives how many were confirmed, and the refusal.
fn fill(world: &World, broker: &mut crate::world::Broker, client: &mut crate::world::Client) -> (u32, String) {
    let body = "x".repeat(40 << 10);
    for number in 1..1000 {
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
    assert!(broker.node.status(world.now()).sends_refused);

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
