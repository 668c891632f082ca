//! A disk in memory. An operation is done when the test completes it, in any order.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use bytes::Bytes;
use platform::{
    BLOCK_BYTES, Blocks, Completion, Disk, DiskError, DiskErrorKind, FileId, FileSystem, Open, Operation, OperationId,
    Outcome,
};
use std::sync::Arc;

#[derive(Clone, Default)]
pub(crate) struct MemoryDisk(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    /// What survives a crash of the server, where it differs from `files`.
    durable: BTreeMap<String, Vec<u8>>,
    open: BTreeMap<FileId, String>,
    pending: Vec<(OperationId, Operation)>,
    completed: VecDeque<(OperationId, Completion)>,
    next_file: u32,
    /// The kind of failure of the writes from now on, after so many that succeed.
    failing: Option<(usize, DiskErrorKind)>,
    /// The kind of failure of every read from now on.
    failing_reads: Option<DiskErrorKind>,
    reads: usize,
    log: Vec<String>,
}

impl Disk for MemoryDisk {
    fn submit(&mut self, id: OperationId, operation: Operation) {
        self.0.borrow_mut().pending.push((id, operation));
    }

    fn completed(&mut self) -> Option<(OperationId, Completion)> {
        self.0.borrow_mut().completed.pop_front()
    }

    fn file_system(&self) -> FileSystem {
        FileSystem::Local
    }
}

impl MemoryDisk {
    pub(crate) fn new() -> MemoryDisk {
        MemoryDisk::default()
    }

    /// A disk with the same files, and nothing open or under way.
    pub(crate) fn copy(&self) -> MemoryDisk {
        let copy = MemoryDisk::new();
        copy.0.borrow_mut().files = self.0.borrow().files.clone();
        copy
    }

    pub(crate) fn put(&self, path: &str, bytes: Vec<u8>) {
        self.0.borrow_mut().files.insert(path.to_owned(), bytes);
    }

    pub(crate) fn get(&self, path: &str) -> Vec<u8> {
        self.0.borrow().files[path].clone()
    }

    pub(crate) fn remove(&self, path: &str) {
        self.0.borrow_mut().files.remove(path).expect("the file is there");
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.0.borrow().files.keys().cloned().collect()
    }

    pub(crate) fn edit(&self, path: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        edit(self.0.borrow_mut().files.get_mut(path).expect("the file is there"));
    }

    /// From now on only what is written counts as durable; what is there now in `path` is visible only.
    pub(crate) fn visible_only(&self, path: &str, durable: Vec<u8>) {
        self.0.borrow_mut().durable.insert(path.to_owned(), durable);
    }

    /// The server crashes: what was visible only is gone.
    pub(crate) fn server_crash(&self) {
        let mut state = self.0.borrow_mut();
        let durable = std::mem::take(&mut state.durable);
        state.files.extend(durable);
    }

    pub(crate) fn pending(&self) -> usize {
        self.0.borrow().pending.len()
    }

    /// What is under way, aside.
    pub(crate) fn hold(&self) -> Vec<(OperationId, Operation)> {
        std::mem::take(&mut self.0.borrow_mut().pending)
    }

    pub(crate) fn release(&self, held: Vec<(OperationId, Operation)>) {
        let mut state = self.0.borrow_mut();
        let since = std::mem::replace(&mut state.pending, held);
        state.pending.extend(since);
    }

    pub(crate) fn complete_all(&self) {
        while self.pending() > 0 {
            self.complete(0);
        }
    }

    /// Completes the operation at this place among those under way.
    pub(crate) fn complete(&self, index: usize) {
        let mut state = self.0.borrow_mut();
        let (id, operation) = state.pending.remove(index);
        let completion = state.execute(operation);
        state.completed.push_back((id, completion));
    }

    /// Lets writes fail from the `after`-th on.
    pub(crate) fn fail_writes(&self, after: usize, kind: DiskErrorKind) {
        self.0.borrow_mut().failing = Some((after, kind));
    }

    pub(crate) fn fail_reads(&self, kind: DiskErrorKind) {
        self.0.borrow_mut().failing_reads = Some(kind);
    }

    pub(crate) fn heal(&self) {
        self.0.borrow_mut().failing = None;
        self.0.borrow_mut().failing_reads = None;
    }

    pub(crate) fn reads(&self) -> usize {
        self.0.borrow().reads
    }

    pub(crate) fn open_files(&self) -> usize {
        self.0.borrow().open.len()
    }

