//! From a data directory to leadership: claim, fence, read, harden, seal. Every start is a new epoch.
//!
//! One future, polled by hand; docs/failover.md gives each step its reason. What it shows to the outside while it runs is [`StartProgress`]: from the link on, the node beats
//! in the claim's heartbeat cell. Deliberately absent: standing by. A node that finds a living leader ends with [`Failure::AnotherLeads`].

mod explained;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use bytes::Bytes;
use engine::Engine;
use journal::{
    CheckpointSummary, JournalStart, Predecessor, RecoveryError, RecoveryPlan, RecoverySink, Refused, UnreadPieces,
};
use leadership::{
    Addresses, CLAIM_BYTES, FENCE_OFFSET, FORMAT_VERSION, Heartbeat, Identity, Origin, Reign, Root, RootState, Silence,
    Watch, names,
};
use message::{Epoch, Sequence};
use platform::{
    BLOCK_BYTES, Blocks, BootTime, Class, DiskError, DiskErrorKind, FileId, FileSystem, Files, Open, ProcessIdentity,
    ProcessState,
};
use record::{Malformed, Nonce, PieceContent, PieceKey, PieceReference, Record, RecordPlace, SegmentNumber};

use self::explained::{Found, explains, refuse_unannounced};
use crate::claims::{self, OpenClaim};
use crate::failure::Failure;
use crate::heartbeat::read_own_fence;
use crate::settings::Settings;
use crate::{root, segments};

/// What a start says while it waits for space.
const WAITING_FOR_SPACE: &str = "waiting for space: the file system of the data directory is full";

/// What a start shows while it runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct StartProgress {
    /// In words, for people.
    pub(crate) phase: &'static str,
    /// From the link on: the own claim, in which the node must beat.
    pub(crate) claim: Option<OwnClaim>,
    /// When that link was issued: nobody can have seen the claim before.
    pub(crate) claimed_at: BootTime,
    /// Bytes of the history read so far, and of how many.
    pub(crate) recovered: (u64, u64),
    /// Worth telling the operator; taken by the node.
    pub(crate) warnings: Vec<String>,
    /// The same, but true for a while only: told once, and not kept for status.
    pub(crate) notices: Vec<String>,
}

/// The own claim.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnClaim {
    pub(crate) epoch: Epoch,
    pub(crate) file: FileId,
    pub(crate) nonce: Nonce,
}

/// What a finished start hands to the commit loop.
pub(crate) struct Started {
    pub(crate) claim: OwnClaim,
    pub(crate) reign: Reign,
    pub(crate) root: Root,
    pub(crate) journal: JournalStart,
    pub(crate) first_segment: segments::Segment,
    /// Engine time at the end of the history; milliseconds since 1970.
    pub(crate) engine_time: u64,
    /// The segments in the directory.
    pub(crate) segments: BTreeSet<(Epoch, SegmentNumber)>,
    /// What the named checkpoints refer to, newest first.
    pub(crate) named: [Option<CheckpointSummary>; 2],
    /// What the older of them has of its own, which nobody has read.
    pub(crate) unread: Option<UnreadPieces>,
    /// Records and bytes that were replayed: what the next checkpoint would spare.
    pub(crate) replayed: (u64, u64),
}

/// What a start is given.
pub(crate) struct StartContext {
    pub(crate) files: Files,
    pub(crate) settings: Settings,
    pub(crate) process: ProcessIdentity,
    pub(crate) addresses: Addresses,
    pub(crate) version: String,
    pub(crate) nonce: Nonce,
    pub(crate) progress: Rc<RefCell<StartProgress>>,
    pub(crate) engine: Rc<RefCell<Option<Engine>>>,
}

/// The newest sealed epoch and what its root says.
struct Leader {
    claim: OpenClaim,
    root: Root,
}

/// What the claims say before anybody claims.
struct Survey {
    highest: Epoch,
    leader: Option<Leader>,
    /// Claims above the leader, none of them sealed.
    younger: Vec<OpenClaim>,
}

