//! The disk of a real machine: operations are executed by threads, and their completions handed back.
//!
//! Invariants: [`Disk::submit`] and [`Disk::completed`] make no system call on a file. What is hung in one group of threads holds up no other group: a stuck
//! body read stops no journal write, a stuck batch stops no heartbeat. Dropping the disk waits for no operation: those that no thread has begun are never begun, and what the others come to is told to nobody.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::OpenError;
use super::directory::Directory;
use super::errors::{errno_of, found, system};
use super::file::OpenFile;
use super::file_system::{Direct, classify, way};
use super::process;
use super::queue::{Finished, Queue};
use crate::{
    BLOCK_BYTES, Blocks, Class, Disk, DiskError, DiskErrorKind, FileId, FileSystem, Open, Operation, OperationId,
    Outcome, ProcessIdentity,
};

/// The groups of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    /// Writes of segments, alone and with a fence read after them: as many as the journal has in flight.
    Segments,
    /// Everything done with cells: heartbeat, root, fence read, and the polls of a standby.
    Cells,
    /// Reads of segments and plain files: bodies, checkpoints, recovery.
    Reads,
    /// Names, lengths, syncs, reservations, plain writes, locks, space, processes.
    Rest,
}

/// Every group and its number of threads.
const GROUPS: [(Group, usize); 4] = [
    (Group::Segments, 16),
    (Group::Cells, 3),
    (Group::Reads, 2),
    (Group::Rest, 2),
];

/// Our frames are small; the largest buffers live on the heap.
const STACK_BYTES: usize = 256 * 1024;

/// How much longer operations take than they do, to see what a slower disk would cost. Zero, but for measurements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskDelays {
    /// For whatever changes something: bytes, lengths, names.
    pub write: Duration,
    /// For whatever only looks. The fence read behind a write takes both.
    pub read: Duration,
}

impl DiskDelays {
    fn of(&self, work: &Work) -> Duration {
        match work {
            Work::Read { .. }
            | Work::Length { .. }
            | Work::Close { .. }
            | Work::List { .. }
            | Work::Lock { .. }
            | Work::TestLock { .. }
            | Work::Space => self.read,
            Work::Open { how: Open::Create, .. }
            | Work::Write { .. }
            | Work::Reserve { .. }
            | Work::SetLength { .. }
            | Work::Sync { .. }
            | Work::SyncDirectory { .. }
            | Work::CreateDirectory { .. }
            | Work::Link { .. }
            | Work::Unlink { .. } => self.write,
            Work::WriteThenRead { .. } => self.write + self.read,
            Work::Open { .. } => self.read,
            Work::Process { .. } => Duration::ZERO,
        }
    }
}

/// A real directory as a [`Disk`].
pub struct RealDisk {
    shared: Arc<Shared>,
    queues: [Arc<Queue<Job>>; GROUPS.len()],
    /// Open files; a job holds its own reference, so a file is closed when its last operation is through.
    files: BTreeMap<FileId, Arc<OpenFile>>,
    next_file: u32,
}

/// What the threads share with the owner.
struct Shared {
    directory: Directory,
    file_system: FileSystem,
    /// The file system refused `O_DIRECT` where it is not required.
    direct_refused: AtomicBool,
    delays: DiskDelays,
    finished: Finished<(OperationId, Result<Answer, DiskError>)>,
}

enum Answer {
    Opened { file: OpenFile, length: u64 },
    Outcome(Outcome),
}

struct Job {
    id: OperationId,
    work: Work,
}

/// An operation whose files have been looked up.
enum Work {
    Open {
        path: String,
        class: Class,
        how: Open,
    },
    Close {
        file: Arc<OpenFile>,
    },
    Read {
        file: Arc<OpenFile>,
        offset: u64,
        length: usize,
    },
    Write {
        file: Arc<OpenFile>,
        offset: u64,
        blocks: Arc<Blocks>,
    },
    WriteThenRead {
        file: Arc<OpenFile>,
        offset: u64,
        blocks: Arc<Blocks>,
        read_file: Arc<OpenFile>,
        read_offset: u64,
    },
    Reserve {
        file: Arc<OpenFile>,
        length: u64,
    },
    SetLength {
        file: Arc<OpenFile>,
        length: u64,
    },
    Length {
        file: Arc<OpenFile>,
    },
    Sync {
        file: Arc<OpenFile>,
    },
    SyncDirectory {
        path: String,
    },
    CreateDirectory {
        path: String,
    },
    Link {
        from: String,
        to: String,
    },
    Unlink {
        path: String,
    },
    List {
        path: String,
    },
    Lock {
        file: Arc<OpenFile>,
    },
    TestLock {
        file: Arc<OpenFile>,
    },
    Space,
    Process {
        identity: ProcessIdentity,
    },
}

