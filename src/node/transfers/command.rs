//! What users ask about files, and what the node answers.
//!
//! A file is named by its number on this node, from 1 on, which is never used again. A file goes out
//! in three steps: `Begin`, a `Chunk` for every 65,536 bytes in their order, `End`; what is brought in is
//! sealed at once, so that the original may be gone afterwards. It comes in by `Accept`, and leaves the
//! store by `Read`, chunk by chunk.

use circuits::level::Level;
use circuits::secret::Redacted;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::views::{FilePriceView, FileView};

/// A command about files. [`FileReply`] answers it.
pub enum FileCommand {
    /// What it costs to hand over a file, without doing it: [`FileReply::Price`].
    Price(FileOutgoing),
    /// Begin to bring in a file for a contact: [`FileReply::File`], once there is room for it.
    Begin(FileOutgoing),
    /// Bring in the next chunk: [`FileReply::Done`], once it is durable.
    Chunk {
        /// The number of the file.
        file: u64,
        /// The number of the chunk, from 0. The last one may be sent again, after a lost reply.
        chunk: u32,
        /// 65,536 bytes, or what is left for the last chunk.
        bytes: Zeroizing<Vec<u8>>,
    },
    /// Offer a file that is complete to its contact: [`FileReply::File`], once the offer survives a
    /// crash.
    End(u64),
    /// List the files: [`FileReply::Files`], in the order of their numbers.
    List,
    /// Describe a file: [`FileReply::File`].
    Show(u64),
    /// Accept an offered file, if there is room for it: [`FileReply::File`].
    Accept {
        /// The number of the file.
        file: u64,
        /// The level; `normal` if `None`, unless the node's own is one with cover traffic, which refuses.
        level: Option<Level>,
    },
    /// Decline an offered file: [`FileReply::File`].
    Decline(u64),
    /// Read a chunk of a complete file: [`FileReply::Chunk`].
    Read {
        /// The number of the file.
        file: u64,
        /// The number of the chunk, from 0.
        chunk: u32,
    },
    /// Stop handing over a file, and erase what is stored of it: [`FileReply::Done`].
    Erase(u64),
}

impl core::fmt::Debug for FileCommand {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("FileCommand(..)")
    }
}

/// A file that is to be handed over.
pub struct FileOutgoing {
    /// A contact's name, or the first digits of the conversation's id.
    pub to: String,
    /// The name that the recipient sees, at most 64 bytes; may be empty.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// The privacy level; the node's default if `None`.
    pub level: Option<Level>,
}

/// The reply to a command about files.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileReply {
    /// Done, without a result.
    Done,
    /// A file.
    File(FileView),
    /// The files.
    Files(Vec<FileView>),
    /// The cost of a file.
    Price(FilePriceView),
    /// The bytes of a chunk: 65,536, or what is left for the last chunk.
    #[serde(skip)]
    Chunk(Redacted<Zeroizing<Vec<u8>>>),
}
