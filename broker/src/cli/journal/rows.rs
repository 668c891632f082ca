//! The findings of a walk, printed as they come: memory does not grow with the journal.

use journal::inspect::{Row, Standing, Totals};
use journal::{Damage, names};
use record::SegmentSet;
use serde_json::{Value, json};

use crate::admin::bytes_text;
use crate::cli::failure::Failure;
use crate::cli::output::Output;

/// Prints rows.
pub(super) struct Printer {
    output: Output,
    each_batch: bool,
    segment: Option<Segment>,
}

/// The segment that is being walked, when its batches are only counted.
struct Segment {
    file: String,
    bytes: u64,
    batches: u64,
    dead: u64,
    used_bytes: u64,
    sequences: Option<(u64, u64)>,
}

impl Printer {
    pub(super) fn new(output: Output, each_batch: bool) -> Printer {
        Printer {
            output,
            each_batch,
            segment: None,
        }
    }

    /// Prints one finding, or counts it.
    pub(super) fn row(&mut self, row: &Row) -> Result<(), Failure> {
        if self.output.json {
            return match row {
                Row::Batch { .. } if !self.each_batch => Ok(()),
                row => self.output.object_line(&row_json(row)),
            };
        }
        match row {
            Row::Segment { file, bytes, .. } => {
                self.finish()?;
                self.segment = Some(Segment {
                    file: file.clone(),
                    bytes: *bytes,
                    batches: 0,
                    dead: 0,
                    used_bytes: 0,
                    sequences: None,
                });
                match self.each_batch {
                    true => self.output.text(&format!("{file}  {}\n", bytes_text(*bytes))),
                    false => Ok(()),
                }
            }
            Row::Batch { header, standing, .. } => {
                if let Some(segment) = &mut self.segment {
                    match standing {
                        Standing::Counts => {
                            segment.batches += 1;
                            segment.used_bytes += u64::from(header.extent());
                            let first = segment.sequences.map_or(header.first_sequence.0, |(first, _)| first);
                            segment.sequences = Some((first, header.first_sequence.0));
                        }
                        Standing::Dead => segment.dead += 1,
                    }
                }
                if !self.each_batch {
                    return Ok(());
                }
                let marks = [
                    (*standing == Standing::Dead, " dead"),
                    (header.empty, " empty"),
                    (header.last_of_segment, " last"),
                ];
                let marks: String = marks.iter().filter(|(set, _)| *set).map(|(_, mark)| *mark).collect();
                self.output.text(&format!(
                    "  {:>10}  batch {}, {}, records from {}, confirmed through {}{marks}\n",
                    header.offset,
                    header.number,
                    bytes_text(header.payload.into()),
                    header.first_sequence,
                    header.confirmed_through
                ))
            }
            Row::Record {
                offset,
                sequence,
                kind,
                bytes,
                messages,
                ..
            } => {
                let with = match messages {
                    0 => String::new(),
                    1 => ", 1 message".to_string(),
                    count => format!(", {count} messages"),
                };
                self.output.text(&format!(
                    "  {offset:>10}    record {sequence}, {kind}, {}{with}\n",
                    bytes_text(*bytes)
                ))
            }
            Row::Unused {
                offset, bytes, written, ..
            } => match self.each_batch {
                true => {
                    let what = if *written { "an unfinished write" } else { "never used" };
                    self.output
                        .text(&format!("  {offset:>10}  {} {what}\n", bytes_text(*bytes)))
                }
                false => Ok(()),
            },
            Row::Checkpoint { summary, pieces } => {
                self.finish()?;
                self.output.text(&format!(
                    "{}  {pieces} pieces, up to record {}; replay starts in segment {}{}\n",
                    names::checkpoint(summary.name),
                    summary.through,
                    summary.start.segment.0,
                    referred_text(&summary.segments)
                ))
            }
            Row::Foreign { file } => {
                self.finish()?;
                self.output
                    .text(&format!("{}  belongs to no claim\n", self.output.foreign(file)))
            }
            Row::Damage(damage) => self.output.text(&format!("DAMAGE  {damage}\n")),
        }
    }

