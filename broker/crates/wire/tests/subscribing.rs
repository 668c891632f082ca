//! SUBSCRIBE, MESSAGE, ACK, NACK, UNSUBSCRIBE in every version and mode.

mod support;

use message::{Body, BodyKind, Destination, Event, Kind, PropertiesBuilder, Property, Refusal, RefusalKind};
use support::*;

#[test]
fn every_header_of_subscribe_reaches_the_command() {
    for (headers, command) in [
        ("destination:/queue/A", "Subscribe 1 queue://A prefetch=1000"),
        ("destination:/topic/A.>", "Subscribe 1 topic://A.> prefetch=32767"),
        (
            "destination:/queue/A,/topic/B",
            "Subscribe 1 queue://A,topic://B prefetch=1000",
        ),
        (
            "destination:/queue/A\nbrowser:true",
            "Subscribe 1 queue://A prefetch=500 browser",
        ),
        (
            "destination:/queue/A\nbrowser:false",
            "Subscribe 1 queue://A prefetch=1000",
        ),
        (
            "destination:/topic/A\nactivemq.subscriptionName:d",
            "Subscribe 1 topic://A prefetch=100 durable=d",
        ),
        (
            "destination:/topic/A\nactivemq.subcriptionName:d",
            "Subscribe 1 topic://A prefetch=100 durable=d",
        ),
        (
            "destination:/queue/A\nselector:price > 5",
            "Subscribe 1 queue://A prefetch=1000 selector=convert_string_expressions:price > 5",
        ),
        (
            "destination:/topic/A\nactivemq.prefetchSize:1\nactivemq.exclusive:true\nactivemq.noLocal:TRUE\nactivemq.priority:5\nactivemq.maximumPendingMessageLimit:10\nactivemq.retroactive:true\nactivemq.dispatchAsync:false",
            "Subscribe 1 topic://A prefetch=1 no-local exclusive priority=5 pending=10",
        ),
        (
            "destination:/queue/A\nactivemq.prefetchSize:99999999999999999999",
            "Subscribe 1 queue://A prefetch=32767",
        ),
        (
            "destination:/queue/A\nactivemq.prefetchSize:4000000000",
            "Subscribe 1 queue://A prefetch=32767",
        ),
        (
            "destination:/queue/A\nactivemq.maximumPendingMessageLimit:-1",
            "Subscribe 1 queue://A prefetch=1000",
        ),
    ] {
        let mut it = Conversation::connected_with(settings(), "1.1", "client-id:me\n");
        assert_eq!(
            it.client(&format!("SUB\nid:1\n{headers}\n\n")),
            [format!("#2 {command}")],
            "{headers}"
        );
    }
}

#[test]
fn the_receipt_of_subscribe_comes_before_the_first_message() {
    let mut it = Conversation::connected("1.0");
    it.client("SUBSCRIBE\ndestination:/queue/A\nreceipt:r\n\n");
    it.done(2);
    it.deliver(1, 1, message("ID:x:1", "A", "hi"));
    assert_eq!(
        it.output(),
        "RECEIPT\nreceipt-id:r\n\n^\nMESSAGE\ndestination:/queue/A\nmessage-id:ID:x:1\nexpires:0\npriority:4\ntimestamp:0\n\nhi^\n"
    );
}

#[test]
fn a_message_shows_every_header_and_lets_no_property_forge_one() {
    let mut properties = PropertiesBuilder::default();
    for (name, value) in [
        ("subscription", Property::String("forged")),
        ("browser", Property::String("end")),
        ("content-length", Property::String("1")),
        ("type", Property::String("forged")),
        ("ack", Property::String("forged")),
        ("text", Property::String("a:b\nc")),
        ("yes", Property::Boolean(true)),
        ("long", Property::Long(-5)),
        ("float", Property::Double(1.0)),
        ("nothing", Property::Null),
        ("raw", Property::Bytes(b"x")),
    ] {
        properties.push(name, value);
    }
    let mut full = message("ID:x:1", "A", "body");
    full.timestamp = 1;
    full.expiration = 2;
    full.priority = 3;
    full.persistent = true;
    full.correlation_id = Some("c".into());
    full.reply_to = Some(Destination::new(Kind::TemporaryTopic, "ID:other:1").unwrap());
    full.message_type = Some("t".into());
    full.group_id = Some("g".into());
    full.group_sequence = 4;
    full.user_id = Some("u".into());
    full.original_destination = Some(Destination::topic("B").unwrap());
    full.properties = properties.finish();
    let mut it = Conversation::connected("1.2");
    it.subscribe("id:s\ndestination:/queue/A\nack:client");
    let mut delivery = delivery(1, 9, full);
    delivery.redelivered = true;
    it.event(Event::Deliver(delivery));
    assert_eq!(
        it.output(),
        "MESSAGE\ndestination:/queue/A\nmessage-id:ID\\cx\\c1\nsubscription:s\nack:holdfast-3-7-1-9\ncorrelation-id:c\nexpires:2\npriority:3\ntimestamp:1\nredelivered:true\n\
         reply-to:/remote-temp-topic/ID\\cother\\c1\ntype:t\nJMSXUserID:u\noriginal-destination:/topic/B\npersistent:true\nJMSXGroupID:g\nJMSXGroupSeq:4\n\
         text:a\\cb\\nc\nyes:true\nlong:-5\nfloat:1.0\nnothing:null\n\nbody^\n"
    );
}

