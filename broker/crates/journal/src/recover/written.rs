//! Whether a segment was written at all.

use message::Epoch;
use platform::{BLOCK_BYTES, Class, DiskError, DiskErrorKind, Files, Open};
use record::{Nonce, SegmentNumber};

use crate::format::{BatchHeader, Seed};
use crate::names;

/// Whether a segment begins with a batch of its epoch's claim. One that does not exist, or was only reserved, does not.
///
/// A segment is announced before the first batch goes into it: one that was written and that its epoch's root does not announce shows that the root is older than the log (row R10 of docs/recovery.md).
pub async fn is_written(files: &Files, epoch: Epoch, nonce: Nonce, number: SegmentNumber) -> Result<bool, DiskError> {
    let path = names::segment(epoch, number);
    let (file, length) = match files.open(&path, Class::Segment, Open::Read).await {
        Ok(opened) => opened,
        Err(error) if error.kind == DiskErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let block = if length < BLOCK_BYTES as u64 {
        Default::default()
    } else {
        files.read(file, 0, BLOCK_BYTES).await?
    };
    files.close(file).await?;
    let header = BatchHeader::read(&block, Seed::of(nonce));
    Ok(header.is_ok_and(|header| header.segment == number && header.offset == 0))
}
