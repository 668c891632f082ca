//! Checkpoints: what they hold comes back, what did not change is not written again, and a damaged one is replaced by the older or refused.

use std::sync::Arc;

use bytes::Bytes;
use journal::{
    CheckpointError, CheckpointRequest, CheckpointSummary, JournalSettings, RecoveryError, RecoveryPlan, Warning,
    Written, check_pieces, names, read_checkpoint, write_checkpoint,
};
use message::{Epoch, MessageNumber, Sequence};
use platform::DiskErrorKind;
use record::{
    CheckpointName, DuplicateIds, Entry, Image, ObjectId, Page, Piece, PieceContent, PieceKey, Place, SegmentNumber,
    SegmentRange, Ticket,
};

use crate::rig::{BLOCK, Machine, MemoryDisk, Rig, SMALL, Start, assert_prefix, plan_behind, recovered, taken_over};

pub(crate) fn name(epoch: u32, number: u32) -> CheckpointName {
    CheckpointName {
        epoch: Epoch(epoch),
        number,
    }
}

/// A page of the messages of these tickets.
pub(crate) fn page(ordinal: u64, tickets: &[Ticket]) -> Piece {
    let entry = |ticket: &Ticket| Entry {
        number: MessageNumber(ticket.sequence.0),
        place: ticket.message_place(0),
        expiration: 0,
        redeliveries: 0,
        priority: 4,
        set_aside: false,
    };
    Piece {
        key: PieceKey::Page {
            object: ObjectId(1),
            priority: 4,
            ordinal,
        },
        stored: None,
        content: PieceContent::Page(Arc::new(Page {
            entries: tickets.iter().map(entry).collect(),
        })),
    }
}

pub(crate) fn duplicates(ordinal: u64) -> Piece {
    Piece {
        key: PieceKey::Duplicates {
            object: ObjectId(1),
            ordinal,
        },
        stored: None,
        content: PieceContent::Duplicates(Arc::new(DuplicateIds {
            ids: vec![(5, "a".into()), (6, "b".into())],
        })),
    }
}

pub(crate) fn write(
    rig: &Rig,
    name: CheckpointName,
    pieces: Vec<Piece>,
    previous: Option<CheckpointSummary>,
) -> Written {
    let request = CheckpointRequest {
        name,
        image: Image {
            through: rig.journal.appended(),
            catalog: Bytes::from_static(b"the catalog"),
            pieces,
        },
        start: rig.journal.replay_start(),
        engine_time: 77,
        owners: rig.journal.owners().clone(),
        previous,
    };
    let files = rig.machine.files.clone();
    let held = rig.machine.disk.hold();
    let written = rig.machine.run(async move { write_checkpoint(files, request).await });
    rig.machine.disk.release(held);
    written.expect("the disk does not fail")
}

fn read(disk: &MemoryDisk, name: CheckpointName) -> Result<journal::Loaded, CheckpointError> {
    let machine = Machine::on(disk.clone());
    let files = machine.files.clone();
    machine.run(async move { read_checkpoint(files, name).await })
}

/// Marks pieces as stored where a checkpoint wrote them, as the engine does.
pub(crate) fn remember(pieces: &mut [Piece], written: &Written) {
    for piece in pieces {
        if let Some((_, reference)) = written.references.iter().find(|(key, _)| *key == piece.key) {
            piece.stored = Some(reference.clone());
        }
    }
}

pub(crate) fn named(rig: &Rig, newer: CheckpointName, older: Option<CheckpointName>) -> RecoveryPlan {
    RecoveryPlan {
        checkpoints: [Some(newer), older],
        ..rig.plan(rig.journal.confirmed_position())
    }
}

/// Three rounds of two messages; a checkpoint after the first and after the second, the second sharing a piece with the first.
struct Scene {
    rig: Rig,
    older: Written,
    newer: Written,
    /// Of the newer one.
    pieces: Vec<Piece>,
}

