//! Space: when persistent sends stop, and how much is set aside.

/// From this size on a file system has no practical limit (EFS says 8 EiB): there only a segment's size is set.
pub const NO_PRACTICAL_LIMIT_BYTES: u64 = 1 << 60;

/// The share of the file system that the store may take.
pub const STORE_LIMIT_PERCENT: u64 = 80;

/// The share of the file system that stays free, if it is more than two segments.
pub const WATERMARK_PERCENT: u64 = 1;

/// What the ballast holds beside two segments: a claim, a checkpoint.
pub const BALLAST_EXTRA_BYTES: u64 = 16 << 20;

/// How a segment gets its space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reservation {
    /// Its blocks are really taken before it is announced.
    Blocks,
    /// Only its size is set, before it is announced.
    SizeOnly,
}

/// How a segment gets its space on a file system of this size, in bytes.
pub fn reservation(total_bytes: u64) -> Reservation {
    if total_bytes >= NO_PRACTICAL_LIMIT_BYTES {
        Reservation::SizeOnly
    } else {
        Reservation::Blocks
    }
}

/// Free bytes below which persistent sends stop.
pub fn watermark_bytes(total_bytes: u64, segment_bytes: u32) -> u64 {
    (2 * u64::from(segment_bytes)).max(total_bytes / 100 * WATERMARK_PERCENT)
}

/// Bytes that the store may take.
pub fn store_limit_bytes(total_bytes: u64) -> u64 {
    total_bytes / 100 * STORE_LIMIT_PERCENT
}

/// Bytes of the ballast: what claim, first segments and a checkpoint of a successor need on a full disk.
pub fn ballast_bytes(segment_bytes: u32) -> u64 {
    2 * u64::from(segment_bytes) + BALLAST_EXTRA_BYTES
}

/// The smallest file system on which a store can begin: a claim and one segment. On a smaller one no waiting helps.
pub fn smallest_file_system_bytes(segment_bytes: u32) -> u64 {
    u64::from(segment_bytes) + START_BYTES
}

/// What a start takes beside its first segment: a claim, directories, a marker.
pub const START_BYTES: u64 = 64 << 10;

/// The smallest file system on which persistent sends are ever taken: the ballast, two segments that are always there and one to fill fit under the store's limit, and the watermark stays free.
pub fn smallest_sending_file_system_bytes(segment_bytes: u32, ballast_bytes: u64) -> u64 {
    let store = ballast_bytes + 3 * u64::from(segment_bytes);
    let under_limit = store * 100 / STORE_LIMIT_PERCENT;
    under_limit.max(store + watermark_bytes(0, segment_bytes))
}

/// What is known of space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpaceState {
    /// Free bytes of the file system.
    pub available_bytes: u64,
    /// Its size.
    pub total_bytes: u64,
    /// Bytes that the store takes: segments, checkpoints, claims, ballast.
    pub store_bytes: u64,
    /// The settings' segment size.
    pub segment_bytes: u32,
    /// Announced segments into which nothing was written yet: [`crate::Journal::free_segments`].
    pub free_segments: u32,
    /// Whether the last attempt to reserve a segment found no space.
    pub segment_refused: bool,
}

/// Whether persistent sends may go on. Acknowledgements, expiry and deletion always do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sends {
    /// They may.
    GoOn,
    /// They wait or fail: the file system is nearly full.
    BelowWatermark,
    /// They wait or fail: the store has reached its limit.
    StoreLimit,
    /// They wait or fail: no segment could be reserved, and the one that is left is kept for acknowledgements, expiry and deletion.
    LastSegment,
}

