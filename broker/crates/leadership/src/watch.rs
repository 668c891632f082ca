//! Whether a claim's owner is silent: decides *when* to try, never whether it is safe.

use std::time::Duration;

use platform::{BootTime, FileSystem, ProcessState};

use crate::{Goodbye, Heartbeat};

/// What watching one claim has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// It beat since the watch began.
    Alive,
    /// It said goodbye, or its process is proved gone.
    Gone,
    /// It has not beaten for as long as is needed.
    Silent,
    /// Not long enough to tell.
    Undecided,
}

/// One claim under watch.
#[derive(Clone, Debug)]
pub struct Watch {
    first: Option<u64>,
    quiet_since: BootTime,
}

impl Watch {
    /// Begins to watch at `now`, having read this heartbeat (`None`: blank or damaged).
    pub fn begin(now: BootTime, heartbeat: Option<Heartbeat>) -> Watch {
        Watch {
            first: heartbeat.map(|beat| beat.counter),
            quiet_since: now,
        }
    }

    /// What one more look says.
    ///
    /// | row | goodbye | process, on a local file system | counter moved | quiet for `takeover_after` | says |
    /// |---|---|---|---|---|---|
    /// | W1 | written | any | any | any | gone |
    /// | W2 | – | gone, or of another boot | any | any | gone |
    /// | W3 | – | else | yes | any | alive |
    /// | W4 | – | else | no | yes | silent |
    /// | W5 | – | else | no | no | undecided |
    ///
    /// On a shared file system a process that this machine does not know proves nothing: only the same boot and namespace do.
    pub fn look(
        &self,
        now: BootTime,
        heartbeat: Option<Heartbeat>,
        goodbye: Option<Goodbye>,
        file_system: &FileSystem,
        process: ProcessState,
        takeover_after: Duration,
    ) -> Silence {
        let proved_gone = match (file_system, process) {
            (FileSystem::Local, ProcessState::Gone | ProcessState::OtherBoot) => true,
            (FileSystem::Local, ProcessState::Runs | ProcessState::Unknown) => false,
            (FileSystem::Nfs4 | FileSystem::Unknown(_), _) => false,
        };
        let moved = heartbeat.is_some_and(|beat| Some(beat.counter) != self.first);
        let quiet = now.since(self.quiet_since) >= takeover_after;
        match (goodbye.is_some(), proved_gone, moved, quiet) {
            (true, _, _, _) | (false, true, _, _) => Silence::Gone,
            (false, false, true, _) => Silence::Alive,
            (false, false, false, true) => Silence::Silent,
            (false, false, false, false) => Silence::Undecided,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GoodbyeReason;

    const WAIT: Duration = Duration::from_secs(3);

    fn beat(counter: u64) -> Option<Heartbeat> {
        Some(Heartbeat {
            counter,
            ..Heartbeat::default()
        })
    }

    #[test]
    fn every_row_of_the_watch_table_holds() {
        let start = BootTime(1_000);
        let watch = Watch::begin(start, beat(5));
        let look = |after: Duration, counter, goodbye, file_system: FileSystem, process| {
            watch.look(start + after, beat(counter), goodbye, &file_system, process, WAIT)
        };
        let goodbye = Some(Goodbye(GoodbyeReason::Stopped));
        let second = Duration::from_secs(1);
        assert_eq!(
            look(second, 6, goodbye, FileSystem::Nfs4, ProcessState::Runs),
            Silence::Gone
        );
        assert_eq!(
            look(second, 5, None, FileSystem::Local, ProcessState::Gone),
            Silence::Gone
        );
        assert_eq!(
            look(second, 5, None, FileSystem::Local, ProcessState::OtherBoot),
            Silence::Gone
        );
        assert_eq!(
            look(second, 5, None, FileSystem::Nfs4, ProcessState::OtherBoot),
            Silence::Undecided
        );
        assert_eq!(
            look(second, 5, None, FileSystem::Unknown("fuse".into()), ProcessState::Gone),
            Silence::Undecided
        );
        assert_eq!(
            look(second, 6, None, FileSystem::Local, ProcessState::Runs),
            Silence::Alive
        );
        assert_eq!(
            look(WAIT, 5, None, FileSystem::Local, ProcessState::Runs),
            Silence::Silent
        );
        assert_eq!(
            look(WAIT, 6, None, FileSystem::Local, ProcessState::Unknown),
            Silence::Alive
        );
        assert_eq!(
            look(second, 5, None, FileSystem::Local, ProcessState::Unknown),
            Silence::Undecided
        );
    }

    #[test]
    fn a_heartbeat_that_appears_during_the_watch_is_a_sign_of_life() {
        let watch = Watch::begin(BootTime(0), None);
        let look = watch.look(BootTime(1), beat(1), None, &FileSystem::Local, ProcessState::Runs, WAIT);
        assert_eq!(look, Silence::Alive);
    }
}