#[test]
fn content_length_marks_bytes_and_texts_with_a_null_byte() {
    let map = r#"{"map":{"entry":{"string":["a","b"]}}}"#;
    for (kind, body, subscriber, expected) in [
        (BodyKind::Text, "hi", "", "\n\nhi^\n"),
        (BodyKind::Text, "h\0i", "", "\ncontent-length:3\n\nh^i^\n"),
        (BodyKind::Bytes, "hi", "", "\ncontent-length:2\n\nhi^\n"),
        (
            BodyKind::Bytes,
            "hi",
            "transformation:jms-json\n",
            "\ncontent-length:2\n\nhi^\n",
        ),
        (BodyKind::Empty, "", "", "\n\n^\n"),
        (BodyKind::Object, "secret", "", "\n\n^\n"),
        (
            BodyKind::Map,
            map,
            "transformation:jms-xml\n",
            &format!("\ntransformation:jms-map-json\n\n{map}^\n"),
        ),
        (BodyKind::Map, "\u{1}\u{2}", "", "\n\n^\n"),
    ] {
        let mut it = Conversation::connected("1.1");
        it.subscribe(&format!("id:s\ndestination:/queue/A\n{subscriber}"));
        let mut message = message("1", "A", "");
        message.body = Body {
            kind,
            bytes: body.to_string().into(),
        };
        it.deliver(1, 1, message);
        let output = it.output();
        assert!(output.ends_with(expected), "{kind:?} {body:?}: {output}");
    }
}

#[test]
fn auto_acknowledges_when_the_last_byte_was_transmitted_and_in_ranges() {
    let mut it = Conversation::connected("1.2");
    it.subscribe("id:a\ndestination:/queue/A");
    it.subscribe("id:b\ndestination:/queue/B");
    for tag in 1..=3 {
        it.deliver(1, tag, message("ID:x:1", "A", "hi"));
    }
    it.deliver(2, 1, message("ID:x:2", "B", "hi"));
    assert!(it.commands().is_empty());
    let output = it.output();
    assert!(it.commands().is_empty(), "encoded is not transmitted");
    let first = output.find("^\nMESSAGE").expect("several") + 2;
    it.session.handle_transmitted(it.now, first - 1);
    assert!(it.commands().is_empty());
    it.session.handle_transmitted(it.now, 1);
    assert_eq!(it.commands(), ["Acknowledge 1 1..1 Consumed"]);
    it.session.handle_transmitted(it.now, output.len() - first);
    assert_eq!(
        it.commands(),
        ["Acknowledge 1 2..3 Consumed", "Acknowledge 2 1..1 Consumed"]
    );
}

#[test]
fn a_prefetch_above_the_limit_is_cut_to_it() {
    let mut settings = settings();
    settings.limits.prefetch_max = 7;
    let mut it = Conversation::connected_with(settings, "1.2", "");
    for (number, prefetch) in ["8", "4294967296", "99999999999999999999", "7", "6"].iter().enumerate() {
        let frame = format!("SUBSCRIBE\nid:{number}\ndestination:/queue/A\nactivemq.prefetchSize:{prefetch}\n\n");
        let commands = it.client(&frame).join("");
        let expected = if *prefetch == "6" { "prefetch=6" } else { "prefetch=7" };
        assert!(commands.ends_with(expected), "{prefetch}: {commands}");
    }
}

