//! Reading a checkpoint.

use std::collections::{BTreeMap, BTreeSet};
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
    let mut contents: Vec<Option<PieceContent>> = vec![None; index.pieces.len()];
    read_pieces(&files, &index.pieces, |position, content| {
        contents[position] = Some(content)
    })
    .await?;
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

/// Pieces of the older named checkpoint that nobody has read: recovery started from the newer one, which does not share them.
#[derive(Clone, Debug)]
pub struct UnreadPieces {
    /// The older checkpoint.
    pub checkpoint: CheckpointName,
    pieces: Vec<(PieceKey, PieceReference)>,
}

impl UnreadPieces {
    /// What `older` refers to and `newer`, which was read whole, does not.
    pub(crate) fn between(older: Index, newer: &Loaded) -> UnreadPieces {
        let place = |reference: &PieceReference| (reference.written_by, reference.offset);
        let read: BTreeSet<_> = newer.pieces.iter().map(|(_, reference, _)| place(reference)).collect();
        let mut pieces = older.pieces;
        pieces.retain(|(_, reference)| !read.contains(&place(reference)));
        UnreadPieces {
            checkpoint: older.summary.name,
            pieces,
        }
    }
}

/// Reads pieces only to see whether they are whole: file by file, in steps, keeping nothing.
///
/// A file that is missing counts as damaged: the caller must know whether the checkpoint is still named.
pub async fn check_pieces(files: Files, unread: UnreadPieces) -> Result<(), CheckpointError> {
    read_pieces(&files, &unread.pieces, |_, _| ()).await
}

/// Reads pieces, file by file and in each from front to back, and hands them out with their positions in the list.
async fn read_pieces(
    files: &Files,
    pieces: &[(PieceKey, PieceReference)],
    mut take: impl FnMut(usize, PieceContent),
) -> Result<(), CheckpointError> {
    let mut by_file: BTreeMap<CheckpointName, Vec<usize>> = BTreeMap::new();
    for (position, (_, reference)) in pieces.iter().enumerate() {
        by_file.entry(reference.written_by).or_default().push(position);
    }
    for (name, mut positions) in by_file {
        positions.sort_by_key(|position| pieces[*position].1.offset);
        let first = positions.first().map_or(0, |position| pieces[*position].1.offset);
        let path = names::pieces(name);
        let Some(mut stream) = FileStream::open(files, path.clone(), Class::Plain, first).await? else {
            return Err(Damage::new(
                path,
                0,
                "the checkpoint refers to this file of pieces, and it does not exist",
            )
            .into());
        };
        let read = read_file(&mut stream, &path, pieces, &positions, &mut take).await;
        // After damage too: the process goes on.
        let closed = stream.close().await;
        read?;
        closed?;
    }
    Ok(())
}

/// Reads the pieces at `positions`, which all lie in one file, by rising offset.
async fn read_file(
    stream: &mut FileStream,
    path: &str,
    pieces: &[(PieceKey, PieceReference)],
    positions: &[usize],
    take: &mut impl FnMut(usize, PieceContent),
) -> Result<(), CheckpointError> {
    for position in positions {
        let (key, reference) = &pieces[*position];
        let damage = |what: &str| Damage::new(path.to_owned(), reference.offset, format!("{what} ({key})"));
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
        take(*position, content.map_err(|error| damage(error.0))?);
    }
    Ok(())
}
