//! Which limit an ERROR speaks of: so that it shows which are reached.

/// What stands in an ERROR's message or explanation, and the name of what was reached.
const LIMITS: [(&str, &str); 18] = [
    (
        "(subscriptions_per_connection_max)",
        "limit reached: subscriptions_max of a connection",
    ),
    (
        "(transactions_per_connection_max)",
        "limit reached: transactions_max of a connection",
    ),
    (
        "maximum allowed size of pending",
        "limit reached: transaction_bytes_max",
    ),
    ("maximum number of destinations", "limit reached: destinations_max"),
    ("maximum number of durable", "limit reached: durable subscriptions"),
    (
        "temporary_destinations_per_connection_max",
        "limit reached: temporary_destinations_max",
    ),
    ("(read_ahead_bytes_max)", "limit reached: read_ahead_bytes_max"),
    ("(header_bytes_max)", "limit reached: header_bytes_max"),
    ("(headers_max)", "limit reached: headers_max"),
    ("(frame_bytes_max)", "limit reached: frame_bytes_max"),
    ("(connect_bytes_max)", "limit reached: connect_bytes_max"),
    ("(connect_within)", "limit reached: connect_within"),
    ("maximum command length", "limit reached: length of a command"),
    ("Usage Manager Memory Limit", "limit reached: volatile_bytes_max"),
    ("Persistent store is Full", "limit reached: space in the store"),
    ("nested", "limit reached: depth of a selector"),
    ("Channel was inactive", "limit reached: silence beyond the heart-beat"),
    ("Too much was sent ahead", "limit reached: read_ahead_bytes_max"),
];

/// The name of the limit that an ERROR speaks of; `None`: of no limit.
pub(super) fn limit_of(message: &str, explanation: &str) -> Option<&'static str> {
    let speaks = |text: &str| message.contains(text) || explanation.contains(text);
    LIMITS.iter().find(|(text, _)| speaks(text)).map(|(_, name)| *name)
}
