//! Moves and dead letters: `holdfast destinations move`, `holdfast dlq list|retry`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::admin_client::{AdminClient, encode};
use super::arguments::Reach;
use super::destinations::{parse, while_watching};
use super::exit::Exit;
use super::failure::Failure;
use super::moment::utc;
use super::output::{Output, messages};
use crate::admin::{DeadLetter, DeadLettersAnswer, Left, MoveStatus, bytes_text};
use message::excerpt;

const MOVE_AFTER_HELP: &str = "\
Every persistent message is in exactly one of the two queues at every moment,
whatever happens; Ctrl-C ends a move, and what was moved stays moved. Messages
keep id, priority, properties and expiration, arrive behind what waits there,
and count as never delivered. What a consumer has is left, and told. Exit code
76 if the move stopped before its end.

  holdfast destinations move orders orders.parked
  holdfast destinations move orders orders.eu --selector \"region = 'EU'\"
  holdfast destinations move orders.parked orders --limit 10";

#[derive(Debug, Args)]
#[command(after_help = MOVE_AFTER_HELP)]
pub(super) struct MoveArguments {
    /// The queue where they wait
    from: String,

    /// The queue where they go; it must exist
    to: String,

    /// Only messages that match, for example "price > 5"
    #[arg(long, value_name = "SELECTOR")]
    selector: Option<String>,

    /// Move at most this many [default: all that wait now]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,

    #[command(flatten)]
    reach: Reach,
}

const LIST_AFTER_HELP: &str = "  holdfast dlq list
  holdfast dlq list --selector \"dlqDeliveryFailureCause LIKE '%Expired%'\"
  holdfast dlq list orders.parked --json";

const RETRY_AFTER_HELP: &str = "\
Each message goes back to the queue or topic in which it was rejected or
expired, as if it were new: its redeliveries count from 0, and it has no
expiration any more. A queue that was deleted is made again.
What came from a topic goes to all its subscribers of now, also to those that
acknowledged it before; it stays if no durable subscription takes it.

  holdfast dlq retry
  holdfast dlq retry --id ID:holdfast-3-7-1
  holdfast dlq retry --selector \"JMSType = 'order'\" --limit 100";

#[derive(Debug, Subcommand)]
pub(super) enum DlqCommand {
    /// List dead letters: where they came from, and why they are there
    #[command(after_help = LIST_AFTER_HELP)]
    List(DlqListArguments),
    /// Send dead letters back where they came from
    #[command(after_help = RETRY_AFTER_HELP)]
    Retry(DlqRetryArguments),
}

#[derive(Debug, Args)]
pub(super) struct DlqListArguments {
    /// The queue [default: the broker's dead-letter queue]
    queue: Option<String>,

    /// Show at most this many [default: 100]
    #[arg(long, value_name = "NUMBER", default_value_t = 100, hide_default_value = true, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,

    /// Only messages that match
    #[arg(long, value_name = "SELECTOR")]
    selector: Option<String>,

    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Args)]
pub(super) struct DlqRetryArguments {
    /// The queue [default: the broker's dead-letter queue]
    queue: Option<String>,

    /// Only the message with this id, as `holdfast dlq list` shows it
    #[arg(long, value_name = "ID", conflicts_with = "selector")]
    id: Option<String>,

    /// Only messages that match
    #[arg(long, value_name = "SELECTOR")]
    selector: Option<String>,

    /// At most this many [default: all that are there now]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,

    #[command(flatten)]
    reach: Reach,
}

/// `holdfast destinations move`.
pub(super) fn move_messages(arguments: &MoveArguments, output: &Output) -> Result<(), Failure> {
    let (from, to) = (parse(&arguments.from)?, parse(&arguments.to)?);
    let order = json!({ "name": from, "to": to, "selector": arguments.selector, "limit": arguments.limit });
    let moved = carry_out(
        arguments.reach.admin_client()?,
        "/api/destinations/move",
        &order,
        &from,
        output,
    )?;
    let text = format!("Moved {} from {} to {to}.\n", messages(moved.messages), moved.from);
    tell(&moved, &text, output)
}

/// `holdfast dlq`.
pub(super) fn run(command: &DlqCommand, output: &Output) -> Result<(), Failure> {
    match command {
        DlqCommand::List(arguments) => list(arguments, output),
        DlqCommand::Retry(arguments) => retry(arguments, output),
    }
}

fn retry(arguments: &DlqRetryArguments, output: &Output) -> Result<(), Failure> {
    let queue = arguments.queue.as_deref().map(parse).transpose()?;
    let by_id = arguments
        .id
        .as_ref()
        .map(|id| format!("JMSMessageID = '{}'", id.replace('\'', "''")));
    let selector = by_id.or_else(|| arguments.selector.clone());
    let order = json!({ "name": queue, "selector": selector, "limit": arguments.limit });
    let watched = queue.unwrap_or_default();
    let moved = carry_out(
        arguments.reach.admin_client()?,
        "/api/dlq/retry",
        &order,
        &watched,
        output,
    )?;
    if let Some(id) = &arguments.id
        && moved.messages == 0
        && moved.stopped.is_none()
    {
        let id = excerpt(id, 120);
        let what = if moved.left == Left::default() {
            format!("there is no message with the id {id}")
        } else {
            let reasons = left(&moved.left).replace('\n', " ");
            let reasons = reasons.trim_end().trim_end_matches('.');
            format!("no message with the id {id} was sent back. {reasons}")
        };
        return Err(Failure::new(
            Exit::Refused,
            what,
            moved.from,
            "`holdfast dlq list` shows the ids, and which of them a consumer has",
        ));
    }
    let text = format!("Sent {} of {} back.\n", messages(moved.messages), moved.from);
    tell(&moved, &text, output)
}