/// Claims, recovers and seals. Ends only as the leader, or with the reason why not.
pub(crate) async fn start(context: StartContext) -> Result<Started, Failure> {
    let files = &context.files;
    prepare(&context).await?;
    let (own, survey) = claim(&context).await?;

    context.phase("fencing earlier epochs");
    let from = survey.leader.as_ref().map_or(1, |leader| leader.claim.epoch.0);
    let mut lower = Vec::new();
    for epoch in from..own.epoch.0 {
        let claim = OpenClaim::open(files, Epoch(epoch)).await?;
        claim.fence(files, own.epoch).await?;
        lower.push(claim);
    }

    // Only after every fence write returned: who came last before us?
    context.phase("reading the history");
    let mut predecessor = None;
    let mut announced = SegmentNumber(0);
    while let Some(mut claim) = lower.pop() {
        if let Some(root) = sealed_root(&context, &mut claim).await? {
            announced = root.highest_segment;
            predecessor = Some(Leader { claim, root });
            break;
        }
    }
    if let Some(leader) = &mut predecessor {
        refuse_newer_format(&leader.root)?;
        refuse_unannounced(&context, &own, leader).await?;
    }

    let plan = plan(&context, predecessor.as_ref()).await?;
    *context.engine.borrow_mut() = Some(Engine::new(context.settings.engine.clone(), own.epoch));
    let mut sealed = predecessor
        .as_ref()
        .map_or_else(Vec::new, |leader| leader.root.sealed.clone());
    let sink = Rc::new(RefCell::new(Sink {
        engine: Rc::clone(&context.engine),
        progress: Rc::clone(&context.progress),
    }));
    let recovered = match journal::recover(files.clone(), plan, sink).await {
        Ok(recovered) => recovered,
        Err(error) => return Err(refused_unless_fenced(&context, &own, error).await),
    };
    context
        .progress
        .borrow_mut()
        .warnings
        .extend(recovered.warnings.iter().map(ToString::to_string));

    context.phase("hardening the end of the history");
    if let Err(error) = journal::harden(files.clone(), &recovered.tail).await {
        return Err(refused_unless_fenced(&context, &own, error).await);
    }

    let listed = files.list(names::JOURNAL).await.map_err(Failure::Disk)?;
    let segments = listed
        .iter()
        .filter_map(|name| journal::names::segment_of(name))
        .collect();

    context.phase("sealing");
    sealed.extend(recovered.seal);
    // A checkpoint that cannot be read is no longer named: deletion must not go by it.
    let mut readable = recovered.checkpoints.into_iter().flatten();
    let named = [readable.next(), readable.next()];
    let first = SegmentNumber(announced.0 + 1);
    let segment = create_first_segment(&context, own.epoch, first).await?;
    let new_root = Root {
        nonce: own.nonce,
        update: 1,
        format_version: FORMAT_VERSION,
        first_segment: first,
        highest_segment: first,
        checkpoints: [0, 1].map(|index: usize| named[index].as_ref().map(|summary| summary.name)),
        sealed,
    };
    root::write(files, own.file, &new_root).await?;
    read_own_fence(files, own.file, own.nonce).await?;
    mark_format(&context, own.nonce).await?;
    context.phase("leading");
    Ok(Started {
        claim: own,
        reign: Reign::new(own.epoch, own.nonce),
        root: new_root,
        journal: JournalStart {
            epoch: own.epoch,
            nonce: own.nonce,
            claim: own.file,
            fence_offset: FENCE_OFFSET,
            first_segment: first,
            next_batch: recovered.next_batch,
            next_sequence: recovered.next_sequence,
            previous_checksum: recovered.previous_checksum,
            owners: recovered.owners,
        },
        first_segment: segment,
        engine_time: recovered.engine_time,
        segments,
        named,
        unread: recovered.unread,
        replayed: (recovered.records, recovered.bytes),
    })
}

