//! A healthy client beside every enemy: it sends durable messages and receives them all the while, and what it did and saw is judged.
//!
//! Two connections, a thread each: one sends a few messages at a time and waits for their receipts, one takes each message and waits for the receipt of its ACK. Invariant: every event stands in the
//! history before the frame that it is about leaves, or after the one that it is about came. Time is measured and never judged.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::line::{ANSWER_WITHIN, Frame, Line, ack, send, subscribe};
use super::pace;
use super::trouble::{Trouble, ensure};
use crate::history::{
    Body, Consumer, Delivered, Event, History, Outcome, Place, Producer, Sending, Settlement, Tolerance, judge,
};

const QUEUE: &str = "/queue/witness";

/// Messages between two waits for receipts.
const MESSAGES_AT_ONCE: u64 = 4;

/// Messages that may be sent and not consumed.
const AHEAD_MAX: u64 = 64;

/// Between two rounds of sends, so that the witness sees the machine and does not fill it.
const PAUSE: Duration = Duration::from_millis(10);

/// What the witness says of the broker.
#[derive(Clone, Copy, Debug, Default)]
pub struct Testimony {
    /// Messages that were confirmed, and each of which came exactly as promised.
    pub confirmed: u64,
    /// The longest time from a SEND to its receipt.
    pub slowest: Duration,
}

#[derive(Debug, Default)]
struct State {
    history: History,
    confirmed: u64,
    consumed: u64,
    slowest: Duration,
    ending: bool,
    /// Why a thread ended before it was asked to.
    broken: Option<Trouble>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while it holds the state")
    }

    fn note(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Waits for something, or for the end of it all.
    fn wait_until(&self, what: &str, holds: impl Fn(&State) -> bool) -> Result<(), Trouble> {
        let (state, waited) = self
            .changed
            .wait_timeout_while(self.lock(), ANSWER_WITHIN, |state| {
                !holds(state) && state.broken.is_none()
            })
            .expect("no thread panics while it holds the state");
        match &state.broken {
            _ if holds(&state) => Ok(()),
            Some(trouble) => Err(trouble.clone().during("the healthy client")),
            None => {
                debug_assert!(waited.timed_out());
                Err(Trouble::Failed(format!(
                    "the healthy client waits for {what} for more than {ANSWER_WITHIN:?}; {} of its messages were confirmed and {} consumed",
                    state.confirmed, state.consumed
                )))
            }
        }
    }
}

/// The healthy client.
#[derive(Debug)]
pub struct Witness {
    shared: Arc<Shared>,
    place: Place,
    threads: Vec<JoinHandle<()>>,
}

impl Witness {
    /// Begins to send and to receive.
    ///
    /// # Errors
    /// The broker takes no healthy client.
    pub fn start(address: SocketAddr, epoch: u32) -> Result<Witness, Trouble> {
        let shared = Arc::new(Shared::default());
        let place = {
            let mut state = shared.lock();
            state.history.push(Event::Leads { epoch });
            state.history.place(QUEUE)
        };
        let (sender, receiver) = (Line::connected(address)?, Line::connected(address)?);
        let mut witness = Witness {
            shared,
            place,
            threads: Vec::new(),
        };
        witness.spawn(sender, send_on);
        witness.spawn(receiver, receive_on);
        Ok(witness)
    }

    fn spawn(&mut self, line: Line, work: fn(&Shared, Place, Line) -> Result<(), Trouble>) {
        let (shared, place) = (Arc::clone(&self.shared), self.place);
        self.threads.push(std::thread::spawn(move || {
            if let Err(trouble) = work(&shared, place, line) {
                shared.note(|state| {
                    state.broken.get_or_insert(trouble);
                });
            }
        }));
    }

    /// Waits until so many more messages were sent, confirmed and consumed.
    ///
    /// # Errors
    /// Something hangs or broke.
    pub fn goes_on(&self, messages: u64) -> Result<(), Trouble> {
        let wanted = self.shared.lock().confirmed + messages;
        self.shared
            .wait_until("its next messages", |state| state.consumed >= wanted)
    }

