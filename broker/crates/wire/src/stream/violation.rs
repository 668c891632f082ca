//! Why a stream cannot go on.

use std::fmt;

use super::frame::{Kind, PROTOCOL};

/// What the other side did that ends the connection. Where a byte belongs is not known any more, so nothing behind it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The first frame is of another version of this protocol: one side has to be updated.
    Version {
        /// The other side's.
        theirs: u8,
    },
    /// No frame has this kind; often bytes of something else on this port.
    UnknownKind {
        /// The byte.
        kind: u8,
    },
    /// The frame is one that only the other side may send.
    WrongDirection {
        /// Its kind.
        kind: Kind,
    },
    /// The frame says that it is longer than its kind may be.
    TooLong {
        /// Its kind.
        kind: Kind,
        /// Bytes that it says it has behind its length.
        bytes: u32,
        /// Bytes that it may have.
        bytes_max: u32,
    },
    /// The frame says that it has no bytes, not even a kind.
    Empty,
    /// The frame is shorter or longer than its fields.
    WrongLength {
        /// Its kind.
        kind: Kind,
    },
    /// A field has a value that it cannot have.
    Malformed {
        /// The frame's kind.
        kind: Kind,
        /// Which field, and what is wrong.
        what: &'static str,
    },
    /// The frame may not come now.
    OutOfOrder {
        /// Its kind.
        kind: Kind,
        /// What the session waits for.
        phase: &'static str,
    },
    /// A batch other than the next one.
    WrongBatch {
        /// The number of the next.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// The next batch does not follow on the one before: the two sides have different histories.
    Diverged {
        /// Its number.
        batch: u64,
    },
    /// A number that only rises fell.
    Fell {
        /// The frame's kind.
        kind: Kind,
        /// The highest so far.
        from: u64,
        /// What came.
        to: u64,
    },
    /// A follower says that it has applied what was never confirmed to it.
    AppliedAhead {
        /// The last batch that it can know of.
        told: u64,
        /// The batch that it named.
        applied: u64,
    },
}

/// One line: what is wrong and what to do.
impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::Version { theirs } => write!(
                f,
                "The other side speaks version {theirs} of the stream's protocol, this side version {PROTOCOL}: update the older one."
            ),
            Violation::UnknownKind { kind } => write!(
                f,
                "No frame of the stream has the kind {kind}. Is the other side Holdfast, and of this version?"
            ),
            Violation::WrongDirection { kind } => {
                write!(
                    f,
                    "{kind} came from the side that may not send it: both sides play the same part."
                )
            }
            Violation::TooLong { kind, bytes, bytes_max } => {
                write!(f, "{kind} says that it has {bytes} bytes; it may have {bytes_max}.")
            }
            Violation::Empty => f.write_str("A frame says that it has no bytes, not even its kind."),
            Violation::WrongLength { kind } => write!(f, "{kind} is shorter or longer than its fields."),
            Violation::Malformed { kind, what } => write!(f, "{kind} is malformed: {what}."),
            Violation::OutOfOrder { kind, phase } => write!(f, "{kind} may not come now: {phase}."),
            Violation::WrongBatch { expected, found } => {
                write!(f, "Batch {found} came where batch {expected} is the next.")
            }
            Violation::Diverged { batch } => write!(
                f,
                "Batch {batch} does not follow on the one before it: the two sides have different histories. Run `holdfast journal verify`."
            ),
            Violation::Fell { kind, from, to } => write!(f, "{kind} went back from {from} to {to}."),
            Violation::AppliedAhead { told, applied } => write!(
                f,
                "The standby says that it has applied batch {applied}, but nothing behind batch {told} was confirmed to it."
            ),
        }
    }
}

impl std::error::Error for Violation {}
