//! What operations do when their moments come: pieces land, promises come into force, answers are fixed.

use std::sync::Arc;

use bytes::Bytes;
use platform::{
    BLOCK_BYTES, Class, DiskError, DiskErrorKind, FileSystem, Open, Outcome, ProcessIdentity, ProcessState,
};

use crate::flight::{Answer, Completion, Flight, Trouble, Unit, Work, piece};
use crate::inode::Inode;
use crate::tree::Entry;
use crate::world::{Event, Process, Unlinker, World};
use crate::{MachineNumber, ProcessNumber};

impl World {
    pub(crate) fn handle(&mut self, event: Event) {
        let number = event.flight();
        // Without its flight an event means nothing any more.
        let Some(mut flight) = self.flights.remove(&number) else {
            return;
        };
        let alive = self.is_alive(flight.process);
        match event {
            Event::Land { unit, .. } => {
                if flight.trouble == Trouble::Nothing || flight.trouble == Trouble::Misdirect {
                    self.land(&mut flight, unit, u8::MAX);
                }
                // What is left of a dead process's operation is gone when its last piece has landed.
                if alive || flight.pending() > 0 {
                    self.flights.insert(number, flight);
                } else {
                    self.forget_unreachable();
                }
            }
            Event::Written { .. } => {
                self.write(&mut flight);
                self.flights.insert(number, flight);
            }
            Event::Act { .. } => {
                self.act(&mut flight);
                self.flights.insert(number, flight);
            }
            Event::Finish { .. } => {
                self.write(&mut flight);
                self.act(&mut flight);
                self.finish(number, flight);
            }
        }
    }

    fn finish(&mut self, number: u64, flight: Flight) {
        let earlier = self
            .flights
            .range(..number)
            .any(|(_, other)| other.process == flight.process);
        if earlier {
            self.coverage.count("reordered");
        }
        let frees = matches!(
            flight.work,
            Work::Close { .. } | Work::Unlink { .. } | Work::SyncDirectory { .. }
        );
        if let (Some(result), Some(process)) = (flight.result, self.processes.get_mut(&flight.process))
            && process.alive
        {
            process.done.push_back((flight.id, result));
        }
        if frees {
            self.forget_unreachable();
        }
    }

    /// Lets one piece of a change become visible, the chosen sectors of it if it is a block of a write.
    pub(crate) fn land(&mut self, flight: &mut Flight, unit: usize, sectors: u8) {
        if flight.units.get(unit) != Some(&Unit::Pending) {
            return;
        }
        flight.units[unit] = Unit::Landed;
        let Work::Write {
            handle, offset, blocks, ..
        } = &flight.work
        else {
            let machine = self.processes[&flight.process].machine;
            // Nobody is left to be told how it went.
            let _ = self.perform(flight.process, machine, &flight.work);
            return;
        };
        let mut place = piece(*offset, blocks.len(), unit);
        let mut inode = handle.inode;
        let mut astray = false;
        // The first piece goes astray; the others show that the write happened.
        if flight.trouble == Trouble::Misdirect && unit == 0 {
            let candidates: Vec<_> = self
                .inodes
                .iter()
                .flat_map(|(number, inode)| inode.written_blocks().map(|block| (*number, block)))
                .filter(|target| *target != (inode, place.block))
                .collect();
            if let Some(target) = candidates.get(self.prng.index(candidates.len())) {
                (inode, place.block) = *target;
                astray = true;
                self.coverage.count("misdirected");
            }
        }
        let Some(file) = self.inodes.get_mut(&inode) else {
            return;
        };
        let file = Arc::make_mut(file);
        if sectors == u8::MAX {
            file.put_written(place.block, place.within, blocks, place.from, place.upto);
        } else {
            file.put_sectors(place.block, place.within, &blocks[place.from..place.upto], sectors);
        }
        if astray {
            // It is where it should not be, to stay.
            file.make_durable(place.block * BLOCK_BYTES as u64, BLOCK_BYTES as u64);
        }
    }

