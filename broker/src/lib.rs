//! Holdfast's broker: everything that touches the world, around the pure layers in `broker/crates`.
//!
//! | module | owns |
//! |---|---|
//! | [`config`] | settings: file, environment, flags |
//! | [`cli`] | the commands, their output and exit codes |
//! | [`run`] | the broker's process, from bound ports to a clean end |
//! | `listen` | the pump between sockets and the node |
//! | [`admin`] | HTTP for people, probes and programs |
//! | [`observe`] | logs, the service manager, panics |
//!
//! Architecture invariant: tokio appears here, in healthd and in the tests, nowhere else; nothing here decides what is durable or who leads.

#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
compile_error!(
    "Holdfast builds on Linux only: its safety rests on Linux's direct I/O, open-file-description locks and boot-time clock."
);

pub mod admin;
pub mod cli;
pub mod config;
mod listen;
pub mod observe;
pub mod run;
mod wrap;
