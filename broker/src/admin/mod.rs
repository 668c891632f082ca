//! HTTP for people, probes and programs: health, status, metrics, and orders to the broker.
//!
//! Runs on the broker's own thread, which never waits for a disk: that `/live` answers shows that this thread turns. What it knows of the broker comes through
//! [`BrokerView`]. Invariants: every request is bounded in size and time; health endpoints touch no disk; a browser page from elsewhere cannot give orders
//! (requests with a foreign `Host`, or with an `Origin`, are refused).
//!
//! Deliberately absent: TLS and users (so it listens on loopback only, see `config::rules`), the console.
//! Tests: `broker/tests/admin.rs`.

mod broker_view;
mod clients;
mod metrics;
mod moves;
mod order;
mod query;
mod respond;
mod routes;
mod server;
mod status_text;

pub use broker_view::{
    Answer, BrokerView, BrowseRequest, BrowsedMessage, Created, Deleted, DestinationStatus, DiskStatus, Leader, Metric,
    Progress, Purge, Purged, Refused, RefusedKind, Role, Status, Warning,
};
pub use clients::{
    Closed, ConnectionStatus, ConnectionsAnswer, ConnectionsRequest, Page, SubscriptionStatus, SubscriptionsAnswer,
    SubscriptionsRequest,
};
pub use moves::{DeadLetter, DeadLettersAnswer, DeadLettersRequest, Left, MoveRequest, MoveStatus};
pub use query::{parameters, parse_destination};
pub use respond::{BrowseAnswer, DestinationsAnswer, ErrorAnswer};
pub(crate) use routes::ORDER_WITHIN;
pub use server::{REQUEST_BYTES_MAX, serve};
pub use status_text::{bytes_text, duration_text, status_text};
