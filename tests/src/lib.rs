//! What proves the broker's promises: a checker of histories, and what makes histories.
//!
//! | module | owns |
//! |---|---|
//! | [`history`] | what clients did and saw, and the rules that it is judged by |
//! | [`workload`] | scripted clients without I/O |
//! | [`simulation`] | the shipped node over a simulated machine, from a seed |
//! | [`mutants`] | the deliberate faults that the simulation must notice |
//! | [`process`] | real processes of the shipped binary, and what is done to them |
//!
//! docs/testing.md says how they are run, docs/guarantees.md which promise rests on which of them.
#![forbid(unsafe_code)]

pub mod history;
pub mod mutants;
pub mod process;
pub mod simulation;
pub mod workload;
