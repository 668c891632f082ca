//! The claims of a data directory: who claimed, who led, and what the newest leader says counts.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use journal::inspect::Inspection;
use journal::{Damage, SegmentOwner};
use leadership::{CLAIM_BYTES, Cell, CellState, FenceCell, Goodbye, Heartbeat, Identity, Root, RootState, names};
use message::Epoch;
use platform::{BLOCK_BYTES, Class, DiskError, DiskErrorKind, Files, Open};
use record::Fence;
use serde_json::{Value, json};

/// A cell that reads as bad is read this often before it counts as bad.
const BAD_CELL_READS: u32 = 3;

/// … so far apart.
const BAD_CELL_INTERVAL: Duration = Duration::from_millis(100);

/// Everything that the claims say.
#[derive(Clone, Debug)]
pub(super) struct Claims {
    /// Each claim, by rising epoch.
    pub(super) claims: Vec<Claim>,
    /// What the journal needs to know to judge what it finds.
    pub(super) inspection: Inspection,
    /// What is damaged in the claims themselves.
    pub(super) damages: Vec<Damage>,
}

/// One claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    epoch: Epoch,
    identity: Option<Identity>,
    fence: Option<Fence>,
    root: RootState,
    said_goodbye: bool,
}

impl PartialEq for Claims {
    /// Whether nobody led, sealed or named a checkpoint between two readings; heartbeats do not count.
    fn eq(&self, other: &Claims) -> bool {
        self.claims == other.claims
    }
}

/// Reads all claims.
pub(super) async fn read(files: Files) -> Result<Claims, DiskError> {
    let mut found = Claims {
        claims: Vec::new(),
        inspection: Inspection::default(),
        damages: Vec::new(),
    };
    // Files first, then claims: a claim is there before the first file of its epoch.
    let segments = listed(&files, names::JOURNAL).await?;
    let checkpoints = listed(&files, names::CHECKPOINTS).await?;
    let owners = |names: &[String]| -> Vec<Epoch> { names.iter().filter_map(|name| names::owner_of(name)).collect() };
    let (segments, checkpoints) = (owners(&segments), owners(&checkpoints));
    let owned = segments.iter().chain(&checkpoints).max().copied();
    let claims = listed(&files, names::EPOCHS).await?;
    let epochs: BTreeSet<Epoch> = claims.iter().filter_map(|name| names::epoch_of(name)).collect();
    let Some(highest) = epochs.last().copied().max(owned) else {
        return Ok(found);
    };
    for epoch in (1..=highest.0).map(Epoch) {
        if !epochs.contains(&epoch) {
            found.damages.push(Damage {
                file: names::claim(epoch),
                offset: 0,
                what:
                    "the claim does not exist, and a later claim or a file of its epoch does: claims are never removed"
                        .to_string(),
            });
            continue;
        }
        let before = (found.damages.len(), found.inspection.clone());
        for attempt in 1..=BAD_CELL_READS {
            one(&files, epoch, &mut found).await?;
            if found.damages.len() == before.0 || attempt == BAD_CELL_READS {
                break;
            }
            // It may have been read while it was written.
            std::thread::park_timeout(BAD_CELL_INTERVAL);
            found.damages.truncate(before.0);
            found.inspection = before.1.clone();
            found.claims.retain(|claim| claim.epoch != epoch);
        }
    }
    found.exchanged();
    found.unsealed(&segments, &checkpoints);
    if found.inspection.announced.is_empty() && exists(&files, names::FORMAT).await? {
        found.damages.push(Damage {
            file: names::FORMAT.to_string(),
            offset: 0,
            what: "it says that a leader has served here, and no claim is sealed".to_string(),
        });
    }
    Ok(found)
}

async fn listed(files: &Files, directory: &str) -> Result<Vec<String>, DiskError> {
    match files.list(directory).await {
        Err(error) if error.kind == DiskErrorKind::NotFound => Ok(Vec::new()),
        listed => listed,
    }
}

