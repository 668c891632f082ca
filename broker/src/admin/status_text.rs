//! The status as a person reads it: 80 columns, what needs attention first.

use std::fmt::Write;

use super::broker_view::{Role, Status};
use crate::wrap::wrapped;

/// As wide as `WARNING  `, and what is left of 80 columns.
const WARNING_INDENT: &str = "         ";
const WARNING_WIDTH: usize = 80 - WARNING_INDENT.len();

/// As wide as a fact's name, and what is left of 80 columns.
const FACT_INDENT: &str = "             ";
const FACT_WIDTH: usize = 80 - FACT_INDENT.len();

/// The status as text; only a single word that is longer than a line goes beyond 80 columns.
pub fn status_text(status: &Status) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    for warning in &status.warnings {
        let _ = writeln!(
            text,
            "WARNING  {}",
            wrapped(&warning.what, WARNING_WIDTH, WARNING_INDENT)
        );
        if !warning.what_to_do.is_empty() {
            let what_to_do = format!("to do: {}", warning.what_to_do);
            let what_to_do = wrapped(&what_to_do, WARNING_WIDTH, WARNING_INDENT);
            let _ = writeln!(text, "{WARNING_INDENT}{what_to_do}");
        }
    }
    if !status.warnings.is_empty() {
        text.push('\n');
    }
    let state = match (status.role, status.ready) {
        (Role::Leading, true) => "leading, ready".to_string(),
        (role, _) => format!("{}, NOT READY", role.name()),
    };
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<12} {value}");
    };
    line("state", state);
    if !status.ready && !status.reason.is_empty() {
        line("because", wrapped(&status.reason, FACT_WIDTH, FACT_INDENT));
    }
    if let Some(progress) = status.recovery {
        let percent = progress.bytes.saturating_mul(100).checked_div(progress.of).unwrap_or(0);
        line(
            "recovery",
            format!(
                "{} of {} ({percent} %)",
                bytes_text(progress.bytes),
                bytes_text(progress.of)
            ),
        );
    }
    if let Some(leader) = &status.leader {
        line(
            "leader",
            format!("process {} on {}, epoch {}", leader.pid, leader.host, leader.epoch),
        );
        leader.listeners.iter().for_each(|listener| line("", listener.clone()));
    }
    line(
        "broker",
        format!("{} {}, process {}", status.name, status.version, status.pid),
    );
    if let Some(epoch) = status.epoch {
        line("epoch", epoch.to_string());
    }
    line("up", duration_text(status.uptime_seconds));
    for (index, listener) in status.listeners.iter().enumerate() {
        line(if index == 0 { "listening" } else { "" }, listener.clone());
    }
    line("admin", status.admin.clone());
    line("data", status.data.clone());
    line(
        "disk",
        format!(
            "{} used, {} free{}",
            bytes_text(status.disk.used_bytes),
            bytes_text(status.disk.free_bytes),
            if status.disk.sends_wait {
                "; SENDS WAIT FOR SPACE"
            } else {
                ""
            }
        ),
    );
    line(
        "clients",
        format!(
            "{}, {}",
            counted(status.connections, "connection"),
            counted(status.consumers, "consumer")
        ),
    );
    let set_aside = match status.set_aside {
        0 => String::new(),
        count => format!("; {count} SET ASIDE"),
    };
    line(
        "messages",
        format!(
            "{} in {}{set_aside}",
            status.messages,
            counted(status.destinations, "destination")
        ),
    );
    text
}

/// A number of things: `1 consumer`, `2 consumers`.
fn counted(count: u64, thing: &str) -> String {
    match count {
        1 => format!("1 {thing}"),
        count => format!("{count} {thing}s"),
    }
}

/// Bytes with one unit: `1.5 GiB`.
pub fn bytes_text(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut unit = "";
    for next in units {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    match value < 10.0 {
        true => format!("{value:.1} {unit}"),
        false => format!("{value:.0} {unit}"),
    }
}

/// Seconds with two units: `3 h 12 min`.
pub fn duration_text(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        (_, _, _) => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_shown_with_the_unit_that_fits() {
        let shown: Vec<String> = [0, 1023, 1024, 1536, 10 << 20, 5 << 30, u64::MAX]
            .map(bytes_text)
            .into();
        assert_eq!(
            shown,
            ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "10 MiB", "5.0 GiB", "16384 PiB"]
        );
        let shown: Vec<String> = [0, 59, 61, 3661, 90_061].map(duration_text).into();
        assert_eq!(shown, ["0 s", "59 s", "1 min 1 s", "1 h 1 min", "1 d 1 h"]);
    }
}
