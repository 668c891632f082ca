//! Clients and consumers of the test broker.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use engine::EngineTime;
use message::{
    Acknowledge, Body, BodyKind, Command, ConnectionId, ConsumerId, Delivery, DeliveryTag, Disposition, Event,
    LastDelivered, Message, PropertiesBuilder, Property, Refusal, RequestId, Send, Sequence, Subscribe, TransactionId,
};

use super::{Broker, destination};

/// What an answer says; `None`: not answered yet.
pub(crate) type Outcome = Option<Result<(), Refusal>>;

#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) broker: Broker,
    pub(crate) id: ConnectionId,
    numbers: Rc<Cell<u32>>,
}

impl Client {
    pub(crate) fn new(broker: Broker, id: ConnectionId) -> Client {
        Client {
            broker,
            id,
            numbers: Rc::new(Cell::new(0)),
        }
    }

    fn next(&self) -> u32 {
        self.numbers.set(self.numbers.get() + 1);
        self.numbers.get()
    }

    pub(crate) fn ask(&self, command: Command) -> Outcome {
        let request = self.request(command);
        self.outcome(request)
    }

    pub(crate) fn request(&self, command: Command) -> RequestId {
        self.broker.0.borrow_mut().command(self.id, command)
    }

    pub(crate) fn outcome(&self, request: RequestId) -> Outcome {
        self.broker.0.borrow().answers.get(&(self.id, request)).cloned()
    }

    /// What the newest event that is not visible yet rests on.
    pub(crate) fn waits_for(&self) -> Option<Sequence> {
        self.broker.0.borrow().newest_gated(self.id)
    }

    pub(crate) fn message(&self, to: &str, body: &str) -> Message {
        let id = self.broker.0.borrow_mut().message_id();
        Message::new(
            &id,
            destination(to),
            Body {
                kind: BodyKind::Text,
                bytes: body.to_owned().into(),
            },
        )
    }

    fn sending(&self, to: &str, body: &str, change: impl FnOnce(&mut Message, &mut Send)) -> Command {
        let destinations: Vec<_> = to.split(',').map(destination).collect();
        let mut message = self.message(to.split(',').next().unwrap(), body);
        let placeholder = Arc::new(message.clone());
        let mut send = Send {
            message: placeholder,
            destinations,
            transaction: None,
            duplicate_id: None,
        };
        change(&mut message, &mut send);
        send.message = Arc::new(message);
        Command::Send(Box::new(send))
    }

    pub(crate) fn send(&self, to: &str, body: &str) {
        assert_eq!(self.try_send(to, body), Some(Ok(())));
    }

    pub(crate) fn try_send(&self, to: &str, body: &str) -> Outcome {
        self.send_with(to, body, |_, _| {})
    }

    pub(crate) fn send_with(&self, to: &str, body: &str, change: impl FnOnce(&mut Message, &mut Send)) -> Outcome {
        self.ask(self.sending(to, body, change))
    }

    pub(crate) fn post(&self, to: &str, body: &str, change: impl FnOnce(&mut Message, &mut Send)) -> RequestId {
        self.request(self.sending(to, body, change))
    }

    pub(crate) fn send_volatile(&self, to: &str, body: &str) {
        assert_eq!(
            self.send_with(to, body, |message, _| message.persistent = false),
            Some(Ok(()))
        );
    }

    pub(crate) fn send_priority(&self, to: &str, body: &str, priority: u8) {
        assert_eq!(
            self.send_with(to, body, |message, _| message.priority = priority),
            Some(Ok(()))
        );
    }

    pub(crate) fn send_expiring(&self, to: &str, body: &str, milliseconds: u64) {
        let expiration = self.broker.0.borrow().now + milliseconds;
        assert_eq!(
            self.send_with(to, body, |message, _| message.expiration = expiration),
            Some(Ok(()))
        );
    }

    pub(crate) fn send_property(&self, to: &str, body: &str, key: &str, value: &str) {
        let mut properties = PropertiesBuilder::default();
        properties.push(key, Property::String(value));
        let properties = properties.finish();
        assert_eq!(
            self.send_with(to, body, |message, _| message.properties = properties),
            Some(Ok(()))
        );
    }

    pub(crate) fn send_unique(&self, to: &str, body: &str, duplicate_id: &str) -> Outcome {
        self.send_with(to, body, |_, send| send.duplicate_id = Some(duplicate_id.into()))
    }

