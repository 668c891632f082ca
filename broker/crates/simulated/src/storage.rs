//! The file system that outlives processes, as drivers and tests see it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use platform::{BLOCK_BYTES, BootTime, DiskError, FileSystem, Operation, OperationId, Outcome, ProcessIdentity, Space};

use crate::inode::Inode;
use crate::tree::Entry;
use crate::world::World;
use crate::{Coverage, Crash, Fault, FaultPlan, Landed, SimulatedDisk};

/// Names a machine of a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MachineNumber(pub(crate) usize);

/// Names a process of a storage; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessNumber(pub(crate) u32);

/// A moment in a run, by how many operations had been submitted, or completions collected, on the whole storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// So many operations had been submitted, and nothing was done after it.
    Submitted(u64),
    /// So many completions had been collected, and nothing was done about the last.
    Completed(u64),
}

/// What a stall holds up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stalled {
    /// Every operation.
    Everything,
    /// Changes and syncs; reads go on.
    Writes,
    /// Everything of one machine: it is cut off from the file server.
    Machine(MachineNumber),
}

/// A storage as it was at one moment; cheap to make (contents are shared) and free to go to another thread.
#[derive(Clone, Debug)]
pub struct Snapshot {
    world: World,
    point: Point,
}

impl Snapshot {
    /// When it was taken.
    pub fn point(&self) -> Point {
        self.point
    }
}

struct Shell {
    world: World,
    snapshots: Option<Vec<Snapshot>>,
}

/// A shared file system with its machines, processes and time. Cloning gives another handle on the same one; [`SimulatedStorage::fork`] gives another storage.
#[derive(Clone)]
pub struct SimulatedStorage(Rc<RefCell<Shell>>);

impl SimulatedStorage {
    /// An empty local file system.
    pub fn new(seed: u64, plan: FaultPlan) -> SimulatedStorage {
        SimulatedStorage::with_file_system(seed, plan, FileSystem::Local)
    }

    /// An empty file system of a kind. On NFS a file whose last name another machine removed is stale, and a power loss is the server's.
    pub fn with_file_system(seed: u64, plan: FaultPlan, file_system: FileSystem) -> SimulatedStorage {
        SimulatedStorage::of(World::new(seed, plan, file_system))
    }

    /// A storage that goes on from a snapshot.
    pub fn from_snapshot(snapshot: &Snapshot) -> SimulatedStorage {
        let mut world = snapshot.world.clone();
        world.coverage = Coverage::default();
        SimulatedStorage::of(world)
    }

    fn of(world: World) -> SimulatedStorage {
        SimulatedStorage(Rc::new(RefCell::new(Shell { world, snapshots: None })))
    }

    /// The storage as it is now.
    pub fn snapshot(&self) -> Snapshot {
        let world = self.with(|world| world.clone());
        let point = Point::Submitted(world.submitted);
        Snapshot { world, point }
    }

    /// Another storage that is as this one is now, and shares nothing with it from now on. Its processes have no disks: crash them, then start new ones.
    pub fn fork(&self) -> SimulatedStorage {
        SimulatedStorage::from_snapshot(&self.snapshot())
    }

    /// Draws from another seed from now on: forks of one moment then go different ways.
    pub fn reseed(&self, seed: u64) {
        self.with(|world| world.prng = crate::Prng::new(seed));
    }

    /// From now on a snapshot is kept after each submission and each collected completion: every point at which a crash makes a difference.
    pub fn keep_snapshots(&self) {
        self.0.borrow_mut().snapshots.get_or_insert_default();
    }

    /// The snapshots kept since the last call, oldest first.
    pub fn take_snapshots(&self) -> Vec<Snapshot> {
        self.0
            .borrow_mut()
            .snapshots
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    // ---- machines and processes ----

    /// A machine, booted.
    pub fn boot_machine(&self, host: &str) -> MachineNumber {
        self.with(|world| world.boot_machine(host))
    }

    /// Reboots a machine: its processes die, its boot id is another one. What they had in flight lands as said, counted anew for each process.
    pub fn reboot_machine(&self, machine: MachineNumber, landed: &Landed) {
        self.with(|world| world.reboot_machine(machine, landed));
    }

    /// A new process and its disk.
    pub fn start_process(&self, machine: MachineNumber) -> SimulatedDisk {
        let process = self.with(|world| world.start_process(machine));
        SimulatedDisk::new(self.clone(), process)
    }

    /// Who a process is, on its machine.
    pub fn identity(&self, process: ProcessNumber) -> ProcessIdentity {
        self.with(|world| world.processes[&process].identity.clone())
    }

    /// Ends a process, or the power, at once.
    pub fn crash(&self, crash: Crash, landed: Landed) {
        self.with(|world| world.crash(crash, landed));
    }

    /// How many things such a crash leaves open at this moment: the numbers of [`Landed::Blocks`] lie below it.
    pub fn open_things(&self, crash: Crash) -> usize {
        self.with(|world| world.open_things(crash))
    }

    /// Halts whichever process gets to this point: what it submits from then on does not happen, and nothing completes for it. Crash it then.
    pub fn stop_at(&self, point: Point) {
        self.with(|world| world.stop_at = Some(point));
    }

    /// Where a process is to be halted, or was; `None` again when that process is gone.
    pub fn stops_at(&self) -> Option<Point> {
        self.with(|world| world.stop_at)
    }

    /// The process that was halted.
    pub fn halted(&self) -> Option<ProcessNumber> {
        self.with(|world| world.halted)
    }

    // ---- time ----

    /// The moment to which the world was advanced.
    pub fn now(&self) -> BootTime {
        self.with(|world| world.now)
    }

    /// When the next operation completes, if nothing else is submitted: now, if a completion waits to be collected.
    pub fn next_completion_at(&self) -> Option<BootTime> {
        self.with(|world| world.next_completion_at())
    }

    /// When the next operation that is under way completes; what waits to be collected aside, because a process that does not run leaves it waiting.
    pub fn next_finish_at(&self) -> Option<BootTime> {
        self.with(|world| world.next_finish_at())
    }

    /// Lets everything happen that happens up to a moment, late landings of the dead included. Time never runs back.
    pub fn advance_to(&self, moment: BootTime) {
        self.with(|world| world.advance_to(moment));
    }

    /// Holds up operations, those under way included, until a moment.
    pub fn stall(&self, what: Stalled, until: BootTime) {
        self.with(|world| world.stall(what, until));
    }

    /// Lets a process's next write of a cell take so much longer, and nothing else of it: one of its threads hangs.
    pub fn hang_next_cell_write(&self, process: ProcessNumber, longer: Duration) {
        self.with(|world| world.hanging_cell = Some((process, longer)));
    }

    // ---- faults ----

    /// Another plan from now on.
    pub fn set_plan(&self, plan: FaultPlan) {
        self.with(|world| world.plan = plan);
    }

    /// A fault for the operation that is submitted as number `operation`, counted from zero over the whole storage.
    pub fn fault_at(&self, operation: u64, fault: Fault) {
        self.with(|world| world.chosen.insert(operation, fault));
    }

    /// The file system's size in bytes; `None` for no limit. Nobody else has files on it.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.with(|world| (world.capacity, world.foreign) = (bytes, 0));
    }

