//! One subscription of a connection and the deliveries that its client has and did not yet acknowledge.
//!
//! Invariant: `held` is ordered by tag; an entry leaves it when it is acknowledged outside a transaction, or when its transaction is committed.

use std::collections::VecDeque;
use std::sync::Arc;

use message::{Acknowledge, ConsumerId, DeliveryTag, Destination, Disposition, LastDelivered, TransactionId};

/// The `ack` header of SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AckMode {
    /// Acknowledged by being transmitted.
    Auto,
    /// An ACK stands for its message and all before it.
    Client,
    /// An ACK stands for its message.
    ClientIndividual,
}

impl AckMode {
    /// As the header says it.
    pub(super) fn name(self) -> &'static str {
        match self {
            AckMode::Auto => "auto",
            AckMode::Client => "client",
            AckMode::ClientIndividual => "client-individual",
        }
    }
}

/// A delivery that the client has.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) tag: DeliveryTag,
    pub(super) message_id: Arc<str>,
    /// The open transaction in which it was acknowledged.
    pub(super) transaction: Option<u64>,
}

/// A subscription.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) consumer: ConsumerId,
    pub(super) id: Option<Box<str>>,
    pub(super) destinations: Vec<Destination>,
    pub(super) ack: AckMode,
    pub(super) browser: bool,
    /// Prefetch 0: it gets what it pulls.
    pub(super) pulls: bool,
    pub(super) durable: Option<Arc<str>>,
    pub(super) transformation: Option<Box<str>>,
    pub(super) held: VecDeque<Held>,
    /// The newest delivery that was written for the client.
    pub(super) last_delivered: LastDelivered,
}

impl Subscription {
    fn position(&self, tag: DeliveryTag) -> Option<usize> {
        let at = self.held.binary_search_by_key(&tag, |held| held.tag).ok()?;
        self.held[at].transaction.is_none().then_some(at)
    }

    /// The tag of the oldest open delivery of this message (1.0 and 1.1 name messages, not deliveries).
    pub(super) fn tag_of(&self, message_id: &str) -> Option<DeliveryTag> {
        self.held
            .iter()
            .find(|held| held.transaction.is_none() && *held.message_id == *message_id)
            .map(|held| held.tag)
    }

    /// Settles `tag`, and with `cumulative` all before it: the acknowledgements to issue, or `None` if nothing with this tag is open.
    pub(super) fn settle(
        &mut self,
        tag: DeliveryTag,
        cumulative: bool,
        outcome: Disposition,
        transaction: Option<TransactionId>,
    ) -> Option<Vec<Acknowledge>> {
        let last = self.position(tag)?;
        let first = if cumulative { 0 } else { last };
        let mut runs: Vec<Acknowledge> = Vec::with_capacity(1);
        for (offset, held) in self.held.range_mut(first..=last).enumerate() {
            if held.transaction.is_some() {
                continue;
            }
            held.transaction = transaction.map(|transaction| transaction.number);
            let follows = offset > 0 && runs.last().is_some_and(|run| run.last.0 + 1 == held.tag.0);
            match runs.last_mut() {
                Some(run) if follows => run.last = held.tag,
                Some(_) | None => runs.push(Acknowledge {
                    consumer: self.consumer,
                    first: held.tag,
                    last: held.tag,
                    outcome,
                    transaction,
                }),
            }
        }
        if transaction.is_none() {
            // What stays among them belongs to a transaction.
            let settled = |tag: DeliveryTag| runs.iter().any(|run| run.first <= tag && tag <= run.last);
            if first == last {
                self.held.remove(last);
            } else if let [run] = &runs[..]
                && self.held[first].tag == run.first
                && self.held[last].tag == run.last
            {
                self.held.drain(first..=last);
            } else {
                self.held.retain(|held| !settled(held.tag));
            }
        }
        Some(runs)
    }

