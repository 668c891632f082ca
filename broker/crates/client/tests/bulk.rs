//! The bulk side writes what the decoder reads, and reads what a server writes.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic, in its helpers too")]

use bytes::BytesMut;
use client::stomp::bulk::{NoFrame, SendTemplate, next_frame, write_ack};
use client::stomp::{FrameLimits, SendOptions, Version};
use wire::stomp::{Decoder, Frame, FrameWriter};

fn decoded(bytes: &[u8], version: Version) -> Vec<Frame> {
    let mut decoder = Decoder::new(FrameLimits::default());
    decoder.connected(version, FrameLimits::default());
    decoder.push(bytes);
    std::iter::from_fn(|| decoder.next_frame().unwrap()).collect()
}

#[test]
fn a_template_writes_frames_that_differ_in_receipt_and_body_only() {
    let options = SendOptions {
        persistent: true,
        headers: &[("color", "red:dark")],
        ..SendOptions::default()
    };
    let template = SendTemplate::new(Version::V1_2, "/queue/A", b"body ?", &options);
    let mut out = Vec::new();
    template.write(&mut out, 7)[5] = b'1';
    template.write(&mut out, u32::MAX)[5] = b'\0';
    let frames = decoded(&out, Version::V1_2);
    let shown: Vec<_> = frames
        .iter()
        .map(|frame| (frame.header("receipt").unwrap(), &frame.body[..]))
        .collect();
    assert_eq!(shown, [("0000000007", &b"body 1"[..]), ("4294967295", &b"body \0"[..])]);
    for (name, value) in [
        ("destination", "/queue/A"),
        ("persistent", "true"),
        ("color", "red:dark"),
        ("content-length", "6"),
    ] {
        assert_eq!(frames[0].header(name), Some(value), "{name}");
    }
}

#[test]
fn a_frame_is_seen_only_when_it_is_complete_and_then_whole() {
    let mut bytes = BytesMut::from(&b"\n\r\n"[..]);
    let mut frame = FrameWriter::new(&mut bytes, Version::V1_2, "MESSAGE");
    frame.header("ack", "a:1").header("message-id", "m1");
    frame.number("content-length", 4);
    frame.body(b"a\0b\n");
    let whole = bytes.len() - 1;
    for end in 0..whole {
        assert_eq!(next_frame(&bytes[..end]), Ok(None), "{end}");
    }
    let (view, taken) = next_frame(&bytes).unwrap().unwrap();
    assert_eq!(
        (view.command, view.body, taken),
        (&b"MESSAGE"[..], &b"a\0b\n"[..], whole)
    );
    assert_eq!(view.header(b"ack"), Some(&b"a\\c1"[..]), "as it stands on the wire");
    assert_eq!((view.header(b"ac"), view.number(b"content-length")), (None, Some(4)));
}

#[test]
fn frames_without_a_length_end_at_the_null_byte_and_lines_may_end_in_cr_lf() {
    let bytes = b"RECEIPT\r\nreceipt-id:0000000012\r\n\r\n\0\nERROR\nmessage:no\n\nwhy\0";
    let (receipt, taken) = next_frame(bytes).unwrap().unwrap();
    assert_eq!(
        (receipt.command, receipt.number(b"receipt-id")),
        (&b"RECEIPT"[..], Some(12))
    );
    let (error, rest) = next_frame(&bytes[taken..]).unwrap().unwrap();
    assert_eq!((error.header(b"message"), error.body), (Some(&b"no"[..]), &b"why"[..]));
    assert_eq!(taken + rest, bytes.len());
}

#[test]
fn bytes_that_are_no_frame_are_refused() {
    assert_eq!(next_frame(b"MESSAGE\ncontent-length:x\n\n\0"), Err(NoFrame::Length));
    assert_eq!(
        next_frame(b"MESSAGE\ncontent-length:99999999999999999999\n\n\0"),
        Err(NoFrame::Length)
    );
    assert_eq!(next_frame(b"MESSAGE\ncontent-length:1\n\nab\0"), Err(NoFrame::End));
}

#[test]
fn an_ack_names_the_delivery_as_each_version_wants_it() {
    let bytes = b"MESSAGE\nack:h\\c1\nmessage-id:m\\c1\nsubscription:s\n\n\0";
    let (message, _) = next_frame(bytes).unwrap().unwrap();
    let mut out = Vec::new();
    assert!(write_ack(&mut out, Version::V1_2, &message));
    assert_eq!(decoded(&out, Version::V1_2)[0].header("id"), Some("h:1"));
    out.clear();
    assert!(write_ack(&mut out, Version::V1_1, &message));
    let frame = &decoded(&out, Version::V1_1)[0];
    assert_eq!(
        (frame.header("message-id"), frame.header("subscription")),
        (Some("m:1"), Some("s"))
    );
    out.clear();
    let (nameless, _) = next_frame(b"MESSAGE\nsubscription:s\n\n\0").unwrap().unwrap();
    assert!(!write_ack(&mut out, Version::V1_2, &nameless) && out.is_empty());
}
