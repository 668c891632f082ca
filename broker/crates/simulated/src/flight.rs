//! One operation under way: what it will do, what of it has been done, what will go wrong with it.

use std::sync::Arc;

use platform::{
    BLOCK_BYTES, Blocks, Class, DiskError, DiskErrorKind, FileId, Open, Operation, OperationId, Outcome,
    ProcessIdentity,
};

use crate::ProcessNumber;

/// An open file of a process.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    pub(crate) file: FileId,
    pub(crate) inode: u32,
    pub(crate) class: Class,
    pub(crate) writable: bool,
    pub(crate) path: Arc<str>,
}

/// An operation whose files have been looked up.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    Open {
        path: String,
        class: Class,
        how: Open,
    },
    Close {
        handle: Handle,
    },
    Read {
        handle: Handle,
        offset: u64,
        length: usize,
    },
    Write {
        handle: Handle,
        offset: u64,
        blocks: Arc<Blocks>,
        then_read: Option<(Handle, u64)>,
    },
    Reserve {
        handle: Handle,
        length: u64,
    },
    SetLength {
        handle: Handle,
        length: u64,
    },
    Length {
        handle: Handle,
    },
    Sync {
        handle: Handle,
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
        handle: Handle,
    },
    TestLock {
        handle: Handle,
    },
    Space,
    Process {
        identity: ProcessIdentity,
    },
}

/// What an operation answers; a file gets its number when its owner collects the answer, as on the real disk.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Opened {
        inode: u32,
        class: Class,
        writable: bool,
        path: Arc<str>,
        length: u64,
    },
    Outcome(Outcome),
}

pub(crate) type Completion = Result<Answer, DiskError>;

/// What will go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Nothing,
    Fail {
        kind: DiskErrorKind,
        took_effect: bool,
    },
    /// Only the first so many pieces of a write.
    Short {
        pieces: usize,
    },
    LostLinkReply,
    Misdirect,
}

/// The state of one piece of a change: a block of a write, or the whole of any other change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Pending,
    Landed,
}

#[derive(Clone, Debug)]
pub(crate) struct Flight {
    pub(crate) process: ProcessNumber,
    pub(crate) id: OperationId,
    pub(crate) work: Work,
    pub(crate) trouble: Trouble,
    pub(crate) units: Vec<Unit>,
    /// For a write: its promise holds (or it failed); only its answer is still under way.
    pub(crate) written: bool,
    pub(crate) result: Option<Completion>,
}

impl Flight {
    pub(crate) fn pending(&self) -> usize {
        self.units.iter().filter(|unit| **unit == Unit::Pending).count()
    }
}

/// Which bytes of a write go into which block.
pub(crate) struct Piece {
    pub(crate) block: u64,
    pub(crate) within: usize,
    pub(crate) from: usize,
    pub(crate) upto: usize,
}

const BLOCK: u64 = BLOCK_BYTES as u64;

/// Blocks that a write touches.
pub(crate) fn pieces(offset: u64, length: usize) -> usize {
    if length == 0 {
        0
    } else {
        ((offset + length as u64).div_ceil(BLOCK) - offset / BLOCK) as usize
    }
}

pub(crate) fn piece(offset: u64, length: usize, number: usize) -> Piece {
    let block = offset / BLOCK + number as u64;
    let (start, end) = (
        (block * BLOCK).max(offset),
        ((block + 1) * BLOCK).min(offset + length as u64),
    );
    Piece {
        block,
        within: (start % BLOCK) as usize,
        from: (start - offset) as usize,
        upto: (end - offset) as usize,
    }
}

