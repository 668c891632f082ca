//! Damage that is aimed: at the end of the log, where only one thing says what is missing.
//!
//! A forged batch is what a client could send as a body if it knew where it will lie, or what another history left there. Everything here reads the disk with the journal's own format.

use bytes::Bytes;
use journal::format::{BatchHeader, ChunkHeader, Chunks, HEADER_BYTES, Seed};
use leadership::{Cell, CellState, Identity};
use message::{MessageNumber, Sequence};
use platform::{BLOCK_BYTES, Blocks};
use record::{Nonce, ObjectId, Record, RecordPlace, SegmentNumber};
use simulated::{Prng, SimulatedStorage};

/// What is wrong with the forged batch; everything else is as it would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgery {
    /// Its maker does not know the claim's nonce.
    WithoutNonce,
    /// It does not follow from the batch before it.
    WithoutChain,
}

/// One whole batch of the newest epoch that wrote any.
struct Batch {
    path: String,
    header: BatchHeader,
    bytes: Bytes,
}

/// The log of the newest epoch that wrote any.
struct Log {
    claim: String,
    nonce: Nonce,
    batches: Vec<Batch>,
}

/// How many of the last batches damage may reach back: the very last are mostly of clients that leave, and say little.
const LAST_BATCHES: usize = 12;

/// A file as it was, so that damage can be undone.
pub(super) type Before = (String, Vec<u8>);

fn change(storage: &SimulatedStorage, path: &str, change: impl FnOnce(&mut [u8])) -> Option<Before> {
    let before = storage.read_file(path)?;
    let mut content = before.clone();
    change(&mut content);
    storage.write_file(path, &content);
    Some((path.to_owned(), before))
}

/// Cuts the end of the log off, from one of its last batches with records on: only the heartbeat knows that there was more.
pub(super) fn cut_tail(storage: &SimulatedStorage, prng: &mut Prng) -> Option<Vec<Before>> {
    let log = read_log(storage)?;
    let full: Vec<&Batch> = log.batches.iter().filter(|batch| !batch.header.empty).collect();
    let from = full[full
        .len()
        .checked_sub(1 + prng.index(full.len().clamp(1, LAST_BATCHES)))?];
    let later = log
        .batches
        .iter()
        .filter(|batch| batch.header.number >= from.header.number && batch.path != from.path);
    let mut paths: Vec<&String> = later.map(|batch| &batch.path).collect();
    paths.dedup();
    let mut before: Vec<Before> = paths
        .into_iter()
        .filter_map(|path| change(storage, path, |content| content.fill(0)))
        .collect();
    before.extend(change(storage, &from.path, |content| {
        content[from.header.offset as usize..].fill(0)
    }));
    Some(before)
}

/// Damages one of the last batches that a later one shows to be confirmed, and the heartbeat cell: only the later batch knows.
pub(super) fn damage_confirmed(storage: &SimulatedStorage, prng: &mut Prng) -> Option<Vec<Before>> {
    let log = read_log(storage)?;
    let last = log.batches.last()?.header.confirmed_through;
    let shown: Vec<&Batch> = log
        .batches
        .iter()
        .filter(|batch| !batch.header.empty && batch.header.number <= last)
        .collect();
    let batch = shown[shown
        .len()
        .checked_sub(1 + prng.index(shown.len().clamp(1, LAST_BATCHES)))?];
    let at = batch.header.offset as usize + prng.index(batch.header.extent() as usize);
    let mut before: Vec<Before> = change(storage, &batch.path, |content| content[at] ^= 1)
        .into_iter()
        .collect();
    before.extend(change(storage, &log.claim, |content| {
        content[Cell::Heartbeat.offset() as usize + 20] ^= 1
    }));
    Some(before)
}

/// Puts a forged batch behind the end of the log: one that purges everything. Gives the file; `None` if there is no room or no log.
pub(super) fn forge(storage: &SimulatedStorage, forgery: Forgery) -> Option<String> {
    let Log { nonce, batches, .. } = read_log(storage)?;
    let Batch {
        path,
        header,
        bytes: batch,
    } = batches.into_iter().next_back()?;
    if header.last_of_segment {
        return None;
    }
    let payload = batch.slice(HEADER_BYTES..HEADER_BYTES + header.payload as usize);
    let begun = Chunks::of(&payload)
        .filter_map(Result::ok)
        .filter(|(_, chunk, _)| chunk.first)
        .count() as u64;
    let offset = header.offset + header.extent();
    let seed = match forgery {
        Forgery::WithoutNonce => Seed::of(Nonce([7; 16])),
        Forgery::WithoutChain => Seed::of(nonce),
    };
    let mut forged = Blocks::with_capacity(BLOCK_BYTES);
    forged.extend_from_slice(&[0; HEADER_BYTES]);
    for object in 1..=6 {
        let record = Record::Purged {
            object: ObjectId(object),
            through: MessageNumber(u64::MAX >> 1),
        };
        let mut bytes = Vec::new();
        record.encode(&mut bytes, &mut Vec::new());
        let place = RecordPlace {
            segment: header.segment,
            offset: offset + forged.len() as u32,
        };
        forged.extend_from_slice(&ChunkHeader::of(&bytes, place, true, true, false, seed).encode());
        forged.extend_from_slice(&bytes);
    }
    let mut next = BatchHeader {
        empty: false,
        offset,
        payload: (forged.len() - HEADER_BYTES) as u32,
        number: header.number + 1,
        first_sequence: Sequence(header.first_sequence.0 + begun),
        confirmed_through: header.number,
        previous_checksum: header.checksum ^ u32::from(forgery == Forgery::WithoutChain),
        ..header
    };
    next.finish(&mut forged, seed);
    let mut content = storage.read_file(&path)?;
    let place = content.get_mut(offset as usize..offset as usize + forged.len())?;
    place.copy_from_slice(&forged);
    storage.write_file(&path, &content);
    Some(path)
}

fn read_log(storage: &SimulatedStorage) -> Option<Log> {
    let files = storage.files();
    for claim in files.iter().rev().filter(|path| path.starts_with("epochs/0")) {
        let content = Bytes::from(storage.read_file(claim)?);
        let CellState::Valid(identity) = Identity::decode(&content.slice(..BLOCK_BYTES)) else {
            continue;
        };
        let seed = Seed::of(identity.nonce);
        let prefix = format!("journal/{}-", claim.trim_start_matches("epochs/"));
        let mut batches = Vec::new();
        for path in files.iter().filter(|path| path.starts_with(&prefix)) {
            let number = path
                .rsplit('-')
                .next()
                .and_then(|number| number.parse().ok())
                .map(SegmentNumber)?;
            let content = Bytes::from(storage.read_file(path)?);
            let mut at = 0;
            while let Some(rest) = content.get(at..).filter(|rest| rest.len() >= BLOCK_BYTES) {
                let Ok(header) = BatchHeader::read(rest, seed) else {
                    break;
                };
                let end = at + header.extent() as usize;
                if header.segment != number || header.offset as usize != at || end > content.len() {
                    break;
                }
                let bytes = content.slice(at..end);
                if !header.is_whole(&bytes, seed) {
                    break;
                }
                at = end;
                batches.push(Batch {
                    path: path.clone(),
                    header,
                    bytes,
                });
            }
        }
        if !batches.is_empty() {
            return Some(Log {
                claim: claim.clone(),
                nonce: identity.nonce,
                batches,
            });
        }
    }
    None
}
