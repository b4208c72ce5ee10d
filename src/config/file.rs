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
//! A key that nobody knows is an error and names the nearest one: a setting that is silently
//! ignored may be the one that somebody's safety depends on.
//!
//! A new table is a module beside this one ([`super::rpc`] is the pattern), a field of
//! [`Settings`], and a line in `SECTIONS`.

use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::Settings;
use super::toml_value::{EntryError, count, flag, list, number, parsed, text};
use super::value;
use super::{discovery, mail, rpc, tor};
use crate::suggest::closest;

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
        let (offset, name) = (key.span().start, key.get_ref());
        let Some(section) = SECTIONS.iter().find(|section| section.name == name) else {
            set(&mut settings, name, value.get_ref())
                .map_err(|error| at(offset, explain(name, value.get_ref(), error)))?;
            continue;
        };
        let DeValue::Table(entries) = value.get_ref() else {
            let cause = format!("`{name}`: it is a table; write [{name}] and its settings below");
            return Err(at(offset, cause));
        };
        for (key, value) in entries {
            let name = format!("{}.{}", section.name, key.get_ref());
            (section.set)(&mut settings, key.get_ref(), value.get_ref())
                .map_err(|error| at(key.span().start, explain(&name, value.get_ref(), error)))?;
        }
    }
    Ok(settings)
}

/// Every key outside the tables, in the order of [`Settings`].
pub const KEYS: [&str; 16] = [
    "profile",
    "network",
    "level",
    "relay",
    "listen",
    "advertise",
    "family",
    "peers",
    "trusted-peers",
    "max-peers",
    "min-pow",
    "pow-generation",
    "pool-mb",
    "guard",
    "threads",
    "password-file",
];

/// A table of the file.
#[derive(Debug)]
pub struct Section {
    /// Its name, as in `[rpc]`.
    name: &'static str,
    /// Its keys.
    keys: &'static [&'static str],
    /// Takes one entry in.
    set: fn(&mut Settings, &str, &DeValue<'_>) -> Result<(), EntryError>,
}

/// Every table, in the order of [`Settings`].
const SECTIONS: [Section; 4] = [
    Section {
        name: "discovery",
        keys: &discovery::KEYS,
        set: |settings, key, value| settings.discovery.set(key, value),
    },
    Section {
        name: "mail",
        keys: &mail::KEYS,
        set: |settings, key, value| settings.mail.set(key, value),
    },
    Section {
        name: "rpc",
        keys: &rpc::KEYS,
        set: |settings, key, value| settings.rpc.set(key, value),
    },
    Section {
        name: "tor",
        keys: &tor::KEYS,
        set: |settings, key, value| settings.tor.set(key, value),
    },
];

/// Every key in full, as in `level` and `rpc.http`.
pub fn keys() -> impl Iterator<Item = String> {
    let inside = SECTIONS.iter().flat_map(|section| {
        let full = move |key: &&str| format!("{}.{key}", section.name);
        section.keys.iter().map(full)
    });
    KEYS.map(str::to_owned).into_iter().chain(inside)
}

fn set(settings: &mut Settings, key: &str, value: &DeValue<'_>) -> Result<(), EntryError> {
    match key {
        "profile" => settings.profile = Some(value::profile(text(value)?)?),
        "network" => settings.network = Some(text(value)?.parse()?),
        "level" => settings.level = Some(value::level(text(value)?)?),
        "relay" => settings.relay = Some(flag(value)?),
        "listen" => settings.listen = Some(list(value, parsed)?),
        "advertise" => settings.advertise = Some(list(value, parsed)?),
        "family" => settings.family = Some(list(value, value::relay)?),
        "peers" => settings.peers = Some(list(value, parsed)?),
        "trusted-peers" => settings.trusted_peers = Some(list(value, parsed)?),
        "max-peers" => settings.max_peers = Some(count(value, value::PEERS)?),
        "min-pow" => settings.min_pow = Some(value::min_pow(number(value)?)?),
        "pow-generation" => {
            settings.pow_generation = Some(value::pow_generation(text(value)?)?);
        }
        "pool-mb" => settings.pool_mb = Some(count(value, value::POOL_MB)?),
        "guard" => settings.guard = Some(value::relay(text(value)?)?),
        "password-file" => settings.password_file = Some(text(value)?.into()),
        "threads" => settings.threads = Some(count(value, value::THREADS)?),
        _ => return Err(EntryError::Key),
    }
    Ok(())
}

/// What is wrong with an entry, and what would help.
fn explain(name: &str, value: &DeValue<'_>, error: EntryError) -> String {
    match error {
        EntryError::Value(cause) => format!("`{name}`: {cause}"),
        EntryError::Key if value.is_table() => unknown_section(name),
        EntryError::Key => unknown(name),
    }
}

fn unknown_section(name: &str) -> String {
    let names = SECTIONS.map(|section| section.name);
    match closest(name, names) {
        Some(near) => format!("there is no table [{name}]; did you mean [{near}]?"),
        None => format!("there is no table [{name}]; there are {}", names.join(", ")),
    }
}

fn unknown(name: &str) -> String {
    let known: Vec<String> = keys().collect();
    // Somebody who knows the key, but not its table, types it alone.
    let tail = |key: &&String| key.split_once('.').is_some_and(|(_, tail)| tail == name);
    let near = known.iter().find(tail).map(String::as_str);
    match near.or_else(|| closest(name, known.iter().map(String::as_str))) {
        Some(near) => format!("there is no setting {name:?}; did you mean `{near}`?"),
        None => format!(
            "there is no setting {name:?}; there are {}",
            known.join(", ")
        ),
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
