//! The bytes of batches and chunks: written and read by hand, little endian.
//!
//! Each structure has one table of [`Field`]s; the code writes and reads through the same constants that docs/journal-format.md shows (test
//! `the_document_shows_the_tables_of_the_code`). Reading trusts nothing: a length never reaches beyond [`crate::BATCH_BYTES_MAX`].
//!
//! Invariant: every checksum of a batch or chunk is seeded with the claim's nonce, which no client learns, so that no message body can imitate one.

mod batch;
mod chunk;
mod field;

pub use batch::{BATCH_FIELDS, BatchHeader, HEADER_BYTES, HeaderFault, LAST_OF_SEGMENT, WITHOUT_RECORDS};
pub use chunk::{
    CHUNK_FIELDS, CHUNK_HEADER_BYTES, ChunkHeader, Chunks, FIRST_OF_RECORD, GOES_ON_IN_NEXT_SEGMENT, LAST_OF_RECORD,
    NotAChunk,
};
pub use field::{Field, Seed, markdown_table};
