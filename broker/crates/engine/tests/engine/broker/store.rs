//! A store in memory: records as bytes, confirmed when the test says so, read back when the test says so.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use message::{Message, Sequence};
use record::{Place, ReadToken, Record, RecordPlace, SegmentNumber, Store, Ticket, decode_message};

/// A record, its bytes, and where its messages lie in them.
pub(crate) type Written = (Record, Bytes, Vec<(u32, u32)>);

#[derive(Debug, Default)]
pub(crate) struct MemoryStore {
    pub(crate) records: Vec<Written>,
    pub(crate) confirmed: u64,
    pub(crate) reads: VecDeque<(Place, ReadToken)>,
    /// Everything is confirmed at once.
    pub(crate) is_instant: bool,
    pub(crate) reads_asked: usize,
}

impl MemoryStore {
    pub(crate) fn place(index: usize) -> RecordPlace {
        RecordPlace {
            segment: SegmentNumber(1),
            offset: u32::try_from(index).unwrap(),
        }
    }

    pub(crate) fn message(&self, place: Place) -> Arc<Message> {
        let (_, bytes, _) = &self.records[place.record.offset as usize];
        let (from, length) = (place.skip as usize, place.length as usize);
        Arc::new(decode_message(&bytes.slice(from..from + length)).unwrap())
    }
}

impl Store for MemoryStore {
    fn append(&mut self, record: &Record) -> Ticket {
        let (mut bytes, mut messages) = (Vec::new(), Vec::new());
        record.encode(&mut bytes, &mut messages);
        let bytes = Bytes::from(bytes);
        let (read, again) = Record::decode(&bytes).unwrap();
        assert_eq!(
            (&read, &again),
            (record, &messages),
            "a record comes back as it was written"
        );
        let place = Self::place(self.records.len());
        self.records.push((read, bytes, messages.clone()));
        let sequence = Sequence(self.records.len() as u64);
        if self.is_instant {
            self.confirmed = sequence.0;
        }
        Ticket {
            sequence,
            place,
            last_segment: place.segment,
            messages,
        }
    }

    fn confirmed(&self) -> Sequence {
        Sequence(self.confirmed)
    }

    fn read(&mut self, place: Place, token: ReadToken) {
        self.reads_asked += 1;
        self.reads.push_back((place, token));
    }
}
