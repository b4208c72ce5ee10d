//! The replay set on disk: an append-only file for each key, as a pure codec (spec M9).
//!
//! `"whisht/2/replay-log" | epoch 4 | X 32`, then blocks of
//! `count 2 | head check 6 | count tags of 16 | check 16`. Both checks continue a SHA-256 chain over
//! the header and every block, so the change, the move and the loss of a block before the last are
//! detected. A log that cannot be read completely does not prove which cells the key has decrypted;
//! the key must then be erased.
//!
//! A crash in the middle of a write leaves a last block that is incomplete. The cells of that block
//! have not left, because they leave only after the block is on disk, so the block can be cut off:
//! [`ReplayLog::torn_at`]. The head check proves the length of the block, which a damaged count would
//! otherwise imitate. Logs of format 1 have no head check and are never cut.
//!
//! The caller owns the file: it appends the output of [`ReplayLog::append`], flushes the file, and
//! then releases the cells. One block contains the tags since the last flush, at most 20 ms of
//! them.

use core::fmt;

use sha2::{Digest, Sha256};

use super::{ReplaySet, ReplayTag};
use crate::bytes::{ByteReader, Truncated, part};
use crate::ids::Epoch;
use crate::keys::OnionPublic;

/// The end of a log: the state for appending to it.
#[derive(Debug)]
pub struct ReplayLog {
    chain: [u8; 32],
    format: Format,
}

/// The version of a log file. A log is continued in the format in which it began.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Format {
    /// Blocks without a head check, as version 0.1 of whisht writes them.
    One,
    /// Blocks with a head check.
    Two,
}

impl ReplayLog {
    /// Creates the log of a new key; the second value is the header of the file.
    #[must_use]
    pub fn create(epoch: Epoch, key: &OnionPublic) -> (Self, Vec<u8>) {
        let header = header(Format::Two, epoch, key);
        (Self::after_header(Format::Two, &header), header)
    }

    /// Encodes tags for appending to the file; empty for no tags.
    #[must_use]
    pub fn append(&mut self, tags: &[ReplayTag]) -> Vec<u8> {
        let mut out = Vec::new();
        for block in tags.chunks(MAX_BLOCK_TAGS) {
            let count = u16::try_from(block.len()).unwrap_or(u16::MAX).to_be_bytes();
            out.extend_from_slice(&count);
            if self.format == Format::Two {
                out.extend_from_slice(&self.head_check(count));
            }
            out.extend(block.iter().flat_map(|tag| tag.0));
            out.extend_from_slice(&self.link(count, block));
        }
        out
    }

    /// Reads a complete log, to continue it.
    ///
    /// # Errors
    ///
    /// [`ReplayLogError`] if the file is not a complete log of this key. The key must then be
    /// erased.
    pub fn read(
        bytes: &[u8],
        epoch: Epoch,
        key: &OnionPublic,
        limit: usize,
    ) -> Result<(Self, ReplaySet), ReplayLogError> {
        let mut reader = ByteReader::new(bytes);
        let mut log = Self::read_header(&mut reader, epoch, key)?;
        let mut seen = ReplaySet::with_limit(usize::MAX);
        while reader.remaining() > 0 {
            for tag in log.read_block(&mut reader)? {
                // A duplicate tag is harmless: it stays in the set.
                let _ = seen.insert(tag);
            }
        }
        seen.set_limit(limit);
        Ok((log, seen))
    }

    /// The length in bytes to which a file must be cut because a crash interrupted the writing of
    /// its last block. `None` if nothing must or may be cut: the log is complete, damaged before
    /// its end, of another key, or of format 1.
    ///
    /// A block counts as interrupted if the file ends within it, or if nothing but zeros follows
    /// where its check should be: a file system may lengthen a file before it writes the content.
    #[must_use]
    pub fn torn_at(bytes: &[u8], epoch: Epoch, key: &OnionPublic) -> Option<usize> {
        let mut reader = ByteReader::new(bytes);
        let mut log = Self::read_header(&mut reader, epoch, key).ok()?;
        if log.format == Format::One {
            return None;
        }
        while reader.remaining() > 0 {
            let sound = bytes.len().checked_sub(reader.remaining())?;
            match log.read_block(&mut reader) {
                Ok(_) => {}
                Err(ReplayLogError::Truncated) => return Some(sound),
                Err(ReplayLogError::Corrupt | ReplayLogError::Foreign) => return None,
            }
        }
        None
    }

