//! What the named checkpoints, the seals and the newest root refer to: segments by name, messages that wait byte for byte.

use std::collections::BTreeMap;

use platform::{DiskError, DiskErrorKind, Files};
use record::{CheckpointName, PieceContent, Place, SegmentNumber, SegmentSet};

use super::segments::Segments;
use super::{Inspection, MISSING_NAMED_MAX, Row, Rows};
use crate::reading::{Damaged, ReadError, read_message};
use crate::{CheckpointError, Damage, Loaded, Owners, SegmentOwner, names, read_checkpoint};

/// Everything that is referred to.
pub(super) struct References {
    /// Whose every segment is that anything refers to.
    pub(super) owners: Owners,
    /// From here on, every segment is needed: replay starts nowhere before. Without a checkpoint it starts at the beginning.
    from: SegmentNumber,
    /// Before that: what the named checkpoints refer to. Others may be gone, wherever they lie.
    referred: SegmentSet,
    /// Of the named checkpoints.
    rows: Vec<Row>,
    /// In each file the first message that cannot be read, and how many there are.
    unreadable: BTreeMap<String, (Damage, u64)>,
}

impl References {
    pub(super) async fn read(
        files: &Files,
        inspection: &Inspection,
        segments: &Segments,
    ) -> Result<References, DiskError> {
        let mut found = References {
            owners: Owners::new(),
            from: SegmentNumber(0),
            referred: SegmentSet::default(),
            rows: Vec::new(),
            unreadable: BTreeMap::new(),
        };
        let mut from: Option<SegmentNumber> = None;
        let mut places = Vec::new();
        // The older first: what the newer says of the same epoch is newer.
        for name in inspection.named.into_iter().flatten().rev() {
            match read_checkpoint(files.clone(), name).await {
                Ok(loaded) => {
                    let start = loaded.summary.start.segment;
                    from = Some(from.map_or(start, |from| from.min(start)));
                    loaded
                        .summary
                        .segments
                        .ranges()
                        .iter()
                        .for_each(|range| found.referred.insert(*range));
                    found.checkpoint(inspection, name, &loaded);
                    places.extend(waiting(&loaded));
                }
                Err(CheckpointError::Damaged(damage)) => {
                    // Both may share the piece.
                    let row = Row::Damage(damage);
                    if !found.rows.contains(&row) {
                        found.rows.push(row);
                    }
                }
                Err(CheckpointError::Io(error)) => return Err(error),
            }
        }
        found.rows.reverse();
        if inspection.named.iter().any(Option::is_some) {
            // If none can be read, it is not known what has been deleted.
            found.from = from.or(segments.lowest()).unwrap_or_default();
        }
        inspection
            .sealed
            .iter()
            .for_each(|seal| found.owners.insert(seal.into()));
        if let Some(newest) = inspection.announced.values().next_back() {
            found.owners.insert(*newest);
        }
        found.bodies(files, segments, places).await?;
        Ok(found)
    }

    fn checkpoint(&mut self, inspection: &Inspection, name: CheckpointName, loaded: &Loaded) {
        for owner in &loaded.owners {
            let mut owner = *owner;
            if owner.epoch == name.epoch {
                // That epoch was still going on: what it had announced beyond this may never have counted.
                owner.last = owner.last.min(loaded.summary.start.segment);
            }
            self.owners.insert(owner);
            if inspection
                .claims
                .get(&owner.epoch)
                .is_some_and(|nonce| *nonce != owner.nonce)
            {
                let what = format!(
                    "the checkpoint knows epoch {} by another nonce than its claim has: that claim did not write the epoch's segments",
                    owner.epoch
                );
                self.rows
                    .push(Row::Damage(Damage::new(names::checkpoint(name), 0, what)));
            }
        }
        self.rows.push(Row::Checkpoint {
            summary: loaded.summary.clone(),
            pieces: loaded.pieces.len(),
        });
    }

