//! The broker's side of one STOMP connection.
//!
//! ```text
//! Opening ──CONNECT──► Connecting ──Done──► Open ──DISCONNECT, broken frame──► Ending ──all answered──► Closing
//!    └──────────── anything else, connect_within ─────────┴── silence ──────────────────────────────────► Closing
//! ```
//! In `Connecting` and from `Ending` on no frame is read: nothing of a client that is about to be refused is carried out, and nothing behind a broken frame either.
//! Frames before DISCONNECT (or before the broken one) are answered before its RECEIPT (or ERROR) goes out. To make that so, every command whose effect has to last is asked
//! with a request, also where the client wants no receipt; and DISCONNECT asks for [`Command::Barrier`], behind everything else.

mod connect;
mod frames;
mod output;
mod report;
mod requests;
mod transactions;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use message::{Command, ConnectionId, ConsumerId, Epoch, Event, Refusal, RefusalKind, RequestId};
use platform::{BootTime, Now};

use super::destinations::Temporaries;
use super::problem::Problem;
use super::subscription::Subscription;
use super::{Decoder, FrameError, FrameLimits, HeartBeat, Limits, Version};
use output::{ErrorFrame, Outgoing, Output};
pub use report::{SessionReport, SubscriptionReport};
use requests::{Request, Requests, Then};
use transactions::Transaction;

/// What a session has to know from outside.
#[derive(Clone, Debug)]
pub struct SessionSettings {
    /// The reign; part of every id that the session gives.
    pub epoch: Epoch,
    /// The connection; part of every id that the session gives.
    pub connection: ConnectionId,
    /// CONNECTED's `server` header, such as `holdfast/0.1.0`.
    pub server: Arc<str>,
    /// What the connection may use up.
    pub limits: Limits,
    /// What a CONNECT without `heart-beat` stands for (`transport.defaultHeartBeat`; 0,0).
    pub heart_beat_default: HeartBeat,
    /// `transport.hbGracePeriodMultiplier` in percent; below 100 counts as 100.
    pub heart_beat_grace_percent: u32,
}

impl SessionSettings {
    /// Settings with the defaults.
    pub fn new(epoch: Epoch, connection: ConnectionId, server: &str) -> SessionSettings {
        SessionSettings {
            epoch,
            connection,
            server: server.into(),
            limits: Limits::default(),
            heart_beat_default: HeartBeat::default(),
            heart_beat_grace_percent: 100,
        }
    }
}

/// Where a connection is in its life.
#[derive(Debug)]
enum Phase {
    /// Waits for CONNECT.
    Opening,
    /// CONNECT was read and is being answered.
    Connecting,
    /// Connected.
    Open,
    /// Waits for the answers to what was read; then says farewell.
    Ending {
        farewell: Option<Outgoing>,
        /// When the farewell goes out although answers are missing.
        deadline: Option<BootTime>,
    },
    /// Everything is said.
    Closing,
}

/// Heart-beats of a connection.
#[derive(Debug, Default)]
struct Beats {
    send_every: Option<Duration>,
    /// The longest silence of the client, grace included.
    silence_max: Option<Duration>,
    last_sent: BootTime,
    last_received: BootTime,
}

/// A STOMP connection as the broker sees it: bytes and events in, commands and bytes out.
#[derive(Debug)]
pub struct Session {
    settings: SessionSettings,
    phase: Phase,
    opened: BootTime,
    decoder: Decoder,
    /// Bytes that were there when frames were last left unread.
    buffered_before: Option<usize>,
    version: Version,
    /// `ID:holdfast-EPOCH-CONNECTION`.
    name: Arc<str>,
    client_id: Option<Arc<str>>,
    beats: Beats,
    commands: VecDeque<(Option<RequestId>, Command)>,
    requests: Requests,
    subscriptions: BTreeMap<u32, Subscription>,
    subscriptions_by_id: BTreeMap<Box<str>, u32>,
    consumers_made: u32,
    transactions: BTreeMap<Box<str>, Transaction>,
    transactions_made: u64,
    messages_made: u64,
    /// See [`Session::take_unscheduled`].
    unscheduled: u64,
    temporaries: Temporaries,
    output: Output,
}

