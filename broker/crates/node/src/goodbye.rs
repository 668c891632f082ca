//! GOODBYE on behalf of a leader whose process is dead: a standby need not wait for its silence.
//!
//! For whoever knows first that a broker is gone: a unit's ExecStopPost, a health daemon. It is written only when this machine's process table proves the death; who leads is decided as ever, by the fence.
//! Invariant: nothing but the goodbye cell of that one claim is written.

use std::fmt;

use leadership::{Cell, Goodbye, GoodbyeReason, Proof, names};
use message::Epoch;
use platform::{DiskErrorKind, Files};

use crate::claims::{self, OpenClaim};
use crate::failure::Failure;

/// GOODBYE stands in the claim now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaidGoodbye {
    /// Of this epoch.
    pub epoch: Epoch,
    /// The process that is gone.
    pub pid: u32,
    /// Its host.
    pub host: String,
    /// Who said it, and why.
    pub how: GoodbyeBy,
}

/// Who said GOODBYE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoodbyeBy {
    /// This call, because the process is dead; what proves it.
    Us(&'static str),
    /// Somebody else, before.
    Before(GoodbyeReason),
}

/// Why GOODBYE was not said. Nothing was written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotSaid {
    /// Nobody ever claimed this directory.
    #[error("no broker has ever claimed this directory")]
    NoClaims,
    /// No claim is of this machine.
    #[error("none of the {claims} claims is of this machine ({host})")]
    NoneHere {
        /// How many there are.
        claims: usize,
        /// The name of this machine.
        host: String,
    },
    /// There is no such epoch.
    #[error("there is no epoch {asked}; the newest is {newest}")]
    NoSuchEpoch {
        /// The one asked for.
        asked: Epoch,
        /// The newest.
        newest: Epoch,
    },
    /// Whose the claim is cannot be read.
    #[error("the identity cell of epoch {0} is damaged, so it is not known whose it is")]
    Unreadable(Epoch),
    /// Its process is not proved dead.
    #[error("{}", not_dead(*.epoch, *.pid, .host, *.proof))]
    NotDead {
        /// The epoch.
        epoch: Epoch,
        /// Its process.
        pid: u32,
        /// Its host.
        host: String,
        /// What is known of it.
        proof: Proof,
    },
    /// The directory cannot be read or written.
    #[error(transparent)]
    Failed(#[from] Failure),
}

fn not_dead(epoch: Epoch, pid: u32, host: &str, proof: Proof) -> impl fmt::Display {
    let known = match proof {
        Proof::Dead(why) => why,
        Proof::Runs => "runs",
        Proof::Hidden => "is not to be seen from here: it is, or was, in another pid namespace, or /proc hides it",
        Proof::Elsewhere => "is, or was, on another machine",
    };
    format!("process {pid} on {host}, which claimed epoch {epoch}, {known}")
}

/// Says GOODBYE for the owner of `epoch`, or of the newest claim of this machine, if its process is proved dead. `host`: the name of this machine.
pub async fn say_goodbye_for(files: Files, host: String, epoch: Option<Epoch>) -> Result<SaidGoodbye, NotSaid> {
    let claim = match epoch {
        Some(epoch) => named(&files, epoch).await?,
        None => newest_of(&files, host.clone()).await?,
    };
    let epoch = claim.epoch;
    let identity = claim.identity.clone().ok_or(NotSaid::Unreadable(epoch))?;
    let (pid, owner) = (identity.process.pid, identity.process.host.clone());
    let said = |how| SaidGoodbye {
        epoch,
        pid,
        host: owner.clone(),
        how,
    };
    if let Some(Goodbye(reason)) = claim.goodbye(&files).await? {
        return Ok(said(GoodbyeBy::Before(reason)));
    }
    let process = files.process(&identity.process).await.map_err(Failure::Disk)?;
    let proof = Proof::of(process, &files.file_system(), owner == host);
    let Proof::Dead(why) = proof else {
        return Err(NotSaid::NotDead {
            epoch,
            pid,
            host: owner.clone(),
            proof,
        });
    };
    let cell = Goodbye(GoodbyeReason::ProvedDead).encode(identity.nonce);
    claims::write_cell(&files, claim.file, Cell::Goodbye, cell).await?;
    Ok(said(GoodbyeBy::Us(why)))
}

async fn epochs(files: &Files) -> Result<Vec<Epoch>, NotSaid> {
    match claims::list(files).await {
        Ok(epochs) if epochs.is_empty() => Err(NotSaid::NoClaims),
        Ok(epochs) => Ok(epochs),
        Err(Failure::Disk(error)) if error.kind == DiskErrorKind::NotFound && error.path.ends_with(names::EPOCHS) => {
            Err(NotSaid::NoClaims)
        }
        Err(failure) => Err(failure.into()),
    }
}

async fn named(files: &Files, asked: Epoch) -> Result<OpenClaim, NotSaid> {
    let epochs = epochs(files).await?;
    if !epochs.contains(&asked) {
        let newest = epochs.last().copied().unwrap_or(Epoch(0));
        return Err(NotSaid::NoSuchEpoch { asked, newest });
    }
    Ok(OpenClaim::open(files, asked).await?)
}

/// The newest claim whose owner was on the machine with this name. A claim that cannot be read is passed over: it may be anybody's.
async fn newest_of(files: &Files, host: String) -> Result<OpenClaim, NotSaid> {
    let epochs = epochs(files).await?;
    for epoch in epochs.iter().rev() {
        let claim = OpenClaim::open(files, *epoch).await?;
        if claim
            .identity
            .as_ref()
            .is_some_and(|identity| identity.process.host == host)
        {
            return Ok(claim);
        }
        files.close(claim.file).await.map_err(Failure::Disk)?;
    }
    let claims = epochs.len();
    Err(NotSaid::NoneHere { claims, host })
}
