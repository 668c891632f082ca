//! What administrators see and do: statistics, clients, browsing without a consumer, create, delete, purge, move.

mod browse;
mod clearing;
mod clients;
mod command;
mod orders;
mod statistics;
mod transfer;
mod views;

pub(crate) use browse::AdminBrowse;
pub(crate) use clearing::Clearing;
pub use clients::{ConnectionStatistics, ConsumerStatistics, WaitsFor};
pub use command::{
    AdminAnswer, AdminCommand, AdminRefusal, AdminRequest, BrowsePosition, Browsed, MoveTo, MoveToGo, Moved,
};
pub use statistics::{Counters, DestinationStatistics, Statistics, SubscriptionStatistics};
pub(crate) use transfer::Transfer;
