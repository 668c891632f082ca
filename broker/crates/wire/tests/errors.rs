//! Every ERROR text, and whether the connection survives it.

mod support;

use message::RefusalKind;
use support::*;

const OPEN: bool = false;
const CLOSED: bool = true;

/// Version, frames before, the frame, the text, whether the connection ends.
#[rustfmt::skip]
const ERRORS: &[(&str, &[&str], &str, &str, bool)] = &[
    ("1.0", &[], "SEND\n\nx", "SEND received without a Destination specified!", CLOSED),
    ("1.0", &[], "SEND\ndestination:/queue/A\ntransaction:t\n\nx", "Invalid transaction id: t", OPEN),
    ("1.0", &[], "SEND\ndestination:/other/A\n\nx", "Illegal destination name: [/other/A] -- ActiveMQ STOMP destinations must begin with one of: /queue/ /topic/ /temp-queue/ /temp-topic/", OPEN),
    ("1.0", &[], "SEND\ndestination:\n\nx", "Illegal destination name: [] -- ActiveMQ STOMP destinations must begin with one of: /queue/ /topic/ /temp-queue/ /temp-topic/", OPEN),
    ("1.0", &[], "SEND\ndestination:/topic/A.*\n\nx", "Illegal destination name: [/topic/A.*] -- topic://A.* has wildcards", OPEN),
    ("1.0", &[], "SEND\ndestination:/queue/A\namq-msg-type:map\n\nx", "Unsupported message type 'map'", OPEN),
    ("1.0", &[], "BEGIN\n\n", "Must specify the transaction you are beginning", CLOSED),
    ("1.0", &[], "COMMIT\n\n", "Must specify the transaction you are committing", CLOSED),
    ("1.0", &[], "ABORT\n\n", "Must specify the transaction you are committing", CLOSED),
    ("1.0", &[], "COMMIT\ntransaction:t\n\n", "Invalid transaction id: t", OPEN),
    ("1.0", &[], "ABORT\ntransaction:t\n\n", "Invalid transaction id: t", OPEN),
    ("1.0", &["BEGIN\ntransaction:t\n\n"], "BEGIN\ntransaction:t\n\n", "The transaction was already started: t", OPEN),
    ("1.0", &[], "ACK\n\n", "ACK received without a message-id to acknowledge!", CLOSED),
    ("1.0", &[], "ACK\nmessage-id:m\n\n", "Unexpected ACK received for message-id [m]", OPEN),
    ("1.0", &[], "NACK\nmessage-id:m\n\n", "NACK received but connection is in v1.0 mode.", CLOSED),
    ("1.0", &[], "SUBSCRIBE\ndestination:/queue/A\nbrowser:true\n\n", "Queue Browser feature only valid for Stomp v1.1+ clients!", OPEN),
    ("1.0", &[], "UNSUBSCRIBE\n\n", "Must specify the subscriptionId or the destination you are unsubscribing from", CLOSED),
    ("1.0", &[], "UNSUBSCRIBE\ndestination:/queue/A\n\n", "No subscription matched.", OPEN),
    ("1.1", &[], "ACK\nsubscription:s\n\n", "ACK received without a message-id to acknowledge!", CLOSED),
    ("1.1", &[], "ACK\nmessage-id:m\n\n", "ACK received without a subscription id for acknowledge!", CLOSED),
    ("1.1", &[], "ACK\nmessage-id:m\nsubscription:s\n\n", "Unexpected ACK received for message-id [m]", OPEN),
    ("1.1", &[], "NACK\nmessage-id:m\n\n", "NACK received without a subscription id for acknowledge!", CLOSED),
    ("1.1", &[], "NACK\nsubscription:s\n\n", "NACK received without a message-id to acknowledge!", CLOSED),
    ("1.1", &[], "NACK\nmessage-id:m\nsubscription:s\n\n", "Unexpected NACK received for message-id [m]", OPEN),
    ("1.1", &[], "SUBSCRIBE\ndestination:/queue/A\n\n", "SUBSCRIBE received without a subscription id!", CLOSED),
    ("1.1", &[], "SUBSCRIBE\nid:1\n\n", "Invalid 'null' Destination.", CLOSED),
    ("1.1", &[], "SUBSCRIBE\nid:1\ndestination:\n\n", "Invalid 'null' Destination.", CLOSED),
    ("1.1", &[], "SUBSCRIBE\nid:1\ndestination:/queue/A\nactivemq.subscriptionName:d\n\n", "Invalid Subscription: cannot durably subscribe to a Queue destination!", OPEN),
    ("1.1", &[], "SUBSCRIBE\nid:1\ndestination:/topic/A\nactivemq.subscriptionName:d\n\n", "A durable subscription needs a client-id", OPEN),
    ("1.1", &[], "SUBSCRIBE\nid:1\ndestination:/topic/A\nactivemq.prefetchSize:-1\n\n", "Invalid activemq.prefetchSize header:-1", OPEN),
    ("1.1", &["SUBSCRIBE\nid:1\ndestination:/queue/A\n\n"], "SUBSCRIBE\nid:1\ndestination:/queue/B\n\n", "There is already a subscription with the id: 1", OPEN),
    ("1.1", &[], "UNSUBSCRIBE\ndestination:/queue/A\n\n", "UNSUBSCRIBE received without a subscription id!", CLOSED),
    ("1.1", &[], "UNSUBSCRIBE\nid:1\n\n", "No subscription matched.", OPEN),
    ("1.1", &[], "UNSUBSCRIBE\nid:1\nactivemq.subscriptionName:d\n\n", "A durable subscription needs a client-id", OPEN),
    ("1.2", &[], "ACK\nmessage-id:m\nsubscription:s\n\n", "ACK received without a ack id for acknowledge!", CLOSED),
    ("1.2", &[], "NACK\nmessage-id:m\nsubscription:s\n\n", "NACK received without an ack header to acknowledge!", CLOSED),
    ("1.2", &[], "STOMP\n\n", "Already connected.", CLOSED),
    ("1.2", &[], "MESSAGE\n\n", "Unknown STOMP action: MESSAGE", CLOSED),
    ("1.2", &[], "send\n\n", "Unknown STOMP action: send", CLOSED),
    ("1.2", &[], "SENDING\n\n", "Unknown STOMP action: SENDING", CLOSED),
    ("1.2", &[], "SEND\ndestination:\\t\n\n", "Undefined escape sequence in a header", CLOSED),
    ("1.2", &[], "SEND\nnocolon\n\n", "Unable to parse header line", CLOSED),
    ("1.2", &[], "SEND\ncontent-length:104857600\n\n", "The maximum frame size was exceeded", CLOSED),
    ("1.2", &[], "SEND\ncontent-length:five\n\n", "Specified content-length is not a valid integer", CLOSED),
    ("1.2", &[], "SEND\ncontent-length:-5\n\n", "Specified content-length may not be negative", CLOSED),
    ("1.2", &[], "SEND\ncontent-length:1\n\nxyz", "content-length bytes were read and there was no trailing null byte", CLOSED),
];

