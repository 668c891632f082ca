//! `holdfast destinations list|create|purge|move|delete`.

use std::sync::mpsc;
use std::time::Duration;

use super::admin_client::AdminClient;
use super::arguments::{DestinationsCommand, OneDestination};
use super::failure::Failure;
use super::moves;
use super::output::{Output, messages};
use super::table::{Column, Table};
use crate::admin::{Created, Deleted, DestinationStatus, Purged, parse_destination};

pub(super) fn run(command: &DestinationsCommand, output: &Output) -> Result<(), Failure> {
    match command {
        DestinationsCommand::List { reach } => list(&reach.admin_client()?, output),
        DestinationsCommand::Create(one) => {
            let (client, name) = prepare(one)?;
            let created: Created = client.post("/api/destinations", &serde_json::json!({ "name": name }))?;
            let text = if created.created { "Created" } else { "There is already" };
            tell(output, &created, format!("{text} {}.\n", created.name))
        }
        DestinationsCommand::Purge(arguments) => {
            let (client, name) = prepare(&arguments.one)?;
            let order = serde_json::json!({ "name": name, "set_aside": arguments.set_aside });
            let purged: Purged = while_watching(client, &name, output, |client| {
                client.post("/api/destinations/purge", &order)
            })?;
            let what = if arguments.set_aside {
                " that were set aside"
            } else {
                ""
            };
            let removed = messages(purged.messages);
            tell(
                output,
                &purged,
                format!("Removed {removed}{what} from {}.\n", purged.name),
            )
        }
        DestinationsCommand::Move(arguments) => moves::move_messages(arguments, output),
        DestinationsCommand::Delete(one) => {
            let (client, name) = prepare(one)?;
            let deleted: Deleted = while_watching(client, &name, output, |client| client.delete_destination(&name))?;
            let with = match deleted.messages {
                0 => String::new(),
                count => format!(" with {}", messages(count)),
            };
            tell(output, &deleted, format!("Deleted {}{with}.\n", deleted.name))
        }
    }
}

/// A destination as it is shown, however it was typed.
pub(super) fn shown(text: &str) -> String {
    parse_destination(text).map_or_else(|_| text.to_string(), |destination| destination.to_string())
}

/// A destination that was typed, as it is shown; wrongly typed, the command line is wrong.
pub(super) fn parse(text: &str) -> Result<String, Failure> {
    let destination = parse_destination(text).map_err(|refused| {
        let mut failure = Failure::from(refused);
        failure.exit = super::Exit::Usage;
        failure
    })?;
    Ok(destination.to_string())
}

fn prepare(one: &OneDestination) -> Result<(AdminClient, String), Failure> {
    let name = parse(&one.destination)?;
    Ok((one.reach.admin_client()?, name))
}

fn tell(output: &Output, answer: &impl serde::Serialize, text: String) -> Result<(), Failure> {
    match output.json {
        true => output.object(answer),
        false => output.text(&output.foreign(&text)),
    }
}

fn list(client: &AdminClient, output: &Output) -> Result<(), Failure> {
    let found = client.destinations(|count| output.progress(|| format!("{count} destinations…")))?;
    if output.json {
        return output.object(&serde_json::json!({ "destinations": found }));
    }
    if found.is_empty() {
        return output.text("No destinations yet; sending to one creates it.\n");
    }
    let mut table = Table::new(&[
        Column::Number("WAITING"),
        Column::Number("HELD"),
        Column::Number("ASIDE"),
        Column::Number("CONSUMERS"),
        Column::Number("IN"),
        Column::Number("OUT"),
        Column::Name("NAME", 20),
    ]);
    found.iter().for_each(|found| table.row(row(found, output)));
    output.text(&table.render(output.width))
}

fn row(found: &DestinationStatus, output: &Output) -> Vec<String> {
    vec![
        found.messages.to_string(),
        found.in_flight.to_string(),
        found.set_aside.to_string(),
        found.consumers.to_string(),
        found.enqueued.to_string(),
        found.dequeued.to_string(),
        output.foreign(&found.name).to_string(),
    ]
}

/// Carries out an order that may take long, and shows meanwhile how many messages are left.
pub(super) fn while_watching<T: Send>(
    client: AdminClient,
    name: &str,
    output: &Output,
    order: impl FnOnce(AdminClient) -> Result<T, Failure> + Send,
) -> Result<T, Failure> {
    std::thread::scope(|scope| {
        let (done, finished) = mpsc::channel();
        scope.spawn(move || {
            // The receiver waits until this was sent.
            let _ = done.send(order(client));
        });
        loop {
            match finished.recv_timeout(Duration::from_millis(500)) {
                Ok(result) => return result,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    if !name.is_empty()
                        && let Ok(status) = client.destination(name)
                    {
                        output.progress(|| format!("{} messages left in {name}", status.messages));
                    }
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return Err(Failure::new(
                        super::Exit::Failure,
                        "the order's thread ended without an answer",
                        name,
                        "please report this; whether the order was carried out shows `holdfast destinations list`",
                    ));
                }
            }
        }
    })
}
