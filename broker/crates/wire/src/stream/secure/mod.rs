//! An encrypted connection between two processes that know the same key, without I/O: [`Channel`].
//!
//! Noise, pattern `NNpsk0`, X25519, ChaCha20-Poly1305, BLAKE2s, by the crate `snow`; docs/decisions/0011 says why, docs/stream.md what is on the wire.
//!
//! ```text
//! initiator                                            responder
//!    │ ── 48 bytes: ephemeral key, proof of the key ──────► │  wrong: closed, and nothing was said
//!    │ ◄────── 48 bytes: ephemeral key, proof of the key ── │
//!    │ ── 16 bytes: nothing, encrypted ───────────────────► │  established: it was no replay
//!    │ ◄────────────── messages of up to 65 519 bytes ────► │
//! ```
//! Each message has its length (u16, **big endian**, as the Noise specification recommends) before it.
//!
//! Invariants: nothing leaves a responder before the other side has proved that it has the key. A stranger costs at most 50 bytes of buffer until the first message is whole, and is refused by it. What was altered, repeated, exchanged or
//! left out on the way is noticed with the message that it happens to, and nothing behind it is taken. What has been sent cannot be read by somebody who learns the key later.
//!
//! Deliberately absent: randomness (an argument: the simulation replays from its seed), the time limit of a handshake ([`Channel::is_established`] tells the owner), where the key is kept, and
//! whether a connection that ended was cut off: for that the protocol above has its own last word.

mod channel;
mod key;
mod noise;

pub use channel::{Channel, ChannelError, HANDSHAKE_BYTES, PLAIN_BYTES_MAX, REKEY_MESSAGES};
pub use key::{KEY_BYTES, Key, KeyError};