#[test]
fn prefetch_0_pulls_one_message_after_the_other() {
    let mut it = Conversation::connected("1.2");
    it.client("SUBSCRIBE\nid:a\ndestination:/queue/A\nack:client-individual\nactivemq.prefetchSize:0\n\n");
    it.done(2);
    assert_eq!(it.commands(), ["Pull 1 1"]);
    it.deliver(1, 1, message("ID:x:1", "A", "hi"));
    it.transmitted();
    assert!(it.commands().is_empty());
    assert_eq!(
        it.client("ACK\nid:holdfast-3-7-1-1\n\n"),
        ["#3 Acknowledge 1 1..1 Consumed", "Pull 1 1"]
    );

    it.client("SUBSCRIBE\nid:b\ndestination:/queue/A\nactivemq.prefetchSize:0\n\n");
    it.done(4);
    assert_eq!(it.commands(), ["Pull 2 1"]);
    it.deliver(2, 1, message("ID:x:1", "A", "hi"));
    it.transmitted();
    assert_eq!(it.commands(), ["Acknowledge 2 1..1 Consumed", "Pull 2 1"]);
}

/// Three deliveries `m1` to `m3` to the subscription `s`, and a client's frames with what they cause.
fn acknowledging(version: &str, ack: &str, steps: &[(&str, &[&str])]) {
    let mut it = Conversation::connected(version);
    it.subscribe(&format!("id:s\ndestination:/queue/A\nack:{ack}"));
    for tag in 1..=3 {
        it.deliver(1, tag, message(&format!("m{tag}"), "A", "hi"));
    }
    it.transmitted();
    for (frame, expected) in steps {
        let mut seen = it.client(&format!("{frame}\n\n"));
        let output = it.output();
        if !output.is_empty() {
            seen.push(format!("ERROR {}", error_message(&output)));
        }
        assert_eq!(&seen, expected, "{version} {ack}: {frame}");
        assert!(!it.session.is_closing());
    }
}

#[test]
fn an_acknowledgement_names_what_its_version_says() {
    acknowledging(
        "1.0",
        "client",
        &[
            ("ACK\nmessage-id:m2", &["#3 Acknowledge 1 1..2 Consumed"]),
            (
                "ACK\nmessage-id:m2",
                &["ERROR Unexpected ACK received for message-id [m2]"],
            ),
            (
                "ACK\nmessage-id:m3\nsubscription:s",
                &["#4 Acknowledge 1 3..3 Consumed"],
            ),
        ],
    );
    acknowledging(
        "1.1",
        "client",
        &[
            (
                "ACK\nmessage-id:m9\nsubscription:s",
                &["ERROR Unexpected ACK received for message-id [m9]"],
            ),
            (
                "ACK\nmessage-id:m1\nsubscription:other",
                &["ERROR Unexpected ACK received for message-id [m1]"],
            ),
            (
                "ACK\nmessage-id:m3\nsubscription:s",
                &["#3 Acknowledge 1 1..3 Consumed"],
            ),
            (
                "NACK\nmessage-id:m3\nsubscription:s",
                &["ERROR Unexpected NACK received for message-id [m3]"],
            ),
        ],
    );
    acknowledging(
        "1.2",
        "client-individual",
        &[
            (
                "ACK\nid:holdfast-3-7-1-2\nreceipt:r",
                &["#3 Acknowledge 1 2..2 Consumed"],
            ),
            ("NACK\nid:holdfast-3-7-1-1", &["#4 Acknowledge 1 1..1 Rejected"]),
            (
                "ACK\nid:holdfast-3-7-1-1",
                &["ERROR Unexpected ACK received for message-id [holdfast-3-7-1-1]"],
            ),
            (
                "ACK\nid:holdfast-3-8-1-3",
                &["ERROR Unexpected ACK received for message-id [holdfast-3-8-1-3]"],
            ),
            (
                "ACK\nid:holdfast-3-7-9-3",
                &["ERROR Unexpected ACK received for message-id [holdfast-3-7-9-3]"],
            ),
            ("NACK\nid:x", &["ERROR Unexpected NACK received for message-id [x]"]),
            ("ACK\nid:holdfast-3-7-1-3", &["#5 Acknowledge 1 3..3 Consumed"]),
        ],
    );
    // A NACK is for one message in every mode.
    acknowledging(
        "1.2",
        "client",
        &[("NACK\nid:holdfast-3-7-1-3", &["#3 Acknowledge 1 3..3 Rejected"])],
    );
    // What is acknowledged by being sent cannot be acknowledged again.
    acknowledging(
        "1.1",
        "auto",
        &[(
            "ACK\nmessage-id:m1\nsubscription:s",
            &[
                "Acknowledge 1 1..3 Consumed",
                "ERROR Unexpected ACK received for message-id [m1]",
            ],
        )],
    );
}

