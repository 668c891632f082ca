//! What is left after a process or the power dies.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic, in its helpers too")]
#![allow(clippy::disallowed_methods, reason = "a snapshot goes to another thread")]

mod process;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use platform::{BootTime, Class, Disk, DiskErrorKind, FileSystem, Open, Operation, Outcome, ProcessState};
use process::{Process, shown, write};
use simulated::{Chance, Crash, FaultPlan, Landed, Point, Prng, SimulatedStorage};

fn world(plan: FaultPlan) -> (SimulatedStorage, Process) {
    let storage = SimulatedStorage::new(1, plan);
    let process = Process::start(&storage, storage.boot_machine("a"));
    (storage, process)
}

/// A file of some blocks that are all there and durable, its name too.
fn durable_file(process: &mut Process, path: &str, class: Class, blocks: &[u8]) -> platform::FileId {
    let file = process.open(path, class, Open::Create);
    process.write(file, 0, blocks);
    process.call(Operation::Sync { file }).unwrap();
    process.call(Operation::SyncDirectory { path: String::new() }).unwrap();
    file
}

#[test]
fn synchronous_writes_that_completed_survive_and_plain_ones_only_after_a_sync() {
    for class in [Class::Cell, Class::Segment, Class::Plain] {
        let (storage, mut process) = world(FaultPlan::calm());
        let file = durable_file(&mut process, "f", class, &[1, 1]);
        process.write(file, 1, &[2, 2]);
        let lost = storage.fork();
        lost.crash(Crash::Power, Landed::None);
        let expected = if class == Class::Plain {
            vec![1, 1]
        } else {
            vec![1, 2, 2]
        };
        assert_eq!(shown(&lost, "f"), Some(expected), "{class:?}");
        process.call(Operation::Sync { file }).unwrap();
        storage.crash(Crash::Power, Landed::None);
        assert_eq!(shown(&storage, "f"), Some(vec![1, 2, 2]), "{class:?}");
        assert!(!process.disk.is_alive());
    }
}

#[test]
fn names_survive_only_when_their_directory_was_synced() {
    let (storage, mut process) = world(FaultPlan::calm());
    durable_file(&mut process, "f", Class::Plain, &[1]);
    process
        .call(Operation::Link {
            from: "f".to_owned(),
            to: "g".to_owned(),
        })
        .unwrap();
    process.call(Operation::Unlink { path: "f".to_owned() }).unwrap();
    assert_eq!(storage.files(), ["g"]);
    assert_eq!(storage.open_things(Crash::Power), 2);
    let mut seen = BTreeSet::new();
    for landed in [vec![], vec![0], vec![1], vec![0, 1]] {
        let fork = storage.fork();
        fork.crash(Crash::Power, Landed::Blocks(landed));
        seen.insert(fork.files().concat());
        for file in fork.files() {
            assert_eq!(
                shown(&fork, &file),
                Some(vec![1]),
                "a name that comes back brings its content"
            );
        }
    }
    assert_eq!(seen, ["", "f", "fg", "g"].map(str::to_owned).into());
    process.call(Operation::SyncDirectory { path: String::new() }).unwrap();
    storage.crash(Crash::Power, Landed::None);
    assert_eq!(storage.files(), ["g"]);
}

#[test]
fn blocks_in_flight_land_exactly_as_chosen() {
    let (storage, mut process) = world(FaultPlan::calm());
    let file = durable_file(&mut process, "f", Class::Segment, &[1, 1, 1, 1]);
    process.submit(write(file, 0, &[2, 2]));
    process.submit(write(file, 3, &[2]));
    assert_eq!(process.disk.in_flight_blocks(), 3);
    assert_eq!(
        shown(&storage, "f"),
        Some(vec![1; 4]),
        "in calm nothing is visible before it completes"
    );
    let crash = Crash::Process(process.disk.process());
    for choice in 0..8usize {
        let chosen: Vec<_> = (0..3).filter(|bit| choice & (1 << bit) != 0).collect();
        let value = |number: usize| if chosen.contains(&number) { 2 } else { 1 };
        let expected = vec![value(0), value(1), 1, value(2)];
        for crash in [crash, Crash::Power] {
            assert_eq!(storage.open_things(crash), 3);
            let fork = storage.fork();
            fork.crash(crash, Landed::Blocks(chosen.clone()));
            assert_eq!(shown(&fork, "f"), Some(expected.clone()));
        }
    }
    for (landed, expected) in [(Landed::All, vec![2, 2, 1, 2]), (Landed::None, vec![1; 4])] {
        let fork = storage.fork();
        fork.crash(crash, landed);
        assert_eq!(shown(&fork, "f"), Some(expected));
    }
    // Forks share nothing: here everything is still under way.
    assert!(process.next().unwrap().1.is_ok() && process.next().unwrap().1.is_ok());
    assert_eq!(shown(&storage, "f"), Some(vec![2, 2, 1, 2]));
}

