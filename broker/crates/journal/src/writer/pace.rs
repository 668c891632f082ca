//! Whether more batches out at a time get more done: a disk that is far away takes as long for each however many there are, one that does them one after the other takes the longer for each the more wait.
//!
//! Both are late with little to write, so only the comparison tells them apart: how long writes took that went out beside few others, and how long those beside many. Tests: `tests/journal/confirmation.rs`.

use std::time::Duration;

use platform::BootTime;

/// Each write counts for this share of the average.
const SHARE: u32 = 8;

/// Writes beside many may take this much of what those beside few take, percent: otherwise they wait for each other.
const PERCENT_MAX: u32 = 120;

/// After so long it is tried again: disks change.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(10);

/// How long writes take.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    beside_few: Option<Duration>,
    beside_many: Option<Duration>,
    /// When the newest of those beside many came back.
    newest: BootTime,
}

impl Pace {
    /// A write came back at `now` that went out beside many others, or few.
    pub(super) fn took(&mut self, now: BootTime, time: Duration, beside_many: bool) {
        let average = if beside_many {
            self.newest = now;
            &mut self.beside_many
        } else {
            if now.since(self.newest) >= FORGOTTEN_AFTER {
                self.beside_many = None;
            }
            &mut self.beside_few
        };
        *average = Some(average.map_or(time, |average| (average * (SHARE - 1) + time) / SHARE));
    }

    /// Whether more at a time get more done, as far as is known.
    pub(super) fn is_helped_by_more(&self) -> bool {
        match (self.beside_few, self.beside_many) {
            (Some(few), Some(many)) => many * 100 <= few * PERCENT_MAX,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_at_a_time_stay_only_where_each_takes_as_long_as_before() {
        let (millisecond, second) = (Duration::from_millis(1), Duration::from_secs(1));
        let mut pace = Pace::default();
        assert!(!pace.is_helped_by_more(), "nothing is known");
        let mut now = BootTime(0);
        pace.took(now, 3 * millisecond, false);
        assert!(pace.is_helped_by_more(), "it is tried");
        pace.took(now, 3 * millisecond, true);
        assert!(pace.is_helped_by_more(), "far away");
        pace.took(now, 12 * millisecond, true);
        assert!(!pace.is_helped_by_more(), "they wait for each other");
        now = now + 9 * second;
        pace.took(now, 3 * millisecond, false);
        assert!(!pace.is_helped_by_more());
        now = now + second;
        pace.took(now, 3 * millisecond, false);
        assert!(pace.is_helped_by_more(), "it is tried again");
    }
}
