//! The TOML file: its keys with their places.
//!
//! Deliberately absent: knowledge of any setting but its key.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::declaration::{Raw, Setting, Shape};
use super::problem::{Origin, Problem};
use super::settings::SETTINGS;
use super::suggestion::nearest;

/// The longest file that is read, in bytes.
pub(super) const FILE_BYTES_MAX: u64 = 1 << 20;

/// A setting as the file has it.
pub(super) struct Entry {
    pub(super) setting: &'static Setting,
    pub(super) raw: Raw,
    pub(super) origin: Origin,
}

/// Reads a file's text. `path` is for messages only.
pub(super) fn read(path: &str, text: &str) -> (Vec<Entry>, Vec<Problem>) {
    let mut reading = Reading {
        path,
        text,
        entries: Vec::new(),
        problems: Vec::new(),
    };
    match DeTable::parse(text) {
        Ok(table) => reading.table("", table.get_ref()),
        Err(error) => {
            let origin = reading.origin(error.span().unwrap_or(0..0));
            reading.problems.push(Problem {
                origin,
                text: format!("this is not TOML: {}", error.message()),
            });
        }
    }
    (reading.entries, reading.problems)
}

struct Reading<'a> {
    path: &'a str,
    text: &'a str,
    entries: Vec<Entry>,
    problems: Vec<Problem>,
}

impl Reading<'_> {
    fn origin(&self, span: Range<usize>) -> Origin {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Origin::File {
            path: self.path.to_string(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    fn problem(&mut self, span: Range<usize>, text: String) {
        let origin = self.origin(span);
        self.problems.push(Problem { origin, text });
    }

    fn table(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let key = match prefix {
                "" => name.get_ref().to_string(),
                prefix => format!("{prefix}.{}", name.get_ref()),
            };
            let setting = SETTINGS.iter().find(|setting| setting.key == key);
            let is_table = prefix.is_empty() && SETTINGS.iter().any(|setting| setting.table() == key);
            match (setting, value.get_ref()) {
                (Some(setting), value_found) => match raw(value_found) {
                    Ok(raw) => {
                        let origin = self.origin(value.span());
                        self.entries.push(Entry { setting, raw, origin });
                    }
                    Err(found) => self.problem(
                        value.span(),
                        format!("`{key}` takes a {}, not {found}", setting.type_name),
                    ),
                },
                (None, DeValue::Table(inner)) if is_table => self.table(&key, inner),
                (None, _) if is_table => self.problem(
                    name.span(),
                    format!("`{key}` is a table: write [{key}] on a line of its own, its keys below"),
                ),
                (None, _) => self.problem(name.span(), unknown(&key)),
            }
        }
    }
}

/// The message for a key that does not exist.
fn unknown(key: &str) -> String {
    let last = key.rsplit('.').next().unwrap_or(key);
    let near = nearest(key, SETTINGS.iter().map(|setting| setting.key));
    // The right key in the wrong table is the other common slip.
    let elsewhere = || {
        let mut homes = SETTINGS
            .iter()
            .filter(|setting| setting.key.rsplit('.').next() == Some(last));
        homes.next().map(|setting| setting.key)
    };
    let near_table = || {
        nearest(
            key,
            SETTINGS.iter().map(Setting::table).filter(|table| !table.is_empty()),
        )
    };
    match near.or_else(elsewhere) {
        Some(candidate) => format!("there is no setting `{key}`; did you mean `{candidate}`?"),
        None => match near_table() {
            Some(table) => format!("there is no table `{key}`; did you mean [{table}]?"),
            None => format!("there is no setting `{key}`; `holdfast config reference` lists them all"),
        },
    }
}

/// The value as text; the error names what was found instead.
fn raw(value: &DeValue<'_>) -> Result<Raw, &'static str> {
    let single = |shape, text: String| Raw {
        shape,
        list: false,
        items: vec![text],
    };
    match value {
        DeValue::String(text) => Ok(single(Shape::Text, text.to_string())),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Ok(single(Shape::Integer, number.to_string())),
            Err(_) => Err("a number as large as this"),
        },
        DeValue::Boolean(value) => Ok(single(Shape::Boolean, value.to_string())),
        DeValue::Array(array) => {
            let mut list = Raw {
                shape: Shape::Text,
                list: true,
                items: Vec::new(),
            };
            for item in array.iter() {
                let item = raw(item.get_ref())?;
                if item.list {
                    return Err("a list of lists");
                }
                list.shape = item.shape;
                list.items.extend(item.items);
            }
            Ok(list)
        }
        DeValue::Float(_) => Err("a number with a fraction"),
        DeValue::Datetime(_) => Err("a date"),
        DeValue::Table(_) => Err("a table"),
    }
}
