//! One machine's clocks: its own boot moment, and a wall clock that may be wrong and may jump.

use std::time::Duration;

use platform::{BootTime, Now, WallTime};

/// Shows a machine's time at a moment of the world.
#[derive(Clone, Copy, Debug)]
pub struct SimulatedClock {
    /// Added to the world's time: machines boot at different moments.
    boot_offset: Duration,
    /// Milliseconds that the wall clock shows at the world's time zero.
    wall_at_zero: i64,
}

/// What a right clock shows at the world's time zero, in milliseconds: 2026-01-01 00:00 UTC.
const RIGHT_AT_ZERO: i64 = 1_767_225_600_000;

impl SimulatedClock {
    /// A machine that had been up for `uptime` at the world's time zero and whose wall clock goes wrong by `skew_millis`.
    pub fn new(uptime: Duration, skew_millis: i64) -> SimulatedClock {
        SimulatedClock {
            boot_offset: uptime,
            wall_at_zero: RIGHT_AT_ZERO + skew_millis,
        }
    }

    /// A machine that came up at the world's time zero and whose wall clock is right.
    pub const fn right() -> SimulatedClock {
        SimulatedClock {
            boot_offset: Duration::ZERO,
            wall_at_zero: RIGHT_AT_ZERO,
        }
    }

    /// What both clocks show at the moment `world`.
    pub fn now(&self, world: BootTime) -> Now {
        let wall = self.wall_at_zero.saturating_add((world.0 / 1_000_000) as i64);
        Now {
            boot: world + self.boot_offset,
            wall: WallTime(u64::try_from(wall).unwrap_or(0)),
        }
    }

    /// The moment of the world at which this machine's boot time is `boot`, if it does not stand still until then.
    pub fn world(&self, boot: BootTime) -> BootTime {
        boot - self.boot_offset
    }

    /// The machine stood still for this long and did not notice: a paused virtual machine, whose wall clock is set right when it goes on.
    pub fn lose(&mut self, time: Duration) {
        self.boot_offset = self.boot_offset.saturating_sub(time);
    }

    /// Sets the wall clock forward or back.
    pub fn jump(&mut self, millis: i64) {
        self.wall_at_zero = self.wall_at_zero.saturating_add(millis);
    }
}

impl Default for SimulatedClock {
    fn default() -> SimulatedClock {
        SimulatedClock::right()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_time_runs_on_while_the_wall_clock_jumps() {
        let mut clock = SimulatedClock::new(Duration::from_secs(100), -5);
        let before = clock.now(BootTime(7_000_000));
        assert_eq!(before.boot, BootTime(100_007_000_000));
        assert_eq!(before.wall.0 as i64, RIGHT_AT_ZERO + 2);
        assert_eq!(clock.world(before.boot), BootTime(7_000_000));
        clock.jump(-3_600_000);
        let after = clock.now(BootTime(8_000_000));
        assert!(after.boot > before.boot && after.wall < before.wall);
    }
}