    /// Takes out what was acknowledged in a transaction that is being committed.
    pub(super) fn take_transaction(&mut self, transaction: u64) -> Vec<Held> {
        let mut taken = Vec::new();
        self.held.retain(|held| {
            let is_part = held.transaction == Some(transaction);
            if is_part {
                taken.push(held.clone());
            }
            !is_part
        });
        taken
    }

    /// What was acknowledged in a transaction is open again: it was aborted.
    pub(super) fn reopen_transaction(&mut self, transaction: u64) {
        for held in &mut self.held {
            if held.transaction == Some(transaction) {
                held.transaction = None;
            }
        }
    }

    /// What was taken out for a commit is open again: the commit was refused.
    pub(super) fn reopen(&mut self, taken: Vec<Held>) {
        for mut held in taken {
            held.transaction = None;
            let at = self.held.partition_point(|other| other.tag < held.tag);
            self.held.insert(at, held);
        }
    }
}

/// How many deliveries a run of acknowledgements covers at most.
pub(super) fn count(acknowledgements: &[Acknowledge]) -> u32 {
    let total: u64 = acknowledgements.iter().map(|run| run.last.0 - run.first.0 + 1).sum();
    u32::try_from(total).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use message::ConnectionId;

    const CONNECTION: ConnectionId = ConnectionId(1);

    fn subscription(tags: u64) -> Subscription {
        Subscription {
            consumer: ConsumerId {
                connection: CONNECTION,
                number: 1,
            },
            id: None,
            destinations: Vec::new(),
            ack: AckMode::Client,
            browser: false,
            pulls: false,
            durable: None,
            transformation: None,
            held: (1..=tags)
                .map(|tag| Held {
                    tag: DeliveryTag(tag),
                    message_id: format!("m{tag}").into(),
                    transaction: None,
                })
                .collect(),
            last_delivered: LastDelivered::Unknown,
        }
    }

    fn runs(acknowledgements: Option<Vec<Acknowledge>>) -> Vec<(u64, u64)> {
        acknowledgements
            .unwrap_or_default()
            .iter()
            .map(|run| (run.first.0, run.last.0))
            .collect()
    }

    fn open(subscription: &Subscription) -> Vec<u64> {
        subscription
            .held
            .iter()
            .filter(|held| held.transaction.is_none())
            .map(|held| held.tag.0)
            .collect()
    }

    fn transaction(number: u64) -> Option<TransactionId> {
        Some(TransactionId {
            connection: CONNECTION,
            number,
        })
    }

    #[test]
    fn a_cumulative_acknowledgement_leaves_out_what_belongs_to_a_transaction() {
        let mut it = subscription(5);
        assert_eq!(
            runs(it.settle(DeliveryTag(2), false, Disposition::Consumed, transaction(7))),
            [(2, 2)]
        );
        assert_eq!(
            runs(it.settle(DeliveryTag(4), true, Disposition::Consumed, None)),
            [(1, 1), (3, 4)]
        );
        assert_eq!(open(&it), [5]);
        it.reopen_transaction(7);
        assert_eq!(open(&it), [2, 5]);
    }

    #[test]
    fn a_delivery_is_settled_once() {
        let mut it = subscription(3);
        assert_eq!(
            runs(it.settle(DeliveryTag(2), false, Disposition::Rejected, None)),
            [(2, 2)]
        );
        assert_eq!(it.settle(DeliveryTag(2), false, Disposition::Consumed, None), None);
        assert_eq!(
            runs(it.settle(DeliveryTag(3), true, Disposition::Consumed, None)),
            [(1, 1), (3, 3)]
        );
        assert!(it.held.is_empty());
    }

    #[test]
    fn a_refused_commit_opens_its_deliveries_again_in_order() {
        let mut it = subscription(4);
        it.settle(DeliveryTag(3), true, Disposition::Consumed, transaction(7));
        let taken = it.take_transaction(7);
        assert_eq!(open(&it), [4]);
        it.reopen(taken);
        assert_eq!(open(&it), [1, 2, 3, 4]);
    }
}
