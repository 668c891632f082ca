//! A disk in memory, a journal on it, and a sink that collects what recovery reads.

mod disk;

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use journal::{
    Handled, Journal, JournalFailure, JournalSettings, JournalStart, Owners, Predecessor, Recovered, RecoveryError,
    RecoveryPlan, RecoverySink, Refused, harden, names, recover,
};
use message::{Body, BodyKind, Destination, Epoch, Message, MessageNumber, Sequence};
use platform::{BootTime, Class, Files, Now, Open, Task, WallTime};
use record::{
    BatchPosition, EpochSeal, Fence, Leadership, Malformed, Nonce, ObjectId, PieceContent, PieceKey, PieceReference,
    Place, ReadToken, Record, RecordPlace, SegmentNumber, Sent, Store, Ticket,
};

pub(crate) use disk::MemoryDisk;

pub(crate) const BLOCK: usize = 4096;
const CLAIM: &str = "claim";
const FENCED: u8 = b'F';

/// Small enough that a few records fill batches and segments.
pub(crate) const SMALL: JournalSettings = JournalSettings {
    segment_bytes: 6 * BLOCK as u32,
    batch_bytes_max: 2 * BLOCK as u32,
    writes_in_flight: 4,
};

pub(crate) fn nonce(epoch: u32) -> Nonce {
    Nonce([epoch as u8; 16])
}

/// A disk and the time.
#[derive(Clone)]
pub(crate) struct Machine {
    pub(crate) disk: MemoryDisk,
    pub(crate) files: Files,
    pub(crate) now: Rc<RefCell<Now>>,
}

impl Machine {
    pub(crate) fn on(disk: MemoryDisk) -> Machine {
        let now = Now {
            boot: BootTime(1_000_000_000),
            wall: WallTime(1_700_000_000_000),
        };
        let files = Files::new(Box::new(disk.clone()), now);
        Machine {
            disk,
            files,
            now: Rc::new(RefCell::new(now)),
        }
    }

    pub(crate) fn new() -> Machine {
        Machine::on(MemoryDisk::new())
    }

    pub(crate) fn now(&self) -> Now {
        *self.now.borrow()
    }

    pub(crate) fn pass(&self, time: Duration) {
        let mut now = self.now.borrow_mut();
        now.boot = now.boot + time;
    }

    /// Runs a procedure to its end; every disk operation completes at once.
    pub(crate) fn run<T: 'static>(&self, procedure: impl Future<Output = T> + 'static) -> T {
        let mut task = Task::new(procedure);
        loop {
            if let Some(result) = task.poll() {
                return result;
            }
            self.disk.complete_all();
            if self.files.turn(self.now()) == 0 {
                let deadline = self
                    .files
                    .next_deadline()
                    .expect("a procedure waits for the disk or for time");
                self.now.borrow_mut().boot = deadline;
                self.files.turn(self.now());
            }
        }
    }
}

/// Says what the claim's file says: one byte.
pub(crate) struct Fences;

impl Leadership for Fences {
    fn epoch(&self) -> Option<Epoch> {
        None
    }

    fn confirm(&self, fence_cell: &[u8]) -> Fence {
        match fence_cell.first() {
            Some(&FENCED) | None => Fence::Fenced { by: Epoch(9) },
            Some(_) => Fence::Open,
        }
    }

    fn resign(&mut self) {}
}

/// A journal that leads.
pub(crate) struct Rig {
    pub(crate) machine: Machine,
    pub(crate) journal: Journal,
    pub(crate) epoch: u32,
    pub(crate) first_segment: u32,
    pub(crate) highest_segment: u32,
    pub(crate) settings: JournalSettings,
    pub(crate) appended: Vec<(Record, Ticket)>,
    next_object: u32,
}

impl Rig {
    pub(crate) fn new(settings: JournalSettings) -> Rig {
        let start = Recovered::nothing();
        Rig::leading(Machine::new(), settings, 1, 1, &start)
    }

    /// The journal of `epoch`, behind what was recovered.
    pub(crate) fn leading(
        machine: Machine,
        settings: JournalSettings,
        epoch: u32,
        first_segment: u32,
        behind: &Start,
    ) -> Rig {
        machine.disk.put(CLAIM, vec![b'O'; BLOCK]);
        let files = machine.files.clone();
        let claim = machine.run(async move { files.open(CLAIM, Class::Cell, Open::Write).await });
        let (claim, _) = claim.expect("the claim is there");
        let journal = Journal::new(
            machine.files.clone(),
            settings,
            JournalStart {
                epoch: Epoch(epoch),
                nonce: nonce(epoch),
                claim,
                fence_offset: 0,
                first_segment: SegmentNumber(first_segment),
                next_batch: behind.next_batch,
                next_sequence: behind.next_sequence,
                previous_checksum: behind.previous_checksum,
                owners: behind.owners.clone(),
            },
        );
        Rig {
            machine,
            journal,
            epoch,
            first_segment,
            highest_segment: first_segment - 1,
            settings,
            appended: Vec::new(),
            next_object: 1,
        }
    }

