//! What each record does to the durable state: the one place for it, live and in replay.
//!
//! Live code decides, makes a record, appends it and applies it here; replay applies only. So the state after a replay is the state that was. Invariant: nothing here consults the clock, a selector, a
//! limit on what is accepted or the duplicate table. A record that does not fit the state before it is damage, and said so with object and number. Proved by `tests/engine/recovery.rs`.

use std::fmt;
use std::sync::Arc;

use message::selector::Selector;
use message::{Destination, Kind, MessageNumber, Sequence};
use record::{Definition, Entry, ObjectId, Place, Record, Sent, Ticket, Waiting};

use crate::backlog::Taken;
use crate::engine::Engine;
use crate::queue::{Durable, Queue, Role};
use crate::step::Step;
use crate::topic::Topic;
use crate::work::Work;

/// Objects from here on are never recorded: temporary destinations.
pub(crate) const FIRST_TEMPORARY: u32 = 1 << 31;

/// A record that cannot follow the history before it: the history is damaged; refuse to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inconsistent {
    /// The object that it speaks of.
    pub object: ObjectId,
    /// The message number that it speaks of, if any.
    pub number: Option<MessageNumber>,
    /// What does not fit.
    pub what: &'static str,
}

impl fmt::Display for Inconsistent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            Some(number) => write!(f, "object {}, message {}: {}", self.object.0, number.0, self.what),
            None => write!(f, "object {}: {}", self.object.0, self.what),
        }
    }
}

impl std::error::Error for Inconsistent {}

fn no_object(object: ObjectId) -> Inconsistent {
    Inconsistent {
        object,
        number: None,
        what: "there is no such object",
    }
}

fn wrong(object: ObjectId, number: MessageNumber, what: &'static str) -> Inconsistent {
    Inconsistent {
        object,
        number: Some(number),
        what,
    }
}

impl Engine {
    /// Adds a record to the history and applies it.
    pub(crate) fn record(&mut self, step: &mut Step<'_>, record: &Record) -> Ticket {
        let ticket = step.store.append(record);
        let confirmed = step.store.confirmed();
        self.apply(record, &ticket, confirmed)
            .expect("what is recorded was decided from this very state");
        ticket
    }

    /// Applies a record; `confirmed` is the newest confirmed one.
    pub(crate) fn apply(&mut self, record: &Record, ticket: &Ticket, confirmed: Sequence) -> Result<(), Inconsistent> {
        let sequence = ticket.sequence;
        match record {
            Record::Created { object, definition } => self.create(*object, definition, sequence)?,
            Record::Deleted { object } => self.delete(*object, sequence)?,
            Record::Sent(sent) => self.arrive(sent, sequence, ticket.message_place(0), confirmed)?,
            Record::Acknowledged(waiting) | Record::Expired(waiting) => self.remove(waiting, sequence)?,
            Record::Moved { object, number, sent } => {
                self.remove(
                    &Waiting {
                        object: *object,
                        numbers: vec![*number],
                    },
                    sequence,
                )?;
                self.arrive(sent, sequence, ticket.message_place(0), confirmed)?;
            }
            Record::Redelivered { object, counts } => {
                let queue = self.queue_mut(*object)?;
                queue.newest = sequence;
                queue.counted = sequence;
                for (number, count) in counts {
                    let count = u16::try_from(*count).unwrap_or(u16::MAX);
                    if !queue.backlog.count_redeliveries(*number, count) {
                        return Err(wrong(*object, *number, "redelivered, but it does not wait here"));
                    }
                }
            }
            Record::Purged { object, through } => {
                let queue = self.queue_mut(*object)?;
                queue.newest = sequence;
                queue.backlog.purge(*through);
                queue.purged(*through);
            }
            Record::Dispatched { object, through } => {
                let queue = self.queue_mut(*object)?;
                queue.newest = sequence;
                queue.mark.sequence = sequence;
                queue.mark.through = queue.mark.through.max(*through);
            }
            Record::Committed { sent, acknowledged } => {
                for waiting in acknowledged {
                    self.remove(waiting, sequence)?;
                }
                for (index, sent) in sent.iter().enumerate() {
                    self.arrive(sent, sequence, ticket.message_place(index), confirmed)?;
                }
            }
            Record::SetAside { object, number } => {
                let queue = self.queue_mut(*object)?;
                queue.newest = sequence;
                if !queue.backlog.put_aside(*number) {
                    return Err(wrong(*object, *number, "set aside, but it does not wait here"));
                }
            }
        }
        self.newest = sequence;
        Ok(())
    }

