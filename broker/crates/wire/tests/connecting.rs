//! From the first byte to the last: negotiation, heart-beats, limits before CONNECT, DISCONNECT.

mod support;

use std::time::Duration;

use message::{Event, RefusalKind};
use support::*;
use wire::stomp::HeartBeat;

const SERVER: &str = "server:holdfast/0.1.0\n";

#[test]
fn connected_answers_with_the_highest_common_version_and_swapped_heart_beats() {
    for (connect, command, answer) in [
        (
            "CONNECT\n\n",
            "#1 Connect None",
            format!("CONNECTED\nversion:1.0\nsession:ID:holdfast-3-7\n{SERVER}heart-beat:0,0\n\n^\n"),
        ),
        (
            "STOMP\naccept-version:1.0,1.1\nhost:x\nlogin:a\npasscode:b\nclient-id:me\nheart-beat:100,200\n\n",
            "#1 Connect Some(\"me\")",
            format!("CONNECTED\nversion:1.1\nsession:me\n{SERVER}heart-beat:200,100\n\n^\n"),
        ),
        (
            "CONNECT\r\naccept-version: 1.1, 1.2 ,9.9\r\nrequest-id:r1\r\n\r\n",
            "#1 Connect None",
            format!(
                "CONNECTED\nversion:1.2\nsession:ID:holdfast-3-7\n{SERVER}heart-beat:0,0\nresponse-id:r1\nreceipt-id:r1\n\n^\n"
            ),
        ),
        (
            "CONNECT\naccept-version:1.2\nreceipt:r:2\n\n",
            "#1 Connect None",
            format!(
                "CONNECTED\nversion:1.2\nsession:ID:holdfast-3-7\n{SERVER}heart-beat:0,0\nresponse-id:r:2\nreceipt-id:r:2\n\n^\n"
            ),
        ),
    ] {
        let mut it = Conversation::new();
        assert_eq!(it.client(connect), [command]);
        assert_eq!(it.output(), "", "nothing is said before the broker agreed");
        it.done(1);
        assert_eq!(it.output(), answer);
        assert!(!it.session.is_closing());
    }
}

#[test]
fn an_unknown_version_is_refused_with_those_that_are_known() {
    let mut it = Conversation::new();
    assert!(it.client("CONNECT\naccept-version:2.0,3.1\n\n").is_empty());
    assert_eq!(
        it.output(),
        "ERROR\nversion:1.0,1.1,1.2\nmessage:Invalid Protocol version[2.0,3.1], supported versions are: [1.2, 1.1, 1.0]\ncontent-type:text/plain\n\nSupported protocol versions are 1.0 1.1 1.2^\n"
    );
    assert!(it.session.is_closing());
}

#[test]
fn what_comes_instead_of_connect_ends_the_connection_at_once() {
    for (bytes, message) in [
        (&b"SEND\ndestination:/queue/A\n\nx\0"[..], "Not connected."),
        (b"DISCONNECT\n\n\0", "Not connected."),
        (b"KEEPALIVE\n\n\0", "Not connected."),
        // The same, however much of a frame with other faults came at once.
        (b"SEND\nx:\xff\n\n\0", "Not connected."),
        (b"SEND\nno colon\n\n\0", "Not connected."),
        // Known from its first line: nobody waits for the rest.
        (b"GET / HTTP/1.1\r\nHost: x\r\n", "Not connected."),
        (b"\x16\x03\x01\x02\x00", "The bytes are not a STOMP frame"),
        (b"CONNECT\nheart-beat:a,b\n\n\0", "Invalid heart-beat header:a,b"),
        (b"CONNECT\nheart-beat:1\n\n\0", "Invalid heart-beat header:1"),
    ] {
        let mut it = Conversation::new();
        assert!(it.client_bytes(bytes).is_empty());
        assert_eq!(error_message(&it.output()), message);
        assert!(it.session.is_closing());
        assert!(it.client("CONNECT\n\n").is_empty(), "bytes behind the end are ignored");
        assert_eq!(it.output(), "");
    }
}

#[test]
fn a_connect_with_odd_spaces_in_its_line_is_one_however_it_is_cut() {
    for line in ["STOMP\u{b}", " CONNECT\u{c}", "CONNECT\u{a0}\r"] {
        let bytes = frame(&format!("{line}\n\n"));
        for piece in [1, 6, bytes.len()] {
            let mut it = Conversation::new();
            let commands: Vec<String> = bytes.chunks(piece).flat_map(|piece| it.client_bytes(piece)).collect();
            assert_eq!(commands, ["#1 Connect None"], "{line:?} in pieces of {piece}");
        }
    }
}

#[test]
fn connect_is_bounded_in_time_and_size() {
    let mut it = Conversation::new();
    it.client_bytes(b"CONNECT\nlogin:");
    for _ in 0..64 {
        it.client_bytes(&[b'x'; 1024]);
    }
    let output = it.output();
    assert_eq!(error_message(&output), "The maximum header length was exceeded");
    assert!(output.contains("65536 bytes (connect_bytes_max)"), "{output}");
    assert!(it.session.is_closing());

    let mut it = Conversation::new();
    assert_eq!(it.session.next_timeout(), Some(it.now.boot + Duration::from_secs(10)));
    it.client_bytes(b"\n\n\nCONN");
    it.wait(9_999);
    assert_eq!(it.output(), "");
    it.wait(1);
    assert!(it.output().contains("within 10 s (connect_within)"));
    assert!(it.session.is_closing());
    assert_eq!(it.session.next_timeout(), None);
}

