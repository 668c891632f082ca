//! Which consumer has which message group of one queue.
//!
//! A group stays with its consumer until that consumer ends, the group is closed, or so many newer groups were used that it is forgotten (`message_groups_max`).

use std::collections::BTreeMap;
use std::sync::Arc;

use message::ConsumerId;

#[derive(Debug, Default)]
pub(crate) struct Groups {
    owners: BTreeMap<Arc<str>, (ConsumerId, u64)>,
    by_use: BTreeMap<u64, Arc<str>>,
    clock: u64,
}

impl Groups {
    /// Who has the group; counts as a use of it.
    pub(crate) fn owner(&mut self, group: &str) -> Option<ConsumerId> {
        let (owner, used) = self.owners.get_mut(group)?;
        let name = self.by_use.remove(used)?;
        self.clock += 1;
        *used = self.clock;
        self.by_use.insert(self.clock, name);
        Some(*owner)
    }

    /// Gives the group to a consumer.
    pub(crate) fn assign(&mut self, group: &Arc<str>, owner: ConsumerId, groups_max: usize) {
        self.close(group);
        self.clock += 1;
        self.owners.insert(Arc::clone(group), (owner, self.clock));
        self.by_use.insert(self.clock, Arc::clone(group));
        while self.owners.len() > groups_max.max(1)
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.owners.remove(&oldest);
        }
    }

    /// Forgets the group.
    pub(crate) fn close(&mut self, group: &str) {
        if let Some((_, used)) = self.owners.remove(group) {
            self.by_use.remove(&used);
        }
    }

    /// Forgets what a consumer had.
    pub(crate) fn end(&mut self, consumer: ConsumerId) {
        let by_use = &mut self.by_use;
        self.owners.retain(|_, (owner, used)| {
            let stays = *owner != consumer;
            if !stays {
                by_use.remove(used);
            }
            stays
        });
    }
}