    fn queue_mut(&mut self, object: ObjectId) -> Result<&mut Queue, Inconsistent> {
        let queue = self.queues.get_mut(&object);
        queue.map(Box::as_mut).ok_or_else(|| no_object(object))
    }

    fn create(&mut self, object: ObjectId, definition: &Definition, sequence: Sequence) -> Result<(), Inconsistent> {
        let refused = |what| {
            Err(Inconsistent {
                object,
                number: None,
                what,
            })
        };
        if self.queues.contains_key(&object) || self.topics.contains_key(&object) {
            return refused("created twice");
        }
        if object.0 < self.next_object || object.0 >= FIRST_TEMPORARY {
            return refused("created with an id that was used");
        }
        self.define(object, definition, sequence).or_else(refused)?;
        self.next_object = object.0 + 1;
        Ok(())
    }

    /// Puts an object into the tables.
    pub(crate) fn define(
        &mut self,
        object: ObjectId,
        definition: &Definition,
        newest: Sequence,
    ) -> Result<(), &'static str> {
        match definition {
            Definition::Queue { name } => {
                let destination = Destination {
                    kind: Kind::Queue,
                    name: Arc::clone(name),
                };
                self.name(&destination, object)?;
                self.queues
                    .insert(object, Box::new(Queue::new(object, Role::Queue(destination), newest)));
            }
            Definition::Topic { name } => {
                let destination = Destination {
                    kind: Kind::Topic,
                    name: Arc::clone(name),
                };
                self.name(&destination, object)?;
                let mut topic = Topic::new(destination, None, newest);
                self.durables_of(&topic.destination).for_each(|durable| {
                    topic.durables.insert(durable);
                });
                self.topics.insert(object, topic);
            }
            Definition::Durable {
                client_id,
                name,
                destinations,
                selector,
                no_local,
            } => {
                let selector = match selector.as_deref().map(Selector::parse).transpose() {
                    Ok(selector) => selector.map(Arc::new),
                    Err(_) => return Err("its selector cannot be parsed"),
                };
                let key = (Arc::clone(client_id), Arc::clone(name));
                if self.durables.insert(key, object).is_some() {
                    return Err("a durable subscription of this client and name exists");
                }
                for destination in destinations {
                    if destination.is_pattern() {
                        self.pattern_durables.insert(object);
                    }
                    self.durables_by_topic
                        .entry(destination.clone())
                        .or_default()
                        .insert(object);
                }
                let durable = Durable {
                    client_id: Arc::clone(client_id),
                    name: Arc::clone(name),
                    destinations: destinations.clone(),
                    selector,
                    no_local: *no_local,
                };
                for topic in self.topics_of(&durable.destinations) {
                    if let Some(topic) = self.topics.get_mut(&topic) {
                        topic.durables.insert(object);
                        topic.newest = newest;
                    }
                }
                self.queues
                    .insert(object, Box::new(Queue::new(object, Role::Durable(durable), newest)));
            }
        }
        Ok(())
    }

    fn name(&mut self, destination: &Destination, object: ObjectId) -> Result<(), &'static str> {
        match self.names.insert(destination.clone(), object) {
            None => Ok(()),
            Some(_) => Err("a destination of this name exists"),
        }
    }

    fn delete(&mut self, object: ObjectId, sequence: Sequence) -> Result<(), Inconsistent> {
        if let Some(topic) = self.topics.remove(&object) {
            self.names.remove(&topic.destination);
            return Ok(());
        }
        let queue = self.queues.remove(&object).ok_or_else(|| no_object(object))?;
        match &queue.role {
            Role::Queue(destination) | Role::Temporary(destination, _) => {
                self.names.remove(destination);
            }
            Role::Durable(durable) => {
                self.durables
                    .remove(&(Arc::clone(&durable.client_id), Arc::clone(&durable.name)));
                self.pattern_durables.remove(&object);
                for topic in self.topics_of(&durable.destinations) {
                    if let Some(topic) = self.topics.get_mut(&topic) {
                        topic.durables.remove(&object);
                        topic.newest = sequence;
                    }
                }
                for destination in &durable.destinations {
                    if let Some(durables) = self.durables_by_topic.get_mut(destination) {
                        durables.remove(&object);
                        if durables.is_empty() {
                            self.durables_by_topic.remove(destination);
                        }
                    }
                }
            }
        }
        self.volatile_bytes -= queue.backlog.volatile_bytes();
        self.work.push_back(Work::Discard(Box::new(queue.backlog)));
        Ok(())
    }

    /// Existing topics that these names and patterns cover.
    fn topics_of(&self, destinations: &[Destination]) -> Vec<ObjectId> {
        let mut topics = Vec::new();
        for destination in destinations {
            if destination.is_pattern() {
                let covered = self.names.iter().filter(|(name, _)| destination.covers(name));
                topics.extend(covered.map(|(_, object)| *object));
            } else {
                topics.extend(self.names.get(destination));
            }
        }
        topics
    }

    /// Durable subscriptions that cover a topic.
    fn durables_of<'a>(&'a self, topic: &'a Destination) -> impl Iterator<Item = ObjectId> + 'a {
        let patterns = self.pattern_durables.iter().filter(|object| {
            let durable = self.queues.get(object).and_then(|queue| queue.durable());
            durable.is_some_and(|durable| durable.destinations.iter().any(|pattern| pattern.covers(topic)))
        });
        patterns
            .chain(self.durables_by_topic.get(topic).into_iter().flatten())
            .copied()
    }

    fn arrive(
        &mut self,
        sent: &Sent,
        sequence: Sequence,
        place: Place,
        confirmed: Sequence,
    ) -> Result<(), Inconsistent> {
        if sent.number > MessageNumber::RECORDED_MAX {
            return Err(wrong(sent.destination, sent.number, "no epoch gives such a number"));
        }
        let entry = Entry {
            number: sent.number,
            place,
            expiration: sent.message.expiration,
            redeliveries: 0,
            priority: sent.message.priority.min(message::PRIORITY_MAX),
            set_aside: false,
        };
        for target in &sent.targets {
            let queue = self.queue_mut(*target)?;
            if !queue.backlog.push(entry) {
                return Err(wrong(*target, sent.number, "its number is not above those before it"));
            }
            queue.newest = sequence;
            queue.arrived(sent.number, sequence, confirmed);
        }
        self.highest = self.highest.max(sent.number);
        if let Some(id) = &sent.duplicate_id {
            let settings = &self.settings;
            let duplicates = match self.queues.get_mut(&sent.destination) {
                Some(queue) => &mut queue.duplicates,
                None => match self.topics.get_mut(&sent.destination) {
                    Some(topic) => &mut topic.duplicates,
                    None => return Err(no_object(sent.destination)),
                },
            };
            duplicates.remember(id, sent.time, sequence, settings);
        }
        Ok(())
    }

    fn remove(&mut self, waiting: &Waiting, sequence: Sequence) -> Result<(), Inconsistent> {
        let object = waiting.object;
        let queue = self.queues.get_mut(&object).ok_or_else(|| no_object(object))?;
        queue.newest = sequence;
        for number in &waiting.numbers {
            let taken = queue
                .backlog
                .locate(*number)
                .and_then(|position| queue.backlog.take(position));
            match taken {
                Some(Taken::Stored(_)) => queue.forget(*number),
                Some(Taken::Memory(_)) | None => {
                    return Err(wrong(object, *number, "consumed, but it does not wait here"));
                }
            }
            if queue.durable().is_none() {
                self.cache.remove(*number);
            }
        }
        Ok(())
    }
}
