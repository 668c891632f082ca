//! `holdfast run`: from settings to a running broker, and from its end to an exit code.

use std::path::Path;

use node::Failure as NodeFailure;
use platform::DiskErrorKind;
use platform::real::{DiskDelays, OpenError};

use super::configuration;
use super::exit::Exit;
use super::failure::Failure;
use super::output::Output;
use super::run_arguments::RunArguments;
use crate::config::{Config, Scheme};
use crate::observe;
use crate::run::{AdmissionLimits, RunError, RunOptions};

pub(super) fn run(arguments: &RunArguments, _output: &Output) -> Result<(), Failure> {
    let effective = configuration::load(arguments.config.as_deref(), &arguments.flags)?;
    let config = &effective.config;
    observe::install_logging(config.log_level, config.log_format);
    observe::install_panic_hook();
    for warning in &effective.warnings {
        tracing::warn!("{warning}");
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        name = config.name,
        data = %config.data.display(),
        "starting"
    );
    if let Err(error) = crate::run::run(options(config, arguments.disk_delays)) {
        let failure = failure(&error, &config.data);
        if !observe::logs_json(config.log_format) {
            return Err(failure);
        }
        // Whoever reads the log as JSON gets the last word in the same form.
        tracing::error!(
            exit_code = failure.exit.code(),
            name = failure.exit.name(),
            r#where = failure.location,
            what_to_do = failure.what_to_do,
            "{}",
            failure.what
        );
        return Err(failure.said());
    }
    tracing::info!("stopped");
    Ok(())
}

/// What the broker is run with.
fn options(config: &Config, disk_delays: DiskDelays) -> RunOptions {
    let stomp = config.listen.iter().filter(|listener| listener.scheme == Scheme::Stomp);
    RunOptions {
        name: config.name.clone(),
        data: config.data.clone(),
        stomp: stomp.map(|listener| listener.address).collect(),
        admin: config.admin.0,
        admission: AdmissionLimits {
            half_open_max: wide(config.limits_half_open_max.into()),
            half_open_per_address_max: wide(config.limits_half_open_per_address_max.into()),
            connections_per_address_max: Some(wide(config.limits_connections_per_address_max.into()))
                .filter(|max| *max > 0),
        },
        settings: settings(config),
        disk_delays,
    }
}

fn settings(config: &Config) -> node::Settings {
    let segment_bytes = config.journal_segment_bytes.0;
    node::Settings {
        takeover_after: config.leadership_takeover_after,
        fence_fresh: config.leadership_fence_fresh,
        storage_stall_max: config.leadership_storage_stall_max,
        heartbeat_interval: config.leadership_heartbeat_interval,
        poll_interval: config.leadership_poll_interval,
        shared_unknown: config.shared_unknown,
        checkpoint_bytes: config.journal_checkpoint_bytes.0,
        checkpoint_records: config.journal_checkpoint_records.into(),
        checkpoint_interval: config.journal_checkpoint_interval,
        ballast_bytes: config
            .journal_ballast_bytes
            .map_or(2 * segment_bytes + (16 << 20), |size| size.0),
        connections_max: wide(config.limits_connections_max.into()),
        unfinished_bytes_max: wide(config.limits_unfinished_bytes_max.0),
        unfinished_progress_within: config.limits_unfinished_progress_within,
        journal: journal::JournalSettings {
            segment_bytes: narrow(segment_bytes),
            batch_bytes_max: narrow(config.journal_batch_bytes_max.0),
            writes_in_flight: wide(config.journal_writes_in_flight.into()),
        },
        engine: engine::Settings {
            broker_name: config.name.as_str().into(),
            dead_letter_queue: config.dead_letter_queue.as_str().into(),
            body_cache_bytes: wide(config.journal_body_cache_bytes.0),
            transaction_bytes_max: wide(config.limits_transaction_bytes_max.0),
            transactions_bytes_max: wide(config.limits_transactions_bytes_max.0),
            volatile_bytes_max: wide(config.limits_volatile_bytes_max.0),
            send_fail_if_no_space: config.limits_send_fail_if_no_space,
            send_fail_if_no_space_after: Some(config.limits_send_fail_if_no_space_after)
                .filter(|after| !after.is_zero()),
            waiting_bytes_max: wide(config.limits_read_ahead_bytes_max.0),
            untaken_bytes_max: wide(config.limits_untaken_bytes_per_connection_max.0),
            untaken_bytes_all_max: wide(config.limits_untaken_bytes_max.0),
            destinations_max: wide(config.limits_destinations_max.into()),
            subscriptions_max: wide(config.limits_durable_subscriptions_max.into()),
            topic_consumer_messages_max: wide(config.limits_topic_consumer_messages_max.into()),
            topic_consumer_bytes_max: wide(config.limits_topic_consumer_bytes_max.0),
            duplicate_ids_max: wide(config.duplicates_ids_max.into()),
            duplicate_window: config.duplicates_window,
            expiry_interval: config.expiry_interval,
            message_groups_max: wide(config.limits_message_groups_max.into()),
            ..engine::Settings::default()
        },
        stomp: wire::stomp::Limits {
            frame: wire::stomp::FrameLimits {
                frame_bytes_max: narrow(config.limits_frame_bytes_max.0),
                header_bytes_max: narrow(config.limits_header_bytes_max.0),
                headers_max: config.limits_headers_max,
            },
            connect_within: config.limits_connect_within,
            connect_bytes_max: narrow(config.limits_connect_bytes_max.0),
            read_ahead_bytes_max: narrow(config.limits_read_ahead_bytes_max.0),
            answers_bytes_max: narrow(config.limits_answers_bytes_per_connection_max.0),
            subscriptions_max: config.limits_subscriptions_per_connection_max,
            transactions_max: config.limits_transactions_per_connection_max,
            temporary_destinations_max: config.limits_temporary_destinations_per_connection_max,
            prefetch_max: config.limits_prefetch_max,
            ..wire::stomp::Limits::default()
        },
        // A client that sends no `heart-beat` is treated as if it had sent this: it wants what we send, and promises what we expect.
        heart_beat_default: wire::stomp::HeartBeat {
            promises_ms: narrow(config.stomp_heart_beat_receive_default.as_millis() as u64),
            wants_ms: narrow(config.stomp_heart_beat_send_default.as_millis() as u64),
        },
        heart_beat_grace_percent: config.stomp_heart_beat_grace_percent,
    }
}

