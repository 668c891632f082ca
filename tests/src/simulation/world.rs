//! Who moves bytes, time and faults between nodes and clients.
//!
//! One step goes to the next moment at which anything happens, and lets it happen. Invariant: nothing of a dead process and nothing of a cut connection arrives later than the moment of death.

mod connections;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use engine::{AdminAnswer, AdminCommand, AdminRequest};
use leadership::Addresses;
use message::ConnectionId;
use node::{End, Failure, Node, NodeIdentity, Notice, Settings};
use platform::{BootTime, FileSystem, Now};
use simulated::{
    Coverage, Crash, FaultPlan, Landed, Link, MachineNumber, Prng, ProcessNumber, SimulatedClock, SimulatedStorage,
};

use self::connections::Socket;
use super::coverage::row_of;
use super::pace::Pace;
use crate::history::Event;
use crate::workload::{Actor, Drainer, Scene, Taken};

/// Between two things that one client does, at most.
const PAUSE_MAX: Duration = Duration::from_millis(40);

/// From one end of a connection to the other.
const DELAY: (Duration, Duration) = (Duration::from_micros(20), Duration::from_millis(2));

/// Simulated time within which a faultless start leads.
pub(crate) const LEADS_WITHIN: Duration = Duration::from_secs(30);

/// Simulated time within which a place is drained.
const DRAINED_WITHIN: Duration = Duration::from_secs(30);

/// Steps in a row that may lead nowhere.
const STANDSTILL_MAX: u32 = 10_000;

/// The clients' clock: right, whatever happens to a machine's.
const CLIENTS: SimulatedClock = SimulatedClock::right();

/// Everything that exists in a run.
pub(crate) struct World {
    pub(crate) storage: SimulatedStorage,
    pub(crate) prng: Prng,
    pub(crate) scene: Scene,
    pub(crate) machines: Vec<Machine>,
    pub(crate) running: BTreeMap<ProcessNumber, Running>,
    pub(crate) guests: Vec<Guest>,
    /// How nodes ended, in order.
    pub(crate) ends: Vec<Ended>,
    pub(crate) notices: Vec<Notice>,
    answers: Vec<(ProcessNumber, AdminRequest, AdminAnswer)>,
    pub(crate) coverage: Coverage,
    pub(crate) trace: bool,
    standstill: u32,
    /// Who only takes up connections makes no more.
    pub(crate) keeps_out: bool,
    /// No client does anything before.
    silent_until: BootTime,
    newest_epoch: u32,
    settings: Settings,
}

/// One machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine {
    pub(crate) number: MachineNumber,
    pub(crate) clock: SimulatedClock,
    /// It stands still until then, its boot clock too, for so long in all.
    pub(crate) paused: Option<(BootTime, Duration)>,
}

/// One process of the broker.
pub(crate) struct Running {
    pub(crate) node: Node,
    pub(crate) machine: usize,
    /// It does not run before this moment.
    pub(crate) frozen_until: BootTime,
    pub(crate) leads: bool,
    /// The epoch that it leads or led.
    epoch: u32,
    /// When it wanted to be woken, at the last step.
    due: Option<BootTime>,
    sockets: BTreeMap<ConnectionId, Socket>,
    /// Connections that broke, with what had arrived, and the process has not noticed yet.
    broken: Vec<(ConnectionId, Link)>,
    ready: BTreeSet<ConnectionId>,
}

/// A process that ended by itself.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) process: ProcessNumber,
    pub(crate) end: End,
    /// Whether it had led.
    pub(crate) led: bool,
}

/// A client.
pub(crate) struct Guest {
    pub(crate) being: Being,
    pub(crate) at: Option<(ProcessNumber, ConnectionId)>,
    pace: Pace,
    next_act: BootTime,
    /// Times in a row that there was nothing to do.
    idle: u32,
}

/// Who a client is.
pub(crate) enum Being {
    Actor(Actor),
    Drainer(Drainer),
}

impl Being {
    fn handle_bytes(&mut self, now: Now, bytes: &[u8], scene: &mut Scene) {
        match self {
            Being::Actor(actor) => actor.handle_bytes(now, bytes, scene),
            Being::Drainer(drainer) => drainer.handle_bytes(now, bytes, scene),
        }
    }

