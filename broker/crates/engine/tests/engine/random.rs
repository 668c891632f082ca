//! Random histories with crashes at any record: what was promised holds, and every way to recover gives the same state.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use engine::{AdminCommand, Engine, MoveTo, Settings};
use message::{ConsumerId, DeliveryTag, Epoch, LastDelivered, MessageNumber, RequestId, Sequence};
use proptest::prelude::*;
use record::{Definition, Entry, Image, ObjectId, PieceContent, PieceKey, Reader};

use super::broker::{Broker, Client, Consumer, MemoryStore, Written, pieces};

const QUEUES: [&str; 3] = ["A", "B", "ActiveMQ.DLQ"];

#[derive(Clone, Debug)]
enum Operation {
    Send {
        to: usize,
        priority: u8,
        persistent: bool,
        expires: bool,
    },
    Resend {
        which: usize,
    },
    Publish,
    Subscribe {
        to: usize,
        prefetch: u32,
        selects: bool,
    },
    SubscribeDurable,
    Acknowledge {
        consumer: usize,
        delivery: usize,
    },
    Reject {
        consumer: usize,
        delivery: usize,
    },
    Release {
        consumer: usize,
        delivery: usize,
    },
    Close {
        consumer: usize,
        counts: bool,
    },
    Transaction {
        sends: Vec<usize>,
        consumer: usize,
        acknowledges: usize,
        end: u8,
    },
    Disconnect,
    Purge {
        to: usize,
    },
    Move {
        from: usize,
        /// Beyond the queues: back where each came from.
        to: usize,
    },
    SubscribeToAll,
    Wait {
        milliseconds: u64,
    },
    Confirm {
        behind: usize,
    },
    Checkpoint,
    Crash {
        behind: usize,
    },
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    let which = || any::<prop::sample::Index>().prop_map(|index| index.index(1 << 20));
    prop_oneof![
        8 => (0..2usize, 3..6u8, prop::bool::weighted(0.8), prop::bool::weighted(0.1))
            .prop_map(|(to, priority, persistent, expires)| Send { to, priority, persistent, expires }),
        1 => which().prop_map(|which| Resend { which }),
        1 => Just(Publish),
        3 => (0..3usize, 1..5u32, any::<bool>()).prop_map(|(to, prefetch, selects)| Subscribe { to, prefetch, selects }),
        1 => Just(SubscribeDurable),
        6 => (which(), which()).prop_map(|(consumer, delivery)| Acknowledge { consumer, delivery }),
        2 => (which(), which()).prop_map(|(consumer, delivery)| Reject { consumer, delivery }),
        1 => (which(), which()).prop_map(|(consumer, delivery)| Release { consumer, delivery }),
        2 => (which(), any::<bool>()).prop_map(|(consumer, counts)| Close { consumer, counts }),
        3 => (prop::collection::vec(0..2usize, 0..4), which(), 0..3usize, 0..3u8)
            .prop_map(|(sends, consumer, acknowledges, end)| Transaction { sends, consumer, acknowledges, end }),
        1 => Just(Disconnect),
        1 => (0..3usize).prop_map(|to| Purge { to }),
        1 => (0..3usize, 0..4usize).prop_map(|(from, to)| Move { from, to }),
        1 => Just(SubscribeToAll),
        1 => prop_oneof![Just(40_000u64), 1..500u64].prop_map(|milliseconds| Wait { milliseconds }),
        6 => (0..4usize).prop_map(|behind| Confirm { behind }),
        1 => Just(Checkpoint),
        2 => (0..6usize).prop_map(|behind| Crash { behind }),
    ]
}

