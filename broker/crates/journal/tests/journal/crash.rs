//! For every prefix of completed operations, and every subset of blocks of what was under way, recovery yields a prefix of what was appended that holds everything confirmed; and so does the recovery
//! after the successor's, also when the server crashes in between.

use std::collections::BTreeSet;

use journal::names;
use message::Epoch;
use record::{BatchPosition, EpochSeal, SegmentNumber, Store};

use crate::rig::{BLOCK, Machine, MemoryDisk, Rig, SMALL, Start, assert_prefix, plan_behind, recovered, taken_over};

/// In which order the disk completes what is under way.
#[derive(Clone, Copy, Debug)]
enum Order {
    OldestFirst,
    NewestFirst,
    /// By a fixed sequence of numbers.
    Mixed(u64),
}

impl Order {
    fn choose(&mut self, pending: usize) -> usize {
        match self {
            Order::OldestFirst => 0,
            Order::NewestFirst => pending - 1,
            Order::Mixed(state) => {
                *state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                ((*state >> 33) % pending as u64) as usize
            }
        }
    }
}

/// Bodies of the workload: small ones that share a batch, one that fills one, one over several batches and a segment.
const BODIES: &[usize] = &[10, 200, 3000, 10, 7000, 30, 20_000, 10, 10, 5000, 100];

/// Calls `look` after every operation that went out or came back.
fn run(mut order: Order, mut look: impl FnMut(&Rig, &[BatchPosition])) {
    let mut rig = Rig::new(SMALL);
    let mut confirmed: Vec<BatchPosition> = Vec::new();
    rig.provide_segments();
    look(&rig, &confirmed);
    let mut bodies = BODIES.iter();
    loop {
        let body = bodies.next();
        if let Some(body) = body {
            rig.append_message(*body);
        }
        rig.provide_segments();
        rig.pump();
        look(&rig, &confirmed);
        // Every other time the disk answers before more is appended; in the end until all is done.
        while rig.machine.disk.pending() > if body.is_some() { 2 } else { 0 } {
            let index = order.choose(rig.machine.disk.pending());
            rig.machine.disk.complete(index);
            rig.turn().expect("nobody fences this epoch");
            confirmed.extend(
                rig.journal
                    .confirmed_position()
                    .filter(|position| confirmed.last() != Some(position)),
            );
            look(&rig, &confirmed);
            rig.provide_segments();
            if body.is_none() {
                rig.pump();
            }
        }
        if body.is_none() && rig.machine.disk.pending() == 0 {
            return;
        }
    }
}

/// Disks as a crash may leave them: with each subset of the blocks under way.
fn images(rig: &Rig) -> Vec<MemoryDisk> {
    let writes = rig.machine.disk.writes_under_way();
    let blocks: Vec<(String, usize, Vec<u8>)> = writes
        .iter()
        .flat_map(|(path, offset, blocks)| {
            let block = move |(index, block): (usize, &[u8])| (path.clone(), offset + index * BLOCK, block.to_vec());
            blocks.chunks(BLOCK).enumerate().map(block)
        })
        .collect();
    assert!(blocks.len() <= 8, "the workload stays small enough for every subset");
    let paths: BTreeSet<_> = writes.iter().map(|(path, _, _)| path.clone()).collect();
    let image = |subset: u32| {
        let disk = rig.machine.disk.copy();
        for path in &paths {
            disk.visible_only(path, disk.get(path));
        }
        for (index, (path, offset, block)) in blocks.iter().enumerate() {
            if subset & (1 << index) != 0 {
                disk.edit(path, |bytes| bytes[*offset..offset + BLOCK].copy_from_slice(block));
            }
        }
        disk
    };
    (0..1 << blocks.len()).map(image).collect()
}

