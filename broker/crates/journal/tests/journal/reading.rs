//! Messages come back from wherever their bytes are, and damage is told from failure.

use std::sync::Arc;

use journal::{
    Damaged, EMPTY_BATCH_AFTER, JournalFailure, JournalSettings, READ_AGAIN_AFTER, READ_DESCRIPTORS_MAX, read_message,
};
use message::{Message, MessageNumber};
use platform::DiskErrorKind;
use record::{ObjectId, Place, ReadToken, Record, Sent, Ticket, Waiting};

use crate::rig::{BLOCK, Machine, Rig, SMALL, Start, message, recovered};

type Result = std::result::Result<Arc<Message>, Damaged>;

/// Asks for one message and lets the disk answer as often as it is asked.
fn read(rig: &mut Rig, place: Place) -> Result {
    rig.ask(place, ReadToken(1));
    loop {
        if let Some((token, result)) = rig.journal.poll_read() {
            assert_eq!(token, ReadToken(1));
            return result;
        }
        if rig.machine.disk.pending() == 0 {
            let deadline = rig
                .journal
                .next_deadline()
                .expect("a read waits for the disk or for time");
            rig.machine.now.borrow_mut().boot = deadline;
            rig.pump();
        }
        rig.machine.disk.complete_all();
        rig.turn().expect("the disk does not fail");
    }
}

fn assert_reads(rig: &mut Rig, ticket: &Ticket, index: usize, expected: &Message) {
    let found = read(rig, ticket.message_place(index)).unwrap_or_else(|damaged| panic!("{damaged}"));
    assert!(*found == *expected, "another message came back");
}

#[test]
fn a_message_is_read_from_memory_before_it_is_written_and_from_its_segment_after() {
    let mut rig = Rig::new(SMALL);
    let bodies = [10, 5000, 30_000, 8000, 1];
    let tickets: Vec<_> = bodies.iter().map(|body| rig.append_message(*body)).collect();
    let messages: Vec<_> = (1u64..)
        .zip(bodies)
        .map(|(number, body)| message(1000 + number, body))
        .collect();
    for (ticket, message) in tickets.iter().zip(&messages) {
        assert_reads(&mut rig, ticket, 0, message);
    }
    assert_eq!(rig.machine.disk.reads(), 0, "nothing was written yet");
    // The first two batches are confirmed, the others are not: one message lies here and there.
    rig.provide_segments();
    rig.pump();
    for _ in 0..2 {
        rig.machine.disk.complete(0);
        rig.turn().expect("nobody fences this epoch");
    }
    let held = rig.machine.disk.hold();
    for (ticket, message) in tickets.iter().zip(&messages) {
        assert_reads(&mut rig, ticket, 0, message);
    }
    rig.machine.disk.release(held);
    rig.settle().expect("nobody fences this epoch");
    assert!(rig.highest_segment > 2);
    for (ticket, message) in tickets.iter().zip(&messages) {
        assert_reads(&mut rig, ticket, 0, message);
        let (machine, owners, place) = (
            rig.machine.clone(),
            rig.journal.owners().clone(),
            ticket.message_place(0),
        );
        let files = machine.files.clone();
        let found = machine.run(async move { read_message(&files, &owners, place).await });
        assert!(
            found.expect("nothing is damaged") == *message,
            "the tools read the same"
        );
    }
}

#[test]
fn each_message_of_a_transaction_is_found_in_its_one_record() {
    let mut rig = Rig::new(SMALL);
    let sent = |number: u64, body| Sent {
        destination: ObjectId(1),
        number: MessageNumber(number),
        targets: vec![ObjectId(1)],
        duplicate_id: None,
        time: 1,
        message: Arc::new(message(number, body)),
    };
    let bodies = [100, 12_000, 100, 9000];
    rig.append_message(10);
    let ticket = rig.append(Record::Committed {
        sent: (1u64..).zip(bodies).map(|(number, body)| sent(number, body)).collect(),
        acknowledged: vec![Waiting {
            object: ObjectId(1),
            numbers: vec![MessageNumber(7)],
        }],
    });
    for confirmed in [false, true] {
        if confirmed {
            rig.settle().expect("nobody fences this epoch");
        }
        for (index, body) in bodies.into_iter().enumerate() {
            assert_reads(&mut rig, &ticket, index, &message(index as u64 + 1, body));
        }
    }
}

