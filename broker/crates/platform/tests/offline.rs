//! The disk that only reads.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may fail by panic, in its helpers too, and looks at the real machine"
)]

use std::path::Path;
use std::sync::Arc;

use platform::real::OfflineDisk;
use platform::{Blocks, Class, Disk, DiskErrorKind, FileId, Open, Operation, OperationId, Outcome};

fn run(disk: &mut OfflineDisk, operation: Operation) -> Result<Outcome, DiskErrorKind> {
    disk.submit(OperationId(1), operation);
    let (_, result) = disk.completed().unwrap();
    result.map_err(|error| error.kind)
}

fn open(disk: &mut OfflineDisk, path: &str, class: Class) -> FileId {
    let how = Open::Read;
    match run(
        disk,
        Operation::Open {
            path: path.into(),
            class,
            how,
        },
    ) {
        Ok(Outcome::Opened { file, .. }) => file,
        other => panic!("{other:?}"),
    }
}

fn read(disk: &mut OfflineDisk, file: FileId, offset: u64, length: usize) -> Vec<u8> {
    match run(disk, Operation::Read { file, offset, length }) {
        Ok(Outcome::Read(bytes)) => bytes.to_vec(),
        other => panic!("{other:?}"),
    }
}

/// Every file under a directory, with its content.
fn contents(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(contents(&path)),
            false => files.push((path.display().to_string(), std::fs::read(&path).unwrap())),
        }
    }
    files.sort();
    files
}

#[test]
fn every_class_reads_the_same_bytes_anywhere_in_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..200_000_u32).map(|number| (number % 251) as u8).collect();
    std::fs::create_dir(directory.path().join("journal")).unwrap();
    std::fs::write(directory.path().join("journal/a"), &bytes).unwrap();
    std::fs::write(directory.path().join("journal/empty"), b"").unwrap();
    let mut disk = OfflineDisk::open(directory.path()).unwrap();
    for class in [Class::Cell, Class::Segment, Class::Plain] {
        let file = open(&mut disk, "journal/a", class);
        for (offset, length) in [
            (0, 4096),
            (1, 70_000),
            (65_535, 2),
            (131_072, 200_000),
            (199_999, 10),
            (200_000, 5),
            (900_000, 5),
        ] {
            let expected = bytes.iter().skip(offset).take(length).copied().collect::<Vec<u8>>();
            assert_eq!(
                read(&mut disk, file, offset as u64, length),
                expected,
                "{class:?} {offset} {length}"
            );
        }
        let empty = open(&mut disk, "journal/empty", class);
        assert_eq!(read(&mut disk, empty, 0, 10), b"");
    }
    match run(&mut disk, Operation::List { path: "journal".into() }) {
        Ok(Outcome::Names(names)) => assert_eq!(names, ["a", "empty"]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn bytes_stay_readable_after_the_file_is_unlinked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("segment");
    std::fs::write(&path, vec![7; 1 << 20]).unwrap();
    let mut disk = OfflineDisk::open(directory.path()).unwrap();
    let file = open(&mut disk, "segment", Class::Segment);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(read(&mut disk, file, 500_000, 1000), vec![7; 1000]);
}

#[test]
fn nothing_can_be_changed_and_no_name_leads_outside() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("data");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("file"), b"content").unwrap();
    std::fs::write(directory.path().join("outside"), b"secret").unwrap();
    let before = contents(directory.path());
    let mut disk = OfflineDisk::open(&root).unwrap();
    let file = open(&mut disk, "file", Class::Plain);
    let name = || "file".to_string();
    for operation in [
        Operation::Open {
            path: name(),
            class: Class::Plain,
            how: Open::Write,
        },
        Operation::Open {
            path: "new".into(),
            class: Class::Plain,
            how: Open::Create,
        },
        Operation::Open {
            path: "../outside".into(),
            class: Class::Plain,
            how: Open::Read,
        },
        Operation::Write {
            file,
            offset: 0,
            blocks: Arc::new(Blocks::zeroed(4096)),
        },
        Operation::SetLength { file, length: 0 },
        Operation::Reserve { file, length: 8192 },
        Operation::CreateDirectory {
            path: "directory".into(),
        },
        Operation::Link {
            from: name(),
            to: "link".into(),
        },
        Operation::Unlink { path: name() },
        Operation::Lock { file },
    ] {
        let shown = format!("{operation:?}");
        assert_eq!(run(&mut disk, operation).err(), Some(DiskErrorKind::Denied), "{shown}");
    }
    assert_eq!(contents(directory.path()), before);
    assert!(OfflineDisk::open(&root.join("missing")).is_err());
    assert!(OfflineDisk::open(&root.join("file")).is_err());
}
