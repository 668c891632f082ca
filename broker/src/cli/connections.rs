//! `holdfast connections`.

use clap::{Args, Subcommand};

use super::admin_client::{AdminClient, encode};
use super::arguments::Reach;
use super::failure::Failure;
use super::moment::age;
use super::output::Output;
use super::table::{Column, Table};
use crate::admin::{Closed, ConnectionStatus, ConnectionsAnswer, bytes_text};

const AFTER_HELP: &str = "\
UNACKED counts deliveries that are not acknowledged. WAITS says for what a send
waits, store or memory, and how much is held of the connection; - if none does.
On a terminal long names are cut in the middle; --json never cuts and says more.

  holdfast connections
  holdfast connections --waiting
  holdfast connections --client-id billing --json
  holdfast connections close 17";

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = AFTER_HELP)]
pub(super) struct ConnectionsArguments {
    #[command(subcommand)]
    order: Option<ConnectionsCommand>,

    /// Only those of this client
    #[arg(long, value_name = "NAME")]
    client_id: Option<String>,

    /// Only those whose sends wait for space
    #[arg(long)]
    waiting: bool,

    /// Show at most this many [default: all]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,

    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Subcommand)]
enum ConnectionsCommand {
    /// End a connection, as if the network had
    ///
    /// What its client has not acknowledged goes to others, marked as redelivered; its transactions are rolled back. Most clients connect again by themselves.
    Close {
        /// Its number, as `holdfast connections` shows it
        id: u64,

        #[command(flatten)]
        reach: Reach,
    },
}

pub(super) fn run(arguments: &ConnectionsArguments, output: &Output) -> Result<(), Failure> {
    match &arguments.order {
        Some(ConnectionsCommand::Close { id, reach }) => close(&reach.admin_client()?, *id, output),
        None => list(arguments, output),
    }
}

fn close(client: &AdminClient, id: u64, output: &Output) -> Result<(), Failure> {
    let closed: Closed = client.post("/api/connections/close", &serde_json::json!({ "id": id }))?;
    match output.json {
        true => output.object(&closed),
        false => output.text(&format!("Closed connection {}.\n", closed.id)),
    }
}

fn list(arguments: &ConnectionsArguments, output: &Output) -> Result<(), Failure> {
    let mut question = "/api/connections?".to_owned();
    if let Some(client_id) = &arguments.client_id {
        question.push_str(&format!("client_id={}&", encode(client_id)));
    }
    if arguments.waiting {
        question.push_str("waiting=true&");
    }
    let client = arguments.reach.admin_client()?;
    let found = client.all(
        &question,
        arguments.limit,
        |answer: ConnectionsAnswer| (answer.connections, answer.next),
        |count| output.progress(|| format!("{count} connections…")),
    )?;
    if output.json {
        return output.object(&serde_json::json!({ "connections": found }));
    }
    if found.is_empty() {
        let narrowed = arguments.client_id.is_some() || arguments.waiting;
        return output.text(if narrowed {
            "No such connections.\n"
        } else {
            "No connections.\n"
        });
    }
    let mut table = Table::new(&[
        Column::Number("ID"),
        Column::Number("SUBS"),
        Column::Number("UNACKED"),
        Column::Number("AGE"),
        Column::Word("PROTOCOL"),
        Column::Word("WAITS"),
        Column::Name("ADDRESS", 15),
        Column::Name("CLIENT-ID", 9),
    ]);
    found.iter().for_each(|found| table.row(row(found, output)));
    output.text(&table.render(output.width))
}

fn row(found: &ConnectionStatus, output: &Output) -> Vec<String> {
    let waits = found
        .waits_for
        .as_ref()
        .map(|waits_for| format!("{waits_for} {}", bytes_text(found.held_bytes)));
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    vec![
        found.id.to_string(),
        found.subscriptions.to_string(),
        found.unacknowledged.to_string(),
        age(found.age_seconds),
        or_none(found.protocol.clone()),
        or_none(waits),
        found.address.clone(),
        or_none(found.client_id.as_deref().map(|name| output.foreign(name).into_owned())),
    ]
}