impl SpaceState {
    /// Whether persistent sends may go on.
    ///
    /// | row | last reservation | free segments | free bytes | store | says |
    /// |---|---|---|---|---|---|
    /// | F1 | refused | ≤ 1 | any | any | last segment |
    /// | F2 | else | | below the watermark | any | below watermark |
    /// | F3 | else | | enough | at its limit | store limit |
    /// | F4 | else | | enough | below its limit | go on |
    ///
    /// On a file system without a practical limit only F1 and F4 apply.
    pub fn sends(&self) -> Sends {
        let unlimited = match reservation(self.total_bytes) {
            Reservation::SizeOnly => true,
            Reservation::Blocks => false,
        };
        let last_segment = self.segment_refused && self.free_segments <= 1;
        let below = !unlimited && self.available_bytes < watermark_bytes(self.total_bytes, self.segment_bytes);
        let full = !unlimited && self.store_bytes >= store_limit_bytes(self.total_bytes);
        match (last_segment, below, full) {
            (true, _, _) => Sends::LastSegment,
            (false, true, _) => Sends::BelowWatermark,
            (false, false, true) => Sends::StoreLimit,
            (false, false, false) => Sends::GoOn,
        }
    }

    /// Whether there is room for one more segment. What is below the watermark may be used for it: the sends have stopped, and acknowledgements need it.
    pub fn has_room_for_segment(&self) -> bool {
        match reservation(self.total_bytes) {
            Reservation::SizeOnly => true,
            Reservation::Blocks => self.available_bytes >= u64::from(self.segment_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn state() -> SpaceState {
        SpaceState {
            available_bytes: 50 * GIB,
            total_bytes: 100 * GIB,
            store_bytes: 10 * GIB,
            segment_bytes: 64 << 20,
            free_segments: 1,
            segment_refused: false,
        }
    }

    #[test]
    fn every_row_of_the_space_table_holds() {
        assert_eq!(state().sends(), Sends::GoOn);
        let watermark = watermark_bytes(100 * GIB, 64 << 20);
        let at = |available_bytes, store_bytes, segment_refused, free_segments| {
            SpaceState {
                available_bytes,
                store_bytes,
                segment_refused,
                free_segments,
                ..state()
            }
            .sends()
        };
        assert_eq!(at(watermark, 0, false, 0), Sends::GoOn);
        assert_eq!(at(watermark - 1, 0, false, 2), Sends::BelowWatermark);
        assert_eq!(at(watermark, store_limit_bytes(100 * GIB), false, 2), Sends::StoreLimit);
        assert_eq!(at(watermark, 0, true, 2), Sends::GoOn);
        assert_eq!(at(watermark, 0, true, 1), Sends::LastSegment);
        let efs = SpaceState {
            available_bytes: 0,
            total_bytes: 1 << 63,
            store_bytes: 1 << 50,
            ..state()
        };
        assert_eq!(efs.sends(), Sends::GoOn);
        assert!(efs.has_room_for_segment());
        assert!(
            !SpaceState {
                available_bytes: (64 << 20) - 1,
                ..state()
            }
            .has_room_for_segment()
        );
    }

    #[test]
    fn the_watermark_is_two_segments_or_a_hundredth_whichever_is_more() {
        assert_eq!(watermark_bytes(GIB, 64 << 20), 128 << 20);
        assert_eq!(watermark_bytes(1000 * GIB, 64 << 20), 10 * GIB);
        assert_eq!(ballast_bytes(64 << 20), (128 + 16) << 20);
    }

    #[test]
    fn on_the_smallest_sending_file_system_sends_go_on_with_three_segments_and_the_ballast() {
        for segment_bytes in [4 << 20, 64 << 20, 1 << 30] {
            let ballast = ballast_bytes(segment_bytes);
            let total_bytes = smallest_sending_file_system_bytes(segment_bytes, ballast) + 100;
            let store_bytes = ballast + 3 * u64::from(segment_bytes);
            let state = SpaceState {
                available_bytes: total_bytes - store_bytes,
                total_bytes,
                store_bytes: store_bytes - 1,
                segment_bytes,
                free_segments: 1,
                segment_refused: false,
            };
            assert_eq!(state.sends(), Sends::GoOn);
        }
    }
}
