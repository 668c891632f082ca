//! The durable state as a checkpoint holds it, and back.
//!
//! Layout of the catalog, little endian: version (u8) · newest record (u64) · next object id (u32) · highest message number (u64) · count of objects (u32) and for each: id (u32) · [`Definition`] · dispatched-through mark (u64) · ordinal of the
//! next piece of duplicate ids (u64) · count (u8) of priorities with pages and for each: priority (u8), ordinal of its next page (u64). Pages and duplicate ids are pieces of their own.
//! Temporary destinations and messages that are not persistent are in none of it. Proved by `tests/engine/recovery.rs`.

use std::sync::Arc;

use bytes::{BufMut, Bytes};
use message::{MessageNumber, Sequence};
use record::{Definition, Image, Malformed, ObjectId, Piece, PieceContent, PieceKey, PieceReference, Reader};

use crate::apply::FIRST_TEMPORARY;
use crate::engine::Engine;
use crate::queue::{Queue, Role};

const VERSION: u8 = 1;

impl Engine {
    /// The durable state as it is right after the newest record: what changed is shared until it changes again.
    pub fn image(&mut self) -> Image {
        Image {
            through: self.newest,
            catalog: self.catalog(),
            pieces: self.pieces(),
        }
    }

    fn catalog(&self) -> Bytes {
        let mut out = Vec::new();
        out.put_u8(VERSION);
        out.put_u64_le(self.newest.0);
        out.put_u32_le(self.next_object);
        out.put_u64_le(self.highest.0);
        let queues = self.queues.values().filter(|queue| queue.is_recorded());
        let topics = self.topics.iter().filter(|(_, topic)| topic.owner.is_none());
        let count = queues.clone().count() + topics.clone().count();
        out.put_u32_le(u32::try_from(count).expect("object ids are 32 bits wide"));
        for (id, topic) in topics {
            out.put_u32_le(id.0);
            Definition::Topic {
                name: Arc::clone(&topic.destination.name),
            }
            .encode(&mut out);
            out.put_u64_le(0);
            out.put_u64_le(topic.duplicates.next_ordinal());
            out.put_u8(0);
        }
        for queue in queues {
            out.put_u32_le(queue.id.0);
            definition(queue).encode(&mut out);
            out.put_u64_le(queue.mark.through.0);
            out.put_u64_le(queue.duplicates.next_ordinal());
            let ordinals: Vec<(u8, u64)> = queue.backlog.ordinals().collect();
            out.put_u8(ordinals.len() as u8);
            for (priority, next) in ordinals {
                out.put_u8(priority);
                out.put_u64_le(next);
            }
        }
        out.into()
    }

    fn pieces(&mut self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for (object, topic) in self.topics.iter_mut().filter(|(_, topic)| topic.owner.is_none()) {
            pieces.extend(topic.duplicates.image().map(|(ordinal, stored, content)| Piece {
                key: PieceKey::Duplicates {
                    object: *object,
                    ordinal,
                },
                stored,
                content: PieceContent::Duplicates(content),
            }));
        }
        for (object, queue) in self.queues.iter_mut().filter(|(_, queue)| queue.is_recorded()) {
            pieces.extend(queue.duplicates.image().map(|(ordinal, stored, content)| Piece {
                key: PieceKey::Duplicates {
                    object: *object,
                    ordinal,
                },
                stored,
                content: PieceContent::Duplicates(content),
            }));
            for (priority, lane) in queue.backlog.lanes_mut() {
                pieces.extend(lane.image().map(|(ordinal, stored, page)| Piece {
                    key: PieceKey::Page {
                        object: *object,
                        priority,
                        ordinal,
                    },
                    stored,
                    content: PieceContent::Page(page),
                }));
            }
        }
        pieces
    }

    /// Pieces of the newest image lie there now; those that have not changed since need not be written again.
    pub fn stored(&mut self, stored: &[(PieceKey, PieceReference)]) {
        for (key, reference) in stored {
            match key {
                PieceKey::Page {
                    object,
                    priority,
                    ordinal,
                } => {
                    if let Some(queue) = self.queues.get_mut(object) {
                        queue.backlog.stored(*priority, *ordinal, reference.clone());
                    }
                }
                PieceKey::Duplicates { object, ordinal } => {
                    if let Some(queue) = self.queues.get_mut(object) {
                        queue.duplicates.stored(*ordinal, reference.clone());
                    } else if let Some(topic) = self.topics.get_mut(object) {
                        topic.duplicates.stored(*ordinal, reference.clone());
                    }
                }
            }
        }
    }

