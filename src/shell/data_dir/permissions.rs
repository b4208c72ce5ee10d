//! Permissions of the data directory: everything in it belongs to its user, and to no other.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use super::{ARTI, DirError, at};

/// Creates a directory that only its owner can enter, unless it exists.
pub(super) fn make_private(path: &Path) -> Result<(), DirError> {
    let mut builder = DirBuilder::new();
    match builder.recursive(true).mode(0o700).create(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(DirError::NotADirectory {
                path: path.to_owned(),
            })
        }
        Err(error) => Err(at(path, error)),
    }
}

/// Checks that the directory belongs to the user of this process. Root could use the directory of
/// another user, and would leave files in it that this user's node cannot read.
pub(super) fn check_owner(path: &Path) -> Result<(), DirError> {
    let metadata = fs::metadata(path).map_err(|error| at(path, error))?;
    let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner == user {
        return Ok(());
    }
    Err(DirError::OtherOwner {
        path: path.to_owned(),
        owner,
        user,
    })
}

/// Checks the permissions of a directory and of everything in it.
pub(super) fn check_all(path: &Path) -> Result<(), DirError> {
    // The contents of arti's directory are left to arti, which creates files that are protected
    // only by the mode of the directory.
    if check_mode(path)? && !path.ends_with(ARTI) {
        for entry in fs::read_dir(path).map_err(|error| at(path, error))? {
            check_all(&entry.map_err(|error| at(path, error))?.path())?;
        }
    }
    Ok(())
}

/// Checks the permissions of a file or directory; returns whether it is a directory.
pub(super) fn check_mode(path: &Path) -> Result<bool, DirError> {
    let metadata = fs::symlink_metadata(path).map_err(|error| at(path, error))?;
    // A symbolic link has no permissions of its own, and its target may belong to another user.
    if metadata.is_symlink() {
        return Err(DirError::Link {
            path: path.to_owned(),
        });
    }
    // A socket stores nothing; the next node replaces it.
    if metadata.file_type().is_socket() {
        return Ok(false);
    }
    let mode = metadata.permissions().mode() & 0o777;
    let allowed = if metadata.is_dir() { 0o700 } else { 0o600 };
    if mode & 0o077 != 0 {
        return Err(DirError::TooOpen {
            path: path.to_owned(),
            mode,
            allowed,
        });
    }
    Ok(metadata.is_dir())
}
