//! The side that made a connection to follow a leader.
//!
//! ```text
//!            Welcome                Gap             say_hello
//! Asking ──────────────► Following ─────► Gapped ─────────────► Asking
//!    └── Refused, a violation ──► Closed     └─────── Final ──► Finished
//! ```
//! Invariant: batches come out in the order of their numbers, without gaps, from the place that *Hello* named. Whether their bytes are what they should be (the chain of checksums) is for their reader.

use bytes::{Bytes, BytesMut};

use super::frame::{Direction, Frame, Hello, Kind, Refusal, Sealed, Welcome};
use super::{Decoder, Position, Violation};

/// What the leader says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FollowerEvent {
    /// It serves.
    Welcome(Welcome),
    /// The next batch, confirmed: it may be applied.
    Batch {
        /// Where it lies.
        at: Position,
        /// The batch, as on disk.
        bytes: Bytes,
    },
    /// It lives, and everything before this place is confirmed.
    Confirmed {
        /// The place.
        position: Position,
    },
    /// What comes next is not held any more: read the files up to here, where everything is confirmed, and then [`FollowerSession::say_hello`].
    Gap {
        /// The place.
        from: Position,
    },
    /// Hand-over: nothing will be confirmed in this epoch behind this place.
    Final {
        /// The place.
        position: Position,
    },
    /// An epoch leads. A process whose own epoch is lower ends.
    Sealed(Sealed),
    /// It does not serve, or not any more. Nothing follows.
    Refused(Refusal),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// *Hello* was said and is not answered.
    Asking,
    /// Batches come.
    Following,
    /// *Gap* was heard.
    Gapped,
    /// *Final* was heard.
    Finished,
    /// Nothing more is read.
    Closed,
}

/// One connection to a leader: bytes in, events and bytes out.
#[derive(Debug)]
pub struct FollowerSession {
    hello: Hello,
    phase: Phase,
    decoder: Decoder,
    /// The number of the next batch; its checksum is compared once, with the first batch behind a *Hello*.
    next: u64,
    previous_checksum: Option<u32>,
    was_welcomed: bool,
    /// The highest batch that *Confirmed* said is next.
    confirmed: u64,
    /// Whether *Hello* is still to be sent.
    is_hello_due: bool,
    applied: Option<u64>,
    applied_said: Option<u64>,
    sealed: Option<Sealed>,
}

impl FollowerSession {
    /// A session for a connection that was just made; it says this first.
    pub fn new(hello: Hello) -> FollowerSession {
        FollowerSession {
            phase: Phase::Asking,
            decoder: Decoder::new(Direction::ToFollower),
            next: hello.from.batch,
            previous_checksum: Some(hello.from.previous_checksum),
            was_welcomed: false,
            confirmed: 0,
            is_hello_due: true,
            applied: None,
            applied_said: None,
            sealed: None,
            hello,
        }
    }

