//! The node's own settings, each with unit, default and effect.

use std::time::Duration;

/// What decides a node's behaviour beyond journal, engine and wire.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Silence of the leader after which another may claim.
    pub takeover_after: Duration,
    /// Nothing leaves unless an open fence read began less than this ago; below `takeover_after`.
    pub fence_fresh: Duration,
    /// A disk operation that takes longer ends the process.
    pub storage_stall_max: Duration,
    /// Between two heartbeats.
    pub heartbeat_interval: Duration,
    /// Between two looks at a leader's heartbeat.
    pub poll_interval: Duration,
    /// Lead on a file system whose guarantees are not known.
    pub shared_unknown: bool,
    /// A checkpoint is taken after this many bytes of journal …
    pub checkpoint_bytes: u64,
    /// … or this many records …
    pub checkpoint_records: u64,
    /// … or this long, whichever is first.
    pub checkpoint_interval: Duration,
    /// Space kept aside, so that a full disk can still be led; bytes.
    pub ballast_bytes: u64,
    /// Connections at a time.
    pub connections_max: usize,
    /// Memory of unfinished frames, and of commands that wait for space, of all connections together; bytes. See [`Node::read_bytes_max`](crate::Node::read_bytes_max).
    pub unfinished_bytes_max: usize,
    /// For how long a frame may stand still that takes memory others wait for.
    pub unfinished_progress_within: Duration,
    /// Journal.
    pub journal: journal::JournalSettings,
    /// Engine.
    pub engine: engine::Settings,
    /// STOMP.
    pub stomp: wire::stomp::Limits,
    /// What a STOMP CONNECT without `heart-beat` stands for.
    pub heart_beat_default: wire::stomp::HeartBeat,
    /// How much later than agreed a client's heart-beat may come, in percent of the agreed interval; at least 100.
    pub heart_beat_grace_percent: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        let journal = journal::JournalSettings::default();
        Settings {
            takeover_after: Duration::from_secs(3),
            fence_fresh: Duration::from_secs(2),
            storage_stall_max: Duration::from_secs(60),
            heartbeat_interval: Duration::from_millis(500),
            poll_interval: Duration::from_millis(250),
            shared_unknown: false,
            checkpoint_bytes: 256 << 20,
            checkpoint_records: 500_000,
            checkpoint_interval: Duration::from_secs(60),
            ballast_bytes: 2 * u64::from(journal.segment_bytes) + (16 << 20),
            connections_max: 10_000,
            unfinished_bytes_max: 256 << 20,
            unfinished_progress_within: Duration::from_secs(10),
            journal,
            engine: engine::Settings::default(),
            stomp: wire::stomp::Limits::default(),
            heart_beat_default: wire::stomp::HeartBeat::default(),
            heart_beat_grace_percent: 100,
        }
    }
}
