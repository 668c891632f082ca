//! Bytes to the frames of the standby's stream, and to both of its sessions.
//!
//! The same frames and the same violation come out however the bytes are cut; a frame that is written again is read as the same frame; a session ends with its first violation, keeps no more than its queue
//! allows, and never lets a batch out of order.

use ::message::Epoch;
use bytes::{Bytes, BytesMut};
use wire::stream::{
    Decoder, Direction, FollowerEvent, FollowerSession, Frame, Hello, Kind, LeaderEvent, LeaderSession, LeaderSettings,
    Nonce, Position, Reason, Refusal, Sealed, Violation, Welcome,
};

const QUEUE_BYTES_MAX: usize = 1000;
const BATCH_BYTES: usize = 100;
/// What a batch may cost beside its bytes.
const BATCH_COST_MAX: usize = 200;

/// Bytes: the direction, and how both sides behave; the length of pieces; then the stream.
pub fn run(input: &[u8]) {
    let [choice, piece, stream @ ..] = input else { return };
    let direction = if choice & 1 == 0 {
        Direction::ToLeader
    } else {
        Direction::ToFollower
    };
    let whole = decode(direction, stream, stream.len());
    for piece in [1, usize::from(*piece).max(1)] {
        let pieces = decode(direction, stream, piece);
        assert_eq!(whole, pieces, "what comes out depends on the cut, every {piece} bytes");
    }
    for frame in &whole.0 {
        let again = decode(direction, &encoded(frame), usize::MAX);
        assert_eq!((&again.0[..], &again.1), (std::slice::from_ref(frame), &None));
    }
    match direction {
        Direction::ToLeader => lead(stream, usize::from(*piece).max(1), *choice),
        Direction::ToFollower => follow(stream, usize::from(*piece).max(1)),
    }
}

fn decode(direction: Direction, stream: &[u8], piece: usize) -> (Vec<Frame>, Option<Violation>) {
    let mut decoder = Decoder::new(direction);
    let mut frames = Vec::new();
    for bytes in stream.chunks(piece.max(1)) {
        decoder.push(bytes);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(violation) => {
                    assert!(!violation.to_string().is_empty());
                    return (frames, Some(violation));
                }
            }
        }
    }
    (frames, None)
}

/// A leader that holds batches 5 to 9 and confirms one more with each piece; `choice` says when the connection takes bytes.
fn lead(stream: &[u8], piece: usize, choice: u8) {
    let mut leader = LeaderSession::new(LeaderSettings {
        queue_bytes_max: QUEUE_BYTES_MAX,
    });
    let batch = || Bytes::from_static(&[7; BATCH_BYTES]);
    let mut said = Vec::new();
    for (turn, bytes) in stream.chunks(piece).enumerate() {
        leader.handle_bytes(bytes);
        let mut has_failed = false;
        loop {
            match leader.poll_event() {
                Ok(Some(LeaderEvent::Hello(hello))) => {
                    assert!(hello.format_lowest <= hello.format_highest);
                    leader.welcome(WELCOME);
                    for number in 5..10 {
                        // Its history may be another one: then the session has ended.
                        if leader.offer(position(number), batch()).is_err() {
                            break;
                        }
                    }
                }
                Ok(Some(LeaderEvent::Applied { batch })) => {
                    let report = leader.report().expect("Hello was said");
                    assert!(batch == report.applied && batch <= report.confirmed);
                }
                Ok(Some(LeaderEvent::Sealed(_))) => {}
                Ok(None) => break,
                Err(_) => {
                    assert!(!has_failed, "there is one violation");
                    has_failed = true;
                }
            }
        }
        let next = position(10 + turn as u64);
        if leader.offer(next, batch()).is_ok() {
            leader.confirmed(position(next.batch + 1));
        }
        assert!(leader.queued_bytes() <= QUEUE_BYTES_MAX.max(BATCH_BYTES + BATCH_COST_MAX));
        if turn % 8 < usize::from(choice >> 5) {
            said.extend(std::iter::from_fn(|| leader.poll_output()).flatten());
        }
    }
    said.extend(std::iter::from_fn(|| leader.poll_output()).flatten());
    assert_eq!(leader.queued_bytes(), 0);
    let (_, violation) = decode(Direction::ToFollower, &said, usize::MAX);
    assert_eq!(violation, None, "a leader breaks the protocol");
}