#[test]
fn a_dead_process_loses_nothing_that_completed_and_its_locks_are_free() {
    let storage = SimulatedStorage::new(1, FaultPlan::calm());
    let machine = storage.boot_machine("a");
    let (mut first, mut second) = (Process::start(&storage, machine), Process::start(&storage, machine));
    let file = first.open("f", Class::Plain, Open::Create);
    first.write(file, 0, &[7]);
    assert!(first.locked(Operation::Lock { file }));
    let theirs = second.open("f", Class::Plain, Open::Write);
    assert!(!second.locked(Operation::Lock { file: theirs }));
    let identity = first.disk.identity();
    first.disk.crash(Landed::None);
    assert_eq!(shown(&storage, "f"), Some(vec![7]));
    assert!(second.locked(Operation::Lock { file: theirs }));
    let state = second.call(Operation::Process { identity }).unwrap();
    assert!(matches!(state, Outcome::Process(ProcessState::Gone)));
    first.submit(Operation::Space);
    assert!(
        first.disk.completed().is_none() && storage.next_completion_at().is_none(),
        "the dead do nothing"
    );
}

#[test]
fn a_write_of_a_dead_process_may_land_later() {
    let plan = FaultPlan {
        late_landing: Chance::ALWAYS,
        late_landing_max: Duration::from_secs(10),
        ..FaultPlan::calm()
    };
    let (storage, mut process) = world(plan);
    let file = durable_file(&mut process, "f", Class::Segment, &[1, 1]);
    process.submit(write(file, 0, &[2, 2]));
    process.submit(Operation::Unlink { path: "f".to_owned() });
    process.disk.crash(Landed::Random);
    assert_eq!(shown(&storage, "f"), Some(vec![1, 1]));
    assert_eq!(storage.coverage().of("landed late"), 3);
    let mut successor = Process::start(&storage, storage.boot_machine("b"));
    let file = successor.open("f", Class::Segment, Open::Read);
    storage.advance_to(storage.now() + Duration::from_secs(10));
    assert_eq!((successor.read(file, 0), successor.read(file, 1)), (2, 2));
    assert!(storage.files().is_empty(), "the removal came through as well");
}

#[test]
fn what_a_dead_process_left_visible_goes_with_the_power_unless_somebody_writes_it_again() {
    let (storage, mut process) = world(FaultPlan::calm());
    let file = durable_file(&mut process, "f", Class::Segment, &[1, 1]);
    process.submit(write(file, 0, &[2, 2]));
    process.disk.crash(Landed::All);
    let mut successor = Process::start(&storage, storage.boot_machine("b"));
    let file = successor.open("f", Class::Segment, Open::Write);
    assert_eq!((successor.read(file, 0), successor.read(file, 1)), (2, 2));
    successor.write(file, 1, &[2]);
    storage.crash(Crash::Power, Landed::None);
    assert_eq!(shown(&storage, "f"), Some(vec![1, 2]));
    assert_eq!(storage.coverage().of("lost at power loss"), 1);
}

#[test]
fn by_chance_a_crash_leaves_all_none_parts_and_torn_blocks() {
    let plan = FaultPlan {
        torn_inside_block: Chance(200_000),
        ..FaultPlan::calm()
    };
    let (storage, mut process) = world(plan);
    let file = durable_file(&mut process, "f", Class::Cell, &[1, 1]);
    process.submit(write(file, 0, &[2, 2]));
    for crash in [Crash::Process(process.disk.process()), Crash::Power] {
        let (mut seen, mut torn) = (BTreeSet::new(), 0);
        for seed in 0..300 {
            let fork = storage.fork();
            fork.reseed(seed);
            fork.crash(crash, Landed::Random);
            let content = fork.read_file("f").unwrap();
            assert!(
                content
                    .chunks(512)
                    .all(|sector| sector.iter().all(|byte| *byte == sector[0])),
                "sectors are whole"
            );
            let whole: Vec<_> = content
                .chunks(4096)
                .map(|block| block.iter().all(|byte| *byte == block[0]))
                .collect();
            match whole[..] {
                [true, true] => drop(seen.insert((content[0], content[4096]))),
                _ => torn += 1,
            }
        }
        assert_eq!(seen, [(1, 1), (1, 2), (2, 1), (2, 2)].into());
        assert!((10..100).contains(&torn), "{torn}");
    }
}

