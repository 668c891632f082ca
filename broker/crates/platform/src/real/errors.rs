//! From the system's error numbers to the few kinds that callers tell apart.

use std::io;

use nix::errno::Errno;

use crate::{DiskError, DiskErrorKind};

/// What an error number asks of the caller.
pub(super) fn kind_of(errno: Errno) -> DiskErrorKind {
    match errno {
        Errno::ENOENT => DiskErrorKind::NotFound,
        Errno::EEXIST => DiskErrorKind::Exists,
        Errno::ENOSPC | Errno::EDQUOT => DiskErrorKind::NoSpace,
        Errno::ESTALE => DiskErrorKind::Stale,
        Errno::EACCES | Errno::EPERM | Errno::EROFS => DiskErrorKind::Denied,
        // An open set of numbers: whatever is not named above is final.
        _ => DiskErrorKind::Failed,
    }
}

/// The error number inside a standard error; EIO if it carries none.
pub(super) fn errno_of(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// A system call's failure.
pub(super) fn system(operation: &'static str, path: &str, errno: Errno) -> DiskError {
    DiskError {
        kind: kind_of(errno),
        operation,
        path: path.to_owned(),
        detail: io::Error::from(errno).to_string(),
    }
}

/// A failure that we found ourselves.
pub(super) fn found(kind: DiskErrorKind, operation: &'static str, path: &str, detail: impl Into<String>) -> DiskError {
    DiskError {
        kind,
        operation,
        path: path.to_owned(),
        detail: detail.into(),
    }
}

/// Repeats a call that a signal interrupted.
pub(super) fn uninterrupted<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_number_has_the_kind_that_its_caller_must_act_on() {
        for (errno, kind) in [
            (Errno::ENOENT, DiskErrorKind::NotFound),
            (Errno::EEXIST, DiskErrorKind::Exists),
            (Errno::ENOSPC, DiskErrorKind::NoSpace),
            (Errno::EDQUOT, DiskErrorKind::NoSpace),
            (Errno::ESTALE, DiskErrorKind::Stale),
            (Errno::EACCES, DiskErrorKind::Denied),
            (Errno::EPERM, DiskErrorKind::Denied),
            (Errno::EROFS, DiskErrorKind::Denied),
            (Errno::EIO, DiskErrorKind::Failed),
            (Errno::EINVAL, DiskErrorKind::Failed),
            (Errno::EFBIG, DiskErrorKind::Failed),
        ] {
            assert_eq!(kind_of(errno), kind, "{errno}");
        }
    }

    #[test]
    fn an_error_names_operation_path_and_the_systems_words() {
        let error = system("write", "/data/journal/00000001-00000001", Errno::ENOSPC);
        let text = error.to_string();
        assert!(text.starts_with("write /data/journal/00000001-00000001: "), "{text}");
        assert!(text.contains("No space left on device"), "{text}");
    }

    #[test]
    fn an_interrupted_call_is_made_again() {
        let mut calls = 0;
        let result = uninterrupted(|| {
            calls += 1;
            if calls < 3 { Err(Errno::EINTR) } else { Ok(calls) }
        });
        assert_eq!(result, Ok(3));
    }
}
