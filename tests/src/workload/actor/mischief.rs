//! What clients do that they must not do: frames that are none, acknowledgements of what is not theirs, floods, selectors that err or cost much, transactions without end.
//!
//! Owns: [`Manner`] and the bytes of each misdeed. They go between the well-formed frames of an ordinary client, which is judged by the same rules as every other: what is confirmed to a malicious client is
//! confirmed. Invariant: no misdeed that succeeds concerns a message of the workload, so that the history stays complete; names begin with [`OURS`].

use std::fmt::Write;

use super::*;

/// What receipts, subscriptions and transactions of misdeeds begin with.
const OURS: &str = "evil-";

/// How a client behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As it should.
    Polite,
    /// Sends what is no frame, or not allowed here.
    Breaks,
    /// Acknowledges what is not its own, or not any more.
    Forges,
    /// Subscribes, unsubscribes, sends and asks for receipts in masses.
    Floods,
    /// Subscribes with selectors that err or cost much.
    Selects,
    /// Takes deliveries and settles none.
    Hoards,
    /// Leaves transactions open.
    NeverEnds,
    /// Does more in one transaction than one may hold.
    Overdraws,
    /// Connects and says nothing.
    Silent,
}

impl Manner {
    /// Its name among what was met.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Manner::Polite => None,
            Manner::Breaks => Some("malicious client: breaks the protocol"),
            Manner::Forges => Some("malicious client: acknowledges what is not its own"),
            Manner::Floods => Some("malicious client: floods"),
            Manner::Selects => Some("malicious client: costly and wrong selectors"),
            Manner::Hoards => Some("malicious client: settles nothing"),
            Manner::NeverEnds => Some("malicious client: leaves transactions open"),
            Manner::Overdraws => Some("malicious client: too large transactions"),
            Manner::Silent => Some("malicious client: says nothing"),
        }
    }

    /// What it calls itself, if it needs a name: durable subscriptions have owners.
    pub(super) fn client_id(self, scene: &mut Scene) -> Option<String> {
        (self == Manner::Floods).then(|| format!("{OURS}{}", scene.history.fresh()))
    }
}

/// Whether a receipt or subscription is one of a misdeed.
pub(super) fn is_ours(name: &str) -> bool {
    name.starts_with(OURS)
}

/// What one connection has done that it must not do.
#[derive(Debug)]
pub(super) struct Mischief {
    manner: Manner,
    /// Bytes to be sent, before those of the client.
    raw: VecDeque<Bytes>,
    /// It is over when its own side is closed.
    pub(super) half_closes: bool,
    /// Subscriptions of misdeeds.
    subscriptions: Vec<String>,
    /// What was settled once already.
    settled: Option<AckToken>,
}

/// Steps of a transaction that is meant to become too large.
const OVERDRAWN_STEPS: u64 = 60;

/// Bytes of a header line that is longer than every limit of the simulation.
const LONG_HEADER: usize = 9_000;

/// Headers of a frame that has more than every limit of the simulation.
const MANY_HEADERS: usize = 80;

/// Names that floods use.
const STRANGE_NAMES: u64 = 40;

/// What is no frame, or not allowed to a connected client; with what it is.
const BROKEN: [(&str, &[u8]); 18] = [
    ("mischief: header without colon", b"SEND\ndestination\n\n\0"),
    (
        "mischief: zero byte in the headers",
        b"SEND\ndest\0ination:/queue/work.a\n\n\0",
    ),
    ("mischief: headers that are not UTF-8", b"SEND\n\xff\xfe\xfd:1\n\n\0"),
    (
        "mischief: undefined escape",
        b"SEND\ndestination:/queue/strange.\\q\n\n\0",
    ),
    (
        "mischief: content-length that is no number",
        b"SEND\ndestination:/queue/strange.0\ncontent-length:many\n\nx\0",
    ),
    (
        "mischief: negative content-length",
        b"SEND\ndestination:/queue/strange.0\ncontent-length:-1\n\nx\0",
    ),
    (
        "mischief: content-length below the body",
        b"SEND\ndestination:/queue/strange.0\ncontent-length:3\n\nabcdefgh\0",
    ),
    (
        "mischief: content-length above the body",
        b"SEND\ndestination:/queue/strange.0\ncontent-length:900\n\nabcdefgh\0",
    ),
    (
        "mischief: content-length above frame_bytes_max",
        b"SEND\ndestination:/queue/strange.0\ncontent-length:4000000000\n\nabcdefgh\0",
    ),
    ("mischief: unknown command", b"OBEY\n\n\0"),
    (
        "mischief: bytes of another protocol",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ),
    (
        "mischief: CONNECT twice",
        b"CONNECT\naccept-version:1.2\nhost:holdfast\n\n\0",
    ),
    ("mischief: SEND without destination", b"SEND\nreceipt:evil-0\n\nx\0"),
    (
        "mischief: SUBSCRIBE without id",
        b"SUBSCRIBE\ndestination:/topic/strange.0\n\n\0",
    ),
    ("mischief: ACK without id", b"ACK\nreceipt:evil-0\n\n\0"),
    (
        "mischief: COMMIT of nothing",
        b"COMMIT\ntransaction:evil-none\nreceipt:evil-0\n\n\0",
    ),
    (
        "mischief: SEND in a transaction that does not exist",
        b"SEND\ndestination:/queue/work.a\ntransaction:evil-none\nreceipt:evil-0\n\nx\0",
    ),
    (
        "mischief: SEND to a pattern",
        b"SEND\ndestination:/queue/work.>\nreceipt:evil-0\n\nx\0",
    ),
];

