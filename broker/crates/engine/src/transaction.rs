//! Local transactions: what was sent waits here, what was acknowledged stays in flight, until one record makes all of it true.
//!
//! Limited by `transaction_bytes_max`, and all together by `transactions_bytes_max`: one that grows beyond either can only be rolled back, and never blocks. Invariant: a delivery that was acknowledged in an open transaction belongs to nobody else, also when its
//! consumer ends before the transaction does. Proved by `tests/engine/transactions.rs`.

use std::collections::btree_map::Entry;
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

/// Memory that one delivery takes that was acknowledged in an open transaction, here and in its session; bytes, roughly.
const ACKNOWLEDGED_BYTES: usize = 256;

/// Memory that a transaction takes with nothing in it, here and in its session; bytes, roughly.
const TRANSACTION_BYTES: usize = 512;

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
}

impl Engine {
    /// Memory of all open transactions; bytes.
    pub fn transactions_bytes(&self) -> usize {
        self.transactions_bytes
    }

    /// Counts more memory for a transaction, or fails it for good.
    fn grow(&mut self, connection: ConnectionId, id: TransactionId, more: usize) -> Result<(), Refusal> {
        let (own_max, all_max) = (
            self.settings.transaction_bytes_max,
            self.settings.transactions_bytes_max,
        );
        let all = self.transactions_bytes;
        let transaction = self.transaction(connection, id)?;
        if let Some(refusal) = &transaction.failed {
            return Err(refusal.clone());
        }
        let why = if transaction.bytes.saturating_add(more) > own_max && !Mutant::TransactionLimitForgotten.is_at_work()
        {
            format!(
                "Transaction has reached the maximum allowed size of pending operations before commit of '{own_max}' bytes: \
                 it can only be rolled back. Do less in one transaction, or raise transaction_bytes_max"
            )
        } else if all.saturating_add(more) > all_max {
            format!(
                "all open transactions together have reached the maximum of '{all_max}' bytes: \
                 it can only be rolled back. Commit sooner, do less in one transaction, or raise transactions_bytes_max"
            )
        } else {
            transaction.bytes += more;
            self.transactions_bytes += more;
            return Ok(());
        };
        Err(self.fail_transaction(id, &why))
    }

    /// A transaction that can only be rolled back from now on: nothing of what was sent in it needs memory any more.
    fn fail_transaction(&mut self, id: TransactionId, why: &str) -> Refusal {
        let text = format!("Can not send message on transaction with id: '{}', {why}", name(id));
        let refusal = Refusal::new(RefusalKind::ResourceAllocation, text);
        if let Some(transaction) = self.transactions.get_mut(&id) {
            transaction.failed = Some(refusal.clone());
            transaction.sends = Vec::new();
            transaction.duplicate_ids = BTreeSet::new();
            let deliveries = transaction.acknowledged.len();
            let kept = TRANSACTION_BYTES + deliveries * ACKNOWLEDGED_BYTES;
            self.transactions_bytes -= transaction.bytes - kept;
            transaction.bytes = kept;
        }
        refusal
    }

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
        if let Entry::Vacant(vacant) = self.transactions.entry(id) {
            let bytes_max = self.settings.transactions_bytes_max;
            if self.transactions_bytes + TRANSACTION_BYTES > bytes_max {
                let text = format!(
                    "Transaction '{}' was not started: all open transactions together have reached the maximum of '{bytes_max}' bytes. \
                     Commit sooner, do less in one transaction, or raise transactions_bytes_max",
                    name(id)
                );
                let refusal = Refusal::new(RefusalKind::ResourceAllocation, text);
                self.effects.refused(connection, request, Sequence::NONE, refusal);
                return;
            }
            self.transactions_bytes += TRANSACTION_BYTES;
            vacant.insert(Transaction {
                connection,
                sends: Vec::new(),
                duplicate_ids: BTreeSet::new(),
                acknowledged: Vec::new(),
                orphans: Vec::new(),
                bytes: TRANSACTION_BYTES,
                failed: None,
            });
        }
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
        self.grow(consumer.connection, id, tags.len() * ACKNOWLEDGED_BYTES)?;
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
        // One record has it all: the message once for each destination.
        let copies = send.destinations.len().saturating_sub(1);
        let bytes = send.bytes_held() + copies * send.message.bytes_held();
        self.grow(connection, id, bytes)?;
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
        self.transactions_bytes -= transaction.bytes;
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
