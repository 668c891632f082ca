//! One test of what every disk must do, run on the real disk and on the simulated one: what passes in the simulation rests on what a machine does.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic, in its helpers too")]

use std::sync::{Arc, mpsc};
use std::time::Duration;

use platform::real::{RealDisk, this_process};
use platform::{
    BLOCK_BYTES, Blocks, Class, Disk, DiskError, DiskErrorKind, FileId, FileSystem, Open, Operation, OperationId,
    Outcome, ProcessIdentity, ProcessState,
};
use simulated::{Chance, FaultPlan, SimulatedStorage};

/// A disk under test, and how to let it get on.
struct Tested<'a> {
    disk: &'a mut dyn Disk,
    pump: &'a mut dyn FnMut(),
    next: u64,
}

type Completion = Result<Outcome, DiskError>;

impl Tested<'_> {
    fn submit(&mut self, operation: Operation) -> OperationId {
        let id = OperationId(self.next);
        self.next += 1;
        self.disk.submit(id, operation);
        id
    }

    fn next(&mut self) -> (OperationId, Completion) {
        for _ in 0..10_000 {
            if let Some(completion) = self.disk.completed() {
                return completion;
            }
            (self.pump)();
        }
        panic!("nothing completes");
    }

    fn call(&mut self, operation: Operation) -> Completion {
        let id = self.submit(operation);
        let (completed, completion) = self.next();
        assert_eq!(completed, id);
        assert!(self.disk.completed().is_none(), "one operation completes once");
        completion
    }

    fn done(&mut self, operation: Operation) {
        match self.call(operation).unwrap() {
            Outcome::Done => {}
            other => panic!("{other:?}"),
        }
    }

    fn open(&mut self, path: &str, class: Class, how: Open) -> (FileId, u64) {
        match self
            .call(Operation::Open {
                path: path.to_owned(),
                class,
                how,
            })
            .unwrap()
        {
            Outcome::Opened { file, length } => (file, length),
            other => panic!("{other:?}"),
        }
    }

    fn read(&mut self, file: FileId, offset: u64, length: usize) -> Vec<u8> {
        match self.call(Operation::Read { file, offset, length }).unwrap() {
            Outcome::Read(bytes) => bytes.to_vec(),
            other => panic!("{other:?}"),
        }
    }

    fn names(&mut self, path: &str) -> Vec<String> {
        match self.call(Operation::List { path: path.to_owned() }).unwrap() {
            Outcome::Names(names) => names,
            other => panic!("{other:?}"),
        }
    }

    fn length(&mut self, file: FileId) -> u64 {
        match self.call(Operation::Length { file }).unwrap() {
            Outcome::Length { bytes, .. } => bytes,
            other => panic!("{other:?}"),
        }
    }

    fn locked(&mut self, operation: Operation) -> bool {
        match self.call(operation).unwrap() {
            Outcome::Lock(held) => held,
            other => panic!("{other:?}"),
        }
    }

    fn fails(&mut self, operation: Operation, kind: DiskErrorKind) {
        let shown = format!("{operation:?}");
        let error = self.call(operation).expect_err(&shown);
        assert_eq!(error.kind, kind, "{shown}: {error}");
        assert!(
            !error.operation.is_empty() && !error.detail.is_empty(),
            "{shown}: {error}"
        );
    }
}

fn blocks(bytes: &[u8]) -> Arc<Blocks> {
    let mut blocks = Blocks::with_capacity(bytes.len());
    blocks.extend_from_slice(bytes);
    Arc::new(blocks)
}

fn open(path: &str, class: Class, how: Open) -> Operation {
    Operation::Open {
        path: path.to_owned(),
        class,
        how,
    }
}

fn path(path: &str) -> String {
    path.to_owned()
}

/// What every disk must do; `own` is the process that the disk belongs to.
fn conforms(disk: &mut dyn Disk, pump: &mut dyn FnMut(), own: &ProcessIdentity) {
    let mut disk = Tested { disk, pump, next: 1 };
    assert_eq!(disk.disk.file_system(), FileSystem::Local);
    names(&mut disk);
    for class in [Class::Cell, Class::Segment, Class::Plain] {
        contents(&mut disk, class);
    }
    lengths(&mut disk);
    closed_and_read_only_files(&mut disk);
    locks(&mut disk);
    many_at_once(&mut disk);
    processes(&mut disk, own);
    let Outcome::Space(space) = disk.call(Operation::Space).unwrap() else {
        panic!()
    };
    assert!(space.total > 0 && space.available <= space.total);
}

