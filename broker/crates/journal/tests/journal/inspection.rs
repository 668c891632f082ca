//! The offline walk: it finds what recovery refuses, at the same place, and goes on behind it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use journal::format::{BatchHeader, Seed};
use journal::inspect::{Inspection, Row, Standing, Totals, inspect};
use journal::{EMPTY_BATCH_AFTER, SegmentOwner, names};
use message::Epoch;
use record::{BatchPosition, SegmentNumber};

use crate::checkpoints::{name, page, write};
use crate::damage::{forged, written};
use crate::impossible;
use crate::rig::{BLOCK, Machine, MemoryDisk, Rig, SMALL, Start, nonce, taken_over};

fn inspected(disk: &MemoryDisk, inspection: Inspection) -> (Totals, Vec<Row>) {
    let machine = Machine::on(disk.clone());
    let files = machine.files.clone();
    let rows = Rc::new(RefCell::new(Vec::new()));
    let taken = rows.clone();
    let totals = machine.run(async move { inspect(files, &inspection, &mut |row| taken.borrow_mut().push(row)).await });
    let rows = rows.take();
    (totals.expect("the disk does not fail"), rows)
}

fn damages(rows: &[Row]) -> Vec<(String, u64)> {
    let damage = |row: &Row| match row {
        Row::Damage(damage) => Some((damage.file.clone(), damage.offset)),
        _ => None,
    };
    rows.iter().filter_map(damage).collect()
}

fn announced(rig: &Rig) -> SegmentOwner {
    SegmentOwner {
        epoch: Epoch(rig.epoch),
        nonce: nonce(rig.epoch),
        first: SegmentNumber(rig.first_segment),
        last: SegmentNumber(rig.highest_segment),
    }
}

/// Two epochs, the first sealed, and a checkpoint.
struct Scene {
    disk: MemoryDisk,
    inspection: Inspection,
    sealed: Rig,
    newest: Rig,
}

fn scene() -> Scene {
    let mut sealed = Rig::new(SMALL);
    let tickets: Vec<_> = [100, 9000, 20_000, 50].map(|body| sealed.append_message(body)).into();
    sealed.settle().expect("nobody fences this epoch");
    let disk = sealed.machine.disk.clone();
    let (found, _) = taken_over(&disk, sealed.plan(None)).expect("nothing is damaged");
    let mut newest = Rig::leading(
        Machine::on(disk.clone()),
        SMALL,
        2,
        sealed.highest_segment + 1,
        &Start::from(&found),
    );
    for _ in 0..3 {
        newest.append_message(100);
        newest.settle().expect("nobody fences this epoch");
    }
    write(&newest, name(2, 1), vec![page(1, &tickets)], None);
    newest.machine.pass(EMPTY_BATCH_AFTER);
    newest.settle().expect("nobody fences this epoch");
    let inspection = Inspection {
        claims: BTreeMap::from([(Epoch(1), nonce(1)), (Epoch(2), nonce(2))]),
        announced: [&sealed, &newest].map(|rig| (Epoch(rig.epoch), announced(rig))).into(),
        sealed: found.seal.into_iter().collect(),
        named: [Some(name(2, 1)), None],
        confirmed: None,
        with_records: true,
    };
    Scene {
        disk,
        inspection,
        sealed,
        newest,
    }
}

fn inspection_of(rig: &Rig) -> Inspection {
    Inspection {
        claims: BTreeMap::from([(Epoch(rig.epoch), nonce(rig.epoch))]),
        announced: BTreeMap::from([(Epoch(rig.epoch), announced(rig))]),
        ..Inspection::default()
    }
}

