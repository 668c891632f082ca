//! Notices to the service manager (systemd's protocol), if there is one.
//!
//! Without `NOTIFY_SOCKET` in the environment each notice does nothing. A service manager that does not listen is logged once and changes nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use leadership::Addresses;
use sd_notify::NotifyState;

/// Serving: what `systemctl start` waits for.
pub fn ready(addresses: &Addresses) {
    let status = format!("leading, clients at {}", addresses.clients.join(", "));
    send(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// What the broker is doing, one line, shown by `systemctl status`.
pub fn status(status: &str) {
    send(&[NotifyState::Status(status)]);
}

/// Still starting (a long recovery): do not give up on it for so long.
pub fn extend_start(wait: Duration) {
    let microseconds = u32::try_from(wait.as_micros()).unwrap_or(u32::MAX);
    send(&[NotifyState::ExtendTimeoutUsec(microseconds)]);
}

/// The event loop turns; to be sent whenever half of [`watchdog_interval`] has passed.
pub fn watchdog() {
    send(&[NotifyState::Watchdog]);
}

/// How often the service manager wants to hear [`watchdog`], if at all.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// On its way out.
pub fn stopping() {
    send(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

fn send(notices: &[NotifyState<'_>]) {
    static FAILED: AtomicBool = AtomicBool::new(false);
    if let Err(error) = sd_notify::notify(notices)
        && !FAILED.swap(true, Ordering::Relaxed)
    {
        tracing::warn!(%error, "the service manager cannot be told how the broker is");
    }
}
