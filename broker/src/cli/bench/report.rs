//! The figures of a run: as text, as JSON, as a row of CSV, as a histogram log.
//!
//! Invariant: all forms are made of one value, so that none shows what another hides. Tests: below, and `broker/tests/bench.rs`.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use serde::Serialize;

use super::course::Outcome;
use super::ledger::{Faults, Kind};
use super::measurement::{LatencySummary, per_second};
use super::process::UsageReport;
use super::scenario::Scenario;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;

/// What a run came to, with all that it depends on.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    /// Seconds since 1970.
    pub(super) at: u64,
    pub(super) address: String,
    pub(super) server: Option<String>,
    pub(super) scenario: ScenarioReport,
    pub(super) seconds: f64,
    pub(super) interrupted: bool,
    pub(super) sent: u64,
    pub(super) sent_per_second: f64,
    pub(super) confirmed: u64,
    pub(super) confirmed_per_second: f64,
    pub(super) received: u64,
    pub(super) received_per_second: f64,
    /// Warm-up and draining included.
    pub(super) sent_in_all: u64,
    pub(super) received_in_all: u64,
    pub(super) confirmation: LatencySummary,
    pub(super) end_to_end: LatencySummary,
    pub(super) process: UsageReport,
    pub(super) client_rss_bytes: Option<u64>,
    pub(super) faults: Faults,
    /// Whether the bodies were looked at: not on a topic without consumers.
    pub(super) checked: bool,
}

/// What was to be done.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ScenarioReport {
    pub(super) producers: usize,
    pub(super) consumers: usize,
    pub(super) in_flight: u32,
    pub(super) body_bytes: usize,
    pub(super) persistent: bool,
    pub(super) kind: &'static str,
    pub(super) destinations: usize,
    pub(super) first_destination: String,
    pub(super) ack: &'static str,
    pub(super) prefetch: u32,
    pub(super) backlog_max: Option<u64>,
    pub(super) warm_up_seconds: f64,
}

impl Report {
    pub(super) fn new(
        scenario: &Scenario,
        address: String,
        outcome: &Outcome,
        client_rss_bytes: Option<u64>,
    ) -> Report {
        let measurement = &outcome.measurement;
        let nanoseconds = measurement.nanoseconds();
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Report {
            at: since_1970.as_secs(),
            address,
            server: outcome.server.clone(),
            scenario: ScenarioReport {
                producers: scenario.producers,
                consumers: scenario.consumers,
                in_flight: scenario.in_flight,
                body_bytes: scenario.body_bytes,
                persistent: scenario.persistent,
                kind: match scenario.kind {
                    Kind::Queue => "queue",
                    Kind::Topic => "topic",
                },
                destinations: scenario.destinations.len(),
                first_destination: scenario.destinations[0].clone(),
                ack: scenario.ack.as_str(),
                prefetch: scenario.prefetch,
                backlog_max: scenario.backlog_max,
                warm_up_seconds: scenario.warm_up.as_secs_f64(),
            },
            seconds: nanoseconds as f64 / 1e9,
            interrupted: outcome.interrupted,
            sent: measurement.sent,
            sent_per_second: per_second(measurement.sent, nanoseconds),
            confirmed: measurement.confirmed,
            confirmed_per_second: per_second(measurement.confirmed, nanoseconds),
            received: measurement.received,
            received_per_second: per_second(measurement.received, nanoseconds),
            sent_in_all: outcome.sent_in_all,
            received_in_all: outcome.received_in_all,
            confirmation: measurement.confirmation.summary(),
            end_to_end: measurement.end_to_end.summary(),
            process: outcome.usage,
            client_rss_bytes,
            faults: outcome.faults.clone(),
            checked: outcome.received_in_all > 0,
        }
    }

