//! Stores files in sealed chunks: in the folder `files` of the data directory, or in memory.
//!
//! A thread of its own seals, opens and writes, so that a large file delays neither the node nor the
//! records of the user's state. Requests are carried out in their order, and each is answered once. A
//! chunk is reported as stored when it would survive a power failure. The node decides how much is
//! stored, for whom and how long; nothing here knows names, contacts or contents.

mod disk;
mod memory;

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use circuits::erasing_rng::ErasingRng;
use tokio::sync::oneshot;

use self::disk::FolderStore;
use self::memory::MemoryStore;
use super::panic_alarm::PanicAlarm;
use super::store::Storage;
use crate::node::{FileFault, FileRequest, FileRequestId, FileResponse};
use crate::sealed_file::{FILE_CHUNK, SEALED_CHUNK, StoredFileId};

/// Where sealed chunks are. Every call may block.
trait ChunkStore: Send {
    /// Writes a sealed chunk, in place of an earlier one; it is durable when this returns.
    fn write(&mut self, file: StoredFileId, chunk: u32, sealed: &[u8]) -> Result<(), FileFault>;

    /// Reads a sealed chunk.
    fn read(&mut self, file: StoredFileId, chunk: u32) -> Result<Vec<u8>, FileFault>;

    /// Erases a file, if there is one.
    fn erase(&mut self, file: StoredFileId) -> Result<(), FileFault>;

    /// The files.
    fn files(&self) -> Result<Vec<StoredFileId>, FileFault>;

    /// Bytes that the store may still take.
    fn available(&self) -> Result<u64, FileFault>;
}

/// The driver's handle of the store: accepts requests, reports responses.
#[derive(Debug)]
pub(super) struct FileStore {
    requests: Sender<(FileRequestId, FileRequest)>,
    finished: oneshot::Receiver<()>,
}

impl FileStore {
    /// Starts the store's thread, on which `report` is called; `on_panic` if the thread dies. The nonces
    /// of chunks are drawn from `rng`.
    pub(super) fn start(
        storage: &Storage,
        rng: ErasingRng,
        report: impl Fn(FileRequestId, Result<FileResponse, FileFault>) + Send + 'static,
        on_panic: impl FnMut() + Send + 'static,
    ) -> io::Result<Self> {
        let chunks: Box<dyn ChunkStore> = match storage {
            Storage::Memory => Box::new(MemoryStore::default()),
            Storage::Disk(dir) => Box::new(FolderStore::new(dir.files_path())),
        };
        let (requests, queue) = channel();
        let (running, finished) = oneshot::channel::<()>();
        let mut worker = FileWorker { chunks, rng };
        thread::Builder::new()
            .name("whisht-files".into())
            .spawn(move || {
                let _alarm = PanicAlarm::new(on_panic);
                worker.run(&queue, report);
                drop(running);
            })?;
        Ok(Self { requests, finished })
    }

    /// Queues a request; never waits. The node bounds what is queued.
    pub(super) fn put(&self, id: FileRequestId, request: FileRequest) {
        // This fails only if the thread has died, of which the driver hears.
        let _ = self.requests.send((id, request));
    }

    /// Waits until every queued request is carried out.
    pub(super) async fn finish(self) {
        drop(self.requests);
        // The thread sends nothing: the end of the channel is the signal.
        let _ = self.finished.await;
    }
}

/// The store's thread.
struct FileWorker {
    chunks: Box<dyn ChunkStore>,
    rng: ErasingRng,
}

impl FileWorker {
    fn run(
        &mut self,
        queue: &Receiver<(FileRequestId, FileRequest)>,
        report: impl Fn(FileRequestId, Result<FileResponse, FileFault>),
    ) {
        for (id, request) in queue {
            let answer = self.carry_out(request);
            if let Err(fault @ FileFault::Disk(_)) = &answer {
                tracing::error!(%fault, "the store for files fails");
            }
            report(id, answer);
        }
    }

    fn carry_out(&mut self, request: FileRequest) -> Result<FileResponse, FileFault> {
        match request {
            FileRequest::Store {
                file,
                key,
                chunk,
                bytes,
            } => {
                let sealed = key.seal(file, chunk, &bytes, &mut self.rng);
                let sealed = sealed.map_err(|error| FileFault::Disk(error.to_string()))?;
                self.chunks.write(file, chunk, &sealed)?;
                Ok(FileResponse::Stored)
            }
            FileRequest::Read { file, key, chunk } => {
                let sealed = self.chunks.read(file, chunk)?;
                let opened = key.open(file, chunk, &sealed);
                opened
                    .map(FileResponse::Chunk)
                    .map_err(|_| FileFault::Damaged)
            }
            FileRequest::Erase(file) => {
                self.chunks.erase(file)?;
                Ok(FileResponse::Erased)
            }
            FileRequest::EraseOthers(kept) => {
                for file in self.chunks.files()? {
                    if !kept.contains(&file) {
                        self.chunks.erase(file)?;
                    }
                }
                Ok(FileResponse::Erased)
            }
            FileRequest::CheckRoom(bytes) => {
                let available = self.chunks.available()?;
                let needed = stored_bytes(bytes);
                if needed <= available {
                    Ok(FileResponse::Room)
                } else {
                    Err(FileFault::NoRoom { needed, available })
                }
            }
        }
    }
}

/// Bytes that a file of this size takes in the store.
fn stored_bytes(size: u64) -> u64 {
    size.div_ceil(wide(FILE_CHUNK))
        .saturating_mul(wide(SEALED_CHUNK))
}

fn wide(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
