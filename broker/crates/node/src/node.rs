//! The node: sessions, engine, store and leadership in one loop, without a socket or a thread of its own.
//!
//! Whoever owns it calls [`Node::turn`] when the disk has completed something or a deadline has passed, and moves bytes. What it must be asked before each write to a
//! socket is [`Node::may_send`]: fresh or silent.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use engine::{AdminAnswer, AdminCommand, AdminRequest, Effect, Engine, Waiting};
use leadership::Addresses;
use message::{ConnectionId, Epoch, Sequence};
use mutant::Mutant;
use platform::{BootTime, Disk, Files, Now, ProcessIdentity, Random, Task};
use record::{Nonce, Store};
use wire::stomp::Session;

use crate::admin::Answers;
use crate::failure::Failure;
use crate::heartbeat;
use crate::leading::{Leading, Pulse};
use crate::peers::{Peer, Peers};
use crate::settings::Settings;
use crate::start::{self, StartContext, StartProgress, Started};
use crate::unfinished::{self, Unfinished};

/// Unconfirmed bytes from which on nothing more is read from clients.
const UNCONFIRMED_BYTES_MAX: usize = 64 << 20;

/// Warnings that status repeats.
const WARNINGS_MAX: usize = 20;

/// Places that one warning names.
const PLACES_SHOWN_MAX: usize = 10;

/// Between two warnings that sends or large frames wait, however often they begin to (ActiveMQ's `blockedProducerWarningInterval`).
const WAITING_WARNING_INTERVAL: Duration = Duration::from_secs(30);

/// A turn that comes this much after the one before: the process was stopped, or starved.
const OVERSLEPT: Duration = Duration::from_secs(1);

/// For so long after that, clients' bytes are read before anybody's silence counts.
const READ_FIRST: Duration = Duration::from_millis(200);

/// Who a node is.
#[derive(Clone, Debug)]
pub struct NodeIdentity {
    /// The process that runs it.
    pub process: ProcessIdentity,
    /// Where it can be reached.
    pub addresses: Addresses,
    /// Its version, for people and clients.
    pub version: String,
}

/// One broker process's part of a group.
pub struct Node {
    pub(crate) files: Files,
    pub(crate) settings: Settings,
    pub(crate) identity: NodeIdentity,
    pub(crate) phase: Phase,
    progress: Rc<RefCell<StartProgress>>,
    recovering: Rc<RefCell<Option<Engine>>>,
    start_beat: Option<Task<Result<BootTime, Failure>>>,
    next_start_beat: BootTime,
    start_beats: u64,
    /// When the newest of them was issued behind which the fence was read open.
    start_fresh: Option<BootTime>,
    pub(crate) peers: Peers,
    pub(crate) unfinished: Unfinished,
    next_connection: u64,
    /// Connections that may have output; what was held back for want of freshness is among them.
    ready: BTreeSet<ConnectionId>,
    pub(crate) notices: Vec<Notice>,
    /// Warnings given so far, for status; the first few.
    pub(crate) warned: Vec<String>,
    pub(crate) since: Now,
    last_turn: BootTime,
    /// No session is timed out before: what clients sent while this process was stopped must be read first.
    timeouts_from: BootTime,
    answers: Answers,
    clock_refused: bool,
    /// Somebody waits for space.
    is_waiting: bool,
    next_waiting_warning: BootTime,
    /// Large frames wait for memory that others take.
    is_scarce: bool,
    next_scarce_warning: BootTime,
    /// Messages delivered at once whose senders asked for another time.
    pub(crate) unscheduled: u64,
}

/// Where a node stands.
pub(crate) enum Phase {
    Starting(Task<Result<Started, Failure>>),
    Leading(Box<Leading>),
    Ended(End),
}

/// How a node ended.
#[derive(Clone, Debug)]
pub enum End {
    /// It was asked to, and everything that was open is confirmed.
    Stopped,
    /// For a reason of its own.
    Failed(Failure),
}

