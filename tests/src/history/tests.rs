//! One good history, and for each rule a bad one that differs from it in as little as possible.

mod moves;

use super::*;

/// A history that is written down in short words.
struct Tale {
    history: History,
    queue: Place,
    other: Place,
    dead: Place,
}

const EXPIRES: u64 = 10_000;

impl Tale {
    fn new() -> Tale {
        let mut history = History::default();
        let (queue, other) = (history.place("q"), history.place("r"));
        let dead = history.dead_letter_place("dead");
        history.push(Event::Leads { epoch: 1 });
        Tale {
            history,
            queue,
            other,
            dead,
        }
    }

    fn push(&mut self, event: Event) -> &mut Tale {
        self.history.push(event);
        self
    }

    fn plain(&self, body: u64) -> Sending {
        Sending {
            body: Body(body),
            producer: Producer(1),
            places: vec![self.queue],
            persistent: true,
            priority: 4,
            expires: None,
            transaction: None,
        }
    }

    fn sending(&mut self, body: u64) -> &mut Tale {
        let sending = self.plain(body);
        self.push(Event::Sending(sending))
    }

    fn sent(&mut self, body: u64) -> &mut Tale {
        self.sending(body).push(Event::Sent(Body(body)))
    }

    fn sending_with(&mut self, body: u64, change: impl Fn(&mut Sending)) -> &mut Tale {
        let mut sending = self.plain(body);
        change(&mut sending);
        self.push(Event::Sending(sending))
    }

    fn in_transaction(&mut self, body: u64, transaction: u32) -> &mut Tale {
        self.sending_with(body, |sending| sending.transaction = Some(Transaction(transaction)))
    }

    fn delivery(&self, body: u64) -> Delivered {
        let (consumer, place) = (Consumer(1), self.queue);
        Delivered {
            consumer,
            place,
            body: Body(body),
            redelivered: false,
            at: 5_000,
            id: body,
            superseded: false,
            flaw: None,
        }
    }

    fn got(&mut self, body: u64) -> &mut Tale {
        let delivered = self.delivery(body);
        self.push(Event::Delivered(delivered))
    }

    fn got_with(&mut self, body: u64, change: impl Fn(&mut Delivered)) -> &mut Tale {
        let mut delivered = self.delivery(body);
        change(&mut delivered);
        self.push(Event::Delivered(delivered))
    }

    fn got_again(&mut self, body: u64) -> &mut Tale {
        self.got_with(body, |delivered| delivered.redelivered = true)
    }

    fn dead(&mut self, body: u64) -> &mut Tale {
        let dead = self.dead;
        self.got_with(body, |delivered| delivered.place = dead)
    }

    fn settling(&mut self, settlement: u32, body: u64, outcome: Outcome, transaction: Option<u32>) -> &mut Tale {
        let place = self.queue;
        let transaction = transaction.map(Transaction);
        self.push(Event::Settling {
            settlement: Settlement(settlement),
            place,
            bodies: vec![Body(body)],
            outcome,
            transaction,
        })
    }

    fn acknowledged(&mut self, body: u64) -> &mut Tale {
        let settlement = self.history.fresh();
        self.settling(settlement, body, Outcome::Consumed, None)
            .push(Event::Settled(Settlement(settlement)))
    }

    fn rejected(&mut self, body: u64) -> &mut Tale {
        let settlement = self.history.fresh();
        self.settling(settlement, body, Outcome::Rejected, None)
            .push(Event::Settled(Settlement(settlement)))
    }

    fn drain(&mut self) -> &mut Tale {
        self.push(Event::Draining)
    }

    #[track_caller]
    fn is_good(&mut self) {
        let found = judge(&self.history, Tolerance::default());
        assert!(found.is_empty(), "{found:#?}");
    }

    #[track_caller]
    fn breaks(&mut self, rule: Rule) {
        let found: Vec<Rule> = judge(&self.history, Tolerance::default())
            .iter()
            .map(|violation| violation.rule)
            .collect();
        assert!(found.contains(&rule), "{rule:?} is not among {found:?}");
    }
}

#[test]
fn a_history_in_which_everything_happens_as_promised_is_good() {
    let mut tale = Tale::new();
    tale.sent(1).sent(2).sent(3).sent(4).sending(5);
    tale.got(1).acknowledged(1).got(2).rejected(2).got(3);
    tale.push(Event::Crashed).push(Event::Leads { epoch: 2 });
    tale.got_again(3).settling(900, 3, Outcome::Consumed, None);
    tale.sending_with(6, |sending| sending.expires = Some(EXPIRES))
        .push(Event::Sent(Body(6)));
    tale.in_transaction(7, 1)
        .in_transaction(8, 1)
        .push(Event::Committing(Transaction(1)))
        .push(Event::Committed(Transaction(1)));
    tale.in_transaction(9, 2).push(Event::RolledBack(Transaction(2)));
    tale.drain().got(4).got(7).got(8).dead(2).dead(6).is_good();
}

