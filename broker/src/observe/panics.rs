//! What happens when an invariant does not hold.

use std::backtrace::Backtrace;
use std::panic::PanicHookInfo;

/// From now on a panic in any thread is logged and then ends the process at once: no destructor runs, no file is closed politely, nothing more is confirmed.
pub fn install() {
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::force_capture();
        tracing::error!(
            thread = std::thread::current().name().unwrap_or("unnamed"),
            location = panic.location().map(ToString::to_string).unwrap_or_default(),
            message = message(panic),
            "the broker found itself in a state that must not exist, and ends; confirmed messages are safe. Please report this with the lines below"
        );
        eprintln!("{backtrace}");
        std::process::abort();
    }));
}

fn message<'a>(panic: &'a PanicHookInfo<'_>) -> &'a str {
    let payload = panic.payload();
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
