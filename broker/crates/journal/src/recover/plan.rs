//! What recovery is told, what it tells, and how it can fail.

use std::fmt;

use bytes::Bytes;
use message::{Epoch, Sequence};
use platform::DiskError;
use record::{
    BatchPosition, CheckpointName, EpochSeal, Malformed, Nonce, PieceContent, PieceKey, PieceReference, Record,
    RecordPlace, SegmentNumber,
};

use crate::{CheckpointSummary, Damage, Owners, UnreadPieces};

/// What the roots say of the history.
#[derive(Clone, Debug, Default)]
pub struct RecoveryPlan {
    /// The predecessor's SEALED list, oldest epoch first.
    pub sealed: Vec<EpochSeal>,
    /// The highest lower epoch that sealed; `None` on first boot.
    pub predecessor: Option<Predecessor>,
    /// The checkpoints that the predecessor's root names, newest first.
    pub checkpoints: [Option<CheckpointName>; 2],
}

/// The epoch whose log is not sealed yet.
#[derive(Clone, Copy, Debug)]
pub struct Predecessor {
    /// Its epoch.
    pub epoch: Epoch,
    /// Its claim's nonce.
    pub nonce: Nonce,
    /// The first segment that it could use.
    pub first_segment: SegmentNumber,
    /// The highest that it announced; below `first_segment`: none.
    pub highest_segment: SegmentNumber,
    /// The confirmed position in its heartbeat (or the newest that a standby was told): the log must reach it.
    pub confirmed: Option<BatchPosition>,
}

/// Takes what recovery reads; the engine, in the broker.
pub trait RecoverySink {
    /// The checkpoint that replay starts from: at most once, before the first record. Without a checkpoint it is not called.
    fn restore(
        &mut self,
        catalog: &Bytes,
        pieces: Vec<(PieceKey, PieceReference, PieceContent)>,
    ) -> Result<(), Malformed>;

    /// The next record. `place`, `last_segment`, `messages`: as in [`record::Ticket`]. Its bytes share a read buffer of up to 1 MiB: copy what is kept for long.
    fn replay(
        &mut self,
        sequence: Sequence,
        record: Record,
        place: RecordPlace,
        last_segment: SegmentNumber,
        messages: &[(u32, u32)],
    ) -> Result<(), Refused>;

    /// How far it is: bytes read, and of how many at most. After each step.
    fn progress(&mut self, bytes: u64, of: u64);
}

/// The sink cannot apply what it was given; in words, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub String);

/// What recovery found.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// What counts of the predecessor; `None` if nothing does.
    pub seal: Option<EpochSeal>,
    /// The number of the next batch.
    pub next_batch: u64,
    /// The sequence of the next record.
    pub next_sequence: Sequence,
    /// The checksum of the last batch that counts; 0 if there is none.
    pub previous_checksum: u32,
    /// The newest engine time in the history, milliseconds since 1970; 0 if there is none.
    pub engine_time: u64,
    /// The named checkpoints that can be read, in the plan's order.
    pub checkpoints: [Option<CheckpointSummary>; 2],
    /// Which of them replay started from; `None`: the beginning of the history.
    pub started_from: Option<CheckpointName>,
    /// Whose each segment is, for reading bodies back.
    pub owners: Owners,
    /// What must be hardened before the seal.
    pub tail: Tail,
    /// Records replayed.
    pub records: u64,
    /// Bytes of batches read.
    pub bytes: u64,
    /// What a person should hear of.
    pub warnings: Vec<Warning>,
    /// Pieces of the older named checkpoint that were not read: to be checked with [`crate::check_pieces`] when there is time, so that nobody relies on them unawares.
    pub unread: Option<UnreadPieces>,
}

/// The part of the predecessor's log that nothing shows to have been confirmed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// Whose it is.
    pub epoch: Epoch,
    /// Its nonce.
    pub nonce: Nonce,
    /// Its batches, in order.
    pub batches: Vec<TailBatch>,
}

/// One batch of a tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailBatch {
    /// Which it is.
    pub position: BatchPosition,
    /// Its bytes on disk.
    pub extent: u32,
}

/// Something that recovery got over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// A named checkpoint is damaged; recovery uses the older one, or the whole log.
    CheckpointDamaged {
        /// Which.
        name: CheckpointName,
        /// How.
        damage: Damage,
    },
    /// Recovery did not need the older named checkpoint, and its index is damaged: nothing is deleted until two readable ones are named.
    OlderCheckpointDamaged {
        /// Which.
        name: CheckpointName,
        /// How.
        damage: Damage,
    },
    /// Recovery did not need the older named checkpoint, and could not have fallen back on it: a piece of its own is damaged, or a segment that only it needs is missing.
    OlderCheckpointUnusable {
        /// Which.
        name: CheckpointName,
        /// How.
        damage: Damage,
    },
    /// Behind the end of the log something was written, but not whole, or the file is cut off; nothing says that it was confirmed, so it does not count.
    UnfinishedWrite {
        /// Where the log ends.
        file: String,
        /// The first byte behind it.
        offset: u32,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::CheckpointDamaged { name, damage } => write!(
                f,
                "checkpoint {}-{} is left out: {damage}. The history is read from an older place instead",
                name.epoch, name.number
            ),
            Warning::OlderCheckpointDamaged { name, damage } => write!(
                f,
                "the older checkpoint {}-{} is left out: {damage}. Nothing is deleted until two readable checkpoints are named",
                name.epoch, name.number
            ),
            Warning::OlderCheckpointUnusable { name, damage } => write!(
                f,
                "the older checkpoint {}-{} cannot be fallen back on: {damage}. The newer one is whole and was used; the older goes when the next one is named [C7]",
                name.epoch, name.number
            ),
            Warning::UnfinishedWrite { file, offset } => write!(
                f,
                "the log ends in {file} at offset {offset}; what was written there or behind it is not whole, nothing shows it as confirmed, and it does not count"
            ),
        }
    }
}

/// Why there is nothing to serve.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RecoveryError {
    /// Refuse to start; a person must restore the file. Nothing was changed.
    #[error("{0}")]
    Damaged(Damage),
    /// The disk failed: end the process and start anew.
    #[error("{0}")]
    Io(#[from] DiskError),
    /// The records are whole, and the engine cannot apply them: refuse to start.
    #[error("{file}, offset {offset}: record {sequence} cannot be applied: {why}")]
    Inconsistent {
        /// The file.
        file: String,
        /// Where the record begins.
        offset: u64,
        /// Which.
        sequence: Sequence,
        /// Why not.
        why: String,
    },
    /// The tail is no longer what was read a moment ago (the server lost it): end the process and start anew; nothing of it was confirmed.
    #[error("{file}, offset {offset}: the end of the log changed between reading and hardening it; start again")]
    Changed {
        /// The file.
        file: String,
        /// The batch's first byte.
        offset: u32,
    },
}

impl From<Damage> for RecoveryError {
    fn from(damage: Damage) -> Self {
        RecoveryError::Damaged(damage)
    }
}
