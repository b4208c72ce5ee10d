//! Passwords from files. A password never comes from an argument or an environment variable, which
//! other processes can read.
//!
//! A password is the first line of the file. Others must not be able to read the file. A credential
//! that systemd hands to a service (`LoadCredential=`) is group-readable by an access list for the
//! service itself, and is accepted.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::keystore::{Password, PasswordTooLong};

/// Reads the password in a file; `-` is standard input.
///
/// # Errors
///
/// [`PasswordFileError`] if the file cannot be read, is open to others, or holds no password. An
/// empty password has other options.
pub fn from_file(path: &Path) -> Result<Password, PasswordFileError> {
    Ok(Password::new(first_line(path)?)?)
}

/// Reads the first line of a file, under the same rules.
///
/// # Errors
///
/// As [`from_file`].
pub fn first_line(path: &Path) -> Result<Zeroizing<String>, PasswordFileError> {
    let unreadable = |error| PasswordFileError::Unreadable {
        path: path.to_owned(),
        error,
    };
    let mut text = Zeroizing::new(String::with_capacity(BUFFER_BYTES));
    if path.as_os_str() == "-" {
        let mut input = io::stdin().lock().take(MAX_BYTES);
        input.read_to_string(&mut text).map_err(unreadable)?;
    } else {
        let file = File::open(path).map_err(unreadable)?;
        let mode = file.metadata().map_err(unreadable)?.permissions().mode();
        if mode & forbidden(path) != 0 {
            return Err(PasswordFileError::TooOpen {
                path: path.to_owned(),
                mode: mode & 0o777,
            });
        }
        let mut input = file.take(MAX_BYTES);
        input.read_to_string(&mut text).map_err(unreadable)?;
    }
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(Zeroizing::new(line.to_owned())),
        _ => Err(PasswordFileError::Empty {
            path: path.to_owned(),
        }),
    }
}

/// Permissions that a password file must not grant.
fn forbidden(path: &Path) -> u32 {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    match credentials {
        Some(folder) if path.parent() == Some(&folder) => 0o037,
        _ => 0o077,
    }
}

/// Why a file yields no password.
#[derive(Debug, thiserror::Error)]
pub enum PasswordFileError {
    /// The first line is empty.
    #[error(
        "the first line of {} is empty; write the password there, or use --no-password if there \
         is to be none",
        path.display()
    )]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The line is too long for a password.
    #[error(transparent)]
    TooLong(#[from] PasswordTooLong),
    /// Others can read or write it.
    #[error(
        "{} is open to other users (mode {mode:04o}); run `chmod 0600 {}`, and change the password \
         if another user may have read it",
        path.display(),
        path.display()
    )]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The operating system refuses, or the file is not text.
    #[error(
        "cannot read the password from {}: {error}; name a readable file of text",
        path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        error: io::Error,
    },
}

/// Maximum length of a password in bytes.
const MAX_BYTES: u64 = 4096;
/// The buffer has this size from the start, so that no reallocation leaves a copy behind.
const BUFFER_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;

    fn file(content: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    #[test]
    fn password_is_first_line_unchanged() {
        for content in [
            " hedge at nine \n",
            " hedge at nine \r\nmore",
            " hedge at nine ",
        ] {
            let (_dir, path) = file(content, 0o600);
            assert_eq!(from_file(&path).unwrap().expose(), " hedge at nine ");
        }
    }

    #[test]
    fn file_readable_by_others_is_refused_with_remedy() {
        for mode in [0o640, 0o604, 0o620, 0o777] {
            let (_dir, path) = file("x", mode);
            let refusal = from_file(&path).unwrap_err().to_string();
            assert!(refusal.contains("chmod 0600"), "{refusal}");
        }
        let (_dir, path) = file("x", 0o400);
        assert!(from_file(&path).is_ok());
    }

    #[test]
    fn empty_first_line_is_refused() {
        for content in ["", "\n", "\r\n", "\nsecond"] {
            let (_dir, path) = file(content, 0o600);
            let refusal = from_file(&path).unwrap_err().to_string();
            assert!(refusal.contains("--no-password"), "{refusal}");
        }
    }

    #[test]
    fn oversized_password_file_is_not_read_whole() {
        let (_dir, path) = file(&"x".repeat(1_000_000), 0o600);
        assert!(matches!(
            from_file(&path),
            Err(PasswordFileError::TooLong(_))
        ));
        assert!(from_file(Path::new("/nonexistent")).is_err());
    }
}
