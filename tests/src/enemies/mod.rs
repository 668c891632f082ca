//! Enemies of a broker: clients and machines that do their worst, against the shipped binary.
//!
//! Each case starts a broker, lets a healthy client send and receive durable messages all the while ([`witness`]), sets an enemy on it, and ends with a verdict that can fail: everything that was
//! confirmed came exactly as promised (judged by [`history`](crate::history)), the enemy got what the documents say, memory stayed below what the limits allow, the broker lives and stops cleanly. Times
//! are printed and never judged. Invariants: every wait is for an event; what a machine cannot show is skipped, with the reason.
//!
//! Run by the binary `enemies`; docs/testing.md lists the cases.

mod arena;
mod backlog;
mod beats;
mod frames;
mod line;
mod machine;
mod names;
mod pace;
mod readers;
mod requests;
mod selectors;
mod settlements;
mod silence;
mod space;
mod subscriptions;
mod temporaries;
mod transactions;
mod trouble;
mod witness;

pub use arena::{Arena, Shown};
pub use trouble::Trouble;
pub use witness::{Testimony, Witness};

/// One enemy.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What `--only` calls it.
    pub name: &'static str,
    /// Only with `--long`.
    pub is_long: bool,
    /// Runs it; `true`: with the numbers of a long run.
    pub run: fn(bool) -> Result<Shown, Trouble>,
}

const fn case(name: &'static str, run: fn(bool) -> Result<Shown, Trouble>) -> Case {
    Case {
        name,
        is_long: false,
        run,
    }
}

/// All of them, in the order in which they run.
pub const CASES: &[Case] = &[
    case("silent-connections", silence::silent_connections),
    case("idle-connections", silence::idle_connections),
    case("byte-per-second", silence::byte_per_second),
    case("half-closed", silence::half_closed),
    case("vanishing", silence::vanishing),
    case("long-headers", frames::long_headers),
    case("many-headers", frames::many_headers),
    case("endless-bodies", frames::endless_bodies),
    case("deaf-senders", frames::deaf_senders),
    case("heart-beats", beats::heart_beats),
    case("slow-consumers", readers::slow_consumers),
    case("slow-topic-consumers", readers::slow_topic_consumers),
    case("unread-receipts", readers::unread_receipts),
    case("erring-selector", selectors::erring_selector),
    case("costly-selectors", selectors::costly_selectors),
    case("thousand-consumers", subscriptions::thousand_consumers),
    case("subscription-churn", subscriptions::churn),
    case("durable-subscriptions", subscriptions::durable),
    case("left-transactions", transactions::left_open),
    case("unknown-acks", settlements::unknown_acks),
    case("nack-storm", settlements::nack_storm),
    case("many-queues", names::many_queues),
    case("temporary-queues", temporaries::created_and_dropped),
    case("admin-flood", requests::admin_flood),
    case("full-disk", space::full_disk),
    case("own-consumer-memory", space::own_consumer_memory),
    case("own-consumer-disk", space::own_consumer_disk),
    case("own-consumer-limits", space::own_consumer_limits),
    case("million", backlog::million),
    case("descriptors", machine::descriptors),
    case("memory-within", machine::memory_within),
    case("memory-beyond", machine::memory_beyond),
];