    fn poll_output(&mut self, now: Now) -> Option<Bytes> {
        match self {
            Being::Actor(actor) => actor.poll_output(now),
            Being::Drainer(drainer) => drainer.poll_output(now),
        }
    }

    fn next_timeout(&self) -> Option<BootTime> {
        match self {
            Being::Actor(actor) => actor.next_timeout(),
            Being::Drainer(_) => None,
        }
    }
}

impl World {
    pub(crate) fn new(seed: u64, plan: FaultPlan, settings: Settings, scene: Scene, shared: bool) -> World {
        let mut prng = Prng::new(seed);
        let file_system = if shared { FileSystem::Nfs4 } else { FileSystem::Local };
        let storage = SimulatedStorage::with_file_system(seed, plan, file_system);
        let hosts: &[&str] = if shared { &["one", "two"] } else { &["one"] };
        let machines = hosts
            .iter()
            .map(|host| {
                let uptime = Duration::from_secs(1 + prng.below(1_000_000));
                Machine {
                    number: storage.boot_machine(host),
                    clock: SimulatedClock::new(uptime, 0),
                    paused: None,
                }
            })
            .collect();
        World::on(storage, prng, settings, scene, machines)
    }

    pub(crate) fn on(
        storage: SimulatedStorage,
        prng: Prng,
        settings: Settings,
        scene: Scene,
        machines: Vec<Machine>,
    ) -> World {
        World {
            storage,
            prng,
            scene,
            machines,
            running: BTreeMap::new(),
            guests: Vec::new(),
            ends: Vec::new(),
            notices: Vec::new(),
            answers: Vec::new(),
            coverage: Coverage::default(),
            trace: false,
            standstill: 0,
            keeps_out: false,
            silent_until: BootTime(0),
            newest_epoch: 0,
            settings,
        }
    }

    /// What a machine's clocks show.
    fn now_on(&self, machine: usize) -> Now {
        self.machines[machine].clock.now(self.storage.now())
    }

    /// What clients take for the time.
    fn now(&self) -> Now {
        CLIENTS.now(self.storage.now())
    }

    /// Gives the leader an order; `None`: nobody leads.
    pub(crate) fn order(&mut self, command: AdminCommand) -> Option<(ProcessNumber, AdminRequest)> {
        let process = self.leader()?;
        let running = self.running.get_mut(&process).expect("the leader runs");
        let now = self.machines[running.machine].clock.now(self.storage.now());
        let request = running.node.order(now, command)?;
        self.after_turn(process);
        Some((process, request))
    }

    /// The answers to orders since this was last asked.
    pub(crate) fn take_answers(&mut self) -> Vec<(ProcessNumber, AdminRequest, AdminAnswer)> {
        std::mem::take(&mut self.answers)
    }

    /// The clients of which is promised that they are served.
    pub(crate) fn well_behaved(&self) -> impl Iterator<Item = &Actor> {
        self.guests.iter().filter_map(|guest| match &guest.being {
            Being::Actor(actor) if actor.is_well_behaved() => Some(actor),
            Being::Actor(_) | Being::Drainer(_) => None,
        })
    }

    /// Well-behaved clients begin nothing new.
    pub(crate) fn rest(&mut self) {
        self.for_well_behaved(Actor::rest);
    }

    /// Well-behaved clients go on.
    pub(crate) fn wake_up(&mut self) {
        self.for_well_behaved(Actor::wake_up);
    }

    fn for_well_behaved(&mut self, what: impl Fn(&mut Actor)) {
        for guest in &mut self.guests {
            if let Being::Actor(actor) = &mut guest.being
                && actor.is_well_behaved()
            {
                what(actor);
            }
        }
    }

    /// Whether sends wait for memory at the leader.
    pub(crate) fn waits_for_memory(&self) -> bool {
        let engine = self
            .leader()
            .and_then(|process| self.running.get(&process))
            .and_then(|running| running.node.engine());
        engine.is_some_and(|engine| engine.waiting().memory > 0)
    }

