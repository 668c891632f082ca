//! The three versions of STOMP and what differs in how they write a header.

use std::fmt;

/// A version of the protocol; the higher is the newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 1.0: no escaping, header values are trimmed.
    V1_0,
    /// 1.1: `\n`, `\c` and `\\`.
    V1_1,
    /// 1.2: `\r` as well; lines may end in CR LF.
    V1_2,
}

impl Version {
    /// All of them, as the `version` header of an ERROR lists them.
    pub const ALL_TEXT: &'static str = "1.0,1.1,1.2";

    /// The version that this text names.
    pub fn parse(text: &str) -> Option<Version> {
        match text {
            "1.0" => Some(Version::V1_0),
            "1.1" => Some(Version::V1_1),
            "1.2" => Some(Version::V1_2),
            _ => None,
        }
    }

    /// As the `version` header has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Version::V1_0 => "1.0",
            Version::V1_1 => "1.1",
            Version::V1_2 => "1.2",
        }
    }

    /// The highest version that `accept-version` and this crate have in common; without the header the client speaks 1.0 (STOMP 1.2, Protocol Negotiation).
    pub fn negotiate(accept_version: Option<&str>) -> Option<Version> {
        match accept_version {
            None => Some(Version::V1_0),
            Some(list) => list.split(',').filter_map(|text| Version::parse(text.trim())).max(),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
