//! What was explored and caught, as tables for people; the same that stand in docs/model.md.

use std::fmt::Write as _;
use std::time::Duration;

use crate::aspects::Aspect;
use crate::configurations::{self, Configuration};
use crate::exploration::{Catch, Exploration};

/// The head of [`exploration`] rows.
pub const EXPLORATIONS: &str = "\
| configuration | aspects | brokers | epochs | batches | states | transitions | depth | explored | seconds |
|---|---|---|---|---|---|---|---|---|---|
";

/// The head of [`caught`] rows.
pub const CATCHES: &str = "\
| mutant: a broker … | breaks | in configuration | steps | states | seconds |
|---|---|---|---|---|---|
";

/// One row: configuration × aspects × states × depth × exhausted or bounded × time.
pub fn exploration(explored: &Exploration) -> String {
    let configuration = &explored.configuration;
    let how = match (&explored.broken, explored.every_epoch_serves, explored.is_exhausted) {
        (Some(_), _, _) => "**broken**",
        (None, false, _) => "**some epoch never confirms**",
        (None, true, true) => "exhausted",
        (None, true, false) => "bounded",
    };
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {how} | {} |\n",
        configuration.name,
        configuration.aspect_names().join(" "),
        configuration.brokers,
        configuration.epochs,
        configuration.slots,
        grouped(explored.states),
        grouped(explored.transitions),
        explored.depth,
        seconds(explored.elapsed),
    )
}

/// One row: mutant × configuration × length of the counterexample.
pub fn caught(caught: &Catch) -> String {
    let configuration = &caught.configuration;
    let aspects = configuration.aspect_names().join(" ");
    format!(
        "| [{name}](../tests/model/counterexamples/{name}.txt): {} | {} | {} × {} × {}{}{aspects} | {} | {} | {} |\n",
        caught.mutant.does(),
        caught.promise.name(),
        configuration.brokers,
        configuration.epochs,
        configuration.slots,
        if aspects.is_empty() { "" } else { ", " },
        caught.steps,
        grouped(caught.states),
        seconds(caught.elapsed),
        name = caught.mutant.name(),
    )
}

/// A table in the order of `names`, with the new rows where there are some and the old ones elsewhere.
pub fn merged(head: &str, old: &str, new: &[String], names: &[&str]) -> String {
    let of = |row: &str, name: &str| {
        let cell = row.trim_start_matches("| ").trim_start_matches('[');
        cell.strip_prefix(name).is_some_and(|rest| rest.starts_with([']', ' ']))
    };
    let mut table = head.to_owned();
    for name in names {
        let fresh = new.iter().map(|row| row.trim_end()).find(|row| of(row, name));
        if let Some(row) = fresh.or_else(|| old.lines().find(|row| of(row, name))) {
            _ = writeln!(table, "{row}");
        }
    }
    table
}

/// What the aspects mean.
pub fn aspects() -> String {
    let mut text = String::from("| aspect | what can happen |\n|---|---|\n");
    for aspect in Aspect::ALL {
        _ = writeln!(text, "| {} | {} |", aspect.name(), aspect.meaning());
    }
    text
}

/// Pairs and triples of aspects that do not meet in the full configurations, by brokers and epochs.
pub fn never_met() -> String {
    let full = configurations::full();
    let mut text = String::from("| brokers | epochs, at least | pairs that never met | triples |\n|---|---|---|---|\n");
    for (brokers, epochs) in [(2, 4), (2, 3), (2, 2), (3, 3), (3, 2)] {
        let here = full.iter().copied();
        let here: Vec<Configuration> = here
            .filter(|configuration| configuration.brokers == brokers && configuration.epochs >= epochs)
            .collect();
        let pairs = configurations::never_met(&here, 2);
        let names = |set: &Vec<Aspect>| set.iter().map(|aspect| aspect.name()).collect::<Vec<_>>().join("+");
        let list: Vec<String> = pairs.iter().map(names).collect();
        let list = if list.is_empty() {
            "none".to_owned()
        } else {
            list.join(", ")
        };
        let triples = configurations::never_met(&here, 3).len();
        _ = writeln!(text, "| {brokers} | {epochs} | {list} | {triples} of 120 |");
    }
    text
}

fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index != 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

fn seconds(elapsed: Duration) -> String {
    format!("{:.1}", elapsed.as_secs_f64())
}
