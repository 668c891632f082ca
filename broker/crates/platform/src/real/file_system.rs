//! Which file system holds the data, and how each class of file is opened on it.
//!
//! Both are tables, below; the tests go through every line. On one machine the page cache is the one truth that all processes share, so cells may go
//! through it. On a shared mount only direct I/O asks the server: a fence cell read from a cache would let two leaders confirm.

use std::os::fd::AsFd;
use std::path::Path;

use nix::sys::statfs::fstatfs;

use crate::{Class, FileSystem};

/// The file systems whose statfs magic number we know: number, name, and whether one machine alone can mount it.
///
/// Local are those that the design names and the tests run on (ext2 and ext3 share ext4's number). ZFS is not among them: its
/// direct I/O is young and its preallocation reserves nothing, and nobody here has measured it. FUSE can be anything.
const KNOWN: &[(i64, &str, bool)] = &[
    (0xef53, "ext4", true),
    (0x5846_5342, "xfs", true),
    (0x9123_683e, "btrfs", true),
    (0x0102_1994, "tmpfs", true),
    (0x794c_7630, "overlay", true),
    (0x2fc1_2fc1, "zfs", false),
    (0xf2f5_2010, "f2fs", false),
    (0x6573_5546, "fuse", false),
    (0xff53_4d42, "cifs", false),
    (0xfe53_4d42, "smb2", false),
    (0x517b, "smb", false),
    (0x00c3_6400, "ceph", false),
    (0x5346_414f, "afs", false),
    (0x0102_1997, "9p", false),
    (0x0bd0_0bd0, "lustre", false),
    (0x4750_4653, "gpfs", false),
    (0x7461_636f, "ocfs2", false),
    (0x0116_1970, "gfs2", false),
    (0x4d44, "vfat", false),
    (0x2011_bab0, "exfat", false),
    (0x5346_544e, "ntfs", false),
    (0x8584_58f6, "ramfs", false),
    (0x00c0_ffee, "hostfs", false),
];

/// `statfs`'s number for every version of NFS.
const NFS: i64 = 0x6969;

/// Classifies the file system of an open directory whose absolute path is `path`.
pub(super) fn classify(directory: impl AsFd, path: &Path) -> nix::Result<FileSystem> {
    // Some architectures give the number as a signed 32-bit word.
    let magic = fstatfs(directory)?.filesystem_type().0 as i64 & 0xffff_ffff;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    Ok(of_magic(magic, mount_type(&mounts, path).as_deref()))
}

/// The table's answer; `mounted_as` is the type that the mount table shows, which tells NFS versions and FUSE programs apart.
fn of_magic(magic: i64, mounted_as: Option<&str>) -> FileSystem {
    if magic == NFS {
        return match mounted_as {
            Some("nfs4") => FileSystem::Nfs4,
            Some("nfs") => FileSystem::Unknown("nfs version 3 or older".to_owned()),
            Some(other) => FileSystem::Unknown(format!("nfs mounted as {other}")),
            None => FileSystem::Unknown("nfs of unknown version".to_owned()),
        };
    }
    match KNOWN.iter().find(|(number, _, _)| *number == magic) {
        Some((_, _, true)) => FileSystem::Local,
        Some((_, "fuse", false)) => FileSystem::Unknown(mounted_as.unwrap_or("fuse").to_owned()),
        Some((_, name, false)) => FileSystem::Unknown((*name).to_owned()),
        None => match mounted_as {
            Some(name) => FileSystem::Unknown(name.to_owned()),
            None => FileSystem::Unknown(format!("magic number {magic:#x}")),
        },
    }
}

/// The type of the mount that holds `path`, from the text of `/proc/self/mountinfo`: the longest mount point above it, and of equal ones the last, which lies on top.
fn mount_type(mounts: &str, path: &Path) -> Option<String> {
    let mut best: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        // ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAG…] - TYPE SOURCE OPTIONS (proc(5))
        let Some((before, after)) = line.split_once(" - ") else {
            continue;
        };
        let (Some(point), Some(kind)) = (before.split(' ').nth(4), after.split(' ').next()) else {
            continue;
        };
        let point = unescape(point);
        if path.starts_with(&point) && best.is_none_or(|(length, _)| point.len() >= length) {
            best = Some((point.len(), kind));
        }
    }
    best.map(|(_, kind)| kind.to_owned())
}

/// Undoes the mount table's octal escapes of space, tab, newline and backslash.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (escape, plain)| text.replace(escape, plain))
}

/// Whether a file's bytes bypass the page cache (`O_DIRECT`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direct {
    /// Through the page cache.
    No,
    /// Direct, unless the file system refuses it (EINVAL): then through the cache, for the whole disk from then on.
    IfSupported,
    /// Direct or not at all: safety between machines rests on it.
    Always,
}

