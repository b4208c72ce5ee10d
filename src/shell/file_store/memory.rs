//! Files of a node that stores nothing: in memory, sealed as on a disk, and lost at its end.

use std::collections::BTreeMap;

use super::{ChunkStore, wide};
use crate::node::FileFault;
use crate::sealed_file::{SEALED_CHUNK, StoredFileId};

/// Sealed chunks in memory. Memory may be written to swap, so chunks stay sealed there too.
#[derive(Default)]
pub(super) struct MemoryStore(BTreeMap<StoredFileId, BTreeMap<u32, Vec<u8>>>);

impl ChunkStore for MemoryStore {
    fn write(&mut self, file: StoredFileId, chunk: u32, sealed: &[u8]) -> Result<(), FileFault> {
        let has = |chunks: &BTreeMap<u32, Vec<u8>>| chunks.contains_key(&chunk);
        let is_new = !self.0.get(&file).is_some_and(has);
        let needed = wide(sealed.len());
        let available = self.available()?;
        if is_new && needed > available {
            return Err(FileFault::NoRoom { needed, available });
        }
        let chunks = self.0.entry(file).or_default();
        chunks.insert(chunk, sealed.to_vec());
        Ok(())
    }

    fn read(&mut self, file: StoredFileId, chunk: u32) -> Result<Vec<u8>, FileFault> {
        let found = self.0.get(&file).and_then(|chunks| chunks.get(&chunk));
        found.cloned().ok_or(FileFault::Missing)
    }

    fn erase(&mut self, file: StoredFileId) -> Result<(), FileFault> {
        self.0.remove(&file);
        Ok(())
    }

    fn files(&self) -> Result<Vec<StoredFileId>, FileFault> {
        Ok(self.0.keys().copied().collect())
    }

    fn available(&self) -> Result<u64, FileFault> {
        let chunks: usize = self.0.values().map(BTreeMap::len).sum();
        let used = wide(chunks.saturating_mul(SEALED_CHUNK));
        Ok(MAX_MEMORY_BYTES.saturating_sub(used))
    }
}

/// Maximum size in bytes of all files of a node that stores nothing.
pub(super) const MAX_MEMORY_BYTES: u64 = 64 << 20;
