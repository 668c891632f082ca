//! The types of settings, and how each is read and written.
//!
//! Invariant: what a type writes, it reads back. Sizes and durations carry their unit: a bare number of seconds or megabytes has cost too many evenings.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::declaration::{Raw, Shape, Type};

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

const SIZE_UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

impl FromStr for Size {
    type Err = String;
    fn from_str(text: &str) -> Result<Size, String> {
        let expected = || format!("must be a size such as 64MiB, 512 KiB or 4096, not {text:?}");
        let (number, unit) = split_unit(text).ok_or_else(expected)?;
        let factor = match unit {
            "" => 1,
            unit => {
                let found = SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
                found.ok_or_else(expected)?.1
            }
        };
        let bytes = number.checked_mul(factor).ok_or("is more bytes than there are")?;
        Ok(Size(bytes))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = SIZE_UNITS[..5]
            .iter()
            .rev()
            .find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor))
            .unwrap_or(&SIZE_UNITS[0]);
        write!(f, "{}{unit}", self.0 / factor)
    }
}

/// A size, or the broker's own choice.
pub type Automatic = Option<Size>;

const DURATION_UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("min", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Reads a duration such as `500ms`, `3s`, `10 min`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let expected = || format!("must be a duration with its unit (ms, s, min, h, d), such as 500ms or 3s, not {text:?}");
    let (number, unit) = split_unit(text).ok_or_else(expected)?;
    let found = DURATION_UNITS.iter().find(|(name, _)| *name == unit);
    let factor = found.ok_or_else(expected)?.1;
    let milliseconds = number.checked_mul(factor).ok_or("is longer than time")?;
    Ok(Duration::from_millis(milliseconds))
}

fn show_duration(duration: Duration) -> String {
    let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let fits = |factor: u64| milliseconds >= factor && milliseconds.is_multiple_of(factor);
    let (unit, factor) = match milliseconds {
        0 => DURATION_UNITS[1],
        _ => *DURATION_UNITS
            .iter()
            .rev()
            .find(|(_, factor)| fits(*factor))
            .unwrap_or(&DURATION_UNITS[0]),
    };
    format!("{}{unit}", milliseconds / factor)
}

/// `64 MiB` → 64 and `MiB`.
fn split_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text
        .find(|character: char| !character.is_ascii_digit() && character != '_')
        .unwrap_or(text.len());
    let number = text[..end].replace('_', "").parse().ok()?;
    Some((number, text[end..].trim_start()))
}

/// The protocol of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// STOMP 1.0, 1.1, 1.2 over TCP.
    Stomp,
}

/// Where a listener listens: `stomp://127.0.0.1:61613`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// The protocol.
    pub scheme: Scheme,
    /// The socket; port 0 lets the system choose.
    pub address: SocketAddr,
}

impl FromStr for ListenAddress {
    type Err = String;
    fn from_str(text: &str) -> Result<ListenAddress, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(format!("must be URLs such as stomp://127.0.0.1:61613, not {text:?}"));
        };
        if !scheme.eq_ignore_ascii_case("stomp") {
            return Err(format!(
                "has the scheme {scheme:?}; this version speaks stomp:// (not yet openwire, amqp, mqtt, ws or TLS)"
            ));
        }
        Ok(ListenAddress {
            scheme: Scheme::Stomp,
            address: parse_socket(rest.trim_end_matches('/'))?,
        })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scheme {
            Scheme::Stomp => write!(f, "stomp://{}", self.address),
        }
    }
}

/// Where the admin server listens, if anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdminAddress(pub Option<SocketAddr>);

impl FromStr for AdminAddress {
    type Err = String;
    fn from_str(text: &str) -> Result<AdminAddress, String> {
        if text == "none" {
            return Ok(AdminAddress(None));
        }
        let rest = text.strip_prefix("http://").unwrap_or(text);
        Ok(AdminAddress(Some(parse_socket(rest.trim_end_matches('/'))?)))
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("none"),
        }
    }
}

/// An address with a port; `localhost` is the one name that is taken, for the rest would need a resolver at start.
fn parse_socket(text: &str) -> Result<SocketAddr, String> {
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => port
            .parse()
            .ok()
            .map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
        None => text.parse().ok(),
    };
    numeric
        .ok_or_else(|| format!("must name an address and a port, such as 127.0.0.1:61613 or [::1]:61613, not {text:?}"))
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// What needs a person.
    Error,
    /// And what may need one soon.
    Warn,
    /// And start, lead, stop.
    Info,
    /// And decisions.
    Debug,
    /// And every step.
    Trace,
}

/// How it is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    /// For people.
    Text,
    /// For programs.
    Json,
}

macro_rules! choice {
    ($type:ident, $names:literal, $($text:literal => $variant:ident),+) => {
        impl FromStr for $type {
            type Err = String;
            fn from_str(text: &str) -> Result<$type, String> {
                match text {
                    $($text => Ok($type::$variant),)+
                    _ => Err(format!("must be one of {}, not {text:?}", $names)),
                }
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $($type::$variant => $text,)+ })
            }
        }
    };
}

choice!(LogLevel, "error, warn, info, debug, trace", "error" => Error, "warn" => Warn, "info" => Info, "debug" => Debug, "trace" => Trace);
choice!(LogFormat, "auto, text, json", "auto" => Auto, "text" => Text, "json" => Json);

