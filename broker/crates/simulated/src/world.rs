//! The state behind a [`SimulatedStorage`](crate::SimulatedStorage), and what happens in it from moment to moment.
//!
//! An operation becomes a [`Flight`] with events: pieces of it land, its promise comes into force, its effect happens, its answer is given. Where early landing is not drawn,
//! there is one event only, at which all of that happens. Events are ordered by moment, then by the order in which they were scheduled.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use platform::{
    BLOCK_BYTES, BootTime, Class, DiskError, DiskErrorKind, FileId, FileSystem, Operation, OperationId, Outcome,
    ProcessIdentity, Space,
};

use crate::flight::{Answer, Completion, Flight, Handle, Trouble, Unit, Work, piece, resolve};
use crate::inode::Inode;
use crate::tree::{Entry, Tree};
use crate::{Coverage, Fault, FaultPlan, MachineNumber, Point, Prng, ProcessNumber, Stalled};

/// Blocks of one write that land at moments of their own; a longer write's others land together.
const SCATTERED_MAX: usize = 64;
/// The size of a file system without a set capacity.
const UNLIMITED_BYTES: u64 = 1 << 50;

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) now: BootTime,
    pub(crate) prng: Prng,
    pub(crate) plan: FaultPlan,
    /// Faults of chosen operations, by number of submission.
    pub(crate) chosen: BTreeMap<u64, Fault>,
    pub(crate) file_system: FileSystem,
    pub(crate) capacity: Option<u64>,
    /// Bytes that other programs' files take of it.
    pub(crate) foreign: u64,
    pub(crate) tree: Arc<Tree>,
    pub(crate) inodes: BTreeMap<u32, Arc<Inode>>,
    pub(crate) next_inode: u32,
    /// How each open file without a name lost its last.
    pub(crate) unlinked_by: BTreeMap<u32, Unlinker>,
    pub(crate) locks: BTreeMap<u32, (ProcessNumber, FileId)>,
    pub(crate) machines: Vec<Machine>,
    pub(crate) processes: BTreeMap<ProcessNumber, Process>,
    next_process: u32,
    /// By number of submission.
    pub(crate) flights: BTreeMap<u64, Flight>,
    pub(crate) events: BTreeMap<(BootTime, u64), Event>,
    next_event: u64,
    stalls: Vec<(Stalled, BootTime)>,
    /// Whose next write of a cell takes how much longer.
    pub(crate) hanging_cell: Option<(ProcessNumber, Duration)>,
    pub(crate) submitted: u64,
    pub(crate) collected: u64,
    pub(crate) stop_at: Option<Point>,
    pub(crate) halted: Option<ProcessNumber>,
    pub(crate) coverage: Coverage,
}

#[derive(Clone, Debug)]
pub(crate) struct Machine {
    host: String,
    boots: u64,
    /// Start times rise by one per process, so that no two are equal on one boot.
    started: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) machine: MachineNumber,
    pub(crate) identity: ProcessIdentity,
    pub(crate) alive: bool,
    pub(crate) open: BTreeMap<FileId, Handle>,
    next_file: u32,
    pub(crate) done: VecDeque<(OperationId, Completion)>,
}

/// Who removed a file's last name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unlinker {
    Machine(MachineNumber),
    /// The file server, which crashed before the name was durable.
    Server,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// One piece becomes visible.
    Land { flight: u64, unit: usize },
    /// A write's promise comes into force.
    Written { flight: u64 },
    /// Another operation's effect happens, or the read after a write.
    Act { flight: u64 },
    /// The answer is given; whatever of the above has not happened, happens now.
    Finish { flight: u64 },
}

impl Event {
    pub(crate) fn flight(self) -> u64 {
        match self {
            Event::Land { flight, .. }
            | Event::Written { flight }
            | Event::Act { flight }
            | Event::Finish { flight } => flight,
        }
    }
}

impl World {
    pub(crate) fn new(seed: u64, plan: FaultPlan, file_system: FileSystem) -> World {
        World {
            now: BootTime(0),
            prng: Prng::new(seed),
            plan,
            chosen: BTreeMap::new(),
            file_system,
            capacity: None,
            foreign: 0,
            tree: Arc::default(),
            inodes: BTreeMap::new(),
            next_inode: 1,
            unlinked_by: BTreeMap::new(),
            locks: BTreeMap::new(),
            machines: Vec::new(),
            processes: BTreeMap::new(),
            next_process: 1,
            flights: BTreeMap::new(),
            events: BTreeMap::new(),
            next_event: 0,
            stalls: Vec::new(),
            hanging_cell: None,
            submitted: 0,
            collected: 0,
            stop_at: None,
            halted: None,
            coverage: Coverage::default(),
        }
    }

    // ---- machines and processes ----

