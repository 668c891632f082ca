//! The broker as the admin server sees it: looks at the node, and orders that wait for their answers.

mod clients;
mod messages;
mod metrics;
mod moves;
mod warnings;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use engine::{AdminAnswer, AdminCommand, AdminRefusal, AdminRequest, BrowsePosition, DestinationStatistics, MoveTo};
use leadership::Addresses;
use message::{Destination, Kind};
use node::NodeStatus;
use platform::Now;
use tokio::sync::oneshot;

use crate::admin::{
    Answer, BrokerView, BrowseRequest, BrowsedMessage, Closed, ConnectionStatus, ConnectionsRequest, Created,
    DeadLettersAnswer, DeadLettersRequest, Deleted, DestinationStatus, DiskStatus, Leader, Metric, MoveRequest,
    MoveStatus, Page, Progress, Purge, Purged, Refused, RefusedKind, Role, Status, SubscriptionStatus,
    SubscriptionsRequest, parse_destination,
};
use crate::listen::Pump;
use messages::browsed;
use warnings::warnings;

/// Messages of one page when an administrator browses: a bound on one engine step.
const BROWSE_PAGE: usize = 200;

/// The node, its pump and who waits for which order.
pub(crate) struct NodeView {
    pump: Rc<Pump>,
    name: String,
    data: PathBuf,
    addresses: Addresses,
    begun: Now,
    segment_bytes: u32,
    dead_letter_queue: Destination,
    waiting: RefCell<BTreeMap<AdminRequest, oneshot::Sender<AdminAnswer>>>,
}

impl NodeView {
    pub(crate) fn new(pump: Rc<Pump>, options: &super::RunOptions, addresses: Addresses) -> NodeView {
        let begun = pump.now();
        NodeView {
            pump,
            name: options.name.clone(),
            data: options.data.clone(),
            addresses,
            begun,
            segment_bytes: options.settings.journal.segment_bytes,
            dead_letter_queue: Destination {
                kind: Kind::Queue,
                name: Arc::clone(&options.settings.engine.dead_letter_queue),
            },
            waiting: RefCell::default(),
        }
    }

    /// Hands the node's answers to those who wait for them; to be called after each turn.
    pub(crate) fn deliver(&self) {
        for (request, answer) in self.pump.node.borrow_mut().take_answers() {
            if let Some(asker) = self.waiting.borrow_mut().remove(&request) {
                // An asker that has gone away does not want to know.
                let _ = asker.send(answer);
            }
        }
    }

    async fn order(&self, command: AdminCommand, about: String) -> Result<AdminAnswer, Refused> {
        let named = Named::of(&command);
        let request = self.pump.node.borrow_mut().order(self.pump.now(), command);
        let Some(request) = request else {
            return Err(not_leading(&self.look(), about));
        };
        let (sender, receiver) = oneshot::channel();
        self.waiting.borrow_mut().insert(request, sender);
        self.pump.wake.notify_one();
        match receiver.await {
            Ok(AdminAnswer::Refused { kind, text }) => {
                let about = match named.to.filter(|_| kind == AdminRefusal::NotFound) {
                    Some((from, to)) if self.exists(&from) => format!("{to:#}"),
                    Some(_) | None => about,
                };
                let (kind, what_to_do) = match kind {
                    AdminRefusal::NotFound => (RefusedKind::NotFound, format!("`{}` shows what exists", named.list)),
                    AdminRefusal::Invalid => (
                        RefusedKind::Invalid,
                        format!(
                            "put right what the message names; `{}` says what each order takes",
                            named.help
                        ),
                    ),
                    AdminRefusal::Conflict => (
                        RefusedKind::Conflict,
                        "remove what stands in the way (close the consumers, unsubscribe), then try again".into(),
                    ),
                };
                Err(Refused::new(kind, text, about, what_to_do))
            }
            Ok(answer) => Ok(answer),
            Err(_) => Err(not_leading(&self.look(), about)),
        }
    }

    fn exists(&self, destination: &Destination) -> bool {
        let node = self.pump.node.borrow();
        node.engine()
            .is_some_and(|engine| engine.destination(destination).is_some())
    }

    fn look(&self) -> NodeStatus {
        self.pump.node.borrow().status(self.pump.now())
    }

    fn disk(&self, status: &NodeStatus) -> DiskStatus {
        let space = status.space;
        let total = space.map_or(0, |space| space.total);
        DiskStatus {
            used_bytes: status.store_bytes,
            free_bytes: space.map_or(0, |space| space.available),
            watermark_bytes: journal::watermark_bytes(total, self.segment_bytes),
            sends_wait: status.sends_wait.is_some(),
        }
    }
}

