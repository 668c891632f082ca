//! Procedures of many disk steps, written as futures and polled by hand.
//!
//! [`Files`] shares one [`Disk`] between the procedures of a node. A procedure awaits a disk operation or a moment of boot time; its owner calls
//! [`Files::turn`] with the present time, then polls its [`Task`]s. There is no executor, waker or thread: the order is the owner's, so the simulation
//! replays it exactly. Operations on the hot path skip the future: [`Files::submit`] and [`Files::take`].

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::{
    Blocks, BootTime, Class, Disk, DiskError, FileId, FileSystem, Now, Open, Operation, OperationId, Outcome,
    ProcessIdentity, ProcessState, Space,
};

/// What one operation came to.
pub type Completion = Result<Outcome, DiskError>;

/// A shared handle on one disk and the present time.
#[derive(Clone)]
pub struct Files(Rc<RefCell<Inner>>);

struct Inner {
    disk: Box<dyn Disk>,
    next: u64,
    now: Now,
    /// Awaited by a future: `None` while in flight.
    awaited: BTreeMap<OperationId, Option<Completion>>,
    /// Submitted without a future.
    taken: VecDeque<(OperationId, Completion)>,
    /// Abandoned by their future; the completion is dropped.
    abandoned: BTreeSet<OperationId>,
    /// When a sleeping procedure wants to be polled: each with the sleeper's number.
    sleepers: BTreeSet<(BootTime, u64)>,
}

impl Files {
    /// A handle on `disk`.
    pub fn new(disk: Box<dyn Disk>, now: Now) -> Files {
        Files(Rc::new(RefCell::new(Inner {
            disk,
            next: 1,
            now,
            awaited: BTreeMap::new(),
            taken: VecDeque::new(),
            abandoned: BTreeSet::new(),
            sleepers: BTreeSet::new(),
        })))
    }

    /// Sets the present and collects what the disk has completed. Returns how many operations completed; poll every task after it.
    pub fn turn(&self, now: Now) -> usize {
        let mut inner = self.0.borrow_mut();
        inner.now = now;
        let mut count = 0;
        while let Some((id, completion)) = inner.disk.completed() {
            count += 1;
            if let Some(slot) = inner.awaited.get_mut(&id) {
                *slot = Some(completion);
            } else if !inner.abandoned.remove(&id) {
                inner.taken.push_back((id, completion));
            }
        }
        count
    }

    /// The present, as of the last turn.
    pub fn now(&self) -> Now {
        self.0.borrow().now
    }

    /// The earliest moment at which a sleeping procedure wants to be polled.
    pub fn next_deadline(&self) -> Option<BootTime> {
        self.0.borrow().sleepers.first().map(|(at, _)| *at)
    }

    /// The file system that holds the data directory.
    pub fn file_system(&self) -> FileSystem {
        self.0.borrow().disk.file_system()
    }

    /// Starts an operation whose completion will be returned by [`Files::take`].
    pub fn submit(&self, operation: Operation) -> OperationId {
        let mut inner = self.0.borrow_mut();
        let id = inner.fresh_id();
        inner.disk.submit(id, operation);
        id
    }

    /// The next completion of an operation started by [`Files::submit`], in the order in which the disk completed them.
    pub fn take(&self) -> Option<(OperationId, Completion)> {
        self.0.borrow_mut().taken.pop_front()
    }

    /// Starts an operation and waits for it.
    pub fn call(&self, operation: Operation) -> impl Future<Output = Completion> + use<> {
        let id = {
            let mut inner = self.0.borrow_mut();
            let id = inner.fresh_id();
            inner.awaited.insert(id, None);
            inner.disk.submit(id, operation);
            id
        };
        Call {
            files: self.clone(),
            id,
        }
    }

    /// Waits until boot time reaches `at`.
    pub fn sleep_until(&self, at: BootTime) -> impl Future<Output = ()> + use<> {
        let number = self.0.borrow_mut().fresh_id().0;
        Sleep {
            files: self.clone(),
            key: (at, number),
        }
    }

    /// Opens a file; gives its id and length in bytes.
    pub async fn open(&self, path: &str, class: Class, how: Open) -> Result<(FileId, u64), DiskError> {
        match self
            .call(Operation::Open {
                path: path.to_owned(),
                class,
                how,
            })
            .await?
        {
            Outcome::Opened { file, length } => Ok((file, length)),
            other => mismatch("open", other),
        }
    }

    /// Closes a file.
    pub async fn close(&self, file: FileId) -> Result<(), DiskError> {
        self.done(Operation::Close { file }).await
    }

    /// Reads up to `length` bytes at `offset`; fewer only where the file ends.
    pub async fn read(&self, file: FileId, offset: u64, length: usize) -> Result<Bytes, DiskError> {
        match self.call(Operation::Read { file, offset, length }).await? {
            Outcome::Read(bytes) => Ok(bytes),
            other => mismatch("read", other),
        }
    }

    /// Writes `blocks` at `offset`.
    pub async fn write(&self, file: FileId, offset: u64, blocks: Arc<Blocks>) -> Result<(), DiskError> {
        self.done(Operation::Write { file, offset, blocks }).await
    }