    /// The write call returns: all of it is there and, if its class says so, durable; or it failed.
    fn write(&mut self, flight: &mut Flight) {
        if flight.written {
            return;
        }
        flight.written = true;
        let Work::Write {
            handle,
            offset,
            blocks,
            then_read,
        } = &flight.work
        else {
            return;
        };
        let (inode, class, offset, length, reads) =
            (handle.inode, handle.class, *offset, blocks.len(), then_read.is_some());
        if let Some(error) = self.stale(flight.process, inode, &flight.work) {
            flight.result = Some(Err(error));
            return;
        }
        match flight.trouble {
            Trouble::Nothing | Trouble::Misdirect | Trouble::LostLinkReply => {
                for unit in 0..flight.units.len() {
                    self.land(flight, unit, u8::MAX);
                }
                match class {
                    Class::Cell | Class::Segment => {
                        if let Some(file) = self.inodes.get_mut(&inode) {
                            Arc::make_mut(file).make_durable(offset, length as u64);
                        }
                    }
                    Class::Plain => {}
                }
                if !reads {
                    flight.result = Some(Ok(Answer::Outcome(Outcome::Done)));
                }
            }
            Trouble::Short { pieces } => {
                let pieces = pieces.min(flight.units.len());
                for unit in 0..pieces {
                    self.land(flight, unit, u8::MAX);
                }
                self.coverage.count("short write");
                let detail = format!("only the first {pieces} blocks were written: no space left");
                flight.result = Some(Err(flight.work.error(DiskErrorKind::NoSpace, detail)));
            }
            Trouble::Fail { kind, took_effect } => {
                let unclear = matches!(kind, DiskErrorKind::Failed | DiskErrorKind::Stale);
                for unit in 0..flight.units.len() {
                    if unclear && (took_effect || self.prng.below(2) == 0) {
                        self.land(flight, unit, u8::MAX);
                    }
                }
                flight.result = Some(Err(self.failure(&flight.work, kind)));
            }
        }
        // What a failed write did not land, never lands.
        flight.units.fill(Unit::Landed);
    }

    fn failure(&mut self, work: &Work, kind: DiskErrorKind) -> DiskError {
        let (name, detail) = match kind {
            DiskErrorKind::NotFound => ("not found", "No such file or directory (os error 2)"),
            DiskErrorKind::Exists => ("exists", "File exists (os error 17)"),
            DiskErrorKind::NoSpace => ("no space", "No space left on device (os error 28)"),
            DiskErrorKind::Stale => ("stale", "Stale file handle (os error 116)"),
            DiskErrorKind::Denied => ("denied", "Permission denied (os error 13)"),
            DiskErrorKind::Failed => ("failed", "Input/output error (os error 5)"),
        };
        self.coverage.count(name);
        work.error(kind, detail)
    }

    fn stale(&mut self, process: ProcessNumber, inode: u32, work: &Work) -> Option<DiskError> {
        let machine = self.processes.get(&process)?.machine;
        // The machine that unlinks an open file keeps it under another name (RFC 8881 leaves that to clients; Linux' does it).
        let foreign = self
            .unlinked_by
            .get(&inode)
            .is_some_and(|by| *by != Unlinker::Machine(machine));
        (self.file_system == FileSystem::Nfs4 && foreign).then(|| self.failure(work, DiskErrorKind::Stale))
    }

    /// What is no write takes effect, and its answer is fixed.
    fn act(&mut self, flight: &mut Flight) {
        if flight.result.is_some() {
            return;
        }
        let Some(machine) = self.processes.get(&flight.process).map(|process| process.machine) else {
            return;
        };
        let effect = match flight.trouble {
            Trouble::Fail { took_effect, .. } => took_effect,
            Trouble::Nothing | Trouble::Short { .. } | Trouble::LostLinkReply | Trouble::Misdirect => true,
        };
        let mut result = if effect {
            self.perform(flight.process, machine, &flight.work)
        } else {
            Ok(Answer::Outcome(Outcome::Done))
        };
        match flight.trouble {
            Trouble::Fail { kind, .. } => result = Err(self.failure(&flight.work, kind)),
            Trouble::LostLinkReply if matches!(flight.work, Work::Link { .. }) && result.is_ok() => {
                self.coverage.count("lost link reply");
                result = Err(flight.work.error(DiskErrorKind::Exists, "File exists (os error 17)"));
            }
            Trouble::Nothing | Trouble::Short { .. } | Trouble::LostLinkReply | Trouble::Misdirect => {}
        }
        flight.units.fill(Unit::Landed);
        flight.result = Some(result);
    }

