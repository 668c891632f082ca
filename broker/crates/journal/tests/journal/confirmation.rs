//! When a record counts as confirmed, and when nothing does any more.

use std::collections::BTreeSet;
use std::time::Duration;

use journal::{EMPTY_BATCH_AFTER, JournalFailure, JournalSettings, NEXT_WRITE_AFTER, NO_SPACE_RETRY_AFTER};
use message::{Epoch, Sequence};
use platform::DiskErrorKind;
use record::{SegmentNumber, Store};

use crate::rig::{BLOCK, Rig, SMALL, assert_prefix, recovered};

#[test]
fn a_record_is_confirmed_only_after_its_write_returned_and_the_fence_was_read_as_open() {
    let mut rig = Rig::new(SMALL);
    rig.provide_segments();
    rig.append_message(100);
    assert_eq!(rig.journal.confirmed(), Sequence(0));
    rig.pump();
    assert_eq!(
        rig.machine.disk.pending(),
        1,
        "the disk was free: the batch closed at once"
    );
    assert_eq!(rig.journal.confirmed(), Sequence(0), "the write has not returned");
    assert_eq!(rig.journal.confirmed_position(), None);
    let submitted = rig.machine.now().boot;
    assert_eq!(rig.journal.oldest_write_since(), Some(submitted));
    rig.machine.pass(Duration::from_millis(5));
    rig.machine.disk.complete(0);
    rig.turn().expect("the fence is open");
    assert_eq!(rig.journal.confirmed(), Sequence(1));
    assert_eq!(rig.journal.oldest_write_since(), None);
    let position = rig.journal.confirmed_position().expect("one batch is confirmed");
    assert_eq!(
        (position.segment, position.offset, position.batch),
        (SegmentNumber(1), 0, 1)
    );
}

#[test]
fn a_fence_closed_between_write_and_read_confirms_nothing_and_nothing_after_it() {
    let mut rig = Rig::new(SMALL);
    rig.provide_segments();
    rig.append_message(100);
    rig.pump();
    rig.append_message(100);
    rig.pump();
    rig.fence();
    rig.machine.disk.complete_all();
    let failure = rig.turn().expect_err("the fence is closed");
    assert!(matches!(failure, JournalFailure::Fenced { by: Epoch(9) }), "{failure}");
    assert_eq!(rig.journal.confirmed(), Sequence(0));
    assert_eq!(rig.journal.next_deadline(), None);
    rig.append_message(100);
    rig.pump();
    assert_eq!(rig.machine.disk.pending(), 0, "a journal that failed writes nothing");
    assert!(
        rig.turn().is_err(),
        "the second write's completion fails as the first did"
    );
    assert_eq!(rig.journal.confirmed(), Sequence(0));
}

#[test]
fn batches_are_confirmed_in_order_whatever_the_order_of_completion() {
    let mut rig = Rig::new(SMALL);
    rig.provide_segments();
    for _ in 0..3 {
        rig.append_message(100);
        rig.pump();
    }
    for (completed, confirmed) in [(2, 0), (1, 0), (0, 3)] {
        rig.machine.disk.complete(completed);
        rig.turn().expect("the fence is open");
        assert_eq!(rig.journal.confirmed(), Sequence(confirmed));
    }
}

#[test]
fn a_write_that_failed_ends_confirmation_also_of_what_returned_later() {
    for kind in [DiskErrorKind::Failed, DiskErrorKind::Stale, DiskErrorKind::Denied] {
        let mut rig = Rig::new(SMALL);
        rig.provide_segments();
        rig.append_message(100);
        rig.pump();
        rig.append_message(100);
        rig.pump();
        rig.machine.disk.fail_writes(0, kind);
        rig.machine.disk.complete(1);
        assert!(matches!(rig.turn(), Err(JournalFailure::Io(error)) if error.kind == kind));
        rig.machine.disk.heal();
        rig.machine.disk.complete(0);
        assert!(rig.turn().is_err());
        assert_eq!(rig.journal.confirmed(), Sequence(0));
        assert!(rig.journal.failure().is_some());
    }
}