    /// For people, at most 80 columns where names allow it.
    pub(super) fn text(&self, scenario: &Scenario) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:<14}{value}");
        };
        let server = self.server.as_deref().map(|server| format!(" ({server})"));
        line("Broker", &format!("{}{}", self.address, server.unwrap_or_default()));
        line("Scenario", &scenario.describe());
        line("Destination", &self.scenario.first_destination);
        let early = if self.interrupted {
            ", ended early by Ctrl-C"
        } else {
            ""
        };
        let warm_up = self.scenario.warm_up_seconds;
        line(
            "Measured",
            &format!("{:.1} s behind a warm-up of {warm_up:.1} s{early}", self.seconds),
        );
        for (name, count, rate) in [
            ("Sent", self.sent, self.sent_per_second),
            ("Confirmed", self.confirmed, self.confirmed_per_second),
            ("Received", self.received, self.received_per_second),
        ] {
            let megabytes = rate * self.scenario.body_bytes as f64 / 1e6;
            line(
                name,
                &format!("{count:>12} {rate:>12.0}/s {megabytes:>9.1} MB/s of bodies"),
            );
        }
        line("Latency", "         p50         p99       p99.9         max");
        line("  confirmed", &latencies(&self.confirmation));
        line("  end to end", &latencies(&self.end_to_end));
        let process = &self.process;
        if process.pid.is_some() {
            let mebibytes =
                |bytes: Option<u64>| bytes.map_or("?".to_owned(), |bytes| format!("{:.1}", bytes as f64 / 1048576.0));
            line(
                "Broker's RSS",
                &format!(
                    "{} MiB before, {} MiB after, {} MiB at most",
                    mebibytes(process.rss_before_bytes),
                    mebibytes(process.rss_after_bytes),
                    mebibytes(process.rss_peak_bytes)
                ),
            );
            let per_message = |value: Option<f64>| match self.sent {
                0 => "?".to_owned(),
                sent => value.map_or("?".to_owned(), |value| format!("{:.1}", value / sent as f64)),
            };
            line(
                "  per message",
                &format!(
                    "{} µs of CPU, {} bytes written, {} waits",
                    per_message(process.cpu_seconds.map(|seconds| seconds * 1e6)),
                    per_message(process.written_bytes.map(|bytes| bytes as f64)),
                    per_message(process.sleeps.map(|sleeps| sleeps as f64)),
                ),
            );
        }
        line(
            "Checked",
            &match (self.checked, self.faults.none()) {
                (false, _) => format!(
                    "{} confirmations; nobody received, so no body was seen",
                    self.sent_in_all
                ),
                (true, true) => format!(
                    "{} deliveries: none lost, doubled, out of order or changed",
                    self.received_in_all
                ),
                (true, false) => format!("{} deliveries: {}", self.received_in_all, self.faults),
            },
        );
        text
    }

    /// Appends a row to a CSV file, which gets a line of headings if it has none. Lines that begin with `#` are the writer's own.
    pub(super) fn append_csv(&self, path: &Path, labels: &[(String, String)]) -> Result<(), Failure> {
        let failed = |error: std::io::Error| unwritable(path, &error);
        let mut columns = labels.to_vec();
        let value = serde_json::to_value(self).map_err(|error| failed(std::io::Error::other(error)))?;
        flatten("", &value, &mut columns);
        let row = |cells: &mut dyn Iterator<Item = &str>| cells.map(quoted).collect::<Vec<_>>().join(",") + "\n";
        let headings = row(&mut columns.iter().map(|(name, _)| name.as_str()));
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(failed)?;
        let mut present = String::new();
        file.read_to_string(&mut present).map_err(failed)?;
        let mut added = String::new();
        match present.lines().find(|line| !line.starts_with('#')) {
            None => added.push_str(&headings),
            Some(line) if line == headings.trim_end() => {}
            Some(_) => {
                return Err(Failure::new(
                    Exit::Refused,
                    "the file has other columns",
                    path.display().to_string(),
                    "append to a file of the same version and labels, or begin a new one",
                ));
            }
        }
        added.push_str(&row(&mut columns.iter().map(|(_, value)| value.as_str())));
        file.write_all(added.as_bytes()).map_err(failed)
    }
}

