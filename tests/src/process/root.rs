//! What needs root: small file systems, and faults that strace puts into another process's system calls.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Why something cannot be done here; a test says so and ends.
#[derive(Clone, Debug)]
pub struct Unavailable(pub String);

impl Unavailable {
    /// Says so past the test runner's capture: what was not shown must be seen in the log.
    pub fn skip(&self, test: &str) {
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {}", self.0);
    }
}

/// A file system of its own in memory. Unmounted when it is dropped.
#[derive(Debug)]
pub struct SmallFileSystem {
    directory: tempfile::TempDir,
}

impl SmallFileSystem {
    /// Mounts one of this many bytes.
    ///
    /// # Errors
    /// Without the right to mount.
    pub fn mount(bytes: u64) -> Result<SmallFileSystem, Unavailable> {
        let directory = tempfile::tempdir().map_err(|error| Unavailable(error.to_string()))?;
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(directory.path())
            .output()
            .map_err(|error| Unavailable(format!("mount: {error}")))?;
        if !output.status.success() {
            return Err(Unavailable(format!(
                "a tmpfs cannot be mounted: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            )));
        }
        Ok(SmallFileSystem { directory })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for SmallFileSystem {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.directory.path()).status();
    }
}

/// strace, attached to a process and putting faults into its system calls. Detached when it is dropped.
#[derive(Debug)]
pub struct Trace {
    child: Child,
}

impl Trace {
    /// Attaches to every thread of a process; `inject` is as in strace(1), such as `pwrite64:error=EIO:when=3+`.
    ///
    /// # Errors
    /// Without strace, or without the right to trace.
    pub fn attach(pid: u32, call: &str, inject: &str, output: &Path) -> Result<Trace, Unavailable> {
        let mut child = Command::new("strace")
            .args([
                "-f",
                "-p",
                &pid.to_string(),
                "-e",
                &format!("trace={call}"),
                "-e",
                &format!("inject={inject}"),
                "-o",
            ])
            .arg(output)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| Unavailable(format!("strace cannot be started: {error}")))?;
        // It says when it is attached, or why it cannot be.
        let mut stderr = child.stderr.take().expect("it is piped");
        let mut said = Vec::new();
        let mut byte = [0];
        while stderr.read(&mut byte).is_ok_and(|count| count == 1) {
            said.push(byte[0]);
            if byte[0] == b'\n' && String::from_utf8_lossy(&said).contains("attached") {
                // Nobody reads the rest; it ends with the process.
                std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
                return Ok(Trace { child });
            }
        }
        let _ = child.wait();
        Err(Unavailable(format!(
            "strace cannot attach: {}",
            String::from_utf8_lossy(&said).trim()
        )))
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where a program is, if it is installed.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}

/// Whether this process may become another user.
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self")
        .map(|own| std::os::unix::fs::MetadataExt::uid(&own))
        .is_ok_and(|user| user == 0)
}

/// Whether every directory above a file lets everybody through.
pub fn reachable_by_others(file: &Path) -> bool {
    let lets_through = |part: &Path| {
        let found = std::fs::metadata(part);
        found.is_ok_and(|found| std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o001 != 0)
    };
    file.ancestors().all(lets_through)
}
