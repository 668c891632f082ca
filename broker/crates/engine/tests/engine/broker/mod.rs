//! A broker without a network or a disk, and clients that talk to it in one line each.
//!
//! Events reach clients as in the real one: in order per connection, and only when what they rest on is confirmed.

mod client;
mod store;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use engine::{AdminAnswer, AdminCommand, AdminRequest, Damaged, Effect, Engine, EngineTime, Settings};
use message::{Command, ConnectionId, Destination, Epoch, Event, Kind, Message, Refusal, RequestId, Sequence};
use record::{Image, PieceContent, PieceReference, Record};

pub(crate) use client::{Client, Consumer, Received};
pub(crate) use store::{MemoryStore, Written};

/// When tests begin.
pub(crate) const START: u64 = 1_700_000_000_000;

pub(crate) struct Inner {
    pub(crate) engine: Engine,
    pub(crate) store: MemoryStore,
    pub(crate) settings: Settings,
    pub(crate) epoch: u32,
    pub(crate) now: u64,
    next_connection: u64,
    next_request: u64,
    next_message: u64,
    gated: BTreeMap<ConnectionId, VecDeque<(Sequence, Event)>>,
    pub(crate) seen: BTreeMap<ConnectionId, Vec<Event>>,
    pub(crate) answers: BTreeMap<(ConnectionId, RequestId), Result<(), Refusal>>,
    pub(crate) closed: Vec<ConnectionId>,
    /// Connections that do not take what they are delivered.
    pub(crate) slow: BTreeSet<ConnectionId>,
    /// What the others have taken and the engine was not told yet.
    taken: Vec<(ConnectionId, usize)>,
    admin: Vec<(AdminRequest, Sequence, AdminAnswer)>,
    pub(crate) damaged: Vec<String>,
    /// Reads are answered at once.
    pub(crate) reads_at_once: bool,
    /// The most messages of effects that one call caused.
    pub(crate) image: Option<Image>,
}

#[derive(Clone)]
pub(crate) struct Broker(pub(crate) Rc<RefCell<Inner>>);

/// `Q`: a queue; `topic:T`, `temp-queue:X`, `temp-topic:X`.
pub(crate) fn destination(name: &str) -> Destination {
    let (kind, name) = match name.split_once(':') {
        Some(("topic", name)) => (Kind::Topic, name),
        Some(("temp-queue", name)) => (Kind::TemporaryQueue, name),
        Some(("temp-topic", name)) => (Kind::TemporaryTopic, name),
        _ => (Kind::Queue, name),
    };
    Destination::new(kind, name).unwrap()
}

