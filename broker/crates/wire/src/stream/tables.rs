//! The layout of each frame, as docs/stream.md shows it.

use super::Field;
use super::frame::Kind;

const LENGTH: Field = Field::new("length", 0, 4, "bytes behind this field");
const PROTOCOL: Field = Field::new("protocol", 5, 1, "1");

const fn kind(meaning: &'static str) -> Field {
    Field::new("kind", 4, 1, meaning)
}

const fn epoch(offset: usize) -> Field {
    Field::new("epoch", offset, 4, "the epoch whose segment the position lies in")
}

const fn segment(offset: usize) -> Field {
    Field::new("segment", offset, 4, "the segment's number")
}

const fn offset(offset: usize) -> Field {
    Field::new("offset", offset, 4, "bytes from the segment's start")
}

const fn batch(offset: usize) -> Field {
    Field::new(
        "batch",
        offset,
        8,
        "the number of the batch that begins there: at least 1, below 2^64 − 1",
    )
}

const fn previous(offset: usize) -> Field {
    Field::new(
        "previous checksum",
        offset,
        4,
        "the checksum of the batch before it, 0 before the first of all",
    )
}

/// The layout of each kind of frame.
pub const TABLES: &[(Kind, &[Field])] = &[
    (
        Kind::Hello,
        &[
            LENGTH,
            kind("1"),
            PROTOCOL,
            Field::new("member", 6, 16, "the follower's nonce as a member"),
            Field::new(
                "lowest format",
                22,
                4,
                "the lowest version of the data format that it reads and writes",
            ),
            Field::new("highest format", 26, 4, "the highest"),
            epoch(30),
            segment(34),
            offset(38),
            batch(42),
            previous(50),
            Field::new("host", 54, 0, "its host, for people: UTF-8, at most 255 bytes"),
        ],
    ),
    (
        Kind::Applied,
        &[
            LENGTH,
            kind("2"),
            Field::new(
                "applied",
                5,
                8,
                "the last batch that the follower's engine has applied; 0: none",
            ),
        ],
    ),
    (
        Kind::Welcome,
        &[
            LENGTH,
            kind("16"),
            PROTOCOL,
            Field::new("leader's epoch", 6, 4, "the epoch that leads"),
            Field::new("nonce", 10, 16, "the nonce of its claim"),
            Field::new("format version", 26, 4, "the version of the data format in force"),
        ],
    ),
    (
        Kind::Batch,
        &[
            LENGTH,
            kind("17"),
            epoch(5),
            segment(9),
            offset(13),
            batch(17),
            previous(25),
            Field::new(
                "bytes",
                29,
                0,
                "the batch, exactly as on disk: at least 1 byte, at most 16 MiB",
            ),
        ],
    ),
    (
        Kind::Confirmed,
        &[
            LENGTH,
            kind("18"),
            epoch(5),
            segment(9),
            offset(13),
            batch(17),
            previous(25),
        ],
    ),
    (
        Kind::Gap,
        &[
            LENGTH,
            kind("19"),
            epoch(5),
            segment(9),
            offset(13),
            batch(17),
            previous(25),
        ],
    ),
    (
        Kind::Final,
        &[
            LENGTH,
            kind("20"),
            epoch(5),
            segment(9),
            offset(13),
            batch(17),
            previous(25),
        ],
    ),
    (
        Kind::Sealed,
        &[
            LENGTH,
            kind("32"),
            PROTOCOL,
            Field::new("sealed epoch", 6, 4, "the epoch that was sealed"),
            Field::new("nonce", 10, 16, "the nonce of its claim"),
        ],
    ),
    (
        Kind::Refused,
        &[
            LENGTH,
            kind("33"),
            PROTOCOL,
            Field::new("reason", 6, 2, "see below"),
            Field::new("text", 8, 0, "for people: UTF-8, at most 1024 bytes"),
        ],
    ),
];
