//! Both sides of the stream: what comes out in which order, what is refused, and what a follower that does not take it costs.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic, in its helpers too")]

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use message::Epoch;
use proptest::prelude::*;
use wire::stream::{
    BATCH_BYTES_MAX, Direction, FollowerEvent, FollowerSession, Frame, Hello, Kind, LeaderEvent, LeaderReport,
    LeaderSession, LeaderSettings, Nonce, Position, Reason, Refusal, Sealed, Violation, Welcome, announcement,
};

const SMALL: LeaderSettings = LeaderSettings {
    queue_bytes_max: 40_000,
};
const SEALED: Sealed = Sealed {
    epoch: Epoch(9),
    nonce: Nonce([9; 16]),
};
const WELCOME: Welcome = Welcome {
    epoch: Epoch(8),
    nonce: Nonce([8; 16]),
    format_version: 1,
};

/// What chains batch `batch` to the one before it.
fn checksum_before(batch: u64) -> u32 {
    if batch == 1 {
        0
    } else {
        (batch as u32).wrapping_mul(0x9e37_79b9)
    }
}

fn at(batch: u64) -> Position {
    Position {
        epoch: Epoch(8),
        segment: 3,
        offset: 4096 * batch as u32,
        batch,
        previous_checksum: checksum_before(batch),
    }
}

/// A batch whose every byte tells which it is.
fn batch(number: u64, length: usize) -> Bytes {
    vec![number as u8; length].into()
}

fn hello(from: u64) -> Hello {
    Hello {
        member: Nonce([1; 16]),
        format_lowest: 1,
        format_highest: 1,
        from: at(from),
        host: "b".into(),
    }
}

fn encoded(frame: &Frame) -> Bytes {
    let mut out = BytesMut::new();
    frame.encode(&mut out);
    out.freeze()
}

/// Two sides and a connection that loses nothing.
struct Pair {
    leader: LeaderSession,
    follower: FollowerSession,
}

impl Pair {
    fn asking(settings: LeaderSettings, from: u64) -> Pair {
        Pair {
            leader: LeaderSession::new(settings),
            follower: FollowerSession::new(hello(from)),
        }
    }

    fn following(settings: LeaderSettings, from: u64) -> Pair {
        let mut pair = Pair::asking(settings, from);
        assert_eq!(pair.leader_hears(), [LeaderEvent::Hello(hello(from))]);
        pair.leader.welcome(WELCOME);
        assert_eq!(pair.follower_hears(), [FollowerEvent::Welcome(WELCOME)]);
        pair
    }

    /// Everything that the follower says, and what the leader makes of it.
    fn leader_hears(&mut self) -> Vec<LeaderEvent> {
        let mut events = Vec::new();
        while let Some(bytes) = self.follower.poll_output() {
            self.leader.handle_bytes(&bytes);
            while let Some(event) = self.leader.poll_event().unwrap() {
                events.push(event);
            }
        }
        events
    }

    /// Everything that the leader says, and what the follower makes of it.
    fn follower_hears(&mut self) -> Vec<FollowerEvent> {
        let mut events = Vec::new();
        while let Some(bytes) = self.leader.poll_output() {
            self.follower.handle_bytes(&bytes);
            while let Some(event) = self.follower.poll_event().unwrap() {
                events.push(event);
            }
        }
        events
    }

    fn offer(&mut self, number: u64, length: usize) {
        self.leader.offer(at(number), batch(number, length)).unwrap();
    }

    fn report(&self) -> LeaderReport {
        self.leader.report().expect("the follower said Hello")
    }
}

fn batch_event(number: u64, length: usize) -> FollowerEvent {
    FollowerEvent::Batch {
        at: at(number),
        bytes: batch(number, length),
    }
}

#[test]
fn a_follower_gets_each_batch_once_and_in_order_from_where_it_asked() {
    let mut pair = Pair::following(SMALL, 5);
    for number in 2..=7 {
        pair.offer(number, 100 * number as usize);
    }
    pair.offer(6, 600);
    assert_eq!(
        pair.follower_hears(),
        [5, 6, 7].map(|number| batch_event(number, 100 * number as usize))
    );
    pair.offer(8, 30_000);
    assert_eq!(pair.follower_hears(), [batch_event(8, 30_000)]);
    pair.leader.confirmed(at(9));
    assert_eq!(pair.follower_hears(), [FollowerEvent::Confirmed { position: at(9) }]);
    assert_eq!((pair.leader.queued_bytes(), pair.report().gaps), (0, 0));
}

