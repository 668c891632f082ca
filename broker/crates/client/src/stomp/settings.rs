//! What a caller may choose.

use wire::stomp::{FrameLimits, HeartBeat, Version};

/// How to connect.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// The highest version to offer; all below it are offered too.
    pub version_max: Version,
    /// The `host` header.
    pub host: String,
    /// The `login` header.
    pub login: Option<String>,
    /// The `passcode` header.
    pub passcode: Option<String>,
    /// The `client-id` header: needed for durable subscriptions.
    pub client_id: Option<String>,
    /// What this client promises and wants.
    pub heart_beat: HeartBeat,
    /// Limits of what is read.
    pub limits: FrameLimits,
}

impl ClientSettings {
    /// 1.2, no user, no client id, no heart-beats.
    pub fn new(host: &str) -> ClientSettings {
        ClientSettings {
            version_max: Version::V1_2,
            host: host.to_string(),
            login: None,
            passcode: None,
            client_id: None,
            heart_beat: HeartBeat::default(),
            limits: FrameLimits::default(),
        }
    }

    pub(super) fn accept_version(&self) -> &'static str {
        match self.version_max {
            Version::V1_0 => "1.0",
            Version::V1_1 => "1.0,1.1",
            Version::V1_2 => "1.0,1.1,1.2",
        }
    }
}

/// How to send a message. By default: bytes, not persistent, no receipt, no transaction.
#[derive(Clone, Copy, Debug, Default)]
pub struct SendOptions<'a> {
    /// Whether it is to survive the broker's process.
    pub persistent: bool,
    /// The body is text without null bytes; without this it goes as bytes, with `content-length`.
    pub text: bool,
    /// The transaction that it belongs to.
    pub transaction: Option<&'a str>,
    /// Makes a second send with the same id to the same destination count once.
    pub duplicate_id: Option<&'a str>,
    /// Asks for [`Event::Receipt`](super::Event::Receipt) with this id.
    pub receipt: Option<&'a str>,
    /// Further headers.
    pub headers: &'a [(&'a str, &'a str)],
}

/// How deliveries are acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ack {
    /// By being sent.
    #[default]
    Auto,
    /// By [`Client::ack`](super::Client::ack), which stands for all earlier ones too.
    Client,
    /// By [`Client::ack`](super::Client::ack), one by one.
    ClientIndividual,
}

impl Ack {
    /// The header's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Ack::Auto => "auto",
            Ack::Client => "client",
            Ack::ClientIndividual => "client-individual",
        }
    }
}

/// How to subscribe.
#[derive(Clone, Copy, Debug, Default)]
pub struct SubscribeOptions<'a> {
    /// How deliveries are acknowledged.
    pub ack: Ack,
    /// Only messages that match.
    pub selector: Option<&'a str>,
    /// How many deliveries may be unacknowledged; `None`: the broker's default; 0: one at a time.
    pub prefetch: Option<u32>,
    /// The name of a durable subscription.
    pub durable: Option<&'a str>,
    /// Look through a queue without taking anything; ends with [`Event::BrowseEnd`](super::Event::BrowseEnd).
    pub browser: bool,
    /// Asks for a receipt with this id.
    pub receipt: Option<&'a str>,
    /// Further headers.
    pub headers: &'a [(&'a str, &'a str)],
}
