//! One connection: what was said in, encrypted bytes out, and the way back.

use std::collections::VecDeque;
use std::{fmt, mem};

use bytes::{Buf, Bytes, BytesMut};
use platform::Random;
use snow::{HandshakeState, TransportState};

use super::key::{self, Key};
use super::noise;

/// Bytes of a handshake message: an ephemeral key and the tag of an empty text.
pub const HANDSHAKE_BYTES: usize = 48;

/// Bytes of the tag behind each message's text.
const TAG_BYTES: usize = 16;

/// Bytes of the length before each message.
const LENGTH_BYTES: usize = 2;

/// Most bytes of text in one message.
pub const PLAIN_BYTES_MAX: usize = 65_535 - TAG_BYTES;

/// After so many messages in one direction (at most 4 GiB) that direction goes on with a new key, made from the old one, which is forgotten: who reads a process's memory learns nothing of what was said long before.
/// The cipher itself would allow 2^64.
pub const REKEY_MESSAGES: u64 = 65_536;

/// Why a channel cannot go on: close the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelError {
    /// The other side has not shown that it has the key.
    Stranger,
    /// A message was altered, repeated, exchanged or left out on the way.
    Tampered {
        /// How many messages were right before it.
        after: u64,
    },
    /// It had failed before.
    Failed,
}

/// One line: what is wrong and what to do.
impl fmt::Display for ChannelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChannelError::Stranger => f.write_str(
                "The other side has another key, speaks another version of the protocol, or is none of the group. Members of a group share one data directory, and its key.",
            ),
            ChannelError::Tampered { after } => write!(
                f,
                "A message was changed on the way, behind {after} that were right. Something between the two machines changes what passes."
            ),
            ChannelError::Failed => f.write_str("The channel failed before."),
        }
    }
}

impl std::error::Error for ChannelError {}

enum State {
    /// Waits for a handshake message.
    Shaking(Box<HandshakeState>),
    /// Responder: waits for the message that shows that the handshake was no replay.
    Proving(Box<TransportState>),
    /// Both sides are who they should be.
    Established(Box<TransportState>),
    /// Nothing more is taken or sent.
    Failed,
}

/// One side of an encrypted connection.
pub struct Channel {
    state: State,
    is_initiator: bool,
    /// A message that is not yet whole, with its length.
    inbound: BytesMut,
    /// Decrypted and not yet taken.
    plain: VecDeque<Bytes>,
    /// Said and not yet encrypted.
    unsent: BytesMut,
    /// Encrypted and not yet taken.
    output: VecDeque<Bytes>,
    /// Messages since the handshake.
    sent: u64,
    received: u64,
}

impl fmt::Debug for Channel {
    /// Nothing of what is said, and no key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("is_initiator", &self.is_initiator)
            .field("is_established", &self.is_established())
            .field("sent", &self.sent)
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

impl Channel {
    /// The side that made the connection; it speaks first. Draws 32 bytes, which must be fresh and secret.
    pub fn initiator(key: &Key, random: &mut dyn Random) -> Channel {
        let mut handshake = noise::handshake(key, key::bytes(random), true);
        let first =
            write_handshake(&mut handshake).expect("the initiator speaks first, and needs nothing of the other side");
        Channel {
            output: VecDeque::from([first]),
            ..Channel::new(handshake, true)
        }
    }

    /// The side that accepted it. Draws 32 bytes, which must be fresh and secret.
    pub fn responder(key: &Key, random: &mut dyn Random) -> Channel {
        Channel::new(noise::handshake(key, key::bytes(random), false), false)
    }

    fn new(handshake: HandshakeState, is_initiator: bool) -> Channel {
        Channel {
            state: State::Shaking(Box::new(handshake)),
            is_initiator,
            inbound: BytesMut::new(),
            plain: VecDeque::new(),
            unsent: BytesMut::new(),
            output: VecDeque::new(),
            sent: 0,
            received: 0,
        }
    }

    /// Whether the other side has proved, on this connection, that it has the key. How long that may take is for the owner to decide.
    pub fn is_established(&self) -> bool {
        matches!(self.state, State::Established(_))
    }

