//! What the broker tells those who watch it: logs on standard error, notices to the service manager, a last word when it panics.
//!
//! Invariants: a broker that is well logs at INFO that it starts, leads and stops, and nothing else; a panic anywhere ends the whole process, because a broker
//! with a missing part is worse than none. Deliberately absent: log files and their rotation (the service manager's), metrics (`admin`).

mod logging;
mod panics;
mod service;

pub use logging::{install as install_logging, is_json as logs_json};
pub use panics::install as install_panic_hook;
pub use service::{extend_start, ready, status, stopping, watchdog, watchdog_interval};
