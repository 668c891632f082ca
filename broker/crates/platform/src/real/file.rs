//! One open file: reads, writes, reservation, locks.
//!
//! Invariants: what is opened direct is only ever moved in whole blocks from aligned memory; a write either wrote everything or is an error.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};

use bytes::Bytes;
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, FcntlArg, fallocate, fcntl};
use nix::libc;

use super::errors::{errno_of, found, system, uninterrupted};
use super::file_system::Way;
use crate::{BLOCK_BYTES, Blocks, Class, DiskError, DiskErrorKind, Outcome};

/// Zeros written at once when space is reserved by writing.
const ZEROS_BYTES: usize = 1024 * 1024;
/// Above this, a read first asks how long the file is, so that a wrong length costs no memory.
const UNCHECKED_READ_BYTES: usize = 2 * 1024 * 1024;

/// An open file and how it must be handled.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) file: File,
    /// For people.
    pub(super) path: String,
    pub(super) class: Class,
    pub(super) way: Way,
    /// Whether this descriptor really is `O_DIRECT`.
    pub(super) direct: bool,
}

impl OpenFile {
    pub(super) fn length(&self) -> Result<u64, DiskError> {
        self.metadata().map(|metadata| metadata.len())
    }

    pub(super) fn measure(&self) -> Result<Outcome, DiskError> {
        self.metadata().map(|metadata| Outcome::Length {
            bytes: metadata.len(),
            names: metadata.nlink(),
        })
    }

    fn metadata(&self) -> Result<std::fs::Metadata, DiskError> {
        self.file
            .metadata()
            .map_err(|error| self.failed("measure", errno_of(&error)))
    }

    /// Reads up to `length` bytes at `offset`; fewer only where the file ends.
    pub(super) fn read(&self, offset: u64, length: usize) -> Result<Bytes, DiskError> {
        let mut length = length;
        if length > UNCHECKED_READ_BYTES {
            let left = self.length()?.saturating_sub(offset);
            length = length.min(usize::try_from(left).unwrap_or(usize::MAX));
        }
        if length == 0 {
            return Ok(Bytes::new());
        }
        let Some(end) = offset.checked_add(length as u64) else {
            return Err(self.failed("read", Errno::EINVAL));
        };
        let block = BLOCK_BYTES as u64;
        // Direct: whole blocks around what is wanted. Through the cache: just that.
        let (start, stop) = if self.direct {
            (offset / block * block, end.next_multiple_of(block))
        } else {
            (offset, end)
        };
        let wanted = usize::try_from(stop - start).map_err(|_| self.failed("read", Errno::EINVAL))?;
        let mut blocks = Blocks::zeroed(wanted);
        let filled = self.fill(&mut blocks, start)?;
        let skip = (offset - start) as usize;
        let upto = filled.min(skip + length);
        Ok(part_of(blocks, skip, upto))
    }

    /// Reads until the buffer is full or the file ends; gives the bytes read.
    fn fill(&self, blocks: &mut Blocks, start: u64) -> Result<usize, DiskError> {
        let mut filled = 0;
        while filled < blocks.len() {
            let got = uninterrupted(|| {
                self.file
                    .read_at(&mut blocks[filled..], start + filled as u64)
                    .map_err(|error| errno_of(&error))
            })
            .map_err(|errno| self.failed("read", errno))?;
            if got == 0 {
                break;
            }
            let before = filled;
            filled += got;
            if self.direct && !filled.is_multiple_of(BLOCK_BYTES) {
                // The next direct read must start on a block. Mostly this is simply the end of the file.
                if start + filled as u64 >= self.length()? {
                    break;
                }
                filled = filled / BLOCK_BYTES * BLOCK_BYTES;
                if filled <= before {
                    return Err(found(
                        DiskErrorKind::Failed,
                        "read",
                        &self.path,
                        "the system keeps returning parts of a block",
                    ));
                }
            }
        }
        Ok(filled)
    }

