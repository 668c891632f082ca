//! What takes more than one step: it goes on at each [`crate::Engine::handle_timeout`], a bounded piece at a time.

use std::collections::BTreeMap;

use message::{ConnectionId, ConsumerId, DeliveryTag, Destination, MessageNumber, RequestId, Sequence};
use record::ObjectId;

use crate::admin::{AdminRequest, Clearing};
use crate::backlog::Backlog;
use crate::consumer::Flight;
use crate::engine::Engine;
use crate::step::Step;

/// One piece of long work.
#[derive(Debug)]
pub(crate) enum Work {
    /// Free the memory of what is gone.
    Discard(Box<Backlog>),
    /// Serve the consumers of a queue.
    Dispatch(ObjectId),
    /// Find the destinations of a new consumer's patterns.
    Attach(Attach),
    /// Give back what a consumer had that ended.
    Close(Closing),
    /// Empty a queue.
    Purge(Purge),
    /// Remove what is set aside.
    Clear(Clearing),
    /// Go on with an administrator's browse.
    Browse(u64),
    /// Go on with an administrator's move.
    Transfer(u64),
}

/// A subscription that looks through the names of destinations.
#[derive(Debug)]
pub(crate) struct Attach {
    pub(crate) consumer: ConsumerId,
    pub(crate) request: Option<RequestId>,
    /// The newest record that the answer rests on.
    pub(crate) after: Sequence,
    /// Names up to here were looked at.
    pub(crate) looked_to: Option<Destination>,
}

/// A consumer that ended.
#[derive(Debug)]
pub(crate) struct Closing {
    pub(crate) connection: ConnectionId,
    pub(crate) request: Option<RequestId>,
    pub(crate) after: Sequence,
    /// What is still to be given back.
    pub(crate) flights: BTreeMap<DeliveryTag, Flight>,
    /// Deliveries up to this tag count as failed.
    pub(crate) counted: DeliveryTag,
    /// Queues that serve nobody until this is done.
    pub(crate) queues: Vec<ObjectId>,
}

/// A purge.
#[derive(Debug)]
pub(crate) struct Purge {
    pub(crate) request: AdminRequest,
    pub(crate) queue: ObjectId,
    pub(crate) through: MessageNumber,
    pub(crate) gone: u64,
    pub(crate) after: Sequence,
}

impl Engine {
    /// Goes on with long work until the step is over or nothing can go on.
    pub(crate) fn go_on(&mut self, step: &mut Step<'_>) {
        let mut rounds = self.work.len();
        while !step.is_over() && rounds > 0 {
            let Some(work) = self.work.pop_front() else { return };
            rounds -= 1;
            step.spend(1);
            match work {
                Work::Discard(mut backlog) => {
                    let (spent, is_done) = backlog.discard();
                    step.spend(spent);
                    if !is_done {
                        self.work.push_back(Work::Discard(backlog));
                    }
                }
                Work::Dispatch(queue) => {
                    if let Some(queue) = self.queues.get_mut(&queue) {
                        queue.is_queued = false;
                    }
                    self.dispatch(step, queue);
                }
                Work::Attach(attach) => self.attach_on(step, attach),
                Work::Close(closing) => self.close_on(step, closing),
                Work::Purge(purge) => self.purge_on(step, purge),
                Work::Clear(clearing) => self.clear_on(step, clearing),
                Work::Browse(browse) => self.browse_on(step, browse),
                Work::Transfer(transfer) => self.transfer_on(step, transfer),
            }
        }
    }
}
