use super::*;
use record::{CheckpointName, PackedSegments, RecordPlace, SegmentNumber};

fn entry(number: u64, expiration: u64) -> Entry {
    Entry {
        number: MessageNumber(number),
        place: Place {
            record: RecordPlace::default(),
            last_segment: SegmentNumber(0),
            skip: 0,
            length: 7,
        },
        expiration,
        redeliveries: 0,
        priority: 4,
        set_aside: false,
    }
}

fn numbers(lane: &Lane) -> Vec<u64> {
    let mut from = MessageNumber(0);
    let mut numbers = Vec::new();
    while let Some(found) = lane.next(from) {
        numbers.push(found.number.0);
        from = MessageNumber(found.number.0 + 1);
    }
    numbers
}

fn reference(offset: u64) -> PieceReference {
    PieceReference {
        written_by: CheckpointName {
            epoch: message::Epoch(1),
            number: 1,
        },
        offset,
        length: 0,
        checksum: 0,
        segments: PackedSegments::default(),
    }
}

/// A small generator: the test needs variety, not quality.
fn next(state: &mut u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

#[test]
fn taking_in_any_order_leaves_exactly_the_rest_in_order() {
    let mut state = 7;
    for front_heavy in [true, false] {
        let mut lane = Lane::default();
        let mut model: Vec<u64> = (1..=5000).map(|n| n * 3).collect();
        model.iter().for_each(|number| lane.push(entry(*number, 0)));
        while !model.is_empty() {
            let limit = if front_heavy { model.len().min(20) } else { model.len() };
            let number = model.remove(next(&mut state) as usize % limit);
            assert!(lane.take(MessageNumber(number)).is_some());
            assert!(lane.take(MessageNumber(number)).is_none(), "{number} was taken twice");
            if model.len().is_multiple_of(500) {
                assert_eq!(numbers(&lane), model);
            }
        }
        assert_eq!((lane.len(), lane.pages.len()), (0, 0));
    }
}

#[test]
fn persistent_and_other_messages_come_in_one_order() {
    let mut lane = Lane::default();
    for number in 1..=10 {
        if number % 3 == 0 {
            let queue = message::Destination::queue("Q").expect("a good name");
            lane.push_volatile(
                MessageNumber(number),
                Arc::new(Message::new("m", queue, message::Body::default())),
            );
        } else {
            lane.push(entry(number, 0));
        }
    }
    assert_eq!(numbers(&lane), (1..=10).collect::<Vec<_>>());
    assert_eq!(lane.len(), 10);
}

#[test]
fn a_page_that_did_not_change_is_written_once() {
    let mut lane = Lane::default();
    (1..=3000).for_each(|number| lane.push(entry(number, 0)));
    assert!(lane.image().all(|(_, stored, _)| stored.is_none()));
    lane.take(MessageNumber(2000));
    for ordinal in 0..3 {
        lane.stored(ordinal, reference(ordinal));
    }
    let second: Vec<_> = lane
        .image()
        .map(|(ordinal, stored, page)| (ordinal, stored, page.entries.len()))
        .collect();
    assert_eq!(
        second,
        vec![
            (0, Some(reference(0)), 1024),
            (1, None, 1023),
            (2, Some(reference(2)), 952)
        ]
    );
}

#[test]
fn an_image_does_not_change_afterwards() {
    let mut lane = Lane::default();
    (1..=100).for_each(|number| lane.push(entry(number, 0)));
    let image: Vec<_> = lane.image().collect();
    (1..=90).for_each(|number| assert!(lane.take(MessageNumber(number)).is_some()));
    lane.change(MessageNumber(95), |entry| entry.redeliveries = 9);
    assert_eq!(image[0].2.entries.len(), 100);
    assert!(image[0].2.entries.iter().all(|entry| entry.redeliveries == 0));
    let now: Vec<_> = lane.image().collect();
    assert_eq!(
        now[0].2.entries.iter().map(|entry| entry.number.0).collect::<Vec<_>>(),
        (91..=100).collect::<Vec<_>>()
    );
}

#[test]
fn purging_through_a_number_takes_what_stands_up_to_it() {
    let mut lane = Lane::default();
    (1..=3000).for_each(|number| lane.push(entry(number, 0)));
    lane.change(MessageNumber(7), |entry| entry.set_aside = true);
    lane.change(MessageNumber(2501), |entry| entry.set_aside = true);
    let gone = Gone {
        messages: 2500,
        bytes: 2500 * 7,
        set_aside: 1,
    };
    assert_eq!(lane.purge(MessageNumber(2500)), gone);
    assert_eq!(numbers(&lane), (2501..=3000).collect::<Vec<_>>());
    assert_eq!(lane.purge(MessageNumber(9999)).messages, 500);
    assert_eq!(lane.pages.len(), 0);
}

#[test]
fn a_mark_reaches_the_given_count_ahead_or_the_end() {
    let mut lane = Lane::default();
    (1..=3000).for_each(|number| lane.push(entry(number, 0)));
    lane.take(MessageNumber(1));
    assert_eq!(lane.ahead(MessageNumber(2), 1000), MessageNumber(1002));
    assert_eq!(lane.ahead(MessageNumber(2900), 1000), MessageNumber(3000));
    assert_eq!(lane.ahead(MessageNumber(3000), 1000), MessageNumber(3000));
}

#[test]
fn a_look_for_expired_messages_is_bounded_and_goes_on_where_it_stopped() {
    let mut lane = Lane::default();
    (1..=5000).for_each(|number| lane.push(entry(number, if number % 1000 == 0 { 50 } else { 5000 })));
    let (mut from, mut found, mut steps) = (MessageNumber(0), Vec::new(), 0);
    loop {
        let (outcome, looked) = lane.next_expired(from, 100, 300);
        assert!(looked <= 300);
        steps += 1;
        match outcome {
            Expired::None => break,
            Expired::At(number) => {
                found.push(number.0);
                from = MessageNumber(number.0 + 1);
            }
            Expired::LookedTo(number) => from = number,
        }
    }
    assert_eq!(found, vec![1000, 2000, 3000, 4000, 5000]);
    assert!(steps > 10);
}
