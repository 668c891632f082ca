//! One flipped bit, one missing file, one wrong batch: refuse, or end the log where the table says, and never lose anything that was shown to be confirmed.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use journal::format::{BatchHeader, ChunkHeader, HEADER_BYTES, Seed};
use journal::{EMPTY_BATCH_AFTER, RecoveryError, RecoverySink, Refused, Warning};
use message::{Epoch, Sequence};
use platform::{Blocks, DiskErrorKind};
use record::{Malformed, PieceContent, PieceKey, PieceReference, Record, RecordPlace, SegmentNumber, Store};

use crate::rig::{
    BLOCK, Machine, MemoryDisk, Rig, SMALL, Start, assert_prefix, message_of, nonce, plan_behind, recovered,
    sent_message, taken_over,
};

fn refused(result: Result<impl Sized, RecoveryError>) -> journal::Damage {
    match result {
        Err(RecoveryError::Damaged(damage)) => damage,
        Err(other) => panic!("another failure: {other}"),
        Ok(_) => panic!("damage was not noticed"),
    }
}

/// Five batches with one record each, then, after a second, the empty one that says so.
pub(crate) fn written() -> Rig {
    let mut rig = Rig::new(SMALL);
    for _ in 0..5 {
        rig.append_message(100);
        rig.settle().expect("nobody fences this epoch");
    }
    rig.machine.pass(EMPTY_BATCH_AFTER);
    rig.settle().expect("nobody fences this epoch");
    rig
}

/// Where each batch of the epoch lies: segment, offset.
fn batches(disk: &MemoryDisk, rig: &Rig) -> Vec<(u32, usize, BatchHeader)> {
    let mut found = Vec::new();
    for segment in rig.first_segment..=rig.highest_segment {
        for (index, block) in disk.get(&rig.segment_path(segment)).chunks(BLOCK).enumerate() {
            if let Ok(header) = BatchHeader::read(block, Seed::of(nonce(rig.epoch))) {
                found.push((segment, index * BLOCK, header));
            }
        }
    }
    found
}

#[test]
fn one_flipped_bit_anywhere_is_refused_with_file_and_offset_or_costs_only_what_nothing_shows_as_confirmed() {
    let rig = written();
    let batches = batches(&rig.machine.disk, &rig);
    assert_eq!(batches.len(), 6);
    let (mut refusals, mut ends) = (0, 0);
    for (segment, offset, header) in &batches {
        let path = rig.segment_path(*segment);
        for at in 0..BLOCK {
            let disk = rig.machine.disk.copy();
            disk.edit(&path, |bytes| bytes[offset + at] ^= 1 << (at % 8));
            let result = recovered(&disk, rig.plan(None));
            if header.number == 6 {
                let (found, collected) = result.expect("nothing rests on the last batch");
                assert_eq!(collected.records.len(), 5);
                let warned = Warning::UnfinishedWrite {
                    file: path.clone(),
                    offset: *offset as u32,
                };
                assert_eq!(found.warnings, [warned]);
                ends += 1;
            } else {
                let damage = refused(result);
                assert_eq!(
                    (damage.file.as_str(), damage.offset),
                    (path.as_str(), *offset as u64),
                    "byte {at}"
                );
                assert!(damage.what.contains("[R7]"), "{}", damage.what);
                refusals += 1;
            }
        }
    }
    assert_eq!((refusals, ends), (5 * BLOCK, BLOCK));
}

#[test]
fn the_heartbeat_protects_the_newest_batch_where_no_later_batch_does() {
    let rig = written();
    let confirmed = rig.journal.confirmed_position();
    for at in [0, 9, 40, 70, BLOCK - 1] {
        let (segment, offset, _) = *batches(&rig.machine.disk, &rig).last().expect("six batches");
        let disk = rig.machine.disk.copy();
        disk.edit(&rig.segment_path(segment), |bytes| bytes[offset + at] ^= 1);
        let damage = refused(recovered(&disk, rig.plan(confirmed)));
        assert_eq!((damage.file, damage.offset), (rig.segment_path(segment), offset as u64));
        assert!(damage.what.contains("[R6]"), "{}", damage.what);
    }
}

#[test]
fn a_heartbeat_that_names_another_batch_than_the_log_holds_is_damage() {
    let rig = written();
    let mut position = rig.journal.confirmed_position().expect("all is confirmed");
    position.checksum ^= 1;
    let damage = refused(recovered(&rig.machine.disk, rig.plan(Some(position))));
    assert!(damage.what.contains("[R8]"), "{}", damage.what);
}