    /// Takes what was read. [`FollowerSession::poll_event`] is then to be called until it has nothing more: what it has not taken is held.
    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        if self.phase != Phase::Closed {
            self.decoder.push(bytes);
        }
    }

    /// What the leader says next. After a violation there are no more events: close the connection.
    pub fn poll_event(&mut self) -> Result<Option<FollowerEvent>, Violation> {
        if self.phase == Phase::Closed {
            return Ok(None);
        }
        let event = match self.decoder.next_frame() {
            Ok(None) => return Ok(None),
            Ok(Some(frame)) => self.handle_frame(frame),
            Err(violation) => Err(violation),
        };
        if event.is_err() {
            self.close();
        }
        event.map(Some)
    }

    fn handle_frame(&mut self, frame: Frame) -> Result<FollowerEvent, Violation> {
        let kind = frame.kind();
        match (self.phase, frame) {
            (_, Frame::Sealed(sealed)) => Ok(FollowerEvent::Sealed(sealed)),
            (_, Frame::Refused(refusal)) => {
                self.close();
                Ok(FollowerEvent::Refused(refusal))
            }
            (Phase::Asking, Frame::Welcome(welcome)) => {
                self.was_welcomed = true;
                self.phase = Phase::Following;
                Ok(FollowerEvent::Welcome(welcome))
            }
            (Phase::Following, Frame::Batch { at, bytes }) => {
                self.check_next(&at)?;
                Ok(FollowerEvent::Batch { at, bytes })
            }
            (Phase::Following, Frame::Gap { from }) => {
                if from.batch < self.next {
                    return Err(fell(kind, self.next, from.batch));
                }
                self.phase = Phase::Gapped;
                Ok(FollowerEvent::Gap { from })
            }
            // Both may cross a Hello that follows a Gap.
            (Phase::Asking, Frame::Confirmed { position }) if self.was_welcomed => self.check_confirmed(position),
            (Phase::Asking, Frame::Final { position }) if self.was_welcomed => self.finished(position),
            (Phase::Following | Phase::Gapped, Frame::Confirmed { position }) => self.check_confirmed(position),
            (Phase::Following | Phase::Gapped, Frame::Final { position }) => self.finished(position),
            (
                Phase::Asking,
                Frame::Batch { .. } | Frame::Gap { .. } | Frame::Confirmed { .. } | Frame::Final { .. },
            ) => Err(out_of_order(kind, "Hello is answered with Welcome or Refused")),
            (Phase::Following, Frame::Welcome(_)) => Err(out_of_order(kind, "there was one already")),
            (Phase::Gapped, Frame::Welcome(_) | Frame::Batch { .. } | Frame::Gap { .. }) => {
                Err(out_of_order(kind, "behind Gap the leader waits for Hello"))
            }
            (
                Phase::Finished | Phase::Closed,
                Frame::Welcome(_)
                | Frame::Batch { .. }
                | Frame::Gap { .. }
                | Frame::Confirmed { .. }
                | Frame::Final { .. },
            ) => Err(out_of_order(kind, "Final was said")),
            (_, Frame::Hello(_) | Frame::Applied { .. }) => Err(Violation::WrongDirection { kind }),
        }
    }

    fn check_next(&mut self, at: &Position) -> Result<(), Violation> {
        if at.batch != self.next {
            return Err(Violation::WrongBatch {
                expected: self.next,
                found: at.batch,
            });
        }
        if self
            .previous_checksum
            .take()
            .is_some_and(|checksum| checksum != at.previous_checksum)
        {
            return Err(Violation::Diverged { batch: at.batch });
        }
        self.next = at.batch + 1;
        Ok(())
    }

    fn check_confirmed(&mut self, position: Position) -> Result<FollowerEvent, Violation> {
        self.rise(Kind::Confirmed, position)?;
        Ok(FollowerEvent::Confirmed { position })
    }

    fn finished(&mut self, position: Position) -> Result<FollowerEvent, Violation> {
        self.rise(Kind::Final, position)?;
        if position.batch < self.next {
            return Err(fell(Kind::Final, self.next, position.batch));
        }
        self.phase = Phase::Finished;
        Ok(FollowerEvent::Final { position })
    }

    fn rise(&mut self, kind: Kind, position: Position) -> Result<(), Violation> {
        if position.batch < self.confirmed {
            return Err(fell(kind, self.confirmed, position.batch));
        }
        self.confirmed = position.batch;
        Ok(())
    }

    /// Behind a *Gap*: asks for what comes from here on. At any other time it does nothing.
    pub fn say_hello(&mut self, from: Position) {
        if self.phase == Phase::Gapped {
            self.hello.from = from;
            (self.next, self.previous_checksum) = (from.batch, Some(from.previous_checksum));
            self.is_hello_due = true;
            self.phase = Phase::Asking;
        }
    }

    /// Says how far the engine is; only the newest is sent. Less than was said is left out.
    pub fn applied(&mut self, batch: u64) {
        if self.applied_said.is_none_or(|said| batch > said) {
            self.applied = Some(self.applied.map_or(batch, |waiting| waiting.max(batch)));
        }
    }

    /// Tells the other side that an epoch leads.
    pub fn announce(&mut self, sealed: Sealed) {
        self.sealed = Some(sealed);
    }

    /// The next bytes for the connection.
    pub fn poll_output(&mut self) -> Option<Bytes> {
        if self.phase == Phase::Closed {
            return None;
        }
        let mut out = BytesMut::new();
        if std::mem::take(&mut self.is_hello_due) {
            Frame::Hello(self.hello.clone()).encode(&mut out);
        }
        if let Some(sealed) = self.sealed.take() {
            Frame::Sealed(sealed).encode(&mut out);
        }
        if let Some(batch) = self.applied.take() {
            self.applied_said = Some(batch);
            Frame::Applied { batch }.encode(&mut out);
        }
        (!out.is_empty()).then(|| out.freeze())
    }

    /// The number of the next batch that the stream would bring.
    pub fn next_batch(&self) -> u64 {
        self.next
    }

    /// Bytes held that belong to no finished frame.
    pub fn buffered(&self) -> usize {
        self.decoder.buffered()
    }

    /// Whether the connection is to be closed.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    fn close(&mut self) {
        self.decoder.clear();
        self.phase = Phase::Closed;
    }
}

fn out_of_order(kind: Kind, phase: &'static str) -> Violation {
    Violation::OutOfOrder { kind, phase }
}

fn fell(kind: Kind, from: u64, to: u64) -> Violation {
    Violation::Fell { kind, from, to }
}