impl Broker {
    pub(crate) fn new() -> Broker {
        Broker::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Broker {
        let mut engine = Engine::new(settings.clone(), Epoch(1));
        engine.recovered(EngineTime(START));
        Broker(Rc::new(RefCell::new(Inner {
            engine,
            store: MemoryStore {
                is_instant: true,
                ..MemoryStore::default()
            },
            settings,
            epoch: 1,
            now: START,
            next_connection: 0,
            next_request: 0,
            next_message: 0,
            gated: BTreeMap::new(),
            seen: BTreeMap::new(),
            answers: BTreeMap::new(),
            closed: Vec::new(),
            slow: BTreeSet::new(),
            taken: Vec::new(),
            admin: Vec::new(),
            damaged: Vec::new(),
            reads_at_once: true,
            image: None,
        })))
    }

    pub(crate) fn client(&self) -> Client {
        self.client_named(None)
    }

    pub(crate) fn client_named(&self, client_id: Option<&str>) -> Client {
        let client = self.stranger();
        let outcome = client.ask(Command::Connect {
            client_id: client_id.map(Into::into),
        });
        assert_eq!(outcome, Some(Ok(())));
        client
    }

    /// A connection that has not introduced itself.
    pub(crate) fn stranger(&self) -> Client {
        let mut inner = self.0.borrow_mut();
        inner.next_connection += 1;
        let id = ConnectionId(inner.next_connection + u64::from(inner.epoch) * 1_000_000);
        inner.engine.connect(id);
        drop(inner);
        Client::new(self.clone(), id)
    }

    /// Nothing is confirmed from here on, until [`Broker::confirm`].
    pub(crate) fn hold_disk(&self) {
        self.0.borrow_mut().store.is_instant = false;
    }

    /// Confirms everything so far.
    pub(crate) fn confirm(&self) {
        let mut inner = self.0.borrow_mut();
        inner.store.confirmed = inner.store.records.len() as u64;
        inner.run();
    }

    /// Lets time pass.
    pub(crate) fn wait(&self, milliseconds: u64) {
        let mut inner = self.0.borrow_mut();
        inner.now += milliseconds;
        inner.run();
    }

    pub(crate) fn hold_reads(&self) {
        self.0.borrow_mut().reads_at_once = false;
    }

    pub(crate) fn answer_reads(&self) {
        let mut inner = self.0.borrow_mut();
        inner.reads_at_once = true;
        inner.run();
    }

    /// The oldest read alone comes back.
    pub(crate) fn answer_a_read(&self) {
        let mut inner = self.0.borrow_mut();
        let inner = &mut *inner;
        let (place, token) = inner.store.reads.pop_front().unwrap();
        let message = inner.store.message(place);
        let now = EngineTime(inner.now);
        inner.engine.loaded(now, token, Ok(message), &mut inner.store);
        inner.run();
    }

    /// The oldest read finds damage.
    pub(crate) fn damage_a_read(&self, text: &str) {
        let mut inner = self.0.borrow_mut();
        let (_, token) = inner.store.reads.pop_front().unwrap();
        let inner = &mut *inner;
        let now = EngineTime(inner.now);
        let damaged = Damaged {
            message_id: Some("ID:damaged".into()),
            text: text.into(),
        };
        inner.engine.loaded(now, token, Err(damaged), &mut inner.store);
        inner.run();
    }

    /// The process dies; its successor has what was confirmed.
    pub(crate) fn crash(&self) {
        let confirmed = self.0.borrow().store.confirmed;
        self.crash_after(usize::try_from(confirmed).unwrap());
    }

    /// The process dies; its successor finds this many records.
    pub(crate) fn crash_after(&self, records: usize) {
        let mut inner = self.0.borrow_mut();
        let inner = &mut *inner;
        inner.store.records.truncate(records);
        inner.store.reads.clear();
        inner.store.confirmed = records as u64;
        inner.epoch += 1;
        inner.engine = Engine::new(inner.settings.clone(), Epoch(inner.epoch));
        let mut through = Sequence::NONE;
        let image = inner.image.take().filter(|image| image.through.0 <= records as u64);
        if let Some(image) = image {
            through = image.through;
            inner.engine.restore(&image.catalog, pieces(&image)).unwrap();
            inner.image = Some(image);
        }
        for (index, (record, _, messages)) in inner.store.records.iter().enumerate().skip(through.0 as usize) {
            let (sequence, place) = (Sequence(index as u64 + 1), MemoryStore::place(index));
            inner
                .engine
                .replay(sequence, record.clone(), place, place.segment, messages)
                .unwrap();
        }
        inner.engine.recovered(EngineTime(inner.now));
        inner.gated.clear();
        inner.admin.clear();
        inner.run();
    }

    /// Takes a checkpoint: the next crash recovers from it, if it is not beyond the records that are left.
    pub(crate) fn checkpoint(&self) {
        let mut inner = self.0.borrow_mut();
        let image = inner.engine.image();
        let stored: Vec<_> = image.pieces.iter().map(|piece| (piece.key, reference())).collect();
        inner.engine.stored(&stored);
        inner.image = Some(image);
    }

    pub(crate) fn admin(&self, command: AdminCommand) -> AdminAnswer {
        self.admin_after(command)
            .expect("the disk is not held, so it is answered")
            .1
    }

    /// Gives an order, and lets its work go no further than its first step.
    pub(crate) fn order(&self, command: AdminCommand) {
        let mut inner = self.0.borrow_mut();
        let inner = &mut *inner;
        inner.next_request += 1;
        let (now, request) = (EngineTime(inner.now), AdminRequest(inner.next_request));
        inner.engine.handle_admin(now, request, command, &mut inner.store);
    }

    /// The answers to orders that came since, in the order of the orders, with the newest record that each rests on.
    pub(crate) fn take_admin_answers(&self) -> Vec<(Sequence, AdminAnswer)> {
        let mut answers = std::mem::take(&mut self.0.borrow_mut().admin);
        answers.sort_by_key(|(request, _, _)| *request);
        answers.into_iter().map(|(_, after, answer)| (after, answer)).collect()
    }

    /// The answer and the record that it rests on, confirmed or not.
    pub(crate) fn admin_after(&self, command: AdminCommand) -> Option<(Sequence, AdminAnswer)> {
        let mut inner = self.0.borrow_mut();
        inner.next_request += 1;
        let request = AdminRequest(inner.next_request);
        let now = EngineTime(inner.now);
        {
            let inner = &mut *inner;
            inner.engine.handle_admin(now, request, command, &mut inner.store);
        }
        inner.run();
        let at = inner.admin.iter().position(|(other, _, _)| *other == request)?;
        let (_, after, answer) = inner.admin.remove(at);
        Some((after, answer))
    }

    /// What waits in a queue or lies with its consumers, in order, without a consumer.
    pub(crate) fn contents(&self, name: &str) -> Vec<String> {
        self.messages(name).iter().map(|message| body(message)).collect()
    }

    pub(crate) fn messages(&self, name: &str) -> Vec<Arc<Message>> {
        let (mut from, mut all) = (None, Vec::new());
        loop {
            let command = AdminCommand::Browse {
                queue: destination(name),
                from,
                limit: 1000,
                selector: None,
            };
            match self.admin(command) {
                AdminAnswer::Browsed { messages, next } => {
                    all.extend(messages.into_iter().map(|browsed| browsed.message));
                    if next.is_none() {
                        return all;
                    }
                    from = next;
                }
                AdminAnswer::Refused { .. } => return all,
                other => panic!("{other:?}"),
            }
        }
    }

    pub(crate) fn statistics(&self, name: &str) -> engine::DestinationStatistics {
        self.0.borrow().engine.destination(&destination(name)).unwrap()
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        self.0
            .borrow()
            .store
            .records
            .iter()
            .map(|(record, _, _)| record.clone())
            .collect()
    }

    pub(crate) fn appended(&self) -> usize {
        self.0.borrow().store.records.len()
    }

    /// A clock tick without anything else.
    pub(crate) fn tick(&self) {
        let mut inner = self.0.borrow_mut();
        let inner = &mut *inner;
        inner.engine.handle_timeout(EngineTime(inner.now), &mut inner.store);
    }
}

pub(crate) fn body(message: &Message) -> String {
    String::from_utf8(message.body.bytes.to_vec()).unwrap()
}

pub(crate) fn reference() -> PieceReference {
    PieceReference {
        written_by: record::CheckpointName {
            epoch: Epoch(1),
            number: 1,
        },
        offset: 0,
        length: 0,
        checksum: 0,
        segments: record::PackedSegments::default(),
    }
}

pub(crate) fn pieces(image: &Image) -> Vec<(record::PieceKey, PieceReference, PieceContent)> {
    image
        .pieces
        .iter()
        .map(|piece| (piece.key, reference(), piece.content.clone()))
        .collect()
}

impl Inner {
    pub(crate) fn command(&mut self, connection: ConnectionId, command: Command) -> RequestId {
        self.next_request += 1;
        let request = RequestId(self.next_request);
        let now = EngineTime(self.now);
        self.engine
            .handle(now, connection, Some(request), command, &mut self.store);
        self.run();
        request
    }