fn carry_out(
    client: AdminClient,
    path: &str,
    order: &serde_json::Value,
    watched: &str,
    output: &Output,
) -> Result<MoveStatus, Failure> {
    while_watching(client, watched, output, |client| client.post(path, order))
}

/// Says what was moved, what was not and why; a move that stopped is a failure.
fn tell(moved: &MoveStatus, text: &str, output: &Output) -> Result<(), Failure> {
    if output.json {
        output.object(moved)?;
    } else {
        output.text(&output.foreign(&format!("{text}{}", left(&moved.left))))?;
    }
    match &moved.stopped {
        None => Ok(()),
        Some(why) => Err(Failure::new(
            Exit::Refused,
            format!("the move stopped before its end: {why}"),
            moved.from.clone(),
            "put that right, then give the order again: it goes on with what is left",
        )),
    }
}

/// One line for each reason why something was left.
fn left(left: &Left) -> String {
    let reasons = [
        (left.in_delivery, "a consumer has", "consumers have", "it", "them"),
        (left.set_aside, "damaged and set aside", "damaged and set aside", "", ""),
        (
            left.without_origin,
            "nothing says where it came from",
            "nothing says where they came from",
            "",
            "",
        ),
        (
            left.origin_gone,
            "it came from a temporary destination",
            "they came from temporary destinations",
            "",
            "",
        ),
        (
            left.unheard,
            "no durable subscription to the topic that it came from takes it",
            "no durable subscription to the topics that they came from takes them",
            "",
            "",
        ),
    ];
    let mut text = String::new();
    for (count, one, many, it, them) in reasons {
        let (reason, object) = if count == 1 { (one, it) } else { (many, them) };
        if count > 0 {
            let reason = format!("{reason} {object}");
            text.push_str(&format!("Left {}: {}.\n", messages(count), reason.trim_end()));
        }
    }
    text
}

fn list(arguments: &DlqListArguments, output: &Output) -> Result<(), Failure> {
    let mut question = "/api/dlq?".to_owned();
    if let Some(queue) = &arguments.queue {
        question.push_str(&format!("name={}&", encode(&parse(queue)?)));
    }
    if let Some(selector) = &arguments.selector {
        question.push_str(&format!("selector={}&", encode(selector)));
    }
    let client = arguments.reach.admin_client()?;
    let (mut queue, mut is_more) = (String::new(), false);
    let found = client.all(
        &question,
        Some(arguments.limit),
        |answer: DeadLettersAnswer| {
            queue.clone_from(&answer.queue);
            is_more = answer.next.is_some();
            (answer.messages, answer.next)
        },
        |count| output.progress(|| format!("{count} messages…")),
    )?;
    if output.json {
        return output.object(&json!({ "queue": queue, "messages": found }));
    }
    if found.is_empty() {
        return output.text(&output.foreign(&format!("No dead letters in {queue}.\n")));
    }
    let text: String = found.iter().map(|found| shown(found, output)).collect();
    output.text(&text)?;
    if is_more {
        output.remark(&format!(
            "Stopped after {} messages; see more with --limit.",
            found.len()
        ));
    }
    Ok(())
}

/// Three lines for each, the id whole: it is what `retry --id` wants.
fn shown(found: &DeadLetter, output: &Output) -> String {
    let origin = found
        .original_destination
        .as_deref()
        .unwrap_or("nowhere: it was sent here");
    let mut facts = format!("sent {}, {}", utc(found.timestamp), bytes_text(found.body_bytes));
    if found.redeliveries > 0 {
        facts.push_str(&format!(", redelivered {} times here", found.redeliveries));
    }
    if found.in_delivery {
        facts.push_str(", a consumer has it");
    }
    let reason = found.reason.as_deref().unwrap_or("no reason is recorded");
    // What ActiveMQ's clients put before every reason.
    let reason = reason.strip_prefix("java.lang.Throwable: ").unwrap_or(reason);
    let lines = [format!("from {origin}, {facts}"), reason.replace('\n', " ")];
    let mut text = format!("{}\n", output.foreign(&found.id));
    for line in lines {
        text.push_str(&format!("  {}\n", output.fitted(&output.foreign(&line), 2)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_why_messages_stay_is_said_in_a_line_of_its_own() {
        let all = Left {
            in_delivery: 1,
            set_aside: 2,
            without_origin: 3,
            origin_gone: 1,
            unheard: 1,
        };
        assert_eq!(
            left(&all),
            "Left 1 message: a consumer has it.\nLeft 2 messages: damaged and set aside.\nLeft 3 messages: nothing says where they came from.\n\
             Left 1 message: it came from a temporary destination.\nLeft 1 message: no durable subscription to the topic that it came from takes it.\n"
        );
        assert_eq!(left(&Left::default()), "");
    }
}
