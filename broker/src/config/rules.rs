//! What must hold between settings, and what no single type can say.

use super::settings::Config;
use super::values::ListenAddress;

/// The block of a disk, in bytes; segments and batches are made of whole ones.
const BLOCK_BYTES: u64 = 4096;

/// Everything that is wrong: the key to blame, and the message.
pub(super) fn broken(config: &Config) -> Vec<(&'static str, String)> {
    let mut broken = Vec::new();
    let mut rule = |key, holds: bool, text: String| {
        if !holds {
            broken.push((key, text));
        }
    };

    rule(
        "listen",
        !config.listen.is_empty(),
        "names no listener: a broker without clients is of no use".into(),
    );
    for (index, listener) in config.listen.iter().enumerate() {
        let before = || config.listen[..index].iter();
        let is_again = |other: &&ListenAddress| other.address == listener.address;
        let again = before().filter(is_again).count();
        if again > 0 {
            // What is wrong with the address was said when it was met first.
            let is_taken = again == 1 && listener.address.port() != 0;
            rule("listen", !is_taken, format!("names {listener} twice"));
            continue;
        }
        rule(
            "listen",
            listener.address.ip().is_loopback(),
            beyond_loopback(&listener.to_string(), "client"),
        );
        rule(
            "admin",
            listener.address.port() == 0 || config.admin.0 != Some(listener.address),
            format!("is {}, which `listen` takes already", config.admin),
        );
    }
    if let Some(admin) = config.admin.0 {
        rule(
            "admin",
            admin.ip().is_loopback(),
            beyond_loopback(&admin.to_string(), "administrator"),
        );
    }

    for (key, size) in [
        ("journal.segment_bytes", config.journal_segment_bytes),
        ("journal.batch_bytes_max", config.journal_batch_bytes_max),
    ] {
        rule(
            key,
            size.0.is_multiple_of(BLOCK_BYTES),
            format!("is {size}; it must be a multiple of 4KiB"),
        );
    }
    rule(
        "journal.batch_bytes_max",
        config.journal_batch_bytes_max.0 <= config.journal_segment_bytes.0 / 4,
        format!(
            "is {}; it must be at most a quarter of `journal.segment_bytes` ({})",
            config.journal_batch_bytes_max, config.journal_segment_bytes
        ),
    );
    rule(
        "leadership.fence_fresh",
        config.leadership_fence_fresh < config.leadership_takeover_after,
        "must be shorter than `leadership.takeover_after`, or an old leader speaks while a new one leads".into(),
    );
    rule(
        "leadership.heartbeat_interval",
        config.leadership_heartbeat_interval < config.leadership_fence_fresh,
        "must be shorter than `leadership.fence_fresh`, or an idle leader falls silent between two heartbeats".into(),
    );
    rule(
        "leadership.poll_interval",
        config.leadership_poll_interval < config.leadership_takeover_after,
        "must be shorter than `leadership.takeover_after`".into(),
    );
    rule(
        "limits.header_bytes_max",
        config.limits_header_bytes_max <= config.limits_frame_bytes_max,
        "must not be larger than `limits.frame_bytes_max`".into(),
    );
    broken
}

fn beyond_loopback(address: &str, who: &str) -> String {
    format!(
        "names {address}, which other machines can reach. This version has no users and passwords yet, so any {who} there could do everything; \
         use a loopback address (127.0.0.1 or [::1]), and a tunnel (ssh -L) if another machine must reach it"
    )
}