#[test]
fn what_is_not_held_any_more_is_a_gap_and_the_stream_goes_on_behind_it() {
    let mut pair = Pair::following(SMALL, 5);
    pair.offer(10, 100);
    pair.offer(11, 100);
    assert_eq!(pair.follower_hears(), [FollowerEvent::Gap { from: at(11) }]);
    pair.offer(12, 100);
    assert_eq!(pair.follower_hears(), [], "until it has read the files nothing is sent");
    pair.follower.say_hello(at(11));
    assert_eq!(pair.leader_hears(), [LeaderEvent::Hello(hello(11))]);
    pair.leader.welcome(WELCOME);
    for number in 10..=13 {
        pair.offer(number, 100);
    }
    let mut expected = vec![FollowerEvent::Welcome(WELCOME)];
    expected.extend([11, 12, 13].map(|number| batch_event(number, 100)));
    assert_eq!(pair.follower_hears(), expected);
    assert_eq!(pair.report().gaps, 1);
}

#[test]
fn a_leader_with_nothing_new_tells_a_follower_what_it_has_missed() {
    let mut pair = Pair::following(SMALL, 5);
    pair.leader.confirmed(at(9));
    assert_eq!(
        pair.follower_hears(),
        [
            FollowerEvent::Gap { from: at(9) },
            FollowerEvent::Confirmed { position: at(9) }
        ]
    );
}

#[test]
fn a_follower_that_takes_nothing_costs_no_more_than_its_queue_and_comes_back() {
    let mut pair = Pair::following(SMALL, 1);
    for number in 1..=1000 {
        pair.offer(number, 4096);
        assert!(pair.leader.queued_bytes() <= SMALL.queue_bytes_max);
        pair.leader.confirmed(at(number + 1));
    }
    let report = pair.report();
    assert_eq!((report.is_following, report.gaps, report.queued_bytes), (false, 1, 0));
    assert_eq!((report.confirmed, report.applied), (1000, 0));
    // There is room again: it hears of the newest place, not of the one where it fell behind.
    assert_eq!(
        pair.follower_hears(),
        [
            FollowerEvent::Gap { from: at(1001) },
            FollowerEvent::Confirmed { position: at(1001) }
        ]
    );
    pair.follower.say_hello(at(1001));
    pair.leader_hears();
    pair.leader.welcome(WELCOME);
    pair.offer(1001, 4096);
    assert_eq!(
        pair.follower_hears(),
        [FollowerEvent::Welcome(WELCOME), batch_event(1001, 4096)]
    );
}

#[test]
fn whoever_holds_more_than_the_queue_can_offer_it_as_the_follower_takes_it() {
    let mut pair = Pair::asking(SMALL, 1);
    assert_eq!(pair.leader.next_batch(), None);
    pair.leader_hears();
    pair.leader.welcome(WELCOME);
    let mut events = Vec::new();
    while pair.leader.next_batch() != Some(101) {
        while let Some(next) = pair.leader.next_batch().filter(|next| *next <= 100)
            && pair.leader.has_room(4096)
        {
            pair.offer(next, 4096);
        }
        assert!(pair.leader.queued_bytes() > SMALL.queue_bytes_max - 5000 || pair.leader.next_batch() == Some(101));
        let piece = pair.leader.poll_output().unwrap();
        pair.follower.handle_bytes(&piece);
        while let Some(event) = pair.follower.poll_event().unwrap() {
            events.push(event);
        }
    }
    events.extend(pair.follower_hears());
    let batches = (1..=100).map(|number| batch_event(number, 4096));
    assert!(
        events
            .into_iter()
            .eq([FollowerEvent::Welcome(WELCOME)].into_iter().chain(batches))
    );
    assert_eq!(pair.report().gaps, 0);
}

