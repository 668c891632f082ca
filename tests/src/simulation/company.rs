//! Who else is there beside the well-behaved clients of a run, and the small limits that hold for all.
//!
//! Drawn from a random source of its own, so that what a seed means without company does not depend on it. Invariant: no limit is so small that well-behaved clients cannot work; what they may be refused is in
//! [`Excuses`].

use std::time::Duration;

use simulated::Prng;

use super::pace::Pace;
use super::scenario::Excuses;
use crate::workload::{Manner, Role};

/// A client that is slow, malicious or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stranger {
    /// What it does for a living.
    pub role: Role,
    /// How fast it moves bytes.
    pub pace: Pace,
    /// How it behaves.
    pub manner: Manner,
}

/// Those beside the well-behaved clients, and the operator.
#[derive(Clone, Debug)]
pub struct Company {
    /// Slow and malicious clients.
    pub strangers: Vec<Stranger>,
    /// Whether the operator empties queues of the workload now and then.
    pub purges: bool,
    /// Whether there is little memory, and sends wait for it for as long as it takes: then the operator makes room.
    pub waits_for_memory: bool,
    /// Whether the disk is full for a while in the faultless end.
    pub full_at_end: bool,
}

/// Where the company's draws begin.
const SALT: u64 = 0x9e37_79b9_7f4a_7c15;

/// Segments that the ballast gives on a full disk: more than clients fill in [`super::run`]'s tail. What they reject or let expire goes to the dead-letter queue and stays, so that acknowledgements cannot go on
/// for ever on what they free.
const BALLAST_SEGMENTS: u64 = 8;

impl Company {
    /// The company of a seed; `None`: only well-behaved clients.
    pub fn of(seed: u64) -> Option<Company> {
        let mut prng = Prng::new(seed ^ SALT);
        if prng.below(2) == 0 {
            return None;
        }
        let count = 1 + prng.below(3);
        Some(Company {
            strangers: (0..count).map(|_| draw_stranger(&mut prng)).collect(),
            purges: prng.below(3) == 0,
            waits_for_memory: prng.below(4) == 0,
            full_at_end: prng.below(3) == 0,
        })
    }

    /// Makes limits small enough to be reached; `others` are the well-behaved clients, `large` their largest message.
    pub fn limit(&self, seed: u64, others: usize, large: usize, settings: &mut node::Settings, excuses: &mut Excuses) {
        let mut prng = Prng::new(seed ^ SALT.rotate_left(32));
        let mut one_of = |choices: &[usize]| choices[prng.index(choices.len())];
        let stomp = &mut settings.stomp;
        stomp.frame.frame_bytes_max = (2 * large + (32 << 10)) as u32;
        stomp.frame.header_bytes_max = 4 << 10;
        stomp.frame.headers_max = 24;
        stomp.connect_bytes_max = 4 << 10;
        stomp.connect_within = Duration::from_millis(one_of(&[1_000, 3_000, 10_000]) as u64);
        stomp.close_within = Duration::from_millis(one_of(&[500, 2_000, 10_000]) as u64);
        stomp.answers_bytes_max = one_of(&[4 << 10, 16 << 10, 1 << 20]) as u32;
        stomp.read_ahead_bytes_max = one_of(&[16 << 10, 1 << 20]) as u32;
        stomp.subscriptions_max = one_of(&[4, 8, 10_000]) as u32;
        stomp.transactions_max = one_of(&[2, 5, 1_000]) as u32;
        stomp.temporary_destinations_max = one_of(&[2, 10_000]) as u32;
        let engine = &mut settings.engine;
        engine.transaction_bytes_max = one_of(&[8_000, 60_000, 64 << 20]);
        engine.destinations_max = one_of(&[12, 30, 100_000]);
        engine.subscriptions_max = one_of(&[2, 3, 100_000]);
        engine.topic_consumer_messages_max = one_of(&[1, 5, 1_000]);
        engine.topic_consumer_bytes_max = one_of(&[10_000, 16 << 20]);
        engine.waiting_bytes_max = one_of(&[1_000, 20_000, 1 << 20]);
        engine.read_ahead_messages = one_of(&[1, 4, 32]);
        engine.read_ahead_bytes = one_of(&[1, 10_000, 1 << 20]);
        let silent = self
            .strangers
            .iter()
            .filter(|stranger| stranger.manner == Manner::Silent)
            .count();
        // Those who say nothing may find no place, but take none from the others for longer than `connect_within`.
        let connections = (others + self.strangers.len()).saturating_sub(one_of(&[0, silent]));
        settings.connections_max = one_of(&[connections, 10_000]);
        if self.full_at_end {
            settings.journal.segment_bytes = 256 << 10;
            // What comes behind more than this is not read, be it an acknowledgement: more than a client here sends without an answer.
            settings.engine.waiting_bytes_max = 16 << 20;
            settings.unfinished_bytes_max = settings.unfinished_bytes_max.max(16 << 20);
            settings.ballast_bytes = BALLAST_SEGMENTS * (256 << 10);
        }
        excuses.little_transactions = true;
        excuses.no_space |= self.full_at_end;
        if self.waits_for_memory {
            excuses.little_memory = true;
            settings.engine.volatile_bytes_max = 2_000 + prng.index(20_000);
            settings.engine.send_fail_if_no_space = false;
            settings.engine.send_fail_if_no_space_after = None;
        }
    }
}

fn draw_stranger(prng: &mut Prng) -> Stranger {
    use Manner::{Breaks, Floods, Forges, Hoards, NeverEnds, Overdraws, Polite, Selects, Silent};
    let (role, manner) = [
        (Role::Producer, Polite),
        (Role::Consumer, Polite),
        (Role::Worker, Polite),
        (Role::Worker, Polite),
        (Role::Producer, Breaks),
        (Role::Worker, Breaks),
        (Role::Consumer, Forges),
        (Role::Worker, Forges),
        (Role::Producer, Floods),
        (Role::Producer, Floods),
        (Role::Worker, Floods),
        (Role::Producer, Selects),
        (Role::Consumer, Hoards),
        (Role::Transactor, NeverEnds),
        (Role::Transactor, Overdraws),
        (Role::Producer, Silent),
    ][prng.index(16)];
    let pace = if manner == Polite || prng.below(2) == 0 {
        let paces = [
            Pace::Sips,
            Pace::Pauses,
            Pace::Deaf,
            Pace::Deaf,
            Pace::Trickles,
            Pace::FallsSilent,
        ];
        paces[prng.index(paces.len())]
    } else {
        Pace::Even
    };
    Stranger { role, pace, manner }
}
