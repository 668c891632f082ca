//! Deaths: of one process, and of the power.
//!
//! A process's death loses nothing that had completed: the system that it ran on still has it. What was in flight may land now, later, in part, or never.
//! A power loss also takes what was only visible: every block, length and name that nothing had made durable stays or goes by itself. On a local file system it ends every process and reboots every machine;
//! on NFS it is the server that crashes: the processes live on, and what they had in flight is sent again.

use std::sync::Arc;
use std::time::Duration;

use platform::FileSystem;

use crate::flight::{Flight, Trouble, Unit, Work};
use crate::inode::Fate;
use crate::world::{Event, Unlinker, World};
use crate::{MachineNumber, ProcessNumber};

/// Who dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// One process, at once (kill -9).
    Process(ProcessNumber),
    /// The power of the local machine, or of the file server.
    Power,
}

/// What becomes of each thing that a crash leaves open: one block of a write, or the whole of another change, in the order of submission; for a power loss, behind those,
/// each unsynced block and length in the order of files, then each unsynced name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Landed {
    /// Everything is there.
    All,
    /// Nothing is.
    None,
    /// These are there, counted from zero; the rest is not.
    Blocks(Vec<usize>),
    /// By chance, the plan's late landings and torn blocks included.
    Random,
}

/// What becomes of one thing.
#[derive(Clone, Copy)]
enum Choice {
    Now(u8),
    Later,
    Never,
}

/// Gives a choice for each thing, in order.
struct Chooser {
    landed: Landed,
    next: usize,
    late: bool,
    /// For random choices: what this whole operation or file mostly does.
    mood: u64,
}

impl Chooser {
    /// A new operation or file begins: half of them land wholly or not at all, or the space between would never be seen from its ends.
    fn begin(&mut self, world: &mut World) {
        if self.landed == Landed::Random {
            self.mood = world.prng.below(4);
        }
    }

    fn choose(&mut self, world: &mut World) -> Choice {
        let place = self.next;
        self.next += 1;
        let whole = Choice::Now(u8::MAX);
        match &self.landed {
            Landed::All => whole,
            Landed::None => Choice::Never,
            Landed::Blocks(places) => {
                if places.contains(&place) {
                    whole
                } else {
                    Choice::Never
                }
            }
            Landed::Random => {
                if self.late && world.prng.happens(world.plan.late_landing) {
                    Choice::Later
                } else if self.mood == 0 || (self.mood > 1 && world.prng.below(2) == 0) {
                    Choice::Never
                } else if self.mood > 1 && world.prng.happens(world.plan.torn_inside_block) {
                    // Neither none nor all of the eight sectors.
                    world.coverage.count("torn inside a block");
                    Choice::Now(1 + world.prng.below(254) as u8)
                } else {
                    whole
                }
            }
        }
    }
}

impl World {
    /// How many things a crash leaves open.
    pub(crate) fn open_things(&self, crash: Crash) -> usize {
        match crash {
            Crash::Process(process) => self
                .flights_of(process)
                .map(|number| self.flights[&number].pending())
                .sum(),
            Crash::Power => {
                let in_flight: usize = match self.file_system {
                    FileSystem::Local => self
                        .flights
                        .values()
                        .filter(|flight| self.is_alive(flight.process))
                        .map(Flight::pending)
                        .sum(),
                    FileSystem::Nfs4 | FileSystem::Unknown(_) => 0,
                };
                in_flight + self.inodes.values().map(|inode| inode.unsynced()).sum::<usize>() + self.tree.unsynced()
            }
        }
    }

    pub(crate) fn crash(&mut self, crash: Crash, landed: Landed) {
        let late = matches!(crash, Crash::Process(_)) && self.plan.late_landing_max > Duration::ZERO;
        let mut chooser = Chooser {
            landed,
            next: 0,
            late,
            mood: 0,
        };
        match crash {
            Crash::Process(process) => {
                if self.is_alive(process) {
                    self.coverage.count("process crash");
                    let choices =
                        self.choose_in_flight(&mut chooser, |world, other| other == process && world.is_alive(other));
                    self.apply_in_flight(choices);
                    self.end(process);
                }
            }
            Crash::Power => {
                self.coverage.count("power loss");
                match self.file_system {
                    FileSystem::Local => self.lose_machine_power(chooser),
                    FileSystem::Nfs4 | FileSystem::Unknown(_) => self.lose_server_power(chooser),
                }
            }
        }
        self.forget_unreachable();
    }

    pub(crate) fn reboot_machine(&mut self, machine: MachineNumber, landed: &Landed) {
        let processes: Vec<_> = self
            .processes
            .iter()
            .filter(|(_, process)| process.machine == machine)
            .map(|(number, _)| *number)
            .collect();
        for process in processes {
            self.crash(Crash::Process(process), landed.clone());
        }
        self.reboot(machine);
    }

    fn flights_of(&self, process: ProcessNumber) -> impl Iterator<Item = u64> {
        self.flights
            .iter()
            .filter(move |(_, flight)| flight.process == process)
            .map(|(number, _)| *number)
    }

