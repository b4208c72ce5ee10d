//! Files in the folder `files` of the data directory: one file of fixed slots for each.
//!
//! The folder is made with the first chunk. A slot that a crash left half written does not open; the node
//! counts a chunk only after it was reported, and asks for the others again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{ChunkStore, wide};
use crate::node::FileFault;
use crate::sealed_file::{SEALED_CHUNK, StoredFileId};
use crate::shell::data_dir::files;

/// Sealed chunks in a folder.
pub(super) struct FolderStore {
    folder: PathBuf,
    /// The file that was written last: chunks of one file come one after another.
    open: Option<(StoredFileId, File)>,
}

impl FolderStore {
    pub(super) const fn new(folder: PathBuf) -> Self {
        Self { folder, open: None }
    }

    fn path(&self, file: StoredFileId) -> PathBuf {
        self.folder.join(hex::encode(file.0))
    }

    /// The file for writing; it exists, and its name is durable, when this returns.
    fn writable(&mut self, file: StoredFileId) -> io::Result<&File> {
        let open = match self.open.take() {
            Some((id, open)) if id == file => open,
            _ => create(&self.folder, &self.path(file))?,
        };
        let (_, open) = self.open.insert((file, open));
        Ok(open)
    }
}

impl ChunkStore for FolderStore {
    fn write(&mut self, file: StoredFileId, chunk: u32, sealed: &[u8]) -> Result<(), FileFault> {
        let open = self.writable(file)?;
        open.write_all_at(sealed, slot(chunk))?;
        open.sync_data()?;
        Ok(())
    }

    fn read(&mut self, file: StoredFileId, chunk: u32) -> Result<Vec<u8>, FileFault> {
        let open = File::open(self.path(file))?;
        let mut sealed = vec![0; SEALED_CHUNK];
        open.read_exact_at(&mut sealed, slot(chunk))?;
        Ok(sealed)
    }

    fn erase(&mut self, file: StoredFileId) -> Result<(), FileFault> {
        if self.open.as_ref().is_some_and(|(id, _)| *id == file) {
            self.open = None;
        }
        // The key of the file is erased with its row, and without the key the chunks are noise.
        files::remove(&self.path(file))?;
        Ok(())
    }

    fn files(&self) -> Result<Vec<StoredFileId>, FileFault> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let mut id = [0; 16];
            if hex::decode_to_slice(name.as_encoded_bytes(), &mut id).is_ok() {
                found.push(StoredFileId(id));
            }
        }
        Ok(found)
    }

    fn available(&self) -> Result<u64, FileFault> {
        // Before the first file, the folder is not there.
        let existing = self.folder.ancestors().find(|path| path.is_dir());
        let existing = existing.unwrap_or(&self.folder);
        let system = rustix::fs::statvfs(existing).map_err(io::Error::from)?;
        let free = system.f_bavail.saturating_mul(system.f_frsize);
        Ok(free.saturating_sub(RESERVED_BYTES))
    }
}

fn create(folder: &Path, path: &Path) -> io::Result<File> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let file = OpenOptions::new()
        .mode(0o600)
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)?;
    File::open(folder)?.sync_all()?;
    Ok(file)
}

/// Where a chunk begins.
fn slot(chunk: u32) -> u64 {
    u64::from(chunk).saturating_mul(wide(SEALED_CHUNK))
}

impl From<io::Error> for FileFault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::UnexpectedEof => Self::Missing,
            _ => Self::Disk(error.to_string()),
        }
    }
}

/// Bytes of the disk that files leave to the rest of the node, whose records must not fail.
const RESERVED_BYTES: u64 = 64 << 20;
