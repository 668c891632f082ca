//! SEND and transactions: which headers become what, what is asked with a request, what is refused.

mod support;

use message::{BodyKind, Command, Kind, Property, RefusalKind};
use support::*;

/// The message of the SEND with these headers and this body.
fn sent(version: &str, headers: &str, body: &str) -> std::sync::Arc<message::Message> {
    let mut it = Conversation::connected(version);
    it.session.handle_bytes(
        it.now,
        &frame(&format!("SEND\ndestination:/queue/A\n{headers}\n{body}^")),
    );
    match it.session.poll_command() {
        Some((_, Command::Send(send))) => send.message,
        other => panic!("{other:?}; {}", it.output()),
    }
}

#[test]
fn every_standard_header_becomes_its_field() {
    let message = sent(
        "1.2",
        "correlation-id:c1\nexpires:1800000000000\npriority:7\npersistent:true\nreply-to:/queue/R\ntype:t\ntimestamp:5\nJMSXGroupID:g\nJMSXGroupSeq:-1\n",
        "",
    );
    assert_eq!(message.correlation_id.as_deref(), Some("c1"));
    assert_eq!(message.expiration, 1_800_000_000_000);
    assert_eq!(message.priority, 7);
    assert!(message.persistent);
    assert_eq!(message.reply_to.as_ref().unwrap().to_string(), "queue://R");
    assert_eq!(message.message_type.as_deref(), Some("t"));
    assert_eq!(message.timestamp, 5);
    assert_eq!(message.group_id.as_deref(), Some("g"));
    assert_eq!(message.group_sequence, -1);
    assert!(message.properties.is_empty());
}

#[test]
fn without_headers_a_message_is_not_persistent_of_priority_4_sent_now_and_never_expires() {
    let message = sent("1.0", "", "x");
    assert_eq!(
        (
            message.persistent,
            message.priority,
            message.timestamp,
            message.expiration
        ),
        (false, 4, 1_700_000_000_000, 0)
    );
    assert_eq!((message.body.kind, &*message.id), (BodyKind::Text, "ID:holdfast-3-7:1"));
}

#[test]
fn jms_names_set_the_same_fields_where_stomps_own_are_absent() {
    let message = sent(
        "1.1",
        "JMSCorrelationID:c\nJMSType:t\nJMSPriority:9\nJMSExpiration:8\nJMSTimestamp:7\nJMSDeliveryMode:PERSISTENT\n",
        "",
    );
    assert_eq!(message.correlation_id.as_deref(), Some("c"));
    assert_eq!(message.message_type.as_deref(), Some("t"));
    assert_eq!(
        (
            message.priority,
            message.expiration,
            message.timestamp,
            message.persistent
        ),
        (9, 8, 7, true)
    );
    let message = sent(
        "1.1",
        "priority:1\nJMSPriority:9\npersistent:false\nJMSDeliveryMode:2\n",
        "",
    );
    assert_eq!((message.priority, message.persistent), (1, false));
}

#[test]
fn all_other_headers_become_string_properties_and_instructions_do_not() {
    let message = sent(
        "1.2",
        "receipt:r\ncontent-length:1\nmessage-id:forged\nredelivered:true\nsubscription:s\nJMSXUserID:root\nJMSXDeliveryCount:9\nduplicate-id:d\nAMQ_SCHEDULED_DELAY:5000\nprice:5\nprice:6\nreply-to:nowhere\ncontent-type:text/html\n",
        "x",
    );
    let properties: Vec<_> = message.properties.iter().collect();
    let expected = [
        ("AMQ_SCHEDULED_DELAY", "5000"),
        ("price", "5"),
        ("reply-to", "nowhere"),
        ("content-type", "text/html"),
    ];
    assert_eq!(
        properties,
        expected.map(|(name, value)| (name, Property::String(value)))
    );
    assert_eq!((&*message.id, message.user_id.as_deref()), ("ID:holdfast-3-7:1", None));
}