fn scene() -> Scene {
    let mut rig = Rig::new(SMALL);
    let first: Vec<_> = (0..2).map(|_| rig.append_message(100)).collect();
    rig.settle().expect("nobody fences this epoch");
    let mut pieces = vec![page(1, &first), duplicates(1)];
    let older = write(&rig, name(1, 1), pieces.clone(), None);
    remember(&mut pieces, &older);
    let second: Vec<_> = (0..2).map(|_| rig.append_message(100)).collect();
    rig.settle().expect("nobody fences this epoch");
    pieces.push(page(2, &second));
    let newer = write(&rig, name(1, 2), pieces.clone(), Some(older.summary.clone()));
    remember(&mut pieces, &newer);
    rig.append_message(100);
    rig.append_message(100);
    rig.settle().expect("nobody fences this epoch");
    Scene {
        rig,
        older,
        newer,
        pieces,
    }
}

#[test]
fn a_checkpoint_comes_back_as_it_was_written_and_unchanged_pieces_stay_where_they_lie() {
    let scene = scene();
    assert_eq!(scene.older.references.len(), 2);
    assert_eq!(scene.newer.references.len(), 1, "only what is new was written");
    let loaded = read(&scene.rig.machine.disk, name(1, 2)).expect("nothing is damaged");
    assert_eq!(&loaded.catalog[..], b"the catalog");
    assert_eq!(loaded.summary.through, Sequence(4));
    assert_eq!(loaded.summary.engine_time, 77);
    assert_eq!(loaded.summary.start, scene.newer.summary.start);
    assert_eq!(loaded.summary.piece_files, scene.newer.summary.piece_files);
    let files: Vec<_> = loaded.summary.piece_files.iter().map(|(name, _)| *name).collect();
    assert_eq!(files, [name(1, 1), name(1, 2)]);
    assert_eq!(loaded.pieces.len(), 3);
    for ((key, reference, content), piece) in loaded.pieces.iter().zip(&scene.pieces) {
        assert_eq!(
            (*key, Some(reference), content),
            (piece.key, piece.stored.as_ref(), &piece.content)
        );
    }
}

#[test]
fn everything_is_synced_before_the_checkpoint_is_given_out_to_be_named() {
    let scene = scene();
    let log = scene.rig.machine.disk.log();
    let checkpoint: Vec<_> = log
        .iter()
        .filter(|line| line.contains("00000001-0002") || line.contains("sync directory"))
        .collect();
    let last_write = checkpoint
        .iter()
        .rposition(|line| line.starts_with("write"))
        .expect("it was written");
    for synced in [
        "sync checkpoints/00000001-0002.pieces",
        "sync checkpoints/00000001-0002",
    ] {
        let at = checkpoint
            .iter()
            .position(|line| *line == synced)
            .unwrap_or_else(|| panic!("{synced} is missing"));
        let written = checkpoint
            .iter()
            .rposition(|line| line.starts_with(&format!("write {} ", &synced[5..])));
        assert!(written.expect("it was written") < at, "{synced}");
    }
    assert_eq!(
        checkpoint.last().map(|line| line.as_str()),
        Some("sync directory checkpoints")
    );
    assert!(last_write < checkpoint.len() - 1);
    assert!(
        log.iter()
            .filter(|line| line.contains("checkpoints/") && line.starts_with("open"))
            .all(|line| line.ends_with("Create")),
        "written once, never again"
    );
}

#[test]
fn recovery_starts_at_the_newer_checkpoint_and_replays_only_what_it_lacks() {
    let scene = scene();
    let (found, collected) = recovered(&scene.rig.machine.disk, named(&scene.rig, name(1, 2), Some(name(1, 1))))
        .expect("nothing is damaged");
    assert_eq!(collected.catalog.as_deref(), Some(&b"the catalog"[..]));
    assert_eq!(collected.pieces.len(), 3);
    let sequences: Vec<_> = collected.records.iter().map(|(sequence, ..)| sequence.0).collect();
    assert_eq!(sequences, [5, 6]);
    assert_eq!(found.started_from, Some(name(1, 2)));
    assert_eq!(
        found
            .checkpoints
            .each_ref()
            .map(|summary| summary.as_ref().map(|summary| summary.through)),
        [Some(Sequence(4)), Some(Sequence(2))]
    );
    assert_eq!(found.next_sequence, Sequence(7));
    assert!(found.warnings.is_empty());
}

