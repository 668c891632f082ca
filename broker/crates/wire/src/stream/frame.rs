//! The frames and their bytes: a length, a kind, and fields, little endian, each written and read by hand.
//!
//! The tables of [`super::tables`], which docs/stream.md shows, are tied to this code by `tests/stream_frames.rs`.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use message::Epoch;

use super::{Nonce, Position, Violation};

/// The version of the protocol.
pub const PROTOCOL: u8 = 1;

/// Most bytes of a batch. A journal's are at most 1 MiB; a later format has room.
pub const BATCH_BYTES_MAX: u32 = 16 << 20;

/// Most bytes behind the length of every frame but *batch*: those of later versions too, so that their version can be read.
pub const SHORT_FRAME_BYTES_MAX: u32 = 4096;

/// Most bytes of a host's name; a longer one is cut.
pub const HOST_BYTES_MAX: usize = 255;

/// Most bytes of a refusal's text; a longer one is cut.
pub const TEXT_BYTES_MAX: usize = 1024;

/// Bytes before the fields: length and kind.
pub(super) const HEAD_BYTES: usize = 5;

/// Bytes of a *batch* frame before the batch.
pub(super) const BATCH_HEAD_BYTES: usize = HEAD_BYTES + 24;

/// Who sends a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From whoever made the connection: a follower, or a new leader that makes itself known.
    ToLeader,
    /// From whoever accepted it.
    ToFollower,
}

macro_rules! kinds {
    ($($name:ident $tag:literal $text:literal),+ $(,)?) => {
        /// What a frame is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Kind {
            $(#[doc = $text] $name = $tag),+
        }

        impl Kind {
            /// All of them, by rising bytes.
            pub const ALL: &[Kind] = &[$(Kind::$name),+];

            /// The kind with this byte.
            pub fn of(byte: u8) -> Option<Kind> {
                match byte {
                    $($tag => Some(Kind::$name),)+
                    _ => None,
                }
            }

            /// What it is called.
            pub fn name(self) -> &'static str {
                match self {
                    $(Kind::$name => $text),+
                }
            }
        }
    };
}

kinds! {
    Hello 1 "Hello",
    Applied 2 "Applied",
    Welcome 16 "Welcome",
    Batch 17 "Batch",
    Confirmed 18 "Confirmed",
    Gap 19 "Gap",
    Final 20 "Final",
    Sealed 32 "Sealed",
    Refused 33 "Refused",
}

impl Kind {
    /// Whether it may travel that way.
    pub fn goes(self, direction: Direction) -> bool {
        match self {
            Kind::Hello | Kind::Applied => direction == Direction::ToLeader,
            Kind::Welcome | Kind::Batch | Kind::Confirmed | Kind::Gap | Kind::Final | Kind::Refused => {
                direction == Direction::ToFollower
            }
            Kind::Sealed => true,
        }
    }

    /// Most bytes that it may have behind its length.
    pub fn bytes_max(self) -> u32 {
        match self {
            Kind::Batch => BATCH_BYTES_MAX + (BATCH_HEAD_BYTES - 4) as u32,
            Kind::Hello
            | Kind::Applied
            | Kind::Welcome
            | Kind::Confirmed
            | Kind::Gap
            | Kind::Final
            | Kind::Sealed
            | Kind::Refused => SHORT_FRAME_BYTES_MAX,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A follower asks to be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The follower's nonce as a member.
    pub member: Nonce,
    /// The lowest version of the data format that it reads and writes.
    pub format_lowest: u32,
    /// The highest.
    pub format_highest: u32,
    /// The first batch that it wants.
    pub from: Position,
    /// Its host, for people; at most [`HOST_BYTES_MAX`] bytes.
    pub host: String,
}

/// A leader agrees to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The leader's epoch.
    pub epoch: Epoch,
    /// Its claim's nonce.
    pub nonce: Nonce,
    /// The version of the data format in force.
    pub format_version: u32,
}

/// Somebody leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The epoch that was sealed.
    pub epoch: Epoch,
    /// Its claim's nonce.
    pub nonce: Nonce,
}

/// Why somebody does not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It does not lead: look up who does.
    NotLeading,
    /// It is about to end or to hand over.
    Stopping,
    /// It speaks another version of this protocol.
    Protocol,
    /// The follower cannot read the data format in force.
    Format,
    /// It serves as many followers as it may.
    TooMany,
    /// The follower's history is not the leader's: damage.
    Diverged,
    /// The follower broke the protocol.
    Violation,
    /// Something that this version does not know.
    Other(u16),
}

impl Reason {
    /// Its number on the wire.
    pub fn code(self) -> u16 {
        match self {
            Reason::NotLeading => 1,
            Reason::Stopping => 2,
            Reason::Protocol => 3,
            Reason::Format => 4,
            Reason::TooMany => 5,
            Reason::Diverged => 6,
            Reason::Violation => 7,
            Reason::Other(code) => code,
        }
    }

