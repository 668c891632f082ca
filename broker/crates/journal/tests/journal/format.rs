//! The bytes on disk: golden files of this version, read by the code and by a small decoder of the test's own; and the document that shows them.
#![allow(
    clippy::disallowed_methods,
    reason = "golden files and the document are read and, when asked, written"
)]

use std::path::{Path, PathBuf};

use journal::checkpoint::{INDEX_FIELDS, PIECES_FIELDS};
use journal::format::{BATCH_FIELDS, CHUNK_FIELDS, markdown_table};
use journal::names;
use message::{Epoch, MessageNumber};
use record::{Definition, ObjectId, Record, Waiting};

use crate::checkpoints::{duplicates, name, page, write};
use crate::rig::{Rig, SMALL, assert_prefix, nonce, recovered};

/// One small journal whose every byte is determined.
fn golden_rig() -> Rig {
    let mut rig = Rig::new(SMALL);
    rig.append(Record::Created {
        object: ObjectId(1),
        definition: Definition::Queue { name: "Q".into() },
    });
    let small = rig.append_message(5);
    rig.settle().expect("nobody fences this epoch");
    let long = rig.append_message(10_000);
    rig.append(Record::Acknowledged(Waiting {
        object: ObjectId(1),
        numbers: vec![MessageNumber(1001)],
    }));
    rig.settle().expect("nobody fences this epoch");
    rig.machine.pass(journal::EMPTY_BATCH_AFTER);
    rig.settle().expect("nobody fences this epoch");
    write(&rig, name(1, 1), vec![page(1, &[small, long]), duplicates(1)], None);
    rig
}

fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file)
}

/// Golden file and the file in the data directory that it is a copy of.
fn files() -> [(&'static str, String); 3] {
    [
        ("version-1.segment", names::segment(Epoch(1), record::SegmentNumber(1))),
        ("version-1.checkpoint", names::checkpoint(name(1, 1))),
        ("version-1.pieces", names::pieces(name(1, 1))),
    ]
}

#[test]
fn the_golden_files_are_what_this_build_writes_and_it_reads_them() {
    let rig = golden_rig();
    let disk = rig.machine.disk.copy();
    for (file, path) in files() {
        let written = rig.machine.disk.get(&path);
        if std::env::var_os("HOLDFAST_WRITE_GOLDEN").is_some() {
            std::fs::write(golden(file), &written).expect("the golden file can be written");
        }
        let kept = std::fs::read(golden(file)).expect("the golden file is in the repository");
        assert!(
            kept == written,
            "{file}: this build writes other bytes; a changed format needs a new version byte and a new golden file"
        );
        disk.put(&path, kept);
    }
    let (_, collected) =
        recovered(&disk, rig.plan(rig.journal.confirmed_position())).expect("the golden segment is whole");
    assert_eq!(collected.records.len(), 4);
    assert_prefix(&collected, &rig.appended);
    let plan = journal::RecoveryPlan {
        checkpoints: [Some(name(1, 1)), None],
        ..rig.plan(None)
    };
    let (found, collected) = recovered(&disk, plan).expect("the golden checkpoint is whole");
    assert_eq!(
        (collected.pieces.len(), collected.records.len(), found.next_sequence.0),
        (2, 0, 5)
    );
}

/// CRC-32 (IEEE), bit by bit: shares nothing with the code.
fn crc(parts: &[&[u8]]) -> u32 {
    let mut crc = !0u32;
    for byte in parts.concat() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xedb8_8320
            } else {
                crc >> 1
            };
        }
    }
    !crc
}

fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    bytes[at..at + length]
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[test]
fn a_decoder_written_from_the_document_alone_reads_the_golden_segment() {
    let segment = std::fs::read(golden("version-1.segment")).expect("the golden file is in the repository");
    let nonce = nonce(1).0;
    let (mut at, mut expected, mut previous, mut records) = (0, 1, 0, Vec::<Vec<u8>>::new());
    let mut unfinished: Option<Vec<u8>> = None;
    let mut next_sequence = 1;
    while at < segment.len() && segment[at..at + 4] == *b"HFBT" {
        let batch = &segment[at..];
        assert_eq!(batch[4], 1, "version");
        let payload = number(batch, 28, 4) as usize;
        let extent = (72 + payload).div_ceil(4096) * 4096;
        let batch = &batch[..extent];
        let header = crc(&[&nonce, &batch[..8], &[0; 8], &batch[16..72]]);
        assert_eq!(u64::from(header), number(batch, 12, 4), "header checksum");
        let whole = crc(&[&nonce, &batch[..8], &[0; 4], &batch[12..]]);
        assert_eq!(u64::from(whole), number(batch, 8, 4), "checksum");
        let fields = [
            (16, 4, 1),
            (20, 4, 1),
            (24, 4, at as u64),
            (32, 8, expected),
            (64, 4, previous),
        ];
        for (offset, bytes, value) in fields {
            assert_eq!(
                number(batch, offset, bytes),
                value,
                "batch {expected}, field at {offset}"
            );
        }
        assert_eq!(number(batch, 40, 8), next_sequence, "first sequence");
        assert!(number(batch, 56, 8) < expected, "confirmed through");
        assert_eq!(batch[5] & 2 != 0, payload == 0, "without records");
        let mut inside = 72;
        while inside < 72 + payload {
            let length = number(batch, inside, 4) as usize;
            let flags = batch[inside + 8];
            let bytes = &batch[inside + 12..inside + 12 + length];
            let place = ((at + inside) as u32).to_le_bytes();
            let checksum = crc(&[
                &nonce,
                &1u32.to_le_bytes(),
                &place,
                &(length as u32).to_le_bytes(),
                &[flags],
                bytes,
            ]);
            assert_eq!(u64::from(checksum), number(batch, inside + 4, 4), "chunk's checksum");
            if flags & 1 != 0 {
                next_sequence += 1;
                assert!(unfinished.is_none());
                unfinished = Some(Vec::new());
            }
            let record = unfinished.as_mut().expect("a record goes on that began");
            record.extend_from_slice(bytes);
            if flags & 2 != 0 {
                records.extend(unfinished.take());
            }
            inside += 12 + length;
        }
        previous = number(batch, 8, 4);
        expected += 1;
        if batch[5] & 1 != 0 {
            break;
        }
        at += extent;
    }
    let tags: Vec<_> = records.iter().map(|record| record[0]).collect();
    assert_eq!(tags, [1, 3, 3, 4], "created, sent, sent, acknowledged");
    assert_eq!(records[2].len(), 10_000 + records[1].len() - 5);
    assert_eq!(expected, 5, "four batches, the last of them empty");
}

#[test]
fn a_decoder_written_from_the_document_alone_reads_the_golden_checkpoint() {
    let index = std::fs::read(golden("version-1.checkpoint")).expect("the golden file is in the repository");
    let pieces = std::fs::read(golden("version-1.pieces")).expect("the golden file is in the repository");
    assert_eq!((&index[..4], index[4]), (&b"HFCX"[..], 1));
    assert_eq!(
        u64::from(crc(&[&index[..8], &[0; 4], &index[12..]])),
        number(&index, 8, 4)
    );
    let [owners, files, count] = [20, 72, 76].map(|at| number(&index, at, 4) as usize);
    let catalog = number(&index, 80, 8) as usize;
    assert_eq!((owners, files, count), (1, 1, 2));
    let mut at = 88 + owners * 28 + files * 16;
    assert_eq!(&index[index.len() - catalog..], b"the catalog");
    assert_eq!((&pieces[..4], pieces[4]), (&b"HFPC"[..], 1));
    let mut entries = 0;
    for _ in 0..count {
        let row = &index[at..];
        let (offset, length) = (number(row, 22, 8) as usize, number(row, 30, 4) as usize);
        let piece = &pieces[offset..offset + length];
        assert_eq!(u64::from(crc(&[piece])), number(row, 34, 4));
        entries += number(piece, 0, 4);
        let ranges = &row[40..40 + number(row, 38, 2) as usize];
        if row[0] == 1 {
            // One segment lies before the range, which is segment 1; none follows it.
            assert_eq!(ranges, [1, 0]);
            let (begins, ends) = (number(piece, 4 + 8, 4), number(piece, 4 + 16, 4));
            assert_eq!((begins, ends), (1, 1), "the segments of the first message");
            assert_eq!(piece.len(), 4 + 2 * 40);
        } else {
            assert_eq!(ranges, [0; 0]);
        }
        at += 40 + ranges.len();
    }
    assert_eq!(index.len(), at + catalog);
    assert_eq!(entries, 4, "two waiting messages, two duplicate ids");
}