#[test]
fn a_damaged_newer_checkpoint_is_replaced_by_the_older_with_a_warning_and_a_shared_damaged_piece_is_refused() {
    let scene = scene();
    let disk = &scene.rig.machine.disk;
    let (newer, older) = (name(1, 2), name(1, 1));
    let paths = [names::checkpoint(newer), names::pieces(newer)];
    let header = 16; // of a file of pieces: nothing of it is checked beyond the pieces
    for path in paths {
        let from = if path.ends_with(".pieces") { header } else { 0 };
        for at in from..disk.get(&path).len() {
            let copy = disk.copy();
            copy.edit(&path, |bytes| bytes[at] ^= 1 << (at % 8));
            let (found, collected) = recovered(&copy, named(&scene.rig, newer, Some(older)))
                .unwrap_or_else(|error| panic!("{path} byte {at}: {error}"));
            assert_eq!(
                (found.started_from, collected.records.len()),
                (Some(older), 4),
                "{path} byte {at}"
            );
            assert!(
                matches!(&found.warnings[..], [Warning::CheckpointDamaged { name, damage }] if *name == newer && damage.file == path)
            );
            assert_eq!(found.checkpoints[0], None);
        }
        let copy = disk.copy();
        copy.remove(&path);
        let (found, _) = recovered(&copy, named(&scene.rig, newer, Some(older))).expect("the older is whole");
        assert_eq!(
            (found.started_from, found.warnings.len()),
            (Some(older), 1),
            "{path} is missing"
        );
    }
    let shared = names::pieces(older);
    for at in header..disk.get(&shared).len() {
        let copy = disk.copy();
        copy.edit(&shared, |bytes| bytes[at] ^= 1 << (at % 8));
        match recovered(&copy, named(&scene.rig, newer, Some(older))) {
            Err(RecoveryError::Damaged(damage)) => {
                assert_eq!(damage.file, shared);
                assert!(damage.what.contains("[C3"), "{}", damage.what);
            }
            other => panic!("byte {at}: {:?}", other.map(|(found, _)| found)),
        }
    }
    let copy = disk.copy();
    copy.edit(&names::checkpoint(older), |bytes| bytes[40] ^= 1);
    let (found, collected) = recovered(&copy, named(&scene.rig, newer, Some(older))).expect("the newer is whole");
    assert_eq!(collected.records.len(), 2);
    assert!(matches!(&found.warnings[..], [Warning::OlderCheckpointDamaged { name, .. }] if *name == older));
}

/// As [`scene`], but the newer checkpoint holds a page changed, so that the older has a piece of its own.
fn scene_with_a_changed_page() -> (Rig, Written) {
    let mut rig = Rig::new(SMALL);
    let first: Vec<_> = (0..2).map(|_| rig.append_message(100)).collect();
    rig.settle().expect("nobody fences this epoch");
    let mut pieces = vec![page(1, &first), duplicates(1)];
    let older = write(&rig, name(1, 1), pieces.clone(), None);
    remember(&mut pieces, &older);
    pieces[0] = page(1, &first[1..]);
    let newer = write(&rig, name(1, 2), pieces, Some(older.summary.clone()));
    assert_ne!(older.summary.piece_files, newer.summary.piece_files);
    (rig, older)
}