/// What comes before CONNECT and must not, or is a CONNECT that cannot be.
const BEFORE_CONNECT: [(&str, &[u8]); 4] = [
    (
        "mischief: a frame before CONNECT",
        b"SEND\ndestination:/queue/work.a\n\nx\0",
    ),
    (
        "mischief: CONNECT with an unknown version",
        b"CONNECT\naccept-version:9.9\n\n\0",
    ),
    (
        "mischief: CONNECT with a wrong heart-beat",
        b"CONNECT\naccept-version:1.2\nheart-beat:often\n\n\0",
    ),
    ("mischief: CONNECT without end", b"CONNECT\naccept-version:1.2\nlogin:"),
];

/// Selectors that are refused.
const REFUSED_SELECTORS: [&str; 5] = ["color = ", "color LIKE 3", "REGEX('r.d', color)", "'", "color IN ()"];

/// Selectors that match nothing of the workload, and err or cost something for each message.
const FUTILE_SELECTORS: [&str; 5] = [
    "color LIKE '%e%d%r%e%d%l%u%e%'",
    "color + 1 > 'x' AND color = 'green'",
    "color BETWEEN 1 AND 2",
    "no = 1 AND (color = 'red' OR color = 'blue' OR color LIKE '_%_%_%')",
    "JMSPriority / 0 > 1 AND color = 'green'",
];

/// A frame, as anybody may write it.
fn frame(command: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut text = format!("{command}\n");
    for (name, value) in headers {
        writeln!(text, "{name}:{value}").expect("a String takes everything");
    }
    text.push('\n');
    text.push_str(body);
    text.push('\0');
    text
}

impl Mischief {
    pub(super) fn new(manner: Manner, prng: &mut Prng, scene: &mut Scene) -> Mischief {
        let mut raw = VecDeque::new();
        if manner == Manner::Breaks && prng.below(4) == 0 {
            let (name, bytes) = BEFORE_CONNECT[prng.index(BEFORE_CONNECT.len())];
            scene.count(name);
            raw.push_back(Bytes::from_static(bytes));
            if bytes.last() != Some(&0) {
                raw.push_back(Bytes::from(vec![b'x'; 10 * LONG_HEADER]));
            }
        }
        Mischief {
            manner,
            raw,
            half_closes: false,
            subscriptions: Vec::new(),
            settled: None,
        }
    }

    /// Whether it leaves its transactions open.
    pub(super) fn never_ends(&self) -> bool {
        self.manner == Manner::NeverEnds
    }

    pub(super) fn steps_of_a_transaction(&self, prng: &mut Prng) -> u64 {
        match self.manner {
            Manner::Overdraws => OVERDRAWN_STEPS,
            Manner::Polite
            | Manner::Breaks
            | Manner::Forges
            | Manner::Floods
            | Manner::Selects
            | Manner::Hoards
            | Manner::NeverEnds
            | Manner::Silent => 2 + prng.below(5),
        }
    }

    /// A delivery was settled on its own.
    pub(super) fn settled(&mut self, token: &AckToken) {
        if self.manner == Manner::Forges {
            self.settled = Some(token.clone());
        }
    }
}

impl Line {
    /// The next bytes: those of misdeeds stand where they were done.
    pub(super) fn poll_output(&mut self, now: Now) -> Option<Bytes> {
        if self.mischief.manner == Manner::Silent {
            return None;
        }
        self.mischief.raw.pop_front().or_else(|| self.client.poll_output(now))
    }