/// A follower that reads the files at once.
fn follow(stream: &[u8], piece: usize) {
    let mut follower = FollowerSession::new(Hello {
        from: position(5),
        ..HELLO
    });
    let mut next = 5;
    let mut said = Vec::new();
    for bytes in stream.chunks(piece) {
        follower.handle_bytes(bytes);
        while let Ok(Some(event)) = follower.poll_event() {
            match event {
                FollowerEvent::Batch { at, bytes } => {
                    assert!(at.batch == next && !bytes.is_empty());
                    next += 1;
                    follower.applied(at.batch);
                }
                FollowerEvent::Gap { from } => {
                    assert!(from.batch >= next);
                    next = from.batch;
                    follower.say_hello(from);
                }
                FollowerEvent::Final { position } => assert!(position.batch >= next),
                FollowerEvent::Refused(_) => assert!(follower.is_closed()),
                FollowerEvent::Welcome(_) | FollowerEvent::Confirmed { .. } | FollowerEvent::Sealed(_) => {}
            }
            assert_eq!(follower.next_batch(), next);
        }
        said.extend(std::iter::from_fn(|| follower.poll_output()).flatten());
    }
    let (_, violation) = decode(Direction::ToLeader, &said, usize::MAX);
    assert_eq!(violation, None, "a follower breaks the protocol");
}

const WELCOME: Welcome = Welcome {
    epoch: Epoch(3),
    nonce: Nonce([3; 16]),
    format_version: 1,
};

const HELLO: Hello = Hello {
    member: Nonce([1; 16]),
    format_lowest: 1,
    format_highest: 2,
    from: position(7),
    host: String::new(),
};

const fn position(batch: u64) -> Position {
    Position {
        epoch: Epoch(3),
        segment: 2,
        offset: 4096,
        batch,
        previous_checksum: 9,
    }
}

fn encoded(frame: &Frame) -> Vec<u8> {
    let mut out = BytesMut::new();
    frame.encode(&mut out);
    out.to_vec()
}

/// Inputs to begin with: each frame alone, and conversations.
pub fn seeds() -> Vec<Vec<u8>> {
    let sealed = Frame::Sealed(Sealed {
        epoch: Epoch(4),
        nonce: Nonce([4; 16]),
    });
    let hello = |from| {
        Frame::Hello(Hello {
            from: position(from),
            host: "b".into(),
            ..HELLO
        })
    };
    let batch = |number| Frame::Batch {
        at: position(number),
        bytes: Bytes::from_static(b"HFBT"),
    };
    let refused = Frame::Refused(Refusal {
        reason: Reason::NotLeading,
        text: "no".into(),
    });
    let welcome = Frame::Welcome(WELCOME);
    let confirmed = Frame::Confirmed { position: position(7) };
    let gap = Frame::Gap { from: position(9) };
    let last = Frame::Final { position: position(12) };
    let applied = Frame::Applied { batch: 8 };
    let conversations: [&[Frame]; 6] = [
        &[hello(7), applied.clone(), sealed.clone()],
        &[hello(1), Frame::Applied { batch: 0 }, hello(10), applied],
        std::slice::from_ref(&sealed),
        &[
            welcome.clone(),
            batch(5),
            batch(6),
            confirmed.clone(),
            gap.clone(),
            confirmed,
        ],
        &[welcome.clone(), gap, welcome, batch(9), sealed.clone(), last],
        &[refused],
    ];
    let mut seeds = Vec::new();
    for frames in conversations {
        let direction = u8::from(!frames[0].kind().goes(Direction::ToLeader));
        let stream: Vec<u8> = frames.iter().flat_map(encoded).collect();
        for (choice, piece) in [(0, 7), (0x60, 60), (0xe0, 255)] {
            seeds.push([&[choice | direction, piece], &stream[..]].concat());
        }
    }
    // Heads that cannot be: too long, unknown, without a kind.
    for kind in [Kind::Hello as u8, Kind::Batch as u8, 99] {
        seeds.push([&[1, 3][..], &u32::MAX.to_le_bytes(), &[kind]].concat());
    }
    seeds.push(vec![0, 1, 0, 0, 0, 0, 1]);
    seeds
}