/// A number that its setting's limits keep below 4 Gi.
fn narrow(number: u64) -> u32 {
    u32::try_from(number).expect("the limits of the setting keep it within 32 bits")
}

/// A number that fits on every machine that this is built for.
fn wide(number: u64) -> usize {
    usize::try_from(number).expect("addresses have 64 bits")
}

/// The exit code and the words for the broker's end.
fn failure(error: &RunError, data: &Path) -> Failure {
    let directory = data.display().to_string();
    let (exit, location, what_to_do) = match error {
        RunError::Port { address, flag, .. } => (
            Exit::AddressInUse,
            address.to_string(),
            format!("stop what uses it (another broker?), or choose another address with {flag}"),
        ),
        RunError::Directory(open) => {
            let exit = match open {
                OpenError::NotADirectory { .. }
                | OpenError::NoPath { .. }
                | OpenError::MayNotCreate { .. }
                | OpenError::Denied { .. }
                | OpenError::ReadOnly { .. } => Exit::DataUnusable,
                OpenError::System { .. } => Exit::StorageFailed,
                OpenError::Threads { .. } => Exit::Failure,
            };
            let path = open.path().map(|path| path.display().to_string());
            (
                exit,
                path.unwrap_or_else(|| THIS_MACHINE.into()),
                open.what_to_do().into(),
            )
        }
        RunError::Process(_) => (
            Exit::Failure,
            THIS_MACHINE.into(),
            "mount /proc and give the broker /dev/urandom, also in a container".into(),
        ),
        RunError::Loop(_) => (
            Exit::Failure,
            THIS_MACHINE.into(),
            "raise the limit of open files (ulimit -n, LimitNOFILE) or free memory, then start it again".into(),
        ),
        RunError::Node(failure) => ended(failure, directory),
    };
    Failure::new(exit, error.to_string(), location, what_to_do)
}

/// Where a failure is that is about no directory or address.
const THIS_MACHINE: &str = "this machine";

