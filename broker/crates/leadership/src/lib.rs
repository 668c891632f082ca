//! Who may lead: the cells of a claim, and the decisions that are made from them.
//!
//! A claim is one file, `epochs/NNNNNNNN`, of six cells of 4 KiB, each written whole and synchronously. This crate owns their bytes ([`cell`]), the names of files
//! ([`names`]), and the decisions as labelled tables: what a pair of root cells says ([`Root::read`]), whether the leader is silent ([`Watch`]), whether nothing was ever here ([`Origin`]), whether its process is proved dead ([`Proof`]).
//! Reading and writing the cells is the node's, in docs/failover.md's order.
//!
//! Architecture invariant: nothing here knows of batches or records beyond [`record::EpochSeal`] and [`record::BatchPosition`]; nothing here does I/O or reads a clock.

#![forbid(unsafe_code)]

pub mod cell;
mod claim;
pub mod names;
mod origin;
mod proof;
mod root;
mod watch;

pub use cell::CellState;
pub use claim::{
    Addresses, CLAIM_BYTES, Cell, Claim, FENCE_OFFSET, FORMAT_VERSION, FenceCell, Goodbye, GoodbyeReason, Heartbeat,
    Identity, Reign,
};
pub use origin::Origin;
pub use proof::Proof;
pub use root::{Root, RootState, SEALED_MAX, SEALED_URGENT};
pub use watch::{Silence, Watch};