#[test]
fn a_crashed_file_server_forgets_but_its_clients_live_and_send_again() {
    let plan = FaultPlan {
        early_landing: Chance::ALWAYS,
        write_latency: (Duration::from_secs(1), Duration::from_secs(2)),
        ..FaultPlan::calm()
    };
    let mut forgotten = 0;
    for seed in 0..50 {
        let storage = SimulatedStorage::with_file_system(seed, plan.clone(), FileSystem::Nfs4);
        let machine = storage.boot_machine("a");
        let mut process = Process::start(&storage, machine);
        let file = durable_file(&mut process, "f", Class::Segment, &[1, 1, 1]);
        process.submit(write(file, 0, &[2, 2, 2]));
        storage.advance_to(storage.now() + Duration::from_millis(300));
        let before = shown(&storage, "f").unwrap();
        storage.crash(Crash::Power, Landed::None);
        let after = shown(&storage, "f").unwrap();
        forgotten += usize::from(before.contains(&2) && after == [1; 3]);
        assert!(process.disk.is_alive());
        assert!(process.next().unwrap().1.is_ok());
        storage.crash(Crash::Power, Landed::None);
        assert_eq!(
            shown(&storage, "f"),
            Some(vec![2; 3]),
            "seed {seed}: it completed, so it is durable"
        );
    }
    assert!(forgotten > 10, "{forgotten}");
}

#[test]
fn a_file_whose_name_a_crashed_file_server_lost_is_stale_for_whoever_holds_it_open() {
    for (synced, landed) in [(false, Landed::None), (false, Landed::All), (true, Landed::None)] {
        let storage = SimulatedStorage::with_file_system(1, FaultPlan::calm(), FileSystem::Nfs4);
        let mut process = Process::start(&storage, storage.boot_machine("a"));
        let file = process.open("f", Class::Segment, Open::Create);
        if synced {
            process.call(Operation::SyncDirectory { path: String::new() }).unwrap();
        }
        storage.crash(Crash::Power, landed.clone());
        let reserved = process.call(Operation::Reserve { file, length: 4096 });
        if synced || landed == Landed::All {
            reserved.unwrap();
        } else {
            assert_eq!(reserved.unwrap_err().kind, DiskErrorKind::Stale);
        }
    }
}

#[test]
fn a_rebooted_machine_has_another_boot_and_no_processes() {
    let (storage, process) = world(FaultPlan::calm());
    let identity = process.disk.identity();
    let machine = storage.boot_machine("b");
    let mut other = Process::start(&storage, machine);
    storage.reboot_machine(machine, &Landed::Random);
    assert!(process.disk.is_alive() && !other.disk.is_alive());
    other = Process::start(&storage, machine);
    let state = other.call(Operation::Process { identity }).unwrap();
    assert!(
        matches!(state, Outcome::Process(ProcessState::OtherBoot)),
        "another machine's boot is another boot"
    );
}

/// The workload of the exhaustive tests: a counter in two cells, A before B.
fn count_to(process: &mut Process, rounds: u8) {
    let file = process.open("cells", Class::Cell, Open::Create);
    process.call(Operation::Reserve { file, length: 8192 }).unwrap();
    process.call(Operation::Sync { file }).unwrap();
    process.call(Operation::SyncDirectory { path: String::new() }).unwrap();
    for round in 1..=rounds {
        process.submit(write(file, 0, &[round]));
        process.submit(write(file, 1, &[round]));
        assert!(process.next().unwrap().1.is_ok() && process.next().unwrap().1.is_ok());
    }
}

#[test]
fn every_prefix_of_a_run_can_be_crashed_with_every_choice_of_what_landed() {
    let (storage, mut process) = world(FaultPlan::calm());
    storage.keep_snapshots();
    count_to(&mut process, 3);
    let snapshots = storage.take_snapshots();
    assert_eq!(snapshots.len(), 20, "ten operations, each submitted and completed");
    assert!(storage.take_snapshots().is_empty());
    let mut seen = BTreeSet::new();
    for snapshot in &snapshots {
        let crash = Crash::Process(process.disk.process());
        let open = SimulatedStorage::from_snapshot(snapshot).open_things(crash);
        for choice in 0..1usize << open {
            let storage = SimulatedStorage::from_snapshot(snapshot);
            storage.crash(
                crash,
                Landed::Blocks((0..open).filter(|bit| choice & (1 << bit) != 0).collect()),
            );
            if snapshot.point() >= Point::Submitted(5)
                && storage.read_file("cells").is_some_and(|cells| cells.len() == 8192)
            {
                let cells = shown(&storage, "cells").unwrap();
                assert!(cells[0].abs_diff(cells[1]) <= 1, "{:?}: {cells:?}", snapshot.point());
                seen.insert((cells[0], cells[1]));
            }
        }
    }
    let expected: BTreeSet<_> = [
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
        (1, 2),
        (2, 1),
        (2, 2),
        (2, 3),
        (3, 2),
        (3, 3),
    ]
    .into();
    assert_eq!(seen, expected);
}

