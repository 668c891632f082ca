//! The encrypted channel: two that share a key understand each other, and nobody else gets anything.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic, in its helpers too")]

use bytes::Bytes;
use message::Epoch;
use platform::Random;
use proptest::prelude::*;
use wire::stream::secure::{Channel, ChannelError, HANDSHAKE_BYTES, Key, KeyError, PLAIN_BYTES_MAX, REKEY_MESSAGES};
use wire::stream::{
    BATCH_BYTES_MAX, FollowerEvent, FollowerSession, Hello, LeaderEvent, LeaderSession, LeaderSettings, Nonce,
    Position, Welcome,
};

/// A source whose every number is known.
struct Seeded(u64);

impl Random for Seeded {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 27)
    }
}

fn key() -> Key {
    Key::from_bytes(&[7; 32]).unwrap()
}

fn initiator(seed: u64) -> Channel {
    Channel::initiator(&key(), &mut Seeded(seed))
}

fn responder(seed: u64) -> Channel {
    Channel::responder(&key(), &mut Seeded(seed))
}

fn output(channel: &mut Channel) -> Vec<u8> {
    std::iter::from_fn(|| channel.poll_output()).flatten().collect()
}

fn plain(channel: &mut Channel) -> Vec<u8> {
    std::iter::from_fn(|| channel.poll_plain()).flatten().collect()
}

/// Hands over everything that either side has, until both are silent.
fn pump(left: &mut Channel, right: &mut Channel) {
    loop {
        let (to_right, to_left) = (output(left), output(right));
        if to_right.is_empty() && to_left.is_empty() {
            return;
        }
        right.handle_bytes(&to_right).unwrap();
        left.handle_bytes(&to_left).unwrap();
    }
}

fn established() -> (Channel, Channel) {
    let (mut left, mut right) = (initiator(1), responder(2));
    pump(&mut left, &mut right);
    assert!(left.is_established() && right.is_established());
    (left, right)
}

/// The messages of a stream of bytes, each with its length.
fn messages(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut rest, mut messages) = (bytes, Vec::new());
    while let [high, low, ..] = rest {
        let (message, behind) = rest.split_at(2 + usize::from(u16::from_be_bytes([*high, *low])));
        messages.push(message.to_vec());
        rest = behind;
    }
    messages
}

#[test]
fn two_with_the_same_key_understand_each_other() {
    let (mut left, mut right) = (initiator(1), responder(2));
    // What is said early waits.
    left.send(b"to the ");
    left.send(b"right");
    right.send(b"to the left");
    assert_eq!(output(&mut right), b"", "a responder does not speak first");
    assert!(!left.is_established() && !right.is_established());
    pump(&mut left, &mut right);
    assert!(left.is_established() && right.is_established());
    assert_eq!(
        right.poll_plain(),
        Some(Bytes::from_static(b"to the right")),
        "in one message"
    );
    assert_eq!(plain(&mut left), b"to the left");
    assert_eq!((left.unsent_bytes(), right.unsent_bytes()), (0, 0));
}

#[test]
fn every_split_point_of_a_conversation_gives_the_same() {
    let (mut left, mut right) = (initiator(1), responder(2));
    left.send(b"one");
    let first = output(&mut left);
    right.handle_bytes(&first).unwrap();
    left.handle_bytes(&output(&mut right)).unwrap();
    let mut behind = output(&mut left);
    left.send(b"two");
    behind.extend(output(&mut left));
    let stream = [first, behind].concat();
    for at in 0..=stream.len() {
        let mut right = responder(2);
        right.handle_bytes(&stream[..at]).unwrap();
        right.handle_bytes(&stream[at..]).unwrap();
        assert_eq!(plain(&mut right), b"onetwo", "cut at {at}");
    }
    let mut right = responder(2);
    for byte in stream.chunks(1) {
        right.handle_bytes(byte).unwrap();
    }
    assert_eq!(plain(&mut right), b"onetwo", "byte by byte");
}

#[test]
fn the_bytes_of_a_conversation_are_golden() {
    let (mut left, mut right) = (initiator(1), responder(2));
    let hex = |bytes: Vec<u8>| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    let first = output(&mut left);
    right.handle_bytes(&first).unwrap();
    let second = output(&mut right);
    left.handle_bytes(&second).unwrap();
    left.send(b"Holdfast");
    let third = output(&mut left);
    right.handle_bytes(&third).unwrap();
    assert_eq!(plain(&mut right), b"Holdfast");
    // Key 07…07, secret ephemeral keys from `Seeded(1)` and `Seeded(2)`. Another implementation of Noise (noiseprotocol 0.3.1, in Python) gives the same bytes.
    assert_eq!([first, second, third].map(hex), GOLDEN);
}

