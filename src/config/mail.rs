//! The table `[mail]`: whether the node is a mail server, where it keeps envelopes, and for which
//! clients.
//!
//! A mail server keeps envelopes that every node of the network sees, and learns which client requests
//! which of them. It is off by default.

use core::fmt;
use core::str::FromStr;
use std::path::PathBuf;

use circuits::ids::RelayKey;
use zeroize::Zeroizing;

use super::error::ConfigError;
use super::setting::{Count, List, Place, SecretValue, Switch, settings};
use super::value::{self, BadValue, parsed};

settings! {
    /// The settings of one source; `None` where the source has no value.
    pub struct MailSettings, "mail", "Mail server", |all| &mut all.mail;

    /// Keep flooded envelopes, and send them to clients that were offline
    serve: bool = false;
        "mail.serve" "mail-serve" "WHISHT_MAIL_SERVE";
        Switch, "BOOL" "false";
        "";

    /// Place of the envelopes: sqlite (in the data directory), or postgres://USER@HOST/DATABASE
    store: MailStore = MailStore::Sqlite;
        "mail.store" "mail-store" "WHISHT_MAIL_STORE";
        SecretValue(parsed), "STORE" "\"sqlite\"";
        "";

    /// Maximum size of the archive in megabytes
    max_mb: usize = 1_024;
        "mail.max-mb" "mail-max-mb" "WHISHT_MAIL_MAX_MB";
        Count(value::MAIL_MB), "MB" "1024";
        "The oldest envelopes are removed first";

    /// Number of days that envelopes are kept
    days: usize = 30;
        "mail.days" "mail-days" "WHISHT_MAIL_DAYS";
        Count(value::MAIL_DAYS), "DAYS" "30";
        "Counted from the beginning of an envelope's lifetime; status-im's servers keep 30";

    /// File whose first line is the password of requests
    password_file: PathBuf;
        "mail.password-file" "mail-password-file" "WHISHT_MAIL_PASSWORD_FILE";
        Place, "FILE" "none";
        "The file must be 0600";

    /// Answer this peer without a password, by enode URL or key
    allow: Vec<RelayKey> = Vec::new();
        "mail.allow" "mail-allow" "WHISHT_MAIL_ALLOW";
        List(value::peer_key), "ENODE" "[]";
        "Without a password and without this list, the server answers every peer";
}

/// Complete settings of a mail server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MailConfig {
    /// The place of the envelopes.
    pub store: MailStore,
    /// Maximum size of the archive in bytes.
    pub bytes: u64,
    /// Seconds that envelopes are kept.
    pub age: u32,
    /// The file whose first line is the password of requests.
    pub password_file: Option<PathBuf>,
    /// Peers that need no password.
    pub allow: Vec<RelayKey>,
}

impl MailConfig {
    /// Completes settings with defaults; `None` if the node is not a mail server.
    ///
    /// # Errors
    ///
    /// [`ConfigError::WithoutEffect`] if a setting needs a mail server, and the node is none.
    pub fn build(settings: MailSettings) -> Result<Option<Self>, ConfigError> {
        if !settings.serve() {
            return settings.check_without_server().map(|()| None);
        }
        let megabytes = u64::try_from(settings.max_mb()).unwrap_or(u64::MAX);
        let days = u32::try_from(settings.days()).unwrap_or(u32::MAX);
        Ok(Some(Self {
            store: settings.store(),
            bytes: megabytes.saturating_mul(1 << 20),
            age: days.saturating_mul(86_400),
            allow: settings.allow(),
            password_file: settings.password_file,
        }))
    }
}

impl MailSettings {
    /// Refuses settings that have no effect on a node that is not a mail server.
    fn check_without_server(&self) -> Result<(), ConfigError> {
        let given = [
            ("mail.store", self.store.is_some()),
            ("mail.max-mb", self.max_mb.is_some()),
            ("mail.days", self.days.is_some()),
            ("mail.allow", !self.allow().is_empty()),
            ("mail.password-file", self.password_file.is_some()),
        ];
        match given.into_iter().find(|(_, is_given)| *is_given) {
            Some((setting, _)) => Err(ConfigError::WithoutEffect {
                setting,
                needs: "mail.serve",
            }),
            None => Ok(()),
        }
    }
}

/// A place for envelopes.
#[derive(Clone, Eq, PartialEq)]
pub enum MailStore {
    /// A PostgreSQL database at this URL, which may contain a password.
    Postgres(Zeroizing<String>),
    /// A file of the data directory.
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
                "expected `sqlite`, or a URL such as postgres://USER@HOST/DATABASE",
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
