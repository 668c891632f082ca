//! What an operator moves: good histories, and what may not come of them.

use super::*;

const MOVEMENT: Movement = Movement(800);

impl Tale {
    fn moving(&mut self, from: Place, to: Target) -> &mut Tale {
        self.moving_by(MOVEMENT, from, to, None)
    }

    fn moving_by(&mut self, movement: Movement, from: Place, to: Target, only: Option<&[u64]>) -> &mut Tale {
        let only = only.map(|only| only.iter().copied().map(Body).collect());
        self.push(Event::Moving {
            movement,
            from,
            to,
            only,
        })
    }

    /// From the first queue to the other.
    fn moving_away(&mut self) -> &mut Tale {
        self.moving(self.queue, Target::Place(self.other))
    }

    fn moved(&mut self, left: bool) -> &mut Tale {
        let movement = MOVEMENT;
        self.push(Event::Moved { movement, left })
    }

    /// The other queue has it.
    fn got_there(&mut self, body: u64) -> &mut Tale {
        let place = self.other;
        self.got_with(body, |delivered| delivered.place = place)
    }

    /// A consumer of the other queue has it, and says so.
    fn acknowledged_there(&mut self, body: u64) -> &mut Tale {
        let (settlement, place) = (Settlement(self.history.fresh()), self.other);
        self.push(Event::Settling {
            settlement,
            place,
            bodies: vec![Body(body)],
            outcome: Outcome::Consumed,
            transaction: None,
        })
        .push(Event::Settled(settlement))
    }

    /// The faultless end, and everything that is taken then.
    fn crash_and_drain(&mut self) -> &mut Tale {
        self.push(Event::Crashed).push(Event::Leads { epoch: 2 }).drain()
    }
}

fn waiting() -> Tale {
    let mut tale = Tale::new();
    tale.sent(1);
    tale
}

#[test]
fn what_an_operator_moves_is_in_one_of_two_places() {
    let cut_off = || {
        let mut tale = waiting();
        tale.moving_away().crash_and_drain();
        tale
    };
    cut_off().got(1).is_good();
    cut_off().got_there(1).is_good();
    cut_off().breaks(Rule::Moved);
    cut_off().got(1).got_there(1).breaks(Rule::Moved);
    cut_off().got_there(1).got_there(1).breaks(Rule::Moved);
}

#[test]
fn what_was_moved_with_answer_is_no_longer_where_it_was() {
    let answered = |left: bool| {
        let mut tale = waiting();
        tale.moving_away().moved(left).crash_and_drain();
        tale
    };
    answered(false).got_there(1).is_good();
    answered(false).got(1).breaks(Rule::Moved);
    answered(false).breaks(Rule::Moved);
    // Which of those that waited were left nobody knows.
    answered(true).got(1).is_good();
    // It may come back by another order.
    let mut tale = waiting();
    let (from, to) = (tale.other, Target::Place(tale.queue));
    tale.moving_away().moved(false);
    tale.moving_by(Movement(801), from, to, None)
        .crash_and_drain()
        .got(1)
        .is_good();
    // What was sent since stays.
    let mut tale = Tale::new();
    tale.moving_away().sent(1).moved(false).drain().got(1).is_good();
    let mut tale = Tale::new();
    tale.moving_away()
        .sent(1)
        .moved(false)
        .drain()
        .got_there(1)
        .breaks(Rule::Phantom);
}

#[test]
fn an_order_that_may_bring_a_message_back_later_is_waited_for() {
    let tale = |ends: bool| {
        let mut tale = waiting();
        let (there, back) = (tale.other, Target::Place(tale.queue));
        tale.moving_by(Movement(801), tale.queue, Target::Place(there), None)
            .moving_by(Movement(802), there, back, None);
        if ends {
            tale.push(Event::Moved {
                movement: Movement(802),
                left: false,
            });
        }
        tale.moving_away().moved(false).drain();
        tale
    };
    tale(false).got(1).is_good();
    tale(true).got_there(1).is_good();
    tale(true).got(1).breaks(Rule::Moved);
}