#[test]
fn a_whole_batch_whose_records_do_not_follow_is_found_as_a_start_finds_it() {
    let rig = written();
    let own = Seed::of(nonce(rig.epoch));
    let (disk, _) = forged(&rig, |_| {}, own);
    assert_eq!(damages(&inspected(&disk, inspection_of(&rig)).1), []);
    let changes: [fn(&mut BatchHeader); 3] = [
        |header| header.first_sequence.0 += 1,
        |header| header.first_sequence.0 = 0,
        |header| header.first_sequence.0 = u64::MAX,
    ];
    for change in changes {
        let (disk, offset) = forged(&rig, change, own);
        let (_, rows) = inspected(&disk, inspection_of(&rig));
        let newest = rig.journal.confirmed_position().expect("all is confirmed");
        let file = rig.segment_path(newest.segment.0);
        assert_eq!(damages(&rows), [(file, u64::from(offset))]);
    }
}

#[test]
fn a_file_with_a_number_far_from_the_others_makes_one_row_for_all_between() {
    let rig = written();
    let disk = rig.machine.disk.copy();
    disk.put(&rig.segment_path(u32::MAX), vec![0; BLOCK]);
    let (_, rows) = inspected(&disk, inspection_of(&rig));
    assert!(
        damages(&rows).contains(&(rig.segment_path(rig.highest_segment + 1), 0)),
        "{rows:?}"
    );
    assert!(damages(&rows).len() < 5, "{rows:?}");
}

#[test]
fn an_owner_of_billions_of_segments_makes_as_many_rows_as_a_person_can_read() {
    let rig = impossible::scene();
    let disk = impossible::with_index(&rig, |index| {
        index.owners.push(SegmentOwner {
            epoch: Epoch(9),
            nonce: nonce(9),
            first: SegmentNumber(1000),
            last: SegmentNumber(u32::MAX),
        })
    });
    let inspection = Inspection {
        named: [Some(name(1, 1)), None],
        ..inspection_of(&rig)
    };
    let found = damages(&inspected(&disk, inspection).1);
    let last = names::segment(Epoch(9), SegmentNumber(2000));
    assert_eq!((found.len(), found.last()), (1001, Some(&(last, 0))));
}

#[test]
fn a_whole_journal_has_no_damage_and_every_record_a_row() {
    let scene = scene();
    let (totals, rows) = inspected(&scene.disk, scene.inspection.clone());
    assert_eq!(damages(&rows), []);
    assert_eq!((totals.records, totals.checkpoints, totals.damages), (7, 1, 0));
    let places: Vec<_> = rows
        .iter()
        .filter_map(|row| match row {
            Row::Record {
                file,
                offset,
                sequence,
                kind: "sent",
                messages: 1,
                ..
            } => Some((file.clone(), *offset, *sequence)),
            _ => None,
        })
        .collect();
    let expected: Vec<_> = [&scene.sealed, &scene.newest]
        .into_iter()
        .flat_map(|rig| {
            rig.appended.iter().map(|(_, ticket)| {
                (
                    rig.segment_path(ticket.place.segment.0),
                    u64::from(ticket.place.offset),
                    ticket.sequence,
                )
            })
        })
        .collect();
    assert_eq!(places, expected);
    let (counted, rows) = inspected(
        &scene.disk,
        Inspection {
            with_records: false,
            ..scene.inspection
        },
    );
    assert_eq!(counted, totals);
    assert!(!rows.iter().any(|row| matches!(row, Row::Record { .. })));
}

#[test]
fn damage_is_named_with_the_batch_that_it_hit_and_the_walk_goes_on_behind_it() {
    let scene = scene();
    for (rig, last_is_safe) in [(&scene.sealed, false), (&scene.newest, true)] {
        let seed = Seed::of(nonce(rig.epoch));
        let mut batches = Vec::new();
        for segment in rig.first_segment..=rig.highest_segment {
            let path = rig.segment_path(segment);
            for (index, block) in scene.disk.get(&path).chunks(BLOCK).enumerate() {
                if let Ok(header) = BatchHeader::read(block, seed) {
                    batches.push((path.clone(), index * BLOCK, header.number));
                }
            }
        }
        let newest = batches.last().expect("there are batches").2;
        for (path, offset, number) in &batches {
            for at in [0, 20, 50, 100] {
                let disk = scene.disk.copy();
                disk.edit(path, |bytes| bytes[offset + at] ^= 1);
                let (totals, rows) = inspected(&disk, scene.inspection.clone());
                let expected = if last_is_safe && *number == newest {
                    vec![]
                } else {
                    vec![(path.clone(), *offset as u64)]
                };
                assert_eq!(damages(&rows), expected, "batch {number}, byte {at}");
                assert!(totals.batches >= 6, "it goes on behind");
            }
        }
    }
}