    pub(crate) fn boot_machine(&mut self, host: &str) -> MachineNumber {
        self.machines.push(Machine {
            host: host.to_owned(),
            boots: 1,
            started: 0,
        });
        MachineNumber(self.machines.len() - 1)
    }

    pub(crate) fn reboot(&mut self, machine: MachineNumber) {
        self.machines[machine.0].boots += 1;
    }

    pub(crate) fn boot_id(&self, machine: MachineNumber) -> String {
        format!(
            "{}-boot-{}",
            self.machines[machine.0].host, self.machines[machine.0].boots
        )
    }

    pub(crate) fn start_process(&mut self, machine: MachineNumber) -> ProcessNumber {
        let boot_id = self.boot_id(machine);
        let number = ProcessNumber(self.next_process);
        self.next_process += 1;
        let state = &mut self.machines[machine.0];
        state.started += 1;
        let identity = ProcessIdentity {
            host: state.host.clone(),
            boot_id,
            pid_namespace: 4_026_531_836,
            // Few ids, so that they are used again.
            pid: 100 + (state.started % 3) as u32,
            start_time: state.started,
        };
        let process = Process {
            machine,
            identity,
            alive: true,
            open: BTreeMap::new(),
            next_file: 1,
            done: VecDeque::new(),
        };
        self.processes.insert(number, process);
        number
    }

    pub(crate) fn is_alive(&self, process: ProcessNumber) -> bool {
        self.processes.get(&process).is_some_and(|process| process.alive)
    }

    pub(crate) fn runs(&self, process: ProcessNumber) -> bool {
        self.halted != Some(process) && self.is_alive(process)
    }

    // ---- time ----

    pub(crate) fn schedule(&mut self, at: BootTime, event: Event) {
        self.next_event += 1;
        self.events.insert((at, self.next_event), event);
    }

    pub(crate) fn next_completion_at(&self) -> Option<BootTime> {
        if self
            .processes
            .iter()
            .any(|(number, process)| self.runs(*number) && !process.done.is_empty())
        {
            return Some(self.now);
        }
        self.next_finish_at()
    }

    pub(crate) fn next_finish_at(&self) -> Option<BootTime> {
        self.events
            .iter()
            .find(|(_, event)| matches!(event, Event::Finish { .. }))
            .map(|((at, _), _)| *at)
    }

    pub(crate) fn advance_to(&mut self, moment: BootTime) {
        while let Some(entry) = self.events.first_entry() {
            let at = entry.key().0;
            if at > moment {
                break;
            }
            let event = entry.remove();
            self.now = self.now.max(at);
            self.handle(event);
        }
        self.now = self.now.max(moment);
        let now = self.now;
        self.stalls.retain(|(_, until)| *until > now);
    }

    fn is_stalled(&self, what: Stalled, process: ProcessNumber, work: &Work) -> bool {
        match what {
            Stalled::Everything => true,
            Stalled::Writes => work.writes(),
            Stalled::Machine(machine) => self
                .processes
                .get(&process)
                .is_some_and(|process| process.machine == machine),
        }
    }

    pub(crate) fn stall(&mut self, what: Stalled, until: BootTime) {
        self.stalls.push((what, until));
        let held: Vec<_> = self
            .events
            .iter()
            .filter(|((at, _), event)| {
                *at < until
                    && self
                        .flights
                        .get(&event.flight())
                        .is_some_and(|flight| self.is_stalled(what, flight.process, &flight.work))
            })
            .map(|(key, _)| *key)
            .collect();
        for key in held {
            if let Some(event) = self.events.remove(&key) {
                self.schedule(until, event);
                if matches!(event, Event::Finish { .. }) {
                    self.coverage.count("stalled");
                }
            }
        }
    }

    // ---- operations ----

    pub(crate) fn submit(&mut self, process: ProcessNumber, id: OperationId, operation: Operation) -> bool {
        if !self.runs(process) {
            return false;
        }
        if self.halted.is_none() && self.stop_at == Some(Point::Submitted(self.submitted)) {
            self.halted = Some(process);
            return false;
        }
        let number = self.submitted;
        self.submitted += 1;
        let state = self.processes.get_mut(&process).expect("a running process is known");
        let closed = match operation {
            Operation::Close { file } => Some(file),
            _ => None,
        };
        match resolve(operation, |file| state.open.get(&file).cloned()) {
            Ok(work) => {
                if let Some(file) = closed {
                    state.open.remove(&file);
                }
                self.launch(number, process, id, work);
            }
            Err(error) => state.done.push_back((id, Err(error))),
        }
        if self.halted.is_none() && self.stop_at == Some(Point::Submitted(self.submitted)) {
            self.halted = Some(process);
        }
        true
    }

