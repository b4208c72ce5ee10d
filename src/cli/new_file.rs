//! Files that a command writes for its user: only new ones, and whole or not at all.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::Failure;

/// The users of the machine that may read a new file.
#[derive(Clone, Copy)]
pub(super) enum Readers {
    /// Its owner.
    Owner,
    /// Those whom the umask permits.
    Others,
}

/// Writes a file that does not exist yet. An incomplete file is removed.
pub(super) fn write_new(path: &Path, content: &[u8], readers: Readers) -> Result<(), Failure> {
    let fail = |error: io::Error| {
        let remedy = match error.kind() {
            ErrorKind::AlreadyExists => "the existing file stays as it is; name another file",
            _ => "name a file that can be written",
        };
        Failure::usage(format_args!(
            "cannot write {}: {error}; {remedy}",
            path.display()
        ))
    };
    let mode = match readers {
        Readers::Owner => 0o600,
        Readers::Others => 0o666,
    };
    let mut options = OpenOptions::new();
    let options = options.write(true).create_new(true).mode(mode);
    let mut file = options.open(path).map_err(fail)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    written.map_err(|error| {
        // If the removal fails too, the error names the path.
        let _ = fs::remove_file(path);
        fail(error)
    })
}