#[test]
fn an_older_checkpoint_that_could_not_be_fallen_back_on_is_found_though_the_newer_is_used() {
    let (rig, older) = scene_with_a_changed_page();
    let disk = &rig.machine.disk;
    let plan = || named(&rig, name(1, 2), Some(name(1, 1)));
    let check = |disk: &MemoryDisk| {
        let (found, _) = recovered(disk, plan()).expect("the newer is whole");
        assert_eq!(found.started_from, Some(name(1, 2)));
        assert!(found.warnings.is_empty(), "{:?}", found.warnings);
        let unread = found.unread.expect("the older has a piece of its own");
        assert_eq!(unread.checkpoint, name(1, 1));
        let machine = Machine::on(disk.clone());
        let files = machine.files.clone();
        let open = disk.open_files();
        let checked = machine.run(async move { check_pieces(files, unread).await });
        assert_eq!(disk.open_files(), open, "nothing stays open");
        checked
    };
    assert!(check(disk).is_ok());
    let path = names::pieces(name(1, 1));
    let own = older
        .references
        .iter()
        .find(|(key, _)| matches!(key, PieceKey::Page { .. }));
    let (_, own) = own.expect("its page was written");
    for at in own.offset..own.offset + u64::from(own.length) {
        let copy = disk.copy();
        copy.edit(&path, |bytes| bytes[at as usize] ^= 1 << (at % 8));
        match check(&copy) {
            Err(CheckpointError::Damaged(damage)) => {
                assert_eq!((damage.file, damage.offset), (path.clone(), own.offset))
            }
            other => panic!("byte {at}: {other:?}"),
        }
    }
}

#[test]
fn a_segment_that_only_a_fall_back_would_need_is_warned_of_when_it_is_missing() {
    let settings = JournalSettings {
        segment_bytes: 4 * BLOCK as u32,
        batch_bytes_max: BLOCK as u32,
        writes_in_flight: 4,
    };
    let mut rig = Rig::new(settings);
    let append = |rig: &mut Rig| {
        let tickets: Vec<_> = (0..8).map(|_| rig.append_message(3000)).collect();
        rig.settle().expect("nobody fences this epoch");
        tickets
    };
    let first = append(&mut rig);
    let mut pieces = vec![page(1, &first)];
    let older = write(&rig, name(1, 1), pieces.clone(), None);
    append(&mut rig);
    let last = append(&mut rig);
    pieces[0] = page(1, &last);
    let newer = write(&rig, name(1, 2), pieces, Some(older.summary.clone()));
    assert!(newer.summary.needs_less_than(&older.summary));
    for number in 1..newer.summary.start.segment.0 {
        let copy = rig.machine.disk.copy();
        let path = rig.segment_path(number);
        copy.remove(&path);
        let result = recovered(&copy, named(&rig, name(1, 2), Some(name(1, 1))));
        if !newer.summary.needs(SegmentNumber(number)) {
            let (found, _) = result.expect("the newer one does not need it");
            assert!(
                matches!(&found.warnings[..], [Warning::OlderCheckpointUnusable { damage, .. }] if damage.file == path),
                "{:?}",
                found.warnings
            );
        } else {
            assert!(matches!(result, Err(RecoveryError::Damaged(damage)) if damage.file == path));
        }
    }
}

#[test]
fn a_damaged_only_checkpoint_means_replay_from_the_beginning() {
    let scene = scene();
    let disk = scene.rig.machine.disk.copy();
    disk.edit(&names::checkpoint(name(1, 1)), |bytes| bytes[9] ^= 1);
    let (found, collected) = recovered(&disk, named(&scene.rig, name(1, 1), None)).expect("nothing was deleted yet");
    assert_eq!((found.started_from, collected.catalog.is_none()), (None, true));
    assert_prefix(&collected, &scene.rig.appended);
    assert_eq!(collected.records.len(), 6);
    assert_eq!(found.warnings.len(), 1);
}

