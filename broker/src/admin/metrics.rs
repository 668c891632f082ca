//! `/metrics`: the text format of Prometheus (version 0.0.4).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::broker_view::{Metric, Role, Status};

/// Everything that is counted, as text.
pub(super) fn encode(status: &Status, mut metrics: Vec<Metric>) -> String {
    // A name that the broker counts itself is not given twice: two samples of one name are no valid answer.
    let counted: BTreeSet<&'static str> = metrics.iter().map(|metric| metric.name).collect();
    metrics.extend(
        from_status(status)
            .into_iter()
            .filter(|metric| !counted.contains(metric.name)),
    );
    let mut families: BTreeMap<&'static str, Vec<Metric>> = BTreeMap::new();
    for metric in metrics {
        families.entry(metric.name).or_default().push(metric);
    }
    let mut text = String::new();
    for (name, family) in families {
        let kind = if family[0].counter { "counter" } else { "gauge" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# HELP holdfast_{name} {}", family[0].help.replace('\n', " "));
        let _ = writeln!(text, "# TYPE holdfast_{name} {kind}");
        for metric in family {
            let labels: Vec<String> = metric
                .labels
                .iter()
                .map(|(label, value)| format!("{label}=\"{}\"", escape(value)))
                .collect();
            let labels = if labels.is_empty() {
                String::new()
            } else {
                format!("{{{}}}", labels.join(","))
            };
            let _ = writeln!(text, "holdfast_{name}{labels} {}", metric.value);
        }
    }
    text
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// What the status says, as numbers.
fn from_status(status: &Status) -> Vec<Metric> {
    let gauge = |name, help, value: f64| Metric {
        name,
        help,
        counter: false,
        labels: Vec::new(),
        value,
    };
    let mut metrics = vec![
        gauge(
            "ready",
            "1 if the broker leads and may answer clients.",
            f64::from(u8::from(status.ready)),
        ),
        gauge(
            "epoch",
            "The epoch of this broker's claim, 0 before it claims.",
            f64::from(status.epoch.unwrap_or(0)),
        ),
        gauge(
            "uptime_seconds",
            "Since the process started.",
            status.uptime_seconds as f64,
        ),
        gauge("connections", "Clients now.", status.connections as f64),
        gauge("consumers", "Consumers now.", status.consumers as f64),
        gauge("destinations", "Destinations now.", status.destinations as f64),
        gauge(
            "messages",
            "Messages waiting or being delivered.",
            status.messages as f64,
        ),
        gauge(
            "messages_set_aside",
            "Messages whose bytes are damaged, not delivered and not purged.",
            status.set_aside as f64,
        ),
        gauge(
            "oldest_write_seconds",
            "Age of the oldest write to the journal that has not returned, 0 if there is none.",
            status.oldest_write_milliseconds.unwrap_or(0) as f64 / 1000.0,
        ),
        gauge(
            "disk_used_bytes",
            "What the data directory takes.",
            status.disk.used_bytes as f64,
        ),
        gauge(
            "disk_free_bytes",
            "What is free on the journal's file system.",
            status.disk.free_bytes as f64,
        ),
        gauge(
            "disk_watermark_bytes",
            "Free space below which persistent sends wait.",
            status.disk.watermark_bytes as f64,
        ),
        gauge(
            "sends_wait",
            "1 while persistent sends wait for space.",
            f64::from(u8::from(status.disk.sends_wait)),
        ),
        Metric {
            labels: vec![("version", status.version.clone()), ("name", status.name.clone())],
            ..gauge("build_info", "Always 1; the version stands in a label.", 1.0)
        },
    ];
    for role in Role::ALL {
        metrics.push(Metric {
            labels: vec![("role", role.name().to_string())],
            ..gauge(
                "role",
                "1 for what the broker is doing.",
                f64::from(u8::from(status.role == role)),
            )
        });
    }
    metrics
}