#[test]
fn what_found_no_space_is_written_again_unchanged_and_nothing_behind_it_is_confirmed_before() {
    let mut rig = Rig::new(SMALL);
    rig.provide_segments();
    for _ in 0..2 {
        rig.append_message(100);
        rig.pump();
    }
    let before = rig.machine.disk.writes_under_way();
    rig.machine.disk.fail_writes(0, DiskErrorKind::NoSpace);
    rig.machine.disk.complete(0);
    rig.machine.disk.heal();
    rig.machine.disk.complete(0);
    rig.turn().expect("a lack of space is no failure");
    assert_eq!(
        rig.journal.confirmed(),
        Sequence(0),
        "the second batch is durable, the first is not"
    );
    assert!(rig.journal.lacks_space());
    assert_eq!(rig.journal.oldest_write_since(), None, "waiting for space is no stall");

    rig.append_message(100);
    rig.pump();
    assert_eq!(
        rig.machine.disk.pending(),
        0,
        "nothing new goes out while a batch waits for space"
    );
    assert_eq!(
        rig.journal.next_deadline(),
        Some(rig.machine.now().boot + NO_SPACE_RETRY_AFTER)
    );
    rig.machine.pass(NO_SPACE_RETRY_AFTER);
    rig.machine.disk.fail_writes(0, DiskErrorKind::NoSpace);
    rig.pump();
    let again = rig.machine.disk.writes_under_way();
    assert_eq!(again.len(), 2, "the batch once more, and the one that waited behind it");
    assert_eq!(
        (&again[0].0, again[0].1, &again[0].2[..]),
        (&before[0].0, before[0].1, &before[0].2[..])
    );
    rig.machine.disk.complete_all();
    rig.turn().expect("still no failure");
    assert!(rig.journal.lacks_space());
    assert_eq!(rig.journal.confirmed(), Sequence(0));

    rig.machine.disk.heal();
    rig.machine.pass(NO_SPACE_RETRY_AFTER);
    rig.settle().expect("there is space again");
    assert_eq!(rig.journal.confirmed(), Sequence(3));
    let (_, collected) =
        recovered(&rig.machine.disk, rig.plan(rig.journal.confirmed_position())).expect("nothing is damaged");
    assert_eq!(collected.records.len(), 3);
    assert_prefix(&collected, &rig.appended);
}

#[test]
fn records_share_a_batch_while_the_disk_is_busy() {
    let mut rig = Rig::new(SMALL);
    rig.provide_segments();
    for _ in 0..4 {
        rig.append_message(10);
        rig.pump();
    }
    assert_eq!(rig.machine.disk.pending(), 4);
    for _ in 0..5 {
        rig.append_message(10);
        rig.pump();
    }
    assert_eq!(rig.machine.disk.pending(), 4, "as many writes are out as may be");
    rig.machine.disk.complete(0);
    rig.turn().expect("the fence is open");
    rig.pump();
    assert_eq!(rig.machine.disk.pending(), 4, "the five went out together");
    rig.settle().expect("the fence is open");
    assert_eq!(rig.journal.confirmed(), Sequence(9));
    assert_eq!(rig.journal.confirmed_position().map(|position| position.batch), Some(5));
}

#[test]
fn nothing_goes_into_a_segment_that_was_not_added_and_what_waits_keeps_its_order() {
    let mut rig = Rig::new(SMALL);
    assert_eq!(rig.journal.wants_segment(), Some(SegmentNumber(1)));
    rig.append_message(100);
    rig.append_message(3 * BLOCK);
    rig.append_message(100);
    rig.pump();
    assert_eq!(rig.machine.disk.pending(), 0);
    assert_eq!(rig.journal.free_segments(), 0);
    rig.provide_segment(SegmentNumber(1));
    assert_eq!(
        rig.journal.wants_segment(),
        Some(SegmentNumber(2)),
        "one more is wanted ahead of time"
    );
    assert_eq!(rig.journal.free_segments(), 1);
    rig.pump();
    assert!(rig.machine.disk.pending() > 0);
    assert_eq!(rig.journal.free_segments(), 0);
    rig.settle().expect("the fence is open");
    assert_eq!(rig.journal.confirmed(), Sequence(3));
    let (_, collected) = recovered(&rig.machine.disk, rig.plan(None)).expect("nothing is damaged");
    assert_prefix(&collected, &rig.appended);
    assert_eq!(collected.records.len(), 3);
}

