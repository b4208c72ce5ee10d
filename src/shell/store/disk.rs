//! Writes records into the data directory.
//!
//! [`RecordDisk::commit`] may fail half-way (a full disk) and is then called again with the same
//! records; every step can be repeated. A partly written replay log is first cut back.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use circuits::ids::Epoch;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::NumberedRecord;
use crate::node::Record;
use crate::shell::data_dir::{DESCRIPTOR, DataDir, ONION, files};

/// The disk side of a store.
pub(super) struct RecordDisk {
    dir: Arc<DataDir>,
    logs: BTreeMap<Epoch, TagLog>,
    has_old_state: bool,
}

/// A replay log.
struct TagLog {
    file: File,
    /// The length that is known to be durable.
    len: u64,
}

impl RecordDisk {
    pub(super) fn new(dir: Arc<DataDir>) -> Self {
        Self {
            dir,
            logs: BTreeMap::new(),
            has_old_state: false,
        }
    }

    /// Makes records durable. On an error the caller must assume that none is.
    pub(super) fn commit(&mut self, records: &[NumberedRecord]) -> io::Result<()> {
        let mut tags = BTreeMap::<Epoch, Vec<u8>>::new();
        let mut directory = None;
        let mut state = Vec::new();
        for (_, record) in records {
            match record {
                Record::OnionKey(epoch, key) => self.begin(*epoch, key.expose())?,
                Record::ReplayTags(epoch, tag) => {
                    tags.entry(*epoch).or_default().extend_from_slice(tag);
                }
                Record::EraseOnionKey(epoch) => {
                    tags.remove(epoch);
                    self.erase(*epoch)?;
                }
                Record::OwnDescriptor(epoch, descriptor) => self.descriptor(*epoch, descriptor)?,
                Record::Directory(entries) => directory = Some(entries),
                Record::Guards(guards) => {
                    let file = with_digest(GUARDS_MAGIC, guards);
                    files::replace(&guards_path(&self.dir), &file)?;
                }
                Record::RelayLists(lists) => {
                    let file = with_digest(RELAY_LISTS_MAGIC, lists);
                    files::replace(&relay_lists_path(&self.dir), &file)?;
                }
                Record::State(changes) => state.push(changes),
            }
        }
        if !state.is_empty() {
            let changes = state.into_iter().flatten();
            let committed = self.dir.state().commit(changes);
            committed.map_err(io::Error::other)?;
            self.has_old_state = true;
        }
        for (epoch, bytes) in &tags {
            self.append(*epoch, bytes)?;
        }
        directory.map_or(Ok(()), |entries| {
            files::replace(&directory_path(&self.dir), &encode_directory(entries)?)
        })
    }

    /// Whether values of the user's state that were replaced or erased are still in its log.
    pub(super) const fn has_old_state(&self) -> bool {
        self.has_old_state
    }

    /// Removes them.
    pub(super) fn erase_old_state(&mut self) -> io::Result<()> {
        self.dir.state().erase_log().map_err(io::Error::other)?;
        self.has_old_state = false;
        Ok(())
    }

    /// Writes a new key and its empty log. The log comes first: a key without a log is invalid.
    fn begin(&mut self, epoch: Epoch, key: &[u8; 32]) -> io::Result<()> {
        self.logs.remove(&epoch);
        files::replace(&tags_path(&self.dir, epoch), &[])?;
        let digits = Zeroizing::new(hex::encode(key));
        files::replace(&key_path(&self.dir, epoch), digits.as_bytes())
    }

    fn append(&mut self, epoch: Epoch, bytes: &[u8]) -> io::Result<()> {
        let log = match self.logs.entry(epoch) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let file = files::append(&tags_path(&self.dir, epoch))?;
                let len = file.metadata()?.len();
                entry.insert(TagLog { file, len })
            }
        };
        log.append(bytes)
    }

    /// The key is erased first: a log without a key is harmless.
    fn erase(&mut self, epoch: Epoch) -> io::Result<()> {
        self.logs.remove(&epoch);
        erase_key(&self.dir, epoch)
    }

    fn descriptor(&self, epoch: Epoch, descriptor: &[u8]) -> io::Result<()> {
        files::replace(&descriptor_path(&self.dir, epoch), descriptor)?;
        // The previous epoch's descriptor may still be requested; older ones are not.
        files::remove(&descriptor_path(&self.dir, epoch.previous().previous()))
    }
}

impl TagLog {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.set_len(self.len)?;
        self.file.write_all(bytes)?;
        self.file.sync_data()?;
        self.len = self
            .len
            .saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(())
    }
}

/// Erases an onion key, then its log.
pub(super) fn erase_key(dir: &DataDir, epoch: Epoch) -> io::Result<()> {
    files::erase(&key_path(dir, epoch))?;
    files::remove(&tags_path(dir, epoch))
}

/// `magic | (length 4 | descriptor)* | SHA-256 of all before`.
fn encode_directory(entries: &[Vec<u8>]) -> io::Result<Vec<u8>> {
    let mut bytes = DIRECTORY_MAGIC.to_vec();
    for entry in entries {
        let len = u32::try_from(entry.len()).map_err(io::Error::other)?;
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    let digest = Sha256::digest(&bytes);
    bytes.extend_from_slice(&digest);
    Ok(bytes)
}

/// `magic | content | SHA-256 of all before`.
fn with_digest(magic: &[u8], content: &[u8]) -> Vec<u8> {
    let mut bytes = [magic, content].concat();
    let digest = Sha256::digest(&bytes);
    bytes.extend_from_slice(&digest);
    bytes
}

pub(super) fn key_path(dir: &DataDir, epoch: Epoch) -> PathBuf {
    dir.path().join(ONION).join(format!("{}.key", epoch.0))
}

pub(super) fn tags_path(dir: &DataDir, epoch: Epoch) -> PathBuf {
    dir.path().join(ONION).join(format!("{}.tags", epoch.0))
}

pub(super) fn descriptor_path(dir: &DataDir, epoch: Epoch) -> PathBuf {
    dir.path().join(DESCRIPTOR).join(epoch.0.to_string())
}

pub(super) fn directory_path(dir: &DataDir) -> PathBuf {
    dir.path().join(DIRECTORY)
}

pub(super) fn guards_path(dir: &DataDir) -> PathBuf {
    dir.path().join(GUARDS)
}

pub(super) fn relay_lists_path(dir: &DataDir) -> PathBuf {
    dir.path().join("relay-lists")
}

/// The list of relays.
pub(super) const DIRECTORY: &str = "directory.bin";
/// The guards of this node.
pub(super) const GUARDS: &str = "guards";
/// The magic bytes of the file of relay lists.
pub(super) const RELAY_LISTS_MAGIC: &[u8] = b"whisht relay lists 1\n";

/// The magic bytes of the directory file.
pub(super) const DIRECTORY_MAGIC: &[u8; 18] = b"whisht directory 1";

/// The magic bytes of the guards file.
pub(super) const GUARDS_MAGIC: &[u8] = b"whisht guards 1\n";
