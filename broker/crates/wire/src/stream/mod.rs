//! The stream by which a standby follows its leader, without I/O: [`LeaderSession`] for whoever accepts a connection, [`FollowerSession`] for whoever made it, [`secure::Channel`] around either.
//!
//! ```text
//! follower                                leader
//!    │ ── Hello(from) ─────────────────────► │
//!    │ ◄───────────────────────── Welcome ── │
//!    │ ◄──────────── Batch, Batch, … ─────── │  each of them confirmed
//!    │ ── Applied ─────────────────────────► │
//!    │ ◄─────────────────────── Confirmed ── │  nothing new, but alive
//!    │ ◄─────────────────────── Gap(from) ── │  the follower did not take them, or asked for what is not held any more
//!    │    (reads the files up to there)      │
//!    │ ── Hello(from) ─────────────────────► │  and so on
//!    │ ◄─────────────────────────── Final ── │  hand-over
//! ```
//! `Sealed` may come from either side at any time, and stands alone on a connection that somebody made to say just that; `Refused` is the last word of whoever accepted.
//!
//! Owns: the frames and their bytes (docs/stream.md shows the tables of this code), the order in which they may come, and the bound of what waits for a follower.
//!
//! Invariants: whatever the bytes are, the result is frames or one [`Violation`], after which the session is spent. For each follower no more is held than its queue allows, or one batch. A batch is offered after it was
//! confirmed, so a follower may apply it at once. The leader never waits for a follower.
//!
//! Deliberately absent: sockets, timers (who beats every 500 ms, and who gives up whom, is decided by the owner), what is inside a batch, the batches that a leader keeps for followers to come, and every decision about who leads.
//! A session knows nothing of encryption: its bytes pass a [`secure::Channel`] or a plain connection.
//!
//! Tests: `tests/stream_frames.rs`, `tests/stream_sessions.rs`, `tests/stream_secure.rs`, and the fuzzing target `stream`.

mod decoder;
mod field;
mod follower;
mod frame;
mod leader;
mod position;
pub mod secure;
mod tables;
mod violation;

pub use decoder::Decoder;
pub use field::{Field, markdown_table};
pub use follower::{FollowerEvent, FollowerSession};
pub use frame::{
    BATCH_BYTES_MAX, Direction, Frame, HOST_BYTES_MAX, Hello, Kind, PROTOCOL, Reason, Refusal, SHORT_FRAME_BYTES_MAX,
    Sealed, TEXT_BYTES_MAX, Welcome, announcement,
};
pub use leader::{LeaderEvent, LeaderReport, LeaderSession, LeaderSettings};
pub use position::{Nonce, Position};
pub use tables::TABLES;
pub use violation::Violation;

/// Most bytes of one piece of output, roughly; small frames are gathered up to it, large batches are handed out in slices of it.
const PIECE_BYTES: usize = 64 << 10;
