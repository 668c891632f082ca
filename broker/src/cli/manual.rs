//! `holdfast man` and `holdfast completions`: made from the same declarations as `--help`, so that they cannot say anything else.
//!
//! Deliberately absent: generated files in the repository.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory, ValueEnum};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

use super::arguments::Arguments;
use super::exit::Exit;
use super::failure::Failure;
use super::output::Output;

/// The name that people type.
const NAME: &str = "holdfast";

/// Environment variables that commands obey; those of settings are in the pages of `run`.
const ENVIRONMENT: &[(&str, &str)] = &[
    (
        "HOLDFAST_ADMIN",
        "The broker's admin address, for commands that talk to one; --admin and --data count more.",
    ),
    (
        "HOLDFAST_DATA",
        "Its data directory: for holdfast run, and for commands that find a broker by it.",
    ),
    ("HOLDFAST_CONFIG", "The configuration file."),
    (
        "COLUMNS",
        "How wide tables are. Without it they fit the terminal, and are as wide as they need to be anywhere else.",
    ),
];

const MAN_AFTER_HELP: &str = "\
Without a directory the page of holdfast itself goes to standard output. With
one, a page for each command is written there; as root, for all users, that is
/usr/local/share/man/man1.

  holdfast man | man -l -
  holdfast man /usr/local/share/man/man1
  man holdfast-destinations-move";

#[derive(Debug, Args)]
#[command(after_help = MAN_AFTER_HELP)]
pub(super) struct ManArguments {
    /// Write a page for each command there; it must exist
    directory: Option<PathBuf>,
}

const COMPLETIONS_AFTER_HELP: &str = "\
The script goes where the shell looks for it; a new shell reads it.

  DIR=~/.local/share/bash-completion/completions
  holdfast completions bash > $DIR/holdfast
  holdfast completions zsh > /usr/local/share/zsh/site-functions/_holdfast
  holdfast completions fish > ~/.config/fish/completions/holdfast.fish";

#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS_AFTER_HELP)]
pub(super) struct CompletionsArguments {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// A shell that can be told what commands there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    /// GNU Bash, with the package bash-completion
    Bash,
    /// Z shell
    Zsh,
    /// fish
    Fish,
}

/// `holdfast completions`.
pub(super) fn completions(arguments: &CompletionsArguments, output: &Output) -> Result<(), Failure> {
    let shell = match arguments.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), NAME, &mut script);
    output.bytes(&script)
}

/// `holdfast man`.
pub(super) fn man(arguments: &ManArguments, output: &Output) -> Result<(), Failure> {
    let pages = pages();
    let Some(directory) = &arguments.directory else {
        return output.text(&pages[0].1);
    };
    for (name, page) in &pages {
        write(&directory.join(name), page)?;
    }
    let count = pages.len();
    match output.json {
        true => {
            let files: Vec<_> = pages.iter().map(|(name, _)| directory.join(name)).collect();
            output.object(&serde_json::json!({ "files": files }))
        }
        false => output.text(&format!("Wrote {count} pages to {}.\n", directory.display())),
    }
}

fn write(path: &Path, page: &str) -> Result<(), Failure> {
    let written = std::fs::File::create(path).and_then(|mut file| file.write_all(page.as_bytes()));
    written.map_err(|error| {
        Failure::new(
            Exit::Failure,
            format!("a manual page cannot be written: {error}"),
            path.display().to_string(),
            "name a directory that exists and that this user may write to",
        )
    })
}

/// File name and text of each page, that of the command itself first.
fn pages() -> Vec<(String, String)> {
    let mut command = Arguments::command();
    command.build();
    let mut pages = Vec::new();
    add(&command, None, &mut pages);
    pages
}

fn title(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn add(command: &Command, parent: Option<&Command>, pages: &mut Vec<(String, String)>) {
    let title = title(command);
    pages.push((format!("{title}.1"), page(command, parent)));
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        add(inner, Some(command), pages);
    }
}

fn page(command: &Command, parent: Option<&Command>) -> String {
    let mut rest = Roff::new();
    if let Some(text) = command.get_after_help() {
        notes(&mut rest, &text.to_string());
    }
    if parent.is_none() {
        exit_status(&mut rest);
        environment(&mut rest);
    }
    see_also(&mut rest, command, parent);
    let mut head = Roff::new();
    synopsis(&mut head, command);
    let man = Man::new(command.clone());
    let render = |page: &mut Vec<u8>| {
        man.render_name_section(page)?;
        page.extend(head.to_roff().into_bytes());
        man.render_description_section(page)?;
        if command.get_arguments().any(|argument| !argument.is_hide_set()) {
            man.render_options_section(page)?;
        }
        if command.has_subcommands() {
            man.render_subcommands_section(page)?;
        }
        page.extend(rest.to_roff().into_bytes());
        Ok::<_, std::io::Error>(())
    };
    let mut parts = Vec::new();
    render(&mut parts).expect("a Vec takes everything");
    let parts = String::from_utf8(parts).expect("roff is made of strings");
    // Each part defines the apostrophe anew; once is enough.
    let body: String = parts
        .lines()
        .filter(|line| !APOSTROPHE.contains(line))
        .map(|line| format!("{}\n", in_ascii(line)))
        .collect();
    let [of_groff, of_others] = APOSTROPHE;
    format!(
        "{of_groff}\n{of_others}\n.TH \"{}\" \"1\" \"\" \"Holdfast {}\" \"Holdfast\"\n{body}",
        title(command).to_uppercase(),
        env!("CARGO_PKG_VERSION")
    )
}