    /// Takes what was read. After an error the connection is to be closed; nothing that waited is sent.
    pub fn handle_bytes(&mut self, mut bytes: &[u8]) -> Result<(), ChannelError> {
        if matches!(self.state, State::Failed) {
            return Err(ChannelError::Failed);
        }
        let handled = loop {
            match self.next_message(&mut bytes) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        if handled.is_err() {
            self.state = State::Failed;
            self.output.clear();
            (self.inbound, self.unsent) = (BytesMut::new(), BytesMut::new());
        }
        handled
    }

    /// Takes one message off the front; `false`: the bytes are used up before it is whole.
    fn next_message(&mut self, bytes: &mut &[u8]) -> Result<bool, ChannelError> {
        if !self.fill(LENGTH_BYTES, bytes) {
            // A message that came in one piece is read where it lies.
            return Ok(false);
        }
        let length = match *self.inbound {
            [high, low, ..] => usize::from(u16::from_be_bytes([high, low])),
            [..] => unreachable!("two bytes were filled in"),
        };
        self.check_length(length)?;
        if self.inbound.len() == LENGTH_BYTES && bytes.len() >= length {
            let (message, rest) = bytes.split_at(length);
            *bytes = rest;
            self.inbound.clear();
            self.handle_message(message)?;
            return Ok(true);
        }
        if !self.fill(LENGTH_BYTES + length, bytes) {
            return Ok(false);
        }
        let mut message = mem::take(&mut self.inbound);
        self.handle_message(&message[LENGTH_BYTES..])?;
        message.clear();
        self.inbound = message;
        Ok(true)
    }

    /// Moves bytes to the message that is not whole until there are `wanted`.
    fn fill(&mut self, wanted: usize, bytes: &mut &[u8]) -> bool {
        let missing = wanted.saturating_sub(self.inbound.len()).min(bytes.len());
        self.inbound.extend_from_slice(&bytes[..missing]);
        bytes.advance(missing);
        self.inbound.len() >= wanted
    }

    /// Before the other side has proved itself only one length is right, so it cannot make this side keep more.
    fn check_length(&self, length: usize) -> Result<(), ChannelError> {
        let (is_right, error) = match self.state {
            State::Shaking(_) => (length == HANDSHAKE_BYTES, ChannelError::Stranger),
            State::Proving(_) => (length == TAG_BYTES, ChannelError::Stranger),
            State::Established(_) => (length >= TAG_BYTES, ChannelError::Tampered { after: self.received }),
            State::Failed => (false, ChannelError::Failed),
        };
        if is_right { Ok(()) } else { Err(error) }
    }

    fn handle_message(&mut self, message: &[u8]) -> Result<(), ChannelError> {
        // What is not put back has failed.
        match mem::replace(&mut self.state, State::Failed) {
            State::Shaking(mut handshake) => {
                handshake
                    .read_message(message, &mut [])
                    .map_err(|_| ChannelError::Stranger)?;
                if self.is_initiator {
                    self.state = State::Established(into_transport(*handshake));
                    // The proof that this is no replay, so that the responder need not wait for something to be said.
                    self.encrypt(&[]);
                } else {
                    let answer = write_handshake(&mut handshake).map_err(|_| ChannelError::Stranger)?;
                    self.output.push_back(answer);
                    self.state = State::Proving(into_transport(*handshake));
                }
            }
            State::Proving(mut transport) => {
                transport
                    .read_message(message, &mut [])
                    .map_err(|_| ChannelError::Stranger)?;
                self.received = 1;
                self.state = State::Established(transport);
            }
            State::Established(mut transport) => {
                let mut plain = BytesMut::zeroed(message.len() - TAG_BYTES);
                transport
                    .read_message(message, &mut plain)
                    .map_err(|_| ChannelError::Tampered { after: self.received })?;
                self.received += 1;
                if self.received.is_multiple_of(REKEY_MESSAGES) {
                    transport.rekey_incoming();
                }
                if !plain.is_empty() {
                    self.plain.push_back(plain.freeze());
                }
                self.state = State::Established(transport);
            }
            State::Failed => return Err(ChannelError::Failed),
        }
        Ok(())
    }

    /// Says something; before the channel is established it waits. What waits has no bound here: look at [`Channel::unsent_bytes`] before saying more.
    pub fn send(&mut self, plain: &[u8]) {
        match self.state {
            State::Shaking(_) | State::Proving(_) => self.unsent.extend_from_slice(plain),
            State::Established(_) => {
                self.unsent.extend_from_slice(plain);
                while self.unsent.len() >= PLAIN_BYTES_MAX {
                    self.encrypt_next();
                }
            }
            State::Failed => {}
        }
    }

    /// Bytes that were said and not yet taken by [`Channel::poll_output`].
    pub fn unsent_bytes(&self) -> usize {
        self.unsent.len() + self.output.iter().map(Bytes::len).sum::<usize>()
    }

    /// The next bytes for the connection. What was said in small pieces goes out in one message.
    pub fn poll_output(&mut self) -> Option<Bytes> {
        if self.output.is_empty() && self.is_established() && !self.unsent.is_empty() {
            self.encrypt_next();
        }
        self.output.pop_front()
    }

    /// The next bytes that the other side said, as many as came in one message.
    pub fn poll_plain(&mut self) -> Option<Bytes> {
        self.plain.pop_front()
    }

    fn encrypt_next(&mut self) {
        let plain = self.unsent.split_to(self.unsent.len().min(PLAIN_BYTES_MAX));
        self.encrypt(&plain);
        if self.unsent.is_empty() {
            self.unsent = BytesMut::new();
        }
    }

    fn encrypt(&mut self, plain: &[u8]) {
        let State::Established(transport) = &mut self.state else {
            unreachable!("nothing is encrypted before the channel is established");
        };
        let mut message = BytesMut::zeroed(LENGTH_BYTES + plain.len() + TAG_BYTES);
        let length = u16::try_from(plain.len() + TAG_BYTES).expect("at most PLAIN_BYTES_MAX");
        message[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
        transport
            .write_message(plain, &mut message[LENGTH_BYTES..])
            .expect("the buffer fits, and 2^64 messages are never sent");
        self.output.push_back(message.freeze());
        self.sent += 1;
        if self.sent.is_multiple_of(REKEY_MESSAGES) {
            transport.rekey_outgoing();
        }
    }
}

/// The next handshake message, with its length.
fn write_handshake(handshake: &mut HandshakeState) -> Result<Bytes, snow::Error> {
    let mut message = BytesMut::zeroed(LENGTH_BYTES + HANDSHAKE_BYTES);
    message[..LENGTH_BYTES].copy_from_slice(&(HANDSHAKE_BYTES as u16).to_be_bytes());
    let written = handshake.write_message(&[], &mut message[LENGTH_BYTES..])?;
    debug_assert_eq!(written, HANDSHAKE_BYTES);
    Ok(message.freeze())
}

fn into_transport(handshake: HandshakeState) -> Box<TransportState> {
    Box::new(
        handshake
            .into_transport_mode()
            .expect("both messages of the handshake were exchanged"),
    )
}