/// What to do about a file system that nothing is known of.
const OTHER_DIRECTORY: &str =
    "choose a directory on a local disk; --shared-unknown leads here all the same, at your own risk";

/// Refuses what a newer build wrote.
fn refuse_newer_format(root: &Root) -> Result<(), Failure> {
    if root.format_version > FORMAT_VERSION {
        return Err(Failure::unfit(
            format!(
                "the data directory has format version {}, and this build reads up to {FORMAT_VERSION}",
                root.format_version
            ),
            "start a newer build",
        ));
    }
    Ok(())
}

/// Step 0: everything that can fail is done before anybody is fenced.
async fn prepare(context: &StartContext) -> Result<(), Failure> {
    context.phase("checking the data directory");
    let files = &context.files;
    match files.file_system() {
        FileSystem::Local => {}
        FileSystem::Nfs4 | FileSystem::Unknown(_) if context.settings.shared_unknown => {}
        FileSystem::Nfs4 => {
            return Err(Failure::unfit(
                "the data directory is on NFSv4, which this version has not been proved on",
                OTHER_DIRECTORY,
            ));
        }
        FileSystem::Unknown(name) => {
            return Err(Failure::unfit(
                format!(
                    "the data directory is on {name}, whose guarantees are not known (local: ext4, xfs, btrfs, tmpfs, overlay)"
                ),
                OTHER_DIRECTORY,
            ));
        }
    }
    for directory in [names::EPOCHS, names::JOURNAL, names::CHECKPOINTS] {
        loop {
            match files.create_directory(directory).await {
                // A directory takes a block as well.
                Err(error) if error.kind == DiskErrorKind::NoSpace => make_room(context).await?,
                created => break created.map_err(Failure::Disk)?,
            }
        }
    }
    files.sync_directory("").await.map_err(Failure::Disk)?;
    wait_for_space(context).await
}

/// Returns when there is room for a claim and the first segment, the ballast's included. Waited for before anything is claimed: a full disk is not a failure, and a start that ends for want of
/// space would leave a claim behind each time.
async fn wait_for_space(context: &StartContext) -> Result<(), Failure> {
    let files = &context.files;
    let segment_bytes = context.settings.journal.segment_bytes;
    let needed = journal::smallest_file_system_bytes(segment_bytes);
    let mut is_told = false;
    loop {
        let space = files.space().await.map_err(Failure::Disk)?;
        if journal::reservation(space.total) == journal::Reservation::SizeOnly {
            return Ok(());
        }
        if space.total < needed {
            return Err(Failure::unfit(
                format!(
                    "the file system of the data directory has {} MiB in all, and one segment takes {} MiB",
                    space.total >> 20,
                    segment_bytes >> 20
                ),
                "choose a larger one, or set `journal.segment_bytes` (--journal-segment-bytes) lower",
            ));
        }
        if space.available + segments::ballast_bytes(files).await? >= needed {
            let warning = small(space.total, segment_bytes, context.settings.ballast_bytes);
            context.progress.borrow_mut().warnings.extend(warning);
            return Ok(());
        }
        if !std::mem::replace(&mut is_told, true) {
            context.progress.borrow_mut().notices.push(format!(
                "the start and all sends wait for space: the file system of the data directory is full, and nothing is claimed before there is room for a segment of {} KiB. Free some; the start goes on by itself",
                segment_bytes >> 10
            ));
        }
        context.phase(WAITING_FOR_SPACE);
        files
            .sleep_until(files.now().boot + context.settings.poll_interval)
            .await;
    }
}

