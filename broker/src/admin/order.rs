//! The bodies of orders: JSON objects, read within bounds, and what they mean.

use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Bytes};
use hyper::header::CONTENT_TYPE;
use hyper::{Request, StatusCode};
use message::Destination;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::broker_view::{Purge, Refused, RefusedKind};
use super::moves::MoveRequest;
use super::respond::{Reply, refusal, refusal_with};
use super::routes::{ANSWER_WITHIN, one_destination, too_slow};
use super::server::REQUEST_BYTES_MAX;

/// An order that is about one destination.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    name: String,
}

/// What a kind of order takes, for whoever gave it wrongly.
pub(super) trait Taken {
    /// As JSON.
    const EXAMPLE: &str;
}

impl Taken for Named {
    const EXAMPLE: &str = r#"{"name": "queue://NAME"}"#;
}

impl Named {
    pub(super) fn destination(&self) -> Result<Destination, Refused> {
        one_destination(&self.name)
    }
}

/// A purge.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Purging {
    name: String,
    #[serde(default)]
    set_aside: bool,
}

impl Taken for Purging {
    const EXAMPLE: &str = r#"{"name": "queue://NAME", "set_aside": false}"#;
}

impl Purging {
    pub(super) fn understood(&self) -> Result<(Destination, Purge), Refused> {
        let what = if self.set_aside {
            Purge::SetAside
        } else {
            Purge::Everything
        };
        Ok((one_destination(&self.name)?, what))
    }
}

/// A move.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Moving {
    name: String,
    to: String,
    selector: Option<String>,
    limit: Option<u64>,
}

impl Taken for Moving {
    const EXAMPLE: &str = r#"{"name": "queue://FROM", "to": "queue://TO", "selector": "a = 1", "limit": 10}"#;
}

impl Moving {
    pub(super) fn understood(self) -> Result<MoveRequest, Refused> {
        Ok(MoveRequest {
            from: one_destination(&self.name)?,
            to: Some(one_destination(&self.to)?),
            selector: self.selector,
            limit: self.limit,
        })
    }
}

/// A retry of dead letters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Retrying {
    name: Option<String>,
    selector: Option<String>,
    limit: Option<u64>,
}

impl Taken for Retrying {
    const EXAMPLE: &str = r#"{"name": "queue://NAME", "selector": "a = 1", "limit": 10}, or {}"#;
}

impl Retrying {
    pub(super) fn understood(self, dead_letter_queue: Destination) -> Result<MoveRequest, Refused> {
        let named = self.name.as_deref().map(one_destination).transpose();
        Ok(MoveRequest {
            from: named?.unwrap_or(dead_letter_queue),
            to: None,
            selector: self.selector,
            limit: self.limit,
        })
    }
}

/// The end of a connection.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Closing {
    pub(super) id: u64,
}

impl Taken for Closing {
    const EXAMPLE: &str = r#"{"id": 7}"#;
}

/// Reads an order from a request's body.
pub(super) async fn read<T: Taken + DeserializeOwned>(
    request: Request<impl Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>>,
) -> Result<T, Reply> {
    let kind = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or("");
    let malformed = |what: String| {
        refusal(Refused::new(
            RefusedKind::Invalid,
            what,
            "request body",
            format!("send {} with Content-Type: application/json", T::EXAMPLE),
        ))
    };
    if !kind.starts_with("application/json") {
        return Err(malformed("the body is not declared as JSON".to_string()));
    }
    let body = tokio::time::timeout(
        ANSWER_WITHIN,
        Limited::new(request.into_body(), REQUEST_BYTES_MAX).collect(),
    );
    let body = match body.await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => {
            return Err(refusal_with(
                StatusCode::PAYLOAD_TOO_LARGE,
                Refused::new(
                    RefusedKind::Invalid,
                    format!("the body is larger than {REQUEST_BYTES_MAX} bytes, or broke off"),
                    "request body",
                    "send less",
                ),
            ));
        }
        Err(_) => return Err(too_slow("the body did not arrive in time")),
    };
    serde_json::from_slice(&body).map_err(|error| malformed(format!("the body is not understood: {error}")))
}
