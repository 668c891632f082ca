//! A client that does not read: it costs little, and nobody else anything.

use std::time::Duration;

use platform::FileSystem;

use crate::world::World;

const BODY_BYTES: usize = 100 << 10;

#[test]
fn a_consumer_with_a_large_prefetch_that_never_reads_holds_a_few_messages_and_takes_all_of_them_later() {
    let mut world = World::new(FileSystem::Local);
    let mut settings = crate::world::settings();
    settings.engine.body_cache_bytes = 0;
    let untaken_max = settings.engine.untaken_bytes_max;
    let mut broker = world.start(settings);
    world.lead(&mut broker);
    let mut slow = world.client(&mut broker);
    let subscribe = "SUBSCRIBE\nid:1\ndestination:/queue/Q\nack:client-individual\nactivemq.prefetchSize:32767\n\n";
    world.say(&mut broker, &mut slow, subscribe);
    let mut producer = world.client(&mut broker);
    for number in 0..100 {
        let body = format!("<{number}>{}", "x".repeat(BODY_BYTES));
        let send = format!("SEND\ndestination:/queue/Q\npersistent:true\nreceipt:r{number}\n\n{body}");
        world.say(&mut broker, &mut producer, &send);
        world.listen(&mut broker, &mut producer, "RECEIPT");
    }
    let untaken = broker.node.status(world.now()).untaken_bytes;
    assert!(
        (untaken_max..untaken_max + 2 * BODY_BYTES).contains(&untaken),
        "{untaken}"
    );
    // Others are served as if it were not there.
    let mut other = world.client(&mut broker);
    let subscribe = "SUBSCRIBE\nid:1\ndestination:/queue/other\nack:auto\n\n";
    world.say(&mut broker, &mut other, subscribe);
    world.say(&mut broker, &mut producer, "SEND\ndestination:/queue/other\n\nhello");
    world.listen(&mut broker, &mut other, "hello");
    // When it reads at last, everything comes, in order.
    for number in 0..100 {
        assert!(world.comes(&mut broker, &mut slow, &format!("<{number}>")), "{number}");
    }
    world.run(Duration::from_millis(10), &mut [&mut broker], |_| false);
    assert_eq!(broker.node.status(world.now()).untaken_bytes, 0);
    let places = (0..100).map(|number| slow.seen.find(&format!("<{number}>")).unwrap());
    assert!(places.is_sorted());
}
