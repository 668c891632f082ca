//! What a person should look at, most important first.

use node::NodeStatus;

use crate::admin::Warning;

pub(super) fn warnings(status: &NodeStatus, set_aside: u64) -> Vec<Warning> {
    let mut warnings: Vec<Warning> = Vec::new();
    if status.lacks_space {
        warnings.push(Warning {
            what: "the disk is full: writes wait for space, and nothing that needs them is confirmed".into(),
            what_to_do: "free space on the data directory's file system; the broker goes on by itself".into(),
        });
    }
    if let Some(why) = &status.sends_wait {
        warnings.push(Warning {
            what: format!("persistent sends wait for space, consumers go on: {why}"),
            what_to_do:
                "consume messages, or give the data directory's file system more space; the broker goes on by itself"
                    .into(),
        });
    }
    let waiting = status.waiting.store + status.waiting.memory;
    if waiting > 0 {
        let connections = if waiting == 1 {
            "connection waits"
        } else {
            "connections wait"
        };
        warnings.push(Warning {
            what: format!(
                "{waiting} {connections} to send: {} for space in the store, {} for memory (limits.volatile_bytes_max)",
                status.waiting.store, status.waiting.memory
            ),
            what_to_do: "consume messages; limits.send_fail_if_no_space lets such sends fail instead".into(),
        });
    }
    if set_aside > 0 {
        let messages = if set_aside == 1 { "message is" } else { "messages are" };
        warnings.push(Warning {
            what: format!("{set_aside} {messages} set aside: damaged on disk, not delivered, kept until purged"),
            what_to_do: "`holdfast destinations list` shows where; docs/operating.md says what can be done".into(),
        });
    }
    if status.unscheduled > 0 {
        let (messages, were) = if status.unscheduled == 1 {
            ("message", "was")
        } else {
            ("messages", "were")
        };
        warnings.push(Warning {
            what: format!(
                "{} {messages} asked for scheduled delivery (AMQ_SCHEDULED_…) and {were} delivered at once",
                status.unscheduled
            ),
            what_to_do: "this version schedules nothing: let the sender wait, or send without these headers".into(),
        });
    }
    warnings.extend(status.warnings.iter().map(|what| Warning {
        what: what.clone(),
        what_to_do: "docs/recovery.md says what each of these means".into(),
    }));
    warnings
}
