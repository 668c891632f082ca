//! Checkpoints: an index and the pieces that changed, immutable, checksummed, synced before anything names them.
//!
//! `checkpoints/EEEEEEEE-NNNN` is the index: where replay starts, the catalog, and for each piece where it lies. `checkpoints/EEEEEEEE-NNNN.pieces` holds the pieces that this
//! checkpoint wrote; unchanged ones stay in the file of the checkpoint that wrote them. A file of pieces most of whose bytes are dead is emptied: what lives in it is written
//! again, so that the file can go.
//!
//! Invariant: no file is written twice, and none is named before it and its directory are synced (`tests/journal/checkpoints.rs`). Deliberately absent: when a checkpoint is due and naming it.

mod index;
mod read;
mod write;

pub use index::{CheckpointSummary, INDEX_FIELDS, Index, PIECES_FIELDS};
pub(crate) use read::read_index;
pub use read::{CheckpointError, Loaded, UnreadPieces, check_pieces, read_checkpoint};
pub use write::{CheckpointRequest, Written, write_checkpoint};