    /// Puts bytes behind everything that was said so far.
    fn inject(&mut self, now: Now, bytes: impl Into<Bytes>) {
        self.mischief.raw.extend(self.client.poll_output(now));
        self.mischief.raw.push_back(bytes.into());
    }

    /// Does something that it must not do, if it feels like it.
    pub(super) fn misbehave(&mut self, prng: &mut Prng, now: Now, scene: &mut Scene) -> bool {
        let one_in = match self.mischief.manner {
            Manner::Polite | Manner::Hoards | Manner::NeverEnds | Manner::Overdraws | Manner::Silent => return false,
            Manner::Breaks => 10,
            Manner::Forges | Manner::Selects => 3,
            Manner::Floods => 12,
        };
        let is_too_early = self.mischief.manner == Manner::Floods && !(scene.places_exist && scene.has_durables());
        if prng.below(one_in) > 0 || is_too_early {
            return false;
        }
        match self.mischief.manner {
            Manner::Breaks => self.break_protocol(prng, now, scene),
            Manner::Forges => self.forge(prng, now, scene),
            Manner::Floods => self.flood(prng, now, scene),
            Manner::Selects => self.select(prng, now, scene),
            Manner::Polite | Manner::Hoards | Manner::NeverEnds | Manner::Overdraws | Manner::Silent => {}
        }
        true
    }