const GOLDEN: [&str; 3] = [
    "0030d2d6b2e71c8b88e8d95c21d5210edb6303e7eee81dd67c0705d30097e58b2954c7b45ba21987675378f2bb5ec159f3d9",
    "00300f197f3bcbfc76e976bc8cb130534a57da268ac448ad5e3405016b45ef08416609875279952ea8cfe3dbef4fd82eb6c8",
    "001069a94e1ce2202de08e74ff73228abe8c001818764bba530f797f417ff1fb5fe6daf7c5b73bab3a710ef7",
];

#[test]
fn the_same_randomness_gives_the_same_bytes_and_other_randomness_others() {
    assert_eq!(output(&mut initiator(1)), output(&mut initiator(1)));
    assert_ne!(output(&mut initiator(1)), output(&mut initiator(2)));
}

#[test]
fn a_stranger_gets_not_one_byte_and_costs_no_more_than_one_handshake_message() {
    let stranger = Key::from_bytes(&[8; 32]).unwrap();
    let mut first = Channel::initiator(&stranger, &mut Seeded(1));
    let first = output(&mut first);
    assert_eq!(first.len(), 2 + HANDSHAKE_BYTES);
    for at in 0..first.len() {
        let mut right = responder(2);
        right.send(b"secret");
        right.handle_bytes(&first[..at]).unwrap();
        assert_eq!(right.handle_bytes(&first[at..]), Err(ChannelError::Stranger));
        assert_eq!((output(&mut right), plain(&mut right)), (vec![], vec![]));
        assert_eq!(right.handle_bytes(b"more"), Err(ChannelError::Failed));
        right.send(b"more");
        assert_eq!(
            (output(&mut right), right.unsent_bytes(), right.is_established()),
            (vec![], 0, false)
        );
    }
    // A length that no first message has is refused with its two bytes, so nothing longer is ever kept.
    for length in (0..=u16::MAX).filter(|length| usize::from(*length) != HANDSHAKE_BYTES) {
        assert_eq!(
            responder(2).handle_bytes(&length.to_be_bytes()),
            Err(ChannelError::Stranger)
        );
    }
}

#[test]
fn an_initiator_tells_a_stranger_nothing_either() {
    let stranger = Key::from_bytes(&[8; 32]).unwrap();
    let mut left = initiator(1);
    left.send(b"secret");
    let mut right = Channel::responder(&stranger, &mut Seeded(2));
    assert_eq!(right.handle_bytes(&output(&mut left)), Err(ChannelError::Stranger));
    // One that answers anyway.
    let mut answer = vec![0, HANDSHAKE_BYTES as u8];
    answer.extend([9; HANDSHAKE_BYTES]);
    assert_eq!(left.handle_bytes(&answer), Err(ChannelError::Stranger));
    assert_eq!((output(&mut left), left.is_established()), (vec![], false));
}

#[test]
fn two_of_the_same_role_never_understand_each_other() {
    let (mut left, mut right) = (initiator(1), initiator(2));
    let first = output(&mut left);
    assert_eq!(right.handle_bytes(&first), Err(ChannelError::Stranger));
    assert_eq!(
        left.handle_bytes(&first),
        Err(ChannelError::Stranger),
        "its own message sent back"
    );
    let (mut left, mut right) = (responder(1), responder(2));
    left.send(b"left");
    right.send(b"right");
    pump(&mut left, &mut right);
    assert!(!left.is_established() && !right.is_established());
}

#[test]
fn a_recorded_conversation_opens_nothing_when_it_is_played_again() {
    let (mut left, mut right) = (initiator(1), responder(2));
    let first = output(&mut left);
    right.handle_bytes(&first).unwrap();
    left.handle_bytes(&output(&mut right)).unwrap();
    left.send(b"Hello");
    let behind = output(&mut left);
    right.handle_bytes(&behind).unwrap();
    assert_eq!(plain(&mut right), b"Hello");

    let mut again = responder(3);
    again.send(b"secret");
    again.handle_bytes(&first).unwrap();
    assert_eq!(
        output(&mut again).len(),
        2 + HANDSHAKE_BYTES,
        "its ephemeral key, and no more"
    );
    assert!(!again.is_established());
    assert_eq!(again.handle_bytes(&behind), Err(ChannelError::Stranger));
    assert_eq!((output(&mut again), plain(&mut again)), (vec![], vec![]));
    // Nor can it make the other side keep a long message.
    let mut again = responder(3);
    again.handle_bytes(&first).unwrap();
    assert_eq!(again.handle_bytes(&[0xff, 0xff]), Err(ChannelError::Stranger));
}