/// What earlier epochs set aside and nobody has purged.
fn still_set_aside(engine: &Engine) -> Option<String> {
    let mut count = 0;
    let mut places = Vec::new();
    for (label, messages) in engine.set_aside() {
        count += messages;
        places.push(format!("{messages} in {label}"));
    }
    let more = places.len().saturating_sub(PLACES_SHOWN_MAX);
    places.truncate(PLACES_SHOWN_MAX);
    if more > 0 {
        places.push(format!("the rest in {more} others"));
    }
    (count > 0).then(|| {
        format!(
            "damaged messages that were set aside earlier are still there and not delivered, {count} in all: {}; docs/operating.md says what can be done",
            places.join(", ")
        )
    })
}

/// What those lack who wait.
fn scarce(waiting: Waiting) -> &'static str {
    match (waiting.store > 0, waiting.memory > 0) {
        (true, true) => "the store and the memory for messages that are not persistent are full",
        (true, false) => "the store is full",
        (false, _) => "the memory for messages that are not persistent is full (limits.volatile_bytes_max)",
    }
}

/// Something that the operator should hear; logged once by whoever owns the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It leads from now on.
    Leads {
        /// Its epoch.
        epoch: Epoch,
    },
    /// Something is not as it should be, and service goes on.
    Warning(String),
    /// A person is needed, and service goes on.
    Error(String),
}

impl Node {
    /// A node that begins to start at its first turn.
    pub fn new(
        disk: Box<dyn Disk>,
        settings: Settings,
        identity: NodeIdentity,
        random: &mut dyn Random,
        now: Now,
    ) -> Node {
        let files = Files::new(disk, now);
        let progress = Rc::new(RefCell::new(StartProgress {
            phase: "starting",
            ..StartProgress::default()
        }));
        let recovering = Rc::new(RefCell::new(None));
        let context = StartContext {
            files: files.clone(),
            settings: settings.clone(),
            process: identity.process.clone(),
            addresses: identity.addresses.clone(),
            version: identity.version.clone(),
            nonce: Nonce(random.nonce()),
            progress: Rc::clone(&progress),
            engine: Rc::clone(&recovering),
        };
        let unfinished = Unfinished::new(unfinished::Bounds {
            bytes_max: settings.unfinished_bytes_max,
            frame_bytes_max: settings.stomp.frame.frame_bytes_max as usize,
            progress_within: settings.unfinished_progress_within,
        });
        Node {
            files,
            settings,
            identity,
            phase: Phase::Starting(Task::new(start::start(context))),
            progress,
            recovering,
            start_beat: None,
            next_start_beat: BootTime(0),
            start_beats: 0,
            start_fresh: None,
            peers: Peers::default(),
            unfinished,
            next_connection: 1,
            ready: BTreeSet::new(),
            notices: Vec::new(),
            warned: Vec::new(),
            since: now,
            last_turn: now.boot,
            timeouts_from: now.boot,
            answers: Answers::default(),
            clock_refused: false,
            is_waiting: false,
            next_waiting_warning: now.boot,
            is_scarce: false,
            next_scarce_warning: now.boot,
            unscheduled: 0,
        }
    }

    /// Lets everything go on as far as it can.
    pub fn turn(&mut self, now: Now) {
        self.files.turn(now);
        if now.boot.since(self.last_turn) > OVERSLEPT {
            self.timeouts_from = now.boot + READ_FIRST;
        }
        self.last_turn = now.boot;
        let result = match &mut self.phase {
            Phase::Starting(task) => match task.poll() {
                None => self.beat_while_starting(now),
                Some(Ok(started)) => {
                    self.lead(started, now);
                    return self.turn(now);
                }
                Some(Err(failure)) => Err(failure),
            },
            Phase::Leading(leading) => match leading.turn(now) {
                Ok(false) => Ok(()),
                Ok(true) => return self.phase = Phase::Ended(End::Stopped),
                Err(failure) => Err(failure),
            },
            Phase::Ended(_) => return,
        };
        let passing = std::mem::take(&mut self.progress.borrow_mut().notices);
        self.notices.extend(passing.into_iter().map(Notice::Warning));
        let mut warnings = std::mem::take(&mut self.progress.borrow_mut().warnings);
        if let Phase::Leading(leading) = &mut self.phase {
            warnings.append(&mut leading.warnings);
        }
        self.warned.extend(
            warnings
                .iter()
                .take(WARNINGS_MAX - self.warned.len().min(WARNINGS_MAX))
                .cloned(),
        );
        self.notices.extend(warnings.into_iter().map(Notice::Warning));
        if let Err(failure) = result {
            return self.fail(failure);
        }
        self.time_out_sessions(now);
        self.settle(now);
    }

