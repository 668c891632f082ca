//! What a disk can be asked, and what it answers.
//!
//! A disk accepts an [`Operation`] and later completes it; several are in flight, and they may complete in any order. Every path is relative to the
//! data directory that the disk was opened on. A file's [`Class`] says what it is for; which open flags that means on which file system is the
//! real disk's table, so that no layer above knows of page caches.

use std::sync::Arc;

use bytes::Bytes;

use crate::Blocks;

/// A machine's disk as the layers above see it: submit now, complete later.
pub trait Disk {
    /// Starts an operation. Never blocks.
    fn submit(&mut self, id: OperationId, operation: Operation);

    /// Takes one completion, if there is one. Never blocks.
    fn completed(&mut self) -> Option<(OperationId, Result<Outcome, DiskError>)>;

    /// The file system that holds the data directory.
    fn file_system(&self) -> FileSystem;
}

/// Names one operation in flight; chosen by the caller, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(pub u64);

/// Names one open file of a disk; never used twice by the same disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

/// What a file is for. It decides how its bytes are moved, per file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Cells of one block, each written whole and synchronously: claims and members.
    Cell,
    /// Journal segments: large, aligned, synchronous writes; direct where the file system can.
    Segment,
    /// Written once, then synced, then only read: checkpoints, `FORMAT`, ballast. Ordinary buffered I/O.
    Plain,
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// For reading; it must exist.
    Read,
    /// For reading and writing; it must exist (no `O_CREAT`).
    Write,
    /// For reading and writing; it must not exist (`O_CREAT | O_EXCL`). Mode 0600.
    Create,
}

/// One thing that a disk can do.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Opens a file → [`Outcome::Opened`].
    Open {
        /// Relative to the data directory.
        path: String,
        /// What the file is for.
        class: Class,
        /// How.
        how: Open,
    },
    /// Closes a file → [`Outcome::Done`]. Later operations on its id fail.
    Close {
        /// The file.
        file: FileId,
    },
    /// Reads up to `length` bytes → [`Outcome::Read`]; fewer only where the file ends.
    Read {
        /// The file.
        file: FileId,
        /// First byte; need not be aligned.
        offset: u64,
        /// Bytes wanted.
        length: usize,
    },
    /// Writes all of `blocks` → [`Outcome::Done`]. In classes `Cell` and `Segment` the bytes are durable when it completes; offset and length are then whole blocks.
    Write {
        /// The file.
        file: FileId,
        /// First byte.
        offset: u64,
        /// What to write.
        blocks: Arc<Blocks>,
    },
    /// [`Operation::Write`], and after it returned, on the same thread, [`Operation::Read`] of one block → [`Outcome::Read`] of that block.
    WriteThenRead {
        /// The file to write.
        file: FileId,
        /// First byte to write.
        offset: u64,
        /// What to write.
        blocks: Arc<Blocks>,
        /// The file to read: the own claim.
        read_file: FileId,
        /// Where: the fence cell.
        read_offset: u64,
    },
    /// Makes the file `length` bytes long with its space really reserved → [`Outcome::Done`]; the bytes gained read as zero.
    /// A longer file keeps its length; after a failure the file has its former one.
    Reserve {
        /// The file.
        file: FileId,
        /// Bytes.
        length: u64,
    },
    /// Cuts or extends the file → [`Outcome::Done`].
    SetLength {
        /// The file.
        file: FileId,
        /// Bytes.
        length: u64,
    },
    /// The file's length in bytes, and how many names it has → [`Outcome::Length`].
    Length {
        /// The file.
        file: FileId,
    },
    /// Makes the file's content and length durable → [`Outcome::Done`].
    Sync {
        /// The file.
        file: FileId,
    },
    /// Makes a directory's entries durable → [`Outcome::Done`]. The empty path is the data directory itself.
    SyncDirectory {
        /// The directory.
        path: String,
    },
    /// Makes a directory (mode 0700); one that is there is fine → [`Outcome::Done`].
    CreateDirectory {
        /// The directory.
        path: String,
    },
    /// Gives a file a second name; fails with `Exists` if that name is taken → [`Outcome::Done`].
    Link {
        /// The name that exists.
        from: String,
        /// The new name.
        to: String,
    },
    /// Removes a name → [`Outcome::Done`].
    Unlink {
        /// The name.
        path: String,
    },
    /// The names in a directory, sorted → [`Outcome::Names`].
    List {
        /// The directory.
        path: String,
    },
    /// Tries to take an open-file-description write lock on the whole file → [`Outcome::Lock`] (`true`: held now). Never waits.
    Lock {
        /// The file, opened for writing.
        file: FileId,
    },
    /// Whether somebody else holds a lock on the file (`F_OFD_GETLK`) → [`Outcome::Lock`].
    TestLock {
        /// The file.
        file: FileId,
    },
    /// Space on the file system → [`Outcome::Space`].
    Space,
    /// What is known of a process, from this machine's process table, never from the data directory → [`Outcome::Process`].
    Process {
        /// The process that is asked about.
        identity: ProcessIdentity,
    },
}

/// What a completed operation gives.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The file is open.
    Opened {
        /// Its id from now on.
        file: FileId,
        /// Its length in bytes.
        length: u64,
    },
    /// Nothing to tell.
    Done,
    /// Bytes read.
    Read(Bytes),
    /// What a file is.
    Length {
        /// Its length in bytes.
        bytes: u64,
        /// How many names it has: none once it was removed, or another file got its name.
        names: u64,
    },
    /// Names in a directory, sorted.
    Names(Vec<String>),
    /// Whether a lock is held: see the operation.
    Lock(bool),
    /// Space.
    Space(Space),
    /// A process's state.
    Process(ProcessState),
}

/// Space of a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// What an ordinary user may still take.
    pub available: u64,
    /// The whole size.
    pub total: u64,
}

/// What makes a process unique on its machine for ever.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessIdentity {
    /// The machine's name, for people.
    pub host: String,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// Inode of `/proc/self/ns/pid`.
    pub pid_namespace: u64,
    /// Process id in that namespace.
    pub pid: u32,
    /// Field 22 of `/proc/PID/stat`: clock ticks after boot.
    pub start_time: u64,
}

/// What this machine can say about a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessState {
    /// It runs on this machine.
    Runs,
    /// It ran on this very boot and pid namespace and is no more. Certain.
    Gone,
    /// Its boot id is not this boot. On a file system that only this machine can mount, that means gone.
    OtherBoot,
    /// Same boot, another pid namespace: nothing can be said.
    Unknown,
}

/// The file systems that the protocol knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// ext4, xfs, btrfs, tmpfs, overlay: one machine.
    Local,
    /// NFS version 4, EFS included.
    Nfs4,
    /// Anything else, FUSE included; with its name or magic number, for people.
    Unknown(String),
}

/// A failed operation: what, where, why.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{operation} {path}: {detail}")]
pub struct DiskError {
    /// What the caller must do about it.
    pub kind: DiskErrorKind,
    /// The operation in words: `open`, `write`, ….
    pub operation: &'static str,
    /// The file or directory.
    pub path: String,
    /// The system's own words.
    pub detail: String,
}

/// The few kinds of failure that callers tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskErrorKind {
    /// No such name.
    NotFound,
    /// The name is taken.
    Exists,
    /// ENOSPC, EDQUOT, or a write that ended short: the same bytes may be written again at the same offset later.
    NoSpace,
    /// ESTALE: the file is gone from the server, or the handle is.
    Stale,
    /// EACCES, EPERM, EROFS.
    Denied,
    /// EIO and everything else: final.
    Failed,
}