#[test]
fn a_log_that_ends_before_what_the_checkpoint_contains_is_refused() {
    let scene = scene();
    let disk = scene.rig.machine.disk.copy();
    // Everything behind the first round is gone, the heartbeat too: only the checkpoint tells.
    let start = scene.older.summary.start;
    disk.edit(&scene.rig.segment_path(start.segment.0), |bytes| {
        bytes[start.offset as usize..].fill(0)
    });
    for later in start.segment.0 + 1..=scene.rig.highest_segment {
        disk.edit(&scene.rig.segment_path(later), |bytes| bytes.fill(0));
    }
    let plan = RecoveryPlan {
        checkpoints: [Some(name(1, 1)), None],
        ..scene.rig.plan(None)
    };
    assert!(recovered(&disk, plan).is_ok(), "the first checkpoint needs no more");
    // A checkpoint whose image is newer than where its replay starts: taken while a batch was open.
    let mut rig = Rig::new(SMALL);
    rig.append_message(100);
    rig.settle().expect("nobody fences this epoch");
    rig.append_message(100);
    let written = write(&rig, name(1, 1), Vec::new(), None);
    assert_eq!(
        (written.summary.through, written.summary.start.sequence),
        (Sequence(2), Sequence(2))
    );
    assert!(
        !rig.journal
            .is_confirmed(written.summary.through, &written.summary.start)
    );
    let plan = |rig: &Rig| RecoveryPlan {
        checkpoints: [Some(name(1, 1)), None],
        ..rig.plan(None)
    };
    match recovered(&rig.machine.disk, plan(&rig)) {
        Err(RecoveryError::Damaged(damage)) => assert!(damage.what.contains("[R9]"), "{}", damage.what),
        other => panic!("{:?}", other.map(|(found, _)| found)),
    }
    rig.settle().expect("nobody fences this epoch");
    assert!(
        rig.journal
            .is_confirmed(written.summary.through, &written.summary.start)
    );
    let (found, collected) = recovered(&rig.machine.disk, plan(&rig)).expect("nothing is missing");
    assert_eq!((collected.records.len(), found.next_sequence), (0, Sequence(3)));
}

#[test]
fn a_checkpoint_at_any_moment_of_a_workload_leads_to_the_same_history() {
    // Long records are under way, batches wait, segments end: wherever the image is taken, replay from it goes on right behind it.
    let mut rig = Rig::new(SMALL);
    let mut taken = Vec::new();
    let bodies = [10, 7000, 20_000, 10, 10, 30_000, 5000, 100];
    for (number, body) in (1..).zip(bodies) {
        rig.append_message(body);
        taken.push((write(&rig, name(1, number), Vec::new(), None), rig.appended.len()));
        rig.provide_segments();
        rig.pump();
        if rig.machine.disk.pending() > 1 {
            rig.machine.disk.complete(0);
            rig.turn().expect("nobody fences this epoch");
        }
    }
    rig.settle().expect("nobody fences this epoch");
    let (written, _) = &taken[0];
    assert_eq!(written.summary.start.offset, 0);
    for (written, appended) in &taken {
        assert!(
            rig.journal
                .is_confirmed(written.summary.through, &written.summary.start)
        );
        let (found, collected) = recovered(&rig.machine.disk, named(&rig, written.summary.name, None))
            .unwrap_or_else(|error| panic!("{:?}: {error}", written.summary));
        assert_prefix(&collected, &rig.appended[*appended..]);
        assert_eq!(collected.records.len(), bodies.len() - appended);
        assert_eq!(found.next_sequence.0, bodies.len() as u64 + 1);
    }
}

