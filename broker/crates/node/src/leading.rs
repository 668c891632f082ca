//! The commit loop of a leader and the procedures that run beside it.
//!
//! One procedure of a kind at a time: the heartbeat, the root's update, the next segment, the checkpoint with the deletion behind it. Each is a [`Task`] that is
//! polled at every turn. Invariants: a segment goes to the journal only after the root that announces it is in force; a checkpoint is written only from what is confirmed and used for deletion
//! only after the root that names it is in force.

use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use engine::{Engine, EngineTime};
use journal::{
    CheckpointError, CheckpointRequest, CheckpointSummary, Damage, Handled, Journal, JournalFailure, ReplayStart,
    Sends, UnreadPieces, Written,
};
use leadership::{Cell, Goodbye, GoodbyeReason, Heartbeat, Root, SEALED_URGENT};
use message::Epoch;
use mutant::Mutant;
use platform::{BootTime, DiskErrorKind, FileId, Files, Now, Task};
use record::{BatchPosition, CheckpointName, Image, SegmentNumber, Store};

use crate::claims;
use crate::clock::EngineClock;
use crate::deletion;
use crate::failure::Failure;
use crate::heartbeat;
use crate::segments::{self, Segment};
use crate::settings::Settings;
use crate::space::{self, SpaceWatch};
use crate::start::{OwnClaim, Started};

/// A leader's state.
pub(crate) struct Leading {
    pub(crate) files: Files,
    pub(crate) settings: Settings,
    pub(crate) claim: OwnClaim,
    reign: leadership::Reign,
    /// The root in force.
    pub(crate) root: Root,
    pub(crate) engine: Engine,
    pub(crate) journal: Journal,
    pub(crate) clock: EngineClock,
    /// When the newest heartbeat was issued behind which the fence was read open.
    fresh_since: BootTime,
    beats: u64,
    next_beat: BootTime,
    beat: Option<(BootTime, Task<Result<BootTime, Failure>>)>,
    /// The position in the newest beat that was issued.
    beaten: Option<BatchPosition>,
    /// Changes of the root that wait for the one in flight.
    changes: VecDeque<Change>,
    updating: Option<Update>,
    segment: Option<Task<Result<Segment, Failure>>>,
    /// Every segment in the directory, whoever made it: what the store takes of the disk.
    segments: BTreeSet<(Epoch, SegmentNumber)>,
    checkpoint: Checkpointing,
    /// What the two named checkpoints refer to, newest first.
    pub(crate) named: [Option<CheckpointSummary>; 2],
    /// Whether the older named checkpoint, which the start did not need, could be fallen back on.
    older_check: Option<OlderCheck>,
    next_checkpoint: u32,
    last_checkpoint: Mark,
    /// The last checkpoint found no space.
    checkpoint_refused: bool,
    /// Bytes of the history that were replayed at the start.
    replayed_bytes: u64,
    /// Full segments whose descriptors, and with them locks, are being closed.
    closing: Vec<Task<Result<(), Failure>>>,
    goodbye: Goodbyes,
    /// Space on the disk, and what follows from it.
    pub(crate) space: SpaceWatch,
    /// Worth telling the operator; taken by the node.
    pub(crate) warnings: Vec<String>,
}

/// Between two checkpoints while space is short.
const CHECKPOINT_INTERVAL_WHEN_FULL: Duration = Duration::from_secs(1);

/// While space is short, a checkpoint is taken at the latest when this share of a segment was written.
const CHECKPOINTS_PER_SEGMENT_WHEN_FULL: u64 = 8;

/// The pulse that a start hands over: two beats of one owner are never in flight together.
pub(crate) struct Pulse {
    /// When its newest beat was issued behind which the fence was read open; before the first, the claim.
    pub(crate) fresh_since: BootTime,
    pub(crate) beats: u64,
    pub(crate) in_flight: Option<Task<Result<BootTime, Failure>>>,
    pub(crate) next: BootTime,
}

