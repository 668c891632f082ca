//! What a record costs: appended, confirmed on a real disk, and replayed. `cargo run --release -p holdfast-journal --example cost -- DIRECTORY`
#![allow(
    clippy::disallowed_methods,
    reason = "a program, not the library: it takes its directory from the command line"
)]

use std::cell::RefCell;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bytes::Bytes;
use journal::{
    Handled, Journal, JournalSettings, JournalStart, Owners, Predecessor, RecoveryPlan, RecoverySink, Refused, names,
    recover,
};
use message::{Body, BodyKind, Destination, Epoch, Message, MessageNumber, Sequence};
use platform::real::{RealClock, RealDisk};
use platform::{BLOCK_BYTES, Blocks, Class, Files, Open, Task};
use record::{
    Fence, Leadership, Malformed, Nonce, ObjectId, PieceContent, PieceKey, PieceReference, Record, RecordPlace,
    SegmentNumber, Sent, Store, Waiting,
};

const RECORDS: u64 = 500_000;
const NONCE: Nonce = Nonce([7; 16]);

struct AlwaysOpen;

impl Leadership for AlwaysOpen {
    fn epoch(&self) -> Option<Epoch> {
        Some(Epoch(1))
    }

    fn confirm(&self, _: &[u8]) -> Fence {
        Fence::Open
    }

    fn resign(&mut self) {}
}

#[derive(Default)]
struct Counting(u64);

impl RecoverySink for Counting {
    fn restore(&mut self, _: &Bytes, _: Vec<(PieceKey, PieceReference, PieceContent)>) -> Result<(), Malformed> {
        Ok(())
    }

    fn replay(
        &mut self,
        _: Sequence,
        _: Record,
        _: RecordPlace,
        _: SegmentNumber,
        _: &[(u32, u32)],
    ) -> Result<(), Refused> {
        self.0 += 1;
        Ok(())
    }

    fn progress(&mut self, _: u64, _: u64) {}
}

/// A disk with the sleep between its completions.
struct Machine {
    files: Files,
    clock: RealClock,
    woken: Arc<(Mutex<bool>, Condvar)>,
}

impl Machine {
    fn wait(&self) {
        let (woken, condition) = &*self.woken;
        let guard = woken.lock().expect("nobody panics while it is held");
        let mut guard = condition
            .wait_timeout_while(guard, Duration::from_millis(100), |woken| !*woken)
            .expect("nobody panics while it is held")
            .0;
        *guard = false;
    }

    fn run<T>(&self, procedure: impl Future<Output = T> + 'static) -> T {
        let mut task = Task::new(procedure);
        loop {
            if let Some(result) = task.poll() {
                return result;
            }
            self.wait();
            self.files.turn(self.clock.now());
        }
    }

    fn file(&self, path: String, class: Class, bytes: u64) -> platform::FileId {
        let files = self.files.clone();
        let made = self.run(async move {
            let (file, _) = files.open(&path, class, Open::Create).await?;
            files.reserve(file, bytes).await?;
            files.sync(file).await?;
            Ok::<_, platform::DiskError>(file)
        });
        made.expect("the directory is new and has room")
    }
}

fn record(number: u64) -> Record {
    if number % 2 == 1 {
        let message = Message::new(
            "ID:host-12345-1700000000000-1:1:1:1:1",
            Destination::queue("ORDERS").expect("a good name"),
            Body {
                kind: BodyKind::Bytes,
                bytes: Bytes::from_static(&[b'x'; 200]),
            },
        );
        return Record::Sent(Sent {
            destination: ObjectId(1),
            number: MessageNumber(number),
            targets: vec![ObjectId(1)],
            duplicate_id: None,
            time: 1,
            message: Arc::new(message),
        });
    }
    Record::Acknowledged(Waiting {
        object: ObjectId(1),
        numbers: vec![MessageNumber(number - 1)],
    })
}

