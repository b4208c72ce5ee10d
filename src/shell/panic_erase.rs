//! Erases a data directory in an emergency: the keys first, in less than a second, then the rest.
//!
//! Without the keys the rest is worth nothing to a thief of the machine, so they go before a running node is
//! told and before anything is printed. Every step can be repeated, and whisht's own files are known by
//! name: the erasure resumes after a kill, and leaves alone what is not a file of whisht. Links are removed,
//! never followed.
//!
//! What this cannot reach: copies in flash memory, in snapshots and backups, swapped memory, and the texts on
//! the screen of a terminal.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::data_dir::{
    ARTI, DESCRIPTOR, FILES, IDENTITIES, IPC, KEYSTORE, LOCK, ONION, PROFILE, RPC_TOKEN, STATE_DB,
    STATE_GUARD, STATE_KEY, files, is_claim,
};

/// A data directory that is being erased.
#[derive(Debug)]
pub struct PanicErase {
    path: PathBuf,
    failed: Vec<PathBuf>,
}

/// What is left of an erased directory.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Remains {
    /// Files that the operating system did not delete.
    pub failed: Vec<PathBuf>,
    /// Files that are not files of whisht.
    pub foreign: Vec<PathBuf>,
}

impl PanicErase {
    /// Prepares the erasure of a directory; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`PanicEraseError`] if the directory is not one of whisht, or cannot be read.
    pub fn of(path: &Path) -> Result<Option<Self>, PanicEraseError> {
        let names = match names(path) {
            Ok(names) => names,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                let path = path.to_owned();
                return Err(PanicEraseError::Unreadable { path, error });
            }
        };
        if !is_ours(path, &names) {
            let path = path.to_owned();
            return Err(PanicEraseError::NotOurs { path });
        }
        Ok(Some(Self {
            path: path.to_owned(),
            failed: Vec::new(),
        }))
    }

    /// Overwrites and deletes all keys.
    pub fn erase_keys(&mut self) {
        self.failed.clear();
        for name in KEYS {
            self.wipe(&self.path.join(name), true);
        }
        for folder in [ONION, KEYSTORE, IDENTITIES] {
            self.wipe_contents(&self.path.join(folder));
        }
    }

    /// Waits until the node that uses the directory has ended, but no longer than a second. The
    /// result is locked while it exists; `None` if the node still runs.
    #[must_use]
    pub fn wait_for_node(&self) -> Option<File> {
        for _ in 0..LOCK_POLLS {
            // Without the file no node can use the directory.
            let lock = File::open(self.path.join(LOCK)).ok()?;
            match lock.try_lock() {
                Ok(()) => return Some(lock),
                Err(TryLockError::WouldBlock) => pause(),
                Err(TryLockError::Error(_)) => return None,
            }
        }
        None
    }

    /// Erases the keys again, which a node may have written meanwhile, then deletes everything else and
    /// the directory.
    #[must_use]
    pub fn erase_rest(mut self) -> Remains {
        self.erase_keys();
        for name in REST.iter().chain(&LAST) {
            self.wipe(&self.path.join(name), false);
        }
        // A folder with files of other programs stays.
        let foreign = match fs::remove_dir(&self.path) {
            Ok(()) => Vec::new(),
            Err(_) => names(&self.path)
                .unwrap_or_default()
                .iter()
                .map(|name| self.path.join(name))
                .filter(|path| !self.failed.contains(path))
                .collect(),
        };
        let failed = self.failed;
        Remains { failed, foreign }
    }

    /// Deletes a file, a link, or a folder with its contents. A missing one is not an error.
    fn wipe(&mut self, path: &Path, overwrite: bool) {
        let Ok(metadata) = fs::symlink_metadata(path) else {
            return;
        };
        let deleted = if metadata.is_dir() {
            self.wipe_contents_of(path, overwrite);
            fs::remove_dir(path)
        } else if overwrite && metadata.is_file() {
            // A file that cannot be overwritten can be deleted.
            files::erase(path).or_else(|_| fs::remove_file(path))
        } else {
            fs::remove_file(path)
        };
        if deleted.is_err_and(|error| error.kind() != ErrorKind::NotFound) {
            self.failed.push(path.to_owned());
        }
    }

    /// Overwrites and deletes the contents of a folder of keys. The folder itself shows that the
    /// directory is one of whisht, until the end.
    fn wipe_contents(&mut self, folder: &Path) {
        // The contents of a link's target belong to another program.
        if fs::symlink_metadata(folder).is_ok_and(|metadata| metadata.is_dir()) {
            self.wipe_contents_of(folder, true);
        }
    }

    fn wipe_contents_of(&mut self, folder: &Path, overwrite: bool) {
        for name in names(folder).unwrap_or_default() {
            self.wipe(&folder.join(name), overwrite);
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the command has nothing else to do until the node has ended"
)]
fn pause() {
    thread::sleep(LOCK_POLL);
}

/// Whether a directory with these names is one of whisht. It is, at every step of its erasure.
fn is_ours(path: &Path, names: &[PathBuf]) -> bool {
    let has = |name: &str| names.iter().any(|own| own == Path::new(name));
    let is_claimed = || fs::read_to_string(path.join(PROFILE)).is_ok_and(|text| is_claim(&text));
    let has_folders = || [ONION, KEYSTORE, DESCRIPTOR].into_iter().any(has);
    let is_empty_but_for_lock = || names.iter().all(|name| name == Path::new(LOCK));
    is_empty_but_for_lock() || is_claimed() || (has(LOCK) && has_folders())
}

/// The names in a folder, in order.
fn names(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?;
    let names: io::Result<Vec<_>> = entries
        .map(|entry| Ok(PathBuf::from(entry?.file_name())))
        .collect();
    names.map(|mut names| {
        names.sort();
        names
    })
}

/// Why a directory is not erased.
#[derive(Debug, thiserror::Error)]
pub enum PanicEraseError {
    /// It has none of the files that every data directory has.
    #[error(
        "{} is not a data directory of whisht, and nothing in it was touched; name the directory with \
         --data-dir",
        path.display()
    )]
    NotOurs {
        /// The directory.
        path: PathBuf,
    },
    /// The operating system refuses.
    #[error("cannot read {}: {error}; run the command as the owner of the directory", path.display())]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// The error of the operating system.
        error: io::Error,
    },
}

/// Files of keys, in the order of their erasure, with the files that a crash may have left of them.
const KEYS: [&str; 9] = [
    STATE_KEY,
    "state.new",
    STATE_GUARD,
    "nodekey",
    "nodekey.new",
    "guard-seed",
    "guard-seed.new",
    RPC_TOKEN,
    "rpc-token.new",
];
/// Everything else but the names in [`LAST`].
const REST: [&str; 22] = [
    STATE_DB,
    "state.db-wal",
    "state.db-shm",
    "state.db-journal",
    "mail.db",
    "mail.db-wal",
    "mail.db-shm",
    "mail.db-journal",
    "directory.bin",
    "directory.new",
    "guards",
    "guards.new",
    "port",
    "port.new",
    "profile.new",
    ARTI,
    FILES,
    "config.toml",
    "config.new",
    IPC,
    IDENTITIES,
    DESCRIPTOR,
];
/// The names by which an interrupted erasure finds that the directory is one of whisht.
const LAST: [&str; 4] = [KEYSTORE, ONION, PROFILE, LOCK];
/// How often the command looks whether the node has ended: for a second. A node that was told ends in less.
const LOCK_POLLS: u32 = 50;
const LOCK_POLL: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests;