/// What a file system of this size is too small for; it can be used all the same.
fn small(total_bytes: u64, segment_bytes: u32, ballast_bytes: u64) -> Option<String> {
    let sending = journal::smallest_sending_file_system_bytes(segment_bytes, 0);
    let with_ballast = journal::smallest_sending_file_system_bytes(segment_bytes, ballast_bytes);
    let what = if total_bytes < sending {
        format!(
            "too small for segments of {} MiB, so persistent sends find no space from the beginning",
            segment_bytes >> 20
        )
    } else if total_bytes < with_ballast {
        format!(
            "too small for segments of {} MiB and a ballast of {} MiB, so no ballast is made; if the disk is full to the last byte, what consumers let go may not come back before others free some",
            segment_bytes >> 20,
            ballast_bytes >> 20
        )
    } else {
        return None;
    };
    Some(format!(
        "the file system of the data directory has {} MiB in all: {what}. Give it at least {} MiB, or set `journal.segment_bytes` (--journal-segment-bytes) lower",
        total_bytes >> 20,
        with_ballast.div_ceil(1 << 20)
    ))
}

/// Step 1: a complete claim under the number after the highest known one, while nobody who leads gives a sign of life.
async fn claim(context: &StartContext) -> Result<(OwnClaim, Survey), Failure> {
    let files = &context.files;
    let identity = Identity {
        nonce: context.nonce,
        process: context.process.clone(),
        addresses: context.addresses.clone(),
        version: context.version.clone(),
    };
    let temporary = names::temporary_claim(context.nonce);
    let file = loop {
        match write_temporary(context, &temporary, claims::compose(&identity)?).await {
            Err(Failure::Disk(error)) if error.kind == DiskErrorKind::NoSpace => {
                unlink_if_there(files, &temporary).await?;
                make_room(context).await?;
            }
            written => break written?,
        }
    };
    let claimed = link_when_silent(context, &temporary, file).await;
    let removed = unlink_if_there(files, &temporary).await;
    let claimed = claimed?;
    removed.map(|()| claimed)
}

async fn link_when_silent(
    context: &StartContext,
    temporary: &str,
    file: FileId,
) -> Result<(OwnClaim, Survey), Failure> {
    let files = &context.files;
    loop {
        context.phase("looking for a leader");
        // Files first, then claims: a claim is there before the first file of its epoch.
        let found = Found::list(files).await?;
        let survey = survey(context).await?;
        // Before anybody is waited for, and fenced.
        if let Some(leader) = &survey.leader {
            refuse_newer_format(&leader.root)?;
        }
        // Before anybody claims: a claim of ours would explain files that it did not write.
        if !explains(context, &found, &survey).await? {
            continue;
        }
        let seen = wait_for_silence(context, &survey).await?;

        context.phase("claiming");
        context.progress.borrow_mut().claimed_at = files.now().boot;
        let epoch = Epoch(survey.highest.0 + 1);
        let linked = files.link(temporary, &names::claim(epoch)).await;
        match linked {
            Ok(()) => {}
            Err(error) if error.kind == DiskErrorKind::Exists => {
                // A lost reply to our own link, or somebody was faster.
                let there = OpenClaim::open(files, epoch).await?;
                files.close(there.file).await.map_err(Failure::Disk)?;
                if there.nonce != Some(context.nonce) {
                    continue;
                }
            }
            // A name takes space as well. Nothing was linked: everything is looked at anew.
            Err(error) if error.kind == DiskErrorKind::NoSpace => {
                make_room(context).await?;
                continue;
            }
            Err(error) => return Err(Failure::Disk(error)),
        }
        files.sync_directory(names::EPOCHS).await.map_err(Failure::Disk)?;
        let own = OwnClaim {
            epoch,
            file,
            nonce: context.nonce,
        };
        context.progress.borrow_mut().claim = Some(own);

        stand_down_if_anybody_moved(context, &survey, &seen, epoch).await?;
        return Ok((own, survey));
    }
}