/// How a class of file is opened on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// `O_DIRECT`.
    pub(super) direct: Direct,
    /// `O_DSYNC`: a write that returned is durable.
    pub(super) synchronous: bool,
    /// Space is reserved by writing zeros where `fallocate` would do, too.
    ///
    /// A synchronous write into space that was only allocated must also commit the change of the extent from unwritten to written. Measured on ext4 (Linux 6.18, virtio
    /// disk, O_DIRECT + O_DSYNC overwrite, 1 500 × 4 KiB and 256 × 256 KiB, two runs): allocated 203–216 µs and 342 µs (p50), zero-written 119–170 µs and 204–233 µs. Zero-writing 64 MiB took 40 ms once.
    pub(super) zero_written: bool,
}

/// The table: class × file system → way.
pub(super) fn way(class: Class, file_system: &FileSystem) -> Way {
    let way = |direct, synchronous, zero_written| Way {
        direct,
        synchronous,
        zero_written,
    };
    match (class, file_system) {
        (Class::Cell, FileSystem::Local) => way(Direct::No, true, false),
        (Class::Cell, FileSystem::Nfs4 | FileSystem::Unknown(_)) => way(Direct::Always, true, false),
        (Class::Segment, FileSystem::Local) => way(Direct::IfSupported, true, true),
        (Class::Segment, FileSystem::Nfs4 | FileSystem::Unknown(_)) => way(Direct::Always, true, false),
        (Class::Plain, FileSystem::Local | FileSystem::Nfs4 | FileSystem::Unknown(_)) => way(Direct::No, false, false),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const MOUNTS: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:40 / /mnt/a\\040b rw,relatime shared:2 master:1 - nfs4 fs:/x rw,vers=4.1
31 22 0:41 / /mnt/old rw - nfs fs:/y rw,vers=3
32 22 0:42 / /mnt/tools rw - fuse.sshfs host:/ rw
33 32 0:43 / /mnt/tools rw - tmpfs none rw
not a line of a mount table
";

    #[test]
    fn the_mount_that_lies_on_top_names_the_type() {
        let of = |path: &str| mount_type(MOUNTS, Path::new(path));
        assert_eq!(of("/var/lib").as_deref(), Some("ext4"));
        assert_eq!(of("/mnt/a b/data").as_deref(), Some("nfs4"));
        assert_eq!(of("/mnt/a").as_deref(), Some("ext4"));
        assert_eq!(of("/mnt/old").as_deref(), Some("nfs"));
        assert_eq!(of("/mnt/older").as_deref(), Some("ext4"));
        assert_eq!(of("/mnt/tools/x").as_deref(), Some("tmpfs"));
        assert_eq!(mount_type("", Path::new("/")), None);
    }

    #[test]
    fn only_what_the_design_names_is_local_and_only_version_4_is_nfs4() {
        for (magic, _, local) in KNOWN {
            assert_eq!(of_magic(*magic, None) == FileSystem::Local, *local);
        }
        let local: Vec<_> = KNOWN.iter().filter(|known| known.2).map(|known| known.1).collect();
        assert_eq!(local, ["ext4", "xfs", "btrfs", "tmpfs", "overlay"]);
        assert_eq!(of_magic(NFS, Some("nfs4")), FileSystem::Nfs4);
        assert_eq!(
            of_magic(NFS, Some("nfs")),
            FileSystem::Unknown("nfs version 3 or older".to_owned())
        );
        assert_eq!(
            of_magic(NFS, None),
            FileSystem::Unknown("nfs of unknown version".to_owned())
        );
        assert_eq!(
            of_magic(0x6573_5546, Some("fuse.sshfs")),
            FileSystem::Unknown("fuse.sshfs".to_owned())
        );
        assert_eq!(
            of_magic(0x1234, None),
            FileSystem::Unknown("magic number 0x1234".to_owned())
        );
    }

    #[test]
    fn the_temporary_directory_of_this_machine_is_classified() {
        let directory = std::fs::File::open("/dev/shm").unwrap();
        assert_eq!(
            classify(&directory, &PathBuf::from("/dev/shm")).unwrap(),
            FileSystem::Local
        );
        let directory = std::fs::File::open("/proc").unwrap();
        assert_eq!(
            classify(&directory, &PathBuf::from("/proc")).unwrap(),
            FileSystem::Unknown("proc".to_owned())
        );
    }

    #[test]
    fn shared_mounts_are_never_read_through_the_page_cache() {
        for file_system in [FileSystem::Nfs4, FileSystem::Unknown("fuse".to_owned())] {
            for class in [Class::Cell, Class::Segment] {
                assert_eq!(way(class, &file_system).direct, Direct::Always);
            }
        }
        for file_system in [
            FileSystem::Local,
            FileSystem::Nfs4,
            FileSystem::Unknown("fuse".to_owned()),
        ] {
            assert!(way(Class::Cell, &file_system).synchronous && way(Class::Segment, &file_system).synchronous);
            assert!(!way(Class::Plain, &file_system).synchronous);
        }
    }
}
