//! The bytes of records, messages and pieces: written and read by hand, little endian, each kind with its tag.
//!
//! Strings are a u16 length and UTF-8, `None` is the length 0xFFFF; lists are a u32 count and their items; blocks are a u32 length and bytes.
//! Reading trusts nothing: a count never allocates more than the bytes behind it could hold. The byte tables of docs/journal-format.md are tied to this file by the test
//! `every_kind_of_record_has_its_golden_bytes`.

use std::sync::Arc;

use bytes::Bytes;
use message::{Body, BodyKind, Destination, Kind, Message, MessageNumber, Properties};

use crate::{
    CheckpointName, Definition, DuplicateIds, Entry, ObjectId, PackedSegments, Page, PieceReference, Place, Record,
    RecordPlace, SegmentNumber, Sent, Waiting,
};

/// The version byte of a message's bytes.
const MESSAGE_VERSION: u8 = 1;
const NO_STRING: u16 = u16::MAX;

/// The bytes are not what their tag says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(
    /// What was being read.
    pub &'static str,
);

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "malformed {}", self.0)
    }
}

impl Record {
    /// Appends the record's bytes to `out`, and for each message in it its offset from the record's start and its length to `messages`.
    pub fn encode(&self, out: &mut Vec<u8>, messages: &mut Vec<(u32, u32)>) {
        let start = out.len();
        let mut sent_in = |out: &mut Vec<u8>, sent: &Sent| {
            put_u32(out, sent.destination.0);
            put_u64(out, sent.number.0);
            put_count(out, sent.targets.len());
            sent.targets.iter().for_each(|target| put_u32(out, target.0));
            put_string(out, sent.duplicate_id.as_deref());
            put_u64(out, sent.time);
            let length_at = out.len();
            put_u32(out, 0);
            let message_at = out.len();
            encode_message(&sent.message, out);
            let length = length_u32(out.len() - message_at);
            out[length_at..message_at].copy_from_slice(&length.to_le_bytes());
            messages.push((length_u32(message_at - start), length));
        };
        match self {
            Record::Created { object, definition } => {
                out.push(1);
                put_u32(out, object.0);
                definition.encode(out);
            }
            Record::Deleted { object } => {
                out.push(2);
                put_u32(out, object.0);
            }
            Record::Sent(sent) => {
                out.push(3);
                sent_in(out, sent);
            }
            Record::Acknowledged(waiting) => {
                out.push(4);
                put_waiting(out, waiting);
            }
            Record::Expired(waiting) => {
                out.push(5);
                put_waiting(out, waiting);
            }
            Record::Moved { object, number, sent } => {
                out.push(6);
                put_u32(out, object.0);
                put_u64(out, number.0);
                sent_in(out, sent);
            }
            Record::Redelivered { object, counts } => {
                out.push(7);
                put_u32(out, object.0);
                put_count(out, counts.len());
                for (number, count) in counts {
                    put_u64(out, number.0);
                    put_u32(out, *count);
                }
            }
            Record::Purged { object, through } => {
                out.push(8);
                put_u32(out, object.0);
                put_u64(out, through.0);
            }
            Record::Dispatched { object, through } => {
                out.push(9);
                put_u32(out, object.0);
                put_u64(out, through.0);
            }
            Record::Committed { sent, acknowledged } => {
                out.push(10);
                put_count(out, acknowledged.len());
                acknowledged.iter().for_each(|waiting| put_waiting(out, waiting));
                put_count(out, sent.len());
                sent.iter().for_each(|sent| sent_in(out, sent));
            }
            Record::SetAside { object, number } => {
                out.push(11);
                put_u32(out, object.0);
                put_u64(out, number.0);
            }
        }
    }

    /// Reads a record, and for each message in it its offset and length, as [`Record::encode`] gave them.
    pub fn decode(bytes: &Bytes) -> Result<(Record, Vec<(u32, u32)>), Malformed> {
        let mut reader = Reader::new(bytes);
        let mut messages = Vec::new();
        let record = match reader.u8()? {
            1 => Record::Created {
                object: reader.object()?,
                definition: Definition::decode(&mut reader)?,
            },
            2 => Record::Deleted {
                object: reader.object()?,
            },
            3 => Record::Sent(reader.sent(&mut messages)?),
            4 => Record::Acknowledged(reader.waiting()?),
            5 => Record::Expired(reader.waiting()?),
            6 => Record::Moved {
                object: reader.object()?,
                number: reader.number()?,
                sent: reader.sent(&mut messages)?,
            },
            7 => Record::Redelivered {
                object: reader.object()?,
                counts: reader.list(12, |reader| Ok((reader.number()?, reader.u32()?)))?,
            },
            8 => Record::Purged {
                object: reader.object()?,
                through: reader.number()?,
            },
            9 => Record::Dispatched {
                object: reader.object()?,
                through: reader.number()?,
            },
            10 => {
                let acknowledged = reader.list(8, Reader::waiting)?;
                let sent = reader.list(40, |reader| reader.sent(&mut messages))?;
                Record::Committed { sent, acknowledged }
            }
            11 => Record::SetAside {
                object: reader.object()?,
                number: reader.number()?,
            },
            _ => return Err(Malformed("record: unknown kind")),
        };
        reader.end("record: bytes left over")?;
        Ok((record, messages))
    }
}