#[test]
fn a_log_cut_off_before_what_is_shown_as_confirmed_is_refused_and_behind_it_starts() {
    let rig = written();
    let batches = batches(&rig.machine.disk, &rig);
    let heartbeat = rig.journal.confirmed_position();
    for (index, (segment, offset, _)) in batches.iter().enumerate() {
        for inside in [0, 1, 100, BLOCK - 1] {
            let disk = rig.machine.disk.copy();
            for later in segment + 1..=rig.highest_segment {
                disk.edit(&rig.segment_path(later), |bytes| bytes.fill(0));
            }
            disk.edit(&rig.segment_path(*segment), |bytes| bytes.truncate(offset + inside));
            let damage = refused(recovered(&disk, rig.plan(heartbeat)));
            assert_eq!(
                (damage.file.as_str(), damage.offset),
                (rig.segment_path(*segment).as_str(), *offset as u64)
            );
            let (found, collected) = recovered(&disk, rig.plan(None)).expect("all that showed it is cut off as well");
            assert_eq!(collected.records.len(), index.min(5));
            assert_eq!(
                found.warnings.len(),
                1,
                "a file that is shorter than it was is worth a word"
            );
        }
    }
    let (segment, offset, _) = *batches.last().expect("six batches");
    let disk = rig.machine.disk.copy();
    disk.edit(&rig.segment_path(segment), |bytes| bytes.truncate(offset + BLOCK));
    let (_, collected) = recovered(&disk, rig.plan(heartbeat)).expect("nothing confirmed is missing");
    assert_eq!(collected.records.len(), 5);
}

#[test]
fn an_announced_segment_that_does_not_exist_is_refused_wherever_it_lies() {
    let rig = written();
    for segment in rig.first_segment..=rig.highest_segment {
        let disk = rig.machine.disk.copy();
        disk.remove(&rig.segment_path(segment));
        let damage = refused(recovered(&disk, rig.plan(None)));
        assert_eq!(damage.file, rig.segment_path(segment));
        assert!(damage.what.contains("[R5]"), "{}", damage.what);
    }
}

#[test]
fn a_later_batch_shows_what_was_confirmed_even_if_only_its_header_is_whole() {
    let rig = written();
    let batches = batches(&rig.machine.disk, &rig);
    let disk = rig.machine.disk.copy();
    let (first, (segment, last, _)) = (batches[0], *batches.last().expect("six batches"));
    for (segment, offset, _) in &batches[1..5] {
        disk.edit(&rig.segment_path(*segment), |bytes| {
            bytes[*offset..offset + BLOCK].fill(0)
        });
    }
    disk.edit(&rig.segment_path(segment), |bytes| bytes[last + 200] ^= 1);
    disk.edit(&rig.segment_path(first.0), |bytes| bytes[first.1 + 80] ^= 1);
    let damage = refused(recovered(&disk, rig.plan(None)));
    assert_eq!((damage.file, damage.offset), (rig.segment_path(first.0), 0));
}

/// A batch that nobody wrote, put behind the log's end: what it says, and the seed of its checksums.
pub(crate) fn forged(rig: &Rig, change: impl FnOnce(&mut BatchHeader), seed: Seed) -> (MemoryDisk, u32) {
    let disk = rig.machine.disk.copy();
    let batches = batches(&disk, rig);
    let (segment, offset, newest) = *batches.last().expect("the log is not empty");
    let mut header = BatchHeader {
        last_of_segment: false,
        empty: false,
        epoch: Epoch(rig.epoch),
        segment: SegmentNumber(segment),
        offset: (offset + BLOCK) as u32,
        payload: 0,
        number: newest.number + 1,
        first_sequence: Sequence(newest.first_sequence.0),
        engine_time: 1,
        confirmed_through: 0,
        previous_checksum: newest.checksum,
        checksum: 0,
    };
    let mut record = Vec::new();
    sent_message(77, message_of(77, b"forged".to_vec())).encode(&mut record, &mut Vec::new());
    let place = RecordPlace {
        segment: header.segment,
        offset: header.offset + HEADER_BYTES as u32,
    };
    let chunk = ChunkHeader::of(&record, place, true, true, false, seed);
    let mut blocks = Blocks::zeroed(HEADER_BYTES);
    blocks.extend_from_slice(&chunk.encode());
    blocks.extend_from_slice(&record);
    header.payload = (blocks.len() - HEADER_BYTES) as u32;
    change(&mut header);
    header.finish(&mut blocks, seed);
    let at = offset + BLOCK;
    disk.edit(&rig.segment_path(segment), |bytes| {
        bytes[at..at + blocks.len()].copy_from_slice(&blocks)
    });
    (disk, at as u32)
}

