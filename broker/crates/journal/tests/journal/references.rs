//! What a checkpoint refers to: what may be gone around it, and what must not.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use journal::inspect::{Inspection, Row, inspect};
use journal::{DeletionView, RecoveryError, Warning, Written, deletable, names};
use message::Epoch;
use record::{SegmentNumber, SegmentSet, Ticket};

use crate::checkpoints::{name, named, page, remember, write};
use crate::rig::{Machine, MemoryDisk, Rig, SMALL, assert_prefix, nonce, recovered};

/// Everything between an old message that is forgotten, one that spans segments, and the newest is consumed; two checkpoints lie behind that.
struct Forgotten {
    rig: Rig,
    newer: Written,
    older: Written,
    /// The messages that wait.
    waiting: Vec<Ticket>,
}

fn forgotten() -> Forgotten {
    let mut rig = Rig::new(SMALL);
    let mut append = |bodies: &[usize]| {
        let tickets: Vec<_> = bodies.iter().map(|body| rig.append_message(*body)).collect();
        rig.settle().expect("nobody fences this epoch");
        tickets
    };
    let old = append(&[100]);
    append(&[9000; 10]);
    let long = append(&[60_000]);
    append(&[9000; 10]);
    let last = append(&[100]);
    let waiting: Vec<_> = [old, long, last].concat();
    let mut pieces = vec![page(1, &waiting[..1]), page(2, &waiting[1..])];
    let older = write(&rig, name(1, 1), pieces.clone(), None);
    remember(&mut pieces, &older);
    // The log between the two: consumed before the newer one.
    for _ in 0..5 {
        rig.append_message(9000);
    }
    rig.settle().expect("nobody fences this epoch");
    let newer = write(&rig, name(1, 2), pieces, Some(older.summary.clone()));
    assert!(newer.references.is_empty(), "unchanged pieces keep what they refer to");
    rig.append_message(100);
    rig.settle().expect("nobody fences this epoch");
    Forgotten {
        rig,
        newer,
        older,
        waiting,
    }
}

/// The segments on a disk.
fn on_disk(disk: &MemoryDisk) -> Vec<String> {
    let paths = disk.paths().into_iter();
    paths
        .filter_map(|path| path.strip_prefix("journal/").map(str::to_owned))
        .collect()
}

/// Deletes what the two named checkpoints do not need; gives the numbers.
fn delete(disk: &MemoryDisk, newer: &Written, older: &Written) -> Vec<u32> {
    let view = DeletionView {
        own: Epoch(1),
        named: [Some(&newer.summary), Some(&older.summary)],
        being_read: &SegmentSet::default(),
    };
    let gone = deletable(&view, &on_disk(disk), &[]);
    gone.paths().for_each(|path| disk.remove(&path));
    gone.segments.iter().map(|(_, number)| number.0).collect()
}

fn can_be_read(disk: &MemoryDisk, owners: &journal::Owners, ticket: &Ticket) -> bool {
    let machine = Machine::on(disk.clone());
    let (files, owners, place) = (machine.files.clone(), owners.clone(), ticket.message_place(0));
    let read = machine.run(async move { journal::read_message(&files, &owners, place).await });
    read.is_ok()
}

#[test]
fn what_is_consumed_between_two_old_messages_goes_and_a_message_keeps_every_segment_that_it_lies_in() {
    let scene = forgotten();
    let disk = scene.rig.machine.disk.copy();
    let [old, long, last] = &scene.waiting[..] else {
        unreachable!("three wait")
    };
    let spans = |ticket: &Ticket| (ticket.place.segment.0, ticket.last_segment.0);
    assert_eq!(spans(old), (1, 1));
    assert!(
        spans(long).0 > 2 && spans(long).1 >= spans(long).0 + 2,
        "{:?}",
        spans(long)
    );
    let gone = delete(&disk, &scene.newer, &scene.older);
    let needed = |number: u32| {
        scene
            .waiting
            .iter()
            .any(|ticket| (spans(ticket).0..=spans(ticket).1).contains(&number))
            || number >= scene.older.summary.start.segment.0
    };
    let expected: Vec<_> = (1..=scene.rig.highest_segment)
        .filter(|number| !needed(*number))
        .collect();
    assert_eq!(gone, expected);
    assert!(gone.len() > 6 && gone[0] == 2, "{gone:?}");
    assert!(
        delete(&disk, &scene.newer, &scene.older).is_empty(),
        "nothing goes twice"
    );

    // What stays is enough: for the newer, and for a fall-back on the older.
    let plan = || named(&scene.rig, name(1, 2), Some(name(1, 1)));
    let (found, collected) = recovered(&disk, plan()).expect("nothing that is needed is gone");
    assert_eq!((found.started_from, &found.warnings[..]), (Some(name(1, 2)), &[][..]));
    assert_eq!(collected.records.len(), 1);
    for ticket in [old, long, last] {
        assert!(can_be_read(&disk, &found.owners, ticket), "{ticket:?}");
    }
    disk.edit(&names::checkpoint(name(1, 2)), |bytes| bytes[30] ^= 1);
    let (found, collected) = recovered(&disk, plan()).expect("the older one can be fallen back on");
    assert_eq!((found.started_from, collected.records.len()), (Some(name(1, 1)), 6));
    let replayed = &scene.rig.appended[scene.rig.appended.len() - 6..];
    assert_prefix(&collected, replayed);
    let replayed = replayed.iter().map(|(_, ticket)| ticket);
    for ticket in [old, long, last].into_iter().chain(replayed) {
        assert!(can_be_read(&disk, &found.owners, ticket), "{ticket:?}");
    }
}

