//! Requests of administrators, answered like those of clients: when what they rest on is confirmed.

use std::collections::BTreeMap;

use engine::{AdminAnswer, AdminRequest};
use message::Sequence;

/// Answers that wait for their records, and those that may go.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    last_request: u64,
    waiting: BTreeMap<(Sequence, AdminRequest), AdminAnswer>,
    released: Vec<(AdminRequest, AdminAnswer)>,
}

impl Answers {
    pub(crate) fn next_request(&mut self) -> AdminRequest {
        self.last_request += 1;
        AdminRequest(self.last_request)
    }

    pub(crate) fn push(&mut self, request: AdminRequest, after: Sequence, answer: AdminAnswer) {
        self.waiting.insert((after, request), answer);
    }

    pub(crate) fn release(&mut self, confirmed: Sequence) {
        while let Some(first) = self.waiting.first_entry().filter(|entry| entry.key().0 <= confirmed) {
            let ((_, request), answer) = first.remove_entry();
            self.released.push((request, answer));
        }
    }

    pub(crate) fn take(&mut self) -> Vec<(AdminRequest, AdminAnswer)> {
        std::mem::take(&mut self.released)
    }
}