    /// A file system of this size on which other programs' files leave so much at this moment, bytes.
    pub fn fill_up(&self, bytes: u64, available: u64) {
        self.set_capacity(Some(bytes));
        let free = self.space().available;
        self.with(|world| world.foreign = free.saturating_sub(available));
    }

    /// Flips one bit of a file at rest; `false` if there is no such byte.
    pub fn flip_bit(&self, path: &str, offset: u64, bit: u8) -> bool {
        self.with(|world| world.file(path).is_some_and(|inode| world.flip(inode, offset, bit)))
    }

    /// What has happened so far.
    pub fn coverage(&self) -> Coverage {
        self.with(|world| world.coverage.clone())
    }

    // ---- looking in from outside ----

    /// Operations submitted so far.
    pub fn submitted(&self) -> u64 {
        self.with(|world| world.submitted)
    }

    /// Completions collected so far.
    pub fn collected(&self) -> u64 {
        self.with(|world| world.collected)
    }

    /// Free and whole space.
    pub fn space(&self) -> Space {
        self.with(|world| world.space())
    }

    /// Every name but directories', sorted.
    pub fn files(&self) -> Vec<String> {
        self.with(|world| {
            let is_file = |(name, entry): (&str, Entry)| match entry {
                Entry::File(_) => Some(name.to_owned()),
                Entry::Directory => None,
            };
            world.tree.iter().filter_map(is_file).collect()
        })
    }

    /// A file's visible content.
    pub fn read_file(&self, path: &str) -> Option<Vec<u8>> {
        self.with(|world| {
            let inode = &world.inodes[&world.file(path)?];
            Some(inode.read(0, usize::try_from(inode.length()).unwrap_or(usize::MAX)))
        })
    }

    /// Puts a file with this content there, durably and from outside; its directories are made. A file that stood there has it under its other names too. For damage and golden files.
    pub fn write_file(&self, path: &str, content: &[u8]) {
        self.with(|world| {
            let mut inode = Inode::default();
            for (number, block) in content.chunks(BLOCK_BYTES).enumerate() {
                inode.put(number as u64, 0, block);
            }
            inode.sync();
            if let Some(number) = world.file(path) {
                world.inodes.insert(number, Arc::new(inode));
                return;
            }
            let number = world.new_inode(inode);
            let tree = Arc::make_mut(&mut world.tree);
            for (place, _) in path.match_indices('/') {
                tree.insert(&path[..place], Entry::Directory);
                tree.settle(&path[..place]);
            }
            tree.insert(path, Entry::File(number));
            tree.settle(path);
            world.forget_unreachable();
        });
    }

    /// Removes a file's name, durably and from outside; `false` if there was none.
    pub fn remove_file(&self, path: &str) -> bool {
        self.with(|world| {
            let found = world.file(path).is_some();
            if found {
                let tree = Arc::make_mut(&mut world.tree);
                tree.remove(path);
                tree.settle(path);
                world.forget_unreachable();
            }
            found
        })
    }

    // ---- for disks ----

    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        look(&mut self.0.borrow_mut().world)
    }

    pub(crate) fn submit(&self, process: ProcessNumber, id: OperationId, operation: Operation) {
        let mut shell = self.0.borrow_mut();
        if shell.world.submit(process, id, operation) {
            let point = Point::Submitted(shell.world.submitted);
            shell.keep(point);
        }
    }

    pub(crate) fn collect(&self, process: ProcessNumber) -> Option<(OperationId, Result<Outcome, DiskError>)> {
        let mut shell = self.0.borrow_mut();
        let completion = shell.world.collect(process)?;
        let point = Point::Completed(shell.world.collected);
        shell.keep(point);
        Some(completion)
    }
}

impl Shell {
    fn keep(&mut self, point: Point) {
        if let Some(snapshots) = &mut self.snapshots {
            snapshots.push(Snapshot {
                world: self.world.clone(),
                point,
            });
        }
    }
}