    /// Counts what the leader dropped for slow topic consumers.
    pub(crate) fn count_drops(&mut self) {
        let leader = self.leader().and_then(|process| self.running.get(&process));
        let engine = leader.and_then(|running| running.node.engine());
        if engine.is_some_and(|engine| engine.statistics().counters.dropped > 0) {
            self.coverage.count("limit reached: topic_consumer_messages_max");
        }
    }

    /// What is not as it must be in any node, in words.
    pub(crate) fn broken_invariants(&self) -> Vec<String> {
        let nodes = self.running.iter();
        nodes
            .filter_map(|(process, running)| Some(format!("{process:?}: {}", running.node.broken_invariant()?)))
            .collect()
    }

    /// Lets machines go on whose pause is over; which.
    fn thaw(&mut self) -> BTreeSet<usize> {
        let now = self.storage.now();
        let mut thawed = BTreeSet::new();
        for (index, machine) in self.machines.iter_mut().enumerate() {
            if let Some((until, time)) = machine.paused
                && until <= now
            {
                machine.clock.lose(time);
                machine.paused = None;
                thawed.insert(index);
            }
        }
        thawed
    }

    /// A machine stands still until then, and its boot clock with it.
    pub(crate) fn pause(&mut self, machine: usize, until: BootTime) {
        let time = until.since(self.storage.now());
        self.machines[machine].paused = Some((until, time));
        for running in self.running.values_mut().filter(|running| running.machine == machine) {
            running.frozen_until = running.frozen_until.max(until);
        }
    }

