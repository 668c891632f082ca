//! The numbers by which the parts of a broker name things to each other.
//!
//! Invariant: an id that reaches a client contains the epoch, so that no two leaders ever give the same one.

use std::fmt;

/// One reign of one leader, counted from 1; the successor's is higher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u32);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The place of a record in the history: 1, 2, 3, …, without gaps, across epochs. 0 stands before all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

impl Sequence {
    /// Before the first record: nothing to wait for.
    pub const NONE: Sequence = Sequence(0);

    /// The one that follows.
    pub fn next(self) -> Sequence {
        Sequence(self.0 + 1)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A message's place in the order of arrival, over all destinations (OpenWire's `brokerSequenceId`).
///
/// The upper 20 bits start as the epoch, the lower 44 count; so numbers rise across epochs also when non-persistent messages took some of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageNumber(pub u64);

impl MessageNumber {
    /// The highest that a history may contain: the next epoch still has numbers to give.
    pub const RECORDED_MAX: MessageNumber = MessageNumber(u64::MAX - (1 << 44));

    /// The first number that an epoch may give, if `above` was the highest that it recovered.
    pub fn first_of(epoch: Epoch, above: MessageNumber) -> MessageNumber {
        MessageNumber((u64::from(epoch.0) << 44).max(above.0 + 1))
    }
}

/// One connection of a client, counted within an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// One consumer of a connection; the session chooses the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerId {
    /// Whose it is.
    pub connection: ConnectionId,
    /// Unique within the connection, never used twice.
    pub number: u32,
}

/// One local transaction of a connection; the session chooses the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId {
    /// Whose it is.
    pub connection: ConnectionId,
    /// Unique within the connection, never used twice.
    pub number: u64,
}

/// What a session calls a command that it wants answered; unique within the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// One delivery to one consumer: 1, 2, 3, … within the consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryTag(pub u64);
