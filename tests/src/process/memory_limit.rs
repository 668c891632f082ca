//! A bound on a process's memory that the kernel enforces: a control group of its own.

use std::fs;
use std::path::{Path, PathBuf};

use super::Unavailable;

/// A control group with a limit of memory. Removed when it is dropped, if nobody is left in it.
#[derive(Debug)]
pub struct MemoryLimit {
    group: PathBuf,
}

impl MemoryLimit {
    /// A new group that may hold so many bytes.
    ///
    /// # Errors
    /// Without the right to make one, or without the controller.
    pub fn new(bytes: u64) -> Result<MemoryLimit, Unavailable> {
        let name = format!("holdfast-{}-{bytes}", std::process::id());
        let unavailable = |what: &str, error: std::io::Error| {
            Unavailable(format!("memory cannot be limited by a control group: {what}: {error}"))
        };
        let (first, second) = (Path::new("/sys/fs/cgroup/memory"), Path::new("/sys/fs/cgroup"));
        let (group, file) = if first.join("memory.limit_in_bytes").exists() {
            (first.join(name), "memory.limit_in_bytes")
        } else {
            (second.join(name), "memory.max")
        };
        fs::create_dir(&group).map_err(|error| unavailable(&group.display().to_string(), error))?;
        let limit = MemoryLimit { group };
        let file = limit.group.join(file);
        // Opened and not made: without the controller the file is not there, and must not be made as an ordinary one.
        let write = fs::OpenOptions::new()
            .write(true)
            .open(&file)
            .and_then(|mut open| std::io::Write::write_all(&mut open, bytes.to_string().as_bytes()));
        write.map_err(|error| unavailable(&file.display().to_string(), error))?;
        Ok(limit)
    }

    /// What a shell does to enter it.
    pub fn enter(&self) -> String {
        format!("echo $$ > {}", self.group.join("cgroup.procs").display())
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        // One that is not empty stays; its processes end with the test.
        let _ = fs::remove_dir(&self.group);
    }
}
