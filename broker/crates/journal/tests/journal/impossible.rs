//! Numbers that no leader writes, with every checksum right: damage, told at once, and neither a panic nor a search through all the numbers there are. Found by fuzzing.

use bytes::Bytes;
use journal::checkpoint::Index;
use journal::{CheckpointError, RecoveryError, RecoveryPlan, names, read_checkpoint};
use message::Sequence;
use record::SegmentNumber;

use crate::checkpoints::{duplicates, name, page, write};
use crate::rig::{Machine, MemoryDisk, Rig, SMALL, recovered};

/// A journal with a checkpoint of two pieces.
pub(crate) fn scene() -> Rig {
    let mut rig = Rig::new(SMALL);
    let ticket = rig.append_message(100);
    rig.settle().expect("nobody fences this epoch");
    write(&rig, name(1, 1), vec![page(1, &[ticket]), duplicates(1)], None);
    rig
}

/// The same directory with another index, its checksum right.
pub(crate) fn with_index(rig: &Rig, change: impl FnOnce(&mut Index)) -> MemoryDisk {
    let disk = rig.machine.disk.copy();
    let path = names::checkpoint(name(1, 1));
    let mut index = Index::decode(&Bytes::from(disk.get(&path)), name(1, 1)).expect("it was just written");
    change(&mut index);
    disk.put(&path, index.encode());
    disk
}

fn damage_of(disk: &MemoryDisk) -> String {
    let machine = Machine::on(disk.clone());
    let files = machine.files.clone();
    match machine.run(async move { read_checkpoint(files, name(1, 1)).await }) {
        Err(CheckpointError::Damaged(damage)) => damage.what,
        other => panic!("damage was not noticed: {other:?}"),
    }
}

fn refusal_of(disk: &MemoryDisk, plan: RecoveryPlan) -> String {
    match recovered(disk, plan) {
        Err(RecoveryError::Damaged(damage)) => damage.what,
        Err(other) => panic!("another failure: {other}"),
        Ok(_) => panic!("damage was not noticed"),
    }
}

#[test]
fn a_piece_beyond_what_64_bits_count_is_beyond_its_file() {
    let rig = scene();
    for offset in [u64::MAX, u64::MAX - 10, 1 << 40] {
        let disk = with_index(&rig, |index| index.pieces[1].1.offset = offset);
        let what = damage_of(&disk);
        assert!(what.contains("ends before this piece does"), "{what}");
    }
}

#[test]
fn duplicate_ids_with_a_priority_are_no_piece() {
    let rig = scene();
    let disk = rig.machine.disk.copy();
    let path = names::checkpoint(name(1, 1));
    disk.edit(&path, |bytes| {
        let key = [2, 1, 0, 0, 0, 0, 1, 0, 0, 0];
        let at = bytes.windows(key.len()).position(|window| window == key);
        bytes[at.expect("the index names the piece") + 5] = 4;
        bytes[8..12].fill(0);
        let checksum = crc32fast::hash(bytes);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
    });
    assert_eq!(damage_of(&disk), "the index gives duplicate ids a priority");
}

#[test]
fn an_index_that_counts_further_than_any_history_is_damaged() {
    let rig = scene();
    let far = u64::MAX;
    for disk in [
        with_index(&rig, |index| index.summary.through = Sequence(far)),
        with_index(&rig, |index| index.summary.start.sequence = Sequence(far)),
        with_index(&rig, |index| index.summary.start.batch = far),
    ] {
        assert_eq!(damage_of(&disk), "a number that no history reaches");
    }
}

#[test]
fn a_heartbeat_that_names_the_last_batch_that_can_be_counted_is_refused() {
    let rig = scene();
    let mut position = rig.journal.confirmed_position().expect("all is confirmed");
    position.batch = u64::MAX;
    let what = refusal_of(&rig.machine.disk, rig.plan(Some(position)));
    assert!(what.contains("[R6]"), "{what}");
}

#[test]
fn announced_segments_that_do_not_exist_are_refused_at_the_first() {
    let rig = scene();
    let mut plan = rig.plan(None);
    let log = plan.predecessor.as_mut().expect("the plan has a log");
    log.highest_segment = SegmentNumber(u32::MAX);
    let what = refusal_of(&rig.machine.disk, plan);
    assert!(what.contains("[R5]"), "{what}");
}

/// Two checkpoints whose replays start as far apart as segments can be numbered: only segments that somebody owns are looked for, not each of four billion numbers.
#[test]
fn what_lies_between_two_checkpoints_is_looked_for_by_its_owners() {
    let rig = scene();
    let disk = with_index(&rig, |index| index.summary.start.segment = SegmentNumber(u32::MAX));
    let older = rig.machine.disk.get(&names::checkpoint(name(1, 1)));
    let mut older = Index::decode(&Bytes::from(older), name(1, 1)).expect("it was just written");
    older.summary.name = name(1, 2);
    disk.put(&names::checkpoint(name(1, 2)), older.encode());
    let plan = RecoveryPlan {
        checkpoints: [Some(name(1, 1)), Some(name(1, 2))],
        ..rig.plan(None)
    };
    let (found, collected) = recovered(&disk, plan.clone()).expect("nothing is missing that anybody owns");
    assert_eq!((found.warnings.len(), collected.records.len()), (0, 0));
    disk.remove(&rig.segment_path(1));
    let what = refusal_of(&disk, plan);
    assert!(what.contains("segment, and it does not exist [C6]"), "{what}");
}