impl Definition {
    /// Appends the definition's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Definition::Queue { name } => {
                out.push(1);
                put_string(out, Some(name));
            }
            Definition::Topic { name } => {
                out.push(2);
                put_string(out, Some(name));
            }
            Definition::Durable {
                client_id,
                name,
                destinations,
                selector,
                no_local,
            } => {
                out.push(3);
                put_string(out, Some(client_id));
                put_string(out, Some(name));
                put_count(out, destinations.len());
                destinations
                    .iter()
                    .for_each(|destination| put_destination(out, Some(destination)));
                put_block(out, selector.as_deref().unwrap_or("").as_bytes());
                out.push(u8::from(*no_local));
            }
        }
    }

    /// Reads a definition.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Definition, Malformed> {
        Ok(match reader.u8()? {
            1 => Definition::Queue { name: reader.string()? },
            2 => Definition::Topic { name: reader.string()? },
            3 => Definition::Durable {
                client_id: reader.string()?,
                name: reader.string()?,
                destinations: reader.list(3, |reader| {
                    reader.destination()?.ok_or(Malformed("definition: no destination"))
                })?,
                selector: match std::str::from_utf8(&reader.block()?) {
                    Ok("") => None,
                    Ok(text) => Some(text.into()),
                    Err(_) => return Err(Malformed("definition: selector is not UTF-8")),
                },
                no_local: reader.boolean()?,
            },
            _ => return Err(Malformed("definition: unknown kind")),
        })
    }
}

impl Page {
    /// The page's bytes: each entry 40 bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_count(out, self.entries.len());
        for entry in &self.entries {
            put_u64(out, entry.number.0);
            put_u32(out, entry.place.record.segment.0);
            put_u32(out, entry.place.record.offset);
            put_u32(out, entry.place.last_segment.0);
            put_u32(out, entry.place.skip);
            put_u32(out, entry.place.length);
            put_u64(out, entry.expiration);
            out.extend_from_slice(&entry.redeliveries.to_le_bytes());
            out.push(entry.priority);
            out.push(u8::from(entry.set_aside));
        }
    }

    /// Reads a page.
    pub fn decode(bytes: &Bytes) -> Result<Page, Malformed> {
        let mut reader = Reader::new(bytes);
        let entries = reader.list(40, |reader| {
            Ok(Entry {
                number: reader.number()?,
                place: Place {
                    record: RecordPlace {
                        segment: SegmentNumber(reader.u32()?),
                        offset: reader.u32()?,
                    },
                    last_segment: SegmentNumber(reader.u32()?),
                    skip: reader.u32()?,
                    length: reader.u32()?,
                },
                expiration: reader.u64()?,
                redeliveries: reader.u16()?,
                priority: reader.u8()?,
                set_aside: reader.boolean()?,
            })
        })?;
        reader.end("page: bytes left over")?;
        if !entries.is_sorted_by(|a, b| a.number < b.number) {
            return Err(Malformed("page: numbers do not rise"));
        }
        if entries
            .iter()
            .any(|entry| entry.place.last_segment < entry.place.record.segment)
        {
            return Err(Malformed("page: a record ends before it begins"));
        }
        Ok(Page { entries })
    }
}

impl DuplicateIds {
    /// The piece's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_count(out, self.ids.len());
        for (time, id) in &self.ids {
            put_u64(out, *time);
            put_string(out, Some(id));
        }
    }

    /// Reads a piece of duplicate ids.
    pub fn decode(bytes: &Bytes) -> Result<DuplicateIds, Malformed> {
        let mut reader = Reader::new(bytes);
        let ids = reader.list(10, |reader| Ok((reader.u64()?, reader.string()?)))?;
        reader.end("duplicate ids: bytes left over")?;
        Ok(DuplicateIds { ids })
    }
}

