//! Files with a relay list: the bytes of the list, as peers send them.
//!
//! A file is read up to the limit of a list. This module verifies nothing.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::relay_list::{BadRelayList, MAX_LIST_LEN};

/// Reads the file of a list.
///
/// # Errors
///
/// [`RelayListFileError`] if it cannot be read, or is longer than a list can be.
pub fn read(path: &Path) -> Result<Vec<u8>, RelayListFileError> {
    let unreadable = |cause| RelayListFileError::Unreadable {
        path: path.to_owned(),
        cause,
    };
    let file = File::open(path).map_err(unreadable)?;
    let limit = u64::try_from(MAX_LIST_LEN).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    let mut limited = file.take(limit.saturating_add(1));
    limited.read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > MAX_LIST_LEN {
        return Err(RelayListFileError::Bad {
            path: path.to_owned(),
            cause: BadRelayList::Oversize(bytes.len()),
        });
    }
    Ok(bytes)
}

/// Why the file of a list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RelayListFileError {
    /// It is not a list, or not one of the pinned signers.
    #[error(
        "{}: {cause}; look at it with `whisht directory show`, and get the newest list from the signers",
        path.display()
    )]
    Bad {
        /// The file.
        path: PathBuf,
        /// The rule that it breaks.
        cause: BadRelayList,
    },
    /// It cannot be read.
    #[error("cannot read the relay list {}: {cause}; name a file that exists", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        cause: io::Error,
    },
}