/// A look at the older checkpoint under way; it comes to what is damaged there.
struct OlderCheck {
    name: CheckpointName,
    task: Task<Result<Option<Damage>, Failure>>,
}

/// An update of the root on its way: what will be in force, and what follows from that.
struct Update {
    root: Root,
    change: Change,
    task: Task<Result<(), Failure>>,
}

/// A change of the root.
enum Change {
    Announce(Segment),
    Name(Box<Written>),
}

/// One checkpoint at a time.
enum Checkpointing {
    Idle,
    /// The image is taken; what it has seen is not confirmed yet.
    Confirming {
        image: Image,
        start: ReplayStart,
    },
    Writing(Task<Result<Option<Written>, Failure>>),
    /// Waiting for the root that names it.
    Naming,
    Deleting(Task<Result<Vec<(Epoch, SegmentNumber)>, Failure>>),
}

/// Where the history stood when the last checkpoint was taken.
#[derive(Clone, Copy)]
struct Mark {
    at: BootTime,
    records: u64,
    bytes: u64,
}

/// The end of a reign in good order.
enum Goodbyes {
    NotAsked,
    /// Nothing new comes in; what is open is being confirmed.
    Draining,
    Writing(Task<Result<(), Failure>>),
}

impl Leading {
    pub(crate) fn new(
        files: Files,
        settings: Settings,
        started: Started,
        mut engine: Engine,
        pulse: Pulse,
        now: Now,
    ) -> Leading {
        let mut clock = EngineClock::start(now, started.engine_time);
        engine.recovered(clock.read(now));
        let mut journal = Journal::new(files.clone(), settings.journal, started.journal);
        let first = started.first_segment;
        let mut segments = started.segments;
        segments.insert((started.claim.epoch, first.number));
        journal.add_segment(first.number, first.file, first.length);
        let space = SpaceWatch::new(
            files.clone(),
            settings.journal.segment_bytes,
            settings.ballast_bytes,
            now,
        );
        let older_check = started.unread.map(|unread| OlderCheck {
            name: unread.checkpoint,
            task: Task::new(look_at_older(files.clone(), started.claim, unread)),
        });
        Leading {
            clock,
            older_check,
            warnings: Vec::new(),
            named: started.named,
            claim: started.claim,
            reign: started.reign,
            root: started.root,
            engine,
            fresh_since: pulse.fresh_since,
            beats: pulse.beats,
            next_beat: pulse.next,
            beaten: None,
            beat: pulse.in_flight.map(|task| (now.boot, task)),
            changes: VecDeque::new(),
            updating: None,
            segment: None,
            segments,
            checkpoint: Checkpointing::Idle,
            next_checkpoint: 1,
            last_checkpoint: Mark {
                at: now.boot,
                records: journal.confirmed().0 - started.replayed.0,
                bytes: 0,
            },
            replayed_bytes: started.replayed.1,
            checkpoint_refused: false,
            closing: Vec::new(),
            goodbye: Goodbyes::NotAsked,
            space,
            journal,
            files,
            settings,
        }
    }

    /// Lets everything go on as far as it can. `true` when a reign that was asked to end has ended.
    pub(crate) fn turn(&mut self, now: Now) -> Result<bool, Failure> {
        while let Some((id, completion)) = self.files.take() {
            match self.journal.handle(now, id, completion, &self.reign).map_err(failed)? {
                Handled::Progress => {}
                Handled::NotMine(completion) => {
                    unreachable!("only the journal submits without waiting: {completion:?}")
                }
            }
        }
        while let Some((token, result)) = self.journal.poll_read() {
            let time = self.clock.read(now);
            let result = result.map_err(|damaged| engine::Damaged {
                text: damaged.to_string(),
                message_id: damaged.message_id,
            });
            self.engine.loaded(time, token, result, &mut self.journal);
        }
        for (_, file) in self.journal.finished_segments() {
            self.closing.push(Task::new(close(self.files.clone(), file)));
        }
        let mut closed = Ok(());
        self.closing.retain_mut(|task| {
            task.poll().is_none_or(|result| {
                closed = closed.clone().and(result);
                false
            })
        });
        closed?;
        self.pulse(now)?;
        self.make_segment()?;
        self.checkpoint(now)?;
        self.check_older_checkpoint()?;
        self.update_root()?;
        self.watch_space(now)?;
        let time = self.clock.read(now);
        if self.engine.next_timeout().is_some_and(|at| at <= time) {
            self.engine.handle_timeout(time, &mut self.journal);
        }
        self.flush(now);
        self.stalls(now)?;
        self.say_goodbye()
    }

