//! The search behind the end of a log for a batch that says more was confirmed.
//!
//! Headers alone are looked at, at every block: a header that passes its seeded checksum was written by this epoch at this place, and what it says of confirmation was true, whether or not the
//! rest of its batch is whole.

use platform::{BLOCK_BYTES, Class, DiskError, Files};
use record::SegmentNumber;

use super::Predecessor;
use crate::format::{BatchHeader, Seed};
use crate::names;
use crate::stream::FileStream;

/// Bytes looked at in one step.
const STEP_BYTES: usize = 1 << 20;

/// What lies behind the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Behind {
    /// The highest number that a header there says was confirmed.
    pub(super) confirmed_through: u64,
    /// Whether there is any header of this epoch.
    pub(super) written: bool,
    /// The first announced segment that does not exist.
    pub(super) missing: Option<SegmentNumber>,
}

/// Looks through every announced segment from `segment`, `offset` on. Stops at the first header that says batch `wanted` was confirmed, and at the first segment that does not exist: that decides
/// by itself, and a root may announce more than anybody could open.
pub(super) async fn look_behind(
    files: &Files,
    log: &Predecessor,
    segment: SegmentNumber,
    offset: u32,
    wanted: u64,
) -> Result<Behind, DiskError> {
    let seed = Seed::of(log.nonce);
    let mut behind = Behind::default();
    for number in segment.0..=log.highest_segment.0 {
        let number = SegmentNumber(number);
        let mut at = if number == segment { u64::from(offset) } else { 0 };
        let path = names::segment(log.epoch, number);
        let Some(mut stream) = FileStream::open(files, path, Class::Segment, at).await? else {
            behind.missing = Some(number);
            break;
        };
        while at < stream.length() {
            let length = (STEP_BYTES as u64).min(stream.length() - at) as usize;
            let Some(bytes) = stream.get(at, length).await? else {
                break;
            };
            for (index, block) in bytes.chunks(BLOCK_BYTES).enumerate() {
                let here = at + (index * BLOCK_BYTES) as u64;
                if let Ok(header) = BatchHeader::read(block, seed)
                    && (header.epoch, header.segment, u64::from(header.offset)) == (log.epoch, number, here)
                {
                    behind.written = true;
                    behind.confirmed_through = behind.confirmed_through.max(header.confirmed_through);
                }
            }
            if behind.confirmed_through >= wanted {
                break;
            }
            at += length as u64;
        }
        stream.close().await?;
        if behind.confirmed_through >= wanted {
            break;
        }
    }
    Ok(behind)
}
