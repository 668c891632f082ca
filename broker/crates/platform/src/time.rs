//! The two clocks of a machine, always passed in as arguments.
//!
//! Boot time decides every wait: it never jumps and runs on while the machine is suspended. Wall time is only ever shown, written
//! into messages, or approached by engine time. Deliberately absent: a way to read either.

use std::ops::{Add, Sub};
use std::time::Duration;

/// Nanoseconds since this machine booted (`CLOCK_BOOTTIME`); comparable within one boot of one machine only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootTime(pub u64);

impl BootTime {
    /// Time passed since `earlier`, zero if that lies ahead.
    pub fn since(self, earlier: BootTime) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for BootTime {
    type Output = BootTime;
    fn add(self, wait: Duration) -> BootTime {
        BootTime(
            self.0
                .saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

impl Sub<Duration> for BootTime {
    type Output = BootTime;
    fn sub(self, wait: Duration) -> BootTime {
        BootTime(
            self.0
                .saturating_sub(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

/// Milliseconds since 1970-01-01 UTC; may jump either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(pub u64);

/// What both clocks showed at the moment of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Decides waits.
    pub boot: BootTime,
    /// Shown to people and clients.
    pub wall: WallTime,
}
