//! Whatever comes in whatever order and pieces: no panic, bounded memory, and the same outcome however the bytes are cut.

mod support;

use message::{Command, Event, Refusal, RefusalKind, RequestId};
use proptest::prelude::*;
use support::*;

/// One thing that happens to a session.
#[derive(Clone, Debug)]
enum Step {
    Bytes(Vec<u8>),
    Done(u64),
    Refused(Option<u64>),
    Deliver(u32, String),
    BrowseEnd(u32),
    Ended(u32),
    Output,
    Transmitted(usize),
    Wait(u64),
}

fn header() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("id"),
        Just("destination"),
        Just("ack"),
        Just("message-id"),
        Just("subscription"),
        Just("transaction"),
        Just("receipt"),
        Just("activemq.prefetchSize"),
        Just("activemq.subscriptionName"),
        Just("content-length"),
        Just("reply-to"),
        Just("browser"),
        Just("persistent"),
        Just("amq-msg-type"),
        Just("expires"),
        Just("heart-beat"),
        Just("accept-version"),
    ];
    let value = prop_oneof![
        Just("1"),
        Just("0"),
        Just("true"),
        Just("t"),
        Just("client"),
        Just("client-individual"),
        Just("/queue/A"),
        Just("/topic/A,/temp-queue/x"),
        Just("holdfast-3-7-1-1"),
        Just("holdfast-3-7-1-2"),
        Just("m1"),
        Just("1.2"),
        Just("\\n\\c"),
        Just(""),
        Just("-5"),
    ];
    (name, value).prop_map(|(name, value)| format!("{name}:{value}\n"))
}

fn client_frame() -> impl Strategy<Value = Vec<u8>> {
    let command = prop_oneof![
        Just("SEND"),
        Just("SUBSCRIBE"),
        Just("UNSUBSCRIBE"),
        Just("ACK"),
        Just("NACK"),
        Just("BEGIN"),
        Just("COMMIT"),
        Just("ABORT"),
        Just("KEEPALIVE"),
        Just("DISCONNECT"),
        Just("CONNECT"),
    ];
    (
        command,
        proptest::collection::vec(header(), 0..6),
        prop_oneof![Just(""), Just("x"), Just("body\0")],
    )
        .prop_map(|(command, headers, body)| format!("{command}\n{}\n{body}\0", headers.concat()).into_bytes())
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => client_frame().prop_map(Step::Bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..20).prop_map(Step::Bytes),
        3 => (0..12_u64).prop_map(Step::Done),
        1 => proptest::option::of(0..12_u64).prop_map(Step::Refused),
        4 => (0..4_u32, "m[0-3]").prop_map(|(consumer, id)| Step::Deliver(consumer, id)),
        1 => (0..4_u32).prop_map(Step::BrowseEnd),
        1 => (0..4_u32).prop_map(Step::Ended),
        3 => Just(Step::Output),
        2 => (0..500_usize).prop_map(Step::Transmitted),
        1 => (0..20_000_u64).prop_map(Step::Wait),
    ]
}

/// Runs the steps; everything that the session said and asked for.
fn run(version: &str, steps: &[Step], piece: usize) -> (Vec<String>, String) {
    let mut it = Conversation::connected_with(settings(), version, "client-id:me\n");
    let mut commands = Vec::new();
    let mut output = String::new();
    let mut tag = 0;
    for step in steps {
        match step {
            Step::Bytes(bytes) => {
                for piece in bytes.chunks(piece) {
                    it.session.handle_bytes(it.now, piece);
                }
            }
            Step::Done(request) => it.event(Event::Done {
                request: RequestId(*request),
            }),
            Step::Refused(request) => {
                let refusal = Refusal::new(RefusalKind::IllegalState, "no");
                it.event(Event::Refused {
                    request: request.map(RequestId),
                    refusal,
                });
            }
            Step::Deliver(consumer, id) => {
                tag += 1;
                it.deliver(*consumer, tag, message(id, "A", "hi"));
            }
            Step::BrowseEnd(number) => it.event(Event::BrowseEnd {
                consumer: consumer(*number),
            }),
            Step::Ended(number) => {
                let reason = Refusal::new(RefusalKind::InvalidDestination, "gone");
                it.event(Event::ConsumerEnded {
                    consumer: consumer(*number),
                    reason,
                });
            }
            Step::Output => output += &it.output(),
            Step::Transmitted(count) => it.session.handle_transmitted(it.now, *count),
            Step::Wait(milliseconds) => it.wait(*milliseconds),
        }
        commands.extend(it.commands());
    }
    output += &it.transmitted();
    commands.extend(it.commands());
    (commands, output)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) })]

    #[test]
    fn any_conversation_goes_the_same_way_however_its_bytes_are_cut(
        version in prop_oneof![Just("1.0"), Just("1.1"), Just("1.2")],
        steps in proptest::collection::vec(step(), 0..40),
    ) {
        let whole = run(version, &steps, usize::MAX);
        prop_assert_eq!(&run(version, &steps, 1), &whole);
        prop_assert_eq!(&run(version, &steps, 13), &whole);
    }

    #[test]
    fn random_bytes_from_the_first_on_never_panic_and_ask_for_nothing_before_connect(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..20),
    ) {
        let mut it = Conversation::new();
        for piece in &pieces {
            it.session.handle_bytes(it.now, piece);
            while let Some((_, command)) = it.session.poll_command() {
                let is_connect = matches!(command, Command::Connect { .. });
                prop_assert!(is_connect, "{command:?}");
            }
        }
        it.output();
    }
}

#[test]
fn output_is_frames_that_a_client_reads_whatever_was_asked() {
    // A fixed, long conversation through every command: what comes out is whole frames.
    let mut it = Conversation::connected("1.2");
    it.subscribe("id:s\ndestination:/queue/A\nack:client");
    for tag in 1..=200 {
        it.deliver(
            1,
            tag,
            message(&format!("m:{tag}\n"), "A", &"x".repeat(tag as usize * 50)),
        );
        it.client(&format!("ACK\nid:bad{tag}\nreceipt:r:{tag}\n\n"));
    }
    let mut decoder = wire::stomp::Decoder::new(wire::stomp::FrameLimits::default());
    decoder.connected(wire::stomp::Version::V1_2, wire::stomp::FrameLimits::default());
    let (mut messages, mut errors) = (0, 0);
    while let Some(bytes) = it.session.poll_output() {
        decoder.push(&bytes);
        while let Some(frame) = decoder.next_frame().expect("whole frames") {
            match frame.command() {
                "MESSAGE" => {
                    messages += 1;
                    assert_eq!(frame.header("message-id"), Some(&*format!("m:{messages}\n")));
                    assert_eq!(frame.body.len(), messages * 50);
                }
                "ERROR" => {
                    errors += 1;
                    assert_eq!(frame.header("receipt-id"), Some(&*format!("r:{errors}")));
                }
                other => panic!("{other}"),
            }
        }
    }
    assert_eq!((messages, errors), (200, 200));
    assert_eq!(decoder.buffered(), 0);
}