/// What a refusal of an order names beside its text.
struct Named {
    /// From where to where, if that is what was ordered.
    to: Option<(Destination, Destination)>,
    /// The command that lists what there is.
    list: &'static str,
    /// The command that says what the order takes.
    help: &'static str,
}

impl Named {
    fn of(command: &AdminCommand) -> Named {
        let (list, help) = ("holdfast destinations list", "holdfast destinations --help");
        match command {
            AdminCommand::Move { from, to, .. } => match to {
                MoveTo::Queue(to) => Named {
                    to: Some((from.clone(), to.clone())),
                    list,
                    help,
                },
                MoveTo::Origin => Named {
                    to: None,
                    list,
                    help: "holdfast dlq --help",
                },
            },
            AdminCommand::RemoveDurable { .. } => Named {
                to: None,
                list: "holdfast subscriptions",
                help: "holdfast subscriptions --help",
            },
            _ => Named { to: None, list, help },
        }
    }
}

impl BrokerView for NodeView {
    fn status(&self) -> Status {
        let status = self.look();
        let statistics = self
            .pump
            .node
            .borrow()
            .engine()
            .map(engine::Engine::statistics)
            .unwrap_or_default();
        Status {
            name: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            role: role(&status),
            ready: status.not_ready.is_none(),
            reason: status.not_ready.clone().unwrap_or_default(),
            epoch: status.epoch.map(|epoch| epoch.0),
            leader: status.leader.as_ref().map(|identity| Leader {
                host: identity.process.host.clone(),
                pid: identity.process.pid,
                epoch: 0,
                listeners: identity.addresses.clients.clone(),
            }),
            pid: std::process::id(),
            uptime_seconds: self.pump.now().boot.since(self.begun.boot).as_secs(),
            listeners: self.addresses.clients.clone(),
            admin: self.addresses.admin.clone(),
            data: self.data.display().to_string(),
            recovery: (status.role == node::Role::Starting && status.recovered.1 > 0).then_some(Progress {
                bytes: status.recovered.0,
                of: status.recovered.1,
            }),
            connections: status.connections as u64,
            consumers: statistics.consumers,
            destinations: statistics.destinations,
            messages: statistics.messages,
            set_aside: statistics.set_aside,
            confirmed_sequence: status.confirmed.0,
            oldest_write_milliseconds: status.oldest_operation.map(|wait| wait.as_millis() as u64),
            disk: self.disk(&status),
            warnings: warnings(&status, statistics.set_aside),
        }
    }

    fn metrics(&self) -> Vec<Metric> {
        self.measured()
    }

