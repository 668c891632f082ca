//! Moves and dead letters: page by page, each answered when it is confirmed.

use std::time::Duration;

use engine::{AdminAnswer, AdminCommand, BrowsePosition, Browsed, DEAD_LETTER_CAUSE, MoveTo, MoveToGo, Moved};
use message::{MessageNumber, PRIORITY_MAX, Property};

use crate::admin::{
    DeadLetter, DeadLettersAnswer, DeadLettersRequest, Left, MoveRequest, MoveStatus, ORDER_WITHIN, Refused,
    RefusedKind,
};

use super::{BROWSE_PAGE, NodeView, condition, unexpected};

/// A move that takes longer stops: its answer would come too late for whoever asked over HTTP, and what it had moved would not be known.
const MOVE_WITHIN: Duration = ORDER_WITHIN.saturating_sub(Duration::from_secs(15));

impl NodeView {
    /// Asks for page after page. Who drops this ends the move behind the page at hand.
    pub(super) async fn move_pages(&self, request: MoveRequest) -> Result<MoveStatus, Refused> {
        let began = self.pump.now().boot;
        let about = format!("{:#}", request.from);
        let to = request.to.clone().map_or(MoveTo::Origin, MoveTo::Queue);
        let (from, selector) = (request.from.clone(), request.selector.as_deref().map(condition));
        let page = |limit, go_on| {
            let command = AdminCommand::Move {
                from: from.clone(),
                to: to.clone(),
                selector: selector.clone(),
                limit,
                go_on,
            };
            self.order(command, about.clone())
        };
        let is_late = || self.pump.now().boot.since(began) >= MOVE_WITHIN;
        match all_pages(&request, page, is_late).await {
            // It is made for the first dead letter.
            Err(refused)
                if refused.kind == RefusedKind::NotFound
                    && request.to.is_none()
                    && request.from == self.dead_letter_queue =>
            {
                Ok(nothing(&request))
            }
            outcome => outcome,
        }
    }

    pub(super) async fn list_dead_letters(&self, request: DeadLettersRequest) -> Result<DeadLettersAnswer, Refused> {
        let is_named = request.queue.is_some();
        let queue = request.queue.unwrap_or_else(|| self.dead_letter_queue.clone());
        let mut from = request.after.as_deref().map(place).transpose()?;
        let mut answer = DeadLettersAnswer {
            queue: queue.to_string(),
            ..DeadLettersAnswer::default()
        };
        loop {
            let command = AdminCommand::Browse {
                queue: queue.clone(),
                from,
                limit: BROWSE_PAGE.min(request.limit - answer.messages.len()),
                selector: request.selector.as_deref().map(condition),
            };
            match self.order(command, format!("{queue:#}")).await {
                Ok(AdminAnswer::Browsed { messages, next }) => {
                    answer.messages.extend(messages.iter().map(dead_letter));
                    from = next;
                }
                Ok(other) => return Err(unexpected(&other, queue.to_string())),
                // It is made for the first dead letter.
                Err(refused) if refused.kind == RefusedKind::NotFound && !is_named => return Ok(answer),
                Err(refused) => return Err(refused),
            }
            let Some(next) = from else { return Ok(answer) };
            if answer.messages.len() >= request.limit {
                answer.next = Some(format!("{}:{}", next.priority, next.number.0));
                return Ok(answer);
            }
        }
    }
}

/// A move that has done nothing yet.
fn nothing(request: &MoveRequest) -> MoveStatus {
    MoveStatus {
        from: request.from.to_string(),
        to: request.to.as_ref().map(ToString::to_string),
        ..MoveStatus::default()
    }
}

