//! Each fault does what its plan says, is counted, and comes again from the same seed.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic, in its helpers too")]

mod process;

use std::time::Duration;

use platform::{BootTime, Class, Disk, DiskErrorKind, FileSystem, Open, Operation, OperationId, Outcome};
use process::{Process, shown, write};
use simulated::{Chance, Fault, FaultPlan, Landed, Prng, SimulatedStorage, Stalled};

fn world(seed: u64) -> (SimulatedStorage, Process, platform::FileId) {
    let storage = SimulatedStorage::new(seed, FaultPlan::calm());
    let mut process = Process::start(&storage, storage.boot_machine("a"));
    let file = process.open("f", Class::Segment, Open::Create);
    process.write(file, 0, &[1, 1, 1, 1]);
    (storage, process, file)
}

fn kind(completion: Result<Outcome, platform::DiskError>) -> DiskErrorKind {
    completion.unwrap_err().kind
}

#[test]
fn an_error_may_strike_every_operation_and_leave_a_change_done_half_done_or_not_done() {
    let (mut all, mut some, mut none, mut created) = (0, 0, 0, 0);
    for seed in 0..100 {
        let (storage, mut process, file) = world(seed);
        storage.set_plan(FaultPlan {
            failed: Chance::ALWAYS,
            ..FaultPlan::calm()
        });
        let path = || "g".to_owned();
        for operation in [
            Operation::Read {
                file,
                offset: 0,
                length: 1,
            },
            Operation::Reserve { file, length: 5 },
            Operation::Length { file },
            Operation::Sync { file },
            Operation::Open {
                path: path(),
                class: Class::Cell,
                how: Open::Create,
            },
            Operation::Link {
                from: "f".to_owned(),
                to: path(),
            },
            Operation::List { path: String::new() },
            Operation::SyncDirectory { path: String::new() },
            Operation::CreateDirectory { path: path() },
            Operation::Lock { file },
            Operation::TestLock { file },
            Operation::Space,
        ] {
            assert_eq!(kind(process.call(operation)), DiskErrorKind::Failed);
        }
        assert_eq!(storage.coverage().of("failed"), 12);
        created += usize::from(storage.files().len() > 1);
        assert_eq!(kind(process.call(write(file, 0, &[2, 2, 2]))), DiskErrorKind::Failed);
        match shown(&storage, "f").unwrap().iter().filter(|byte| **byte == 2).count() {
            0 => none += 1,
            3 => all += 1,
            _ => some += 1,
        }
    }
    assert!(
        all > 10 && some > 10 && none > 2 && (30..95).contains(&created),
        "{all} {some} {none} {created}"
    );
}

#[test]
fn no_space_takes_nothing_and_a_short_write_a_beginning() {
    let (storage, mut process, file) = world(1);
    storage.set_plan(FaultPlan {
        no_space: Chance::ALWAYS,
        ..FaultPlan::calm()
    });
    for operation in [
        write(file, 0, &[2, 2]),
        Operation::Reserve { file, length: 1 << 20 },
        Operation::Open {
            path: "g".to_owned(),
            class: Class::Plain,
            how: Open::Create,
        },
    ] {
        assert_eq!(kind(process.call(operation)), DiskErrorKind::NoSpace);
    }
    assert!(
        process
            .call(Operation::Read {
                file,
                offset: 0,
                length: 1
            })
            .is_ok(),
        "reading takes no space"
    );
    assert_eq!(
        (shown(&storage, "f"), storage.files()),
        (Some(vec![1; 4]), vec!["f".to_owned()])
    );
    storage.set_plan(FaultPlan::calm());
    storage.fault_at(storage.submitted(), Fault::ShortWrite { blocks: 1 });
    assert_eq!(kind(process.call(write(file, 0, &[2, 2]))), DiskErrorKind::NoSpace);
    assert_eq!(shown(&storage, "f"), Some(vec![2, 1, 1, 1]));
    process.write(file, 0, &[2, 2]);
    assert_eq!(
        shown(&storage, "f"),
        Some(vec![2, 2, 1, 1]),
        "the same bytes again, when space is back"
    );
}