    fn destinations(&self, after: Option<String>, limit: usize) -> Answer<'_, Vec<DestinationStatus>> {
        Box::pin(async move {
            let after = match after.as_deref().map(parse_destination).transpose() {
                Ok(after) => after,
                Err(refused) => return Err(refused),
            };
            let node = self.pump.node.borrow();
            let Some(engine) = node.engine() else {
                drop(node);
                return Err(not_leading(&self.look(), "destinations".into()));
            };
            Ok(engine
                .destinations(after.as_ref(), limit)
                .iter()
                .map(destination_status)
                .collect())
        })
    }

    fn destination(&self, destination: Destination) -> Answer<'_, DestinationStatus> {
        Box::pin(async move {
            let node = self.pump.node.borrow();
            let Some(engine) = node.engine() else {
                drop(node);
                return Err(not_leading(&self.look(), destination.to_string()));
            };
            engine
                .destination(&destination)
                .as_ref()
                .map(destination_status)
                .ok_or_else(|| {
                    Refused::new(
                        RefusedKind::NotFound,
                        "there is no such destination",
                        destination.to_string(),
                        "`holdfast destinations list` shows those that exist",
                    )
                })
        })
    }

    fn create(&self, destination: Destination) -> Answer<'_, Created> {
        Box::pin(async move {
            let name = destination.to_string();
            match self.order(AdminCommand::Create { destination }, name.clone()).await? {
                AdminAnswer::Created { created } => Ok(Created { name, created }),
                other => Err(unexpected(&other, name)),
            }
        })
    }

    fn delete(&self, destination: Destination) -> Answer<'_, Deleted> {
        Box::pin(async move {
            let name = destination.to_string();
            match self.order(AdminCommand::Delete { destination }, name.clone()).await? {
                AdminAnswer::Deleted { messages } => Ok(Deleted { name, messages }),
                other => Err(unexpected(&other, name)),
            }
        })
    }

    fn purge(&self, destination: Destination, what: Purge) -> Answer<'_, Purged> {
        Box::pin(async move {
            let name = destination.to_string();
            let command = match what {
                Purge::Everything => AdminCommand::Purge { queue: destination },
                Purge::SetAside => AdminCommand::PurgeSetAside { destination },
            };
            match self.order(command, name.clone()).await? {
                AdminAnswer::Purged { messages } => Ok(Purged { name, messages }),
                other => Err(unexpected(&other, name)),
            }
        })
    }

    fn move_messages(&self, request: MoveRequest) -> Answer<'_, MoveStatus> {
        Box::pin(self.move_pages(request))
    }

    fn dead_letters(&self, request: DeadLettersRequest) -> Answer<'_, DeadLettersAnswer> {
        Box::pin(self.list_dead_letters(request))
    }

    fn dead_letter_queue(&self) -> Destination {
        self.dead_letter_queue.clone()
    }

    fn connections(&self, request: ConnectionsRequest) -> Answer<'_, Page<ConnectionStatus>> {
        Box::pin(async move { self.list_connections(&request) })
    }

    fn close_connection(&self, id: u64) -> Answer<'_, Closed> {
        Box::pin(async move { self.end_connection(id) })
    }

    fn subscriptions(&self, request: SubscriptionsRequest) -> Answer<'_, Page<SubscriptionStatus>> {
        Box::pin(async move { self.list_subscriptions(&request) })
    }

    fn delete_subscription(&self, client_id: String, name: String) -> Answer<'_, Deleted> {
        Box::pin(async move {
            let shown = format!("durable subscription {name} of client {client_id}");
            let command = AdminCommand::RemoveDurable {
                client_id: client_id.into(),
                name: name.into(),
            };
            match self.order(command, shown.clone()).await? {
                AdminAnswer::Deleted { messages } => Ok(Deleted { name: shown, messages }),
                other => Err(unexpected(&other, shown)),
            }
        })
    }

    fn browse(&self, request: BrowseRequest) -> Answer<'_, Vec<BrowsedMessage>> {
        Box::pin(async move {
            let name = request.destination.to_string();
            let mut from: Option<BrowsePosition> = None;
            let mut found = Vec::new();
            loop {
                let command = AdminCommand::Browse {
                    queue: request.destination.clone(),
                    from,
                    limit: BROWSE_PAGE.min(request.limit - found.len()),
                    selector: request.selector.as_deref().map(condition),
                };
                match self.order(command, name.clone()).await? {
                    AdminAnswer::Browsed { messages, next } => {
                        found.extend(messages.iter().map(|message| browsed(message, request.body_bytes_max)));
                        from = next;
                        if from.is_none() || found.len() >= request.limit {
                            return Ok(found);
                        }
                    }
                    other => return Err(unexpected(&other, name)),
                }
            }
        })
    }
}

fn role(status: &NodeStatus) -> Role {
    match status.role {
        node::Role::Starting if status.recovered.1 > 0 => Role::Recovering,
        node::Role::Starting if status.epoch.is_some() => Role::Claiming,
        node::Role::Starting => Role::Starting,
        node::Role::Leading => Role::Leading,
        node::Role::Stopping | node::Role::Ended => Role::Stopping,
    }
}

fn not_leading(status: &NodeStatus, about: String) -> Refused {
    let why = status.not_ready.clone().unwrap_or_else(|| "it is stopping".into());
    Refused::new(
        RefusedKind::Unavailable,
        format!("the broker does not lead: {why}"),
        about,
        "try again when `holdfast status` says that it leads",
    )
}

/// A selector that an administrator wrote: it means what it means over STOMP, whose properties are all strings.
fn condition(text: &str) -> Arc<str> {
    format!("{}{text}", message::selector::CONVERT_PREFIX).into()
}

/// Answers are matched to orders by the engine's contract; a stray one is a bug that must not look like success.
fn unexpected(answer: &AdminAnswer, about: String) -> Refused {
    tracing::error!(
        ?answer,
        "an order was answered with another order's answer; please report this"
    );
    Refused::new(
        RefusedKind::Unavailable,
        "the broker gave an answer that does not fit the request",
        about,
        "please report this",
    )
}

fn destination_status(one: &DestinationStatistics) -> DestinationStatus {
    DestinationStatus {
        name: one.destination.to_string(),
        messages: one.messages,
        set_aside: one.set_aside,
        in_flight: one.in_flight,
        consumers: one.consumers,
        enqueued: one.counters.enqueued,
        dequeued: one.counters.dequeued,
        expired: one.counters.expired,
        dead_lettered: one.counters.dead_lettered,
        temporary: one.destination.kind.is_temporary(),
    }
}