#[test]
fn a_confirmed_message_that_nobody_has_is_lost() {
    Tale::new().sent(1).drain().breaks(Rule::Lost);
    Tale::new().sent(1).drain().got(1).is_good();
    Tale::new().sending(1).drain().is_good();
}

#[test]
fn a_message_of_a_confirmed_commit_that_nobody_has_is_lost() {
    let mut tale = Tale::new();
    tale.in_transaction(1, 1)
        .push(Event::Committing(Transaction(1)))
        .push(Event::Committed(Transaction(1)))
        .drain()
        .breaks(Rule::Lost);
}

#[test]
fn an_unconfirmed_message_that_was_seen_must_not_be_lost_afterwards() {
    Tale::new().sending(1).got(1).drain().breaks(Rule::Lost);
    Tale::new().sending(1).got(1).drain().got_again(1).is_good();
}

#[test]
fn a_message_to_two_places_must_be_in_both() {
    let mut tale = Tale::new();
    let both = vec![tale.queue, tale.other];
    tale.sending_with(1, |sending| sending.places = both.clone())
        .push(Event::Sent(Body(1)))
        .drain()
        .got(1)
        .breaks(Rule::Lost);
}

#[test]
fn a_message_that_does_not_ask_to_survive_may_be_lost() {
    Tale::new()
        .sending_with(1, |sending| sending.persistent = false)
        .push(Event::Sent(Body(1)))
        .drain()
        .is_good();
}

#[test]
fn what_was_acknowledged_with_receipt_never_comes_back() {
    Tale::new()
        .sent(1)
        .got(1)
        .acknowledged(1)
        .drain()
        .got_again(1)
        .breaks(Rule::CameBack);
    Tale::new()
        .sent(1)
        .got(1)
        .settling(9, 1, Outcome::Consumed, None)
        .drain()
        .got_again(1)
        .is_good();
}

#[test]
fn what_a_confirmed_commit_acknowledged_never_comes_back() {
    let mut tale = Tale::new();
    tale.sent(1).got(1).settling(9, 1, Outcome::Consumed, Some(1));
    tale.push(Event::Committing(Transaction(1)))
        .push(Event::Committed(Transaction(1)))
        .drain()
        .got_again(1)
        .breaks(Rule::CameBack);
}

#[test]
fn a_second_delivery_is_marked() {
    Tale::new()
        .sent(1)
        .got(1)
        .drain()
        .got(1)
        .breaks(Rule::UnmarkedDuplicate);
    Tale::new().sent(1).got(1).drain().got_again(1).is_good();
}

#[test]
fn a_resend_under_a_duplicate_id_is_stored_once() {
    Tale::new()
        .sending(1)
        .push(Event::Crashed)
        .sent(1)
        .drain()
        .got(1)
        .got_again(1)
        .breaks(Rule::StoredTwice);
    Tale::new()
        .sending(1)
        .push(Event::Crashed)
        .sent(1)
        .drain()
        .got(1)
        .is_good();
}

#[test]
fn first_deliveries_keep_the_order_of_one_producer() {
    Tale::new()
        .sending(1)
        .sending(2)
        .drain()
        .got(2)
        .got(1)
        .breaks(Rule::Order);
    Tale::new().sending(1).sending(2).drain().got(2).got_again(1).is_good();
}

#[test]
fn first_deliveries_keep_the_order_of_confirmation_between_producers() {
    let by = |producer: u32| move |sending: &mut Sending| sending.producer = Producer(producer);
    let mut tale = Tale::new();
    tale.sent(1)
        .sending_with(2, by(2))
        .push(Event::Sent(Body(2)))
        .drain()
        .got(2)
        .got(1)
        .breaks(Rule::Order);
    // Sent before the other's receipt: either may have been first.
    let mut tale = Tale::new();
    tale.sending(1)
        .sending_with(2, by(2))
        .push(Event::Sent(Body(1)))
        .push(Event::Sent(Body(2)))
        .drain()
        .got(2)
        .got(1)
        .is_good();
}

#[test]
fn what_was_on_its_way_to_a_consumer_that_leaves_may_be_overtaken() {
    let mut tale = Tale::new();
    let places = vec![tale.queue];
    tale.sending(1)
        .sending(2)
        .push(Event::Leaving {
            consumer: Consumer(7),
            places: places.clone(),
        })
        .got(2)
        .got(1);
    tale.push(Event::Left(Consumer(7)))
        .acknowledged(1)
        .acknowledged(2)
        .drain()
        .is_good();
    // It had left before.
    let mut tale = Tale::new();
    tale.push(Event::Leaving {
        consumer: Consumer(7),
        places,
    })
    .push(Event::Left(Consumer(7)));
    tale.sending(1)
        .sending(2)
        .got(2)
        .got(1)
        .acknowledged(1)
        .acknowledged(2)
        .drain()
        .breaks(Rule::Order);
}

