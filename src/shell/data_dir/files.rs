//! Writes files so that a crash leaves either the old content or the new, and no readable secret.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Replaces a file's content durably.
///
/// # Errors
///
/// The error of the operating system; the old content is then still there.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    // One temporary name is enough, because the only writer holds the directory's lock.
    let temporary = path.with_extension("new");
    let mut file = private()
        .create(true)
        .write(true)
        .truncate(true)
        .open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_parent(path)
}

/// Overwrites a file and deletes it. A missing file is not an error.
///
/// The overwrite reaches the medium only on file systems that write in place; journals, snapshots
/// and flash translation layers keep copies.
///
/// # Errors
///
/// The error of the operating system.
pub(crate) fn erase(path: &Path) -> io::Result<()> {
    let len = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut file = private().write(true).open(path)?;
    io::copy(&mut io::Read::take(io::repeat(0), len), &mut file)?;
    file.sync_all()?;
    fs::remove_file(path)?;
    sync_parent(path)
}

/// Deletes a file. A missing file is not an error.
///
/// # Errors
///
/// The error of the operating system.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Opens a file for appending.
///
/// # Errors
///
/// The error of the operating system.
pub(crate) fn append(path: &Path) -> io::Result<File> {
    private().append(true).open(path)
}

/// Creates an empty file unless it exists.
///
/// # Errors
///
/// The error of the operating system.
pub(crate) fn create(path: &Path) -> io::Result<()> {
    private()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)?;
    sync_parent(path)
}

/// Opens the lock file without changing it.
pub(super) fn open_lock(path: &Path) -> io::Result<File> {
    private()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
}

/// Open options for files that only their owner can read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// Makes a directory entry durable.
fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent()
        .map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}