impl PieceReference {
    /// Appends the reference's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u32(out, self.written_by.epoch.0);
        put_u32(out, self.written_by.number);
        put_u64(out, self.offset);
        put_u32(out, self.length);
        put_u32(out, self.checksum);
        self.segments.encode(out);
    }

    /// Reads a reference.
    pub fn decode(reader: &mut Reader<'_>) -> Result<PieceReference, Malformed> {
        Ok(PieceReference {
            written_by: CheckpointName {
                epoch: message::Epoch(reader.u32()?),
                number: reader.u32()?,
            },
            offset: reader.u64()?,
            length: reader.u32()?,
            checksum: reader.u32()?,
            segments: PackedSegments::decode(reader)?,
        })
    }
}

/// Appends a message's bytes.
pub fn encode_message(message: &Message, out: &mut Vec<u8>) {
    out.push(MESSAGE_VERSION);
    out.push(u8::from(message.persistent));
    out.push(message.priority);
    out.push(match message.body.kind {
        BodyKind::Empty => 0,
        BodyKind::Text => 1,
        BodyKind::Bytes => 2,
        BodyKind::Map => 3,
        BodyKind::Stream => 4,
        BodyKind::Object => 5,
    });
    put_u64(out, message.timestamp);
    put_u64(out, message.expiration);
    out.extend_from_slice(&message.group_sequence.to_le_bytes());
    put_string(out, Some(&message.id));
    put_destination(out, Some(&message.destination));
    put_destination(out, message.reply_to.as_ref());
    put_destination(out, message.original_destination.as_ref());
    for text in [
        &message.correlation_id,
        &message.message_type,
        &message.group_id,
        &message.user_id,
    ] {
        put_string(out, text.as_deref());
    }
    put_block(out, message.properties.as_bytes());
    put_block(out, &message.body.bytes);
}

/// The id of a message whose bytes cannot be trusted, if something that looks like one stands where it belongs: printable, and of a length that ids have.
pub fn message_id(bytes: &Bytes) -> Option<Arc<str>> {
    let mut reader = Reader::new(bytes);
    reader.take(MESSAGE_ID_AT).ok()?;
    let id = reader.string().ok()?;
    let plausible =
        !id.is_empty() && id.len() <= MESSAGE_ID_BYTES_MAX && id.bytes().all(|byte| byte.is_ascii_graphic());
    plausible.then_some(id)
}

/// Bytes of a message before its id.
const MESSAGE_ID_AT: usize = 24;

/// No broker makes longer ids.
const MESSAGE_ID_BYTES_MAX: usize = 256;

/// Reads a message; its properties and body share `bytes`.
pub fn decode_message(bytes: &Bytes) -> Result<Message, Malformed> {
    let mut reader = Reader::new(bytes);
    if reader.u8()? != MESSAGE_VERSION {
        return Err(Malformed("message: unknown version"));
    }
    let persistent = reader.boolean()?;
    let priority = reader.u8()?;
    let kind = match reader.u8()? {
        0 => BodyKind::Empty,
        1 => BodyKind::Text,
        2 => BodyKind::Bytes,
        3 => BodyKind::Map,
        4 => BodyKind::Stream,
        5 => BodyKind::Object,
        _ => return Err(Malformed("message: unknown kind of body")),
    };
    let timestamp = reader.u64()?;
    let expiration = reader.u64()?;
    let group_sequence = reader.u32()?.cast_signed();
    let id = reader.string()?;
    let destination = reader.destination()?.ok_or(Malformed("message: no destination"))?;
    let reply_to = reader.destination()?;
    let original_destination = reader.destination()?;
    let correlation_id = reader.optional_string()?;
    let message_type = reader.optional_string()?;
    let group_id = reader.optional_string()?;
    let user_id = reader.optional_string()?;
    let properties = Properties::decode(reader.block()?).map_err(|_| Malformed("message: properties"))?;
    let body = Body {
        kind,
        bytes: reader.block()?,
    };
    reader.end("message: bytes left over")?;
    Ok(Message {
        id,
        destination,
        timestamp,
        expiration,
        priority,
        persistent,
        correlation_id,
        reply_to,
        message_type,
        group_id,
        group_sequence,
        user_id,
        original_destination,
        properties,
        body,
    })
}

fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn length_u32(length: usize) -> u32 {
    u32::try_from(length).expect("a record is bounded by transaction_bytes_max, far below 4 GiB")
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    put_u32(out, length_u32(count));
}

