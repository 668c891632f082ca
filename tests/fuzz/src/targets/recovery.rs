//! Recovery over a directory.
//!
//! A history that a leader could have left is read back whole, from its beginning or from a checkpoint. Whatever is accepted is accepted again after it was hardened and sealed, with
//! the same records; no file stays open.

use std::cell::RefCell;
use std::rc::Rc;

use ::record::{Malformed, PieceContent, PieceKey, PieceReference, Record, RecordPlace, SegmentNumber};
use bytes::Bytes;
use journal::{Recovered, RecoveryError, RecoveryPlan, RecoverySink, Refused, harden, recover};
use message::{Epoch, Sequence};

use crate::directory::{self, MemoryDisk, finish};
use crate::input::Input;

/// The steps that build the directory.
pub fn run(input: &[u8]) {
    let history = directory::build(&mut Input::new(input));
    let disk = &history.disk;
    let (found, records) = match recovered(disk, history.plan.clone()) {
        Ok(found) => found,
        Err(error) => {
            assert!(!history.is_clean, "a history as a leader leaves it is refused: {error}");
            return;
        }
    };
    if history.is_clean {
        assert!(
            records == history.records,
            "{records:?} was read, and {:?} was written",
            history.records
        );
        assert_eq!(found.warnings, []);
    }
    let files = disk.files();
    let (hardening, tail) = (files.clone(), found.tail.clone());
    let hardened = finish(&files, async move { harden(hardening, &tail).await });
    assert!(hardened.is_ok(), "what was just read cannot be hardened: {hardened:?}");
    let Some(highest) = history.plan.predecessor.map(|log| log.highest_segment) else {
        return;
    };
    let mut next = history.plan.clone();
    next.sealed.extend(found.seal);
    next.predecessor = Some(directory::successor(Epoch(3), highest));
    match recovered(disk, next) {
        Ok((again, records_again)) => {
            assert_eq!(
                (again.next_batch, again.next_sequence, again.previous_checksum),
                (found.next_batch, found.next_sequence, found.previous_checksum)
            );
            assert!(
                records == records_again,
                "{records_again:?} was read after the seal, and {records:?} before"
            );
        }
        Err(error) => panic!("what was sealed is refused: {error}"),
    }
}

/// Reads a history.
pub(crate) fn recovered(disk: &MemoryDisk, plan: RecoveryPlan) -> Result<(Recovered, Vec<Record>), RecoveryError> {
    let sink = Rc::new(RefCell::new(Collector::default()));
    let taken: Rc<RefCell<dyn RecoverySink>> = sink.clone();
    let files = disk.files();
    let reading = files.clone();
    let result = finish(&files, async move { recover(reading, plan, taken).await });
    let found = result?;
    assert_eq!(disk.open_files(), 0, "a file stays open");
    let records = std::mem::take(&mut sink.borrow_mut().records);
    Ok((found, records))
}

#[derive(Default)]
struct Collector {
    restored: bool,
    last: Option<Sequence>,
    records: Vec<Record>,
}

impl RecoverySink for Collector {
    fn restore(&mut self, _: &Bytes, _: Vec<(PieceKey, PieceReference, PieceContent)>) -> Result<(), Malformed> {
        assert!(
            !self.restored && self.records.is_empty(),
            "a checkpoint comes once and first"
        );
        self.restored = true;
        Ok(())
    }

    fn replay(
        &mut self,
        sequence: Sequence,
        record: Record,
        _: RecordPlace,
        _: SegmentNumber,
        _: &[(u32, u32)],
    ) -> Result<(), Refused> {
        assert!(
            self.last.is_none_or(|last| last.next() == sequence),
            "a record is left out or repeated"
        );
        self.last = Some(sequence);
        self.records.push(record);
        Ok(())
    }

    fn progress(&mut self, bytes: u64, of: u64) {
        assert!(bytes <= of);
    }
}

/// Inputs to begin with.
pub fn seeds() -> Vec<Vec<u8>> {
    directory::seeds()
}
