//! What producers and consumers do: each a task with a connection of its own, all on one thread.
//!
//! Invariants: a producer never has more than its share unconfirmed; every delivery goes through the ledger before it is acknowledged; the clock is read once for all that was read or
//! written together. Deliberately absent: when a run begins and ends (`course`).

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

use client::stomp::{Ack, SendOptions, SubscribeOptions};
use tokio::sync::{Notify, watch};

use super::body::{self, BodyHeader};
use super::connection::{
    AckSyntax, Connection, Delivery, Incoming, Place, Target, Template, unexpected, write_sign_of_life,
};
use super::ledger::Ledger;
use super::measurement::Measurement;
use super::scenario::Scenario;
use crate::cli::failure::Failure;

/// What producers, consumers and the course of the run share.
pub(super) struct Traffic {
    pub(super) scenario: Scenario,
    pub(super) target: Target,
    began: Instant,
    pub(super) ledger: RefCell<Ledger>,
    pub(super) measurement: RefCell<Measurement>,
    /// How many messages may still be sent.
    allowance: Cell<u64>,
    /// Confirmations so far, those of the warm-up included.
    pub(super) confirmed: Cell<u64>,
    /// Producers that have not ended.
    pub(super) producing: Cell<usize>,
    /// Whether the end of all deliveries is waited for.
    pub(super) awaits_completion: Cell<bool>,
    /// Something has come to its end: the course of the run looks anew.
    pub(super) changed: Notify,
    /// The backlog got smaller, or no more is to be sent.
    room: Notify,
    /// A body as it has to arrive, but for its header.
    blank: Box<[u8]>,
}

impl Traffic {
    pub(super) fn new(scenario: Scenario, target: Target) -> Rc<Traffic> {
        Rc::new(Traffic {
            began: Instant::now(),
            ledger: RefCell::new(Ledger::new(scenario.kind, scenario.producers)),
            measurement: RefCell::new(Measurement::new()),
            allowance: Cell::new(u64::MAX),
            confirmed: Cell::new(0),
            producing: Cell::new(0),
            awaits_completion: Cell::new(false),
            changed: Notify::new(),
            room: Notify::new(),
            blank: body::blank(scenario.body_bytes),
            scenario,
            target,
        })
    }

    /// Nanoseconds since the run began.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// From now on only so many messages are sent.
    pub(super) fn allow(&self, messages: u64) {
        self.allowance.set(messages);
        self.room.notify_waiters();
    }

    /// Whether all that was allowed has been sent.
    fn is_over(&self) -> bool {
        self.allowance.get() == 0
    }

    /// A number that changes with every confirmation and delivery.
    pub(super) fn moved(&self) -> u64 {
        self.confirmed.get() + self.ledger.borrow().received()
    }

    /// How many of `wanted` messages may be sent now.
    fn grant(&self, wanted: usize) -> u64 {
        let room = match self.scenario.backlog_max {
            Some(backlog_max) => backlog_max.saturating_sub(self.ledger.borrow().backlog()),
            None => u64::MAX,
        };
        let granted = (wanted as u64).min(room).min(self.allowance.get());
        if self.allowance.get() != u64::MAX {
            self.allowance.set(self.allowance.get() - granted);
        }
        granted
    }

    /// After deliveries: wakes who waited for them.
    fn delivered(&self) {
        if self
            .scenario
            .backlog_max
            .is_some_and(|backlog_max| self.ledger.borrow().backlog() < backlog_max)
        {
            self.room.notify_waiters();
        }
        if self.awaits_completion.get() && self.ledger.borrow().complete() {
            self.changed.notify_one();
        }
    }
}

/// The messages of one producer that are not confirmed: a confirmation names the place of its message here.
struct InFlight {
    free: Vec<u32>,
    /// When the message at each place was sent; `None`: the place is free.
    sent_at: Vec<Option<u64>>,
    /// The places in the order of sending, where confirmations name none.
    order: Option<VecDeque<u32>>,
}

impl InFlight {
    fn new(messages: u32, in_order: bool) -> InFlight {
        InFlight {
            free: (0..messages).rev().collect(),
            sent_at: vec![None; messages as usize],
            order: in_order.then(VecDeque::new),
        }
    }

    fn is_empty(&self) -> bool {
        self.free.len() == self.sent_at.len()
    }

    fn put(&mut self, now: u64) -> Option<u32> {
        let place = self.free.pop()?;
        self.sent_at[place as usize] = Some(now);
        if let Some(order) = &mut self.order {
            order.push_back(place);
        }
        Some(place)
    }