async fn exists(files: &Files, path: &str) -> Result<bool, DiskError> {
    match files.open(path, Class::Plain, Open::Read).await {
        Ok((file, _)) => files.close(file).await.map(|()| true),
        Err(error) if error.kind == DiskErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

async fn one(files: &Files, epoch: Epoch, found: &mut Claims) -> Result<(), DiskError> {
    let path = names::claim(epoch);
    let (file, length) = files.open(&path, Class::Cell, Open::Read).await?;
    let bytes = files.read(file, 0, CLAIM_BYTES as usize).await?;
    files.close(file).await?;
    let mut damage = |cell: Cell, what: &str| {
        found.damages.push(Damage {
            file: path.clone(),
            offset: cell.offset(),
            what: what.to_string(),
        });
    };
    if length != CLAIM_BYTES || bytes.len() as u64 != CLAIM_BYTES {
        damage(
            Cell::Identity,
            &format!("the claim is {length} bytes long, not {CLAIM_BYTES}"),
        );
        return Ok(());
    }
    let block = |cell: Cell| -> Bytes {
        let start = cell.offset() as usize;
        bytes.slice(start..start + BLOCK_BYTES)
    };
    let identity = Identity::decode(&block(Cell::Identity)).valid();
    let mut nonce = identity.as_ref().map(|identity| identity.nonce);
    let (a, b) = (
        Root::decode(&block(Cell::RootA), nonce),
        Root::decode(&block(Cell::RootB), nonce),
    );
    // A bad and B blank: the first write of the root was under way, and nothing was ever said in its name.
    let never_in_force = a == CellState::Bad && b == CellState::Blank;
    for (cell, state) in [(Cell::RootA, &a), (Cell::RootB, &b)] {
        if *state == CellState::Bad && !never_in_force {
            damage(cell, "this copy of the root cannot be read");
        }
    }
    let root = Root::read(a, b);
    if let RootState::Sealed { root, .. } = &root {
        nonce = Some(root.nonce);
    }
    if identity.is_none() {
        damage(Cell::Identity, "the identity cannot be read");
    }
    let mut fence = None;
    let mut said_goodbye = false;
    if let Some(nonce) = nonce {
        fence = Some(FenceCell::decode(&block(Cell::Fence), nonce));
        if fence == Some(Fence::Fenced { by: Epoch(0) }) {
            damage(Cell::Fence, "the fence cannot be read, and counts as fenced");
        }
        said_goodbye = Goodbye::decode(&block(Cell::Goodbye), nonce).is_some();
        found.inspection.claims.insert(epoch, nonce);
    }
    if let (RootState::NeverSealed, Some(nonce)) = (&root, nonce) {
        let beat = Heartbeat::decode(&block(Cell::Heartbeat), nonce).valid();
        if beat.is_some_and(|beat| beat.confirmed.is_some()) {
            damage(
                Cell::RootA,
                "no root is in force, and the heartbeat says that something was confirmed",
            );
        }
    }
    if let (RootState::Sealed { root, .. }, Some(nonce)) = (&root, nonce) {
        // Epochs rise: the last one that sealed says what counts.
        found.inspection.sealed = root.sealed.clone();
        found.inspection.named = root.checkpoints;
        let announced = SegmentOwner {
            epoch,
            nonce,
            first: root.first_segment,
            last: root.highest_segment,
        };
        found.inspection.announced.insert(epoch, announced);
        let beat = Heartbeat::decode(&block(Cell::Heartbeat), nonce);
        if beat == CellState::Bad {
            damage(
                Cell::Heartbeat,
                "the heartbeat cannot be read: nothing shows how far was confirmed",
            );
        }
        let confirmed = beat.valid().and_then(|beat| beat.confirmed);
        found.inspection.confirmed = confirmed.map(|confirmed| (epoch, confirmed));
    }
    found.claims.push(Claim {
        epoch,
        identity,
        fence,
        root,
        said_goodbye,
    });
    Ok(())
}

impl Claim {
    fn state(&self) -> &'static str {
        match &self.root {
            RootState::NeverSealed => "never led",
            RootState::Sealed { .. } => "led",
            RootState::Damaged => "DAMAGED",
        }
    }

    fn fence(&self) -> String {
        match self.fence {
            Some(Fence::Open) => "open".to_string(),
            Some(Fence::Fenced { by: Epoch(0) }) => "fenced (damaged)".to_string(),
            Some(Fence::Fenced { by }) => format!("fenced by {by}"),
            None => "unknown".to_string(),
        }
    }
}

impl Claims {
    /// Claims that do not belong where they lie: nothing in a claim says its epoch, and other things tell.
    fn exchanged(&mut self) {
        let mut damage = |epoch: Epoch, cell: Cell, what: String| {
            self.damages.push(Damage {
                file: names::claim(epoch),
                offset: cell.offset(),
                what,
            });
        };
        for claim in &self.claims {
            if let Some(Fence::Fenced { by }) = claim.fence
                && by != Epoch(0)
                && by <= claim.epoch
            {
                let what = format!(
                    "the claim was fenced by epoch {by}, and only a later epoch does that: it is another epoch's claim"
                );
                damage(claim.epoch, Cell::Fence, what);
            }
        }
        for seal in &self.inspection.sealed {
            let nonce = self.inspection.claims.get(&seal.epoch);
            if nonce.is_some_and(|nonce| *nonce != seal.nonce) {
                let what = "the epoch was sealed with another nonce than this: it is another epoch's claim".to_string();
                damage(seal.epoch, Cell::Identity, what);
            }
        }
    }

    /// Claims that are not sealed, and whose epoch has more than one segment, or a checkpoint: only a leader makes them. `segments`, `checkpoints`: whose each file is.
    fn unsealed(&mut self, segments: &[Epoch], checkpoints: &[Epoch]) {
        for claim in self.claims.iter().filter(|claim| claim.root == RootState::NeverSealed) {
            let made = segments.iter().filter(|owner| **owner == claim.epoch).count();
            if made > 1 || checkpoints.contains(&claim.epoch) {
                self.damages.push(Damage {
                    file: names::claim(claim.epoch),
                    offset: Cell::RootA.offset(),
                    what: "no root is in force, and there are files of this epoch that only a leader makes".to_string(),
                });
            }
        }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = String::from("Claims\n");
        // Writing to a String cannot fail.
        for claim in &self.claims {
            let who = claim.identity.as_ref().map_or_else(
                || "identity unreadable".to_string(),
                |identity| format!("process {} on {}", identity.process.pid, identity.process.host),
            );
            let goodbye = if claim.said_goodbye { ", said goodbye" } else { "" };
            let _ = writeln!(
                text,
                "  epoch {:<6} {:<9}  {}, {who}{goodbye}",
                claim.epoch,
                claim.state(),
                claim.fence()
            );
        }
        for damage in &self.damages {
            let _ = writeln!(text, "  DAMAGE  {damage}");
        }
        let inspection = &self.inspection;
        if !inspection.sealed.is_empty() {
            text.push_str("What counts of earlier epochs\n");
        }
        for seal in &inspection.sealed {
            let _ = writeln!(
                text,
                "  epoch {:<6} segments {} to {}, the last up to byte {}, batch {}",
                seal.epoch, seal.first.0, seal.last.0, seal.length, seal.batch
            );
        }
        if let Some((epoch, position)) = inspection.confirmed {
            let _ = writeln!(
                text,
                "Confirmed, as far as epoch {epoch}'s heartbeat says: batch {} (segment {}, byte {})",
                position.batch, position.segment.0, position.offset
            );
        }
        text.push('\n');
        text
    }

    /// For programs: one object for each claim and seal.
    pub(super) fn json(&self) -> Vec<Value> {
        let claims = self.claims.iter().map(|claim| {
            let identity = claim.identity.as_ref();
            json!({
                "row": "claim",
                "epoch": claim.epoch.0,
                "state": claim.state(),
                "fence": claim.fence(),
                "host": identity.map(|identity| identity.process.host.as_str()),
                "pid": identity.map(|identity| identity.process.pid),
                "clients": identity.map(|identity| identity.addresses.clients.as_slice()),
                "admin": identity.map(|identity| identity.addresses.admin.as_str()),
                "said_goodbye": claim.said_goodbye,
            })
        });
        let seals = self.inspection.sealed.iter().map(|seal| {
            json!({
                "row": "seal",
                "epoch": seal.epoch.0,
                "first_segment": seal.first.0,
                "last_segment": seal.last.0,
                "last_segment_bytes": seal.length,
                "batch": seal.batch,
            })
        });
        let damages = self
            .damages
            .iter()
            .map(|damage| json!({ "row": "damage", "damage": super::rows::damage_json(damage) }));
        claims.chain(seals).chain(damages).collect()
    }
}
