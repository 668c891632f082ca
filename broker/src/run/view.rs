//! The broker as the admin server sees it: looks at the node, and orders that wait for their answers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use engine::{AdminAnswer, AdminCommand, AdminRefusal, AdminRequest, BrowsePosition, Browsed, DestinationStatistics};
use leadership::Addresses;
use message::{BodyKind, Destination, Message, Property};
use node::NodeStatus;
use platform::Now;
use tokio::sync::oneshot;

use crate::admin::{
    Answer, BrokerView, BrowseRequest, BrowsedMessage, Created, Deleted, DestinationStatus, DiskStatus, Leader, Metric,
    Progress, Purged, Refused, RefusedKind, Role, Status, Warning, parse_destination,
};
use crate::listen::Pump;

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
        let request = self.pump.node.borrow_mut().order(self.pump.now(), command);
        let Some(request) = request else {
            return Err(not_leading(&self.look(), about));
        };
        let (sender, receiver) = oneshot::channel();
        self.waiting.borrow_mut().insert(request, sender);
        self.pump.wake.notify_one();
        match receiver.await {
            Ok(AdminAnswer::Refused { kind, text }) => {
                let (kind, what_to_do) = match kind {
                    AdminRefusal::NotFound => (RefusedKind::NotFound, "`holdfast destinations list` shows what exists"),
                    AdminRefusal::Invalid => (
                        RefusedKind::Invalid,
                        "put right what the message names; `holdfast destinations --help` says what each order takes",
                    ),
                    AdminRefusal::Conflict => (
                        RefusedKind::Conflict,
                        "remove what stands in the way (close the consumers, unsubscribe), then try again",
                    ),
                };
                Err(Refused::new(kind, text, about, what_to_do))
            }
            Ok(answer) => Ok(answer),
            Err(_) => Err(not_leading(&self.look(), about)),
        }
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
        let status = self.look();
        let mut metrics = Vec::new();
        let mut add = |name, help, counter, labels: Vec<(&'static str, String)>, value: f64| {
            metrics.push(Metric {
                name,
                help,
                counter,
                labels,
                value,
            });
        };
        let disk = self.disk(&status);
        add(
            "ready",
            "1 if clients are served",
            false,
            vec![],
            f64::from(u8::from(status.not_ready.is_none())),
        );
        add(
            "leading",
            "1 if this broker leads",
            false,
            vec![],
            f64::from(u8::from(status.role == node::Role::Leading)),
        );
        add(
            "epoch",
            "the epoch that this broker claimed",
            false,
            vec![],
            status.epoch.map_or(0.0, |epoch| epoch.0.into()),
        );
        add(
            "connections",
            "clients connected",
            false,
            vec![],
            status.connections as f64,
        );
        add(
            "connections_refused_total",
            "connections refused because a limit was reached",
            true,
            vec![],
            self.pump.refused() as f64,
        );
        add(
            "unfinished_bytes",
            "memory of unfinished frames and of commands that wait for space",
            false,
            vec![],
            status.unfinished_bytes as f64,
        );
        add(
            "untaken_bytes",
            "memory of messages delivered to clients that have not taken them",
            false,
            vec![],
            status.untaken_bytes as f64,
        );
        add(
            "records_confirmed",
            "sequence of the newest confirmed record",
            true,
            vec![],
            status.confirmed.0 as f64,
        );
        add(
            "records_appended",
            "sequence of the newest record",
            true,
            vec![],
            status.appended.0 as f64,
        );
        add(
            "journal_written_bytes_total",
            "bytes of batches confirmed in this epoch",
            true,
            vec![],
            status.journal_bytes as f64,
        );
        add(
            "messages_unscheduled_total",
            "Messages that asked for scheduled delivery and were delivered at once.",
            true,
            vec![],
            status.unscheduled as f64,
        );
        let oldest = status.oldest_operation.map_or(0.0, |wait| wait.as_secs_f64());
        add(
            "oldest_write_seconds",
            "age of the oldest write that has not returned",
            false,
            vec![],
            oldest,
        );
        add(
            "disk_used_bytes",
            "bytes of segments and ballast",
            false,
            vec![],
            disk.used_bytes as f64,
        );
        add(
            "disk_free_bytes",
            "bytes free on the file system",
            false,
            vec![],
            disk.free_bytes as f64,
        );
        let node = self.pump.node.borrow();
        let Some(engine) = node.engine() else { return metrics };
        let all = engine.statistics();
        let mut add = |name, help, counter, labels: Vec<(&'static str, String)>, value: u64| {
            metrics.push(Metric {
                name,
                help,
                counter,
                labels,
                value: value as f64,
            });
        };
        add("consumers", "consumers", false, vec![], all.consumers);
        add("destinations", "queues and topics", false, vec![], all.destinations);
        add(
            "durable_subscriptions",
            "durable subscriptions",
            false,
            vec![],
            all.durable_subscriptions,
        );
        add("transactions", "open transactions", false, vec![], all.transactions);
        add(
            "messages",
            "messages waiting or being delivered",
            false,
            vec![],
            all.messages,
        );
        add(
            "messages_set_aside",
            "Messages whose bytes are damaged, not delivered and not purged.",
            false,
            vec![],
            all.set_aside,
        );
        add(
            "body_cache_bytes",
            "bodies of persistent messages in memory",
            false,
            vec![],
            all.body_cache_bytes,
        );
        add(
            "volatile_bytes",
            "non-persistent messages that wait",
            false,
            vec![],
            all.volatile_bytes,
        );
        add(
            "messages_enqueued_total",
            "messages that came in",
            true,
            vec![],
            all.counters.enqueued,
        );
        add(
            "messages_dequeued_total",
            "messages acknowledged or rejected",
            true,
            vec![],
            all.counters.dequeued,
        );
        add(
            "messages_dispatched_total",
            "deliveries",
            true,
            vec![],
            all.counters.dispatched,
        );
        add(
            "messages_expired_total",
            "messages that expired",
            true,
            vec![],
            all.counters.expired,
        );
        add(
            "messages_dead_lettered_total",
            "messages moved to a dead-letter queue",
            true,
            vec![],
            all.counters.dead_lettered,
        );
        add(
            "messages_dropped_total",
            "messages dropped for slow topic consumers",
            true,
            vec![],
            all.counters.dropped,
        );
        add(
            "messages_duplicate_total",
            "messages recognised as sent before",
            true,
            vec![],
            all.counters.duplicates,
        );
        for one in engine.destinations(None, DESTINATION_METRICS_MAX) {
            let label = || vec![("destination", one.destination.to_string())];
            add(
                "destination_messages",
                "messages waiting or being delivered",
                false,
                label(),
                one.messages,
            );
            add(
                "destination_set_aside",
                "messages whose bytes are damaged, not delivered and not purged",
                false,
                label(),
                one.set_aside,
            );
            add(
                "destination_in_flight",
                "delivered and not acknowledged",
                false,
                label(),
                one.in_flight,
            );
            add("destination_consumers", "consumers", false, label(), one.consumers);
            add(
                "destination_enqueued_total",
                "messages that came in",
                true,
                label(),
                one.counters.enqueued,
            );
            add(
                "destination_dequeued_total",
                "messages acknowledged or rejected",
                true,
                label(),
                one.counters.dequeued,
            );
            add(
                "destination_expired_total",
                "messages that expired",
                true,
                label(),
                one.counters.expired,
            );
        }
        // One family after another, as the text format wants it.
        metrics.sort_by_key(|metric| metric.name);
        metrics
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

    fn purge(&self, destination: Destination) -> Answer<'_, Purged> {
        Box::pin(async move {
            let name = destination.to_string();
            match self
                .order(AdminCommand::Purge { queue: destination }, name.clone())
                .await?
            {
                AdminAnswer::Purged { messages } => Ok(Purged { name, messages }),
                other => Err(unexpected(&other, name)),
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
                    selector: request.selector.as_deref().map(Into::into),
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

/// Destinations with metrics of their own; beyond it only the totals are complete, as in CloudWatch's Amazon MQ metrics.
const DESTINATION_METRICS_MAX: usize = 1000;

fn role(status: &NodeStatus) -> Role {
    match status.role {
        node::Role::Starting if status.recovered.1 > 0 => Role::Recovering,
        node::Role::Starting if status.epoch.is_some() => Role::Claiming,
        node::Role::Starting => Role::Starting,
        node::Role::Leading => Role::Leading,
        node::Role::Stopping | node::Role::Ended => Role::Stopping,
    }
}

fn warnings(status: &NodeStatus, set_aside: u64) -> Vec<Warning> {
    let mut warnings: Vec<Warning> = Vec::new();
    if status.lacks_space {
        warnings.push(Warning {
            what: "the disk is full: writes wait for space, and nothing that needs them is confirmed".into(),
            what_to_do: "free space on the data directory's file system; the broker goes on by itself".into(),
        });
    }
    if let Some(why) = &status.sends_wait {
        warnings.push(Warning {
            what: format!("persistent sends wait for space, consumers go on: {why}"),
            what_to_do:
                "consume messages, or give the data directory's file system more space; the broker goes on by itself"
                    .into(),
        });
    }
    let waiting = status.waiting.store + status.waiting.memory;
    if waiting > 0 {
        let connections = if waiting == 1 {
            "connection waits"
        } else {
            "connections wait"
        };
        warnings.push(Warning {
            what: format!(
                "{waiting} {connections} to send: {} for space in the store, {} for memory (limits.volatile_bytes_max)",
                status.waiting.store, status.waiting.memory
            ),
            what_to_do: "consume messages; limits.send_fail_if_no_space lets such sends fail instead".into(),
        });
    }
    if set_aside > 0 {
        let messages = if set_aside == 1 { "message is" } else { "messages are" };
        warnings.push(Warning {
            what: format!("{set_aside} {messages} set aside: damaged on disk, not delivered, kept until purged"),
            what_to_do: "`holdfast destinations list` shows where; docs/operating.md says what can be done".into(),
        });
    }
    if status.unscheduled > 0 {
        warnings.push(Warning {
            what: format!(
                "{} messages asked for scheduled delivery (AMQ_SCHEDULED_…) and were delivered at once",
                status.unscheduled
            ),
            what_to_do: "this version schedules nothing: let the sender wait, or send without these headers".into(),
        });
    }
    warnings.extend(status.warnings.iter().map(|what| Warning {
        what: what.clone(),
        what_to_do: "docs/recovery.md says what each of these means".into(),
    }));
    warnings
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

fn browsed(one: &Browsed, body_bytes_max: usize) -> BrowsedMessage {
    let message: &Message = &one.message;
    let text = (message.body.kind == BodyKind::Text).then(|| {
        let shown = &message.body.bytes[..message.body.bytes.len().min(body_bytes_max)];
        String::from_utf8_lossy(shown).into_owned()
    });
    BrowsedMessage {
        id: message.id.to_string(),
        priority: message.priority,
        persistent: message.persistent,
        redelivered: one.redelivered,
        timestamp: message.timestamp,
        expires: message.expiration,
        headers: headers(message),
        body_bytes: message.body.bytes.len() as u64,
        text,
    }
}

fn headers(message: &Message) -> Vec<(String, String)> {
    let texts = [
        ("correlation-id", message.correlation_id.as_deref().map(str::to_owned)),
        ("type", message.message_type.as_deref().map(str::to_owned)),
        ("reply-to", message.reply_to.as_ref().map(ToString::to_string)),
        (
            "original-destination",
            message.original_destination.as_ref().map(ToString::to_string),
        ),
        ("JMSXGroupID", message.group_id.as_deref().map(str::to_owned)),
        ("JMSXUserID", message.user_id.as_deref().map(str::to_owned)),
    ];
    let own = texts
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    own.chain(
        message
            .properties
            .iter()
            .map(|(key, value)| (key.to_owned(), shown(value))),
    )
    .collect()
}

fn shown(value: Property<'_>) -> String {
    match value {
        Property::Null => String::new(),
        Property::Boolean(value) => value.to_string(),
        Property::Byte(value) => value.to_string(),
        Property::Short(value) => value.to_string(),
        Property::Int(value) => value.to_string(),
        Property::Long(value) => value.to_string(),
        Property::Float(value) => value.to_string(),
        Property::Double(value) => value.to_string(),
        Property::String(value) => value.to_owned(),
        Property::Bytes(value) => format!("{} bytes", value.len()),
    }
}
