//! Connections and subscriptions: what the node knows of them, joined with where they come from. Each look is bounded; whoever wants all asks again.

use engine::{SubscriptionStatistics, WaitsFor};
use message::{ConnectionId, ConsumerId, Destination};
use node::{ConnectionReport, ConsumerReport};

use crate::admin::{
    Closed, ConnectionStatus, ConnectionsRequest, Page, Refused, RefusedKind, SubscriptionStatus, SubscriptionsRequest,
};

use super::{NodeView, not_leading};

/// Durable subscriptions that one look goes through.
const LOOK_MAX: usize = engine::STEP_MESSAGES_MAX;

impl NodeView {
    pub(super) fn list_connections(&self, request: &ConnectionsRequest) -> Result<Page<ConnectionStatus>, Refused> {
        let node = self.pump.node.borrow();
        if node.engine().is_none() {
            drop(node);
            return Err(not_leading(&self.look(), "connections".into()));
        }
        let mut page = Page {
            found: Vec::new(),
            next: None,
        };
        for report in node.connections(request.after.map(ConnectionId)) {
            page.next = Some(report.connection.0.to_string());
            let is_wanted = request
                .client_id
                .as_deref()
                .is_none_or(|wanted| report.statistics.client_id.as_deref() == Some(wanted));
            if is_wanted && (!request.waiting || report.statistics.waits_for.is_some()) {
                page.found.extend(self.connection_status(report));
                if page.found.len() >= request.limit {
                    break;
                }
            }
        }
        Ok(page)
    }

    /// `None`: its socket is gone, and the node is about to hear of it.
    fn connection_status(&self, report: ConnectionReport) -> Option<ConnectionStatus> {
        let (address, since) = self.pump.client(report.connection)?;
        let (statistics, session) = (report.statistics, report.session);
        Some(ConnectionStatus {
            id: report.connection.0,
            address: address.to_string(),
            client_id: statistics.client_id.as_deref().map(str::to_owned),
            protocol: session.version.map(|version| format!("STOMP {version}")),
            since: since.wall.0,
            age_seconds: self.pump.now().boot.since(since.boot).as_secs(),
            subscriptions: statistics.consumers,
            transactions: statistics.transactions,
            unacknowledged: statistics.unacknowledged,
            unanswered: session.unanswered,
            waits_for: statistics.waits_for.map(|waits_for| match waits_for {
                WaitsFor::Store => "store".to_owned(),
                WaitsFor::Memory => "memory".to_owned(),
            }),
            waiting_commands: statistics.waiting_commands,
            held_bytes: statistics.waiting_bytes + session.unread_bytes,
        })
    }

    pub(super) fn end_connection(&self, id: u64) -> Result<Closed, Refused> {
        match self.pump.end(ConnectionId(id)) {
            Some(address) => {
                tracing::info!(connection = id, peer = %address, "an administrator closed a connection");
                Ok(Closed { id })
            }
            None => Err(Refused::new(
                RefusedKind::NotFound,
                "there is no such connection",
                format!("connection {id}"),
                "`holdfast connections` shows those that exist",
            )),
        }
    }

    pub(super) fn list_subscriptions(
        &self,
        request: &SubscriptionsRequest,
    ) -> Result<Page<SubscriptionStatus>, Refused> {
        let node = self.pump.node.borrow();
        let Some(engine) = node.engine() else {
            drop(node);
            return Err(not_leading(&self.look(), "subscriptions".into()));
        };
        let mut place = request
            .after
            .as_deref()
            .map_or(Ok(Place::Consumers(None)), Place::parse)?;
        let mut page = Page {
            found: Vec::new(),
            next: None,
        };
        if let Place::Consumers(after) = place {
            let reports = node.consumers(after);
            if reports.is_empty() {
                place = Place::Durables(None);
            }
            for report in reports {
                page.next = Some(Place::Consumers(Some(report.statistics.consumer)).to_string());
                if wants_consumer(request, &report) {
                    page.found.push(consumer_status(report));
                    if page.found.len() >= request.limit {
                        break;
                    }
                }
            }
        }
        if let Place::Durables(after) = place {
            let after = after.as_ref().map(|(client_id, name)| (&**client_id, &**name));
            for durable in engine.subscriptions(after, LOOK_MAX) {
                page.next =
                    Some(Place::Durables(Some((durable.client_id.to_string(), durable.name.to_string()))).to_string());
                if wants_durable(request, &durable) {
                    page.found.push(durable_status(durable));
                    if page.found.len() >= request.limit {
                        break;
                    }
                }
            }
        }
        Ok(page)
    }
}

