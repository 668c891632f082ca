//! Records put together from the chunks of whole batches, and handed to the sink.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use message::{Epoch, Sequence};
use record::{Record, RecordPlace, SegmentNumber};

use super::{RecoveryError, RecoverySink};
use crate::format::{BatchHeader, ChunkHeader, Chunks, HEADER_BYTES, NotAChunk};
use crate::{Damage, names};

/// A record whose last chunk has not been read.
struct Unfinished {
    epoch: Epoch,
    place: RecordPlace,
    bytes: BytesMut,
}

/// Turns payloads into records.
pub(super) struct Replay {
    sink: Rc<RefCell<dyn RecoverySink>>,
    /// Records up to this one are in the checkpoint.
    through: Sequence,
    /// The sequence of the next record that begins.
    next: Sequence,
    unfinished: Option<Unfinished>,
    /// Whether a record has begun since replay started: before that, chunks belong to a record that the checkpoint has.
    begun: bool,
    pub(super) records: u64,
}

impl Replay {
    pub(super) fn new(sink: Rc<RefCell<dyn RecoverySink>>, through: Sequence, next: Sequence) -> Replay {
        Replay {
            sink,
            through,
            next,
            unfinished: None,
            begun: false,
            records: 0,
        }
    }

    /// An epoch is over: a record that it did not finish does not exist.
    pub(super) fn end_of_epoch(&mut self) {
        if self.unfinished.take().is_some() {
            self.next = Sequence(self.next.0 - 1);
        }
        self.begun = true;
    }

    /// The sequence of the next record; after [`Replay::end_of_epoch`].
    pub(super) fn next(&self) -> Sequence {
        self.next
    }

    /// Takes the payload of a batch that is whole and in its place.
    pub(super) fn batch(&mut self, header: &BatchHeader, payload: &Bytes) -> Result<(), RecoveryError> {
        let damage = |at: usize, what: &str| {
            let offset = header.offset + (HEADER_BYTES + at) as u32;
            RecoveryError::Damaged(Damage::in_segment(
                header.epoch,
                header.segment,
                offset,
                format!("batch {}: {what}", header.number),
            ))
        };
        if header.first_sequence != self.next {
            let what = format!(
                "its first record is {}, and {} is the next",
                header.first_sequence, self.next
            );
            return Err(damage(0, &what));
        }
        for chunk in Chunks::of(payload) {
            let (at, chunk, bytes) =
                chunk.map_err(|NotAChunk(at)| damage(at, "the batch is whole, and these bytes are no chunk"))?;
            let place = RecordPlace {
                segment: header.segment,
                offset: header.offset + (HEADER_BYTES + at) as u32,
            };
            match (chunk.first, &mut self.unfinished) {
                (true, Some(_)) => return Err(damage(at, "a record begins before the one before it ends")),
                (true, None) => self.begin(header.epoch, place, &chunk, bytes)?,
                (false, Some(unfinished)) => {
                    unfinished.bytes.extend_from_slice(&bytes);
                    if chunk.last
                        && let Some(whole) = self.unfinished.take()
                    {
                        self.record(whole.epoch, whole.place, header.segment, whole.bytes.freeze())?;
                    }
                }
                (false, None) if self.begun => return Err(damage(at, "a record goes on that never began")),
                (false, None) => {}
            }
        }
        Ok(())
    }

    fn begin(
        &mut self,
        epoch: Epoch,
        place: RecordPlace,
        chunk: &ChunkHeader,
        bytes: Bytes,
    ) -> Result<(), RecoveryError> {
        self.begun = true;
        self.next = self.next.next();
        if chunk.last {
            return self.record(epoch, place, place.segment, bytes);
        }
        self.unfinished = Some(Unfinished {
            epoch,
            place,
            bytes: BytesMut::from(&bytes[..]),
        });
        Ok(())
    }

    fn record(
        &mut self,
        epoch: Epoch,
        place: RecordPlace,
        last_segment: SegmentNumber,
        bytes: Bytes,
    ) -> Result<(), RecoveryError> {
        let sequence = Sequence(self.next.0 - 1);
        if sequence <= self.through {
            return Ok(());
        }
        self.records += 1;
        let (record, messages) = Record::decode(&bytes).map_err(|malformed| {
            let what = format!("record {sequence}: its checksum matches, and it is a {malformed}");
            Damage::in_segment(epoch, place.segment, place.offset, what)
        })?;
        let mut sink = self.sink.borrow_mut();
        let applied = sink.replay(sequence, record, place, last_segment, &messages);
        applied.map_err(|refused| RecoveryError::Inconsistent {
            file: names::segment(epoch, place.segment),
            offset: place.offset.into(),
            sequence,
            why: refused.0,
        })
    }
}