#[test]
fn a_checkpoint_stays_good_through_epochs_of_which_nothing_counts() {
    let mut rig = Rig::new(SMALL);
    rig.append_message(100);
    rig.settle().expect("nobody fences this epoch");
    let disk = rig.machine.disk.clone();
    let (first, _) = taken_over(&disk, rig.plan(None)).expect("nothing is damaged");
    let sealed = vec![first.seal.expect("one batch counts")];

    // Epoch 2 leads, checkpoints before it writes anything, and dies.
    let mut second = Rig::leading(
        Machine::on(disk.clone()),
        SMALL,
        2,
        rig.highest_segment + 1,
        &Start::from(&first),
    );
    second.provide_segments();
    let written = write(&second, name(2, 1), Vec::new(), None);
    let plan = |rig: &Rig, sealed: &[record::EpochSeal]| RecoveryPlan {
        checkpoints: [Some(name(2, 1)), None],
        ..plan_behind(sealed.to_vec(), rig, None)
    };
    let (found, collected) = taken_over(&disk, plan(&second, &sealed)).expect("nothing is damaged");
    assert_eq!(
        (found.seal, found.next_sequence, collected.records.len()),
        (None, Sequence(2), 0)
    );

    // Epoch 3 writes; the root of epoch 4 lists it, or, once the older checkpoint allows it, epoch 1 no more.
    let mut third = Rig::leading(
        Machine::on(disk.clone()),
        SMALL,
        3,
        second.highest_segment + 1,
        &Start::from(&found),
    );
    let ticket = third.append_message(100);
    third.settle().expect("nobody fences this epoch");
    for sealed in [sealed.clone(), Vec::new()] {
        let (found, collected) = taken_over(&disk, plan(&third, &sealed)).expect("nothing is damaged");
        assert_eq!(collected.records.len(), 1);
        assert_eq!(collected.records[0].2, ticket.place);
        assert_eq!(found.next_sequence, Sequence(3));
        assert!(found.owners.of(SegmentNumber(1)).is_some() || sealed.is_empty());
    }
    let kept = journal::needed_seals(&sealed, Some(&written.summary));
    assert!(kept.is_empty(), "the checkpoint lies beyond epoch 1");
    assert_eq!(journal::needed_seals(&sealed, None), sealed);

    let mut wrong = sealed.clone();
    wrong[0].checksum ^= 1;
    match recovered(&disk, plan(&third, &wrong)) {
        Err(RecoveryError::Damaged(damage)) => assert!(damage.what.contains("[S4]"), "{}", damage.what),
        other => panic!("{:?}", other.map(|(found, _)| found)),
    }
}

#[test]
fn old_bodies_are_found_by_the_owners_that_the_checkpoint_keeps() {
    let mut rig = Rig::new(SMALL);
    let old = rig.append_message(100);
    rig.settle().expect("nobody fences this epoch");
    let disk = rig.machine.disk.clone();
    let (first, _) = taken_over(&disk, rig.plan(None)).expect("nothing is damaged");
    let second = Rig::leading(
        Machine::on(disk.clone()),
        SMALL,
        2,
        rig.highest_segment + 1,
        &Start::from(&first),
    );
    write(&second, name(2, 1), vec![page(1, std::slice::from_ref(&old))], None);
    // The SEALED list has forgotten epoch 1: both named checkpoints lie beyond it.
    let plan = RecoveryPlan {
        checkpoints: [Some(name(2, 1)), Some(name(2, 1))],
        ..plan_behind(Vec::new(), &second, None)
    };
    let (found, _) = recovered(&disk, plan).expect("nothing is damaged");
    let machine = Machine::on(disk);
    let (files, owners, place): (_, _, Place) = (machine.files.clone(), found.owners, old.message_place(0));
    let message = machine.run(async move { journal::read_message(&files, &owners, place).await });
    assert!(message.is_ok_and(|message| message == crate::rig::message(1001, 100)));
    let first_segment = SegmentRange {
        first: SegmentNumber(1),
        last: SegmentNumber(1),
    };
    assert_eq!(
        found.checkpoints[0].as_ref().map(|summary| summary.segments.ranges()),
        Some(&[first_segment][..])
    );
}

