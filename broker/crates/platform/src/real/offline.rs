//! A directory that is only read: for tools that look at a journal beside a running broker, or without one.
//!
//! Operations are executed when they are submitted; a tool has nothing else to do meanwhile. On a local file system files that nobody writes any more are mapped (memmap2):
//! finished segments and checkpoints. Everything else is read by `pread`: on a network mount, where an I/O error would kill a mapping's reader; cells; and a segment whose
//! lock the leader holds, because it changes.
//!
//! Invariants: nothing here can change the directory, not even create it; a page is mapped in before it is looked at, and what cannot be mapped in is read by `pread`, so that a
//! bad disk is an error and not a signal. Tests: `platform/tests/offline.rs`.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use memmap2::{Advice, Mmap};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::errors::{errno_of, found, system};
use super::file_system::classify;
use super::process;
use crate::{
    BLOCK_BYTES, Class, Disk, DiskError, DiskErrorKind, FileId, FileSystem, Open, Operation, OperationId, Outcome,
};

/// What the mapped part of a page's neighbours is rounded to, in bytes; every page size that Linux has divides it.
const PAGE_BYTES_MAX: usize = 64 << 10;

/// A directory as a [`Disk`] that refuses every change.
pub struct OfflineDisk {
    root: PathBuf,
    file_system: FileSystem,
    files: BTreeMap<FileId, Opened>,
    next_file: u32,
    completed: VecDeque<(OperationId, Result<Outcome, DiskError>)>,
}

struct Opened {
    path: String,
    file: File,
    mapping: Option<Arc<Mmap>>,
}

/// Keeps a mapping alive for the bytes that were given out of it.
struct Mapped(Arc<Mmap>);

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl OfflineDisk {
    /// A directory that exists.
    pub fn open(root: &Path) -> Result<OfflineDisk, DiskError> {
        let failed = |error: &io::Error| system("open", &root.display().to_string(), errno_of(error));
        let directory = File::open(root).map_err(|error| failed(&error))?;
        let root = root.canonicalize().map_err(|error| failed(&error))?;
        if !directory.metadata().map_err(|error| failed(&error))?.is_dir() {
            let path = root.display().to_string();
            return Err(found(DiskErrorKind::Failed, "open", &path, "it is not a directory"));
        }
        let file_system = classify(&directory, &root)
            .map_err(|errno| system("ask the kind of", &root.display().to_string(), errno))?;
        Ok(OfflineDisk {
            root,
            file_system,
            files: BTreeMap::new(),
            next_file: 1,
            completed: VecDeque::new(),
        })
    }

    fn path(&self, relative: &str) -> Result<PathBuf, DiskError> {
        let inside = Path::new(relative)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        match inside {
            true => Ok(self.root.join(relative)),
            false => Err(found(
                DiskErrorKind::Denied,
                "open",
                relative,
                "the name leads out of the data directory",
            )),
        }
    }

    fn execute(&mut self, operation: Operation) -> Result<Outcome, DiskError> {
        match operation {
            Operation::Open {
                path,
                class,
                how: Open::Read,
            } => self.open_file(path, class),
            Operation::Close { file } => {
                self.files.remove(&file);
                Ok(Outcome::Done)
            }
            Operation::Read { file, offset, length } => self.file(file)?.read(offset, length).map(Outcome::Read),
            Operation::Length { file } => self.file(file)?.measure(),
            Operation::TestLock { file } => self.file(file)?.is_locked().map(Outcome::Lock),
            Operation::List { path } => self.list(&path).map(Outcome::Names),
            Operation::Process { identity } => process::look_for(&identity).map(Outcome::Process),
            Operation::Open {
                how: Open::Write | Open::Create,
                ..
            }
            | Operation::Write { .. }
            | Operation::WriteThenRead { .. }
            | Operation::Reserve { .. }
            | Operation::SetLength { .. }
            | Operation::Sync { .. }
            | Operation::SyncDirectory { .. }
            | Operation::CreateDirectory { .. }
            | Operation::Link { .. }
            | Operation::Unlink { .. }
            | Operation::Lock { .. }
            | Operation::Space => {
                let path = self.root.display().to_string();
                Err(found(
                    DiskErrorKind::Denied,
                    "change",
                    &path,
                    "the directory was opened for reading only",
                ))
            }
        }
    }

    fn open_file(&mut self, relative: String, class: Class) -> Result<Outcome, DiskError> {
        let file = File::open(self.path(&relative)?).map_err(|error| system("open", &relative, errno_of(&error)))?;
        let mut opened = Opened {
            path: relative,
            file,
            mapping: None,
        };
        let length = opened.length()?;
        let finished = match class {
            Class::Cell => false,
            Class::Segment => !opened.is_locked()?,
            Class::Plain => true,
        };
        if finished && self.file_system == FileSystem::Local && length > 0 {
            opened.mapping = map(&opened.file).map(Arc::new);
        }
        let file = FileId(self.next_file);
        self.next_file += 1;
        self.files.insert(file, opened);
        Ok(Outcome::Opened { file, length })
    }

    fn file(&self, file: FileId) -> Result<&Opened, DiskError> {
        let unknown = || {
            found(
                DiskErrorKind::Failed,
                "find",
                &format!("file {}", file.0),
                "it is not open",
            )
        };
        self.files.get(&file).ok_or_else(unknown)
    }

    fn list(&self, relative: &str) -> Result<Vec<String>, DiskError> {
        let failed = |error: io::Error| system("list", relative, errno_of(&error));
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.path(relative)?).map_err(failed)? {
            names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }
}

