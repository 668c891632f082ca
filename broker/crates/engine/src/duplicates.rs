//! The duplicate ids that one destination remembers, so that a resend is recognised.
//!
//! Those of recorded messages lie in chunks that checkpoints carry, each written once when it is full; those of other messages are remembered beside them until the process ends.
//! Invariant: what is forgotten depends on the records alone (their times and order), so a replay forgets the same. Proved by `tests/engine/recovery.rs`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use message::Sequence;
use record::{DuplicateIds, PAGE_ENTRIES_MAX, PieceReference};

use crate::settings::Settings;

#[derive(Clone, Debug)]
enum Written {
    At(PieceReference),
    Imaged,
    No,
}

#[derive(Debug)]
struct Chunk {
    ordinal: u64,
    content: Arc<DuplicateIds>,
    written: Written,
}

/// What is known of an id.
#[derive(Clone, Copy, Debug)]
struct Known {
    time: u64,
    /// The record that it came with; [`Sequence::NONE`] if that is long confirmed or there was none.
    sequence: Sequence,
}

/// The ids of one destination.
#[derive(Debug, Default)]
pub(crate) struct Duplicates {
    known: BTreeMap<Arc<str>, Known>,
    chunks: VecDeque<Chunk>,
    recorded: usize,
    next_ordinal: u64,
    volatile: VecDeque<(u64, Arc<str>)>,
}

impl Duplicates {
    /// The record that the original came with, if this id is remembered.
    pub(crate) fn find(&self, id: &str, now: u64, window: Duration) -> Option<Sequence> {
        let known = self.known.get(id)?;
        (now.saturating_sub(known.time) < milliseconds(window)).then_some(known.sequence)
    }

    /// Remembers an id that a record carries.
    pub(crate) fn remember(&mut self, id: &Arc<str>, time: u64, sequence: Sequence, settings: &Settings) {
        if settings.duplicate_ids_max == 0 {
            return;
        }
        self.known.insert(Arc::clone(id), Known { time, sequence });
        self.recorded += 1;
        let item = (time, Arc::clone(id));
        match self.chunks.back_mut() {
            Some(chunk) if chunk.content.ids.len() < PAGE_ENTRIES_MAX => {
                chunk.written = Written::No;
                Arc::make_mut(&mut chunk.content).ids.push(item);
            }
            Some(_) | None => {
                let content = Arc::new(DuplicateIds { ids: vec![item] });
                self.chunks.push_back(Chunk {
                    ordinal: self.next_ordinal,
                    content,
                    written: Written::No,
                });
                self.next_ordinal += 1;
            }
        }
        self.forget(time, settings);
    }

    /// Remembers an id of a message that is not recorded.
    pub(crate) fn remember_volatile(&mut self, id: &Arc<str>, time: u64, settings: &Settings) {
        if settings.duplicate_ids_max == 0 {
            return;
        }
        self.known.insert(
            Arc::clone(id),
            Known {
                time,
                sequence: Sequence::NONE,
            },
        );
        self.volatile.push_back((time, Arc::clone(id)));
        while self.volatile.len() > settings.duplicate_ids_max
            || self
                .volatile
                .front()
                .is_some_and(|(first, _)| is_over(*first, time, settings))
        {
            let (first, id) = self.volatile.pop_front().expect("the loop's condition saw one");
            self.drop_known(&id, first);
        }
    }

    /// Forgets whole chunks that lie beyond the window: never more than two for each id that is added.
    fn forget(&mut self, time: u64, settings: &Settings) {
        for _ in 0..2 {
            let Some(first) = self.chunks.front() else { return };
            let beyond = self.recorded - first.content.ids.len() >= settings.duplicate_ids_max
                || first
                    .content
                    .ids
                    .last()
                    .is_some_and(|(last, _)| is_over(*last, time, settings));
            if !beyond || self.chunks.len() == 1 {
                return;
            }
            let chunk = self.chunks.pop_front().expect("it was just looked at");
            self.recorded -= chunk.content.ids.len();
            for (time, id) in &chunk.content.ids {
                self.drop_known(id, *time);
            }
        }
    }

