//! One process's handle on a simulated storage.

use platform::{Disk, DiskError, FileSystem, Operation, OperationId, Outcome, ProcessIdentity};

use crate::{Crash, Landed, ProcessNumber, SimulatedStorage};

/// A simulated process's disk. After the process died it takes and gives nothing.
pub struct SimulatedDisk {
    storage: SimulatedStorage,
    process: ProcessNumber,
}

impl SimulatedDisk {
    pub(crate) fn new(storage: SimulatedStorage, process: ProcessNumber) -> SimulatedDisk {
        SimulatedDisk { storage, process }
    }

    /// The process that this is the disk of.
    pub fn process(&self) -> ProcessNumber {
        self.process
    }

    /// Who that process is, on its machine: what a claim would say of it.
    pub fn identity(&self) -> ProcessIdentity {
        self.storage.identity(self.process)
    }

    /// Whether the process is alive.
    pub fn is_alive(&self) -> bool {
        self.storage.with(|world| world.is_alive(self.process))
    }

    /// Kills the process.
    pub fn crash(&mut self, landed: Landed) {
        self.storage.crash(Crash::Process(self.process), landed);
    }

    /// How many blocks and other changes of this process are in flight.
    pub fn in_flight_blocks(&self) -> usize {
        self.storage.open_things(Crash::Process(self.process))
    }
}

impl Disk for SimulatedDisk {
    fn submit(&mut self, id: OperationId, operation: Operation) {
        self.storage.submit(self.process, id, operation);
    }

    fn completed(&mut self) -> Option<(OperationId, Result<Outcome, DiskError>)> {
        self.storage.collect(self.process)
    }

    fn file_system(&self) -> FileSystem {
        self.storage.with(|world| world.file_system.clone())
    }
}
