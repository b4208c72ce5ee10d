//! Reads the state that an earlier run stored.
//!
//! The node judges whether a replay log is complete; here an onion key is given up only if its key
//! or its log cannot be read at all. A last block that a crash interrupted is cut off first
//! (docs/decisions/0019). The directory is a cache: if it is damaged, the node starts
//! without it and fetches it again. The guards are not: a node that chose new ones because of a damaged
//! file would use more relays as first hops than it should, so a damaged file is refused.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;

use circuits::bytes::ByteReader;
use circuits::ids::Epoch;
use circuits::keys::OnionSecret;
use circuits::path::Guards;
use circuits::relay::ReplayLog;
use circuits::secret::Secret;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::disk::{
    DIRECTORY, DIRECTORY_MAGIC, GUARDS, GUARDS_MAGIC, RELAY_LISTS_MAGIC, descriptor_path,
    directory_path, erase_key, guards_path, key_path, relay_lists_path, tags_path,
};
use crate::node::Restored;
use crate::shell::data_dir::{DESCRIPTOR, DataDir, DirError, ONION, at, files};

/// Reads all state that a node restores.
///
/// # Errors
///
/// [`DirError`] if the operating system refuses.
pub fn load(dir: &DataDir) -> Result<Restored, DirError> {
    Ok(Restored {
        onion_keys: onion_keys(dir)?,
        own_descriptors: descriptors(dir)?,
        directory: directory(dir)?,
        guards: guards(dir)?,
        relay_lists: relay_lists(dir)?,
        ..Restored::default()
    })
}

fn guards(dir: &DataDir) -> Result<Vec<u8>, DirError> {
    let path = guards_path(dir);
    match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(at(&path, error)),
        Ok(bytes) => decode_guards(&bytes).ok_or(DirError::DamagedGuards { path }),
    }
}

/// The guards of a guards file; `None` if it is damaged. A file of version 0.1 has neither magic bytes
/// nor a digest, and its form alone is checked.
fn decode_guards(bytes: &[u8]) -> Option<Vec<u8>> {
    if !bytes.starts_with(GUARDS_MAGIC) {
        return Guards::is_exported(bytes).then(|| bytes.to_vec());
    }
    let (content, digest) = bytes.split_last_chunk::<32>()?;
    if Sha256::digest(content).as_slice() != digest {
        return None;
    }
    let guards = content.strip_prefix(GUARDS_MAGIC)?;
    Some(guards.to_vec())
}

/// The error that a start with the guards of a directory would end with.
#[must_use]
pub fn damaged_guards(root: &Path) -> Option<DirError> {
    let path = root.join(GUARDS);
    let bytes = fs::read(&path).ok()?;
    match decode_guards(&bytes) {
        Some(_) => None,
        None => Some(DirError::DamagedGuards { path }),
    }
}

/// Whether the list of relays in a directory is damaged; a start goes on without it.
#[must_use]
pub fn is_directory_damaged(root: &Path) -> bool {
    let bytes = fs::read(root.join(DIRECTORY));
    bytes.is_ok_and(|bytes| decode_directory(&bytes).is_none())
}

/// The stored relay lists. A damaged file is left out: peers send the lists again.
fn relay_lists(dir: &DataDir) -> Result<Vec<u8>, DirError> {
    let path = relay_lists_path(dir);
    let bytes = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at(&path, error)),
        Ok(bytes) => bytes,
    };
    let content = bytes
        .split_last_chunk::<32>()
        .filter(|(content, digest)| Sha256::digest(content).as_slice() == *digest)
        .and_then(|(content, _)| content.strip_prefix(RELAY_LISTS_MAGIC));
    Ok(content.map_or_else(
        || {
            tracing::warn!("the stored relay lists are damaged; peers will send them again");
            Vec::new()
        },
        <[u8]>::to_vec,
    ))
}

fn onion_keys(dir: &DataDir) -> Result<Vec<(Epoch, Secret<32>, Vec<u8>)>, DirError> {
    let mut keys = Vec::new();
    for epoch in epochs(&dir.path().join(ONION), Some("key"))? {
        match onion_key(dir, epoch) {
            Ok((key, tags)) => keys.push((epoch, key, tags)),
            Err(error) => {
                tracing::warn!(%error, "an onion key without its replay log is erased");
                erase_key(dir, epoch).map_err(|error| at(&key_path(dir, epoch), error))?;
            }
        }
    }
    Ok(keys)
}

fn onion_key(dir: &DataDir, epoch: Epoch) -> io::Result<(Secret<32>, Vec<u8>)> {
    let mut tags = fs::read(tags_path(dir, epoch))?;
    let digits = Zeroizing::new(fs::read_to_string(key_path(dir, epoch))?);
    let mut key = Zeroizing::new([0; 32]);
    hex::decode_to_slice(digits.trim(), key.as_mut()).map_err(io::Error::other)?;
    let secret = OnionSecret::from_secret(Secret::init_with(|copy| copy.copy_from_slice(&*key)));
    if let Some(sound) = ReplayLog::torn_at(&tags, epoch, secret.public()) {
        let lost = tags.len().saturating_sub(sound);
        tracing::info!(
            epoch = epoch.0,
            bytes = lost,
            "the end of a replay log was not written completely; it is cut off, no cell of it has left"
        );
        tags.truncate(sound);
        files::replace(&tags_path(dir, epoch), &tags)?;
    }
    Ok((Secret::take(&mut key), tags))
}

fn descriptors(dir: &DataDir) -> Result<Vec<(Epoch, Vec<u8>)>, DirError> {
    let read = |epoch| {
        let path = descriptor_path(dir, epoch);
        fs::read(&path)
            .map(|bytes| (epoch, bytes))
            .map_err(|error| at(&path, error))
    };
    epochs(&dir.path().join(DESCRIPTOR), None)?
        .into_iter()
        .map(read)
        .collect()
}

fn directory(dir: &DataDir) -> Result<Vec<Vec<u8>>, DirError> {
    let path = directory_path(dir);
    match fs::read(&path) {
        Ok(bytes) => Ok(decode_directory(&bytes).unwrap_or_else(|| {
            tracing::warn!("the stored directory of relays is damaged; starting without it");
            Vec::new()
        })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(at(&path, error)),
    }
}

/// The descriptors of a directory file; `None` if it is damaged.
fn decode_directory(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (content, digest) = bytes.split_last_chunk::<32>()?;
    if Sha256::digest(content).as_slice() != digest {
        return None;
    }
    let mut reader = ByteReader::new(content.strip_prefix(DIRECTORY_MAGIC)?);
    let mut entries = Vec::new();
    while reader.remaining() > 0 {
        let len = usize::try_from(reader.u32().ok()?).ok()?;
        entries.push(reader.take(len).ok()?.to_vec());
    }
    Some(entries)
}

/// The epochs in the file names of a directory, ordered.
fn epochs(path: &Path, extension: Option<&str>) -> Result<Vec<Epoch>, DirError> {
    let mut epochs = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| at(path, error))? {
        let name = entry.map_err(|error| at(path, error))?.file_name();
        let name = Path::new(&name);
        let epoch = name
            .file_stem()
            .and_then(OsStr::to_str)
            .and_then(|stem| stem.parse().ok());
        if name.extension() == extension.map(OsStr::new) {
            epochs.extend(epoch.map(Epoch));
        }
    }
    epochs.sort_unstable();
    Ok(epochs)
}