#[test]
fn a_full_file_system_fills_up_and_gives_back() {
    let (storage, mut process, file) = world(1);
    storage.set_capacity(Some(10 * 4096));
    assert_eq!(storage.space().available, 6 * 4096);
    process.call(Operation::Reserve { file, length: 8 * 4096 }).unwrap();
    let other = process.open("g", Class::Plain, Open::Create);
    assert_eq!(
        kind(process.call(Operation::Reserve {
            file: other,
            length: 3 * 4096
        })),
        DiskErrorKind::NoSpace
    );
    assert_eq!(kind(process.call(write(other, 0, &[1, 2, 3]))), DiskErrorKind::NoSpace);
    assert_eq!(shown(&storage, "g"), Some(vec![1, 2]));
    process.write(file, 0, &[3; 8]);
    assert_eq!(storage.space().available, 0, "what was reserved could be written");
    process.call(Operation::Unlink { path: "f".to_owned() }).unwrap();
    assert_eq!(storage.space().available, 0, "an open file keeps its space");
    process.call(Operation::Close { file }).unwrap();
    assert_eq!(storage.space().available, 8 * 4096);
    process.write(other, 0, &[1, 2, 3]);
    process.call(Operation::SetLength { file: other, length: 0 }).unwrap();
    assert_eq!(storage.space().available, 10 * 4096);
}

#[test]
fn a_lost_reply_to_link_says_exists_and_the_name_is_there() {
    let (storage, mut process, _) = world(1);
    storage.set_plan(FaultPlan {
        lost_link_reply: Chance::ALWAYS,
        ..FaultPlan::calm()
    });
    let completion = process.call(Operation::Link {
        from: "f".to_owned(),
        to: "g".to_owned(),
    });
    assert_eq!(kind(completion), DiskErrorKind::Exists);
    assert_eq!(
        (storage.files(), storage.coverage().of("lost link reply")),
        (vec!["f".to_owned(), "g".to_owned()], 1)
    );
}

#[test]
fn a_misdirected_write_says_done_and_hits_another_block() {
    let (storage, mut process, file) = world(1);
    storage.fault_at(storage.submitted(), Fault::Misdirect);
    process.write(file, 0, &[2]);
    let content = shown(&storage, "f").unwrap();
    assert_eq!(
        (content[0], content.iter().filter(|byte| **byte == 2).count()),
        (1, 1),
        "{content:?}"
    );
    assert_eq!(storage.coverage().of("misdirected"), 1);
}

#[test]
fn one_bit_flips_where_it_is_told_or_anywhere_by_chance() {
    let (storage, mut process, file) = world(1);
    assert!(storage.flip_bit("f", 4097, 1) && !storage.flip_bit("f", 1 << 40, 0) && !storage.flip_bit("none", 0, 0));
    let content = storage.read_file("f").unwrap();
    assert_eq!(
        (content[4097], content.iter().filter(|byte| **byte != 1).count()),
        (3, 1)
    );
    storage.set_plan(FaultPlan {
        flipped_bit: Chance::ALWAYS,
        ..FaultPlan::calm()
    });
    for _ in 0..10 {
        process.call(Operation::Length { file }).unwrap();
    }
    assert_eq!(storage.coverage().of("flipped"), 11);
    let flipped: u32 = storage
        .read_file("f")
        .unwrap()
        .iter()
        .map(|byte| (byte ^ 1).count_ones())
        .sum();
    assert!((1..=11).contains(&flipped) && flipped % 2 == 1, "{flipped}");
}

#[test]
fn damage_that_is_undone_under_one_name_is_undone_under_the_others() {
    let (storage, mut process, _) = world(1);
    let (from, to) = ("f".to_owned(), "g".to_owned());
    process.call(Operation::Link { from, to }).unwrap();
    let whole = storage.read_file("f").unwrap();
    assert!(storage.flip_bit("f", 0, 0));
    assert_ne!(storage.read_file("g").unwrap(), whole);
    storage.write_file("f", &whole);
    assert_eq!(storage.read_file("g").unwrap(), whole);
}

#[test]
fn a_file_that_another_machine_removed_is_stale_on_nfs_only() {
    for (file_system, stale) in [(FileSystem::Nfs4, true), (FileSystem::Local, false)] {
        let storage = SimulatedStorage::with_file_system(1, FaultPlan::calm(), file_system);
        let mut first = Process::start(&storage, storage.boot_machine("a"));
        let mut second = Process::start(&storage, storage.boot_machine("b"));
        let file = first.open("f", Class::Cell, Open::Create);
        first.write(file, 0, &[1]);
        second.call(Operation::Unlink { path: "f".to_owned() }).unwrap();
        for operation in [
            write(file, 0, &[2]),
            Operation::Read {
                file,
                offset: 0,
                length: 1,
            },
        ] {
            let failed = first.call(operation).map_err(|error| error.kind).err();
            assert_eq!(failed, stale.then_some(DiskErrorKind::Stale));
        }
        first.call(Operation::Close { file }).unwrap();
    }
}

