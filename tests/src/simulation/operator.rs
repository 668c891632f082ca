//! An operator at work while clients are: makes destinations, looks at queues, empties and deletes some; `moves.rs` moves messages and sends dead letters back.
//!
//! Invariant: what may take a message of the workload from where it is (a purge, a move) is in the history before it is ordered, and its answer once it came. Deleted are only destinations of malicious clients.

mod moves;

use std::collections::BTreeMap;
use std::time::Duration;

use engine::{AdminAnswer, AdminCommand, AdminRequest};
use message::Destination;
use platform::BootTime;
use simulated::{Prng, ProcessNumber};

use self::moves::{Known, MoveOrder, Spot};
use super::world::World;
use crate::history::{Event, Purge};
use crate::workload::QUEUES;

/// What an order was.
#[derive(Clone, Debug)]
enum Order {
    Create,
    Purge(Purge),
    Browse(Spot),
    Move(MoveOrder),
    /// Removes what is damaged and nothing else.
    PurgeSetAside,
    Other,
}

/// The operator of a run.
#[derive(Debug)]
pub(super) struct Operator {
    prng: Prng,
    next_order: BootTime,
    open: BTreeMap<(ProcessNumber, AdminRequest), Order>,
    /// Destinations of the workload that are known to exist.
    created: usize,
    /// Whether queues of the workload are emptied now and then.
    purges: bool,
    /// Whether messages are moved, and dead letters sent back.
    moves: bool,
    /// A message that waited somewhere when it was last looked.
    known: Option<Known>,
}

/// Destinations that have to exist before anybody can use up their number: as in [`QUEUES`], the topic, the dead-letter queue.
const CREATED: usize = QUEUES.len() + 2;

/// Names that malicious clients use.
const STRANGE_NAMES: u64 = 40;

/// Messages of one page of a browse.
const PAGE: usize = 20;

impl Operator {
    pub(super) fn new(mut prng: Prng, purges: bool) -> Operator {
        Operator {
            moves: prng.below(2) == 0,
            known: None,
            prng,
            next_order: BootTime(0),
            open: BTreeMap::new(),
            created: 0,
            purges,
        }
    }

    /// Whether every destination of the workload exists for certain.
    pub(super) fn has_created(&self) -> bool {
        self.created >= CREATED
    }

    /// Orders that are not answered and may still be.
    pub(super) fn open_orders(&self, world: &World) -> usize {
        let lives = |process: &ProcessNumber| world.running.contains_key(process);
        self.open.keys().filter(|(process, _)| lives(process)).count()
    }

    /// Hears answers, and gives an order if it is time.
    pub(super) fn work(&mut self, world: &mut World) {
        self.hear(world);
        let now = world.storage.now();
        if now < self.next_order {
            return;
        }
        let pause = if self.has_created() { 400 } else { 20 };
        self.next_order = now
            + self
                .prng
                .between(Duration::from_millis(10), Duration::from_millis(pause));
        if !self.has_created() {
            if !self.open.values().any(|order| matches!(order, Order::Create)) {
                self.order(world, Order::Create, create(self.created));
            }
            return;
        }
        if self.moves && self.prng.below(2) == 0 {
            return self.work_on_moves(world);
        }
        match self.prng.below(if self.purges { 12 } else { 11 }) {
            0..=3 => {
                let spot = self.some_spot();
                let queue = spot.destination();
                let selector = [
                    None,
                    Some("color = 'red'"),
                    Some("color LIKE '%e%' OR color IN ('a', 'b')"),
                ];
                let selector = selector[self.prng.index(selector.len())].map(Into::into);
                let (from, limit) = (None, PAGE);
                let browse = AdminCommand::Browse {
                    queue,
                    from,
                    limit,
                    selector,
                };
                world.coverage.count("operator: browse");
                self.order(world, Order::Browse(spot), browse);
            }
            4..=6 => {
                let queue = self.strange(Destination::queue);
                world.coverage.count("operator: purge of a strange queue");
                self.order(world, Order::Other, AdminCommand::Purge { queue });
            }
            7 | 8 => {
                let destination = self.strange(Destination::queue);
                world.coverage.count("operator: delete");
                self.order(world, Order::Other, AdminCommand::Delete { destination });
            }
            9 => {
                let destination = self.strange(Destination::topic);
                world.coverage.count("operator: delete");
                self.order(world, Order::Other, AdminCommand::Delete { destination });
            }
            10 => {
                let destination = self.strange(Destination::topic);
                world.coverage.count("operator: create");
                self.order(world, Order::Other, AdminCommand::Create { destination });
            }
            _ => self.purge(world, self.next_order.0 as usize % QUEUES.len()),
        }
    }

