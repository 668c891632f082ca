//! The engine: queues, topics, subscriptions, transactions, redelivery, expiry: a pure state machine over records and messages.
//!
//! Commands go in, records go to a [`record::Store`], effects come out; each effect names the newest record that it rests on, and must not become visible before that is confirmed.
//! The engine runs ahead of the disk: what it knows already counts for what it decides next.
//!
//! Where to look: `engine.rs` is the entry and the order of a step; `apply.rs` is what each record does, live and in replay; `backlog/` holds what waits; `dispatch.rs` and `interest.rs` decide who gets it; `send.rs`,
//! `acknowledge.rs`, `transaction.rs`, `subscribe.rs`, `connection.rs` are the commands; `dead_letter.rs` and `expiry.rs` what goes wrong with messages; `catalog.rs` is checkpoints; `admin/` what operators see and do.
//!
//! Invariants:
//! - Live and replayed state are the same: both come from `apply.rs` (`tests/engine/recovery.rs` crashes at every record).
//! - No step looks at more than [`STEP_MESSAGES_MAX`] messages, one command's own apart; the rest is resumed (`tests/engine/bounds.rs`).
//! - Nothing is delivered before everything that it rests on is confirmed (`tests/engine/confirmation.rs`).
//!
//! Architecture invariant: no clock, randomness, I/O or protocol here, and no order that differs from run to run. Deliberately absent: policies per destination, scheduling, virtual topics, advisories, security.

#![forbid(unsafe_code)]

mod acknowledge;
mod admin;
mod apply;
mod backlog;
mod browser;
mod cache;
mod catalog;
mod connection;
mod consumer;
mod dead_letter;
mod dispatch;
mod duplicates;
mod effect;
mod engine;
mod expiry;
mod flow;
mod groups;
mod interest;
mod invariants;
mod queue;
mod reads;
mod send;
mod settings;
mod step;
mod subscribe;
mod subscriber;
mod time;
mod topic;
mod transaction;
mod untaken;
mod work;

pub use admin::{
    AdminAnswer, AdminCommand, AdminRefusal, AdminRequest, BrowsePosition, Browsed, ConnectionStatistics,
    ConsumerStatistics, Counters, DestinationStatistics, MoveTo, MoveToGo, Moved, Statistics, SubscriptionStatistics,
    WaitsFor,
};
pub use apply::Inconsistent;
pub use effect::Effect;
pub use engine::{Damaged, Engine};
pub use flow::Waiting;
pub use settings::{
    DEAD_LETTER_CAUSE, DISPATCHED_AHEAD_MAX, GROUP_FIRST, ORIGINAL_EXPIRATION, STEP_MESSAGES_MAX, Settings,
};
pub use time::EngineTime;
