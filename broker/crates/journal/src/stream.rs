//! A file read from front to back, a few steps ahead of whoever reads.
//!
//! Invariant: at most [`STEPS_AHEAD`] steps of [`STEP_BYTES`] are held beyond what was asked for.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use platform::{Class, Completion, DiskError, DiskErrorKind, FileId, Files, Open, Operation, Outcome};

/// Bytes of one read.
const STEP_BYTES: u64 = 1 << 20;
/// Reads out at a time.
const STEPS_AHEAD: usize = 3;

type Pending = Pin<Box<dyn Future<Output = Completion>>>;

/// One file under way.
pub(crate) struct FileStream {
    files: Files,
    file: FileId,
    /// The file's length.
    length: u64,
    /// Where the next read begins.
    next: u64,
    pending: VecDeque<Pending>,
    /// What was read and may still be wanted, without gaps: each with its first byte.
    held: VecDeque<(u64, Bytes)>,
}

impl FileStream {
    /// Opens a file for reading from `offset` on; `None` if it does not exist.
    pub(crate) async fn open(
        files: &Files,
        path: String,
        class: Class,
        offset: u64,
    ) -> Result<Option<FileStream>, DiskError> {
        match files.open(&path, class, Open::Read).await {
            Ok((file, length)) => Ok(Some(FileStream {
                files: files.clone(),
                file,
                length,
                next: offset,
                pending: VecDeque::new(),
                held: VecDeque::new(),
            })),
            Err(error) if error.kind == DiskErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The file's length in bytes.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// `length` bytes from `offset` on, which never falls from one call to the next; `None` if the file ends before.
    pub(crate) async fn get(&mut self, offset: u64, length: usize) -> Result<Option<Bytes>, DiskError> {
        // What a file says of another's bytes may lie anywhere, also beyond what 64 bits count.
        let Some(end) = offset.checked_add(length as u64).filter(|end| *end <= self.length) else {
            return Ok(None);
        };
        self.drop_before(offset);
        while self
            .held
            .back()
            .is_none_or(|(at, bytes)| at + (bytes.len() as u64) < end)
        {
            self.read_ahead();
            let expected = self.held_through();
            let Some(pending) = self.pending.pop_front() else {
                return Ok(None);
            };
            let bytes = match pending.await? {
                Outcome::Read(bytes) => bytes,
                other => unreachable!("the disk was asked to read and answered {other:?}"),
            };
            let at = expected;
            let wanted = STEP_BYTES.min(self.length - at);
            if (bytes.len() as u64) < wanted {
                // The file is shorter than it was when it was opened.
                self.length = at + bytes.len() as u64;
                self.pending.clear();
                self.next = self.length;
            }
            self.held.push_back((at, bytes));
            self.drop_before(offset);
            if end > self.length {
                return Ok(None);
            }
        }
        Ok(Some(self.cut(offset, length)))
    }

    fn drop_before(&mut self, offset: u64) {
        while self
            .held
            .front()
            .is_some_and(|(at, bytes)| at + bytes.len() as u64 <= offset)
        {
            self.held.pop_front();
        }
    }

    /// Where the first pending read began.
    fn held_through(&self) -> u64 {
        let pending = self.pending.len() as u64 * STEP_BYTES;
        // Every read but the last is a whole step, and `next` may lie beyond the end by less than a step.
        self.next - pending
    }

    fn read_ahead(&mut self) {
        while self.pending.len() < STEPS_AHEAD && self.next < self.length {
            let read = self.files.call(Operation::Read {
                file: self.file,
                offset: self.next,
                length: STEP_BYTES.min(self.length - self.next) as usize,
            });
            self.pending.push_back(Box::pin(read));
            self.next += STEP_BYTES;
        }
    }

    fn cut(&self, offset: u64, length: usize) -> Bytes {
        let end = offset + length as u64;
        let mut whole = BytesMut::new();
        for (at, bytes) in &self.held {
            let from = offset.max(*at);
            let to = end.min(at + bytes.len() as u64);
            if from >= to {
                continue;
            }
            let part = bytes.slice((from - at) as usize..(to - at) as usize);
            if part.len() == length {
                return part;
            }
            whole.extend_from_slice(&part);
        }
        whole.freeze()
    }

    /// Closes the file.
    pub(crate) async fn close(self) -> Result<(), DiskError> {
        drop(self.pending);
        self.files.close(self.file).await
    }
}
