//! The journal's numbers: each has a name and a unit here, and is changed with a measurement.

use std::time::Duration;

use platform::BLOCK_BYTES;

/// Bytes of a segment: 64 MiB.
pub const SEGMENT_BYTES: u32 = 64 << 20;

/// Most bytes of a batch, header and padding included: 1 MiB. Part of the format: a reader refuses a larger one.
pub const BATCH_BYTES_MAX: u32 = 1 << 20;

/// Batches that may be out to the disk and not confirmed.
pub const WRITES_IN_FLIGHT: usize = 4;

/// How long after the confirmation of the newest batch with records an empty batch says so, if no other batch did.
pub const EMPTY_BATCH_AFTER: Duration = Duration::from_secs(1);

/// How long after a lack of space the same bytes are written again.
pub const NO_SPACE_RETRY_AFTER: Duration = Duration::from_millis(250);

/// Body reads out to the disk at a time; more wait.
pub const READS_IN_FLIGHT: usize = 8;

/// Bodies that lie near each other are read together, up to so many bytes at once: a consumer that lags behind the cache would otherwise wait for the disk with every body.
pub const READ_TOGETHER_BYTES_MAX: u64 = 256 << 10;

/// Bytes that nobody wants, between two bodies that are read together.
pub const READ_GAP_BYTES_MAX: u64 = 32 << 10;

/// Descriptors kept open for body reads.
pub const READ_DESCRIPTORS_MAX: usize = 64;

/// How many readings must find a body damaged before it counts as damaged.
pub const READ_ATTEMPTS: u32 = 3;

/// The least time between two of these readings.
pub const READ_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A checkpoint is due after this many bytes of batches: 256 MiB.
pub const CHECKPOINT_AFTER_BYTES: u64 = 256 << 20;

/// A checkpoint is due after this many records.
pub const CHECKPOINT_AFTER_RECORDS: u64 = 500_000;

/// A checkpoint is due after this long, if anything was written.
pub const CHECKPOINT_AFTER: Duration = Duration::from_secs(60);

/// How the journal is written; a reader needs none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalSettings {
    /// Bytes of each segment of this epoch; whole blocks, at least one batch.
    pub segment_bytes: u32,
    /// Most bytes of a batch; whole blocks, at most [`BATCH_BYTES_MAX`].
    pub batch_bytes_max: u32,
    /// Batches out to the disk and not confirmed; at least 1.
    pub writes_in_flight: usize,
}

impl Default for JournalSettings {
    fn default() -> Self {
        JournalSettings {
            segment_bytes: SEGMENT_BYTES,
            batch_bytes_max: BATCH_BYTES_MAX,
            writes_in_flight: WRITES_IN_FLIGHT,
        }
    }
}

impl JournalSettings {
    /// Whether the numbers go together.
    pub(crate) fn are_sound(&self) -> bool {
        let block = BLOCK_BYTES as u32;
        self.batch_bytes_max.is_multiple_of(block)
            && self.batch_bytes_max >= block
            && self.batch_bytes_max <= BATCH_BYTES_MAX
            && self.segment_bytes.is_multiple_of(block)
            && self.segment_bytes >= self.batch_bytes_max
            && self.writes_in_flight >= 1
    }
}