fn main() -> ExitCode {
    let Some(directory) = std::env::args().nth(1) else {
        eprintln!("name an empty directory");
        return ExitCode::FAILURE;
    };
    let woken = Arc::new((Mutex::new(false), Condvar::new()));
    let wake = Arc::clone(&woken);
    let disk = RealDisk::open(
        directory.as_ref(),
        Arc::new(move || {
            *wake.0.lock().expect("nobody panics while it is held") = true;
            wake.1.notify_one();
        }),
    )
    .expect("the directory can be used");
    let clock = RealClock;
    let machine = Machine {
        files: Files::new(Box::new(disk), clock.now()),
        clock,
        woken,
    };
    let files = machine.files.clone();
    machine
        .run(async move { files.create_directory(names::JOURNAL).await })
        .expect("the directory can be written");
    let claim = machine.file("claim".into(), Class::Cell, BLOCK_BYTES as u64);
    let (files, cell) = (machine.files.clone(), Arc::new(Blocks::zeroed(BLOCK_BYTES)));
    machine
        .run(async move { files.write(claim, 0, cell).await })
        .expect("the directory can be written");

    let settings = JournalSettings::default();
    let start = JournalStart {
        epoch: Epoch(1),
        nonce: NONCE,
        claim,
        fence_offset: 0,
        first_segment: SegmentNumber(1),
        next_batch: 1,
        next_sequence: Sequence(1),
        previous_checksum: 0,
        owners: Owners::new(),
    };
    let mut journal = Journal::new(machine.files.clone(), settings, start);
    let mut highest = SegmentNumber(0);
    let mut appending = Duration::ZERO;
    let mut appended = 0;
    let begun = clock.now().boot;
    while journal.confirmed().0 < RECORDS {
        while let Some(number) = journal.wants_segment() {
            let path = names::segment(Epoch(1), number);
            let file = machine.file(path, Class::Segment, settings.segment_bytes.into());
            journal.add_segment(number, file, settings.segment_bytes);
            highest = number;
        }
        let before = clock.now().boot;
        for _ in 0..500.min(RECORDS - appended) {
            appended += 1;
            journal.append(&record(appended));
        }
        journal.pump(clock.now(), 1);
        appending += clock.now().boot.since(before);
        machine.wait();
        machine.files.turn(clock.now());
        while let Some((id, completion)) = machine.files.take() {
            match journal.handle(clock.now(), id, completion, &AlwaysOpen) {
                Ok(Handled::Progress) => {}
                Ok(Handled::NotMine(completion)) => panic!("{completion:?} is nobody's"),
                Err(failure) => panic!("{failure}"),
            }
        }
    }
    let confirming = clock.now().boot.since(begun);
    let each = |time: Duration| time.as_nanos() as f64 / RECORDS as f64 / 1000.0;
    println!("{RECORDS} records, {} MiB", journal.bytes_written() >> 20);
    println!("append and close: {:.2} µs a record", each(appending));
    println!("confirmed after {confirming:?}: {:.2} µs a record", each(confirming));

    let plan = RecoveryPlan {
        predecessor: Some(Predecessor {
            epoch: Epoch(1),
            nonce: NONCE,
            first_segment: SegmentNumber(1),
            highest_segment: highest,
            confirmed: journal.confirmed_position(),
        }),
        ..RecoveryPlan::default()
    };
    let sink = Rc::new(RefCell::new(Counting::default()));
    let (files, taken) = (machine.files.clone(), Rc::clone(&sink));
    let begun = clock.now().boot;
    let found = machine
        .run(async move { recover(files, plan, taken).await })
        .expect("nothing is damaged");
    let replaying = clock.now().boot.since(begun);
    assert_eq!((found.records, sink.borrow().0), (RECORDS, RECORDS));
    println!("replayed in {replaying:?}: {:.2} µs a record", each(replaying));
    ExitCode::SUCCESS
}
