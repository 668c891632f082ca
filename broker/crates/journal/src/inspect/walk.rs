//! One epoch's segments, from the first that exists to the last.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use message::{Epoch, Sequence};
use platform::{BLOCK_BYTES, Class, DiskError, Files};
use record::{BatchPosition, EpochSeal, Nonce, Record, SegmentNumber};

use super::references::References;
use super::{Inspection, MISSING_NAMED_MAX, Row, Rows, Standing};
use crate::format::{BatchHeader, Chunks, HEADER_BYTES, NotAChunk, Seed};
use crate::names;
use crate::stream::FileStream;

/// A place at which a batch is missing, until it is known what that means.
struct Gap {
    file: String,
    offset: u64,
    /// The batch that should have been there.
    number: u64,
}

/// The number of a missing batch while neither its predecessor nor its successor is known.
const UNKNOWN: u64 = u64::MAX;

struct Unfinished {
    file: String,
    offset: u64,
    bytes: BytesMut,
}

struct EpochWalk<'a, 'b> {
    epoch: Epoch,
    seal: Option<EpochSeal>,
    /// The batch that the heartbeat says was confirmed.
    confirmed: Option<BatchPosition>,
    with_records: bool,
    /// Of every epoch, to tell whose a batch is that does not belong here.
    nonces: &'a BTreeMap<Epoch, Nonce>,
    rows: &'a mut Rows<'b>,
    /// Number and checksum of the batch before, if the chain is not broken.
    before: Option<(u64, u32)>,
    /// The sequence of the next record, if the chain is not broken.
    next: Option<u64>,
    /// Whether a record has begun since the chain did: before that, a chunk may go on with a record whose beginning is rightly gone.
    begun: bool,
    /// Whether the log has ended: nothing after it counts.
    ended: bool,
    gaps: Vec<Gap>,
    unfinished: Option<Unfinished>,
}

/// Walks an epoch.
pub(super) async fn epoch(
    files: &Files,
    inspection: &Inspection,
    (nonces, references): (&BTreeMap<Epoch, Nonce>, &References),
    epoch: Epoch,
    nonce: Nonce,
    segments: &[SegmentNumber],
    rows: &mut Rows<'_>,
) -> Result<(), DiskError> {
    let seal = inspection.sealed.iter().find(|seal| seal.epoch == epoch).copied();
    let confirmed = inspection
        .confirmed
        .filter(|(owner, _)| *owner == epoch)
        .map(|(_, position)| position);
    // Where no checkpoint is named, the first epoch that wrote anything begins with the first batch of all.
    let first_of_all = inspection.named == [None, None]
        && inspection
            .announced
            .values()
            .next()
            .is_some_and(|owner| owner.epoch == epoch)
        && inspection.announced.get(&epoch).map(|owner| owner.first) == segments.first().copied();
    let mut walk = EpochWalk {
        epoch,
        seal,
        confirmed,
        with_records: inspection.with_records,
        nonces,
        rows,
        before: first_of_all.then_some((0, 0)),
        next: first_of_all.then_some(1),
        begun: false,
        ended: false,
        gaps: Vec::new(),
        unfinished: None,
    };
    let mut expected = segments.first().copied();
    for number in segments {
        if let Some(first) = expected.filter(|expected| expected < number) {
            walk.missing_segments(references, first, *number);
        }
        expected = number.0.checked_add(1).map(SegmentNumber);
        walk.segment(files, Seed::of(nonce), *number).await?;
    }
    walk.reaches_what_was_confirmed();
    Ok(())
}

impl EpochWalk<'_, '_> {
    /// The segments from `first` to the one before `behind` do not exist.
    fn missing_segments(&mut self, references: &References, first: SegmentNumber, behind: SegmentNumber) {
        self.before = None;
        self.unfinished = None;
        let last = SegmentNumber(behind.0 - 1);
        if (last.0 - first.0) as usize >= MISSING_NAMED_MAX {
            let what = format!(
                "segments of this epoch exist before it and behind number {}, and none between",
                last.0
            );
            self.rows.damage(names::segment(self.epoch, first), 0, what);
            return;
        }
        for missing in (first.0..=last.0).map(SegmentNumber) {
            let file = names::segment(self.epoch, missing);
            if references.needs(missing) && !self.rows.damaged.contains(&file) {
                let what = "the segments before and behind it exist, and this one does not";
                self.rows.damage(file, 0, what);
            }
        }
    }

