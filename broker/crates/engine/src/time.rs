//! Engine time: what expiry and duplicate windows are measured by.
//!
//! Deliberately absent: a way to read it. It comes in with every call; who owns the clock makes it rise and keeps it close to wall time.

use std::time::Duration;

/// Milliseconds since 1970 on the engine's own clock, which never runs backwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EngineTime(pub u64);

impl EngineTime {
    /// This long after.
    pub fn after(self, wait: Duration) -> EngineTime {
        EngineTime(
            self.0
                .saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
        )
    }
}