/// What is known of one persistent message.
#[derive(Default)]
struct Fate {
    priority: u8,
    queue: usize,
    /// Its send was answered, or a recovery found it.
    is_sent: bool,
    sending: Option<RequestId>,
    sender: Option<Client>,
    /// It may have arrived later than its name says.
    is_resent: bool,
    /// An administrator may have moved it.
    may_have_moved: bool,
    /// Somebody asked for its end: it may be gone.
    may_be_gone: bool,
    /// It may have moved to the dead-letter queue.
    may_be_dead: bool,
    /// Its end was answered, or a recovery did not find it: it must never be seen again.
    is_gone: bool,
    ending: Option<(Client, RequestId)>,
}

struct History {
    broker: Broker,
    client: Client,
    fates: BTreeMap<String, Fate>,
    consumers: Vec<Consumer>,
    /// Deliveries about which something was said already.
    used: BTreeSet<(ConsumerId, DeliveryTag)>,
    /// Sends of one transaction: all there or none.
    together: Vec<Vec<String>>,
    next: usize,
}

impl History {
    fn new() -> History {
        // A resend is recognised however long a history goes on.
        let broker = Broker::with(Settings {
            duplicate_window: Duration::from_secs(1 << 30),
            ..Settings::default()
        });
        broker.hold_disk();
        let client = broker.client_named(Some("C"));
        History {
            broker,
            client,
            fates: BTreeMap::new(),
            consumers: Vec::new(),
            used: BTreeSet::new(),
            together: Vec::new(),
            next: 0,
        }
    }

    fn body(&mut self) -> String {
        self.next += 1;
        format!("{:06}", self.next)
    }

    /// Takes what clients have been told into account.
    fn listen(&mut self) {
        for fate in self.fates.values_mut() {
            if let (Some(request), Some(client)) = (fate.sending, &fate.sender)
                && client.outcome(request) == Some(Ok(()))
            {
                fate.is_sent = true;
                fate.sending = None;
            }
            if let Some((client, request)) = &fate.ending
                && client.outcome(*request) == Some(Ok(()))
            {
                fate.is_gone = true;
                fate.ending = None;
            }
        }
        for consumer in &self.consumers {
            for received in consumer.fresh() {
                if let Some(fate) = self.fates.get(&received.body) {
                    assert!(!fate.is_gone, "{} is back after its end was confirmed", received.body);
                }
            }
        }
    }

    /// A delivery, and whether nothing was said about it before.
    fn delivered(&mut self, consumer: usize, delivery: usize) -> Option<(Consumer, String, bool)> {
        let consumer = self.consumers.get(consumer % self.consumers.len().max(1))?.clone();
        let all = consumer.all();
        let body = all.get(delivery % all.len().max(1))?.body.clone();
        let newest = all.iter().rev().find(|received| received.body == body)?.delivery.tag;
        let is_fresh = self.used.insert((consumer.id, newest));
        Some((consumer, body, is_fresh))
    }