#[test]
fn what_lies_beyond_a_seal_is_dead_and_a_missing_segment_is_damage() {
    let scene = scene();
    let mut shorter = scene.inspection.clone();
    let seal = &mut shorter.sealed[0];
    let path = names::segment(Epoch(1), seal.last);
    let bytes = scene.disk.get(&path);
    let last = bytes
        .chunks(BLOCK)
        .filter_map(|block| BatchHeader::read(block, Seed::of(nonce(1))).ok())
        .next_back()
        .expect("the sealed batch");
    (seal.batch, seal.checksum, seal.length) = (last.number - 1, last.previous_checksum, last.offset);
    let (_, rows) = inspected(&scene.disk, shorter);
    let dead: Vec<_> = rows
        .iter()
        .filter(|row| {
            matches!(
                row,
                Row::Batch {
                    standing: Standing::Dead,
                    ..
                }
            )
        })
        .collect();
    assert_eq!((dead.len(), damages(&rows).len()), (1, 0));

    for missing in scene.sealed.first_segment..=scene.inspection.sealed[0].last.0 {
        let disk = scene.disk.copy();
        let path = names::segment(Epoch(1), SegmentNumber(missing));
        disk.remove(&path);
        let (_, rows) = inspected(&disk, scene.inspection.clone());
        let found = damages(&rows);
        assert!(!found.is_empty(), "{path}");
        if missing > scene.sealed.first_segment {
            assert_eq!(found[0].0, path);
        }
    }
}

impl Scene {
    /// The first epoch lies wholly behind the checkpoint: no seal tells of it any more, and messages in it wait.
    fn behind_the_checkpoint() -> Scene {
        let mut scene = scene();
        scene.inspection.sealed.clear();
        scene
    }

    fn found(&self, hurt: impl FnOnce(&MemoryDisk)) -> Vec<(String, u64)> {
        let disk = self.disk.copy();
        hurt(&disk);
        damages(&inspected(&disk, self.inspection.clone()).1)
    }

    /// The paths of the first epoch's segments in which messages wait.
    fn referred(&self) -> Vec<String> {
        let last = self
            .sealed
            .appended
            .last()
            .expect("there are messages")
            .1
            .place
            .segment
            .0;
        (self.sealed.first_segment..=last)
            .map(|number| self.sealed.segment_path(number))
            .collect()
    }
}

#[test]
fn a_segment_that_only_a_checkpoint_refers_to_is_damage_when_it_is_missing() {
    let scene = Scene::behind_the_checkpoint();
    assert_eq!(scene.found(|_| ()), []);
    assert!(scene.referred().len() > 1);
    for path in scene.referred() {
        assert_eq!(scene.found(|disk| disk.remove(&path)), [(path, 0)]);
    }
}

#[test]
fn a_missing_segment_that_the_newest_root_announces_is_damage() {
    let scene = scene();
    for number in scene.newest.first_segment..=scene.newest.highest_segment {
        let path = scene.newest.segment_path(number);
        let found = scene.found(|disk| disk.remove(&path));
        assert!(found.contains(&(path, 0)), "{found:?}");
    }
}

