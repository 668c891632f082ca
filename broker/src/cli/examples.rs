//! What `--help` shows below the flags: remarks, and examples, which are indented. A test parses every example.

pub(super) const RUN: &str = "  holdfast run --data /var/lib/holdfast
  holdfast run --config /etc/holdfast.toml --log-level debug";

pub(super) const SEND: &str = "  holdfast send orders '{\"id\": 7}' --header region=EU --priority 9
  holdfast send topic://prices --file prices.json
  holdfast send orders --lines < orders.txt";

pub(super) const RECEIVE: &str = "  holdfast receive orders --headers
  holdfast receive orders --follow --json
  holdfast receive 'prices.>' --count 10 --timeout 5s
  holdfast receive orders --selector \"region = 'EU' AND id > 5\"";

pub(super) const BROWSE: &str = "\
On a terminal bodies are cut to its width; --headers and --json never cut.

  holdfast browse orders
  holdfast browse orders --selector \"region = 'EU'\" --headers";

pub(super) const STATUS: &str = "\
What needs attention stands first. Exit code 79 while the broker is not ready.
On a terminal long lines are cut in the middle; --json never cuts.

  holdfast status
  holdfast status --data /var/lib/holdfast --wait 30s
  holdfast status --json | jq .warnings";

pub(super) const LIST: &str = "\
On a terminal long names are cut in the middle; --json never cuts and says more.

  holdfast destinations list
  holdfast destinations list --json | jq '.destinations[].name'";

pub(super) const CREATE: &str = "  holdfast destinations create orders
  holdfast destinations create topic://prices";

pub(super) const PURGE: &str = "\
What arrives while it goes on stays.

  holdfast destinations purge orders
  holdfast destinations purge orders --set-aside";

pub(super) const DELETE: &str = "\
Refused while it has consumers, and for a topic also while durable subscriptions
take from it.

  holdfast destinations delete orders";

pub(super) const INSPECT: &str = "  holdfast journal inspect /var/lib/holdfast
  holdfast journal inspect /var/lib/holdfast --records --json";

pub(super) const VERIFY: &str = "  holdfast journal verify /var/lib/holdfast";

pub(super) const CHECK: &str = "  holdfast config check /etc/holdfast.toml";

pub(super) const REFERENCE: &str = "  holdfast config reference";

pub(super) const EXIT_CODES: &str = "  holdfast exit-codes --json";

pub(super) const VERSION: &str = "  holdfast version --json";

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use crate::cli::arguments::Arguments;

    /// Orders whose examples stand with the command that lists what they are about.
    const SHOWN_ABOVE: [&str; 3] = [
        "holdfast connections close",
        "holdfast subscriptions delete",
        "holdfast bench ",
    ];

    /// The words of a line as a shell takes them apart, up to where its output goes elsewhere.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
        for character in line.chars() {
            match (quote, character) {
                (None, '|' | '<' | '>') => break,
                (None, '\'' | '"') => quote = Some(character),
                (Some(open), _) if open == character => quote = None,
                (None, ' ') => words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty())),
                (None | Some(_), _) => word.push(character),
            }
        }
        words.extend(Some(word).filter(|word| !word.is_empty()));
        words
    }

    fn check(command: &clap::Command, examples: &mut usize) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let own: Vec<&str> = help.lines().filter(|line| line.starts_with("  holdfast ")).collect();
        let path = command.get_bin_name().unwrap_or_default();
        // What a command does on request has its examples there.
        let is_shown_above = SHOWN_ABOVE.iter().any(|above| path.starts_with(above));
        assert!(
            !own.is_empty() || command.has_subcommands() || is_shown_above,
            "{path} has no example"
        );
        for example in own {
            assert!(example.trim().starts_with(path), "{path}: {example}");
            let parsed = Arguments::try_parse_from(words(example));
            assert!(
                parsed.is_ok(),
                "{example}: {}",
                parsed.err().map(|error| error.to_string()).unwrap_or_default()
            );
            *examples += 1;
        }
        command.get_subcommands().for_each(|inner| check(inner, examples));
    }

    #[test]
    fn every_command_has_an_example_and_every_example_is_understood() {
        let mut command = Arguments::command();
        command.build();
        let mut examples = 0;
        check(&command, &mut examples);
        assert!(examples > 40, "{examples}");
    }
}