fn names(disk: &mut Tested<'_>) {
    assert!(disk.names("").is_empty());
    for directory in ["epochs", "journal", "journal"] {
        disk.done(Operation::CreateDirectory { path: path(directory) });
    }
    disk.fails(
        Operation::CreateDirectory {
            path: path("missing/below"),
        },
        DiskErrorKind::NotFound,
    );
    disk.fails(open("epochs/1", Class::Cell, Open::Read), DiskErrorKind::NotFound);
    disk.fails(open("epochs/1", Class::Cell, Open::Write), DiskErrorKind::NotFound);
    disk.fails(open("missing/1", Class::Cell, Open::Create), DiskErrorKind::NotFound);
    let (file, length) = disk.open("epochs/new", Class::Cell, Open::Create);
    assert_eq!(length, 0);
    disk.fails(open("epochs/new", Class::Cell, Open::Create), DiskErrorKind::Exists);
    disk.fails(open("epochs", Class::Plain, Open::Create), DiskErrorKind::Exists);
    disk.fails(open("epochs", Class::Plain, Open::Read), DiskErrorKind::Failed);
    disk.fails(open("epochs", Class::Plain, Open::Write), DiskErrorKind::Failed);
    disk.fails(
        open("epochs/new/below", Class::Plain, Open::Read),
        DiskErrorKind::Failed,
    );
    for bad in ["", "/etc/hostname", "../x", "epochs//new", "epochs/."] {
        disk.fails(open(bad, Class::Plain, Open::Read), DiskErrorKind::Failed);
    }
    disk.done(Operation::Write {
        file,
        offset: 0,
        blocks: blocks(&[5; BLOCK_BYTES]),
    });
    disk.done(Operation::Link {
        from: path("epochs/new"),
        to: path("epochs/1"),
    });
    disk.fails(
        Operation::Link {
            from: path("epochs/new"),
            to: path("epochs/1"),
        },
        DiskErrorKind::Exists,
    );
    disk.fails(
        Operation::Link {
            from: path("epochs/none"),
            to: path("epochs/2"),
        },
        DiskErrorKind::NotFound,
    );
    disk.fails(
        Operation::Link {
            from: path("epochs/new"),
            to: path("none/2"),
        },
        DiskErrorKind::NotFound,
    );
    disk.fails(
        Operation::Link {
            from: path("journal"),
            to: path("epochs/2"),
        },
        DiskErrorKind::Denied,
    );
    disk.done(Operation::SyncDirectory { path: path("epochs") });
    disk.done(Operation::SyncDirectory { path: String::new() });
    disk.fails(Operation::SyncDirectory { path: path("none") }, DiskErrorKind::NotFound);
    assert_eq!(disk.names("epochs"), ["1", "new"]);
    assert_eq!(disk.names(""), ["epochs", "journal"]);
    disk.fails(Operation::List { path: path("none") }, DiskErrorKind::NotFound);
    disk.fails(Operation::List { path: path("epochs/1") }, DiskErrorKind::Failed);
    disk.fails(
        Operation::CreateDirectory { path: path("epochs/1") },
        DiskErrorKind::Exists,
    );
    disk.done(Operation::Unlink {
        path: path("epochs/new"),
    });
    disk.fails(
        Operation::Unlink {
            path: path("epochs/new"),
        },
        DiskErrorKind::NotFound,
    );
    disk.fails(Operation::Unlink { path: path("journal") }, DiskErrorKind::Failed);
    assert_eq!(disk.names("epochs"), ["1"]);
    // Both names meant one file, and a file outlives its last name while it is open.
    let (other, length) = disk.open("epochs/1", Class::Cell, Open::Write);
    assert_eq!(length, BLOCK_BYTES as u64);
    disk.done(Operation::Write {
        file,
        offset: 0,
        blocks: blocks(&[6; BLOCK_BYTES]),
    });
    assert_eq!(disk.read(other, 0, 2), [6, 6]);
    disk.done(Operation::Unlink { path: path("epochs/1") });
    assert_eq!(disk.read(other, 0, 2), [6, 6]);
    disk.done(Operation::Close { file });
    disk.done(Operation::Close { file: other });
    assert!(disk.names("epochs").is_empty());
}

