//! What may be deleted, and what must not.

use journal::{CheckpointSummary, DeletionView, ReplayStart, deletable, names};
use message::{Epoch, Sequence};
use record::{CheckpointName, SegmentNumber};

use crate::checkpoints::name;

fn summary(checkpoint: CheckpointName, lowest: u32, piece_files: &[CheckpointName]) -> CheckpointSummary {
    CheckpointSummary {
        name: checkpoint,
        through: Sequence(10),
        start: ReplayStart::BEGINNING,
        engine_time: 0,
        lowest_segment: SegmentNumber(lowest),
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
    };
    let there = segments(&[(7, 9), (6, 8), (5, 4), (6, 5), (4, 3), (5, 5), (8, 2), (7, 6)]);
    let going = deletable(&view, &there, &[]);
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
fn nothing_goes_before_two_checkpoints_are_named() {
    let newer = summary(name(7, 3), 9, &[]);
    for named in [[None, None], [Some(&newer), None], [None, Some(&newer)]] {
        let view = DeletionView { own: Epoch(7), named };
        assert!(deletable(&view, &segments(&[(1, 1)]), &checkpoints(&[(7, 1, false)])).is_empty());
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
    let going = deletable(&view, &[], &there);
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
    };
    let foreign = [
        "lost+found",
        "00000001-00000001.bak",
        "1-1",
        ".nfs0001",
        "00000001-0001.pieces~",
    ]
    .map(str::to_owned);
    assert!(deletable(&view, &foreign, &foreign).is_empty());
}
