//! The files beside the database: the wrapped key, the guard, and which password unlocks what.
//!
//! The password of the identities also unlocks the state. A state without a password gets the first one
//! that an identity gets, so that a user who sets a password protects both.

use std::fs;
use std::io;
use std::path::Path;

use super::StateError;
use crate::keystore::{Cost, Password};
use crate::shell::data_dir::{DataDir, DirError, STATE_DB, STATE_KEY, at, files};
use crate::shell::seeded_rng;
use crate::state::guard::GuardValue;
use crate::state::master_key::{KeyCost, MasterKey};

impl From<Cost> for KeyCost {
    fn from(cost: Cost) -> Self {
        match cost {
            Cost::Standard => Self::STANDARD,
            Cost::DangerLight => Self::DANGER_LIGHT,
        }
    }
}

/// Whether a password has to be given before the state of a directory can be used.
///
/// # Errors
///
/// [`StateError`] if its key cannot be read.
pub fn needs_password(dir: &DataDir) -> Result<bool, StateError> {
    if dir.state().is_open() {
        return Ok(false);
    }
    is_protected(dir)
}

/// Whether a password protects the state of a directory.
///
/// # Errors
///
/// [`StateError`] if its key cannot be read.
pub fn is_protected(dir: &DataDir) -> Result<bool, StateError> {
    Ok(read_key(dir)?.is_some_and(|file| !MasterKey::is_unprotected(&file)))
}

/// Opens a state that no password protects; creates one if there is none and `may_create`. Returns
/// whether the state is open.
///
/// # Errors
///
/// [`StateError`] if it cannot be read or written.
pub fn open_unprotected(dir: &DataDir, may_create: bool) -> Result<bool, StateError> {
    if dir.state().is_open() {
        return Ok(true);
    }
    let none = Password::none();
    let key = match read_key(dir)? {
        Some(file) if MasterKey::is_unprotected(&file) => unwrap(dir, &file, &none)?,
        None if may_create => create(dir, &none, Cost::DangerLight)?,
        _ => return Ok(false),
    };
    dir.state().open(dir, key)?;
    if dir.state().has_rows() {
        tracing::warn!(
            "contacts and messages have no password, and every user who can read the files has them; \
             the first identity with a password protects them: `whisht id passwd NAME`"
        );
    }
    Ok(true)
}

/// Opens a state with a password. A state without a password gets this one; a directory without a state
/// gets a state. Takes as long as the key derivation. Nothing happens if the state is open.
///
/// # Errors
///
/// [`StateError`] if the password is another one, or a file cannot be read or written.
pub fn unlock(dir: &DataDir, password: &Password, cost: Cost) -> Result<(), StateError> {
    if dir.state().is_open() {
        return Ok(());
    }
    let key = match read_key(dir)? {
        None => create(dir, password, cost)?,
        Some(_) => {
            protect(dir, password, cost)?;
            // The file may be another one now.
            let file = read_key(dir)?.unwrap_or_default();
            unwrap(dir, &file, password)?
        }
    };
    dir.state().open(dir, key)
}

/// Protects a state that has no password with this one. Nothing happens if it has one, or there is no
/// state, or the password is empty.
///
/// # Errors
///
/// [`StateError`] if a file cannot be read or written.
pub fn protect(dir: &DataDir, password: &Password, cost: Cost) -> Result<(), StateError> {
    match read_key(dir)? {
        Some(file) if !password.is_empty() && MasterKey::is_unprotected(&file) => {
            let key = unwrap(dir, &file, &Password::none())?;
            write(dir, &key, password, cost)
        }
        _ => Ok(()),
    }
}

/// Wraps the key of the state under a new password if the old one unlocks it. The new password protects
/// a state without one too; an empty one changes nothing, because other identities may have the old one.
///
/// # Errors
///
/// [`StateError`] if a file cannot be read or written.
pub fn follow_password(
    dir: &DataDir,
    old: Option<&Password>,
    new: &Password,
    cost: Cost,
) -> Result<(), StateError> {
    protect(dir, new, cost)?;
    let (Some(file), Some(old)) = (read_key(dir)?, old) else {
        return Ok(());
    };
    if old.is_empty() || new.is_empty() {
        return Ok(());
    }
    match unwrap(dir, &file, old) {
        Ok(key) => write(dir, &key, new, cost),
        Err(error) if error.is_wrong_password() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Draws the key of a new state. A database without its key is refused rather than replaced: the key
/// may be in a backup.
fn create(dir: &DataDir, password: &Password, cost: Cost) -> Result<MasterKey, StateError> {
    let database = dir.path().join(STATE_DB);
    if database
        .try_exists()
        .map_err(|error| at(&database, error))?
    {
        return Err(StateError::Damaged {
            path: dir.path().join(STATE_KEY),
            cause: "the file is missing, and state.db cannot be read without it".to_owned(),
        });
    }
    let key = MasterKey::draw(&mut seeded_rng()?);
    write(dir, &key, password, cost)?;
    Ok(key)
}

fn write(
    dir: &DataDir,
    key: &MasterKey,
    password: &Password,
    cost: Cost,
) -> Result<(), StateError> {
    let path = dir.path().join(STATE_KEY);
    let mut rng = seeded_rng()?;
    let file = key
        .wrap(password.expose().as_bytes(), cost.into(), &mut rng)
        .map_err(|error| StateError::Key {
            path: path.clone(),
            error,
        })?;
    Ok(files::replace(&path, &file).map_err(|error| at(&path, error))?)
}

fn unwrap(dir: &DataDir, file: &[u8], password: &Password) -> Result<MasterKey, StateError> {
    MasterKey::unwrap(file, password.expose().as_bytes()).map_err(|error| StateError::Key {
        path: dir.path().join(STATE_KEY),
        error,
    })
}

fn read_key(dir: &DataDir) -> Result<Option<Vec<u8>>, DirError> {
    let path = dir.path().join(STATE_KEY);
    read(&path)
}

/// The value of the guard's file; `None` if there is no file.
pub(super) fn read_guard(path: &Path) -> Result<Option<GuardValue>, StateError> {
    // A file of another length holds no value that the database knows: the state counts as an old copy.
    let value = read(path)?;
    Ok(value.map(|bytes| bytes.try_into().unwrap_or_default()))
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, DirError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path, error)),
    }
}
