//! A data directory in memory, built by an input: a log of one epoch in up to three segments, with or without a checkpoint, sealed or not.
//!
//! An input is a sequence of steps. Most do what a leader does, so that batches are whole and chained; the others do what a leader never does (another value in a field, with the
//! checksums right), and what a disk may do (a changed byte, a file cut short, a block of zeros). Whoever builds with the former only has a history that must be read back whole.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::rc::Rc;
use std::sync::OnceLock;

use bytes::Bytes;
use journal::format::{BatchHeader, ChunkHeader, HEADER_BYTES, Seed};
use journal::{Owners, Predecessor, RecoveryPlan, ReplayStart, SegmentOwner, names};
use message::{Epoch, Sequence};
use platform::{
    BLOCK_BYTES, Blocks, BootTime, Completion, Disk, DiskError, DiskErrorKind, FileId, FileSystem, Files, Now, Open,
    Operation, OperationId, Outcome, Task, WallTime,
};
use record::{BatchPosition, EpochSeal, Nonce, Place, Record, RecordPlace, SegmentNumber};

use crate::input::Input;
use crate::targets::{NONCE, checkpoint_index, pieces, record as records};

/// Blocks of all segments together.
const BLOCKS_MAX: usize = 10;
/// Segments of the log.
const SEGMENTS_MAX: u32 = 3;
const NOW: Now = Now {
    boot: BootTime(1_000_000_000),
    wall: WallTime(1_700_000_000_000),
};
/// The epoch that built the log.
pub(crate) const EPOCH: Epoch = Epoch(1);
/// The nonce of the epoch behind it.
pub(crate) const NEXT_NONCE: Nonce = Nonce([8; 16]);

/// Files, and what completes at once.
#[derive(Clone, Default)]
pub(crate) struct MemoryDisk(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    files: BTreeMap<String, Bytes>,
    open: BTreeMap<FileId, String>,
    completed: VecDeque<(OperationId, Completion)>,
    opened: u32,
}

impl Disk for MemoryDisk {
    fn submit(&mut self, id: OperationId, operation: Operation) {
        let mut state = self.0.borrow_mut();
        let completion = state.execute(operation);
        state.completed.push_back((id, completion));
    }

    fn completed(&mut self) -> Option<(OperationId, Completion)> {
        self.0.borrow_mut().completed.pop_front()
    }

    fn file_system(&self) -> FileSystem {
        FileSystem::Local
    }
}

impl State {
    fn execute(&mut self, operation: Operation) -> Completion {
        match operation {
            Operation::Open { path, how, .. } => {
                let Some(bytes) = self.files.get(&path).filter(|_| how != Open::Create) else {
                    return Err(DiskError {
                        kind: DiskErrorKind::NotFound,
                        operation: "open",
                        path,
                        detail: "no such file".into(),
                    });
                };
                self.opened += 1;
                let (file, length) = (FileId(self.opened), bytes.len() as u64);
                self.open.insert(file, path);
                Ok(Outcome::Opened { file, length })
            }
            Operation::Close { file } => {
                self.open.remove(&file).expect("a file is closed once");
                Ok(Outcome::Done)
            }
            Operation::Read { file, offset, length } => {
                let bytes = &self.files[&self.open[&file]];
                let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                let to = from.saturating_add(length).min(bytes.len());
                Ok(Outcome::Read(bytes.slice(from..to)))
            }
            Operation::Write { file, offset, blocks } => {
                let path = &self.open[&file];
                let mut bytes = self.files[path].to_vec();
                let (from, to) = (offset as usize, offset as usize + blocks.len());
                assert!(to <= bytes.len(), "nothing is written beyond the end of a file");
                bytes[from..to].copy_from_slice(&blocks);
                self.files.insert(path.clone(), bytes.into());
                Ok(Outcome::Done)
            }
            Operation::List { path } => {
                let names = self
                    .files
                    .keys()
                    .filter_map(|name| name.strip_prefix(&path)?.strip_prefix('/'));
                Ok(Outcome::Names(names.map(str::to_owned).collect()))
            }
            Operation::Sync { .. } | Operation::SyncDirectory { .. } => Ok(Outcome::Done),
            other => panic!("reading does not ask for {other:?}"),
        }
    }
}

impl MemoryDisk {
    /// Puts a file there.
    pub(crate) fn put(&self, path: String, bytes: Vec<u8>) {
        self.0.borrow_mut().files.insert(path, bytes.into());
    }

    /// A handle for procedures.
    pub(crate) fn files(&self) -> Files {
        Files::new(Box::new(self.clone()), NOW)
    }

    /// Files that are open: none, when a procedure has ended.
    pub(crate) fn open_files(&self) -> usize {
        self.0.borrow().open.len()
    }
}

