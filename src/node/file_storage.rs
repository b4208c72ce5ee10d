//! What the node asks of the shell's store for files, and what the store answers.
//!
//! The store seals and opens chunks; the node draws names and keys, and decides what is stored and for how
//! long. Requests are carried out in their order, and each is answered once. A chunk counts only when
//! the store has said that it is durable.

use core::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::sealed_file::{FileKey, StoredFileId};

/// The number of a request to the store for files, from 1 on in every run of the node.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct FileRequestId(pub u64);

/// A request to the store for files.
pub enum FileRequest {
    /// Seal a chunk and make it durable, in place of the one with this number if there is one:
    /// [`FileResponse::Stored`].
    Store {
        /// The file.
        file: StoredFileId,
        /// Its key.
        key: Arc<FileKey>,
        /// The number of the chunk, from 0.
        chunk: u32,
        /// At most [`FILE_CHUNK`](crate::sealed_file::FILE_CHUNK) bytes, which zeros follow.
        bytes: Zeroizing<Vec<u8>>,
    },
    /// Read a chunk: [`FileResponse::Chunk`].
    Read {
        /// The file.
        file: StoredFileId,
        /// Its key.
        key: Arc<FileKey>,
        /// The number of the chunk, from 0.
        chunk: u32,
    },
    /// Erase a file, if there is one: [`FileResponse::Erased`].
    Erase(StoredFileId),
    /// Erase every file but these, which are the ones that the state of the user names; for the start:
    /// [`FileResponse::Erased`].
    EraseOthers(Vec<StoredFileId>),
    /// Check that there is room for this number of further bytes: [`FileResponse::Room`], or
    /// [`FileFault::NoRoom`].
    CheckRoom(u64),
}

impl fmt::Debug for FileRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Store { .. } => "Store(..)",
            Self::Read { .. } => "Read(..)",
            Self::Erase(_) => "Erase(..)",
            Self::EraseOthers(_) => "EraseOthers(..)",
            Self::CheckRoom(_) => "CheckRoom(..)",
        })
    }
}

/// The answer of the store for files.
pub enum FileResponse {
    /// The chunk is durable.
    Stored,
    /// A chunk: [`FILE_CHUNK`](crate::sealed_file::FILE_CHUNK) bytes.
    Chunk(Zeroizing<Vec<u8>>),
    /// The files are erased.
    Erased,
    /// There is room.
    Room,
}

impl fmt::Debug for FileResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stored => "Stored",
            Self::Chunk(_) => "Chunk(..)",
            Self::Erased => "Erased",
            Self::Room => "Room",
        })
    }
}

/// Why the store did not do what was asked.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FileFault {
    /// The file would not fit.
    #[error("{needed} bytes are needed for the file, and {available} are free")]
    NoRoom {
        /// Bytes that the file takes.
        needed: u64,
        /// Bytes that the store may still take.
        available: u64,
    },
    /// There is no such chunk.
    #[error("the store has no such chunk of the file")]
    Missing,
    /// The chunk does not open: it was changed, or its key is another.
    #[error("a chunk of the stored file is damaged")]
    Damaged,
    /// The operating system refuses, with these words.
    #[error("the disk refuses: {0}")]
    Disk(String),
}
