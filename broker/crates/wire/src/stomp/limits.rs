//! What a connection may use up. Every limit has a name, a unit and a clear ERROR for the one who reaches it.

use std::time::Duration;

/// Limits of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// Bytes of a whole frame: command, headers and body.
    pub frame_bytes_max: u32,
    /// Bytes of the command and all headers.
    pub header_bytes_max: u32,
    /// Headers of a frame.
    pub headers_max: u32,
}

impl Default for FrameLimits {
    fn default() -> FrameLimits {
        FrameLimits {
            frame_bytes_max: 100 << 20,
            header_bytes_max: 64 << 10,
            headers_max: 1000,
        }
    }
}

/// Limits of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of its frames, once it is connected.
    pub frame: FrameLimits,
    /// How long after it was opened the CONNECT frame has to be there.
    pub connect_within: Duration,
    /// Bytes of the CONNECT frame.
    pub connect_bytes_max: u32,
    /// Bytes that may wait behind CONNECT until it is answered, or behind answers that the client does not take; see [`Session::is_reading`](super::Session::is_reading).
    pub read_ahead_bytes_max: u32,
    /// Memory of answers (receipts, errors) that the client has not taken, and of the receipt ids of those that are still to come; above it nothing more is read from the client.
    pub answers_bytes_max: u32,
    /// How long the ERROR of a broken connection may wait for the answers to the frames before it.
    pub close_within: Duration,
    /// Subscriptions at a time.
    pub subscriptions_max: u32,
    /// Open transactions at a time.
    pub transactions_max: u32,
    /// Temporary destinations of a connection.
    pub temporary_destinations_max: u32,
    /// The highest `activemq.prefetchSize`; a subscription that asks for more gets this.
    pub prefetch_max: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            frame: FrameLimits::default(),
            connect_within: Duration::from_secs(10),
            connect_bytes_max: 64 << 10,
            read_ahead_bytes_max: 1 << 20,
            answers_bytes_max: 1 << 20,
            close_within: Duration::from_secs(10),
            subscriptions_max: 10_000,
            transactions_max: 1000,
            temporary_destinations_max: 10_000,
            prefetch_max: 32_767,
        }
    }
}
