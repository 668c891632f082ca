//! What an operator moves: which messages may be where, and that each is in one place at the end.
//!
//! An order says how many messages it took, not which. So a message that may have been taken may be in either place from the moment of the order on, and is judged by the number of its copies over all places; what was
//! confirmed before an order that left nothing is known to be gone from where it was.

use super::*;

impl Judge<'_> {
    /// Where a message may have been or is.
    pub(super) fn everywhere(&self, body: Body) -> impl Iterator<Item = (Place, &Waiting)> {
        let places = (body, Place(0))..=(body, Place(u32::MAX));
        self.waiting
            .range(places)
            .map(|((_, place), waiting)| (*place, waiting))
    }

    fn is_of_topic(&self, message: &Message) -> bool {
        let mut places = message.sending.places.iter();
        places.any(|place| self.history.is_subscription(*place))
    }

    /// Copies of a message that can be in queues at once. Those of one topic share the one that becomes a dead letter.
    fn copies(&self, message: &Message) -> u32 {
        if self.is_of_topic(message) {
            1
        } else {
            message.sending.places.len() as u32
        }
    }

    /// Whether a client or the time may have sent it to the dead-letter queue.
    fn may_have_died(message: &Message) -> bool {
        message.sending.persistent && (message.sending.expires.is_some() || message.rejected > 0)
    }

    /// Whether every copy was acknowledged, with receipt.
    pub(super) fn is_used_up(&self, body: Body) -> bool {
        let message = &self.messages[&body];
        let consumed = || self.everywhere(body).map(|(_, waiting)| waiting.consumptions.certain);
        !self.is_of_topic(message) && consumed().sum::<u32>() >= self.copies(message)
    }

    /// How many copies of a message a queue may have now.
    pub(super) fn copies_in(&self, body: Body, message: &Message, place: Place) -> u32 {
        let copies = self.copies(message);
        let own = if self.history.dead_letters() == Some(place) {
            copies * u32::from(Judge::may_have_died(message))
        } else {
            u32::from(message.sending.places.contains(&place))
        };
        let came = self.waiting.get(&(body, place)).filter(|_| message.moved);
        let most = copies.min(own + came.map_or(0, |waiting| waiting.arrivals));
        if most == 0 || message.begun.is_none() || self.is_used_up(body) {
            return 0;
        }
        most
    }

    /// Whether an order that is not over may still bring a message to a place.
    pub(super) fn is_on_its_way_to(&self, body: Body, place: Place) -> bool {
        let mut open = self.movements.values().filter(|moving| moving.open);
        open.any(|moving| moving.takes.contains(&(body, place)))
    }

    /// By which order to move a message that waits in a place takes its place in the order there; `None`: it may have none.
    pub(super) fn order_of(&self, body: Body, place: Place) -> Option<Option<Movement>> {
        let is_home = |place: &Place| self.messages[&body].sending.places.contains(place);
        let stayed = |place: Place| {
            self.waiting
                .get(&(body, place))
                .is_none_or(|waiting| waiting.arrivals == 0)
        };
        if is_home(&place) {
            return stayed(place).then_some(None);
        }
        // Straight from where it was sent, once: in the order that it had there.
        let waiting = self
            .waiting
            .get(&(body, place))
            .filter(|waiting| waiting.arrivals == 1)?;
        let moving = self.movements.get(&waiting.brought_by?)?;
        (is_home(&moving.place) && stayed(moving.place)).then_some(waiting.brought_by)
    }

    /// Everything that may be in the queue may go.
    pub(super) fn moving(
        &mut self,
        now: Moment,
        movement: Movement,
        place: Place,
        to: Target,
        only: Option<&BTreeSet<Body>>,
    ) {
        let dead_letters = self.history.dead_letters();
        let is_retry = dead_letters == Some(place);
        let (mut taken, mut certain) = (Vec::new(), Vec::new());
        for (body, message) in &self.messages {
            let copies = self.copies_in(*body, message, place);
            if copies == 0 || only.is_some_and(|only| !only.contains(body)) {
                continue;
            }
            let targets: BTreeSet<Place> = match to {
                Target::Place(target) => [target].into(),
                // Wherever it was: each way names the one before as its origin.
                Target::Origin => {
                    let known = self.everywhere(*body).map(|(place, _)| place);
                    let homes = message.sending.places.iter().copied();
                    let dead = dead_letters.filter(|_| Judge::may_have_died(message));
                    known
                        .chain(homes)
                        .chain(dead)
                        .filter(|target| *target != place)
                        .collect()
                }
            };
            // What a client may still send there is not there for certain.
            let has_died = || {
                let rejections = self.rejections(*body);
                message.sending.places.len() == 1 && rejections.certain > 0 && rejections.certain == rejections.possible
            };
            // Of two copies one may have been taken.
            let is_known = copies == 1
                && message.sending.persistent
                && message.sending.expires.is_none()
                && (message.confirmed.is_some() || message.seen)
                && (!is_retry || has_died());
            if is_known && !self.is_on_its_way_to(*body, place) {
                certain.push(*body);
            }
            taken.push((*body, copies, targets));
        }
        let mut takes = BTreeSet::new();
        for (body, copies, targets) in taken {
            let message = self.messages.get_mut(&body).expect("it was just seen");
            message.moved = true;
            message.retried |= is_retry;
            message.outlives |= is_retry || to == Target::Origin;
            for target in targets {
                let waiting = self.waiting.entry((body, target)).or_default();
                waiting.arrivals += copies;
                waiting.brought_by = Some(movement);
                waiting.brought = now;
                waiting.left = false;
                waiting.purged = waiting.purged.min(Certainty::Perhaps);
                takes.insert((body, target));
            }
        }
        let moving = Moving {
            place,
            from: now,
            takes,
            certain,
            open: true,
        };
        self.movements.insert(movement, moving);
    }

    fn rejections(&self, body: Body) -> Count {
        self.everywhere(body).fold(Count::default(), |sum, (_, waiting)| Count {
            possible: sum.possible + waiting.rejections.possible,
            certain: sum.certain + waiting.rejections.certain,
        })
    }

    /// A rejection left a client: what was moved out of the dead-letter queue may come there again.
    pub(super) fn rejecting(&mut self, now: Moment, bodies: &[Body]) {
        for body in bodies {
            if let Some(message) = self.messages.get_mut(body) {
                message.rejected = now;
            }
            let dead_letters = self.history.dead_letters();
            if let Some(waiting) = dead_letters.and_then(|place| self.waiting.get_mut(&(*body, place))) {
                waiting.left = false;
            }
        }
    }

    /// An order is over. If nothing was left, what was there for certain is gone from there.
    pub(super) fn moved(&mut self, movement: Movement, left: bool) {
        let Some(moving) = self.movements.get_mut(&movement) else {
            return;
        };
        moving.open = false;
        let (place, from, certain) = (moving.place, moving.from, std::mem::take(&mut moving.certain));
        let is_retry = self.history.dead_letters() == Some(place);
        for body in certain.into_iter().filter(|_| !left) {
            let waiting = self.waiting.entry((body, place)).or_default();
            // Unless it came back meanwhile.
            let came_back = waiting.brought > from || is_retry && self.messages[&body].rejected > from;
            waiting.left = !came_back;
        }
    }

    /// What is wrong with where a message that may have been moved is: it must be where it can be, and nowhere twice.
    pub(super) fn account(&self, body: Body, message: &Message) -> Option<Wrong> {
        let wrong = |rule, is_missing, text| Some(Wrong { rule, is_missing, text });
        if message.dead_letters > 0 && !Judge::may_have_died(message) {
            let text = format!(
                "message {} is in the dead-letter queue, and nothing sent it there",
                body.0
            );
            return wrong(Rule::DeadLetter, false, text);
        }
        let is_of_topic = self.is_of_topic(message);
        if is_of_topic && let Some(wrong) = self.account_subscriptions(body, message) {
            return Some(wrong);
        }
        let (mut in_queues, mut in_subscriptions) = (message.dead_letters, 0);
        let (mut consumed, mut is_purged) = (Count::default(), false);
        for (place, waiting) in self.everywhere(body) {
            let count = if self.history.is_subscription(place) {
                &mut in_subscriptions
            } else {
                &mut in_queues
            };
            *count += waiting.drained;
            consumed.possible += waiting.consumptions.possible;
            consumed.certain += waiting.consumptions.certain;
            is_purged |= waiting.purged > Certainty::No;
        }
        let copies = self.copies(message);
        let most = if is_of_topic {
            copies
        } else {
            copies.saturating_sub(consumed.certain)
        };
        if in_queues > most {
            let text = format!(
                "message {} waited {in_queues} times in all queues together, at most {most} are explained",
                body.0
            );
            return wrong(Rule::Moved, false, text);
        }
        if is_purged || !message.is_known() {
            return None;
        }
        let (found, least) = (in_queues + in_subscriptions, copies.saturating_sub(consumed.possible));
        if found < least {
            let text = format!(
                "message {} may have been moved and waited {found} times in all places together, at least {least} must be there",
                body.0
            );
            return wrong(Rule::Moved, true, text);
        }
        let rejected = self.rejections(body).certain.min(copies);
        if message.dead_letters < rejected && !message.retried {
            let text = format!(
                "message {} is {} times in the dead-letter queue, and belongs there {rejected} times",
                body.0, message.dead_letters
            );
            return wrong(Rule::DeadLetter, true, text);
        }
        None
    }

    /// A dead letter that goes back to its topic is a new message for each of its subscriptions.
    fn account_subscriptions(&self, body: Body, message: &Message) -> Option<Wrong> {
        for place in &message.sending.places {
            let fresh = Waiting::default();
            let waiting = self.waiting.get(&(body, *place)).unwrap_or(&fresh);
            let name = self.name(*place);
            let settled = waiting.consumptions.certain + waiting.rejections.certain;
            let most = (1 + waiting.arrivals).saturating_sub(settled);
            if waiting.drained > most {
                let text = format!(
                    "message {} waited {} times in {name}, at most {most} are explained",
                    body.0, waiting.drained
                );
                return Some(Wrong {
                    rule: Rule::Moved,
                    is_missing: false,
                    text,
                });
            }
            let may_go = message.sending.expires.is_some() || waiting.rejected.max(waiting.consumed) > Certainty::No;
            if message.is_known() && waiting.drained == 0 && !may_go {
                return Some(Wrong {
                    rule: Rule::Lost,
                    is_missing: true,
                    text: format!("message {} was confirmed, and {name} does not have it", body.0),
                });
            }
        }
        None
    }
}

impl Message {
    /// Whether it must be somewhere: what was seen rests on a confirmed record, receipt or not.
    fn is_known(&self) -> bool {
        self.confirmed.is_some() || self.seen
    }
}

/// What is wrong with the whereabouts of a message.
pub(super) struct Wrong {
    pub(super) rule: Rule,
    /// There is too little of it, not too much.
    pub(super) is_missing: bool,
    pub(super) text: String,
}
