//! Opens a mail server's archive and password before its node starts.

use std::path::Path;

use tokio::task::{JoinError, spawn_blocking};

use super::archive::{
    ArchiveError, ArchiveLocation, ArchiveQuota, InvalidPostgresUrl, OpenArchive, PostgresUrl,
};
use super::password::{PasswordFileError, first_line};
use super::store::Storage;
use crate::config::mail::{MailConfig, MailStore};
use crate::message::{SymKey, ZeroKey};

/// Opens the configured archive, and reads the password; `None` if the node is not a mail server.
/// With `stay_here`, a database on another machine is refused.
///
/// # Errors
///
/// [`MailError`] names the cause.
pub async fn open(
    config: Option<&MailConfig>,
    storage: &Storage,
    stay_here: bool,
) -> Result<(Option<OpenArchive>, Option<SymKey>), MailError> {
    let Some(config) = config else {
        return Ok((None, None));
    };
    let location = match (&config.store, storage) {
        (MailStore::Postgres(url), _) => {
            let url: PostgresUrl = url.parse()?;
            if stay_here && !url.stays_here() {
                return Err(MailError::DatabaseBesideTor);
            }
            ArchiveLocation::Postgres(Box::new(url))
        }
        (MailStore::Sqlite, Storage::Disk(dir)) => ArchiveLocation::Directory(dir.clone()),
        (MailStore::Sqlite, Storage::Memory) => ArchiveLocation::Memory,
    };
    let quota = ArchiveQuota {
        bytes: config.bytes,
        age: config.age,
    };
    let file = config.password_file.clone();
    // A database and a key derivation may take seconds.
    spawn_blocking(move || {
        let password = file.map(|file| key(&file)).transpose()?;
        Ok((Some(OpenArchive::at(&location, quota)?), password))
    })
    .await?
}

/// The symmetric key derived from the first line of a file.
fn key(path: &Path) -> Result<SymKey, MailError> {
    let line = first_line(path)?;
    SymKey::from_password(&line).map_err(MailError::Zero)
}

/// Why a mail server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MailError {
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The setting names no store.
    #[error("`mail.store`: {0}")]
    InvalidUrl(#[from] InvalidPostgresUrl),
    /// `tor.only` is set, and the database is reached without Tor.
    #[error(
        "`mail.store` names a database that is reached by name or over the network, and tor.only \
         lets nothing out but Tor; write its address of loopback (postgres://USER@127.0.0.1/NAME) or \
         its socket (postgres://USER@%2Fvar%2Frun%2Fpostgresql/NAME), or use mail.store = \"sqlite\""
    )]
    DatabaseBesideTor,
    /// The password file.
    #[error(transparent)]
    Password(#[from] PasswordFileError),
    /// The process is ending.
    #[error("the archive was not opened: {0}")]
    Stopped(#[from] JoinError),
    /// No key can be derived from the password.
    #[error("the password of the mail server: {0}; choose another one")]
    Zero(ZeroKey),
}