#[test]
fn a_full_segment_is_given_back_once_all_of_it_is_confirmed() {
    let mut rig = Rig::new(SMALL);
    rig.provide_segments();
    for _ in 0..4 {
        rig.append_message(BLOCK);
        rig.pump();
    }
    assert!(rig.journal.finished_segments().is_empty(), "nothing is confirmed");
    rig.settle().expect("the fence is open");
    let finished: Vec<_> = rig
        .journal
        .finished_segments()
        .into_iter()
        .map(|(number, _)| number)
        .collect();
    assert_eq!(finished, [SegmentNumber(1)]);
    assert!(rig.journal.finished_segments().is_empty(), "told once");
}

#[test]
fn one_empty_batch_says_what_is_confirmed_when_nothing_else_does() {
    let mut rig = Rig::new(SMALL);
    rig.append_message(100);
    rig.settle().expect("the fence is open");
    let due = rig.machine.now().boot + EMPTY_BATCH_AFTER;
    assert_eq!(rig.journal.next_deadline(), Some(due));
    rig.machine.pass(EMPTY_BATCH_AFTER - Duration::from_millis(1));
    rig.pump();
    assert_eq!(rig.machine.disk.pending(), 0);
    rig.machine.pass(Duration::from_millis(1));
    rig.pump();
    assert_eq!(rig.machine.disk.pending(), 1);
    rig.settle().expect("the fence is open");
    assert_eq!(rig.journal.confirmed_position().map(|position| position.batch), Some(2));
    assert_eq!(rig.journal.next_deadline(), None, "an empty batch asks for none");
    rig.machine.pass(Duration::from_secs(10));
    rig.pump();
    assert_eq!(rig.machine.disk.pending(), 0);

    rig.append_message(100);
    rig.settle().expect("the fence is open");
    rig.append_message(100);
    rig.settle().expect("the fence is open");
    assert!(
        rig.journal.next_deadline().is_some(),
        "the newest batch with records is not said to be confirmed"
    );
    let (found, collected) = recovered(&rig.machine.disk, rig.plan(None)).expect("nothing is damaged");
    assert_eq!((found.next_batch, collected.records.len()), (5, 3));
}

#[test]
fn a_record_larger_than_a_segment_is_confirmed_when_its_last_chunk_is_and_comes_back_whole() {
    let settings = JournalSettings {
        segment_bytes: 4 << 20,
        batch_bytes_max: 1 << 20,
        writes_in_flight: 4,
    };
    let mut rig = Rig::new(settings);
    rig.append_message(1000);
    let large = rig.append_message(10 << 20);
    rig.append_message(1000);
    rig.provide_segments();
    let mut last = Sequence(0);
    while rig.journal.confirmed() < Sequence(3) {
        rig.provide_segments();
        rig.pump();
        rig.machine.disk.complete(0);
        rig.turn().expect("the fence is open");
        let confirmed = rig.journal.confirmed();
        assert!(confirmed >= last);
        last = confirmed;
    }
    assert_eq!(large.sequence, Sequence(2));
    assert!(rig.highest_segment >= 4, "it reached over segments");
    let (_, collected) = recovered(&rig.machine.disk, rig.plan(None)).expect("nothing is damaged");
    assert_eq!(collected.records.len(), 3);
    assert_prefix(&collected, &rig.appended);
    assert!(collected.told.len() >= 10 && collected.told.iter().all(|(bytes, of)| bytes <= of));
}

/// Lets one write take so long, beside no other.
fn take(rig: &mut Rig, time: Duration) {
    rig.append_message(100);
    rig.pump();
    rig.machine.pass(time);
    rig.machine.disk.complete_all();
    rig.turn().expect("the fence is open");
    rig.pump();
}

