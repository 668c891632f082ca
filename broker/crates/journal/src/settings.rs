//! The journal's numbers: each has a name and a unit here, and is changed with a measurement.

use std::time::Duration;

use platform::BLOCK_BYTES;

/// Bytes of a segment: 64 MiB.
pub const SEGMENT_BYTES: u32 = 64 << 20;

/// Most bytes of a batch, header and padding included: 1 MiB. Part of the format: a reader refuses a larger one.
pub const BATCH_BYTES_MAX: u32 = 1 << 20;

/// Batches that may be out to the disk and not confirmed, however near it is.
pub const WRITES_IN_FLIGHT: usize = 4;

/// Most batches that may be out: as many as the disk has threads for segments.
pub const WRITES_IN_FLIGHT_MAX: usize = 16;

/// One more may go out when the newest has been out for so long, if that helps: on EFS, where each takes 3 ms, a record would otherwise wait for one of few places, and then for its write.
pub const NEXT_WRITE_AFTER: Duration = Duration::from_micros(500);

/// A disk that is that late with fewer bytes than this, of all that are out together, may be far away; with more it is busy, and more writes would only make each of them smaller.
pub(crate) const BUSY_DISK_BYTES: usize = 256 << 10;

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
    /// Batches out to the disk and not confirmed, however near it is; 1 to [`WRITES_IN_FLIGHT_MAX`].
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
    /// Batches out to a disk that is far away and not confirmed: four times as many as to any.
    pub(crate) fn far_writes_in_flight(&self) -> usize {
        (4 * self.writes_in_flight).min(WRITES_IN_FLIGHT_MAX)
    }

    /// Whether the numbers go together.
    pub(crate) fn are_sound(&self) -> bool {
        let block = BLOCK_BYTES as u32;
        self.batch_bytes_max.is_multiple_of(block)
            && self.batch_bytes_max >= block
            && self.batch_bytes_max <= BATCH_BYTES_MAX
            && self.segment_bytes.is_multiple_of(block)
            && self.segment_bytes >= self.batch_bytes_max
            && (1..=WRITES_IN_FLIGHT_MAX).contains(&self.writes_in_flight)
    }
}