    /// When the message at a place was sent, which is confirmed; `None` if no such confirmation is due.
    fn take(&mut self, place: u64) -> Option<u64> {
        let index = usize::try_from(place).ok()?;
        let sent_at = self.sent_at.get_mut(index)?.take()?;
        self.free.push(u32::try_from(place).ok()?);
        Some(sent_at)
    }

    /// The same for what was sent first.
    fn take_first(&mut self) -> Option<u64> {
        let place = self.order.as_mut()?.pop_front()?;
        self.take(place.into())
    }
}

/// Sends until nothing more is allowed and everything is confirmed.
pub(super) async fn produce(
    traffic: Rc<Traffic>,
    mut connection: Connection,
    producer: usize,
    place: Place,
) -> Result<(), Failure> {
    let scenario = &traffic.scenario;
    let headers: Vec<(&str, &str)> = borrowed(&scenario.send_headers);
    let options = SendOptions {
        persistent: scenario.persistent,
        headers: &headers,
        ..SendOptions::default()
    };
    let template = connection.template(&place, &traffic.blank, &options);
    let mut in_flight = InFlight::new(scenario.in_flight, place.confirms_in_order());
    loop {
        send(&traffic, &mut connection, producer, &template, &mut in_flight);
        connection.flush()?;
        let waits_for_room = !in_flight.free.is_empty() && !traffic.is_over();
        match (in_flight.is_empty(), waits_for_room) {
            (true, false) => break,
            (true, true) => {
                traffic.room.notified().await;
                continue;
            }
            (false, false) => connection.read().await?,
            (false, true) => tokio::select! {
                read = connection.read() => read?,
                () = traffic.room.notified() => continue,
            },
        }
        let now = traffic.now();
        let mut measurement = traffic.measurement.borrow_mut();
        let mut receipts = 0;
        while let Some(incoming) = connection.input.next()? {
            let sent_at = match incoming {
                Incoming::Confirmed(place) => in_flight.take(place),
                Incoming::Done => in_flight.take_first(),
                Incoming::Asked => {
                    write_sign_of_life(&mut connection.output.bytes);
                    continue;
                }
                Incoming::Aside => continue,
                Incoming::Answered(_) | Incoming::Delivered(_) => None,
            };
            let Some(sent_at) = sent_at else {
                return Err(unexpected(traffic.target.endpoint, "something to a producer"));
            };
            measurement.confirmed(now, sent_at);
            receipts += 1;
        }
        traffic.confirmed.set(traffic.confirmed.get() + receipts);
    }
    disconnect(&mut connection).await;
    traffic.producing.set(traffic.producing.get() - 1);
    traffic.changed.notify_one();
    Ok(())
}

/// Writes as many messages as may be sent.
fn send(
    traffic: &Traffic,
    connection: &mut Connection,
    producer: usize,
    template: &Template,
    in_flight: &mut InFlight,
) {
    let granted = traffic.grant(in_flight.free.len());
    if granted == 0 {
        return;
    }
    let now = traffic.now();
    let mut ledger = traffic.ledger.borrow_mut();
    let mut measurement = traffic.measurement.borrow_mut();
    for _ in 0..granted {
        let Some(place) = in_flight.put(now) else { return };
        let header = BodyHeader {
            run: traffic.scenario.run,
            producer: u32::try_from(producer).expect("as many producers as the command line allows"),
            number: ledger.sending(producer),
            sent_at: now,
        };
        header.write(template.write(&mut connection.output.bytes, place));
        measurement.sending(now);
    }
}

/// Subscribes; when this returns the broker has confirmed it.
pub(super) async fn subscribe(
    traffic: &Traffic,
    connection: &mut Connection,
    consumer: usize,
    place: &Place,
) -> Result<(), Failure> {
    let scenario = &traffic.scenario;
    let headers = borrowed(&scenario.subscribe_headers);
    let options = SubscribeOptions {
        ack: scenario.ack,
        prefetch: Some(scenario.prefetch),
        receipt: Some("subscribed"),
        headers: &headers,
        ..SubscribeOptions::default()
    };
    connection.subscribe(place, &options);
    let mut acks = Acks::new(scenario.ack, connection.ack_syntax());
    // Where messages wait already (a drain), the first of them may overtake the receipt.
    let subscribed = connection.carried_out("subscribed", |delivery, out| {
        let now = traffic.now();
        match deliver(traffic, consumer, delivery, now) {
            true => acks.add(traffic, out, delivery),
            false => Ok(()),
        }
    });
    subscribed.await?;
    acks.end(&mut connection.output.bytes);
    connection.flush()
}