    pub(crate) fn begin(&self) -> TransactionId {
        let transaction = TransactionId {
            connection: self.id,
            number: self.next().into(),
        };
        assert_eq!(self.ask(Command::Begin { transaction }), Some(Ok(())));
        transaction
    }

    /// Opens a transaction without looking at the answer.
    pub(crate) fn post_begin(&self) -> TransactionId {
        let transaction = TransactionId {
            connection: self.id,
            number: self.next().into(),
        };
        self.request(Command::Begin { transaction });
        transaction
    }

    pub(crate) fn send_in(&self, transaction: TransactionId, to: &str, body: &str) -> Outcome {
        self.send_with(to, body, |_, send| send.transaction = Some(transaction))
    }

    pub(crate) fn commit(&self, transaction: TransactionId) -> Outcome {
        self.ask(Command::Commit { transaction })
    }

    pub(crate) fn rollback(&self, transaction: TransactionId) -> Outcome {
        self.ask(Command::Rollback { transaction })
    }

    pub(crate) fn post_commit(&self, transaction: TransactionId) -> RequestId {
        self.request(Command::Commit { transaction })
    }

    pub(crate) fn post_rollback(&self, transaction: TransactionId) -> RequestId {
        self.request(Command::Rollback { transaction })
    }

    pub(crate) fn subscribe(&self, to: &str) -> Consumer {
        self.subscribe_with(to, |_| {})
    }

    pub(crate) fn subscribe_with(&self, to: &str, change: impl FnOnce(&mut Subscribe)) -> Consumer {
        let (consumer, outcome) = self.try_subscribe(to, change);
        assert_eq!(outcome, Some(Ok(())));
        consumer
    }

    pub(crate) fn try_subscribe(&self, to: &str, change: impl FnOnce(&mut Subscribe)) -> (Consumer, Outcome) {
        let id = ConsumerId {
            connection: self.id,
            number: self.next(),
        };
        let mut subscribe = Subscribe {
            consumer: id,
            destinations: to.split(',').map(destination).collect(),
            selector: None,
            prefetch: 1000,
            browser: false,
            no_local: false,
            exclusive: false,
            priority: 0,
            durable: None,
            pending_max: None,
        };
        change(&mut subscribe);
        let outcome = self.ask(Command::Subscribe(Box::new(subscribe)));
        (
            Consumer {
                client: self.clone(),
                id,
                taken: Rc::new(Cell::new(0)),
            },
            outcome,
        )
    }

    pub(crate) fn disconnect(&self) {
        let mut inner = self.broker.0.borrow_mut();
        let inner = &mut *inner;
        let now = EngineTime(inner.now);
        inner.engine.disconnect(now, self.id, &mut inner.store);
        inner.run();
    }

    /// Takes nothing of what it is delivered from now on.
    pub(crate) fn stop_taking(&self) {
        self.broker.0.borrow_mut().slow.insert(self.id);
    }

    /// Takes so many bytes of what it was delivered.
    pub(crate) fn take(&self, bytes: usize) {
        let mut inner = self.broker.0.borrow_mut();
        let inner = &mut *inner;
        let now = EngineTime(inner.now);
        inner.engine.taken(now, self.id, bytes, &mut inner.store);
        inner.run();
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.broker.0.borrow().seen.get(&self.id).cloned().unwrap_or_default()
    }
}

/// One delivery as a test sees it.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) body: String,
    pub(crate) delivery: Delivery,
}

#[derive(Clone)]
pub(crate) struct Consumer {
    pub(crate) client: Client,
    pub(crate) id: ConsumerId,
    taken: Rc<Cell<usize>>,
}

impl Consumer {
    /// Everything delivered so far.
    pub(crate) fn all(&self) -> Vec<Received> {
        let inner = self.client.broker.0.borrow();
        let events = inner.seen.get(&self.client.id).map_or(&[][..], Vec::as_slice);
        let received = |event: &Event| match event {
            Event::Deliver(delivery) if delivery.consumer == self.id => Some(Received {
                body: super::body(&delivery.message),
                delivery: delivery.clone(),
            }),
            _ => None,
        };
        events.iter().filter_map(received).collect()
    }