/// Refuses a TOML value of another shape, saying how it is written.
fn expect_shape(shape: Shape, allowed: &[Shape], how: &str) -> Result<(), String> {
    match shape == Shape::Bare || allowed.contains(&shape) {
        true => Ok(()),
        false => Err(format!("is written {how}")),
    }
}

macro_rules! quoted_type {
    ($type:ty, $name:literal, $example:literal) => {
        impl Type for $type {
            const NAME: &'static str = $name;
            fn read(text: &str, shape: Shape) -> Result<$type, String> {
                expect_shape(
                    shape,
                    &[Shape::Text],
                    concat!("in quotes, for example ", $example),
                )?;
                text.parse()
            }
            fn toml(&self) -> String {
                quote(&self.to_string())
            }
        }
    };
}

quoted_type!(ListenAddress, "URL", "\"stomp://127.0.0.1:61613\"");
quoted_type!(AdminAddress, "address:port or none", "\"127.0.0.1:8161\"");
quoted_type!(LogLevel, "error, warn, info, debug or trace", "\"info\"");
quoted_type!(LogFormat, "auto, text or json", "\"text\"");

impl Type for String {
    const NAME: &'static str = "text";
    fn read(text: &str, shape: Shape) -> Result<String, String> {
        expect_shape(shape, &[Shape::Text], "in quotes")?;
        let fits = (1..=64).contains(&text.len());
        if !fits || !text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
            return Err(format!(
                "must be 1 to 64 letters, digits, dots, dashes or underscores, not {text:?}"
            ));
        }
        Ok(text.to_string())
    }
    fn toml(&self) -> String {
        quote(self)
    }
}

impl Type for PathBuf {
    const NAME: &'static str = "path";
    fn read(text: &str, shape: Shape) -> Result<PathBuf, String> {
        expect_shape(shape, &[Shape::Text], "in quotes")?;
        if text.is_empty() || text.contains('\0') {
            return Err("must be a path".to_string());
        }
        Ok(PathBuf::from(text))
    }
    fn toml(&self) -> String {
        quote(&self.to_string_lossy())
    }
}

impl Type for bool {
    const NAME: &'static str = "true or false";
    fn read(text: &str, shape: Shape) -> Result<bool, String> {
        expect_shape(shape, &[Shape::Boolean], "true or false, without quotes")?;
        text.parse().map_err(|_| format!("must be true or false, not {text:?}"))
    }
    fn toml(&self) -> String {
        self.to_string()
    }
}

impl Type for u32 {
    const NAME: &'static str = "number";
    fn read(text: &str, shape: Shape) -> Result<u32, String> {
        expect_shape(shape, &[Shape::Integer], "as a number, without quotes")?;
        text.replace('_', "")
            .parse()
            .map_err(|_| format!("must be a whole number from 0 to {}, not {text:?}", u32::MAX))
    }
    fn toml(&self) -> String {
        self.to_string()
    }
    fn magnitude(&self) -> Option<u128> {
        Some((*self).into())
    }
}

impl Type for Size {
    const NAME: &'static str = "size";
    fn read(text: &str, shape: Shape) -> Result<Size, String> {
        expect_shape(
            shape,
            &[Shape::Text, Shape::Integer],
            "with its unit in quotes, for example \"64MiB\"",
        )?;
        text.parse()
    }
    fn toml(&self) -> String {
        quote(&self.to_string())
    }
    fn magnitude(&self) -> Option<u128> {
        Some(self.0.into())
    }
}

impl Type for Automatic {
    const NAME: &'static str = "size or auto";
    fn read(text: &str, shape: Shape) -> Result<Automatic, String> {
        match text {
            "auto" => Ok(None),
            _ => Size::read(text, shape).map(Some),
        }
    }
    fn toml(&self) -> String {
        self.map_or_else(|| quote("auto"), |size| size.toml())
    }
    fn magnitude(&self) -> Option<u128> {
        self.map(|size| size.0.into())
    }
}

impl Type for Duration {
    const NAME: &'static str = "duration";
    fn read(text: &str, shape: Shape) -> Result<Duration, String> {
        expect_shape(
            shape,
            &[Shape::Text],
            "with its unit in quotes, for example \"3s\" or \"500ms\"",
        )?;
        parse_duration(text)
    }
    fn toml(&self) -> String {
        quote(&show_duration(*self))
    }
    fn magnitude(&self) -> Option<u128> {
        Some(self.as_millis())
    }
}

impl<T: Type> Type for Vec<T> {
    const NAME: &'static str = "list of URLs";
    const LIST: bool = true;
    fn read(text: &str, shape: Shape) -> Result<Vec<T>, String> {
        text.split(',').map(|item| T::read(item.trim(), shape)).collect()
    }
    fn read_raw(raw: &Raw) -> Result<Vec<T>, String> {
        if !raw.list && raw.shape != Shape::Bare {
            return Err("is a list: write it in brackets, for example [\"stomp://127.0.0.1:61613\"]".to_string());
        }
        let mut items = Vec::new();
        for text in &raw.items {
            match raw.shape {
                Shape::Bare => items.extend(Self::read(text, Shape::Bare)?),
                shape => items.push(T::read(text, shape)?),
            }
        }
        Ok(items)
    }
    fn toml(&self) -> String {
        let items: Vec<String> = self.iter().map(Type::toml).collect();
        format!("[{}]", items.join(", "))
    }
}

/// A TOML string.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(control))),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