    /// Every operation executed, in words.
    pub(crate) fn log(&self) -> Vec<String> {
        self.0.borrow().log.clone()
    }

    /// The writes under way: path, offset, bytes.
    pub(crate) fn writes_under_way(&self) -> Vec<(String, usize, Arc<Blocks>)> {
        let state = self.0.borrow();
        let mut writes = Vec::new();
        for (_, operation) in &state.pending {
            if let Operation::WriteThenRead {
                file, offset, blocks, ..
            } = operation
            {
                writes.push((state.open[file].clone(), *offset as usize, blocks.clone()));
            }
        }
        writes
    }
}

fn error(kind: DiskErrorKind, operation: &'static str, path: &str) -> DiskError {
    DiskError {
        kind,
        operation,
        path: path.to_owned(),
        detail: format!("{kind:?}"),
    }
}

impl State {
    fn execute(&mut self, operation: Operation) -> Completion {
        match operation {
            Operation::Open { path, how, .. } => {
                self.log.push(format!("open {path} {how:?}"));
                match (how, self.files.contains_key(&path)) {
                    (Open::Create, true) => return Err(error(DiskErrorKind::Exists, "open", &path)),
                    (Open::Read | Open::Write, false) => return Err(error(DiskErrorKind::NotFound, "open", &path)),
                    (Open::Create, false) => {
                        self.files.insert(path.clone(), Vec::new());
                    }
                    (Open::Read | Open::Write, true) => {}
                }
                self.next_file += 1;
                let file = FileId(self.next_file);
                let length = self.files[&path].len() as u64;
                self.open.insert(file, path);
                Ok(Outcome::Opened { file, length })
            }
            Operation::Close { file } => {
                self.open.remove(&file).expect("a file is closed once");
                Ok(Outcome::Done)
            }
            Operation::Read { file, offset, length } => {
                self.reads += 1;
                if let Some(kind) = self.failing_reads {
                    return Err(error(kind, "read", &self.open[&file]));
                }
                let bytes = &self.files[&self.open[&file]];
                let from = bytes.len().min(offset as usize);
                let to = bytes.len().min(from + length);
                Ok(Outcome::Read(Bytes::copy_from_slice(&bytes[from..to])))
            }
            Operation::Write { file, offset, blocks } => {
                self.write(file, offset as usize, &blocks)?;
                Ok(Outcome::Done)
            }
            Operation::WriteThenRead {
                file,
                offset,
                blocks,
                read_file,
                read_offset,
            } => {
                let length = self.files[&self.open[&file]].len();
                assert!(
                    offset as usize + blocks.len() <= length,
                    "a batch lies inside its segment"
                );
                assert!((offset as usize).is_multiple_of(BLOCK_BYTES) && blocks.len().is_multiple_of(BLOCK_BYTES));
                self.write(file, offset as usize, &blocks)?;
                self.execute(Operation::Read {
                    file: read_file,
                    offset: read_offset,
                    length: BLOCK_BYTES,
                })
            }
            Operation::Sync { file } => {
                let path = self.open[&file].clone();
                self.log.push(format!("sync {path}"));
                Ok(Outcome::Done)
            }
            Operation::SyncDirectory { path } => {
                self.log.push(format!("sync directory {path}"));
                Ok(Outcome::Done)
            }
            Operation::Unlink { path } => match self.files.remove(&path) {
                Some(_) => Ok(Outcome::Done),
                None => Err(error(DiskErrorKind::NotFound, "unlink", &path)),
            },
            Operation::List { path } => {
                let prefix = format!("{path}/");
                let names = self.files.keys().filter_map(|name| name.strip_prefix(&prefix));
                Ok(Outcome::Names(names.map(str::to_owned).collect()))
            }
            other => panic!("the journal does not ask for {other:?}"),
        }
    }

    fn write(&mut self, file: FileId, offset: usize, blocks: &Blocks) -> Result<(), DiskError> {
        let path = self.open[&file].clone();
        self.log.push(format!("write {path} {offset} {}", blocks.len()));
        match &mut self.failing {
            Some((0, kind)) => return Err(error(*kind, "write", &path)),
            Some((after, _)) => *after -= 1,
            None => {}
        }
        for files in [&mut self.durable, &mut self.files] {
            if let Some(bytes) = files.get_mut(&path) {
                let end = offset + blocks.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[offset..end].copy_from_slice(blocks);
            }
        }
        Ok(())
    }
}