fn contents(disk: &mut Tested<'_>, class: Class) {
    let name = format!("content {class:?}");
    let (file, _) = disk.open(&name, class, Open::Create);
    let content: Vec<u8> = (0..5 * BLOCK_BYTES).map(|place| (place / 5) as u8).collect();
    disk.done(Operation::Write {
        file,
        offset: BLOCK_BYTES as u64,
        blocks: blocks(&content),
    });
    assert_eq!(disk.length(file), 6 * BLOCK_BYTES as u64);
    assert_eq!(
        disk.read(file, 0, BLOCK_BYTES),
        [0; BLOCK_BYTES],
        "a hole reads as zero"
    );
    assert_eq!(disk.read(file, 4096, content.len()), content);
    assert_eq!(disk.read(file, 5001, 10_000), &content[905..10_905]);
    assert_eq!(disk.read(file, 6 * 4096 - 3, 100), &content[5 * 4096 - 3..]);
    assert!(disk.read(file, 6 * 4096, 1).is_empty() && disk.read(file, 1 << 50, 1).is_empty());
    match class {
        Class::Cell | Class::Segment => {
            for (offset, length) in [(1, BLOCK_BYTES), (0, 1), (4096, 4097)] {
                let blocks = blocks(&vec![1; length]);
                disk.fails(Operation::Write { file, offset, blocks }, DiskErrorKind::Failed);
            }
        }
        Class::Plain => {
            disk.done(Operation::Write {
                file,
                offset: 4090,
                blocks: blocks(b"across two blocks"),
            });
            assert_eq!(
                disk.read(file, 4088, 20),
                [&[0, 0], b"across two blocks".as_slice(), &content[11..12]].concat()
            );
        }
    }
    let (fence, _) = disk.open(&format!("fence {class:?}"), Class::Cell, Open::Create);
    disk.done(Operation::Write {
        file: fence,
        offset: 4096,
        blocks: blocks(&[3; BLOCK_BYTES]),
    });
    let operation = Operation::WriteThenRead {
        file,
        offset: 0,
        blocks: blocks(&[4; BLOCK_BYTES]),
        read_file: fence,
        read_offset: 4096,
    };
    let Outcome::Read(cell) = disk.call(operation).unwrap() else {
        panic!()
    };
    assert_eq!(&cell[..], &[3; BLOCK_BYTES]);
    assert_eq!(disk.read(file, 0, 3), [4; 3]);
    disk.done(Operation::Sync { file });
    disk.done(Operation::Close { file });
    let (again, length) = disk.open(&name, class, Open::Read);
    assert_eq!(length, 6 * BLOCK_BYTES as u64);
    assert_eq!(disk.read(again, 0, 1), [4]);
    disk.done(Operation::Close { file: again });
    disk.done(Operation::Close { file: fence });
}

fn lengths(disk: &mut Tested<'_>) {
    let (file, _) = disk.open("lengths", Class::Segment, Open::Create);
    disk.done(Operation::Reserve { file, length: 300_000 });
    assert_eq!(disk.length(file), 300_000);
    assert_eq!(disk.read(file, 0, 400_000), vec![0; 300_000]);
    disk.done(Operation::Write {
        file,
        offset: 4096,
        blocks: blocks(&[1; 2 * BLOCK_BYTES]),
    });
    disk.done(Operation::Reserve { file, length: 100_000 });
    assert_eq!(disk.length(file), 300_000, "reserving less never cuts");
    disk.done(Operation::Reserve { file, length: 700_001 });
    assert_eq!(
        (
            disk.length(file),
            disk.read(file, 12_287, 2),
            disk.read(file, 700_000, 9)
        ),
        (700_001, vec![1, 0], vec![0])
    );
    disk.done(Operation::SetLength { file, length: 5_000 });
    assert_eq!(disk.length(file), 5_000);
    disk.done(Operation::SetLength { file, length: 20_000 });
    assert_eq!(
        disk.read(file, 4_999, 10_000),
        [vec![1], vec![0; 9_999]].concat(),
        "what was cut off reads as zero"
    );
    disk.done(Operation::Close { file });
}

fn closed_and_read_only_files(disk: &mut Tested<'_>) {
    let (file, _) = disk.open("lengths", Class::Segment, Open::Read);
    disk.fails(
        Operation::Write {
            file,
            offset: 0,
            blocks: blocks(&[1; BLOCK_BYTES]),
        },
        DiskErrorKind::Failed,
    );
    disk.fails(Operation::SetLength { file, length: 1 }, DiskErrorKind::Failed);
    disk.fails(Operation::Reserve { file, length: 1 << 20 }, DiskErrorKind::Failed);
    disk.fails(Operation::Lock { file }, DiskErrorKind::Failed);
    assert_eq!(disk.length(file), 20_000);
    disk.done(Operation::Sync { file });
    disk.done(Operation::Close { file });
    disk.fails(
        Operation::Read {
            file,
            offset: 0,
            length: 1,
        },
        DiskErrorKind::Failed,
    );
    disk.fails(Operation::Close { file }, DiskErrorKind::Failed);
    disk.fails(Operation::Sync { file: FileId(99_999) }, DiskErrorKind::Failed);
    let (another, _) = disk.open("lengths", Class::Segment, Open::Read);
    assert_ne!(another, file, "a number is never used twice");
    disk.done(Operation::Close { file: another });
}

