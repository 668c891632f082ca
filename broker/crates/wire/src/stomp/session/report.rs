//! What a session tells of itself: for the people who run the broker.

use message::ConsumerId;

use super::{Phase, Session};
use crate::stomp::Version;

/// A connection as its session knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionReport {
    /// The version that was agreed on; `None`: its CONNECT was not answered yet.
    pub version: Option<Version>,
    /// Bytes that came and are no whole frame yet, or are not looked at yet.
    pub unread_bytes: u64,
    /// Frames that wait for the broker's answer.
    pub unanswered: u64,
}

/// A subscription as its client knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionReport {
    /// The `id` header; STOMP 1.0 may leave it out.
    pub id: Option<String>,
    /// The `ack` header: `auto`, `client`, `client-individual`.
    pub ack: &'static str,
}

impl Session {
    /// How this connection stands.
    pub fn report(&self) -> SessionReport {
        let version = match self.phase {
            Phase::Opening | Phase::Connecting => None,
            Phase::Open | Phase::Ending { .. } | Phase::Closing => Some(self.version),
        };
        SessionReport {
            version,
            unread_bytes: self.decoder.buffered() as u64,
            unanswered: self.requests.len() as u64,
        }
    }

    /// One of its subscriptions.
    pub fn subscription(&self, consumer: ConsumerId) -> Option<SubscriptionReport> {
        let subscription = self.subscriptions.get(&consumer.number)?;
        Some(SubscriptionReport {
            id: subscription.id.as_deref().map(str::to_owned),
            ack: subscription.ack.name(),
        })
    }
}
