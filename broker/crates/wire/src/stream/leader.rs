//! The side that accepted a connection: serves one follower, or hears an announcement.
//!
//! ```text
//!            Hello             welcome                falls behind            room               Hello
//! Opening ──────────► Asked ──────────► Following ──────────────────► Behind ──────► Gapped ──────────► Asked
//!    └── Sealed ──► Closing ◄── refuse, a violation ── any              └───────┴── finish ──► Finished
//! ```
//! A follower falls behind when more waits for it than [`LeaderSettings::queue_bytes_max`], or when what it wants was never offered. What waits is then dropped, and a *Gap* goes out as soon as the connection takes bytes
//! again, naming the newest place known at that moment.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::frame::{BATCH_BYTES_MAX, BATCH_HEAD_BYTES, Direction, Frame, Hello, Reason, Refusal, Sealed, Welcome};
use super::{Decoder, Nonce, PIECE_BYTES, Position, Violation};

/// A batch up to this many bytes is copied into a piece with its neighbours; a longer one is handed out as it is, shared.
const GATHERED_BYTES_MAX: usize = 16 << 10;

/// What one follower may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderSettings {
    /// Bytes of batches that may wait for it, what each costs beside its bytes included. One batch may always wait, however large.
    pub queue_bytes_max: usize,
}

impl Default for LeaderSettings {
    fn default() -> LeaderSettings {
        LeaderSettings {
            queue_bytes_max: 8 << 20,
        }
    }
}

/// What the other side wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaderEvent {
    /// A follower asks to be served: to be answered with [`LeaderSession::welcome`] or [`LeaderSession::refuse`], and then with every batch that is held from `from` on.
    Hello(Hello),
    /// How far its engine is; rises.
    Applied {
        /// The last batch.
        batch: u64,
    },
    /// Somebody says that an epoch leads. A process whose own epoch is lower ends.
    Sealed(Sealed),
}

/// A follower, for status and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderReport {
    /// Its nonce as a member.
    pub member: Nonce,
    /// Its host.
    pub host: String,
    /// Whether batches go to it; else it reads the files, or has not been welcomed yet.
    pub is_following: bool,
    /// The last batch that its engine has applied, as it says; 0: none.
    pub applied: u64,
    /// The last batch that is known here to be confirmed. The difference is its lag.
    pub confirmed: u64,
    /// Bytes of batches that wait for it.
    pub queued_bytes: usize,
    /// How often it fell behind.
    pub gaps: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Waits for the first frame.
    Opening,
    /// *Hello* was read and is being answered.
    Asked,
    /// Batches go to it.
    Following,
    /// It takes too little; *Gap* goes out when there is room.
    Behind,
    /// *Gap* is on its way; it will say *Hello* again.
    Gapped,
    /// *Final* is on its way, or was said.
    Finished,
    /// Everything is said, or about to be.
    Closing,
}

#[derive(Debug)]
enum Queued {
    Welcome(Welcome),
    Batch { at: Position, bytes: Bytes },
}

/// What is known of the follower since its first *Hello*.
#[derive(Debug)]
struct Follower {
    member: Nonce,
    host: String,
    /// Where the next batch for it begins; its checksum is compared once, with the first batch behind a *Hello*.
    next: u64,
    previous_checksum: Option<u32>,
    /// The furthest place that was confirmed, as far as this session heard of it.
    newest: Position,
    /// The last batch that was confirmed, as far as this session heard of it.
    confirmed: u64,
    applied: u64,
}

/// One connection that was accepted: bytes and batches in, events and bytes out.
#[derive(Debug)]
pub struct LeaderSession {
    settings: LeaderSettings,
    phase: Phase,
    decoder: Decoder,
    follower: Option<Follower>,
    was_welcomed: bool,
    queue: VecDeque<Queued>,
    /// What the batches of the queue and `under_way` cost.
    queued_bytes: usize,
    /// The rest of a large batch whose head went out.
    under_way: Bytes,
    /// A sign of life that is due.
    beat: Option<Position>,
    last_beat: Option<Position>,
    last_word: Option<Position>,
    sealed: Option<Sealed>,
    refusal: Option<Refusal>,
    gaps: u64,
}

