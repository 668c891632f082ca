//! The bytes of a checkpoint's index.

use bytes::Bytes;
use message::{Epoch, Sequence};
use record::{
    CheckpointName, Malformed, Nonce, ObjectId, PieceKey, PieceReference, Reader, SegmentNumber, SegmentRange,
    SegmentSet,
};

use crate::format::Field;
use crate::{Damage, ReplayStart, SegmentOwner, names};

const MAGIC_BYTES: &[u8] = b"HFCX";
const PIECES_MAGIC_BYTES: &[u8] = b"HFPC";
const VERSION_NUMBER: u8 = 1;
const HEADER_BYTES: usize = 88;
const OWNER_BYTES: usize = 28;
const PIECE_FILE_BYTES: usize = 16;
/// Of a piece that refers to no segment.
const PIECE_BYTES_MIN: usize = 40;
/// Of a piece that refers to one or two ranges of segments: room at first.
const PIECE_BYTES_USUAL: usize = 48;
const PIECES_HEADER_BYTES: usize = 16;
/// Batches and records are counted from 1: a million a second for a quarter of a million years. Whoever goes on counting from here need not fear the end of 64 bits.
const COUNT_MAX: u64 = u64::MAX / 2;

const MAGIC: Field = Field::new("magic", 0, 4, "`HFCX`");
const VERSION: Field = Field::new("version", 4, 1, "1");
const RESERVED: Field = Field::new("reserved", 5, 3, "0");
const CHECKSUM: Field = Field::new("checksum", 8, 4, "CRC-32 of the whole file with this field as 0");
const EPOCH: Field = Field::new("epoch", 12, 4, "the epoch that wrote it");
const NUMBER: Field = Field::new("number", 16, 4, "its number within the epoch");
const OWNERS: Field = Field::new("owners", 20, 4, "count of owners");
const THROUGH: Field = Field::new("through", 24, 8, "the newest record that it contains");
const TIME: Field = Field::new("engine time", 32, 8, "milliseconds since 1970 on the engine's clock");
const START_EPOCH: Field = Field::new("start epoch", 40, 4, "the epoch in which replay starts");
const START_SEGMENT: Field = Field::new("start segment", 44, 4, "the segment in which replay starts");
const START_OFFSET: Field = Field::new("start offset", 48, 4, "the offset of the first batch to replay");
const START_PREVIOUS: Field = Field::new(
    "start previous checksum",
    52,
    4,
    "the checksum of the batch before that one",
);
const START_BATCH: Field = Field::new("start batch", 56, 8, "the number of the first batch to replay");
const START_SEQUENCE: Field = Field::new(
    "start sequence",
    64,
    8,
    "the first record that begins in that batch or later",
);
const PIECE_FILES: Field = Field::new("files of pieces", 72, 4, "count of files of pieces");
const PIECES: Field = Field::new("pieces", 76, 4, "count of pieces");
const CATALOG: Field = Field::new("catalog length", 80, 8, "bytes of the catalog");

/// The index's header.
pub const INDEX_FIELDS: &[Field] = &[
    MAGIC,
    VERSION,
    RESERVED,
    CHECKSUM,
    EPOCH,
    NUMBER,
    OWNERS,
    THROUGH,
    TIME,
    START_EPOCH,
    START_SEGMENT,
    START_OFFSET,
    START_PREVIOUS,
    START_BATCH,
    START_SEQUENCE,
    PIECE_FILES,
    PIECES,
    CATALOG,
];

const PIECES_MAGIC: Field = Field::new("magic", 0, 4, "`HFPC`");
const PIECES_VERSION: Field = Field::new("version", 4, 1, "1");
const PIECES_RESERVED: Field = Field::new("reserved", 5, 3, "0");
const PIECES_EPOCH: Field = Field::new("epoch", 8, 4, "the epoch that wrote it");
const PIECES_NUMBER: Field = Field::new("number", 12, 4, "the checkpoint that wrote it");