#[test]
fn the_largest_batch_passes_a_queue_that_is_smaller_and_its_memory_is_shared() {
    let mut pair = Pair::following(SMALL, 1);
    let bytes = batch(1, BATCH_BYTES_MAX as usize);
    pair.leader.offer(at(1), bytes.clone()).unwrap();
    assert_eq!(pair.report().gaps, 0);
    let inside = bytes.as_ptr() as usize..bytes.as_ptr() as usize + bytes.len();
    let (mut shared, mut events) = (0, Vec::new());
    while let Some(piece) = pair.leader.poll_output() {
        assert!(piece.len() <= 64 << 10);
        shared += if inside.contains(&(piece.as_ptr() as usize)) {
            piece.len()
        } else {
            0
        };
        pair.follower.handle_bytes(&piece);
        while let Some(event) = pair.follower.poll_event().unwrap() {
            events.push(event);
        }
    }
    assert_eq!(shared, bytes.len(), "every byte was handed out where it lies");
    assert!(events == [FollowerEvent::Batch { at: at(1), bytes }]);
    assert_eq!(pair.leader.queued_bytes(), 0);
}

#[test]
fn a_follower_that_falls_behind_in_the_middle_of_a_batch_gets_the_rest_of_that_batch_first() {
    let mut pair = Pair::following(SMALL, 1);
    pair.offer(1, 200_000);
    let head = pair.leader.poll_output().unwrap();
    let slice = pair.leader.poll_output().unwrap();
    for number in 2..=20 {
        pair.offer(number, 4096);
    }
    assert_eq!(pair.report().gaps, 1);
    assert!(
        pair.leader.queued_bytes() < 200_000,
        "only the rest of the first is kept"
    );
    pair.follower.handle_bytes(&head);
    pair.follower.handle_bytes(&slice);
    assert_eq!(
        pair.follower_hears(),
        [batch_event(1, 200_000), FollowerEvent::Gap { from: at(20) }]
    );
    assert_eq!(pair.leader.queued_bytes(), 0);
}

#[test]
fn signs_of_life_do_not_pile_up_and_never_fall() {
    let mut pair = Pair::following(SMALL, 5);
    for _ in 0..1000 {
        pair.leader.confirmed(at(5));
    }
    pair.leader.confirmed(at(3));
    assert_eq!(pair.follower_hears(), [FollowerEvent::Confirmed { position: at(5) }]);
    pair.leader.confirmed(at(4));
    assert_eq!(pair.follower_hears(), [FollowerEvent::Confirmed { position: at(5) }]);
    pair.leader.finish(at(4));
    assert_eq!(pair.follower_hears(), [FollowerEvent::Final { position: at(5) }]);
    let mut pair = Pair::following(SMALL, 5);
    pair.leader.confirmed(at(5));
    pair.follower_hears();
    let back = Violation::Fell {
        kind: Kind::Confirmed,
        from: 5,
        to: 4,
    };
    pair.follower
        .handle_bytes(&encoded(&Frame::Confirmed { position: at(4) }));
    assert_eq!(pair.follower.poll_event(), Err(back));
    assert!(pair.follower.is_closed());
}

#[test]
fn the_last_word_comes_behind_everything_that_waits() {
    let mut pair = Pair::following(SMALL, 5);
    pair.offer(5, 100);
    pair.leader.confirmed(at(6));
    pair.leader.finish(at(6));
    pair.leader.confirmed(at(7));
    pair.offer(6, 100);
    assert!(!pair.leader.is_finished());
    assert_eq!(
        pair.follower_hears(),
        [batch_event(5, 100), FollowerEvent::Final { position: at(6) }]
    );
    assert!(pair.leader.is_finished());
    pair.follower
        .handle_bytes(&encoded(&Frame::Confirmed { position: at(7) }));
    assert!(matches!(
        pair.follower.poll_event(),
        Err(Violation::OutOfOrder {
            kind: Kind::Confirmed,
            ..
        })
    ));
}