/// Where a list of subscriptions goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// Behind this consumer.
    Consumers(Option<ConsumerId>),
    /// Behind the durable subscription of this client and name.
    Durables(Option<(String, String)>),
}

impl Place {
    fn parse(text: &str) -> Result<Place, Refused> {
        let consumer = || {
            let (connection, number) = text.strip_prefix("consumer:")?.split_once(':')?;
            Some(Place::Consumers(Some(ConsumerId {
                connection: ConnectionId(connection.parse().ok()?),
                number: number.parse().ok()?,
            })))
        };
        let durable = || {
            let (length, rest) = text.strip_prefix("durable:")?.split_once(':')?;
            let (client_id, name) = rest.split_at_checked(length.parse().ok()?)?;
            Some(Place::Durables(Some((client_id.to_owned(), name.to_owned()))))
        };
        consumer().or_else(durable).ok_or_else(|| {
            Refused::new(
                RefusedKind::Invalid,
                "this is no place in the list of subscriptions",
                "parameter after",
                "pass what the answer before gave as `next`",
            )
        })
    }
}

/// Opaque to others; a client's name may hold any character.
impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Consumers(None) | Place::Durables(None) => Ok(()),
            Place::Consumers(Some(consumer)) => write!(f, "consumer:{}:{}", consumer.connection.0, consumer.number),
            Place::Durables(Some((client_id, name))) => write!(f, "durable:{}:{client_id}{name}", client_id.len()),
        }
    }
}

fn takes_from(destinations: &[Destination], wanted: Option<&Destination>) -> bool {
    wanted.is_none_or(|wanted| destinations.iter().any(|one| one == wanted || one.covers(wanted)))
}

fn is_client(client_id: Option<&str>, wanted: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| client_id == Some(wanted))
}

fn wants_consumer(request: &SubscriptionsRequest, report: &ConsumerReport) -> bool {
    let statistics = &report.statistics;
    takes_from(&statistics.destinations, request.destination.as_ref())
        && is_client(statistics.client_id.as_deref(), request.client_id.as_deref())
        && request
            .connection
            .is_none_or(|wanted| statistics.consumer.connection.0 == wanted)
}

/// One that is in use was shown with its consumer.
fn wants_durable(request: &SubscriptionsRequest, durable: &SubscriptionStatistics) -> bool {
    !durable.active
        && request.connection.is_none()
        && takes_from(&durable.destinations, request.destination.as_ref())
        && is_client(Some(&durable.client_id), request.client_id.as_deref())
}

fn names(destinations: &[Destination]) -> Vec<String> {
    destinations.iter().map(ToString::to_string).collect()
}

fn consumer_status(report: ConsumerReport) -> SubscriptionStatus {
    let statistics = report.statistics;
    let (id, ack) = match report.subscription {
        Some(subscription) => (subscription.id, Some(subscription.ack.to_owned())),
        None => (None, None),
    };
    SubscriptionStatus {
        connection: Some(statistics.consumer.connection.0),
        id,
        client_id: statistics.client_id.as_deref().map(str::to_owned),
        durable: statistics.durable.as_deref().map(str::to_owned),
        active: true,
        destinations: names(&statistics.destinations),
        selector: statistics.selector.as_deref().map(str::to_owned),
        ack,
        prefetch: Some(statistics.prefetch),
        browser: statistics.browser,
        exclusive: statistics.exclusive,
        dispatched: statistics.dispatched,
        unacknowledged: statistics.unacknowledged,
        pending: statistics.pending,
    }
}

fn durable_status(durable: SubscriptionStatistics) -> SubscriptionStatus {
    SubscriptionStatus {
        client_id: Some(durable.client_id.to_string()),
        durable: Some(durable.name.to_string()),
        destinations: names(&durable.destinations),
        selector: durable.selector.as_deref().map(str::to_owned),
        dispatched: durable.counters.dispatched,
        unacknowledged: durable.in_flight,
        pending: Some(durable.messages.saturating_sub(durable.in_flight)),
        ..SubscriptionStatus::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_found_again_whatever_the_names_hold() {
        let consumer = ConsumerId {
            connection: ConnectionId(7),
            number: 3,
        };
        for place in [
            Place::Consumers(Some(consumer)),
            Place::Durables(Some(("cliënt:7".into(), ":name".into()))),
            Place::Durables(Some((String::new(), String::new()))),
        ] {
            assert_eq!(Place::parse(&place.to_string()), Ok(place));
        }
        for text in ["", "consumer:7", "durable:99:short", "durable:1:ë", "queue://A"] {
            assert!(Place::parse(text).is_err(), "{text}");
        }
    }
}