    fn perform(&mut self, process: ProcessNumber, machine: MachineNumber, work: &Work) -> Completion {
        if let Some(handle) = work.handle()
            && !matches!(work, Work::Close { .. } | Work::Write { .. })
            && let Some(error) = self.stale(process, handle.inode, work)
        {
            return Err(error);
        }
        let outcome = match work {
            Work::Open { path, class, how } => return self.open(work, path, *class, *how),
            Work::Close { handle } => {
                if self.locks.get(&handle.inode) == Some(&(process, handle.file)) {
                    self.locks.remove(&handle.inode);
                }
                Outcome::Done
            }
            Work::Read { handle, offset, length } => Outcome::Read(self.read(handle.inode, *offset, *length)),
            Work::Write {
                then_read: Some((handle, offset)),
                ..
            } => {
                if let Some(error) = self.stale(process, handle.inode, work) {
                    return Err(error);
                }
                Outcome::Read(self.read(handle.inode, *offset, BLOCK_BYTES))
            }
            Work::Write { then_read: None, .. } => Outcome::Done,
            Work::Reserve { handle, length } => {
                let free = self.space().available;
                let file = Arc::make_mut(self.inodes.get_mut(&handle.inode).expect("an open file has an inode"));
                if self.capacity.is_some() && file.missing_for(*length) * BLOCK_BYTES as u64 > free {
                    return Err(self.failure(work, DiskErrorKind::NoSpace));
                }
                file.reserve(*length);
                Outcome::Done
            }
            Work::SetLength { handle, length } => {
                Arc::make_mut(self.inodes.get_mut(&handle.inode).expect("an open file has an inode"))
                    .set_length(*length);
                Outcome::Done
            }
            Work::Length { handle } => Outcome::Length {
                bytes: self.inodes[&handle.inode].length(),
                names: self.tree.links(handle.inode) as u64,
            },
            Work::Sync { handle } => {
                Arc::make_mut(self.inodes.get_mut(&handle.inode).expect("an open file has an inode")).sync();
                Outcome::Done
            }
            Work::SyncDirectory { path } => {
                self.directory(work, path)?;
                Arc::make_mut(&mut self.tree).sync(path);
                Outcome::Done
            }
            Work::CreateDirectory { path } => {
                self.parent(work, path)?;
                match self.tree.get(path) {
                    None => Arc::make_mut(&mut self.tree).insert(path, Entry::Directory),
                    Some(Entry::Directory) => {}
                    Some(Entry::File(_)) => return Err(work.error(DiskErrorKind::Exists, "File exists (os error 17)")),
                }
                Outcome::Done
            }
            Work::Link { from, to } => {
                self.parent(work, from)?;
                self.parent(work, to)?;
                let inode = match self.tree.get(from) {
                    None => {
                        let detail = "No such file or directory (os error 2)".to_owned();
                        let (kind, operation) = (DiskErrorKind::NotFound, work.name());
                        return Err(DiskError {
                            kind,
                            operation,
                            path: from.clone(),
                            detail,
                        });
                    }
                    Some(Entry::Directory) => {
                        return Err(work.error(DiskErrorKind::Denied, "Operation not permitted (os error 1)"));
                    }
                    Some(Entry::File(inode)) => inode,
                };
                if self.tree.get(to).is_some() {
                    return Err(work.error(DiskErrorKind::Exists, "File exists (os error 17)"));
                }
                Arc::make_mut(&mut self.tree).insert(to, Entry::File(inode));
                Outcome::Done
            }
            Work::Unlink { path } => {
                self.parent(work, path)?;
                match self.tree.get(path) {
                    None => return Err(work.error(DiskErrorKind::NotFound, "No such file or directory (os error 2)")),
                    Some(Entry::Directory) => {
                        return Err(work.error(DiskErrorKind::Failed, "Is a directory (os error 21)"));
                    }
                    Some(Entry::File(inode)) => {
                        Arc::make_mut(&mut self.tree).remove(path);
                        if self.tree.links(inode) == 0 {
                            self.unlinked_by.insert(inode, Unlinker::Machine(machine));
                        }
                    }
                }
                Outcome::Done
            }
            Work::List { path } => {
                self.directory(work, path)?;
                Outcome::Names(self.tree.list(path))
            }
            Work::Lock { handle } => {
                let holder = self.locks.entry(handle.inode).or_insert((process, handle.file));
                Outcome::Lock(*holder == (process, handle.file))
            }
            Work::TestLock { handle } => {
                let holder = self.locks.get(&handle.inode);
                Outcome::Lock(holder.is_some_and(|holder| *holder != (process, handle.file)))
            }
            Work::Space => Outcome::Space(self.space()),
            Work::Process { identity } => Outcome::Process(self.look_for(machine, identity)),
        };
        Ok(Answer::Outcome(outcome))
    }