    /// Prints what was counted of the last segment.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        let Some(segment) = self.segment.take().filter(|_| !self.each_batch) else {
            return Ok(());
        };
        let sequences = match segment.sequences {
            Some((first, last)) => format!(", records from {first} to about {last}"),
            None => String::new(),
        };
        let dead = match segment.dead {
            0 => String::new(),
            count => format!(", {count} dead"),
        };
        self.output.text(&format!(
            "{}  {} of {} used, {} batches{dead}{sequences}\n",
            segment.file,
            bytes_text(segment.used_bytes),
            bytes_text(segment.bytes),
            segment.batches
        ))
    }
}

/// The segments that a checkpoint refers to; of many ranges, the first few.
fn referred_text(segments: &SegmentSet) -> String {
    const SHOWN_MAX: usize = 8;
    let ranges = segments.ranges();
    let shown: Vec<String> = ranges
        .iter()
        .take(SHOWN_MAX)
        .map(|range| match range.first == range.last {
            true => range.first.0.to_string(),
            false => format!("{}–{}", range.first.0, range.last.0),
        })
        .collect();
    match (ranges.len(), ranges.len().saturating_sub(SHOWN_MAX)) {
        (0, _) => String::new(),
        (_, 0) => format!(", messages wait in {}", shown.join(", ")),
        (_, more) => format!(", messages wait in {} and {more} more ranges", shown.join(", ")),
    }
}

fn row_json(row: &Row) -> Value {
    match row {
        Row::Segment {
            file,
            epoch,
            number,
            bytes,
        } => {
            json!({ "row": "segment", "file": file, "epoch": epoch.0, "number": number.0, "bytes": bytes })
        }
        Row::Batch { file, header, standing } => json!({
            "row": "batch",
            "file": file,
            "offset": header.offset,
            "number": header.number,
            "payload_bytes": header.payload,
            "first_sequence": header.first_sequence.0,
            "confirmed_through": header.confirmed_through,
            "engine_time": header.engine_time,
            "empty": header.empty,
            "last_of_segment": header.last_of_segment,
            "counts": *standing == Standing::Counts,
        }),
        Row::Record {
            file,
            offset,
            sequence,
            kind,
            bytes,
            messages,
        } => json!({
            "row": "record", "file": file, "offset": offset, "sequence": sequence.0, "kind": kind, "bytes": bytes, "messages": messages,
        }),
        Row::Unused {
            file,
            offset,
            bytes,
            written,
        } => {
            json!({ "row": "unused", "file": file, "offset": offset, "bytes": bytes, "written": written })
        }
        Row::Checkpoint { summary, pieces } => json!({
            "row": "checkpoint",
            "file": names::checkpoint(summary.name),
            "pieces": pieces,
            "through": summary.through.0,
            "replay_from_segment": summary.start.segment.0,
            "refers_to_segments": summary.segments.ranges().iter().map(|range| [range.first.0, range.last.0]).collect::<Vec<_>>(),
            "engine_time": summary.engine_time,
        }),
        Row::Foreign { file } => json!({ "row": "foreign", "file": file }),
        Row::Damage(damage) => json!({ "row": "damage", "damage": damage_json(damage) }),
    }
}

/// A damage for programs.
pub(super) fn damage_json(damage: &Damage) -> Value {
    json!({ "file": damage.file, "offset": damage.offset, "what": damage.what })
}

/// The totals for programs.
pub(super) fn totals_json(totals: &Totals, damages: u64) -> Value {
    json!({
        "segments": totals.segments,
        "batches": totals.batches,
        "records": totals.records,
        "checkpoints": totals.checkpoints,
        "bytes": totals.bytes,
        "damages": damages,
    })
}