#[test]
fn every_crash_of_a_small_workload_recovers_a_prefix_with_everything_confirmed() {
    let (mut crashes, mut lengths) = (0, BTreeSet::new());
    for order in [Order::OldestFirst, Order::NewestFirst, Order::Mixed(1), Order::Mixed(2)] {
        run(order, |rig, confirmed| {
            for disk in images(rig) {
                for heartbeat in [None, confirmed.last().copied()] {
                    crashes += 1;
                    let case = format!("{order:?}, crash {crashes}, heartbeat {heartbeat:?}");
                    let (found, collected) =
                        recovered(&disk, rig.plan(heartbeat)).unwrap_or_else(|error| panic!("{case}: {error}"));
                    assert_prefix(&collected, &rig.appended);
                    assert!(
                        collected.records.len() as u64 >= rig.journal.confirmed().0,
                        "{case}: a confirmed record is missing"
                    );
                    assert_eq!(found.next_sequence.0, collected.records.len() as u64 + 1);
                    lengths.insert(collected.records.len());
                }
            }
        });
    }
    assert!(crashes > 1000, "{crashes} crashes");
    assert!(
        lengths.contains(&0) && lengths.contains(&BODIES.len()) && lengths.len() >= BODIES.len(),
        "{lengths:?}"
    );
}

#[test]
fn what_a_successor_kept_survives_a_crash_of_the_server_and_two_more_successions() {
    let mut successions = 0;
    run(Order::Mixed(3), |rig, confirmed| {
        for disk in images(rig).into_iter().step_by(3) {
            successions += 1;
            let (first, collected) = taken_over(&disk, rig.plan(confirmed.last().copied()))
                .unwrap_or_else(|error| panic!("{successions}: {error}"));
            disk.server_crash();
            let kept = collected.records.len();
            assert!(kept as u64 >= rig.journal.confirmed().0);

            let mut sealed: Vec<EpochSeal> = first.seal.into_iter().collect();
            let mut start = Start::from(&first);
            let mut expected = rig.appended[..kept].to_vec();
            let mut first_segment = rig.highest_segment + 1;
            for epoch in 2..=3 {
                let machine = Machine::on(disk.clone());
                let mut successor = Rig::leading(machine, SMALL, epoch, first_segment, &start);
                successor.append_message(300);
                successor.append_message(9000);
                successor.settle().expect("nobody fences this epoch");
                expected.extend(successor.appended.clone());
                let (found, collected) = taken_over(&disk, plan_behind(sealed.clone(), &successor, None))
                    .unwrap_or_else(|error| panic!("{successions}, epoch {epoch}: {error}"));
                assert_eq!(collected.records.len(), expected.len(), "all of it was confirmed");
                assert_prefix(&collected, &expected);
                sealed.extend(found.seal);
                start = Start::from(&found);
                first_segment = successor.highest_segment + 1;
            }
        }
    });
    assert!(successions > 80, "{successions} successions");
}

#[test]
fn an_epoch_of_which_nothing_counts_leaves_no_entry_and_the_chain_goes_on_behind_it() {
    let mut rig = Rig::new(SMALL);
    rig.append_message(100);
    rig.settle().expect("nobody fences this epoch");
    let (first, _) = taken_over(&rig.machine.disk, rig.plan(None)).expect("nothing is damaged");
    let sealed = vec![first.seal.expect("one batch counts")];

    let mut idle = Rig::leading(
        Machine::on(rig.machine.disk.clone()),
        SMALL,
        2,
        rig.highest_segment + 1,
        &Start::from(&first),
    );
    idle.provide_segments();
    let (second, collected) =
        taken_over(&rig.machine.disk, plan_behind(sealed.clone(), &idle, None)).expect("nothing is damaged");
    assert_eq!(second.seal, None);
    assert_eq!(
        (second.next_batch, second.next_sequence, second.previous_checksum),
        (first.next_batch, first.next_sequence, first.previous_checksum)
    );
    assert_eq!(collected.records.len(), 1);

    let mut third = Rig::leading(
        Machine::on(rig.machine.disk.clone()),
        SMALL,
        3,
        idle.highest_segment + 1,
        &Start::from(&second),
    );
    third.append_message(100);
    third.settle().expect("nobody fences this epoch");
    let (found, collected) =
        taken_over(&rig.machine.disk, plan_behind(sealed, &third, None)).expect("nothing is damaged");
    assert_eq!(collected.records.len(), 2);
    assert_eq!(found.seal.map(|seal| (seal.epoch, seal.batch)), Some((Epoch(3), 2)));
}

