//! What a mail server needs from outside before its node starts: its archive and its password.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::task::{JoinError, spawn_blocking};
use zeroize::Zeroizing;

use super::archive::{ArchiveError, BadUrl, Bounds, Opened, Site};
use super::store::Storage;
use crate::config::mail::{MailConfig, MailStore};
use crate::message::SymKey;

/// Opens the archive that a configuration asks for, and reads the password; nothing if the node
/// is no mail server.
///
/// # Errors
///
/// [`MailError`] names what is in the way.
pub async fn open(
    config: Option<&MailConfig>,
    storage: &Storage,
) -> Result<(Option<Opened>, Option<SymKey>), MailError> {
    let Some(config) = config else {
        return Ok((None, None));
    };
    let site = match (&config.store, storage) {
        (MailStore::Postgres(url), _) => Site::Postgres(Box::new(url.parse()?)),
        (MailStore::Sqlite, Storage::Disk(dir)) => Site::Directory(dir.clone()),
        (MailStore::Sqlite, Storage::Memory) => Site::Memory,
    };
    let bounds = Bounds {
        bytes: config.bytes,
        age: config.age,
    };
    let file = config.password_file.clone();
    // A database may take its time, and so does a key from a password.
    spawn_blocking(move || {
        let password = file.map(|file| password(&file)).transpose()?;
        Ok((Some(Opened::at(&site, bounds)?), password))
    })
    .await?
}

/// The key that the first line of a file makes.
fn password(path: &Path) -> Result<SymKey, MailError> {
    let fail = |error| MailError::Password {
        path: path.to_owned(),
        error,
    };
    let mode = std::fs::metadata(path).map_err(fail)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(MailError::TooOpen {
            path: path.to_owned(),
        });
    }
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(fail)?);
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(MailError::Empty {
            path: path.to_owned(),
        });
    }
    SymKey::from_password(line).map_err(|error| fail(io::Error::other(error)))
}

/// Why a mail server does not come up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MailError {
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The setting names no store.
    #[error("`mail.store`: {0}")]
    BadUrl(#[from] BadUrl),
    /// The password file holds none.
    #[error("{} holds no password; write it into the first line", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The password file cannot be read.
    #[error("cannot read the password from {}: {error}; name a readable file", path.display())]
    Password {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The process is ending.
    #[error("the archive was not opened: {0}")]
    Stopped(#[from] JoinError),
    /// Others can read the password file.
    #[error("{} can be read by other users; run `chmod 0600 {}`", path.display(), path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
    },
}