impl Session {
    /// A session for a connection that was just accepted.
    pub fn new(settings: SessionSettings, now: Now) -> Session {
        let name: Arc<str> = format!("ID:holdfast-{}-{}", settings.epoch, settings.connection.0).into();
        let connect = settings.limits.connect_bytes_max;
        let headers_max = settings.limits.frame.headers_max;
        let connect = FrameLimits {
            frame_bytes_max: connect,
            header_bytes_max: connect,
            headers_max,
        };
        Session {
            phase: Phase::Opening,
            opened: now.boot,
            decoder: Decoder::new(connect),
            buffered_before: None,
            version: Version::V1_0,
            client_id: None,
            beats: Beats {
                last_sent: now.boot,
                last_received: now.boot,
                ..Beats::default()
            },
            commands: VecDeque::new(),
            requests: Requests::default(),
            subscriptions: BTreeMap::new(),
            subscriptions_by_id: BTreeMap::new(),
            consumers_made: 0,
            transactions: BTreeMap::new(),
            transactions_made: 0,
            messages_made: 0,
            unscheduled: 0,
            temporaries: Temporaries::new(name.clone(), settings.limits.temporary_destinations_max),
            output: Output::new(&settings),
            name,
            settings,
        }
    }

    /// How many messages came, since this was last asked, whose senders wanted them delivered later or repeatedly: they are delivered at once, and somebody should say so.
    pub fn take_unscheduled(&mut self) -> u64 {
        std::mem::take(&mut self.unscheduled)
    }

    /// Takes what was read from the client. Whoever deliberately does not read for a while (flow control) says so with an empty slice, so that neither the client's silence nor a CONNECT that nobody
    /// read counts.
    pub fn handle_bytes(&mut self, now: Now, bytes: &[u8]) {
        self.beats.last_received = now.boot;
        if bytes.is_empty() {
            // Its CONNECT may have been waiting to be read all the time.
            self.opened = now.boot;
        }
        match self.phase {
            Phase::Opening | Phase::Connecting | Phase::Open => {
                self.decoder.push(bytes);
                self.read_frames(now);
            }
            Phase::Ending { .. } | Phase::Closing => {}
        }
    }

    /// Whether the client has still to say CONNECT.
    pub fn is_opening(&self) -> bool {
        matches!(self.phase, Phase::Opening)
    }

    /// Whether bytes should be read from the client. While this is false they would only pile up (before CONNECTED, or while the client does not take its answers), or be ignored
    /// (at the end). Whoever reads all the same is stopped by `read_ahead_bytes_max`.
    pub fn is_reading(&self) -> bool {
        match self.phase {
            Phase::Opening => true,
            Phase::Open => !self.is_held_up(),
            Phase::Connecting | Phase::Ending { .. } | Phase::Closing => false,
        }
    }

    /// Memory of the messages, since this was last asked, that were encoded for the client, or dropped because nobody wants them any more; bytes
    /// ([`Message::bytes_held`](message::Message::bytes_held)). Every [`Event::Deliver`] is among them once.
    pub fn take_delivered_bytes(&mut self) -> usize {
        self.output.take_taken()
    }

    /// Bytes that were read and belong to no finished frame.
    pub fn unfinished_bytes(&self) -> usize {
        self.decoder.buffered()
    }

    /// Frames that were read to their end so far.
    pub fn frames_read(&self) -> u64 {
        self.decoder.frames()
    }

    /// Ends the connection because of a frame that does not get on, while others wait for the memory that it takes.
    pub fn give_up_unfinished(&mut self, now: Now, within: Duration, progress_bytes: usize) {
        let kept = self.decoder.buffered();
        let problem = Problem::broken("The frame did not come on").because(format!(
            "{kept} bytes of an unfinished frame take memory that other connections wait for (unfinished_bytes_max), and it had to be finished, or to come on by \
             {progress_bytes} bytes, within {} s (unfinished_progress_within). Nothing of it was carried out: send it again, without pauses or in smaller messages. The connection is closed.",
            within.as_secs_f64()
        ));
        self.fail(now, problem, None);
    }