#[test]
fn acknowledgements_in_a_transaction_stand_or_fall_with_it() {
    acknowledging(
        "1.2",
        "client",
        &[
            (
                "ACK\nid:holdfast-3-7-1-1\ntransaction:t",
                &["ERROR Invalid transaction id\\c t"],
            ),
            ("BEGIN\ntransaction:t", &["Begin 1"]),
            (
                "ACK\nid:holdfast-3-7-1-2\ntransaction:t",
                &["Acknowledge 1 1..2 Consumed tx=1"],
            ),
            (
                "ACK\nid:holdfast-3-7-1-1\ntransaction:t",
                &["ERROR Unexpected ACK received for message-id [holdfast-3-7-1-1]"],
            ),
            ("ABORT\ntransaction:t", &["Rollback 1"]),
            ("BEGIN\ntransaction:t", &["Begin 2"]),
            (
                "ACK\nid:holdfast-3-7-1-1\ntransaction:t",
                &["Acknowledge 1 1..1 Consumed tx=2"],
            ),
            (
                "NACK\nid:holdfast-3-7-1-2\ntransaction:t\nreceipt:n",
                &["ERROR Poison ack cannot be transacted\\c send the NACK outside of the transaction"],
            ),
            ("COMMIT\ntransaction:t", &["#3 Commit 2"]),
            // What was refused is no part of the transaction: it is still open.
            ("NACK\nid:holdfast-3-7-1-2", &["#4 Acknowledge 1 2..2 Rejected"]),
            ("ACK\nid:holdfast-3-7-1-3", &["#5 Acknowledge 1 3..3 Consumed"]),
        ],
    );
}

#[test]
fn a_refused_commit_leaves_its_deliveries_to_be_acknowledged_again() {
    let mut it = Conversation::connected("1.1");
    it.subscribe("id:s\ndestination:/queue/A\nack:client-individual");
    it.deliver(1, 1, message("m1", "A", "hi"));
    it.transmitted();
    it.client("BEGIN\ntransaction:t\n\n");
    it.client("ACK\nsubscription:s\nmessage-id:m1\ntransaction:t\n\n");
    assert_eq!(it.client("COMMIT\ntransaction:t\nreceipt:c\n\n"), ["#3 Commit 1"]);
    it.refused(Some(3), RefusalKind::TransactionRolledBack, "too late");
    assert!(it.output().contains("receipt-id:c\n"));
    assert_eq!(
        it.client("ACK\nsubscription:s\nmessage-id:m1\n\n"),
        ["#4 Acknowledge 1 1..1 Consumed"]
    );
}

#[test]
fn unsubscribe_ends_by_id_or_in_1_0_by_destination_and_drops_what_was_not_written() {
    let mut it = Conversation::connected("1.0");
    it.subscribe("destination:/queue/A");
    it.subscribe("destination:/queue/B\nack:client");
    it.deliver(1, 1, message("m1", "A", "hi"));
    assert_eq!(
        it.client("UNSUBSCRIBE\ndestination:/queue/A\nreceipt:u\n\n"),
        ["#4 Unsubscribe 1 Nothing"]
    );
    assert_eq!(it.output(), "");
    it.deliver(1, 2, message("m2", "A", "hi"));
    it.done(4);
    assert_eq!(it.output(), "RECEIPT\nreceipt-id:u\n\n^\n");
    it.client("UNSUBSCRIBE\ndestination:/queue/A\n\n");
    assert_eq!(error_message(&it.output()), "No subscription matched.");
    it.deliver(2, 1, message("m3", "B", "hi"));
    it.deliver(2, 2, message("m4", "B", "hi"));
    it.output();
    it.deliver(2, 3, message("m5", "B", "hi"));
    assert_eq!(
        it.client("UNSUBSCRIBE\ndestination:/queue/B\n\n"),
        ["#5 Unsubscribe 2 Through(MessageNumber(102))"]
    );

    let mut it = Conversation::connected("1.2");
    it.subscribe("id:x\ndestination:/queue/A");
    assert_eq!(it.client("UNSUB\nid:x\n\n"), ["#3 Unsubscribe 1 Nothing"]);
    assert_eq!(
        it.client("SUBSCRIBE\nid:x\ndestination:/queue/A\n\n"),
        ["#4 Subscribe 2 queue://A prefetch=1000"],
        "the id is free again"
    );
}