#[test]
fn missing_directories_are_missing_files_and_no_failure_of_the_disk() {
    let scene = scene();
    let all = scene.found(|disk| {
        for rig in [&scene.sealed, &scene.newest] {
            (rig.first_segment..=rig.highest_segment).for_each(|number| disk.remove(&rig.segment_path(number)));
        }
    });
    assert!(all.len() > 2, "{all:?}");
    let index = names::checkpoint(name(2, 1));
    let found = scene.found(|disk| {
        disk.remove(&index);
        disk.remove(&names::pieces(name(2, 1)));
    });
    assert_eq!(found, [(index, 0)]);
}

#[test]
fn a_segment_behind_the_checkpoint_that_was_cut_off_is_damage_wherever_it_was_cut() {
    let mut scene = Scene::behind_the_checkpoint();
    for path in scene.referred() {
        for length in [0, BLOCK, 2 * BLOCK + 100] {
            let found = scene.found(|disk| disk.edit(&path, |bytes| bytes.truncate(length)));
            assert_eq!(found.len(), 1, "{path} cut to {length}: {found:?}");
            assert_eq!(found[0].0, path);
        }
    }
    // Without anything to compare its length with, the messages tell.
    scene.inspection.announced.remove(&Epoch(1));
    for path in scene.referred() {
        let found = scene.found(|disk| disk.edit(&path, |bytes| bytes.truncate(0)));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, path);
    }
}

#[test]
fn the_bytes_of_a_message_that_waits_behind_the_checkpoint_are_read() {
    let scene = Scene::behind_the_checkpoint();
    // The last batch of the epoch: no later one shows that it was confirmed.
    let ticket = &scene.sealed.appended.last().expect("there are messages").1;
    let path = scene.sealed.segment_path(ticket.place.segment.0);
    let at = ticket.place.offset as usize;
    let found = scene.found(|disk| disk.edit(&path, |bytes| bytes[at + 20] ^= 1));
    assert_eq!(found, [(path, at as u64)]);
}

#[test]
fn exchanged_segments_and_claims_are_damage() {
    for scene in [scene(), Scene::behind_the_checkpoint()] {
        let [first, second] = [0, 1].map(|index| scene.referred()[index].clone());
        let newest = scene.newest.segment_path(scene.newest.first_segment);
        for (one, other) in [(&first, &second), (&first, &newest)] {
            let found = scene.found(|disk| {
                let (ones, others) = (disk.get(one), disk.get(other));
                disk.put(one, others);
                disk.put(other, ones);
            });
            let mut expected = [(one.clone(), 0), (other.clone(), 0)];
            expected.sort();
            assert_eq!(found, expected);
        }
        let mut exchanged = scene.inspection.clone();
        exchanged.claims = BTreeMap::from([(Epoch(1), nonce(2)), (Epoch(2), nonce(1))]);
        exchanged.announced.clear();
        exchanged.sealed.clear();
        exchanged.named = [None, None];
        let (_, rows) = inspected(&scene.disk, exchanged);
        assert!(damages(&rows).len() >= 2, "{rows:?}");
        let mut replaced = scene.inspection.clone();
        replaced.claims.insert(Epoch(2), nonce(7));
        replaced.announced.clear();
        let (_, rows) = inspected(&scene.disk, replaced.clone());
        assert_eq!(damages(&rows), [(names::checkpoint(name(2, 1)), 0)]);
        replaced.named = [None, None];
        let (_, rows) = inspected(&scene.disk, replaced);
        assert!(damages(&rows).contains(&(newest, 0)), "{rows:?}");
    }
}

#[test]
fn a_batch_in_a_segment_that_the_newest_root_does_not_announce_is_damage() {
    let mut scene = scene();
    let newest = scene.newest.highest_segment;
    let path = scene.newest.segment_path(newest);
    let header = BatchHeader::read(&scene.disk.get(&path), Seed::of(nonce(2)));
    let older = scene.inspection.announced.get_mut(&Epoch(2)).expect("it leads");
    older.last = SegmentNumber(newest - 1);
    let found = scene.found(|_| ());
    match header {
        Ok(_) => assert_eq!(found, [(path, 0)]),
        Err(_) => assert_eq!(found, [], "it was made and never written"),
    }
    let written = scene
        .newest
        .appended
        .last()
        .expect("there are messages")
        .1
        .place
        .segment;
    let older = scene.inspection.announced.get_mut(&Epoch(2)).expect("it leads");
    older.last = SegmentNumber(written.0 - 1);
    let path = scene.newest.segment_path(written.0);
    assert_eq!(scene.found(|_| ())[0], (path, 0));
}

