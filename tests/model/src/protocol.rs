//! The protocol as a state machine: which actions are possible, and what each does.

use stateright::{Model, Property};

use crate::aspects::Aspect;
use crate::broker::{self, Broker, Phase};
use crate::configurations::Configuration;
use crate::history::{Checkpoint, EPOCHS_MAX};
use crate::mutants::Mutant;
use crate::properties::{self, Promise};
use crate::state::{BROKERS_MAX, Broken, EpochFiles, Root, State};
use crate::{claimant, leader, reduction, server, standby};

/// The protocol in one configuration, sound or with one rule broken.
#[derive(Clone, Debug)]
pub struct Protocol {
    /// What can happen, and how much of it.
    pub configuration: Configuration,
    /// The rule that is broken.
    pub mutant: Option<Mutant>,
    /// The promises that are watched.
    pub promises: Vec<Promise>,
    /// Whether states that cannot differ in what follows are taken for one ([`reduction`]).
    pub is_reduced: bool,
}

impl Protocol {
    /// The protocol as designed.
    pub fn sound(configuration: Configuration) -> Protocol {
        Protocol {
            configuration,
            mutant: None,
            promises: Promise::ALL.to_vec(),
            is_reduced: true,
        }
    }

    /// One rule broken, and the promise that it must break. Mostly without reduction: what justifies it is the protocol itself.
    pub fn broken(mutant: Mutant) -> Protocol {
        let (configuration, promise) = mutant.trial();
        Protocol {
            configuration,
            mutant: Some(mutant),
            promises: vec![promise],
            // What these leave out of a list, nobody would read elsewhere.
            is_reduced: matches!(mutant, Mutant::SealOnlyPredecessor | Mutant::ListSinceNewer),
        }
    }

    pub(crate) fn has(&self, aspect: Aspect) -> bool {
        self.configuration.aspects.has(aspect)
    }

    pub(crate) fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    pub(crate) fn beats(&self) -> bool {
        self.has(Aspect::Heartbeat)
    }

    pub(crate) fn writes_in_flight(&self) -> u8 {
        if self.has(Aspect::Overlap) { 2 } else { 1 }
    }

    /// Slots in announced segments.
    pub(crate) fn writable_slots(&self, root: &Root) -> u8 {
        if self.has(Aspect::Roll) && !self.is(Mutant::SegmentBeforeAnnounced) {
            root.announced
        } else {
            self.configuration.slots
        }
    }

    /// Slots in the segments that a first root announces.
    pub(crate) fn announced_first(&self) -> u8 {
        if self.has(Aspect::Roll) {
            1
        } else {
            self.configuration.slots
        }
    }

    /// Whether the order of root A and root B can be seen.
    pub(crate) fn writes_roots_apart(&self) -> bool {
        self.has(Aspect::TwoRoots) && !self.is(Mutant::BothRootsAtOnce)
    }
}

