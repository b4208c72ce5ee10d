//! The file of the metrics, replaced as a whole so that its reader never sees a part of it.

use std::ffi::OsString;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;

use super::MetricsError;

/// A file for metrics; removed on drop, because old figures would look like those of a running node.
#[derive(Debug)]
pub(super) struct MetricsFile {
    path: PathBuf,
    /// Where the next content is written; in the same directory, because a rename must not cross file systems.
    temporary: PathBuf,
}

impl MetricsFile {
    /// Creates the file, without metrics.
    ///
    /// # Errors
    ///
    /// [`MetricsError::File`] if it cannot be written.
    pub(super) fn open(path: PathBuf) -> Result<Self, MetricsError> {
        let mut temporary = OsString::from(&path);
        temporary.push(".new");
        let file = Self {
            path,
            temporary: temporary.into(),
        };
        file.replace("").map_err(|error| MetricsError::File {
            path: file.path.clone(),
            error,
        })?;
        Ok(file)
    }

    /// Replaces the content. Every user may read it, because node_exporter is another user.
    ///
    /// # Errors
    ///
    /// The error of the operating system; the earlier content then stays.
    pub(super) fn replace(&self, text: &str) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o644)
            .custom_flags(no_follow())
            .open(&self.temporary)?;
        // The creation mode is subject to the umask.
        file.set_permissions(Permissions::from_mode(0o644))?;
        file.write_all(text.as_bytes())?;
        fs::rename(&self.temporary, &self.path)
    }
}

/// A link in the place of the temporary file is not followed: the directory may belong to another user.
fn no_follow() -> i32 {
    i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0)
}

impl Drop for MetricsFile {
    fn drop(&mut self) {
        // No caller can act on the errors.
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(&self.temporary);
    }
}
