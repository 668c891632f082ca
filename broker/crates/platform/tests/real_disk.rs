//! The real disk on real directories: what only a real machine can show. What every disk must do stands in `simulated/tests/conformance.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may fail by panic, in its helpers too, and looks at the real machine"
)]

use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
use platform::real::{OpenError, RealDisk};
use platform::{
    BLOCK_BYTES, Blocks, Class, Disk, DiskError, DiskErrorKind, FileId, FileSystem, Open, Operation, OperationId,
    Outcome,
};

/// A disk, and the wake-ups that it gives.
struct Owner {
    disk: RealDisk,
    woken: mpsc::Receiver<()>,
    next: u64,
}

type Completion = Result<Outcome, DiskError>;

impl Owner {
    fn open(path: &Path) -> Result<Owner, OpenError> {
        let (wake, woken) = mpsc::channel();
        let disk = RealDisk::open(
            path,
            Arc::new(move || wake.send(()).expect("no disk outlives its owner")),
        )?;
        Ok(Owner { disk, woken, next: 1 })
    }

    fn submit(&mut self, operation: Operation) -> OperationId {
        let id = OperationId(self.next);
        self.next += 1;
        self.disk.submit(id, operation);
        id
    }

    fn next(&mut self) -> (OperationId, Completion) {
        loop {
            if let Some(completion) = self.disk.completed() {
                return completion;
            }
            self.woken
                .recv_timeout(Duration::from_secs(60))
                .expect("an owner is woken when something completes");
        }
    }

    fn call(&mut self, operation: Operation) -> Completion {
        let id = self.submit(operation);
        let (completed, completion) = self.next();
        assert_eq!(completed, id);
        completion
    }

    fn open_file(&mut self, path: &str, class: Class, how: Open) -> Result<(FileId, u64), DiskError> {
        match self.call(Operation::Open {
            path: path.to_owned(),
            class,
            how,
        })? {
            Outcome::Opened { file, length } => Ok((file, length)),
            other => panic!("{other:?}"),
        }
    }

    fn read(&mut self, file: FileId, offset: u64, length: usize) -> Vec<u8> {
        match self.call(Operation::Read { file, offset, length }).unwrap() {
            Outcome::Read(bytes) => bytes.to_vec(),
            other => panic!("{other:?}"),
        }
    }

    fn locked(&mut self, operation: Operation) -> bool {
        match self.call(operation).unwrap() {
            Outcome::Lock(held) => held,
            other => panic!("{other:?}"),
        }
    }
}

fn blocks(bytes: &[u8]) -> Arc<Blocks> {
    let mut blocks = Blocks::with_capacity(bytes.len());
    blocks.extend_from_slice(bytes);
    Arc::new(blocks)
}

/// Bytes that tell their place: each block another.
fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|place| (place / 7 + place / BLOCK_BYTES * 13) as u8)
        .collect()
}

fn is_root() -> bool {
    Uid::effective().is_root()
}

/// Runs `test` on a thread that the file system takes for an ordinary user; threads that it starts inherit that.
fn as_ordinary_user(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(move || {
        if is_root() {
            // Only this thread changes; with the user go the rights to pass over modes.
            setfsgid(Gid::from_raw(65_534));
            setfsuid(Uid::from_raw(65_534));
        }
        test();
    });
    thread.join().expect("the test passes");
}

/// A mounted tmpfs, taken down at the end; `None`, said aloud, where this may not be done.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn mount(options: &str) -> Option<Tmpfs> {
        let directory = tempfile::tempdir().unwrap();
        let mounted = is_root()
            && Command::new("mount")
                .args(["-t", "tmpfs", "-o", options, "none"])
                .arg(directory.path())
                .status()
                .is_ok_and(|status| status.success());
        if !mounted {
            // Past the harness, which would swallow the output of a test that passes.
            let text = format!(
                "SKIPPED: a test that mounts a tmpfs ({options}) was not run: it needs root
"
            );
            std::io::stderr().write_all(text.as_bytes()).unwrap();
        }
        mounted.then(|| Tmpfs(directory))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: a thread of the disk may still be about to close a file.
        let _ = Command::new("umount").args(["-q", "-l"]).arg(self.0.path()).status();
    }
}