async fn write_temporary(context: &StartContext, path: &str, content: Blocks) -> Result<FileId, Failure> {
    let files = &context.files;
    let (file, _) = files
        .open(path, Class::Cell, Open::Create)
        .await
        .map_err(Failure::Disk)?;
    debug_assert_eq!(content.len() as u64, CLAIM_BYTES);
    let written = fill_temporary(files, file, content).await;
    if written.is_err() {
        files.close(file).await.map_err(Failure::Disk)?;
    }
    written.map(|()| file).map_err(Failure::Disk)
}

async fn fill_temporary(files: &Files, file: FileId, content: Blocks) -> Result<(), DiskError> {
    files.write(file, 0, content.into()).await?;
    files.sync(file).await?;
    // A server that crashes must not take the name back before it is linked.
    files.sync_directory(names::EPOCHS).await
}

/// Something that a start writes found no space: the ballast gives its own, and without one there is a wait.
async fn make_room(context: &StartContext) -> Result<(), Failure> {
    let files = &context.files;
    if !segments::release_ballast(files).await? {
        context.phase(WAITING_FOR_SPACE);
        files
            .sleep_until(files.now().boot + context.settings.poll_interval)
            .await;
    }
    Ok(())
}

async fn survey(context: &StartContext) -> Result<Survey, Failure> {
    let files = &context.files;
    let mut epochs = claims::list(files).await?;
    let highest = epochs.last().copied().unwrap_or(Epoch(0));
    let mut younger = Vec::new();
    let mut leader = None;
    while let Some(epoch) = epochs.pop() {
        let mut claim = OpenClaim::open(files, epoch).await?;
        if let Some(root) = sealed_root(context, &mut claim).await? {
            leader = Some(Leader { claim, root });
            break;
        }
        younger.push(claim);
    }
    Ok(Survey {
        highest,
        leader,
        younger,
    })
}

/// The claim's root, if it sealed; a damaged one refuses the start.
async fn sealed_root(context: &StartContext, claim: &mut OpenClaim) -> Result<Option<Root>, Failure> {
    match claim.root(&context.files).await? {
        RootState::NeverSealed => Ok(None),
        RootState::Sealed { root, one_bad } => {
            let path = names::claim(claim.epoch);
            let mut progress = context.progress.borrow_mut();
            if one_bad {
                progress.warnings.push(format!(
                    "{path}: one of the two root cells is damaged; the other is used"
                ));
            }
            if claim.identity.is_none() {
                progress
                    .warnings
                    .push(format!("{path}: the identity cell is damaged; the root cell is used"));
            }
            Ok(Some(root))
        }
        RootState::Damaged => Err(Failure::damage(
            names::claim(claim.epoch),
            Some(leadership::Cell::RootA.offset()),
            "both root cells are damaged, so it is not known what counts of the history; restore the directory from a backup",
        )),
    }
}

impl Survey {
    fn watched(&self) -> impl Iterator<Item = &OpenClaim> {
        self.leader.iter().map(|leader| &leader.claim).chain(&self.younger)
    }
}

/// What the last look at a watched claim saw.
#[derive(Clone, Copy, Debug)]
enum Seen {
    /// Nobody will beat there again.
    Gone,
    /// This heartbeat, for as long as silence takes.
    Silent(Option<Heartbeat>),
}