/// Receives until it is told to stop.
pub(super) async fn consume(
    traffic: Rc<Traffic>,
    mut connection: Connection,
    consumer: usize,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Failure> {
    let mut acks = Acks::new(traffic.scenario.ack, connection.ack_syntax());
    loop {
        // What had arrived with the answer to SUBSCRIBE is looked at before anything is waited for.
        let now = traffic.now();
        while let Some(incoming) = connection.input.next()? {
            match incoming {
                Incoming::Delivered(delivery) => {
                    if deliver(&traffic, consumer, &delivery, now) {
                        acks.add(&traffic, &mut connection.output.bytes, &delivery)?;
                    }
                }
                Incoming::Asked => write_sign_of_life(&mut connection.output.bytes),
                Incoming::Aside => {}
                Incoming::Confirmed(_) | Incoming::Done | Incoming::Answered(_) => {
                    return Err(unexpected(traffic.target.endpoint, "a confirmation to a consumer"));
                }
            }
        }
        acks.end(&mut connection.output.bytes);
        connection.flush()?;
        traffic.delivered();
        tokio::select! {
            biased;
            read = connection.read() => read?,
            // The sender lives as long as the run.
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    connection.unsubscribe("unsubscribed");
    let unsubscribed = connection.carried_out("unsubscribed", |delivery, _| {
        let now = traffic.now();
        deliver(&traffic, consumer, delivery, now);
        Ok(())
    });
    unsubscribed.await?;
    disconnect(&mut connection).await;
    traffic.changed.notify_one();
    Ok(())
}

/// Enters a delivery into the books. False if the message is not this run's, which is not for it to acknowledge.
fn deliver(traffic: &Traffic, consumer: usize, delivery: &Delivery<'_>, now: u64) -> bool {
    let mut ledger = traffic.ledger.borrow_mut();
    match BodyHeader::read(delivery.body, &traffic.blank, traffic.scenario.run) {
        Ok(header) => {
            ledger.delivered(consumer, header.producer as usize, header.number);
            traffic.measurement.borrow_mut().received(now, header.sent_at);
            true
        }
        Err(wrong) => {
            ledger.foreign(consumer, &wrong);
            false
        }
    }
}

/// The acknowledgements of what was read together.
struct Acks {
    mode: Ack,
    syntax: AckSyntax,
    /// With `ack:client`, the acknowledgement of the last message.
    last: Vec<u8>,
}

impl Acks {
    fn new(mode: Ack, syntax: AckSyntax) -> Acks {
        Acks {
            mode,
            syntax,
            last: Vec::new(),
        }
    }

    fn add(&mut self, traffic: &Traffic, out: &mut Vec<u8>, delivery: &Delivery<'_>) -> Result<(), Failure> {
        let complete = match self.mode {
            Ack::Auto => true,
            Ack::Client => {
                self.last.clear();
                self.syntax.write(&mut self.last, delivery)
            }
            Ack::ClientIndividual => self.syntax.write(out, delivery),
        };
        match complete {
            true => Ok(()),
            false => Err(unexpected(
                traffic.target.endpoint,
                "a message that cannot be acknowledged",
            )),
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.last);
    }
}

/// Says goodbye. Everything that matters is confirmed by then, so a broker that does not answer is none the worse for it.
async fn disconnect(connection: &mut Connection) {
    connection.disconnect("goodbye");
    let _ = connection.carried_out("goodbye", |_, _| Ok(())).await;
}

fn borrowed(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_receipt_is_due_once() {
        let mut in_flight = InFlight::new(2, false);
        let (first, second) = (in_flight.put(10).unwrap(), in_flight.put(20).unwrap());
        assert_eq!(in_flight.put(30), None);
        assert_eq!(in_flight.take(second.into()), Some(20));
        assert_eq!(in_flight.take(second.into()), None);
        assert_eq!(in_flight.take(99), None);
        assert!(!in_flight.is_empty());
        assert_eq!((in_flight.take_first(), in_flight.take(first.into())), (None, Some(10)));
        assert!(in_flight.is_empty());
    }

    #[test]
    fn a_confirmation_without_a_name_is_of_what_was_sent_first() {
        let mut in_flight = InFlight::new(2, true);
        in_flight.put(10);
        in_flight.put(20);
        assert_eq!(in_flight.take_first(), Some(10));
        in_flight.put(30);
        let rest = [in_flight.take_first(), in_flight.take_first(), in_flight.take_first()];
        assert_eq!(rest, [Some(20), Some(30), None]);
    }
}