/// Writes both kinds of latencies as an HdrHistogram log, whose unit is the millisecond.
pub(super) fn write_histograms(path: &Path, report: &Report, outcome: &Outcome) -> Result<(), Failure> {
    let log = || -> Result<Vec<u8>, Box<dyn std::error::Error>> {
        let mut bytes = Vec::new();
        let mut serializer = V2DeflateSerializer::new();
        let mut builder = IntervalLogWriterBuilder::new();
        builder.add_comment("holdfast bench: latencies recorded in nanoseconds, maxima in milliseconds");
        builder.with_base_time(UNIX_EPOCH).with_max_value_divisor(1e6);
        let mut writer = builder.begin_log_with(&mut bytes, &mut serializer)?;
        let measured = Duration::from_secs_f64(report.seconds);
        let start = Duration::from_secs(report.at).saturating_sub(measured);
        let histograms: [(&str, &Histogram<u64>); 2] = [
            ("confirmation", outcome.measurement.confirmation.histogram()),
            ("end-to-end", outcome.measurement.end_to_end.histogram()),
        ];
        for (tag, histogram) in histograms {
            writer.write_histogram(histogram, start, measured, Tag::new(tag))?;
        }
        Ok(bytes)
    };
    log()
        .map_err(|error| std::io::Error::other(error.to_string()))
        .and_then(|bytes| std::fs::write(path, bytes))
        .map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        Exit::Failure,
        format!("the figures cannot be written: {error}"),
        path.display().to_string(),
        "name a file that this user may write",
    )
}

/// A value's leaves, each under the path that leads to it.
fn flatten(path: &str, value: &serde_json::Value, columns: &mut Vec<(String, String)>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                let path = match path.is_empty() {
                    true => name.clone(),
                    false => format!("{path}.{name}"),
                };
                flatten(&path, value, columns);
            }
        }
        serde_json::Value::Null => columns.push((path.to_owned(), String::new())),
        serde_json::Value::String(text) => columns.push((path.to_owned(), text.clone())),
        other => columns.push((path.to_owned(), other.to_string())),
    }
}

/// A cell as CSV has it (RFC 4180).
fn quoted(cell: &str) -> String {
    match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_owned(),
    }
}

fn latencies(summary: &LatencySummary) -> String {
    let values = [summary.p50_ns, summary.p99_ns, summary.p999_ns, summary.max_ns];
    let cells = values.map(|value| format!("{:>12}", value.map_or("-".to_owned(), duration_text)));
    cells.concat()
}

/// Nanoseconds with three digits and a unit.
pub(super) fn duration_text(nanoseconds: u64) -> String {
    let (value, unit) = match nanoseconds {
        0..1_000 => (nanoseconds as f64, "ns"),
        1_000..1_000_000 => (nanoseconds as f64 / 1e3, "µs"),
        1_000_000..1_000_000_000 => (nanoseconds as f64 / 1e6, "ms"),
        _ => (nanoseconds as f64 / 1e9, "s"),
    };
    let decimals = match value {
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits_and_a_unit() {
        for (nanoseconds, text) in [
            (7, "7.00 ns"),
            (1_234, "1.23 µs"),
            (98_765, "98.8 µs"),
            (123_456_789, "123 ms"),
            (61_000_000_000, "61.0 s"),
        ] {
            assert_eq!(duration_text(nanoseconds), text);
        }
    }

    #[test]
    fn every_leaf_becomes_a_column_and_cells_are_quoted() {
        let mut columns = Vec::new();
        let value = serde_json::json!({ "a": { "b": 1, "c": null }, "d": "x,\"y\"" });
        flatten("", &value, &mut columns);
        let shown: Vec<_> = columns
            .iter()
            .map(|(name, value)| format!("{name}={}", quoted(value)))
            .collect();
        assert_eq!(shown, ["a.b=1", "a.c=", "d=\"x,\"\"y\"\"\""]);
    }
}