    /// Hands what was appended to the disk, as far as it is free.
    pub(crate) fn flush(&mut self, now: Now) {
        if self.root.sealed.len() < SEALED_URGENT || self.named.iter().all(Option::is_some) {
            let time = self.clock.read(now);
            self.journal.pump(now, time.0);
        }
    }

    /// Since when no sign of life was given, by the owner's own reckoning.
    pub(crate) fn fresh_since(&self) -> BootTime {
        self.fresh_since
    }

    /// Whether anything may leave.
    pub(crate) fn is_fresh(&self, now: Now) -> bool {
        now.boot.since(self.fresh_since) < self.settings.fence_fresh
    }

    /// When the next turn is due.
    pub(crate) fn next_deadline(&mut self, now: Now) -> Option<BootTime> {
        let time = self.clock.read(now);
        let engine = self
            .engine
            .next_timeout()
            .map(|at| now.boot + Duration::from_millis(at.0.saturating_sub(time.0)));
        let beat = (self.beat.is_none() && !matches!(self.goodbye, Goodbyes::Writing(_))).then_some(self.next_beat);
        let look = self.space.next_deadline();
        let stall = self
            .oldest_operation()
            .map(|since| since + self.settings.storage_stall_max);
        let checkpoint = matches!(self.checkpoint, Checkpointing::Idle)
            .then(|| self.last_checkpoint.at + self.checkpoint_interval())
            .filter(|at| *at > now.boot);
        [engine, beat, stall, checkpoint, look, self.journal.next_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Asks for a clean end: what is open is confirmed, then GOODBYE is written.
    pub(crate) fn resign(&mut self) {
        if matches!(self.goodbye, Goodbyes::NotAsked) {
            self.goodbye = Goodbyes::Draining;
        }
    }

    /// Whether a clean end was asked for.
    pub(crate) fn is_resigning(&self) -> bool {
        !matches!(self.goodbye, Goodbyes::NotAsked)
    }

    /// Since when the oldest disk operation that counts has been out.
    pub(crate) fn oldest_operation(&self) -> Option<BootTime> {
        let beat = self.beat.as_ref().map(|(since, _)| *since);
        [beat, self.journal.oldest_write_since()].into_iter().flatten().min()
    }

    fn stalls(&self, now: Now) -> Result<(), Failure> {
        match self.oldest_operation().map(|since| now.boot.since(since)) {
            Some(waited) if waited >= self.settings.storage_stall_max => Err(Failure::Stalled {
                seconds: waited.as_secs(),
            }),
            Some(_) | None => Ok(()),
        }
    }

    fn pulse(&mut self, now: Now) -> Result<(), Failure> {
        if let Some((_, task)) = &mut self.beat {
            let Some(result) = task.poll() else { return Ok(()) };
            self.beat = None;
            self.fresh_since = self.fresh_since.max(result?);
        }
        // No beat is issued after GOODBYE.
        if now.boot >= self.next_beat && !matches!(self.goodbye, Goodbyes::Writing(_)) {
            self.beats += 1;
            self.beaten = self.journal.confirmed_position();
            let heartbeat = Heartbeat {
                counter: self.beats,
                recovered_bytes: 0,
                confirmed: self.beaten,
            };
            let beat = heartbeat::beat(self.files.clone(), self.claim.file, self.claim.nonce, heartbeat);
            let mut task = Task::new(beat);
            if let Some(result) = task.poll() {
                self.fresh_since = self.fresh_since.max(result?);
            } else {
                self.beat = Some((now.boot, task));
            }
            self.next_beat = now.boot + self.settings.heartbeat_interval;
        }
        Ok(())
    }

    fn watch_space(&mut self, now: Now) -> Result<(), Failure> {
        if self.space.turn(now, self.journal.free_segments(), self.store_bytes())? {
            self.engine.set_store_full(space::shortage(self.space.sends));
        }
        Ok(())
    }

    fn make_segment(&mut self) -> Result<(), Failure> {
        if let Some(task) = &mut self.segment {
            let Some(result) = task.poll() else { return Ok(()) };
            self.segment = None;
            let segment = result?;
            self.segments.insert((self.claim.epoch, segment.number));
            self.changes.push_back(Change::Announce(segment));
        }
        let announcing = |change: &Change| matches!(change, Change::Announce(_));
        let under_way = self.changes.iter().any(announcing)
            || self.updating.as_ref().is_some_and(|update| announcing(&update.change));
        if !under_way && let Some(number) = self.journal.wants_segment() {
            let bytes = self.settings.journal.segment_bytes;
            let shortage = Rc::clone(&self.space.shortage);
            let making =
                segments::create_when_there_is_space(self.files.clone(), self.claim.epoch, number, bytes, shortage);
            self.segment = Some(Task::new(making));
        }
        Ok(())
    }

    fn update_root(&mut self) -> Result<(), Failure> {
        loop {
            if let Some(update) = &mut self.updating {
                let Some(result) = update.task.poll() else {
                    return Ok(());
                };
                result?;
                let update = self.updating.take().expect("it was just polled");
                self.root = update.root;
                self.in_force(update.change);
            }
            let Some(change) = self.changes.pop_front() else {
                return Ok(());
            };
            let mut root = self.root.clone();
            root.update += 1;
            match &change {
                Change::Announce(segment) => root.highest_segment = segment.number,
                Change::Name(written) => {
                    let older = self.named[0].as_ref();
                    root.checkpoints = [Some(written.summary.name), older.map(|older| older.name)];
                    root.sealed = journal::needed_seals(&root.sealed, older);
                }
            }
            let (files, file, next) = (self.files.clone(), self.claim.file, root.clone());
            let task = Task::new(async move { crate::root::write(&files, file, &next).await });
            self.updating = Some(Update { root, change, task });
        }
    }

    fn in_force(&mut self, change: Change) {
        match change {
            Change::Announce(segment) => self.journal.add_segment(segment.number, segment.file, segment.length),
            Change::Name(written) => {
                self.checkpoint_refused = false;
                self.engine.stored(&written.references);
                self.named = [Some(written.summary), self.named[0].take()];
                let plan = deletion::Plan {
                    claim: self.claim,
                    named: self.named.clone(),
                    being_read: self.journal.segments_being_read(),
                };
                self.checkpoint = Checkpointing::Deleting(Task::new(deletion::delete(self.files.clone(), plan)));
            }
        }
    }

    fn checkpoint(&mut self, now: Now) -> Result<(), Failure> {
        loop {
            match &mut self.checkpoint {
                Checkpointing::Idle => {
                    if !self.checkpoint_is_due(now) {
                        return Ok(());
                    }
                    self.last_checkpoint = self.mark(now);
                    self.checkpoint = Checkpointing::Confirming {
                        start: self.journal.replay_start(),
                        image: self.engine.image(),
                    };
                }
                Checkpointing::Confirming { image, start } => {
                    if !self.journal.is_confirmed(image.through, start) && !Mutant::CheckpointOfUnconfirmed.is_at_work()
                    {
                        return Ok(());
                    }
                    let name = CheckpointName {
                        epoch: self.claim.epoch,
                        number: self.next_checkpoint,
                    };
                    self.next_checkpoint += 1;
                    let request = CheckpointRequest {
                        name,
                        image: image.clone(),
                        start: *start,
                        engine_time: self.clock.read(now).0,
                        owners: self.journal.owners().clone(),
                        previous: self.named[0].clone(),
                    };
                    self.checkpoint = Checkpointing::Writing(Task::new(write_checkpoint(self.files.clone(), request)));
                }
                Checkpointing::Writing(task) => match task.poll() {
                    None => return Ok(()),
                    Some(Ok(Some(written))) => {
                        self.changes.push_back(Change::Name(Box::new(written)));
                        self.checkpoint = Checkpointing::Naming;
                    }
                    Some(Ok(None)) => {
                        self.checkpoint_refused = true;
                        self.space.ballast_was_released();
                        self.checkpoint = Checkpointing::Idle
                    }
                    Some(Err(failure)) => return Err(failure),
                },
                Checkpointing::Naming => return Ok(()),
                Checkpointing::Deleting(task) => {
                    let Some(result) = task.poll() else { return Ok(()) };
                    for gone in result? {
                        self.segments.remove(&gone);
                    }
                    // A descriptor that is left open would keep the space of a file that is gone.
                    if let [Some(newer), Some(older)] = &self.named {
                        self.journal
                            .forget_segments(|number| !newer.needs(number) && !older.needs(number));
                    }
                    self.checkpoint = Checkpointing::Idle;
                }
            }
        }
    }

    /// The start did not wait for this: what is found is told as long as that checkpoint is named.
    fn check_older_checkpoint(&mut self) -> Result<(), Failure> {
        let Some(OlderCheck { name, task }) = &mut self.older_check else {
            return Ok(());
        };
        let Some(result) = task.poll() else { return Ok(()) };
        let name = *name;
        self.older_check = None;
        // Once it is no longer named, its files may be gone.
        if let Some(damage) = result?
            && self.named[1].as_ref().is_some_and(|older| older.name == name)
        {
            self.warnings
                .push(journal::Warning::OlderCheckpointUnusable { name, damage }.to_string());
        }
        Ok(())
    }

    fn mark(&self, now: Now) -> Mark {
        Mark {
            at: now.boot,
            records: self.journal.appended().0,
            bytes: self.replayed_bytes + self.journal.bytes_written(),
        }
    }

    fn checkpoint_is_due(&self, now: Now) -> bool {
        let (last, next) = (self.last_checkpoint, self.mark(now));
        let has_passed = now.boot.since(last.at) >= self.checkpoint_interval();
        if self.lacks_space() {
            // Only a checkpoint lets segments go, and only when both named ones lie beyond them. So none waits for a record that nobody can send, and none is late: once the last segment is
            // full of acknowledgements, what they let go could not be confirmed any more.
            let share = u64::from(self.settings.journal.segment_bytes) / CHECKPOINTS_PER_SEGMENT_WHEN_FULL;
            let is_urgent = self.another_lets_segments_go() || next.bytes - last.bytes >= share;
            return !self.is_held_twice() && (has_passed || is_urgent && !self.checkpoint_refused);
        }
        if self.root.sealed.len() >= SEALED_URGENT / 2 && self.named.iter().any(Option::is_none) {
            return true;
        }
        next.records > last.records
            && (has_passed
                || next.records - last.records >= self.settings.checkpoint_records
                || next.bytes - last.bytes >= self.settings.checkpoint_bytes)
    }

    /// Time between two checkpoints.
    fn checkpoint_interval(&self) -> Duration {
        if self.lacks_space() {
            self.settings.checkpoint_interval.min(CHECKPOINT_INTERVAL_WHEN_FULL)
        } else {
            self.settings.checkpoint_interval
        }
    }

    /// Whether space is short: for persistent sends, or for the last checkpoint.
    fn lacks_space(&self) -> bool {
        let sends_stopped = match self.space.sends {
            Sends::GoOn => false,
            Sends::BelowWatermark | Sends::StoreLimit | Sends::LastSegment => true,
        };
        sends_stopped || self.checkpoint_refused
    }

    /// Whether the newer checkpoint needs fewer segments than the older one, which another would replace.
    fn another_lets_segments_go(&self) -> bool {
        match &self.named {
            [Some(newer), Some(older)] => newer.needs_less_than(older),
            [Some(_), None] => true,
            [None, _] => false,
        }
    }

    /// Whether both named checkpoints hold every record: then another one would let nothing go.
    fn is_held_twice(&self) -> bool {
        let older = self.named[1].as_ref();
        older.is_some_and(|older| older.through >= self.journal.appended())
    }

    fn say_goodbye(&mut self) -> Result<bool, Failure> {
        match &mut self.goodbye {
            Goodbyes::NotAsked => Ok(false),
            Goodbyes::Draining => {
                let confirmed = self.journal.confirmed() >= self.journal.appended();
                if !confirmed || self.beat.is_some() || self.updating.is_some() {
                    return Ok(false);
                }
                // The last word on how far the log goes: behind a goodbye no later batch or beat will say it.
                if self.beaten != self.journal.confirmed_position() {
                    self.next_beat = BootTime(0);
                    return Ok(false);
                }
                let cell = Goodbye(GoodbyeReason::Stopped).encode(self.claim.nonce);
                let (files, file) = (self.files.clone(), self.claim.file);
                let task = Task::new(async move { claims::write_cell(&files, file, Cell::Goodbye, cell).await });
                self.goodbye = Goodbyes::Writing(task);
                self.say_goodbye()
            }
            Goodbyes::Writing(task) => match task.poll() {
                None => Ok(false),
                Some(result) => result.map(|()| true),
            },
        }
    }

    /// Bytes of the segments that exist, and of the ballast if there is one.
    pub(crate) fn store_bytes(&self) -> u64 {
        self.segments.len() as u64 * u64::from(self.settings.journal.segment_bytes) + self.space.ballast_taken()
    }

    /// Engine time now.
    pub(crate) fn time(&mut self, now: Now) -> EngineTime {
        self.clock.read(now)
    }
}

fn failed(failure: JournalFailure) -> Failure {
    match failure {
        JournalFailure::Fenced { by } => Failure::Fenced { by },
        JournalFailure::Io(error) => Failure::Disk(error),
    }
}

/// What is damaged of the older checkpoint's own pieces. Before that is believed, the fence is read: a successor deletes what this leader still names.
async fn look_at_older(files: Files, claim: OwnClaim, unread: UnreadPieces) -> Result<Option<Damage>, Failure> {
    match journal::check_pieces(files.clone(), unread).await {
        Ok(()) => Ok(None),
        Err(CheckpointError::Io(error)) => Err(Failure::Disk(error)),
        Err(CheckpointError::Damaged(damage)) => {
            heartbeat::read_own_fence(&files, claim.file, claim.nonce).await?;
            Ok(Some(damage))
        }
    }
}

/// Writes a checkpoint. Without space for it there is none (`None`), and the ballast's space is given back for the next.
async fn write_checkpoint(files: Files, request: CheckpointRequest) -> Result<Option<Written>, Failure> {
    match journal::write_checkpoint(files.clone(), request).await {
        Ok(written) => Ok(Some(written)),
        Err(error) if error.kind == DiskErrorKind::NoSpace => {
            segments::release_ballast(&files).await?;
            Ok(None)
        }
        Err(error) => Err(Failure::Disk(error)),
    }
}

async fn close(files: Files, file: FileId) -> Result<(), Failure> {
    files.close(file).await.map_err(Failure::Disk)
}
