//! Deliberate faults in the shipped code, which the simulation must notice: a simulation that notices nothing looks like one that finds nothing.
//!
//! Owns: their list, and whether one is at work. They are compiled in with `--cfg holdfast_mutants` alone, which a build without debug assertions refuses; in every other build
//! [`Mutant::is_at_work`] is the constant `false`, and nothing of them is left. Such a build holds them all, and one is chosen per process, so that many cost one build (docs/decisions/0007).
//!
//! Tests: `tests/src/bin/mutants.rs` runs the simulation with each and fails if one survives.
#![forbid(unsafe_code)]

#[cfg(all(holdfast_mutants, not(debug_assertions)))]
compile_error!("deliberate faults (holdfast_mutants) must not get into a release build: remove the cfg from RUSTFLAGS");

#[cfg(holdfast_mutants)]
static CHOSEN: std::sync::OnceLock<Mutant> = std::sync::OnceLock::new();

macro_rules! mutants {
    ($($variant:ident $name:literal $does:literal;)+) => {
        /// A deliberate fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mutant {
            $(
                #[doc = concat!("The broker ", $does, ".")]
                $variant,
            )+
        }

        impl Mutant {
            /// All of them, by name.
            pub const ALL: &[Mutant] = &[$(Mutant::$variant),+];

            /// Its name, for people and command lines.
            pub fn name(self) -> &'static str {
                match self { $(Mutant::$variant => $name,)+ }
            }

            /// What the broker does wrong with it.
            pub fn does(self) -> &'static str {
                match self { $(Mutant::$variant => $does,)+ }
            }
        }
    };
}

mutants! {
    AcceptWrongNonce "accept-wrong-nonce" "takes bytes that were made to look like a batch for a batch";
    AcceptWrongPreviousChecksum "accept-wrong-previous-checksum" "goes on with a batch that does not follow from the one before";
    AckForgottenOnReplay "ack-forgotten-on-replay" "delivers again after a restart what was acknowledged";
    AckIdUnchecked "ack-id-unchecked" "takes another connection's ack id for one of this connection";
    AckWaitsBehindSend "ack-waits-behind-send" "lets an acknowledgement wait behind a send of its connection that waits for space";
    AnswerNoChangeEarly "answer-no-change-early" "answers what changes nothing before what it rests on is durable";
    AnswerResendEarly "answer-resend-early" "answers a resend while the original is not durable";
    CheckpointOfUnconfirmed "checkpoint-of-unconfirmed" "names a checkpoint that holds what is not confirmed";
    ConfirmBeforeWriteReturned "confirm-before-write-returned" "answers before the bytes are durable";
    ConfirmOutOfOrder "confirm-out-of-order" "answers for a batch while an earlier one is still on its way";
    DeleteReferredSegment "delete-referred-segment" "deletes a segment that the older named checkpoint refers to";
    DeliverUnconfirmed "deliver-unconfirmed" "delivers what a crash can undo";
    ExpiredDelivered "expired-delivered" "delivers what has expired";
    GoneConnectionKept "gone-connection-kept" "keeps the transactions of connections that are gone";
    IgnoreConfirmedThrough "ignore-confirmed-through" "takes damage inside the confirmed log for its end";
    IgnoreHeartbeatPosition "ignore-heartbeat-position" "takes damage before the heartbeat's position for the end of the log";
    MoveAnsweredEarly "move-answered-early" "answers a move before its records are durable";
    NoDispatchedMark "no-dispatched-mark" "delivers again after a restart without the mark";
    NoFenceRead "no-fence-read" "goes on confirming after a successor has fenced it";
    NoHarden "no-harden" "builds on what is visible and not durable";
    SlowReaderStopsAll "slow-reader-stops-all" "reads from nobody while one client does not take its answers";
    TopicLimitForgotten "topic-limit-forgotten" "keeps everything that waits for a slow topic consumer";
    TransactionLimitForgotten "transaction-limit-forgotten" "lets a transaction grow without bound";
    UnlinkWithoutFenceRead "unlink-without-fence-read" "deletes what a successor may need";
    WaitingSendForgotten "waiting-send-forgotten" "lets nobody go on who waited for space in the store";
    WaitingSendLost "waiting-send-lost" "confirms a send that waited for space, and forgets it";
}

impl Mutant {
    /// Whether this build has deliberate faults and this one was chosen.
    #[inline(always)]
    pub fn is_at_work(self) -> bool {
        #[cfg(holdfast_mutants)]
        {
            CHOSEN.get() == Some(&self)
        }
        #[cfg(not(holdfast_mutants))]
        {
            false
        }
    }

    /// Lets this fault work from now on in this process; `false` if this build has none, or another was chosen before.
    pub fn choose(self) -> bool {
        #[cfg(holdfast_mutants)]
        {
            *CHOSEN.get_or_init(|| self) == self
        }
        #[cfg(not(holdfast_mutants))]
        {
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_fault_is_at_work_unless_the_build_has_them_and_one_was_chosen() {
        for mutant in Mutant::ALL {
            assert!(!mutant.is_at_work(), "{}", mutant.name());
        }
        assert_eq!(Mutant::NoHarden.choose(), cfg!(holdfast_mutants));
        assert_eq!(Mutant::NoHarden.is_at_work(), cfg!(holdfast_mutants));
        assert!(!Mutant::NoFenceRead.choose());
    }
}
