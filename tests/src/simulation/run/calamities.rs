//! What goes wrong when: how each calamity strikes, and what follows from it later.

use super::*;

/// Something that comes to its end later.
pub(super) enum Later {
    Start(usize),
    SpaceIsBack,
    Cut,
    Kill(ProcessNumber),
    HangCell(ProcessNumber, Duration),
}

impl Run<'_> {
    pub(super) fn come_due(&mut self) {
        let now = self.now();
        let mut due = Vec::new();
        self.later.retain_mut(|(at, later)| {
            let is_due = *at <= now;
            if is_due {
                due.push(std::mem::replace(later, Later::SpaceIsBack));
            }
            !is_due
        });
        for later in due {
            match later {
                Later::Start(machine) => {
                    self.world.start(machine);
                }
                Later::SpaceIsBack => self.world.storage.set_capacity(None),
                Later::Cut => {
                    self.cut_somebody();
                }
                Later::HangCell(process, longer) => self.world.storage.hang_next_cell_write(process, longer),
                Later::Kill(process) => {
                    if self.world.running.contains_key(&process) {
                        self.world.kill(process, Crash::Process(process), Landed::Random);
                    }
                }
            }
        }
    }

    /// For a death in the middle of the disk's work: the process is halted there.
    pub(super) fn set_trap(&mut self) {
        self.operations_before = self.world.storage.submitted();
        if let Some((Moment::Operation(count), calamity)) = self.calamities.last()
            && is_death(*calamity)
        {
            let point = if self.world.prng.below(2) == 0 {
                Point::Submitted(self.operations_before + count)
            } else {
                Point::Completed(self.world.storage.collected() + count)
            };
            self.world.storage.stop_at(point);
        }
    }

    pub(super) fn strike_if_due(&mut self) {
        let Some((moment, calamity)) = self.calamities.last().copied() else {
            return;
        };
        if matches!(moment, Moment::Operation(_)) && is_death(calamity) && self.world.storage.stops_at().is_none() {
            // Whoever was halted had failed in the same turn, and took the trap along.
            self.set_trap();
        }
        let due = match moment {
            Moment::Worked(operations) => self.world.scene.operations >= operations,
            Moment::Passed(time) => self.now() >= self.struck_at + time,
            Moment::Checkpoint(count) => {
                self.checkpoint_came() && self.world.storage.submitted() >= self.operations_before + count
            }
            Moment::Operation(_) if is_death(calamity) => self.world.storage.halted().is_some(),
            Moment::Operation(count) => self.world.storage.submitted() >= self.operations_before + count,
        };
        if due && self.strike(calamity) {
            self.calamities.pop();
            self.struck_at = self.now();
            self.checkpoints = None;
            self.set_trap();
        }
    }

    /// Whether a checkpoint was begun since this was first asked; counts operations from then on.
    fn checkpoint_came(&mut self) -> bool {
        let files = self.world.storage.files();
        let count = files.iter().filter(|path| path.starts_with("checkpoints/")).count();
        match self.checkpoints {
            Some((_, true)) => {}
            // The first two have no older ones behind them.
            Some((before, false)) if count > before && count > 4 => {
                self.operations_before = self.world.storage.submitted();
                self.checkpoints = Some((count, true));
            }
            Some((_, false)) | None => self.checkpoints = Some((count, false)),
        }
        self.checkpoints.is_some_and(|(_, came)| came)
    }

    /// A connection breaks, if there is one.
    fn cut_somebody(&mut self) -> bool {
        let connected: Vec<_> = self.world.guests.iter().filter_map(|guest| guest.at).collect();
        let Some((process, connection)) = connected.get(self.world.prng.index(connected.len().max(1))).copied() else {
            return false;
        };
        self.world.cut(process, connection, true);
        true
    }

    /// The process that a calamity is about.
    fn victim(&self) -> Option<ProcessNumber> {
        self.world
            .storage
            .halted()
            .or_else(|| self.world.leader())
            .or_else(|| self.world.running.keys().next().copied())
    }

    /// Lets a calamity happen; `false` if there is nobody whom it could happen to at this moment.
    fn strike(&mut self, calamity: Calamity) -> bool {
        let Some(victim) = self.victim() else { return false };
        let machine = self.world.running[&victim].machine;
        let now = self.now();
        match calamity {
            Calamity::Kill => self.world.kill(victim, Crash::Process(victim), Landed::Random),
            Calamity::PowerLoss => {
                self.world.kill(
                    victim,
                    if self.scenario.shared {
                        Crash::Process(victim)
                    } else {
                        Crash::Power
                    },
                    Landed::Random,
                );
                if self.scenario.shared {
                    // The file server's: whoever else runs lives on.
                    self.world.storage.crash(Crash::Power, Landed::Random);
                } else {
                    let others: Vec<_> = self.world.running.keys().copied().collect();
                    others.into_iter().for_each(|process| self.world.bury(process));
                }
            }
            Calamity::Stop => {
                let Some(leader) = self.world.leader() else {
                    return false;
                };
                let at = self.world.machines[machine].clock.now(now);
                if let Some(running) = self.world.running.get_mut(&leader) {
                    running.node.stop(at);
                }
            }
            Calamity::Reboot => {
                self.world
                    .storage
                    .reboot_machine(self.world.machines[machine].number, &Landed::Random);
                self.world.scene.history.push(history::Event::Crashed);
                let gone: Vec<_> = self
                    .world
                    .running
                    .iter()
                    .filter(|(_, running)| running.machine == machine)
                    .map(|(process, _)| *process)
                    .collect();
                gone.into_iter().for_each(|process| self.world.bury(process));
            }
            Calamity::Cut => {
                if !self.cut_somebody() {
                    return false;
                }
            }
            Calamity::Doubt => {
                let Some(leader) = self.world.leader() else {
                    return false;
                };
                let until = now + self.world.prng.between(Duration::from_secs(1), Duration::from_secs(5));
                self.world.storage.stall(Stalled::Writes, until);
                self.stalled_until = until;
                self.others_excused = true;
                for _ in 0..3 + self.world.prng.below(6) {
                    let cut = self
                        .world
                        .prng
                        .between(Duration::from_millis(5), Duration::from_millis(250));
                    self.later.push((now + cut, Later::Cut));
                }
                let death = self
                    .world
                    .prng
                    .between(Duration::from_millis(200), Duration::from_millis(900));
                self.later.push((now + death, Later::Kill(leader)));
            }
            Calamity::Freeze => {
                let Some(leader) = self.world.leader() else {
                    return false;
                };
                let pause = self
                    .world
                    .prng
                    .between(Duration::from_millis(200), Duration::from_secs(9));
                // Its process is stopped, or its whole virtual machine, whose clock then does not tell it.
                let machine = self.world.running[&leader].machine;
                if self.world.prng.below(2) == 0 {
                    self.world.coverage.count("a paused machine");
                    self.world.pause(machine, now + pause);
                } else if let Some(running) = self.world.running.get_mut(&leader) {
                    running.frozen_until = now + pause;
                }
                self.others_excused = true;
                let other = self.world.prng.index(self.world.machines.len());
                let at = now + self.world.prng.between(Duration::ZERO, Duration::from_secs(2));
                self.later.push((at, Later::Start(other)));
            }
            Calamity::SecondProcess => {
                let other = self.world.prng.index(self.world.machines.len());
                self.others_excused = true;
                self.world.start(other);
            }
            Calamity::CutOff => {
                let Some(leader) = self.world.leader() else {
                    return false;
                };
                let cut = self.world.running[&leader].machine;
                let until = now + Duration::from_millis(CUT_OFF_MILLIS);
                self.world
                    .storage
                    .stall(Stalled::Machine(self.world.machines[cut].number), until);
                self.stalled_until = until;
                self.others_excused = true;
                // Clients wait: what the successor does is its own.
                self.world.silence_guests(until + Duration::from_millis(60));
                self.later
                    .push((now, Later::Start((cut + 1) % self.world.machines.len())));
            }
            Calamity::HungBeat => {
                let Some(leader) = self.world.leader() else {
                    return false;
                };
                let hung = Duration::from_millis(HUNG_MILLIS);
                // The root that names the checkpoint has been written by then: the next write of a cell is a heartbeat.
                self.later
                    .push((now + Duration::from_millis(60), Later::HangCell(leader, hung)));
                self.stalled_until = now + hung;
                self.others_excused = true;
                // Clients wait: a batch would tell the leader what it does not notice.
                self.world.silence_guests(now + hung + Duration::from_millis(1_200));
                let other = (self.world.running[&leader].machine + 1) % self.world.machines.len();
                // Whoever starts while it still beats goes away again.
                self.later.push((now + Duration::from_millis(600), Later::Start(other)));
            }
            Calamity::FullDisk => {
                let spare = self
                    .world
                    .prng
                    .below(3 * u64::from(self.scenario.settings.journal.segment_bytes));
                // Other programs' files take the rest.
                self.world.storage.fill_up(1 << 30, spare);
                let until = now
                    + self
                        .world
                        .prng
                        .between(Duration::from_millis(100), Duration::from_secs(4));
                self.later.push((until, Later::SpaceIsBack));
            }
            Calamity::Stall => {
                let what = if self.world.prng.below(2) == 0 {
                    Stalled::Everything
                } else {
                    Stalled::Writes
                };
                let until = now
                    + self
                        .world
                        .prng
                        .between(Duration::from_millis(50), Duration::from_secs(20));
                self.world.storage.stall(what, until);
                self.stalled_until = until;
                // What stalls may seem dead to another.
                self.others_excused = true;
            }
            Calamity::ClockJump => {
                let by = self.world.prng.below(100_000) as i64 - 50_000;
                self.world.machines[machine].clock.jump(by);
            }
        }
        self.world.say(|| {
            format!(
                "CALAMITY {calamity:?} for {victim:?}; there are {:?}",
                self.world.storage.files()
            )
        });
        self.world.coverage.count(calamity_name(calamity));
        true
    }
}