#[test]
fn a_connect_that_the_broker_did_not_read_in_time_is_not_held_against_the_client() {
    let mut it = Conversation::new();
    it.wait(9_999);
    it.session.handle_bytes(it.now, &[]);
    it.wait(9_999);
    assert_eq!(it.output(), "");
    assert!(!it.session.is_closing());
    it.wait(1);
    assert!(it.output().contains("within 10 s (connect_within)"));
}

#[test]
fn what_is_sent_behind_connect_waits_for_its_answer() {
    let mut it = Conversation::new();
    assert!(it.session.is_reading());
    let both = [frame("CONNECT\n\n"), frame("SEND\ndestination:/queue/A\n\nhi")].concat();
    assert_eq!(it.client_bytes(&both), ["#1 Connect None"]);
    assert!(!it.session.is_reading());
    it.done(1);
    assert!(it.session.is_reading());
    assert_eq!(it.commands(), ["Send queue://A ID:holdfast-3-7:1 Text \"hi\""]);

    let mut it = Conversation::new();
    it.client_bytes(&both);
    it.refused(Some(1), RefusalKind::InvalidClientId, "in use");
    assert_eq!(error_message(&it.output()), "in use");
    assert!(it.session.is_closing());
    assert!(it.commands().is_empty(), "nothing of a refused client is carried out");

    let mut it = Conversation::new();
    it.client("CONNECT\n\n");
    assert!(it.client_bytes(&vec![b'x'; (1 << 20) + 1]).is_empty());
    it.done(1);
    assert!(it.output().contains("read_ahead_bytes_max"));
    assert!(it.session.is_closing());
}

#[test]
fn a_second_connect_is_refused() {
    let mut it = Conversation::connected("1.2");
    assert!(it.client("CONNECT\n\n").is_empty());
    assert_eq!(error_message(&it.output()), "Already connected.");
    assert!(it.session.is_closing());
}

#[test]
fn heart_beats_go_out_when_nothing_else_did() {
    let mut it = Conversation::connected_with(settings(), "1.2", "heart-beat:0,1000\n");
    it.wait(999);
    assert_eq!(it.output(), "");
    it.wait(1);
    assert_eq!(it.transmitted(), "\n");
    // Something else went out in between: it counts.
    it.wait(600);
    it.client("KEEPALIVE\nreceipt:r\n\n");
    assert_eq!(it.transmitted(), "RECEIPT\nreceipt-id:r\n\n^\n");
    it.wait(600);
    assert_eq!(it.output(), "");
    it.wait(400);
    assert_eq!(it.output(), "\n");
    // Bytes that the socket did not take are on their way: no more are added.
    it.wait(5000);
    assert_eq!(it.output(), "");
}

#[test]
fn a_silent_client_is_given_up_after_twice_its_promise_times_the_grace() {
    for (percent, silence_max) in [(0, 2000), (100, 2000), (150, 3000)] {
        let mut settings = settings();
        settings.heart_beat_grace_percent = percent;
        let mut it = Conversation::connected_with(settings, "1.2", "heart-beat:1000,0\n");
        it.wait(silence_max - 1);
        it.client_bytes(b"\n");
        it.wait(silence_max - 1);
        assert_eq!(it.output(), "");
        it.wait(1);
        assert_eq!(
            error_message(&it.output()),
            format!("Channel was inactive for too (>{silence_max}) long")
        );
        assert!(it.session.is_closing());
    }
}

#[test]
fn the_default_heart_beat_stands_for_a_missing_header() {
    let mut settings = settings();
    settings.heart_beat_default = HeartBeat {
        promises_ms: 500,
        wants_ms: 300,
    };
    let mut it = Conversation::with(settings);
    it.client("CONNECT\naccept-version:1.2\n\n");
    it.done(1);
    assert!(it.output().contains("heart-beat:300,500\n"));
    assert_eq!(
        it.session.next_timeout(),
        Some(it.now.boot + Duration::from_millis(300))
    );
}

#[test]
fn the_receipt_of_disconnect_follows_the_answers_to_everything_before() {
    let mut it = Conversation::connected("1.2");
    let bytes = [
        frame("SEND\ndestination:/queue/A\npersistent:true\n\na"),
        frame("SEND\ndestination:/queue/A\npersistent:true\nreceipt:1\n\nb"),
        frame("DISCONNECT\nreceipt:2\n\n"),
        frame("SEND\ndestination:/queue/A\n\nignored"),
    ]
    .concat();
    assert_eq!(
        it.client_bytes(&bytes),
        [
            "#2 Send queue://A ID:holdfast-3-7:1 Text \"a\" persistent",
            "#3 Send queue://A ID:holdfast-3-7:2 Text \"b\" persistent",
            "#4 Barrier",
        ]
    );
    it.done(3);
    assert_eq!(it.output(), "RECEIPT\nreceipt-id:1\n\n^\n");
    assert!(
        !it.session.is_closing(),
        "the message without a receipt is not yet safe"
    );
    it.wait(3_600_000);
    assert_eq!(it.output(), "", "the client decides how long it waits");
    it.done(2);
    it.done(4);
    assert_eq!(it.output(), "RECEIPT\nreceipt-id:2\n\n^\n");
    assert!(it.session.is_closing());
}