    fn lose_machine_power(&mut self, mut chooser: Chooser) {
        // Chosen first, because it is counted first; landed last, because what lands at this moment is what the disk holds.
        let choices = self.choose_in_flight(&mut chooser, World::is_alive);
        self.lose_unsynced(&mut chooser);
        self.apply_in_flight(choices);
        let processes: Vec<_> = self.processes.keys().copied().collect();
        for process in processes {
            self.end(process);
        }
        self.flights.clear();
        self.events.clear();
        for number in 0..self.machines.len() {
            self.reboot(MachineNumber(number));
        }
        self.inodes
            .values_mut()
            .filter(|inode| inode.unsynced() > 0)
            .for_each(|inode| Arc::make_mut(inode).sync());
        if self.tree.unsynced() > 0 {
            Arc::make_mut(&mut self.tree).power_loss(|| true);
        }
    }

    fn lose_server_power(&mut self, mut chooser: Chooser) {
        self.lose_unsynced(&mut chooser);
        // A file that is left without a name is gone, whoever holds it open; one whose name came back is there again.
        for process in self.processes.values() {
            for handle in process.open.values() {
                if self.tree.links(handle.inode) == 0 {
                    self.unlinked_by.entry(handle.inode).or_insert(Unlinker::Server);
                }
            }
        }
        let tree = &self.tree;
        self.unlinked_by.retain(|inode, _| tree.links(*inode) == 0);
        // Clients send again what was not answered.
        for flight in self.flights.values_mut() {
            let again = matches!(flight.work, Work::Write { .. }) && !flight.written;
            if again && self.processes.get(&flight.process).is_some_and(|process| process.alive) {
                flight.units.fill(Unit::Pending);
            }
        }
    }

    /// Everything that was visible and not durable stays or goes.
    fn lose_unsynced(&mut self, chooser: &mut Chooser) {
        let numbers: Vec<_> = self
            .inodes
            .iter()
            .filter(|(_, inode)| inode.unsynced() > 0)
            .map(|(number, _)| *number)
            .collect();
        for number in numbers {
            let Some(mut inode) = self.inodes.remove(&number) else {
                continue;
            };
            chooser.begin(self);
            Arc::make_mut(&mut inode).power_loss(|| match chooser.choose(self) {
                Choice::Now(u8::MAX) => Fate::New,
                Choice::Now(sectors) => Fate::Sectors(sectors),
                Choice::Later | Choice::Never => {
                    self.coverage.count("lost at power loss");
                    Fate::Old
                }
            });
            self.inodes.insert(number, inode);
        }
        if self.tree.unsynced() > 0 {
            let mut tree = self.tree.clone();
            Arc::make_mut(&mut tree).power_loss(|| {
                chooser.begin(self);
                match chooser.choose(self) {
                    Choice::Now(_) => true,
                    Choice::Later | Choice::Never => {
                        self.coverage.count("name lost at power loss");
                        false
                    }
                }
            });
            self.tree = tree;
        }
    }

    /// Decides for every pending piece of some processes' operations.
    fn choose_in_flight(
        &mut self,
        chooser: &mut Chooser,
        whose: impl Fn(&World, ProcessNumber) -> bool,
    ) -> Vec<(u64, Vec<(usize, Choice)>)> {
        let numbers: Vec<_> = self
            .flights
            .iter()
            .filter(|(_, flight)| whose(self, flight.process))
            .map(|(number, _)| *number)
            .collect();
        let mut choices = Vec::with_capacity(numbers.len());
        for number in numbers {
            chooser.begin(self);
            let pending: Vec<_> = (0..self.flights[&number].units.len())
                .filter(|unit| self.flights[&number].units[*unit] == Unit::Pending)
                .collect();
            let decided = pending.into_iter().map(|unit| (unit, chooser.choose(self))).collect();
            choices.push((number, decided));
        }
        choices
    }

    fn apply_in_flight(&mut self, choices: Vec<(u64, Vec<(usize, Choice)>)>) {
        for (number, choices) in choices {
            self.events.retain(|_, event| event.flight() != number);
            let Some(mut flight) = self.flights.remove(&number) else {
                continue;
            };
            // Nobody is there to be told of an error; a write that was to go astray still does.
            if flight.trouble != Trouble::Misdirect {
                flight.trouble = Trouble::Nothing;
            }
            let (mut landed, mut late) = (flight.units.len() - choices.len(), Vec::new());
            for (unit, choice) in choices {
                match choice {
                    Choice::Now(sectors) => {
                        landed += 1;
                        self.land(&mut flight, unit, sectors);
                    }
                    Choice::Later => late.push(unit),
                    Choice::Never => {}
                }
            }
            if landed > 0 && landed < flight.units.len() {
                self.coverage.count("torn");
            }
            // What neither landed nor will is settled.
            flight.units.fill(Unit::Landed);
            for unit in &late {
                flight.units[*unit] = Unit::Pending;
                let at = self.now + self.prng.between(Duration::ZERO, self.plan.late_landing_max);
                self.schedule(
                    at,
                    Event::Land {
                        flight: number,
                        unit: *unit,
                    },
                );
                self.coverage.count("landed late");
            }
            if !late.is_empty() {
                self.flights.insert(number, flight);
            }
        }
    }

    fn end(&mut self, process: ProcessNumber) {
        let Some(state) = self.processes.get_mut(&process) else {
            return;
        };
        state.alive = false;
        state.open.clear();
        state.done.clear();
        self.locks.retain(|_, (holder, _)| *holder != process);
        if self.halted == Some(process) {
            self.halted = None;
            self.stop_at = None;
        }
    }
}
