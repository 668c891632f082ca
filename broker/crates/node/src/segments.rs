//! Making segments and ballast.
//!
//! A segment exists whole before anybody hears of it: created with O_EXCL, its space reserved, synced with its directory, locked; then announced in the root; then written.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use leadership::names;
use message::Epoch;
use platform::{Class, DiskError, DiskErrorKind, FileId, Files, Open};
use record::SegmentNumber;

use crate::failure::Failure;

/// A segment that is ready to be announced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) number: SegmentNumber,
    pub(crate) file: FileId,
    pub(crate) length: u32,
}

/// Where a segment lies.
pub(crate) fn path(epoch: Epoch, number: SegmentNumber) -> String {
    format!("{}/{:08}-{:08}", names::JOURNAL, epoch.0, number.0)
}

/// Makes a segment of the own epoch and locks it.
pub(crate) async fn create(files: Files, epoch: Epoch, number: SegmentNumber, length: u32) -> Result<Segment, Failure> {
    let path = path(epoch, number);
    let (file, _) = match files.open(&path, Class::Segment, Open::Create).await {
        Ok(opened) => opened,
        Err(error) if error.kind == DiskErrorKind::Exists => {
            return Err(Failure::damage(
                path,
                None,
                "a foreign file has the name of a segment that this epoch was about to make",
            ));
        }
        Err(error) => return Err(Failure::Disk(error)),
    };
    files.reserve(file, length.into()).await.map_err(Failure::Disk)?;
    files.sync(file).await.map_err(Failure::Disk)?;
    files.sync_directory(names::JOURNAL).await.map_err(Failure::Disk)?;
    if !files.lock(file).await.map_err(Failure::Disk)? {
        return Err(Failure::damage(
            path,
            None,
            "somebody else holds a lock on a segment that this epoch has just made",
        ));
    }
    Ok(Segment { number, file, length })
}

/// Takes back a segment that was never announced and could not be made whole.
pub(crate) async fn discard(files: &Files, epoch: Epoch, number: SegmentNumber) -> Result<(), Failure> {
    match files.unlink(&path(epoch, number)).await {
        Err(error) if error.kind != DiskErrorKind::NotFound => Err(Failure::Disk(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Gives the ballast's space back to the file system. `false`: it had none.
pub(crate) async fn release_ballast(files: &Files) -> Result<bool, Failure> {
    let (file, length) = match files.open(names::BALLAST, Class::Plain, Open::Write).await {
        Ok(opened) => opened,
        Err(error) if error.kind == DiskErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Failure::Disk(error)),
    };
    files.set_length(file, 0).await.map_err(Failure::Disk)?;
    files.close(file).await.map_err(Failure::Disk)?;
    Ok(length > 0)
}

/// Bytes that the ballast holds.
pub(crate) async fn ballast_bytes(files: &Files) -> Result<u64, Failure> {
    let (file, length) = match files.open(names::BALLAST, Class::Plain, Open::Read).await {
        Ok(opened) => opened,
        Err(error) if error.kind == DiskErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(Failure::Disk(error)),
    };
    files.close(file).await.map_err(Failure::Disk)?;
    Ok(length)
}

/// Sets the ballast's space aside, if it is not; a disk too full for it is left alone. Gives whether it is whole.
pub(crate) async fn fill_ballast(files: Files, bytes: u64) -> Result<bool, Failure> {
    let mut opened = files.open(names::BALLAST, Class::Plain, Open::Write).await;
    if kind_of(&opened) == Some(DiskErrorKind::NotFound) {
        opened = files.open(names::BALLAST, Class::Plain, Open::Create).await;
    }
    if kind_of(&opened) == Some(DiskErrorKind::Exists) {
        // A dead predecessor's creation landed in between.
        opened = files.open(names::BALLAST, Class::Plain, Open::Write).await;
    }
    let (file, length) = match opened {
        Ok(opened) => opened,
        Err(error) if error.kind == DiskErrorKind::NoSpace => return Ok(false),
        Err(error) => return Err(Failure::Disk(error)),
    };
    let mut whole = true;
    if length < bytes {
        match files.reserve(file, bytes).await {
            Ok(()) => {}
            Err(error) if error.kind == DiskErrorKind::NoSpace => {
                files.set_length(file, 0).await.map_err(Failure::Disk)?;
                whole = false;
            }
            Err(error) => return Err(Failure::Disk(error)),
        }
    }
    files.close(file).await.map_err(Failure::Disk)?;
    Ok(whole)
}

fn kind_of<T>(result: &Result<T, DiskError>) -> Option<DiskErrorKind> {
    result.as_ref().err().map(|error| error.kind)
}

/// Between two tries to make a segment on a full disk.
const SPACE_RETRY: Duration = Duration::from_millis(250);

/// What the maker of a segment on a full disk and the commit loop tell each other.
#[derive(Debug, Default)]
pub(crate) struct Shortage {
    /// The last attempt found no space.
    pub(crate) refused: Cell<bool>,
    /// The segment is needed now: the ballast may be given up for it.
    pub(crate) urgent: Cell<bool>,
}

/// Makes a segment as soon as the disk has room for it: a full disk is not a failure.
pub(crate) async fn create_when_there_is_space(
    files: Files,
    epoch: Epoch,
    number: SegmentNumber,
    length: u32,
    shortage: Rc<Shortage>,
) -> Result<Segment, Failure> {
    loop {
        // Asked first: writing zeros until the disk is full would take the last space from everybody else, four times a second.
        let space = files.space().await.map_err(Failure::Disk)?;
        let unlimited = journal::reservation(space.total) == journal::Reservation::SizeOnly;
        if unlimited || space.available >= length.into() {
            match create(files.clone(), epoch, number, length).await {
                Err(Failure::Disk(error)) if error.kind == DiskErrorKind::NoSpace => {
                    discard(&files, epoch, number).await?
                }
                result => {
                    shortage.refused.set(false);
                    return result;
                }
            }
        }
        shortage.refused.set(true);
        if shortage.urgent.get() {
            release_ballast(&files).await?;
        }
        files.sleep_until(files.now().boot + SPACE_RETRY).await;
    }
}