/// The exit code, the place and the advice for a node's end.
fn ended(failure: &NodeFailure, directory: String) -> (Exit, String, String) {
    let (exit, location, what_to_do) = match failure {
        NodeFailure::AnotherLeads { .. } => (
            Exit::AnotherLeads,
            directory,
            "stop that broker first, or give this one another directory with --data",
        ),
        NodeFailure::Fenced { .. } => (
            Exit::LeadershipLost,
            directory,
            "start this broker again: it waits for its turn or says who leads; what was confirmed is safe",
        ),
        NodeFailure::Damage { file, .. } => (
            Exit::Damage,
            format!("{directory}/{file}"),
            "do not delete anything; look at it with `holdfast journal verify`, or restore a backup of the whole directory",
        ),
        NodeFailure::Disk(error) if error.kind == DiskErrorKind::NoSpace => (
            Exit::StorageFailed,
            directory,
            "everything that was confirmed is safe; free space on that file system, then start the broker again",
        ),
        // Removed, moved or replaced under the broker: whether what it confirmed is still there is not for it to say.
        NodeFailure::Disk(error) if error.kind == DiskErrorKind::Stale => (
            Exit::StorageFailed,
            directory,
            "put the directory back as it was (or mount it again), then start the broker: what it confirmed lies there and nowhere else",
        ),
        NodeFailure::Disk(_) => (
            Exit::StorageFailed,
            directory,
            "everything that was confirmed is safe; look at the disk or mount, then start the broker again",
        ),
        NodeFailure::Stalled { .. } => (
            Exit::StorageFailed,
            directory,
            "everything that was confirmed is safe; look at the disk or file server, then start the broker again",
        ),
        NodeFailure::HistoryChanged { file, .. } => (
            Exit::StorageFailed,
            format!("{directory}/{file}"),
            "everything that was confirmed is safe; start the broker again, and look at the file server if this comes back",
        ),
        NodeFailure::Unfit { what_to_do, .. } => (Exit::DataUnusable, directory, *what_to_do),
    };
    (exit, location, what_to_do.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_valid_configuration_fits_the_node() {
        // The smallest and the largest values that the limits allow: nothing may overflow on its way into the node's settings.
        type Pick = fn((&'static str, &'static str)) -> &'static str;
        let picks: [Pick; 2] = [|limits| limits.0, |limits| limits.1];
        for pick in picks {
            for setting in crate::config::SETTINGS {
                let Some(limits) = setting.limits else { continue };
                let sources = crate::config::Sources {
                    environment: vec![(setting.variable(), pick(limits).to_string())],
                    ..crate::config::Sources::default()
                };
                // Some extremes contradict other settings' defaults, and are refused for that.
                if let Ok(effective) = crate::config::load(&sources) {
                    let _ = options(&effective.config, DiskDelays::default());
                }
            }
        }
    }

    /// Every way in which a broker ends by itself.
    fn ends() -> Vec<RunError> {
        use node::Failure::*;
        use std::io::Error;
        let path = || std::path::PathBuf::from("/data");
        let detail = || "why".to_string();
        let file = || "epochs/00000001".to_string();
        let disk = |kind| {
            Disk(platform::DiskError {
                kind,
                operation: "read",
                path: file(),
                detail: detail(),
            })
        };
        vec![
            RunError::Port {
                address: std::net::SocketAddr::from(([127, 0, 0, 1], 61613)),
                error: Error::from(std::io::ErrorKind::AddrInUse),
                flag: "--listen",
            },
            OpenError::NotADirectory { path: path() }.into(),
            OpenError::NoPath {
                path: path(),
                detail: detail(),
            }
            .into(),
            OpenError::MayNotCreate {
                path: path(),
                detail: detail(),
            }
            .into(),
            OpenError::Denied {
                path: path(),
                access: "written",
                user: 7,
                detail: detail(),
            }
            .into(),
            OpenError::ReadOnly { path: path() }.into(),
            OpenError::System {
                path: path(),
                operation: "open",
                detail: detail(),
            }
            .into(),
            OpenError::Threads { detail: detail() }.into(),
            RunError::Process(Error::other("why")),
            RunError::Loop(Error::other("why")),
            AnotherLeads {
                epoch: message::Epoch(1),
                identity: None,
            }
            .into(),
            Fenced { by: message::Epoch(2) }.into(),
            Damage {
                file: file(),
                offset: Some(4096),
                text: detail(),
            }
            .into(),
            disk(DiskErrorKind::NoSpace).into(),
            disk(DiskErrorKind::Failed).into(),
            disk(DiskErrorKind::Stale).into(),
            Stalled { seconds: 60 }.into(),
            HistoryChanged {
                file: file(),
                offset: 4096,
            }
            .into(),
            Unfit {
                what: detail(),
                what_to_do: "choose another",
            }
            .into(),
        ]
    }

    #[test]
    fn every_end_of_a_broker_says_what_happened_where_and_what_to_do() {
        let mut exits = Vec::new();
        for end in ends() {
            let failure = failure(&end, Path::new("/data"));
            for text in [&failure.what, &failure.location, &failure.what_to_do] {
                assert!(!text.trim().is_empty(), "{end:?}: {failure:?}");
            }
            assert!(!failure.what.contains(&failure.what_to_do), "said twice: {failure:?}");
            exits.push(failure.exit.code());
        }
        exits.sort_unstable();
        exits.dedup();
        assert_eq!(exits, [1, 65, 71, 73, 74, 75, 77]);
    }

    #[test]
    fn defaults_of_the_table_are_those_of_the_crates() {
        let (ours, theirs) = (settings(&Config::default()), node::Settings::default());
        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
    }
}
