//! What may be deleted, and what must not.

use journal::{CheckpointSummary, Deletable, DeletionView, ReplayStart, deletable, names};
use message::{Epoch, Sequence};
use record::{CheckpointName, SegmentNumber, SegmentRange, SegmentSet};

use crate::checkpoints::name;

/// A checkpoint whose replay starts in a segment and that refers to some before it.
fn referring(checkpoint: CheckpointName, start: u32, segments: &[u32]) -> CheckpointSummary {
    let range = |number: &u32| SegmentRange {
        first: SegmentNumber(*number),
        last: SegmentNumber(*number),
    };
    CheckpointSummary {
        segments: segments.iter().map(range).collect(),
        ..summary(checkpoint, start, &[])
    }
}

fn summary(checkpoint: CheckpointName, start: u32, piece_files: &[CheckpointName]) -> CheckpointSummary {
    CheckpointSummary {
        name: checkpoint,
        through: Sequence(10),
        start: ReplayStart {
            segment: SegmentNumber(start),
            ..ReplayStart::BEGINNING
        },
        engine_time: 0,
        segments: SegmentSet::default(),
        piece_files: piece_files.iter().map(|name| (*name, 100)).collect(),
        bytes: 0,
    }
}

fn segments(all: &[(u32, u32)]) -> Vec<String> {
    let name = |(epoch, number): &(u32, u32)| names::segment(Epoch(*epoch), SegmentNumber(*number));
    all.iter()
        .map(|segment| name(segment)["journal/".len()..].to_owned())
        .collect()
}

fn checkpoints(all: &[(u32, u32, bool)]) -> Vec<String> {
    let path = |(epoch, number, pieces): &(u32, u32, bool)| {
        let name = name(*epoch, *number);
        if *pieces {
            names::pieces(name)
        } else {
            names::checkpoint(name)
        }
    };
    all.iter()
        .map(|file| path(file)["checkpoints/".len()..].to_owned())
        .collect()
}

#[test]
fn only_segments_below_both_named_checkpoints_go_lower_numbers_first() {
    let (newer, older) = (summary(name(7, 3), 9, &[]), summary(name(7, 2), 6, &[]));
    let view = DeletionView {
        own: Epoch(7),
        named: [Some(&newer), Some(&older)],
        being_read: &SegmentSet::default(),
    };
    let there = segments(&[(7, 9), (6, 8), (5, 4), (6, 5), (4, 3), (5, 5), (8, 2), (7, 6)]);
    let going: Vec<_> = deletable(&view, &there, &[]).paths().collect();
    assert_eq!(
        going,
        [
            "journal/00000004-00000003",
            "journal/00000005-00000004",
            "journal/00000005-00000005",
            "journal/00000006-00000005"
        ]
    );
}

#[test]
fn a_segment_between_two_that_stay_goes_when_neither_named_checkpoint_refers_to_it() {
    let (newer, older) = (referring(name(7, 3), 9, &[1, 6]), referring(name(7, 2), 8, &[1, 3]));
    let view = DeletionView {
        own: Epoch(7),
        named: [Some(&newer), Some(&older)],
        being_read: &SegmentSet::default(),
    };
    let there = segments(&[(7, 9), (7, 8), (7, 7), (6, 6), (6, 5), (6, 4), (6, 3), (5, 2), (5, 1)]);
    let gone = deletable(&view, &there, &[]).segments;
    assert_eq!(
        gone.iter().map(|(_, number)| number.0).collect::<Vec<_>>(),
        [2, 4, 5, 7],
        "1 is both's, 3 the older's, 6 the newer's; replay for the older starts in 8"
    );
    let being_read = [SegmentRange {
        first: SegmentNumber(4),
        last: SegmentNumber(5),
    }];
    let view = DeletionView {
        being_read: &being_read.into_iter().collect(),
        ..view
    };
    let gone = deletable(&view, &there, &[]).segments;
    assert_eq!(
        gone.iter().map(|(_, number)| number.0).collect::<Vec<_>>(),
        [2, 7],
        "4 and 5 are being read"
    );
}

#[test]
fn a_checkpoint_needs_less_than_the_one_before_it_when_a_segment_goes_with_that() {
    let less = |newer: (u32, &[u32]), older: (u32, &[u32])| {
        let [newer, older] = [newer, older].map(|(start, segments)| referring(name(7, 1), start, segments));
        newer.needs_less_than(&older)
    };
    assert!(!less((9, &[1, 5]), (9, &[1, 5])));
    assert!(!less((9, &[1, 5]), (9, &[5])), "it needs more");
    assert!(less((9, &[1]), (9, &[1, 5])), "a message in 5 is consumed");
    assert!(
        less((9, &[1]), (8, &[1])),
        "replay starts later, and 8 holds nothing that waits"
    );
    assert!(
        !less((9, &[1, 8]), (8, &[1])),
        "replay starts later, and 8 holds what waits"
    );
    assert!(!less((9, &[1]), (9, &[1, 9])), "replay reads 9 in any case");
    assert!(!less((0, &[]), (0, &[])), "at the beginning");
}

#[test]
fn nothing_goes_before_two_checkpoints_are_named() {
    let newer = summary(name(7, 3), 9, &[]);
    for named in [[None, None], [Some(&newer), None], [None, Some(&newer)]] {
        let view = DeletionView {
            own: Epoch(7),
            named,
            being_read: &SegmentSet::default(),
        };
        assert!(deletable(&view, &segments(&[(1, 1)]), &checkpoints(&[(7, 1, false)])) == Deletable::default());
    }
}

#[test]
fn files_of_checkpoints_go_when_neither_named_one_needs_them_and_never_what_is_being_written() {
    let (newer, older) = (
        summary(name(7, 3), 9, &[name(6, 4), name(7, 3)]),
        summary(name(7, 2), 6, &[name(5, 1), name(6, 4)]),
    );
    let view = DeletionView {
        own: Epoch(7),
        named: [Some(&newer), Some(&older)],
        being_read: &SegmentSet::default(),
    };
    let there = checkpoints(&[
        (5, 1, false),
        (5, 1, true),
        (6, 4, false),
        (6, 4, true),
        (6, 9, true),
        (7, 1, false),
        (7, 1, true),
        (7, 2, false),
        (7, 2, true),
        (7, 3, false),
        (7, 3, true),
        (7, 4, false),
        (7, 4, true),
        (8, 1, false),
    ]);
    let going: Vec<_> = deletable(&view, &[], &there).paths().collect();
    let expected = [
        "checkpoints/00000005-0001",
        "checkpoints/00000006-0004",
        "checkpoints/00000006-0009.pieces",
        "checkpoints/00000007-0001",
        "checkpoints/00000007-0001.pieces",
        "checkpoints/00000007-0002.pieces",
    ];
    assert_eq!(going, expected);
}

#[test]
fn names_that_no_broker_makes_are_left_alone() {
    let (newer, older) = (summary(name(7, 3), 9, &[]), summary(name(7, 2), 9, &[]));
    let view = DeletionView {
        own: Epoch(7),
        named: [Some(&newer), Some(&older)],
        being_read: &SegmentSet::default(),
    };
    let foreign = [
        "lost+found",
        "00000001-00000001.bak",
        "1-1",
        ".nfs0001",
        "00000001-0001.pieces~",
    ]
    .map(str::to_owned);
    assert_eq!(deletable(&view, &foreign, &foreign), Deletable::default());
}
