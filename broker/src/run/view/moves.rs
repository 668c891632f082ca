//! Moves and dead letters: page by page, each answered when it is confirmed.

use engine::{AdminAnswer, AdminCommand, BrowsePosition, Browsed, DEAD_LETTER_CAUSE, MoveTo, Moved};
use message::{MessageNumber, Property};

use crate::admin::{
    DeadLetter, DeadLettersAnswer, DeadLettersRequest, Left, MoveRequest, MoveStatus, Refused, RefusedKind,
};

use super::{BROWSE_PAGE, NodeView, condition, unexpected};

impl NodeView {
    /// Asks for page after page. Who drops this ends the move behind the page at hand.
    pub(super) async fn move_pages(&self, request: MoveRequest) -> Result<MoveStatus, Refused> {
        let about = format!("{:#}", request.from);
        let mut status = MoveStatus {
            from: request.from.to_string(),
            to: request.to.as_ref().map(ToString::to_string),
            ..MoveStatus::default()
        };
        let to = request.to.clone().map_or(MoveTo::Origin, MoveTo::Queue);
        if request.limit == Some(0) {
            return Ok(status);
        }
        let mut go_on = None;
        loop {
            let limit = request.limit.map_or(u64::MAX, |limit| limit - status.messages);
            let command = AdminCommand::Move {
                from: request.from.clone(),
                to: to.clone(),
                selector: request.selector.as_deref().map(condition),
                limit: usize::try_from(limit).unwrap_or(usize::MAX),
                go_on,
            };
            let moved = match self.order(command, about.clone()).await {
                Ok(AdminAnswer::Moved(moved)) => moved,
                Ok(other) => return Err(unexpected(&other, about)),
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
        Some(BrowsePosition {
            priority: priority.parse().ok()?,
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
