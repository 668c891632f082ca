//! The committed table of simulated runs: a row for each, so that anybody sees which seeds ran on which commit and what they met.
//!
//! Invariant: a row is of a tree without changes, and rows are only added. The table itself may be changed: it is where the rows go.

use std::path::Path;
use std::process::Command;

use simulated::Coverage;

use crate::simulation::coverage::never_met;
use crate::workspace;

/// What a new table begins with.
const HEAD: &str = "\
# Simulated runs

Each row is one run of `simulate --append docs/simulation-runs.md` (docs/testing.md) on a tree without changes. \"Never met\" lists what the simulation can meet and did not in these runs.

| date | commit | seeds | runs | failed | operations of clients | of the disk | faults and mischief | never met | CPU, ms per run |
|---|---|---|---|---|---|---|---|---|---|
";

/// What is counted of what was met: a name for people, and what belongs to it.
const KINDS: [(&str, &[&str]); 9] = [
    ("process deaths", &["process crash"]),
    ("power losses", &["power loss"]),
    ("torn writes", &["torn", "torn inside a block"]),
    ("lost at power loss", &["lost at power loss", "name lost at power loss"]),
    (
        "stalls and stops",
        &["stalled", "calamity: stall", "calamity: freeze", "calamity: doubt"],
    ),
    (
        "EIO, ESTALE, ENOSPC",
        &["failed", "stale", "no space", "short write", "calamity: full disk"],
    ),
    ("damages", &["flipped", "misdirected", "damaged at rest"]),
    ("cut connections", &["calamity: connection cut"]),
    ("second leaders", &["ended: fenced", "ended: another leads"]),
];

/// One run, to be written down.
#[derive(Clone, Debug)]
pub struct Row {
    /// The first seed and the last.
    pub seeds: (u64, u64),
    /// Runs that count.
    pub runs: u64,
    /// Seeds that broke a promise.
    pub failed: Vec<u64>,
    /// Operations of clients.
    pub operations: u64,
    /// Operations on the disk.
    pub disk_operations: u64,
    /// What was met.
    pub coverage: Coverage,
    /// Processor time of one run, milliseconds.
    pub cpu_millis: f64,
}

impl Row {
    fn render(&self, date: &str, commit: &str) -> String {
        let of = |names: &[&str]| names.iter().map(|name| self.coverage.of(name)).sum::<u64>();
        let mut kinds: Vec<String> = KINDS
            .iter()
            .map(|(kind, names)| format!("{} {kind}", digits(of(names))))
            .collect();
        let beginning = |start: &str| -> u64 {
            let names = self.coverage.iter().filter(|(name, _)| name.starts_with(start));
            names.map(|(_, count)| count).sum()
        };
        kinds.push(format!("{} misdeeds", digits(beginning("mischief: "))));
        kinds.push(format!("{} slow clients", digits(beginning("slow client: "))));
        kinds.push(format!("{} limits reached", digits(beginning("limit reached: "))));
        let failed: Vec<String> = self.failed.iter().map(u64::to_string).collect();
        let or_none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
        format!(
            "| {date} | {commit} | {} to {} | {} | {} | {} | {} | {} | {} | {:.1} |\n",
            digits(self.seeds.0),
            digits(self.seeds.1),
            digits(self.runs),
            or_none(failed.join(", ")),
            digits(self.operations),
            digits(self.disk_operations),
            kinds.join(", "),
            or_none(never_met(&self.coverage).join("; ")),
            self.cpu_millis
        )
    }

    /// Adds it to the table in this file, which is made if it does not exist; `commit`: what [`clean_commit`] said when the runs began.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn append(&self, file: &Path, commit: &str) -> Result<(), String> {
        let date = output(Command::new("date").args(["-u", "+%Y-%m-%d"]))?;
        let before = read(file)?;
        let before = if before.is_empty() { HEAD.to_owned() } else { before };
        std::fs::write(file, before + &self.render(&date, commit))
            .map_err(|error| format!("{} cannot be written: {error}", file.display()))
    }
}

/// The commit that is checked out, shortened.
///
/// # Errors
/// The tree has changes beside this file: what runs is not what the commit says.
pub fn clean_commit(file: &Path) -> Result<String, String> {
    let tree = workspace();
    let absolute = std::path::absolute(file).map_err(|error| error.to_string())?;
    let changes = output(
        Command::new("git")
            .args(["status", "--porcelain", "--", "."])
            .arg(format!(":(exclude,top){}", relative(&absolute, &tree)))
            .current_dir(&tree),
    )?;
    if !changes.is_empty() {
        return Err(format!(
            "the tree has changes, and a row is of a commit; commit them first:\n{changes}"
        ));
    }
    output(
        Command::new("git")
            .args(["rev-parse", "--short", "HEAD"])
            .current_dir(&tree),
    )
}

fn relative(file: &Path, tree: &Path) -> String {
    file.strip_prefix(tree).unwrap_or(file).display().to_string()
}

/// The seed behind the last one in the table; 1 if it has no rows.
///
/// # Errors
/// The table cannot be read.
pub fn next_seed(file: &Path) -> Result<u64, String> {
    Ok(next_seed_of(&read(file)?))
}

fn next_seed_of(table: &str) -> u64 {
    let last_of = |line: &str| -> Option<u64> {
        let (_, last) = line.split('|').nth(3)?.split_once(" to ")?;
        last.replace([' ', '_'], "").parse().ok()
    };
    table.lines().filter_map(last_of).max().map_or(1, |last| last + 1)
}

fn read(file: &Path) -> Result<String, String> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(format!("{} cannot be read: {error}", file.display())),
    }
}

fn output(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().display().to_string();
    let output = command
        .output()
        .map_err(|error| format!("{name} does not start: {error}"))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{name} fails: {}", errors.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A number with its digits in groups of three.
fn digits(number: u64) -> String {
    let plain = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in plain.chars().enumerate() {
        if at > 0 && (plain.len() - at).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(seeds: (u64, u64), failed: Vec<u64>) -> Row {
        let mut coverage = Coverage::default();
        coverage.count("process crash");
        coverage.count("mischief: CONNECT twice");
        Row {
            seeds,
            runs: 20_050,
            failed,
            operations: 5_000_000,
            disk_operations: 12_345,
            coverage,
            cpu_millis: 7.24,
        }
    }

    #[test]
    fn a_row_says_what_ran_and_what_was_never_met() {
        let text = row((1, 20_050), vec![4_711]).render("2026-11-25", "abc1234");
        assert!(text.starts_with(
            "| 2026-11-25 | abc1234 | 1 to 20 050 | 20 050 | 4711 | 5 000 000 | 12 345 | 1 process deaths, "
        ));
        assert!(
            text.contains("1 misdeeds") && text.contains("; power loss;") && text.ends_with(" | 7.2 |\n"),
            "{text}"
        );
        assert_eq!(
            text.matches('|').count(),
            HEAD.lines().last().expect("a line").matches('|').count()
        );
    }

    #[test]
    fn the_committed_table_is_one_that_rows_fit_into() {
        let table = read(&workspace().join("docs/simulation-runs.md")).expect("it can be read");
        assert!(table.starts_with(HEAD), "{table}");
    }

    #[test]
    fn runs_go_on_behind_the_last_seed_of_the_table() {
        assert_eq!(next_seed_of(HEAD), 1);
        let rows =
            row((1, 20_050), Vec::new()).render("d", "c") + &row((20_051, 1_020_050), Vec::new()).render("d", "c");
        assert_eq!(next_seed_of(&format!("{HEAD}{rows}")), 1_020_051);
    }
}