#[test]
fn segments_are_read_at_any_offset_though_their_io_is_in_whole_blocks() {
    let directory = tempfile::tempdir().unwrap();
    let mut owner = Owner::open(directory.path()).unwrap();
    for class in [Class::Segment, Class::Cell, Class::Plain] {
        let (file, _) = owner.open_file(&format!("{class:?}"), class, Open::Create).unwrap();
        let content = pattern(10 * BLOCK_BYTES);
        owner
            .call(Operation::Write {
                file,
                offset: 0,
                blocks: blocks(&content),
            })
            .unwrap();
        for (offset, length) in [
            (0, 1),
            (1, 1),
            (4095, 2),
            (4096, 4096),
            (5000, 20_000),
            (40_959, 1),
            (0, 40_960),
        ] {
            assert_eq!(
                owner.read(file, offset, length),
                &content[offset as usize..offset as usize + length],
                "{class:?} {offset} {length}"
            );
        }
        assert_eq!(
            owner.read(file, 40_000, 5000),
            &content[40_000..],
            "a read ends where the file ends"
        );
        assert!(owner.read(file, 40_960, 10).is_empty());
        assert!(owner.read(file, 1 << 40, 10).is_empty());
        assert!(owner.read(file, 10, 0).is_empty());
        owner.call(Operation::SetLength { file, length: 5001 }).unwrap();
        assert_eq!(
            owner.read(file, 4999, 100),
            &content[4999..5001],
            "the file's end is no block boundary"
        );
        assert!(owner.read(file, 6000, 100).is_empty());
    }
}

#[test]
fn synchronous_classes_take_whole_blocks_only() {
    let directory = tempfile::tempdir().unwrap();
    let mut owner = Owner::open(directory.path()).unwrap();
    for class in [Class::Segment, Class::Cell] {
        let (file, _) = owner.open_file(&format!("{class:?}"), class, Open::Create).unwrap();
        for (offset, length) in [(0, 4095), (1, 4096), (4096, 100)] {
            let error = owner
                .call(Operation::Write {
                    file,
                    offset,
                    blocks: blocks(&vec![1; length]),
                })
                .unwrap_err();
            assert_eq!(error.kind, DiskErrorKind::Failed);
            assert!(error.to_string().contains("not whole blocks"), "{error}");
        }
        assert!(matches!(
            owner.call(Operation::Length { file }),
            Ok(Outcome::Length { bytes: 0, names: 1 })
        ));
    }
}

