//! One run: work under faults, then a faultless end, then the verdict.

mod calamities;
mod tail;

use std::time::Duration;

use node::{End, Failure, Notice};
use platform::{BootTime, DiskErrorKind};
use simulated::{Coverage, Crash, Fault, FaultPlan, Landed, Point, ProcessNumber, Stalled};

use self::calamities::Later;
use super::company::{Company, Stranger};
use super::forgery::{Before, Forgery, cut_tail, damage_confirmed, forge};
use super::operator::Operator;
use super::pace::Pace;
use super::scenario::{CUT_OFF_MILLIS, Calamity, Damage, HUNG_MILLIS, Moment, Scenario};
use super::world::{Being, Ended, LEADS_WITHIN, World, describe};
use crate::history::{self, History, Tolerance};
use crate::workload::{Actor, Scene};

/// Simulated time within which the work has to be done: beyond it nothing moves any more.
const WORK_WITHIN: Duration = Duration::from_secs(900);

/// Simulated time from the last work to the last death where damage follows: by then a heartbeat covers what was confirmed.
const COVERED_AFTER: Duration = Duration::from_secs(3);

/// Simulated time within which a body that is found damaged is set aside.
const SET_ASIDE_WITHIN: Duration = Duration::from_secs(8);

/// Simulated time after which everything that may expire has.
const EXPIRED_AFTER: Duration = Duration::from_secs(200);

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// Operations of clients.
    pub operations: u64,
    /// Operations on the disk.
    pub disk_operations: u64,
    /// What happened, by name.
    pub coverage: Coverage,
    /// What broke; empty if all is well.
    pub failures: Vec<String>,
    /// Everything that the clients did and saw.
    pub history: History,
}

/// Runs the scenario of a seed.
pub fn run(seed: u64, trace: bool) -> Report {
    let scenario = Scenario::of(seed);
    let mut run = Run::new(&scenario, trace);
    run.work();
    if run.failures.is_empty() && !run.refused {
        run.end();
    }
    run.report(seed)
}

struct Run<'a> {
    scenario: &'a Scenario,
    world: World,
    calamities: Vec<(Moment, Calamity)>,
    /// Disk operations when the last calamity was over.
    operations_before: u64,
    later: Vec<(BootTime, Later)>,
    others_excused: bool,
    /// What went elsewhere was noticed, and nothing is begun over it.
    refused: bool,
    stalled_until: BootTime,
    struck_at: BootTime,
    /// How many checkpoints there were, and whether one was begun since.
    checkpoints: Option<(usize, bool)>,
    ends_seen: usize,
    /// The operation whose write goes elsewhere.
    misdirected: Option<u64>,
    operator: Option<Operator>,
    /// When next is looked whether sends wait for memory.
    next_room: BootTime,
    failures: Vec<String>,
}