#[test]
fn a_file_of_pieces_that_is_mostly_dead_is_emptied_so_that_it_can_go() {
    let mut rig = Rig::new(SMALL);
    let tickets: Vec<_> = (0..9).map(|_| rig.append_message(10)).collect();
    rig.settle().expect("nobody fences this epoch");
    let mut pieces: Vec<_> = (0u64..)
        .zip(tickets.chunks(3))
        .map(|(ordinal, tickets)| page(ordinal, tickets))
        .collect();
    let first = write(&rig, name(1, 1), pieces.clone(), None);
    remember(&mut pieces, &first);
    pieces.remove(0);
    let second = write(&rig, name(1, 2), pieces.clone(), Some(first.summary.clone()));
    assert!(second.references.is_empty(), "two thirds of the file live");
    assert_eq!(second.summary.piece_files, first.summary.piece_files);
    pieces.remove(0);
    let third = write(&rig, name(1, 3), pieces.clone(), Some(second.summary.clone()));
    assert_eq!(third.references.len(), 1, "the last third moved");
    assert_eq!(
        third
            .summary
            .piece_files
            .iter()
            .map(|(name, _)| *name)
            .collect::<Vec<_>>(),
        [name(1, 3)]
    );
    let loaded = read(&rig.machine.disk, name(1, 3)).expect("nothing is damaged");
    assert_eq!(loaded.pieces[0].2, pieces[0].content);
}

#[test]
fn a_checkpoint_without_new_pieces_makes_no_file_of_pieces_and_a_taken_name_is_refused() {
    let rig = Rig::new(SMALL);
    write(&rig, name(1, 1), Vec::new(), None);
    assert!(!rig.machine.disk.paths().contains(&names::pieces(name(1, 1))));
    let request = CheckpointRequest {
        name: name(1, 1),
        image: Image {
            through: Sequence(0),
            catalog: Bytes::new(),
            pieces: Vec::new(),
        },
        start: rig.journal.replay_start(),
        engine_time: 0,
        owners: rig.journal.owners().clone(),
        previous: None,
    };
    let files = rig.machine.files.clone();
    let again = rig.machine.run(async move { write_checkpoint(files, request).await });
    assert_eq!(again.expect_err("the name is taken").kind, DiskErrorKind::Exists);
}

#[test]
fn a_large_checkpoint_is_written_and_read_in_steps() {
    let rig = Rig::new(SMALL);
    let entry = |number: u64| Entry {
        number: MessageNumber(number),
        place: Place::default(),
        expiration: 0,
        redeliveries: 0,
        priority: 4,
        set_aside: false,
    };
    let page = |ordinal: u64| Piece {
        key: PieceKey::Page {
            object: ObjectId(1),
            priority: 4,
            ordinal,
        },
        stored: None,
        content: PieceContent::Page(Arc::new(Page {
            entries: (0..1024).map(|index| entry(ordinal * 1024 + index)).collect(),
        })),
    };
    let pieces: Vec<_> = (0..150).map(page).collect();
    write(&rig, name(1, 1), pieces.clone(), None);
    let writes = rig
        .machine
        .disk
        .log()
        .into_iter()
        .filter(|line| line.starts_with("write checkpoints/00000001-0001.pieces"));
    let longest = writes
        .map(|line| {
            line.rsplit(' ')
                .next()
                .and_then(|bytes| bytes.parse::<usize>().ok())
                .expect("a length")
        })
        .max();
    assert!(
        longest.is_some_and(|bytes| (1 << 20..(1 << 20) + 40_000).contains(&bytes)),
        "{longest:?}"
    );
    let loaded = read(&rig.machine.disk, name(1, 1)).expect("nothing is damaged");
    assert!(
        loaded
            .pieces
            .iter()
            .zip(&pieces)
            .all(|((_, _, content), piece)| *content == piece.content)
    );
    assert_eq!(loaded.pieces.len(), 150);
}

