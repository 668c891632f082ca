//! Names below the data directory, reached through one descriptor that stays open.
//!
//! Invariant: a name never leaves the directory: no absolute path, no `..`, no symbolic link at its end.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::stat::{Mode, SFlag, fstatat, mkdirat};
use nix::sys::statvfs::{FsFlags, fstatvfs};
use nix::unistd::{AccessFlags, Uid, UnlinkatFlags, faccessat, fsync, linkat, unlinkat};

use super::OpenError;
use super::errors::{errno_of, found, system, uninterrupted};
use crate::{DiskError, DiskErrorKind, Open, Space};

/// The data directory.
#[derive(Debug)]
pub(super) struct Directory {
    descriptor: OwnedFd,
    path: PathBuf,
}

impl Directory {
    /// Opens the data directory, making it if it is missing, and sees that this user may use it.
    pub(super) fn open(root: &Path) -> Result<Directory, OpenError> {
        make(root)?;
        let path = root
            .canonicalize()
            .map_err(|error| classify(root, "find", errno_of(&error)))?;
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let descriptor =
            uninterrupted(|| open(&path, flags, Mode::empty())).map_err(|errno| classify(&path, "open", errno))?;
        let may = |access, words| match faccessat(descriptor.as_fd(), ".", access, AtFlags::AT_EACCESS) {
            Ok(()) => Ok(()),
            Err(Errno::EROFS) => Err(OpenError::ReadOnly { path: path.clone() }),
            Err(Errno::EACCES | Errno::EPERM) => Err(denied(&path, words, Errno::EACCES)),
            Err(errno) => Err(classify(&path, "check access to", errno)),
        };
        may(AccessFlags::X_OK, "entered")?;
        may(AccessFlags::W_OK, "written")?;
        // root is let through by the access check even where the mount is read-only on some file systems.
        let read_only = fstatvfs(&descriptor).is_ok_and(|status| status.flags().contains(FsFlags::ST_RDONLY));
        if read_only {
            return Err(OpenError::ReadOnly { path });
        }
        Ok(Directory { descriptor, path })
    }

    /// The absolute path, for people and for the mount table.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The whole name of something in here, for people.
    pub(super) fn full(&self, relative: &str) -> String {
        match relative {
            "" => self.path.display().to_string(),
            _ => self.path.join(relative).display().to_string(),
        }
    }

    /// Opens a regular file; `flags` are those of its class.
    pub(super) fn open_file(&self, relative: &str, how: Open, flags: OFlag) -> Result<File, Errno> {
        check(relative)?;
        let how = match how {
            Open::Read => OFlag::O_RDONLY,
            Open::Write => OFlag::O_RDWR,
            Open::Create => OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL,
        };
        let flags = how | flags | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NOCTTY;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        uninterrupted(|| openat(&self.descriptor, relative, flags, mode)).map(File::from)
    }

    fn open_directory(&self, relative: &str) -> Result<OwnedFd, Errno> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let name = if relative.is_empty() {
            "."
        } else {
            check(relative)?;
            relative
        };
        uninterrupted(|| openat(&self.descriptor, name, flags, Mode::empty()))
    }

    pub(super) fn sync(&self, relative: &str) -> Result<(), DiskError> {
        self.open_directory(relative)
            .and_then(|directory| uninterrupted(|| fsync(&directory)))
            .map_err(|errno| system("sync directory", &self.full(relative), errno))
    }

    pub(super) fn create_directory(&self, relative: &str) -> Result<(), DiskError> {
        let failed = |errno| system("create directory", &self.full(relative), errno);
        check(relative).map_err(failed)?;
        match uninterrupted(|| mkdirat(&self.descriptor, relative, Mode::S_IRWXU)) {
            Ok(()) => Ok(()),
            Err(Errno::EEXIST) => {
                let there = fstatat(&self.descriptor, relative, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(failed)?;
                if there.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits() {
                    Ok(())
                } else {
                    Err(failed(Errno::EEXIST))
                }
            }
            Err(errno) => Err(failed(errno)),
        }
    }

    pub(super) fn link(&self, from: &str, to: &str) -> Result<(), DiskError> {
        check(from)
            .and_then(|()| check(to))
            .and_then(|()| uninterrupted(|| linkat(&self.descriptor, from, &self.descriptor, to, AtFlags::empty())))
            // The new name is the one that may be taken; the old one the one that may be missing.
            .map_err(|errno| system("link", &self.full(if errno == Errno::ENOENT { from } else { to }), errno))
    }

    pub(super) fn unlink(&self, relative: &str) -> Result<(), DiskError> {
        check(relative)
            .and_then(|()| uninterrupted(|| unlinkat(&self.descriptor, relative, UnlinkatFlags::NoRemoveDir)))
            .map_err(|errno| system("unlink", &self.full(relative), errno))
    }

    /// The names in a directory, sorted; bytes that are not UTF-8 (never ours) show as replacement characters.
    pub(super) fn list(&self, relative: &str) -> Result<Vec<String>, DiskError> {
        let failed = |errno| system("list", &self.full(relative), errno);
        let directory = self.open_directory(relative).map_err(failed)?;
        let entries = std::fs::read_dir(through(&directory)).map_err(|error| failed(errno_of(&error)))?;
        let mut names = entries
            .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<Vec<_>>>()
            .map_err(|error| failed(errno_of(&error)))?;
        names.sort_unstable();
        Ok(names)
    }

    pub(super) fn space(&self) -> Result<Space, DiskError> {
        let path = through(&self.descriptor);
        let failed = |error: io::Error| system("measure the space of", &self.full(""), errno_of(&error));
        Ok(Space {
            available: fs2::available_space(&path).map_err(failed)?,
            total: fs2::total_space(&path).map_err(failed)?,
        })
    }

    pub(super) fn descriptor(&self) -> &OwnedFd {
        &self.descriptor
    }

    /// What is no regular file is never read or written.
    pub(super) fn not_regular(&self, operation: &'static str, relative: &str) -> DiskError {
        found(
            DiskErrorKind::Failed,
            operation,
            &self.full(relative),
            "it is not a regular file",
        )
    }
}