#[test]
fn a_start_refuses_without_a_segment_in_the_middle_that_is_referred_to_and_misses_no_other() {
    let scene = forgotten();
    let mut refused = 0;
    for number in 1..scene.newer.summary.start.segment.0 {
        let disk = scene.rig.machine.disk.copy();
        disk.remove(&scene.rig.segment_path(number));
        let number = SegmentNumber(number);
        let result = recovered(&disk, named(&scene.rig, name(1, 2), Some(name(1, 1))));
        if scene.newer.summary.needs(number) {
            refused += 1;
            match result {
                Err(RecoveryError::Damaged(damage)) => {
                    assert_eq!(damage.file, scene.rig.segment_path(number.0));
                    assert!(damage.what.contains("[C6]"), "{}", damage.what);
                }
                other => panic!("{:?}", other.map(|(found, _)| found)),
            }
            continue;
        }
        let (found, _) = result.unwrap_or_else(|error| panic!("{number:?}: {error}"));
        let warned = matches!(&found.warnings[..], [Warning::OlderCheckpointUnusable { .. }]);
        assert_eq!(
            warned,
            scene.older.summary.needs(number),
            "{number:?}: {:?}",
            found.warnings
        );
    }
    assert!(refused >= 4, "the old one's, and the long one's three");
}

#[test]
fn a_checkpoint_that_refers_to_a_segment_of_nobody_is_refused() {
    let mut rig = Rig::new(SMALL);
    let mut ticket = rig.append_message(100);
    rig.settle().expect("nobody fences this epoch");
    for _ in 0..9 {
        rig.append_message(9000);
    }
    rig.settle().expect("nobody fences this epoch");
    ticket.place.segment = SegmentNumber(0);
    write(&rig, name(1, 1), vec![page(1, &[ticket])], None);
    match recovered(&rig.machine.disk, named(&rig, name(1, 1), None)) {
        Err(RecoveryError::Damaged(damage)) => {
            assert_eq!(damage.file, names::checkpoint(name(1, 1)));
            assert!(damage.what.contains("[C6]"), "{}", damage.what);
        }
        other => panic!("{:?}", other.map(|(found, _)| found)),
    }
}

/// The offline walk finds nothing wrong after deletion, and what is missing where it is missing.
#[test]
fn an_inspection_tells_a_segment_that_went_from_one_that_is_missing() {
    let scene = forgotten();
    let disk = scene.rig.machine.disk.copy();
    let gone = delete(&disk, &scene.newer, &scene.older);
    let damages = |disk: &MemoryDisk| {
        let inspection = Inspection {
            claims: BTreeMap::from([(Epoch(1), nonce(1))]),
            named: [Some(name(1, 2)), Some(name(1, 1))],
            ..Inspection::default()
        };
        let machine = Machine::on(disk.clone());
        let files = machine.files.clone();
        let rows = Rc::new(RefCell::new(Vec::new()));
        let taken = rows.clone();
        let inspected = machine.run(async move {
            let mut take = |row| {
                if let Row::Damage(damage) = row {
                    taken.borrow_mut().push(damage.file);
                }
            };
            inspect(files, &inspection, &mut take).await
        });
        inspected.expect("the disk does not fail");
        rows.take()
    };
    assert_eq!(damages(&disk), [""; 0]);
    for number in (1..scene.rig.highest_segment).filter(|number| !gone.contains(number)) {
        let copy = disk.copy();
        copy.remove(&scene.rig.segment_path(number));
        assert_eq!(damages(&copy), [scene.rig.segment_path(number)]);
    }
}
