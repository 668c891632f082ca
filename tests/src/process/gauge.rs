//! What a process takes from the machine: resident memory and processor time.

use std::fs;
use std::time::Duration;

/// Resident memory now, bytes.
///
/// # Panics
/// If there is no such process.
pub fn resident_bytes(pid: u32) -> u64 {
    status_bytes(pid, "VmRSS:")
}

/// The most that was resident at a time, bytes.
///
/// # Panics
/// If there is no such process.
pub fn resident_bytes_max(pid: u32) -> u64 {
    status_bytes(pid, "VmHWM:")
}

fn status_bytes(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.expect("every process has resident memory") << 10
}

/// What all threads of a process have used since its exec.
///
/// # Panics
/// If there is no such process.
pub fn processor_time(pid: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs");
    let used = threads.map(|thread| {
        let schedule = thread.map(|thread| fs::read_to_string(thread.path().join("schedstat")));
        // A thread may end meanwhile.
        let text = schedule.ok().and_then(Result::ok).unwrap_or_default();
        let nanoseconds = text.split(' ').next().and_then(|used| used.parse().ok());
        Duration::from_nanos(nanoseconds.unwrap_or(0))
    });
    used.sum()
}
