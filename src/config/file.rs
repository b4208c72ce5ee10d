//! The configuration file: TOML, one level deep, every key known.
//!
//! ```toml
//! level = "normal"
//! relay = true
//! listen = ["0.0.0.0:20819", "[::]:20819"]
//! advertise = ["203.0.113.7:20819"]
//! peers = ["enode://...@203.0.113.9:20819"]
//! ```
//!
//! A key that nobody knows is an error and names the nearest one: a setting that is silently
//! ignored may be the one that somebody's safety depends on.

use core::fmt;
use core::ops::RangeInclusive;
use core::str::FromStr;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::Settings;
use super::value::{self, BadValue};
use crate::nearest::nearest;

/// Reads a file's text. `path` is for the error message.
///
/// # Errors
///
/// [`FileError`] names the line, the key and the remedy.
pub fn parse(path: &Path, text: &str) -> Result<Settings, FileError> {
    let at = |offset: usize, cause: String| FileError {
        path: path.to_owned(),
        line: line(text, offset),
        cause,
    };
    let table = DeTable::parse(text).map_err(|error| {
        at(
            error.span().map_or(0, |span| span.start),
            error.message().to_owned(),
        )
    })?;
    let mut settings = Settings::default();
    for (key, value) in table.get_ref() {
        let offset = key.span().start;
        set(&mut settings, key.get_ref(), value.get_ref()).map_err(|cause| match cause {
            Wrong::Key => at(offset, unknown(key.get_ref())),
            Wrong::Value(cause) => at(offset, format!("`{}`: {cause}", key.get_ref())),
        })?;
    }
    Ok(settings)
}

/// Every key, in the order of [`Settings`].
pub const KEYS: [&str; 13] = [
    "profile",
    "network",
    "level",
    "relay",
    "listen",
    "advertise",
    "family",
    "peers",
    "max-peers",
    "min-pow",
    "pool-mb",
    "guard",
    "threads",
];

fn set(settings: &mut Settings, key: &str, value: &DeValue<'_>) -> Result<(), Wrong> {
    match key {
        "profile" => settings.profile = Some(value::profile(text(value)?)?),
        "network" => settings.network = Some(text(value)?.parse()?),
        "level" => settings.level = Some(value::level(text(value)?)?),
        "relay" => settings.relay = Some(value.as_bool().ok_or_else(|| wants("true or false"))?),
        "listen" => settings.listen = Some(list(value, parsed)?),
        "advertise" => settings.advertise = Some(list(value, parsed)?),
        "family" => settings.family = Some(list(value, value::relay)?),
        "peers" => settings.peers = Some(list(value, parsed)?),
        "max-peers" => settings.max_peers = Some(count(value, value::PEERS)?),
        "min-pow" => settings.min_pow = Some(value::min_pow(number(value)?)?),
        "pool-mb" => settings.pool_mb = Some(count(value, value::POOL_MB)?),
        "guard" => settings.guard = Some(value::relay(text(value)?)?),
        "threads" => settings.threads = Some(count(value, value::THREADS)?),
        _ => return Err(Wrong::Key),
    }
    Ok(())
}

/// What is wrong with an entry.
enum Wrong {
    Key,
    Value(BadValue),
}

impl From<BadValue> for Wrong {
    fn from(error: BadValue) -> Self {
        Self::Value(error)
    }
}

fn wants(what: &str) -> BadValue {
    BadValue::new(format_args!("it wants {what}"))
}

fn text<'a>(value: &'a DeValue<'_>) -> Result<&'a str, BadValue> {
    value.as_str().ok_or_else(|| wants("a text in quotes"))
}

fn list<T>(
    value: &DeValue<'_>,
    read: impl Fn(&str) -> Result<T, BadValue>,
) -> Result<Vec<T>, BadValue> {
    let items = value
        .as_array()
        .ok_or_else(|| wants("a list of texts, [\"..\", \"..\"]"))?;
    items
        .iter()
        .map(|item| read(text(item.get_ref())?))
        .collect()
}

fn parsed<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<T, BadValue> {
    text.parse()
        .map_err(|error| BadValue::new(format_args!("{text:?}: {error}")))
}

fn count(value: &DeValue<'_>, bounds: RangeInclusive<usize>) -> Result<usize, BadValue> {
    let integer = value.as_integer().ok_or_else(|| wants("a whole number"))?;
    let parsed = i128::from_str_radix(integer.as_str(), integer.radix());
    value::count(parsed.unwrap_or(i128::MAX), bounds)
}

fn number(value: &DeValue<'_>) -> Result<f64, BadValue> {
    let digits = match value {
        DeValue::Float(float) => float.as_str(),
        DeValue::Integer(integer) => integer.as_str(),
        _ => return Err(wants("a number")),
    };
    digits.parse().map_err(|_| wants("a number"))
}

fn unknown(key: &str) -> String {
    match nearest(key, KEYS) {
        Some(near) => format!("there is no setting {key:?}; did you mean `{near}`?"),
        None => format!("there is no setting {key:?}; there are {}", KEYS.join(", ")),
    }
}

/// The line that an offset lies in, counted from 1.
fn line(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}

/// What is wrong with a configuration file.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}:{line}: {cause}", path.display())]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong there, and what would help.
    pub cause: String,
}
