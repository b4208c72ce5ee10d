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
    let FileReading {
        settings, errors, ..
    } = FileReading::of(path, text);
    match errors.into_iter().next() {
        Some(error) => Err(error),
        None => Ok(settings),
    }
}

/// What a file says: the settings that can be used, and all errors.
#[derive(Debug, Default)]
pub(crate) struct FileReading {
    /// The settings of the entries without an error.
    pub(crate) settings: Settings,
    /// The entries without an error.
    pub(crate) entries: Vec<FileEntry>,
    /// The errors, in the order of their lines; errors of the syntax come first.
    pub(crate) errors: Vec<FileError>,
}

/// An entry of a file.
#[derive(Debug)]
pub(crate) struct FileEntry {
    /// The key, with its table.
    pub(crate) key: &'static str,
    /// The line, counted from 1.
    pub(crate) line: usize,
    /// The value as the file has it; `None` if it may hold a password.
    pub(crate) written: Option<String>,
}

impl FileReading {
    /// Reads a text as far as possible. `path` is for the errors.
    pub(crate) fn of(path: &Path, text: &str) -> Self {
        Self::without(path, text, &[])
    }

    /// As [`Self::of`], but leaves out the entries with these keys.
    pub(crate) fn without(path: &Path, text: &str, left_out: &[&str]) -> Self {
        let tables = tables();
        let (file, refused) = DeTable::parse_recoverable(text);
        let mut reading = Self::default();
        for (key, value) in file.get_ref() {
            let name = key.get_ref();
            if !is_table(&tables, name) {
                if !left_out.contains(&name.as_ref()) {
                    reading.take(path, &tables, text, (name, key.span().start), value);
                }
                continue;
            }
            let DeValue::Table(entries) = value.get_ref() else {
                let cause =
                    format!("`{name}` is a table; write [{name}] and its settings below it");
                reading
                    .errors
                    .push(FileError::at(path, text, key.span().start, cause));
                continue;
            };
            for (key, value) in entries {
                let name = format!("{name}.{}", key.get_ref());
                if !left_out.contains(&name.as_str()) {
                    reading.take(path, &tables, text, (&name, key.span().start), value);
                }
            }
        }
        reading.entries.sort_by_key(|entry| entry.line);
        reading.errors.sort_by_key(|error| error.line);
        let syntax = refused.iter().map(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            let cause = syntax_error(&tables, text, offset, error.message());
            FileError::at(path, text, offset, cause)
        });
        let mut errors: Vec<FileError> = syntax.collect();
        // The value on a line with an error of the syntax is not what the user meant.
        let is_new = |error: &FileError| errors.iter().all(|syntax| syntax.line != error.line);
        let others: Vec<FileError> = reading.errors.into_iter().filter(is_new).collect();
        errors.extend(others);
        reading.errors = errors;
        reading
    }

    /// Takes one entry: its name, the offset of its key, and its value.
    fn take(
        &mut self,
        path: &Path,
        tables: &[Table],
        text: &str,
        (name, offset): (&str, usize),
        value: &Spanned<DeValue<'_>>,
    ) {
        match set(tables, &mut self.settings, name, value, text) {
            Ok(setting) => self.entries.push(FileEntry {
                key: setting.names.key,
                line: line(text, offset),
                written: (setting.form != Form::Secret)
                    .then(|| text.get(value.span()).unwrap_or_default().to_owned()),
            }),
            Err(cause) => self.errors.push(FileError::at(path, text, offset, cause)),
        }
    }
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
        // A word without quotes may be a text for TOML, and is none for this setting.
        Some(setting)
            if message.starts_with("string values must be quoted") && !takes_text(setting.form) =>
        {
            format!("`{name}`: {}", written(setting.form))
        }
        Some(setting) => format!("`{name}`: {}; {message}", written(setting.form)),
        None => message.to_owned(),
    }
}

/// Whether a value of this form is a text in quotes, or consists of them.
const fn takes_text(form: Form) -> bool {
    !matches!(form, Form::Number | Form::Switch)
}

/// How a value of this form is written.
const fn written(form: Form) -> &'static str {
    match form {
        Form::List | Form::Lines => "expected a list of texts, [\"..\", \"..\"]",
        Form::Number => "expected a number without quotes",
        Form::One | Form::Path | Form::Secret => "expected a text in quotes",
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
fn set<'a>(
    tables: &'a [Table],
    all: &mut Settings,
    name: &str,
    value: &Spanned<DeValue<'_>>,
    text: &str,
) -> Result<&'a Setting, String> {
    let Some(setting) = settings(tables).find(|setting| setting.names.key == name) else {
        return Err(if value.get_ref().is_table() {
            unknown_table(tables, name)
        } else {
            unknown(tables, name)
        });
    };
    setting
        .set(all, RawValue::Toml(value.get_ref()))
        .map(|()| setting)
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

impl FileError {
    fn at(path: &Path, text: &str, offset: usize, cause: String) -> Self {
        Self {
            path: path.to_owned(),
            line: line(text, offset),
            cause,
        }
    }
}

/// The longest value that an error shows, in bytes.
const MAX_SHOWN: usize = 60;