impl Run<'_> {
    fn new(scenario: &Scenario, trace: bool) -> Run<'_> {
        let scene = Scene::new(scenario.large);
        let mut world = World::new(
            scenario.seed,
            scenario.plan.clone(),
            scenario.settings.clone(),
            scene,
            scenario.shared,
        );
        world.trace = trace;
        world.say(|| format!("{scenario:?}"));
        for role in &scenario.roles {
            let actor = Actor::new(*role, scenario.work, world.prng.split());
            world.invite(Being::Actor(actor), Pace::Even);
        }
        let operator = scenario.company.as_ref().map(|company| {
            world.scene.let_overhear();
            for Stranger { role, pace, manner } in &company.strangers {
                let actor = Actor::new(*role, scenario.work, world.prng.split()).behaving(*manner, true);
                world.coverage.count_some(pace.name());
                world.coverage.count_some(manner.name());
                world.invite(Being::Actor(actor), *pace);
            }
            Operator::new(world.prng.split(), company.purges)
        });
        let mut calamities = scenario.calamities.clone();
        let mut misdirected = None;
        if scenario.damage == Damage::Misdirected {
            // What went astray lately may rest on nothing else: then there is no death before it is covered.
            calamities.retain(|(_, calamity)| *calamity == Calamity::Cut);
            let operation = 60 + world.prng.below(400);
            world.storage.fault_at(operation, Fault::Misdirect);
            misdirected = Some(operation);
        }
        calamities.reverse();
        let others_excused = scenario.excuses.others;
        Run {
            scenario,
            world,
            calamities,
            operations_before: 0,
            later: Vec::new(),
            others_excused,
            refused: false,
            stalled_until: BootTime(0),
            struck_at: BootTime(0),
            checkpoints: None,
            ends_seen: 0,
            misdirected,
            operator,
            next_room: BootTime(0),
            failures: Vec::new(),
        }
    }

    fn fail(&mut self, why: String) {
        self.world.say(|| format!("FAILURE {why}"));
        self.failures.push(why);
    }

    fn now(&self) -> BootTime {
        self.world.storage.now()
    }

    // ---- work ----

    fn work(&mut self) {
        self.world.start(0);
        self.set_trap();
        while self.failures.is_empty()
            && !self.refused
            && (self.world.scene.operations < self.scenario.operations || !self.calamities.is_empty())
        {
            if self.now() > BootTime(0) + WORK_WITHIN {
                let (operations, left) = (self.world.scene.operations, self.calamities.len());
                let who = self.world.deadlines(self.now());
                return self.fail(format!(
                    "no progress: {operations} operations and {left} calamities to come after {WORK_WITHIN:?}; {who}"
                ));
            }
            self.come_due();
            self.strike_if_due();
            self.operate();
            self.make_room();
            self.world.step(self.next_later());
            self.look_at_ends();
            self.keep_running();
        }
    }

    fn next_later(&self) -> BootTime {
        let soon = self.now() + Duration::from_secs(1);
        self.later.iter().map(|(at, _)| *at).fold(soon, BootTime::min)
    }

    /// Somebody must run, or be about to.
    fn keep_running(&mut self) {
        let starts = self.later.iter().any(|(_, later)| matches!(later, Later::Start(_)));
        if self.world.running.is_empty() && !starts {
            let machine = self.world.prng.index(self.world.machines.len());
            let pause = if self.world.prng.below(2) == 0 {
                Duration::ZERO
            } else {
                Duration::from_millis(600)
            };
            let at = self.now() + self.world.prng.between(Duration::ZERO, pause + Duration::from_nanos(1));
            self.later.push((at, Later::Start(machine)));
        }
    }

    /// Whether those who ended were allowed to.
    fn look_at_ends(&mut self) {
        while let Some(Ended { process, end, .. }) = self.world.ends.get(self.ends_seen).cloned() {
            self.ends_seen += 1;
            let excuses = self.scenario.excuses;
            let excused = match &end {
                End::Stopped => true,
                End::Failed(Failure::Disk(error)) => match error.kind {
                    DiskErrorKind::NoSpace => excuses.no_space,
                    // A leader that was superseded finds that its successor has tidied up.
                    DiskErrorKind::NotFound | DiskErrorKind::Stale if self.others_excused => true,
                    DiskErrorKind::NotFound
                    | DiskErrorKind::Exists
                    | DiskErrorKind::Stale
                    | DiskErrorKind::Denied
                    | DiskErrorKind::Failed => excuses.failed || excuses.damage,
                },
                End::Failed(Failure::AnotherLeads { .. } | Failure::Fenced { .. }) => self.others_excused,
                End::Failed(Failure::Damage { file, .. }) => {
                    self.refused |= self.scenario.damage == Damage::Misdirected;
                    excuses.damage && !file.is_empty()
                }
                // Only a server that crashes while a start reads takes anything back.
                End::Failed(Failure::HistoryChanged { .. }) => excuses.damage,
                End::Failed(Failure::Stalled { .. } | Failure::Unfit { .. }) => false,
            };
            if !excused {
                self.fail(format!("{process:?} ended: {}", describe(&end)));
            }
        }
    }

    // ---- the end ----

    fn end(&mut self) {
        self.world.storage.set_plan(FaultPlan::calm());
        if let Some(operation) = self
            .misdirected
            .filter(|operation| *operation >= self.world.storage.submitted())
        {
            // Too late to go astray.
            self.world.storage.fault_at(operation, Fault::Stall(Duration::ZERO));
        }
        self.world.storage.set_capacity(None);
        self.later.clear();
        self.world.say(|| "THE END BEGINS".into());
        let damaged = self.scenario.damage != Damage::None;
        if let Some(company) = &self.scenario.company {
            self.tail(company);
            if !self.failures.is_empty() || self.refused {
                return;
            }
        }
        if damaged || self.world.prng.below(2) == 0 {
            // What is under way is answered, and covered by a heartbeat.
            self.world.disperse();
            let stalled = self.stalled_until.since(self.now())
                + if damaged {
                    self.scenario.plan.stall_max
                } else {
                    Duration::ZERO
                };
            // One who thawed and takes itself for the leader covers nothing, and ends at its next beat.
            for _ in 0..3 {
                if !self.lead("before the last death") {
                    return;
                }
                self.pass(stalled + COVERED_AFTER);
                if self.world.leader().is_some() {
                    break;
                }
            }
        }
        self.last_death();
        self.world.disperse();
        self.pass_without_anybody(EXPIRED_AFTER);
        if let Damage::Forged(forgery) = self.scenario.damage
            && let Some(path) = forge(&self.world.storage, forgery)
        {
            self.world.say(|| format!("a batch is forged in {path}: {forgery:?}"));
            self.world.coverage.count(match forgery {
                Forgery::WithoutNonce => "forged: without nonce",
                Forgery::WithoutChain => "forged: without chain",
            });
        }
        let before = match self.scenario.damage {
            Damage::None | Damage::Misdirected | Damage::Forged(_) => None,
            Damage::FlippedBit => self.flip_a_bit(),
            Damage::CutTail => cut_tail(&self.world.storage, &mut self.world.prng),
            Damage::DamagedConfirmed => damage_confirmed(&self.world.storage, &mut self.world.prng),
        };
        for (path, _) in before.iter().flatten() {
            self.world
                .say(|| format!("{path} is damaged: {:?}", self.scenario.damage));
            self.world.coverage.count("damaged at rest");
        }
        self.others_excused = self.scenario.shared;
        self.world.scene.history.push(history::Event::Draining);
        let flips = before.is_some();
        if !self.lead_despite(before) {
            return;
        }
        self.drain();
        if flips {
            // A damaged body is set aside only after several readings.
            self.pass(SET_ASIDE_WITHIN);
        }
        if self.scenario.drains_twice && self.failures.is_empty() {
            self.last_death();
            if self.lead("for the second drain") {
                self.drain();
            }
        }
    }

    fn last_death(&mut self) {
        let processes: Vec<_> = self.world.running.keys().copied().collect();
        for process in processes {
            // The end of one may take so long that another ends by itself.
            let Some(running) = self.world.running.get(&process) else {
                continue;
            };
            if self.scenario.stops_at_end && running.leads && running.frozen_until <= self.now() {
                let at = self.world.machines[running.machine].clock.now(self.now());
                self.world
                    .running
                    .get_mut(&process)
                    .expect("it was just seen")
                    .node
                    .stop(at);
                let limit = self.now() + LEADS_WITHIN;
                while self.world.running.contains_key(&process) && self.now() < limit {
                    self.world.step(limit);
                }
                if self.world.running.contains_key(&process) {
                    self.fail("a clean stop does not end".into());
                }
                self.look_at_ends();
            } else {
                self.world.kill(process, Crash::Process(process), Landed::Random);
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now() + time;
        while self.now() < until && self.failures.is_empty() {
            self.world.step(until);
            self.look_at_ends();
        }
    }

    fn pass_without_anybody(&mut self, time: Duration) {
        let until = self.now() + time;
        self.world.storage.advance_to(until);
    }

    /// Starts a process if none runs, and waits until one leads.
    fn lead(&mut self, when: &str) -> bool {
        if let Err(why) = self.world.lead() {
            self.fail(format!("{when}: {why}"));
        }
        self.look_at_ends();
        self.failures.is_empty()
    }

    /// Starts; if the damage is refused, undoes it and starts again.
    fn lead_despite(&mut self, before: Option<Vec<Before>>) -> bool {
        let led = self.world.lead();
        self.look_at_ends();
        let Err(why) = led else { return self.failures.is_empty() };
        if !matches!(self.world.last_failure(), Some(Failure::Damage { .. })) || self.scenario.damage == Damage::None {
            self.fail(format!("at the end: {why}"));
            return false;
        }
        match before {
            Some(before) => {
                self.world.coverage.count("damage refused, undone, started");
                for (path, content) in before {
                    self.world.storage.write_file(&path, &content);
                }
                self.world.notices.clear();
                self.lead("after the damage was undone")
            }
            None => {
                self.refused = true;
                false
            }
        }
    }

    fn flip_a_bit(&mut self) -> Option<Vec<Before>> {
        let files = self.world.storage.files();
        let prng = &mut self.world.prng;
        for _ in 0..20 {
            let path = files[prng.index(files.len())].clone();
            let Some(content) = self
                .world
                .storage
                .read_file(&path)
                .filter(|content| !content.is_empty())
            else {
                continue;
            };
            let offset = prng.below(content.len() as u64);
            // Most of a file is reserved and empty: prefer what holds something.
            if content[offset as usize] == 0 && prng.below(8) > 0 {
                continue;
            }
            let bit = prng.below(8) as u8;
            if self.world.storage.flip_bit(&path, offset, bit) {
                self.world.say(|| format!("bit {bit} of byte {offset} of {path} flips"));
                return Some(vec![(path, content)]);
            }
        }
        None
    }

    fn drain(&mut self) {
        if let Err(why) = self.world.drain() {
            self.fail(why);
        }
        self.look_at_ends();
    }

    // ---- the verdict ----

    fn report(mut self, seed: u64) -> Report {
        let excuses = self.scenario.excuses;
        let set_aside = self
            .world
            .notices
            .iter()
            .filter(|notice| matches!(notice, Notice::Error(text) if text.contains("set aside")))
            .count();
        for notice in std::mem::take(&mut self.world.notices) {
            let (text, grave) = match &notice {
                Notice::Leads { .. } => continue,
                Notice::Warning(text) => (text, false),
                Notice::Error(text) => (text, true),
            };
            self.world
                .coverage
                .count(if grave { "said ERROR" } else { "said WARN" });
            let clock = text.contains("wall clock")
                && self
                    .scenario
                    .calamities
                    .iter()
                    .any(|(_, calamity)| *calamity == Calamity::ClockJump);
            let full = text.contains("sends wait for space") && (excuses.no_space || excuses.little_memory);
            let full = full || excuses.no_space && text.contains("persistent sends");
            let scarce = excuses.little_memory && text.contains("large frames are read one after the other");
            // A server that crashes between a sync and its answer may take a name back; docs/status.md, known defects.
            let taken_back = self.scenario.shared
                && self.world.coverage.of("calamity: power loss") > 0
                && ["is left out", "cannot be fallen back on"]
                    .iter()
                    .any(|known| text.contains(known));
            if taken_back {
                self.world
                    .coverage
                    .count("known defect: a checkpoint whose name a crashed server took back");
            }
            if !excuses.damage && !clock && !full && !scarce && !taken_back && !is_excused_notice(text) {
                self.failures.push(format!("unexpected: {notice:?}"));
            }
        }
        for complaint in std::mem::take(&mut self.world.scene.complaints) {
            let silent = complaint.contains("Channel was inactive") && excuses.under_way > 1_000;
            let full = excuses.no_space && complaint.contains("space")
                || excuses.little_memory && complaint.contains("Usage Manager Memory Limit");
            let large = excuses.little_transactions
                && (complaint.contains("maximum allowed size") || complaint.contains("was rolled back"));
            if !(silent || full || large) {
                self.failures.push(format!("a client was told: {complaint}"));
            }
        }
        let whole = self.failures.is_empty() && self.world.scene.history.events().contains(&history::Event::Draining);
        if self.refused {
            self.world.coverage.count("misdirected write refused");
        }
        if whole && !self.refused {
            let tolerance = Tolerance {
                under_way: excuses.under_way,
                set_aside,
            };
            let history = &self.world.scene.history;
            for violation in history::judge(history, tolerance) {
                let story = violation.body.map(|body| history.story(body)).unwrap_or_default();
                self.failures.push(format!("{violation}\n{story}"));
            }
        }
        let mut coverage = self.world.coverage.clone();
        coverage.add(&self.world.scene.coverage);
        coverage.add(&self.world.storage.coverage());
        Report {
            seed,
            operations: self.world.scene.operations,
            disk_operations: self.world.storage.submitted(),
            coverage,
            failures: self.failures,
            history: self.world.scene.history,
        }
    }
}

/// What a broker that is well may say after what was done to it.
pub(crate) fn is_excused_notice(text: &str) -> bool {
    // A claim that died between its seal and its first beat; writes that were torn when their process died; a disk that is full by being small.
    [
        "persistent sends find no space from the beginning",
        "heartbeat cell is blank",
        "nothing shows it as confirmed",
        "one of the two root cells is damaged",
    ]
    .iter()
    .any(|excused| text.contains(excused))
}

/// Whether a name of a run's coverage is that of a fault: something that went wrong, not merely happened.
pub fn is_fault(name: &str) -> bool {
    const FAULTS: [&str; 18] = [
        "process crash",
        "power loss",
        "torn",
        "torn inside a block",
        "lost at power loss",
        "name lost at power loss",
        "landed late",
        "stalled",
        "failed",
        "stale",
        "no space",
        "short write",
        "lost link reply",
        "misdirected",
        "flipped",
        "calamity: freeze",
        "calamity: stall",
        "calamity: connection cut",
    ];
    FAULTS.contains(&name)
}