    pub(crate) fn message_id(&mut self) -> String {
        self.next_message += 1;
        format!("ID:test-{}-{}", self.epoch, self.next_message)
    }

    /// Lets the engine do all that it can do now.
    pub(crate) fn run(&mut self) {
        for _ in 0..1_000_000 {
            self.take_effects();
            let now = EngineTime(self.now);
            for (connection, bytes) in std::mem::take(&mut self.taken) {
                self.engine.taken(now, connection, bytes, &mut self.store);
            }
            self.take_effects();
            if self.reads_at_once
                && let Some((place, token)) = self.store.reads.pop_front()
            {
                let message = self.store.message(place);
                self.engine.loaded(now, token, Ok(message), &mut self.store);
            } else if self.engine.next_timeout().is_some_and(|at| at <= now) {
                self.engine.handle_timeout(now, &mut self.store);
            } else if self.taken.is_empty() {
                return;
            }
        }
        panic!("the engine never comes to rest");
    }

    pub(crate) fn take_effects(&mut self) {
        while let Some(effect) = self.engine.poll_effect() {
            match effect {
                Effect::Event {
                    connection,
                    after,
                    event,
                } => {
                    assert!(
                        after.0 <= self.store.records.len() as u64,
                        "it rests on a record that is not there"
                    );
                    self.gated.entry(connection).or_default().push_back((after, event));
                }
                Effect::Close { connection, .. } => self.closed.push(connection),
                Effect::Admin { request, after, answer } => self.admin.push((request, after, answer)),
                Effect::Damaged {
                    object,
                    number,
                    message_id,
                    text,
                } => {
                    let id = message_id.unwrap_or_default();
                    self.damaged.push(format!("{object} {} {id}: {text}", number.0));
                }
            }
        }
        for (connection, events) in &mut self.gated {
            while events.front().is_some_and(|(after, _)| after.0 <= self.store.confirmed) {
                let (_, event) = events.pop_front().unwrap();
                let answer = match &event {
                    Event::Done { request } => Some((*request, Ok(()))),
                    Event::Refused {
                        request: Some(request),
                        refusal,
                    } => Some((*request, Err(refusal.clone()))),
                    _ => None,
                };
                if let Some((request, answer)) = answer {
                    let twice = self.answers.insert((*connection, request), answer);
                    assert!(twice.is_none(), "answered more than once");
                }
                if let Event::Deliver(delivery) = &event
                    && !self.slow.contains(connection)
                {
                    self.taken.push((*connection, delivery.message.bytes_held()));
                }
                self.seen.entry(*connection).or_default().push(event);
            }
        }
    }

    /// What the newest event of a connection rests on, visible or not.
    pub(crate) fn newest_gated(&self, connection: ConnectionId) -> Option<Sequence> {
        self.gated
            .get(&connection)
            .and_then(|events| events.back())
            .map(|(after, _)| *after)
    }
}