    fn launch(&mut self, number: u64, process: ProcessNumber, id: OperationId, work: Work) {
        self.flip_by_chance();
        let (least, most) = if work.writes() {
            self.plan.write_latency
        } else {
            self.plan.latency
        };
        let mut latency = self.prng.between(least, most);
        if self.prng.happens(self.plan.stall) {
            latency += self.prng.between(Duration::ZERO, self.plan.stall_max);
            self.coverage.count("stalled");
        }
        if let (Some((who, longer)), Work::Write { handle, .. }) = (self.hanging_cell, &work)
            && who == process
            && handle.class == Class::Cell
        {
            latency += longer;
            self.hanging_cell = None;
            self.coverage.count("stalled");
        }
        let mut start = self.now;
        for (what, until) in &self.stalls {
            if self.is_stalled(*what, process, &work) {
                start = start.max(*until);
            }
        }
        let refusal = work.refusal();
        let mut trouble = if refusal.is_some() {
            Trouble::Nothing
        } else {
            self.trouble(&work)
        };
        if let Some(fault) = self.chosen.remove(&number) {
            match fault {
                Fault::Fail(kind) => {
                    // The other kinds are refusals: they say that nothing was done.
                    let unclear = matches!(kind, DiskErrorKind::Failed | DiskErrorKind::Stale);
                    let took_effect = unclear && self.prng.below(2) == 0;
                    trouble = Trouble::Fail { kind, took_effect };
                }
                Fault::ShortWrite { blocks } => trouble = Trouble::Short { pieces: blocks },
                Fault::Stall(longer) => {
                    latency += longer;
                    self.coverage.count("stalled");
                }
                Fault::LostLinkReply => trouble = Trouble::LostLinkReply,
                Fault::Misdirect => trouble = Trouble::Misdirect,
            }
        }
        let refused = refusal.is_some();
        let units = if refused { 0 } else { work.units() };
        let finish = start + latency;
        if !refused && self.prng.happens(self.plan.early_landing) {
            self.coverage.count("landed early");
            self.scatter(number, start, finish, &work, units);
        }
        let is_write = matches!(work, Work::Write { .. });
        self.schedule(finish, Event::Finish { flight: number });
        let flight = Flight {
            process,
            id,
            work,
            trouble,
            units: vec![Unit::Pending; units],
            written: refused || !is_write,
            result: refusal.map(Err),
        };
        self.flights.insert(number, flight);
    }

    /// Draws moments between start and finish for the parts of an operation.
    fn scatter(&mut self, number: u64, start: BootTime, finish: BootTime, work: &Work, units: usize) {
        let length = finish.since(start);
        let Work::Write { then_read, .. } = work else {
            let at = start + self.prng.between(Duration::ZERO, length);
            self.schedule(at, Event::Act { flight: number });
            return;
        };
        let written = start + self.prng.between(Duration::ZERO, length);
        let landing = written.since(start);
        for unit in 0..units.min(SCATTERED_MAX) {
            let at = start + self.prng.between(Duration::ZERO, landing);
            self.schedule(at, Event::Land { flight: number, unit });
        }
        self.schedule(written, Event::Written { flight: number });
        if then_read.is_some() {
            let at = written + self.prng.between(Duration::ZERO, finish.since(written));
            self.schedule(at, Event::Act { flight: number });
        }
    }

    fn trouble(&mut self, work: &Work) -> Trouble {
        let fail = |world: &mut World, kind| Trouble::Fail {
            kind,
            took_effect: world.prng.below(2) == 0,
        };
        if self.prng.happens(self.plan.failed) {
            return fail(self, DiskErrorKind::Failed);
        }
        if work.handle().is_some() && self.prng.happens(self.plan.stale) {
            return fail(self, DiskErrorKind::Stale);
        }
        if work.takes_space() && self.prng.happens(self.plan.no_space) {
            return Trouble::Fail {
                kind: DiskErrorKind::NoSpace,
                took_effect: false,
            };
        }
        match work {
            Work::Write {
                handle, offset, blocks, ..
            } => {
                let pieces = work.units();
                if let Some(fit) = self.fitting(handle.inode, *offset, blocks.len(), pieces) {
                    return Trouble::Short { pieces: fit };
                }
                if self.prng.happens(self.plan.short_write) {
                    return Trouble::Short {
                        pieces: self.prng.index(pieces),
                    };
                }
                if self.prng.happens(self.plan.misdirected) {
                    return Trouble::Misdirect;
                }
                Trouble::Nothing
            }
            Work::Link { .. } if self.prng.happens(self.plan.lost_link_reply) => Trouble::LostLinkReply,
            Work::Open { .. }
            | Work::Close { .. }
            | Work::Read { .. }
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
            | Work::Process { .. } => Trouble::Nothing,
        }
    }