    /// Takes the state of a checkpoint; once, before the first record is replayed.
    ///
    /// Fails if catalog and pieces are not what [`Engine::image`] makes.
    pub fn restore(
        &mut self,
        catalog: &Bytes,
        mut pieces: Vec<(PieceKey, PieceReference, PieceContent)>,
    ) -> Result<(), Malformed> {
        let mut reader = Reader::new(catalog);
        if reader.u8()? != VERSION {
            return Err(Malformed("catalog: unknown version"));
        }
        self.newest = Sequence(reader.u64()?);
        let next_object = reader.u32()?;
        self.highest = recordable(reader.number()?)?;
        let objects = reader.list(24, |reader| {
            let id = reader.object()?;
            let definition = Definition::decode(reader)?;
            let mark = reader.number()?;
            let duplicates = reader.u64()?;
            let ordinals: Result<Vec<_>, Malformed> =
                (0..reader.u8()?).map(|_| Ok((reader.u8()?, reader.u64()?))).collect();
            Ok((id, definition, mark, duplicates, ordinals?))
        })?;
        reader.end("catalog: bytes left over")?;
        let mut next_ordinals = Vec::with_capacity(objects.len());
        for (id, definition, mark, duplicates, ordinals) in objects {
            if id.0 >= next_object || id.0 >= FIRST_TEMPORARY || self.has_object(id) {
                return Err(Malformed("catalog: an object's id"));
            }
            self.define(id, &definition, Sequence::NONE).map_err(Malformed)?;
            if let Some(queue) = self.queues.get_mut(&id) {
                queue.mark.through = mark;
            }
            next_ordinals.push((id, duplicates, ordinals));
        }
        self.next_object = next_object;
        pieces.sort_by_key(|(key, _, _)| *key);
        for (key, reference, content) in pieces {
            self.restore_piece(key, reference, content)?;
        }
        for (id, duplicates, ordinals) in next_ordinals {
            if let Some(topic) = self.topics.get_mut(&id) {
                topic.duplicates.skip_ordinals(duplicates);
            } else if let Some(queue) = self.queues.get_mut(&id) {
                queue.duplicates.skip_ordinals(duplicates);
                for (priority, next) in ordinals {
                    queue.backlog.skip_ordinals(priority, next);
                }
            }
        }
        Ok(())
    }

    fn has_object(&self, id: ObjectId) -> bool {
        self.queues.contains_key(&id) || self.topics.contains_key(&id)
    }

    fn restore_piece(
        &mut self,
        key: PieceKey,
        reference: PieceReference,
        content: PieceContent,
    ) -> Result<(), Malformed> {
        match (key, content) {
            (
                PieceKey::Page {
                    object,
                    priority,
                    ordinal,
                },
                PieceContent::Page(page),
            ) => {
                let queue = self
                    .queues
                    .get_mut(&object)
                    .ok_or(Malformed("page: of an unknown object"))?;
                let last = page.entries.last().map_or(MessageNumber(0), |entry| entry.number);
                self.highest = self.highest.max(recordable(last)?);
                queue
                    .backlog
                    .restore(priority, ordinal, page, reference)
                    .map_err(Malformed)
            }
            (PieceKey::Duplicates { object, ordinal }, PieceContent::Duplicates(ids)) => {
                let duplicates = match self.queues.get_mut(&object) {
                    Some(queue) => &mut queue.duplicates,
                    None => {
                        let topic = self.topics.get_mut(&object);
                        &mut topic
                            .ok_or(Malformed("duplicate ids: of an unknown object"))?
                            .duplicates
                    }
                };
                duplicates.restore(ordinal, ids, reference).map_err(Malformed)
            }
            (PieceKey::Page { .. }, PieceContent::Duplicates(_))
            | (PieceKey::Duplicates { .. }, PieceContent::Page(_)) => {
                Err(Malformed("checkpoint: a piece is not what its name says"))
            }
        }
    }
}

/// Refuses a number behind which there may be none for the messages to come.
fn recordable(number: MessageNumber) -> Result<MessageNumber, Malformed> {
    match number <= MessageNumber::RECORDED_MAX {
        true => Ok(number),
        false => Err(Malformed("checkpoint: a message's number that no epoch gives")),
    }
}

fn definition(queue: &Queue) -> Definition {
    match &queue.role {
        Role::Queue(destination) | Role::Temporary(destination, _) => Definition::Queue {
            name: Arc::clone(&destination.name),
        },
        Role::Durable(durable) => Definition::Durable {
            client_id: Arc::clone(&durable.client_id),
            name: Arc::clone(&durable.name),
            destinations: durable.destinations.clone(),
            selector: durable.selector.as_deref().map(|selector| selector.text().into()),
            no_local: durable.no_local,
        },
    }
}
