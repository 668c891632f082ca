//! Engine time: decides expiry and duplicate windows, and cannot be thrown by one wrong clock.
//!
//! It starts from the later of wall clock and recovered time, runs on with the boot-time clock, and approaches the wall clock by at most 1 s per 10 s. A difference
//! of more than a minute is not followed until an operator says so. It never runs backwards.

use std::time::Duration;

use engine::EngineTime;
use platform::{BootTime, Now};

/// It approaches the wall clock by at most one part in this many of the time that passes.
const APPROACH_DIVISOR: u64 = 10;

/// A difference beyond this is not followed.
pub const CLOCK_DIFFERENCE_MAX: Duration = Duration::from_secs(60);

/// The clock of one epoch.
#[derive(Clone, Debug)]
pub(crate) struct EngineClock {
    /// Engine time, in microseconds: one call may advance it by less than a millisecond.
    micros: u64,
    at: BootTime,
    refused: bool,
}

impl EngineClock {
    /// A clock that starts from the later of the wall clock and what the history has seen (milliseconds since 1970).
    pub(crate) fn start(now: Now, recovered: u64) -> EngineClock {
        EngineClock {
            micros: now.wall.0.max(recovered) * 1000,
            at: now.boot,
            refused: false,
        }
    }

    /// Engine time now.
    pub(crate) fn read(&mut self, now: Now) -> EngineTime {
        let passed = now.boot.since(self.at).as_nanos() as u64 / 1000;
        self.at = self.at.max(BootTime(self.at.0 + passed * 1000));
        let target = now.wall.0 * 1000;
        let straight = self.micros + passed;
        self.refused = target.abs_diff(straight) > CLOCK_DIFFERENCE_MAX.as_micros() as u64;
        let step = if self.refused {
            0
        } else {
            target.abs_diff(straight).min(passed / APPROACH_DIVISOR)
        };
        self.micros = if target >= straight {
            straight + step
        } else {
            straight - step
        };
        EngineTime(self.micros / 1000)
    }

    /// Whether the wall clock is so far off that it is not followed: worth an ERROR.
    pub(crate) fn refuses_wall_clock(&self) -> bool {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::WallTime;

    fn now(boot_seconds: u64, wall_milliseconds: u64) -> Now {
        Now {
            boot: BootTime(boot_seconds * 1_000_000_000),
            wall: WallTime(wall_milliseconds),
        }
    }

    #[test]
    fn it_starts_from_the_later_of_wall_clock_and_recovered_time() {
        assert_eq!(
            EngineClock::start(now(0, 5_000), 9_000).read(now(0, 5_000)),
            EngineTime(9_000)
        );
        assert_eq!(
            EngineClock::start(now(0, 5_000), 1_000).read(now(0, 5_000)),
            EngineTime(5_000)
        );
    }

    #[test]
    fn it_approaches_the_wall_clock_by_one_second_in_ten_both_ways() {
        let mut behind = EngineClock::start(now(0, 100_000), 0);
        assert_eq!(behind.read(now(10, 130_000)), EngineTime(111_000));
        let mut ahead = EngineClock::start(now(0, 100_000), 0);
        assert_eq!(ahead.read(now(10, 90_000)), EngineTime(109_000));
        let mut near = EngineClock::start(now(0, 100_000), 0);
        assert_eq!(near.read(now(10, 110_200)), EngineTime(110_200));
    }

    #[test]
    fn a_wall_clock_that_jumps_by_more_than_a_minute_is_not_followed() {
        let mut clock = EngineClock::start(now(0, 100_000), 0);
        assert_eq!(clock.read(now(1, 100_000_000)), EngineTime(101_000));
        assert!(clock.refuses_wall_clock());
        assert_eq!(clock.read(now(2, 0)), EngineTime(102_000));
        assert!(clock.refuses_wall_clock());
        assert_eq!(clock.read(now(3, 103_000)), EngineTime(103_000));
        assert!(!clock.refuses_wall_clock());
    }

    #[test]
    fn it_never_runs_backwards() {
        let mut clock = EngineClock::start(now(10, 100_000), 0);
        let mut last = clock.read(now(10, 100_000));
        for (boot, wall) in [(10, 50_000), (11, 99_000), (11, 0), (12, 200_000), (12, 80_000)] {
            let read = clock.read(now(boot, wall));
            assert!(read >= last, "{read:?} after {last:?}");
            last = read;
        }
    }
}
