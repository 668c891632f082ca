//! The owner's pulse: a heartbeat cell written, then the own fence read.
//!
//! A claim that has no name any more (restored, replaced, removed under the running broker) ends the reign: whoever comes fences the file that has the name, and this one would never be read again.
//!
//! The next beat is issued only after that read returned open, and it does not wait for batches: a stalled batch does not stop it. So an idle leader stays fresh, and one that is
//! stalled, cut off or paused falls silent.
//!
//! Freshness counts from the moment at which a beat was *issued*, and from beats alone: a standby cannot have seen the beat before that, and it counts silence from when it saw it. So whoever waits
//! longer than `fence_fresh` finds a leader that has stopped talking (docs/decisions/0006).

use leadership::{Cell, FenceCell, Heartbeat, names};
use platform::{BootTime, DiskError, DiskErrorKind, FileId, Files};
use record::{Fence, Nonce};

use crate::claims;
use crate::failure::Failure;

/// Writes one beat and reads the fence. Gives when it was issued.
pub(crate) async fn beat(files: Files, claim: FileId, nonce: Nonce, heartbeat: Heartbeat) -> Result<BootTime, Failure> {
    let issued = files.now().boot;
    claims::write_cell(&files, claim, Cell::Heartbeat, heartbeat.encode(nonce)).await?;
    read_own_fence(&files, claim, nonce).await?;
    if files.names_of(claim).await.map_err(Failure::Disk)? == 0 {
        // As an NFS server would say of it.
        return Err(Failure::Disk(DiskError {
            kind: DiskErrorKind::Stale,
            operation: "look for the own claim in",
            path: names::EPOCHS.to_owned(),
            detail:
                "it has no name there any more; was the directory removed, moved or restored while this broker ran?"
                    .to_owned(),
        }));
    }
    Ok(issued)
}

/// Reads the own fence; an error unless it is open.
pub(crate) async fn read_own_fence(files: &Files, claim: FileId, nonce: Nonce) -> Result<(), Failure> {
    match FenceCell::decode(&claims::read_cell(files, claim, Cell::Fence).await?, nonce) {
        Fence::Open => Ok(()),
        Fence::Fenced { by } => Err(Failure::Fenced { by }),
    }
}