impl LeaderSession {
    /// A session for a connection that was just accepted.
    pub fn new(settings: LeaderSettings) -> LeaderSession {
        LeaderSession {
            settings,
            phase: Phase::Opening,
            decoder: Decoder::new(Direction::ToLeader),
            follower: None,
            was_welcomed: false,
            queue: VecDeque::new(),
            queued_bytes: 0,
            under_way: Bytes::new(),
            beat: None,
            last_beat: None,
            last_word: None,
            sealed: None,
            refusal: None,
            gaps: 0,
        }
    }

    /// Takes what was read. [`LeaderSession::poll_event`] is then to be called until it has nothing more.
    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        if self.phase != Phase::Closing {
            self.decoder.push(bytes);
        }
    }

    /// What the other side wants next. After a violation, which the other side is told of, there are no more events: send what [`LeaderSession::poll_output`] still has, and close.
    pub fn poll_event(&mut self) -> Result<Option<LeaderEvent>, Violation> {
        while self.phase != Phase::Closing {
            let event = match self.decoder.next_frame() {
                Ok(Some(frame)) => self.handle_frame(frame),
                Ok(None) => return Ok(None),
                Err(violation) => Err(violation),
            };
            match event {
                Ok(None) => {}
                Ok(Some(event)) => return Ok(Some(event)),
                Err(violation) => {
                    let reason = if matches!(violation, Violation::Version { .. }) {
                        Reason::Protocol
                    } else {
                        Reason::Violation
                    };
                    self.refuse(reason, &violation.to_string());
                    return Err(violation);
                }
            }
        }
        Ok(None)
    }

    fn handle_frame(&mut self, frame: Frame) -> Result<Option<LeaderEvent>, Violation> {
        let kind = frame.kind();
        let out_of_order = |phase| Err(Violation::OutOfOrder { kind, phase });
        match (self.phase, frame) {
            (Phase::Opening, Frame::Hello(hello)) | (Phase::Gapped, Frame::Hello(hello)) => {
                self.asked(&hello);
                Ok(Some(LeaderEvent::Hello(hello)))
            }
            // It said so before it heard that this is the end.
            (Phase::Finished, Frame::Hello(_)) => Ok(None),
            (Phase::Asked, Frame::Hello(_)) => out_of_order("the Hello before it is not answered"),
            (Phase::Following | Phase::Behind, Frame::Hello(_)) => {
                out_of_order("it is being served, and no Gap was said")
            }
            (Phase::Opening, Frame::Applied { .. }) => out_of_order("the first frame is Hello or Sealed"),
            (
                Phase::Asked | Phase::Following | Phase::Behind | Phase::Gapped | Phase::Finished,
                Frame::Applied { batch },
            ) => self.applied(batch),
            (phase, Frame::Sealed(sealed)) => {
                if phase == Phase::Opening {
                    self.close();
                }
                Ok(Some(LeaderEvent::Sealed(sealed)))
            }
            (Phase::Closing, _) => Ok(None),
            (
                _,
                Frame::Welcome(_)
                | Frame::Batch { .. }
                | Frame::Confirmed { .. }
                | Frame::Gap { .. }
                | Frame::Final { .. }
                | Frame::Refused(_),
            ) => Err(Violation::WrongDirection { kind }),
        }
    }

    fn asked(&mut self, hello: &Hello) {
        let known = self.follower.take();
        let newest = known
            .as_ref()
            .map_or(hello.from, |known| later(known.newest, hello.from));
        let confirmed = known.as_ref().map_or(0, |known| known.confirmed);
        self.follower = Some(Follower {
            member: hello.member,
            host: hello.host.clone(),
            next: hello.from.batch,
            previous_checksum: Some(hello.from.previous_checksum),
            newest,
            confirmed: confirmed.max(hello.from.last_batch()),
            applied: known.map_or(0, |known| known.applied),
        });
        self.phase = Phase::Asked;
    }

    fn applied(&mut self, batch: u64) -> Result<Option<LeaderEvent>, Violation> {
        let Some(follower) = &mut self.follower else {
            return Ok(None);
        };
        if batch < follower.applied {
            return Err(Violation::Fell {
                kind: super::Kind::Applied,
                from: follower.applied,
                to: batch,
            });
        }
        if batch > follower.confirmed {
            return Err(Violation::AppliedAhead {
                told: follower.confirmed,
                applied: batch,
            });
        }
        follower.applied = batch;
        Ok(Some(LeaderEvent::Applied { batch }))
    }

    /// Agrees to serve. Without a *Hello* that waits for an answer it does nothing.
    pub fn welcome(&mut self, welcome: Welcome) {
        if self.phase == Phase::Asked {
            self.queue.push_back(Queued::Welcome(welcome));
            self.was_welcomed = true;
            self.phase = Phase::Following;
        }
    }

    /// Offers a batch that is confirmed. What the follower has already, or cannot use yet because something before it is missing, is left out: so whoever answers a *Hello* offers all that it holds, in order, and from then on
    /// each batch when it is confirmed. An error says that the follower has another history; it is told, and the session ends.
    pub fn offer(&mut self, at: Position, bytes: Bytes) -> Result<(), Violation> {
        assert!(
            !bytes.is_empty() && bytes.len() <= BATCH_BYTES_MAX as usize,
            "a batch has between 1 byte and BATCH_BYTES_MAX"
        );
        let Some(follower) = &mut self.follower else {
            return Ok(());
        };
        follower.newest = later(follower.newest, at);
        follower.confirmed = follower.confirmed.max(at.batch);
        if self.phase != Phase::Following || at.batch < follower.next {
            return Ok(());
        }
        if at.batch > follower.next {
            self.fall_behind();
            return Ok(());
        }
        if follower
            .previous_checksum
            .take()
            .is_some_and(|checksum| checksum != at.previous_checksum)
        {
            let violation = Violation::Diverged { batch: at.batch };
            self.refuse(Reason::Diverged, &violation.to_string());
            return Err(violation);
        }
        follower.next = at.batch + 1;
        if !self.has_room(bytes.len()) {
            self.fall_behind();
            return Ok(());
        }
        self.queued_bytes += cost(&bytes);
        self.queue.push_back(Queued::Batch { at, bytes });
        Ok(())
    }

    /// The number of the next batch for the follower, if batches go to it. With [`LeaderSession::has_room`] whoever holds many can offer them as the follower takes them, instead of all at once.
    pub fn next_batch(&self) -> Option<u64> {
        let follower = self.follower.as_ref()?;
        (self.phase == Phase::Following).then_some(follower.next)
    }

    /// Whether a batch of this length can be offered without the follower falling behind.
    pub fn has_room(&self, length: usize) -> bool {
        self.queued_bytes == 0 || self.queued_bytes + length + BATCH_COST <= self.settings.queue_bytes_max
    }

    /// Says that everything before a place is confirmed: a sign of life, and for a follower that was offered less the reason to read the files. Called after what was confirmed has been offered, at least every 500 ms.
    pub fn confirmed(&mut self, position: Position) {
        let Some(follower) = &mut self.follower else {
            return;
        };
        follower.newest = later(follower.newest, position);
        follower.confirmed = follower.confirmed.max(position.last_batch());
        match self.phase {
            Phase::Opening | Phase::Finished | Phase::Closing => return,
            Phase::Following if position.batch > follower.next => self.fall_behind(),
            Phase::Asked | Phase::Following | Phase::Behind | Phase::Gapped => {}
        }
        self.beat = Some(self.not_before_last_beat(position));
        self.last_beat = self.beat;
    }

    /// What is said to be confirmed never falls.
    fn not_before_last_beat(&self, position: Position) -> Position {
        self.last_beat.map_or(position, |last| later(last, position))
    }

    /// Hand-over: what waits goes out, then this place as the last word. Whatever of it a follower has not got by then, also because it fell behind, is for it to read from the files. One that was not welcomed is refused.
    pub fn finish(&mut self, position: Position) {
        if !self.was_welcomed {
            self.refuse(
                Reason::Stopping,
                "The leader hands over. Look up who leads, and ask there.",
            );
            return;
        }
        if self.phase == Phase::Closing || self.phase == Phase::Finished {
            return;
        }
        self.beat = None;
        self.last_word = Some(self.not_before_last_beat(position));
        self.phase = Phase::Finished;
    }

    /// Tells the other side that an epoch leads, ahead of everything that waits.
    pub fn announce(&mut self, sealed: Sealed) {
        if self.phase != Phase::Closing {
            self.sealed = Some(sealed);
        }
    }

    /// Ends it: nothing that waits goes out, but this.
    pub fn refuse(&mut self, reason: Reason, text: &str) {
        if self.phase != Phase::Closing {
            self.close();
            self.refusal = Some(Refusal {
                reason,
                text: text.to_string(),
            });
        }
    }

    fn close(&mut self) {
        self.drop_batches();
        self.queue.clear();
        self.decoder.clear();
        (self.beat, self.last_word, self.sealed) = (None, None, None);
        self.phase = Phase::Closing;
    }

    fn fall_behind(&mut self) {
        self.drop_batches();
        self.gaps += 1;
        self.phase = Phase::Behind;
    }

    /// But what is left of the batch under way: the frame has to end.
    fn drop_batches(&mut self) {
        self.queue.retain(|queued| match queued {
            Queued::Welcome(_) => true,
            Queued::Batch { .. } => false,
        });
        self.queued_bytes = if self.under_way.is_empty() {
            0
        } else {
            cost(&self.under_way)
        };
    }

    /// The next bytes for the connection; to be called when it takes some. Small frames are gathered, a large batch is handed out in slices that share its memory.
    pub fn poll_output(&mut self) -> Option<Bytes> {
        if !self.under_way.is_empty() {
            let piece = self.under_way.split_to(self.under_way.len().min(PIECE_BYTES));
            self.queued_bytes -= piece.len();
            if self.under_way.is_empty() {
                self.queued_bytes -= BATCH_COST;
                self.under_way = Bytes::new();
            }
            return Some(piece);
        }
        let mut out = BytesMut::new();
        while out.len() < PIECE_BYTES && self.under_way.is_empty() {
            let Some(frame) = self.next_frame() else { break };
            frame.encode_head(&mut out);
            if let Frame::Batch { bytes, .. } = frame {
                if bytes.len() > GATHERED_BYTES_MAX {
                    self.under_way = bytes;
                } else {
                    out.extend_from_slice(&bytes);
                    self.queued_bytes -= cost(&bytes);
                }
            }
        }
        (!out.is_empty()).then(|| out.freeze())
    }

    fn next_frame(&mut self) -> Option<Frame> {
        if let Some(refusal) = self.refusal.take() {
            return Some(Frame::Refused(refusal));
        }
        if let Some(sealed) = self.sealed.take() {
            return Some(Frame::Sealed(sealed));
        }
        if let Some(queued) = self.queue.pop_front() {
            return Some(match queued {
                Queued::Welcome(welcome) => Frame::Welcome(welcome),
                Queued::Batch { at, bytes } => Frame::Batch { at, bytes },
            });
        }
        if self.phase == Phase::Behind
            && let Some(follower) = &self.follower
        {
            self.phase = Phase::Gapped;
            return Some(Frame::Gap { from: follower.newest });
        }
        if self.was_welcomed
            && let Some(position) = self.beat.take()
        {
            return Some(Frame::Confirmed { position });
        }
        let position = self.last_word.take()?;
        Some(Frame::Final { position })
    }

    /// Bytes of batches that wait, what each costs beside its bytes included.
    pub fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Whether the connection is to be closed: nothing more will be said.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closing && self.refusal.is_none() && self.under_way.is_empty()
    }

    /// Whether everything up to *Final* went out.
    pub fn is_finished(&self) -> bool {
        self.phase == Phase::Finished && self.last_word.is_none() && self.under_way.is_empty()
    }

    /// The follower, once it said *Hello*.
    pub fn report(&self) -> Option<LeaderReport> {
        let follower = self.follower.as_ref()?;
        Some(LeaderReport {
            member: follower.member,
            host: follower.host.clone(),
            is_following: self.phase == Phase::Following,
            applied: follower.applied,
            confirmed: follower.confirmed,
            queued_bytes: self.queued_bytes,
            gaps: self.gaps,
        })
    }
}

/// What a batch that waits costs beside its bytes.
const BATCH_COST: usize = size_of::<Queued>() + BATCH_HEAD_BYTES;

fn cost(bytes: &Bytes) -> usize {
    bytes.len() + BATCH_COST
}

fn later(left: Position, right: Position) -> Position {
    let order = |position: &Position| (position.batch, position.epoch, position.segment, position.offset);
    if order(&right) > order(&left) { right } else { left }
}
