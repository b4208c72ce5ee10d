//! Finds all problems of a data directory at once, and changes nothing.
//!
//! A start stops at the first problem. Here everything is listed, without the lock, so that the directory
//! of a running node can be examined too.

use std::fs;
use std::io;
use std::path::Path;

use circuits::ids::Profile;
use zeroize::Zeroizing;

use super::permissions::{check_mode, check_owner};
use super::{ARTI, DirError, PROFILE, RPC_TOKEN, at, is_claim, read_text};

/// What other users can read or replace, in the directory and below it; links count, and so does another
/// owner of the directory. The list is bounded.
#[must_use]
pub fn open_to_others(path: &Path) -> Vec<DirError> {
    let mut problems = Vec::new();
    // The directory itself may be a link, as for a start.
    let path = match fs::canonicalize(path) {
        Ok(path) => path,
        Err(error) => return vec![at(path, error)],
    };
    if let Err(error) = check_owner(&path) {
        problems.push(error);
    }
    walk(&path, &mut problems);
    problems
}

fn walk(path: &Path, problems: &mut Vec<DirError>) {
    if problems.len() >= MAX_PROBLEMS {
        return;
    }
    let is_dir = match check_mode(path) {
        Ok(is_dir) => is_dir,
        Err(error) => {
            let is_dir = matches!(error, DirError::TooOpen { .. }) && path.is_dir();
            // A file that went meanwhile is not a problem.
            if !is_gone(&error) {
                problems.push(error);
            }
            is_dir
        }
    };
    if !is_dir || path.ends_with(ARTI) {
        return;
    }
    match fs::read_dir(path) {
        Ok(entries) => entries
            .flatten()
            .for_each(|entry| walk(&entry.path(), problems)),
        Err(error) => problems.push(at(path, error)),
    }
}

fn is_gone(error: &DirError) -> bool {
    matches!(error, DirError::System { error, .. } if error.kind() == io::ErrorKind::NotFound)
}

/// Files that keep a node of this network from starting.
#[must_use]
pub fn damaged_files(path: &Path, profile: Profile, network: &str) -> Vec<DirError> {
    let claim = claim(path, profile, network);
    let keys = [
        digits::<32>(path, "nodekey"),
        digits::<16>(path, "guard-seed"),
    ];
    claim
        .into_iter()
        .chain(keys.into_iter().flatten())
        .collect()
}

/// Whether the token of programs over TCP is damaged; a start makes another.
#[must_use]
pub fn is_token_damaged(path: &Path) -> bool {
    digits::<32>(path, RPC_TOKEN).is_some()
}

fn claim(dir: &Path, profile: Profile, network: &str) -> Option<DirError> {
    let path = dir.join(PROFILE);
    let wanted = format!("{} {network}\n", profile.label());
    match read_text(&path) {
        Ok(None) => None,
        Ok(Some(found)) if *found == wanted => None,
        Ok(Some(found)) if is_claim(&found) => Some(DirError::OtherNetwork {
            path: dir.to_owned(),
            found: found.trim().chars().filter(|c| !c.is_control()).collect(),
            wanted: wanted.trim().to_owned(),
        }),
        Ok(Some(_)) | Err(DirError::Damaged { .. }) => Some(DirError::DamagedProfile { path }),
        Err(error) => Some(error),
    }
}

/// The error of a file that should have this many bytes as hexadecimal digits; a missing file is made.
fn digits<const N: usize>(dir: &Path, name: &str) -> Option<DirError> {
    let path = dir.join(name);
    match read_text(&path) {
        Ok(None) => None,
        Ok(Some(text)) => {
            let mut bytes = Zeroizing::new([0; N]);
            let decoded = hex::decode_to_slice(text.trim(), bytes.as_mut());
            decoded.err().map(|_| DirError::Damaged { path })
        }
        Err(error) => Some(error),
    }
}

/// Maximum number of problems that are listed.
const MAX_PROBLEMS: usize = 50;