/// Runs a procedure to its end.
pub(crate) fn finish<T: 'static>(files: &Files, procedure: impl Future<Output = T> + 'static) -> T {
    let mut task = Task::new(procedure);
    loop {
        if let Some(result) = task.poll() {
            return result;
        }
        assert!(files.turn(NOW) > 0, "a procedure waits for nothing");
    }
}

/// A directory and what the roots say of it.
pub(crate) struct History {
    pub(crate) disk: MemoryDisk,
    pub(crate) plan: RecoveryPlan,
    pub(crate) owner: SegmentOwner,
    /// Whether nothing was done to it that a leader does not do.
    pub(crate) is_clean: bool,
    /// The records that a replay must yield, if it is clean.
    pub(crate) records: Vec<Record>,
    /// Where each of their messages lies, in order.
    pub(crate) places: Vec<Place>,
}

impl History {
    /// Whose the segments are.
    pub(crate) fn owners(&self) -> Owners {
        let mut owners = Owners::new();
        owners.insert(self.owner);
        owners
    }
}

/// One batch that was written.
#[derive(Clone, Copy)]
struct Written {
    position: BatchPosition,
    extent: u32,
    first_sequence: u64,
    records_before: usize,
    previous_checksum: u32,
}

struct Builder {
    segments: Vec<Vec<u8>>,
    payload: Vec<u8>,
    /// The sequence of the next record.
    next_sequence: u64,
    first_sequence: u64,
    batches: Vec<Written>,
    records: Vec<Record>,
    places: Vec<(usize, Place)>,
    records_at_start: usize,
    is_clean: bool,
    pokes: Vec<(usize, usize, u8)>,
    cut: Option<(usize, usize)>,
}

/// Builds what the input says.
pub(crate) fn build(input: &mut Input<'_>) -> History {
    let options = input.byte();
    let mut builder = Builder {
        segments: vec![Vec::new()],
        payload: Vec::new(),
        next_sequence: 1,
        first_sequence: 1,
        batches: Vec::new(),
        records: Vec::new(),
        places: Vec::new(),
        records_at_start: 0,
        is_clean: true,
        pokes: Vec::new(),
        cut: None,
    };
    let mut confirmed = None;
    while !input.is_empty() && builder.segments.iter().map(Vec::len).sum::<usize>() < BLOCKS_MAX * BLOCK_BYTES {
        match input.byte() % 12 {
            0..=2 => builder.record(usize::from(input.byte())),
            3 => builder.record_in_two(usize::from(input.byte()), usize::from(input.byte()), input.flag()),
            4 => builder.close(false, None),
            5 => builder.close(true, None),
            6 => builder.close(false, Some((input.byte(), input.count()))),
            7 => {
                let change = (
                    input.below(5),
                    usize::from(input.byte()) << 8 | usize::from(input.byte()),
                    input.byte(),
                );
                builder.pokes.push(change);
            }
            8 => builder.cut = Some((input.below(3), usize::from(input.byte()) * 64)),
            9 => confirmed = builder.batches.last().map(|written| written.position),
            10 => builder.chunk_of_anything(input.byte(), input.block()),
            _ => {
                builder.close(false, None);
                builder.is_clean = false;
                builder.segment().extend([0; BLOCK_BYTES]);
            }
        }
    }
    builder.close(false, None);
    builder.finish(options, confirmed, input)
}

/// A record, its bytes, and where in them its messages lie.
type Encoded = (Record, Vec<u8>, Vec<(u32, u32)>);

fn known_records() -> &'static [Encoded] {
    static KNOWN: OnceLock<Vec<Encoded>> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let encoded = records::every_kind().into_iter().map(|record| {
            let (mut bytes, mut messages) = (Vec::new(), Vec::new());
            record.encode(&mut bytes, &mut messages);
            (record, bytes, messages)
        });
        encoded.collect()
    })
}

impl Builder {
    fn segment(&mut self) -> &mut Vec<u8> {
        self.segments.last_mut().expect("there is always one")
    }

    fn number(&self) -> u32 {
        self.segments.len() as u32
    }

    /// Where the next chunk will begin.
    fn place(&self) -> RecordPlace {
        let before = self.segments.last().map_or(0, Vec::len);
        RecordPlace {
            segment: SegmentNumber(self.number()),
            offset: (before + HEADER_BYTES + self.payload.len()) as u32,
        }
    }

    fn chunk(&mut self, bytes: &[u8], first: bool, last: bool, next_segment: bool) {
        let header = ChunkHeader::of(bytes, self.place(), first, last, next_segment, Seed::of(NONCE));
        self.payload.extend(header.encode());
        self.payload.extend_from_slice(bytes);
        self.next_sequence += u64::from(first);
    }