/// Returns when the leader and every younger claim are silent or gone, with what was seen of each, in the order of [`Survey::watched`].
///
/// All are watched at once: a crash loop leaves many claims behind, and their silences need not add up.
async fn wait_for_silence(context: &StartContext, survey: &Survey) -> Result<Vec<Seen>, Failure> {
    let files = &context.files;
    let file_system = files.file_system();
    let mut watched = Vec::new();
    for claim in survey.watched() {
        let watch = Watch::begin(files.now().boot, claim.heartbeat(files).await?);
        watched.push((claim, watch, None));
    }
    loop {
        let mut undecided = false;
        for (claim, watch, seen) in &mut watched {
            if seen.is_some() {
                continue;
            }
            let heartbeat = claim.heartbeat(files).await?;
            let goodbye = claim.goodbye(files).await?;
            let process = match &claim.identity {
                Some(identity) => files.process(&identity.process).await.map_err(Failure::Disk)?,
                None => ProcessState::Unknown,
            };
            let takeover_after = context.settings.takeover_after;
            match watch.look(
                files.now().boot,
                heartbeat,
                goodbye,
                &file_system,
                process,
                takeover_after,
            ) {
                Silence::Gone => *seen = Some(Seen::Gone),
                Silence::Silent => *seen = Some(Seen::Silent(heartbeat)),
                Silence::Alive => return Err(another_leads(claim)),
                Silence::Undecided => undecided = true,
            }
        }
        if !undecided {
            return Ok(watched.into_iter().filter_map(|(_, _, seen)| seen).collect());
        }
        files
            .sleep_until(files.now().boot + context.settings.poll_interval)
            .await;
    }
}

/// After the link: whoever beat meanwhile, or claimed above us, is ahead of us. The claim stays, unsealed and harmless.
async fn stand_down_if_anybody_moved(
    context: &StartContext,
    survey: &Survey,
    seen: &[Seen],
    own: Epoch,
) -> Result<(), Failure> {
    let files = &context.files;
    for (claim, seen) in survey.watched().zip(seen) {
        match seen {
            Seen::Gone => {}
            Seen::Silent(before) if claim.heartbeat(files).await? == *before => {}
            Seen::Silent(_) => return Err(another_leads(claim)),
        }
    }
    let epochs = claims::list(files).await?;
    if let Some(higher) = epochs.last().copied().filter(|highest| *highest > own) {
        return Err(another_leads(&OpenClaim::open(files, higher).await?));
    }
    Ok(())
}

fn another_leads(claim: &OpenClaim) -> Failure {
    Failure::AnotherLeads {
        epoch: claim.epoch,
        identity: claim.identity.as_deref().cloned().map(Box::new),
    }
}

async fn plan(context: &StartContext, predecessor: Option<&Leader>) -> Result<RecoveryPlan, Failure> {
    let Some(leader) = predecessor else {
        return Ok(RecoveryPlan::default());
    };
    let heartbeat = leader.claim.heartbeat(&context.files).await?;
    if heartbeat.is_none() {
        context.progress.borrow_mut().warnings.push(format!(
            "{}: the heartbeat cell is blank or damaged; the end of the log is not checked against it",
            names::claim(leader.claim.epoch)
        ));
    }
    Ok(RecoveryPlan {
        sealed: leader.root.sealed.clone(),
        predecessor: Some(Predecessor {
            epoch: leader.claim.epoch,
            nonce: leader.root.nonce,
            first_segment: leader.root.first_segment,
            highest_segment: leader.root.highest_segment,
            confirmed: heartbeat.and_then(|beat| beat.confirmed),
        }),
        checkpoints: leader.root.checkpoints,
    })
}

/// Makes the first segment; where the disk is full, the ballast gives its space. When somebody else took even that since the start began, it waits.
async fn create_first_segment(
    context: &StartContext,
    epoch: Epoch,
    number: SegmentNumber,
) -> Result<segments::Segment, Failure> {
    let files = &context.files;
    let bytes = context.settings.journal.segment_bytes;
    loop {
        match segments::create(files.clone(), epoch, number, bytes).await {
            Err(Failure::Disk(error)) if error.kind == DiskErrorKind::NoSpace => {
                segments::discard(files, epoch, number).await?;
                make_room(context).await?;
            }
            result => return result,
        }
    }
}