#[test]
fn a_record_whose_last_chunk_is_missing_does_not_exist_and_its_sequence_is_given_again() {
    let mut rig = Rig::new(SMALL);
    rig.provide_segments();
    rig.append_message(100);
    rig.append_message(20_000);
    rig.pump();
    assert_eq!(
        rig.machine.disk.pending(),
        3,
        "the long record reaches over three batches"
    );
    for _ in 0..2 {
        rig.machine.disk.complete(0);
        rig.turn().expect("nobody fences this epoch");
    }
    assert_eq!(rig.journal.confirmed().0, 1);
    let disk = rig.machine.disk.copy();
    let (found, collected) = taken_over(&disk, rig.plan(rig.journal.confirmed_position())).expect("nothing is damaged");
    assert_eq!(collected.records.len(), 1);
    assert_eq!(
        (found.next_sequence.0, found.next_batch),
        (2, 3),
        "its batches count, their record does not"
    );

    let mut next = Rig::leading(
        Machine::on(disk.clone()),
        SMALL,
        2,
        rig.highest_segment + 1,
        &Start::from(&found),
    );
    let ticket = next.append_message(50);
    assert_eq!(ticket.sequence.0, 2);
    next.settle().expect("nobody fences this epoch");
    let sealed = vec![found.seal.expect("batches count")];
    let (_, collected) = taken_over(&disk, plan_behind(sealed, &next, None)).expect("nothing is damaged");
    let sequences: Vec<_> = collected.records.iter().map(|(sequence, ..)| sequence.0).collect();
    assert_eq!(sequences, [1, 2]);
    assert_eq!(collected.records[1].2, ticket.place);
}

#[test]
fn a_batch_that_a_dead_leader_lands_behind_the_seal_is_dead() {
    let mut rig = Rig::new(SMALL);
    rig.append_message(100);
    rig.settle().expect("nobody fences this epoch");
    rig.append_message(200);
    rig.pump();
    let late = rig.machine.disk.writes_under_way();
    let disk = rig.machine.disk.copy();
    let (found, _) = taken_over(&disk, rig.plan(rig.journal.confirmed_position())).expect("nothing is damaged");
    let sealed = vec![found.seal.expect("one batch counts")];
    for (path, offset, blocks) in late {
        disk.edit(&path, |bytes| {
            bytes[offset..offset + blocks.len()].copy_from_slice(&blocks)
        });
    }
    let mut next = Rig::leading(
        Machine::on(disk.copy()),
        SMALL,
        2,
        rig.highest_segment + 1,
        &Start::from(&found),
    );
    next.append_message(300);
    next.settle().expect("nobody fences this epoch");
    let (_, collected) = recovered(&next.machine.disk, plan_behind(sealed, &next, None)).expect("nothing is damaged");
    assert_eq!(collected.records.len(), 2);
    assert!(collected.records[1].1 == next.appended[0].0);
}

#[test]
fn a_tail_that_changed_between_reading_and_hardening_is_not_sealed() {
    let mut rig = Rig::new(SMALL);
    rig.append_message(100);
    rig.settle().expect("nobody fences this epoch");
    let disk = rig.machine.disk.clone();
    let (found, _) = recovered(&disk, rig.plan(None)).expect("nothing is damaged");
    assert_eq!(
        found.tail.batches.len(),
        1,
        "no later batch and no heartbeat says that it was confirmed"
    );
    let (seen, _) = recovered(&disk, rig.plan(rig.journal.confirmed_position())).expect("nothing is damaged");
    assert!(seen.tail.batches.is_empty(), "the heartbeat says so");
    let path = names::segment(Epoch(1), SegmentNumber(1));
    disk.edit(&path, |bytes| bytes[..BLOCK].fill(0));
    let machine = Machine::on(disk);
    let files = machine.files.clone();
    let tail = found.tail;
    let hardened = machine.run(async move { journal::harden(files, &tail).await });
    assert!(matches!(
        hardened,
        Err(journal::RecoveryError::Changed { offset: 0, .. })
    ));
}
