//! The replay set on disk: an append-only file for each key, as a pure codec (spec M9).
//!
//! `"whisht/1/replay-log" | epoch 4 | X 32`, then blocks of
//! `count 2 | count tags of 16 | check 16`. The check is the first half of a SHA-256 chain over the
//! header and every block. The loss, change or move of a block is therefore detected, except for a
//! loss at the very end. Such a loss is harmless: the cells of a block leave only after the block
//! is on disk. A log that cannot be read completely does not prove which cells the key has
//! decrypted; the key must then be erased, and the log is not repaired.
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
}

impl ReplayLog {
    /// Creates the log of a new key; the second value is the header of the file.
    #[must_use]
    pub fn create(epoch: Epoch, key: &OnionPublic) -> (Self, Vec<u8>) {
        let header = header(epoch, key);
        let chain = Sha256::digest(&header).into();
        (Self { chain }, header)
    }

    /// Encodes tags for appending to the file; empty for no tags.
    #[must_use]
    pub fn append(&mut self, tags: &[ReplayTag]) -> Vec<u8> {
        let mut out = Vec::new();
        for block in tags.chunks(MAX_BLOCK_TAGS) {
            let count = u16::try_from(block.len()).unwrap_or(u16::MAX).to_be_bytes();
            out.extend_from_slice(&count);
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
        let (mut log, header) = Self::create(epoch, key);
        let mut reader = ByteReader::new(bytes);
        if reader.take(header.len())? != header {
            return Err(ReplayLogError::Foreign);
        }
        let mut seen = ReplaySet::with_limit(usize::MAX);
        while reader.remaining() > 0 {
            log.read_block(&mut reader, &mut seen)?;
        }
        seen.set_limit(limit);
        Ok((log, seen))
    }

    fn read_block(
        &mut self,
        reader: &mut ByteReader<'_>,
        seen: &mut ReplaySet,
    ) -> Result<(), ReplayLogError> {
        let count = reader.array()?;
        let mut block = Vec::new();
        for _ in 0..u16::from_be_bytes(count) {
            block.push(ReplayTag(reader.array()?));
        }
        if reader.array()? != self.link(count, &block) {
            return Err(ReplayLogError::Corrupt);
        }
        for tag in block {
            // A duplicate tag is harmless: it stays in the set.
            let _ = seen.insert(tag);
        }
        Ok(())
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
fn header(epoch: Epoch, key: &OnionPublic) -> Vec<u8> {
    [
        &b"whisht/1/replay-log"[..],
        &epoch.0.to_be_bytes(),
        key.as_bytes(),
    ]
    .concat()
}

/// Maximum number of tags in one block: the range of its count.
const MAX_BLOCK_TAGS: usize = 65_535;
/// Bytes of the chain that a block contains.
const CHECK_LEN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::OnionSecret;
    use crate::relay::ReplaySetError;
    use crate::secret::Secret;

    const EPOCH: Epoch = Epoch(7);

    fn key(seed: u8) -> OnionPublic {
        *OnionSecret::from_secret(Secret::init_with(|bytes| bytes.fill(seed))).public()
    }

    fn tags(range: core::ops::Range<u8>) -> Vec<ReplayTag> {
        range.map(|number| ReplayTag([number; 16])).collect()
    }

    /// A log of three blocks, and the offset at which each of them ends.
    fn sample() -> (Vec<u8>, Vec<usize>) {
        let (mut log, mut file) = ReplayLog::create(EPOCH, &key(1));
        let mut ends = vec![file.len()];
        for range in [0..3, 3..4, 4..40] {
            file.extend(log.append(&tags(range)));
            ends.push(file.len());
        }
        (file, ends)
    }

    fn read(file: &[u8]) -> Result<(ReplayLog, ReplaySet), ReplayLogError> {
        ReplayLog::read(file, EPOCH, &key(1), 1_000)
    }

    #[test]
    fn log_read_returns_all_tags_and_can_be_continued() {
        let (mut file, _) = sample();
        let (mut log, _) = read(&file).unwrap();
        file.extend(log.append(&tags(40..50)));
        let (_, mut seen) = read(&file).unwrap();
        assert_eq!(seen.len(), 50);
        for tag in tags(0..50) {
            assert_eq!(seen.insert(tag), Err(ReplaySetError::Seen));
        }
    }

    #[test]
    fn log_append_without_tags_writes_nothing() {
        let (mut log, header) = ReplayLog::create(EPOCH, &key(1));
        assert!(log.append(&[]).is_empty());
        assert!(read(&header).unwrap().1.is_empty());
    }

    #[test]
    fn log_truncated_within_block_is_refused() {
        let (file, ends) = sample();
        for len in (0..file.len()).filter(|len| !ends.contains(len)) {
            assert!(read(&file[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn log_with_any_flipped_bit_is_refused() {
        let (file, _) = sample();
        for bit in 0..file.len() * 8 {
            let mut bad = file.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn log_with_missing_or_moved_block_is_refused() {
        let (file, ends) = sample();
        let block = |n: usize| &file[ends[n - 1]..ends[n]];
        let header = &file[..ends[0]];
        for order in [&[2, 3][..], &[1, 3], &[2, 1, 3], &[1, 1, 2, 3]] {
            let blocks = order.iter().map(|n| block(*n));
            let bad = std::iter::once(header)
                .chain(blocks)
                .collect::<Vec<_>>()
                .concat();
            assert_eq!(
                read(&bad).unwrap_err(),
                ReplayLogError::Corrupt,
                "{order:?}"
            );
        }
    }

    #[test]
    fn log_with_trailing_zeros_is_refused() {
        // A file system may append zeros after a crash.
        let (mut file, _) = sample();
        file.extend([0; 4_096]);
        assert!(read(&file).is_err());
    }

    #[test]
    fn log_of_other_key_or_epoch_is_refused() {
        let (file, _) = sample();
        for (epoch, seed) in [(Epoch(8), 1), (EPOCH, 2)] {
            let result = ReplayLog::read(&file, epoch, &key(seed), 1_000);
            assert_eq!(result.unwrap_err(), ReplayLogError::Foreign);
        }
    }

    #[test]
    fn log_longer_than_limit_gives_full_set_with_all_tags() {
        let (file, _) = sample();
        let (_, mut seen) = ReplayLog::read(&file, EPOCH, &key(1), 10).unwrap();
        assert_eq!(seen.len(), 40);
        assert!(seen.is_full());
        assert_eq!(seen.insert(ReplayTag([39; 16])), Err(ReplaySetError::Seen));
        assert_eq!(seen.insert(ReplayTag([99; 16])), Err(ReplaySetError::Full));
    }

    #[test]
    fn log_append_splits_tags_over_block_limit() {
        let (mut log, mut file) = ReplayLog::create(EPOCH, &key(1));
        let many: Vec<_> = (0..65_600_u32)
            .map(|number| {
                let mut tag = ReplayTag([0; 16]);
                tag.0[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b9).to_be_bytes());
                tag
            })
            .collect();
        file.extend(log.append(&many));
        assert_eq!(read(&file).unwrap().1.len(), many.len());
    }
}
