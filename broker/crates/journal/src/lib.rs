//! The journal: what is confirmed is never lost.
//!
//! Records become chunks, chunks become batches, batches lie in segments; a batch is confirmed when its synchronous write returned, the fence was then read as open, and
//! every batch before it is confirmed. [`Journal`] is the writing side and reads bodies back; [`recover`] reads a history; [`harden`] makes durable what was
//! only visible; checkpoints bound what is replayed; [`deletable`] says what may go. The bytes are in [`format`] and docs/journal-format.md, tied together by the test
//! `the_document_shows_the_tables_of_the_code`.
//!
//! Invariants: an offset is written once (the same bytes again after a lack of space, nothing else); confirmation is in order; nothing is confirmed after the first failure
//! (`tests/journal/confirmation.rs`); for every prefix of completed operations recovery yields a prefix of what was appended that holds everything confirmed (`tests/journal/crash.rs`).
//!
//! Architecture invariant: nothing here knows of cells, claims or roots beyond [`record::Leadership`] and [`record::EpochSeal`]; no clock, thread or runtime: time comes in
//! as an argument and the disk through [`platform::Files`]. Deliberately absent: truncation, reuse of a file, and any retry but the one after a lack of space.

#![forbid(unsafe_code)]

pub mod checkpoint;
mod deletion;
pub mod format;
pub mod inspect;
pub mod names;
mod position;
mod reading;
mod recover;
mod settings;
mod space;
mod stream;
mod writer;

pub use checkpoint::{
    CheckpointError, CheckpointRequest, CheckpointSummary, Loaded, UnreadPieces, Written, check_pieces,
    read_checkpoint, write_checkpoint,
};
pub use deletion::{Deletable, DeletionView, deletable, needed_seals};
pub use position::{Damage, Owners, ReplayStart, SegmentOwner};
pub use reading::{Damaged, ReadError, read_message};
pub use recover::{
    Predecessor, Recovered, RecoveryError, RecoveryPlan, RecoverySink, Refused, Tail, TailBatch, Warning, harden,
    is_written, recover,
};
pub use settings::{
    BATCH_BYTES_MAX, CHECKPOINT_AFTER, CHECKPOINT_AFTER_BYTES, CHECKPOINT_AFTER_RECORDS, EMPTY_BATCH_AFTER,
    JournalSettings, NEXT_WRITE_AFTER, NO_SPACE_RETRY_AFTER, READ_AGAIN_AFTER, READ_ATTEMPTS, READ_DESCRIPTORS_MAX,
    READ_GAP_BYTES_MAX, READ_TOGETHER_BYTES_MAX, READS_IN_FLIGHT, SEGMENT_BYTES, WRITES_IN_FLIGHT,
    WRITES_IN_FLIGHT_MAX,
};
pub use space::{
    BALLAST_EXTRA_BYTES, NO_PRACTICAL_LIMIT_BYTES, Reservation, START_BYTES, STORE_LIMIT_PERCENT, Sends, SpaceState,
    WATERMARK_PERCENT, ballast_bytes, reservation, smallest_file_system_bytes, smallest_sending_file_system_bytes,
    store_limit_bytes, watermark_bytes,
};
pub use writer::{Handled, Journal, JournalFailure, JournalStart};