#[test]
fn what_several_durable_subscriptions_give_up_is_in_the_dead_letter_queue_once() {
    let tale = || {
        let mut tale = Tale::new();
        let both = vec![
            tale.history.subscription_place("s"),
            tale.history.subscription_place("t"),
        ];
        tale.sending_with(1, |sending| {
            sending.places = both.clone();
            sending.expires = Some(EXPIRES);
        });
        tale.push(Event::Sent(Body(1))).drain();
        tale
    };
    tale().dead(1).is_good();
    tale().breaks(Rule::DeadLetter);
    tale().dead(1).dead(1).breaks(Rule::DeadLetter);
}

#[test]
fn a_transaction_takes_its_place_in_the_order_when_it_commits() {
    let mut tale = Tale::new();
    tale.in_transaction(1, 1)
        .sent(2)
        .push(Event::Committing(Transaction(1)))
        .push(Event::Committed(Transaction(1)));
    tale.drain().got(2).got(1).is_good();
    let mut tale = Tale::new();
    tale.in_transaction(1, 1)
        .sent(2)
        .push(Event::Committing(Transaction(1)))
        .push(Event::Committed(Transaction(1)));
    tale.drain().got(1).got(2).breaks(Rule::Order);
}

#[test]
fn what_waits_comes_by_falling_priority() {
    let urgent = |sending: &mut Sending| sending.priority = 9;
    let mut tale = Tale::new();
    tale.sent(1)
        .sending_with(2, urgent)
        .push(Event::Sent(Body(2)))
        .drain()
        .got(1)
        .got(2)
        .breaks(Rule::Priority);
    let mut tale = Tale::new();
    tale.sent(1)
        .sending_with(2, urgent)
        .push(Event::Sent(Body(2)))
        .drain()
        .got(2)
        .got(1)
        .is_good();
}

#[test]
fn a_commit_without_an_answer_takes_place_wholly_or_not_at_all() {
    let commit = |tale: &mut Tale| {
        tale.sent(3)
            .got(3)
            .in_transaction(1, 1)
            .in_transaction(2, 1)
            .settling(9, 3, Outcome::Consumed, Some(1));
        tale.push(Event::Committing(Transaction(1)))
            .push(Event::Crashed)
            .drain();
    };
    let mut tale = Tale::new();
    commit(&mut tale);
    tale.got(1).got(2).is_good();
    let mut tale = Tale::new();
    commit(&mut tale);
    tale.got_again(3).is_good();
    let mut tale = Tale::new();
    commit(&mut tale);
    tale.got(1).breaks(Rule::HalfTransaction);
    let mut tale = Tale::new();
    commit(&mut tale);
    tale.got(1).got(2).got_again(3).breaks(Rule::HalfTransaction);
    let mut tale = Tale::new();
    commit(&mut tale);
    tale.breaks(Rule::Lost);
}

#[test]
fn what_a_consumer_that_left_reads_late_does_not_show_that_a_commit_failed() {
    let mut tale = Tale::new();
    let places = vec![tale.queue];
    let left = |delivered: &mut Delivered| delivered.consumer = Consumer(7);
    tale.sent(3).push(Event::Leaving {
        consumer: Consumer(7),
        places,
    });
    tale.got_again(3).settling(9, 3, Outcome::Consumed, Some(1));
    tale.push(Event::Committing(Transaction(1)))
        .got_with(3, left)
        .push(Event::Crashed)
        .drain()
        .is_good();
}

#[test]
fn what_was_rolled_back_refused_or_never_sent_is_never_delivered() {
    Tale::new()
        .in_transaction(1, 1)
        .push(Event::RolledBack(Transaction(1)))
        .drain()
        .got(1)
        .breaks(Rule::Phantom);
    Tale::new().in_transaction(1, 1).drain().got(1).breaks(Rule::Phantom);
    Tale::new()
        .sending(1)
        .push(Event::Refused(Body(1)))
        .drain()
        .got(1)
        .breaks(Rule::Phantom);
    Tale::new().drain().got(1).breaks(Rule::Phantom);
    let mut tale = Tale::new();
    let other = tale.other;
    tale.sent(1)
        .drain()
        .got(1)
        .got_with(1, |delivered| delivered.place = other)
        .breaks(Rule::Phantom);
}