impl Work {
    /// In words, as the real disk's errors say it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Work::Open { .. } => "open",
            Work::Close { .. } => "close",
            Work::Read { .. } => "read",
            Work::Write { .. } => "write",
            Work::Reserve { .. } => "reserve",
            Work::SetLength { .. } => "set the length of",
            Work::Length { .. } => "measure",
            Work::Sync { .. } => "sync",
            Work::SyncDirectory { .. } => "sync directory",
            Work::CreateDirectory { .. } => "create directory",
            Work::Link { .. } => "link",
            Work::Unlink { .. } => "unlink",
            Work::List { .. } => "list",
            Work::Lock { .. } => "lock",
            Work::TestLock { .. } => "test the lock of",
            Work::Space => "measure the space of",
            Work::Process { .. } => "look for a process in",
        }
    }

    pub(crate) fn path(&self) -> &str {
        match self {
            Work::Open { path, .. }
            | Work::SyncDirectory { path }
            | Work::CreateDirectory { path }
            | Work::Unlink { path }
            | Work::List { path }
            | Work::Link { to: path, .. } => path,
            Work::Close { handle }
            | Work::Read { handle, .. }
            | Work::Write { handle, .. }
            | Work::Reserve { handle, .. }
            | Work::SetLength { handle, .. }
            | Work::Length { handle }
            | Work::Sync { handle }
            | Work::Lock { handle }
            | Work::TestLock { handle } => &handle.path,
            Work::Space | Work::Process { .. } => "",
        }
    }

    pub(crate) fn error(&self, kind: DiskErrorKind, detail: impl Into<String>) -> DiskError {
        DiskError {
            kind,
            operation: self.name(),
            path: self.path().to_owned(),
            detail: detail.into(),
        }
    }

    /// The file that it works on.
    pub(crate) fn handle(&self) -> Option<&Handle> {
        match self {
            Work::Close { handle }
            | Work::Read { handle, .. }
            | Work::Write { handle, .. }
            | Work::Reserve { handle, .. }
            | Work::SetLength { handle, .. }
            | Work::Length { handle }
            | Work::Sync { handle }
            | Work::Lock { handle }
            | Work::TestLock { handle } => Some(handle),
            Work::Open { .. }
            | Work::SyncDirectory { .. }
            | Work::CreateDirectory { .. }
            | Work::Link { .. }
            | Work::Unlink { .. }
            | Work::List { .. }
            | Work::Space
            | Work::Process { .. } => None,
        }
    }

    /// How many pieces of change it consists of; none for what changes nothing that a crash could leave half-done.
    pub(crate) fn units(&self) -> usize {
        match self {
            Work::Write { offset, blocks, .. } => pieces(*offset, blocks.len()),
            Work::Open { how: Open::Create, .. }
            | Work::Reserve { .. }
            | Work::SetLength { .. }
            | Work::CreateDirectory { .. }
            | Work::Link { .. }
            | Work::Unlink { .. } => 1,
            Work::Open {
                how: Open::Read | Open::Write,
                ..
            }
            | Work::Close { .. }
            | Work::Read { .. }
            | Work::Length { .. }
            | Work::Sync { .. }
            | Work::SyncDirectory { .. }
            | Work::List { .. }
            | Work::Lock { .. }
            | Work::TestLock { .. }
            | Work::Space
            | Work::Process { .. } => 0,
        }
    }

    /// Whether the disk itself has to work: what a stall of writes stops.
    pub(crate) fn writes(&self) -> bool {
        self.units() > 0 || matches!(self, Work::Sync { .. } | Work::SyncDirectory { .. })
    }

    /// Whether it can find no space.
    pub(crate) fn takes_space(&self) -> bool {
        matches!(
            self,
            Work::Write { .. }
                | Work::Reserve { .. }
                | Work::Open { how: Open::Create, .. }
                | Work::Link { .. }
                | Work::CreateDirectory { .. }
        )
    }

    /// What the system refuses whatever the file holds.
    pub(crate) fn refusal(&self) -> Option<DiskError> {
        let bad = |name: &str| {
            name.split('/')
                .any(|part| ["", ".", ".."].contains(&part) || part.contains('\0'))
        };
        let invalid = || Some(self.error(DiskErrorKind::Failed, "Invalid argument (os error 22)"));
        match self {
            Work::Open { path, .. } | Work::CreateDirectory { path } | Work::Unlink { path } if bad(path) => invalid(),
            Work::Link { from, to } if bad(from) || bad(to) => invalid(),
            Work::SyncDirectory { path } | Work::List { path } if !path.is_empty() && bad(path) => invalid(),
            Work::Write {
                handle, offset, blocks, ..
            } if handle.class != Class::Plain
                && !(offset.is_multiple_of(BLOCK) && blocks.len().is_multiple_of(BLOCK_BYTES)) =>
            {
                let detail = format!(
                    "{} bytes at offset {offset} are not whole blocks of {BLOCK_BYTES} bytes",
                    blocks.len()
                );
                Some(self.error(DiskErrorKind::Failed, detail))
            }
            Work::Write { handle, .. } | Work::Lock { handle } if !handle.writable => {
                Some(self.error(DiskErrorKind::Failed, "Bad file descriptor (os error 9)"))
            }
            Work::Reserve { handle, .. } | Work::SetLength { handle, .. } if !handle.writable => invalid(),
            Work::Open { .. }
            | Work::Close { .. }
            | Work::Read { .. }
            | Work::Write { .. }
            | Work::Reserve { .. }
            | Work::SetLength { .. }
            | Work::Length { .. }
            | Work::Sync { .. }
            | Work::SyncDirectory { .. }
            | Work::CreateDirectory { .. }
            | Work::Link { .. }
            | Work::Unlink { .. }
            | Work::List { .. }
            | Work::Lock { .. }
            | Work::TestLock { .. }
            | Work::Space
            | Work::Process { .. } => None,
        }
    }
}