    fn note(&mut self, which: usize, place: RecordPlace, last_segment: SegmentNumber) {
        let known = known_records();
        let (record, _, messages) = &known[which % known.len()];
        for (skip, length) in messages {
            let place = Place {
                record: place,
                last_segment,
                skip: *skip,
                length: *length,
            };
            self.places.push((self.records.len(), place));
        }
        self.records.push(record.clone());
    }

    fn record(&mut self, which: usize) {
        let known = known_records();
        let place = self.place();
        self.chunk(&known[which % known.len()].1, true, true, false);
        self.note(which, place, place.segment);
    }

    /// A record that goes on in the next batch, or in the next segment.
    fn record_in_two(&mut self, which: usize, cut: usize, next_segment: bool) {
        let known = known_records();
        let bytes = &known[which % known.len()].1;
        let (front, back) = bytes.split_at(cut.min(bytes.len()));
        let next_segment = next_segment && self.number() < SEGMENTS_MAX;
        let place = self.place();
        self.chunk(front, true, false, next_segment);
        self.close(next_segment, None);
        self.chunk(back, false, true, false);
        self.note(which, place, SegmentNumber(self.number()));
    }

    fn chunk_of_anything(&mut self, flags: u8, bytes: &[u8]) {
        self.is_clean = false;
        match flags & 8 {
            0 => self.chunk(bytes, flags & 1 != 0, flags & 2 != 0, flags & 4 != 0),
            _ => self.payload.extend_from_slice(bytes),
        }
    }

    /// Ends the batch that is being filled, if there is anything in it or something else is to be said in its header.
    fn close(&mut self, last_of_segment: bool, change: Option<(u8, u64)>) {
        let last_of_segment = last_of_segment && self.number() < SEGMENTS_MAX;
        if self.payload.is_empty() && change.is_none() && !last_of_segment {
            return;
        }
        let before = self.batches.last();
        let number = before.map_or(1, |before| before.position.batch.wrapping_add(1));
        let previous_checksum = before.map_or(0, |before| before.position.checksum);
        let mut header = BatchHeader {
            last_of_segment,
            empty: self.payload.is_empty(),
            epoch: EPOCH,
            segment: SegmentNumber(self.number()),
            offset: self.segments.last().map_or(0, Vec::len) as u32,
            payload: self.payload.len() as u32,
            number,
            first_sequence: Sequence(self.first_sequence),
            engine_time: 1_700_000_000_000 + number,
            confirmed_through: number.saturating_sub(2),
            previous_checksum,
            checksum: 0,
        };
        if let Some((field, value)) = change {
            self.is_clean = false;
            match field % 8 {
                0 => header.epoch = Epoch(value as u32),
                1 => header.segment = SegmentNumber(value as u32),
                2 => header.offset = value as u32,
                3 => header.number = value,
                4 => header.first_sequence = Sequence(value),
                5 => header.confirmed_through = value,
                6 => header.previous_checksum = value as u32,
                _ => header.engine_time = value,
            }
        }
        let mut batch = Blocks::zeroed(HEADER_BYTES);
        batch.extend_from_slice(&self.payload);
        let checksum = header.finish(&mut batch, Seed::of(NONCE));
        self.batches.push(Written {
            position: BatchPosition {
                segment: SegmentNumber(self.number()),
                offset: self.segments.last().map_or(0, Vec::len) as u32,
                batch: number,
                checksum,
            },
            extent: batch.len() as u32,
            first_sequence: self.first_sequence,
            records_before: self.records_at_start,
            previous_checksum,
        });
        self.segment().extend_from_slice(&batch);
        self.payload.clear();
        self.first_sequence = self.next_sequence;
        self.records_at_start = self.next_sequence as usize - 1;
        if last_of_segment {
            self.segments.push(Vec::new());
        }
    }