    fn drop_known(&mut self, id: &Arc<str>, time: u64) {
        // Seen again after its time: the newer one stays.
        if self.known.get(id).is_some_and(|known| known.time == time) {
            self.known.remove(id);
        }
    }

    /// The chunks for an image.
    pub(crate) fn image(&mut self) -> impl Iterator<Item = (u64, Option<PieceReference>, Arc<DuplicateIds>)> {
        self.chunks.iter_mut().map(|chunk| {
            let stored = match &chunk.written {
                Written::At(reference) => Some(reference.clone()),
                Written::Imaged | Written::No => {
                    chunk.written = Written::Imaged;
                    None
                }
            };
            (chunk.ordinal, stored, Arc::clone(&chunk.content))
        })
    }

    /// A chunk of the newest image lies there now.
    pub(crate) fn stored(&mut self, ordinal: u64, reference: PieceReference) {
        if let Ok(at) = self.chunks.binary_search_by_key(&ordinal, |chunk| chunk.ordinal) {
            let chunk = &mut self.chunks[at];
            match chunk.written {
                Written::Imaged => chunk.written = Written::At(reference),
                Written::At(_) | Written::No => {}
            }
        }
    }

    /// Puts a chunk back; in rising order.
    pub(crate) fn restore(
        &mut self,
        ordinal: u64,
        content: Arc<DuplicateIds>,
        reference: PieceReference,
    ) -> Result<(), &'static str> {
        if ordinal < self.next_ordinal || content.ids.len() > PAGE_ENTRIES_MAX {
            return Err("duplicate ids: out of order or too many");
        }
        for (time, id) in &content.ids {
            self.known.insert(
                Arc::clone(id),
                Known {
                    time: *time,
                    sequence: Sequence::NONE,
                },
            );
        }
        self.recorded += content.ids.len();
        self.next_ordinal = ordinal + 1;
        self.chunks.push_back(Chunk {
            ordinal,
            content,
            written: Written::At(reference),
        });
        Ok(())
    }

    /// The ordinal of the next chunk.
    pub(crate) fn next_ordinal(&self) -> u64 {
        self.next_ordinal
    }

    /// Ordinals below this were used.
    pub(crate) fn skip_ordinals(&mut self, next: u64) {
        self.next_ordinal = self.next_ordinal.max(next);
    }
}

fn milliseconds(window: Duration) -> u64 {
    u64::try_from(window.as_millis()).unwrap_or(u64::MAX)
}

fn is_over(first_seen: u64, now: u64, settings: &Settings) -> bool {
    now.saturating_sub(first_seen) >= milliseconds(settings.duplicate_window)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> Arc<str> {
        format!("id-{number}").into()
    }

    #[test]
    fn at_least_the_window_and_at_most_one_chunk_more_is_remembered() {
        let settings = Settings {
            duplicate_ids_max: 5000,
            ..Settings::default()
        };
        let mut duplicates = Duplicates::default();
        for number in 0..20_000 {
            duplicates.remember(&id(number), 1, Sequence(number as u64 + 1), &settings);
        }
        assert!((5000..=5000 + PAGE_ENTRIES_MAX).contains(&duplicates.known.len()));
        assert_eq!(
            duplicates.find("id-19999", 1, settings.duplicate_window),
            Some(Sequence(20_000))
        );
        assert_eq!(
            duplicates.find("id-15000", 1, settings.duplicate_window),
            Some(Sequence(15_001))
        );
        assert_eq!(duplicates.find("id-1", 1, settings.duplicate_window), None);
    }

    #[test]
    fn an_id_is_new_again_after_the_window() {
        let settings = Settings::default();
        let mut duplicates = Duplicates::default();
        duplicates.remember(&id(1), 1000, Sequence(1), &settings);
        duplicates.remember_volatile(&id(2), 1000, &settings);
        for (now, known) in [(3_600_999, true), (3_601_000, false)] {
            for number in 1..=2 {
                assert_eq!(
                    duplicates.find(&id(number), now, settings.duplicate_window).is_some(),
                    known
                );
            }
        }
    }
}
