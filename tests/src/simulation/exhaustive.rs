//! Every crash of one fixed workload: after each disk operation, with every choice of what had not returned.
//!
//! The workload runs once, faultlessly; at each point at which a crash makes a difference (an operation was submitted, a completion was collected) the storage and the history are kept. Then, for each
//! point and each choice of what landed (all, none, each subset of at most [`SUBSET_MAX`] blocks), a storage is made of the kept one, crashes, recovers, is drained and judged.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use node::Notice;
use simulated::{Crash, FaultPlan, Landed, Prng, ProcessNumber, SimulatedStorage, Snapshot};

use super::pace::Pace;
use super::run::is_excused_notice;
use super::world::{Being, Machine, World};
use crate::history::{Event, Tolerance, judge};
use crate::workload::{Actor, Role, Scene, Work};

/// Subsets of more blocks than these are represented by none and all.
pub const SUBSET_MAX: usize = 3;

/// Simulated time after which everything that may expire has.
const EXPIRED_AFTER: Duration = Duration::from_secs(10);

/// The workload's size: its last disk operation that a crash is tried at.
pub const OPERATIONS_MAX: u64 = 300;

/// In an ordinary test run every so manyth point is tried.
pub const SHARE_OF_A_TEST: usize = 40;

/// What the exhaustive run came to.
#[derive(Clone, Debug, Default)]
pub struct Exhausted {
    /// Disk operations of the workload.
    pub operations: u64,
    /// Crashes tried.
    pub crashes: u64,
    /// What broke.
    pub failures: Vec<String>,
}

/// The workload up to one point.
struct Kept {
    snapshot: Snapshot,
    process: ProcessNumber,
    machine: Machine,
    scene: Scene,
}

/// Tries every crash, on so many threads.
pub fn run(jobs: usize) -> Exhausted {
    run_every(1, jobs)
}

/// Tries the crashes at every `share`th point.
pub fn run_every(share: usize, jobs: usize) -> Exhausted {
    let settings = settings();
    let (kept, operations) = work(&settings);
    let next = AtomicUsize::new(0);
    let total = Mutex::new(Exhausted {
        operations,
        ..Exhausted::default()
    });
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                while let Some(kept) = kept.get(next.fetch_add(share, Ordering::Relaxed)) {
                    let (crashes, failures) = crash_everywhere(kept, &settings);
                    let mut total = total.lock().expect("no thread panics while it holds the total");
                    total.crashes += crashes;
                    total.failures.extend(failures);
                }
            });
        }
    });
    total.into_inner().expect("no thread panics while it holds the total")
}

/// Small enough that a roll, two checkpoints and a deletion lie within the workload.
fn settings() -> node::Settings {
    let mut settings = node::Settings::default();
    settings.journal.segment_bytes = 64 << 10;
    settings.journal.batch_bytes_max = 16 << 10;
    settings.journal.writes_in_flight = 3;
    settings.ballast_bytes = 128 << 10;
    settings.checkpoint_bytes = 48 << 10;
    settings.checkpoint_records = 40;
    settings.checkpoint_interval = Duration::from_secs(1);
    settings
}

/// Runs the workload and keeps every point.
fn work(settings: &node::Settings) -> (Vec<Kept>, u64) {
    let scene = Scene::new(20_000);
    let mut world = World::new(7, FaultPlan::calm(), settings.clone(), scene, false);
    world.storage.keep_snapshots();
    let work = Work {
        auto: false,
        expiry: true,
        heart_beats: false,
    };
    for role in [
        Role::Producer,
        Role::Transactor,
        Role::Consumer,
        Role::Durable(0),
        Role::Durable(1),
    ] {
        let actor = Actor::new(role, work, world.prng.split());
        world.invite(Being::Actor(actor), Pace::Even);
    }
    let process = world.start(0);
    let mut kept = Vec::new();
    while world.storage.submitted() < OPERATIONS_MAX {
        let before = world.scene.clone();
        let limit = world.storage.now() + Duration::from_secs(1);
        world.step(limit);
        // Within a step the node acts first; what clients then did and saw comes after every one of its points.
        for snapshot in world.storage.take_snapshots() {
            kept.push(Kept {
                snapshot,
                process,
                machine: world.machines[0],
                scene: before.clone(),
            });
        }
    }
    (kept, world.storage.submitted())
}

/// Every choice of what landed at one point.
fn crash_everywhere(kept: &Kept, settings: &node::Settings) -> (u64, Vec<String>) {
    let mut failures = Vec::new();
    let mut crashes = 0;
    for crash in [Crash::Process(kept.process), Crash::Power] {
        let open = SimulatedStorage::from_snapshot(&kept.snapshot).open_things(crash);
        let mut choices = vec![Landed::None];
        if open > 0 {
            choices.push(Landed::All);
        }
        for size in 1..=SUBSET_MAX.min(open.saturating_sub(1)) {
            subsets(open, size, &mut Vec::new(), &mut |subset| {
                choices.push(Landed::Blocks(subset.to_vec()))
            });
        }
        for landed in choices {
            crashes += 1;
            if let Err(why) = try_crash(kept, settings, crash, landed.clone()) {
                failures.push(format!(
                    "{crash:?} at {:?} with {landed:?} of {open}: {why}",
                    kept.snapshot.point()
                ));
            }
        }
    }
    (crashes, failures)
}

fn subsets(of: usize, size: usize, chosen: &mut Vec<usize>, found: &mut dyn FnMut(&[usize])) {
    if chosen.len() == size {
        return found(chosen);
    }
    for next in chosen.last().map_or(0, |last| last + 1)..of {
        chosen.push(next);
        subsets(of, size, chosen, found);
        chosen.pop();
    }
}

/// Crashes there, recovers, drains and judges.
fn try_crash(kept: &Kept, settings: &node::Settings, crash: Crash, landed: Landed) -> Result<(), String> {
    let storage = SimulatedStorage::from_snapshot(&kept.snapshot);
    storage.crash(crash, landed);
    let expired = storage.now() + EXPIRED_AFTER;
    storage.advance_to(expired);
    let mut world = World::on(
        storage,
        Prng::new(11),
        settings.clone(),
        kept.scene.clone(),
        vec![kept.machine],
    );
    world.scene.history.push(Event::Crashed);
    world.scene.history.push(Event::Draining);
    world.lead()?;
    world.drain()?;
    for notice in &world.notices {
        if !matches!(notice, Notice::Warning(text) if is_excused_notice(text)) {
            return Err(format!("unexpected: {notice:?}"));
        }
    }
    if let Some(complaint) = world.scene.complaints.first() {
        return Err(format!("a client was told: {complaint}"));
    }
    match judge(
        &world.scene.history,
        Tolerance {
            under_way: 500,
            set_aside: 0,
        },
    )
    .first()
    {
        None => Ok(()),
        Some(violation) => {
            let story = violation
                .body
                .map(|body| world.scene.history.story(body))
                .unwrap_or_default();
            Err(format!("{violation}\n{story}"))
        }
    }
}