    /// Reserves space so that the file is `length` bytes long.
    pub async fn reserve(&self, file: FileId, length: u64) -> Result<(), DiskError> {
        self.done(Operation::Reserve { file, length }).await
    }

    /// Cuts or extends a file.
    pub async fn set_length(&self, file: FileId, length: u64) -> Result<(), DiskError> {
        self.done(Operation::SetLength { file, length }).await
    }

    /// Makes a file durable.
    pub async fn sync(&self, file: FileId) -> Result<(), DiskError> {
        self.done(Operation::Sync { file }).await
    }

    /// How many names a file has.
    pub async fn names_of(&self, file: FileId) -> Result<u64, DiskError> {
        match self.call(Operation::Length { file }).await? {
            Outcome::Length { names, .. } => Ok(names),
            other => mismatch("measure", other),
        }
    }

    /// Makes a directory's entries durable.
    pub async fn sync_directory(&self, path: &str) -> Result<(), DiskError> {
        self.done(Operation::SyncDirectory { path: path.to_owned() }).await
    }

    /// Makes a directory, or finds it there.
    pub async fn create_directory(&self, path: &str) -> Result<(), DiskError> {
        self.done(Operation::CreateDirectory { path: path.to_owned() }).await
    }

    /// Gives a file a second name.
    pub async fn link(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.done(Operation::Link {
            from: from.to_owned(),
            to: to.to_owned(),
        })
        .await
    }

    /// Removes a name.
    pub async fn unlink(&self, path: &str) -> Result<(), DiskError> {
        self.done(Operation::Unlink { path: path.to_owned() }).await
    }

    /// The sorted names in a directory.
    pub async fn list(&self, path: &str) -> Result<Vec<String>, DiskError> {
        match self.call(Operation::List { path: path.to_owned() }).await? {
            Outcome::Names(names) => Ok(names),
            other => mismatch("list", other),
        }
    }

    /// Tries to take the write lock on a file; `false` if somebody else holds it.
    pub async fn lock(&self, file: FileId) -> Result<bool, DiskError> {
        match self.call(Operation::Lock { file }).await? {
            Outcome::Lock(held) => Ok(held),
            other => mismatch("lock", other),
        }
    }

    /// Whether somebody else holds a lock on a file.
    pub async fn test_lock(&self, file: FileId) -> Result<bool, DiskError> {
        match self.call(Operation::TestLock { file }).await? {
            Outcome::Lock(held) => Ok(held),
            other => mismatch("test the lock of", other),
        }
    }

    /// Space on the file system.
    pub async fn space(&self) -> Result<Space, DiskError> {
        match self.call(Operation::Space).await? {
            Outcome::Space(space) => Ok(space),
            other => mismatch("measure the space of", other),
        }
    }

    /// What this machine knows of a process.
    pub async fn process(&self, identity: &ProcessIdentity) -> Result<ProcessState, DiskError> {
        match self
            .call(Operation::Process {
                identity: identity.clone(),
            })
            .await?
        {
            Outcome::Process(state) => Ok(state),
            other => mismatch("look for the process of", other),
        }
    }

    async fn done(&self, operation: Operation) -> Result<(), DiskError> {
        match self.call(operation).await? {
            Outcome::Done => Ok(()),
            other => mismatch("finish", other),
        }
    }
}

/// A disk that answers an operation with another's outcome is broken code, not a broken disk.
fn mismatch<T>(operation: &'static str, outcome: Outcome) -> Result<T, DiskError> {
    unreachable!("the disk was asked to {operation} and answered {outcome:?}")
}

impl Inner {
    fn fresh_id(&mut self) -> OperationId {
        let id = OperationId(self.next);
        self.next += 1;
        id
    }
}

struct Call {
    files: Files,
    id: OperationId,
}

impl Future for Call {
    type Output = Completion;
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Completion> {
        let mut inner = self.files.0.borrow_mut();
        match inner.awaited.get_mut(&self.id).and_then(Option::take) {
            None => Poll::Pending,
            Some(completion) => {
                inner.awaited.remove(&self.id);
                Poll::Ready(completion)
            }
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut inner = self.files.0.borrow_mut();
        if let Some(None) = inner.awaited.remove(&self.id) {
            inner.abandoned.insert(self.id);
        }
    }
}

struct Sleep {
    files: Files,
    key: (BootTime, u64),
}

impl Future for Sleep {
    type Output = ();
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.files.0.borrow_mut();
        if inner.now.boot >= self.key.0 {
            inner.sleepers.remove(&self.key);
            Poll::Ready(())
        } else {
            inner.sleepers.insert(self.key);
            Poll::Pending
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.files.0.borrow_mut().sleepers.remove(&self.key);
    }
}

/// A procedure under way: a future that its owner polls by hand.
pub struct Task<T>(Pin<Box<dyn Future<Output = T>>>);

impl<T> Task<T> {
    /// Wraps a procedure; nothing happens before the first poll.
    pub fn new(procedure: impl Future<Output = T> + 'static) -> Task<T> {
        Task(Box::pin(procedure))
    }

    /// Lets the procedure go on as far as it can; gives its result once, after which the task must be dropped.
    pub fn poll(&mut self) -> Option<T> {
        match self.0.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        }
    }
}