    /// How many pieces of a write find space, if not all do.
    fn fitting(&self, inode: u32, offset: u64, length: usize, pieces: usize) -> Option<usize> {
        self.capacity?;
        let file = self.inodes.get(&inode)?;
        let mut free = self.space().available / BLOCK_BYTES as u64;
        for number in 0..pieces {
            if !file.has_space_at(piece(offset, length, number).block) {
                match free.checked_sub(1) {
                    Some(left) => free = left,
                    None => return Some(number),
                }
            }
        }
        None
    }

    pub(crate) fn space(&self) -> Space {
        let open: BTreeSet<u32> = self
            .processes
            .values()
            .flat_map(|process| process.open.values().map(|handle| handle.inode))
            .collect();
        let named: BTreeSet<u32> = self
            .tree
            .iter()
            .filter_map(|(_, entry)| match entry {
                Entry::File(inode) => Some(inode),
                Entry::Directory => None,
            })
            .collect();
        let blocks: u64 = self
            .inodes
            .iter()
            .filter(|(number, _)| open.contains(number) || named.contains(number))
            .map(|(_, inode)| inode.allocated())
            .sum();
        let total = self.capacity.unwrap_or(UNLIMITED_BYTES);
        Space {
            available: total.saturating_sub(blocks * BLOCK_BYTES as u64 + self.foreign),
            total,
        }
    }

    /// Drops files that no name, open file or operation can reach any more.
    pub(crate) fn forget_unreachable(&mut self) {
        let mut kept: BTreeSet<u32> = self.tree.files().collect();
        for process in self.processes.values() {
            kept.extend(process.open.values().map(|handle| handle.inode));
            kept.extend(process.done.iter().filter_map(|(_, completion)| match completion {
                Ok(Answer::Opened { inode, .. }) => Some(*inode),
                Ok(Answer::Outcome(_)) | Err(_) => None,
            }));
        }
        for flight in self.flights.values() {
            kept.extend(flight.work.handle().map(|handle| handle.inode));
            if let Work::Write {
                then_read: Some((handle, _)),
                ..
            } = &flight.work
            {
                kept.insert(handle.inode);
            }
            if let Some(Ok(Answer::Opened { inode, .. })) = &flight.result {
                kept.insert(*inode);
            }
        }
        self.inodes.retain(|inode, _| kept.contains(inode));
        self.unlinked_by.retain(|inode, _| kept.contains(inode));
        self.locks.retain(|inode, _| kept.contains(inode));
    }

    // ---- answers ----

    pub(crate) fn collect(&mut self, process: ProcessNumber) -> Option<(OperationId, Result<Outcome, DiskError>)> {
        if !self.runs(process) {
            return None;
        }
        if self.halted.is_none() && self.stop_at == Some(Point::Completed(self.collected)) {
            self.halted = Some(process);
            return None;
        }
        let state = self.processes.get_mut(&process)?;
        let (id, result) = state.done.pop_front()?;
        self.collected += 1;
        let result = result.map(|answer| match answer {
            Answer::Outcome(outcome) => outcome,
            Answer::Opened {
                inode,
                class,
                writable,
                path,
                length,
            } => {
                let file = FileId(state.next_file);
                state.next_file += 1;
                state.open.insert(
                    file,
                    Handle {
                        file,
                        inode,
                        class,
                        writable,
                        path,
                    },
                );
                Outcome::Opened { file, length }
            }
        });
        if self.halted.is_none() && self.stop_at == Some(Point::Completed(self.collected)) {
            // This one is still seen; nothing that its owner does about it happens any more.
            self.halted = Some(process);
        }
        Some((id, result))
    }

    // ---- damage ----

    fn flip_by_chance(&mut self) {
        if !self.prng.happens(self.plan.flipped_bit) {
            return;
        }
        let blocks: Vec<_> = self
            .inodes
            .iter()
            .flat_map(|(number, inode)| inode.written_blocks().map(|block| (*number, block)))
            .collect();
        if let Some((inode, block)) = blocks.get(self.prng.index(blocks.len())).copied() {
            let byte = block * BLOCK_BYTES as u64 + self.prng.below(BLOCK_BYTES as u64);
            let bit = self.prng.below(8) as u8;
            self.flip(inode, byte, bit);
        }
    }

    pub(crate) fn flip(&mut self, inode: u32, offset: u64, bit: u8) -> bool {
        let flipped = self
            .inodes
            .get_mut(&inode)
            .is_some_and(|inode| Arc::make_mut(inode).flip(offset, bit));
        if flipped {
            self.coverage.count("flipped");
        }
        flipped
    }

    pub(crate) fn file(&self, path: &str) -> Option<u32> {
        match self.tree.get(path) {
            Some(Entry::File(inode)) => Some(inode),
            Some(Entry::Directory) | None => None,
        }
    }
}