/// One step of somebody. Each names the step of docs/failover.md that it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Before step 1: a standby looks which claims there are (`seen` of them) and which of them is sealed, and decides to claim.
    Survey { broker: u8, seen: u8 },
    /// Before step 1: where no claim is sealed, FORMAT must not exist; if it does, the claims are looked at again.
    LookForFormat { broker: u8 },
    /// Step 1: the names of the claims that were seen are made durable, so that no claim can stand above one that a crash takes back.
    SyncNames { broker: u8 },
    /// Step 1: `link()` of a complete claim to the number after the highest known one; with EEXIST and a foreign nonce, the next number.
    Link { broker: u8 },
    /// Step 1: the directory's sync returns.
    SyncDirectory { broker: u8 },
    /// Only `create-then-write`: the content of the claim, its fence OPEN.
    WriteClaim { broker: u8 },
    /// Step 1: the claimant looks again, and goes on. (That it may go on even if somebody moved is more than the protocol allows.)
    GoOn { broker: u8 },
    /// Step 1: the claimant stands down; its engine stays good.
    StandDown { broker: u8 },
    /// Step 2: FENCED is written into a lower epoch, or that write returns.
    Fence { broker: u8, epoch: u8 },
    /// Step 3: a root cell of the next lower epoch is read.
    ReadRoot { broker: u8 },
    /// Step 3: a checkpoint is loaded, and what the list counts behind it is looked for.
    Load { broker: u8 },
    /// Step 3: the next slot of the predecessor's log is read.
    ReadLog { broker: u8 },
    /// Only `not-found-believed`: a look-up says that the segment is not there.
    NotFound { broker: u8 },
    /// Step 3: where the log ends is compared with the heartbeat's position and with what a warm engine holds.
    Judge { broker: u8 },
    /// Step 4: a slot of the tail is written once more, or that write returns.
    Harden { broker: u8, slot: u8 },
    /// Step 5: a cell of the own root is written, or that write returns.
    Seal { broker: u8 },
    /// Step 5: the own fence is read. OPEN: lead, and link FORMAT.
    ReadFenceToLead { broker: u8 },
    /// *Before any verdict of damage*: the own fence is read. OPEN: refuse.
    ReadFenceToRefuse { broker: u8 },
    /// Step 6: a batch takes effect, or its write returns.
    Write { broker: u8, slot: u8 },
    /// Step 6: the own fence is read behind a batch. OPEN: confirm, in order. FENCED: end.
    ReadFence { broker: u8, slot: u8 },
    /// Step 6: the update that announces the next segment begins.
    Announce { broker: u8 },
    /// Step 8: the update that names a checkpoint of what is confirmed begins.
    NameCheckpoint { broker: u8 },
    /// *Root updates*: a cell is written, or that write returns.
    UpdateRoot { broker: u8 },
    /// Step 8: the list of files is fixed, and the fence is read.
    ReadFenceToDelete { broker: u8 },
    /// Step 8: the files are unlinked.
    Unlink { broker: u8 },
    /// Only `claims-removed`: the claim of a dead epoch that never sealed goes.
    RemoveClaim { broker: u8, epoch: u8 },
    /// *Fresh or silent*: a heartbeat with the confirmed position.
    Beat { broker: u8 },
    /// *Warm standby*: applies everything that a leader says is confirmed.
    Follow { broker: u8, leader: u8 },
    /// The process dies, or ends by itself; a new one starts as a standby.
    Die { broker: u8 },
    /// A dead broker's batch (or hardening) takes effect.
    LandWrite { epoch: u8, slot: u8 },
    /// A dead broker's root write takes effect.
    LandRoot { epoch: u8 },
    /// A dead claimant's fence write takes effect.
    LandFence { epoch: u8 },
    /// A dead leader's heartbeat takes effect.
    LandBeat { epoch: u8 },
    /// A dead claimant's link takes effect, unless the number is taken.
    LandLink { epoch: u8 },
    /// A dead leader's unlinks take effect.
    LandUnlinks,
    /// The server crashes. Of what is in doubt, in the order of [`server::in_doubt`], it loses these; `torn`: lost root cells are left torn.
    CrashServer { lost: u16, torn: bool },
    /// A root cell that was written is damaged.
    DamageRoot { epoch: u8, cell: u8 },
    /// A fence cell is damaged: it reads as FENCED.
    DamageFence { epoch: u8 },
    /// A heartbeat cell is damaged: it reads as blank.
    DamageBeat { epoch: u8 },
    /// A checkpoint of the newest leader is damaged.
    DamageCheckpoint { checkpoint: Checkpoint },
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            epochs: [EpochFiles::default(); EPOCHS_MAX],
            brokers: [Broker::default(); BROKERS_MAX],
            led: None,
            served: 0,
            gone: Checkpoint::NONE,
            gone_late: Checkpoint::NONE,
            crash_left: self.has(Aspect::Crash),
            damage_left: self.has(Aspect::Damage),
            bad_checkpoint: Checkpoint::NONE,
            broken: Broken::default(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for broker in 0..self.configuration.brokers {
            let process = &state.brokers[usize::from(broker)];
            match &process.phase {
                Phase::Standby => standby::actions(self, state, broker, actions),
                Phase::Claiming(claimant) => claimant::actions(self, broker, claimant, actions),
                Phase::Leading(reign) => leader::actions(self, state, broker, reign, actions),
                Phase::Refused => {}
            }
            if broker::can_die(self, process) {
                actions.push(Action::Die { broker });
            }
        }
        server::actions(self, state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = *state;
        self.apply(&mut next, action);
        if self.is_reduced {
            reduction::reduce(self, &mut next);
        }
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Protocol>> {
        let promises = self.promises.iter().map(|promise| promise.property());
        match self.mutant {
            Some(_) => promises.collect(),
            None => promises.chain([properties::every_epoch_serves()]).collect(),
        }
    }
}

impl Protocol {
    fn apply(&self, state: &mut State, action: Action) {
        use Action as A;
        match action {
            A::Survey { broker, seen } => standby::survey(self, state, broker, seen),
            A::Follow { broker, leader } => standby::follow(self, state, broker, leader),
            A::LookForFormat { broker }
            | A::SyncNames { broker }
            | A::Link { broker }
            | A::SyncDirectory { broker }
            | A::WriteClaim { broker }
            | A::GoOn { broker }
            | A::StandDown { broker }
            | A::Fence { broker, .. }
            | A::ReadRoot { broker }
            | A::Load { broker }
            | A::ReadLog { broker }
            | A::NotFound { broker }
            | A::Judge { broker }
            | A::Harden { broker, .. }
            | A::Seal { broker }
            | A::ReadFenceToLead { broker }
            | A::ReadFenceToRefuse { broker } => claimant::act(self, state, broker, action),
            A::Write { broker, .. }
            | A::ReadFence { broker, .. }
            | A::Announce { broker }
            | A::NameCheckpoint { broker }
            | A::UpdateRoot { broker }
            | A::ReadFenceToDelete { broker }
            | A::Unlink { broker }
            | A::RemoveClaim { broker, .. }
            | A::Beat { broker } => leader::act(self, state, broker, action),
            A::Die { broker } => broker::end(self, state, usize::from(broker)),
            A::LandWrite { .. }
            | A::LandRoot { .. }
            | A::LandFence { .. }
            | A::LandBeat { .. }
            | A::LandLink { .. }
            | A::LandUnlinks
            | A::CrashServer { .. }
            | A::DamageRoot { .. }
            | A::DamageFence { .. }
            | A::DamageBeat { .. }
            | A::DamageCheckpoint { .. } => server::act(self, state, action),
        }
    }
}