#[test]
fn a_body_is_damaged_only_after_three_readings_a_second_apart() {
    let mut rig = Rig::new(SMALL);
    rig.append_message(100);
    let ticket = rig.append_message(100);
    rig.settle().expect("nobody fences this epoch");
    rig.machine.pass(EMPTY_BATCH_AFTER);
    rig.settle().expect("nobody fences this epoch");
    let path = rig.segment_path(1);
    let flip = |rig: &Rig| {
        rig.machine
            .disk
            .edit(&path, |bytes| bytes[ticket.place.offset as usize + 50] ^= 1)
    };
    flip(&rig);
    rig.ask(ticket.message_place(0), ReadToken(1));
    let mut readings = 0;
    let damaged = loop {
        rig.machine.disk.complete_all();
        rig.turn().expect("damage is no failure");
        if let Some((_, result)) = rig.journal.poll_read() {
            break result.expect_err("the message is damaged");
        }
        if rig.machine.disk.pending() == 0 {
            readings += 1;
            rig.machine.pass(READ_AGAIN_AFTER / 2);
            rig.pump();
            assert_eq!(rig.machine.disk.pending(), 0, "not yet again");
            rig.machine.pass(READ_AGAIN_AFTER / 2);
            rig.pump();
            assert_eq!(rig.machine.disk.pending(), 1);
        }
    };
    assert_eq!(readings, 2, "and the third decided");
    assert_eq!(
        (damaged.file.as_str(), damaged.offset),
        (path.as_str(), u64::from(ticket.place.offset))
    );
    assert_eq!(damaged.message_id.as_deref(), Some(&*message(1002, 100).id));
    flip(&rig);
    assert_reads(&mut rig, &ticket, 0, &message(1002, 100));

    flip(&rig);
    rig.ask(ticket.message_place(0), ReadToken(1));
    rig.machine.disk.complete_all();
    rig.turn().expect("damage is no failure");
    flip(&rig);
    rig.machine.pass(READ_AGAIN_AFTER);
    rig.pump();
    rig.machine.disk.complete_all();
    rig.turn().expect("damage is no failure");
    assert!(
        rig.journal.poll_read().is_some_and(|(_, result)| result.is_ok()),
        "the second reading was good"
    );
}

#[test]
fn a_flipped_bit_in_any_byte_of_a_message_never_comes_back_as_a_message() {
    let mut rig = Rig::new(SMALL);
    let ticket = rig.append_message(9000);
    rig.settle().expect("nobody fences this epoch");
    let expected = message(1001, 9000);
    let owners = rig.journal.owners().clone();
    let (mut damaged, mut whole) = (0, 0);
    for at in (0..12_000).step_by(7) {
        let disk = rig.machine.disk.copy();
        disk.edit(&rig.segment_path(1), |bytes| bytes[at] ^= 0x10);
        let machine = Machine::on(disk);
        let (files, owners, place) = (machine.files.clone(), owners.clone(), ticket.message_place(0));
        match machine.run(async move { read_message(&files, &owners, place).await }) {
            Ok(found) => {
                assert!(found == expected, "byte {at}");
                whole += 1;
            }
            Err(error) => {
                assert!(matches!(error, journal::ReadError::Damaged(_)), "{error}");
                damaged += 1;
            }
        }
    }
    assert!(
        damaged > 9000 / 7 && whole > 0,
        "{damaged} damaged, {whole} outside of the chunks"
    );
}

#[test]
fn a_read_that_fails_is_a_failure_and_no_damage() {
    for kind in [DiskErrorKind::Failed, DiskErrorKind::Stale] {
        let mut rig = Rig::new(SMALL);
        let ticket = rig.append_message(100);
        rig.settle().expect("nobody fences this epoch");
        rig.ask(ticket.message_place(0), ReadToken(1));
        rig.machine.disk.complete_all();
        rig.turn().expect("the segment opens");
        rig.machine.disk.fail_reads(kind);
        rig.machine.disk.complete_all();
        assert!(matches!(rig.turn(), Err(JournalFailure::Io(error)) if error.kind == kind));
        assert!(rig.journal.poll_read().is_none());
        rig.append_message(100);
        rig.pump();
        assert_eq!(rig.machine.disk.pending(), 0, "nothing goes on after it");
    }
}

#[test]
fn a_missing_segment_is_a_failure_too() {
    let mut rig = Rig::new(SMALL);
    let ticket = rig.append_message(100);
    rig.settle().expect("nobody fences this epoch");
    rig.machine.disk.remove(&rig.segment_path(1));
    rig.ask(ticket.message_place(0), ReadToken(1));
    rig.machine.disk.complete_all();
    assert!(matches!(rig.turn(), Err(JournalFailure::Io(error)) if error.kind == DiskErrorKind::NotFound));
}

