//! The settings, declared once.
//!
//! Each line: text (its first line stands alone in short lists), key, field, type, default, and limits where there are any. Units stand in the type or at the end of the name.

use std::path::PathBuf;
use std::time::Duration;

use super::declaration::{Setting, Type, default_raw, is_switch, limits, read_within, settings};
use super::values::{AdminAddress, Automatic, ListenAddress, LogFormat, LogLevel, Size};

settings! {
    /// The broker's name, shown to people and in metrics.
    ///
    /// Brokers that share a file system have different names and different data directories.
    "name" name: String = "holdfast";

    /// The directory that holds the journal.
    ///
    /// It is created if it does not exist. It may lie on a local file system or on NFSv4.1.
    "data" data: PathBuf = "holdfast-data";

    /// Where clients connect, one URL for each listener.
    ///
    /// The only scheme so far is `stomp`. Without users, and there are none in this version, whoever reaches a listener may do everything: only loopback
    /// addresses are allowed.
    "listen" listen: Vec<ListenAddress> = "stomp://127.0.0.1:61613";

    /// Where people and probes connect (HTTP), or `none`.
    ///
    /// Loopback only, as `listen`.
    "admin" admin: AdminAddress = "127.0.0.1:8161";

    /// Lead on a file system whose guarantees are not known.
    ///
    /// Known are ext4, xfs, btrfs, tmpfs, overlay and NFSv4. Anything else, FUSE included, is refused without this: if synchronous writes are not durable
    /// there, or reads are stale, confirmed messages can be lost.
    "shared_unknown" shared_unknown: bool = "false";

    /// The queue for messages that were rejected or expired.
    "dead_letter_queue" dead_letter_queue: String = "ActiveMQ.DLQ";

    /// Time between two sweeps for expired messages.
    ///
    /// An expired message is never delivered, whenever the sweep comes; the sweep moves it to the dead-letter queue.
    "expiry_interval" expiry_interval: Duration = "30s", "100ms" to "1h";

    /// Silence of the leader after which another process may take over.
    "leadership.takeover_after" leadership_takeover_after: Duration = "3s", "500ms" to "10min";

    /// Nothing is sent to anybody unless leadership was proved less than this ago.
    ///
    /// Must be shorter than `takeover_after` and longer than `heartbeat_interval`.
    "leadership.fence_fresh" leadership_fence_fresh: Duration = "2s", "200ms" to "10min";

    /// Time between two heartbeats of the leader.
    "leadership.heartbeat_interval" leadership_heartbeat_interval: Duration = "500ms", "50ms" to "1min";

    /// Time between two looks of a waiting process at the leader's heartbeat.
    "leadership.poll_interval" leadership_poll_interval: Duration = "250ms", "20ms" to "1min";

    /// A disk operation that takes longer ends the process.
    ///
    /// Until then a stalled disk is waited for: nothing is confirmed, and `/ready` says 503. A file server that restarts needs seconds, EFS asks for 30 s.
    "leadership.storage_stall_max" leadership_storage_stall_max: Duration = "1min", "1s" to "1h";

    /// Length of a journal segment.
    ///
    /// A multiple of 4 KiB. Space is reserved by whole segments, and freed by whole segments.
    "journal.segment_bytes" journal_segment_bytes: Size = "64MiB", "4MiB" to "1GiB";

    /// The largest batch that is written at once.
    ///
    /// A multiple of 4 KiB, at most a quarter of a segment. A larger message spans several batches.
    "journal.batch_bytes_max" journal_batch_bytes_max: Size = "1MiB", "64KiB" to "1MiB";

    /// Batches that may be on their way to the disk at the same time.
    ///
    /// A disk that keeps all of these places for half a millisecond with less than 256 KiB in them gets one more, and so on, up to four times as many and 16 at most, as long as each write takes no longer than before: so it is with a disk that is far away, as a network's is.
    "journal.writes_in_flight" journal_writes_in_flight: u32 = "4", "1" to "16";

    /// Memory for bodies of persistent messages; others are read back from the journal.
    "journal.body_cache_bytes" journal_body_cache_bytes: Size = "32MiB", "0B" to "64GiB";

    /// Space kept aside, so that the broker can start on a full disk.
    ///
    /// `auto`: two segments and 16 MiB.
    "journal.ballast_bytes" journal_ballast_bytes: Automatic = "auto", "8MiB" to "16GiB";

    /// A checkpoint is taken after this many bytes of journal, or the next two limits, whichever is first.
    "journal.checkpoint_bytes" journal_checkpoint_bytes: Size = "256MiB", "1MiB" to "16GiB";

    /// A checkpoint is taken after this many records.
    "journal.checkpoint_records" journal_checkpoint_records: u32 = "500000", "100" to "100000000";

    /// A checkpoint is taken after this time, if anything changed.
    "journal.checkpoint_interval" journal_checkpoint_interval: Duration = "1min", "1s" to "1h";

    /// Connections at a time; more are refused.
    ///
    /// Each needs an open file, and 256 are kept for the journal and administrators: where the machine allows fewer, fewer connections are accepted, and the log and `holdfast status` say so.
    "limits.connections_max" limits_connections_max: u32 = "10000", "1" to "1000000";

    /// Connections that have not yet said CONNECT; more are refused.
    "limits.half_open_max" limits_half_open_max: u32 = "5000", "1" to "1000000";

    /// Connections of one address (IPv4, or a /64 of IPv6) that have not yet said CONNECT; more are refused.
    "limits.half_open_per_address_max" limits_half_open_per_address_max: u32 = "2000", "1" to "1000000";

    /// Connections of one address (IPv4, or a /64 of IPv6) at a time; 0: as many as there may be.
    "limits.connections_per_address_max" limits_connections_per_address_max: u32 = "0", "0" to "1000000";

    /// The largest frame, hence about the largest message, that a client may send.
    "limits.frame_bytes_max" limits_frame_bytes_max: Size = "100MiB", "1KiB" to "1GiB";

    /// The headers of a frame together.
    "limits.header_bytes_max" limits_header_bytes_max: Size = "64KiB", "1KiB" to "16MiB";

    /// The number of headers of a frame.
    "limits.headers_max" limits_headers_max: u32 = "1000", "10" to "100000";

    /// What a client may send before it has said CONNECT.
    "limits.connect_bytes_max" limits_connect_bytes_max: Size = "64KiB", "1KiB" to "16MiB";

    /// Time that a new connection has to say CONNECT.
    "limits.connect_within" limits_connect_within: Duration = "10s", "100ms" to "10min";

    /// Memory of one open transaction; a larger one can only be rolled back.
    ///
    /// A persistent message to several destinations is stored like a transaction, once for each of them: one that would take more is refused.
    "limits.transaction_bytes_max" limits_transaction_bytes_max: Size = "64MiB", "64KiB" to "2GiB";

    /// Memory of all open transactions together; the one that would go beyond it can only be rolled back.
    ///
    /// Its SEND or ACK is refused, and so is its COMMIT.
    "limits.transactions_bytes_max" limits_transactions_bytes_max: Size = "256MiB", "64KiB" to "1TiB";

    /// Messages that wait for one slow topic consumer; the oldest are dropped beyond.
    "limits.topic_consumer_messages_max" limits_topic_consumer_messages_max: u32 = "1000", "1" to "10000000";

    /// Memory of the messages that wait for one slow topic consumer.
    "limits.topic_consumer_bytes_max" limits_topic_consumer_bytes_max: Size = "16MiB", "64KiB" to "16GiB";

    /// What is read ahead of a SEND that waits for space, so that acknowledgements behind it go on.
    "limits.read_ahead_bytes_max" limits_read_ahead_bytes_max: Size = "1MiB", "4KiB" to "1GiB";

    /// Memory of unfinished frames and of sends that wait for space, of all connections together.
    ///
    /// Each connection may have 16 KiB beside it, so that acknowledgements and small sends always get through. When all of it is taken, larger frames are read one after the other, the oldest
    /// first, and the other clients' writes wait.
    "limits.unfinished_bytes_max" limits_unfinished_bytes_max: Size = "256MiB", "0B" to "1TiB";

    /// Time within which the oldest unfinished frame must come on by 1 MiB, or to its end, while others wait for the memory that it takes; its connection is closed otherwise.
    "limits.unfinished_progress_within" limits_unfinished_progress_within: Duration = "10s", "100ms" to "1h";

    /// Memory of messages that were delivered on one connection and that its client has not taken; it gets no more until it takes some.
    ///
    /// It bounds what a slow reader with a large prefetch costs. One message is always delivered, whatever its size.
    "limits.untaken_bytes_per_connection_max" limits_untaken_bytes_per_connection_max: Size = "1MiB", "0B" to "1TiB";

    /// The same of all connections together; beyond it each may have 16 KiB, and one message at least.
    "limits.untaken_bytes_max" limits_untaken_bytes_max: Size = "256MiB", "0B" to "1TiB";

    /// Memory of answers (RECEIPT, ERROR) that a client has not taken, and of receipt ids whose answers are still to come; nothing more is read from it meanwhile.
    "limits.answers_bytes_per_connection_max" limits_answers_bytes_per_connection_max: Size = "1MiB", "4KiB" to "1GiB";

    /// Subscriptions of one connection at a time.
    "limits.subscriptions_per_connection_max" limits_subscriptions_per_connection_max: u32 = "10000", "1" to "1000000";

    /// Open transactions of one connection at a time.
    "limits.transactions_per_connection_max" limits_transactions_per_connection_max: u32 = "1000", "1" to "1000000";

    /// Temporary destinations of one connection at a time.
    "limits.temporary_destinations_per_connection_max" limits_temporary_destinations_per_connection_max: u32 = "10000", "1" to "1000000";

    /// The most messages that a consumer may hold unacknowledged; one that asks for more gets this.
    "limits.prefetch_max" limits_prefetch_max: u32 = "32767", "1" to "1000000";

    /// Memory of all non-persistent messages that wait; a send beyond it waits too, or fails.
    "limits.volatile_bytes_max" limits_volatile_bytes_max: Size = "256MiB", "1MiB" to "1TiB";

    /// Fail a send that finds the store or the memory full, instead of letting it wait.
    ///
    /// ActiveMQ's `sendFailIfNoSpace`. The error is `Persistent store is Full` or `Usage Manager Memory Limit reached`. While a send waits, so does what its
    /// connection sends behind it, but for acknowledgements outside of transactions.
    "limits.send_fail_if_no_space" limits_send_fail_if_no_space: bool = "false";

    /// How long a send waits for space before it fails; 0s: as long as it takes.
    ///
    /// ActiveMQ's `sendFailIfNoSpaceAfterTimeout`.
    "limits.send_fail_if_no_space_after" limits_send_fail_if_no_space_after: Duration = "0s", "0s" to "7d";

    /// Queues and topics; creating one beyond it is refused.
    "limits.destinations_max" limits_destinations_max: u32 = "100000", "10" to "10000000";

    /// Durable subscriptions; creating one beyond it is refused.
    "limits.durable_subscriptions_max" limits_durable_subscriptions_max: u32 = "100000", "1" to "10000000";

    /// Message groups of one queue that keep their consumer; the least recently used is forgotten beyond.
    "limits.message_groups_max" limits_message_groups_max: u32 = "100000", "1" to "10000000";

    /// What the broker sends to a client that asked for no heart-beats; 0s: nothing.
    "stomp.heart_beat_send_default" stomp_heart_beat_send_default: Duration = "0s", "0s" to "1h";

    /// What the broker expects from a client that offered no heart-beats; 0s: nothing.
    ///
    /// A client that then says nothing for that long, and the grace, is closed.
    "stomp.heart_beat_receive_default" stomp_heart_beat_receive_default: Duration = "0s", "0s" to "1h";

    /// How late a client's heart-beat may come, in percent of the agreed interval.
    "stomp.heart_beat_grace_percent" stomp_heart_beat_grace_percent: u32 = "100", "100" to "10000";

    /// Duplicate ids remembered for each destination.
    "duplicates.ids_max" duplicates_ids_max: u32 = "100000", "0" to "10000000";

    /// Time for which a duplicate id is remembered.
    "duplicates.window" duplicates_window: Duration = "1h", "1s" to "7d";

    /// How much is logged: `error`, `warn`, `info`, `debug` or `trace`.
    ///
    /// At `info` a broker that is well says that it starts, leads and stops, and nothing else.
    "log.level" log_level: LogLevel = "info";

    /// How it is logged, to standard error: `text` for people, `json` for programs.
    ///
    /// `auto`: text on a terminal, else JSON.
    "log.format" log_format: LogFormat = "auto";
}
