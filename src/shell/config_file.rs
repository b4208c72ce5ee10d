//! Writes a new configuration file: readable by its owner only, whole or not at all, and never over
//! another one by accident.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Writes a file with mode 0600.
///
/// # Errors
///
/// [`ConfigFileError::Exists`] if there is a file and `replaces` is false: the file is unchanged.
/// [`ConfigFileError::System`] if the operating system refuses: an old file is then unchanged.
pub fn write(path: &Path, text: &str, replaces: bool) -> Result<(), ConfigFileError> {
    let system = |error| ConfigFileError::System {
        path: path.to_owned(),
        error,
    };
    let temporary = temporary(path);
    let written = write_all(&temporary, text).and_then(|()| {
        if replaces {
            return fs::rename(&temporary, path);
        }
        // A link fails if the name is taken, so no file is replaced that appeared meanwhile.
        fs::hard_link(&temporary, path)
    });
    // A rename has left nothing to remove.
    let _ = fs::remove_file(&temporary);
    match written {
        Ok(()) => sync_parent(path).map_err(system),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(ConfigFileError::Exists {
            path: path.to_owned(),
        }),
        Err(error) => Err(system(error)),
    }
}

fn write_all(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.mode(0o600).write(true).create(true).truncate(true);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A name beside the file, of this process only.
fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.new", std::process::id()))
}

/// Makes a directory entry durable.
fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

/// Why a configuration file was not written.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFileError {
    /// There is a file.
    #[error("{} exists and is not changed; --force replaces it", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refuses.
    #[error("cannot write {}: {error}; check that the directory exists, is yours, and has room", path.display())]
    System {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        error: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn file_is_private_and_is_replaced_by_force_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        write(&path, "one", false).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let refused = write(&path, "two", false).unwrap_err();
        assert!(matches!(refused, ConfigFileError::Exists { .. }));
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        write(&path, "two", true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
