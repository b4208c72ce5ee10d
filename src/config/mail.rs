//! The table `[mail]`: whether the node is a mail server, where it keeps envelopes, and for whom.
//!
//! A mail server keeps what everybody sees anyway, and learns who asks for which part of it. It is
//! off unless its operator says so.

use core::fmt;
use core::str::FromStr;
use std::path::PathBuf;

use circuits::ids::RelayKey;
use toml::de::DeValue;
use zeroize::Zeroizing;

use super::toml_value::{EntryError, count, flag, list, parsed, text};
use super::value::{self, BadValue};

/// What one source says; `None` where it says nothing.
#[derive(Clone, Debug, Default)]
pub struct MailSettings {
    /// Whether to be a mail server. Default: no.
    pub serve: Option<bool>,
    /// Where envelopes are kept. Default: in the data directory.
    pub store: Option<MailStore>,
    /// Megabytes kept at the most. Default: 1024.
    pub max_mb: Option<usize>,
    /// Days that envelopes are kept. Default: 30.
    pub days: Option<usize>,
    /// The file whose first line is the password of requests. Default: none is asked for.
    pub password_file: Option<PathBuf>,
    /// Peers that need no password. Default: none; everybody if there is no password either.
    pub allow: Option<Vec<RelayKey>>,
}

/// Every key of the table.
pub(super) const KEYS: [&str; 6] = ["serve", "store", "max-mb", "days", "password-file", "allow"];

impl MailSettings {
    /// Takes one entry of the file in.
    pub(super) fn set(&mut self, key: &str, value: &DeValue<'_>) -> Result<(), EntryError> {
        match key {
            "serve" => self.serve = Some(flag(value)?),
            "store" => self.store = Some(parsed(text(value)?)?),
            "max-mb" => self.max_mb = Some(count(value, value::MAIL_MB)?),
            "days" => self.days = Some(count(value, value::MAIL_DAYS)?),
            "password-file" => self.password_file = Some(text(value)?.into()),
            "allow" => self.allow = Some(list(value, value::peer_key)?),
            _ => return Err(EntryError::Key),
        }
        Ok(())
    }

    /// What these settings say, and what `weaker` ones say where these are silent.
    #[must_use]
    pub fn or(self, weaker: Self) -> Self {
        Self {
            serve: self.serve.or(weaker.serve),
            store: self.store.or(weaker.store),
            max_mb: self.max_mb.or(weaker.max_mb),
            days: self.days.or(weaker.days),
            password_file: self.password_file.or(weaker.password_file),
            allow: self.allow.or(weaker.allow),
        }
    }
}

/// Settings of a mail server that are complete.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MailConfig {
    /// Where envelopes are kept.
    pub store: MailStore,
    /// Bytes kept at the most.
    pub bytes: u64,
    /// Seconds that envelopes are kept.
    pub age: u32,
    /// The file whose first line is the password of requests.
    pub password_file: Option<PathBuf>,
    /// Peers that need no password.
    pub allow: Vec<RelayKey>,
}

impl MailConfig {
    /// Completes settings with defaults; nothing unless they ask for a mail server.
    #[must_use]
    pub fn build(settings: MailSettings) -> Option<Self> {
        if !settings.serve.unwrap_or(false) {
            return None;
        }
        let megabytes = u64::try_from(settings.max_mb.unwrap_or(MAX_MB)).unwrap_or(u64::MAX);
        let days = u32::try_from(settings.days.unwrap_or(DAYS)).unwrap_or(u32::MAX);
        Some(Self {
            store: settings.store.unwrap_or(MailStore::Sqlite),
            bytes: megabytes.saturating_mul(1 << 20),
            age: days.saturating_mul(86_400),
            password_file: settings.password_file,
            allow: settings.allow.unwrap_or_default(),
        })
    }
}

/// Where envelopes are kept.
#[derive(Clone, Eq, PartialEq)]
pub enum MailStore {
    /// In a PostgreSQL at this URL, which may hold a password.
    Postgres(Zeroizing<String>),
    /// In a file of the data directory.
    Sqlite,
}

impl FromStr for MailStore {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let postgres = ["postgres://", "postgresql://"];
        if text == "sqlite" {
            Ok(Self::Sqlite)
        } else if postgres.iter().any(|scheme| text.starts_with(scheme)) {
            Ok(Self::Postgres(Zeroizing::new(text.to_owned())))
        } else {
            Err(BadValue::new(
                "a mail store is `sqlite`, or a URL such as postgres://USER@HOST/DATABASE",
            ))
        }
    }
}

impl fmt::Debug for MailStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres(_) => "Postgres(..)",
            Self::Sqlite => "Sqlite",
        })
    }
}

/// A year and a half of a quiet network, an hour of the busiest that can be.
const MAX_MB: usize = 1_024;
/// As status-im's servers keep them.
const DAYS: usize = 30;