impl Work {
    /// Whose threads do it.
    fn group(&self) -> Group {
        match self {
            Work::Write { file, .. } | Work::WriteThenRead { file, .. } => match file.class {
                Class::Cell => Group::Cells,
                Class::Segment => Group::Segments,
                Class::Plain => Group::Rest,
            },
            // A leader looks at its claim with every heartbeat: nothing else that hangs may hold that up.
            Work::Read { file, .. } | Work::Length { file } => match file.class {
                Class::Cell => Group::Cells,
                Class::Segment | Class::Plain => Group::Reads,
            },
            Work::Open { .. }
            | Work::Close { .. }
            | Work::Reserve { .. }
            | Work::SetLength { .. }
            | Work::Sync { .. }
            | Work::SyncDirectory { .. }
            | Work::CreateDirectory { .. }
            | Work::Link { .. }
            | Work::Unlink { .. }
            | Work::List { .. }
            | Work::Lock { .. }
            | Work::TestLock { .. }
            | Work::Space
            | Work::Process { .. } => Group::Rest,
        }
    }
}

impl RealDisk {
    /// Opens the data directory, making it (mode 0700) if it is missing; its parent must exist, and starts the I/O threads.
    ///
    /// `wake` is called, from any thread, when a completion stands ready where there was none: whoever is woken must call [`Disk::completed`] until it gives `None`. It must not
    /// block, and is never called after the disk was dropped, whatever its threads are still doing.
    pub fn open(root: &Path, wake: Arc<dyn Fn() + Send + Sync>) -> Result<RealDisk, OpenError> {
        RealDisk::open_delayed(root, DiskDelays::default(), wake)
    }

    /// As [`RealDisk::open`]; every operation takes so much longer.
    pub fn open_delayed(
        root: &Path,
        delays: DiskDelays,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> Result<RealDisk, OpenError> {
        let directory = Directory::open(root)?;
        let file_system = classify(directory.descriptor(), directory.path()).map_err(|errno| OpenError::System {
            path: directory.path().to_owned(),
            operation: "find its file system",
            detail: std::io::Error::from(errno).to_string(),
        })?;
        let finished = Finished::new(wake);
        let shared = Arc::new(Shared {
            directory,
            file_system,
            direct_refused: AtomicBool::new(false),
            delays,
            finished,
        });
        // Should a thread not start, dropping the disk ends those that did.
        let disk = RealDisk {
            shared,
            queues: std::array::from_fn(|_| Arc::new(Queue::new())),
            files: BTreeMap::new(),
            next_file: 1,
        };
        let mut number = 0;
        for (queue, (_, threads)) in disk.queues.iter().zip(GROUPS) {
            for _ in 0..threads {
                number += 1;
                let (shared, queue) = (disk.shared.clone(), queue.clone());
                std::thread::Builder::new()
                    .name(format!("holdfast-io-{number}"))
                    .stack_size(STACK_BYTES)
                    .spawn(move || {
                        while let Some(job) = queue.take() {
                            let delay = shared.delays.of(&job.work);
                            let result = shared.execute(job.work);
                            if !delay.is_zero() {
                                std::thread::sleep(delay);
                            }
                            shared.finished.push((job.id, result));
                        }
                    })
                    .map_err(|error| OpenError::Threads {
                        detail: error.to_string(),
                    })?;
            }
        }
        Ok(disk)
    }

    /// Looks up the operation's files; a file that is not open is the answer already.
    fn prepare(&mut self, operation: Operation) -> Result<Work, DiskError> {
        let file = |id: FileId, operation| {
            self.files.get(&id).cloned().ok_or_else(|| {
                found(
                    DiskErrorKind::Failed,
                    operation,
                    &format!("file {}", id.0),
                    "no such file is open on this disk",
                )
            })
        };
        Ok(match operation {
            Operation::Open { path, class, how } => Work::Open { path, class, how },
            Operation::Close { file: id } => {
                let file = file(id, "close")?;
                self.files.remove(&id);
                Work::Close { file }
            }
            Operation::Read {
                file: id,
                offset,
                length,
            } => Work::Read {
                file: file(id, "read")?,
                offset,
                length,
            },
            Operation::Write {
                file: id,
                offset,
                blocks,
            } => Work::Write {
                file: file(id, "write")?,
                offset,
                blocks,
            },
            Operation::WriteThenRead {
                file: id,
                offset,
                blocks,
                read_file,
                read_offset,
            } => Work::WriteThenRead {
                file: file(id, "write")?,
                offset,
                blocks,
                read_file: file(read_file, "read")?,
                read_offset,
            },
            Operation::Reserve { file: id, length } => Work::Reserve {
                file: file(id, "reserve")?,
                length,
            },
            Operation::SetLength { file: id, length } => Work::SetLength {
                file: file(id, "set the length of")?,
                length,
            },
            Operation::Length { file: id } => Work::Length {
                file: file(id, "measure")?,
            },
            Operation::Sync { file: id } => Work::Sync {
                file: file(id, "sync")?,
            },
            Operation::SyncDirectory { path } => Work::SyncDirectory { path },
            Operation::CreateDirectory { path } => Work::CreateDirectory { path },
            Operation::Link { from, to } => Work::Link { from, to },
            Operation::Unlink { path } => Work::Unlink { path },
            Operation::List { path } => Work::List { path },
            Operation::Lock { file: id } => Work::Lock {
                file: file(id, "lock")?,
            },
            Operation::TestLock { file: id } => Work::TestLock {
                file: file(id, "test the lock of")?,
            },
            Operation::Space => Work::Space,
            Operation::Process { identity } => Work::Process { identity },
        })
    }
}

impl Disk for RealDisk {
    fn submit(&mut self, id: OperationId, operation: Operation) {
        match self.prepare(operation) {
            Ok(work) => {
                let group = work.group();
                let place = GROUPS
                    .iter()
                    .position(|(other, _)| *other == group)
                    .expect("GROUPS lists every group");
                self.queues[place].push(Job { id, work });
            }
            Err(error) => self.shared.finished.push((id, Err(error))),
        }
    }

