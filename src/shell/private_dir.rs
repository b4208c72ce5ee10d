//! Temporary directories of ephemeral nodes: private to the user, and removed at the end.
//!
//! A process that is killed leaves its directory behind, whose name shows that whisht was used. The next
//! ephemeral node removes it: a directory is in use as long as a process holds the lock in it.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::data_dir::{DirError, at};

/// A temporary directory, removed on drop with its contents.
#[derive(Debug)]
pub(super) struct PrivateDir {
    path: PathBuf,
    /// Locked until the process ends.
    _lock: File,
}

impl PrivateDir {
    /// Makes a directory in the runtime directory of the user or, without one, among the temporary
    /// files, and removes those of processes that were killed. `number` makes its name unique.
    ///
    /// # Errors
    ///
    /// [`DirError`] if the directory cannot be made.
    pub(super) fn make(number: [u8; 8]) -> Result<Self, DirError> {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let parent = runtime
            .filter(|path| path.is_dir())
            .unwrap_or_else(std::env::temp_dir);
        Self::make_in(&parent, number)
    }

    fn make_in(parent: &Path, number: [u8; 8]) -> Result<Self, DirError> {
        let path = parent.join(format!("{PREFIX}{}", hex::encode(number)));
        let made = DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .and_then(|()| lock(&path));
        let lock = made.map_err(|error| at(&path, error))?;
        remove_abandoned(parent, &path);
        Ok(Self { path, _lock: lock })
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PrivateDir {
    fn drop(&mut self) {
        // The next ephemeral node tries again, and no caller can act on the error.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Creates and locks the file that shows that a directory is in use.
fn lock(path: &Path) -> io::Result<File> {
    let lock = File::create_new(path.join(LOCK))?;
    lock.try_lock().map_err(io::Error::from)?;
    Ok(lock)
}

/// Removes the directories of this user's processes that ended without removing them. A directory
/// without a lock is left alone: its process may be about to lock it.
fn remove_abandoned(parent: &Path, own: &Path) {
    let Ok(user) = fs::symlink_metadata(own).map(|metadata| metadata.uid()) else {
        return;
    };
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let others = entries
        .map(|entry| entry.path())
        .filter(|path| path != own && is_named_as_ours(path));
    for path in others.take(MAX_LEFTOVERS) {
        let is_ours = fs::symlink_metadata(&path)
            .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == user);
        let is_abandoned = || {
            let lock = File::open(path.join(LOCK));
            lock.is_ok_and(|lock| lock.try_lock().is_ok())
        };
        if is_ours && is_abandoned() {
            // Another process may be removing it too.
            let _ = fs::remove_dir_all(&path);
        }
    }
}

fn is_named_as_ours(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let number = name.and_then(|name| name.strip_prefix(PREFIX));
    number.is_some_and(|digits| {
        digits.len() == 16 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    })
}

/// The beginning of the names.
const PREFIX: &str = "whisht-";
/// The file that a living process holds locked.
const LOCK: &str = "lock";
/// Maximum number of leftovers that one start looks at.
const MAX_LEFTOVERS: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_of_a_killed_process_is_removed_at_the_next_start() {
        let parent = tempfile::tempdir().unwrap();
        let parent = parent.path();
        let abandoned = parent.join("whisht-0123456789abcdef");
        fs::create_dir(&abandoned).unwrap();
        fs::write(abandoned.join(LOCK), "").unwrap();
        fs::write(abandoned.join("whisht.ipc"), "").unwrap();
        for kept in ["whisht-other", "whisht-0123456789abcde0"] {
            // Another program's, and one that is not locked yet.
            fs::create_dir(parent.join(kept)).unwrap();
        }
        let alive = PrivateDir::make_in(parent, [1; 8]).unwrap();
        assert!(!abandoned.exists());
        let next = PrivateDir::make_in(parent, [2; 8]).unwrap();
        assert!(
            alive.path().exists(),
            "a living process keeps its directory"
        );
        let path = next.path().to_owned();
        drop((alive, next));
        assert!(!path.exists());
        assert_eq!(fs::read_dir(parent).unwrap().count(), 2);
    }
}
