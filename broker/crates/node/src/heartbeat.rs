//! The owner's pulse: a heartbeat cell written, then the own fence read.
//!
//! The next beat is issued only after that read returned open, and it does not wait for batches: a stalled batch does not stop it. So an idle leader stays fresh, and one that is
//! stalled, cut off or paused falls silent.

use leadership::{Cell, FenceCell, Heartbeat};
use platform::{BootTime, FileId, Files};
use record::{Fence, Nonce};

use crate::claims;
use crate::failure::Failure;

/// Writes one beat and reads the fence. Gives when the fence read began.
pub(crate) async fn beat(files: Files, claim: FileId, nonce: Nonce, heartbeat: Heartbeat) -> Result<BootTime, Failure> {
    claims::write_cell(&files, claim, Cell::Heartbeat, heartbeat.encode(nonce)).await?;
    let began = files.now().boot;
    read_own_fence(&files, claim, nonce).await?;
    Ok(began)
}

/// Reads the own fence; an error unless it is open.
pub(crate) async fn read_own_fence(files: &Files, claim: FileId, nonce: Nonce) -> Result<(), Failure> {
    match FenceCell::decode(&claims::read_cell(files, claim, Cell::Fence).await?, nonce) {
        Fence::Open => Ok(()),
        Fence::Fenced { by } => Err(Failure::Fenced { by }),
    }
}