    /// From here on nothing is confirmed and nothing leaves.
    fn fail(&mut self, failure: Failure) {
        self.phase = Phase::Ended(End::Failed(failure));
    }

    fn lead(&mut self, started: Started, now: Now) {
        let engine = self
            .recovering
            .borrow_mut()
            .take()
            .expect("a finished start has recovered an engine");
        let epoch = started.claim.epoch;
        let fresh_since = self.start_fresh.unwrap_or(self.progress.borrow().claimed_at);
        self.notices.push(Notice::Leads { epoch });
        // Status has the number at every moment; the log says it once for each start.
        self.notices.extend(still_set_aside(&engine).map(Notice::Warning));
        self.since = now;
        self.phase = Phase::Leading(Box::new(Leading::new(
            self.files.clone(),
            self.settings.clone(),
            started,
            engine,
            Pulse {
                fresh_since,
                beats: self.start_beats,
                in_flight: self.start_beat.take(),
                next: self.next_start_beat,
            },
            now,
        )));
    }

    /// From the link on, a claimer shows that it lives, as long as it progresses.
    fn beat_while_starting(&mut self, now: Now) -> Result<(), Failure> {
        let (claim, recovered) = {
            let progress = self.progress.borrow();
            (progress.claim, progress.recovered.0)
        };
        let Some(claim) = claim else { return Ok(()) };
        if let Some(task) = &mut self.start_beat {
            let Some(result) = task.poll() else { return Ok(()) };
            self.start_beat = None;
            self.start_fresh = Some(result?);
        }
        if now.boot >= self.next_start_beat {
            self.start_beats += 1;
            let beat = leadership::Heartbeat {
                counter: self.start_beats,
                recovered_bytes: recovered,
                confirmed: None,
            };
            let mut task = Task::new(heartbeat::beat(self.files.clone(), claim.file, claim.nonce, beat));
            if task.poll().transpose()?.is_none() {
                self.start_beat = Some(task);
            }
            self.next_start_beat = now.boot + self.settings.heartbeat_interval;
        }
        Ok(())
    }

    /// A new client; `None` if there are too many, or nobody leads here.
    pub fn open(&mut self, now: Now) -> Option<ConnectionId> {
        let Phase::Leading(leading) = &mut self.phase else {
            return None;
        };
        if self.peers.len() >= self.settings.connections_max || leading.is_resigning() {
            return None;
        }
        let connection = ConnectionId(self.next_connection);
        self.next_connection += 1;
        leading.engine.connect(connection);
        let session = Session::new(
            wire::stomp::SessionSettings {
                epoch: leading.claim.epoch,
                connection,
                server: format!("holdfast/{}", self.identity.version).into(),
                limits: self.settings.stomp,
                heart_beat_default: self.settings.heart_beat_default,
                heart_beat_grace_percent: self.settings.heart_beat_grace_percent,
            },
            now,
        );
        self.peers.insert(connection, session);
        Some(connection)
    }

    /// Bytes came from a client.
    pub fn receive(&mut self, now: Now, connection: ConnectionId, bytes: &[u8]) {
        if let Some(peer) = self.peers.get_mut(connection) {
            peer.session.handle_bytes(now, bytes);
            self.peers.touch(connection);
            self.settle(now);
        }
    }

    /// Whether a client has still to say CONNECT.
    pub fn is_opening(&self, connection: ConnectionId) -> bool {
        self.peers.get(connection).is_some_and(|peer| peer.session.is_opening())
    }

