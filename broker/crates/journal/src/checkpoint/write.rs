//! Writing a checkpoint.
//!
//! Order: the pieces, synced; the index, synced; the directory, synced. Only then does anything know the name. Between two writes at most [`STEP_BYTES`] are encoded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use platform::{Blocks, Class, DiskError, DiskErrorKind, FileId, Files, Open};
use record::{CheckpointName, Image, PackedSegments, PieceContent, PieceKey, PieceReference};

use super::index::{self, CheckpointSummary, Index};
use crate::names;
use crate::{Owners, ReplayStart};

/// Bytes of pieces that are encoded before they are written.
const STEP_BYTES: usize = 1 << 20;

/// What a checkpoint is to hold.
#[derive(Clone, Debug)]
pub struct CheckpointRequest {
    /// Its name: the own epoch, and a number that was never tried before.
    pub name: CheckpointName,
    /// The state.
    pub image: Image,
    /// Where replay for it starts: [`crate::Journal::replay_start`] at the moment of the image.
    pub start: ReplayStart,
    /// The engine time of the image, milliseconds since 1970.
    pub engine_time: u64,
    /// Whose each segment is: [`crate::Journal::owners`].
    pub owners: Owners,
    /// The checkpoint before it, if there is one: tells how much of each file of pieces is dead.
    pub previous: Option<CheckpointSummary>,
}

/// A checkpoint that lies on disk, whole and synced; it may be named once what it holds is confirmed ([`crate::Journal::is_confirmed`]).
#[derive(Clone, Debug)]
pub struct Written {
    /// Where the pieces lie that it wrote, for the engine to remember.
    pub references: Vec<(PieceKey, PieceReference)>,
    /// What it refers to.
    pub summary: CheckpointSummary,
}

/// Writes a checkpoint and syncs it and its directory.
///
/// Fails with what the disk says; then the name is spent, and the next attempt takes another number. `Exists` means that a foreign file has the name. After `NoSpace` nothing of it is left:
/// a full disk fails many checkpoints, and what they leave would take the space that the next one needs.
pub async fn write_checkpoint(files: Files, request: CheckpointRequest) -> Result<Written, DiskError> {
    let mut pieces = Output::new(&files, names::pieces(request.name));
    let mut index = Output::new(&files, names::checkpoint(request.name));
    let written = write(&files, request, &mut pieces, &mut index).await;
    let made = [&pieces, &index].map(|output| output.file.map(|_| output.path.clone()));
    let closed = (pieces.close().await, index.close().await);
    if let Err(error) = &written
        && error.kind == DiskErrorKind::NoSpace
    {
        for path in made.into_iter().flatten() {
            discard(&files, &path).await?;
        }
    }
    let written = written?;
    closed.0.and(closed.1)?;
    Ok(written)
}