#[test]
fn an_expired_message_is_never_delivered_afterwards_and_is_in_the_dead_letter_queue_once() {
    let expiring = |sending: &mut Sending| sending.expires = Some(EXPIRES);
    let late = |delivered: &mut Delivered| delivered.at = EXPIRES;
    Tale::new()
        .sending_with(1, expiring)
        .drain()
        .got_with(1, late)
        .breaks(Rule::Expired);
    Tale::new()
        .sending_with(1, expiring)
        .push(Event::Sent(Body(1)))
        .drain()
        .breaks(Rule::DeadLetter);
    Tale::new()
        .sending_with(1, expiring)
        .push(Event::Sent(Body(1)))
        .drain()
        .dead(1)
        .dead(1)
        .breaks(Rule::DeadLetter);
    Tale::new()
        .sending_with(1, expiring)
        .push(Event::Sent(Body(1)))
        .drain()
        .dead(1)
        .is_good();
}

#[test]
fn a_rejected_message_is_in_the_dead_letter_queue_exactly_once() {
    Tale::new().sent(1).got(1).rejected(1).drain().breaks(Rule::DeadLetter);
    Tale::new()
        .sent(1)
        .got(1)
        .rejected(1)
        .drain()
        .dead(1)
        .dead(1)
        .breaks(Rule::DeadLetter);
    Tale::new()
        .sent(1)
        .got(1)
        .rejected(1)
        .drain()
        .got_again(1)
        .dead(1)
        .breaks(Rule::CameBack);
    Tale::new().sent(1).drain().got(1).dead(1).breaks(Rule::DeadLetter);
    Tale::new().sent(1).got(1).rejected(1).drain().dead(1).is_good();
}

#[test]
fn an_unconfirmed_rejection_leaves_the_message_in_one_of_two_places() {
    let reject = |tale: &mut Tale| {
        tale.sent(1).got(1).settling(9, 1, Outcome::Rejected, None).drain();
    };
    let mut tale = Tale::new();
    reject(&mut tale);
    tale.dead(1).is_good();
    let mut tale = Tale::new();
    reject(&mut tale);
    tale.got_again(1).is_good();
    let mut tale = Tale::new();
    reject(&mut tale);
    tale.breaks(Rule::DeadLetter);
    let mut tale = Tale::new();
    reject(&mut tale);
    tale.got_again(1).dead(1).breaks(Rule::DeadLetter);
}

#[test]
fn a_message_that_comes_altered_is_found() {
    Tale::new()
        .sent(1)
        .drain()
        .got_with(1, |delivered| delivered.flaw = Some("with another body"))
        .breaks(Rule::Altered);
}

#[test]
fn epochs_only_rise_and_an_id_names_one_message() {
    Tale::new().push(Event::Leads { epoch: 1 }).breaks(Rule::Identity);
    Tale::new()
        .sent(1)
        .sent(2)
        .drain()
        .got(1)
        .got_with(2, |delivered| delivered.id = 1)
        .breaks(Rule::Identity);
}

#[test]
fn a_browser_sees_what_waits_all_the_time() {
    let browse = |tale: &mut Tale| {
        let place = tale.queue;
        tale.sent(1).push(Event::Browsing {
            browse: Browse(1),
            place,
        });
    };
    let mut tale = Tale::new();
    browse(&mut tale);
    tale.push(Event::BrowseEnded(Browse(1)))
        .drain()
        .got(1)
        .breaks(Rule::Browser);
    let mut tale = Tale::new();
    browse(&mut tale);
    tale.push(Event::Browsed {
        browse: Browse(1),
        body: Body(1),
    })
    .push(Event::BrowseEnded(Browse(1)))
    .drain()
    .got(1)
    .is_good();
    // Somebody may have had it meanwhile.
    let mut tale = Tale::new();
    browse(&mut tale);
    tale.push(Event::BrowseEnded(Browse(1))).drain().got_again(1).is_good();
}

#[test]
fn what_vanished_on_the_way_in_mode_auto_is_that_modes_risk() {
    let mut tale = Tale::new();
    let place = tale.queue;
    tale.sent(1)
        .push(Event::Vanished { place, body: Body(1) })
        .drain()
        .is_good();
}

#[test]
fn what_an_operator_purged_stays_away_and_nothing_else_goes_with_it() {
    let tale = |waits: &[u64], answered: bool| {
        let mut tale = Tale::new();
        let place = tale.queue;
        let purge = Purge(1);
        tale.sent(1).sending(2).push(Event::Purging { purge, place });
        tale.push(Event::Sent(Body(2)));
        if answered {
            tale.push(Event::Purged(purge));
        }
        tale.sent(3).drain();
        for body in waits {
            tale.got(*body);
        }
        tale
    };
    tale(&[3], true).is_good();
    // What was under way when it was ordered may have come before or after.
    tale(&[2, 3], true).is_good();
    tale(&[1, 2, 3], true).breaks(Rule::CameBack);
    tale(&[1, 2, 3], false).is_good();
    tale(&[2], true).breaks(Rule::Lost);
}
