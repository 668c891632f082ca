//! The loop that joins sessions, engine, store and leadership, without a socket, a thread or a runtime of its own: the simulation runs exactly this.
//!
//! [`Node`] is a state machine: starting (claim, fence, read, harden, seal), leading (commit loop), ended. Invariants: no event reaches a session before the
//! newest record that it rests on is confirmed; nothing leaves unless the own fence was lately seen open; one procedure of a kind runs at a time. The simulation
//! (`tests/`) proves them.
//!
//! Architecture invariant: no tokio, no clock, no randomness, no file but through [`platform::Files`].

#![forbid(unsafe_code)]

mod admin;
mod claims;
mod clients;
mod clock;
mod deletion;
mod failure;
mod goodbye;
mod heartbeat;
mod invariants;
mod leading;
mod node;
mod peers;
mod root;
mod segments;
mod settings;
mod space;
mod start;
mod status;
mod unfinished;

pub use clients::{ConnectionReport, ConsumerReport};
pub use clock::CLOCK_DIFFERENCE_MAX;
pub use failure::Failure;
pub use goodbye::{GoodbyeBy, NotSaid, SaidGoodbye, say_goodbye_for};
pub use node::{End, Node, NodeIdentity, Notice};
pub use settings::Settings;
pub use status::{NodeStatus, Role};