#[test]
fn the_log_goes_on_only_with_the_next_batch_of_this_claim_chained_to_the_last() {
    let rig = written();
    let own = Seed::of(nonce(rig.epoch));
    let read = |disk: &MemoryDisk| recovered(disk, rig.plan(None)).expect("nothing is damaged");
    let (disk, _) = forged(&rig, |_| {}, own);
    assert_eq!(read(&disk).1.records.len(), 6, "the forgery is a good one");

    type Change = fn(&mut BatchHeader);
    let changes: [(&str, Change); 6] = [
        ("previous checksum", |header| header.previous_checksum ^= 1),
        ("number too high", |header| header.number += 1),
        ("number too low", |header| header.number -= 1),
        ("epoch", |header| header.epoch = Epoch(header.epoch.0 + 1)),
        ("segment", |header| header.segment.0 += 1),
        ("offset", |header| header.offset += BLOCK as u32),
    ];
    for (what, change) in changes {
        let (disk, offset) = forged(&rig, change, own);
        let (found, collected) = read(&disk);
        assert_eq!(collected.records.len(), 5, "{what}");
        assert!(
            matches!(&found.warnings[..], [Warning::UnfinishedWrite { offset: at, .. }] if *at == offset),
            "{what}"
        );
    }
    let (disk, _) = forged(&rig, |_| {}, Seed::of(nonce(99)));
    assert_eq!(read(&disk).1.records.len(), 5, "another claim's nonce");
    let (disk, _) = forged(&rig, |header| header.first_sequence.0 += 1, own);
    let damage = refused(recovered(&disk, rig.plan(None)));
    assert!(
        damage.what.contains("its first record is"),
        "whole, chained and inconsistent: {}",
        damage.what
    );
}

#[test]
fn a_body_that_imitates_batches_changes_nothing() {
    // A sender knows the whole format and guesses every field; what it cannot know is the nonce.
    let mut rig = Rig::new(SMALL);
    rig.append_message(100);
    rig.settle().expect("nobody fences this epoch");
    let mut body = Vec::new();
    for offset in [BLOCK, 2 * BLOCK, 3 * BLOCK] {
        let mut blocks = Blocks::zeroed(HEADER_BYTES);
        let mut header = BatchHeader {
            last_of_segment: false,
            empty: true,
            epoch: Epoch(1),
            segment: SegmentNumber(1),
            offset: offset as u32,
            payload: 0,
            number: 2,
            first_sequence: Sequence(2),
            engine_time: 1,
            confirmed_through: 1000,
            previous_checksum: rig.journal.confirmed_position().expect("confirmed").checksum,
            checksum: 0,
        };
        header.finish(&mut blocks, Seed::of(record::Nonce([0; 16])));
        body.extend_from_slice(&blocks);
    }
    // So that an imitation lies on a block boundary: behind the header, the chunk's header and the record's first bytes.
    for shift in 3700..3960 {
        let mut shifted = vec![0; shift % BLOCK];
        shifted.extend_from_slice(&body);
        let mut attacked = Rig::new(SMALL);
        attacked.append_message(100);
        attacked.settle().expect("nobody fences this epoch");
        attacked.append(sent_message(2, message_of(2, shifted)));
        attacked.provide_segments();
        attacked.pump();
        // The first batch of the body is torn: its first block is lost, so its other block lies behind the end of the log.
        let (path, offset, blocks) = attacked.machine.disk.writes_under_way()[0].clone();
        let disk = attacked.machine.disk.copy();
        disk.edit(&path, |bytes| {
            bytes[offset + BLOCK..offset + blocks.len()].copy_from_slice(&blocks[BLOCK..])
        });
        let (_, collected) = recovered(&disk, attacked.plan(attacked.journal.confirmed_position()))
            .expect("nothing confirmed is missing");
        assert_eq!(collected.records.len(), 1);
        attacked.settle().expect("nobody fences this epoch");
        let (_, collected) = recovered(&attacked.machine.disk, attacked.plan(None)).expect("nothing is damaged");
        assert_eq!(collected.records.len(), 2);
        assert_prefix(&collected, &attacked.appended);
    }
}

