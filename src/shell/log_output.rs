//! Where the log goes: standard error, or a file that other programs rotate.
//!
//! The log must not harm the node. A line that cannot be written is lost without an error, because the
//! logger would answer one by printing to standard error, which panics when it is closed. A file that
//! cannot be opened again leaves the earlier one in use. This module does not know what a line contains.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The file of this process; `None` for standard error.
static LOG_FILE: Mutex<Option<LogFile>> = Mutex::new(None);

/// An open log file.
#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    file: File,
}

/// Sends the log of this process to a file from now on.
///
/// # Errors
///
/// The error of the operating system; the log then stays where it is.
pub fn log_to(path: &Path) -> io::Result<()> {
    let opened = LogFile {
        path: path.to_owned(),
        file: append(path)?,
    };
    *LOG_FILE.lock().unwrap_or_else(PoisonError::into_inner) = Some(opened);
    Ok(())
}

/// Opens the log file again by its name, after another program has renamed or removed it. Nothing happens
/// if the log goes to standard error.
///
/// # Errors
///
/// The error of the operating system; the log then goes on in the earlier file.
pub fn reopen() -> io::Result<()> {
    let mut log = LOG_FILE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(log) = log.as_mut() {
        log.file = append(&log.path)?;
    }
    Ok(())
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

/// A writer of the log that loses what cannot be written.
#[derive(Debug)]
pub struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut log = LOG_FILE.lock().unwrap_or_else(PoisonError::into_inner);
        // The line is lost if the disk is full or the reader is gone.
        match log.as_mut() {
            Some(log) => drop(log.file.write_all(bytes)),
            None => drop(io::stderr().write_all(bytes)),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// One test, because the file is that of the whole process.
    #[test]
    fn log_follows_rotation_and_survives_a_full_disk() {
        let dir = tempfile::tempdir().unwrap();
        let (path, old) = (dir.path().join("log"), dir.path().join("log.1"));
        reopen().unwrap();
        log_to(&path).unwrap();
        let mut writer = LogWriter;
        writer.write_all(b"first\n").unwrap();
        fs::rename(&path, &old).unwrap();
        writer.write_all(b"second\n").unwrap();
        reopen().unwrap();
        writer.write_all(b"third\n").unwrap();
        assert_eq!(fs::read_to_string(&old).unwrap(), "first\nsecond\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "third\n");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        assert!(log_to(&dir.path().join("no/log")).is_err());
        writer.write_all(b"fourth\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "third\nfourth\n");

        log_to(Path::new("/dev/full")).unwrap();
        assert_eq!(writer.write(b"lost\n").unwrap(), 5);
        writer.flush().unwrap();
        *LOG_FILE.lock().unwrap() = None;
    }
}