    fn run(&mut self, operation: Operation) {
        let client = self.client.clone();
        match operation {
            Operation::Send {
                to,
                priority,
                persistent,
                expires,
            } => {
                let body = self.body();
                let expiration = if expires { self.broker.0.borrow().now + 100 } else { 0 };
                let request = client.post(QUEUES[to], &body, |message, send| {
                    message.priority = priority;
                    message.persistent = persistent;
                    message.expiration = expiration;
                    send.duplicate_id = Some(body.as_str().into());
                });
                if persistent {
                    let sending = Some(request);
                    let fate = Fate {
                        priority,
                        queue: to,
                        sending,
                        sender: Some(client),
                        may_be_dead: expires,
                        ..Fate::default()
                    };
                    self.fates.insert(body, fate);
                }
            }
            Operation::Resend { which } => {
                let which = which % self.fates.len().max(1);
                let Some((body, fate)) = self.fates.iter_mut().nth(which) else {
                    return;
                };
                fate.is_resent = true;
                if !fate.is_sent {
                    // It may never have arrived: then this is the original.
                    fate.is_gone = false;
                    fate.may_be_gone = true;
                }
                let (priority, body) = (fate.priority, body.clone());
                client.post(QUEUES[fate.queue], &body, |message, send| {
                    message.priority = priority;
                    send.duplicate_id = Some(body.as_str().into());
                });
            }
            Operation::Publish => {
                let body = self.body();
                client.post("topic:T", &body, |_, _| {});
            }
            Operation::Subscribe { to, prefetch, selects } => {
                let (consumer, _) = client.try_subscribe(QUEUES[to], |subscribe| {
                    subscribe.prefetch = prefetch;
                    subscribe.selector = selects.then(|| "JMSPriority > 3".into());
                });
                self.consumers.push(consumer);
            }
            Operation::SubscribeToAll => {
                let (consumer, _) = client.try_subscribe(">", |subscribe| subscribe.prefetch = 3);
                self.consumers.push(consumer);
            }
            Operation::Purge { to } => {
                let queue = super::broker::destination(QUEUES[to]);
                self.broker.admin_after(AdminCommand::Purge { queue });
                self.fates.values_mut().for_each(|fate| fate.may_be_gone = true);
            }
            Operation::Move { from, to } => {
                let to = QUEUES
                    .get(to)
                    .map_or(MoveTo::Origin, |to| MoveTo::Queue(super::broker::destination(to)));
                let from = super::broker::destination(QUEUES[from]);
                let (selector, go_on) = (None, None);
                self.broker.admin_after(AdminCommand::Move {
                    from,
                    to,
                    selector,
                    limit: 5,
                    go_on,
                });
                for fate in self.fates.values_mut() {
                    fate.may_have_moved = true;
                    // What expires in the dead-letter queue itself is discarded.
                    fate.may_be_gone |= fate.may_be_dead;
                }
            }
            Operation::SubscribeDurable => {
                let (consumer, _) = client.try_subscribe("topic:T", |subscribe| {
                    subscribe.prefetch = 2;
                    subscribe.durable = Some("D".into());
                });
                self.consumers.push(consumer);
            }
            Operation::Acknowledge { consumer, delivery } => {
                let Some((consumer, body, is_fresh)) = self.delivered(consumer, delivery) else {
                    return;
                };
                let request = consumer.post_ack(&body);
                if let Some(fate) = self.fates.get_mut(&body) {
                    fate.may_be_gone = true;
                    if is_fresh {
                        fate.ending = Some((client, request));
                    }
                }
            }
            Operation::Reject { consumer, delivery } => {
                let Some((consumer, body, _)) = self.delivered(consumer, delivery) else {
                    return;
                };
                consumer.post_reject(&body);
                if let Some(fate) = self.fates.get_mut(&body) {
                    fate.may_be_dead = true;
                    // Rejected in the dead-letter queue itself, it is discarded.
                    fate.may_be_gone = true;
                }
            }
            Operation::Release { consumer, delivery } => {
                let Some((consumer, body, _)) = self.delivered(consumer, delivery) else {
                    return;
                };
                consumer.post_release(&body);
            }
            Operation::Close { consumer, counts } => {
                if self.consumers.is_empty() {
                    return;
                }
                let consumer = self.consumers.remove(consumer % self.consumers.len());
                consumer.post_close(if counts {
                    LastDelivered::Unknown
                } else {
                    LastDelivered::Nothing
                });
            }
            Operation::Transaction {
                sends,
                consumer,
                acknowledges,
                end,
            } => {
                let transaction = client.post_begin();
                let (mut bodies, mut taken) = (Vec::new(), Vec::new());
                for to in sends {
                    let body = self.body();
                    client.post(QUEUES[to], &body, |_, send| {
                        send.transaction = Some(transaction);
                        send.duplicate_id = Some(body.as_str().into());
                    });
                    bodies.push((body, to));
                }
                for delivery in 0..acknowledges {
                    let Some((consumer, body, is_fresh)) = self.delivered(consumer, delivery) else {
                        continue;
                    };
                    consumer.post_ack_in(transaction, &body);
                    taken.extend(is_fresh.then(|| body.clone()));
                    if let Some(fate) = self.fates.get_mut(&body) {
                        fate.may_be_gone |= end == 0;
                    }
                }
                match end {
                    0 => {
                        let request = client.post_commit(transaction);
                        for (body, queue) in &bodies {
                            let sending = Some(request);
                            let fate = Fate {
                                priority: 4,
                                queue: *queue,
                                sending,
                                sender: Some(client.clone()),
                                ..Fate::default()
                            };
                            self.fates.insert(body.clone(), fate);
                        }
                        for body in taken {
                            if let Some(fate) = self.fates.get_mut(&body) {
                                fate.ending = Some((client.clone(), request));
                            }
                        }
                        self.together.push(bodies.into_iter().map(|(body, _)| body).collect());
                    }
                    1 => {
                        client.post_rollback(transaction);
                    }
                    _ => {}
                }
            }
            Operation::Disconnect => {
                self.client.disconnect();
                self.consumers.clear();
                self.client = self.broker.client_named(Some("C"));
            }
            Operation::Wait { milliseconds } => self.broker.wait(milliseconds),
            Operation::Confirm { behind } => {
                {
                    let mut inner = self.broker.0.borrow_mut();
                    let target = inner.store.records.len().saturating_sub(behind) as u64;
                    inner.store.confirmed = inner.store.confirmed.max(target);
                }
                self.broker.wait(0);
            }
            Operation::Checkpoint => self.broker.checkpoint(),
            Operation::Crash { behind } => {
                self.listen();
                let (confirmed, appended) = {
                    let inner = self.broker.0.borrow();
                    (inner.store.confirmed as usize, inner.store.records.len())
                };
                self.broker.crash_after(appended.saturating_sub(behind).max(confirmed));
                self.consumers.clear();
                self.client = self.broker.client_named(Some("C"));
                // What has expired is in no browse; the sweep moves it.
                self.broker.wait(30_000);
                self.look();
            }
        }
        self.listen();
        assert_eq!(self.broker.0.borrow().engine.broken_invariant(), None);
    }

