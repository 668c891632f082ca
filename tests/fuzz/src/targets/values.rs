//! Sizes, durations and addresses, as people write them in flags, variables and files.
//!
//! What is accepted is shown as something that is read as the same.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use holdfast::config::{AdminAddress, ListenAddress, LogFormat, LogLevel, Size, nearest, parse_duration};
use wire::stomp::{HeartBeat, Version};

use crate::input::valid_text;

/// Words of values.
pub const WORDS: &[&str] = &[
    "KiB",
    "MiB",
    "GiB",
    "TiB",
    "kB",
    "MB",
    "ms",
    "min",
    "18446744073709551615",
    "stomp://",
    "http://",
    "localhost:",
    "127.0.0.1:61613",
    "[::1]:0",
    "none",
    "auto",
    "1.0,1.1,1.2",
    "10000,20000",
];

/// The text.
pub fn run(input: &[u8]) {
    let text = valid_text(input);
    shown_and_read::<Size>(text);
    shown_and_read::<ListenAddress>(text);
    shown_and_read::<AdminAddress>(text);
    shown_and_read::<LogLevel>(text);
    shown_and_read::<LogFormat>(text);
    if let Err(reason) = parse_duration(text) {
        assert!(!reason.is_empty());
    }
    if let Some(beat) = HeartBeat::parse(text) {
        assert_eq!(HeartBeat::parse(&beat.to_string()), Some(beat));
    }
    if let Some(version) = Version::parse(text) {
        assert_eq!(Version::parse(version.as_str()), Some(version));
    }
    Version::negotiate(Some(text));
    let known = ["limits.frame_bytes_max", "listen", "größe"];
    assert!(nearest(text, known).is_none_or(|near| known.contains(&near)));
}

fn shown_and_read<T: FromStr<Err = String> + Display + Debug + PartialEq>(text: &str) {
    match text.parse::<T>() {
        Ok(value) => assert_eq!(value.to_string().parse::<T>().as_ref(), Ok(&value), "{text:?}"),
        Err(reason) => assert!(!reason.is_empty(), "{text:?} is refused without a reason"),
    }
}

/// Inputs to begin with.
pub fn seeds() -> Vec<Vec<u8>> {
    [
        "64MiB",
        "512 KiB",
        "1_000",
        "0",
        "500ms",
        "10 min",
        "3d",
        "stomp://localhost:61613/",
        "stomp://[::1]:0",
        "http://127.0.0.1:8161",
        "none",
        "info",
        "json",
        "1.0,1.1,1.2",
        "1.2",
        "10000,10000",
        "0,0",
        "18446744073709551615TiB",
        "listne",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}
