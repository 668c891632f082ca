//! A client's transactions: over several queues, sends and acknowledgements, ended by COMMIT or ABORT.

use super::*;

impl Line {
    /// Begins, goes on with or ends a transaction.
    pub(super) fn work_in_transaction(
        &mut self,
        prng: &mut Prng,
        work: Work,
        now: Now,
        resends: &mut VecDeque<Parcel>,
        scene: &mut Scene,
    ) -> bool {
        if self.is_committing() {
            return false;
        }
        let Some(open) = &mut self.open else {
            let number = scene.history.fresh();
            let name = format!("t-{number}");
            self.client.begin(&name, None);
            scene.operate("BEGIN");
            self.open = Some(Open {
                transaction: Transaction(number),
                name,
                sends: Vec::new(),
                settled: Vec::new(),
                steps: self.mischief.steps_of_a_transaction(prng),
            });
            return true;
        };
        if open.steps == 0 {
            return self.end_transaction(prng, scene);
        }
        open.steps -= 1;
        let has_held = self
            .subscriptions
            .iter()
            .any(|subscription| !subscription.held.is_empty());
        if has_held && prng.below(2) == 0 {
            return self.settle_something(prng, scene);
        }
        let parcel = match resends.pop_front() {
            Some(parcel) => {
                scene.count("resend in a transaction");
                parcel
            }
            None => new_parcel(prng, work, now, scene),
        };
        self.send(prng, parcel, scene);
        true
    }

    /// Commits or aborts the open transaction.
    fn end_transaction(&mut self, prng: &mut Prng, scene: &mut Scene) -> bool {
        let Some(open) = self.open.take() else { return false };
        let name = open.name.clone();
        if self.mischief.never_ends() {
            scene.count("mischief: a transaction that is left open");
            return true;
        }
        if prng.below(4) > 0 {
            scene.push(Event::Committing(open.transaction));
            scene.operate("COMMIT");
            let receipt = self.request(Request::Commit(open), scene);
            self.client.commit(&name, Some(&receipt));
        } else {
            scene.push(Event::RolledBack(open.transaction));
            scene.operate("ABORT");
            self.client.abort(&name, None);
            self.reopen(open.settled);
        }
        true
    }

    /// What was acknowledged in a transaction that did not take place is open again.
    pub(super) fn reopen(&mut self, settled: Vec<(usize, Held)>) {
        for (index, held) in settled {
            if let Some(subscription) = self.subscriptions.get_mut(index) {
                let at = subscription.held.partition_point(|other| other.serial < held.serial);
                subscription.held.insert(at, held);
            }
        }
    }

    /// Does one thing that finishes what was begun, if there is such a thing.
    pub(super) fn finish(&mut self, prng: &mut Prng, scene: &mut Scene) -> bool {
        if self.open.is_some() {
            return self.end_transaction(prng, scene);
        }
        !self.is_committing() && self.settle_something(prng, scene)
    }

    /// Whether a COMMIT is unanswered. If it is refused, what it acknowledged is open again: only then is known what an ACK means.
    fn is_committing(&self) -> bool {
        let commits = |request: &Request| matches!(request, Request::Commit(_));
        self.requests.values().any(commits)
    }
}
