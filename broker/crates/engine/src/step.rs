//! One call from outside: its time, its store, and how many messages it may still look at.

use record::Store;

use crate::settings::STEP_MESSAGES_MAX;
use crate::time::EngineTime;

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

    /// Whether the rest has to wait.
    pub(crate) fn is_over(&self) -> bool {
        self.budget == 0
    }
}
