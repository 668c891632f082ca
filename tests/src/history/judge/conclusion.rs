//! What can only be said when the history is over: whether transactions without an answer took place, who has each message, what browsers missed.

use super::*;

impl Judge<'_> {
    /// What was overtaken must have been on its way to a consumer that left.
    fn conclude_order(&mut self) {
        for overtaken in std::mem::take(&mut self.overtaken) {
            let given_back = |leave: &Leave| {
                leave.places.contains(&overtaken.place)
                    && leave.from < overtaken.at
                    && leave.until.is_none_or(|until| until > overtaken.begun)
            };
            if !self.leaves.iter().any(given_back) {
                self.break_rule(Rule::Order, Some(overtaken.body), overtaken.text);
            }
        }
    }

    pub(super) fn conclude(&mut self) {
        self.draining = false;
        self.conclude_order();
        self.conclude_transactions();
        self.conclude_messages();
        self.conclude_browses();
    }

    /// Decides of every COMMIT without an answer whether it took place, and judges it.
    fn conclude_transactions(&mut self) {
        for (transaction, unit) in std::mem::take(&mut self.transactions) {
            let Some(committing) = unit.committing.filter(|_| !unit.committed) else {
                continue;
            };
            // A resend may be what was seen; a send that does not survive may not be.
            let telling = |body: &&Body| {
                let message = &self.messages[*body];
                let places = &message.sending.places;
                let purged = self.is_purged(**body);
                message.attempts == 1 && message.sending.persistent && !places.is_empty() && !purged
            };
            let sends: Vec<Body> = unit.sends.iter().filter(telling).copied().collect();
            let seen: Vec<Body> = sends.iter().filter(|body| self.messages[body].seen).copied().collect();
            let settled: Vec<(Body, Place)> = unit
                .settlements
                .iter()
                .flat_map(|settlement| {
                    let settled = &self.settlements[settlement];
                    settled.bodies.iter().map(|body| (*body, settled.place))
                })
                .collect();
            let returned = |(body, place): &(Body, Place)| {
                let message = &self.messages[body];
                let is_alone = message.sending.places.len() == 1;
                // Where an operator may have moved it too; but not another copy.
                let later = self
                    .everywhere(*body)
                    .filter(|(other, waiting)| is_alone || other == place && waiting.arrivals == 0)
                    .any(|(_, waiting)| waiting.last_delivery.is_some_and(|later| later > committing));
                // In the dead-letter queue because of this place, and not of another.
                later || (message.dead_letters > 0 && is_alone)
            };
            let back = settled.iter().find(|pair| returned(pair)).copied();
            let took_place = if sends.is_empty() {
                back.is_none()
            } else {
                !seen.is_empty()
            };
            if !took_place && !unit.rolled_back && self.tolerance.set_aside > 0 {
                // It may have taken place, and what it sent be what was set aside.
                for settlement in unit.settlements {
                    self.settle(settlement, Certainty::Perhaps);
                }
                continue;
            }
            if !took_place || unit.rolled_back {
                // What it settled must have come back: judged as lost otherwise.
                if unit.rolled_back && !seen.is_empty() {
                    self.break_rule(
                        Rule::HalfTransaction,
                        Some(seen[0]),
                        format!("transaction {} was rolled back and was seen", transaction.0),
                    );
                }
                continue;
            }
            if self.tolerance.set_aside == 0
                && let Some(missing) = sends.iter().find(|body| !seen.contains(body))
            {
                self.break_rule(
                    Rule::HalfTransaction,
                    Some(*missing),
                    format!(
                        "of transaction {} message {} was seen and message {} was not",
                        transaction.0, seen[0].0, missing.0
                    ),
                );
            }
            if let Some((body, place)) = back {
                let name = self.name(place);
                self.break_rule(
                    Rule::HalfTransaction,
                    Some(body),
                    format!("the sends of transaction {} were seen, and message {} that it acknowledged came again from {name}", transaction.0, body.0),
                );
            }
            // Where only what it acknowledged stayed away, that may have another reason.
            for body in unit.sends.iter().filter(|_| !seen.is_empty()) {
                let message = self.messages.get_mut(body).expect("a transaction's sends were seen");
                // It took place at some time behind its COMMIT, and nobody knows when.
                message.confirmed.get_or_insert(Moment::MAX);
            }
            for settlement in unit.settlements {
                self.settle(settlement, Certainty::Perhaps);
            }
        }
    }

    fn is_purged(&self, body: Body) -> bool {
        let mut everywhere = self.everywhere(body);
        everywhere.any(|(_, waiting)| waiting.purged > Certainty::No)
    }

    fn conclude_messages(&mut self) {
        let mut found = Vec::new();
        let mut set_aside = self.tolerance.set_aside;
        for (body, message) in &self.messages {
            if !message.sending.persistent {
                continue;
            }
            if message.moved {
                match self.account(*body, message) {
                    // What is set aside is where nobody gets it.
                    Some(wrong) if wrong.is_missing && set_aside > 0 => set_aside -= 1,
                    wrong => found.extend(wrong.map(|wrong| (wrong.rule, *body, wrong.text))),
                }
                continue;
            }
            let (mut least, mut most) = (0, 0);
            // Those of one topic share one copy.
            let mut shared = 0;
            for place in &message.sending.places {
                let fresh = Waiting::default();
                let waiting = self.waiting.get(&(*body, *place)).unwrap_or(&fresh);
                let name = self.name(*place);
                if waiting.drained > 1 {
                    found.push((
                        Rule::StoredTwice,
                        *body,
                        format!("message {} waited {} times in {name}", body.0, waiting.drained),
                    ));
                }
                let may_die = waiting.rejected > Certainty::No || message.sending.expires.is_some();
                let there = waiting.drained > 0;
                // What was seen rests on a confirmed record, receipt or not.
                let known = message.confirmed.is_some() || message.seen;
                let is_purged = waiting.purged > Certainty::No;
                let missing = known && !there && waiting.consumed == Certainty::No && !is_purged;
                if missing && !may_die {
                    if set_aside > 0 {
                        set_aside -= 1;
                        continue;
                    }
                    found.push((
                        Rule::Lost,
                        *body,
                        format!("message {} was confirmed, and {name} does not have it", body.0),
                    ));
                    continue;
                }
                let copies = if self.history.is_subscription(*place) {
                    std::mem::replace(&mut shared, 1) ^ 1
                } else {
                    1
                };
                let is_rejected = waiting.rejected == Certainty::Yes && !is_purged;
                let (must, may) = (is_rejected || missing, may_die && !there);
                least += u32::from(must && (copies == 1 || least == 0));
                most += u32::from(may && (copies == 1 || most == 0));
            }
            if message.dead_letters > most {
                let text = format!(
                    "message {} is {} times in the dead-letter queue, at most {most} are explained",
                    body.0, message.dead_letters
                );
                found.push((Rule::DeadLetter, *body, text));
            } else if message.dead_letters < least {
                if set_aside > 0 {
                    set_aside -= 1;
                    continue;
                }
                let text = format!(
                    "message {} is {} times in the dead-letter queue, and belongs there {least} times",
                    body.0, message.dead_letters
                );
                found.push((Rule::DeadLetter, *body, text));
            }
        }
        for (rule, body, text) in found {
            self.break_rule(rule, Some(body), text);
        }
    }

    fn conclude_browses(&mut self) {
        let mut found = Vec::new();
        for walk in self.browses.values() {
            let Some(until) = walk.until else { continue };
            for (body, message) in &self.messages {
                let waited = message.sending.places.contains(&walk.place)
                    && message.sending.persistent
                    && message.sending.expires.is_none()
                    && message.confirmed.is_some_and(|confirmed| confirmed < walk.from)
                    && self.waiting.get(&(*body, walk.place)).is_some_and(|waiting| {
                        // Unmarked at the end: nobody had it before. Nor was it moved away and back.
                        waiting.arrivals == 0
                            && waiting.drained_unmarked
                            && waiting.deliveries == 1
                            && waiting.first_delivery > Some(until)
                    });
                if waited && !walk.bodies.contains(body) {
                    found.push((*body, self.name(walk.place)));
                }
            }
        }
        for (body, name) in found {
            self.break_rule(
                Rule::Browser,
                Some(body),
                format!("message {} waited in {name}, and a browser did not see it", body.0),
            );
        }
    }
}
