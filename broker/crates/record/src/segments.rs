//! Sets of segments: what a checkpoint, or one piece of it, refers to.
//!
//! Invariants: the ranges of a set rise and neither overlap nor touch, so one set has one form; a packed set is exact, never a covering range. What is deleted goes by these sets, and what is
//! missing is found by them, so a set that said too much would refuse a start whose segments are rightly gone. Proved by the tests below.

use std::sync::Arc;

use crate::codec::{Malformed, Reader};
use crate::{PAGE_ENTRIES_MAX, SegmentNumber};

/// Consecutive segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentRange {
    /// The first.
    pub first: SegmentNumber,
    /// The last; not below the first.
    pub last: SegmentNumber,
}

impl SegmentRange {
    /// How many they are.
    fn count(self) -> u64 {
        u64::from(self.last.0) - u64::from(self.first.0) + 1
    }
}

/// Some segments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentSet {
    ranges: Vec<SegmentRange>,
}

impl SegmentSet {
    /// Adds segments; those that are in it stay in it once.
    pub fn insert(&mut self, range: SegmentRange) {
        let ends_before = |known: &SegmentRange| u64::from(known.last.0) + 1 < u64::from(range.first.0);
        let begins_behind = |known: &SegmentRange| u64::from(known.first.0) > u64::from(range.last.0) + 1;
        let from = self.ranges.partition_point(ends_before);
        let to = self.ranges.partition_point(|known| !begins_behind(known));
        let mut joined = range;
        for known in &self.ranges[from..to] {
            joined.first = joined.first.min(known.first);
            joined.last = joined.last.max(known.last);
        }
        if self.ranges[from..to] != [joined] {
            self.ranges.splice(from..to, [joined]);
        }
    }

    /// Whether a segment is in it.
    pub fn contains(&self, segment: SegmentNumber) -> bool {
        self.covers(SegmentRange {
            first: segment,
            last: segment,
        })
    }

    /// Whether all of these segments are in it.
    pub fn covers(&self, range: SegmentRange) -> bool {
        let behind = self.ranges.partition_point(|known| known.first <= range.first);
        self.ranges[..behind]
            .last()
            .is_some_and(|known| range.last <= known.last)
    }

    /// Whether any of these segments is in it.
    pub fn meets(&self, range: SegmentRange) -> bool {
        let from = self.ranges.partition_point(|known| known.last < range.first);
        self.ranges.get(from).is_some_and(|known| known.first <= range.last)
    }

    /// Its ranges, by rising numbers.
    pub fn ranges(&self) -> &[SegmentRange] {
        &self.ranges
    }

    /// Its segments, by rising numbers.
    pub fn segments(&self) -> impl Iterator<Item = SegmentNumber> + '_ {
        self.ranges
            .iter()
            .flat_map(|range| range.first.0..=range.last.0)
            .map(SegmentNumber)
    }
}

impl FromIterator<SegmentRange> for SegmentSet {
    fn from_iter<I: IntoIterator<Item = SegmentRange>>(ranges: I) -> SegmentSet {
        let mut set = SegmentSet::default();
        ranges.into_iter().for_each(|range| set.insert(range));
        set
    }
}

/// Most bytes of a packed set: one range for each entry of a page, each with two numbers of at most five bytes.
const PACKED_BYTES_MAX: usize = PAGE_ENTRIES_MAX * 10;
const _: () = assert!(
    PACKED_BYTES_MAX <= u16::MAX as usize,
    "its length is stored in two bytes"
);

/// A set in the bytes in which it is stored, because one is kept in memory for each piece: two to four bytes for a page whose messages lie close together, and about three for each message at worst.
///
/// For each range: how many segments lie between the one before (at first: the number 0) and it, and how many follow its first; each as a number of seven bits a byte, lowest first, the top bit set in
/// all bytes but the last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackedSegments(Arc<[u8]>);

impl PackedSegments {
    /// Packs a set of at most [`PAGE_ENTRIES_MAX`] ranges.
    pub fn of(set: &SegmentSet) -> PackedSegments {
        assert!(
            set.ranges.len() <= PAGE_ENTRIES_MAX,
            "an entry of a page adds one range"
        );
        let mut bytes = Vec::new();
        let mut behind = 0;
        for range in &set.ranges {
            put_number(&mut bytes, u64::from(range.first.0) - behind);
            put_number(&mut bytes, range.count() - 1);
            behind = u64::from(range.last.0) + 1;
        }
        PackedSegments(bytes.into())
    }