/// The first leader of all says that this directory has had one. Linked, so that two cannot write it.
async fn mark_format(context: &StartContext, nonce: Nonce) -> Result<(), Failure> {
    let files = &context.files;
    let there = files.open(names::FORMAT, Class::Plain, Open::Read).await;
    match there {
        Ok((file, _)) => return files.close(file).await.map_err(Failure::Disk),
        Err(error) if error.kind == DiskErrorKind::NotFound => {}
        Err(error) => return Err(Failure::Disk(error)),
    }
    let temporary = format!("{}.format", names::temporary_claim(nonce));
    let (file, _) = files
        .open(&temporary, Class::Plain, Open::Create)
        .await
        .map_err(Failure::Disk)?;
    let mut text = Blocks::with_capacity(BLOCK_BYTES);
    text.extend_from_slice(
        b"holdfast data directory; the format version in force stands in the newest sealed claim in epochs/\n",
    );
    files.write(file, 0, text.into()).await.map_err(Failure::Disk)?;
    files.sync(file).await.map_err(Failure::Disk)?;
    match files.link(&temporary, names::FORMAT).await {
        Err(error) if error.kind != DiskErrorKind::Exists => return Err(Failure::Disk(error)),
        Ok(()) | Err(_) => {}
    }
    files.sync_directory("").await.map_err(Failure::Disk)?;
    unlink_if_there(files, &temporary).await?;
    files.close(file).await.map_err(Failure::Disk)
}

/// Removes a temporary name; one that a crash of the server took back is gone already.
async fn unlink_if_there(files: &Files, path: &str) -> Result<(), Failure> {
    match files.unlink(path).await {
        Err(error) if error.kind != DiskErrorKind::NotFound => Err(Failure::Disk(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

impl StartContext {
    fn phase(&self, phase: &'static str) {
        self.progress.borrow_mut().phase = phase;
    }
}

/// Feeds what recovery reads into the engine.
struct Sink {
    engine: Rc<RefCell<Option<Engine>>>,
    progress: Rc<RefCell<StartProgress>>,
}

impl Sink {
    fn with_engine<T>(&self, act: impl FnOnce(&mut Engine) -> T) -> T {
        act(self
            .engine
            .borrow_mut()
            .as_mut()
            .expect("the engine is taken only when the start has finished"))
    }
}

impl RecoverySink for Sink {
    fn restore(
        &mut self,
        catalog: &Bytes,
        pieces: Vec<(PieceKey, PieceReference, PieceContent)>,
    ) -> Result<(), Malformed> {
        self.with_engine(|engine| engine.restore(catalog, pieces))
    }

    fn replay(
        &mut self,
        sequence: Sequence,
        record: Record,
        place: RecordPlace,
        last_segment: SegmentNumber,
        messages: &[(u32, u32)],
    ) -> Result<(), Refused> {
        self.with_engine(|engine| engine.replay(sequence, record, place, last_segment, messages))
            .map_err(|inconsistent| Refused(inconsistent.to_string()))
    }

    fn progress(&mut self, bytes: u64, of: u64) {
        self.progress.borrow_mut().recovered = (bytes, of);
    }
}

/// Why the history cannot be used. Before that is called damage the own fence is read: a start that was held up while another took over finds the history changed under it, which is no damage.
async fn refused_unless_fenced(context: &StartContext, own: &OwnClaim, error: RecoveryError) -> Failure {
    match read_own_fence(&context.files, own.file, own.nonce).await {
        Ok(()) => refused(error),
        Err(fenced) => fenced,
    }
}

fn refused(error: RecoveryError) -> Failure {
    match error {
        RecoveryError::Damaged(damage) => Failure::damage(
            damage.file,
            Some(damage.offset),
            format!(
                "{}. Nothing was changed; docs/recovery.md says what can be done",
                damage.what
            ),
        ),
        RecoveryError::Io(error) => Failure::Disk(error),
        RecoveryError::Inconsistent {
            file,
            offset,
            sequence,
            why,
        } => Failure::damage(
            file,
            Some(offset),
            format!(
                "record {sequence} cannot be applied: {why}. Nothing was changed; docs/recovery.md says what can be done"
            ),
        ),
        RecoveryError::Changed { file, offset } => Failure::HistoryChanged {
            file,
            offset: offset.into(),
        },
    }
}
