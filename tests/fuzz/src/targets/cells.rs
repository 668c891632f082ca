//! The cells of a claim, as they are and with every checksum right; and pairs of roots.
//!
//! A cell that is read is written as a cell that says the same; a fence that cannot be read is closed; a change anywhere in a sealed cell is noticed.

use bytes::Bytes;
use leadership::{Addresses, CellState, FenceCell, Goodbye, GoodbyeReason, Heartbeat, Identity, Root, RootState, cell};
use message::Epoch;
use platform::{BLOCK_BYTES, ProcessIdentity};
use record::{BatchPosition, CheckpointName, EpochSeal, Fence, SegmentNumber};

use super::NONCE;
use crate::input::Input;

/// Which cell; whether it is sealed; a change to the sealed cell; then the body, or the cell's first bytes.
pub fn run(input: &[u8]) {
    let mut input = Input::new(input);
    let kind = 1 + input.below(5) as u8;
    let (is_sealed, change) = (input.flag(), input.byte());
    let change_at = usize::from(input.byte()) * 16 + usize::from(change >> 4);
    let rest = input.rest();
    if !is_sealed {
        let mut block = vec![0; BLOCK_BYTES];
        let length = rest.len().min(BLOCK_BYTES);
        block[..length].copy_from_slice(&rest[..length]);
        // Its own, or one of any length.
        decode(kind, &block.into());
        decode(kind, &Bytes::copy_from_slice(rest));
        return;
    }
    let Ok(block) = cell::encode(kind, NONCE, rest) else {
        return;
    };
    let mut block = block.to_vec();
    let whole = Bytes::from(block.clone());
    decode(kind, &whole);
    if change & 15 != 0 {
        block[change_at] ^= change & 15;
        let changed = Bytes::from(block);
        assert_eq!(FenceCell::decode(&changed, NONCE), Fence::Fenced { by: Epoch(0) });
        assert_eq!(Identity::decode(&changed), CellState::Bad);
        assert_eq!(Root::decode(&changed, None), CellState::Bad);
        assert_eq!(Heartbeat::decode(&changed, NONCE), CellState::Bad);
        assert_eq!(Goodbye::decode(&changed, NONCE), None);
        let pair = Root::read(Root::decode(&whole, Some(NONCE)), Root::decode(&changed, Some(NONCE)));
        if let RootState::Sealed { one_bad, .. } = pair {
            assert!(one_bad, "damage to one of two roots is warned of");
        }
    }
}

fn decode(kind: u8, block: &Bytes) {
    match kind {
        1 => {
            if let CellState::Valid(identity) = Identity::decode(block) {
                let mut longest = identity.addresses.clients.iter().map(String::len).collect::<Vec<_>>();
                longest.extend([
                    identity.process.host.len(),
                    identity.process.boot_id.len(),
                    identity.version.len(),
                ]);
                longest.extend([identity.addresses.admin.len(), identity.addresses.stream.len()]);
                // A text beyond 1 KiB is cut when it is written.
                if longest.into_iter().all(|length| length <= 1024) {
                    same(&identity.encode().expect("it was in a cell"), block);
                }
            }
        }
        2 => {
            let fence = FenceCell::decode(block, NONCE);
            if fence != (Fence::Fenced { by: Epoch(0) }) {
                same(&FenceCell(fence).encode(NONCE), block);
            }
        }
        3 => {
            let a = Root::decode(block, Some(NONCE));
            if let CellState::Valid(root) = &a {
                match root.encode() {
                    Ok(written) => {
                        let again = Root::decode(&Bytes::copy_from_slice(&written), Some(NONCE));
                        assert_eq!(again, a);
                    }
                    Err(_) => assert!(root.sealed.len() > leadership::SEALED_MAX),
                }
            }
            let is_valid = matches!(a, CellState::Valid(_));
            let pair = Root::read(a.clone(), a);
            assert_eq!(is_valid, matches!(pair, RootState::Sealed { one_bad: false, .. }));
        }
        4 => {
            if let CellState::Valid(beat) = Heartbeat::decode(block, NONCE) {
                let again = Heartbeat::decode(&Bytes::copy_from_slice(&beat.encode(NONCE)), NONCE);
                assert_eq!(again, CellState::Valid(beat));
            }
        }
        _ => {
            if let Some(goodbye) = Goodbye::decode(block, NONCE) {
                same(&goodbye.encode(NONCE), block);
            }
        }
    }
}

fn same(written: &[u8], block: &Bytes) {
    // Behind the body a cell is zeros, and what is read may hold something there: its checksum is right all the same.
    let body_end = 26 + usize::from(u16::from_le_bytes([block[24], block[25]]));
    assert_eq!(
        written[..body_end],
        block[..body_end],
        "a cell is written as other bytes"
    );
}

/// Inputs to begin with: each cell, sealed and as it is.
pub fn seeds() -> Vec<Vec<u8>> {
    let identity = Identity {
        nonce: NONCE,
        process: ProcessIdentity {
            host: "a".into(),
            boot_id: "b".into(),
            pid_namespace: 1,
            pid: 2,
            start_time: 3,
        },
        addresses: Addresses {
            clients: vec!["stomp://127.0.0.1:61613".into()],
            admin: "127.0.0.1:8161".into(),
            stream: String::new(),
        },
        version: "0.1.0".into(),
    };
    let position = BatchPosition {
        segment: SegmentNumber(2),
        offset: 8192,
        batch: 77,
        checksum: 5,
    };
    let root = Root {
        nonce: NONCE,
        update: 5,
        format_version: 1,
        first_segment: SegmentNumber(8),
        highest_segment: SegmentNumber(12),
        checkpoints: [
            Some(CheckpointName {
                epoch: Epoch(3),
                number: 1,
            }),
            None,
        ],
        sealed: vec![EpochSeal {
            epoch: Epoch(1),
            nonce: NONCE,
            first: SegmentNumber(1),
            last: SegmentNumber(2),
            length: 4096,
            batch: 9,
            checksum: 77,
        }],
    };
    let heartbeat = Heartbeat {
        counter: 4,
        recovered_bytes: 6,
        confirmed: Some(position),
    };
    let cells = [
        identity.encode().expect("it fits"),
        FenceCell(Fence::Open).encode(NONCE),
        FenceCell(Fence::Fenced { by: Epoch(9) }).encode(NONCE),
        root.encode().expect("it fits"),
        heartbeat.encode(NONCE),
        Goodbye(GoodbyeReason::HandedOver).encode(NONCE),
    ];
    let mut seeds = Vec::new();
    for block in cells {
        let body_end = 26 + usize::from(u16::from_le_bytes([block[24], block[25]]));
        let kind = block[7] - 1;
        seeds.push([&[kind, 1, 0x13, 1], &block[26..body_end]].concat());
        seeds.push([&[kind, 0, 0, 0], &block[..body_end]].concat());
    }
    seeds
}
