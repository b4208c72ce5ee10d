//! The table `[levels]`: levels of the user's own, and the level of each recipient.
//!
//! A custom level is a level of the program under a name, with limits that the user adds. A limit can only
//! refuse a message. It changes neither path nor delays nor sizes, so a message of a custom level cannot be
//! told from another one of its base.

use circuits::level::Level;
use toml::de::{DeTable, DeValue};

use super::error::ConfigError;
use super::setting::{Form, RawValue, Reader, settings};
use super::value::{self, BadValue};
use crate::node::{
    CustomLevel, LevelChoice, LevelLimits, LevelPolicy, ReaderKind, RecipientPolicy,
};

settings! {
    /// The settings of one source; `None` where the source has no value.
    pub struct LevelSettings, "levels", "Privacy levels", |all| &mut all.levels;

    /// Custom level: a name, the level that it is based on, and limits that refuse a message
    custom: Vec<CustomLevel> = Vec::new();
        "levels.custom" "levels-custom" "";
        Named(custom_line, custom_table), "NAME=LEVEL[,LIMIT=N]" "{}";
        "In the file each is a table `[levels.custom.NAME]` with `base` and limits: `max-seconds` (95th \
         percentile of the time), `max-bytes` (of cells over all hops), `min-pool` (waiting cells at a \
         relay), `min-relays`";

    /// Level for one recipient, by public key or name: a level, then any-client if it reads without whisht
    recipients: Vec<RecipientPolicy> = Vec::new();
        "levels.recipients" "levels-recipient" "";
        Named(recipient_line, recipient_table), "RECIPIENT=LEVEL[,any-client]" "{}";
        "In the file: `\"NAME\" = \"dark\"` below `[levels.recipients]`, or a list, \
         `[\"hush\", \"any-client\"]`. `--level` overrides the level for one message";
}

/// The choice of levels from complete settings.
///
/// # Errors
///
/// [`ConfigError`] if two entries have one name, or an entry names an unknown level.
pub(super) fn build(settings: &LevelSettings) -> Result<LevelPolicy, ConfigError> {
    let policy = LevelPolicy::new(settings.custom(), settings.recipients())?;
    Ok(policy)
}

