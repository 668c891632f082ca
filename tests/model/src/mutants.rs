//! Deliberate errors in the protocol. A model that notices none of them would prove nothing.

use crate::configurations::Configuration;
use crate::properties::Promise;

macro_rules! mutants {
    ($($variant:ident, $name:literal, $does:literal;)*) => {
        /// One rule of the protocol, broken.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Mutant {
            $(#[doc = $does] $variant,)*
        }

        impl Mutant {
            /// All of them.
            pub const ALL: &[Mutant] = &[$(Mutant::$variant,)*];

            /// As commands, files and the table call it.
            pub fn name(self) -> &'static str {
                match self { $(Mutant::$variant => $name,)* }
            }

            /// What goes wrong with it, in words.
            pub fn does(self) -> &'static str {
                match self { $(Mutant::$variant => $does,)* }
            }
        }
    };
}

mutants! {
    NoFenceRead, "no-fence-read", "confirms when the write returns, without reading the fence";
    FenceReadBeforeWriteReturned, "fence-read-before-write-returned", "reads the fence while the write is still out, and confirms when it returns";
    FenceReadFromCache, "fence-read-from-cache", "is told OPEN by a cache whenever it reads its fence";
    ConfirmOutOfOrder, "confirm-out-of-order", "confirms a batch while an earlier one is still out";
    ScanOldEpochs, "scan-old-epochs", "scans the logs of all old epochs again at every recovery, instead of believing the predecessor's list";
    SealSoughtBeforeFenced, "seal-sought-before-fenced", "looks for the predecessor before the fence writes have returned";
    LogReadBeforeFenced, "log-read-before-fenced", "reads the predecessor's log before the fence writes have returned";
    OnlyLastFenced, "only-last-fenced", "fences only the epoch just below its own";
    NoFenceReadBeforeLeading, "no-fence-read-before-leading", "leads as soon as its seal is written";
    CreateThenWrite, "create-then-write", "creates the claim with O_EXCL and writes its content afterwards";
    ExistsBelieved, "exists-believed", "takes EEXIST for a lost reply to its own link, without comparing the nonce";
    NotFoundBelieved, "not-found-believed", "believes a stale \"not found\" of an announced segment";
    SegmentBeforeAnnounced, "segment-before-announced", "writes into a segment before the root that announces it is in force";
    GapSkipped, "gap-skipped", "goes on reading behind a batch that is missing";
    TailNotHardened, "tail-not-hardened", "seals what it saw without writing it once more";
    SealOnlyPredecessor, "seal-only-predecessor", "names only its predecessor in the seal";
    RootAfterOneCell, "root-after-one-cell", "takes a root for in force when root A has returned";
    UnlinkWithoutFenceRead, "unlink-without-fence-read", "unlinks without reading the fence first";
    CheckpointOfUnconfirmed, "checkpoint-of-unconfirmed", "names a checkpoint that holds what is not confirmed";
    DeletionOlderForbids, "deletion-older-forbids", "deletes what the older named checkpoint still needs";
    ClaimsRemoved, "claims-removed", "removes the claim of a dead epoch that never sealed";
    StandbyAppliesUnconfirmed, "standby-applies-unconfirmed", "applies to a warm engine what the leader has written and not confirmed";
    StoppedClaimantKeepsEngine, "stopped-claimant-keeps-engine", "keeps the engine of a claimant that was fenced after it had applied the tail";
    SearchStopsAtKnown, "search-stops-at-known", "looks for the predecessor no further down than to the epoch that it took for sealed before it claimed, and begins an empty history if that one no longer is";
    VerdictWithoutFenceRead, "verdict-without-fence-read", "calls a missing file damage without reading its own fence first";
    BeatNamesUnconfirmed, "beat-names-unconfirmed", "names in its heartbeat a batch whose fence read has not returned";
    BothRootsAtOnce, "both-roots-at-once", "has the writes of root A and root B out at the same time";
    PairNotReadAgain, "pair-not-read-again", "calls a pair of root cells damaged though it may have read A before and B behind the owner's writes";
    FormatBelievedAtOnce, "format-believed-at-once", "refuses when it finds FORMAT after it has seen no sealed claim, without looking at the claims again";
    ListSinceNewer, "list-since-newer", "drops from the list what the newer checkpoint covers, instead of the older";
    LinkAboveDoubt, "link-above-doubt", "links its claim above one that it saw, and that a crash of the server can still take back";
}

impl Mutant {
    /// The one of this name.
    pub fn named(name: &str) -> Option<Mutant> {
        Mutant::ALL.iter().copied().find(|mutant| mutant.name() == name)
    }

