//! The journal's promises, over a disk in memory whose operations complete when the test says so.

mod checkpoints;
mod confirmation;
mod crash;
mod damage;
mod deletion;
mod format;
mod impossible;
mod inspection;
mod reading;
mod references;
mod rig;