/// Entries with a name each: a table of the file, or one line for each flag.
struct Named<T>(
    fn(&str) -> Result<T, BadValue>,
    fn(&str, &DeValue<'_>) -> Result<T, BadValue>,
);

impl<T> Reader<Vec<T>> for Named<T> {
    fn form(&self) -> Form {
        Form::Lines
    }

    fn read(&self, input: RawValue<'_, '_>) -> Result<Vec<T>, BadValue> {
        let Self(line, entry) = self;
        match input {
            RawValue::Texts(texts) => {
                let texts = texts.iter();
                texts.map(|text| line(&text.to_string_lossy())).collect()
            }
            RawValue::Toml(value) => {
                let table = value
                    .as_table()
                    .ok_or_else(|| BadValue::new("expected a table with an entry for each name"))?;
                let entries = table.iter();
                entries
                    .map(|(name, value)| {
                        let name = name.get_ref();
                        entry(name, value.get_ref())
                            .map_err(|error| BadValue::new(format_args!("{name:?}: {error}")))
                    })
                    .collect()
            }
        }
    }
}

/// Reads `NAME=LEVEL,LIMIT=N,..`.
fn custom_line(line: &str) -> Result<CustomLevel, BadValue> {
    let (name, rest) = line
        .split_once('=')
        .ok_or_else(|| BadValue::new(format_args!("{line:?}: expected NAME=LEVEL")))?;
    let mut words = rest.split(',');
    let base = value::level(words.next().unwrap_or_default())?;
    let mut limits = LevelLimits::default();
    for word in words {
        let (key, number) = word
            .split_once('=')
            .ok_or_else(|| BadValue::new(format_args!("{word:?}: expected LIMIT=NUMBER")))?;
        set_limit(&mut limits, key, number)?;
    }
    custom(name, base, limits)
}

/// Reads `[levels.custom.NAME]`.
fn custom_table(name: &str, value: &DeValue<'_>) -> Result<CustomLevel, BadValue> {
    let entries: &DeTable<'_> = value
        .as_table()
        .ok_or_else(|| BadValue::new("expected a table with `base` and limits"))?;
    let (mut base, mut limits) = (None, LevelLimits::default());
    for (key, value) in entries {
        let key = key.get_ref();
        match value.get_ref() {
            DeValue::String(word) if key == "base" => base = Some(value::level(word)?),
            DeValue::Integer(number) => set_limit(&mut limits, key, number.as_str())?,
            DeValue::Float(number) => set_limit(&mut limits, key, number.as_str())?,
            _ => return Err(unknown_limit(key)),
        }
    }
    let base = base.ok_or_else(|| BadValue::new("`base` is missing; write base = \"dark\""))?;
    custom(name, base, limits)
}

fn custom(name: &str, base: Level, limits: LevelLimits) -> Result<CustomLevel, BadValue> {
    CustomLevel::new(name, base, limits).map_err(BadValue::new)
}

fn set_limit(limits: &mut LevelLimits, key: &str, number: &str) -> Result<(), BadValue> {
    let whole = || {
        number
            .parse::<u64>()
            .map_err(|_| BadValue::new(format_args!("`{key}` = {number}: expected a whole number")))
    };
    match key {
        "max-seconds" => limits.max_seconds = Some(whole()?),
        "max-bytes" => limits.max_bytes = Some(whole()?),
        "min-pool" => limits.min_pool = Some(whole()?),
        "min-relays" => limits.min_relays = Some(whole()?),
        _ => return Err(unknown_limit(key)),
    }
    Ok(())
}

fn unknown_limit(key: &str) -> BadValue {
    BadValue::new(format_args!(
        "{key:?}: expected base (a level), max-seconds, max-bytes, min-pool or min-relays (whole numbers); a \
         custom level cannot change how cells travel"
    ))
}

/// Reads `RECIPIENT=LEVEL` and what follows.
fn recipient_line(line: &str) -> Result<RecipientPolicy, BadValue> {
    let (to, rest) = line
        .split_once('=')
        .ok_or_else(|| BadValue::new(format_args!("{line:?}: expected RECIPIENT=LEVEL")))?;
    recipient(to, rest.split(','))
}

/// Reads the entry of a recipient: a level, or a list that begins with it.
fn recipient_table(name: &str, value: &DeValue<'_>) -> Result<RecipientPolicy, BadValue> {
    match value {
        DeValue::String(word) => recipient(name, [word.as_ref()].into_iter()),
        DeValue::Array(words) => {
            let words: Option<Vec<&str>> =
                words.iter().map(|word| word.get_ref().as_str()).collect();
            let words = words.ok_or_else(|| BadValue::new(RECIPIENT))?;
            recipient(name, words.into_iter())
        }
        _ => Err(BadValue::new(RECIPIENT)),
    }
}

fn recipient<'a>(
    to: &str,
    mut words: impl Iterator<Item = &'a str>,
) -> Result<RecipientPolicy, BadValue> {
    let level = words.next().filter(|word| !word.is_empty());
    let level: LevelChoice = level
        .ok_or_else(|| BadValue::new(RECIPIENT))?
        .parse()
        .map_err(BadValue::new)?;
    let reader = match words.next() {
        None => ReaderKind::Whisht,
        Some("any-client") => ReaderKind::AnyClient,
        Some(_) => return Err(BadValue::new(RECIPIENT)),
    };
    if words.next().is_some() {
        return Err(BadValue::new(RECIPIENT));
    }
    RecipientPolicy::new(to, level, reader).map_err(BadValue::new)
}

const RECIPIENT: &str = "expected a level, or [\"LEVEL\", \"any-client\"]";

#[cfg(test)]
mod tests;