    /// Compares what waits with what is known, and takes it as known.
    fn look(&mut self) {
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        for (index, queue) in QUEUES.iter().enumerate() {
            let messages = self.broker.messages(queue);
            let mut last: BTreeMap<u8, String> = BTreeMap::new();
            for message in &messages {
                let body = super::broker::body(message);
                if index < 2
                    && !self
                        .fates
                        .get(&body)
                        .is_some_and(|fate| fate.is_resent || fate.may_have_moved)
                {
                    let before = last.insert(message.priority, body.clone());
                    assert!(
                        before.as_ref() < Some(&body),
                        "{before:?} stands before {body} in {queue}"
                    );
                }
                let twice = found.insert(body.clone(), index);
                assert!(
                    twice.is_none(),
                    "{body} is in {} and in {queue}",
                    QUEUES[twice.unwrap_or(0)]
                );
            }
        }
        for (body, fate) in &mut self.fates {
            match found.get(body) {
                Some(queue) => {
                    assert!(!fate.is_gone, "{body} is back in {}", QUEUES[*queue]);
                    assert!(
                        *queue == fate.queue || fate.may_be_dead || fate.may_have_moved,
                        "{body} is in {}",
                        QUEUES[*queue]
                    );
                    fate.is_sent = true;
                }
                None => {
                    assert!(!fate.is_sent || fate.may_be_gone, "{body} was confirmed and is lost");
                }
            }
        }
        for bodies in self.together.drain(..) {
            let untouched: Vec<_> = bodies.iter().filter(|body| !self.fates[*body].may_be_gone).collect();
            let there = untouched.iter().filter(|body| found.contains_key(**body)).count();
            assert!(
                there == 0 || there == untouched.len(),
                "a part of a transaction: {there} of {bodies:?}"
            );
        }
        for (body, fate) in &mut self.fates {
            fate.sending = None;
            fate.ending = None;
            fate.is_gone |= !found.contains_key(body);
            fate.may_be_gone = fate.is_gone;
        }
    }
}

