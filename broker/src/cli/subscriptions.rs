//! `holdfast subscriptions`.

use clap::{Args, Subcommand};

use super::admin_client::{AdminClient, encode};
use super::arguments::Reach;
use super::failure::Failure;
use super::output::{Output, messages};
use super::table::{Column, Table};
use crate::admin::{Deleted, SubscriptionStatus, SubscriptionsAnswer};

const AFTER_HELP: &str = "\
CONN is the connection. UNACKED counts deliveries that are not acknowledged,
PENDING what waits for this subscription alone; - where it shares a queue with
others (`holdfast destinations list` shows how much waits there). Durable
subscriptions that nobody uses come last, with OFFLINE instead of an ack mode.
On a terminal long names are cut in the middle; --json never cuts and says more.

  holdfast subscriptions
  holdfast subscriptions --destination topic://prices
  holdfast subscriptions --client-id billing --json
  holdfast subscriptions delete billing prices";

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = AFTER_HELP)]
pub(super) struct SubscriptionsArguments {
    #[command(subcommand)]
    order: Option<SubscriptionsCommand>,

    /// Only those that take from it, also by a pattern
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,

    /// Only those of this client
    #[arg(long, value_name = "NAME")]
    client_id: Option<String>,

    /// Only those of this connection
    #[arg(long, value_name = "ID")]
    connection: Option<u64>,

    /// Show at most this many [default: all]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,

    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Subcommand)]
enum SubscriptionsCommand {
    /// Delete a durable subscription with what waits in it
    ///
    /// Refused while a consumer uses it.
    Delete {
        /// The name of its client
        client_id: String,

        /// Its name
        name: String,

        #[command(flatten)]
        reach: Reach,
    },
}

pub(super) fn run(arguments: &SubscriptionsArguments, output: &Output) -> Result<(), Failure> {
    match &arguments.order {
        Some(SubscriptionsCommand::Delete { client_id, name, reach }) => {
            delete(&reach.admin_client()?, client_id, name, output)
        }
        None => list(arguments, output),
    }
}

fn delete(client: &AdminClient, client_id: &str, name: &str, output: &Output) -> Result<(), Failure> {
    let path = format!(
        "/api/subscriptions?client_id={}&name={}",
        encode(client_id),
        encode(name)
    );
    let deleted: Deleted = client.delete(&path)?;
    if output.json {
        return output.object(&deleted);
    }
    let with = messages(deleted.messages);
    output.text(&output.foreign(&format!("Deleted {} with {with}.\n", deleted.name)))
}

fn list(arguments: &SubscriptionsArguments, output: &Output) -> Result<(), Failure> {
    let mut question = "/api/subscriptions?".to_owned();
    let texts = [
        ("destination", &arguments.destination),
        ("client_id", &arguments.client_id),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            question.push_str(&format!("{name}={}&", encode(value)));
        }
    }
    if let Some(connection) = arguments.connection {
        question.push_str(&format!("connection={connection}&"));
    }
    let client = arguments.reach.admin_client()?;
    let found = client.all(
        &question,
        arguments.limit,
        |answer: SubscriptionsAnswer| (answer.subscriptions, answer.next),
        |count| output.progress(|| format!("{count} subscriptions…")),
    )?;
    if output.json {
        return output.object(&serde_json::json!({ "subscriptions": found }));
    }
    if found.is_empty() {
        return output.text("No subscriptions.\n");
    }
    let mut table = Table::new(&[
        Column::Number("CONN"),
        Column::Number("SENT"),
        Column::Number("UNACKED"),
        Column::Number("PENDING"),
        Column::Number("PREFETCH"),
        Column::Word("ACK"),
        Column::Name("DESTINATION", 11),
    ]);
    for found in &found {
        table.row_with_note(row(found, output), note(found, output));
    }
    output.text(&table.render(output.width))
}

fn row(found: &SubscriptionStatus, output: &Output) -> Vec<String> {
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let ack = match (&found.ack, found.active) {
        (Some(ack), _) => ack.trim_start_matches("client-").to_owned(),
        (None, true) => "-".to_owned(),
        (None, false) => "OFFLINE".to_owned(),
    };
    vec![
        number(found.connection),
        found.dispatched.to_string(),
        found.unacknowledged.to_string(),
        number(found.pending),
        number(found.prefetch.map(u64::from)),
        ack,
        output.foreign(&found.destinations.join(",")).into_owned(),
    ]
}

/// What has no column: most subscriptions have none of it.
fn note(found: &SubscriptionStatus, output: &Output) -> String {
    let named = |what: &str, value: &Option<String>| value.as_ref().map(|value| format!("{what} {value}"));
    let parts = [
        named("id", &found.id),
        named("client", &found.client_id),
        named("durable", &found.durable),
        found.exclusive.then(|| "exclusive".to_owned()),
        found.browser.then(|| "browser".to_owned()),
        named("selector", &found.selector),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let flat = parts.join(", ").replace(['\n', '\t'], " ");
    output.foreign(&flat).into_owned()
}
