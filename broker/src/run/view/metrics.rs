//! What `/metrics` shows of a node: looked up, never computed from messages.

use crate::admin::Metric;

use super::NodeView;

/// Destinations with metrics of their own; beyond it only the totals are complete, as in CloudWatch's Amazon MQ metrics.
const DESTINATION_METRICS_MAX: usize = 1000;

impl NodeView {
    /// All counters and gauges, one family after another.
    pub(super) fn measured(&self) -> Vec<Metric> {
        let status = self.look();
        let mut metrics = Vec::new();
        let mut add = |name, help, counter, labels: Vec<(&'static str, String)>, value: f64| {
            metrics.push(Metric {
                name,
                help,
                counter,
                labels,
                value,
            });
        };
        let disk = self.disk(&status);
        add(
            "ready",
            "1 if clients are served",
            false,
            vec![],
            f64::from(u8::from(status.not_ready.is_none())),
        );
        add(
            "leading",
            "1 if this broker leads",
            false,
            vec![],
            f64::from(u8::from(status.role == node::Role::Leading)),
        );
        add(
            "epoch",
            "the epoch that this broker claimed",
            false,
            vec![],
            status.epoch.map_or(0.0, |epoch| epoch.0.into()),
        );
        add(
            "connections",
            "clients connected",
            false,
            vec![],
            status.connections as f64,
        );
        add(
            "connections_refused_total",
            "connections refused because a limit was reached",
            true,
            vec![],
            self.pump.refused() as f64,
        );
        add(
            "unfinished_bytes",
            "memory of unfinished frames and of commands that wait for space",
            false,
            vec![],
            status.unfinished_bytes as f64,
        );
        add(
            "untaken_bytes",
            "memory of messages delivered to clients that have not taken them",
            false,
            vec![],
            status.untaken_bytes as f64,
        );
        add(
            "records_confirmed",
            "sequence of the newest confirmed record",
            true,
            vec![],
            status.confirmed.0 as f64,
        );
        add(
            "records_appended",
            "sequence of the newest record",
            true,
            vec![],
            status.appended.0 as f64,
        );
        add(
            "journal_written_bytes_total",
            "bytes of batches confirmed in this epoch",
            true,
            vec![],
            status.journal_bytes as f64,
        );
        add(
            "messages_unscheduled_total",
            "Messages that asked for scheduled delivery and were delivered at once.",
            true,
            vec![],
            status.unscheduled as f64,
        );
        let oldest = status.oldest_operation.map_or(0.0, |wait| wait.as_secs_f64());
        add(
            "oldest_write_seconds",
            "age of the oldest write that has not returned",
            false,
            vec![],
            oldest,
        );
        add(
            "disk_used_bytes",
            "bytes of segments and ballast",
            false,
            vec![],
            disk.used_bytes as f64,
        );
        add(
            "disk_free_bytes",
            "bytes free on the file system",
            false,
            vec![],
            disk.free_bytes as f64,
        );
        let node = self.pump.node.borrow();
        let Some(engine) = node.engine() else { return metrics };
        let all = engine.statistics();
        let mut add = |name, help, counter, labels: Vec<(&'static str, String)>, value: u64| {
            metrics.push(Metric {
                name,
                help,
                counter,
                labels,
                value: value as f64,
            });
        };
        add("consumers", "consumers", false, vec![], all.consumers);
        add("destinations", "queues and topics", false, vec![], all.destinations);
        add(
            "durable_subscriptions",
            "durable subscriptions",
            false,
            vec![],
            all.durable_subscriptions,
        );
        add("transactions", "open transactions", false, vec![], all.transactions);
        add(
            "messages",
            "messages waiting or being delivered",
            false,
            vec![],
            all.messages,
        );
        add(
            "messages_set_aside",
            "Messages whose bytes are damaged, not delivered and not purged.",
            false,
            vec![],
            all.set_aside,
        );
        add(
            "body_cache_bytes",
            "bodies of persistent messages in memory",
            false,
            vec![],
            all.body_cache_bytes,
        );
        add(
            "volatile_bytes",
            "non-persistent messages that wait",
            false,
            vec![],
            all.volatile_bytes,
        );
        add(
            "messages_enqueued_total",
            "messages that came in",
            true,
            vec![],
            all.counters.enqueued,
        );
        add(
            "messages_dequeued_total",
            "messages acknowledged or rejected",
            true,
            vec![],
            all.counters.dequeued,
        );
        add(
            "messages_dispatched_total",
            "deliveries",
            true,
            vec![],
            all.counters.dispatched,
        );
        add(
            "messages_expired_total",
            "messages that expired",
            true,
            vec![],
            all.counters.expired,
        );
        add(
            "messages_dead_lettered_total",
            "messages moved to a dead-letter queue",
            true,
            vec![],
            all.counters.dead_lettered,
        );
        add(
            "messages_dropped_total",
            "messages dropped for slow topic consumers",
            true,
            vec![],
            all.counters.dropped,
        );
        add(
            "messages_duplicate_total",
            "messages recognised as sent before",
            true,
            vec![],
            all.counters.duplicates,
        );
        for one in engine.destinations(None, DESTINATION_METRICS_MAX) {
            let label = || vec![("destination", one.destination.to_string())];
            add(
                "destination_messages",
                "messages waiting or being delivered",
                false,
                label(),
                one.messages,
            );
            add(
                "destination_set_aside",
                "messages whose bytes are damaged, not delivered and not purged",
                false,
                label(),
                one.set_aside,
            );
            add(
                "destination_in_flight",
                "delivered and not acknowledged",
                false,
                label(),
                one.in_flight,
            );
            add("destination_consumers", "consumers", false, label(), one.consumers);
            add(
                "destination_enqueued_total",
                "messages that came in",
                true,
                label(),
                one.counters.enqueued,
            );
            add(
                "destination_dequeued_total",
                "messages acknowledged or rejected",
                true,
                label(),
                one.counters.dequeued,
            );
            add(
                "destination_expired_total",
                "messages that expired",
                true,
                label(),
                one.counters.expired,
            );
        }
        // One family after another, as the text format wants it.
        metrics.sort_by_key(|metric| metric.name);
        metrics
    }
}