/// The header of a file of pieces.
pub const PIECES_FIELDS: &[Field] = &[
    PIECES_MAGIC,
    PIECES_VERSION,
    PIECES_RESERVED,
    PIECES_EPOCH,
    PIECES_NUMBER,
];

/// What a checkpoint refers to: what deletion and the next checkpoint must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointSummary {
    /// Its name.
    pub name: CheckpointName,
    /// The newest record that it contains.
    pub through: Sequence,
    /// Where replay for it starts.
    pub start: ReplayStart,
    /// Its engine time, milliseconds since 1970.
    pub engine_time: u64,
    /// The segments that its pieces refer to. Replay for it reads every segment from where it starts on as well.
    pub segments: SegmentSet,
    /// The files of pieces that it refers to, each with its bytes; by name.
    pub piece_files: Vec<(CheckpointName, u64)>,
    /// Bytes that it wrote or, read back, its index's bytes.
    pub bytes: u64,
}

impl CheckpointSummary {
    /// Whether recovery from it needs a segment: to read the log, or because a message that waits lies in it.
    pub fn needs(&self, segment: SegmentNumber) -> bool {
        segment >= self.start.segment || self.segments.contains(segment)
    }

    /// The segments before the one in which replay starts that a piece refers to. From there on the log has rules of its own.
    pub(crate) fn segments_before_start(&self) -> impl Iterator<Item = SegmentNumber> + '_ {
        self.segments
            .segments()
            .take_while(|segment| *segment < self.start.segment)
    }

    /// Whether recovery from `older`, the checkpoint before it, needs a segment that recovery from this one does not.
    pub fn needs_less_than(&self, older: &CheckpointSummary) -> bool {
        let Some(last_before_start) = self.start.segment.0.checked_sub(1).map(SegmentNumber) else {
            return false;
        };
        let log = SegmentRange {
            first: older.start.segment,
            last: last_before_start,
        };
        let needed_by_older = older.segments.ranges().iter().copied().chain([log]);
        let mut before_start = needed_by_older.filter_map(|range| {
            let last = range.last.min(last_before_start);
            (range.first <= last).then_some(SegmentRange { last, ..range })
        });
        before_start.any(|range| !self.segments.covers(range))
    }
}

/// What these pieces refer to, all together.
pub(super) fn segments_of(pieces: &[(PieceKey, PieceReference)]) -> SegmentSet {
    pieces
        .iter()
        .flat_map(|(_, reference)| reference.segments.ranges())
        .collect()
}

/// A checkpoint's index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// What it refers to.
    pub summary: CheckpointSummary,
    /// Whose the segments are to which pieces refer.
    pub owners: Vec<SegmentOwner>,
    /// Every piece, and where it lies.
    pub pieces: Vec<(PieceKey, PieceReference)>,
    /// The engine's own bytes.
    pub catalog: Bytes,
}

