//! Starting consumers: which queues and topics serve them, now and when new destinations appear.
//!
//! A name is found at once; a pattern looks through the names of all destinations, in steps, and the answer waits for its end. Destinations that are made meanwhile attach by themselves.

use std::ops::Bound;
use std::rc::Rc;
use std::sync::Arc;

use message::selector::Selector;
use message::{ConnectionId, ConsumerId, Destination, Kind, Refusal, RefusalKind, RequestId, Sequence, Subscribe};
use record::{Definition, ObjectId, Record};

use crate::browser::Browser;
use crate::consumer::{Consumer, Wish};
use crate::engine::{Engine, illegal};
use crate::queue::{Durable, Role};
use crate::settings::STEP_MESSAGES_MAX;
use crate::step::Step;
use crate::work::{Attach, Work};

impl Engine {
    /// Starts a consumer.
    pub(crate) fn subscribe(
        &mut self,
        step: &mut Step<'_>,
        connection: ConnectionId,
        request: Option<RequestId>,
        subscribe: Subscribe,
    ) {
        if let Err((after, refusal)) = self.try_subscribe(step, connection, request, subscribe) {
            self.effects.refused(connection, request, after, refusal);
        }
    }

    fn try_subscribe(
        &mut self,
        step: &mut Step<'_>,
        connection: ConnectionId,
        request: Option<RequestId>,
        subscribe: Subscribe,
    ) -> Result<(), (Sequence, Refusal)> {
        let nothing = |refusal| (Sequence::NONE, refusal);
        let id = subscribe.consumer;
        if id.connection != connection || self.consumers.contains_key(&id) || subscribe.destinations.is_empty() {
            let text = format!(
                "consumer {} cannot be started: its id is in use, or it names no destination",
                id.number
            );
            return Err(nothing(illegal(text)));
        }
        let selector = parse(subscribe.selector.as_deref()).map_err(nothing)?;
        self.check_destinations(connection, &subscribe).map_err(nothing)?;
        let (durable, mut after) = match &subscribe.durable {
            Some(name) => {
                let (object, after) = self.durable(step, connection, Arc::clone(name), &subscribe, selector.clone())?;
                (Some(object), after)
            }
            None => (None, Sequence::NONE),
        };
        let Some(owner) = self.connections.get(&connection) else {
            return Err(nothing(illegal("the connection is gone")));
        };
        let pending_max = subscribe.pending_max.map(|max| max as usize);
        let consumer = Consumer::new(Wish {
            id,
            selector,
            no_local: subscribe.no_local,
            exclusive: subscribe.exclusive,
            priority: subscribe.priority,
            durable,
            browser: subscribe.browser.then(|| Browser {
                is_attaching: true,
                ..Browser::default()
            }),
            prefetch: subscribe.prefetch,
            pending_max: pending_max.unwrap_or(self.settings.topic_consumer_messages_max),
            destinations: subscribe.destinations,
            untaken: Rc::clone(&owner.untaken),
        });
        let destinations = consumer.destinations.clone();
        self.consumers.insert(id, consumer);
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.consumers.insert(id);
        }
        if let Some(object) = durable {
            self.attach(id, object);
            self.started(id, request, after);
            return Ok(());
        }
        for destination in destinations.iter().filter(|destination| !destination.is_pattern()) {
            let object = self.ensure(step, destination);
            after = after.max(self.attach(id, object));
        }
        if destinations.iter().any(Destination::is_pattern) {
            self.pattern_consumers.insert(id);
            self.attach_on(
                step,
                Attach {
                    consumer: id,
                    request,
                    after,
                    looked_to: None,
                },
            );
        } else {
            self.started(id, request, after);
        }
        Ok(())
    }

    /// Answers a subscription; deliveries follow.
    fn started(&mut self, id: ConsumerId, request: Option<RequestId>, after: Sequence) {
        self.effects.done(id.connection, request, after);
        let Some(consumer) = self.consumers.get_mut(&id) else {
            return;
        };
        if let Some(browser) = &mut consumer.browser {
            browser.is_attaching = false;
            self.browsing.insert(id);
        }
        consumer.is_starting = false;
        // Whoever passed it over meanwhile serves it now; the others have been told of it already.
        self.awake.insert(id);
        for queue in consumer.queues.clone() {
            self.schedule(queue);
        }
    }

    fn check_destinations(&self, connection: ConnectionId, subscribe: &Subscribe) -> Result<(), Refusal> {
        let mut missing = 0;
        for destination in &subscribe.destinations {
            if destination.is_pattern() {
                continue;
            }
            let object = self.names.get(destination);
            if destination.kind.is_temporary() {
                let (owner, kind) = match object.map(|object| (self.queues.get(object), self.topics.get(object))) {
                    Some((Some(queue), _)) => match queue.role {
                        Role::Temporary(_, owner) => (Some(owner), "queue"),
                        Role::Queue(_) | Role::Durable(_) => (None, "queue"),
                    },
                    Some((None, Some(topic))) => (topic.owner, "topic"),
                    Some((None, None)) | None => (None, "queue"),
                };
                let Some(owner) = owner else {
                    let text = format!("The destination {destination:#} does not exist.");
                    return Err(Refusal::new(RefusalKind::InvalidDestination, text));
                };
                if owner != connection {
                    let text =
                        format!("Subscribing to a temporary {kind} created by another connection is not permitted");
                    return Err(Refusal::new(RefusalKind::InvalidDestination, text));
                }
            } else if object.is_none() {
                missing += 1;
            }
        }
        match self.too_many_destinations() {
            Some(refusal) if missing > 0 => Err(refusal),
            Some(_) | None => Ok(()),
        }
    }

    /// The durable subscription for a consumer: the one that is there, if it wants the same; else a new one.
    fn durable(
        &mut self,
        step: &mut Step<'_>,
        connection: ConnectionId,
        name: Arc<str>,
        subscribe: &Subscribe,
        selector: Option<Arc<Selector>>,
    ) -> Result<(ObjectId, Sequence), (Sequence, Refusal)> {
        let nothing = |refusal| (Sequence::NONE, refusal);
        let client_id = self
            .connections
            .get(&connection)
            .and_then(|connection| connection.client_id.clone());
        let Some(client_id) = client_id else {
            let text =
                "a durable subscription needs a client id: connect with one (STOMP: the client-id header of CONNECT)";
            return Err(nothing(illegal(text)));
        };
        if subscribe
            .destinations
            .iter()
            .any(|destination| destination.kind != Kind::Topic)
        {
            let text = "Invalid Subscription: cannot durably subscribe to a Queue destination!";
            return Err(nothing(Refusal::new(RefusalKind::InvalidDestination, text)));
        }
        let wanted = Durable {
            client_id: Arc::clone(&client_id),
            name: Arc::clone(&name),
            destinations: subscribe.destinations.clone(),
            selector,
            no_local: subscribe.no_local,
        };
        let before = self.durables.get(&(Arc::clone(&client_id), Arc::clone(&name))).copied();
        if let Some(queue) = before.and_then(|object| self.queues.get(&object)) {
            if queue.consumers() > 0 {
                let text = format!("Durable consumer is in use for client: {client_id} and subscriptionName: {name}");
                return Err((queue.newest, illegal(text)));
            }
            if queue.durable().is_some_and(|durable| durable.is_same(&wanted)) {
                return Ok((queue.id, queue.newest));
            }
        } else if self.durables.len() >= self.settings.subscriptions_max {
            let max = self.settings.subscriptions_max;
            let text = format!(
                "The maximum number of durable subscriptions allowed ({max}, durable_subscriptions_max) has already been reached."
            );
            return Err(nothing(Refusal::new(RefusalKind::ResourceAllocation, text)));
        }
        for destination in subscribe
            .destinations
            .iter()
            .filter(|destination| !destination.is_pattern())
        {
            self.ensure(step, destination);
        }
        // What waited for another wish is dropped, as in ActiveMQ.
        if let Some(object) = before {
            self.record(step, &Record::Deleted { object });
        }
        let object = ObjectId(self.next_object);
        let definition = Definition::Durable {
            client_id,
            name,
            destinations: wanted.destinations,
            selector: wanted.selector.map(|selector| selector.text().into()),
            no_local: wanted.no_local,
        };
        let after = self.record(step, &Record::Created { object, definition }).sequence;
        Ok((object, after))
    }

    /// Lets a queue, topic or durable subscription serve a consumer; the newest record that this rests on.
    pub(crate) fn attach(&mut self, id: ConsumerId, object: ObjectId) -> Sequence {
        let last = self.last_number();
        let Some(consumer) = self.consumers.get_mut(&id) else {
            return Sequence::NONE;
        };
        if let Some(queue) = self.queues.get_mut(&object) {
            if let Role::Temporary(_, owner) = queue.role
                && owner != id.connection
            {
                return Sequence::NONE;
            }
            if consumer.queues.insert(object) {
                match &mut consumer.browser {
                    Some(browser) => {
                        queue.browsers += 1;
                        browser.queues.push_back((object, last));
                    }
                    None => queue.join(consumer),
                }
            }
            return queue.created.max(if consumer.durable.is_some() {
                queue.newest
            } else {
                Sequence::NONE
            });
        }
        let Some(topic) = self.topics.get_mut(&object) else {
            return Sequence::NONE;
        };
        if consumer.browser.is_none() && topic.owner.is_none_or(|owner| owner == id.connection) {
            consumer.topics.insert(object);
            topic.subscribers.insert(id);
        }
        topic.newest
    }

    /// A destination is new: consumers whose patterns cover it hear of it.
    pub(crate) fn attach_waiting(&mut self, destination: &Destination, object: ObjectId) {
        let covers = |id: &&ConsumerId| {
            let consumer = self.consumers.get(id).filter(|consumer| consumer.browser.is_none());
            consumer.is_some_and(|consumer| consumer.destinations.iter().any(|pattern| pattern.covers(destination)))
        };
        let consumers: Vec<ConsumerId> = self.pattern_consumers.iter().filter(covers).copied().collect();
        for consumer in consumers {
            self.attach(consumer, object);
        }
    }

    /// Goes on with looking through names for a consumer's patterns.
    pub(crate) fn attach_on(&mut self, step: &mut Step<'_>, mut attach: Attach) {
        let Some(consumer) = self.consumers.get(&attach.consumer) else {
            // It ended before it began.
            self.effects
                .done(attach.consumer.connection, attach.request, attach.after);
            return;
        };
        let from = attach.looked_to.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut looked_to = None;
        let mut looked = 0;
        let mut found = Vec::new();
        for (name, object) in self
            .names
            .range((from, Bound::Unbounded))
            .take(step.budget.min(STEP_MESSAGES_MAX))
        {
            looked += 1;
            looked_to = Some(name.clone());
            if consumer
                .destinations
                .iter()
                .any(|pattern| pattern.is_pattern() && pattern.covers(name))
            {
                found.push(*object);
            }
        }
        step.spend(looked);
        for object in found {
            attach.after = attach.after.max(self.attach(attach.consumer, object));
        }
        match looked_to {
            None if !step.is_over() => self.started(attach.consumer, attach.request, attach.after),
            None => self.work.push_back(Work::Attach(attach)),
            Some(name) => {
                attach.looked_to = Some(name);
                if step.is_over() {
                    self.work.push_back(Work::Attach(attach));
                } else {
                    self.attach_on(step, attach);
                }
            }
        }
    }

    /// Deletes a durable subscription; the record, and how many messages went with it.
    pub(crate) fn remove_durable(
        &mut self,
        step: &mut Step<'_>,
        client_id: &Arc<str>,
        name: &Arc<str>,
    ) -> Result<(Sequence, u64), (Sequence, Refusal)> {
        let object = self.durables.get(&(Arc::clone(client_id), Arc::clone(name))).copied();
        let Some(queue) = object.and_then(|object| self.queues.get(&object)) else {
            let text = format!("No durable subscription exists for clientID: {client_id} and subscriptionName: {name}");
            let after = self.unchanged(self.newest);
            return Err((after, Refusal::new(RefusalKind::InvalidDestination, text)));
        };
        if queue.consumers() > 0 {
            return Err((queue.newest, illegal("Durable consumer is in use")));
        }
        let messages = queue.backlog.everything();
        let record = Record::Deleted { object: queue.id };
        Ok((self.record(step, &record).sequence, messages))
    }

    /// Asks for more on behalf of a consumer without prefetch.
    pub(crate) fn pull(&mut self, connection: ConnectionId, request: Option<RequestId>, id: ConsumerId, count: u32) {
        let consumer = self.consumers.get_mut(&id).filter(|_| id.connection == connection);
        let Some(consumer) = consumer else {
            let refusal = illegal(format!("The subscription does not exist: {}", id.number));
            self.effects.refused(connection, request, Sequence::NONE, refusal);
            return;
        };
        consumer.pull(count);
        self.awake.insert(id);
        if consumer.browser.is_some() {
            self.browsing.insert(id);
        }
        self.effects.done(connection, request, Sequence::NONE);
    }
}

fn parse(selector: Option<&str>) -> Result<Option<Arc<Selector>>, Refusal> {
    let Some(text) = selector.filter(|text| !text.trim().is_empty()) else {
        return Ok(None);
    };
    match Selector::parse(text) {
        Ok(selector) => Ok(Some(Arc::new(selector))),
        Err(error) => Err(Refusal::new(RefusalKind::InvalidSelector, error.to_string())),
    }
}