    pub(crate) fn say(&self, what: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>12.6} {}", self.storage.now().0 as f64 / 1e9, what());
        }
    }

    /// Starts a process of the broker.
    pub(crate) fn start(&mut self, machine: usize) -> ProcessNumber {
        self.thaw();
        let disk = self.storage.start_process(self.machines[machine].number);
        let (process, identity) = (disk.process(), disk.identity());
        let identity = NodeIdentity {
            process: identity,
            addresses: Addresses {
                clients: vec!["stomp://127.0.0.1:61613".into()],
                admin: "127.0.0.1:8161".into(),
                ..Addresses::default()
            },
            version: "0.1.0".into(),
        };
        let now = self.now_on(machine);
        let mut random = self.prng.split();
        let node = Node::new(Box::new(disk), self.settings.clone(), identity, &mut random, now);
        self.say(|| format!("{process:?} starts on machine {machine}"));
        self.coverage.count("start");
        self.running.insert(
            process,
            Running {
                node,
                machine,
                frozen_until: self.machines[machine].paused.map_or(BootTime(0), |(until, _)| until),
                leads: false,
                epoch: 0,
                due: None,
                sockets: BTreeMap::new(),
                broken: Vec::new(),
                ready: BTreeSet::new(),
            },
        );
        if self.machines[machine].paused.is_none() {
            self.turn(process);
        }
        process
    }

    /// The process that leads, if one does and runs.
    pub(crate) fn leader(&self) -> Option<ProcessNumber> {
        let now = self.storage.now();
        self.running
            .iter()
            .find(|(_, running)| running.leads && running.frozen_until <= now)
            .map(|(process, _)| *process)
    }

    /// The leader, if no other has led since.
    pub(crate) fn newest_leader(&self) -> Option<ProcessNumber> {
        let is_newest = |process: &ProcessNumber| self.running[process].epoch == self.newest_epoch;
        self.leader().filter(is_newest)
    }

    /// Ends a process at once.
    pub(crate) fn kill(&mut self, process: ProcessNumber, crash: Crash, landed: Landed) {
        self.say(|| format!("{crash:?} {landed:?}, in flight {}", self.storage.open_things(crash)));
        self.storage.crash(crash, landed);
        self.bury(process);
        self.scene.history.push(Event::Crashed);
    }

    /// A process is gone: its connections break.
    pub(crate) fn bury(&mut self, process: ProcessNumber) {
        let Some(running) = self.running.get(&process) else {
            return;
        };
        if !running.leads {
            self.coverage.count(phase_name(phase_of(&running.node)));
        }
        let connections: Vec<_> = running.sockets.keys().copied().collect();
        for connection in connections {
            self.cut(process, connection, false);
        }
        self.running.remove(&process);
    }

    /// Goes to the next moment at which something happens, but not beyond `limit`, and lets it happen.
    pub(crate) fn step(&mut self, limit: BootTime) {
        let now = self.storage.now();
        let mut next = limit;
        if let Some(at) = self.storage.next_finish_at() {
            next = next.min(at);
        }
        for running in self.running.values_mut() {
            let clock = self.machines[running.machine].clock;
            if running.frozen_until > now {
                next = next.min(running.frozen_until);
                next = running
                    .sockets
                    .values()
                    .filter_map(Socket::next_move)
                    .fold(next, BootTime::min);
                continue;
            }
            running.due = running.node.next_deadline(clock.now(now)).map(|at| clock.world(at));
            next = running.due.into_iter().fold(next, BootTime::min);
            for (connection, socket) in &running.sockets {
                let arrival = if running.node.may_read(*connection) {
                    socket.up.next_arrival()
                } else {
                    None
                };
                next = [arrival, socket.next_move()]
                    .into_iter()
                    .flatten()
                    .fold(next, BootTime::min);
                if socket.full_until > now {
                    next = next.min(socket.full_until);
                }
            }
        }
        for guest in &self.guests {
            next = next.min(guest.next_act.max(now));
            if let Some(at) = guest.being.next_timeout() {
                next = next.min(CLIENTS.world(at));
            }
        }
        // A deadline that lies behind must not stop time; one that stays there keeps a real broker busy for nothing.
        self.standstill = if next <= now { self.standstill + 1 } else { 0 };
        assert!(
            self.standstill < STANDSTILL_MAX,
            "time stands still: {}",
            self.deadlines(now)
        );
        let next = next.max(now + Duration::from_nanos(u64::from(next <= now)));
        self.storage.advance_to(next);
        self.coverage.count("step of simulated time");
        let (told, complained) = (self.scene.history.events().len(), self.scene.complaints.len());
        self.happen();
        if self.trace {
            for event in &self.scene.history.events()[told..] {
                self.say(|| format!("    {event:?}"));
            }
            for complaint in &self.scene.complaints[complained..] {
                self.say(|| format!("COMPLAINT {complaint}"));
            }
        }
    }

    /// Who wants to be woken when, for a report.
    pub(crate) fn deadlines(&mut self, now: BootTime) -> String {
        let mut text = format!("now {}, disk {:?}", now.0, self.storage.next_finish_at());
        for (process, running) in &mut self.running {
            let clock = self.machines[running.machine].clock;
            let deadline = running.node.next_deadline(clock.now(now)).map(|at| clock.world(at));
            let status = running.node.status(clock.now(now));
            text.push_str(&format!(
                ", {process:?} ({}) {deadline:?}, frozen until {:?}, lacks space {}, sends wait {:?}, {:?} wait, {} bytes of segments, space {:?}",
                status.phase,
                running.frozen_until,
                status.lacks_space,
                status.sends_wait,
                status.waiting,
                status.store_bytes,
                self.storage.space()
            ));
        }
        for guest in &self.guests {
            let timeout = guest.being.next_timeout().map(|at| CLIENTS.world(at));
            text.push_str(&format!(", a client {timeout:?} and {:?}", guest.next_act));
        }
        text
    }

    fn happen(&mut self) {
        let now = self.storage.now();
        let thawed = self.thaw();
        let completed = self.storage.next_completion_at().is_some_and(|at| at <= now);
        let processes: Vec<_> = self.running.keys().copied().collect();
        for process in processes {
            if let Some(running) = self.running.get(&process)
                && running.frozen_until <= now
            {
                if completed || thawed.contains(&running.machine) || running.due.is_some_and(|due| due <= now) {
                    self.turn(process);
                }
                self.notice_broken(process);
                self.carry(process);
            }
            // What a process handed to the kernel arrives whether it runs or not.
            self.arrive(process);
        }
        for index in 0..self.guests.len() {
            self.wake(index);
        }
    }

    fn turn(&mut self, process: ProcessNumber) {
        let Some(running) = self.running.get_mut(&process) else {
            return;
        };
        let now = self.machines[running.machine].clock.now(self.storage.now());
        running.node.turn(now);
        self.after_turn(process);
    }

    fn after_turn(&mut self, process: ProcessNumber) {
        let Some(running) = self.running.get_mut(&process) else {
            return;
        };
        let notices = running.node.take_notices();
        let answers = running.node.take_answers();
        let end = running.node.end().cloned();
        let answers = answers.into_iter();
        self.answers
            .extend(answers.map(|(request, answer)| (process, request, answer)));
        for notice in notices {
            self.say(|| format!("{process:?} says {notice:?}"));
            match notice {
                Notice::Leads { epoch } => {
                    self.coverage.count("leads");
                    self.scene.history.push(Event::Leads { epoch: epoch.0 });
                    if let Some(running) = self.running.get_mut(&process) {
                        running.leads = true;
                        running.epoch = epoch.0;
                        self.newest_epoch = self.newest_epoch.max(epoch.0);
                    }
                }
                Notice::Warning(ref text) | Notice::Error(ref text) => {
                    self.coverage.count_some(row_of(text));
                    if text.contains("sends wait for space") {
                        self.coverage.count("sends waited for space");
                    }
                    self.notices.push(notice);
                }
            }
        }
        if let Some(end) = end
            && self.running.contains_key(&process)
        {
            self.say(|| format!("{process:?} ended: {end:?}; there are {:?}", self.storage.files()));
            self.coverage.count(end_name(&end));
            self.coverage.count_some(row_of(&describe(&end)));
            // The process exits: what it had in flight is as with a kill.
            self.storage.crash(Crash::Process(process), Landed::Random);
            self.scene.history.push(match &end {
                End::Stopped => Event::Stopped,
                End::Failed(_) => Event::Crashed,
            });
            let led = self.running.get(&process).is_some_and(|running| running.leads);
            self.bury(process);
            self.ends.push(Ended { process, end, led });
        }
    }

    /// Lets a client do what it wants to do now.
    fn wake(&mut self, index: usize) {
        let (world_now, now) = (self.storage.now(), self.now());
        let guest = &mut self.guests[index];
        if let Being::Actor(actor) = &mut guest.being {
            if actor.next_timeout().is_some_and(|at| at <= now.boot) {
                actor.handle_timeout(now, &mut self.scene);
            }
            if actor.is_over()
                && let Some((process, connection)) = guest.at
            {
                let half_closes = actor.half_closes();
                // What it said before goes first.
                self.flush(index);
                return if half_closes {
                    self.half_close(process, connection);
                } else {
                    self.cut(process, connection, true);
                };
            }
        }
        if guest.next_act > world_now {
            return self.flush(index);
        }
        // Who finds nothing to do looks less and less often.
        let pause = PAUSE_MAX * (1 << guest.idle.min(5));
        guest.next_act = world_now + self.prng.between(Duration::from_micros(50), pause);
        guest.idle += 1;
        if guest.at.is_none() {
            let is_kept_out = self.keeps_out && matches!(&guest.being, Being::Actor(actor) if actor.says_nothing());
            if !is_kept_out {
                self.connect(index);
            }
            return;
        }
        if let Being::Actor(actor) = &mut guest.being {
            // Now and then several at once: frames share a piece, batches fill.
            let count = if self.prng.below(8) == 0 {
                1 + self.prng.below(12)
            } else {
                1
            };
            for _ in 0..count {
                if actor.act(now, &mut self.scene) {
                    guest.idle = 0;
                }
            }
        }
        self.flush(index);
    }

    /// A client that will come.
    pub(crate) fn invite(&mut self, being: Being, pace: Pace) -> usize {
        self.guests.push(Guest {
            being,
            at: None,
            pace,
            next_act: self.storage.now(),
            idle: 0,
        });
        self.guests.len() - 1
    }

    /// No client does anything before this moment.
    pub(crate) fn silence_guests(&mut self, until: BootTime) {
        self.silent_until = until;
        for guest in &mut self.guests {
            guest.next_act = guest.next_act.max(until);
            guest.idle = 0;
        }
    }

    /// Every client leaves at once.
    pub(crate) fn disperse(&mut self) {
        for index in 0..self.guests.len() {
            if let Some((process, connection)) = self.guests[index].at {
                self.cut(process, connection, true);
            }
        }
        self.guests.clear();
    }

    /// Waits until one leads; starts one where none runs. An error says why nobody does.
    pub(crate) fn lead(&mut self) -> Result<(), String> {
        let (limit, mut seen) = (self.storage.now() + LEADS_WITHIN, self.ends.len());
        while self.leader().is_none() {
            while let Some(ended) = self.ends.get(seen) {
                seen += 1;
                match &ended.end {
                    // What the dead had in flight may look like a sign of life.
                    End::Failed(Failure::AnotherLeads { .. }) => {
                        let again = self.storage.now() + Duration::from_secs(1);
                        while self.storage.now() < again {
                            self.step(again);
                        }
                    }
                    End::Stopped | End::Failed(_) if ended.led => {}
                    End::Stopped | End::Failed(_) => {
                        return Err(format!("{:?} ended: {}", ended.process, describe(&ended.end)));
                    }
                }
            }
            if self.running.is_empty() {
                self.start(0);
            }
            if self.storage.now() >= limit {
                let phase = self.running.values().next().map(|running| phase_of(&running.node));
                return Err(format!(
                    "nobody leads {LEADS_WITHIN:?} after a faultless start; it is {phase:?}"
                ));
            }
            self.step(limit);
        }
        Ok(())
    }

    /// Takes everything that waits. An error says why it does not come.
    pub(crate) fn drain(&mut self) -> Result<(), String> {
        for (place, destination, durable) in self.scene.places() {
            let now = self.now();
            let drainer = Drainer::new(place, &destination, durable, now, &mut self.scene);
            let index = self.invite(Being::Drainer(drainer), Pace::Even);
            let limit = self.storage.now() + DRAINED_WITHIN;
            while matches!(&self.guests[index].being, Being::Drainer(drainer) if drainer.taken() == Taken::Waiting) {
                if self.storage.now() >= limit || self.running.is_empty() {
                    let name = self.scene.history.name(place);
                    let end = self
                        .ends
                        .last()
                        .filter(|_| self.running.is_empty())
                        .map(|ended| describe(&ended.end));
                    return Err(format!(
                        "{name} is not drained after {DRAINED_WITHIN:?} {}",
                        end.unwrap_or_default()
                    ));
                }
                self.step(limit);
            }
            self.disperse();
        }
        Ok(())
    }

    /// Why the last process ended.
    pub(crate) fn last_failure(&self) -> Option<&Failure> {
        match self.ends.last() {
            Some(Ended {
                end: End::Failed(failure),
                ..
            }) => Some(failure),
            Some(Ended { end: End::Stopped, .. }) | None => None,
        }
    }
}