#[test]
fn a_heartbeat_that_names_another_batch_or_one_behind_the_end_is_damage() {
    let mut scene = scene();
    let named = scene
        .newest
        .journal
        .confirmed_position()
        .expect("something is confirmed");
    scene.inspection.confirmed = Some((Epoch(2), named));
    assert_eq!(scene.found(|_| ()), []);
    let file = scene.newest.segment_path(named.segment.0);
    let other = BatchPosition {
        checksum: named.checksum ^ 1,
        ..named
    };
    let behind = BatchPosition {
        batch: named.batch + 1,
        ..named
    };
    for position in [other, behind] {
        scene.inspection.confirmed = Some((Epoch(2), position));
        let found = scene.found(|_| ());
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, file);
    }
}

#[test]
fn a_segment_missing_in_the_middle_and_a_piece_that_both_checkpoints_share_are_told_of_once() {
    let mut rig = Rig::new(SMALL);
    let tickets: Vec<_> = (0..4).map(|_| rig.append_message(20_000)).collect();
    rig.settle().expect("nobody fences this epoch");
    let mut pieces = vec![page(1, &tickets)];
    let older = write(&rig, name(1, 1), pieces.clone(), None);
    pieces[0].stored = Some(older.references[0].1.clone());
    write(&rig, name(1, 2), pieces, Some(older.summary));
    let scene = Scene {
        disk: rig.machine.disk.clone(),
        inspection: Inspection {
            claims: BTreeMap::from([(Epoch(1), nonce(1))]),
            announced: BTreeMap::from([(Epoch(1), announced(&rig))]),
            named: [Some(name(1, 2)), Some(name(1, 1))],
            ..Inspection::default()
        },
        sealed: Rig::new(SMALL),
        newest: rig,
    };
    assert_eq!(scene.found(|_| ()), []);
    let middle = scene.newest.segment_path(2);
    assert_eq!(scene.found(|disk| disk.remove(&middle)), [(middle, 0)]);
    let shared = names::pieces(name(1, 1));
    let found = scene.found(|disk| disk.edit(&shared, |bytes| bytes[20] ^= 1));
    assert_eq!(found, [(shared, 16)]);
}

#[test]
fn a_damaged_piece_is_named_in_words() {
    let scene = scene();
    let disk = scene.disk.copy();
    disk.edit(&names::pieces(name(2, 1)), |bytes| bytes[20] ^= 1);
    let (_, rows) = inspected(&disk, scene.inspection);
    let what = rows.iter().find_map(|row| match row {
        Row::Damage(damage) => Some(damage.what.as_str()),
        _ => None,
    });
    assert_eq!(
        what,
        Some("the piece's checksum does not match (page 1 of priority 4 of object 1)")
    );
}

#[test]
fn a_damaged_checkpoint_and_foreign_files_have_their_rows() {
    let scene = scene();
    let disk = scene.disk.copy();
    let path = names::pieces(name(2, 1));
    disk.edit(&path, |bytes| bytes[20] ^= 1);
    disk.put("journal/notes.txt", vec![1]);
    disk.put("journal/00000009-00000001", vec![0; BLOCK]);
    let (_, rows) = inspected(&disk, scene.inspection);
    assert_eq!(damages(&rows), [(path, 16)]);
    let foreign: Vec<_> = rows
        .iter()
        .filter_map(|row| {
            if let Row::Foreign { file } = row {
                Some(file.as_str())
            } else {
                None
            }
        })
        .collect();
    assert_eq!(foreign, ["journal/00000009-00000001", "journal/notes.txt"]);
}