    /// Takes an event; everything that it rests on has been confirmed.
    pub fn handle_event(&mut self, now: Now, event: Event) {
        if self.is_closed() {
            if let Event::Deliver(delivery) = &event {
                self.output.give_up(delivery);
            }
            return;
        }
        match event {
            Event::Done { request } => {
                if let Some(request) = self.requests.take(request) {
                    self.done(now, request);
                }
            }
            Event::Refused { request, refusal } => {
                let request = request.and_then(|request| self.requests.take(request));
                self.refused(refusal, request);
            }
            Event::Deliver(delivery) => {
                if self.is_open() && self.subscriptions.contains_key(&delivery.consumer.number) {
                    self.output.push(Outgoing::Message(delivery));
                } else {
                    self.output.give_up(&delivery);
                }
            }
            Event::BrowseEnd { consumer } => {
                if self.is_open() && self.subscriptions.contains_key(&consumer.number) {
                    self.output.push(Outgoing::BrowseEnd {
                        consumer: consumer.number,
                    });
                }
            }
            Event::ConsumerEnded { consumer, reason } => {
                if let Some(subscription) = self.remove_subscription(consumer.number)
                    && self.is_open()
                {
                    self.output.push(Outgoing::Error(ErrorFrame {
                        subscription: subscription.id,
                        ..ErrorFrame::new(
                            reason.text,
                            "The broker ended the subscription. The connection stays open.".to_string(),
                        )
                    }));
                }
            }
        }
        self.end_if_answered();
    }

