//! What this machine's process table says of a process.
//!
//! "Gone" is certain or is not said: the boot id, the pid namespace and the start time must all be ours to compare, and a process that `/proc` hides from us (`hidepid`) is not taken for gone.
//! Deliberately absent: anything read from the data directory.

use std::fs;
use std::io;

use nix::errno::Errno;
use nix::sys::signal;
use nix::unistd::Pid;

use super::errors::{errno_of, system};
use crate::{DiskError, ProcessIdentity, ProcessState};

/// The largest process id that Linux gives out (`PID_MAX_LIMIT`, 2^22).
const PID_MAX: u32 = 1 << 22;

/// Who the calling process is, on this machine.
pub fn this_process() -> io::Result<ProcessIdentity> {
    let pid = std::process::id();
    let (_, start_time) = state_and_start_time(&fs::read(format!("/proc/{pid}/stat"))?).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("/proc/{pid}/stat does not look like proc(5) says"),
        )
    })?;
    Ok(ProcessIdentity {
        host: line("/proc/sys/kernel/hostname")?,
        boot_id: boot_id()?,
        pid_namespace: pid_namespace()?,
        pid,
        start_time,
    })
}

/// Looks for a process.
pub(super) fn look_for(asked: &ProcessIdentity) -> Result<ProcessState, DiskError> {
    let failed = |path: &'static str| move |error: io::Error| system("look for a process in", path, errno_of(&error));
    if asked.boot_id != boot_id().map_err(failed("/proc/sys/kernel/random/boot_id"))? {
        return Ok(ProcessState::OtherBoot);
    }
    let ours = pid_namespace().map_err(failed("/proc/self/ns/pid"))?;
    if asked.pid_namespace != ours || asked.pid == 0 || asked.pid > PID_MAX {
        return Ok(ProcessState::Unknown);
    }
    let stat = match fs::read(format!("/proc/{}/stat", asked.pid)) {
        Ok(stat) => stat,
        Err(error) if [Errno::ENOENT, Errno::ESRCH].contains(&errno_of(&error)) => {
            // Not shown: not there, or hidden from us. A signal number of zero only asks.
            let pid = Pid::from_raw(i32::try_from(asked.pid).expect("at most PID_MAX"));
            return Ok(match signal::kill(pid, None) {
                Err(Errno::ESRCH) => ProcessState::Gone,
                Ok(()) | Err(_) => ProcessState::Unknown,
            });
        }
        Err(_) => return Ok(ProcessState::Unknown),
    };
    Ok(match state_and_start_time(&stat) {
        None => ProcessState::Unknown,
        Some((_, start)) if start != asked.start_time => ProcessState::Gone,
        // Dead and not yet reaped; but while other threads of it are left, one may sit in a write that will land.
        Some((b'Z' | b'X' | b'x', _)) if threads(asked.pid) <= 1 => ProcessState::Gone,
        Some(_) => ProcessState::Runs,
    })
}

fn boot_id() -> io::Result<String> {
    line("/proc/sys/kernel/random/boot_id")
}

fn line(path: &str) -> io::Result<String> {
    Ok(fs::read_to_string(path)?.trim_end().to_owned())
}

/// The link `/proc/self/ns/pid` reads `pid:[4026531836]`.
fn pid_namespace() -> io::Result<u64> {
    let link = fs::read_link("/proc/self/ns/pid")?;
    link.to_str()
        .and_then(|text| text.strip_prefix("pid:[")?.strip_suffix(']')?.parse().ok())
        .ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("/proc/self/ns/pid reads {}", link.display()),
            )
        })
}

fn threads(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}

/// Fields 3 and 22 of `/proc/PID/stat`. Field 2, the name, stands in parentheses and may hold anything, so counting starts behind the last one.
fn state_and_start_time(stat: &[u8]) -> Option<(u8, u64)> {
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let text = std::str::from_utf8(&stat[after_name..]).ok()?;
    let mut fields = text.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let start_time = fields.nth(18)?.parse().ok()?;
    Some((state, start_time))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn this_process_runs_and_differs_from_one_with_another_start_time() {
        let own = this_process().unwrap();
        assert_eq!(look_for(&own).unwrap(), ProcessState::Runs);
        let earlier = ProcessIdentity {
            start_time: own.start_time + 1,
            ..own.clone()
        };
        assert_eq!(look_for(&earlier).unwrap(), ProcessState::Gone);
        let other_boot = ProcessIdentity {
            boot_id: "00000000-0000-0000-0000-000000000000".to_owned(),
            ..own.clone()
        };
        assert_eq!(look_for(&other_boot).unwrap(), ProcessState::OtherBoot);
        let other_namespace = ProcessIdentity {
            pid_namespace: 1,
            ..own.clone()
        };
        assert_eq!(look_for(&other_namespace).unwrap(), ProcessState::Unknown);
        for pid in [0, PID_MAX + 1, u32::MAX] {
            let impossible = ProcessIdentity { pid, ..own.clone() };
            assert_eq!(look_for(&impossible).unwrap(), ProcessState::Unknown, "pid {pid}");
        }
    }

    #[test]
    fn a_killed_process_is_gone_before_and_after_its_parent_reaps_it() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let stat = fs::read(format!("/proc/{}/stat", child.id())).unwrap();
        let (_, start_time) = state_and_start_time(&stat).unwrap();
        let identity = ProcessIdentity {
            pid: child.id(),
            start_time,
            ..this_process().unwrap()
        };
        assert_eq!(look_for(&identity).unwrap(), ProcessState::Runs);
        child.kill().unwrap();
        // Dies at its own pace; `wait` is only called after it was seen as gone while still a zombie.
        while look_for(&identity).unwrap() != ProcessState::Gone {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert_eq!(look_for(&identity).unwrap(), ProcessState::Gone);
    }

    #[test]
    fn a_process_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let stat = b"12 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20 21";
        assert_eq!(state_and_start_time(stat), Some((b'S', 777)));
        assert_eq!(state_and_start_time(b"12 (a) S 1"), None);
        assert_eq!(state_and_start_time(b""), None);
    }
}