    fn break_protocol(&mut self, prng: &mut Prng, now: Now, scene: &mut Scene) {
        match prng.index(BROKEN.len() + 5).checked_sub(BROKEN.len()) {
            None => {
                let (name, bytes) = BROKEN[prng.index(BROKEN.len())];
                scene.count(name);
                self.inject(now, Bytes::from_static(bytes));
            }
            Some(0) => {
                scene.count("mischief: a header beyond header_bytes_max");
                let value = "x".repeat(LONG_HEADER);
                self.inject(
                    now,
                    frame("SEND", &[("destination", "/queue/strange.0"), ("long", &value)], ""),
                );
            }
            Some(1) => {
                scene.count("mischief: headers beyond headers_max");
                let names: Vec<String> = (0..MANY_HEADERS).map(|number| format!("h{number}")).collect();
                let headers: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "1")).collect();
                self.inject(now, frame("SEND", &headers, ""));
            }
            Some(2) => {
                scene.count("mischief: a command without end");
                self.inject(now, "A".repeat(LONG_HEADER));
            }
            Some(3) => {
                scene.count("mischief: cut off in the middle of a frame");
                self.inject(
                    now,
                    "SEND\ndestination:/queue/work.a\npersistent:true\n\nthe beginning of",
                );
                self.over = true;
            }
            Some(_) => {
                scene.count("mischief: half-closed");
                self.mischief.half_closes = true;
                self.over = true;
            }
        }
    }

    fn forge(&mut self, prng: &mut Prng, now: Now, scene: &mut Scene) {
        let command = if prng.below(2) == 0 { "ACK" } else { "NACK" };
        // Before 1.2 the message is named, of which another queue's copy may be open.
        if let Some(token) = self
            .mischief
            .settled
            .take()
            .filter(|_| self.client.version() == Version::V1_2)
        {
            scene.count("mischief: settles a delivery twice");
            if command == "ACK" {
                self.client.ack(&token, None, Some("evil-twice"));
            } else {
                self.client.nack(&token, None, Some("evil-twice"));
            }
            return;
        }
        let overheard = scene.overheard.iter().flatten();
        let heard: Vec<_> = overheard.cloned().collect();
        let is_known = |id: &str| {
            self.subscriptions
                .iter()
                .chain(&self.ended)
                .any(|known| known.id == *id)
        };
        let others = heard.into_iter().rev().find(|heard| !is_known(&heard.subscription));
        let headers = match others {
            Some(heard) if prng.below(3) > 0 => {
                scene.count("mischief: settles another connection's delivery");
                match (self.client.version(), heard.ack_id) {
                    (Version::V1_2, Some(id)) => vec![("id", id)],
                    (_, _) => vec![("subscription", heard.subscription), ("message-id", heard.message_id)],
                }
            }
            Some(_) | None => {
                scene.count("mischief: settles an invented delivery");
                let number = prng.below(50);
                match self.client.version() {
                    // No connection of a run has so many consumers: it could be its own.
                    Version::V1_2 => vec![("id", format!("holdfast-{}-{number}-9999-{number}", prng.below(4)))],
                    Version::V1_0 | Version::V1_1 => vec![
                        ("subscription", format!("{OURS}none")),
                        ("message-id", format!("ID:holdfast-1-1:{number}")),
                    ],
                }
            }
        };
        let mut headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
        headers.push(("receipt", "evil-forged"));
        self.inject(now, frame(command, &headers, ""));
    }

    fn flood(&mut self, prng: &mut Prng, now: Now, scene: &mut Scene) {
        let mut text = String::new();
        match prng.below(6) {
            0 => {
                scene.count("mischief: a flood of SUBSCRIBE");
                for _ in 0..2 + prng.below(12) {
                    let id = format!("{OURS}{}", scene.history.fresh());
                    let number = prng.below(STRANGE_NAMES);
                    let destination = match prng.below(4) {
                        0 => format!("/queue/strange.{number}"),
                        1 => format!("/topic/strange.{number}"),
                        2 => format!("/temp-queue/strange.{number}"),
                        // What it does not take waits for it.
                        _ => "/topic/news.>".to_owned(),
                    };
                    let ack = if prng.below(2) == 0 { "client" } else { "auto" };
                    let prefetch = (1 + prng.below(3)).to_string();
                    let mut headers = vec![
                        ("id", &*id),
                        ("destination", &*destination),
                        ("ack", ack),
                        ("activemq.prefetchSize", &*prefetch),
                        ("receipt", "evil-subscribed"),
                    ];
                    if destination.starts_with("/topic/strange") && prng.below(2) == 0 {
                        headers.push(("activemq.subscriptionName", &*id));
                    }
                    text.push_str(&frame("SUBSCRIBE", &headers, ""));
                    self.mischief.subscriptions.push(id);
                }
            }
            1 => {
                scene.count("mischief: a flood of UNSUBSCRIBE");
                for id in self.mischief.subscriptions.drain(..) {
                    text.push_str(&frame("UNSUBSCRIBE", &[("id", &*id), ("receipt", "evil-gone")], ""));
                }
            }
            2 => {
                scene.count("mischief: a flood of receipts");
                for _ in 0..10 + prng.below(60) {
                    text.push_str(&frame("KEEPALIVE", &[("receipt", "evil-alive")], ""));
                }
            }
            3 => {
                scene.count("mischief: a flood of transactions");
                for _ in 0..5 + prng.below(20) {
                    let name = format!("{OURS}{}", scene.history.fresh());
                    text.push_str(&frame("BEGIN", &[("transaction", &*name)], ""));
                }
            }
            _ => {
                scene.count("mischief: a flood of SEND");
                let body = "evil ".repeat(1 + prng.index(200));
                for _ in 0..2 + prng.below(12) {
                    let destination = format!("/queue/strange.{}", prng.below(STRANGE_NAMES));
                    let persistent = if prng.below(3) == 0 { "true" } else { "false" };
                    let headers = [
                        ("destination", &*destination),
                        ("persistent", persistent),
                        ("receipt", "evil-sent"),
                    ];
                    text.push_str(&frame("SEND", &headers, &body));
                }
            }
        }
        self.inject(now, text);
    }

    fn select(&mut self, prng: &mut Prng, now: Now, scene: &mut Scene) {
        let id = format!("{OURS}{}", scene.history.fresh());
        let selector = match prng.below(4) {
            0 => {
                scene.count("mischief: a selector that is refused");
                REFUSED_SELECTORS[prng.index(REFUSED_SELECTORS.len())].to_owned()
            }
            1 => {
                scene.count("mischief: a selector that is too deep");
                format!("{}color = 'green'{}", "(".repeat(150), ")".repeat(150))
            }
            2 => {
                scene.count("mischief: a long selector");
                let alternatives: Vec<String> = (0..60).map(|number| format!("color = 'c{number}'")).collect();
                alternatives.join(" OR ")
            }
            _ => {
                scene.count("mischief: a selector that errs or costs much");
                FUTILE_SELECTORS[prng.index(FUTILE_SELECTORS.len())].to_owned()
            }
        };
        let browser = if prng.below(3) == 0 { "true" } else { "false" };
        let headers = [
            ("id", &*id),
            ("destination", "/queue/work.>"),
            ("ack", "client"),
            ("activemq.prefetchSize", "1"),
            ("selector", &*selector),
            ("browser", browser),
        ];
        let mut text = frame("SUBSCRIBE", &headers, "");
        self.mischief.subscriptions.push(id);
        if self.mischief.subscriptions.len() > 2 {
            let oldest = self.mischief.subscriptions.remove(0);
            text.push_str(&frame("UNSUBSCRIBE", &[("id", &*oldest)], ""));
        }
        self.inject(now, text);
    }
}