    /// Warns of something that whoever runs the node found: in the log, and in status from now on.
    pub fn warn(&mut self, warning: String) {
        if self.warned.len() < WARNINGS_MAX {
            self.warned.push(warning.clone());
        }
        self.notices.push(Notice::Warning(warning));
    }

    /// Bytes that [`Node::output`] gave went to the socket.
    pub fn transmitted(&mut self, now: Now, connection: ConnectionId, count: usize) {
        if let Some(peer) = self.peers.get_mut(connection) {
            peer.session.handle_transmitted(now, count);
            self.peers.touch(connection);
            self.settle(now);
        }
    }

    /// A client is gone, whoever closed.
    pub fn closed(&mut self, now: Now, connection: ConnectionId) {
        if !self.peers.remove(connection) {
            return;
        }
        self.ready.remove(&connection);
        self.unfinished.remove(connection);
        if let Phase::Leading(leading) = &mut self.phase {
            let time = leading.time(now);
            leading.engine.disconnect(time, connection, &mut leading.journal);
        }
        self.settle(now);
    }

    /// The next bytes for a client. The caller has asked [`Node::may_send`] at this moment.
    pub fn output(&mut self, connection: ConnectionId) -> Option<Bytes> {
        self.peers.get_mut(connection)?.session.poll_output()
    }

    /// Remembers that a client has bytes to be sent when anything may leave again.
    pub fn hold(&mut self, connection: ConnectionId) {
        if self.peers.get(connection).is_some() {
            self.ready.insert(connection);
        }
    }

    /// Whether anything may leave at this moment: only a leader that has lately seen its fence open speaks.
    pub fn may_send(&self, now: Now) -> bool {
        match &self.phase {
            Phase::Leading(leading) => leading.is_fresh(now),
            Phase::Starting(_) | Phase::Ended(_) => false,
        }
    }

    /// Whether bytes may be read from a client at this moment.
    pub fn may_read(&self, connection: ConnectionId) -> bool {
        self.read_bytes_max(connection) > 0
    }

    /// How many bytes may be read from a client at this moment: none while more waits for the disk than memory should hold, or while its session has enough to do; few while the unfinished frames of
    /// all connections take what they may.
    pub fn read_bytes_max(&self, connection: ConnectionId) -> usize {
        let Phase::Leading(leading) = &self.phase else {
            return 0;
        };
        let Some(peer) = self.peers.get(connection) else {
            return 0;
        };
        if Mutant::SlowReaderStopsAll.is_at_work() && self.peers.holds_up_somebody() {
            return 0;
        }
        let has_enough = leading.journal.bytes_unconfirmed() >= UNCONFIRMED_BYTES_MAX
            || leading.is_resigning()
            || has_enough_of_its_own(&leading.engine, peer, connection);
        if has_enough {
            return 0;
        }
        let own = peer.session.unfinished_bytes() + leading.engine.bytes_behind_waiting(connection);
        self.unfinished
            .read_bytes_max(connection, own, leading.engine.bytes_waiting())
    }

    /// Whether a connection has said everything and is to be closed; asked when [`Node::output`] gave nothing.
    pub fn is_finished(&self, connection: ConnectionId) -> bool {
        self.peers
            .get(connection)
            .is_none_or(|peer| peer.closing || peer.session.is_closing())
    }

    /// The connections that may have something to send since this was last asked.
    pub fn take_ready(&mut self, now: Now) -> BTreeSet<ConnectionId> {
        if self.may_send(now) {
            std::mem::take(&mut self.ready)
        } else {
            BTreeSet::new()
        }
    }

    /// When the next turn is due.
    pub fn next_deadline(&mut self, now: Now) -> Option<BootTime> {
        let own = match &mut self.phase {
            Phase::Starting(_) => {
                let beating = self.progress.borrow().claim.is_some() && self.start_beat.is_none();
                beating.then_some(self.next_start_beat)
            }
            Phase::Leading(leading) => leading.next_deadline(now),
            Phase::Ended(_) => return None,
        };
        let clients = [self.peers.next_timeout(), self.unfinished.next_deadline()];
        let clients = clients.into_iter().flatten().min().map(|at| at.max(self.timeouts_from));
        [own, self.files.next_deadline(), clients].into_iter().flatten().min()
    }