    /// Writes all of `bytes` at `offset`.
    pub(super) fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let whole = offset.is_multiple_of(BLOCK_BYTES as u64) && bytes.len().is_multiple_of(BLOCK_BYTES);
        match self.class {
            Class::Cell | Class::Segment if !whole => {
                let detail = format!(
                    "{} bytes at offset {offset} are not whole blocks of {BLOCK_BYTES} bytes",
                    bytes.len()
                );
                return Err(found(DiskErrorKind::Failed, "write", &self.path, detail));
            }
            Class::Cell | Class::Segment | Class::Plain => {}
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let written = uninterrupted(|| self.file.write_at(bytes, offset).map_err(|error| errno_of(&error)))
            .map_err(|errno| self.failed("write", errno))?;
        self.complete(offset, bytes.len(), written)
    }

    /// A write that ended short found no room for the rest; how much landed is of no use to anybody, because the whole is written again.
    fn complete(&self, offset: u64, wanted: usize, written: usize) -> Result<(), DiskError> {
        if written == wanted {
            return Ok(());
        }
        let detail = format!("only {written} of {wanted} bytes at offset {offset} were written: no space left");
        Err(found(DiskErrorKind::NoSpace, "write", &self.path, detail))
    }

    /// Makes the file at least `length` bytes long with its space reserved; on failure it has its former length again.
    pub(super) fn reserve(&self, length: u64) -> Result<(), DiskError> {
        let before = self.length()?;
        if before > 0 && length > 0 {
            self.allocate(0, before.min(length))?;
        }
        if length <= before {
            return Ok(());
        }
        let reserved = if self.way.zero_written {
            self.write_zeros(before, length)
        } else {
            match self.allocate(before, length - before) {
                Ok(true) => Ok(()),
                Ok(false) => self.write_zeros(before, length),
                Err(error) => Err(error),
            }
        };
        if reserved.is_err() {
            // What was taken so far must not stay taken. If even this fails, the first error is still the one to tell.
            let _ = self.file.set_len(before);
        }
        reserved
    }

    /// Whether the file system allocated the range; `false` if it has no such thing.
    fn allocate(&self, offset: u64, length: u64) -> Result<bool, DiskError> {
        let (Ok(from), Ok(bytes)) = (i64::try_from(offset), i64::try_from(length)) else {
            return Err(self.failed("reserve", Errno::EFBIG));
        };
        match uninterrupted(|| fallocate(&self.file, FallocateFlags::empty(), from, bytes)) {
            Ok(()) => Ok(true),
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(false),
            Err(errno) => Err(self.failed("reserve", errno)),
        }
    }

    fn write_zeros(&self, before: u64, length: u64) -> Result<(), DiskError> {
        let block = BLOCK_BYTES as u64;
        let start = before.next_multiple_of(block);
        let Some(end) = length.checked_next_multiple_of(block) else {
            return Err(self.failed("reserve", Errno::EFBIG));
        };
        // The rest of the last block reads as zero once the length covers it, and its space is already taken.
        self.set_length(start.min(length))?;
        let zeros = Blocks::zeroed(ZEROS_BYTES);
        let mut offset = start;
        while offset < end {
            let bytes = usize::try_from(end - offset).unwrap_or(ZEROS_BYTES).min(ZEROS_BYTES);
            self.write(offset, &zeros[..bytes])?;
            offset += bytes as u64;
        }
        self.set_length(length)
    }

    pub(super) fn set_length(&self, length: u64) -> Result<(), DiskError> {
        uninterrupted(|| self.file.set_len(length).map_err(|error| errno_of(&error)))
            .map_err(|errno| self.failed("set the length of", errno))
    }

    pub(super) fn sync(&self) -> Result<(), DiskError> {
        uninterrupted(|| self.file.sync_all().map_err(|error| errno_of(&error)))
            .map_err(|errno| self.failed("sync", errno))
    }

    /// Tries to take the write lock on the whole file.
    pub(super) fn lock(&self) -> Result<bool, DiskError> {
        match uninterrupted(|| fcntl(&self.file, FcntlArg::F_OFD_SETLK(&whole_file()))) {
            Ok(_) => Ok(true),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
            Err(errno) => Err(self.failed("lock", errno)),
        }
    }