/// Has page after page moved, each of at most so many messages, until all is done or it is late.
async fn all_pages(
    request: &MoveRequest,
    page: impl AsyncFn(usize, Option<MoveToGo>) -> Result<AdminAnswer, Refused>,
    is_late: impl Fn() -> bool,
) -> Result<MoveStatus, Refused> {
    let mut status = nothing(request);
    if request.limit == Some(0) {
        return Ok(status);
    }
    let mut go_on = None;
    loop {
        let limit = request.limit.map_or(u64::MAX, |limit| limit - status.messages);
        let moved = match page(usize::try_from(limit).unwrap_or(usize::MAX), go_on).await {
            Ok(AdminAnswer::Moved(moved)) => moved,
            Ok(other) => return Err(unexpected(&other, status.from)),
            // What was moved is moved.
            Err(refused) if status.messages > 0 => {
                status.stopped = Some(refused.what);
                return Ok(status);
            }
            Err(refused) => return Err(refused),
        };
        add(&mut status, &moved);
        go_on = moved.next;
        if go_on.is_none() || request.limit.is_some_and(|limit| status.messages >= limit) {
            return Ok(status);
        }
        if is_late() {
            let minutes = ORDER_WITHIN.as_secs() / 60;
            status.stopped = Some(format!("{minutes} minutes are over; give the order again to go on"));
            return Ok(status);
        }
    }
}

fn add(status: &mut MoveStatus, moved: &Moved) {
    status.messages += moved.messages;
    let left: &mut Left = &mut status.left;
    left.in_delivery += moved.in_delivery;
    left.set_aside += moved.set_aside;
    left.without_origin += moved.without_origin;
    left.origin_gone += moved.origin_gone;
    left.unheard += moved.unheard;
    status.stopped.clone_from(&moved.stopped);
}

fn place(text: &str) -> Result<BrowsePosition, Refused> {
    let parsed = || {
        let (priority, number) = text.split_once(':')?;
        let priority = priority.parse().ok().filter(|priority| *priority <= PRIORITY_MAX)?;
        Some(BrowsePosition {
            priority,
            number: MessageNumber(number.parse().ok()?),
        })
    };
    parsed().ok_or_else(|| {
        Refused::new(
            RefusedKind::Invalid,
            "this is no place in a queue",
            "parameter after",
            "pass what the answer before gave as `next`",
        )
    })
}

fn dead_letter(one: &Browsed) -> DeadLetter {
    let message = &one.message;
    DeadLetter {
        id: message.id.to_string(),
        original_destination: message.original_destination.as_ref().map(ToString::to_string),
        reason: match message.properties.get(DEAD_LETTER_CAUSE) {
            Some(Property::String(reason)) => Some(reason.to_owned()),
            Some(_) | None => None,
        },
        redeliveries: one.redeliveries,
        timestamp: message.timestamp,
        priority: message.priority,
        body_bytes: message.body.bytes.len() as u64,
        in_delivery: one.in_flight,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use message::Destination;

    use super::*;

    fn queue(name: &str) -> Destination {
        Destination::queue(name).unwrap()
    }

    /// Runs a move of pages of three messages that never end, until `late_after` of them.
    async fn endless(limit: Option<u64>, late_after: u32) -> (MoveStatus, u32) {
        let pages = Cell::new(0);
        let request = MoveRequest {
            from: queue("A"),
            to: Some(queue("B")),
            selector: None,
            limit,
        };
        let page = async |limit: usize, _| {
            pages.set(pages.get() + 1);
            Ok(AdminAnswer::Moved(Moved {
                messages: limit.min(3) as u64,
                in_delivery: 1,
                next: Some(MoveToGo::default()),
                ..Moved::default()
            }))
        };
        let status = all_pages(&request, page, || pages.get() >= late_after).await.unwrap();
        (status, pages.get())
    }

    #[tokio::test]
    async fn a_move_that_takes_too_long_stops_and_keeps_its_counts() {
        let (status, pages) = endless(None, 4).await;
        assert_eq!((status.messages, status.left.in_delivery, pages), (12, 4, 4));
        assert_eq!(
            status.stopped.as_deref(),
            Some("10 minutes are over; give the order again to go on")
        );
        let (status, pages) = endless(Some(7), 100).await;
        assert_eq!((status.messages, status.stopped, pages), (7, None, 3));
        assert!(MOVE_WITHIN < ORDER_WITHIN && MOVE_WITHIN > ORDER_WITHIN / 2);
    }

    #[test]
    fn a_place_is_one_that_an_answer_may_have_named() {
        let found = place("9:18446744073709551615").unwrap();
        assert_eq!((found.priority, found.number), (9, MessageNumber(u64::MAX)));
        for text in ["10:1", "256:1", "-1:1", "9", "9:", ":9", "9:18446744073709551616", ""] {
            assert_eq!(place(text).unwrap_err().kind, RefusedKind::Invalid, "{text:?}");
        }
    }
}
