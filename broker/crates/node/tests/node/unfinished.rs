//! Many clients with large frames: memory stays within its budget, and nobody waits who need not.

use std::time::Duration;

use platform::FileSystem;

use crate::world::{Broker, Client, World};

const MIB: usize = 1 << 20;
/// Of the large message of each client.
const BODY_BYTES: usize = 90 * MIB;
const CLIENTS: usize = 40;

/// A client that sends one large message, as fast as it is read.
struct Large {
    client: Client,
    head: String,
    body_bytes: usize,
    sent: usize,
    /// It stops there.
    stops_at: usize,
}

impl Large {
    fn new(world: &World, broker: &mut Broker, number: usize, body_bytes: usize) -> Large {
        Large {
            client: world.client(broker),
            head: format!(
                "SEND\ndestination:/queue/Q\npersistent:true\ncontent-length:{body_bytes}\nreceipt:large-{number}\n\n"
            ),
            body_bytes,
            sent: 0,
            stops_at: usize::MAX,
        }
    }

    fn length(&self) -> usize {
        self.head.len() + self.body_bytes + 1
    }

    /// Writes as much as the broker reads at this moment; whether that was anything.
    fn write(&mut self, world: &World, broker: &mut Broker) -> bool {
        let may = broker.node.read_bytes_max(self.client.connection);
        let count = may.min(self.length().min(self.stops_at) - self.sent);
        if count == 0 {
            return false;
        }
        let mut bytes = vec![b'x'; count];
        for (at, byte) in (self.sent..).zip(&mut bytes) {
            match self.head.as_bytes().get(at) {
                Some(head) => *byte = *head,
                None if at + 1 == self.length() => *byte = 0,
                None => break,
            }
        }
        if self.sent + count == self.length() {
            *bytes.last_mut().expect("it is not empty") = 0;
        }
        self.sent += count;
        broker.node.receive(world.now(), self.client.connection, &bytes);
        true
    }
}

/// Lets each write once; whether any could.
fn write_all(world: &World, broker: &mut Broker, large: &mut [Large]) -> bool {
    let wrote = |any, large: &mut Large| large.write(world, broker) || any;
    large.iter_mut().fold(false, wrote)
}

fn settings(budget: usize) -> node::Settings {
    let mut settings = node::Settings {
        unfinished_bytes_max: budget,
        ballast_bytes: 0,
        ..node::Settings::default()
    };
    settings.journal.segment_bytes = 128 << 20;
    settings.engine.body_cache_bytes = 0;
    settings
}

fn kept(broker: &Broker, world: &World) -> usize {
    broker.node.status(world.now()).unfinished_bytes
}

#[test]
fn forty_large_sends_stay_within_the_budget_and_small_frames_pass_them() {
    let budget = 256 * MIB;
    let mut world = World::new(FileSystem::Local);
    let mut broker = world.start(settings(budget));
    world.lead(&mut broker);
    let mut consumer = world.client(&mut broker);
    let subscribe = "SUBSCRIBE\nid:1\ndestination:/queue/small\nack:client-individual\n\n";
    world.say(&mut broker, &mut consumer, subscribe);
    let mut producer = world.client(&mut broker);
    let mut large: Vec<Large> = (0..CLIENTS)
        .map(|number| Large::new(&world, &mut broker, number, BODY_BYTES))
        .collect();
    // None comes to its end by itself.
    large.iter_mut().for_each(|large| large.stops_at = BODY_BYTES);
    let mut most = 0;
    while write_all(&world, &mut broker, &mut large) {
        most = most.max(kept(&broker, &world));
    }
    assert!(most <= budget + 100 * MIB, "{most}");
    assert!(most > budget, "{most}");

    // A well-behaved client's sends, and everybody's acknowledgements, go on.
    let body = "y".repeat(1 << 10);
    for number in 0..20 {
        let send = format!("SEND\ndestination:/queue/small\npersistent:true\nreceipt:small-{number}\n\n{body}");
        assert!(broker.node.may_read(producer.connection));
        world.say(&mut broker, &mut producer, &send);
        world.listen(&mut broker, &mut producer, &format!("small-{number}"));
        let delivery = world.listen(&mut broker, &mut consumer, &body);
        let (_, rest) = delivery.split_once("\nack:").expect("a 1.2 delivery has an ack header");
        let id = rest.lines().next().expect("it is followed by a line end");
        assert!(broker.node.may_read(consumer.connection));
        world.say(
            &mut broker,
            &mut consumer,
            &format!("ACK\nid:{id}\nreceipt:ack-{number}\n\n"),
        );
        world.listen(&mut broker, &mut consumer, &format!("ack-{number}"));
    }

    // Those who hold everything and say nothing are closed one after the other, until nobody waits any more.
    let told = |large: &Large| large.client.seen.contains("The frame did not come on");
    let mut rounds = 0;
    while large.iter().filter(|large| told(large)).count() < 5 {
        world.run(Duration::from_secs(11), &mut [&mut broker], |_| false);
        large
            .iter_mut()
            .for_each(|large| world.hear(&mut broker, &mut large.client));
        while large
            .iter_mut()
            .any(|large| !told(large) && large.write(&world, &mut broker))
        {}
        rounds += 1;
        assert!(rounds < 20, "nobody is closed");
    }
    let gone = large.iter().find(|large| told(large)).expect("five were told");
    assert!(
        gone.client.seen.contains("unfinished_progress_within"),
        "{}",
        gone.client.seen
    );
    assert!(broker.node.is_finished(gone.client.connection));
}

