//! Which path does what.
//!
//! | path | method | answer |
//! |---|---|---|
//! | `/live` | GET | 200 while the process answers |
//! | `/ready` | GET | 200 if it leads and may answer clients, else 503 with the reason |
//! | `/status` | GET | JSON; text with `Accept: text/plain` or `?format=text` |
//! | `/metrics` | GET | Prometheus text |
//! | `/api/destinations` | GET | `?after=NAME&limit=N` → destinations in the order of names |
//! | `/api/destinations` | POST | `{"name": "queue://A"}` → created |
//! | `/api/destinations` | DELETE | `?name=queue://A` → deleted |
//! | `/api/destination` | GET | `?name=queue://A` → one destination |
//! | `/api/destinations/purge` | POST | `{"name": "queue://A", "set_aside": false}` → purged |
//! | `/api/destinations/move` | POST | `{"name": "queue://A", "to": "queue://B", "selector": S, "limit": N}` → what was moved and what was left |
//! | `/api/dlq` | GET | `?name=Q&after=A&limit=N&selector=S` → dead letters |
//! | `/api/dlq/retry` | POST | `{"name": Q, "selector": S, "limit": N}` → what went back where it came from |
//! | `/api/connections` | GET | `?after=A&limit=N&client_id=C&waiting=true` → connections |
//! | `/api/connections/close` | POST | `{"id": 7}` → closed |
//! | `/api/subscriptions` | GET | `?after=A&limit=N&destination=D&client_id=C&connection=7` → subscriptions |
//! | `/api/subscriptions` | DELETE | `?client_id=C&name=N` → a durable subscription deleted |
//! | `/api/browse` | GET | `?name=queue://A&limit=N&body_bytes=N&selector=S` → messages |

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::body::{Body, Bytes};
use hyper::header::{ACCEPT, HOST, ORIGIN};
use hyper::{Method, Request, StatusCode};
use message::{Destination, EXCERPT_CHARS_MAX, excerpt};

use super::broker_view::{Answer, BrokerView, BrowseRequest, Refused, RefusedKind};
use super::clients::{ConnectionsAnswer, ConnectionsRequest, Page, SubscriptionsAnswer, SubscriptionsRequest};
use super::moves::DeadLettersRequest;
use super::query::{parameters, parse_destination};
use super::respond::{BrowseAnswer, DestinationsAnswer, Reply, json, refusal, refusal_with, reply, text, wrong_method};
use super::status_text::status_text;
use super::{metrics, order};

/// Time for a question.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Time for an order: a purge of millions is done in steps.
pub(crate) const ORDER_WITHIN: Duration = Duration::from_secs(10 * 60);

/// Destinations or messages in one answer, at most.
const LIMIT_MAX: usize = 1000;

/// Bytes of each body in a browse, unless asked for less.
const BODY_BYTES_MAX: usize = 16 * 1024;