impl Index {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let CheckpointSummary {
            name,
            through,
            start,
            engine_time,
            segments: _,
            piece_files,
            bytes: _,
        } = &self.summary;
        let tables = self.owners.len() * OWNER_BYTES
            + piece_files.len() * PIECE_FILE_BYTES
            + self.pieces.len() * PIECE_BYTES_USUAL;
        let mut out = Vec::with_capacity(HEADER_BYTES + tables + self.catalog.len());
        out.resize(HEADER_BYTES, 0);
        MAGIC.put(&mut out, MAGIC_BYTES);
        VERSION.put(&mut out, &[VERSION_NUMBER]);
        EPOCH.put_u32(&mut out, name.epoch.0);
        NUMBER.put_u32(&mut out, name.number);
        OWNERS.put_u32(&mut out, count(self.owners.len()));
        THROUGH.put_u64(&mut out, through.0);
        TIME.put_u64(&mut out, *engine_time);
        START_EPOCH.put_u32(&mut out, start.epoch.0);
        START_SEGMENT.put_u32(&mut out, start.segment.0);
        START_OFFSET.put_u32(&mut out, start.offset);
        START_PREVIOUS.put_u32(&mut out, start.previous_checksum);
        START_BATCH.put_u64(&mut out, start.batch);
        START_SEQUENCE.put_u64(&mut out, start.sequence.0);
        PIECE_FILES.put_u32(&mut out, count(piece_files.len()));
        PIECES.put_u32(&mut out, count(self.pieces.len()));
        CATALOG.put_u64(&mut out, self.catalog.len() as u64);
        for owner in &self.owners {
            out.extend_from_slice(&owner.epoch.0.to_le_bytes());
            out.extend_from_slice(&owner.nonce.0);
            out.extend_from_slice(&owner.first.0.to_le_bytes());
            out.extend_from_slice(&owner.last.0.to_le_bytes());
        }
        for (file, bytes) in piece_files {
            out.extend_from_slice(&file.epoch.0.to_le_bytes());
            out.extend_from_slice(&file.number.to_le_bytes());
            out.extend_from_slice(&bytes.to_le_bytes());
        }
        for (key, reference) in &self.pieces {
            put_key(*key, &mut out);
            reference.encode(&mut out);
        }
        out.extend_from_slice(&self.catalog);
        let checksum = checksum(&out);
        CHECKSUM.put_u32(&mut out, checksum);
        out
    }

    /// Reads the index of the checkpoint with this name.
    pub fn decode(bytes: &Bytes, name: CheckpointName) -> Result<Index, Damage> {
        let damage = |offset: usize, what: &str| Damage::new(names::checkpoint(name), offset as u64, what);
        if bytes.len() < HEADER_BYTES {
            return Err(damage(0, "the checkpoint's index is cut short"));
        }
        if MAGIC.get(bytes) != MAGIC_BYTES {
            return Err(damage(0, "this is no checkpoint's index"));
        }
        if CHECKSUM.u32(bytes) != checksum(bytes) {
            return Err(damage(0, "the index's checksum does not match"));
        }
        if VERSION.u8(bytes) != VERSION_NUMBER || !RESERVED.is_zero(bytes) {
            return Err(damage(
                VERSION.offset,
                "the index is of a version that this build does not know",
            ));
        }
        if (EPOCH.u32(bytes), NUMBER.u32(bytes)) != (name.epoch.0, name.number) {
            return Err(damage(EPOCH.offset, "the index is another checkpoint's"));
        }
        for field in [THROUGH, START_BATCH, START_SEQUENCE] {
            if field.u64(bytes) > COUNT_MAX {
                return Err(damage(field.offset, "a number that no history reaches"));
            }
        }
        let malformed = |error: Malformed| damage(HEADER_BYTES, error.0);
        let (owners, piece_files, pieces, catalog) = tables(bytes).map_err(malformed)?;
        let summary = CheckpointSummary {
            name,
            through: Sequence(THROUGH.u64(bytes)),
            start: ReplayStart {
                epoch: Epoch(START_EPOCH.u32(bytes)),
                segment: SegmentNumber(START_SEGMENT.u32(bytes)),
                offset: START_OFFSET.u32(bytes),
                batch: START_BATCH.u64(bytes),
                previous_checksum: START_PREVIOUS.u32(bytes),
                sequence: Sequence(START_SEQUENCE.u64(bytes)),
            },
            engine_time: TIME.u64(bytes),
            segments: segments_of(&pieces),
            piece_files,
            bytes: bytes.len() as u64,
        };
        Ok(Index {
            summary,
            owners,
            pieces,
            catalog,
        })
    }
}

type Tables = (
    Vec<SegmentOwner>,
    Vec<(CheckpointName, u64)>,
    Vec<(PieceKey, PieceReference)>,
    Bytes,
);