/// Three messages of an established channel, and who is to read them.
fn three() -> (Vec<Vec<u8>>, Channel, Channel) {
    let (mut left, right) = established();
    let mut stream = Vec::new();
    for text in ["one", "two", "three"] {
        left.send(text.as_bytes());
        stream.extend(output(&mut left));
    }
    (messages(&stream), left, right)
}

#[test]
fn every_flipped_bit_of_a_handshake_or_a_message_is_noticed() {
    let mut first = output(&mut initiator(1));
    for bit in 16..first.len() * 8 {
        first[bit / 8] ^= 1 << (bit % 8);
        // The highest bit of a public key has no meaning in X25519, but it is in what both sides sign.
        assert_eq!(
            responder(2).handle_bytes(&first),
            Err(ChannelError::Stranger),
            "bit {bit}"
        );
        first[bit / 8] ^= 1 << (bit % 8);
    }
    let length = three().0[1].len();
    for bit in 0..length * 8 {
        let (mut sent, _, mut right) = three();
        sent[1][bit / 8] ^= 1 << (bit % 8);
        let stream = sent.concat();
        // A length that grew waits for bytes that never come, or takes those of the next message.
        match right.handle_bytes(&stream) {
            Err(error) => assert_eq!(error, ChannelError::Tampered { after: 2 }, "bit {bit}"),
            Ok(()) => assert!(bit < 16, "bit {bit}"),
        }
        assert_eq!(plain(&mut right), b"one", "bit {bit}");
    }
}

#[test]
fn messages_that_are_repeated_exchanged_left_out_or_sent_back_are_refused() {
    let tampered = |after| Err(ChannelError::Tampered { after });
    for (order, read, after) in [
        (&[0, 0][..], &b"one"[..], 2),
        (&[1, 0], b"", 1),
        (&[0, 2], b"one", 2),
        (&[0, 1, 0], b"onetwo", 3),
    ] {
        let (sent, _, mut right) = three();
        let stream: Vec<u8> = order.iter().flat_map(|index| sent[*index].clone()).collect();
        assert_eq!(right.handle_bytes(&stream), tampered(after), "{order:?}");
        assert_eq!(plain(&mut right), read, "{order:?}");
    }
    let (sent, mut left, _) = three();
    assert_eq!(left.handle_bytes(&sent[0]), tampered(0), "sent back to who sent it");
    // From another conversation with the same key.
    let (sent, _, _) = three();
    let (mut left, mut right) = (initiator(3), responder(4));
    pump(&mut left, &mut right);
    assert_eq!(right.handle_bytes(&sent[0]), tampered(1));
}

#[test]
fn a_message_that_is_cut_gives_nothing_of_itself() {
    let (sent, _, right) = three();
    let stream = sent.concat();
    drop(right);
    for end in 0..stream.len() {
        let (_, _, mut right) = three();
        right.handle_bytes(&stream[..end]).unwrap();
        let whole = [(sent[0].len(), "one"), (sent[0].len() + sent[1].len(), "two")];
        let read: String = whole
            .iter()
            .filter(|(behind, _)| end >= *behind)
            .map(|(_, text)| *text)
            .collect();
        assert_eq!(plain(&mut right), read.as_bytes(), "cut at {end}");
    }
    let (_, _, mut right) = three();
    assert_eq!(
        right.handle_bytes(&[0, 15]),
        Err(ChannelError::Tampered { after: 1 }),
        "shorter than a tag"
    );
}

#[test]
fn a_channel_goes_on_with_new_keys_again_and_again() {
    let (mut left, mut right) = established();
    // One message was sent to show that the handshake is no replay.
    for number in 1..=2 * REKEY_MESSAGES + 10 {
        left.send(&number.to_le_bytes());
        right.handle_bytes(&left.poll_output().unwrap()).unwrap();
        assert_eq!(right.poll_plain().unwrap()[..], number.to_le_bytes());
    }
    right.send(b"and back");
    pump(&mut left, &mut right);
    assert_eq!(plain(&mut left), b"and back");
}

#[test]
fn what_is_long_goes_out_in_whole_messages_and_what_is_short_together() {
    let (mut left, mut right) = established();
    let long = vec![5; PLAIN_BYTES_MAX * 2 + 10];
    left.send(&long);
    let sent = output(&mut left);
    let lengths: Vec<usize> = messages(&sent).iter().map(Vec::len).collect();
    assert_eq!(lengths, [PLAIN_BYTES_MAX + 18, PLAIN_BYTES_MAX + 18, 10 + 18]);
    right.handle_bytes(&sent).unwrap();
    assert!(plain(&mut right) == long);
    for _ in 0..100 {
        left.send(b"short");
    }
    assert_eq!(left.unsent_bytes(), 500);
    assert_eq!(output(&mut left).len(), 500 + 18);
}

