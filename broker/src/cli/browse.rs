//! `holdfast browse`.

use std::time::Instant;

use client::stomp::{Ack, Event, Message, SubscribeOptions};

use super::arguments::BrowseArguments;
use super::exit::Exit;
use super::failure::Failure;
use super::output::Output;
use super::receive::{json, print};
use super::stomp_connection::{StompConnection, stomp_destination};
use super::table::{Column, Table};
use crate::admin::{bytes_text, duration_text};

/// Characters of a body where nobody knows how wide the output is, and what stands beside it.
const PREVIEW_CHARACTERS: usize = 40;
const BESIDE_PREVIEW: usize = 40;

pub(super) fn run(arguments: &BrowseArguments, output: &Output) -> Result<(), Failure> {
    let destination = stomp_destination(&arguments.destination)?;
    let shown = super::destinations::shown(&arguments.destination);
    if !destination.starts_with("/queue/") {
        return Err(Failure::new(
            Exit::Usage,
            "only queues can be browsed: a topic keeps nothing to look at",
            shown,
            "browse a queue, or `holdfast receive` from the topic",
        ));
    }
    let addresses = arguments.reach.stomp_addresses()?;
    let mut connection = StompConnection::open(&addresses)?;
    let options = SubscribeOptions {
        ack: Ack::ClientIndividual,
        selector: arguments.selector.as_deref(),
        prefetch: Some(arguments.limit.min(500) as u32),
        browser: true,
        ..SubscribeOptions::default()
    };
    connection.client.subscribe("browse", &destination, &options);
    let mut rows = Vec::new();
    let mut seen = 0;
    let mut complete = false;
    while seen < arguments.limit {
        match connection.event(Some(Instant::now() + arguments.timeout))? {
            Some(Event::Message(message)) => {
                seen += 1;
                // What was looked at counts against the prefetch until it is acknowledged; for a browser that takes nothing away.
                connection.client.ack(&message.ack_token(), None, None);
                match (output.json, arguments.headers) {
                    (true, _) => output.object_line(&json(&message))?,
                    (false, true) => {
                        print(&message, true, output)?;
                        output.text("\n")?;
                    }
                    (false, false) => rows.push(row(seen, &message, output)),
                }
            }
            Some(Event::BrowseEnd { .. }) => {
                complete = true;
                break;
            }
            Some(_) => {}
            None => {
                let seconds = arguments.timeout.as_secs_f64();
                return Err(connection.broken(&format!("the broker sent nothing for {seconds} s while browsing")));
            }
        }
    }
    connection.close(arguments.timeout)?;
    if output.json || arguments.headers {
        return Ok(());
    }
    match rows.is_empty() {
        true => output.text(&format!("No messages in {shown}.\n"))?,
        false => {
            let mut table = Table::new(&[
                Column::Number("#"),
                Column::Number("AGE"),
                Column::Number("SIZE"),
                Column::Number("PRIORITY"),
                Column::Name("BODY", 20),
            ]);
            rows.into_iter().for_each(|row| table.row(row));
            output.text(&table.render(output.width))?;
        }
    }
    if !complete {
        output.remark(&format!("Stopped after {seen} messages; see more with --limit."));
    }
    Ok(())
}

fn row(number: u64, message: &Message, output: &Output) -> Vec<String> {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    let sent = message.header("timestamp").and_then(|text| text.parse::<u64>().ok());
    let age = sent.map(|sent| duration_text(now.as_secs().saturating_sub(sent / 1000)));
    let room = output.width.map_or(PREVIEW_CHARACTERS, |width| {
        width.saturating_sub(BESIDE_PREVIEW).max(PREVIEW_CHARACTERS)
    });
    let preview = match std::str::from_utf8(message.body()) {
        Ok(text) => {
            let flat: String = text
                .chars()
                .take(room)
                .map(|c| if c.is_whitespace() { ' ' } else { c })
                .collect();
            let more = if text.chars().nth(room).is_some() { "…" } else { "" };
            format!("{}{more}", output.foreign(&flat))
        }
        Err(_) => "(bytes)".to_string(),
    };
    vec![
        number.to_string(),
        age.unwrap_or_else(|| "-".to_string()),
        bytes_text(message.body().len() as u64),
        message.header("priority").unwrap_or("4").to_string(),
        preview,
    ]
}