#[test]
fn a_follower_that_fell_behind_learns_the_last_word_and_may_still_say_hello() {
    let mut pair = Pair::following(SMALL, 5);
    pair.offer(10, 100);
    assert_eq!(pair.follower_hears(), [FollowerEvent::Gap { from: at(10) }]);
    pair.follower.say_hello(at(10));
    // The last word and the Hello cross.
    pair.leader.finish(at(12));
    assert_eq!(pair.leader_hears(), []);
    assert_eq!(pair.follower_hears(), [FollowerEvent::Final { position: at(12) }]);
    // Who is behind when it ends has no use for a gap.
    let mut pair = Pair::following(SMALL, 5);
    pair.offer(10, 100);
    pair.leader.finish(at(12));
    assert_eq!(pair.follower_hears(), [FollowerEvent::Final { position: at(12) }]);
}

#[test]
fn a_sign_of_life_may_cross_the_hello_behind_a_gap() {
    let mut pair = Pair::following(SMALL, 5);
    pair.leader.confirmed(at(9));
    pair.follower_hears();
    pair.leader.confirmed(at(10));
    pair.follower.say_hello(at(9));
    assert_eq!(pair.follower_hears(), [FollowerEvent::Confirmed { position: at(10) }]);
    assert_eq!(pair.leader_hears(), [LeaderEvent::Hello(hello(9))]);
}

#[test]
fn a_follower_that_was_not_welcomed_is_refused_at_a_hand_over() {
    let mut pair = Pair::asking(SMALL, 5);
    pair.leader_hears();
    pair.leader.finish(at(6));
    let events = pair.follower_hears();
    assert!(matches!(&events[..], [FollowerEvent::Refused(refusal)] if refusal.reason == Reason::Stopping));
    assert!(pair.leader.is_closed() && pair.follower.is_closed());
}

#[test]
fn a_refusal_is_the_last_thing_said() {
    let mut pair = Pair::following(SMALL, 5);
    pair.offer(5, 100);
    pair.leader.confirmed(at(6));
    pair.leader.refuse(Reason::TooMany, "Three follow already.");
    assert_eq!(pair.leader.queued_bytes(), 0);
    pair.leader.confirmed(at(6));
    pair.leader.announce(SEALED);
    pair.leader.finish(at(6));
    pair.leader.refuse(Reason::Stopping, "Again.");
    let refusal = Refusal {
        reason: Reason::TooMany,
        text: "Three follow already.".into(),
    };
    assert!(!pair.leader.is_closed());
    assert_eq!(pair.follower_hears(), [FollowerEvent::Refused(refusal)]);
    assert!(pair.leader.is_closed() && pair.follower.is_closed());
    pair.follower.handle_bytes(&encoded(&Frame::Sealed(SEALED)));
    assert_eq!(pair.follower.poll_event(), Ok(None));
}

#[test]
fn who_leads_is_heard_from_anybody_at_any_time() {
    // On a connection that was made for it.
    let mut leader = LeaderSession::new(SMALL);
    leader.handle_bytes(&announcement(SEALED));
    assert_eq!(leader.poll_event(), Ok(Some(LeaderEvent::Sealed(SEALED))));
    assert_eq!((leader.poll_event(), leader.poll_output()), (Ok(None), None));
    assert!(leader.is_closed());
    // From a follower, and to one, ahead of what waits.
    let mut pair = Pair::following(SMALL, 5);
    pair.follower.announce(SEALED);
    assert_eq!(pair.leader_hears(), [LeaderEvent::Sealed(SEALED)]);
    pair.offer(5, 100);
    pair.leader.announce(SEALED);
    assert_eq!(
        pair.follower_hears(),
        [FollowerEvent::Sealed(SEALED), batch_event(5, 100)]
    );
    // Before a Hello is answered.
    let mut pair = Pair::asking(SMALL, 5);
    pair.leader.announce(SEALED);
    assert_eq!(pair.follower_hears(), [FollowerEvent::Sealed(SEALED)]);
}

#[test]
fn another_history_is_refused_by_either_side() {
    let mut pair = Pair::following(SMALL, 5);
    let other = Position {
        previous_checksum: 1,
        ..at(5)
    };
    let diverged = Violation::Diverged { batch: 5 };
    assert_eq!(pair.leader.offer(other, batch(5, 100)), Err(diverged.clone()));
    let events = pair.follower_hears();
    assert!(matches!(&events[..], [FollowerEvent::Refused(refusal)] if refusal.reason == Reason::Diverged));
    let mut pair = Pair::following(SMALL, 5);
    let frame = Frame::Batch {
        at: other,
        bytes: batch(5, 100),
    };
    pair.follower.handle_bytes(&encoded(&frame));
    assert_eq!(pair.follower.poll_event(), Err(diverged));
}

