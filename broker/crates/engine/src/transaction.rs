//! Local transactions: what was sent waits here, what was acknowledged stays in flight, until one record makes all of it true.
//!
//! Limited by `transaction_bytes_max`: one that grows beyond it can only be rolled back, and never blocks. Invariant: a delivery that was acknowledged in an open transaction belongs to nobody else, also when its
//! consumer ends before the transaction does. Proved by `tests/engine/transactions.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use message::{
    ConnectionId, ConsumerId, DeliveryTag, Destination, MessageNumber, Refusal, RefusalKind, RequestId, Send, Sequence,
    TransactionId,
};
use mutant::Mutant;
use record::{ObjectId, Waiting};

use crate::backlog::Position;
use crate::consumer::InFlight;
use crate::engine::{Engine, illegal};
use crate::send::Plan;
use crate::step::Step;

/// Memory that one delivery takes that was acknowledged in an open transaction, bytes, roughly.
const ACKNOWLEDGED_BYTES: usize = 128;

/// One open transaction.
#[derive(Debug)]
pub(crate) struct Transaction {
    pub(crate) connection: ConnectionId,
    pub(crate) sends: Vec<Send>,
    /// Ids of its own sends, by destination: a resend within it is none.
    duplicate_ids: BTreeSet<(Destination, Arc<str>)>,
    /// Deliveries acknowledged in it.
    pub(crate) acknowledged: Vec<(ConsumerId, DeliveryTag)>,
    /// Those of them whose consumer has ended.
    pub(crate) orphans: Vec<(ObjectId, Position)>,
    bytes: usize,
    /// It can only be rolled back, for this reason.
    pub(crate) failed: Option<Refusal>,
}

impl Transaction {
    /// Memory that it takes; bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Counts more memory, or fails the transaction for good.
    fn grow(&mut self, id: TransactionId, bytes: usize, bytes_max: usize) -> Result<(), Refusal> {
        if let Some(refusal) = &self.failed {
            return Err(refusal.clone());
        }
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes <= bytes_max || Mutant::TransactionLimitForgotten.is_at_work() {
            return Ok(());
        }
        let text = format!(
            "Can not send message on transaction with id: '{}', Transaction has reached the maximum allowed size of pending \
             operations before commit of '{bytes_max}' bytes: it can only be rolled back. Do less in one transaction, or \
             raise transaction_bytes_max",
            name(id)
        );
        let refusal = Refusal::new(RefusalKind::ResourceAllocation, text);
        self.failed = Some(refusal.clone());
        // It could not commit: nothing of it needs memory any more.
        self.sends = Vec::new();
        self.duplicate_ids = BTreeSet::new();
        Err(refusal)
    }
}