#[test]
fn every_error_has_its_text_and_ends_the_connection_or_not() {
    for (version, before, bad, text, closes) in ERRORS {
        let mut it = Conversation::connected(version);
        for frame in *before {
            it.client(frame);
        }
        while let Some(request) = it.requests.pop() {
            it.event(message::Event::Done { request });
        }
        assert_eq!(it.client(bad), Vec::<String>::new(), "{version} {bad}");
        let output = it.output();
        let escaped = if *version == "1.0" {
            text.to_string()
        } else {
            text.replace('\\', "\\\\").replace(':', "\\c")
        };
        assert_eq!(error_message(&output), escaped, "{version} {bad}");
        let (head, body) = output.split_once("\n\n").expect("a blank line");
        assert!(head.contains("\ncontent-type:text/plain"), "{head}");
        let outcome = if *closes {
            "The connection is closed.^\n"
        } else {
            "The connection stays open.^\n"
        };
        assert!(
            body.ends_with(outcome) && !body.trim_end().contains('\n'),
            "one line that says what follows: {body}"
        );
        assert_eq!(it.session.is_closing(), *closes, "{version} {bad}");
        assert_eq!(it.session.is_reading(), !*closes);
        let next = it.client("SEND\ndestination:/queue/A\n\nstill there");
        assert_eq!(next.is_empty(), *closes, "{version} {bad}");
    }
}

#[test]
fn the_error_names_the_receipt_that_will_not_come() {
    for (frame, receipt) in [
        ("ACK\nmessage-id:m\nsubscription:s\nreceipt:r1\n\n", "receipt-id:r1\n"),
        ("ACK\nreceipt:r2\n\n", "receipt-id:r2\n"),
    ] {
        let mut it = Conversation::connected("1.1");
        it.client(frame);
        assert!(it.output().contains(receipt));
    }
}

#[test]
fn limits_of_a_connection_are_refused_by_name() {
    let mut settings = settings();
    settings.limits.subscriptions_max = 1;
    settings.limits.transactions_max = 1;
    settings.limits.temporary_destinations_max = 1;
    settings.limits.frame.headers_max = 3;
    let mut it = Conversation::connected_with(settings, "1.0", "");
    it.subscribe("destination:/queue/A");
    it.client("BEGIN\ntransaction:1\n\n");
    it.client("SEND\ndestination:/temp-queue/1\n\nx");
    for (frame, message, name) in [
        (
            "SUBSCRIBE\ndestination:/queue/B\n\n",
            "Too many subscriptions: this one would be one more than 1",
            "(subscriptions_per_connection_max)",
        ),
        (
            "BEGIN\ntransaction:2\n\n",
            "Too many open transactions: 2 would be one more than 1",
            "(transactions_per_connection_max)",
        ),
        (
            "SEND\ndestination:/temp-queue/2\n\nx",
            "Too many temporary destinations: /temp-queue/2 would be one more than 1",
            "temporary_destinations_per_connection_max",
        ),
    ] {
        assert!(it.client(frame).is_empty(), "{frame}");
        let output = it.output();
        assert_eq!(error_message(&output), message);
        assert!(output.contains(name));
        assert!(!it.session.is_closing());
    }
    it.client("SEND\na:1\nb:2\nc:3\nd:4\n\n");
    let output = it.output();
    assert_eq!(error_message(&output), "The maximum number of headers was exceeded");
    assert!(output.contains("3 headers (headers_max)"));
    assert!(it.session.is_closing());
}

#[test]
fn refusals_of_the_broker_keep_the_connection_except_for_the_client_id() {
    for kind in [
        RefusalKind::IllegalState,
        RefusalKind::InvalidDestination,
        RefusalKind::InvalidSelector,
        RefusalKind::ResourceAllocation,
        RefusalKind::TransactionRolledBack,
        RefusalKind::Security,
        RefusalKind::InvalidClientId,
    ] {
        let mut it = Conversation::connected("1.2");
        it.refused(None, kind, "no: because");
        assert_eq!(error_message(&it.output()), "no\\c because");
        assert_eq!(it.session.is_closing(), kind == RefusalKind::InvalidClientId);
        let mut it = Conversation::new();
        it.client("CONNECT\n\n");
        it.refused(Some(1), kind, "no");
        assert_eq!(error_message(&it.output()), "no");
        assert!(it.session.is_closing());
    }
}