    /// Reads every message that a checkpoint says is waiting, by rising place.
    async fn bodies(&mut self, files: &Files, segments: &Segments, mut places: Vec<Place>) -> Result<(), DiskError> {
        let order = |place: &Place| (place.record.segment, place.record.offset, place.skip, place.length);
        places.sort_by_key(order);
        places.dedup();
        for place in places {
            let (segment, offset) = (place.record.segment, u64::from(place.record.offset));
            let Some(owner) = self.owners.of(segment).copied() else {
                let damaged = Damage::new(
                    names::unknown_segment(segment),
                    offset,
                    "nothing says which epoch wrote this segment",
                );
                self.unreadable(damaged);
                continue;
            };
            let file = names::segment(owner.epoch, segment);
            let Some(length) = segments.length(owner.epoch, segment) else {
                self.unreadable(Damage::new(file, offset, "the segment does not exist"));
                continue;
            };
            if offset >= length {
                self.unreadable(Damage::new(file, offset, format!("the file ends at {length}")));
                continue;
            }
            match read_message(files, &self.owners, place).await {
                Ok(_) => {}
                Err(ReadError::Damaged(Damaged { file, offset, what, .. })) => {
                    self.unreadable(Damage::new(file, offset, what))
                }
                Err(ReadError::Io(error)) if error.kind == DiskErrorKind::NotFound => {
                    let mut numbers = (segment.0..=owner.last.0).map(SegmentNumber);
                    let missing = numbers.find(|number| segments.length(owner.epoch, *number).is_none());
                    // If all were listed, a running broker has deleted one since.
                    let file = names::segment(owner.epoch, missing.unwrap_or(segment));
                    self.unreadable(Damage::new(file, 0, "it goes on in this segment, which does not exist"));
                }
                Err(ReadError::Io(error)) => return Err(error),
            }
        }
        Ok(())
    }

    fn unreadable(&mut self, damage: Damage) {
        let (_, count) = self.unreadable.entry(damage.file.clone()).or_insert((damage, 0));
        *count += 1;
    }

    /// Whether a start may read a segment.
    pub(super) fn needs(&self, number: SegmentNumber) -> bool {
        number >= self.from || self.referred.contains(number)
    }

    /// The segments of an owner that a start may read: counted from range to range, for an owner may claim billions.
    fn needed_of(&self, owner: &SegmentOwner) -> impl Iterator<Item = SegmentNumber> {
        let (first, last, from) = (owner.first.0, owner.last.0, self.from.0);
        let referred = self.referred.ranges().iter();
        let referred = referred.flat_map(move |range| range.first.0.max(first)..=range.last.0.min(last));
        let behind = first.max(from)..=last;
        let before = referred.take_while(move |number| *number < from);
        before.chain(behind).map(SegmentNumber)
    }

    /// Tells of every segment that something needs and that does not exist.
    pub(super) fn missing(&self, inspection: &Inspection, segments: &Segments, rows: &mut Rows<'_>) {
        let newest = inspection.announced.keys().next_back();
        for owner in self.owners.iter() {
            let seal = inspection.sealed.iter().find(|seal| seal.epoch == owner.epoch);
            let mut told = 0;
            for number in self.needed_of(owner) {
                if segments.length(owner.epoch, number).is_some() {
                    continue;
                }
                told += 1;
                if told > MISSING_NAMED_MAX {
                    let what = format!(
                        "this segment and others up to number {} do not exist: too many to name each",
                        owner.last.0
                    );
                    rows.damage(names::segment(owner.epoch, number), 0, what);
                    break;
                }
                let what = match seal {
                    _ if newest == Some(&owner.epoch) => {
                        "the epoch's root announced this segment, and the file does not exist".to_string()
                    }
                    Some(seal) => format!(
                        "the epoch is sealed up to batch {}, and this segment does not exist",
                        seal.batch
                    ),
                    None => "a named checkpoint refers to this segment, and it does not exist".to_string(),
                };
                rows.damage(names::segment(owner.epoch, number), 0, what);
            }
        }
    }

    /// Tells of the named checkpoints, and of messages in files of which nothing else was told.
    pub(super) fn tell(self, rows: &mut Rows<'_>) {
        for (file, (damage, count)) in self.unreadable {
            if rows.damaged.contains(&file) {
                continue;
            }
            let more = match count - 1 {
                0 => String::new(),
                1 => ", and one more in this file".to_string(),
                more => format!(", and {more} more in this file"),
            };
            let what = format!("a message that waits cannot be read: {}{more}", damage.what);
            rows.damage(file, damage.offset, what);
        }
        self.rows.into_iter().for_each(|row| rows.row(row));
    }
}

/// Where the messages of a checkpoint lie.
fn waiting(loaded: &Loaded) -> impl Iterator<Item = Place> {
    let pages = loaded.pieces.iter().filter_map(|(_, _, content)| match content {
        PieceContent::Page(page) => Some(page),
        PieceContent::Duplicates(_) => None,
    });
    pages.flat_map(|page| page.entries.iter().map(|entry| entry.place))
}
