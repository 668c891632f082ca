//! The cells of a claim and their bytes.
//!
//! | cell | written by | says |
//! |---|---|---|
//! | identity | the owner, once, before the link | who claims |
//! | fence | successors only | open, or fenced by which epoch |
//! | root A, root B | the owner | what counts of the history |
//! | heartbeat | the owner | that it lives, and how far it has confirmed |
//! | goodbye | whoever knows that the owner is gone | that nobody need wait for it |

use bytes::Bytes;
use message::Epoch;
use platform::{BLOCK_BYTES, Blocks, ProcessIdentity};
use record::{BatchPosition, Fence, Leadership, Malformed, Nonce, Reader, SegmentNumber};

use crate::cell::{self, CellState};

/// The version of everything on disk that this build writes.
pub const FORMAT_VERSION: u32 = 1;

/// The six cells, in the order of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Who claims.
    Identity,
    /// Open, or fenced.
    Fence,
    /// The first of two copies of the root.
    RootA,
    /// The second.
    RootB,
    /// The owner's pulse.
    Heartbeat,
    /// The owner is gone.
    Goodbye,
}

impl Cell {
    /// All, in the order of the file.
    pub const ALL: [Cell; 6] = [
        Cell::Identity,
        Cell::Fence,
        Cell::RootA,
        Cell::RootB,
        Cell::Heartbeat,
        Cell::Goodbye,
    ];

    /// Its place in the file, in bytes.
    pub const fn offset(self) -> u64 {
        self as u64 * BLOCK_BYTES as u64
    }

    /// Its kind byte. Both roots share one: either can stand in for the other.
    pub(crate) const fn kind(self) -> u8 {
        match self {
            Cell::Identity => 1,
            Cell::Fence => 2,
            Cell::RootA | Cell::RootB => 3,
            Cell::Heartbeat => 4,
            Cell::Goodbye => 5,
        }
    }
}

/// Length of a claim, in bytes.
pub const CLAIM_BYTES: u64 = Cell::ALL.len() as u64 * BLOCK_BYTES as u64;

/// Where the fence cell lies, for the commit loop's compound operation.
pub const FENCE_OFFSET: u64 = Cell::Fence.offset();

/// Where a broker can be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// For clients, each with its scheme: `stomp://127.0.0.1:61613`.
    pub clients: Vec<String>,
    /// For people and probes: `127.0.0.1:8161`; empty if there is none.
    pub admin: String,
    /// For standbys; empty if there is none.
    pub stream: String,
}

/// Who claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What makes the claim unique. Secret: it seeds the checksums of batches.
    pub nonce: Nonce,
    /// The process.
    pub process: ProcessIdentity,
    /// Where it can be reached.
    pub addresses: Addresses,
    /// Its version, for people.
    pub version: String,
}

impl Identity {
    /// The cell; fails if host and addresses do not fit into 4 KiB.
    pub fn encode(&self) -> Result<Blocks, Malformed> {
        let mut body = Vec::new();
        put_text(&mut body, &self.process.host);
        put_text(&mut body, &self.process.boot_id);
        body.extend_from_slice(&self.process.pid_namespace.to_le_bytes());
        body.extend_from_slice(&self.process.pid.to_le_bytes());
        body.extend_from_slice(&self.process.start_time.to_le_bytes());
        body.extend_from_slice(&(self.addresses.clients.len() as u32).to_le_bytes());
        self.addresses
            .clients
            .iter()
            .for_each(|address| put_text(&mut body, address));
        put_text(&mut body, &self.addresses.admin);
        put_text(&mut body, &self.addresses.stream);
        put_text(&mut body, &self.version);
        cell::encode(Cell::Identity.kind(), self.nonce, &body)
    }

    /// Reads the cell.
    pub fn decode(block: &Bytes) -> CellState<Identity> {
        cell::decode(block, Cell::Identity.kind(), None, |nonce, reader| {
            Ok(Identity {
                nonce,
                process: ProcessIdentity {
                    host: take_text(reader)?,
                    boot_id: take_text(reader)?,
                    pid_namespace: reader.u64()?,
                    pid: reader.u32()?,
                    start_time: reader.u64()?,
                },
                addresses: Addresses {
                    clients: reader.list(2, take_text)?,
                    admin: take_text(reader)?,
                    stream: take_text(reader)?,
                },
                version: take_text(reader)?,
            })
        })
    }
}