    fn open(&mut self, work: &Work, path: &str, class: Class, how: Open) -> Completion {
        self.parent(work, path)?;
        let inode = match (self.tree.get(path), how) {
            (Some(_), Open::Create) => return Err(work.error(DiskErrorKind::Exists, "File exists (os error 17)")),
            (Some(Entry::Directory), Open::Read | Open::Write) => {
                return Err(work.error(DiskErrorKind::Failed, "it is not a regular file"));
            }
            (Some(Entry::File(inode)), Open::Read | Open::Write) => inode,
            (None, Open::Read | Open::Write) => {
                return Err(work.error(DiskErrorKind::NotFound, "No such file or directory (os error 2)"));
            }
            (None, Open::Create) => {
                let inode = self.new_inode(Inode::default());
                Arc::make_mut(&mut self.tree).insert(path, Entry::File(inode));
                inode
            }
        };
        let writable = match how {
            Open::Read => false,
            Open::Write | Open::Create => true,
        };
        Ok(Answer::Opened {
            inode,
            class,
            writable,
            path: path.into(),
            length: self.inodes[&inode].length(),
        })
    }

    pub(crate) fn new_inode(&mut self, inode: Inode) -> u32 {
        let number = self.next_inode;
        self.next_inode += 1;
        self.inodes.insert(number, Arc::new(inode));
        number
    }

    fn read(&self, inode: u32, offset: u64, length: usize) -> Bytes {
        self.inodes
            .get(&inode)
            .map_or(Bytes::new(), |inode| Bytes::from(inode.read(offset, length)))
    }

    /// The directory of a name must be there.
    fn parent(&self, work: &Work, name: &str) -> Result<(), DiskError> {
        Self::is_directory(work, self.tree.directory_of(name))
    }

    fn directory(&self, work: &Work, name: &str) -> Result<(), DiskError> {
        Self::is_directory(work, self.tree.get(name))
    }

    fn is_directory(work: &Work, entry: Option<Entry>) -> Result<(), DiskError> {
        match entry {
            Some(Entry::Directory) => Ok(()),
            Some(Entry::File(_)) => Err(work.error(DiskErrorKind::Failed, "Not a directory (os error 20)")),
            None => Err(work.error(DiskErrorKind::NotFound, "No such file or directory (os error 2)")),
        }
    }

    fn look_for(&self, machine: MachineNumber, identity: &ProcessIdentity) -> ProcessState {
        if identity.boot_id != self.boot_id(machine) {
            return ProcessState::OtherBoot;
        }
        if identity.pid_namespace != 4_026_531_836 || identity.pid == 0 {
            return ProcessState::Unknown;
        }
        let runs = |process: &Process| {
            let known = &process.identity;
            process.alive
                && process.machine == machine
                && known.pid == identity.pid
                && known.start_time == identity.start_time
        };
        if self.processes.values().any(runs) {
            ProcessState::Runs
        } else {
            ProcessState::Gone
        }
    }
}
