//! The store for files of one node: what it holds survives a power failure.
//!
//! The store keeps chunks in the clear: the sealing of the real one is arithmetic that a simulation does
//! not need. It refuses a wrong key as the real one does.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::node::{FileFault, FileRequest, FileRequestId, FileResponse};
use crate::sealed_file::{FILE_CHUNK, StoredFileId};

/// The files that one node stores.
pub struct SimFiles {
    chunks: BTreeMap<(StoredFileId, u32), StoredChunk>,
    /// Bytes that the store takes at most.
    capacity: u64,
    /// Requests that wait, if the store hangs.
    pending: Option<Vec<(FileRequestId, FileRequest)>>,
    is_broken: bool,
}

struct StoredChunk {
    key: Zeroizing<[u8; 32]>,
    bytes: Zeroizing<Vec<u8>>,
}

impl Default for SimFiles {
    fn default() -> Self {
        Self {
            chunks: BTreeMap::new(),
            capacity: 1 << 34,
            pending: None,
            is_broken: false,
        }
    }
}

/// The answer to one request.
pub(super) type FileCompletion = (FileRequestId, Result<FileResponse, FileFault>);

impl SimFiles {
    /// From now on no request is answered. A power failure loses those that wait.
    pub fn hang(&mut self) {
        self.pending = Some(Vec::new());
    }

    /// From now on every chunk that is written fails.
    pub const fn break_writes(&mut self) {
        self.is_broken = true;
    }

    /// The store takes at most so many bytes.
    pub const fn limit(&mut self, bytes: u64) {
        self.capacity = bytes;
    }

    /// Flips a bit in every stored chunk, as a damaged disk would.
    pub fn damage(&mut self) {
        for chunk in self.chunks.values_mut() {
            if let Some(byte) = chunk.key.first_mut() {
                *byte ^= 1;
            }
        }
    }

    /// Number of chunks that are stored, of all files.
    #[must_use]
    pub fn stored_chunks(&self) -> usize {
        self.chunks.len()
    }

    /// The machine lost its power: what waited is lost, and the store works again.
    pub(super) fn lose_power(&mut self) {
        self.pending = None;
    }

    /// Carries out a request; none is answered while the store hangs.
    pub(super) fn submit(
        &mut self,
        id: FileRequestId,
        request: FileRequest,
    ) -> Option<FileCompletion> {
        match &mut self.pending {
            Some(pending) => {
                pending.push((id, request));
                None
            }
            None => Some((id, self.carry_out(request))),
        }
    }

    /// Answers the requests that waited.
    pub(super) fn release(&mut self) -> Vec<FileCompletion> {
        let pending = self.pending.take().unwrap_or_default();
        let answers = pending.into_iter();
        answers
            .map(|(id, request)| (id, self.carry_out(request)))
            .collect()
    }

    fn carry_out(&mut self, request: FileRequest) -> Result<FileResponse, FileFault> {
        match request {
            FileRequest::Store { .. } if self.is_broken => {
                Err(FileFault::Disk("the simulated disk is broken".to_owned()))
            }
            FileRequest::Store {
                file,
                key,
                chunk,
                mut bytes,
            } => {
                self.check_room(FILE_CHUNK)?;
                bytes.resize(FILE_CHUNK, 0);
                let key = Zeroizing::new(*key.expose());
                let stored = StoredChunk { key, bytes };
                self.chunks.insert((file, chunk), stored);
                Ok(FileResponse::Stored)
            }
            FileRequest::Read { file, key, chunk } => {
                let stored = self.chunks.get(&(file, chunk));
                let stored = stored.ok_or(FileFault::Missing)?;
                if *stored.key != *key.expose() {
                    return Err(FileFault::Damaged);
                }
                Ok(FileResponse::Chunk(stored.bytes.clone()))
            }
            FileRequest::Erase(erased) => {
                self.chunks.retain(|(file, _), _| *file != erased);
                Ok(FileResponse::Erased)
            }
            FileRequest::EraseOthers(kept) => {
                self.chunks.retain(|(file, _), _| kept.contains(file));
                Ok(FileResponse::Erased)
            }
            FileRequest::CheckRoom(bytes) => {
                self.check_room(usize::try_from(bytes).unwrap_or(usize::MAX))?;
                Ok(FileResponse::Room)
            }
        }
    }

    fn check_room(&self, bytes: usize) -> Result<(), FileFault> {
        let wide = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        let used = wide(self.chunks.len().saturating_mul(FILE_CHUNK));
        let (needed, available) = (wide(bytes), self.capacity.saturating_sub(used));
        if needed > available {
            return Err(FileFault::NoRoom { needed, available });
        }
        Ok(())
    }
}