#[test]
fn the_receipt_of_disconnect_covers_a_send_without_a_request() {
    let mut it = Conversation::connected("1.2");
    it.client("SEND\ndestination:/queue/A\n\na");
    assert_eq!(it.client("DISCONNECT\nreceipt:1\n\n"), ["#2 Barrier"]);
    assert_eq!(it.output(), "", "the message may still wait for space");
    it.done(2);
    assert_eq!(it.output(), "RECEIPT\nreceipt-id:1\n\n^\n");
    assert!(it.session.is_closing());
}

#[test]
fn disconnect_without_receipt_closes_after_the_answers_or_after_a_while() {
    let mut it = Conversation::connected("1.1");
    assert_eq!(it.client("DISCONNECT\n\n"), ["#2 Barrier"]);
    it.done(2);
    assert!(it.session.is_closing());

    let mut it = Conversation::connected("1.1");
    it.client("SEND\ndestination:/queue/A\nreceipt:1\n\na");
    it.client("DISCONNECT\n\n");
    assert!(!it.session.is_closing());
    it.wait(10_000);
    assert!(it.session.is_closing());
}

#[test]
fn a_broken_frame_ends_the_connection_after_the_answers_to_those_before() {
    let mut it = Conversation::connected("1.2");
    let bytes = [
        frame("SEND\ndestination:/queue/A\nreceipt:1\n\na"),
        frame("NONSENSE\nreceipt:2\n\n"),
        frame("SEND\ndestination:/queue/A\nreceipt:3\n\nb"),
    ]
    .concat();
    assert_eq!(it.client_bytes(&bytes).len(), 1);
    assert_eq!(it.output(), "");
    it.done(2);
    let output = it.output();
    assert!(
        output.starts_with("RECEIPT\nreceipt-id:1\n\n^\nERROR\nmessage:Unknown STOMP action\\c NONSENSE\n"),
        "{output}"
    );
    assert!(output.contains("receipt-id:2\n"));
    assert!(it.session.is_closing());

    // … but not for ever.
    let mut it = Conversation::connected("1.2");
    it.client_bytes(&bytes);
    it.wait(10_000);
    assert_eq!(error_message(&it.output()), "Unknown STOMP action\\c NONSENSE");
    assert!(it.session.is_closing());
    it.event(Event::Done {
        request: message::RequestId(1),
    });
    assert!(it.session.is_closing());
}

#[test]
fn a_client_that_takes_no_answers_is_not_read_until_it_does() {
    let mut settings = settings();
    settings.limits.answers_bytes_max = 2_000;
    let mut it = Conversation::connected_with(settings, "1.2", "heart-beat:1000,0\n");
    let receipt = |number: u32| frame(&format!("KEEPALIVE\nreceipt:{number}{}\n\n", "r".repeat(800)));
    let receipts = (1..=5).map(receipt).collect::<Vec<_>>().concat();
    it.client_bytes(&receipts);
    assert!(!it.session.is_reading());
    it.wait(10_000);
    assert!(!it.session.is_closing(), "silence does not count while nobody listens");
    let first = it.transmitted().matches("RECEIPT").count();
    assert!((2..=3).contains(&first), "{first}");
    let rest = it.transmitted().matches("RECEIPT").count() + it.transmitted().matches("RECEIPT").count();
    assert_eq!(first + rest, 5);
    assert!(it.session.is_reading());

    it.client_bytes(&receipts);
    it.client_bytes(&vec![b'\n'; (1 << 20) + 1]);
    let output = it.output();
    assert_eq!(error_message(&output), "Too much was sent ahead");
    assert!(it.session.is_closing());
}

#[test]
fn a_large_frame_that_was_under_way_when_answers_piled_up_is_not_taken_for_sent_ahead() {
    let mut settings = settings();
    settings.limits.answers_bytes_max = 620;
    let mut it = Conversation::connected_with(settings, "1.2", "");
    let send = frame(&format!(
        "SEND\ndestination:/queue/A\nreceipt:{}\n\nhi",
        "r".repeat(600)
    ));
    it.client_bytes(&send);
    let large = frame(&format!("SEND\ndestination:/queue/A\n\n{}", "x".repeat(3 << 20)));
    let (first, rest) = large.split_at(2 << 20);
    it.client_bytes(first);
    it.done(2);
    assert!(!it.session.is_reading());
    it.client_bytes(b"");
    assert!(!it.session.is_closing());
    assert!(it.transmitted().contains("RECEIPT"));
    assert!(it.session.is_reading());
    let commands = it.client_bytes(rest);
    assert_eq!(commands.len(), 1, "{commands:?}");
}