/// The durable state, without what may differ: where pages begin.
#[derive(Debug, PartialEq)]
struct State {
    next_object: u32,
    highest: MessageNumber,
    objects: BTreeMap<ObjectId, (Definition, MessageNumber)>,
    entries: BTreeMap<(ObjectId, u8), Vec<Entry>>,
    duplicates: BTreeMap<ObjectId, Vec<(u64, String)>>,
}

fn state(image: &Image) -> State {
    let mut reader = Reader::new(&image.catalog);
    assert_eq!(reader.u8().unwrap(), 1);
    assert_eq!(reader.u64().unwrap(), image.through.0);
    let (next_object, highest) = (reader.u32().unwrap(), reader.number().unwrap());
    let mut objects = BTreeMap::new();
    for _ in 0..reader.u32().unwrap() {
        let id = reader.object().unwrap();
        let definition = Definition::decode(&mut reader).unwrap();
        let mark = reader.number().unwrap();
        reader.u64().unwrap();
        for _ in 0..reader.u8().unwrap() {
            reader.u8().unwrap();
            reader.u64().unwrap();
        }
        objects.insert(id, (definition, mark));
    }
    let (mut entries, mut duplicates): (BTreeMap<_, Vec<_>>, BTreeMap<_, Vec<_>>) = Default::default();
    let mut sorted = image.pieces.clone();
    sorted.sort_by_key(|piece| piece.key);
    for piece in &sorted {
        match (&piece.key, &piece.content) {
            (PieceKey::Page { object, priority, .. }, PieceContent::Page(page)) => {
                assert!(!page.entries.is_empty(), "an empty page");
                entries
                    .entry((*object, *priority))
                    .or_default()
                    .extend(page.entries.iter().copied());
            }
            (PieceKey::Duplicates { object, .. }, PieceContent::Duplicates(ids)) => {
                let ids = ids.ids.iter().map(|(time, id)| (*time, id.to_string()));
                duplicates.entry(*object).or_default().extend(ids);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        sorted.iter().map(|piece| piece.key).collect::<BTreeSet<_>>().len(),
        sorted.len()
    );
    State {
        next_object,
        highest,
        objects,
        entries,
        duplicates,
    }
}

fn replay(engine: &mut Engine, records: &[Written], from: usize, to: usize) {
    for (index, (record, _, messages)) in records.iter().enumerate().take(to).skip(from) {
        let (sequence, place) = (Sequence(index as u64 + 1), MemoryStore::place(index));
        engine
            .replay(sequence, record.clone(), place, place.segment, messages)
            .unwrap();
    }
}

fn engine() -> Engine {
    Engine::new(
        Settings {
            duplicate_window: Duration::from_secs(1 << 30),
            ..Settings::default()
        },
        Epoch(9),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_history_keeps_what_was_confirmed_and_recovers_the_same_from_anywhere(
        operations in prop::collection::vec(operation(), 1..90),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut history = History::new();
        for operation in operations {
            history.run(operation);
        }
        history.run(Operation::Crash { behind: 0 });
        let live = state(&history.broker.0.borrow_mut().engine.image());
        let inner = history.broker.0.borrow();
        let records = &inner.store.records;
        let mut whole = engine();
        replay(&mut whole, records, 0, records.len());
        prop_assert_eq!(state(&whole.image()), live);
        let cut = cut.index(records.len() + 1);
        let mut first = engine();
        replay(&mut first, records, 0, cut);
        let image = first.image();
        let mut second = engine();
        second.restore(&image.catalog, pieces(&image)).unwrap();
        replay(&mut second, records, cut, records.len());
        prop_assert_eq!(state(&second.image()), state(&whole.image()));
    }
}