#[test]
fn many_operations_in_flight_all_complete_and_land_where_they_belong() {
    let directory = tempfile::tempdir().unwrap();
    let mut owner = Owner::open(directory.path()).unwrap();
    let (segment, _) = owner.open_file("segment", Class::Segment, Open::Create).unwrap();
    let (claim, _) = owner.open_file("claim", Class::Cell, Open::Create).unwrap();
    owner
        .call(Operation::Reserve {
            file: segment,
            length: 64 * 16_384,
        })
        .unwrap();
    owner
        .call(Operation::Write {
            file: claim,
            offset: 0,
            blocks: blocks(&[9; BLOCK_BYTES]),
        })
        .unwrap();
    let content = pattern(64 * 16_384);
    let mut in_flight = std::collections::BTreeSet::new();
    for (place, part) in content.chunks(16_384).enumerate() {
        let (offset, blocks) = (place as u64 * 16_384, blocks(part));
        in_flight.insert(owner.submit(if place % 2 == 0 {
            Operation::Write {
                file: segment,
                offset,
                blocks,
            }
        } else {
            Operation::WriteThenRead {
                file: segment,
                offset,
                blocks,
                read_file: claim,
                read_offset: 0,
            }
        }));
        in_flight.insert(owner.submit(Operation::List { path: String::new() }));
    }
    while !in_flight.is_empty() {
        let (id, completion) = owner.next();
        assert!(in_flight.remove(&id), "each completes once");
        match completion.unwrap() {
            Outcome::Read(fence) => assert_eq!(&fence[..], &[9; BLOCK_BYTES]),
            Outcome::Done => {}
            Outcome::Names(names) => assert_eq!(names, ["claim", "segment"]),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(owner.read(segment, 0, content.len()), content);
}

#[test]
fn a_lock_excludes_every_other_descriptor_until_its_file_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    let (mut first, mut second) = (
        Owner::open(directory.path()).unwrap(),
        Owner::open(directory.path()).unwrap(),
    );
    let (mine, _) = first.open_file("segment", Class::Segment, Open::Create).unwrap();
    let (theirs, _) = second.open_file("segment", Class::Segment, Open::Write).unwrap();
    let (looking, _) = second.open_file("segment", Class::Segment, Open::Read).unwrap();
    assert!(!second.locked(Operation::TestLock { file: looking }));
    assert!(first.locked(Operation::Lock { file: mine }));
    assert!(
        first.locked(Operation::Lock { file: mine }),
        "taken again by its holder"
    );
    assert!(
        !first.locked(Operation::TestLock { file: mine }),
        "the own lock is not somebody else's"
    );
    assert!(!second.locked(Operation::Lock { file: theirs }));
    assert!(second.locked(Operation::TestLock { file: looking }));
    first.call(Operation::Close { file: mine }).unwrap();
    assert!(!second.locked(Operation::TestLock { file: looking }));
    assert!(second.locked(Operation::Lock { file: theirs }));
}

#[test]
fn files_and_directories_are_for_their_owner_only_and_links_are_not_followed() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("data");
    let mut owner = Owner::open(&root).unwrap();
    assert_eq!(root.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    owner
        .call(Operation::CreateDirectory {
            path: "journal".to_owned(),
        })
        .unwrap();
    owner
        .call(Operation::CreateDirectory {
            path: "journal".to_owned(),
        })
        .unwrap();
    assert_eq!(
        root.join("journal").metadata().unwrap().permissions().mode() & 0o777,
        0o700
    );
    owner.open_file("journal/x", Class::Plain, Open::Create).unwrap();
    assert_eq!(
        root.join("journal/x").metadata().unwrap().permissions().mode() & 0o777,
        0o600
    );
    symlink("journal/x", root.join("link")).unwrap();
    assert_eq!(
        owner.open_file("link", Class::Plain, Open::Read).unwrap_err().kind,
        DiskErrorKind::Failed
    );
    assert_eq!(
        owner.open_file("link", Class::Plain, Open::Create).unwrap_err().kind,
        DiskErrorKind::Exists
    );
    assert_eq!(
        owner.open_file("journal", Class::Plain, Open::Read).unwrap_err().kind,
        DiskErrorKind::Failed
    );
    let error = owner
        .call(Operation::CreateDirectory {
            path: "journal/x".to_owned(),
        })
        .unwrap_err();
    assert_eq!(error.kind, DiskErrorKind::Exists);
    assert!(error.path.ends_with("/journal/x"), "{error}");
}

#[test]
fn reserved_space_is_really_taken() {
    let directory = tempfile::tempdir().unwrap();
    let mut owner = Owner::open(directory.path()).unwrap();
    for class in [Class::Segment, Class::Cell, Class::Plain] {
        let name = format!("{class:?}");
        let (file, _) = owner.open_file(&name, class, Open::Create).unwrap();
        owner.call(Operation::Reserve { file, length: 3 << 20 }).unwrap();
        let metadata = directory.path().join(&name).metadata().unwrap();
        assert_eq!(metadata.len(), 3 << 20);
        assert!(
            metadata.blocks() * 512 >= 3 << 20,
            "{class:?}: {} blocks",
            metadata.blocks()
        );
        assert!(owner.read(file, 0, 3 << 20).iter().all(|byte| *byte == 0));
    }
}

#[test]
fn the_mount_stays_the_one_that_was_opened() {
    let Some(tmpfs) = Tmpfs::mount("size=1m") else { return };
    let mut owner = Owner::open(tmpfs.path()).unwrap();
    owner.open_file("on the mount", Class::Plain, Open::Create).unwrap();
    assert!(
        Command::new("umount")
            .arg("-l")
            .arg(tmpfs.path())
            .status()
            .unwrap()
            .success()
    );
    owner
        .open_file("still on the mount", Class::Plain, Open::Create)
        .unwrap();
    assert_eq!(
        std::fs::read_dir(tmpfs.path()).unwrap().count(),
        0,
        "nothing may land in the bare directory below"
    );
    let Outcome::Names(names) = owner.call(Operation::List { path: String::new() }).unwrap() else {
        panic!()
    };
    assert_eq!(names, ["on the mount", "still on the mount"]);
    let Outcome::Space(space) = owner.call(Operation::Space).unwrap() else {
        panic!()
    };
    assert_eq!(space.total, 1 << 20);
}

#[test]
fn a_full_file_system_is_no_space_and_a_failed_reservation_gives_back_what_it_took() {
    let Some(tmpfs) = Tmpfs::mount("size=1m") else { return };
    let mut owner = Owner::open(tmpfs.path()).unwrap();
    assert_eq!(owner.disk.file_system(), FileSystem::Local);
    let (file, _) = owner.open_file("segment", Class::Segment, Open::Create).unwrap();
    for length in [2 << 20, 9 << 20] {
        let error = owner.call(Operation::Reserve { file, length }).unwrap_err();
        assert_eq!(error.kind, DiskErrorKind::NoSpace, "{error}");
        assert!(matches!(
            owner.call(Operation::Length { file }),
            Ok(Outcome::Length { bytes: 0, names: 1 })
        ));
    }
    let Outcome::Space(space) = owner.call(Operation::Space).unwrap() else {
        panic!()
    };
    assert!(
        space.total == 1 << 20 && space.available >= (1 << 20) - 65_536,
        "{space:?}"
    );
    // The first half fits; the second write ends short.
    owner
        .call(Operation::Write {
            file,
            offset: 0,
            blocks: blocks(&[1; 512 * 1024]),
        })
        .unwrap();
    let error = owner
        .call(Operation::Write {
            file,
            offset: 512 * 1024,
            blocks: blocks(&[2; 1 << 20]),
        })
        .unwrap_err();
    assert_eq!(error.kind, DiskErrorKind::NoSpace, "{error}");
    assert!(error.to_string().contains("segment"), "{error}");
    // Nothing at all fits now.
    let (other, _) = owner.open_file("other", Class::Cell, Open::Create).unwrap();
    let error = owner
        .call(Operation::Write {
            file: other,
            offset: 0,
            blocks: blocks(&[2; 4096]),
        })
        .unwrap_err();
    assert_eq!(error.kind, DiskErrorKind::NoSpace, "{error}");
    // Space is back: the same bytes at the same place.
    owner
        .call(Operation::SetLength {
            file,
            length: 512 * 1024,
        })
        .unwrap();
    owner
        .call(Operation::Write {
            file: other,
            offset: 0,
            blocks: blocks(&[2; 4096]),
        })
        .unwrap();
    assert_eq!(owner.read(other, 0, 4096), [2; 4096]);
}

#[test]
fn a_read_only_mount_is_named_as_such() {
    let Some(tmpfs) = Tmpfs::mount("size=1m") else { return };
    let mut owner = Owner::open(tmpfs.path()).unwrap();
    let remounted = Command::new("mount")
        .args(["-o", "remount,ro"])
        .arg(tmpfs.path())
        .status()
        .unwrap()
        .success();
    assert!(remounted);
    let error = owner.open_file("late", Class::Plain, Open::Create).unwrap_err();
    assert_eq!(error.kind, DiskErrorKind::Denied, "{error}");
    let error = Owner::open(tmpfs.path()).err().unwrap();
    assert!(matches!(error, OpenError::ReadOnly { .. }), "{error}");
    let error = Owner::open(&tmpfs.path().join("new")).err().unwrap();
    assert!(matches!(error, OpenError::MayNotCreate { .. }), "{error}");
}

#[test]
fn what_an_ordinary_user_may_not_do_is_denied() {
    as_ordinary_user(|| {
        // Made by this user, so that only modes stand in the way.
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("data");
        let mut owner = Owner::open(&root).unwrap();
        let (file, _) = owner.open_file("mine", Class::Plain, Open::Create).unwrap();
        owner.call(Operation::Close { file }).unwrap();
        std::fs::set_permissions(root.join("mine"), PermissionsExt::from_mode(0o000)).unwrap();
        let error = owner.open_file("mine", Class::Plain, Open::Write).unwrap_err();
        assert_eq!(error.kind, DiskErrorKind::Denied, "{error}");
        std::fs::set_permissions(&root, PermissionsExt::from_mode(0o500)).unwrap();
        for operation in [
            Operation::Open {
                path: "new".to_owned(),
                class: Class::Segment,
                how: Open::Create,
            },
            Operation::Unlink {
                path: "mine".to_owned(),
            },
            Operation::Link {
                from: "mine".to_owned(),
                to: "ours".to_owned(),
            },
            Operation::CreateDirectory {
                path: "directory".to_owned(),
            },
        ] {
            assert_eq!(
                owner.call(operation.clone()).unwrap_err().kind,
                DiskErrorKind::Denied,
                "{operation:?}"
            );
        }
        for (mode, words) in [
            (0o500, "may not be written"),
            (0o600, "may not be entered"),
            (0o300, "may not be listed"),
        ] {
            std::fs::set_permissions(&root, PermissionsExt::from_mode(mode)).unwrap();
            let error = Owner::open(&root).err().expect("refused");
            assert!(
                matches!(error, OpenError::Denied { .. }) && error.to_string().contains(words),
                "{mode:o}: {error}"
            );
        }
        std::fs::set_permissions(&root, PermissionsExt::from_mode(0o700)).unwrap();
        assert!(Owner::open(&root).is_ok());
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o500)).unwrap();
        let error = Owner::open(&directory.path().join("other/data")).err().unwrap();
        assert!(matches!(error, OpenError::MayNotCreate { .. }), "{error}");
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o700)).unwrap();
    });
}

#[test]
fn a_file_where_the_directory_should_be_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "x").unwrap();
    for path in [file.clone(), file.join("data"), file.join("data/below")] {
        let error = Owner::open(&path).err().unwrap();
        assert!(
            matches!(&error, OpenError::NotADirectory { path } if *path == file),
            "{error}"
        );
    }
    let looped = directory.path().join("loop");
    symlink(&looped, &looped).unwrap();
    for path in [
        directory.path().join("x".repeat(300)),
        looped.clone(),
        looped.join("below"),
    ] {
        let error = Owner::open(&path).err().unwrap();
        assert!(matches!(error, OpenError::NoPath { .. }), "{error}");
    }
}