impl Disk for OfflineDisk {
    fn submit(&mut self, id: OperationId, operation: Operation) {
        let result = self.execute(operation);
        self.completed.push_back((id, result));
    }

    fn completed(&mut self) -> Option<(OperationId, Result<Outcome, DiskError>)> {
        self.completed.pop_front()
    }

    fn file_system(&self) -> FileSystem {
        self.file_system.clone()
    }
}

impl Opened {
    fn length(&self) -> Result<u64, DiskError> {
        self.metadata().map(|metadata| metadata.len())
    }

    fn measure(&self) -> Result<Outcome, DiskError> {
        self.metadata().map(|metadata| Outcome::Length {
            bytes: metadata.len(),
            names: metadata.nlink(),
        })
    }

    fn metadata(&self) -> Result<std::fs::Metadata, DiskError> {
        self.file.metadata().map_err(|error| self.failed("measure", &error))
    }

    /// Reads up to `length` bytes; fewer only where the file ends.
    fn read(&self, offset: u64, length: usize) -> Result<Bytes, DiskError> {
        let left = usize::try_from(self.length()?.saturating_sub(offset)).unwrap_or(usize::MAX);
        let length = length.min(left);
        if let Some(bytes) = self.read_mapped(offset, length) {
            return Ok(bytes);
        }
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while filled < length {
            match self.file.read_at(&mut bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed("read", &error)),
            }
        }
        bytes.truncate(filled);
        Ok(bytes.into())
    }

    /// The same from the mapping; nothing if there is none or its pages cannot be had.
    fn read_mapped(&self, offset: u64, length: usize) -> Option<Bytes> {
        let mapping = self.mapping.as_ref()?;
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(length).filter(|end| *end <= mapping.len())?;
        let first_page = start / PAGE_BYTES_MAX * PAGE_BYTES_MAX;
        // Kernels before 5.14 refuse this advice, and a bad disk fails it: both are read by pread.
        mapping
            .advise_range(Advice::PopulateRead, first_page, end - first_page)
            .ok()?;
        Some(Bytes::from_owner(Mapped(mapping.clone())).slice(start..end))
    }

    /// Whether the leader that writes this file holds its lock.
    fn is_locked(&self) -> Result<bool, DiskError> {
        let mut lock = libc::flock {
            l_type: libc::F_WRLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        fcntl(&self.file, FcntlArg::F_OFD_GETLK(&mut lock))
            .map_err(|errno| system("test the lock of", &self.path, errno))?;
        Ok(i32::from(lock.l_type) != libc::F_UNLCK)
    }

    fn failed(&self, operation: &'static str, error: &io::Error) -> DiskError {
        system(operation, &self.path, errno_of(error))
    }
}

/// Maps a whole file for reading; nothing if that cannot be.
fn map(file: &File) -> Option<Mmap> {
    debug_assert!(PAGE_BYTES_MAX.is_multiple_of(BLOCK_BYTES));
    // SAFETY: the bytes behind the mapping must not change or vanish while they are borrowed. The file is a finished segment (its writer has given up the lock) or a
    // checkpoint: the format's rules say that neither is ever written, truncated or reused again, only unlinked, which leaves a mapping intact. It lies on a local file
    // system, and its pages are populated before they are borrowed.
    #[allow(unsafe_code, reason = "memmap2 cannot know that nobody changes the file")]
    unsafe {
        Mmap::map(file).ok()
    }
}
