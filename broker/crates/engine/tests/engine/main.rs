//! What the engine promises, in sentences. `broker/` is the language they are written in.
#![allow(clippy::unwrap_used)]

mod broker;

mod administration;
mod bounds;
mod browsing;
mod confirmation;
mod connections;
mod damage;
mod dead_letters;
mod dispatching;
mod duplicates;
mod durables;
mod expiry;
mod flow;
mod groups;
mod memory;
mod random;
mod recovery;
mod redelivery;
mod selectors;
mod temporaries;
mod topics;
mod transactions;
mod transfers;
mod untaken;