    /// Whether failover.md lists it; the others came up while this was written.
    pub fn is_of_the_design(self) -> bool {
        !matches!(
            self,
            Mutant::SearchStopsAtKnown
                | Mutant::VerdictWithoutFenceRead
                | Mutant::BeatNamesUnconfirmed
                | Mutant::BothRootsAtOnce
                | Mutant::PairNotReadAgain
                | Mutant::FormatBelievedAtOnce
                | Mutant::ListSinceNewer
                | Mutant::LinkAboveDoubt
        )
    }

    /// Where it must be noticed: the smallest configuration in which it can do harm, and the promise that it breaks there.
    pub fn trial(self) -> (Configuration, Promise) {
        use crate::aspects::Aspect::{
            Checkpoints, Crash, Damage, Heartbeat, Late, Overlap, Roll, Stale, Standby, TwoRoots,
        };
        let at = |brokers, epochs, slots, aspects: &[_]| Configuration::new("trial", brokers, epochs, slots, aspects);
        match self {
            Mutant::NoFenceRead | Mutant::FenceReadBeforeWriteReturned | Mutant::FenceReadFromCache => {
                (at(2, 2, 1, &[]), Promise::NothingConfirmedIsLost)
            }
            Mutant::ConfirmOutOfOrder => (at(2, 2, 2, &[Overlap]), Promise::NothingConfirmedIsLost),
            Mutant::ScanOldEpochs => (at(2, 3, 1, &[Late]), Promise::OneHistory),
            Mutant::SealSoughtBeforeFenced => (at(2, 3, 1, &[]), Promise::NothingConfirmedIsLost),
            Mutant::LogReadBeforeFenced => (at(2, 2, 1, &[]), Promise::NothingConfirmedIsLost),
            Mutant::OnlyLastFenced => (at(2, 3, 1, &[]), Promise::NothingConfirmedIsLost),
            Mutant::NoFenceReadBeforeLeading => (at(3, 3, 1, &[Late]), Promise::NothingConfirmedIsLost),
            Mutant::CreateThenWrite => (at(2, 2, 1, &[]), Promise::NothingConfirmedIsLost),
            Mutant::ExistsBelieved => (at(2, 1, 1, &[]), Promise::EpochsRise),
            Mutant::NotFoundBelieved => (at(2, 2, 1, &[Stale]), Promise::NothingConfirmedIsLost),
            Mutant::SegmentBeforeAnnounced => (at(2, 2, 2, &[Roll]), Promise::NothingConfirmedIsLost),
            Mutant::GapSkipped => (at(2, 2, 2, &[Late, Overlap]), Promise::OneHistory),
            Mutant::TailNotHardened => (at(2, 2, 1, &[Crash]), Promise::NothingConfirmedIsLost),
            Mutant::SealOnlyPredecessor => (at(2, 4, 1, &[]), Promise::NothingConfirmedIsLost),
            Mutant::RootAfterOneCell => (at(2, 3, 1, &[TwoRoots, Damage]), Promise::NothingConfirmedIsLost),
            Mutant::UnlinkWithoutFenceRead => (at(2, 2, 2, &[TwoRoots, Checkpoints]), Promise::NothingNeededIsMissing),
            Mutant::CheckpointOfUnconfirmed => (at(2, 2, 1, &[Crash, Checkpoints]), Promise::NoFalseDamage),
            Mutant::DeletionOlderForbids => (at(2, 2, 2, &[Checkpoints, Damage]), Promise::NothingNeededIsMissing),
            Mutant::ClaimsRemoved => (at(3, 3, 1, &[Stale]), Promise::NothingConfirmedIsLost),
            Mutant::StandbyAppliesUnconfirmed => (at(2, 2, 1, &[Crash, Standby]), Promise::NoFalseDamage),
            Mutant::StoppedClaimantKeepsEngine => (at(2, 3, 1, &[Late, Standby]), Promise::NoFalseDamage),
            Mutant::SearchStopsAtKnown => (at(2, 3, 1, &[Crash]), Promise::NothingConfirmedIsLost),
            Mutant::VerdictWithoutFenceRead => (at(2, 2, 1, &[]), Promise::NoFalseDamage),
            Mutant::BeatNamesUnconfirmed => (at(2, 2, 1, &[Heartbeat, Crash]), Promise::NoFalseDamage),
            Mutant::PairNotReadAgain => (at(2, 2, 1, &[TwoRoots, Damage]), Promise::NoFalseDamage),
            Mutant::FormatBelievedAtOnce => (at(2, 1, 1, &[]), Promise::NoFalseDamage),
            Mutant::ListSinceNewer => (at(2, 3, 1, &[Checkpoints, Damage]), Promise::NothingConfirmedIsLost),
            Mutant::LinkAboveDoubt => (at(2, 2, 1, &[Crash]), Promise::NoFalseDamage),
            Mutant::BothRootsAtOnce => (at(2, 2, 2, &[TwoRoots, Roll, Crash, Damage]), Promise::NoFalseDamage),
        }
    }
}
