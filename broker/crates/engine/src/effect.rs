//! What the engine wants done, in order.

use std::collections::VecDeque;
use std::sync::Arc;

use message::{ConnectionId, Event, MessageNumber, Refusal, RequestId, Sequence};

use crate::admin::{AdminAnswer, AdminRequest};

/// One thing to do. What carries `after` must not become visible before that record is confirmed.
#[derive(Debug)]
pub enum Effect {
    /// Tell a session; events of one connection in this order.
    Event {
        /// Whose.
        connection: ConnectionId,
        /// The newest record that it rests on.
        after: Sequence,
        /// What.
        event: Event,
    },
    /// Close a connection once it has been told everything before.
    Close {
        /// Which.
        connection: ConnectionId,
        /// The newest record that it rests on.
        after: Sequence,
    },
    /// Answer an administrator.
    Admin {
        /// Whose request.
        request: AdminRequest,
        /// The newest record that it rests on.
        after: Sequence,
        /// What to say.
        answer: AdminAnswer,
    },
    /// A message's bytes are damaged; it was set aside and its queue goes on. Log it as an error.
    Damaged {
        /// Where it waited: `queue://NAME`, or the durable subscription.
        object: Arc<str>,
        /// Which: the broker's number for it.
        number: MessageNumber,
        /// Its id, as far as the damaged bytes tell it.
        message_id: Option<Arc<str>>,
        /// What was found, with file and offset.
        text: String,
    },
}

/// Effects that have not been taken yet.
#[derive(Debug, Default)]
pub(crate) struct Effects(VecDeque<Effect>);

impl Effects {
    pub(crate) fn take(&mut self) -> Option<Effect> {
        self.0.pop_front()
    }

    pub(crate) fn push(&mut self, effect: Effect) {
        self.0.push_back(effect);
    }

    pub(crate) fn event(&mut self, connection: ConnectionId, after: Sequence, event: Event) {
        self.0.push_back(Effect::Event {
            connection,
            after,
            event,
        });
    }

    /// Answers a request, if it asked for an answer.
    pub(crate) fn done(&mut self, connection: ConnectionId, request: Option<RequestId>, after: Sequence) {
        if let Some(request) = request {
            self.event(connection, after, Event::Done { request });
        }
    }

    pub(crate) fn refused(
        &mut self,
        connection: ConnectionId,
        request: Option<RequestId>,
        after: Sequence,
        refusal: Refusal,
    ) {
        self.event(connection, after, Event::Refused { request, refusal });
    }

    pub(crate) fn admin(&mut self, request: AdminRequest, after: Sequence, answer: AdminAnswer) {
        self.0.push_back(Effect::Admin { request, after, answer });
    }
}
