//! The configuration file: TOML, tables one level deep, every key known.
//!
//! ```toml
//! level = "normal"
//! relay = true
//! listen = ["0.0.0.0:20819", "[::]:20819"]
//! advertise = ["203.0.113.7:20819"]
//! peers = ["enode://...@203.0.113.9:20819"]
//!
//! [rpc]
//! http = "127.0.0.1:8545"
//! ```
//!
//! An unknown key is an error that names the nearest known key: a setting that is silently ignored may
//! be one on which a user's safety depends. The keys come from the declarations in `settings`.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Settings;
use super::setting::{Form, RawValue, Setting, Table};
use super::settings::tables;
use crate::suggest::closest;

/// Reads the text of a file. `path` is for the error.
///
/// # Errors
///
/// [`FileError`] names the line, the key, the value and the rule.
pub fn parse(path: &Path, text: &str) -> Result<Settings, FileError> {
    let at = |offset: usize, cause: String| FileError {
        path: path.to_owned(),
        line: line(text, offset),
        cause,
    };
    let tables = tables();
    let file = DeTable::parse(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        at(offset, syntax_error(&tables, text, offset, error.message()))
    })?;
    let mut settings = Settings::default();
    for (key, value) in file.get_ref() {
        let name = key.get_ref();
        if !is_table(&tables, name) {
            set(&tables, &mut settings, name, value, text)
                .map_err(|cause| at(key.span().start, cause))?;
            continue;
        }
        let DeValue::Table(entries) = value.get_ref() else {
            let cause = format!("`{name}` is a table; write [{name}] and its settings below it");
            return Err(at(key.span().start, cause));
        };
        for (key, value) in entries {
            let name = format!("{name}.{}", key.get_ref());
            set(&tables, &mut settings, &name, value, text)
                .map_err(|cause| at(key.span().start, cause))?;
        }
    }
    Ok(settings)
}

/// An error of the syntax, with the setting on whose line it is, and the form that its value has.
fn syntax_error(tables: &[Table], text: &str, offset: usize, message: &str) -> String {
    let (before, after) = text.split_at_checked(offset).unwrap_or((text, ""));
    let begun = before.rsplit('\n').next().unwrap_or_default();
    let rest = after.split('\n').next().unwrap_or_default();
    let table = before.lines().rev().find_map(|line| {
        let line = line.trim().strip_prefix('[')?;
        line.split_once(']').map(|(name, _)| name)
    });
    let line = format!("{begun}{rest}");
    let key = line.split_once('=').map_or("", |(key, _)| key.trim());
    let name = table.map_or_else(|| key.to_owned(), |table| format!("{table}.{key}"));
    match settings(tables).find(|setting| setting.names.key == name) {
        Some(setting) => format!("`{name}`: {}; {message}", written(setting.form)),
        None => message.to_owned(),
    }
}

/// How a value of this form is written.
const fn written(form: Form) -> &'static str {
    match form {
        Form::List | Form::Lines => "expected a list of texts, [\"..\", \"..\"]",
        Form::One | Form::Path | Form::Secret => "expected a text in quotes, or a number without",
        Form::Switch => "expected true or false",
    }
}

/// The keys of settings whose values differ between two files that [`parse`] accepts, in the order of the
/// documents. Comments, order and layout do not matter.
#[must_use]
pub fn changed_keys(before: &str, after: &str) -> Vec<&'static str> {
    let [before, after] =
        [before, after].map(|text| text.parse::<toml::Table>().unwrap_or_default());
    let tables = tables();
    let keys = settings(&tables).map(|setting| setting.names.key);
    keys.filter(|key| value(&before, key) != value(&after, key))
        .collect()
}

/// The value of a key, with its table, in a file.
fn value<'a>(file: &'a toml::Table, key: &str) -> Option<&'a toml::Value> {
    match key.split_once('.') {
        Some((table, key)) => file.get(table)?.get(key),
        None => file.get(key),
    }
}

fn is_table(tables: &[Table], name: &str) -> bool {
    !name.is_empty() && tables.iter().any(|table| table.name == name)
}

fn settings(tables: &[Table]) -> impl Iterator<Item = &Setting> + Clone {
    tables.iter().flat_map(|table| &table.settings)
}

/// Reads one entry; `name` is its key with its table.
///
/// # Errors
///
/// Cause and remedy.
fn set(
    tables: &[Table],
    all: &mut Settings,
    name: &str,
    value: &Spanned<DeValue<'_>>,
    text: &str,
) -> Result<(), String> {
    let Some(setting) = settings(tables).find(|setting| setting.names.key == name) else {
        return Err(if value.get_ref().is_table() {
            unknown_table(tables, name)
        } else {
            unknown(tables, name)
        });
    };
    setting
        .set(all, RawValue::Toml(value.get_ref()))
        .map_err(|rule| format!("`{name}`{}: {rule}", shown(setting, value, text)))
}

/// The value as the file contains it, if it is short and may be shown.
fn shown(setting: &Setting, value: &Spanned<DeValue<'_>>, text: &str) -> String {
    let Range { start, end } = value.span();
    let written = text.get(start..end).unwrap_or_default();
    let hidden = setting.form == Form::Secret
        || value.get_ref().is_array()
        || value.get_ref().is_table()
        || written.len() > MAX_SHOWN
        || written.contains(char::is_control);
    if hidden {
        return String::new();
    }
    format!(" = {written}")
}

fn unknown_table(tables: &[Table], name: &str) -> String {
    let names = tables.iter().map(|table| table.name);
    let names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
    match closest(name, names.iter().copied()) {
        Some(near) => format!("there is no table [{name}]; did you mean [{near}]?"),
        None => format!(
            "there is no table [{name}]; the tables are {}",
            names.join(", ")
        ),
    }
}

fn unknown(tables: &[Table], name: &str) -> String {
    let keys = settings(tables).map(|setting| setting.names.key);
    // A user who knows the key but not its table writes the key alone.
    let tail = |key: &&str| key.split_once('.').is_some_and(|(_, tail)| tail == name);
    let near = keys.clone().find(tail);
    match near.or_else(|| closest(name, keys.clone())) {
        Some(near) => format!("there is no setting {name:?}; did you mean `{near}`?"),
        None => format!(
            "there is no setting {name:?}; the settings are {}",
            keys.collect::<Vec<_>>().join(", ")
        ),
    }
}

/// The line of an offset, counted from 1.
fn line(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}

/// An error in a configuration file.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}:{line}: {cause}", path.display())]
pub struct FileError {
    /// Path of the file.
    pub path: PathBuf,
    /// The line, counted from 1.
    pub line: usize,
    /// Cause and remedy.
    pub cause: String,
}

/// The longest value that an error shows, in bytes.
const MAX_SHOWN: usize = 60;