    /// Adds every segment that the journal wants.
    pub(crate) fn provide_segments(&mut self) {
        while let Some(number) = self.journal.wants_segment() {
            self.provide_segment(number);
        }
    }

    pub(crate) fn provide_segment(&mut self, number: SegmentNumber) {
        let path = names::segment(Epoch(self.epoch), number);
        let length = self.settings.segment_bytes;
        self.machine.disk.put(&path, vec![0; length as usize]);
        let files = self.machine.files.clone();
        // The batches in flight must not complete by the way.
        let held = self.machine.disk.hold();
        let opened = self
            .machine
            .run(async move { files.open(&path, Class::Segment, Open::Write).await });
        self.machine.disk.release(held);
        let (file, _) = opened.expect("the segment was just made");
        self.journal.add_segment(number, file, length);
        self.highest_segment = number.0;
    }

    pub(crate) fn append(&mut self, record: Record) -> Ticket {
        let ticket = self.journal.append(&record);
        self.appended.push((record, ticket.clone()));
        ticket
    }

    /// Appends a message whose body has so many bytes.
    pub(crate) fn append_message(&mut self, body: usize) -> Ticket {
        let number = self.next_object;
        self.next_object += 1;
        self.append(sent(u64::from(self.epoch) * 1000 + u64::from(number), body))
    }

    /// Asks for a message, and sends what waits to the disk.
    pub(crate) fn ask(&mut self, place: Place, token: ReadToken) {
        self.journal.read(place, token);
        self.pump();
    }

    pub(crate) fn pump(&mut self) {
        self.journal.pump(self.machine.now(), 1_700_000_000_000);
    }

    /// Lets the journal see what the disk completed.
    pub(crate) fn turn(&mut self) -> Result<(), JournalFailure> {
        self.machine.files.turn(self.machine.now());
        while let Some((id, completion)) = self.machine.files.take() {
            match self.journal.handle(self.machine.now(), id, completion, &Fences)? {
                Handled::Progress => {}
                Handled::NotMine(completion) => panic!("{completion:?} is nobody's"),
            }
        }
        Ok(())
    }

    /// Everything goes out and comes back.
    pub(crate) fn settle(&mut self) -> Result<(), JournalFailure> {
        loop {
            self.provide_segments();
            self.pump();
            if self.machine.disk.pending() == 0 {
                return Ok(());
            }
            self.machine.disk.complete_all();
            self.turn()?;
        }
    }

    pub(crate) fn fence(&self) {
        self.machine.disk.put(CLAIM, vec![FENCED; BLOCK]);
    }

    /// This epoch as a successor's predecessor.
    pub(crate) fn as_predecessor(&self, confirmed: Option<BatchPosition>) -> Predecessor {
        Predecessor {
            epoch: Epoch(self.epoch),
            nonce: nonce(self.epoch),
            first_segment: SegmentNumber(self.first_segment),
            highest_segment: SegmentNumber(self.highest_segment),
            confirmed,
        }
    }

    pub(crate) fn plan(&self, confirmed: Option<BatchPosition>) -> RecoveryPlan {
        RecoveryPlan {
            predecessor: Some(self.as_predecessor(confirmed)),
            ..RecoveryPlan::default()
        }
    }

    pub(crate) fn segment_path(&self, number: u32) -> String {
        names::segment(Epoch(self.epoch), SegmentNumber(number))
    }
}

/// What a journal starts behind.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    pub(crate) next_batch: u64,
    pub(crate) next_sequence: Sequence,
    pub(crate) previous_checksum: u32,
    pub(crate) owners: Owners,
}

pub(crate) trait Nothing {
    fn nothing() -> Start;
}

impl Nothing for Recovered {
    fn nothing() -> Start {
        Start {
            next_batch: 1,
            next_sequence: Sequence(1),
            previous_checksum: 0,
            owners: Owners::new(),
        }
    }
}

impl From<&Recovered> for Start {
    fn from(recovered: &Recovered) -> Start {
        Start {
            next_batch: recovered.next_batch,
            next_sequence: recovered.next_sequence,
            previous_checksum: recovered.previous_checksum,
            owners: recovered.owners.clone(),
        }
    }
}