fn is_death(calamity: Calamity) -> bool {
    match calamity {
        Calamity::Kill | Calamity::PowerLoss | Calamity::Reboot => true,
        Calamity::Stop
        | Calamity::Cut
        | Calamity::Freeze
        | Calamity::SecondProcess
        | Calamity::FullDisk
        | Calamity::Stall
        | Calamity::CutOff
        | Calamity::HungBeat
        | Calamity::Doubt
        | Calamity::ClockJump => false,
    }
}

fn calamity_name(calamity: Calamity) -> &'static str {
    match calamity {
        Calamity::Kill => "calamity: kill",
        Calamity::PowerLoss => "calamity: power loss",
        Calamity::Stop => "calamity: clean stop",
        Calamity::Reboot => "calamity: reboot",
        Calamity::Cut => "calamity: connection cut",
        Calamity::Freeze => "calamity: freeze",
        Calamity::SecondProcess => "calamity: second process",
        Calamity::FullDisk => "calamity: full disk",
        Calamity::Stall => "calamity: stall",
        Calamity::ClockJump => "calamity: clock jump",
        Calamity::Doubt => "calamity: doubt",
        Calamity::HungBeat => "calamity: a heartbeat hangs",
        Calamity::CutOff => "calamity: cut off from the file server",
    }
}