    /// The bodies delivered since the last call.
    pub(crate) fn received(&self) -> Vec<String> {
        self.fresh().into_iter().map(|received| received.body).collect()
    }

    /// What was delivered since the last call.
    pub(crate) fn fresh(&self) -> Vec<Received> {
        let all = self.all();
        all[self.taken.replace(all.len())..].to_vec()
    }

    pub(crate) fn is_at_end(&self) -> bool {
        let ended = |event: &Event| matches!(event, Event::BrowseEnd { consumer } if *consumer == self.id);
        self.client.events().iter().any(ended)
    }

    fn settle(&self, first: u64, last: u64, outcome: Disposition, transaction: Option<TransactionId>) -> Command {
        let (first, last) = (DeliveryTag(first), DeliveryTag(last));
        Command::Acknowledge(Acknowledge {
            consumer: self.id,
            first,
            last,
            outcome,
            transaction,
        })
    }

    /// Acknowledges the delivery of this body (the latest of that body).
    pub(crate) fn ack(&self, body: &str) {
        let tag = self.tag(body);
        assert_eq!(
            self.client.ask(self.settle(tag, tag, Disposition::Consumed, None)),
            Some(Ok(()))
        );
    }

    pub(crate) fn ack_all(&self) {
        assert_eq!(
            self.client.ask(self.settle(1, u64::MAX, Disposition::Consumed, None)),
            Some(Ok(()))
        );
    }

    pub(crate) fn ack_tags(&self, first: u64, last: u64) -> Outcome {
        self.client.ask(self.settle(first, last, Disposition::Consumed, None))
    }

    pub(crate) fn post_ack(&self, body: &str) -> RequestId {
        let tag = self.tag(body);
        self.client.request(self.settle(tag, tag, Disposition::Consumed, None))
    }

    pub(crate) fn reject(&self, body: &str) {
        let tag = self.tag(body);
        assert_eq!(
            self.client.ask(self.settle(tag, tag, Disposition::Rejected, None)),
            Some(Ok(()))
        );
    }

    pub(crate) fn post_reject(&self, body: &str) -> RequestId {
        let tag = self.tag(body);
        self.client.request(self.settle(tag, tag, Disposition::Rejected, None))
    }

    pub(crate) fn release(&self, body: &str) {
        let tag = self.tag(body);
        assert_eq!(
            self.client.ask(self.settle(tag, tag, Disposition::Released, None)),
            Some(Ok(()))
        );
    }

    pub(crate) fn post_release(&self, body: &str) -> RequestId {
        let tag = self.tag(body);
        self.client.request(self.settle(tag, tag, Disposition::Released, None))
    }

    pub(crate) fn post_ack_in(&self, transaction: TransactionId, body: &str) -> RequestId {
        let tag = self.tag(body);
        self.client
            .request(self.settle(tag, tag, Disposition::Consumed, Some(transaction)))
    }

    pub(crate) fn ack_in(&self, transaction: TransactionId, body: &str) -> Outcome {
        let tag = self.tag(body);
        self.client
            .ask(self.settle(tag, tag, Disposition::Consumed, Some(transaction)))
    }

    pub(crate) fn reject_in(&self, transaction: TransactionId, body: &str) -> Outcome {
        let tag = self.tag(body);
        self.client
            .ask(self.settle(tag, tag, Disposition::Rejected, Some(transaction)))
    }

    fn tag(&self, body: &str) -> u64 {
        let all = self.all();
        let found = all.iter().rev().find(|received| received.body == body);
        found
            .unwrap_or_else(|| panic!("{body} was not delivered"))
            .delivery
            .tag
            .0
    }

    pub(crate) fn pull(&self, count: u32) {
        assert_eq!(
            self.client.ask(Command::Pull {
                consumer: self.id,
                count
            }),
            Some(Ok(()))
        );
    }

    pub(crate) fn post_close(&self, last_delivered: LastDelivered) -> RequestId {
        self.client.request(Command::Unsubscribe {
            consumer: self.id,
            last_delivered,
        })
    }

    pub(crate) fn close(&self) {
        self.close_after(LastDelivered::Unknown);
    }

    pub(crate) fn close_after(&self, last_delivered: LastDelivered) {
        let outcome = self.client.ask(Command::Unsubscribe {
            consumer: self.id,
            last_delivered,
        });
        assert_eq!(outcome, Some(Ok(())));
    }
}
