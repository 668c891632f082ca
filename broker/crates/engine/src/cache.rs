//! Bodies of persistent messages in memory: the most recently used, up to a limit in bytes.
//!
//! Invariant: what it holds is in the store as well, so that anything may be dropped at any time. Deliberately absent: which queue a message waits in; one body serves all durable
//! subscriptions that take it.

use std::collections::BTreeMap;
use std::sync::Arc;

use message::{Message, MessageNumber};

/// The least that is kept whatever the limit: what is read ahead must not push itself out.
const BYTES_MIN: usize = 4 << 20;

#[derive(Debug)]
struct Kept {
    message: Arc<Message>,
    bytes: usize,
    used: u64,
}

/// The cache.
#[derive(Debug)]
pub(crate) struct BodyCache {
    bytes_max: usize,
    bytes: usize,
    clock: u64,
    kept: BTreeMap<MessageNumber, Kept>,
    by_use: BTreeMap<u64, MessageNumber>,
}

impl BodyCache {
    pub(crate) fn new(bytes_max: usize) -> BodyCache {
        BodyCache {
            bytes_max: bytes_max.max(BYTES_MIN),
            bytes: 0,
            clock: 0,
            kept: BTreeMap::new(),
            by_use: BTreeMap::new(),
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps a body, and drops those not used for longest.
    pub(crate) fn insert(&mut self, number: MessageNumber, message: Arc<Message>) {
        self.remove(number);
        let bytes = message.bytes_held();
        self.clock += 1;
        self.bytes += bytes;
        self.by_use.insert(self.clock, number);
        self.kept.insert(
            number,
            Kept {
                message,
                bytes,
                used: self.clock,
            },
        );
        while self.bytes > self.bytes_max
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            if let Some(kept) = self.kept.remove(&oldest) {
                self.bytes -= kept.bytes;
            }
        }
    }

    /// The body, now the most recently used.
    pub(crate) fn get(&mut self, number: MessageNumber) -> Option<Arc<Message>> {
        let kept = self.kept.get_mut(&number)?;
        self.by_use.remove(&kept.used);
        self.clock += 1;
        kept.used = self.clock;
        self.by_use.insert(self.clock, number);
        Some(Arc::clone(&kept.message))
    }

    /// Whether it holds a body.
    pub(crate) fn contains(&self, number: MessageNumber) -> bool {
        self.kept.contains_key(&number)
    }

    pub(crate) fn remove(&mut self, number: MessageNumber) {
        if let Some(kept) = self.kept.remove(&number) {
            self.by_use.remove(&kept.used);
            self.bytes -= kept.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use message::{Body, BodyKind, Destination};

    fn message(length: usize) -> Arc<Message> {
        let queue = Destination::queue("Q").expect("a good name");
        Arc::new(Message::new(
            "m",
            queue,
            Body {
                kind: BodyKind::Bytes,
                bytes: vec![0; length].into(),
            },
        ))
    }

    #[test]
    fn the_body_not_used_for_longest_leaves_first() {
        let mut cache = BodyCache::new(4 << 20);
        for number in 1..=3 {
            cache.insert(MessageNumber(number), message(1 << 20));
        }
        assert!(cache.get(MessageNumber(1)).is_some());
        cache.insert(MessageNumber(4), message(1 << 20));
        let held: Vec<bool> = (1..=4).map(|number| cache.contains(MessageNumber(number))).collect();
        assert_eq!(held, [true, false, true, true]);
        assert!(cache.bytes() <= 4 << 20);
        cache.insert(MessageNumber(5), message(9 << 20));
        assert_eq!(cache.bytes(), 0, "what alone exceeds the limit is not kept");
    }
}
