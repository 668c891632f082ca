//! A process that does one operation at a time, for the tests beside this folder.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::sync::Arc;

use platform::{BLOCK_BYTES, Blocks, Class, Disk, DiskError, FileId, Open, Operation, OperationId, Outcome};
use simulated::{MachineNumber, SimulatedDisk, SimulatedStorage};

pub(crate) struct Process {
    pub(crate) storage: SimulatedStorage,
    pub(crate) disk: SimulatedDisk,
    next: u64,
}

pub(crate) type Completion = Result<Outcome, DiskError>;

impl Process {
    pub(crate) fn start(storage: &SimulatedStorage, machine: MachineNumber) -> Process {
        Process {
            storage: storage.clone(),
            disk: storage.start_process(machine),
            next: 1,
        }
    }

    pub(crate) fn submit(&mut self, operation: Operation) -> OperationId {
        let id = OperationId(self.next);
        self.next += 1;
        self.disk.submit(id, operation);
        id
    }

    /// The next completion; `None` if nothing is under way.
    pub(crate) fn next(&mut self) -> Option<(OperationId, Completion)> {
        loop {
            if let Some(completion) = self.disk.completed() {
                return Some(completion);
            }
            let at = self.storage.next_completion_at()?;
            self.storage.advance_to(at);
        }
    }

    pub(crate) fn call(&mut self, operation: Operation) -> Completion {
        let id = self.submit(operation);
        let (completed, completion) = self.next().expect("it completes");
        assert_eq!(completed, id);
        completion
    }

    pub(crate) fn open(&mut self, path: &str, class: Class, how: Open) -> FileId {
        match self
            .call(Operation::Open {
                path: path.to_owned(),
                class,
                how,
            })
            .unwrap()
        {
            Outcome::Opened { file, .. } => file,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn write(&mut self, file: FileId, block: u64, bytes: &[u8]) {
        self.call(write(file, block, bytes)).unwrap();
    }

    pub(crate) fn read(&mut self, file: FileId, block: u64) -> u8 {
        let operation = Operation::Read {
            file,
            offset: block * BLOCK_BYTES as u64,
            length: BLOCK_BYTES,
        };
        match self.call(operation).unwrap() {
            Outcome::Read(bytes) => {
                assert!(bytes.iter().all(|byte| *byte == bytes[0]), "a torn block");
                bytes[0]
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn locked(&mut self, operation: Operation) -> bool {
        match self.call(operation).unwrap() {
            Outcome::Lock(held) => held,
            other => panic!("{other:?}"),
        }
    }
}

/// A write that fills one block with each of the bytes.
pub(crate) fn write(file: FileId, block: u64, bytes: &[u8]) -> Operation {
    let mut blocks = Blocks::with_capacity(bytes.len() * BLOCK_BYTES);
    for byte in bytes {
        blocks.extend_from_slice(&[*byte; BLOCK_BYTES]);
    }
    Operation::Write {
        file,
        offset: block * BLOCK_BYTES as u64,
        blocks: Arc::new(blocks),
    }
}

/// The first byte of each block of a file.
pub(crate) fn shown(storage: &SimulatedStorage, path: &str) -> Option<Vec<u8>> {
    Some(
        storage
            .read_file(path)?
            .chunks(BLOCK_BYTES)
            .map(|block| block[0])
            .collect(),
    )
}