/// Header texts are bounded by the wire (64 KiB of headers in all); a longer one could not have come in.
fn put_string(out: &mut Vec<u8>, text: Option<&str>) {
    let Some(text) = text else {
        return out.extend_from_slice(&NO_STRING.to_le_bytes());
    };
    let text = &text[..text.floor_char_boundary(usize::from(NO_STRING) - 1)];
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn put_block(out: &mut Vec<u8>, block: &[u8]) {
    put_count(out, block.len());
    out.extend_from_slice(block);
}

fn put_destination(out: &mut Vec<u8>, destination: Option<&Destination>) {
    let Some(destination) = destination else {
        return out.push(0);
    };
    out.push(match destination.kind {
        Kind::Queue => 1,
        Kind::Topic => 2,
        Kind::TemporaryQueue => 3,
        Kind::TemporaryTopic => 4,
    });
    put_string(out, Some(&destination.name));
}

fn put_waiting(out: &mut Vec<u8>, waiting: &Waiting) {
    put_u32(out, waiting.object.0);
    put_count(out, waiting.numbers.len());
    waiting.numbers.iter().for_each(|number| put_u64(out, number.0));
}

/// Takes fields off the front of some bytes.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a Bytes,
    at: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    pub fn new(bytes: &'a Bytes) -> Reader<'a> {
        Reader { bytes, at: 0 }
    }

    /// Refuses bytes that nothing has read.
    pub fn end(&self, what: &'static str) -> Result<(), Malformed> {
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err(Malformed(what))
        }
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let taken = self.bytes[self.at..]
            .get(..count)
            .ok_or(Malformed("record: cut short"))?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let taken = self.take(N)?;
        Ok(taken.try_into().expect("`take` gives as many as asked"))
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    /// Two bytes.
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// One byte, 0 or 1.
    pub fn boolean(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed("record: a flag is neither 0 nor 1")),
        }
    }

    /// A string that must be there.
    pub fn string(&mut self) -> Result<Arc<str>, Malformed> {
        self.optional_string()?.ok_or(Malformed("record: a text is missing"))
    }

    /// A string that may be absent.
    pub fn optional_string(&mut self) -> Result<Option<Arc<str>>, Malformed> {
        let length = self.u16()?;
        if length == NO_STRING {
            return Ok(None);
        }
        let text =
            std::str::from_utf8(self.take(length.into())?).map_err(|_| Malformed("record: a text is not UTF-8"))?;
        Ok(Some(text.into()))
    }

    /// A block; it shares the reader's bytes.
    pub fn block(&mut self) -> Result<Bytes, Malformed> {
        let length = self.u32()? as usize;
        let from = self.at;
        self.take(length)?;
        Ok(self.bytes.slice(from..from + length))
    }

    /// A list whose items take at least `item_bytes_min` bytes each.
    pub fn list<T>(
        &mut self,
        item_bytes_min: usize,
        mut item: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let count = self.u32()? as usize;
        if count > (self.bytes.len() - self.at) / item_bytes_min.max(1) {
            return Err(Malformed("record: a count is larger than what follows"));
        }
        (0..count).map(|_| item(self)).collect()
    }

    /// A destination that may be absent. Names are taken as they are: what was once accepted stays readable.
    pub fn destination(&mut self) -> Result<Option<Destination>, Malformed> {
        let kind = match self.u8()? {
            0 => return Ok(None),
            1 => Kind::Queue,
            2 => Kind::Topic,
            3 => Kind::TemporaryQueue,
            4 => Kind::TemporaryTopic,
            _ => return Err(Malformed("record: unknown kind of destination")),
        };
        Ok(Some(Destination {
            kind,
            name: self.string()?,
        }))
    }

    /// An object's id.
    pub fn object(&mut self) -> Result<ObjectId, Malformed> {
        self.u32().map(ObjectId)
    }

    /// A message's number.
    pub fn number(&mut self) -> Result<MessageNumber, Malformed> {
        self.u64().map(MessageNumber)
    }

    fn waiting(&mut self) -> Result<Waiting, Malformed> {
        Ok(Waiting {
            object: self.object()?,
            numbers: self.list(8, Reader::number)?,
        })
    }

    fn sent(&mut self, messages: &mut Vec<(u32, u32)>) -> Result<Sent, Malformed> {
        let destination = self.object()?;
        let number = self.number()?;
        let targets = self.list(4, Reader::object)?;
        let duplicate_id = self.optional_string()?;
        let time = self.u64()?;
        let skip = length_u32(self.at + 4);
        let block = self.block()?;
        messages.push((skip, length_u32(block.len())));
        Ok(Sent {
            destination,
            number,
            targets,
            duplicate_id,
            time,
            message: Arc::new(decode_message(&block)?),
        })
    }
}

#[cfg(test)]
mod tests;