fn locks(disk: &mut Tested<'_>) {
    let (first, _) = disk.open("locked", Class::Segment, Open::Create);
    let (second, _) = disk.open("locked", Class::Segment, Open::Write);
    let (reader, _) = disk.open("locked", Class::Segment, Open::Read);
    assert!(!disk.locked(Operation::TestLock { file: reader }));
    assert!(disk.locked(Operation::Lock { file: first }));
    assert!(disk.locked(Operation::Lock { file: first }));
    assert!(!disk.locked(Operation::Lock { file: second }));
    assert!(!disk.locked(Operation::TestLock { file: first }));
    assert!(disk.locked(Operation::TestLock { file: second }) && disk.locked(Operation::TestLock { file: reader }));
    disk.done(Operation::Close { file: first });
    assert!(!disk.locked(Operation::TestLock { file: reader }));
    assert!(disk.locked(Operation::Lock { file: second }));
    disk.done(Operation::Close { file: second });
    disk.done(Operation::Close { file: reader });
}

fn many_at_once(disk: &mut Tested<'_>) {
    let (file, _) = disk.open("many", Class::Segment, Open::Create);
    disk.done(Operation::Reserve {
        file,
        length: 40 * 8192,
    });
    let mut in_flight: std::collections::BTreeSet<_> = (0..40u8)
        .map(|place| {
            let operation = Operation::Write {
                file,
                offset: u64::from(place) * 8192,
                blocks: blocks(&[place; 8192]),
            };
            disk.submit(operation)
        })
        .collect();
    while !in_flight.is_empty() {
        let (id, completion) = disk.next();
        assert!(in_flight.remove(&id) && matches!(completion, Ok(Outcome::Done)));
    }
    let expected: Vec<u8> = (0..40u8).flat_map(|place| [place; 8192]).collect();
    assert_eq!(disk.read(file, 0, 40 * 8192), expected);
    // A file may be closed while it is read.
    let reads: Vec<_> = (0..4)
        .map(|place| {
            disk.submit(Operation::Read {
                file,
                offset: place * 8192,
                length: 1,
            })
        })
        .collect();
    disk.submit(Operation::Close { file });
    let mut read = Vec::new();
    for _ in 0..5 {
        match disk.next() {
            (id, Ok(Outcome::Read(bytes))) => read.push((id, bytes[0])),
            (_, Ok(Outcome::Done)) => {}
            other => panic!("{other:?}"),
        }
    }
    read.sort_unstable();
    assert_eq!(read, reads.into_iter().zip(0..4).collect::<Vec<_>>());
}

fn processes(disk: &mut Tested<'_>, own: &ProcessIdentity) {
    for (identity, state) in [
        (own.clone(), ProcessState::Runs),
        (
            ProcessIdentity {
                start_time: own.start_time + 1_000_000,
                ..own.clone()
            },
            ProcessState::Gone,
        ),
        (
            ProcessIdentity {
                boot_id: path("another"),
                ..own.clone()
            },
            ProcessState::OtherBoot,
        ),
        (
            ProcessIdentity {
                pid_namespace: 1,
                ..own.clone()
            },
            ProcessState::Unknown,
        ),
        (ProcessIdentity { pid: 0, ..own.clone() }, ProcessState::Unknown),
    ] {
        match disk.call(Operation::Process { identity }).unwrap() {
            Outcome::Process(said) => assert_eq!(said, state),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_real_disk_conforms() {
    let directory = tempfile::tempdir().unwrap();
    let (wake, woken) = mpsc::sync_channel(1);
    let wake = Arc::new(move || wake.try_send(()).unwrap_or(()));
    let mut disk = RealDisk::open(&directory.path().join("data"), wake).unwrap();
    let mut pump = || {
        // Woken, or looked again: either way the test asks the disk.
        let _ = woken.recv_timeout(Duration::from_secs(60));
    };
    conforms(&mut disk, &mut pump, &this_process().unwrap());
}

#[test]
fn the_simulated_disk_conforms_in_calm_and_when_effects_come_early_and_answers_out_of_order() {
    let scattered = FaultPlan {
        write_latency: (Duration::ZERO, Duration::from_millis(9)),
        latency: (Duration::ZERO, Duration::from_millis(9)),
        early_landing: Chance(500_000),
        ..FaultPlan::calm()
    };
    for (seed, plan) in [(0, FaultPlan::calm())]
        .into_iter()
        .chain((1..100).map(|seed| (seed, scattered.clone())))
    {
        let storage = SimulatedStorage::new(seed, plan);
        let mut disk = storage.start_process(storage.boot_machine("a"));
        let own = disk.identity();
        let mut pump = || storage.advance_to(storage.next_completion_at().expect("something is under way"));
        conforms(&mut disk, &mut pump, &own);
    }
}