    /// Says that so many of the bytes from [`Session::poll_output`] went to the socket. Deliveries of `ack:auto` are acknowledged by it.
    pub fn handle_transmitted(&mut self, now: Now, count: usize) {
        self.beats.last_sent = now.boot;
        for acknowledge in self.output.transmitted(count) {
            let Some(subscription) = self.subscriptions.get(&acknowledge.consumer.number) else {
                continue;
            };
            let pulls = subscription.pulls;
            self.commands.push_back((None, Command::Acknowledge(acknowledge)));
            if pulls {
                let count = super::subscription::count(&[acknowledge]);
                self.commands.push_back((
                    None,
                    Command::Pull {
                        consumer: acknowledge.consumer,
                        count,
                    },
                ));
            }
        }
        // What was held up goes on.
        self.read_frames(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        match &self.phase {
            Phase::Opening => {
                let limit = self.settings.limits.connect_within;
                if now.boot >= self.opened + limit {
                    self.close_with(ErrorFrame::new(
                        "Not connected.".to_string(),
                        format!(
                            "No CONNECT frame came within {} s (connect_within). The connection is closed.",
                            limit.as_secs()
                        ),
                    ));
                }
            }
            Phase::Ending { deadline, .. } => {
                if deadline.is_some_and(|deadline| now.boot >= deadline) {
                    self.say_farewell();
                }
            }
            Phase::Connecting | Phase::Open | Phase::Closing => {}
        }
        if self.is_closed() {
            return;
        }
        if let Some(silence_max) = self.silence_max()
            && now.boot >= self.beats.last_received + silence_max
        {
            let silence = silence_max.as_millis();
            self.close_with(
                ErrorFrame::new(
                    format!("Channel was inactive for too (>{silence}) long"),
                    format!("Nothing came from the client for {silence} ms, although its heart-beat header promises more. The connection is closed."),
                ),
            );
            return;
        }
        if let Some(every) = self.send_every()
            && now.boot >= self.beats.last_sent + every
        {
            self.beats.last_sent = now.boot;
            if self.output.is_idle() {
                self.output.push(Outgoing::HeartBeat);
            }
        }
    }

    /// When [`Session::handle_timeout`] wants to be called.
    pub fn next_timeout(&self) -> Option<BootTime> {
        let phase = match &self.phase {
            Phase::Opening => Some(self.opened + self.settings.limits.connect_within),
            Phase::Ending { deadline, .. } => *deadline,
            Phase::Connecting | Phase::Open => None,
            Phase::Closing => return None,
        };
        let silence = self.silence_max().map(|silence| self.beats.last_received + silence);
        let send = self.send_every().map(|every| self.beats.last_sent + every);
        [phase, silence, send].into_iter().flatten().min()
    }

    /// The next command for the engine.
    pub fn poll_command(&mut self) -> Option<(Option<RequestId>, Command)> {
        self.commands.pop_front()
    }

    /// The next bytes for the client, in order. What is not asked for is not encoded: ask when the socket takes more.
    pub fn poll_output(&mut self) -> Option<Bytes> {
        self.output
            .poll(&mut self.subscriptions, &self.temporaries, self.version)
    }

    /// Whether the connection is to be closed: every command was polled, every byte as well. The caller closes when it has written them.
    pub fn is_closing(&self) -> bool {
        self.is_closed() && self.commands.is_empty() && self.output.is_polled()
    }

    /// The client's silence counts only while it is read.
    fn silence_max(&self) -> Option<Duration> {
        match self.phase {
            Phase::Open if self.is_held_up() => None,
            Phase::Open => self.beats.silence_max,
            Phase::Opening | Phase::Connecting | Phase::Ending { .. } | Phase::Closing => None,
        }
    }

    fn send_every(&self) -> Option<Duration> {
        match self.phase {
            Phase::Open | Phase::Ending { .. } => self.beats.send_every,
            Phase::Opening | Phase::Connecting | Phase::Closing => None,
        }
    }

    /// The client does not take its answers, so nothing is read that would cause more.
    fn is_held_up(&self) -> bool {
        self.output.answer_bytes() + self.requests.receipt_bytes() >= self.settings.limits.answers_bytes_max as usize
    }

    fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closing)
    }

    fn read_frames(&mut self, now: Now) {
        loop {
            let waits_for = match self.phase {
                Phase::Opening => None,
                Phase::Connecting => Some("the CONNECT frame was answered"),
                Phase::Open if self.is_held_up() => Some("the client took the answers to its frames"),
                Phase::Open => None,
                Phase::Ending { .. } | Phase::Closing => return,
            };
            if let Some(waits_for) = waits_for {
                let limit = self.settings.limits.read_ahead_bytes_max;
                let buffered = self.decoder.buffered();
                // A large frame may have been under way when it began to wait: that was not sent ahead.
                let before = *self.buffered_before.get_or_insert(buffered);
                if buffered.saturating_sub(before) > limit as usize {
                    let problem = Problem::broken("Too much was sent ahead").because(format!(
                        "More than {limit} bytes came before {waits_for} (read_ahead_bytes_max). The connection is closed."
                    ));
                    self.fail(now, problem, None);
                }
                return;
            }
            self.buffered_before = None;
            match self.decoder.next_frame() {
                Ok(Some(frame)) => self.handle_frame(now, frame),
                Ok(None) => {
                    if let Some(problem) = self.early_problem() {
                        self.fail(now, problem, None);
                    }
                    return;
                }
                Err(error) => {
                    // Had less come at once, the frame would have been refused for its first line already.
                    let problem = self
                        .early_problem()
                        .unwrap_or_else(|| Problem::broken(error.message()).because(self.explanation_of(&error)));
                    self.fail(now, problem, None);
                    return;
                }
            }
        }
    }

    /// Until it is connected, another limit holds than the one that the error names.
    fn explanation_of(&self, error: &FrameError) -> String {
        let is_connecting = matches!(self.phase, Phase::Opening);
        match error {
            FrameError::HeadersTooLong { limit } | FrameError::FrameTooLong { limit } if is_connecting => {
                format!("The CONNECT frame is longer than {limit} bytes (connect_bytes_max). The connection is closed.")
            }
            FrameError::NotStomp { .. }
            | FrameError::CommandTooLong
            | FrameError::HeadersTooLong { .. }
            | FrameError::TooManyHeaders { .. }
            | FrameError::FrameTooLong { .. }
            | FrameError::HeaderWithoutColon { .. }
            | FrameError::NulInHeaders
            | FrameError::NotUtf8
            | FrameError::UndefinedEscape { .. }
            | FrameError::LengthNotANumber
            | FrameError::LengthNegative
            | FrameError::NoTrailingNul => format!("{error} The connection is closed."),
        }
    }

    /// A frame whose first line already says that it may not come.
    fn early_problem(&self) -> Option<Problem> {
        match self.phase {
            Phase::Opening => match self.decoder.command()? {
                b"CONNECT" | b"STOMP" => None,
                _ => Some(not_connected()),
            },
            Phase::Connecting | Phase::Open | Phase::Ending { .. } | Phase::Closing => None,
        }
    }

    /// Queues a command; asked with a request if the answer matters.
    fn command(&mut self, command: Command) {
        for destination in self.temporaries.take_made() {
            self.commands
                .push_back((None, Command::CreateTemporary { destination }));
        }
        self.commands.push_back((None, command));
    }

    fn request(&mut self, command: Command, receipt: Option<Box<str>>, then: Then) {
        self.command(command);
        let request = self.requests.add(Request { receipt, then });
        self.commands.back_mut().expect("it was pushed above").0 = Some(request);
    }

    fn done(&mut self, now: Now, request: Request) {
        match request.then {
            Then::Nothing | Then::Commit { .. } => {}
            Then::Connect { response_id } => {
                self.connected(now, response_id);
                return;
            }
            Then::Subscribe { consumer } => {
                if self
                    .subscriptions
                    .get(&consumer)
                    .is_some_and(|subscription| subscription.pulls)
                {
                    let consumer = ConsumerId {
                        connection: self.settings.connection,
                        number: consumer,
                    };
                    self.command(Command::Pull { consumer, count: 1 });
                }
            }
        }
        if let Some(receipt) = request.receipt {
            self.output.push(Outgoing::Receipt(receipt));
        }
    }

    fn refused(&mut self, refusal: Refusal, request: Option<Request>) {
        let mut ends_connection = match refusal.kind {
            RefusalKind::InvalidClientId => true,
            RefusalKind::IllegalState
            | RefusalKind::InvalidDestination
            | RefusalKind::InvalidSelector
            | RefusalKind::ResourceAllocation
            | RefusalKind::TransactionRolledBack
            | RefusalKind::Security => false,
        };
        let mut receipt = None;
        if let Some(request) = request {
            receipt = request.receipt;
            match request.then {
                Then::Nothing => {}
                Then::Connect { .. } => ends_connection = true,
                Then::Subscribe { consumer } => {
                    self.remove_subscription(consumer);
                }
                Then::Commit { acknowledged } => {
                    for (consumer, held) in acknowledged {
                        if let Some(subscription) = self.subscriptions.get_mut(&consumer) {
                            subscription.reopen(held);
                        }
                    }
                }
            }
        }
        let outcome = if ends_connection {
            "The connection is closed."
        } else {
            "The connection stays open."
        };
        let error = ErrorFrame {
            receipt_id: receipt,
            ..ErrorFrame::new(refusal.text, format!("The broker refused the frame. {outcome}"))
        };
        if ends_connection {
            self.close_with(error);
        } else {
            self.output.push(Outgoing::Error(error));
        }
    }

    /// Answers a frame that is not carried out.
    fn fail(&mut self, now: Now, problem: Problem, receipt: Option<Box<str>>) {
        self.fail_with(now, problem, receipt, None);
    }

    fn fail_with(&mut self, now: Now, problem: Problem, receipt: Option<Box<str>>, version: Option<&'static str>) {
        let error = ErrorFrame {
            receipt_id: receipt,
            version,
            ..ErrorFrame::new(problem.message, problem.explanation)
        };
        if problem.ends_connection {
            let deadline = now.boot + self.settings.limits.close_within;
            self.end(Some(Outgoing::Error(error)), Some(deadline));
        } else {
            self.output.push(Outgoing::Error(error));
        }
    }

    /// Reads no more; says farewell when everything that was read is answered.
    fn end(&mut self, farewell: Option<Outgoing>, deadline: Option<BootTime>) {
        self.decoder.clear();
        self.output.drop_deliveries();
        self.phase = Phase::Ending { farewell, deadline };
        self.end_if_answered();
    }

    fn end_if_answered(&mut self) {
        if self.requests.is_empty() {
            self.say_farewell();
        }
    }

    fn say_farewell(&mut self) {
        match &mut self.phase {
            Phase::Ending { farewell, .. } => {
                if let Some(farewell) = farewell.take() {
                    self.output.push(farewell);
                }
                self.phase = Phase::Closing;
            }
            Phase::Opening | Phase::Connecting | Phase::Open | Phase::Closing => {}
        }
    }

    /// Ends the connection now.
    fn close_with(&mut self, error: ErrorFrame) {
        if self.is_closed() {
            return;
        }
        self.decoder.clear();
        self.output.drop_deliveries();
        self.output.push(Outgoing::Error(error));
        self.phase = Phase::Closing;
    }

    fn remove_subscription(&mut self, consumer: u32) -> Option<Subscription> {
        let subscription = self.subscriptions.remove(&consumer)?;
        if let Some(id) = &subscription.id
            && self.subscriptions_by_id.get(id) == Some(&consumer)
        {
            self.subscriptions_by_id.remove(id);
        }
        Some(subscription)
    }
}

fn not_connected() -> Problem {
    Problem::broken("Not connected.").because("The first frame has to be CONNECT or STOMP. The connection is closed.")
}
