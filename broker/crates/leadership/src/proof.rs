//! Whether a claim's owner is proved dead: what lets somebody else say GOODBYE for it.

use platform::{FileSystem, ProcessState};

/// What is known of an owner's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It is no more, and why that is certain.
    Dead(&'static str),
    /// It runs.
    Runs,
    /// It is, or was, in another pid namespace of this boot, or hidden from this user.
    Hidden,
    /// It is, or was, on another machine.
    Elsewhere,
}

impl Proof {
    /// Decides from what this machine's process table says of the owner, and from whether the owner's host has this machine's name.
    ///
    /// | row | process | file system | host | says |
    /// |---|---|---|---|---|
    /// | D1 | runs | any | any | runs |
    /// | D2 | gone | any | any | dead: there is no such process |
    /// | D3 | of another boot | local | any | dead: the machine was restarted |
    /// | D4 | of another boot | shared | this | dead: the machine was restarted |
    /// | D5 | of another boot | shared | another | elsewhere |
    /// | D6 | unknown | any | any | hidden |
    ///
    /// Names of hosts decide nothing but when a standby tries: should two machines have the same one, a leader that lives is fenced and ends, and nothing is lost.
    pub fn of(process: ProcessState, file_system: &FileSystem, is_this_host: bool) -> Proof {
        match (process, file_system, is_this_host) {
            (ProcessState::Runs, _, _) => Proof::Runs,
            (ProcessState::Gone, _, _) => Proof::Dead("no process has its number and start time"),
            (ProcessState::OtherBoot, FileSystem::Local, _) => {
                Proof::Dead("the only machine that has this file system was restarted")
            }
            (ProcessState::OtherBoot, FileSystem::Nfs4 | FileSystem::Unknown(_), true) => {
                Proof::Dead("this machine was restarted")
            }
            (ProcessState::OtherBoot, FileSystem::Nfs4 | FileSystem::Unknown(_), false) => Proof::Elsewhere,
            (ProcessState::Unknown, _, _) => Proof::Hidden,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_holds() {
        let (local, nfs) = (FileSystem::Local, FileSystem::Nfs4);
        let unknown = FileSystem::Unknown("fuse".into());
        for file_system in [&local, &nfs, &unknown] {
            for is_this_host in [false, true] {
                let of = |process| Proof::of(process, file_system, is_this_host);
                assert_eq!(of(ProcessState::Runs), Proof::Runs);
                assert!(matches!(of(ProcessState::Gone), Proof::Dead(_)));
                assert_eq!(of(ProcessState::Unknown), Proof::Hidden);
                let is_dead = matches!(of(ProcessState::OtherBoot), Proof::Dead(_));
                assert_eq!(is_dead, *file_system == local || is_this_host);
                assert_eq!(of(ProcessState::OtherBoot) == Proof::Elsewhere, !is_dead);
            }
        }
    }
}