#[test]
fn a_move_takes_only_what_its_selector_matches() {
    let selected = || {
        let mut tale = waiting();
        tale.sent(2);
        tale.moving_by(MOVEMENT, tale.queue, Target::Place(tale.other), Some(&[2]));
        tale.moved(false).drain();
        tale
    };
    selected().got(1).got_there(2).is_good();
    selected().got_there(1).got_there(2).breaks(Rule::Phantom);
    selected().got(1).got(2).breaks(Rule::Moved);
}

#[test]
fn what_was_acknowledged_does_not_come_back_where_it_is_moved_to() {
    let mut tale = waiting();
    tale.got(1).acknowledged(1).moving_away().moved(false).drain();
    tale.got_there(1).breaks(Rule::Phantom);
    // The acknowledgement was under way when the move was ordered.
    let mut tale = waiting();
    tale.got(1).settling(900, 1, Outcome::Consumed, None).moving_away();
    tale.push(Event::Settled(Settlement(900))).moved(false).drain();
    tale.got_there(1).breaks(Rule::CameBack);
    let mut tale = waiting();
    tale.moving_away()
        .moved(false)
        .got_there(1)
        .acknowledged_there(1)
        .drain();
    tale.is_good();
    tale.got(1).breaks(Rule::CameBack);
}

#[test]
fn what_was_moved_counts_as_new_and_is_marked_from_its_second_delivery_on() {
    let mut tale = waiting();
    tale.got(1).push(Event::Crashed).push(Event::Leads { epoch: 2 });
    tale.moving_away().moved(false).got_there(1);
    let mut good = Tale {
        history: tale.history.clone(),
        ..tale
    };
    let place = good.other;
    good.drain().got_with(1, |delivered| {
        delivered.place = place;
        delivered.redelivered = true;
    });
    good.is_good();
    tale.drain().got_there(1).breaks(Rule::UnmarkedDuplicate);
}

#[test]
fn what_one_order_moves_keeps_its_order() {
    let both = || {
        let mut tale = waiting();
        tale.sent(2).moving_away().moved(false).drain();
        tale
    };
    both().got_there(1).got_there(2).is_good();
    both().got_there(2).got_there(1).breaks(Rule::Order);
    // It arrives behind what waits there, whenever that was sent.
    let mut tale = waiting();
    let other = tale.other;
    tale.sending_with(2, |sending| sending.places = vec![other])
        .push(Event::Sent(Body(2)));
    tale.moving_away()
        .moved(false)
        .drain()
        .got_there(2)
        .got_there(1)
        .is_good();
}

#[test]
fn both_copies_of_a_message_to_two_queues_may_be_in_one_of_them() {
    let both = || {
        let mut tale = Tale::new();
        let places = vec![tale.queue, tale.other];
        tale.sending_with(1, |sending| sending.places = places.clone())
            .push(Event::Sent(Body(1)))
            .moving_away()
            .moved(false)
            .drain();
        tale
    };
    both().got_there(1).got_there(1).is_good();
    both().got_there(1).breaks(Rule::Moved);
    both().got(1).got_there(1).breaks(Rule::Moved);
    both().got_there(1).got_there(1).got_there(1).breaks(Rule::Moved);
}

