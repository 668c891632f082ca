//! Why a node ends, each with what the operator must do.

use leadership::Identity;
use message::Epoch;
use platform::DiskError;

/// Why a node ended, or never began to lead.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// Somebody else leads this directory, and lives.
    #[error("{}", another_leads(*.epoch, .identity.as_deref()))]
    AnotherLeads {
        /// Its epoch.
        epoch: Epoch,
        /// Who it is, if its claim can be read.
        identity: Option<Box<Identity>>,
    },
    /// A later epoch fenced this one: nothing more may be confirmed.
    #[error("fenced by epoch {by}: another broker has taken over, and nothing more is confirmed here")]
    Fenced {
        /// By which; 0: the fence cell itself is damaged, which counts as fenced.
        by: Epoch,
    },
    /// Something on disk is not what it must be; going on could lose what was confirmed.
    #[error("damage in {file}{}: {text}", offset.map(|offset| format!(" at byte {offset}")).unwrap_or_default())]
    Damage {
        /// Relative to the data directory.
        file: String,
        /// Where in the file.
        offset: Option<u64>,
        /// What, and what to do.
        text: String,
    },
    /// An operation on the data directory failed for good.
    #[error("the data directory: {0}")]
    Disk(DiskError),
    /// The disk did not answer for `storage_stall_max`.
    #[error("a disk operation has not returned for {seconds} s (storage_stall_max)")]
    Stalled {
        /// For how long, in seconds.
        seconds: u64,
    },
    /// The end of the history was taken back by the server while it was being read; nothing of it was confirmed. Start anew.
    #[error("the end of the log changed between two readings, in {file} at byte {offset}; nothing of it was confirmed")]
    HistoryChanged {
        /// Relative to the data directory.
        file: String,
        /// Where in the file.
        offset: u64,
    },
    /// The directory, its file system or the configuration does not allow a start.
    #[error("{what}")]
    Unfit {
        /// What stands in the way.
        what: String,
        /// What a person can do about it.
        what_to_do: &'static str,
    },
}

impl Failure {
    pub(crate) fn unfit(what: impl Into<String>, what_to_do: &'static str) -> Failure {
        Failure::Unfit {
            what: what.into(),
            what_to_do,
        }
    }

    pub(crate) fn damage(file: impl Into<String>, offset: Option<u64>, text: impl Into<String>) -> Failure {
        Failure::Damage {
            file: file.into(),
            offset,
            text: text.into(),
        }
    }
}

fn another_leads(epoch: Epoch, identity: Option<&Identity>) -> String {
    let Some(identity) = identity else {
        return format!("another broker leads this directory (epoch {epoch}; its claim's identity cannot be read)");
    };
    let reach = if identity.addresses.clients.is_empty() {
        "no client address".to_owned()
    } else {
        identity.addresses.clients.join(", ")
    };
    let admin = if identity.addresses.admin.is_empty() {
        String::new()
    } else {
        format!(", admin {}", identity.addresses.admin)
    };
    format!(
        "another broker leads this directory: process {} on {} (epoch {epoch}), serving {reach}{admin}",
        identity.process.pid, identity.process.host
    )
}
