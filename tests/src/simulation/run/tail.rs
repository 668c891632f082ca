//! The faultless end of a run with slow and malicious clients: whatever those hold, the others get their answers, and what the node holds is within its limits and goes with its connections.

use super::*;

/// Simulated time within which a well-behaved client is let in and has every answer, where nothing fails.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

/// Simulated time within which a leader that has room sets its ballast aside, once nothing of what it does to the disk stalls any more.
const BALLAST_MADE_WITHIN: Duration = Duration::from_millis(2_500);

/// Simulated time within which a leader notices that the disk is full.
const SEEN_FULL_WITHIN: Duration = Duration::from_millis(1_200);

/// For how long clients work while the disk is full.
const WORKS_WHILE_FULL: Duration = Duration::from_millis(500);

/// Between two looks at whether sends wait for memory.
const ROOM_INTERVAL: Duration = Duration::from_millis(500);

impl Run<'_> {
    /// Lets everybody go on without faults, and looks whether the well-behaved are served.
    pub(super) fn tail(&mut self, company: &Company) {
        // Whoever asked first would find a place again and again: that is another promise than this one.
        self.world.keeps_out = true;
        // What was stalled or stopped goes on first.
        self.world.rest();
        let stopped = self.world.running.values().map(|running| running.frozen_until);
        let until = stopped.fold(self.stalled_until, BootTime::max);
        self.pass_with_somebody(until.since(self.now()));
        self.world.wake_up();
        if company.full_at_end && self.failures.is_empty() {
            self.be_served_while_full();
        }
        self.world.storage.set_capacity(None);
        self.until("is let in", |world| {
            world.well_behaved().all(|actor| actor.is_settled())
        });
        self.world.rest();
        // Who waits for memory waits for others to take what fills it, and not every message has a taker: what waits for a durable subscription that is away no operator purges.
        let makes_room = self.scenario.makes_room();
        self.until("is answered", |world| {
            let is_well = world
                .well_behaved()
                .all(|actor| actor.is_settled() && actor.is_answered());
            is_well || makes_room && world.waits_for_memory()
        });
        if let Some(mut operator) = self.operator.take() {
            self.until("answers its operator", |world| {
                operator.hear(world);
                operator.open_orders(world) == 0
            });
            self.operator = Some(operator);
        }
        self.world.count_drops();
        self.check_invariants("at the end");
        self.world.disperse();
        // Long work of theirs ends in pieces.
        self.pass(Duration::from_secs(1));
        self.check_invariants("after everybody left");
    }

    /// On a full disk sends wait or are refused; acknowledgements go on, also on a connection whose sends wait.
    fn be_served_while_full(&mut self) {
        self.world.storage.set_capacity(None);
        self.world.rest();
        self.pass_with_somebody(self.scenario.plan.stall_max + BALLAST_MADE_WITHIN);
        self.world.wake_up();
        if !self.failures.is_empty() || !self.lead("before the disk is full at the end") {
            return;
        }
        let spare = self
            .world
            .prng
            .below(u64::from(self.scenario.settings.journal.segment_bytes));
        self.world.storage.fill_up(1 << 30, spare);
        self.world.coverage.count("a full disk at the end");
        self.world.say(|| "THE DISK IS FULL AT THE END".into());
        // A leader looks at its space once a second.
        self.world.rest();
        self.pass_with_somebody(SEEN_FULL_WITHIN);
        self.world.wake_up();
        self.pass_with_somebody(WORKS_WHILE_FULL);
        self.world.rest();
        // A start waits for space.
        self.until("has its acknowledgements answered on a full disk", |world| {
            world.leader().is_none() || world.well_behaved().all(|actor| actor.is_settled())
        });
        self.world.wake_up();
    }

    fn pass_with_somebody(&mut self, time: Duration) {
        let until = self.now() + time;
        while self.now() < until && self.failures.is_empty() {
            self.go_on(until);
        }
    }

    /// One step, with a process that runs and an operator who makes room.
    fn go_on(&mut self, limit: BootTime) {
        self.come_due();
        self.make_room();
        self.world.step(self.next_later().min(limit));
        self.look_at_ends();
        self.keep_running();
    }

    fn until(&mut self, what: &str, mut holds: impl FnMut(&mut World) -> bool) {
        let mut leads = self.world.coverage.of("leads");
        let mut limit = self.now() + ANSWERED_WITHIN;
        while self.failures.is_empty() && !holds(&mut self.world) {
            // Whoever takes over begins anew.
            if self.world.coverage.of("leads") > leads {
                leads = self.world.coverage.of("leads");
                limit = self.now() + ANSWERED_WITHIN;
            }
            if self.now() >= limit {
                let waiting: Vec<String> = self.world.well_behaved().map(Actor::waits_for).collect();
                let waiting = waiting.join("; ");
                let who = self.world.deadlines(self.now());
                return self.fail(format!(
                    "a well-behaved client waits: not each {what} within {ANSWERED_WITHIN:?} without a fault; {waiting}; {who}"
                ));
            }
            self.go_on(limit);
        }
    }

    /// Where sends wait for memory as long as it takes, and nobody takes what fills it, an operator empties queues.
    pub(super) fn make_room(&mut self) {
        let now = self.now();
        if now < self.next_room || !self.scenario.makes_room() {
            return;
        }
        self.next_room = now + ROOM_INTERVAL;
        if self.world.waits_for_memory()
            && let Some(operator) = self.operator.as_mut().filter(|operator| operator.has_created())
        {
            self.world.coverage.count("operator: made room");
            operator.make_room(&mut self.world);
        }
    }

    /// The operator hears and gives orders.
    pub(super) fn operate(&mut self) {
        if let Some(operator) = &mut self.operator {
            operator.work(&mut self.world);
            self.world.scene.places_exist = operator.has_created();
        }
    }

    pub(super) fn check_invariants(&mut self, when: &str) {
        for why in self.world.broken_invariants() {
            self.fail(format!("{when}: {why}"));
        }
    }
}