#[test]
fn what_is_being_read_is_told_with_every_segment_of_its_record_until_it_is_answered() {
    let mut rig = Rig::new(SMALL);
    rig.append_message(9000);
    let long = rig.append_message(60_000);
    rig.settle().expect("nobody fences this epoch");
    assert!(long.last_segment.0 > long.place.segment.0 + 1);
    assert_eq!(rig.journal.segments_being_read().segments().count(), 0);
    rig.ask(long.message_place(0), ReadToken(1));
    let told: Vec<_> = rig.journal.segments_being_read().segments().collect();
    let expected = (long.place.segment.0..=long.last_segment.0).map(record::SegmentNumber);
    assert_eq!(told, expected.collect::<Vec<_>>());
    while rig.journal.poll_read().is_none() {
        assert_eq!(rig.journal.segments_being_read().segments().collect::<Vec<_>>(), told);
        rig.machine.disk.complete_all();
        rig.turn().expect("nothing fails");
    }
    assert_eq!(rig.journal.segments_being_read().segments().count(), 0);
}

#[test]
fn messages_of_earlier_epochs_are_read_with_their_own_nonce() {
    let mut rig = Rig::new(SMALL);
    let ticket = rig.append_message(9000);
    rig.settle().expect("nobody fences this epoch");
    let disk = rig.machine.disk.clone();
    let (found, _) = recovered(&disk, rig.plan(None)).expect("nothing is damaged");
    let mut next = Rig::leading(
        Machine::on(disk),
        SMALL,
        2,
        rig.highest_segment + 1,
        &Start::from(&found),
    );
    let own = next.append_message(50);
    next.settle().expect("nobody fences this epoch");
    assert_reads(&mut next, &ticket, 0, &message(1001, 9000));
    assert_reads(&mut next, &own, 0, &message(2001, 50));
}

#[test]
fn neighbours_are_read_together_and_damage_of_one_is_no_matter_of_the_others() {
    let mut rig = Rig::new(JournalSettings::default());
    let tickets: Vec<Ticket> = (0..200).map(|_| rig.append_message(1000)).collect();
    rig.settle().expect("nobody fences this epoch");
    rig.machine.pass(EMPTY_BATCH_AFTER);
    rig.settle().expect("nobody fences this epoch");
    let damaged = 77;
    let place = tickets[damaged].place;
    let path = rig.segment_path(place.segment.0);
    rig.machine
        .disk
        .edit(&path, |bytes| bytes[place.offset as usize + 500] ^= 1);
    for (token, ticket) in tickets.iter().enumerate() {
        record::Store::read(&mut rig.journal, ticket.message_place(0), ReadToken(token as u64));
    }
    rig.pump();
    rig.machine.disk.complete_all();
    rig.turn().expect("the segment opens");
    assert_eq!(rig.machine.disk.pending(), 1, "one read for all of them");
    rig.machine.disk.complete_all();
    rig.turn().expect("damage is no failure");
    for token in (0..200).filter(|token| *token != damaged as u64) {
        let (ReadToken(answered), result) = rig.journal.poll_read().expect("its bytes are there");
        assert_eq!(answered, token, "in the order in which they were asked for");
        assert!(*result.expect("it is whole") == message(1001 + token, 1000));
    }
    assert!(rig.journal.poll_read().is_none());
    assert_eq!(rig.machine.disk.pending(), 0, "what did not match is read again later");
    rig.machine.pass(READ_AGAIN_AFTER);
    rig.pump();
    assert_eq!(rig.machine.disk.pending(), 1, "it alone");
}

#[test]
fn descriptors_for_reading_stay_bounded_and_many_reads_are_all_answered() {
    let settings = JournalSettings {
        segment_bytes: BLOCK as u32,
        batch_bytes_max: BLOCK as u32,
        writes_in_flight: 4,
    };
    let mut rig = Rig::new(settings);
    let mut tickets = Vec::new();
    for _ in 0..READ_DESCRIPTORS_MAX + 20 {
        tickets.push(rig.append_message(3000));
        rig.settle().expect("nobody fences this epoch");
    }
    let written = rig.machine.disk.open_files();
    for (token, ticket) in tickets.iter().enumerate() {
        rig.ask(ticket.message_place(0), ReadToken(token as u64));
    }
    let mut answered = vec![false; tickets.len()];
    while answered.contains(&false) {
        assert!(rig.machine.disk.pending() > 0, "the reads go on by themselves");
        rig.machine.disk.complete_all();
        rig.turn().expect("nothing fails");
        assert!(rig.machine.disk.open_files() <= written + READ_DESCRIPTORS_MAX);
        while let Some((ReadToken(token), result)) = rig.journal.poll_read() {
            let expected = message(1001 + token, 3000);
            assert!(*result.expect("nothing is damaged") == expected);
            assert!(!std::mem::replace(&mut answered[token as usize], true), "answered once");
        }
    }
    let open = rig.machine.disk.open_files();
    rig.journal.forget_segments(|_| true);
    rig.machine.disk.complete_all();
    rig.turn().expect("nothing fails");
    assert_eq!(rig.machine.disk.open_files(), written, "{open} were open");
}