    fn read_header(
        reader: &mut ByteReader<'_>,
        epoch: Epoch,
        key: &OnionPublic,
    ) -> Result<Self, ReplayLogError> {
        let found = reader.take(HEADER_LEN)?;
        [Format::Two, Format::One]
            .into_iter()
            .find(|format| header(*format, epoch, key) == found)
            .map(|format| Self::after_header(format, found))
            .ok_or(ReplayLogError::Foreign)
    }

    fn after_header(format: Format, header: &[u8]) -> Self {
        Self {
            chain: Sha256::digest(header).into(),
            format,
        }
    }

    /// Reads one block. [`ReplayLogError::Truncated`] if the file ends within it.
    fn read_block(
        &mut self,
        reader: &mut ByteReader<'_>,
    ) -> Result<Vec<ReplayTag>, ReplayLogError> {
        let count = reader.array()?;
        if self.format == Format::Two {
            let found = reader.array()?;
            if found != self.head_check(count) {
                return Err(damage(&[&count, &found], reader));
            }
        }
        let mut block = Vec::new();
        for _ in 0..u16::from_be_bytes(count) {
            block.push(ReplayTag(reader.array()?));
        }
        let found: [u8; CHECK_LEN] = reader.array()?;
        if found != self.link(count, &block) {
            return Err(damage(&[&found], reader));
        }
        Ok(block)
    }

    /// The check of a block's count: the count continues this chain.
    fn head_check(&self, count: [u8; 2]) -> [u8; HEAD_CHECK_LEN] {
        let mut hash = Sha256::new();
        hash.update(self.chain);
        hash.update(count);
        hash.update(b"head");
        let digest: [u8; 32] = hash.finalize().into();
        *part::<0, _, _>(&digest)
    }

    /// Extends the chain by a block and returns the block's check.
    fn link(&mut self, count: [u8; 2], block: &[ReplayTag]) -> [u8; CHECK_LEN] {
        let mut hash = Sha256::new();
        hash.update(self.chain);
        hash.update(count);
        block.iter().for_each(|tag| hash.update(tag.0));
        self.chain = hash.finalize().into();
        *part::<0, _, _>(&self.chain)
    }
}

/// What a check that does not hold means: the file ends here if only zeros follow.
fn damage(fields: &[&[u8]], reader: &mut ByteReader<'_>) -> ReplayLogError {
    let rest = reader.take(reader.remaining()).unwrap_or_default();
    let mut bytes = fields.iter().copied().flatten().chain(rest);
    if bytes.all(|byte| *byte == 0) {
        ReplayLogError::Truncated
    } else {
        ReplayLogError::Corrupt
    }
}

/// Reason why a log is invalid.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ReplayLogError {
    /// A block does not continue the chain.
    Corrupt,
    /// The file belongs to another key, or is not a replay log.
    Foreign,
    /// The file ends within a block.
    Truncated,
}

impl fmt::Display for ReplayLogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Corrupt => "replay log is corrupt",
            Self::Foreign => "replay log belongs to another key or epoch",
            Self::Truncated => "replay log is cut short",
        })
    }
}

impl core::error::Error for ReplayLogError {}

impl From<Truncated> for ReplayLogError {
    fn from(_: Truncated) -> Self {
        Self::Truncated
    }
}

/// Header of the log file of a key.
fn header(format: Format, epoch: Epoch, key: &OnionPublic) -> Vec<u8> {
    let magic = match format {
        Format::One => b"whisht/1/replay-log",
        Format::Two => b"whisht/2/replay-log",
    };
    [&magic[..], &epoch.0.to_be_bytes(), key.as_bytes()].concat()
}

/// Length of the header: magic 19, epoch 4, key 32.
const HEADER_LEN: usize = 19 + 4 + 32;
/// Maximum number of tags in one block: the range of its count.
const MAX_BLOCK_TAGS: usize = 65_535;
/// Bytes of the chain at the end of a block.
const CHECK_LEN: usize = 16;
/// Bytes of the check of a block's count: against damage, not against forgery.
const HEAD_CHECK_LEN: usize = 6;

#[cfg(test)]
mod tests;
