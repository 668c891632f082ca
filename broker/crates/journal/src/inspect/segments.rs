//! The files of segments as such: which there are, how long each is, and what their roots announced.

use std::collections::BTreeMap;

use message::Epoch;
use platform::{BLOCK_BYTES, Class, DiskError, DiskErrorKind, Files, Open};
use record::{Nonce, SegmentNumber};

use super::{Inspection, Row, Rows, listed};
use crate::format::{BatchHeader, Seed};
use crate::names;
use crate::stream::FileStream;

/// Every segment that exists, with its length.
pub(super) struct Segments {
    lengths: BTreeMap<(Epoch, SegmentNumber), u64>,
    /// Names that no broker makes.
    foreign: Vec<String>,
}

impl Segments {
    pub(super) async fn list(files: &Files) -> Result<Segments, DiskError> {
        let mut segments = Segments {
            lengths: BTreeMap::new(),
            foreign: Vec::new(),
        };
        for name in listed(files, names::JOURNAL).await? {
            let Some((epoch, number)) = names::segment_of(&name) else {
                segments.foreign.push(format!("{}/{name}", names::JOURNAL));
                continue;
            };
            match files
                .open(&names::segment(epoch, number), Class::Segment, Open::Read)
                .await
            {
                Ok((file, length)) => {
                    files.close(file).await?;
                    segments.lengths.insert((epoch, number), length);
                }
                // A running broker has deleted it since.
                Err(error) if error.kind == DiskErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(segments)
    }

    pub(super) fn length(&self, epoch: Epoch, number: SegmentNumber) -> Option<u64> {
        self.lengths.get(&(epoch, number)).copied()
    }

    /// The lowest number that exists.
    pub(super) fn lowest(&self) -> Option<SegmentNumber> {
        self.lengths.keys().map(|(_, number)| *number).min()
    }

    /// An epoch's segments, by rising number.
    pub(super) fn of(&self, epoch: Epoch) -> Vec<SegmentNumber> {
        let owned = self.lengths.keys().filter(|(owner, _)| *owner == epoch);
        owned.map(|(_, number)| *number).collect()
    }

    /// Tells of the files that nothing explains.
    pub(super) fn foreign(&self, nonces: &BTreeMap<Epoch, Nonce>, rows: &mut Rows<'_>) {
        let unexplained = self.lengths.keys().filter(|(epoch, _)| !nonces.contains_key(epoch));
        let unexplained = unexplained.map(|(epoch, number)| names::segment(*epoch, *number));
        for file in unexplained.chain(self.foreign.iter().cloned()) {
            rows.row(Row::Foreign { file });
        }
    }

    /// A batch of the newest leader in a segment that its root does not announce: the root is older than the log.
    pub(super) async fn announced_before_written(
        &self,
        files: &Files,
        inspection: &Inspection,
        rows: &mut Rows<'_>,
    ) -> Result<(), DiskError> {
        let Some(newest) = inspection.announced.values().next_back() else {
            return Ok(());
        };
        for number in self.of(newest.epoch).into_iter().filter(|number| *number > newest.last) {
            let path = names::segment(newest.epoch, number);
            let Some(mut stream) = FileStream::open(files, path.clone(), Class::Segment, 0).await? else {
                continue;
            };
            let block = stream.get(0, BLOCK_BYTES).await;
            stream.close().await?;
            let written = BatchHeader::read(&block?.unwrap_or_default(), Seed::of(newest.nonce))
                .is_ok_and(|header| (header.epoch, header.segment, header.offset) == (newest.epoch, number, 0));
            if written {
                let what = format!(
                    "a batch of epoch {} lies here, and its root announces segments up to {}: a segment is announced before it is written, so the claim of epoch {} is older than the log",
                    newest.epoch, newest.last.0, newest.epoch
                );
                rows.damage(path, 0, what);
            }
        }
        Ok(())
    }

    /// Announced segments that were cut off: all of one epoch are made with the same length, and whole. Where the walk has told of it already, nothing is added.
    pub(super) fn cut(&self, inspection: &Inspection, rows: &mut Rows<'_>) {
        for owner in inspection.announced.values() {
            let announced = || {
                let range = (owner.epoch, owner.first)..=(owner.epoch, owner.last);
                (owner.first <= owner.last)
                    .then(|| self.lengths.range(range))
                    .into_iter()
                    .flatten()
            };
            let longest = announced().map(|(_, length)| *length).max().unwrap_or(0);
            for ((epoch, number), length) in announced() {
                let file = names::segment(*epoch, *number);
                if (*length > 0 && *length >= longest) || rows.damaged.contains(&file) {
                    continue;
                }
                let what = match longest {
                    0 => "the file is empty, and a segment is made with its whole length".to_string(),
                    longest => format!("the file ends here, and the epoch's other segments have {longest} bytes"),
                };
                rows.damage(file, *length, what);
            }
        }
    }
}
