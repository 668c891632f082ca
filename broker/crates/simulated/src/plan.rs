//! What goes wrong, and how often.

use std::time::Duration;

use platform::DiskErrorKind;

use crate::Prng;

/// A probability in parts per million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chance(pub u32);

impl Chance {
    /// It never happens.
    pub const NEVER: Chance = Chance(0);
    /// It always happens.
    pub const ALWAYS: Chance = Chance(1_000_000);
}

/// What goes wrong by chance. Each fault that happens is counted in [`Coverage`](crate::Coverage) under the name in parentheses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultPlan {
    /// From submission to completion of writes, reservations and syncs: least and most. Unequal values reorder completions (`reordered`).
    pub write_latency: (Duration, Duration),
    /// The same for everything else.
    pub latency: (Duration, Duration),
    /// Per operation: its effect is visible to others before it completes, each block of a write at a moment of its own (`landed early`).
    /// Without it, everything takes effect at the moment of completion.
    pub early_landing: Chance,
    /// Per block or other change in flight when its process dies under [`Landed::Random`](crate::Landed::Random): it lands only some time later (`landed late`).
    pub late_landing: Chance,
    /// How much later, at most.
    pub late_landing_max: Duration,
    /// Per block that lands at a crash under `Landed::Random`: only some of its 512-byte sectors do (`torn inside a block`).
    pub torn_inside_block: Chance,
    /// Per operation: it takes up to `stall_max` longer (`stalled`).
    pub stall: Chance,
    /// The longest stall.
    pub stall_max: Duration,
    /// Per operation: EIO; a change may have taken effect wholly, in part or not at all (`failed`).
    pub failed: Chance,
    /// Per operation on a file: ESTALE (`stale`).
    pub stale: Chance,
    /// Per write, reservation or creation: ENOSPC or EDQUOT, nothing of it took effect (`no space`).
    pub no_space: Chance,
    /// Per write: only its beginning is written, and it fails with NoSpace (`short write`).
    pub short_write: Chance,
    /// Per link: it is made, and the answer says `Exists` (`lost link reply`).
    pub lost_link_reply: Chance,
    /// Corruption. Per write: one of its blocks lands elsewhere in some file, and it completes without error (`misdirected`).
    pub misdirected: Chance,
    /// Corruption. Per operation: one bit of one block at rest flips (`flipped`).
    pub flipped_bit: Chance,
}

impl FaultPlan {
    /// Nothing goes wrong, latencies are fixed, and operations complete in order. What the exhaustive mode runs on.
    pub fn calm() -> FaultPlan {
        let (write, other) = (Duration::from_micros(200), Duration::from_micros(100));
        FaultPlan {
            write_latency: (write, write),
            latency: (other, other),
            early_landing: Chance::NEVER,
            late_landing: Chance::NEVER,
            late_landing_max: Duration::ZERO,
            torn_inside_block: Chance::NEVER,
            stall: Chance::NEVER,
            stall_max: Duration::ZERO,
            failed: Chance::NEVER,
            stale: Chance::NEVER,
            no_space: Chance::NEVER,
            short_write: Chance::NEVER,
            lost_link_reply: Chance::NEVER,
            misdirected: Chance::NEVER,
            flipped_bit: Chance::NEVER,
        }
    }

    /// Everything that a correct node survives without losing anything or refusing to start: all faults but the two corruptions and ESTALE.
    pub fn rough() -> FaultPlan {
        FaultPlan {
            write_latency: (Duration::from_micros(50), Duration::from_millis(5)),
            latency: (Duration::from_micros(20), Duration::from_millis(2)),
            early_landing: Chance(500_000),
            late_landing: Chance(250_000),
            late_landing_max: Duration::from_secs(10),
            torn_inside_block: Chance(100_000),
            stall: Chance(2_000),
            stall_max: Duration::from_secs(10),
            failed: Chance(300),
            no_space: Chance(1_000),
            short_write: Chance(1_000),
            lost_link_reply: Chance(20_000),
            ..FaultPlan::calm()
        }
    }

    /// A plan for one of many runs: each kind of fault of [`FaultPlan::rough`] is either in it or not, so that rare combinations get whole runs of their own.
    pub fn drawn(prng: &mut Prng) -> FaultPlan {
        let mut plan = FaultPlan::rough();
        let calm = FaultPlan::calm();
        let mut absent = || prng.below(2) == 0;
        if absent() {
            (plan.write_latency, plan.latency) = (calm.write_latency, calm.latency);
        }
        for chance in [
            &mut plan.early_landing,
            &mut plan.late_landing,
            &mut plan.torn_inside_block,
            &mut plan.stall,
            &mut plan.failed,
            &mut plan.no_space,
            &mut plan.short_write,
            &mut plan.lost_link_reply,
        ] {
            if absent() {
                *chance = Chance::NEVER;
            }
        }
        plan
    }
}

/// A fault for one chosen operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails with this kind; with `Failed` and `Stale` a change may have taken effect, wholly or in part.
    Fail(DiskErrorKind),
    /// If it is a write: only its first so many blocks are written, and it fails with NoSpace.
    ShortWrite {
        /// Blocks that are written.
        blocks: usize,
    },
    /// It takes so much longer.
    Stall(Duration),
    /// If it is a link: it is made, and the answer says `Exists`.
    LostLinkReply,
    /// If it is a write: one block lands elsewhere.
    Misdirect,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn drawn_plans_differ_and_never_corrupt() {
        let mut prng = Prng::new(3);
        let plans: Vec<_> = (0..200).map(|_| FaultPlan::drawn(&mut prng)).collect();
        assert!(
            plans
                .iter()
                .all(|plan| plan.misdirected == Chance::NEVER && plan.flipped_bit == Chance::NEVER)
        );
        let shown: BTreeSet<_> = plans.iter().map(|plan| format!("{plan:?}")).collect();
        assert!(shown.len() > 100, "{} different plans", shown.len());
    }
}