/// How the roff crate lets an apostrophe be one, whichever formatter reads it.
const APOSTROPHE: [&str; 2] = [r".ie \n(.g .ds Aq \(aq", ".el .ds Aq '"];

/// Characters beyond ASCII as groff names them: a page does not depend on how its reader decodes it.
fn in_ascii(line: &str) -> String {
    line.chars()
        .map(|character| match character.is_ascii() {
            true => character.to_string(),
            false => format!("\\[u{:04X}]", u32::from(character)),
        })
        .collect()
}

fn synopsis(roff: &mut Roff, command: &Command) {
    let usage = command.clone().render_usage().to_string();
    roff.control("SH", ["SYNOPSIS"]);
    for (index, line) in usage.trim_start_matches("Usage:").lines().enumerate() {
        if index > 0 {
            roff.control("br", []);
        }
        roff.text([bold(line.trim())]);
    }
}

/// What stands below the options in `--help`: sentences, then examples, which are indented, with or without sentences between them.
fn notes(roff: &mut Roff, text: &str) {
    let (mut has_notes, mut has_examples, mut is_filled) = (false, false, true);
    for line in text.lines() {
        let is_example = line.starts_with("  ");
        if is_example == is_filled {
            roff.control(if is_example { "nf" } else { "fi" }, []);
            is_filled = !is_example;
        }
        if line.is_empty() {
            roff.control("PP", []);
            continue;
        }
        if is_example && !std::mem::replace(&mut has_examples, true) {
            roff.control("fi", []).control("SH", ["EXAMPLES"]).control("nf", []);
        } else if !is_example && !has_examples && !std::mem::replace(&mut has_notes, true) {
            roff.control("SH", ["NOTES"]);
        }
        roff.text([roman(line.trim())]);
    }
    if !is_filled {
        roff.control("fi", []);
    }
}

fn exit_status(roff: &mut Roff) {
    roff.control("SH", ["EXIT STATUS"]);
    for exit in Exit::ALL {
        roff.control("TP", []);
        roff.text([bold(exit.code().to_string())]);
        let meaning = match exit {
            Exit::Success => exit.meaning().to_owned(),
            _ => format!("{} {}", exit.meaning(), exit.what_to_do()),
        };
        roff.text([roman(meaning.replace('`', ""))]);
    }
}

fn environment(roff: &mut Roff) {
    roff.control("SH", ["ENVIRONMENT"]);
    for (name, meaning) in ENVIRONMENT {
        roff.control("TP", []);
        roff.text([bold(*name)]);
        roff.text([roman(*meaning)]);
    }
}

fn see_also(roff: &mut Roff, command: &Command, parent: Option<&Command>) {
    let family = parent.into_iter().chain(command.get_subcommands());
    let names: Vec<&str> = family
        .filter(|one| !one.is_hide_set())
        .map(title)
        .chain(parent.filter(|parent| title(parent) != NAME).map(|_| NAME))
        .collect();
    if names.is_empty() {
        return;
    }
    roff.control("SH", ["SEE ALSO"]);
    let mut line = Vec::new();
    for (index, name) in names.iter().enumerate() {
        if index > 0 {
            line.push(roman(", "));
        }
        line.push(italic(*name));
        line.push(roman("(1)"));
    }
    roff.text(line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_page_for_every_command() {
        let names: Vec<String> = pages().into_iter().map(|(name, _)| name).collect();
        for name in [
            "holdfast.1",
            "holdfast-run.1",
            "holdfast-destinations-move.1",
            "holdfast-dlq-retry.1",
            "holdfast-man.1",
        ] {
            assert!(names.iter().any(|found| found == name), "{names:?}");
        }
    }

    #[test]
    fn a_page_says_what_help_says() {
        let pages = pages();
        let page = |name: &str| &pages.iter().find(|(found, _)| found == name).expect("it exists").1;
        let moving = page("holdfast-destinations-move.1");
        for part in [
            ".SH SYNOPSIS",
            ".SH OPTIONS",
            "Only messages that match",
            ".SH NOTES",
            ".SH EXAMPLES",
            ".SH \"SEE ALSO\"",
        ] {
            assert!(moving.contains(part), "{part}: {moving}");
        }
        let whole = page("holdfast.1");
        assert!(
            whole.contains(".SH \"EXIT STATUS\"") && whole.contains("HOLDFAST_ADMIN"),
            "{whole}"
        );
    }
}
