//! The offline walk: it finds what recovery refuses, at the same place, and goes on behind it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use journal::format::{BatchHeader, Seed};
use journal::inspect::{Inspection, Row, Standing, Totals, inspect};
use journal::{EMPTY_BATCH_AFTER, names};
use message::Epoch;
use record::SegmentNumber;

use crate::checkpoints::{name, page, write};
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
