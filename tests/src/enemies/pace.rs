//! Time that has to pass because it is what a case is about: a byte per second, a rate, a period to compare with. Never in place of an event.

use std::time::Duration;

/// Lets time pass.
#[expect(
    clippy::disallowed_methods,
    reason = "the time is the thing itself; nothing is waited for"
)]
pub(super) fn pass(time: Duration) {
    std::thread::sleep(time);
}