#[test]
fn a_dead_letter_that_is_sent_back_is_there_or_where_it_came_from() {
    let retried = |left: bool| {
        let mut tale = waiting();
        tale.got(1).rejected(1);
        tale.moving(tale.dead, Target::Origin).moved(left).crash_and_drain();
        tale
    };
    retried(false).got(1).is_good();
    retried(false).dead(1).breaks(Rule::Moved);
    retried(true).dead(1).is_good();
    retried(true).breaks(Rule::Moved);
    retried(true).got(1).dead(1).breaks(Rule::Moved);
    retried(true).got_there(1).breaks(Rule::Phantom);
    // Rejected again, it comes back.
    let mut tale = waiting();
    tale.got(1).rejected(1);
    tale.moving(tale.dead, Target::Origin).moved(false);
    tale.got(1).rejected(1).drain().dead(1).is_good();
    // A move of others explains no dead letter, and a rejection needs one.
    let mut tale = waiting();
    tale.moving_away().moved(true).drain().dead(1).breaks(Rule::DeadLetter);
    let mut tale = waiting();
    tale.got(1).rejected(1);
    tale.moving_away().drain().got(1).breaks(Rule::CameBack);
    let mut tale = waiting();
    tale.moving_away()
        .got(1)
        .rejected(1)
        .drain()
        .got_there(1)
        .breaks(Rule::DeadLetter);
}

#[test]
fn what_was_sent_back_does_not_expire_and_what_was_moved_does() {
    let expiring = || {
        let mut tale = Tale::new();
        tale.sending_with(1, |sending| sending.expires = Some(EXPIRES))
            .push(Event::Sent(Body(1)));
        tale
    };
    let mut tale = expiring();
    tale.moving(tale.dead, Target::Origin).drain();
    tale.got_with(1, |delivered| delivered.at = EXPIRES).is_good();
    let mut tale = expiring();
    let other = tale.other;
    let late = |delivered: &mut Delivered| {
        delivered.at = EXPIRES;
        delivered.place = other;
    };
    tale.moving_away().drain().got_with(1, late).breaks(Rule::Expired);
}

#[test]
fn a_topics_dead_letter_goes_back_to_each_of_its_subscriptions() {
    let retried = || {
        let mut tale = Tale::new();
        let (one, two) = (
            tale.history.subscription_place("s"),
            tale.history.subscription_place("t"),
        );
        tale.sending_with(1, |sending| sending.places = vec![one, two])
            .push(Event::Sent(Body(1)))
            .got_with(1, |delivered| delivered.place = one)
            .push(Event::Settling {
                settlement: Settlement(900),
                place: one,
                bodies: vec![Body(1)],
                outcome: Outcome::Rejected,
                transaction: None,
            })
            .push(Event::Settled(Settlement(900)));
        tale.moving(tale.dead, Target::Origin).moved(true).drain();
        (tale, one, two)
    };
    let from = |place: Place| move |delivered: &mut Delivered| delivered.place = place;
    let (mut tale, one, two) = retried();
    tale.got_with(1, from(one))
        .got_with(1, from(two))
        .got_with(1, from(two))
        .is_good();
    let (mut tale, _, two) = retried();
    tale.got_with(1, from(two)).dead(1).is_good();
    let (mut tale, one, _) = retried();
    tale.got_with(1, from(one)).breaks(Rule::Lost);
    let (mut tale, one, two) = retried();
    tale.got_with(1, from(two))
        .got_with(1, from(one))
        .got_with(1, from(one))
        .breaks(Rule::Moved);
    let (mut tale, _, two) = retried();
    tale.got_with(1, from(two)).dead(1).dead(1).breaks(Rule::Moved);
}

#[test]
fn what_an_operator_purged_may_have_been_moved_before() {
    let purged = || {
        let mut tale = waiting();
        let (purge, place) = (Purge(1), tale.queue);
        tale.moving_away()
            .push(Event::Purging { purge, place })
            .push(Event::Purged(purge))
            .drain();
        tale
    };
    purged().is_good();
    purged().got_there(1).is_good();
    purged().got(1).breaks(Rule::CameBack);
}

#[test]
fn what_a_commit_without_an_answer_acknowledged_may_come_back_elsewhere() {
    let mut tale = waiting();
    tale.got(1)
        .settling(900, 1, Outcome::Consumed, Some(1))
        .push(Event::Committing(Transaction(1)))
        .push(Event::Crashed)
        .push(Event::Leads { epoch: 2 });
    tale.moving_away().moved(false).drain();
    tale.got_there(1).is_good();
}
