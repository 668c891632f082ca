//! Moves between the queues of the workload and out of the dead-letter queue, page by page as the command line orders them, and the removal of what is set aside.
//!
//! Invariant: only the newest leader is asked, and all pages of a move are one process's: what it answers rests on everything that was confirmed before the order.

use std::collections::BTreeSet;
use std::sync::Arc;

use engine::{AdminCommand, Browsed, MoveTo, MoveToGo, Moved};
use message::Destination;
use simulated::ProcessNumber;

use super::{Operator, Order};
use crate::history::{Body, Event, Movement, Place, Target};
use crate::simulation::world::World;
use crate::workload::{Content, QUEUES};

/// A queue that messages are moved from or to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spot {
    /// One of [`QUEUES`].
    Work(usize),
    DeadLetters,
}

/// A message that was looked at.
#[derive(Clone, Debug)]
pub(super) struct Known {
    spot: Spot,
    body: Body,
    id: Arc<str>,
}

/// A move at some page of it.
#[derive(Clone, Debug)]
pub(super) struct MoveOrder {
    movement: Movement,
    from: Spot,
    to: MoveTo,
    selector: Option<Arc<str>>,
    /// The one message that it is about.
    one: bool,
    /// Messages that it may still take.
    remaining: usize,
    /// Messages of a page at most.
    page: usize,
    /// Something stayed.
    left: bool,
    /// Something was moved.
    took: bool,
}

impl Spot {
    pub(super) fn destination(self) -> Destination {
        let name = match self {
            Spot::Work(index) => QUEUES[index],
            Spot::DeadLetters => "ActiveMQ.DLQ",
        };
        Destination::queue(name).expect("a plain name")
    }

    fn place(self, world: &World) -> Place {
        match self {
            Spot::Work(index) => world.scene.queue(index),
            Spot::DeadLetters => world.scene.dead_letters(),
        }
    }
}

impl Operator {
    pub(super) fn some_spot(&mut self) -> Spot {
        match self.prng.index(QUEUES.len() + usize::from(self.moves)) {
            index if index < QUEUES.len() => Spot::Work(index),
            _ => Spot::DeadLetters,
        }
    }

    /// Remembers one of the messages that wait, to move it by its id.
    pub(super) fn browsed(&mut self, spot: Spot, messages: &[Browsed]) {
        if !self.moves || messages.is_empty() {
            return;
        }
        let message = &messages[self.prng.index(messages.len())].message;
        self.known = Content::number(&message.body.bytes).map(|body| Known {
            spot,
            body,
            id: message.id.to_string().into(),
        });
    }

    /// Moves messages, or removes what is set aside.
    pub(super) fn work_on_moves(&mut self, world: &mut World) {
        if world.newest_leader().is_none() {
            return;
        }
        if self.prng.below(10) == 0 {
            let destination = self.some_spot().destination();
            world.coverage.count("operator: purge of what is set aside");
            return self.order(world, Order::PurgeSetAside, AdminCommand::PurgeSetAside { destination });
        }
        let known = self.known.take().filter(|_| self.prng.below(2) == 0);
        let from = match &known {
            Some(known) => known.spot,
            None if self.prng.below(3) == 0 => Spot::DeadLetters,
            None => self.some_spot(),
        };
        let goes_back = self.prng.below(if from == Spot::DeadLetters { 3 } else { 8 });
        let is_retry = if from == Spot::DeadLetters {
            goes_back > 0
        } else {
            goes_back == 0
        };
        let (to, target) = if is_retry {
            (MoveTo::Origin, Target::Origin)
        } else {
            let others: Vec<Spot> = (0..QUEUES.len()).map(Spot::Work).filter(|spot| *spot != from).collect();
            let spot = others[self.prng.index(others.len())];
            (MoveTo::Queue(spot.destination()), Target::Place(spot.place(world)))
        };
        let (selector, only): (Option<Arc<str>>, Option<BTreeSet<Body>>) = match &known {
            Some(Known { body, id, .. }) => {
                let selector = format!("JMSMessageID = '{id}'");
                (Some(selector.into()), Some([*body].into()))
            }
            None if self.prng.below(3) == 0 => (Some("color = 'red'".into()), Some(world.scene.selected())),
            None => (None, None),
        };
        let order = MoveOrder {
            movement: Movement(world.scene.history.fresh()),
            from,
            to,
            selector,
            one: known.is_some(),
            remaining: [usize::MAX, usize::MAX, 1, 5][self.prng.index(4)],
            page: [1, 4, 1_000][self.prng.index(3)],
            left: false,
            took: false,
        };
        world.coverage.count(match (from, order.one) {
            (Spot::DeadLetters, true) => "operator: retry of one dead letter",
            (Spot::DeadLetters, false) => "operator: retry of dead letters",
            (Spot::Work(_), true) => "operator: move of one message",
            (Spot::Work(_), false) => "operator: move of messages",
        });
        world.scene.push(Event::Moving {
            movement: order.movement,
            from: from.place(world),
            to: target,
            only,
        });
        self.order_page(world, order, None);
        // Now and then another comes upon it.
        if self.prng.below(4) == 0 {
            self.next_order = world.storage.now();
        }
    }

    fn order_page(&mut self, world: &mut World, order: MoveOrder, go_on: Option<MoveToGo>) {
        let command = AdminCommand::Move {
            from: order.from.destination(),
            to: order.to.clone(),
            selector: order.selector.clone(),
            limit: order.page.min(order.remaining),
            go_on,
        };
        self.order(world, Order::Move(order), command);
    }

    /// A page was answered: orders the next, or tells what came of it all.
    pub(super) fn moved(&mut self, world: &mut World, process: ProcessNumber, mut order: MoveOrder, moved: Moved) {
        for _ in 0..moved.messages {
            world.coverage.count(match order.from {
                Spot::DeadLetters => "operator: a dead letter was moved",
                Spot::Work(_) => "operator: a message was moved",
            });
        }
        if moved.stopped.is_some() {
            world.coverage.count("operator: a move stopped");
        }
        order.remaining -= usize::try_from(moved.messages)
            .unwrap_or(usize::MAX)
            .min(order.remaining);
        order.took |= moved.messages > 0;
        let stayed = [
            moved.in_delivery,
            moved.set_aside,
            moved.without_origin,
            moved.origin_gone,
            moved.unheard,
        ];
        order.left |= stayed.iter().any(|messages| *messages > 0) || moved.stopped.is_some();
        match moved.next {
            Some(next) if order.remaining > 0 => {
                if world.newest_leader() == Some(process) {
                    world.coverage.count("operator: another page of a move");
                    self.order_page(world, order, Some(next));
                }
            }
            next => {
                let left = !(order.one && order.took) && (order.left || next.is_some());
                world.coverage.count(if left {
                    "operator: a move left something"
                } else {
                    "operator: a move left nothing"
                });
                let movement = order.movement;
                world.scene.push(Event::Moved { movement, left });
            }
        }
    }
}

impl MoveOrder {
    /// Nothing more of it comes.
    pub(super) fn refused(&self, world: &mut World) {
        world.coverage.count("operator: refused");
        let (movement, left) = (self.movement, true);
        world.scene.push(Event::Moved { movement, left });
    }
}
