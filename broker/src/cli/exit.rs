//! Exit codes, declared once: the enum, the table in docs/exit-codes.md, and what `holdfast exit-codes` prints.
//!
//! The numbers follow sysexits where it has a fitting one. A number that was released keeps its meaning.

use std::fmt::Write;
use std::process::ExitCode;

macro_rules! exits {
    ($( $variant:ident = $code:literal, $name:literal, $meaning:literal, $what_to_do:literal; )+) => {
        /// How the process ends.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Exit {
            $( #[doc = $meaning] $variant = $code, )+
        }

        impl Exit {
            /// All, by rising number.
            pub const ALL: &'static [Exit] = &[$(Exit::$variant),+];

            /// The number.
            pub fn code(self) -> u8 {
                self as u8
            }

            /// A name for JSON.
            pub fn name(self) -> &'static str {
                match self { $(Exit::$variant => $name,)+ }
            }

            /// What it means.
            pub fn meaning(self) -> &'static str {
                match self { $(Exit::$variant => $meaning,)+ }
            }

            /// What to do about it.
            pub fn what_to_do(self) -> &'static str {
                match self { $(Exit::$variant => $what_to_do,)+ }
            }
        }
    };
}

exits! {
    Success = 0, "success", "Done.", "Nothing.";
    Failure = 1, "failure", "Something failed that has no code of its own.", "Read the message.";
    Usage = 2, "usage", "The command line is wrong.", "Read the message, or `--help`.";
    Damage = 65, "damage", "Data on disk is damaged where that cannot be passed over; the broker refuses to start.", "Do not restart in a loop: look at the file that the message names, `holdfast journal verify`, a backup.";
    NothingReceived = 66, "nothing_received", "Fewer messages than asked for came within `--timeout`.", "Wait longer, or look at the queue with `holdfast destinations list`.";
    WrongMessages = 67, "wrong_messages", "`holdfast bench`: messages were lost, doubled, out of order or changed.", "Keep the data directory and the log of the broker that did it, and report it.";
    Unreachable = 69, "unreachable", "The broker cannot be reached, or the connection broke.", "Check that it runs, and the address (`--admin`, `--data`, `--broker`).";
    AddressInUse = 71, "address_in_use", "A listener's address is taken or does not exist here.", "Stop what uses it, or choose another with `--listen` or `--admin`.";
    DataUnusable = 73, "data_unusable", "The data directory cannot be used: missing parent, no permission, no directory, or a file system that is not known to be safe.", "Read the message; choose another directory with `--data`.";
    StorageFailed = 74, "storage_failed", "The disk failed or did not answer while the broker ran; it ended itself.", "Start it again; it keeps everything that it confirmed. If it comes back, look at the disk.";
    AnotherLeads = 75, "another_leads", "Another process leads this data directory.", "Nothing, if that is intended; the message says who and where.";
    Refused = 76, "refused", "The broker refused what was asked of it.", "Read the message.";
    LeadershipLost = 77, "leadership_lost", "Another process took over while this one led; it ended itself.", "Start it again: it waits or leads, whichever is right.";
    Configuration = 78, "configuration", "The configuration is wrong; nothing was started.", "Read the message: it names file, line and what is expected.";
    NotReady = 79, "not_ready", "The broker runs but does not lead (yet).", "Wait (`holdfast status --wait 30s`), or look at `holdfast status`.";
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// The text of docs/exit-codes.md.
pub fn exit_codes_markdown() -> String {
    let mut text = String::from(
        "# Exit codes\n\n\
         <!-- Made by `holdfast exit-codes > docs/exit-codes.md`; a test fails when it is stale. -->\n\n\
         Every command of `holdfast` ends with one of these. With `--json` a failure is also an object on standard error, which carries the name.\n\n\
         | code | name | meaning | what to do |\n|---:|---|---|---|\n",
    );
    for exit in Exit::ALL {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | `{}` | {} | {} |",
            exit.code(),
            exit.name(),
            exit.meaning(),
            exit.what_to_do()
        );
    }
    text.push_str(
        "\nA process that panics ends by SIGABRT (134 in a shell): a bug, please report it. \
         A supervisor should restart the broker after 69, 71, 74, 75, 77 and signals, and leave it stopped after 65, 73 and 78, which need a person.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_are_unique_and_in_order() {
        assert!(Exit::ALL.windows(2).all(|pair| pair[0].code() < pair[1].code()));
        let mut names: Vec<_> = Exit::ALL.iter().map(|exit| exit.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Exit::ALL.len());
    }

    #[test]
    fn exit_codes_document_is_what_the_table_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/exit-codes.md");
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        let stale = "docs/exit-codes.md is stale; run: holdfast exit-codes > docs/exit-codes.md";
        assert!(committed == exit_codes_markdown(), "{stale}");
    }
}