/// Looks an operation's files up; a file that is not open is the answer already.
pub(crate) fn resolve(operation: Operation, open: impl Fn(FileId) -> Option<Handle>) -> Result<Work, DiskError> {
    let find = |file: FileId, operation: &'static str| {
        open(file).ok_or_else(|| DiskError {
            kind: DiskErrorKind::Failed,
            operation,
            path: format!("file {}", file.0),
            detail: "no such file is open on this disk".to_owned(),
        })
    };
    Ok(match operation {
        Operation::Open { path, class, how } => Work::Open { path, class, how },
        Operation::Close { file } => Work::Close {
            handle: find(file, "close")?,
        },
        Operation::Read { file, offset, length } => Work::Read {
            handle: find(file, "read")?,
            offset,
            length,
        },
        Operation::Write { file, offset, blocks } => Work::Write {
            handle: find(file, "write")?,
            offset,
            blocks,
            then_read: None,
        },
        Operation::WriteThenRead {
            file,
            offset,
            blocks,
            read_file,
            read_offset,
        } => {
            let then_read = Some((find(read_file, "read")?, read_offset));
            Work::Write {
                handle: find(file, "write")?,
                offset,
                blocks,
                then_read,
            }
        }
        Operation::Reserve { file, length } => Work::Reserve {
            handle: find(file, "reserve")?,
            length,
        },
        Operation::SetLength { file, length } => Work::SetLength {
            handle: find(file, "set the length of")?,
            length,
        },
        Operation::Length { file } => Work::Length {
            handle: find(file, "measure")?,
        },
        Operation::Sync { file } => Work::Sync {
            handle: find(file, "sync")?,
        },
        Operation::SyncDirectory { path } => Work::SyncDirectory { path },
        Operation::CreateDirectory { path } => Work::CreateDirectory { path },
        Operation::Link { from, to } => Work::Link { from, to },
        Operation::Unlink { path } => Work::Unlink { path },
        Operation::List { path } => Work::List { path },
        Operation::Lock { file } => Work::Lock {
            handle: find(file, "lock")?,
        },
        Operation::TestLock { file } => Work::TestLock {
            handle: find(file, "test the lock of")?,
        },
        Operation::Space => Work::Space,
        Operation::Process { identity } => Work::Process { identity },
    })
}