const INDEX: &str = "\
Holdfast's admin interface.

  /status                  how things are (JSON; ?format=text for people)
  /live                    200 while the process answers
  /ready                   200 if it leads, else 503 with the reason
  /metrics                 Prometheus
  /api/destinations        GET a list, POST {\"name\": \"queue://A\"} creates,
                           DELETE ?name=queue://A
  /api/destination         GET ?name=queue://A
  /api/destinations/purge  POST {\"name\": \"queue://A\", \"set_aside\": false}
  /api/destinations/move   POST {\"name\": \"queue://A\", \"to\": \"queue://B\"},
                           also \"selector\" and \"limit\"
  /api/dlq                 GET ?limit=100, also name, selector, after
  /api/dlq/retry           POST {}, also \"name\", \"selector\", \"limit\"
  /api/connections         GET ?limit=100, also after, client_id, waiting=true
  /api/connections/close   POST {\"id\": 7}
  /api/subscriptions       GET ?limit=100, also after, destination, client_id,
                           connection; DELETE ?client_id=C&name=N (durable)
  /api/browse              GET ?name=queue://A&limit=100
";

/// Answers one request.
pub(super) async fn answer<B>(view: &dyn BrokerView, request: Request<B>) -> Reply
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match route(view, request).await {
        Ok(reply) | Err(reply) => reply,
    }
}

async fn route<B>(view: &dyn BrokerView, request: Request<B>) -> Result<Reply, Reply>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if let Some(refusal) = refuse_foreign_pages(&request) {
        return Err(refusal);
    }
    let method = match request.method() {
        &Method::HEAD => Method::GET,
        method => method.clone(),
    };
    let path = request.uri().path().trim_end_matches('/').to_string();
    let parameters = parameters(request.uri().query()).map_err(refusal)?;
    match (path.as_str(), &method) {
        ("", &Method::GET) => Ok(text(StatusCode::OK, INDEX.to_string())),
        ("/live", &Method::GET) => Ok(text(StatusCode::OK, "alive\n".to_string())),
        ("/ready", &Method::GET) => Ok(ready(view)),
        ("/status", &Method::GET) => Ok(status(view, wants_text(&request, &parameters))),
        ("/metrics", &Method::GET) => Ok(reply(
            StatusCode::OK,
            "text/plain; version=0.0.4; charset=utf-8",
            metrics::encode(&view.status(), view.metrics()),
        )),
        ("/api/destinations", &Method::GET) => destinations(view, &parameters).await,
        ("/api/destinations", &Method::POST) => {
            let destination = order::read::<order::Named>(request)
                .await?
                .destination()
                .map_err(refusal)?;
            let created = within(ORDER_WITHIN, view.create(destination)).await?;
            let status = if created.created {
                StatusCode::CREATED
            } else {
                StatusCode::OK
            };
            Ok(json(status, &created))
        }
        ("/api/destinations", &Method::DELETE) => {
            let destination = named_destination(&parameters).map_err(refusal)?;
            let deleted = within(ORDER_WITHIN, view.delete(destination)).await?;
            Ok(json(StatusCode::OK, &deleted))
        }
        ("/api/destination", &Method::GET) => {
            let destination = named_destination(&parameters).map_err(refusal)?;
            let found = within(ANSWER_WITHIN, view.destination(destination)).await?;
            Ok(json(StatusCode::OK, &found))
        }
        ("/api/destinations/purge", &Method::POST) => {
            let (destination, what) = order::read::<order::Purging>(request)
                .await?
                .understood()
                .map_err(refusal)?;
            let purged = within(ORDER_WITHIN, view.purge(destination, what)).await?;
            Ok(json(StatusCode::OK, &purged))
        }
        ("/api/destinations/move", &Method::POST) => {
            let order = order::read::<order::Moving>(request)
                .await?
                .understood()
                .map_err(refusal)?;
            let moved = within(ORDER_WITHIN, view.move_messages(order)).await?;
            Ok(json(StatusCode::OK, &moved))
        }
        ("/api/dlq", &Method::GET) => {
            let request = dead_letters(&parameters).map_err(refusal)?;
            let found = within(ANSWER_WITHIN, view.dead_letters(request)).await?;
            Ok(json(StatusCode::OK, &found))
        }
        ("/api/dlq/retry", &Method::POST) => {
            let order = order::read::<order::Retrying>(request).await?;
            let order = order.understood(view.dead_letter_queue()).map_err(refusal)?;
            let moved = within(ORDER_WITHIN, view.move_messages(order)).await?;
            Ok(json(StatusCode::OK, &moved))
        }
        ("/api/connections", &Method::GET) => {
            let request = connections(&parameters).map_err(refusal)?;
            let Page { found, next } = within(ANSWER_WITHIN, view.connections(request)).await?;
            let connections = found;
            Ok(json(StatusCode::OK, &ConnectionsAnswer { connections, next }))
        }
        ("/api/connections/close", &Method::POST) => {
            let order = order::read::<order::Closing>(request).await?;
            let closed = within(ORDER_WITHIN, view.close_connection(order.id)).await?;
            Ok(json(StatusCode::OK, &closed))
        }
        ("/api/subscriptions", &Method::GET) => {
            let request = subscriptions(&parameters).map_err(refusal)?;
            let Page { found, next } = within(ANSWER_WITHIN, view.subscriptions(request)).await?;
            let subscriptions = found;
            Ok(json(StatusCode::OK, &SubscriptionsAnswer { subscriptions, next }))
        }
        ("/api/subscriptions", &Method::DELETE) => {
            let client_id = required(&parameters, "client_id").map_err(refusal)?;
            let name = required(&parameters, "name").map_err(refusal)?;
            let deleted = within(ORDER_WITHIN, view.delete_subscription(client_id, name)).await?;
            Ok(json(StatusCode::OK, &deleted))
        }
        ("/api/browse", &Method::GET) => browse(view, &parameters).await,
        ("/api/destinations", _) => Err(wrong_method(&path, "GET, POST, DELETE")),
        ("/api/subscriptions", _) => Err(wrong_method(&path, "GET, DELETE")),
        ("/api/destinations/purge" | "/api/destinations/move" | "/api/dlq/retry" | "/api/connections/close", _) => {
            Err(wrong_method(&path, "POST"))
        }
        (
            "" | "/live" | "/ready" | "/status" | "/metrics" | "/api/destination" | "/api/browse" | "/api/dlq"
            | "/api/connections",
            _,
        ) => Err(wrong_method(&path, "GET")),
        _ => Err(refusal(Refused::new(
            RefusedKind::NotFound,
            "there is nothing at this path",
            path,
            "GET / lists what there is",
        ))),
    }
}

/// Ready, or why not.
fn ready(view: &dyn BrokerView) -> Reply {
    let status = view.status();
    match status.ready {
        true => text(StatusCode::OK, "ready\n".to_string()),
        false => {
            let reason = if status.reason.is_empty() {
                "no reason is known"
            } else {
                &status.reason
            };
            text(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("not ready ({}): {reason}\n", status.role.name()),
            )
        }
    }
}

fn status(view: &dyn BrokerView, as_text: bool) -> Reply {
    let status = view.status();
    match as_text {
        true => text(StatusCode::OK, status_text(&status)),
        false => json(StatusCode::OK, &status),
    }
}

async fn destinations(view: &dyn BrokerView, parameters: &BTreeMap<String, String>) -> Result<Reply, Reply> {
    let limit = number(parameters, "limit", LIMIT_MAX, LIMIT_MAX)
        .map_err(refusal)?
        .max(1);
    let after = parameters.get("after").cloned();
    let mut destinations = within(ANSWER_WITHIN, view.destinations(after, limit)).await?;
    destinations.truncate(limit);
    let full = destinations.len() == limit;
    let next = destinations.last().filter(|_| full).map(|last| last.name.clone());
    Ok(json(StatusCode::OK, &DestinationsAnswer { destinations, next }))
}

async fn browse(view: &dyn BrokerView, parameters: &BTreeMap<String, String>) -> Result<Reply, Reply> {
    let destination = named_destination(parameters).map_err(refusal)?;
    if !destination.kind.is_queue() {
        return Err(refusal(Refused::new(
            RefusedKind::Invalid,
            "only queues can be browsed: a topic keeps nothing to look at",
            destination.to_string(),
            "browse a queue, or subscribe to the topic",
        )));
    }
    let request = BrowseRequest {
        destination,
        limit: number(parameters, "limit", 100, LIMIT_MAX).map_err(refusal)?,
        body_bytes_max: number(parameters, "body_bytes", 256, BODY_BYTES_MAX).map_err(refusal)?,
        selector: parameters.get("selector").cloned(),
    };
    let messages = within(ANSWER_WITHIN, view.browse(request)).await?;
    Ok(json(StatusCode::OK, &BrowseAnswer { messages }))
}

/// A web page that a browser shows can send requests to loopback. It cannot choose the `Host` it names, nor leave `Origin` out of an order.
fn refuse_foreign_pages<B>(request: &Request<B>) -> Option<Reply> {
    let host = request
        .headers()
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or("");
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or(""),
    };
    let is_address = name.parse::<std::net::IpAddr>().is_ok();
    let foreign = |what: &str, location: &str, what_to_do: &str| {
        refusal_with(
            StatusCode::FORBIDDEN,
            Refused::new(RefusedKind::Invalid, what, location, what_to_do),
        )
    };
    if !is_address && !name.eq_ignore_ascii_case("localhost") && !name.is_empty() {
        return Some(foreign(
            "the request names a host that is not this one's address",
            host,
            "use 127.0.0.1, [::1] or localhost in the URL",
        ));
    }
    if request.method() != Method::GET && request.method() != Method::HEAD && request.headers().contains_key(ORIGIN) {
        return Some(foreign(
            "orders from web pages are refused",
            "header Origin",
            "use `holdfast destinations`, or a client that is not a browser",
        ));
    }
    None
}

fn wants_text<B>(request: &Request<B>, parameters: &BTreeMap<String, String>) -> bool {
    let accepts = request
        .headers()
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .unwrap_or("");
    match parameters.get("format").map(String::as_str) {
        Some("text") => true,
        Some(_) => false,
        None => accepts.starts_with("text/plain"),
    }
}

fn named_destination(parameters: &BTreeMap<String, String>) -> Result<Destination, Refused> {
    let Some(name) = parameters.get("name") else {
        return Err(Refused::new(
            RefusedKind::Invalid,
            "the destination is missing",
            "parameter name",
            "add ?name=queue://NAME",
        ));
    };
    one_destination(name)
}

/// A destination that is no pattern.
pub(super) fn one_destination(name: &str) -> Result<Destination, Refused> {
    let destination = parse_destination(name)?;
    if destination.is_pattern() {
        return Err(Refused::new(
            RefusedKind::Invalid,
            "a pattern names many destinations; orders and questions here take one",
            destination.to_string(),
            "name one destination",
        ));
    }
    Ok(destination)
}

/// Which dead letters are asked for.
fn dead_letters(parameters: &BTreeMap<String, String>) -> Result<DeadLettersRequest, Refused> {
    let queue = parameters.contains_key("name").then(|| named_destination(parameters));
    Ok(DeadLettersRequest {
        queue: queue.transpose()?,
        after: parameters.get("after").cloned(),
        limit: number(parameters, "limit", 100, LIMIT_MAX)?.max(1),
        selector: parameters.get("selector").cloned(),
    })
}

/// Which connections are asked for.
fn connections(parameters: &BTreeMap<String, String>) -> Result<ConnectionsRequest, Refused> {
    Ok(ConnectionsRequest {
        after: identity(parameters, "after")?,
        limit: number(parameters, "limit", LIMIT_MAX, LIMIT_MAX)?.max(1),
        client_id: parameters.get("client_id").cloned(),
        waiting: parameters.get("waiting").is_some_and(|waiting| waiting == "true"),
    })
}

/// Which subscriptions are asked for.
fn subscriptions(parameters: &BTreeMap<String, String>) -> Result<SubscriptionsRequest, Refused> {
    let destination = parameters.get("destination");
    Ok(SubscriptionsRequest {
        after: parameters.get("after").cloned(),
        limit: number(parameters, "limit", LIMIT_MAX, LIMIT_MAX)?.max(1),
        destination: destination.map(|text| parse_destination(text)).transpose()?,
        client_id: parameters.get("client_id").cloned(),
        connection: identity(parameters, "connection")?,
    })
}

fn required(parameters: &BTreeMap<String, String>, name: &str) -> Result<String, Refused> {
    let value = parameters.get(name).filter(|value| !value.is_empty());
    value.cloned().ok_or_else(|| {
        Refused::new(
            RefusedKind::Invalid,
            "a parameter is missing",
            format!("parameter {name}"),
            "GET / shows what each path takes",
        )
    })
}

/// The number of a connection.
fn identity(parameters: &BTreeMap<String, String>, name: &str) -> Result<Option<u64>, Refused> {
    let Some(text) = parameters.get(name) else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| {
        Refused::new(
            RefusedKind::Invalid,
            format!("{:?} is not a connection's number", excerpt(text, EXCERPT_CHARS_MAX)),
            format!("parameter {name}"),
            "GET /api/connections shows the numbers",
        )
    })
}

fn number(parameters: &BTreeMap<String, String>, name: &str, default: usize, max: usize) -> Result<usize, Refused> {
    let Some(text) = parameters.get(name) else {
        return Ok(default);
    };
    match text.parse::<usize>() {
        Ok(number) => Ok(number.min(max)),
        Err(_) => Err(Refused::new(
            RefusedKind::Invalid,
            format!("{:?} is not a number", excerpt(text, EXCERPT_CHARS_MAX)),
            format!("parameter {name}"),
            format!("give a whole number up to {max}"),
        )),
    }
}

/// Waits for the broker, not for ever.
pub(super) async fn within<T>(limit: Duration, answer: Answer<'_, T>) -> Result<T, Reply> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer.map_err(refusal),
        Err(_) => Err(too_slow(
            "the broker did not answer in time; an order may still be carried out",
        )),
    }
}

pub(super) fn too_slow(what: &str) -> Reply {
    refusal_with(
        StatusCode::GATEWAY_TIMEOUT,
        Refused::new(
            RefusedKind::Unavailable,
            what,
            "this broker",
            "look at /status, then try again",
        ),
    )
}
