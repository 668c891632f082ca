//! What a session answers to a frame that it does not carry out.
//!
//! Two classes. *Refused*: the frame is well-formed, but what it asks for cannot be done now (an unknown transaction, a bad selector); the ERROR leaves the connection open, as
//! ActiveMQ does, so that one mistaken acknowledgement does not end the work of a whole client. *Broken*: the frame breaks the protocol (a required header is missing, the
//! command is unknown, the bytes are no frame); the ERROR ends the connection, as the specification says.

/// Why a frame was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// The ERROR's `message` header.
    pub(super) message: String,
    /// The ERROR's body: one line.
    pub(super) explanation: String,
    /// Whether the connection ends.
    pub(super) ends_connection: bool,
}

impl Problem {
    /// The frame cannot be carried out now; the connection stays.
    pub(super) fn refused(message: impl Into<String>) -> Problem {
        Problem {
            message: message.into(),
            explanation: "The frame was not carried out. The connection stays open.".to_string(),
            ends_connection: false,
        }
    }

    /// The frame breaks the protocol; the connection ends.
    pub(super) fn broken(message: impl Into<String>) -> Problem {
        Problem {
            message: message.into(),
            explanation: "The frame breaks the protocol. The connection is closed.".to_string(),
            ends_connection: true,
        }
    }

    /// The same with another line as body.
    pub(super) fn because(mut self, explanation: impl Into<String>) -> Problem {
        self.explanation = explanation.into();
        self
    }
}
