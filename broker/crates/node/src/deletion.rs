//! Deletion behind the fence: what neither named checkpoint needs goes, lower numbers first, from the middle of the journal too.
//!
//! A listing only proposes; the own root in force decides. The list is fixed first, then the fence is read, then files are unlinked: an unlink that lands hours late names a file that no successor can need.

use journal::CheckpointSummary;
use leadership::names;
use message::Epoch;
use mutant::Mutant;
use platform::{DiskErrorKind, Files};
use record::{SegmentNumber, SegmentSet};

use crate::failure::Failure;
use crate::heartbeat::read_own_fence;
use crate::start::OwnClaim;

/// What a deletion goes by.
pub(crate) struct Plan {
    pub(crate) claim: OwnClaim,
    pub(crate) named: [Option<CheckpointSummary>; 2],
    pub(crate) being_read: SegmentSet,
}

/// Unlinks what is no longer needed; gives the segments that went.
pub(crate) async fn delete(files: Files, plan: Plan) -> Result<Vec<(Epoch, SegmentNumber)>, Failure> {
    let view = journal::DeletionView {
        own: plan.claim.epoch,
        named: [plan.named[0].as_ref(), plan.named[1].as_ref()],
        being_read: &plan.being_read,
    };
    let segments = files.list(names::JOURNAL).await.map_err(Failure::Disk)?;
    let checkpoints = files.list(names::CHECKPOINTS).await.map_err(Failure::Disk)?;
    let doomed = journal::deletable(&view, &segments, &checkpoints);
    if doomed.paths().next().is_none() {
        return Ok(Vec::new());
    }
    if !Mutant::UnlinkWithoutFenceRead.is_at_work() {
        read_own_fence(&files, plan.claim.file, plan.claim.nonce).await?;
    }
    for path in doomed.paths() {
        match files.unlink(&path).await {
            Err(error) if error.kind != DiskErrorKind::NotFound => return Err(Failure::Disk(error)),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(doomed.segments)
}