/// An end in words.
pub(crate) fn describe(end: &End) -> String {
    match end {
        End::Stopped => "stopped".into(),
        End::Failed(failure) => failure.to_string(),
    }
}

/// What a start is doing.
fn phase_of(node: &Node) -> &'static str {
    node.status(Now::default()).phase
}

fn end_name(end: &End) -> &'static str {
    match end {
        End::Stopped => "ended: stopped",
        End::Failed(Failure::AnotherLeads { .. }) => "ended: another leads",
        End::Failed(Failure::Fenced { .. }) => "ended: fenced",
        End::Failed(Failure::Damage { .. }) => "ended: damage",
        End::Failed(Failure::Disk(_)) => "ended: disk",
        End::Failed(Failure::Stalled { .. }) => "ended: stalled",
        End::Failed(Failure::HistoryChanged { .. }) => "ended: history changed",
        End::Failed(Failure::Unfit { .. }) => "ended: unfit",
    }
}

fn phase_name(phase: &'static str) -> &'static str {
    match phase {
        "starting" => "died while starting",
        "checking the data directory" => "died while checking the data directory",
        "looking for a leader" => "died while looking for a leader",
        "claiming" => "died while claiming",
        "fencing earlier epochs" => "died while fencing",
        "reading the history" => "died while reading the history",
        "hardening the end of the history" => "died while hardening",
        "sealing" => "died while sealing",
        "leading" => "died while beginning to lead",
        waiting if waiting.starts_with("waiting for space") => "died while waiting for space",
        _ => "died in another phase",
    }
}