/// The fence cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FenceCell(pub Fence);

impl FenceCell {
    /// The cell, for the claim with this nonce.
    pub fn encode(self, nonce: Nonce) -> Blocks {
        let by = match self.0 {
            Fence::Open => 0,
            Fence::Fenced { by } => by.0,
        };
        cell::encode(Cell::Fence.kind(), nonce, &by.to_le_bytes()).expect("four bytes fit into a cell")
    }

    /// Reads the cell. A blank or damaged one counts as fenced, by an epoch unknown (0).
    pub fn decode(block: &Bytes, nonce: Nonce) -> Fence {
        match cell::decode(block, Cell::Fence.kind(), Some(nonce), |_, reader| reader.u32()) {
            CellState::Valid(0) => Fence::Open,
            CellState::Valid(by) => Fence::Fenced { by: Epoch(by) },
            CellState::Blank | CellState::Bad => Fence::Fenced { by: Epoch(0) },
        }
    }
}

/// The owner's pulse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heartbeat {
    /// Rises with every beat.
    pub counter: u64,
    /// Bytes of the history read so far: progress before the seal.
    pub recovered_bytes: u64,
    /// The newest batch of this epoch whose own fence read returned open before this beat was issued.
    pub confirmed: Option<BatchPosition>,
}

impl Heartbeat {
    /// The cell.
    pub fn encode(&self, nonce: Nonce) -> Blocks {
        let mut body = Vec::new();
        body.extend_from_slice(&self.counter.to_le_bytes());
        body.extend_from_slice(&self.recovered_bytes.to_le_bytes());
        body.push(u8::from(self.confirmed.is_some()));
        let position = self.confirmed.unwrap_or_default();
        body.extend_from_slice(&position.segment.0.to_le_bytes());
        body.extend_from_slice(&position.offset.to_le_bytes());
        body.extend_from_slice(&position.batch.to_le_bytes());
        body.extend_from_slice(&position.checksum.to_le_bytes());
        cell::encode(Cell::Heartbeat.kind(), nonce, &body).expect("37 bytes fit into a cell")
    }

    /// Reads the cell.
    pub fn decode(block: &Bytes, nonce: Nonce) -> CellState<Heartbeat> {
        cell::decode(block, Cell::Heartbeat.kind(), Some(nonce), |_, reader| {
            let (counter, recovered_bytes, present) = (reader.u64()?, reader.u64()?, reader.boolean()?);
            let position = BatchPosition {
                segment: SegmentNumber(reader.u32()?),
                offset: reader.u32()?,
                batch: reader.u64()?,
                checksum: reader.u32()?,
            };
            Ok(Heartbeat {
                counter,
                recovered_bytes,
                confirmed: present.then_some(position),
            })
        })
    }
}

/// Why nobody need wait for the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoodbyeReason {
    /// It stopped in good order.
    Stopped,
    /// It handed leadership over.
    HandedOver,
    /// Somebody proved that its process is dead.
    ProvedDead,
}

/// The goodbye cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goodbye(pub GoodbyeReason);

impl Goodbye {
    /// The cell.
    pub fn encode(self, nonce: Nonce) -> Blocks {
        let reason = match self.0 {
            GoodbyeReason::Stopped => 1,
            GoodbyeReason::HandedOver => 2,
            GoodbyeReason::ProvedDead => 3,
        };
        cell::encode(Cell::Goodbye.kind(), nonce, &[reason]).expect("one byte fits into a cell")
    }

    /// Reads the cell. A damaged one counts as not written.
    pub fn decode(block: &Bytes, nonce: Nonce) -> Option<Goodbye> {
        let read = cell::decode(block, Cell::Goodbye.kind(), Some(nonce), |_, reader| {
            match reader.u8()? {
                1 => Ok(GoodbyeReason::Stopped),
                2 => Ok(GoodbyeReason::HandedOver),
                3 => Ok(GoodbyeReason::ProvedDead),
                _ => Err(Malformed("goodbye: unknown reason")),
            }
        });
        read.valid().map(Goodbye)
    }
}

/// One claim as far as it could be read.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Its epoch.
    pub epoch: Epoch,
    /// Who claims; `None` if that cell is damaged.
    pub identity: Option<Identity>,
}