impl Engine {
    /// Opens a transaction. Opening it again changes nothing, as in ActiveMQ.
    pub(crate) fn begin_transaction(
        &mut self,
        connection: ConnectionId,
        request: Option<RequestId>,
        id: TransactionId,
    ) {
        if id.connection != connection {
            self.effects
                .refused(connection, request, Sequence::NONE, not_started(id));
            return;
        }
        self.transactions.entry(id).or_insert_with(|| Transaction {
            connection,
            sends: Vec::new(),
            duplicate_ids: BTreeSet::new(),
            acknowledged: Vec::new(),
            orphans: Vec::new(),
            bytes: 0,
            failed: None,
        });
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.transactions.insert(id);
        }
        self.effects.done(connection, request, Sequence::NONE);
    }

    /// The transaction, if it is this connection's and open.
    pub(crate) fn transaction(
        &mut self,
        connection: ConnectionId,
        id: TransactionId,
    ) -> Result<&mut Transaction, Refusal> {
        match self.transactions.get_mut(&id) {
            Some(transaction) if transaction.connection == connection => Ok(transaction),
            Some(_) | None => Err(not_started(id)),
        }
    }

    /// Puts deliveries into a transaction: they stay in flight until it ends.
    pub(crate) fn enlist(
        &mut self,
        consumer: ConsumerId,
        id: TransactionId,
        tags: impl ExactSizeIterator<Item = DeliveryTag>,
    ) -> Result<(), Refusal> {
        let bytes_max = self.settings.transaction_bytes_max;
        let transaction = self.transaction(consumer.connection, id)?;
        transaction.grow(id, tags.len() * ACKNOWLEDGED_BYTES, bytes_max)?;
        let (Some(consumer), Some(transaction)) = (self.consumers.get_mut(&consumer), self.transactions.get_mut(&id))
        else {
            return Ok(());
        };
        for tag in tags {
            consumer.enlist(tag, id);
            transaction.acknowledged.push((consumer.id, tag));
        }
        // What is acknowledged in a transaction takes no room.
        self.awake.insert(consumer.id);
        Ok(())
    }

    /// Adds a send to a transaction.
    pub(crate) fn send_in_transaction(
        &mut self,
        step: &mut Step<'_>,
        connection: ConnectionId,
        id: TransactionId,
        mut send: Send,
    ) -> Result<Sequence, Refusal> {
        let bytes_max = self.settings.transaction_bytes_max;
        let transaction = self.transaction(connection, id)?;
        let bytes = send.message.bytes_held() * send.destinations.len().max(1);
        transaction.grow(id, bytes, bytes_max)?;
        let destinations: Vec<&Destination> = send.destinations.iter().collect();
        let resolved = self.resolve(step, connection, &destinations);
        let transaction = self.transaction(connection, id)?;
        let objects = match resolved {
            Ok(objects) => objects,
            Err(refusal) => {
                // A COMMIT may be on its way behind it: without this send it must not happen.
                transaction.failed.get_or_insert_with(|| refusal.clone());
                return Err(refusal);
            }
        };
        if let Some(id) = &send.duplicate_id {
            let own = &mut transaction.duplicate_ids;
            send.destinations
                .retain(|destination| own.insert((destination.clone(), Arc::clone(id))));
        }
        if !send.destinations.is_empty() {
            transaction.sends.push(send);
        }
        let after = self.newest_of(objects.iter().copied());
        Ok(self.unchanged(after))
    }

    /// Does everything in a transaction, or nothing.
    pub(crate) fn commit(
        &mut self,
        step: &mut Step<'_>,
        connection: ConnectionId,
        request: Option<RequestId>,
        id: TransactionId,
    ) {
        let outcome = self.try_commit(step, connection, id);
        match outcome {
            Ok(after) => self.effects.done(connection, request, after),
            Err(refusal) => {
                let after = self.roll_back(step, id);
                self.effects.refused(connection, request, after, refusal);
            }
        }
    }

    fn try_commit(
        &mut self,
        step: &mut Step<'_>,
        connection: ConnectionId,
        id: TransactionId,
    ) -> Result<Sequence, Refusal> {
        let transaction = self.transaction(connection, id)?;
        let rolled_back = |why: &Refusal| {
            let text = format!("the transaction was rolled back: {why}");
            Refusal::new(RefusalKind::TransactionRolledBack, text)
        };
        if let Some(refusal) = &transaction.failed {
            return Err(rolled_back(refusal));
        }
        let sends = std::mem::take(&mut transaction.sends);
        let mut plan = Plan::default();
        for send in &sends {
            self.plan(step, connection, send, &mut plan)
                .map_err(|refusal| rolled_back(&refusal))?;
        }
        let transaction = self.forget_transaction(id).expect("it was just looked at");
        let (acknowledged, touched) = self.end_acknowledged(&transaction);
        let touched = self.newest_of(touched);
        let after = self.carry_out(step, connection, plan, acknowledged);
        Ok(after.max(self.unchanged(touched)))
    }

    /// Takes what a transaction acknowledged out of flight: what is to be recorded, and the queues that it touches.
    fn end_acknowledged(&mut self, transaction: &Transaction) -> (Vec<Waiting>, Vec<ObjectId>) {
        let mut waiting: Vec<(ObjectId, Position)> = transaction.orphans.clone();
        for (id, tag) in &transaction.acknowledged {
            let Some(consumer) = self.consumers.get_mut(id) else {
                continue;
            };
            if let Some(flight) = consumer.land(*tag) {
                self.awake.insert(*id);
                match flight.what {
                    InFlight::Waiting { object, position } => waiting.push((object, position)),
                    InFlight::Copy => {}
                }
            }
        }
        let mut recorded: BTreeMap<ObjectId, BTreeSet<MessageNumber>> = BTreeMap::new();
        let mut touched = Vec::new();
        for (object, position) in waiting {
            touched.push(object);
            if self.consume_one(object, position) {
                recorded.entry(object).or_default().insert(position.number);
            }
        }
        touched.dedup();
        let waiting = |(object, numbers): (ObjectId, BTreeSet<_>)| Waiting {
            object,
            numbers: numbers.into_iter().collect(),
        };
        (recorded.into_iter().map(waiting).collect(), touched)
    }

    /// Forgets a transaction at its owner's wish.
    pub(crate) fn rollback(
        &mut self,
        step: &mut Step<'_>,
        connection: ConnectionId,
        request: Option<RequestId>,
        id: TransactionId,
    ) {
        match self.transaction(connection, id) {
            Ok(_) => {
                let after = self.roll_back(step, id);
                self.effects.done(connection, request, after);
            }
            Err(refusal) => self.effects.refused(connection, request, Sequence::NONE, refusal),
        }
    }

    /// Forgets a transaction: deliveries acknowledged in it are unacknowledged again, and stay with their consumer (as in ActiveMQ); those whose consumer has ended go back, counted.
    pub(crate) fn roll_back(&mut self, step: &mut Step<'_>, id: TransactionId) -> Sequence {
        let Some(transaction) = self.forget_transaction(id) else {
            return Sequence::NONE;
        };
        for (consumer, tag) in transaction.acknowledged {
            if let Some(consumer) = self.consumers.get_mut(&consumer) {
                consumer.delist(tag);
            }
        }
        let orphans = transaction.orphans.into_iter();
        let back = orphans
            .map(|(object, position)| (InFlight::Waiting { object, position }, true))
            .collect();
        self.give_back(step, back)
    }

    fn forget_transaction(&mut self, id: TransactionId) -> Option<Transaction> {
        let transaction = self.transactions.remove(&id)?;
        if let Some(connection) = self.connections.get_mut(&id.connection) {
            connection.transactions.remove(&id);
        }
        Some(transaction)
    }
}

fn name(id: TransactionId) -> String {
    format!("TX:{}:{}", id.connection.0, id.number)
}

fn not_started(id: TransactionId) -> Refusal {
    illegal(format!("Transaction '{}' has not been started.", name(id)))
}
