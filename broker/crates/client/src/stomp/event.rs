//! What a server tells a client.

use std::time::Duration;

use bytes::Bytes;
use wire::stomp::{Frame, FrameError, HeartBeat, Version};

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// The server accepted the connection.
    Connected(Connected),
    /// The frame with this receipt was carried out.
    Receipt {
        /// The `receipt` that was asked for.
        id: Box<str>,
    },
    /// A delivery.
    Message(Message),
    /// A browser has seen everything.
    BrowseEnd {
        /// The subscription's id.
        subscription: Box<str>,
    },
    /// A frame was not carried out, or the connection is about to be closed.
    Error(ErrorReport),
    /// The server's bytes are no frames: close the connection. The last event.
    Broken(FrameError),
    /// The server sent a frame that does not belong here: close the connection. The last event.
    Unexpected {
        /// What it sent.
        command: Box<str>,
    },
    /// The server sent nothing for longer than it promised: close the connection. Only what was under way may still come.
    Silent {
        /// For how long.
        silence: Duration,
    },
}

/// What CONNECTED said.
#[derive(Clone, Debug)]
pub struct Connected {
    /// The version in use.
    pub version: Version,
    /// The server's name for the connection.
    pub session: Option<Box<str>>,
    /// The server's name and version.
    pub server: Option<Box<str>>,
    /// What the server promises and wants.
    pub heart_beat: HeartBeat,
}

/// By which a delivery is acknowledged; may outlive the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AckToken {
    pub(super) ack_id: Option<Box<str>>,
    pub(super) message_id: Box<str>,
    pub(super) subscription: Option<Box<str>>,
}

/// A delivery.
#[derive(Clone, Debug)]
pub struct Message {
    frame: Frame,
}

impl Message {
    pub(super) fn new(frame: Frame) -> Message {
        Message { frame }
    }

    /// `message-id`.
    pub fn id(&self) -> &str {
        self.frame.header("message-id").unwrap_or_default()
    }

    /// `destination`.
    pub fn destination(&self) -> &str {
        self.frame.header("destination").unwrap_or_default()
    }

    /// The id of the subscription that it is for.
    pub fn subscription(&self) -> &str {
        self.frame.header("subscription").unwrap_or_default()
    }

    /// Whether it may have been delivered before.
    pub fn is_redelivered(&self) -> bool {
        self.frame.header("redelivered") == Some("true")
    }

    /// Any header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.frame.header(name)
    }

    /// All headers, in the server's order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.frame.headers()
    }

    /// The body.
    pub fn body(&self) -> &Bytes {
        &self.frame.body
    }

    /// What [`Client::ack`](super::Client::ack) and [`Client::nack`](super::Client::nack) take.
    pub fn ack_token(&self) -> AckToken {
        AckToken {
            ack_id: self.frame.header("ack").map(Into::into),
            message_id: self.id().into(),
            subscription: self.frame.header("subscription").map(Into::into),
        }
    }
}

/// An ERROR frame.
#[derive(Clone, Debug)]
pub struct ErrorReport {
    frame: Frame,
}

impl ErrorReport {
    pub(super) fn new(frame: Frame) -> ErrorReport {
        ErrorReport { frame }
    }

    /// What happened.
    pub fn message(&self) -> &str {
        self.frame.header("message").unwrap_or_default()
    }

    /// The receipt of the frame that it is about, if that had one.
    pub fn receipt(&self) -> Option<&str> {
        self.frame.header("receipt-id")
    }

    /// Any header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.frame.header(name)
    }

    /// More about it.
    pub fn explanation(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.frame.body)
    }
}
