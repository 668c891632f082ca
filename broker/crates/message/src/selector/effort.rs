//! What applying a selector to a message costs, and its end.

use std::cell::Cell;

use super::SELECTOR_EFFORT_MAX;

/// Characters compared, copied or searched so far, about.
#[derive(Debug, Default)]
pub(super) struct Effort(Cell<u32>);

impl Effort {
    /// Counts more; `false` if it is too much.
    pub(super) fn add(&self, more: usize) -> bool {
        let sum = self.0.get().saturating_add(u32::try_from(more).unwrap_or(u32::MAX));
        self.0.set(sum);
        sum <= SELECTOR_EFFORT_MAX
    }

    pub(super) fn sum(&self) -> u32 {
        self.0.get()
    }

    /// Whether it was too much.
    pub(super) fn is_spent(&self) -> bool {
        self.0.get() > SELECTOR_EFFORT_MAX
    }
}
