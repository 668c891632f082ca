//! Clients that work as real ones do, and write down what they did and saw.
//!
//! Owns: [`Scene`] (the queues, subscriptions and the history that all clients share), [`Content`] (what a message of a number looks like), [`Actor`] (a scripted client without I/O) and [`Drainer`]
//! (which takes everything that waits at the end). The simulation and the kill loop drive the same ones; only who moves their bytes differs.
//!
//! Invariants: every choice comes from the scene's seed; an event is in the history before the bytes that it speaks of leave, and after those that it speaks of came.

mod actor;
mod content;
mod drainer;
mod scene;

pub use actor::{Actor, Manner, Role, Work};
pub use content::Content;
pub use drainer::{Drainer, Taken};
pub use scene::{DURABLES, DurableSubscription, QUEUES, Scene};