pub(crate) fn message(number: u64, body: usize) -> Message {
    let byte = |at: usize| (at as u64).wrapping_mul(number).to_le_bytes()[0];
    let bytes: Vec<u8> = (0..body).map(byte).collect();
    message_of(number, bytes)
}

pub(crate) fn message_of(number: u64, bytes: Vec<u8>) -> Message {
    Message::new(
        &format!("ID:{number}"),
        Destination::queue("Q").expect("a good name"),
        Body {
            kind: BodyKind::Bytes,
            bytes: bytes.into(),
        },
    )
}

pub(crate) fn sent_message(number: u64, message: Message) -> Record {
    Record::Sent(Sent {
        destination: ObjectId(1),
        number: MessageNumber(number),
        targets: vec![ObjectId(1)],
        duplicate_id: None,
        time: 1_700_000_000_000,
        message: Arc::new(message),
    })
}

pub(crate) fn sent(number: u64, body: usize) -> Record {
    sent_message(number, message(number, body))
}

/// One record as recovery handed it over.
pub(crate) type Replayed = (Sequence, Record, RecordPlace, SegmentNumber, Vec<(u32, u32)>);

/// What recovery handed over.
#[derive(Default)]
pub(crate) struct Collector {
    pub(crate) catalog: Option<Bytes>,
    pub(crate) pieces: Vec<(PieceKey, PieceReference, PieceContent)>,
    pub(crate) records: Vec<Replayed>,
    pub(crate) told: Vec<(u64, u64)>,
}

impl RecoverySink for Collector {
    fn restore(
        &mut self,
        catalog: &Bytes,
        pieces: Vec<(PieceKey, PieceReference, PieceContent)>,
    ) -> Result<(), Malformed> {
        assert!(
            self.catalog.is_none() && self.records.is_empty(),
            "restore comes once and first"
        );
        self.catalog = Some(catalog.clone());
        self.pieces = pieces;
        Ok(())
    }

    fn replay(
        &mut self,
        sequence: Sequence,
        record: Record,
        place: RecordPlace,
        last_segment: SegmentNumber,
        messages: &[(u32, u32)],
    ) -> Result<(), Refused> {
        self.records
            .push((sequence, record, place, last_segment, messages.to_vec()));
        Ok(())
    }

    fn progress(&mut self, bytes: u64, of: u64) {
        self.told.push((bytes, of));
    }
}

/// Recovers on a machine of its own over this disk.
pub(crate) fn recovered(disk: &MemoryDisk, plan: RecoveryPlan) -> Result<(Recovered, Collector), RecoveryError> {
    let machine = Machine::on(disk.clone());
    let sink = Rc::new(RefCell::new(Collector::default()));
    let files = machine.files.clone();
    let taken: Rc<RefCell<dyn RecoverySink>> = sink.clone();
    let result = machine.run(async move { recover(files, plan, taken).await })?;
    let collected = std::mem::take(&mut *sink.borrow_mut());
    Ok((result, collected))
}

/// Recovers and hardens; what a successor does before it seals.
pub(crate) fn taken_over(disk: &MemoryDisk, plan: RecoveryPlan) -> Result<(Recovered, Collector), RecoveryError> {
    let (result, collected) = recovered(disk, plan)?;
    let machine = Machine::on(disk.clone());
    let files = machine.files.clone();
    let tail = result.tail.clone();
    machine.run(async move { harden(files, &tail).await })?;
    Ok((result, collected))
}

/// The plan of the epoch after `rig`'s, when `sealed` was sealed before.
pub(crate) fn plan_behind(sealed: Vec<EpochSeal>, rig: &Rig, confirmed: Option<BatchPosition>) -> RecoveryPlan {
    RecoveryPlan {
        sealed,
        predecessor: Some(rig.as_predecessor(confirmed)),
        checkpoints: [None, None],
    }
}

/// Asserts that what was read is exactly the first so many of what was appended, with the same places.
pub(crate) fn assert_prefix(collected: &Collector, appended: &[(Record, Ticket)]) {
    assert!(
        collected.records.len() <= appended.len(),
        "more was read than was appended"
    );
    for ((sequence, record, place, last_segment, messages), (expected, ticket)) in
        collected.records.iter().zip(appended)
    {
        assert_eq!(
            (*sequence, *place, *last_segment, messages),
            (ticket.sequence, ticket.place, ticket.last_segment, &ticket.messages)
        );
        assert!(record == expected, "record {sequence} came back changed");
    }
}