/// An own claim: what the commit loop asks whether it still leads.
#[derive(Clone, Copy, Debug)]
pub struct Reign {
    /// The own epoch.
    pub epoch: Epoch,
    /// The own nonce.
    pub nonce: Nonce,
    /// Whether leadership was given up.
    resigned: bool,
}

impl Reign {
    /// A claim that leads, as far as its fence says.
    pub fn new(epoch: Epoch, nonce: Nonce) -> Reign {
        Reign {
            epoch,
            nonce,
            resigned: false,
        }
    }
}

impl Leadership for Reign {
    fn epoch(&self) -> Option<Epoch> {
        (!self.resigned).then_some(self.epoch)
    }

    fn confirm(&self, fence_cell: &[u8]) -> Fence {
        if self.resigned {
            return Fence::Fenced { by: self.epoch };
        }
        FenceCell::decode(&Bytes::copy_from_slice(fence_cell), self.nonce)
    }

    fn resign(&mut self) {
        self.resigned = true;
    }
}

fn put_text(body: &mut Vec<u8>, text: &str) {
    let text = &text[..text.floor_char_boundary(1024)];
    body.extend_from_slice(&(text.len() as u16).to_le_bytes());
    body.extend_from_slice(text.as_bytes());
}

fn take_text(reader: &mut Reader<'_>) -> Result<String, Malformed> {
    reader.string().map(|text| text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: Nonce = Nonce([3; 16]);

    fn bytes(blocks: &Blocks) -> Bytes {
        Bytes::copy_from_slice(blocks)
    }

    #[test]
    fn an_identity_comes_back_as_it_was_written() {
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
        assert_eq!(
            Identity::decode(&bytes(&identity.encode().expect("fits"))),
            CellState::Valid(identity)
        );
    }

    #[test]
    fn a_damaged_or_blank_fence_counts_as_fenced() {
        let open = FenceCell(Fence::Open).encode(NONCE);
        assert_eq!(FenceCell::decode(&bytes(&open), NONCE), Fence::Open);
        let fenced = FenceCell(Fence::Fenced { by: Epoch(9) }).encode(NONCE);
        assert_eq!(
            FenceCell::decode(&bytes(&fenced), NONCE),
            Fence::Fenced { by: Epoch(9) }
        );
        let mut torn = open.to_vec();
        torn[4000] ^= 1;
        for bad in [torn, vec![0; BLOCK_BYTES], vec![1; 10]] {
            assert_eq!(FenceCell::decode(&bad.into(), NONCE), Fence::Fenced { by: Epoch(0) });
        }
        assert_eq!(
            FenceCell::decode(&bytes(&open), Nonce([4; 16])),
            Fence::Fenced { by: Epoch(0) }
        );
    }

    #[test]
    fn a_resigned_reign_confirms_nothing() {
        let mut reign = Reign::new(Epoch(5), NONCE);
        let open = FenceCell(Fence::Open).encode(NONCE);
        assert_eq!(reign.confirm(&open), Fence::Open);
        reign.resign();
        assert_eq!(reign.confirm(&open), Fence::Fenced { by: Epoch(5) });
        assert_eq!(reign.epoch(), None);
    }

    #[test]
    fn heartbeat_and_goodbye_come_back_and_damage_means_none() {
        let position = BatchPosition {
            segment: SegmentNumber(2),
            offset: 8192,
            batch: 77,
            checksum: 5,
        };
        for confirmed in [None, Some(position)] {
            let beat = Heartbeat {
                counter: 4,
                recovered_bytes: 6,
                confirmed,
            };
            assert_eq!(
                Heartbeat::decode(&bytes(&beat.encode(NONCE)), NONCE),
                CellState::Valid(beat)
            );
        }
        for reason in [
            GoodbyeReason::Stopped,
            GoodbyeReason::HandedOver,
            GoodbyeReason::ProvedDead,
        ] {
            let mut block = Goodbye(reason).encode(NONCE).to_vec();
            assert_eq!(Goodbye::decode(&block.clone().into(), NONCE), Some(Goodbye(reason)));
            block[30] ^= 1;
            assert_eq!(Goodbye::decode(&block.into(), NONCE), None);
        }
    }
}