    async fn segment(&mut self, files: &Files, seed: Seed, number: SegmentNumber) -> Result<(), DiskError> {
        let file = names::segment(self.epoch, number);
        let Some(mut stream) = FileStream::open(files, file.clone(), Class::Segment, 0).await? else {
            self.rows.damage(file, 0, "the segment was listed and does not exist");
            return Ok(());
        };
        self.rows.row(Row::Segment {
            file: file.clone(),
            epoch: self.epoch,
            number,
            bytes: stream.length(),
        });
        let mut at = 0;
        // Where what is no batch begins, and whether it is anything but zeros.
        let mut unused: Option<(u64, bool)> = None;
        let mut over = false;
        // Headers that fit the claim, and those that only look as if they were in place.
        let (mut fitting, mut unfitting) = (0, 0);
        while let Some(block) = stream.get(at, BLOCK_BYTES).await? {
            if at == 0
                && let Some(what) = self.stranger(&block, number)
            {
                self.rows.damage(file, 0, what);
                self.before = None;
                self.unfinished = None;
                return stream.close().await;
            }
            let header = BatchHeader::read(&block, seed).ok();
            let header = header
                .filter(|header| (header.epoch, header.segment, u64::from(header.offset)) == (self.epoch, number, at));
            let whole = match header {
                Some(header) => stream
                    .get(at, header.extent() as usize)
                    .await?
                    .filter(|batch| header.is_whole(batch, seed)),
                None => None,
            };
            if let Some(header) = header {
                fitting += 1;
                self.evidence(&header);
            } else if BatchHeader::place_unchecked(&block) == Some((self.epoch, number, at)) {
                unfitting += 1;
            }
            let (Some(header), Some(batch)) = (header, whole) else {
                if unused.is_none() && !over {
                    self.missing(&file, number, at);
                    // As a start does, which looks for what was confirmed from this block on.
                    header.iter().for_each(|header| self.evidence(header));
                }
                let written = block.iter().any(|byte| *byte != 0);
                unused = unused.map_or(Some((at, written)), |(from, before)| Some((from, before || written)));
                at += BLOCK_BYTES as u64;
                continue;
            };
            self.unused(&file, unused.take(), at);
            self.batch(
                &file,
                &header,
                batch.slice(HEADER_BYTES..HEADER_BYTES + header.payload as usize),
            );
            at += u64::from(header.extent());
            over = header.last_of_segment;
        }
        let length = stream.length();
        if unused.is_none() && !over {
            self.missing(&file, number, at);
        }
        // A file that was cut off within a block: what a header there says counts.
        if let Some(rest) = stream
            .get(at, (length.saturating_sub(at) as usize).min(BLOCK_BYTES))
            .await?
            && let Ok(header) = BatchHeader::read(&rest, seed)
            && (header.epoch, header.segment, u64::from(header.offset)) == (self.epoch, number, at)
        {
            self.evidence(&header);
        }
        self.unused(&file, unused, length);
        // One may be a write that was torn.
        if fitting == 0 && unfitting > 1 && !self.rows.damaged.contains(&file) {
            let what = format!(
                "batches of epoch {} lie here, and none fits the nonce in its claim: the claim is another's, or was replaced",
                self.epoch
            );
            self.rows.damage(file, 0, what);
        }
        stream.close().await
    }

    /// A log of full segments ends without a gap, and yet too early if the heartbeat says more.
    fn reaches_what_was_confirmed(&mut self) {
        let (Some(named), Some((last, _)), false) = (self.confirmed, self.before, self.ended) else {
            return;
        };
        if self.seal.is_none() && last < named.batch {
            let what = format!(
                "the log ends before this, with batch {last}, and the heartbeat says that batch {} was confirmed",
                named.batch
            );
            let file = names::segment(self.epoch, named.segment);
            self.rows.damage(file, named.offset.into(), what);
        }
    }

