//! The shipped binary on storage that fails: EIO from outside, a full file system.

use std::path::Path;
use std::time::Duration;

use holdfast_tests::history::{Event, Tolerance, judge};
use holdfast_tests::process::{Crowd, Launch, SmallFileSystem, Trace, Unavailable, Until};
use holdfast_tests::workload::{Actor, Role, Scene, Work};
use simulated::Prng;

/// Exit code of a broker whose storage failed, as docs/exit-codes.md has it.
const STORAGE_FAILED: i32 = 74;

fn actors(roles: &[Role], prng: &mut Prng) -> Vec<Actor> {
    let work = Work {
        auto: false,
        expiry: false,
        heart_beats: false,
    };
    roles.iter().map(|role| Actor::new(*role, work, prng.split())).collect()
}

const EVERYBODY: [Role; 5] = [
    Role::Producer,
    Role::Producer,
    Role::Transactor,
    Role::Consumer,
    Role::Durable(0),
];

/// Starts again, takes everything and judges.
#[track_caller]
fn recovers(launch: &Launch, crowd: &mut Crowd, scene: &mut Scene) {
    // A batch that was under way when the broker died is warned of, and does not count.
    let mut broker = launch
        .start()
        .expecting("nothing shows it as confirmed")
        .expecting("sends wait for space");
    broker.wait_ready();
    scene.history.push(Event::Leads { epoch: broker.epoch() });
    scene.history.push(Event::Draining);
    crowd.move_to(broker.stomp());
    crowd.drain(scene).expect("everything that waits comes");
    broker.stop();
    let violations = judge(
        &scene.history,
        Tolerance {
            under_way: 2_000,
            set_aside: 0,
        },
    );
    assert!(violations.is_empty(), "{violations:#?}");
}

/// Lets system calls of a working broker fail from the `count`th on, and expects it to end itself without having lost anything.
fn fails_and_loses_nothing(call: &str, count: u32) -> Result<(), Unavailable> {
    let own = tempfile::tempdir().expect("a temporary directory");
    let launch = Launch::small(&own.path().join("data"));
    let mut scene = Scene::new(20_000);
    let mut prng = Prng::new(u64::from(count));
    let mut broker = launch.start().expecting("");
    broker.wait_ready();
    scene.history.push(Event::Leads { epoch: broker.epoch() });
    let mut crowd = Crowd::new(broker.stomp(), actors(&EVERYBODY, &mut prng), 1);
    crowd.work(Until::Operations(200, Duration::from_secs(20)), &mut scene);
    let trace = Trace::attach(
        broker.pid(),
        call,
        &format!("{call}:error=EIO:when={count}+"),
        Path::new("/dev/null"),
    )?;
    // Until it is dead: then nobody can connect.
    crowd.work(
        Until::Operations(scene.operations + 400, Duration::from_secs(5)),
        &mut scene,
    );
    let ended = broker.wait_end();
    drop(trace);
    assert_eq!(ended.code, Some(STORAGE_FAILED), "{}", ended.text());
    crowd.bereave(&mut scene);
    scene.history.push(Event::Crashed);
    recovers(&launch, &mut crowd, &mut scene);
    Ok(())
}

#[test]
fn failed_write_ends_the_broker_and_nothing_confirmed_is_lost() {
    for count in [1, 7] {
        if let Err(why) = fails_and_loses_nothing("pwrite64", count) {
            return why.skip("failed_write_ends_the_broker_and_nothing_confirmed_is_lost");
        }
    }
}

#[test]
fn failed_fence_read_ends_the_broker_and_nothing_confirmed_is_lost() {
    if let Err(why) = fails_and_loses_nothing("pread64", 5) {
        why.skip("failed_fence_read_ends_the_broker_and_nothing_confirmed_is_lost");
    }
}

#[test]
fn failed_sync_ends_the_broker_and_nothing_confirmed_is_lost() {
    if let Err(why) = fails_and_loses_nothing("fsync", 1) {
        why.skip("failed_sync_ends_the_broker_and_nothing_confirmed_is_lost");
    }
}

#[test]
fn full_file_system_holds_sends_up_and_takes_acknowledgements_and_loses_nothing() {
    let small = match SmallFileSystem::mount(40 << 20) {
        Ok(small) => small,
        Err(why) => return why.skip("full_file_system_holds_sends_up_and_takes_acknowledgements_and_loses_nothing"),
    };
    let launch = Launch::small(&small.path().join("data"));
    let mut scene = Scene::new(1_000_000);
    let mut prng = Prng::new(3);
    let mut broker = launch.start().expecting("sends wait for space");
    broker.wait_ready();
    scene.history.push(Event::Leads { epoch: broker.epoch() });
    // Producers alone, until sends are refused, or wait and nothing moves any more.
    let mut senders = Crowd::new(broker.stomp(), actors(&[Role::Producer; 6], &mut prng), 1);
    let refused = |scene: &Scene| {
        scene
            .complaints
            .iter()
            .filter(|complaint| complaint.contains("tore is Full"))
            .count()
    };
    let mut before = None;
    while refused(&scene) < 50 && before != Some(scene.operations) {
        before = Some(scene.operations);
        senders.work(Until::Passed(Duration::from_millis(500)), &mut scene);
    }
    eprintln!(
        "full after {} operations; {} sends were refused for want of space",
        scene.operations,
        refused(&scene)
    );
    assert!(scene.operations > 100, "it was full from the beginning");
    scene.complaints.retain(|complaint| !complaint.contains("tore is Full"));
    assert!(scene.complaints.is_empty(), "{:?}", scene.complaints);
    let settled = |scene: &Scene| {
        scene
            .history
            .events()
            .iter()
            .filter(|event| matches!(event, Event::Settled(_)))
            .count()
    };
    let mut takers = Crowd::new(broker.stomp(), actors(&[Role::Consumer; 4], &mut prng), 2);
    takers.work(
        Until::Operations(scene.operations + 300, Duration::from_secs(20)),
        &mut scene,
    );
    assert!(
        settled(&scene) > 50,
        "acknowledgements are confirmed on a full file system: {}",
        settled(&scene)
    );
    broker.kill();
    senders.bereave(&mut scene);
    takers.bereave(&mut scene);
    scene.history.push(Event::Crashed);
    recovers(&launch, &mut takers, &mut scene);
}