    /// Empties everything that clients fill.
    pub(super) fn make_room(&mut self, world: &mut World) {
        for index in 0..QUEUES.len() {
            self.purge(world, index);
        }
        for number in 0..STRANGE_NAMES {
            let queue = Destination::queue(&format!("strange.{number}")).expect("a plain name");
            self.order(world, Order::Other, AdminCommand::Purge { queue });
        }
    }

    fn purge(&mut self, world: &mut World, index: usize) {
        let purge = Purge(world.scene.history.fresh());
        let place = world.scene.queue(index);
        world.scene.push(Event::Purging { purge, place });
        world.coverage.count("operator: purge of a work queue");
        let queue = Destination::queue(QUEUES[index]).expect("a plain name");
        self.order(world, Order::Purge(purge), AdminCommand::Purge { queue });
    }

    fn strange<E: std::fmt::Debug>(&mut self, make: fn(&str) -> Result<Destination, E>) -> Destination {
        make(&format!("strange.{}", self.prng.below(STRANGE_NAMES))).expect("a plain name")
    }

    fn order(&mut self, world: &mut World, order: Order, command: AdminCommand) {
        if let Some(given) = world.order(command) {
            self.open.insert(given, order);
        }
    }

    /// Takes the answers that came.
    pub(super) fn hear(&mut self, world: &mut World) {
        for (process, request, answer) in world.take_answers() {
            let Some(order) = self.open.remove(&(process, request)) else {
                world
                    .scene
                    .complaints
                    .push(format!("an answer to {request:?} that nobody waits for"));
                continue;
            };
            match (order, answer) {
                (Order::Create, AdminAnswer::Created { .. }) => self.created += 1,
                (Order::Purge(purge), AdminAnswer::Purged { .. }) => world.scene.push(Event::Purged(purge)),
                (Order::Move(order), AdminAnswer::Moved(moved)) => self.moved(world, process, order, moved),
                (Order::Move(order), AdminAnswer::Refused { .. }) => order.refused(world),
                // One who is superseded and has not noticed may not know the queue.
                (Order::Purge(_), AdminAnswer::Refused { .. }) => world.coverage.count("operator: refused"),
                (order @ (Order::Create | Order::Purge(_) | Order::Move(_)), answer) => {
                    world
                        .scene
                        .complaints
                        .push(format!("{order:?} was answered {answer:?}"));
                }
                (Order::Browse(_) | Order::PurgeSetAside | Order::Other, AdminAnswer::Refused { .. }) => {
                    world.coverage.count("operator: refused");
                }
                (Order::Browse(spot), AdminAnswer::Browsed { messages, .. }) => {
                    world.coverage.count("operator: answered");
                    self.browsed(spot, &messages);
                }
                (Order::Browse(_) | Order::PurgeSetAside | Order::Other, _) => {
                    world.coverage.count("operator: answered");
                }
            }
        }
        for ((process, _), order) in &self.open {
            if matches!(order, Order::Move(_)) && !world.running.contains_key(process) {
                world.coverage.count("operator: a move that a death cut off");
            }
        }
        self.open.retain(|(process, _), _| world.running.contains_key(process));
    }
}

/// The order for one of the destinations of the workload.
fn create(index: usize) -> AdminCommand {
    let destination = match QUEUES.get(index) {
        Some(name) => Destination::queue(name),
        None if index == QUEUES.len() => Destination::topic("news.today"),
        None => Destination::queue("ActiveMQ.DLQ"),
    };
    AdminCommand::Create {
        destination: destination.expect("a plain name"),
    }
}
