//! What administrators see and do: statistics, clients, browsing without a consumer, create, delete, purge.

mod browse;
mod clients;
mod command;
mod orders;
mod statistics;
mod views;

pub(crate) use browse::AdminBrowse;
pub use clients::{ConnectionStatistics, ConsumerStatistics, WaitsFor};
pub use command::{AdminAnswer, AdminCommand, AdminRefusal, AdminRequest, BrowsePosition, Browsed};
pub use statistics::{Counters, DestinationStatistics, Statistics, SubscriptionStatistics};
