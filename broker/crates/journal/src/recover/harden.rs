//! The tail once more to the disk: what was visible becomes durable.

use std::sync::Arc;

use bytes::Bytes;
use mutant::Mutant;
use platform::{Blocks, Class, FileId, Files, Open};
use record::SegmentNumber;

use super::{RecoveryError, Tail};
use crate::format::{BatchHeader, Seed};
use crate::names;

/// Writes the tail once more: the same bytes at the same place, synchronously, into files that exist, inside their size.
///
/// Each batch is read again and written only if it is still the one that was recovered. Fails with [`RecoveryError::Changed`] if it is not: the server lost it meanwhile, so the history that the
/// engine was given is not the one on disk, and the process must start anew. After success the seal may be written.
pub async fn harden(files: Files, tail: &Tail) -> Result<(), RecoveryError> {
    if Mutant::NoHarden.is_at_work() {
        return Ok(());
    }
    let seed = Seed::of(tail.nonce);
    let mut open: Option<(SegmentNumber, FileId)> = None;
    for batch in &tail.batches {
        let position = batch.position;
        let path = names::segment(tail.epoch, position.segment);
        let file = match open {
            Some((segment, file)) if segment == position.segment => file,
            Some(_) | None => {
                if let Some((_, finished)) = open.take() {
                    files.close(finished).await?;
                }
                let (file, _) = files.open(&path, Class::Segment, Open::Write).await?;
                open = Some((position.segment, file));
                file
            }
        };
        let bytes: Bytes = files.read(file, position.offset.into(), batch.extent as usize).await?;
        let same = BatchHeader::read(&bytes, seed).is_ok_and(|header| {
            header.number == position.batch && header.checksum == position.checksum && header.is_whole(&bytes, seed)
        });
        if !same {
            return Err(RecoveryError::Changed {
                file: path,
                offset: position.offset,
            });
        }
        let mut blocks = Blocks::with_capacity(bytes.len());
        blocks.extend_from_slice(&bytes);
        files.write(file, position.offset.into(), Arc::new(blocks)).await?;
    }
    if let Some((_, file)) = open {
        files.close(file).await?;
    }
    Ok(())
}