    /// The reason with this number.
    pub fn of(code: u16) -> Reason {
        match code {
            1 => Reason::NotLeading,
            2 => Reason::Stopping,
            3 => Reason::Protocol,
            4 => Reason::Format,
            5 => Reason::TooMany,
            6 => Reason::Diverged,
            7 => Reason::Violation,
            other => Reason::Other(other),
        }
    }
}

/// A refusal: nothing follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// For programs.
    pub reason: Reason,
    /// For people; at most [`TEXT_BYTES_MAX`] bytes.
    pub text: String,
}

/// What one side says to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// See [`Hello`].
    Hello(Hello),
    /// The follower's engine has applied everything up to a batch.
    Applied {
        /// Its number; 0: none.
        batch: u64,
    },
    /// See [`Welcome`].
    Welcome(Welcome),
    /// One confirmed batch.
    Batch {
        /// Where it lies.
        at: Position,
        /// The batch, exactly as on disk.
        bytes: Bytes,
    },
    /// Nothing new, but alive.
    Confirmed {
        /// Everything before it is confirmed.
        position: Position,
    },
    /// What comes next is not held any more: read the files up to here, then say *Hello* again.
    Gap {
        /// Where the stream can go on; everything before it is confirmed.
        from: Position,
    },
    /// Hand-over: nothing will be confirmed in this epoch behind here.
    Final {
        /// Everything before it is confirmed.
        position: Position,
    },
    /// See [`Sealed`].
    Sealed(Sealed),
    /// See [`Refusal`].
    Refused(Refusal),
}

/// All that somebody says who made a connection only to say that an epoch leads.
pub fn announcement(sealed: Sealed) -> Bytes {
    let mut out = BytesMut::new();
    Frame::Sealed(sealed).encode(&mut out);
    out.freeze()
}