    /// Whether somebody else, this process's other descriptors included, holds a lock.
    pub(super) fn test_lock(&self) -> Result<bool, DiskError> {
        let mut lock = whole_file();
        uninterrupted(|| fcntl(&self.file, FcntlArg::F_OFD_GETLK(&mut lock)))
            .map_err(|errno| self.failed("test the lock of", errno))?;
        Ok(i32::from(lock.l_type) != libc::F_UNLCK)
    }

    fn failed(&self, operation: &'static str, errno: Errno) -> DiskError {
        system(operation, &self.path, errno)
    }
}

/// A write lock from the first byte to wherever the file ends; an open-file-description lock has no process id.
fn whole_file() -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

/// What was wanted of the blocks around it. A small part is copied: whoever keeps it (a cache of small bodies) must not keep the blocks.
fn part_of(blocks: Blocks, from: usize, upto: usize) -> Bytes {
    if upto <= from {
        Bytes::new()
    } else if (upto - from) * 2 < blocks.len() {
        Bytes::copy_from_slice(&blocks[from..upto])
    } else {
        Bytes::from_owner(blocks).slice(from..upto)
    }
}

#[cfg(test)]
mod tests {
    use super::super::file_system::way;
    use super::*;
    use crate::FileSystem;

    fn plain() -> OpenFile {
        OpenFile {
            file: tempfile::tempfile().unwrap(),
            path: "a".to_owned(),
            class: Class::Plain,
            way: way(Class::Plain, &FileSystem::Local),
            direct: false,
        }
    }

    #[test]
    fn a_short_write_means_no_space() {
        let error = plain().complete(4096, 8192, 4096).unwrap_err();
        assert_eq!(error.kind, DiskErrorKind::NoSpace);
        assert!(
            error.to_string().contains("only 4096 of 8192 bytes at offset 4096"),
            "{error}"
        );
        assert!(plain().complete(0, 1, 1).is_ok());
    }

    #[test]
    fn space_is_reserved_and_zero_whether_allocated_or_written() {
        for zero_written in [false, true] {
            let mut file = plain();
            file.way.zero_written = zero_written;
            file.write(0, &[7; 5000]).unwrap();
            // Beyond one step of zeros, and not a whole number of blocks.
            let length = ZEROS_BYTES as u64 + 10_001;
            file.reserve(length).unwrap();
            assert_eq!(file.length().unwrap(), length);
            let bytes = file.read(0, 4 * ZEROS_BYTES).unwrap();
            assert_eq!(bytes.len() as u64, length);
            assert!(bytes[..5000].iter().all(|byte| *byte == 7) && bytes[5000..].iter().all(|byte| *byte == 0));
            file.reserve(10).unwrap();
            assert_eq!(file.length().unwrap(), length, "reserving less never cuts");
            use std::os::unix::fs::MetadataExt;
            assert!(file.file.metadata().unwrap().blocks() * 512 >= length);
        }
    }

    #[test]
    fn a_read_of_an_absurd_length_takes_no_memory_for_it() {
        let file = plain();
        file.write(0, b"abc").unwrap();
        assert_eq!(&file.read(1, usize::MAX / 2).unwrap()[..], b"bc");
        assert_eq!(
            &file.read(u64::MAX, 1).map_err(|error| error.kind),
            &Err(DiskErrorKind::Failed)
        );
        assert!(file.read(100, usize::MAX).unwrap().is_empty());
    }

    /// Kept whole, they let a body cache of 32 MiB, full of small bodies, take a gibibyte.
    #[test]
    fn a_small_part_does_not_keep_the_blocks_around_it() {
        let of = |upto: usize| {
            let blocks = Blocks::zeroed(2 * BLOCK_BYTES);
            let memory = blocks.as_ptr_range();
            let part = part_of(blocks, 100, upto);
            assert_eq!(part.len(), upto - 100);
            memory.contains(&part.as_ptr())
        };
        assert!(!of(250));
        assert!(of(2 * BLOCK_BYTES - 100), "most of them is handed on as it is");
    }
}
