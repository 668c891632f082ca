//! An administrator's look at waiting messages: page by page, each in steps, without a consumer.

use std::sync::Arc;

use message::selector::Selector;
use message::{Destination, MessageNumber, Selectable};
use record::ObjectId;

use super::{AdminAnswer, AdminRefusal, AdminRequest, BrowsePosition, Browsed};
use crate::backlog::{BodyAt, Cursors, Position};
use crate::browser::next_to_see;
use crate::engine::Engine;
use crate::reads::Waiter;
use crate::settings::STEP_MESSAGES_MAX;
use crate::step::Step;
use crate::work::Work;

/// Most bytes of messages in one page.
const PAGE_BYTES_MAX: usize = 16 << 20;

/// A page that is being filled.
#[derive(Debug)]
pub(crate) struct AdminBrowse {
    request: AdminRequest,
    queue: ObjectId,
    cursors: Cursors,
    limit: usize,
    selector: Option<Selector>,
    messages: Vec<Browsed>,
    bytes: usize,
    last: Option<Position>,
}

impl Engine {
    pub(super) fn browse(
        &mut self,
        step: &mut Step<'_>,
        request: AdminRequest,
        destination: &Destination,
        from: Option<BrowsePosition>,
        limit: usize,
        selector: Option<&str>,
    ) {
        let Some(queue) = self.queue_for(request, destination) else {
            return;
        };
        let selector = match selector.map(Selector::parse).transpose() {
            Ok(selector) => selector,
            Err(error) => return self.refuse(request, AdminRefusal::Invalid, error.to_string()),
        };
        let position = from.map(|from| Position::new(from.priority, from.number));
        self.next_browse += 1;
        let browse = AdminBrowse {
            request,
            queue,
            cursors: position.map_or_else(Cursors::default, Cursors::behind),
            limit: limit.clamp(1, STEP_MESSAGES_MAX),
            selector,
            messages: Vec::new(),
            bytes: 0,
            last: position,
        };
        self.browses.insert(self.next_browse, browse);
        self.browse_on(step, self.next_browse);
    }

    /// Goes on with a page.
    pub(crate) fn browse_on(&mut self, step: &mut Step<'_>, id: u64) {
        let Some(mut browse) = self.browses.remove(&id) else {
            return;
        };
        let mut is_more = true;
        while browse.messages.len() < browse.limit && browse.bytes < PAGE_BYTES_MAX {
            let Some(queue) = self.queues.get(&browse.queue) else {
                is_more = false;
                break;
            };
            let everything = MessageNumber(u64::MAX);
            let Some((position, found)) = next_to_see(&queue.backlog, &mut browse.cursors, everything, step) else {
                if step.is_over() {
                    self.browses.insert(id, browse);
                    self.work.push_back(Work::Browse(id));
                    return;
                }
                is_more = false;
                break;
            };
            let message = match &found.body {
                BodyAt::Memory(message) => Arc::clone(message),
                BodyAt::Stored(place) => {
                    let in_hand = self.in_hand.as_ref().filter(|(number, _)| *number == position.number);
                    let message = in_hand.map(|(_, message)| Arc::clone(message));
                    match message.or_else(|| self.cache.get(position.number)) {
                        Some(message) => message,
                        None => {
                            let waiter = Waiter::Administrator(id, browse.queue);
                            self.reads.ask(step.store, position.number, *place, waiter);
                            self.browses.insert(id, browse);
                            return;
                        }
                    }
                }
            };
            browse.cursors.advance(position);
            browse.last = Some(position);
            let seen = Selectable {
                message: &message,
                number: found.number,
                redeliveries: found.redeliveries,
            };
            let (is_wanted, effort) = match &browse.selector {
                Some(selector) => selector.judge(&seen),
                None => (true, 0),
            };
            step.spend_effort(effort);
            if is_wanted {
                browse.bytes += message.bytes_held();
                browse.messages.push(Browsed {
                    message,
                    number: found.number,
                    redelivered: found.redeliveries > 0 || found.number <= queue.mark.recovered,
                    redeliveries: found.redeliveries,
                    in_flight: queue.in_flight.contains(&found.number),
                });
            }
        }
        let position = |last: Position| BrowsePosition {
            priority: last.priority(),
            number: last.number,
        };
        let next = browse.last.filter(|_| is_more).map(position);
        // It may have been deleted meanwhile.
        let after = self.as_it_is(browse.queue);
        let answer = AdminAnswer::Browsed {
            messages: browse.messages,
            next,
        };
        self.effects.admin(browse.request, after, answer);
    }
}
