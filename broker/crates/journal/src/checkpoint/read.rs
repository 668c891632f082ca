//! Reading a checkpoint.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use platform::{Class, DiskError, DiskErrorKind, Files, Open};
use record::{CheckpointName, DuplicateIds, Page, PieceContent, PieceKey, PieceReference};

use super::index::{CheckpointSummary, Index};
use crate::stream::FileStream;
use crate::{Damage, SegmentOwner, names};

/// Bytes read at a time.
const STEP_BYTES: usize = 1 << 20;

/// A file longer than this is no index: 1 GiB has room for 25 million pieces.
const INDEX_BYTES_MAX: u64 = 1 << 30;

/// A checkpoint, read whole.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What it refers to.
    pub summary: CheckpointSummary,
    /// Whose the segments are.
    pub owners: Vec<SegmentOwner>,
    /// The engine's own bytes.
    pub catalog: Bytes,
    /// Every piece, in the index's order.
    pub pieces: Vec<(PieceKey, PieceReference, PieceContent)>,
}

/// Why a checkpoint cannot be read.
#[derive(Clone, Debug)]
pub enum CheckpointError {
    /// The disk failed: nothing is known about the checkpoint.
    Io(DiskError),
    /// The checkpoint is damaged, or a file of it is missing: use another.
    Damaged(Damage),
}

impl From<DiskError> for CheckpointError {
    fn from(error: DiskError) -> Self {
        CheckpointError::Io(error)
    }
}

impl From<Damage> for CheckpointError {
    fn from(damage: Damage) -> Self {
        CheckpointError::Damaged(damage)
    }
}

/// Reads a checkpoint with all its pieces.
pub async fn read_checkpoint(files: Files, name: CheckpointName) -> Result<Loaded, CheckpointError> {
    let index = read_index(&files, name).await?;
    let mut by_file: BTreeMap<CheckpointName, Vec<usize>> = BTreeMap::new();
    for (position, (_, reference)) in index.pieces.iter().enumerate() {
        by_file.entry(reference.written_by).or_default().push(position);
    }
    let mut contents: Vec<Option<PieceContent>> = vec![None; index.pieces.len()];
    for (file, mut positions) in by_file {
        positions.sort_by_key(|position| index.pieces[*position].1.offset);
        read_pieces(&files, file, &index.pieces, &positions, &mut contents).await?;
    }
    let pieces = index.pieces.into_iter().zip(contents);
    let pieces =
        pieces.map(|((key, reference), content)| (key, reference, content.expect("every piece was read above")));
    Ok(Loaded {
        summary: index.summary,
        owners: index.owners,
        catalog: index.catalog,
        pieces: pieces.collect(),
    })
}

/// Reads the index alone.
pub(crate) async fn read_index(files: &Files, name: CheckpointName) -> Result<Index, CheckpointError> {
    let path = names::checkpoint(name);
    let (file, length) = match files.open(&path, Class::Plain, Open::Read).await {
        Ok(opened) => opened,
        Err(error) if error.kind == DiskErrorKind::NotFound => {
            return Err(Damage::new(path, 0, "the root names this checkpoint, and its index does not exist").into());
        }
        Err(error) => return Err(error.into()),
    };
    if length > INDEX_BYTES_MAX {
        files.close(file).await?;
        return Err(Damage::new(path, 0, "the file is longer than any checkpoint's index").into());
    }
    let mut bytes = BytesMut::new();
    while (bytes.len() as u64) < length {
        let step = files.read(file, bytes.len() as u64, STEP_BYTES).await?;
        if step.is_empty() {
            break;
        }
        bytes.extend_from_slice(&step);
    }
    files.close(file).await?;
    Ok(Index::decode(&bytes.freeze(), name)?)
}

/// Reads the pieces at `positions`, which all lie in one file, by rising offset.
async fn read_pieces(
    files: &Files,
    name: CheckpointName,
    pieces: &[(PieceKey, PieceReference)],
    positions: &[usize],
    contents: &mut [Option<PieceContent>],
) -> Result<(), CheckpointError> {
    let path = names::pieces(name);
    let first = positions.first().map_or(0, |position| pieces[*position].1.offset);
    let Some(mut stream) = FileStream::open(files, path.clone(), Class::Plain, first).await? else {
        return Err(Damage::new(
            path,
            0,
            "the checkpoint refers to this file of pieces, and it does not exist",
        )
        .into());
    };
    for position in positions {
        let (key, reference) = pieces[*position];
        let damage = |what: &str| Damage::new(path.clone(), reference.offset, format!("{what} ({key:?})"));
        let Some(bytes) = stream.get(reference.offset, reference.length as usize).await? else {
            return Err(damage("the file of pieces ends before this piece does").into());
        };
        if crc32fast::hash(&bytes) != reference.checksum {
            return Err(damage("the piece's checksum does not match").into());
        }
        let content = match key {
            PieceKey::Page { .. } => Page::decode(&bytes).map(|page| PieceContent::Page(Arc::new(page))),
            PieceKey::Duplicates { .. } => {
                DuplicateIds::decode(&bytes).map(|ids| PieceContent::Duplicates(Arc::new(ids)))
            }
        };
        contents[*position] = Some(content.map_err(|error| damage(error.0))?);
    }
    stream.close().await?;
    Ok(())
}
