//! The targets.
//!
//! Each module has `run`, which panics if a promise is broken, and `seeds`. What stands for secret or random things on a disk (a claim's nonce) is a constant here, so that
//! a target can put a checksum right again behind what the engine changed: once over the bytes as they are, once with every checksum right.

use ::record::Nonce;

use crate::Target;

pub mod batch;
pub mod catalog;
pub mod cells;
pub mod checkpoint;
pub mod checkpoint_index;
pub mod configuration;
pub mod http_query;
pub mod inspection;
pub mod message;
pub mod names;
pub mod pieces;
pub mod reading;
pub mod record;
pub mod recovery;
pub mod selector;
pub mod selector_reference;
pub mod stomp_client;
pub mod stomp_decoder;
pub mod stomp_session;
pub mod stream;
pub mod values;

/// The nonce of every claim here.
pub(crate) const NONCE: Nonce = Nonce([7; 16]);

/// Words of STOMP.
const STOMP_WORDS: &[&str] = &[
    "CONNECT\n",
    "STOMP\n",
    "CONNECTED\n",
    "SEND\n",
    "SUBSCRIBE\n",
    "UNSUBSCRIBE\n",
    "ACK\n",
    "NACK\n",
    "BEGIN\n",
    "COMMIT\n",
    "ABORT\n",
    "DISCONNECT\n",
    "KEEPALIVE\n",
    "MESSAGE\n",
    "RECEIPT\n",
    "ERROR\n",
    "accept-version:",
    "ack:",
    "activemq.exclusive:",
    "activemq.maximumPendingMessageLimit:",
    "activemq.noLocal:",
    "activemq.prefetchSize:",
    "activemq.priority:",
    "activemq.subscriptionName:",
    "amq-msg-type:",
    "auto",
    "browser:",
    "client",
    "client-id:",
    "client-individual",
    "content-length:",
    "correlation-id:",
    "destination:",
    "duplicate-id:",
    "durable-subscription-name:",
    "end",
    "expires:",
    "heart-beat:",
    "holdfast-3-7-1-1",
    "host:",
    "id:",
    "jms-byte",
    "jms-map-json",
    "JMSXGroupID:",
    "JMSXGroupSeq:",
    "message-id:",
    "no-local:",
    "persistent:",
    "priority:",
    "receipt:",
    "receipt-id:",
    "reply-to:",
    "selector:",
    "server:",
    "session:",
    "subscription:",
    "timestamp:",
    "transaction:",
    "transformation:",
    "true",
    "type:",
    "version:",
    "/queue/",
    "/topic/",
    "/temp-queue/",
    "/temp-topic/",
    "/dsub/",
    "/remote-temp-queue/",
    "1.0",
    "1.1",
    "1.2",
    "\\n",
    "\\c",
    "\\\\",
    "\\r",
    "\n\n\0",
    "{\"map\":{\"entry\":[",
];

/// Words of selectors.
const SELECTOR_WORDS: &[&str] = &[
    " AND ",
    " BETWEEN ",
    " ESCAPE '",
    " IN ('",
    " IS NULL",
    " IS NOT NULL",
    " LIKE '",
    " NOT ",
    " OR ",
    "TRUE",
    "FALSE",
    "<>",
    "<=",
    ">=",
    "''",
    "INLIST(MAKELIST(",
    "INLIST(SPLIT(",
    "REPLACE(",
    "convert_string_expressions:",
    "no_convert_string_expressions:",
    "9223372036854775808",
    "0x7fff",
    "017L",
    "1.5e3",
    "2.5F",
    "/*",
    "*/",
    "--",
    "JMSPriority",
    "XPATH",
];

macro_rules! targets {
    ($($module:ident $name:literal $bytes:literal $words:expr;)+) => {
        /// Every target.
        pub const ALL: &[Target] = &[
            $(Target { name: $name, run: $module::run, seeds: $module::seeds, words: $words, input_bytes_max: $bytes }),+
        ];
    };
}

targets! {
    stomp_decoder "stomp-decoder" 1024 STOMP_WORDS;
    stomp_session "stomp-session" 2048 STOMP_WORDS;
    stomp_client "stomp-client" 1024 STOMP_WORDS;
    stream "stream" 1024 &[];
    selector "selector" 512 SELECTOR_WORDS;
    selector_reference "selector-reference" 256 &[];
    configuration "configuration" 1024 configuration::WORDS;
    values "values" 64 values::WORDS;
    http_query "http-query" 256 &["queue://", "topic://", "temp-queue://", "/queue/", "/topic/", "name=", "&", "%", "%2F", "+"];
    record "record" 768 &[];
    message "message" 512 &[];
    pieces "pieces" 512 &[];
    cells "cells" 512 &[];
    batch "batch" 512 &[];
    checkpoint_index "checkpoint-index" 768 &[];
    checkpoint "checkpoint" 768 &[];
    catalog "catalog" 2048 &[];
    recovery "recovery" 512 &[];
    inspection "inspection" 512 &[];
    reading "reading" 512 &[];
    names "names" 64 &["00000007-00000012", "00000007-0003.pieces", "00000007", "claim-"];
}