    /// Whose batch begins a segment, if it is of another segment or fits another claim.
    fn stranger(&self, block: &[u8], number: SegmentNumber) -> Option<String> {
        let (owner, header) = self.nonces.iter().find_map(|(owner, nonce)| {
            let header = BatchHeader::read(block, Seed::of(*nonce)).ok()?;
            Some((*owner, header))
        })?;
        if header.epoch != owner {
            return Some(format!(
                "a batch of epoch {} lies here, and it fits the nonce in the claim of epoch {owner}: the claims are not where they were",
                header.epoch
            ));
        }
        let elsewhere = (header.epoch, header.segment, header.offset) != (self.epoch, number, 0);
        elsewhere.then(|| {
            format!(
                "the batch that lies here belongs to {}, offset {}: the file is not what its name says",
                names::segment(header.epoch, header.segment),
                header.offset
            )
        })
    }

    fn unused(&mut self, file: &str, unused: Option<(u64, bool)>, end: u64) {
        if let Some((offset, written)) = unused {
            self.rows.row(Row::Unused {
                file: file.to_owned(),
                offset,
                bytes: end - offset,
                written,
            });
        }
    }

    /// No whole batch begins where the next should.
    fn missing(&mut self, file: &str, segment: SegmentNumber, offset: u64) {
        if self.ended {
            return;
        }
        let number = match (self.before, self.seal) {
            (Some((before, _)), _) => before.saturating_add(1),
            (None, None) => UNKNOWN,
            (None, Some(seal)) => {
                if (segment, offset) < (seal.last, u64::from(seal.length)) {
                    let what = "the epoch's seal counts a batch here, and it is not there whole";
                    self.rows.damage(file.to_owned(), offset, what);
                }
                return;
            }
        };
        self.ended = self.seal.is_none();
        self.unfinished = None;
        match self.seal {
            Some(seal) if number <= seal.batch => {
                let what = format!("batch {number} is sealed, and it is not there whole");
                self.rows.damage(file.to_owned(), offset, what);
                self.before = None;
            }
            None if number <= self.confirmed.map_or(0, |position| position.batch) => {
                let what = format!("batch {number} is not there whole, and the heartbeat says that it was confirmed");
                self.rows.damage(file.to_owned(), offset, what);
            }
            Some(_) => {}
            None => self.gaps.push(Gap {
                file: file.to_owned(),
                offset,
                number,
            }),
        }
    }

    /// A header of this epoch tells its number, and what was confirmed when it was written.
    fn evidence(&mut self, header: &BatchHeader) {
        let rows = &mut *self.rows;
        let gaps = self.gaps.len();
        let heartbeat = self.confirmed.map_or(0, |position| position.batch);
        self.gaps.retain_mut(|gap| {
            if gap.number == UNKNOWN {
                gap.number = header.number.saturating_sub(1);
            }
            let by = match gap.number {
                number if number <= header.confirmed_through => "a later batch",
                number if number <= heartbeat => "the heartbeat",
                _ => return true,
            };
            let what = format!(
                "batch {} is not there whole, and {by} says that it was confirmed",
                gap.number
            );
            rows.damage(gap.file.clone(), gap.offset, what);
            false
        });
        if self.gaps.len() < gaps {
            // The log did not end there.
            self.ended = false;
            self.before = None;
        }
    }

