//! One call from outside: its time, its store, and how many messages it may still look at.

use record::Store;

use crate::settings::STEP_MESSAGES_MAX;
use crate::time::EngineTime;

/// Characters that a selector goes through in about the time in which a message is looked at.
const EFFORT_PER_MESSAGE: u32 = 1_000;

pub(crate) struct Step<'a> {
    pub(crate) now: EngineTime,
    pub(crate) store: &'a mut dyn Store,
    /// Messages that may still be looked at.
    pub(crate) budget: usize,
}

impl<'a> Step<'a> {
    pub(crate) fn new(now: EngineTime, store: &'a mut dyn Store) -> Step<'a> {
        Step {
            now,
            store,
            budget: STEP_MESSAGES_MAX,
        }
    }

    /// Counts messages as looked at.
    pub(crate) fn spend(&mut self, count: usize) {
        self.budget = self.budget.saturating_sub(count);
    }

    /// Counts what a selector did, so that a step takes some milliseconds at most, however costly its selectors are.
    pub(crate) fn spend_effort(&mut self, effort: u32) {
        self.spend((effort / EFFORT_PER_MESSAGE) as usize);
    }

    /// Whether the rest has to wait.
    pub(crate) fn is_over(&self) -> bool {
        self.budget == 0
    }
}