    /// Ends the work: everything that was confirmed is consumed, then everything that still waits is taken, and the whole is judged.
    ///
    /// # Errors
    /// What broke.
    pub fn finish(mut self, address: SocketAddr) -> Result<Testimony, Trouble> {
        self.shared.note(|state| state.ending = true);
        self.join();
        if let Some(trouble) = self.shared.lock().broken.take() {
            return Err(trouble.during("the healthy client"));
        }
        self.judge(address)
    }

    /// The same after the broker died under it and another was started: what had no answer may or may not have taken place.
    ///
    /// # Errors
    /// What broke.
    pub fn finish_after_crash(mut self, address: SocketAddr, epoch: u32) -> Result<Testimony, Trouble> {
        self.shared.note(|state| state.ending = true);
        self.join();
        self.shared.note(|state| {
            state.history.push(Event::Crashed);
            state.history.push(Event::Leads { epoch });
        });
        self.judge(address)
    }

    fn join(&mut self) {
        for thread in self.threads.drain(..) {
            thread.join().expect("it tells its trouble and does not panic");
        }
    }

    fn judge(&self, address: SocketAddr) -> Result<Testimony, Trouble> {
        drain(&self.shared, self.place, address)?;
        let state = self.shared.lock();
        if let Some(violation) = judge(&state.history, Tolerance::default()).first() {
            let story = violation.body.map(|body| state.history.story(body)).unwrap_or_default();
            return Err(Trouble::Failed(format!("{violation}\n{story}")));
        }
        Ok(Testimony {
            confirmed: state.confirmed,
            slowest: state.slowest,
        })
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.shared.note(|state| state.ending = true);
    }
}

/// The body of a message: everything follows from its number.
fn content(number: u64) -> String {
    let filler = char::from(b'a' + (number % 26) as u8);
    format!("{number}:{}", String::from(filler).repeat((number % 1500) as usize))
}

fn send_on(shared: &Shared, place: Place, mut line: Line) -> Result<(), Trouble> {
    let mut number = 0;
    let mut left = Unanswered::new();
    loop {
        let mut frames = Vec::new();
        for _ in 0..MESSAGES_AT_ONCE {
            number += 1;
            shared.note(|state| {
                state.history.push(Event::Sending(Sending {
                    body: Body(number),
                    producer: Producer(1),
                    places: vec![place],
                    persistent: true,
                    priority: 4,
                    expires: None,
                    transaction: None,
                }));
            });
            frames.extend(send(
                QUEUE,
                &format!("persistent:true\nreceipt:{number}\n"),
                &content(number),
            ));
            left.push(number);
        }
        line.write(&frames)?;
        for _ in 0..MESSAGES_AT_ONCE {
            let receipt = line.expect("RECEIPT")?;
            let body = number_of(receipt.header("receipt-id"))?;
            let took = left.came(body)?;
            shared.note(|state| {
                state.history.push(Event::Sent(Body(body)));
                state.confirmed += 1;
                state.slowest = state.slowest.max(took);
            });
        }
        shared.wait_until("its messages to come", |state| {
            state.ending || state.confirmed - state.consumed <= AHEAD_MAX
        })?;
        if shared.lock().ending {
            return line.ask(b"DISCONNECT\nreceipt:bye\n\n\0", "bye");
        }
        pace::pass(PAUSE);
    }
}

/// When each message left whose receipt has not come.
struct Unanswered(BTreeMap<u64, Instant>);

impl Unanswered {
    fn new() -> Unanswered {
        Unanswered(BTreeMap::new())
    }

    fn push(&mut self, number: u64) {
        self.0.insert(number, Instant::now());
    }

    fn came(&mut self, number: u64) -> Result<Duration, Trouble> {
        let left = self.0.remove(&number);
        left.map(|left| left.elapsed())
            .ok_or_else(|| Trouble::Failed(format!("a receipt {number} that nobody asked for")))
    }
}

fn number_of(text: &str) -> Result<u64, Trouble> {
    text.parse()
        .map_err(|_| Trouble::Failed(format!("{text:?} instead of a number of ours")))
}