#[test]
fn a_batch_other_than_the_next_is_refused() {
    for found in [4, 6] {
        let mut pair = Pair::following(SMALL, 5);
        let frame = Frame::Batch {
            at: at(found),
            bytes: batch(found, 100),
        };
        pair.follower.handle_bytes(&encoded(&frame));
        assert_eq!(
            pair.follower.poll_event(),
            Err(Violation::WrongBatch { expected: 5, found })
        );
        assert_eq!(pair.follower.poll_event(), Ok(None), "nothing is read behind it");
        assert_eq!(pair.follower.poll_output(), None);
    }
}

#[test]
fn how_far_a_follower_is_rises_and_only_the_newest_is_said() {
    let mut pair = Pair::following(SMALL, 5);
    for number in 5..=9 {
        pair.offer(number, 100);
        pair.follower.applied(number - 1);
    }
    pair.follower.applied(6);
    assert_eq!(pair.leader_hears(), [LeaderEvent::Applied { batch: 8 }]);
    pair.follower.applied(8);
    assert_eq!(pair.leader_hears(), [], "nothing new");
    pair.follower_hears();
    pair.follower.applied(9);
    assert_eq!(pair.leader_hears(), [LeaderEvent::Applied { batch: 9 }]);
    assert_eq!((pair.report().applied, pair.report().confirmed), (9, 9));
    let told = [
        (
            8,
            Violation::Fell {
                kind: Kind::Applied,
                from: 9,
                to: 8,
            },
        ),
        (10, Violation::AppliedAhead { told: 9, applied: 10 }),
    ];
    for (applied, violation) in told {
        let mut pair = Pair::following(SMALL, 9);
        pair.offer(9, 100);
        pair.follower.applied(9);
        pair.leader_hears();
        pair.leader.handle_bytes(&encoded(&Frame::Applied { batch: applied }));
        assert_eq!(pair.leader.poll_event(), Err(violation));
    }
}

#[test]
fn another_version_of_the_protocol_is_told_so() {
    let mut bytes = encoded(&Frame::Hello(hello(5))).to_vec();
    bytes[5] = 2;
    let mut pair = Pair::asking(SMALL, 5);
    pair.leader.handle_bytes(&bytes);
    assert_eq!(pair.leader.poll_event(), Err(Violation::Version { theirs: 2 }));
    let events = pair.follower_hears();
    assert!(matches!(&events[..], [FollowerEvent::Refused(refusal)] if refusal.reason == Reason::Protocol));
    assert!(pair.leader.is_closed());
}

/// A frame of each kind.
fn frame_of(kind: Kind) -> Frame {
    match kind {
        Kind::Hello => Frame::Hello(hello(6)),
        Kind::Applied => Frame::Applied { batch: 5 },
        Kind::Welcome => Frame::Welcome(WELCOME),
        Kind::Batch => Frame::Batch {
            at: at(6),
            bytes: batch(6, 10),
        },
        Kind::Confirmed => Frame::Confirmed { position: at(6) },
        Kind::Gap => Frame::Gap { from: at(6) },
        Kind::Final => Frame::Final { position: at(6) },
        Kind::Sealed => Frame::Sealed(SEALED),
        Kind::Refused => Frame::Refused(Refusal {
            reason: Reason::Stopping,
            text: String::new(),
        }),
    }
}

