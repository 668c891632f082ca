//! holdfast-healthd: the health daemon. Not built yet: it says so, and exits with a code that no supervisor mistakes for health.
//!
//! It will probe the broker beside it, judge whether replacing the machine would help, and act. Deliberately absent until then: any probe, any verdict.

#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
compile_error!("Holdfast builds on Linux only.");

use std::process::ExitCode;

/// EX_UNAVAILABLE, the code that `holdfast` uses for "cannot be reached".
const UNAVAILABLE: u8 = 69;

fn main() -> ExitCode {
    eprintln!(
        "holdfast-healthd: the health daemon is not part of this version; nothing is probed and nothing is acted on."
    );
    ExitCode::from(UNAVAILABLE)
}
