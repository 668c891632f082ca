//! Answers: JSON, text, and refusals that say what, where, and what to do.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::broker_view::{BrowsedMessage, DestinationStatus, Refused, RefusedKind};

/// Answer to a list of destinations.
#[derive(Debug, Serialize, Deserialize)]
pub struct DestinationsAnswer {
    /// In the order of names.
    pub destinations: Vec<DestinationStatus>,
    /// What to pass as `after` for more; nothing if these were all.
    pub next: Option<String>,
}

/// Answer to a browse.
#[derive(Debug, Serialize, Deserialize)]
pub struct BrowseAnswer {
    /// In the order of delivery.
    pub messages: Vec<BrowsedMessage>,
}

/// Answer that is a refusal.
#[derive(Debug, Serialize, Deserialize)]
pub struct ErrorAnswer {
    /// Why.
    pub error: Refused,
}

/// What goes back to the client.
pub(super) type Reply = Response<Full<Bytes>>;

/// An answer of some type.
pub(super) fn reply(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    reply
}

/// Text for people.
pub(super) fn text(status: StatusCode, body: String) -> Reply {
    reply(status, "text/plain; charset=utf-8", body)
}

/// JSON for programs.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Reply {
    match serde_json::to_vec_pretty(body) {
        Ok(mut bytes) => {
            bytes.push(b'\n');
            reply(status, "application/json", bytes)
        }
        Err(error) => text(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("this answer cannot be shown: {error}\n"),
        ),
    }
}

/// A refusal with the status that belongs to its kind.
pub(super) fn refusal(refused: Refused) -> Reply {
    let status = match refused.kind {
        RefusedKind::NotFound => StatusCode::NOT_FOUND,
        RefusedKind::Invalid => StatusCode::BAD_REQUEST,
        RefusedKind::Conflict => StatusCode::CONFLICT,
        RefusedKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    };
    refusal_with(status, refused)
}

/// A refusal with a status of its own.
pub(super) fn refusal_with(status: StatusCode, refused: Refused) -> Reply {
    json(status, &ErrorAnswer { error: refused })
}

/// The path exists, the method does not.
pub(super) fn wrong_method(path: &str, allowed: &'static str) -> Reply {
    let mut reply = refusal_with(
        StatusCode::METHOD_NOT_ALLOWED,
        Refused::new(
            RefusedKind::Invalid,
            "this path does not take that method",
            path,
            format!("use {allowed}"),
        ),
    );
    reply.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    reply
}