#[test]
fn stalls_hold_up_what_they_name_and_let_go() {
    let (storage, mut process, file) = world(1);
    let (start, second) = (storage.now(), Duration::from_secs(1));
    let written = process.submit(write(file, 0, &[2]));
    storage.stall(Stalled::Writes, start + second);
    let read = process.submit(Operation::Read {
        file,
        offset: 0,
        length: 1,
    });
    let later = process.submit(write(file, 1, &[2]));
    assert_eq!(process.next().unwrap().0, read);
    assert!(storage.now() < start + second);
    assert_eq!(process.next().unwrap().0, written);
    assert_eq!(storage.now(), start + second);
    assert_eq!(process.next().unwrap().0, later);
    let (start, machine) = (storage.now(), storage.boot_machine("b"));
    let mut other = Process::start(&storage, machine);
    storage.stall(Stalled::Machine(machine), start + second);
    other.submit(Operation::Space);
    process.call(Operation::Space).unwrap();
    assert!(storage.now() < start + second, "the other machine is not cut off");
    assert!(other.next().is_some() && storage.now() >= start + second);
    storage.fault_at(storage.submitted(), Fault::Stall(second));
    let start = storage.now();
    process.call(Operation::Space).unwrap();
    assert!(storage.now() >= start + second);
    assert!(storage.coverage().of("stalled") >= 2, "{}", storage.coverage());
}

/// Two processes that do as a seed says under a rough plan, with crashes; gives everything that they saw.
fn run(seed: u64) -> (String, SimulatedStorage) {
    use std::fmt::Write;
    let mut prng = Prng::new(seed);
    let often = Chance(5_000);
    let plan = FaultPlan {
        misdirected: often,
        flipped_bit: often,
        short_write: often,
        ..FaultPlan::drawn(&mut prng)
    };
    let storage = SimulatedStorage::new(seed, plan);
    let machine = storage.boot_machine("a");
    let mut disk = storage.start_process(machine);
    let (mut seen, mut files) = (String::new(), Vec::new());
    for step in 0..300u64 {
        let name = format!("f{}", prng.below(5));
        let class = [Class::Cell, Class::Segment, Class::Plain][prng.index(3)];
        let how = [Open::Create, Open::Write, Open::Read][prng.index(3)];
        let file = files.get(prng.index(files.len())).copied();
        let operation = match (prng.below(10), file) {
            (0 | 1, _) | (_, None) => Operation::Open { path: name, class, how },
            (2, _) => Operation::Link {
                from: name,
                to: format!("f{}", prng.below(5)),
            },
            (3, _) => Operation::SyncDirectory { path: String::new() },
            (4, Some(file)) => Operation::Read {
                file,
                offset: prng.below(30_000),
                length: prng.index(9_000),
            },
            (5, Some(file)) => Operation::Sync { file },
            (_, Some(file)) => write(file, prng.below(8), &vec![prng.below(256) as u8; 1 + prng.index(4)]),
        };
        disk.submit(OperationId(step), operation);
        if let Some(at) = storage.next_completion_at().filter(|_| prng.below(2) == 0) {
            storage.advance_to(at.max(BootTime(0)));
        }
        while let Some((id, completion)) = disk.completed() {
            if let Ok(Outcome::Opened { file, .. }) = &completion {
                files.push(*file);
            }
            writeln!(seen, "{} {id:?} {completion:?}", storage.now().0).unwrap();
        }
        if prng.below(60) == 0 {
            disk.crash(Landed::Random);
            disk = storage.start_process(machine);
            files.clear();
        }
    }
    writeln!(seen, "{:?}", storage.files()).unwrap();
    (seen, storage)
}

#[test]
fn a_seed_gives_the_same_run_every_time_and_other_seeds_other_runs() {
    let mut coverage = simulated::Coverage::default();
    for seed in 0..60 {
        let ((first, storage), (second, again)) = (run(seed), run(seed));
        assert_eq!(first, second);
        assert_eq!(storage.coverage(), again.coverage());
        for file in storage.files() {
            assert_eq!(storage.read_file(&file), again.read_file(&file));
        }
        assert_ne!(first, run(seed + 1_000).0);
        coverage.add(&storage.coverage());
    }
    for name in [
        "failed",
        "flipped",
        "landed early",
        "landed late",
        "misdirected",
        "no space",
        "process crash",
        "reordered",
        "short write",
        "stalled",
        "torn",
    ] {
        assert!(coverage.of(name) > 0, "{name} never happened:\n{coverage}");
    }
}