    /// Its ranges, by rising numbers.
    pub fn ranges(&self) -> impl Iterator<Item = SegmentRange> + '_ {
        let (mut bytes, mut behind) = (&self.0[..], 0);
        std::iter::from_fn(move || take_range(&mut bytes, &mut behind))
    }

    /// Appends a length (u16) and that many bytes.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let length = u16::try_from(self.0.len()).expect("a set has at most PACKED_BYTES_MAX bytes");
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&self.0);
    }

    /// Reads what [`PackedSegments::encode`] wrote.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<PackedSegments, Malformed> {
        let length = reader.u16()?;
        let bytes = reader.take(length.into())?;
        let (mut left, mut behind, mut set) = (bytes, 0, SegmentSet::default());
        while let Some(range) = take_range(&mut left, &mut behind) {
            set.insert(range);
        }
        let packed = PackedSegments(bytes.into());
        // One set has one form: what is packed again comes out the same.
        if !left.is_empty() || set.ranges.len() > PAGE_ENTRIES_MAX || PackedSegments::of(&set) != packed {
            return Err(Malformed("checkpoint: the segments of a piece"));
        }
        Ok(packed)
    }
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes a range off the front, if there is one; `behind`: the number behind the range before.
fn take_range(bytes: &mut &[u8], behind: &mut u64) -> Option<SegmentRange> {
    let mut rest = *bytes;
    let first = behind.checked_add(take_number(&mut rest)?)?;
    let last = first.checked_add(take_number(&mut rest)?)?;
    let range = SegmentRange {
        first: SegmentNumber(u32::try_from(first).ok()?),
        last: SegmentNumber(u32::try_from(last).ok()?),
    };
    (*bytes, *behind) = (rest, last + 1);
    Some(range)
}

/// A number of at most five bytes.
fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in [0, 7, 14, 21, 28] {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bytes::Bytes;

    use super::*;

    fn range(first: u32, last: u32) -> SegmentRange {
        SegmentRange {
            first: SegmentNumber(first),
            last: SegmentNumber(last),
        }
    }

    fn packed_bytes(set: &SegmentSet) -> Vec<u8> {
        let mut out = Vec::new();
        PackedSegments::of(set).encode(&mut out);
        out
    }

    fn unpacked(bytes: Vec<u8>) -> Result<SegmentSet, Malformed> {
        let bytes = Bytes::from(bytes);
        PackedSegments::decode(&mut Reader::new(&bytes)).map(|packed| packed.ranges().collect())
    }

    #[test]
    fn a_set_holds_what_was_put_in_whatever_the_order_and_has_one_form() {
        let mut state = 7u64;
        let mut next = |below: u32| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as u32 % below
        };
        for _ in 0..300 {
            let (mut set, mut model) = (SegmentSet::default(), BTreeSet::new());
            for _ in 0..next(20) {
                let first = next(60);
                let added = range(first, first + next(5));
                set.insert(added);
                model.extend(added.first.0..=added.last.0);
            }
            assert!(set.segments().map(|segment| segment.0).eq(model.iter().copied()));
            for pair in set.ranges().windows(2) {
                assert!(pair[0].last.0 + 1 < pair[1].first.0, "{set:?}");
            }
            for first in 0..70 {
                assert_eq!(set.contains(SegmentNumber(first)), model.contains(&first));
                for last in first..70 {
                    let mut inside = (first..=last).map(|number| model.contains(&number));
                    assert_eq!(set.meets(range(first, last)), inside.clone().any(|is_in| is_in));
                    assert_eq!(set.covers(range(first, last)), inside.all(|is_in| is_in));
                }
            }
            assert_eq!(unpacked(packed_bytes(&set)), Ok(set));
        }
    }

    #[test]
    fn a_packed_set_is_small_and_exact_at_every_scale() {
        let close: SegmentSet = [range(16_000, 16_001)].into_iter().collect();
        assert_eq!(packed_bytes(&close).len(), 2 + 3);
        let edges: SegmentSet = [range(0, 0), range(2, 2), range(u32::MAX, u32::MAX)]
            .into_iter()
            .collect();
        assert_eq!(unpacked(packed_bytes(&edges)), Ok(edges));
        let everything: SegmentSet = [range(0, u32::MAX)].into_iter().collect();
        assert_eq!(unpacked(packed_bytes(&everything)), Ok(everything));
        let scattered: SegmentSet = (0..PAGE_ENTRIES_MAX as u32)
            .map(|entry| range(entry * 16_000, entry * 16_000))
            .collect();
        assert!(packed_bytes(&scattered).len() <= 3 * PAGE_ENTRIES_MAX + 2);
        assert_eq!(unpacked(packed_bytes(&scattered)), Ok(scattered));
    }

    #[test]
    fn bytes_that_no_set_packs_to_are_refused() {
        for bytes in [
            &[1, 0, 5][..],                           // half a range
            &[2, 0, 5],                               // cut short
            &[4, 0, 5, 0, 0, 0],                      // two ranges that touch
            &[3, 0, 0x85, 0, 0],                      // a number in more bytes than it needs
            &[6, 0, 0xff, 0xff, 0xff, 0xff, 0x1f, 0], // beyond the highest number
            &[6, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0], // a number without an end
            &[6, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 1], // the same, by its count
        ] {
            assert!(unpacked(bytes.to_vec()).is_err(), "{bytes:?}");
        }
        assert_eq!(unpacked(vec![0, 0]), Ok(SegmentSet::default()));
    }
}
