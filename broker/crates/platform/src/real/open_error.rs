//! Why a data directory cannot be used.

use std::path::{Path, PathBuf};

/// Why [`RealDisk::open`](super::RealDisk::open) refused: its words say what and where, [`OpenError::what_to_do`] the rest.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The path, or something on the way to it, is no directory.
    #[error("{} is not a directory", path.display())]
    NotADirectory {
        /// What is no directory.
        path: PathBuf,
    },
    /// The path leads nowhere: a loop of symbolic links, a name that is too long.
    #[error("{} leads to no directory: {detail}", path.display())]
    NoPath {
        /// The path.
        path: PathBuf,
        /// The system's own words.
        detail: String,
    },
    /// The directory is missing and may not be made.
    #[error("{} does not exist and cannot be created: {detail}", path.display())]
    MayNotCreate {
        /// The directory.
        path: PathBuf,
        /// The system's own words.
        detail: String,
    },
    /// The directory is there, and this user may not list, enter or write it.
    #[error("{} may not be {access} by user id {user}: {detail}", path.display())]
    Denied {
        /// The directory.
        path: PathBuf,
        /// What this user may not do.
        access: &'static str,
        /// The user id that the broker runs as.
        user: u32,
        /// The system's own words.
        detail: String,
    },
    /// The directory lies on a file system mounted read-only.
    #[error("{} lies on a read-only file system", path.display())]
    ReadOnly {
        /// The directory.
        path: PathBuf,
    },
    /// The system failed in a way that is none of the above.
    #[error("{} cannot be opened ({operation}): {detail}", path.display())]
    System {
        /// The directory.
        path: PathBuf,
        /// What was tried.
        operation: &'static str,
        /// The system's own words.
        detail: String,
    },
    /// The I/O threads could not be started.
    #[error("cannot start the disk's threads: {detail}")]
    Threads {
        /// The system's own words.
        detail: String,
    },
}

impl OpenError {
    /// What a person can do about it.
    pub fn what_to_do(&self) -> &'static str {
        match self {
            OpenError::NotADirectory { .. } => "give a directory, or remove what stands there",
            OpenError::NoPath { .. } => "put the links right, or give another directory",
            OpenError::MayNotCreate { .. } => "create it, owned by the user that runs the broker, or give another",
            OpenError::Denied { .. } => "change its owner or mode, or run as its owner",
            OpenError::ReadOnly { .. } => "mount it read-write, or give another directory",
            OpenError::System { .. } => "look at the disk or mount, then start the broker again",
            OpenError::Threads { .. } => "raise the limit of processes (ulimit -u, TasksMax)",
        }
    }

    /// The directory, or what stands in its way; `None`: it is not about one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            OpenError::NotADirectory { path }
            | OpenError::MayNotCreate { path, .. }
            | OpenError::Denied { path, .. }
            | OpenError::ReadOnly { path }
            | OpenError::NoPath { path, .. }
            | OpenError::System { path, .. } => Some(path),
            OpenError::Threads { .. } => None,
        }
    }
}