    fn completed(&mut self) -> Option<(OperationId, Result<Outcome, DiskError>)> {
        let (id, result) = self.shared.finished.take()?;
        let result = result.map(|answer| match answer {
            Answer::Outcome(outcome) => outcome,
            Answer::Opened { file, length } => {
                let number = FileId(self.next_file);
                self.next_file = self
                    .next_file
                    .checked_add(1)
                    .expect("a process opens fewer than four billion files");
                self.files.insert(number, Arc::new(file));
                Outcome::Opened { file: number, length }
            }
        });
        Some((id, result))
    }

    fn file_system(&self) -> FileSystem {
        self.shared.file_system.clone()
    }
}

impl Drop for RealDisk {
    fn drop(&mut self) {
        self.shared.finished.close();
        for queue in &self.queues {
            queue.close();
        }
    }
}

impl Shared {
    fn execute(&self, work: Work) -> Result<Answer, DiskError> {
        let directory = &self.directory;
        let outcome = match work {
            Work::Open { path, class, how } => return self.open_file(&path, class, how),
            Work::Close { file } => {
                drop(file);
                Outcome::Done
            }
            Work::Read { file, offset, length } => Outcome::Read(file.read(offset, length)?),
            Work::Write { file, offset, blocks } => done(file.write(offset, &blocks)?),
            Work::WriteThenRead {
                file,
                offset,
                blocks,
                read_file,
                read_offset,
            } => {
                file.write(offset, &blocks)?;
                Outcome::Read(read_file.read(read_offset, BLOCK_BYTES)?)
            }
            Work::Reserve { file, length } => done(file.reserve(length)?),
            Work::SetLength { file, length } => done(file.set_length(length)?),
            Work::Length { file } => file.measure()?,
            Work::Sync { file } => done(file.sync()?),
            Work::SyncDirectory { path } => done(directory.sync(&path)?),
            Work::CreateDirectory { path } => done(directory.create_directory(&path)?),
            Work::Link { from, to } => done(directory.link(&from, &to)?),
            Work::Unlink { path } => done(directory.unlink(&path)?),
            Work::List { path } => Outcome::Names(directory.list(&path)?),
            Work::Lock { file } => Outcome::Lock(file.lock()?),
            Work::TestLock { file } => Outcome::Lock(file.test_lock()?),
            Work::Space => Outcome::Space(directory.space()?),
            Work::Process { identity } => Outcome::Process(process::look_for(&identity)?),
        };
        Ok(Answer::Outcome(outcome))
    }

