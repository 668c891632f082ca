//! Kills a broker under load at random moments, again and again, and judges the history after each.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use holdfast_tests::history::{Event, Tolerance, judge};
use holdfast_tests::options::number;
use holdfast_tests::process::{Crowd, Launch, Until};
use holdfast_tests::workload::{Actor, Role, Scene, Work};
use simulated::{Coverage, Prng};

/// From the receipt of a message to its expiry at least: a delivery may have been under way so long, milliseconds.
const UNDER_WAY: u64 = 2_000;

/// What a start says where a write of the dead was done and one before it was not: nothing of it was confirmed.
const TORN: &str = "nothing shows it as confirmed";

/// Starts a broker, lets clients work (transactions, durable subscribers), kills it with SIGKILL at a random moment, sometimes kills the recovery too, starts it again, takes everything that
/// waits and judges what the clients did and saw. On one data directory, again and again.
///
/// Exit code: 0 all is well, 1 a promise was broken, 2 wrong usage.
#[derive(Parser)]
struct Options {
    /// How often
    #[arg(long, value_name = "N", value_parser = number, default_value = "50")]
    kills: u64,
    /// What the clients do and when they are interrupted is drawn from it; without it: another each time
    #[arg(long, value_name = "N", value_parser = number)]
    seed: Option<u64>,
    /// The data directory; without it: a temporary one
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let seed = options.seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("kill-loop: {} kills, seed {}", options.kills, seed);
    let own = tempfile::tempdir().expect("a temporary directory");
    let data = options.data.clone().unwrap_or_else(|| own.path().join("data"));
    let mut total = Total::default();
    let mut prng = Prng::new(seed);
    let mut bodies = 0;
    for round in 1..=options.kills {
        let mut scene = Scene::beginning_at(200_000, bodies);
        if let Err(why) = one_round(&Launch::small(&data), &mut prng, &mut scene, &mut total) {
            println!("kill {round} FAILED: {why}");
            let kept = own.keep();
            println!(
                "the data directory is kept in {}",
                options.data.unwrap_or_else(|| kept.join("data")).display()
            );
            return ExitCode::FAILURE;
        }
        bodies = scene.bodies();
        total.operations += scene.operations;
        total.coverage.add(&scene.coverage);
        if round % 10 == 0 {
            println!("{round} kills");
        }
    }
    println!("{}", total.coverage);
    total.ready.sort();
    println!(
        "{} kills ({} of them during a start), {} operations of clients, history clean after each; from start to serving {:?} at most, {:?} at the median",
        options.kills,
        total.killed_starts,
        total.operations,
        total.ready.last().copied().unwrap_or_default(),
        total.ready.get(total.ready.len() / 2).copied().unwrap_or_default()
    );
    ExitCode::SUCCESS
}

#[derive(Default)]
struct Total {
    operations: u64,
    killed_starts: u64,
    coverage: Coverage,
    ready: Vec<Duration>,
}

/// One kill, and what follows.
fn one_round(launch: &Launch, prng: &mut Prng, scene: &mut Scene, total: &mut Total) -> Result<(), String> {
    let work = Work {
        auto: false,
        expiry: true,
        heart_beats: false,
    };
    let roles = [
        Role::Producer,
        Role::Producer,
        Role::Transactor,
        Role::Transactor,
        Role::Consumer,
        Role::Durable(0),
        Role::Durable(1),
        Role::Browser,
    ];
    let actors = roles.iter().map(|role| Actor::new(*role, work, prng.split())).collect();

    let mut broker = launch.start().expecting(TORN);
    broker.wait_ready();
    scene.history.push(Event::Leads { epoch: broker.epoch() });
    let mut crowd = Crowd::new(broker.stomp(), actors, prng.below(u64::MAX));
    let load = prng.between(Duration::from_millis(20), Duration::from_millis(600));
    crowd.work(Until::Passed(load), scene);
    broker.kill();
    crowd.bereave(scene);
    scene.history.push(Event::Crashed);

    // The recovery may be killed too.
    while prng.below(3) == 0 {
        let broker = launch.start().expecting(TORN);
        let moment = Instant::now() + prng.between(Duration::ZERO, Duration::from_millis(60));
        while Instant::now() < moment {
            std::hint::spin_loop();
        }
        total.killed_starts += 1;
        broker.kill();
    }

    let started = Instant::now();
    let mut broker = launch.start().expecting(TORN);
    broker.wait_ready();
    total.ready.push(started.elapsed());
    scene.history.push(Event::Leads { epoch: broker.epoch() });
    scene.history.push(Event::Draining);
    crowd.move_to(broker.stomp());
    crowd.drain(scene)?;
    if prng.below(4) == 0 {
        broker.stop();
    } else {
        broker.kill();
    }
    if let Some(complaint) = scene.complaints.first() {
        return Err(format!("a client was told: {complaint}"));
    }
    match judge(
        &scene.history,
        Tolerance {
            under_way: UNDER_WAY,
            set_aside: 0,
        },
    )
    .first()
    {
        None => Ok(()),
        Some(violation) => {
            let story = violation.body.map(|body| scene.history.story(body)).unwrap_or_default();
            Err(format!("{violation}\n{story}"))
        }
    }
}