#[test]
fn the_document_shows_the_tables_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/journal-format.md");
    let mut document = std::fs::read_to_string(&path).expect("docs/journal-format.md is in the repository");
    let tables = [
        ("batch", BATCH_FIELDS),
        ("chunk", CHUNK_FIELDS),
        ("checkpoint index", INDEX_FIELDS),
        ("file of pieces", PIECES_FIELDS),
    ];
    let before = document.clone();
    for (name, fields) in tables {
        let (begin, end) = (format!("<!-- table: {name} -->\n"), format!("<!-- end: {name} -->"));
        let from = document.find(&begin).unwrap_or_else(|| panic!("{begin} is missing")) + begin.len();
        let to = document.find(&end).unwrap_or_else(|| panic!("{end} is missing"));
        document.replace_range(from..to, &markdown_table(fields));
    }
    if document != before && std::env::var_os("HOLDFAST_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, &document).expect("the document can be written");
    }
    assert!(
        document == before,
        "docs/journal-format.md does not show the tables of the code; run this test with HOLDFAST_WRITE_GOLDEN=1"
    );
}

#[test]
fn the_document_lists_every_kind_of_record_with_its_tag() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/journal-format.md");
    let document = std::fs::read_to_string(&path).expect("docs/journal-format.md is in the repository");
    let rows = document.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let tag: u8 = cells.next()?.parse().ok()?;
        Some((tag, cells.next()?))
    });
    let section = rows
        .filter(|(_, name)| name.starts_with('*'))
        .map(|(tag, name)| (tag, name.trim_matches('*').to_owned()));
    let listed: Vec<_> = section.collect();
    let waiting = || Waiting {
        object: ObjectId(1),
        numbers: Vec::new(),
    };
    let Record::Sent(sent) = crate::rig::sent(1, 1) else {
        unreachable!("it makes a send")
    };
    let (object, number) = (ObjectId(1), MessageNumber(1));
    let kinds = [
        (
            "created",
            Record::Created {
                object,
                definition: Definition::Queue { name: "Q".into() },
            },
        ),
        ("deleted", Record::Deleted { object }),
        ("sent", Record::Sent(sent.clone())),
        ("acknowledged", Record::Acknowledged(waiting())),
        ("expired", Record::Expired(waiting())),
        ("moved", Record::Moved { object, number, sent }),
        (
            "redelivered",
            Record::Redelivered {
                object,
                counts: Vec::new(),
            },
        ),
        (
            "purged",
            Record::Purged {
                object,
                through: number,
            },
        ),
        (
            "dispatched",
            Record::Dispatched {
                object,
                through: number,
            },
        ),
        (
            "committed",
            Record::Committed {
                sent: Vec::new(),
                acknowledged: Vec::new(),
            },
        ),
        ("set aside", Record::SetAside { object, number }),
    ];
    let tagged = |(name, record): &(&str, Record)| {
        let mut bytes = Vec::new();
        record.encode(&mut bytes, &mut Vec::new());
        (bytes[0], (*name).to_owned())
    };
    assert_eq!(listed, kinds.iter().map(tagged).collect::<Vec<_>>());
}
