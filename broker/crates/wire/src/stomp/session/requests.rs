//! The commands of a session that the engine has not yet answered.

use std::collections::VecDeque;

use message::RequestId;

use super::super::subscription::Held;

/// What to do with the answer, besides the receipt.
#[derive(Debug)]
pub(super) enum Then {
    /// Nothing.
    Nothing,
    /// CONNECTED, or the end.
    Connect {
        /// `request-id` (or, as ActiveMQ has it, `receipt`) of the CONNECT frame.
        response_id: Option<Box<str>>,
    },
    /// The consumer runs, or is forgotten.
    Subscribe {
        /// Its number.
        consumer: u32,
    },
    /// If it was refused, these deliveries are open again.
    Commit {
        /// By consumer number.
        acknowledged: Vec<(u32, Vec<Held>)>,
    },
}

/// One command waiting for its answer.
#[derive(Debug)]
pub(super) struct Request {
    /// The frame's `receipt` header.
    pub(super) receipt: Option<Box<str>>,
    pub(super) then: Then,
}

/// Those that wait, found by number.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// The number of the first slot.
    first: u64,
    slots: VecDeque<Option<Request>>,
    waiting: usize,
    /// Of their receipt ids.
    receipt_bytes: usize,
}

fn receipt_bytes(request: &Request) -> usize {
    request.receipt.as_ref().map_or(0, |receipt| receipt.len())
}

impl Requests {
    pub(super) fn add(&mut self, request: Request) -> RequestId {
        let id = RequestId(self.first + self.slots.len() as u64);
        self.receipt_bytes += receipt_bytes(&request);
        self.slots.push_back(Some(request));
        self.waiting += 1;
        id
    }

    pub(super) fn take(&mut self, id: RequestId) -> Option<Request> {
        let at = usize::try_from(id.0.checked_sub(self.first)?).ok()?;
        let request = self.slots.get_mut(at)?.take()?;
        self.waiting -= 1;
        self.receipt_bytes -= receipt_bytes(&request);
        while let Some(None) = self.slots.front() {
            self.slots.pop_front();
            self.first += 1;
        }
        Some(request)
    }

    /// Requests that are not answered.
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    /// Memory of the receipt ids of those that wait; bytes.
    pub(super) fn receipt_bytes(&self) -> usize {
        self.receipt_bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }
}
