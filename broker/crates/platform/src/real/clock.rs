//! Reads the machine's two clocks.

use nix::time::{ClockId, clock_gettime};

use crate::{BootTime, Now, WallTime};

/// The machine's clocks: `CLOCK_BOOTTIME`, which runs on while the machine is suspended, and `CLOCK_REALTIME`.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealClock;

impl RealClock {
    /// What both clocks show now.
    pub fn now(&self) -> Now {
        let boot = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("every Linux since 2.6.39 has CLOCK_BOOTTIME");
        let wall = clock_gettime(ClockId::CLOCK_REALTIME).expect("every Linux has CLOCK_REALTIME");
        Now {
            boot: BootTime(units(boot.tv_sec(), 1_000_000_000) + units(boot.tv_nsec(), 1)),
            wall: WallTime(units(wall.tv_sec(), 1_000) + units(wall.tv_nsec(), 1) / 1_000_000),
        }
    }
}

/// A clock set before 1970 shows 1970.
fn units(count: i64, each: u64) -> u64 {
    u64::try_from(count).unwrap_or(0).saturating_mul(each)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_time_never_runs_backwards_and_wall_time_is_this_century() {
        let first = RealClock.now();
        let second = RealClock.now();
        assert!(second.boot >= first.boot && first.boot > BootTime(0));
        assert!(
            first.wall.0 > 1_700_000_000_000 && first.wall.0 < 4_102_444_800_000,
            "{:?}",
            first.wall
        );
    }
}
