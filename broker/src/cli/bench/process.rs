//! What a process on this machine uses, as /proc tells it.

use serde::Serialize;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;

/// Kernel ticks per second in /proc: `USER_HZ`, 100 on every architecture that we build for.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a process uses at a moment. What the system does not tell this user is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    /// Resident memory, in bytes.
    pub(super) rss_bytes: Option<u64>,
    /// The most that it ever was, in bytes.
    pub(super) rss_peak_bytes: Option<u64>,
    /// Processor time of all threads, in seconds.
    pub(super) cpu_seconds: Option<f64>,
    /// Bytes given to the disk.
    pub(super) written_bytes: Option<u64>,
    /// How often one of its present threads went to sleep.
    pub(super) sleeps: Option<u64>,
}

/// What it used in the measured part of a run, and its memory around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct UsageReport {
    pub(super) pid: Option<u32>,
    pub(super) rss_before_bytes: Option<u64>,
    pub(super) rss_after_bytes: Option<u64>,
    pub(super) rss_peak_bytes: Option<u64>,
    pub(super) cpu_seconds: Option<f64>,
    pub(super) written_bytes: Option<u64>,
    pub(super) sleeps: Option<u64>,
}

/// A process that is watched, if there is one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watched {
    pid: Option<u32>,
}

impl Watched {
    /// `asked`: by its number on the command line, where it has to exist.
    pub(super) fn new(asked: Option<u32>, known: Option<u32>) -> Result<Watched, Failure> {
        let exists = |pid: &u32| std::fs::metadata(format!("/proc/{pid}")).is_ok();
        if let Some(pid) = asked
            && !exists(&pid)
        {
            return Err(Failure::new(
                Exit::Usage,
                format!("there is no process {pid}"),
                "--pid",
                "give the process id of a broker on this machine, or leave it out",
            ));
        }
        Ok(Watched {
            pid: asked.or(known.filter(exists)),
        })
    }

    pub(super) fn usage(self) -> Usage {
        self.pid.map_or(Usage::default(), usage)
    }

    /// `before` and `after` everything; `begin` and `end` of the measured part.
    pub(super) fn report(self, before: Usage, begin: Usage, end: Usage, after: Usage) -> UsageReport {
        let difference = |end: Option<u64>, begin: Option<u64>| Some(end?.saturating_sub(begin?));
        UsageReport {
            pid: self.pid,
            rss_before_bytes: before.rss_bytes,
            rss_after_bytes: after.rss_bytes,
            rss_peak_bytes: after.rss_peak_bytes,
            cpu_seconds: end.cpu_seconds.zip(begin.cpu_seconds).map(|(end, begin)| end - begin),
            written_bytes: difference(end.written_bytes, begin.written_bytes),
            sleeps: difference(end.sleeps, begin.sleeps),
        }
    }
}

fn usage(pid: u32) -> Usage {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let status = read("status");
    let kibibytes = |name: &str| Some(field(&status, name)? * 1024);
    let mut sleeps = None;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        if let Some(count) = field(&status, "voluntary_ctxt_switches") {
            *sleeps.get_or_insert(0) += count;
        }
    }
    Usage {
        rss_bytes: kibibytes("VmRSS"),
        rss_peak_bytes: kibibytes("VmHWM"),
        cpu_seconds: cpu_seconds(&read("stat")),
        written_bytes: field(&read("io"), "write_bytes"),
        sleeps,
    }
}

/// The number behind `name:`.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// User and system time in /proc/PID/stat, where the name in parentheses may hold anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some((ticks()? + ticks()?) as f64 / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_threads() {
        let usage = Watched::new(None, Some(std::process::id())).unwrap().usage();
        assert!(usage.rss_bytes.unwrap() > 100_000, "{usage:?}");
        assert!(usage.rss_peak_bytes >= usage.rss_bytes);
        assert!(usage.cpu_seconds.is_some() && usage.sleeps.is_some());
    }

    #[test]
    fn a_process_that_is_not_there_is_refused_if_it_was_asked_for_and_else_passed_over() {
        assert_eq!(Watched::new(Some(u32::MAX), None).unwrap_err().exit, Exit::Usage);
        assert_eq!(Watched::new(None, Some(u32::MAX)).unwrap().usage(), Usage::default());
    }

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 5 100 3";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(cpu_seconds("nothing"), None);
        assert_eq!(field("VmRSS:\t  12 kB\n", "VmRSS"), Some(12));
    }
}