#[test]
fn a_run_can_be_halted_at_any_submission_or_completion() {
    for point in (0..=9).map(Point::Submitted).chain((0..=9).map(Point::Completed)) {
        let (storage, mut process) = world(FaultPlan::calm());
        storage.stop_at(point);
        let file = "f".to_owned();
        for _ in 0..10 {
            process.submit(Operation::CreateDirectory { path: file.clone() });
            while process.next().is_some() {}
        }
        let reached = match point {
            Point::Submitted(_) => Point::Submitted(storage.submitted()),
            Point::Completed(_) => Point::Completed(storage.collected()),
        };
        assert_eq!((storage.halted(), reached), (Some(process.disk.process()), point));
        process.disk.crash(Landed::All);
        assert_eq!(storage.halted(), None);
        let mut next = Process::start(&storage, storage.boot_machine("b"));
        assert!(
            next.call(Operation::List { path: String::new() }).is_ok(),
            "the halt ended with the process"
        );
    }
}

#[test]
fn halted_or_dead_processes_do_not_hold_up_time() {
    let (storage, mut process) = world(FaultPlan::calm());
    storage.stop_at(Point::Completed(1));
    process.submit(Operation::Space);
    process.submit(Operation::Space);
    storage.advance_to(BootTime(1_000_000_000));
    assert!(process.disk.completed().is_some());
    assert!(process.disk.completed().is_none());
    assert_eq!(storage.next_completion_at(), None);
}

#[test]
fn what_was_confirmed_is_there_after_any_crash() {
    let (mut lives, mut confirmed) = (0, 0);
    for seed in 0..300 {
        let mut prng = Prng::new(seed);
        let plan = FaultPlan {
            late_landing: Chance::NEVER,
            torn_inside_block: Chance::NEVER,
            ..FaultPlan::rough()
        };
        let storage = SimulatedStorage::new(seed, FaultPlan::calm());
        let machine = storage.boot_machine("a");
        let mut process = Process::start(&storage, machine);
        durable_file(&mut process, "f", Class::Cell, &[0; 8]);
        storage.set_plan(plan);
        // What each block may show: what was confirmed last, and whatever was submitted since.
        let mut allowed: Vec<BTreeSet<u8>> = vec![[0].into(); 8];
        let mut value = 0;
        for _ in 0..6 {
            process = Process::start(&storage, machine);
            let opened = process.call(Operation::Open {
                path: "f".to_owned(),
                class: Class::Cell,
                how: Open::Write,
            });
            let Ok(Outcome::Opened { file, .. }) = opened else {
                continue;
            };
            lives += 1;
            let mut in_flight = BTreeMap::new();
            for _ in 0..prng.below(12) {
                let block = prng.index(8);
                // One write of a block at a time, as cells are written.
                if in_flight.values().all(|(other, _)| *other != block) {
                    value += 1;
                    allowed[block].insert(value);
                    in_flight.insert(process.submit(write(file, block as u64, &[value])), (block, value));
                }
                if prng.below(2) == 0
                    && let Some((id, completion)) = process.next()
                {
                    let (block, value) = in_flight.remove(&id).unwrap();
                    if completion.is_ok() {
                        allowed[block] = [value].into();
                        confirmed += 1;
                    }
                }
            }
            let crash = if prng.below(2) == 0 {
                Crash::Power
            } else {
                Crash::Process(process.disk.process())
            };
            let landed = [Landed::All, Landed::None, Landed::Random][prng.index(3)].clone();
            storage.crash(crash, landed.clone());
            for (block, byte) in shown(&storage, "f").unwrap().into_iter().enumerate() {
                let allowed = &allowed[block];
                assert!(
                    allowed.contains(&byte),
                    "seed {seed}: block {block} shows {byte}, not {allowed:?}, after {crash:?} {landed:?}"
                );
            }
        }
    }
    assert!(lives > 1_000 && confirmed > 1_000, "{lives} {confirmed}");
}

#[test]
fn snapshots_may_go_to_other_threads() {
    let (storage, mut process) = world(FaultPlan::calm());
    durable_file(&mut process, "f", Class::Cell, &[1, 2]);
    let snapshot = storage.snapshot();
    let thread = std::thread::spawn(move || shown(&SimulatedStorage::from_snapshot(&snapshot), "f"));
    assert_eq!(thread.join().unwrap(), Some(vec![1, 2]));
}
