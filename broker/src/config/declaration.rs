//! How a setting is declared: the macro that makes the table and the struct from one list.
//!
//! Invariant: a setting's field, key, type, default, limits and text stand in one place; nothing can be added to one of them alone.

use super::settings::Config;

/// How a value was written, as far as it matters to its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A TOML string.
    Text,
    /// A TOML integer.
    Integer,
    /// A TOML boolean.
    Boolean,
    /// Something of no type: an environment variable or a flag.
    Bare,
}

/// A value as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw {
    /// How it was written; that of the items, for a list.
    pub shape: Shape,
    /// Whether it was a TOML array, or a flag that may be repeated.
    pub list: bool,
    /// The text of the value, or of each item.
    pub items: Vec<String>,
}

impl Raw {
    /// A value from the environment or a flag.
    pub fn bare(text: &str) -> Raw {
        Raw {
            shape: Shape::Bare,
            list: false,
            items: vec![text.to_string()],
        }
    }
}

/// A type that a setting can have. Errors say what is expected, as the rest of a sentence that begins with the key.
pub(super) trait Type: Sized {
    /// What the reference calls it.
    const NAME: &'static str;
    /// Whether several values make one.
    const LIST: bool = false;

    /// Reads one value.
    fn read(text: &str, shape: Shape) -> Result<Self, String>;

    /// Reads what was written.
    fn read_raw(raw: &Raw) -> Result<Self, String> {
        match &raw.items[..] {
            [text] if !raw.list => Self::read(text, raw.shape),
            _ => Err(format!("takes one value ({}), not a list", Self::NAME)),
        }
    }

    /// The value as TOML.
    fn toml(&self) -> String;

    /// What limits are compared by.
    fn magnitude(&self) -> Option<u128> {
        None
    }
}

/// One setting: everything that is known of it before anybody sets it.
#[derive(Debug)]
pub struct Setting {
    /// Its name in the file; a dot separates table and key.
    pub key: &'static str,
    /// Its type and unit, for people.
    pub type_name: &'static str,
    /// Its default as it would be written in the environment.
    pub default: &'static str,
    /// The smallest and the largest value allowed.
    pub limits: Option<(&'static str, &'static str)>,
    /// What it does; the first line stands alone.
    pub doc: &'static [&'static str],
    /// Whether it may be given several times.
    pub list: bool,
    /// Whether it is on or off.
    pub switch: bool,
    pub(super) set: fn(&mut Config, &Raw, &Setting) -> Result<(), String>,
    pub(super) toml: fn(&Config) -> String,
}

impl Setting {
    /// The environment variable: `HOLDFAST_JOURNAL_SEGMENT_BYTES`.
    pub fn variable(&self) -> String {
        format!("HOLDFAST_{}", self.key.replace('.', "_").to_uppercase())
    }

    /// The flag, without its dashes: `journal-segment-bytes`.
    pub fn flag(&self) -> String {
        self.key.replace(['.', '_'], "-")
    }

    /// The table it stands in; empty at the top of the file.
    pub fn table(&self) -> &'static str {
        self.key.split_once('.').map_or("", |(table, _)| table)
    }

    /// The first sentence of its text.
    pub fn summary(&self) -> String {
        self.doc[0].trim().to_string()
    }

    /// All of its text, as paragraphs.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for line in self.doc.iter().map(|line| line.trim()) {
            match line.is_empty() {
                true => text.push_str("\n\n"),
                false if text.is_empty() || text.ends_with('\n') => text.push_str(line),
                false => text.extend([" ", line]),
            }
        }
        text
    }
}

/// Reads a value and holds it against its limits.
pub(super) fn read_within<T: Type>(raw: &Raw, setting: &Setting) -> Result<T, String> {
    let value = T::read_raw(raw)?;
    if let (Some((low, high)), Some(magnitude)) = (setting.limits, value.magnitude()) {
        let limit = |text: &str| T::read(text, Shape::Bare).ok().and_then(|limit| limit.magnitude());
        let (low_magnitude, high_magnitude) = (limit(low).unwrap_or(0), limit(high).unwrap_or(u128::MAX));
        if magnitude < low_magnitude || magnitude > high_magnitude {
            return Err(format!("must be {low} to {high}"));
        }
    }
    Ok(value)
}

/// Declares settings: the struct that holds them and the table that describes them.
macro_rules! settings {
    ($( $(#[doc = $doc:literal])+ $key:literal $field:ident: $type:ty = $default:literal $(, $low:literal to $high:literal)?; )+) => {
        /// All settings, each valid.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            $( $(#[doc = $doc])+ pub $field: $type, )+
        }

        impl Default for Config {
            fn default() -> Config {
                Config {
                    $( $field: <$type as Type>::read_raw(&default_raw::<$type>($default)).expect("a test reads every default"), )+
                }
            }
        }

        /// Every setting, in the order of the reference.
        pub static SETTINGS: &[Setting] = &[
            $( Setting {
                key: $key,
                type_name: <$type as Type>::NAME,
                default: $default,
                limits: limits!($($low, $high)?),
                doc: &[$($doc),+],
                list: <$type as Type>::LIST,
                switch: is_switch(<$type as Type>::NAME),
                set: |config, raw, setting| {
                    config.$field = read_within::<$type>(raw, setting)?;
                    Ok(())
                },
                toml: |config| Type::toml(&config.$field),
            }, )+
        ];
    };
}

/// The limits of a setting, if it has any.
macro_rules! limits {
    () => {
        None
    };
    ($low:literal, $high:literal) => {
        Some(($low, $high))
    };
}

/// A default, as if it had been written in the environment.
pub(super) fn default_raw<T: Type>(text: &str) -> Raw {
    Raw {
        list: T::LIST,
        ..Raw::bare(text)
    }
}

/// Whether a type is on or off; for the flag that then needs no value.
pub(super) const fn is_switch(type_name: &str) -> bool {
    matches!(type_name.as_bytes(), b"true or false")
}

pub(super) use {limits, settings};