#[test]
fn large_sends_that_waited_for_memory_complete() {
    let mut world = World::new(FileSystem::Local);
    let mut broker = world.start(settings(24 * MIB));
    world.lead(&mut broker);
    let mut large: Vec<Large> = (0..4)
        .map(|number| Large::new(&world, &mut broker, number, 20 * MIB))
        .collect();
    let mut rounds = 0;
    while large.iter().any(|large| !large.client.seen.contains("RECEIPT")) {
        for large in &mut large {
            large.write(&world, &mut broker);
            world.hear(&mut broker, &mut large.client);
        }
        assert!(kept(&broker, &world) <= 124 * MIB);
        world.run(Duration::from_millis(1), &mut [&mut broker], |_| false);
        rounds += 1;
        assert!(
            rounds < 100_000,
            "{:?}",
            large.iter().map(|large| large.sent).collect::<Vec<_>>()
        );
    }
}

#[test]
fn a_send_larger_than_the_budget_that_waits_for_space_lets_acknowledgements_behind_it_through() {
    let mut world = World::new(FileSystem::Local);
    let mut settings = settings(0);
    settings.engine.volatile_bytes_max = 3 * MIB;
    let mut broker = world.start(settings);
    world.lead(&mut broker);
    let mut client = world.client(&mut broker);
    let body = "z".repeat(2 * MIB);
    let send = |number: u32| format!("SEND\ndestination:/queue/Q\npersistent:false\nreceipt:s{number}\n\n{body}");
    world.say(&mut broker, &mut client, &send(1));
    world.listen(&mut broker, &mut client, "s1");
    let subscribe = "SUBSCRIBE\nid:1\ndestination:/queue/Q\nack:client-individual\nactivemq.prefetchSize:1\n\n";
    world.say(&mut broker, &mut client, subscribe);
    let delivery = world.listen(&mut broker, &mut client, "z\0");
    world.say(&mut broker, &mut client, &send(2));
    assert_eq!(broker.node.status(world.now()).waiting.memory, 1);
    let (_, rest) = delivery.split_once("\nack:").expect("a 1.2 delivery has an ack header");
    let id = rest.lines().next().expect("it is followed by a line end");
    assert!(broker.node.may_read(client.connection));
    world.say(&mut broker, &mut client, &format!("ACK\nid:{id}\n\n"));
    world.listen(&mut broker, &mut client, "s2");
}

#[test]
fn a_client_that_takes_no_answers_does_not_keep_the_large_frames_of_others_waiting() {
    let mut world = World::new(FileSystem::Local);
    let mut settings = settings(24 * MIB);
    settings.stomp.answers_bytes_max = 100_000;
    let mut broker = world.start(settings);
    world.lead(&mut broker);
    // It pipelines frames and takes no answers: reading stops in the middle of what came at once, and more than its floor stays unread, from before anybody else began.
    let deaf = world.client(&mut broker).connection;
    let chunk = "KEEPALIVE\nreceipt:any\n\n\0".repeat(2_600);
    while broker.node.may_read(deaf) {
        broker.node.receive(world.now(), deaf, chunk.as_bytes());
    }
    assert!(kept(&broker, &world) > 16 << 10, "{}", kept(&broker, &world));
    let mut large: Vec<Large> = (0..3)
        .map(|number| Large::new(&world, &mut broker, number, 20 * MIB))
        .collect();
    let mut rounds = 0;
    while large.iter().any(|large| !large.client.seen.contains("RECEIPT")) {
        for large in &mut large {
            large.write(&world, &mut broker);
            world.hear(&mut broker, &mut large.client);
        }
        world.run(Duration::from_millis(1), &mut [&mut broker], |_| false);
        rounds += 1;
        let sent = || large.iter().map(|large| large.sent).collect::<Vec<_>>();
        assert!(rounds < 10_000, "{:?}", sent());
    }
    assert!(!broker.node.may_read(deaf));
    assert!(!broker.node.is_finished(deaf), "it is not closed for it");
}