fn tables(bytes: &Bytes) -> Result<Tables, Malformed> {
    let catalog_bytes = CATALOG.u64(bytes);
    let at_least = u64::from(OWNERS.u32(bytes)) * OWNER_BYTES as u64
        + u64::from(PIECE_FILES.u32(bytes)) * PIECE_FILE_BYTES as u64
        + u64::from(PIECES.u32(bytes)) * PIECE_BYTES_MIN as u64;
    let behind = (bytes.len() - HEADER_BYTES) as u64;
    let tables_bytes = behind
        .checked_sub(catalog_bytes)
        .filter(|tables_bytes| *tables_bytes >= at_least)
        .ok_or(Malformed("the index's counts do not fit its length"))?;
    let catalog_at = HEADER_BYTES + tables_bytes as usize;
    let rows = bytes.slice(HEADER_BYTES..catalog_at);
    let mut reader = Reader::new(&rows);
    let owners = (0..OWNERS.u32(bytes))
        .map(|_| take_owner(&mut reader))
        .collect::<Result<_, _>>()?;
    let piece_files = (0..PIECE_FILES.u32(bytes))
        .map(|_| Ok((take_name(&mut reader)?, reader.u64()?)))
        .collect::<Result<_, _>>()?;
    let pieces = (0..PIECES.u32(bytes))
        .map(|_| Ok((take_key(&mut reader)?, PieceReference::decode(&mut reader)?)))
        .collect::<Result<_, _>>()?;
    reader.end("the index's tables have bytes left over")?;
    Ok((owners, piece_files, pieces, bytes.slice(catalog_at..)))
}

/// The first bytes of a file of pieces.
pub(super) fn pieces_header(name: CheckpointName) -> [u8; PIECES_HEADER_BYTES] {
    let mut header = [0; PIECES_HEADER_BYTES];
    PIECES_MAGIC.put(&mut header, PIECES_MAGIC_BYTES);
    PIECES_VERSION.put(&mut header, &[VERSION_NUMBER]);
    PIECES_EPOCH.put_u32(&mut header, name.epoch.0);
    PIECES_NUMBER.put_u32(&mut header, name.number);
    header
}

fn checksum(index: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&index[..CHECKSUM.offset]);
    hasher.update(&[0; 4]);
    hasher.update(&index[CHECKSUM.offset + CHECKSUM.bytes..]);
    hasher.finalize()
}

fn count(count: usize) -> u32 {
    u32::try_from(count).expect("pieces are counted in thousands of messages, far below 2^32")
}

fn put_key(key: PieceKey, out: &mut Vec<u8>) {
    let (kind, object, priority, ordinal) = match key {
        PieceKey::Page {
            object,
            priority,
            ordinal,
        } => (1, object, priority, ordinal),
        PieceKey::Duplicates { object, ordinal } => (2, object, 0, ordinal),
    };
    out.push(kind);
    out.extend_from_slice(&object.0.to_le_bytes());
    out.push(priority);
    out.extend_from_slice(&ordinal.to_le_bytes());
}

fn take_key(reader: &mut Reader<'_>) -> Result<PieceKey, Malformed> {
    let kind = reader.u8()?;
    let object = ObjectId(reader.u32()?);
    let priority = reader.u8()?;
    let ordinal = reader.u64()?;
    match kind {
        1 => Ok(PieceKey::Page {
            object,
            priority,
            ordinal,
        }),
        2 if priority == 0 => Ok(PieceKey::Duplicates { object, ordinal }),
        2 => Err(Malformed("the index gives duplicate ids a priority")),
        _ => Err(Malformed("the index names a piece of an unknown kind")),
    }
}

fn take_name(reader: &mut Reader<'_>) -> Result<CheckpointName, Malformed> {
    Ok(CheckpointName {
        epoch: Epoch(reader.u32()?),
        number: reader.u32()?,
    })
}

fn take_owner(reader: &mut Reader<'_>) -> Result<SegmentOwner, Malformed> {
    let epoch = Epoch(reader.u32()?);
    let mut nonce = Nonce::default();
    nonce.0[..8].copy_from_slice(&reader.u64()?.to_le_bytes());
    nonce.0[8..].copy_from_slice(&reader.u64()?.to_le_bytes());
    Ok(SegmentOwner {
        epoch,
        nonce,
        first: SegmentNumber(reader.u32()?),
        last: SegmentNumber(reader.u32()?),
    })
}