    fn batch(&mut self, file: &str, header: &BatchHeader, payload: Bytes) {
        let beyond = self.seal.is_some_and(|seal| header.number > seal.batch);
        let chained = self.before.is_none_or(|(number, checksum)| {
            number.checked_add(1) == Some(header.number) && header.previous_checksum == checksum
        });
        if !chained && !beyond && !self.ended {
            let what = format!(
                "batch {} is whole, and does not continue batch {}",
                header.number,
                header.number.saturating_sub(1)
            );
            self.rows.damage(file.to_owned(), header.offset.into(), what);
            self.unfinished = None;
        }
        let standing = if beyond || self.ended {
            Standing::Dead
        } else {
            Standing::Counts
        };
        self.rows.row(Row::Batch {
            file: file.to_owned(),
            header: *header,
            standing,
        });
        if standing == Standing::Dead {
            return;
        }
        if let Some(seal) = self.seal
            && header.number == seal.batch
            && header.checksum != seal.checksum
        {
            self.rows.damage(
                file.to_owned(),
                header.offset.into(),
                "this is not the batch that was sealed",
            );
        }
        if let Some(named) = self.confirmed
            && header.number == named.batch
            && (header.segment, header.offset, header.checksum) != (named.segment, named.offset, named.checksum)
        {
            let what = format!("the heartbeat names another batch {} than this", named.batch);
            self.rows.damage(file.to_owned(), header.offset.into(), what);
        }
        if self.before.is_none() || !chained {
            (self.next, self.begun) = (None, false);
        }
        self.before = Some((header.number, header.checksum));
        self.records(file, header, &payload);
    }

    fn records(&mut self, file: &str, header: &BatchHeader, payload: &Bytes) {
        let mut next = header.first_sequence.0;
        if let Some(expected) = self.next.filter(|expected| *expected != next) {
            let what = format!(
                "batch {}: its first record is {next}, and {expected} is the next",
                header.number
            );
            self.rows.damage(file.to_owned(), header.offset.into(), what);
            self.unfinished = None;
        }
        for chunk in Chunks::of(payload) {
            let (at, what) = match chunk {
                Err(NotAChunk(at)) => (at, "the batch is whole, and these bytes are no chunk"),
                Ok((at, chunk, _)) if chunk.first && self.unfinished.is_some() => {
                    (at, "a record begins before the one before it ends")
                }
                Ok((at, chunk, _)) if !chunk.first && self.unfinished.is_none() && self.begun => {
                    (at, "a record goes on that never began")
                }
                Ok((at, chunk, bytes)) => {
                    if chunk.first {
                        self.begun = true;
                        next = next.saturating_add(1);
                        self.unfinished = Some(Unfinished {
                            file: file.to_owned(),
                            offset: u64::from(header.offset) + (HEADER_BYTES + at) as u64,
                            bytes: BytesMut::new(),
                        });
                    }
                    if let Some(record) = &mut self.unfinished {
                        record.bytes.extend_from_slice(&bytes);
                    }
                    if chunk.last
                        && let Some(record) = self.unfinished.take()
                    {
                        self.record(record, Sequence(next.saturating_sub(1)));
                    }
                    continue;
                }
            };
            let offset = u64::from(header.offset) + (HEADER_BYTES + at) as u64;
            self.rows.damage(file.to_owned(), offset, what);
            // What comes behind it is no evidence of anything.
            (self.next, self.begun, self.unfinished) = (None, false, None);
            return;
        }
        self.next = Some(next);
    }

    fn record(&mut self, record: Unfinished, sequence: Sequence) {
        let bytes = record.bytes.freeze();
        match Record::decode(&bytes) {
            Ok((decoded, messages)) if self.with_records => self.rows.row(Row::Record {
                file: record.file,
                offset: record.offset,
                sequence,
                kind: kind(&decoded),
                bytes: bytes.len() as u64,
                messages: messages.len() as u32,
            }),
            Ok(_) => self.rows.totals.records += 1,
            Err(malformed) => self
                .rows
                .damage(record.file, record.offset, format!("record {sequence}: {malformed}")),
        }
    }
}

fn kind(record: &Record) -> &'static str {
    match record {
        Record::Created { .. } => "created",
        Record::Deleted { .. } => "deleted",
        Record::Sent(_) => "sent",
        Record::Acknowledged(_) => "acknowledged",
        Record::Expired(_) => "expired",
        Record::Moved { .. } => "moved",
        Record::Redelivered { .. } => "redelivered",
        Record::Purged { .. } => "purged",
        Record::Dispatched { .. } => "dispatched",
        Record::Committed { .. } => "committed",
        Record::SetAside { .. } => "set aside",
    }
}