#[test]
fn a_checkpoint_without_space_leaves_no_descriptor_and_no_byte_behind_and_the_next_number_succeeds() {
    let mut rig = Rig::new(SMALL);
    let tickets = [rig.append_message(10)];
    rig.settle().expect("nobody fences this epoch");
    let (open, paths) = (rig.machine.disk.open_files(), rig.machine.disk.paths());
    for (number, after) in [(1, 0), (2, 1)] {
        let request = CheckpointRequest {
            name: name(1, number),
            image: Image {
                through: rig.journal.appended(),
                catalog: Bytes::new(),
                pieces: vec![page(1, &tickets)],
            },
            start: rig.journal.replay_start(),
            engine_time: 0,
            owners: rig.journal.owners().clone(),
            previous: None,
        };
        rig.machine.disk.fail_writes(after, DiskErrorKind::NoSpace);
        let files = rig.machine.files.clone();
        let failed = rig.machine.run(async move { write_checkpoint(files, request).await });
        assert_eq!(failed.expect_err("the disk is full").kind, DiskErrorKind::NoSpace);
        assert_eq!(rig.machine.disk.open_files(), open);
        assert_eq!(rig.machine.disk.paths(), paths);
    }
    rig.machine.disk.heal();
    let written = write(&rig, name(1, 3), vec![page(1, &tickets)], None);
    assert_eq!(
        read(&rig.machine.disk, name(1, 3)).expect("whole").summary.through,
        written.summary.through
    );
}

#[test]
fn a_directory_restored_without_an_old_segment_is_refused_before_it_is_led() {
    let mut rig = Rig::new(SMALL);
    let tickets: Vec<_> = (0..8).map(|_| rig.append_message(5000)).collect();
    rig.settle().expect("nobody fences this epoch");
    let written = write(&rig, name(1, 1), vec![page(1, &tickets)], None);
    assert!(written.summary.segments.contains(SegmentNumber(1)));
    let start = written.summary.start.segment.0;
    assert!(start > 2);
    for missing in 1..start {
        let disk = rig.machine.disk.copy();
        disk.remove(&rig.segment_path(missing));
        match recovered(&disk, named(&rig, name(1, 1), None)) {
            Err(RecoveryError::Damaged(damage)) => {
                assert_eq!(damage.file, rig.segment_path(missing));
                assert!(damage.what.contains("[C6]"), "{}", damage.what);
            }
            other => panic!("{:?}", other.map(|(found, _)| found)),
        }
    }
    // What no piece refers to any more may be gone.
    let later = write(&rig, name(1, 2), vec![page(1, &tickets[7..])], None);
    let disk = rig.machine.disk.copy();
    let first = later.summary.segments.ranges()[0].first;
    assert!(first > SegmentNumber(1));
    (1..first.0).for_each(|gone| disk.remove(&rig.segment_path(gone)));
    assert!(recovered(&disk, named(&rig, name(1, 2), None)).is_ok());
}

#[test]
fn a_damaged_only_checkpoint_is_refused_if_the_beginning_is_gone() {
    // Epoch 2 wrote nothing, and its root lists no sealed epoch any more: only the checkpoint knew of the past.
    let mut rig = Rig::new(SMALL);
    rig.append_message(100);
    rig.settle().expect("nobody fences this epoch");
    let disk = rig.machine.disk.clone();
    let (first, _) = taken_over(&disk, rig.plan(None)).expect("nothing is damaged");
    let mut second = Rig::leading(
        Machine::on(disk.clone()),
        SMALL,
        2,
        rig.highest_segment + 1,
        &Start::from(&first),
    );
    second.provide_segments();
    write(&second, name(2, 1), Vec::new(), None);
    disk.edit(&names::checkpoint(name(2, 1)), |bytes| bytes[50] ^= 1);
    let plan = RecoveryPlan {
        checkpoints: [Some(name(2, 1)), None],
        ..plan_behind(Vec::new(), &second, None)
    };
    match recovered(&disk, plan.clone()) {
        Err(RecoveryError::Damaged(damage)) => assert!(damage.what.contains("[C4]"), "{}", damage.what),
        other => panic!("{:?}", other.map(|(found, _)| found)),
    }
    second.append_message(100);
    second.settle().expect("nobody fences this epoch");
    let plan = RecoveryPlan {
        checkpoints: plan.checkpoints,
        ..plan_behind(Vec::new(), &second, None)
    };
    match recovered(&disk, plan) {
        Err(RecoveryError::Damaged(damage)) => assert!(damage.what.contains("[R7]"), "{}", damage.what),
        other => panic!("{:?}", other.map(|(found, _)| found)),
    }
}