#[test]
fn a_key_is_32_bytes_that_were_written_and_no_log_shows_it() {
    assert_eq!(Key::from_bytes(&[1; 31]), Err(KeyError::Length { bytes: 31 }));
    assert_eq!(Key::from_bytes(&[0; 32]), Err(KeyError::Blank));
    let key = Key::generate(&mut Seeded(5));
    assert_eq!(Key::from_bytes(key.as_bytes()), Ok(key.clone()));
    assert_ne!(key, Key::generate(&mut Seeded(6)));
    assert_eq!(format!("{key:?}"), "Key(…)");
    let (mut left, _) = established();
    left.send(b"secret");
    assert!(!format!("{left:?}").contains("secret"));
}

fn position(batch: u64) -> Position {
    Position {
        epoch: Epoch(1),
        segment: 1,
        offset: 0,
        batch,
        previous_checksum: 0,
    }
}

#[test]
fn sessions_speak_through_a_channel_with_bounded_buffers_whatever_the_size_of_a_batch() {
    /// Most that the owner lets wait in a channel.
    const UNSENT_BYTES_MAX: usize = 128 << 10;
    let (mut initiator, mut responder) = (initiator(1), responder(2));
    let mut follower = FollowerSession::new(Hello {
        member: Nonce([1; 16]),
        format_lowest: 1,
        format_highest: 1,
        from: position(1),
        host: "b".into(),
    });
    let mut leader = LeaderSession::new(LeaderSettings::default());
    let sizes = [BATCH_BYTES_MAX as usize, 100, 4096, 1 << 20];
    let mut received = Vec::new();
    let mut last = None;
    while last.is_none() {
        while let Some(bytes) = follower.poll_output() {
            initiator.send(&bytes);
        }
        while responder.unsent_bytes() < UNSENT_BYTES_MAX
            && let Some(bytes) = leader.poll_output()
        {
            responder.send(&bytes);
        }
        assert!(responder.unsent_bytes() <= UNSENT_BYTES_MAX + (64 << 10) + 100);
        let (up, down) = (initiator.poll_output(), responder.poll_output());
        responder.handle_bytes(&up.unwrap_or_default()).unwrap();
        initiator.handle_bytes(&down.unwrap_or_default()).unwrap();
        while let Some(bytes) = responder.poll_plain() {
            leader.handle_bytes(&bytes);
        }
        while let Some(event) = leader.poll_event().unwrap() {
            let LeaderEvent::Hello(_) = event else {
                panic!("{event:?}")
            };
            leader.welcome(Welcome {
                epoch: Epoch(1),
                nonce: Nonce([1; 16]),
                format_version: 1,
            });
            leader.offer(position(1), vec![1; sizes[0]].into()).unwrap();
        }
        while let Some(bytes) = initiator.poll_plain() {
            assert!(bytes.len() <= PLAIN_BYTES_MAX);
            follower.handle_bytes(&bytes);
        }
        while let Some(event) = follower.poll_event().unwrap() {
            match event {
                FollowerEvent::Welcome(_) => {}
                FollowerEvent::Batch { at, bytes } => {
                    assert!(bytes.iter().all(|byte| u64::from(*byte) == at.batch));
                    received.push(bytes.len());
                    match sizes.get(received.len()) {
                        Some(size) => leader
                            .offer(position(at.batch + 1), vec![at.batch as u8 + 1; *size].into())
                            .unwrap(),
                        None => leader.finish(position(at.batch + 1)),
                    }
                }
                FollowerEvent::Final { position } => last = Some(position),
                other => panic!("nobody said {other:?}"),
            }
        }
    }
    assert_eq!((received, last), (sizes.to_vec(), Some(position(5))));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn whatever_a_stranger_says_a_responder_says_nothing(bytes in prop::collection::vec(any::<u8>(), 0..200), piece in 1usize..60) {
        let mut right = responder(2);
        right.send(b"secret");
        let mut framed = vec![0, HANDSHAKE_BYTES as u8];
        framed.extend(&bytes);
        for stream in [&bytes, &framed] {
            for piece in stream.chunks(piece) {
                if right.handle_bytes(piece).is_err() {
                    break;
                }
            }
            prop_assert!(output(&mut right).is_empty() && !right.is_established());
        }
    }

    #[test]
    fn any_bytes_behind_a_handshake_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), piece in 1usize..60) {
        let (mut left, mut right) = established();
        let mut framed = (bytes.len() as u16).to_be_bytes().to_vec();
        framed.extend(&bytes);
        for (channel, stream) in [(&mut left, bytes.clone()), (&mut right, framed)] {
            for piece in stream.chunks(piece) {
                if channel.handle_bytes(piece).is_err() {
                    break;
                }
            }
            prop_assert!(plain(channel).is_empty());
        }
    }
}