    /// Asks for a clean end.
    pub fn stop(&mut self, now: Now) {
        match &mut self.phase {
            Phase::Starting(_) => self.phase = Phase::Ended(End::Stopped),
            Phase::Leading(leading) => {
                leading.resign();
                self.turn(now);
            }
            Phase::Ended(_) => {}
        }
    }

    /// How it ended, if it has.
    pub fn end(&self) -> Option<&End> {
        match &self.phase {
            Phase::Ended(end) => Some(end),
            Phase::Starting(_) | Phase::Leading(_) => None,
        }
    }

    /// Gives an administrator's order to the engine; its answer comes with [`Node::take_answers`]. `None`: nobody leads here.
    pub fn order(&mut self, now: Now, command: AdminCommand) -> Option<AdminRequest> {
        let Phase::Leading(leading) = &mut self.phase else {
            return None;
        };
        let request = self.answers.next_request();
        let time = leading.time(now);
        leading
            .engine
            .handle_admin(time, request, command, &mut leading.journal);
        self.settle(now);
        Some(request)
    }

    /// Answers to orders, each once what it rests on is confirmed.
    pub fn take_answers(&mut self) -> Vec<(AdminRequest, AdminAnswer)> {
        self.answers.take()
    }

    /// The engine, for looking at; `None`: nobody leads here.
    pub fn engine(&self) -> Option<&Engine> {
        match &self.phase {
            Phase::Leading(leading) => Some(&leading.engine),
            Phase::Starting(_) | Phase::Ended(_) => None,
        }
    }

    /// What the operator should hear, since this was last asked.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// What a start is doing: in words, bytes of the history read, of how many, and the epoch once claimed.
    pub(crate) fn start_facts(&self) -> (&'static str, (u64, u64), Option<Epoch>) {
        let progress = self.progress.borrow();
        (
            progress.phase,
            progress.recovered,
            progress.claim.map(|claim| claim.epoch),
        )
    }

    fn time_out_sessions(&mut self, now: Now) {
        if now.boot < self.timeouts_from {
            return;
        }
        for connection in self.peers.take_due(now.boot) {
            let may_read = self.may_read(connection);
            if let Some(peer) = self.peers.get_mut(connection) {
                if !may_read {
                    // Its silence is ours: nothing was read.
                    peer.session.handle_bytes(now, &[]);
                }
                peer.session.handle_timeout(now);
                self.peers.touch(connection);
            }
        }
        self.give_up_unfinished(now);
    }

    /// Ends the connection whose unfinished frame takes what others wait for and does not come on.
    fn give_up_unfinished(&mut self, now: Now) {
        let Phase::Leading(leading) = &self.phase else {
            return;
        };
        let waiting = leading.engine.bytes_waiting();
        let readable = self.unfinished.oldest().is_some_and(|oldest| self.may_read(oldest));
        if let Some(connection) = self.unfinished.stalled(now.boot, waiting, readable)
            && let Some(peer) = self.peers.get_mut(connection)
        {
            let within = self.settings.unfinished_progress_within;
            peer.session.give_up_unfinished(now, within, unfinished::PROGRESS_BYTES);
            self.peers.touch(connection);
        }
    }