    fn finish(mut self, options: u8, confirmed: Option<BatchPosition>, input: &mut Input<'_>) -> History {
        let disk = MemoryDisk::default();
        let highest = SegmentNumber(self.number());
        let owner = SegmentOwner {
            epoch: EPOCH,
            nonce: NONCE,
            first: SegmentNumber(1),
            last: highest,
        };
        let mut plan = RecoveryPlan::default();
        let (mut records, mut places) = (self.records.clone(), self.places.clone());
        if options & 1 != 0
            && let Some(start) = self
                .batches
                .get(usize::from(options >> 4) % self.batches.len().max(1))
                .copied()
        {
            // What waits is the first message before the place where replay starts.
            let waiting = places.first().filter(|(record, _)| *record < start.records_before);
            let mut page = pieces::page(if waiting.is_some() { &[1] } else { &[] });
            for (entry, (_, place)) in page.entries.iter_mut().zip(waiting) {
                entry.place = *place;
            }
            let (mut index, mut pieces) = checkpoint_index::example(b"catalog", &page);
            index.summary.start = ReplayStart {
                epoch: EPOCH,
                segment: start.position.segment,
                offset: start.position.offset,
                batch: start.position.batch,
                previous_checksum: start.previous_checksum,
                sequence: Sequence(start.first_sequence),
            };
            index.summary.through = Sequence(start.first_sequence - 1);
            index.owners[0].last = highest;
            let skipped = start.records_before.min(records.len());
            records.drain(..skipped);
            places.retain(|(record, _)| *record >= skipped);
            let mut bytes = index.encode();
            self.poke(3, &mut bytes);
            if options & 2 != 0 {
                checkpoint_index::seal(&mut bytes);
            }
            self.poke(4, &mut pieces);
            disk.put(names::checkpoint(checkpoint_index::NAME), bytes);
            disk.put(names::pieces(checkpoint_index::NAME), pieces);
            plan.checkpoints[0] = Some(checkpoint_index::NAME);
        }
        let length = self.segments.iter().map(Vec::len).max().unwrap_or(0) + BLOCK_BYTES;
        for (index, mut bytes) in std::mem::take(&mut self.segments).into_iter().enumerate() {
            bytes.resize(length, 0);
            self.poke(index, &mut bytes);
            if let Some((at, length)) = self.cut
                && at == index
            {
                self.is_clean = false;
                bytes.truncate(length);
            }
            disk.put(names::segment(EPOCH, SegmentNumber(index as u32 + 1)), bytes);
        }
        let last = self.batches.last();
        match last.filter(|_| options & 4 != 0) {
            Some(last) => {
                plan.sealed.push(EpochSeal {
                    epoch: EPOCH,
                    nonce: NONCE,
                    first: SegmentNumber(1),
                    last: last.position.segment,
                    length: last.position.offset + last.extent,
                    batch: last.position.batch,
                    checksum: last.position.checksum,
                });
                plan.predecessor = Some(successor(Epoch(2), highest));
            }
            None => {
                plan.predecessor = Some(Predecessor {
                    epoch: EPOCH,
                    nonce: NONCE,
                    first_segment: SegmentNumber(1),
                    highest_segment: highest,
                    confirmed: confirmed.map(|mut position| {
                        if options & 8 != 0 {
                            self.is_clean = false;
                            position.batch = input.count().max(1);
                        }
                        position
                    }),
                });
            }
        }
        History {
            disk,
            plan,
            owner,
            is_clean: self.is_clean,
            records,
            places: places.into_iter().map(|(_, place)| place).collect(),
        }
    }

    /// Changes the bytes of file `which` as the input said.
    fn poke(&mut self, which: usize, bytes: &mut [u8]) {
        for (file, at, value) in &self.pokes {
            if *file == which && !bytes.is_empty() {
                let at = at % bytes.len();
                self.is_clean &= *value == 0;
                bytes[at] ^= value;
            }
        }
    }
}

/// A leader behind the log that has not written anything.
pub(crate) fn successor(epoch: Epoch, highest: SegmentNumber) -> Predecessor {
    Predecessor {
        epoch,
        nonce: NEXT_NONCE,
        first_segment: SegmentNumber(highest.0 + 1),
        highest_segment: highest,
        confirmed: None,
    }
}

/// Inputs that build each kind of history.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    vec![
        vec![0, 0, 0, 0, 1, 4, 1, 3, 2, 4, 4, 9, 1, 9, 4],
        vec![0, 0, 3, 5, 1, 4, 4, 3, 11, 9, 1, 1, 5, 4, 9, 0, 2],
        vec![0x11, 0, 3, 4, 0, 4, 4, 0, 5, 4, 1, 6],
        vec![4, 0, 3, 4, 0, 4, 5, 0, 5, 4],
        vec![0x15, 0, 3, 4, 3, 4, 50, 0, 4, 1, 7, 4],
        vec![0, 0, 3, 4, 0, 4, 4, 7, 0, 16, 0, 1],
        vec![0, 0, 3, 4, 0, 4, 6, 5, 9, 0, 1, 4],
        vec![0, 0, 3, 4, 0, 4, 5, 0, 4, 8, 0, 64],
        vec![0, 0, 3, 4, 10, 3, 5, 1, 2, 3, 4, 5, 4],
        vec![0, 0, 3, 4, 0, 3, 11, 0, 4, 4],
        vec![0x23, 0, 3, 4, 0, 4, 5, 0, 4, 4, 7, 3, 0, 80, 1],
        vec![8, 0, 3, 4, 9, 0, 4, 4, 2],
    ]
}