#[test]
fn in_each_phase_a_leader_takes_what_may_come_and_nothing_else() {
    use Kind::{Applied, Hello, Sealed};
    let opening = || LeaderSession::new(SMALL);
    let asked = || {
        let mut leader = opening();
        leader.handle_bytes(&encoded(&frame_of(Hello)));
        leader.poll_event().unwrap().unwrap();
        leader
    };
    let following = || {
        let mut leader = asked();
        leader.welcome(WELCOME);
        leader
    };
    let behind = || {
        let mut leader = following();
        leader.confirmed(at(20));
        leader
    };
    let gapped = || {
        let mut leader = behind();
        leader.poll_output().unwrap();
        leader
    };
    let finished = || {
        let mut leader = following();
        leader.finish(at(6));
        leader
    };
    type Begin<'a> = &'a dyn Fn() -> LeaderSession;
    let phases: [(&str, Begin<'_>, &[Kind]); 6] = [
        ("opening", &opening, &[Hello, Sealed]),
        ("asked", &asked, &[Applied, Sealed]),
        ("following", &following, &[Applied, Sealed]),
        ("behind", &behind, &[Applied, Sealed]),
        ("gapped", &gapped, &[Hello, Applied, Sealed]),
        ("finished", &finished, &[Hello, Applied, Sealed]),
    ];
    for (name, begin, taken) in phases {
        for kind in Kind::ALL {
            let mut leader = begin();
            leader.handle_bytes(&encoded(&frame_of(*kind)));
            let event = leader.poll_event();
            match (kind.goes(Direction::ToLeader), taken.contains(kind)) {
                (true, true) => assert!(event.is_ok(), "{name}, {kind}: {event:?}"),
                (true, false) => assert!(
                    matches!(event, Err(Violation::OutOfOrder { .. })),
                    "{name}, {kind}: {event:?}"
                ),
                (false, _) => assert_eq!(event, Err(Violation::WrongDirection { kind: *kind }), "{name}"),
            }
            assert_eq!(leader.poll_event(), Ok(None), "{name}, {kind}");
        }
    }
}

#[test]
fn in_each_phase_a_follower_takes_what_may_come_and_nothing_else() {
    use Kind::{Batch, Confirmed, Final, Gap, Refused, Sealed, Welcome};
    let after = |before: &[Kind], hello_again: bool| {
        let mut follower = FollowerSession::new(hello(6));
        for kind in before {
            follower.handle_bytes(&encoded(&frame_of(*kind)));
            follower.poll_event().unwrap().unwrap();
        }
        if hello_again {
            follower.say_hello(at(6));
        }
        follower
    };
    let phases: [(&str, &[Kind], bool, &[Kind]); 6] = [
        ("asking", &[], false, &[Welcome, Sealed, Refused]),
        (
            "following",
            &[Welcome],
            false,
            &[Batch, Confirmed, Gap, Final, Sealed, Refused],
        ),
        ("gapped", &[Welcome, Gap], false, &[Confirmed, Final, Sealed, Refused]),
        (
            "asking again",
            &[Welcome, Gap],
            true,
            &[Welcome, Confirmed, Final, Sealed, Refused],
        ),
        (
            "following, not gapped",
            &[Welcome],
            true,
            &[Batch, Confirmed, Gap, Final, Sealed, Refused],
        ),
        ("finished", &[Welcome, Final], false, &[Sealed, Refused]),
    ];
    for (name, before, hello_again, taken) in phases {
        for kind in Kind::ALL {
            let mut follower = after(before, hello_again);
            follower.handle_bytes(&encoded(&frame_of(*kind)));
            let event = follower.poll_event();
            match (kind.goes(Direction::ToFollower), taken.contains(kind)) {
                (true, true) => assert!(matches!(event, Ok(Some(_))), "{name}, {kind}: {event:?}"),
                (true, false) => assert!(
                    matches!(event, Err(Violation::OutOfOrder { .. })),
                    "{name}, {kind}: {event:?}"
                ),
                (false, _) => assert_eq!(event, Err(Violation::WrongDirection { kind: *kind }), "{name}"),
            }
        }
    }
}

/// A leader that keeps its newest batches, a standby that reads the files, and a connection of two pipes of bytes.
struct World {
    pair: Pair,
    /// The newest batches, by number: what can be offered again.
    held: BTreeMap<u64, Bytes>,
    held_max: usize,
    next: u64,
    /// The next batch that the standby's engine wants, wherever it comes from.
    applied_next: u64,
    /// Where the standby has to read up to.
    reads_to: Option<u64>,
    downstream: VecDeque<u8>,
}

impl World {
    fn new(held_max: usize, queue_bytes_max: usize) -> World {
        World {
            pair: Pair::asking(LeaderSettings { queue_bytes_max }, 1),
            held: BTreeMap::new(),
            held_max,
            next: 1,
            applied_next: 1,
            reads_to: None,
            downstream: VecDeque::new(),
        }
    }

    fn write(&mut self, length: usize) {
        let (number, bytes) = (self.next, batch(self.next, length));
        self.next += 1;
        self.held.insert(number, bytes.clone());
        while self.held.len() > self.held_max {
            self.held.pop_first();
        }
        self.pair.leader.offer(at(number), bytes).unwrap();
    }

    fn upstream(&mut self) {
        for event in self.pair.leader_hears() {
            if let LeaderEvent::Hello(_) = event {
                self.pair.leader.welcome(WELCOME);
                for (number, bytes) in &self.held {
                    self.pair.leader.offer(at(*number), bytes.clone()).unwrap();
                }
            }
        }
    }

    /// Lets so many bytes pass to the standby.
    fn downstream(&mut self, bytes: usize) {
        while self.downstream.len() < bytes {
            let Some(piece) = self.pair.leader.poll_output() else {
                break;
            };
            self.downstream.extend(piece);
        }
        let count = bytes.min(self.downstream.len());
        let piece: Vec<u8> = self.downstream.drain(..count).collect();
        self.pair.follower.handle_bytes(&piece);
        while let Some(event) = self.pair.follower.poll_event().unwrap() {
            match event {
                FollowerEvent::Batch { at: place, bytes } => {
                    assert_eq!((place, self.reads_to), (at(self.applied_next), None));
                    assert!(place.batch < self.next, "never what is not confirmed");
                    assert!(bytes.iter().all(|byte| *byte == place.batch as u8));
                    self.applied_next += 1;
                    self.pair.follower.applied(place.batch);
                }
                FollowerEvent::Gap { from } => {
                    assert!(from.batch >= self.applied_next && from.batch <= self.next);
                    self.reads_to = Some(from.batch);
                }
                FollowerEvent::Confirmed { position } => assert!(position.batch <= self.next),
                FollowerEvent::Welcome(_) => {}
                other => panic!("nobody said {other:?}"),
            }
        }
    }

    fn read_files(&mut self) {
        if let Some(to) = self.reads_to.take() {
            self.applied_next = to;
            self.pair.follower.say_hello(at(to));
            self.pair.follower.applied(to - 1);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn whatever_the_connection_does_the_standby_misses_nothing_and_the_leader_keeps_little(
        steps in prop::collection::vec((0u8..6, 1usize..30_000), 1..300),
        held_max in 1usize..20,
        queue_bytes_max in 1usize..60_000,
    ) {
        let mut world = World::new(held_max, queue_bytes_max);
        for (step, size) in steps {
            match step {
                0 | 1 => world.write(size),
                2 => world.upstream(),
                3 => world.downstream(size),
                4 => world.read_files(),
                _ => world.pair.leader.confirmed(at(world.next)),
            }
            let queued = world.pair.leader.queued_bytes();
            prop_assert!(queued <= queue_bytes_max.max(30_200), "{} bytes wait", queued);
        }
        // The connection is good again, and nothing new is written: it catches up, however little is held.
        for _ in 0..10 {
            world.upstream();
            world.pair.leader.confirmed(at(world.next));
            world.downstream(usize::MAX);
            world.read_files();
        }
        world.upstream();
        prop_assert_eq!(world.applied_next, world.next);
        prop_assert_eq!(world.pair.leader.queued_bytes(), 0);
    }

    #[test]
    fn any_bytes_are_taken_or_end_the_session(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..8),
        order in prop::collection::vec(0usize..9, 0..8),
    ) {
        let frames = order.into_iter().map(|index| encoded(&frame_of(Kind::ALL[index])));
        let stream: Vec<Bytes> = frames.chain(pieces.into_iter().map(Bytes::from)).collect();
        let mut pair = Pair::asking(SMALL, 6);
        for bytes in stream {
            pair.leader.handle_bytes(&bytes);
            while let Ok(Some(event)) = pair.leader.poll_event() {
                if let LeaderEvent::Hello(_) = event {
                    pair.leader.welcome(WELCOME);
                }
            }
            pair.follower.handle_bytes(&bytes);
            while let Ok(Some(_)) = pair.follower.poll_event() {}
            while pair.leader.poll_output().is_some() {}
            prop_assert_eq!(pair.leader.queued_bytes(), 0);
        }
    }
}