    fn open_file(&self, path: &str, class: Class, how: Open) -> Result<Answer, DiskError> {
        let way = way(class, &self.file_system);
        let synchronous = if way.synchronous {
            OFlag::O_DSYNC
        } else {
            OFlag::empty()
        };
        let direct = match way.direct {
            Direct::No => false,
            Direct::IfSupported => !self.direct_refused.load(Ordering::Relaxed),
            Direct::Always => true,
        };
        let failed = |errno| system("open", &self.directory.full(path), errno);
        let open = |direct| {
            let flags = if direct {
                synchronous | OFlag::O_DIRECT
            } else {
                synchronous
            };
            self.directory.open_file(path, how, flags)
        };
        let (file, direct) = match open(direct) {
            Ok(file) => (file, direct),
            Err(Errno::EINVAL) if direct && way.direct == Direct::IfSupported => {
                // Some file systems refuse only after they made the name: then it is ours, and empty.
                let file = match open(false) {
                    Err(Errno::EEXIST) if how == Open::Create => {
                        self.directory.open_file(path, Open::Write, synchronous)
                    }
                    other => other,
                };
                let file = file.map_err(failed)?;
                self.direct_refused.store(true, Ordering::Relaxed);
                (file, false)
            }
            Err(errno) => return Err(failed(errno)),
        };
        let metadata = file.metadata().map_err(|error| failed(errno_of(&error)))?;
        if !metadata.is_file() {
            return Err(self.directory.not_regular("open", path));
        }
        let file = OpenFile {
            file,
            path: self.directory.full(path),
            class,
            way,
            direct,
        };
        Ok(Answer::Opened {
            file,
            length: metadata.len(),
        })
    }
}

fn done((): ()) -> Outcome {
    Outcome::Done
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Instant;

    use super::*;

    #[test]
    fn as_many_segment_writes_as_the_journal_sends_are_in_flight_at_once() {
        let threads = |wanted| GROUPS.iter().find(|(group, _)| *group == wanted).unwrap().1;
        assert!(threads(Group::Segments) >= 16);
        assert!(
            threads(Group::Cells) >= 2,
            "a fence read must not wait for a stalled heartbeat"
        );
        for group in [Group::Segments, Group::Cells, Group::Reads, Group::Rest] {
            assert_eq!(GROUPS.iter().filter(|(other, _)| *other == group).count(), 1);
        }
    }

    #[test]
    fn a_delayed_disk_takes_at_least_so_much_longer() {
        let directory = tempfile::tempdir().unwrap();
        let (wake, woken) = mpsc::channel();
        let delays = DiskDelays {
            write: Duration::from_millis(30),
            read: Duration::from_millis(20),
        };
        let wake = Arc::new(move || wake.send(()).unwrap_or_default());
        let mut disk = RealDisk::open_delayed(directory.path(), delays, wake).unwrap();
        for (operation, delay) in [
            (Operation::Space, 20),
            (Operation::SyncDirectory { path: String::new() }, 30),
        ] {
            let begun = Instant::now();
            disk.submit(OperationId(1), operation);
            woken
                .recv_timeout(Duration::from_secs(60))
                .expect("the disk wakes its owner");
            assert!(begun.elapsed() >= Duration::from_millis(delay));
            assert!(disk.completed().is_some_and(|(_, result)| result.is_ok()));
        }
    }

    #[test]
    fn threads_stuck_in_a_system_call_hold_up_neither_writes_nor_the_end() {
        let directory = tempfile::tempdir().unwrap();
        nix::unistd::mkfifo(&directory.path().join("stuck"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let (wake, woken) = mpsc::channel();
        // Panics in the disk's thread if the owner is gone.
        let mut disk = RealDisk::open(directory.path(), Arc::new(move || wake.send(()).unwrap())).unwrap();
        let shared = Arc::downgrade(&disk.shared);
        let next = |disk: &mut RealDisk| {
            loop {
                if let Some((id, result)) = disk.completed() {
                    return (id.0, result.unwrap());
                }
                woken
                    .recv_timeout(Duration::from_secs(60))
                    .expect("the disk wakes its owner");
            }
        };
        disk.submit(
            OperationId(1),
            Operation::Open {
                path: "segment".to_owned(),
                class: Class::Segment,
                how: Open::Create,
            },
        );
        let (1, Outcome::Opened { file, .. }) = next(&mut disk) else {
            panic!("the file opens")
        };
        // Opening a pipe for reading waits for a writer, which never comes: both threads of this group are stuck now.
        for id in 2..=3 {
            disk.submit(
                OperationId(id),
                Operation::Open {
                    path: "stuck".to_owned(),
                    class: Class::Plain,
                    how: Open::Read,
                },
            );
        }
        disk.submit(OperationId(4), Operation::Sync { file });
        disk.submit(
            OperationId(5),
            Operation::Write {
                file,
                offset: 0,
                blocks: Arc::new(Blocks::zeroed(4096)),
            },
        );
        let (id, outcome) = next(&mut disk);
        assert!(id == 5 && matches!(outcome, Outcome::Done), "{id} {outcome:?}");
        drop(disk);
        while woken.try_recv().is_ok() {}
        // Let them go, so that the test leaves no thread behind.
        drop(
            std::fs::OpenOptions::new()
                .write(true)
                .open(directory.path().join("stuck"))
                .unwrap(),
        );
        // Their opens complete now, and the last of them lets go of what they share.
        let given_up = Instant::now() + Duration::from_secs(60);
        while shared.strong_count() > 0 {
            assert!(Instant::now() < given_up, "the threads end");
            std::thread::yield_now();
        }
        assert_eq!(
            woken.try_recv(),
            Err(mpsc::TryRecvError::Disconnected),
            "a disk that was dropped wakes nobody"
        );
    }
}
