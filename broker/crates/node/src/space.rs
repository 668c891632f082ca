//! Space on the disk: looked at once a second, and what follows from it: whether persistent sends go on, and the ballast.
//!
//! A full disk is not a failure. Below the watermark persistent sends wait, or fail where the settings say so, while acknowledgements, expiry and deletion go on; the last free segment is kept for them, and behind that the
//! ballast. Both come back by themselves when there is space. Tests: `tests/space.rs`.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use journal::{Sends, SpaceState};
use platform::{BootTime, DiskError, Files, Now, Space, Task};

use crate::failure::Failure;
use crate::segments::{self, Shortage};

/// Between two looks at the space that is left.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What a leader knows of its disk's space.
pub(crate) struct SpaceWatch {
    files: Files,
    segment_bytes: u32,
    ballast_bytes: u64,
    pub(crate) shortage: Rc<Shortage>,
    pub(crate) last: Option<Space>,
    looking: Option<Task<Result<Space, DiskError>>>,
    next_look: BootTime,
    ballast: Option<Task<Result<bool, Failure>>>,
    ballast_is_whole: bool,
    /// What the ballast takes of the disk; `None`: nobody has looked yet.
    ballast_there: Option<u64>,
    pub(crate) sends: Sends,
}

impl SpaceWatch {
    pub(crate) fn new(files: Files, segment_bytes: u32, ballast_bytes: u64, now: Now) -> SpaceWatch {
        SpaceWatch {
            files,
            segment_bytes,
            ballast_bytes,
            shortage: Rc::default(),
            last: None,
            looking: None,
            next_look: now.boot,
            ballast: None,
            ballast_is_whole: ballast_bytes == 0,
            ballast_there: None,
            sends: Sends::GoOn,
        }
    }

    /// What the ballast takes of the disk. Before that is known, a predecessor's is taken to be there wherever one is made at all.
    pub(crate) fn ballast_taken(&self) -> u64 {
        self.ballast_there.unwrap_or_else(|| match self.last {
            Some(space) if self.carries_ballast(space.total) => self.ballast_bytes,
            Some(_) | None => 0,
        })
    }

    /// Whether sends still go on beside a ballast on a file system of this size: on a smaller one it would take the space that they need, and none is made.
    fn carries_ballast(&self, total_bytes: u64) -> bool {
        total_bytes >= journal::smallest_sending_file_system_bytes(self.segment_bytes, self.ballast_bytes)
    }

    /// Looks if it is time, and decides anew. `true`: whether sends go on has changed.
    pub(crate) fn turn(&mut self, now: Now, free_segments: u32, store_bytes: u64) -> Result<bool, Failure> {
        self.shortage.urgent.set(free_segments == 0);
        if let Some(task) = &mut self.ballast
            && let Some(result) = task.poll()
        {
            self.ballast = None;
            self.ballast_is_whole = result?;
            self.ballast_there = Some(if self.ballast_is_whole { self.ballast_bytes } else { 0 });
        }
        if self.looking.is_none() && now.boot >= self.next_look {
            let files = self.files.clone();
            self.looking = Some(Task::new(async move { files.space().await }));
            self.next_look = now.boot + LOOK_INTERVAL;
        }
        if let Some(space) = self.looking.as_mut().and_then(Task::poll) {
            self.looking = None;
            self.last = Some(space.map_err(Failure::Disk)?);
        }
        // Decided at every turn, not only after a look: between two looks a fast producer could fill the last segment.
        let Some(space) = self.last else { return Ok(false) };
        let state = SpaceState {
            available_bytes: space.available,
            total_bytes: space.total,
            store_bytes,
            segment_bytes: self.segment_bytes,
            free_segments,
            segment_refused: self.shortage.refused.get(),
        };
        self.fill_ballast(&state);
        let sends = state.sends();
        Ok(std::mem::replace(&mut self.sends, sends) != sends)
    }

    /// The ballast was given up for something that found no space.
    pub(crate) fn ballast_was_released(&mut self) {
        self.ballast_is_whole = self.ballast_bytes == 0;
        self.ballast_there = Some(0);
    }

    /// When the next look is due.
    pub(crate) fn next_deadline(&self) -> Option<BootTime> {
        self.looking.is_none().then_some(self.next_look)
    }

    /// Sets the ballast aside, once there is room for it beside everything else.
    fn fill_ballast(&mut self, state: &SpaceState) {
        if self.shortage.refused.get() {
            // It may have been given up for the segment; it is looked at again when there is room.
            self.ballast_is_whole = self.ballast_bytes == 0;
        }
        let room = self.carries_ballast(state.total_bytes)
            && state.available_bytes
                > self.ballast_bytes + journal::watermark_bytes(state.total_bytes, self.segment_bytes);
        if !self.ballast_is_whole && self.ballast.is_none() && room && !self.shortage.refused.get() {
            self.ballast = Some(Task::new(segments::fill_ballast(
                self.files.clone(),
                self.ballast_bytes,
            )));
        }
    }
}

/// Why persistent sends do not go on, for people; `None`: they do.
pub(crate) fn shortage(sends: Sends) -> Option<Arc<str>> {
    match sends {
        Sends::GoOn => None,
        Sends::BelowWatermark => Some("the file system of the data directory is nearly full".into()),
        Sends::StoreLimit => Some(
            format!(
                "the store has reached its share ({} %) of the file system",
                journal::STORE_LIMIT_PERCENT
            )
            .into(),
        ),
        Sends::LastSegment => Some("the file system has no room for another segment".into()),
    }
}