#[test]
fn damage_in_a_sealed_epoch_is_refused_up_to_its_sealed_length_and_ignored_behind() {
    let rig = written();
    let (first, _) = taken_over(&rig.machine.disk, rig.plan(None)).expect("nothing is damaged");
    let seal = first.seal.expect("six batches count");
    let disk = rig.machine.disk.clone();
    let mut next = Rig::leading(
        Machine::on(disk.clone()),
        SMALL,
        2,
        rig.highest_segment + 1,
        &Start::from(&first),
    );
    next.append_message(100);
    next.settle().expect("nobody fences this epoch");
    let plan = plan_behind(vec![seal], &next, None);
    for (segment, offset, _) in batches(&disk, &rig) {
        for at in (0..BLOCK).step_by(61) {
            let copy = disk.copy();
            copy.edit(&rig.segment_path(segment), |bytes| bytes[offset + at] ^= 4);
            let damage = refused(recovered(&copy, plan.clone()));
            assert_eq!(
                (damage.file.as_str(), damage.offset),
                (rig.segment_path(segment).as_str(), offset as u64)
            );
            assert!(damage.what.contains("[S1]"), "{}", damage.what);
        }
    }
    let copy = disk.copy();
    copy.edit(&rig.segment_path(seal.last.0), |bytes| {
        bytes[seal.length as usize..].fill(0xaa)
    });
    let (_, collected) = recovered(&copy, plan.clone()).expect("what lies behind the sealed length is dead");
    assert_eq!(collected.records.len(), 6);

    let mut other = plan.clone();
    other.sealed[0].checksum ^= 1;
    assert!(refused(recovered(&disk, other)).what.contains("[S3]"));
    let mut shorter = plan;
    shorter.sealed[0].length -= BLOCK as u32;
    assert!(refused(recovered(&disk, shorter)).what.contains("[S2]"));
}

#[test]
fn the_confirmed_sequence_is_never_more_than_what_recovery_finds() {
    let rig = written();
    let (found, collected) =
        recovered(&rig.machine.disk, rig.plan(rig.journal.confirmed_position())).expect("nothing is damaged");
    assert_eq!(found.next_sequence, rig.journal.confirmed().next());
    assert_prefix(&collected, &rig.appended);
    assert_eq!(found.engine_time, 1_700_000_000_000);
}

#[test]
fn a_later_write_behind_a_lost_one_ends_the_log_with_a_warning_and_a_clean_end_has_none() {
    let mut rig = written();
    let (clean, _) = recovered(&rig.machine.disk, rig.plan(None)).expect("nothing is damaged");
    assert_eq!(clean.warnings, []);
    for _ in 0..2 {
        rig.append_message(100);
        rig.pump();
    }
    let end = rig.machine.disk.writes_under_way()[0].1;
    rig.machine.disk.complete(1);
    let disk = rig.machine.disk.copy();
    let (found, collected) =
        recovered(&disk, rig.plan(rig.journal.confirmed_position())).expect("nothing confirmed is missing");
    assert_eq!(collected.records.len(), 5);
    assert!(matches!(&found.warnings[..], [Warning::UnfinishedWrite { offset, .. }] if *offset as usize == end));
}

#[test]
fn a_read_that_fails_during_recovery_is_no_damage() {
    let rig = written();
    let disk = rig.machine.disk.copy();
    disk.fail_reads(DiskErrorKind::Stale);
    match recovered(&disk, rig.plan(None)) {
        Err(RecoveryError::Io(error)) => assert_eq!(error.kind, DiskErrorKind::Stale),
        other => panic!("{:?}", other.map(|(found, _)| found)),
    }
}

#[test]
fn a_record_that_the_engine_cannot_apply_is_named_with_its_place() {
    struct Refusing;
    impl RecoverySink for Refusing {
        fn restore(&mut self, _: &Bytes, _: Vec<(PieceKey, PieceReference, PieceContent)>) -> Result<(), Malformed> {
            Ok(())
        }
        fn replay(
            &mut self,
            sequence: Sequence,
            _: Record,
            _: RecordPlace,
            _: SegmentNumber,
            _: &[(u32, u32)],
        ) -> Result<(), Refused> {
            match sequence {
                Sequence(3) => Err(Refused("its queue does not exist".into())),
                _ => Ok(()),
            }
        }
        fn progress(&mut self, _: u64, _: u64) {}
    }
    let rig = written();
    let machine = Machine::on(rig.machine.disk.copy());
    let (files, plan) = (machine.files.clone(), rig.plan(None));
    let result = machine.run(async move { journal::recover(files, plan, Rc::new(RefCell::new(Refusing))).await });
    let place = rig.appended[2].1.place;
    match result {
        Err(RecoveryError::Inconsistent {
            file,
            offset,
            sequence,
            why,
        }) => {
            assert_eq!(file, rig.segment_path(place.segment.0));
            assert_eq!((offset, sequence), (u64::from(place.offset), Sequence(3)));
            assert_eq!(why, "its queue does not exist");
        }
        other => panic!("{other:?}"),
    }
}
