//! The failover protocol as a state machine that is checked exhaustively. docs/model.md says what is in it and what is not.

#![forbid(unsafe_code)]

pub mod aspects;
pub mod broker;
mod claimant;
pub mod configurations;
pub mod exploration;
pub mod history;
mod leader;
pub mod mutants;
pub mod properties;
pub mod protocol;
mod reduction;
pub mod server;
mod standby;
pub mod state;
pub mod story;
pub mod table;