/// Takes back a file whose name nothing knows and nothing will take again.
async fn discard(files: &Files, path: &str) -> Result<(), DiskError> {
    match files.unlink(path).await {
        Err(error) if error.kind != DiskErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

async fn write(
    files: &Files,
    request: CheckpointRequest,
    pieces_output: &mut Output,
    index_output: &mut Output,
) -> Result<Written, DiskError> {
    let CheckpointRequest {
        name,
        image,
        start,
        engine_time,
        owners,
        previous,
    } = request;
    assert!(
        start.sequence <= image.through.next(),
        "replay must start at or before the first record that the image lacks"
    );
    let emptied = emptied(&image, previous.as_ref());
    let mut pieces = Vec::with_capacity(image.pieces.len());
    let mut references = Vec::new();
    for piece in image.pieces {
        let reference = match piece.stored.filter(|stored| !emptied.contains(&stored.written_by)) {
            Some(stored) => stored,
            None => {
                let reference = add_piece(name, &piece.content, pieces_output).await?;
                references.push((piece.key, reference.clone()));
                reference
            }
        };
        pieces.push((piece.key, reference));
    }
    pieces_output.finish().await?;

    let segments = index::segments_of(&pieces);
    let mut index = Index {
        summary: CheckpointSummary {
            name,
            through: image.through,
            start,
            engine_time,
            segments: segments.clone(),
            piece_files: piece_files(&pieces, previous.as_ref()),
            bytes: 0,
        },
        owners: owners.needed(&segments, start.segment).copied().collect(),
        pieces,
        catalog: image.catalog,
    };
    for step in index.encode().chunks(STEP_BYTES) {
        index_output.buffer.extend_from_slice(step);
        index_output.write().await?;
    }
    index_output.finish().await?;
    files.sync_directory(names::CHECKPOINTS).await?;
    index.summary.bytes = pieces_output.offset + index_output.offset;
    Ok(Written {
        references,
        summary: index.summary,
    })
}

/// Each file of pieces that is referred to, with its bytes: as the checkpoint before knew them, or up to the last piece.
fn piece_files(
    pieces: &[(PieceKey, PieceReference)],
    previous: Option<&CheckpointSummary>,
) -> Vec<(CheckpointName, u64)> {
    let known: BTreeMap<CheckpointName, u64> = previous
        .iter()
        .flat_map(|previous| previous.piece_files.iter().copied())
        .collect();
    let mut files: BTreeMap<CheckpointName, u64> = BTreeMap::new();
    for (_, reference) in pieces {
        let end = reference.offset + u64::from(reference.length);
        let bytes = known.get(&reference.written_by).copied().unwrap_or(0);
        let file = files.entry(reference.written_by).or_insert(bytes);
        *file = (*file).max(end);
    }
    files.into_iter().collect()
}

/// The files of pieces of which less than half is live: what lives in them is written again.
fn emptied(image: &Image, previous: Option<&CheckpointSummary>) -> BTreeSet<CheckpointName> {
    let mut live: BTreeMap<CheckpointName, u64> = BTreeMap::new();
    for stored in image.pieces.iter().filter_map(|piece| piece.stored.as_ref()) {
        *live.entry(stored.written_by).or_default() += u64::from(stored.length);
    }
    let known = previous.iter().flat_map(|previous| previous.piece_files.iter());
    known
        .filter(|(name, bytes)| live.get(name).copied().unwrap_or(0) * 2 < *bytes)
        .map(|(name, _)| *name)
        .collect()
}

/// Puts a piece behind the others and says where it lies.
async fn add_piece(
    name: CheckpointName,
    content: &PieceContent,
    output: &mut Output,
) -> Result<PieceReference, DiskError> {
    if output.offset == 0 && output.buffer.is_empty() {
        output.buffer.extend_from_slice(&index::pieces_header(name));
    }
    let from = output.buffer.len();
    let segments = match content {
        PieceContent::Page(page) => {
            page.encode(&mut output.buffer);
            PackedSegments::of(&page.segments())
        }
        PieceContent::Duplicates(duplicates) => {
            duplicates.encode(&mut output.buffer);
            PackedSegments::default()
        }
    };
    let reference = PieceReference {
        written_by: name,
        offset: output.offset + from as u64,
        length: u32::try_from(output.buffer.len() - from).expect("a piece has at most 1024 entries"),
        checksum: crc32fast::hash(&output.buffer[from..]),
        segments,
    };
    if output.buffer.len() >= STEP_BYTES {
        output.write().await?;
    }
    Ok(reference)
}

/// A file that is written once, from front to back; created with its first bytes.
struct Output {
    files: Files,
    path: String,
    file: Option<FileId>,
    /// Bytes written.
    offset: u64,
    /// Bytes to write next.
    buffer: Vec<u8>,
}

impl Output {
    fn new(files: &Files, path: String) -> Output {
        Output {
            files: files.clone(),
            path,
            file: None,
            offset: 0,
            buffer: Vec::new(),
        }
    }

    async fn write(&mut self) -> Result<(), DiskError> {
        let file = match self.file {
            Some(file) => file,
            None => {
                let (file, _) = self.files.open(&self.path, Class::Plain, Open::Create).await?;
                self.file = Some(file);
                file
            }
        };
        let mut blocks = Blocks::with_capacity(self.buffer.len());
        blocks.extend_from_slice(&self.buffer);
        self.files.write(file, self.offset, Arc::new(blocks)).await?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Writes what is left and syncs.
    async fn finish(&mut self) -> Result<(), DiskError> {
        if !self.buffer.is_empty() {
            self.write().await?;
        }
        match self.file {
            Some(file) => self.files.sync(file).await,
            None => Ok(()),
        }
    }

    async fn close(self) -> Result<(), DiskError> {
        match self.file {
            Some(file) => self.files.close(file).await,
            None => Ok(()),
        }
    }
}
