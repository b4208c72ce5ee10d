//! How a single entry of the configuration file is read: its type, then its value.
//!
//! Every function names what it wanted if the entry is something else. What the value itself may
//! be is the business of [`value`], which flags and environment share.

use core::fmt;
use core::ops::RangeInclusive;
use core::str::FromStr;

use toml::de::DeValue;

use super::value::{self, BadValue};

/// What is wrong with an entry.
#[derive(Debug)]
pub(super) enum EntryError {
    /// Nobody knows the key.
    Key,
    /// The value cannot be used.
    Value(BadValue),
}

impl From<BadValue> for EntryError {
    fn from(error: BadValue) -> Self {
        Self::Value(error)
    }
}

pub(super) fn text<'a>(value: &'a DeValue<'_>) -> Result<&'a str, BadValue> {
    value.as_str().ok_or_else(|| wants("a text in quotes"))
}

pub(super) fn flag(value: &DeValue<'_>) -> Result<bool, BadValue> {
    value.as_bool().ok_or_else(|| wants("true or false"))
}

pub(super) fn list<T>(
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

pub(super) fn parsed<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<T, BadValue> {
    text.parse()
        .map_err(|error| BadValue::new(format_args!("{text:?}: {error}")))
}

pub(super) fn count(value: &DeValue<'_>, bounds: RangeInclusive<usize>) -> Result<usize, BadValue> {
    let integer = value.as_integer().ok_or_else(|| wants("a whole number"))?;
    let parsed = i128::from_str_radix(integer.as_str(), integer.radix());
    value::count(parsed.unwrap_or(i128::MAX), bounds)
}

pub(super) fn number(value: &DeValue<'_>) -> Result<f64, BadValue> {
    let digits = match value {
        DeValue::Float(float) => float.as_str(),
        DeValue::Integer(integer) => integer.as_str(),
        _ => return Err(wants("a number")),
    };
    digits.parse().map_err(|_| wants("a number"))
}

fn wants(what: &str) -> BadValue {
    BadValue::new(format_args!("it wants {what}"))
}
