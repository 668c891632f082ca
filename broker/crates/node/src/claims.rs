//! Reading and writing the cells of claims through the disk.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use leadership::{CLAIM_BYTES, Cell, CellState, FenceCell, Goodbye, Heartbeat, Identity, Root, RootState, names};
use message::Epoch;
use platform::{BLOCK_BYTES, Blocks, Class, DiskError, DiskErrorKind, FileId, Files, Open};
use record::{Fence, Nonce};

use crate::failure::Failure;

/// A cell that reads as bad is read this often before it counts as bad.
const BAD_CELL_READS: u32 = 3;
/// … so far apart.
const BAD_CELL_INTERVAL: Duration = Duration::from_millis(100);

/// Somebody else's claim, open for as long as it is of interest.
#[derive(Clone, Debug)]
pub(crate) struct OpenClaim {
    pub(crate) epoch: Epoch,
    pub(crate) file: FileId,
    /// `None` if the identity cell is damaged.
    pub(crate) identity: Option<Rc<Identity>>,
    pub(crate) nonce: Option<Nonce>,
}

impl OpenClaim {
    /// Opens the claim of an epoch that a listing or a link has shown to exist.
    pub(crate) async fn open(files: &Files, epoch: Epoch) -> Result<OpenClaim, Failure> {
        let path = names::claim(epoch);
        let (file, length) = match files.open(&path, Class::Cell, Open::Write).await {
            Ok(opened) => opened,
            Err(error) if error.kind == DiskErrorKind::NotFound => {
                return Err(Failure::damage(
                    path,
                    None,
                    "the claim is missing, and claims are never removed; restore it, or the whole directory, from a backup",
                ));
            }
            Err(error) => return Err(Failure::Disk(error)),
        };
        if length != CLAIM_BYTES {
            return Err(Failure::damage(
                path,
                None,
                format!("the claim is {length} bytes long, not {CLAIM_BYTES}"),
            ));
        }
        let identity = patiently(files, file, Cell::Identity, Identity::decode)
            .await?
            .valid()
            .map(Rc::new);
        let nonce = identity.as_ref().map(|identity| identity.nonce);
        Ok(OpenClaim {
            epoch,
            file,
            identity,
            nonce,
        })
    }

    /// What its root says. Learns the nonce from it if the identity is damaged.
    pub(crate) async fn root(&mut self, files: &Files) -> Result<RootState, Failure> {
        let nonce = self.nonce;
        let a = patiently(files, self.file, Cell::RootA, |block| Root::decode(block, nonce)).await?;
        let b = patiently(files, self.file, Cell::RootB, |block| Root::decode(block, nonce)).await?;
        let state = Root::read(a, b);
        if let RootState::Sealed { root, .. } = &state {
            self.nonce = Some(root.nonce);
        }
        Ok(state)
    }

    /// Its heartbeat; `None` if blank or damaged.
    pub(crate) async fn heartbeat(&self, files: &Files) -> Result<Option<Heartbeat>, Failure> {
        let Some(nonce) = self.nonce else { return Ok(None) };
        Ok(Heartbeat::decode(&read_cell(files, self.file, Cell::Heartbeat).await?, nonce).valid())
    }

    /// Its goodbye; `None` if blank or damaged.
    pub(crate) async fn goodbye(&self, files: &Files) -> Result<Option<Goodbye>, Failure> {
        let Some(nonce) = self.nonce else { return Ok(None) };
        Ok(Goodbye::decode(
            &read_cell(files, self.file, Cell::Goodbye).await?,
            nonce,
        ))
    }

    /// Fences it: nothing that its owner reads after this returned lets it confirm anything.
    ///
    /// An epoch whose nonce cannot be read gets a block that no owner can take for open.
    pub(crate) async fn fence(&self, files: &Files, by: Epoch) -> Result<(), Failure> {
        let cell = FenceCell(Fence::Fenced { by }).encode(self.nonce.unwrap_or_default());
        write_cell(files, self.file, Cell::Fence, cell).await
    }
}

/// Reads one cell once.
pub(crate) async fn read_cell(files: &Files, file: FileId, cell: Cell) -> Result<Bytes, Failure> {
    files
        .read(file, cell.offset(), BLOCK_BYTES)
        .await
        .map_err(Failure::Disk)
}

/// Writes one cell; durable when it returns.
pub(crate) async fn write_cell(files: &Files, file: FileId, cell: Cell, blocks: Blocks) -> Result<(), Failure> {
    files
        .write(file, cell.offset(), Arc::new(blocks))
        .await
        .map_err(Failure::Disk)
}

/// Reads a cell, and reads it again before calling it bad.
async fn patiently<T>(
    files: &Files,
    file: FileId,
    cell: Cell,
    decode: impl Fn(&Bytes) -> CellState<T>,
) -> Result<CellState<T>, Failure> {
    for _ in 1..BAD_CELL_READS {
        let state = decode(&read_cell(files, file, cell).await?);
        if !matches!(state, CellState::Bad) {
            return Ok(state);
        }
        files.sleep_until(files.now().boot + BAD_CELL_INTERVAL).await;
    }
    Ok(decode(&read_cell(files, file, cell).await?))
}

/// The epochs that have claims, rising; refuses a gap, because claims are never removed.
pub(crate) async fn list(files: &Files) -> Result<Vec<Epoch>, Failure> {
    let mut epochs: Vec<Epoch> = files
        .list(names::EPOCHS)
        .await
        .map_err(Failure::Disk)?
        .iter()
        .filter_map(|name| names::epoch_of(name))
        .collect();
    epochs.sort_unstable();
    for (index, epoch) in epochs.iter().enumerate() {
        let expected = Epoch(index as u32 + 1);
        if *epoch != expected {
            return Err(Failure::damage(
                names::claim(expected),
                None,
                "the claim is missing, and claims are never removed; restore it, or the whole directory, from a backup",
            ));
        }
    }
    Ok(epochs)
}

/// The whole of a new claim: identity and an open fence, everything else blank.
pub(crate) fn compose(identity: &Identity) -> Result<Blocks, Failure> {
    let identity_cell = identity.encode().map_err(|_| {
        Failure::unfit(
            "the host name and the listen addresses are longer than a claim can hold (4 KiB)",
            "listen on fewer addresses (`--listen`), or shorten the host's name",
        )
    })?;
    let mut claim = Blocks::with_capacity(CLAIM_BYTES as usize);
    claim.extend_from_slice(&identity_cell);
    claim.extend_from_slice(&FenceCell(Fence::Open).encode(identity.nonce));
    claim.resize(CLAIM_BYTES as usize);
    Ok(claim)
}

/// Whether a disk error only says that a name is not there.
pub(crate) fn is_missing<T>(result: &Result<T, DiskError>) -> bool {
    matches!(result, Err(error) if error.kind == DiskErrorKind::NotFound)
}