impl Frame {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Frame::Hello(_) => Kind::Hello,
            Frame::Applied { .. } => Kind::Applied,
            Frame::Welcome(_) => Kind::Welcome,
            Frame::Batch { .. } => Kind::Batch,
            Frame::Confirmed { .. } => Kind::Confirmed,
            Frame::Gap { .. } => Kind::Gap,
            Frame::Final { .. } => Kind::Final,
            Frame::Sealed(_) => Kind::Sealed,
            Frame::Refused(_) => Kind::Refused,
        }
    }

    /// Appends its bytes.
    pub fn encode(&self, out: &mut BytesMut) {
        self.encode_head(out);
        if let Frame::Batch { bytes, .. } = self {
            out.extend_from_slice(bytes);
        }
    }

    /// Appends its bytes, of a batch only those before the batch itself.
    pub(super) fn encode_head(&self, out: &mut BytesMut) {
        let start = out.len();
        out.put_u32_le(0);
        out.put_u8(self.kind() as u8);
        match self {
            Frame::Hello(hello) => {
                out.put_u8(PROTOCOL);
                out.put_slice(&hello.member.0);
                out.put_u32_le(hello.format_lowest);
                out.put_u32_le(hello.format_highest);
                hello.from.put(out);
                out.put_slice(cut(&hello.host, HOST_BYTES_MAX));
            }
            Frame::Applied { batch } => out.put_u64_le(*batch),
            Frame::Welcome(welcome) => {
                out.put_u8(PROTOCOL);
                out.put_u32_le(welcome.epoch.0);
                out.put_slice(&welcome.nonce.0);
                out.put_u32_le(welcome.format_version);
            }
            Frame::Batch { at, .. } => at.put(out),
            Frame::Confirmed { position } | Frame::Gap { from: position } | Frame::Final { position } => {
                position.put(out);
            }
            Frame::Sealed(sealed) => {
                out.put_u8(PROTOCOL);
                out.put_u32_le(sealed.epoch.0);
                out.put_slice(&sealed.nonce.0);
            }
            Frame::Refused(refusal) => {
                out.put_u8(PROTOCOL);
                out.put_u16_le(refusal.reason.code());
                out.put_slice(cut(&refusal.text, TEXT_BYTES_MAX));
            }
        }
        let body = match self {
            Frame::Batch { bytes, .. } => bytes.len(),
            Frame::Hello(_)
            | Frame::Applied { .. }
            | Frame::Welcome(_)
            | Frame::Confirmed { .. }
            | Frame::Gap { .. }
            | Frame::Final { .. }
            | Frame::Sealed(_)
            | Frame::Refused(_) => 0,
        };
        let length = u32::try_from(out.len() - start - 4 + body).expect("a batch is at most BATCH_BYTES_MAX long");
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }

    /// Reads a whole frame: what is behind its kind.
    pub(super) fn decode(kind: Kind, body: Bytes) -> Result<Frame, Violation> {
        let malformed = |what| Violation::Malformed { kind, what };
        let mut fields = Fields { rest: &body };
        // The two that end or replace a conversation keep their bytes in every version.
        match kind {
            Kind::Hello | Kind::Welcome => match body.first() {
                Some(&PROTOCOL) => {}
                Some(&theirs) => return Err(Violation::Version { theirs }),
                None => return Err(Violation::WrongLength { kind }),
            },
            Kind::Applied | Kind::Batch | Kind::Confirmed | Kind::Gap | Kind::Final | Kind::Sealed | Kind::Refused => {}
        }
        let frame = Frame::take(kind, &mut fields, &body).map_err(|Short| Violation::WrongLength { kind })?;
        let position = match &frame {
            Frame::Hello(hello) => {
                if hello.format_lowest > hello.format_highest {
                    return Err(malformed("the lowest format version is above the highest"));
                }
                Some(hello.from)
            }
            Frame::Batch { at, .. } => Some(*at),
            Frame::Confirmed { position } | Frame::Gap { from: position } | Frame::Final { position } => {
                Some(*position)
            }
            Frame::Applied { .. } | Frame::Welcome(_) | Frame::Sealed(_) | Frame::Refused(_) => None,
        };
        if position.is_some_and(|position| !position.is_valid()) {
            return Err(malformed("no batch has this number"));
        }
        let rest = fields.rest;
        match frame {
            Frame::Hello(mut hello) => {
                if rest.len() > HOST_BYTES_MAX {
                    return Err(Violation::WrongLength { kind });
                }
                hello.host = text(rest).ok_or(malformed("the host is not UTF-8"))?;
                Ok(Frame::Hello(hello))
            }
            Frame::Refused(mut refusal) => {
                if rest.len() > TEXT_BYTES_MAX {
                    return Err(Violation::WrongLength { kind });
                }
                refusal.text = text(rest).ok_or(malformed("the text is not UTF-8"))?;
                Ok(Frame::Refused(refusal))
            }
            Frame::Batch { .. } if rest.is_empty() => Err(malformed("the batch has no bytes")),
            Frame::Batch { .. } => Ok(frame),
            Frame::Applied { .. }
            | Frame::Welcome(_)
            | Frame::Confirmed { .. }
            | Frame::Gap { .. }
            | Frame::Final { .. }
            | Frame::Sealed(_) => match rest {
                [] => Ok(frame),
                [..] => Err(Violation::WrongLength { kind }),
            },
        }
    }

    /// The fields of fixed length; what is behind them is left.
    fn take(kind: Kind, fields: &mut Fields<'_>, body: &Bytes) -> Result<Frame, Short> {
        Ok(match kind {
            Kind::Hello => {
                fields.u8()?;
                Frame::Hello(Hello {
                    member: fields.nonce()?,
                    format_lowest: fields.u32()?,
                    format_highest: fields.u32()?,
                    from: Position::take(fields)?,
                    host: String::new(),
                })
            }
            Kind::Applied => Frame::Applied { batch: fields.u64()? },
            Kind::Welcome => {
                fields.u8()?;
                Frame::Welcome(Welcome {
                    epoch: Epoch(fields.u32()?),
                    nonce: fields.nonce()?,
                    format_version: fields.u32()?,
                })
            }
            Kind::Batch => Frame::Batch {
                at: Position::take(fields)?,
                bytes: body.slice_ref(fields.rest),
            },
            Kind::Confirmed => Frame::Confirmed {
                position: Position::take(fields)?,
            },
            Kind::Gap => Frame::Gap {
                from: Position::take(fields)?,
            },
            Kind::Final => Frame::Final {
                position: Position::take(fields)?,
            },
            Kind::Sealed => {
                fields.u8()?;
                Frame::Sealed(Sealed {
                    epoch: Epoch(fields.u32()?),
                    nonce: fields.nonce()?,
                })
            }
            Kind::Refused => {
                fields.u8()?;
                Frame::Refused(Refusal {
                    reason: Reason::of(fields.u16()?),
                    text: String::new(),
                })
            }
        })
    }
}

fn cut(text: &str, bytes_max: usize) -> &[u8] {
    &text.as_bytes()[..text.floor_char_boundary(bytes_max)]
}

fn text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_string)
}

/// The frame ends before its fields do.
#[derive(Debug)]
pub(super) struct Short;

/// What is left of a frame's fields.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl Fields<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Short> {
        let (first, rest) = self.rest.split_first_chunk().ok_or(Short)?;
        self.rest = rest;
        Ok(*first)
    }

    fn u8(&mut self) -> Result<u8, Short> {
        self.array::<1>().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Result<u16, Short> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Short> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Short> {
        self.array().map(u64::from_le_bytes)
    }

    fn nonce(&mut self) -> Result<Nonce, Short> {
        self.array().map(Nonce)
    }
}