#[test]
fn a_disk_that_is_far_away_gets_more_batches_at_a_time() {
    let settings = JournalSettings {
        segment_bytes: 64 * BLOCK as u32,
        writes_in_flight: 2,
        ..SMALL
    };
    let mut rig = Rig::new(settings);
    rig.provide_segments();
    let append = |rig: &mut Rig| {
        rig.append_message(100);
        rig.pump();
        rig.machine.disk.pending()
    };
    assert_eq!([append(&mut rig), append(&mut rig), append(&mut rig)], [1, 2, 2]);
    rig.machine.pass(Duration::from_secs(1));
    assert_eq!(append(&mut rig), 2, "nothing is known of the disk yet");
    rig.machine.disk.complete_all();
    rig.turn().expect("the fence is open");
    rig.pump();
    rig.machine.disk.complete_all();
    rig.turn().expect("the fence is open");

    let before = rig.journal.confirmed();
    assert_eq!([append(&mut rig), append(&mut rig), append(&mut rig)], [1, 2, 2]);
    for out in 3..=8 {
        let due = rig.machine.now().boot + NEXT_WRITE_AFTER;
        assert_eq!(rig.journal.next_deadline(), Some(due));
        rig.machine.pass(NEXT_WRITE_AFTER - Duration::from_nanos(1));
        assert_eq!(append(&mut rig), out - 1);
        rig.machine.pass(Duration::from_nanos(1));
        assert_eq!(append(&mut rig), out, "the disk took its time: one place more");
        append(&mut rig);
    }
    rig.machine.pass(Duration::from_secs(1));
    assert_eq!(append(&mut rig), 8, "four times as many, and no more");
    assert_eq!(rig.journal.next_deadline(), None);
    // They come back in any order, and are confirmed in theirs.
    rig.machine.disk.complete(7);
    rig.turn().expect("the fence is open");
    assert_eq!(rig.journal.confirmed(), before);
    rig.machine.disk.complete_all();
    rig.turn().expect("the fence is open");
    rig.pump();
    rig.machine.disk.complete_all();
    rig.turn().expect("the fence is open");
    assert_eq!(rig.journal.confirmed(), rig.journal.appended());
}

#[test]
fn a_disk_that_is_late_with_much_to_write_gets_no_more_batches_at_a_time() {
    let settings = JournalSettings {
        segment_bytes: 256 * BLOCK as u32,
        batch_bytes_max: 64 * BLOCK as u32,
        writes_in_flight: 2,
    };
    let mut rig = Rig::new(settings);
    rig.provide_segments();
    take(&mut rig, Duration::from_millis(3));
    for _ in 0..2 {
        rig.append_message(130 << 10);
        rig.pump();
    }
    rig.append_message(100);
    rig.machine.pass(Duration::from_secs(1));
    rig.pump();
    assert_eq!(rig.machine.disk.pending(), 2);
    assert_eq!(rig.journal.next_deadline(), None);
}

/// A hundred producers, each with one record outstanding, and a disk that does one write after the other: the more are out, the longer each waits, and the smaller each is.
#[test]
fn a_disk_that_does_one_write_after_the_other_is_not_given_more_and_smaller_ones() {
    const TICK: Duration = Duration::from_micros(50);
    const SERVICE_TICKS: u64 = 40;
    let mut rig = Rig::new(JournalSettings::default());
    rig.provide_segments();
    let mut due: BTreeSet<(u64, u64)> = (0..100).map(|producer| (producer * 10, producer)).collect();
    let (mut written_at, mut operations, mut answered, mut drawn) = (None, 0, 0, 1_u64);
    for tick in 0..20_000 {
        rig.machine.pass(TICK);
        while due.first().is_some_and(|(at, _)| *at <= tick) {
            due.pop_first();
            rig.append_message(1024);
            rig.pump();
        }
        if written_at.is_some_and(|at| at <= tick) {
            rig.machine.disk.complete(0);
            operations += 1;
            written_at = None;
            rig.turn().expect("the fence is open");
        }
        rig.pump();
        if written_at.is_none() && rig.machine.disk.pending() > 0 {
            written_at = Some(tick + SERVICE_TICKS);
        }
        while answered < rig.journal.confirmed().0 {
            answered += 1;
            drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            due.insert((tick + 2 + (drawn >> 33) % 20, answered + 100));
        }
    }
    // With four places only, it is 19.
    assert!(answered / operations >= 15, "{answered} records in {operations} writes");
}