/// How often a receiver looks whether it shall end.
const LOOK: Duration = Duration::from_millis(100);

fn receive_on(shared: &Shared, place: Place, mut line: Line) -> Result<(), Trouble> {
    let consumer = Consumer(1);
    line.write(&subscribe("w", QUEUE, "ack:client-individual\n"))?;
    loop {
        let over = |state: &State| state.ending && (state.broken.is_some() || state.consumed == state.confirmed);
        match line.frame_within(LOOK)? {
            None => {
                if over(&shared.lock()) {
                    return leave(shared, place, consumer, line);
                }
            }
            Some(frame) => match frame.command.as_str() {
                "MESSAGE" => {
                    let body = delivered(shared, place, consumer, &frame);
                    let settlement = Settlement(u32::try_from(body.0).expect("fewer than 2^32 messages"));
                    shared.note(|state| {
                        state.history.push(Event::Settling {
                            settlement,
                            place,
                            bodies: vec![body],
                            outcome: Outcome::Consumed,
                            transaction: None,
                        });
                    });
                    line.write(&ack(&frame, &format!("receipt:{}\n", body.0)))?;
                }
                "RECEIPT" => {
                    let body = number_of(frame.header("receipt-id"))?;
                    let settlement = Settlement(u32::try_from(body).expect("fewer than 2^32 messages"));
                    shared.note(|state| {
                        state.history.push(Event::Settled(settlement));
                        state.consumed += 1;
                    });
                }
                _ => return Err(Trouble::Failed(format!("it was told: {}", frame.text()))),
            },
        }
    }
}

fn leave(shared: &Shared, place: Place, consumer: Consumer, mut line: Line) -> Result<(), Trouble> {
    shared.note(|state| {
        state.history.push(Event::Leaving {
            consumer,
            places: vec![place],
        });
    });
    line.ask(b"UNSUBSCRIBE\nid:w\nreceipt:bye\n\n\0", "bye")?;
    shared.note(|state| state.history.push(Event::Left(consumer)));
    Ok(())
}

fn delivered(shared: &Shared, place: Place, consumer: Consumer, frame: &Frame) -> Body {
    let text = std::str::from_utf8(frame.body()).unwrap_or_default();
    let number = text
        .split(':')
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0);
    let at = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |passed| passed.as_millis() as u64);
    shared.note(|state| {
        state.history.push(Event::Delivered(Delivered {
            consumer,
            place,
            body: Body(number),
            redelivered: frame.header("redelivered") == "true",
            at,
            id: u64::from(crc32fast::hash(frame.header("message-id").as_bytes())),
            superseded: false,
            flaw: (text != content(number)).then_some("its bytes were altered"),
        }));
    });
    Body(number)
}

/// Takes what still waits: nothing, unless the broker died.
fn drain(shared: &Shared, place: Place, address: SocketAddr) -> Result<(), Trouble> {
    let consumer = Consumer(2);
    let mut line = Line::connected(address)?;
    shared.note(|state| {
        // A consumer whose connection died gave back what it had.
        state.history.push(Event::Leaving {
            consumer: Consumer(1),
            places: vec![place],
        });
        state.history.push(Event::Draining);
    });
    line.write(&subscribe("d", QUEUE, "ack:client\nactivemq.prefetchSize:30000\n"))?;
    line.write(&send(QUEUE, "priority:0\n", "end"))?;
    loop {
        let frame = line.expect("MESSAGE")?;
        if frame.body() == b"end" {
            line.ask(&ack(&frame, "receipt:drained\n"), "drained")?;
            return line.ask(b"DISCONNECT\nreceipt:bye\n\n\0", "bye");
        }
        delivered(shared, place, consumer, &frame);
    }
}

/// Fails unless the witness saw enough to say anything.
///
/// # Errors
/// It saw too little.
pub(crate) fn ensure_credible(testimony: Testimony) -> Result<(), Trouble> {
    ensure(testimony.confirmed >= 20, || {
        format!(
            "only {} messages of the healthy client were confirmed",
            testimony.confirmed
        )
    })
}