#[test]
fn the_body_is_text_or_bytes_as_activemq_decides() {
    for (headers, body, kind) in [
        ("", "hi", BodyKind::Text),
        ("content-length:2\n", "hi", BodyKind::Bytes),
        ("content-length:2\namq-msg-type:text\n", "hi", BodyKind::Text),
        ("amq-msg-type:BYTES\n", "hi", BodyKind::Bytes),
        ("transformation:jms-byte\n", "hi", BodyKind::Text),
        (
            "transformation:jms-map-json\n",
            r#"{"map":{"entry":{"string":["a","b"]}}}"#,
            BodyKind::Map,
        ),
        ("transformation:jms-map-json\n", "no map", BodyKind::Text),
        ("transformation:jms-object-xml\n", "<a/>", BodyKind::Text),
    ] {
        let message = sent("1.2", headers, body);
        assert_eq!(
            (message.body.kind, &message.body.bytes[..]),
            (kind, body.as_bytes()),
            "{headers}{body}"
        );
    }
    let message = sent("1.2", "transformation:jms-object-xml\n", "<a/>");
    assert!(message.properties.get("transformation-error").is_some());
    // Not UTF-8: kept as it is.
    let mut it = Conversation::connected("1.2");
    it.session
        .handle_bytes(it.now, b"SEND\ndestination:/queue/A\n\n\xff\xfe\0");
    match it.session.poll_command() {
        Some((_, Command::Send(send))) => {
            assert_eq!(
                (send.message.body.kind, &send.message.body.bytes[..]),
                (BodyKind::Bytes, &b"\xff\xfe"[..])
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn values_outside_their_range_are_moved_into_it_or_refused() {
    assert_eq!(sent("1.2", "priority:99\nexpires:-5\n", "").priority, 9);
    assert_eq!(sent("1.2", "priority:-1\nexpires:-5\n", "").expiration, 0);
    for header in [
        "expires:soon",
        "priority:high",
        "timestamp:1.5",
        "JMSXGroupSeq:x",
        "JMSDeliveryMode:7",
    ] {
        let mut it = Conversation::connected("1.0");
        assert!(
            it.client(&format!("SEND\ndestination:/queue/A\n{header}\n\n"))
                .is_empty()
        );
        let (name, value) = header.split_once(':').unwrap();
        assert_eq!(error_message(&it.output()), format!("Invalid {name} header:{value}"));
        assert!(!it.session.is_closing());
    }
}

#[test]
fn a_request_goes_with_what_must_last_and_with_what_wants_a_receipt() {
    let mut it = Conversation::connected("1.2");
    for (frame, command) in [
        (
            "SEND\ndestination:/queue/A\n\na",
            "Send queue://A ID:holdfast-3-7:1 Text \"a\"",
        ),
        (
            "SEND\ndestination:/queue/A\nreceipt:r\n\na",
            "#2 Send queue://A ID:holdfast-3-7:2 Text \"a\"",
        ),
        (
            "SEND\ndestination:/queue/A\npersistent:true\n\na",
            "#3 Send queue://A ID:holdfast-3-7:3 Text \"a\" persistent",
        ),
        (
            "SEND\ndestination:/topic/A,/queue/B\npersistent:true\nduplicate-id:d1\n\na",
            "#4 Send topic://A,queue://B ID:holdfast-3-7:4 Text \"a\" persistent duplicate-id=d1",
        ),
        (
            "SEND\ndestination:/queue/A\npersistent:true\nduplicate-id:\n\na",
            "#5 Send queue://A ID:holdfast-3-7:5 Text \"a\" persistent",
        ),
        ("BEGIN\ntransaction:t\n\n", "Begin 1"),
        (
            "SEND\ndestination:/queue/A\npersistent:true\ntransaction:t\n\na",
            "Send queue://A ID:holdfast-3-7:6 Text \"a\" persistent tx=1",
        ),
        (
            "SEND\ndestination:/queue/A\ntransaction:t\nreceipt:q\n\na",
            "#6 Send queue://A ID:holdfast-3-7:7 Text \"a\" tx=1",
        ),
        ("COMMIT\ntransaction:t\n\n", "#7 Commit 1"),
        ("BEGIN\ntransaction:t\nreceipt:b\n\n", "#8 Begin 2"),
        ("ABORT\ntransaction:t\n\n", "Rollback 2"),
    ] {
        assert_eq!(it.client(frame), [command], "{frame}");
    }
    assert_eq!(it.output(), "", "nothing is confirmed yet");
    it.done(3);
    assert_eq!(it.output(), "", "no receipt was asked for");
    it.done(2);
    it.done(8);
    it.refused(Some(6), RefusalKind::ResourceAllocation, "no space");
    assert_eq!(
        it.output(),
        "RECEIPT\nreceipt-id:r\n\n^\nRECEIPT\nreceipt-id:b\n\n^\nERROR\nmessage:no space\ncontent-type:text/plain\nreceipt-id:q\n\nThe broker refused the frame. The connection stays open.^\n"
    );
    assert!(!it.session.is_closing());
}

#[test]
fn temporary_destinations_are_made_at_the_first_use() {
    let mut it = Conversation::connected("1.2");
    assert_eq!(
        it.client("SEND\ndestination:/queue/A\nreply-to:/temp-queue/r\n\na"),
        [
            "CreateTemporary temp-queue://ID:holdfast-3-7:1",
            "Send queue://A ID:holdfast-3-7:1 Text \"a\""
        ]
    );
    assert_eq!(
        it.client("SUBSCRIBE\nid:1\ndestination:/temp-queue/r\n\n"),
        ["#2 Subscribe 1 temp-queue://ID:holdfast-3-7:1 prefetch=1000"]
    );
    assert_eq!(
        it.client("SEND\ndestination:/temp-topic/r\n\na"),
        [
            "CreateTemporary temp-topic://ID:holdfast-3-7:2",
            "Send temp-topic://ID:holdfast-3-7:2 ID:holdfast-3-7:2 Text \"a\""
        ]
    );
    assert_eq!(
        it.client("SEND\ndestination:/remote-temp-queue/ID:other:1\n\na"),
        ["Send temp-queue://ID:other:1 ID:holdfast-3-7:3 Text \"a\""]
    );
    let mut reply = message("ID:x:1", "A", "a");
    reply.reply_to = Some(message::Destination::new(Kind::TemporaryQueue, "ID:holdfast-3-7:1").unwrap());
    it.done(2);
    it.deliver(1, 1, reply);
    assert!(it.output().contains("reply-to:/temp-queue/r\n"));
}

#[test]
fn after_a_send_in_it_was_refused_a_transaction_rolls_back() {
    let mut it = Conversation::connected("1.2");
    it.client("BEGIN\ntransaction:t\n\n");
    it.client("SEND\ndestination:/queue/A\ntransaction:t\n\na");
    assert!(it.client("SEND\ndestination:/nowhere/A\ntransaction:t\n\na").is_empty());
    it.output();
    assert_eq!(it.client("COMMIT\ntransaction:t\nreceipt:c\n\n"), ["Rollback 1"]);
    let output = it.output();
    assert_eq!(error_message(&output), "The transaction was rolled back\\c t");
    assert!(output.contains("receipt-id:c\n"));
    assert!(!it.session.is_closing());
    it.client("COMMIT\ntransaction:t\n\n");
    assert_eq!(error_message(&it.output()), "Invalid transaction id\\c t");
}

#[test]
fn a_large_body_is_handed_on_without_being_copied() {
    let mut it = Conversation::connected("1.2");
    let body = vec![b'x'; 100_000];
    it.session
        .handle_bytes(it.now, b"SEND\ndestination:/queue/A\ncontent-length:100000\n\n");
    it.session.handle_bytes(it.now, &body);
    it.session.handle_bytes(it.now, b"\0");
    let Some((_, Command::Send(send))) = it.session.poll_command() else {
        panic!("no SEND")
    };
    it.subscribe("id:1\ndestination:/queue/A");
    it.deliver(1, 1, (*send.message).clone());
    let mut pieces = Vec::new();
    while let Some(piece) = it.session.poll_output() {
        pieces.push(piece);
    }
    assert_eq!(pieces.len(), 3);
    assert_eq!(pieces[1].as_ptr(), send.message.body.bytes.as_ptr());
    assert_eq!(&pieces[2][..], b"\0\n");
}

#[test]
fn a_wish_for_scheduled_delivery_stays_a_property_and_is_counted() {
    for (headers, counted) in [
        ("AMQ_SCHEDULED_DELAY:60000\n", 1),
        ("AMQ_SCHEDULED_CRON:0 * * * *\n", 1),
        (
            "AMQ_SCHEDULED_DELAY:5\nAMQ_SCHEDULED_PERIOD:5\nAMQ_SCHEDULED_REPEAT:5\n",
            1,
        ),
        ("AMQ_SCHEDULED_DELAY:0\n", 0),
        ("JMSXGroupID:g\n", 0),
    ] {
        let mut it = Conversation::connected("1.2");
        let send = frame(&format!("SEND\ndestination:/queue/A\n{headers}\nx^"));
        it.session.handle_bytes(it.now, &send);
        let Some((_, Command::Send(send))) = it.session.poll_command() else {
            panic!("{}", it.output())
        };
        assert_eq!(it.session.take_unscheduled(), counted, "{headers}");
        assert_eq!(it.session.take_unscheduled(), 0, "each is told of once");
        let name = headers.split(':').next().unwrap();
        assert_eq!(
            send.message.properties.get(name).is_some(),
            name.starts_with("AMQ_"),
            "{headers}"
        );
    }
}