    /// Moves commands to the engine, effects to the sessions and records to the disk, until nothing moves.
    fn settle(&mut self, now: Now) {
        let Phase::Leading(leading) = &mut self.phase else {
            return;
        };
        loop {
            while let Some(effect) = leading.engine.poll_effect() {
                match effect {
                    Effect::Event {
                        connection,
                        after,
                        event,
                    } => self.peers.push(connection, after, event),
                    Effect::Close { connection, after } => self.peers.push_close(connection, after),
                    Effect::Admin { request, after, answer } => self.answers.push(request, after, answer),
                    Effect::Damaged {
                        object,
                        number,
                        message_id,
                        text,
                    } => {
                        let id = match message_id {
                            Some(id) => format!("message-id {id}"),
                            None => "its message-id cannot be read".to_owned(),
                        };
                        self.notices.push(Notice::Error(format!(
                            "a message of {object} is damaged and was set aside: {id}, number {}, {text}. \
                             It is not delivered, and its queue goes on; docs/operating.md says what can be done",
                            number.0
                        )));
                    }
                }
            }
            let confirmed = leading.journal.confirmed();
            self.peers.release(now, confirmed);
            self.answers.release(confirmed);
            let touched = self.peers.take_touched();
            if touched.is_empty() {
                break;
            }
            let time = leading.time(now);
            for connection in touched {
                let Some(peer) = self.peers.get_mut(connection) else {
                    continue;
                };
                while let Some((request, command)) = peer.session.poll_command() {
                    leading
                        .engine
                        .handle(time, connection, request, command, &mut leading.journal);
                }
                let taken = peer.session.take_delivered_bytes();
                if taken > 0 {
                    leading.engine.taken(time, connection, taken, &mut leading.journal);
                }
                let unscheduled = peer.session.take_unscheduled();
                if unscheduled > 0 && self.unscheduled == 0 {
                    self.notices.push(Notice::Warning(format!(
                        "a message of connection {} asks for scheduled delivery (AMQ_SCHEDULED_DELAY, _PERIOD or _CRON) and is delivered at once: this version schedules nothing. \
                         Said once; the metric holdfast_messages_unscheduled_total counts them",
                        connection.0
                    )));
                }
                self.unscheduled += unscheduled;
                let (kept, frames) = (peer.session.unfinished_bytes(), peer.session.frames_read());
                self.unfinished.update(connection, kept, frames);
                let timeout = peer.session.next_timeout();
                self.peers.schedule(connection, timeout);
                self.ready.insert(connection);
            }
        }
        leading.flush(now);
        let waiting = leading.engine.waiting();
        if waiting == Waiting::default() {
            self.is_waiting = false;
        } else if !std::mem::replace(&mut self.is_waiting, true) && now.boot >= self.next_waiting_warning {
            self.next_waiting_warning = now.boot + WAITING_WARNING_INTERVAL;
            self.notices.push(Notice::Warning(format!(
                "sends wait for space: {}; acknowledgements go on, `holdfast status` says how many wait",
                scarce(waiting)
            )));
        }
        let is_scarce = self.unfinished.is_scarce(leading.engine.bytes_waiting());
        if is_scarce {
            // Otherwise everybody would wait for a client that takes no answers.
            let (engine, peers) = (&leading.engine, &self.peers);
            let has_enough = |peer, id| has_enough_of_its_own(engine, peer, id);
            self.unfinished
                .pass_over(|id| peers.get(id).is_some_and(|peer| !has_enough(peer, id)));
        }
        if !is_scarce {
            self.is_scarce = false;
        } else if !std::mem::replace(&mut self.is_scarce, true) && now.boot >= self.next_scarce_warning {
            self.next_scarce_warning = now.boot + WAITING_WARNING_INTERVAL;
            self.notices.push(Notice::Warning(format!(
                "large frames are read one after the other: {} connections have one unfinished, and with the sends that wait for space they take all of limits.unfinished_bytes_max; small frames go on",
                self.unfinished.len()
            )));
        }
        if leading.clock.refuses_wall_clock() != self.clock_refused {
            self.clock_refused = !self.clock_refused;
            if self.clock_refused {
                self.notices.push(Notice::Error(
                    "the wall clock is more than 60 s away from engine time and is not followed: set the clock, or restart the broker to accept it".into(),
                ));
            }
        }
    }

    /// The newest confirmed record.
    pub fn confirmed(&self) -> Sequence {
        match &self.phase {
            Phase::Leading(leading) => leading.journal.confirmed(),
            Phase::Starting(_) | Phase::Ended(_) => Sequence::NONE,
        }
    }
}

/// Whether a connection is not read for a reason of its own: its client does not take what it is sent, or has said as much as is held behind a send that waits.
fn has_enough_of_its_own(engine: &Engine, peer: &Peer, connection: ConnectionId) -> bool {
    engine.is_backed_up(connection) || !peer.session.is_reading()
}