/// A path by which calls that only take paths reach an open directory.
fn through(directory: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()))
}

/// Refuses names that would leave the directory, or name the directory itself, as the system refuses bad arguments.
fn check(relative: &str) -> Result<(), Errno> {
    let bad = |part: &str| part.is_empty() || part == "." || part == ".." || part.contains('\0');
    if relative.split('/').any(bad) {
        Err(Errno::EINVAL)
    } else {
        Ok(())
    }
}

/// Makes the directory if it is missing; only this user may enter it. Its parent must exist: a mistyped path, or a file system that is not mounted, must not become a new, empty broker.
fn make(root: &Path) -> Result<(), OpenError> {
    match std::fs::metadata(root) {
        Ok(metadata) if metadata.is_dir() => return Ok(()),
        Ok(_) => return Err(OpenError::NotADirectory { path: root.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(classify(root, "look at", errno_of(&error))),
    }
    match std::fs::DirBuilder::new().mode(0o700).create(root) {
        Ok(()) => Ok(()),
        Err(error) if errno_of(&error) == Errno::ENOTDIR => Err(classify(root, "create", Errno::ENOTDIR)),
        Err(error) => Err(OpenError::MayNotCreate {
            path: root.to_owned(),
            detail: error.to_string(),
        }),
    }
}

fn denied(path: &Path, access: &'static str, errno: Errno) -> OpenError {
    let detail = io::Error::from(errno).to_string();
    OpenError::Denied {
        path: path.to_owned(),
        access,
        user: Uid::effective().as_raw(),
        detail,
    }
}

fn classify(path: &Path, operation: &'static str, errno: Errno) -> OpenError {
    match errno {
        Errno::ENOTDIR => {
            // Name the part of the path that is in the way.
            let culprit = path
                .ancestors()
                .find(|part| part.metadata().is_ok_and(|found| !found.is_dir()));
            OpenError::NotADirectory {
                path: culprit.unwrap_or(path).to_owned(),
            }
        }
        Errno::EACCES | Errno::EPERM => denied(path, "listed", errno),
        // No disk has failed: the path can name no directory.
        Errno::ELOOP | Errno::ENAMETOOLONG => OpenError::NoPath {
            path: path.to_owned(),
            detail: io::Error::from(errno).to_string(),
        },
        // An open set of numbers: the system's words say the rest.
        other => OpenError::System {
            path: path.to_owned(),
            operation,
            detail: io::Error::from(other).to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_the_directory_are_refused() {
        for name in ["", "/etc/passwd", "..", "a/../b", "a//b", "./a", "a/", "a\0b"] {
            assert_eq!(check(name), Err(Errno::EINVAL), "{name:?}");
        }
        for name in ["FORMAT", "epochs/00000007", "..a", "a..b/c"] {
            assert_eq!(check(name), Ok(()), "{name:?}");
        }
    }
}