#[test]
fn a_durable_subscription_is_removed_under_its_owner() {
    for (version, expected) in [
        ("1.0", "RemoveDurable d d"),
        ("1.1", "RemoveDurable me d"),
        ("1.2", "RemoveDurable me d"),
    ] {
        let mut it = Conversation::connected_with(settings(), version, "client-id:me\n");
        assert_eq!(
            it.client("UNSUBSCRIBE\nid:x\nactivemq.subscriptionName:d\nreceipt:r\n\n"),
            [format!("#2 {expected}")]
        );
        it.done(2);
        assert_eq!(it.output(), "RECEIPT\nreceipt-id:r\n\n^\n");
    }
    // Its own subscriber ends first.
    let mut it = Conversation::connected_with(settings(), "1.1", "client-id:me\n");
    it.subscribe("id:x\ndestination:/topic/T\nactivemq.subscriptionName:d");
    assert_eq!(
        it.client("UNSUBSCRIBE\nid:x\nactivemq.subscriptionName:d\n\n"),
        ["Unsubscribe 1 Nothing", "#3 RemoveDurable me d"]
    );
}

#[test]
fn a_browser_ends_with_a_message_that_says_so() {
    let mut it = Conversation::connected("1.2");
    it.subscribe("id:b\ndestination:/queue/A\nbrowser:true\nack:client");
    it.deliver(1, 1, message("m1", "A", "hi"));
    it.event(Event::BrowseEnd { consumer: consumer(1) });
    assert!(
        it.output()
            .ends_with("MESSAGE\ndestination:/queue/A\nmessage-id:0\nsubscription:b\nbrowser:end\n\n^\n")
    );
    it.client("NACK\nid:holdfast-3-7-1-1\n\n");
    assert_eq!(
        error_message(&it.output()),
        "Cannot Nack a message on a Queue Browser Subscription."
    );
}

#[test]
fn a_refused_or_ended_subscription_is_forgotten() {
    let mut it = Conversation::connected("1.2");
    it.client("SUBSCRIBE\nid:x\ndestination:/queue/A\nselector:((\nreceipt:r\n\n");
    it.refused(Some(2), RefusalKind::InvalidSelector, "bad selector");
    assert_eq!(error_message(&it.output()), "bad selector");
    it.subscribe("id:x\ndestination:/queue/A");
    it.deliver(2, 1, message("m1", "A", "hi"));
    let reason = Refusal::new(RefusalKind::InvalidDestination, "the queue was deleted");
    it.event(Event::ConsumerEnded {
        consumer: consumer(2),
        reason,
    });
    assert_eq!(
        it.output(),
        "ERROR\nmessage:the queue was deleted\ncontent-type:text/plain\nsubscription:x\n\nThe broker ended the subscription. The connection stays open.^\n"
    );
    it.client("UNSUBSCRIBE\nid:x\n\n");
    assert_eq!(error_message(&it.output()), "No subscription matched.");
}

#[test]
fn every_delivery_is_told_once_as_taken_when_it_is_encoded_or_given_up() {
    let mut it = Conversation::connected("1.2");
    it.subscribe("id:s\ndestination:/queue/A\nack:client-individual\n");
    let one = message("ID:x:1", "A", "hi").bytes_held();
    it.deliver(1, 1, message("ID:x:1", "A", "hi"));
    it.deliver(1, 2, message("ID:x:1", "A", "hi"));
    assert_eq!(it.session.take_delivered_bytes(), 0);
    it.transmitted();
    assert_eq!(it.session.take_delivered_bytes(), 2 * one);
    assert_eq!(it.session.take_delivered_bytes(), 0);
    // Of a subscription that is gone; waiting when the client leaves; after it has left.
    it.deliver(7, 1, message("ID:x:1", "A", "hi"));
    assert_eq!(it.session.take_delivered_bytes(), one);
    it.deliver(1, 3, message("ID:x:1", "A", "hi"));
    it.client("DISCONNECT\n\n");
    assert_eq!(it.session.take_delivered_bytes(), one);
    it.deliver(1, 4, message("ID:x:1", "A", "hi"));
    assert_eq!(it.session.take_delivered_bytes(), one);
}
