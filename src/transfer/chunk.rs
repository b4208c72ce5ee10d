//! The chunks of a file: their number, their hashes, and the hash over all of them.
//!
//! `leaf = H("whisht/1/bulk/leaf" | id | n 4 | chunk)`, the last chunk filled with zeros;
//! `root = H("whisht/1/bulk/root" | size 8 | leaves)`. A list of hashes needs no tree: 20 MB have 10 KB.

use core::fmt;

use zeroize::Zeroizing;

use super::FileId;
use crate::contact::kdf::{Label, hash};

/// Length of a chunk, in bytes.
pub const CHUNK_LEN: usize = 65_536;
/// The largest file that the format can describe, in bytes: 16 GiB.
pub const MAX_FILE_SIZE: u64 = 16 << 30;
/// Length of the hash of a chunk, in bytes.
pub const LEAF_LEN: usize = 32;

/// The size of a file in bytes: 1 to 16 GiB.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct FileSize(u64);

impl FileSize {
    /// The size; `None` for an empty file, and above [`MAX_FILE_SIZE`].
    #[must_use]
    pub const fn new(bytes: u64) -> Option<Self> {
        if bytes == 0 || bytes > MAX_FILE_SIZE {
            None
        } else {
            Some(Self(bytes))
        }
    }

    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// Number of chunks, at most 262,144.
    #[must_use]
    pub fn chunks(self) -> u32 {
        u32::try_from(self.0.div_ceil(65_536)).unwrap_or(u32::MAX)
    }

    /// Number of chunks that travel: the chunks and the padding behind them.
    #[must_use]
    pub fn padded_chunks(self) -> u32 {
        padme(self.chunks())
    }
}

/// The Padme rule: the next number of which only the highest `floor(log2 E) + 1` of the bits below the first
/// may be set, E being the position of the first. At most 12 % more (Nikitin et al., PETS 2019).
#[must_use]
pub fn padme(number: u32) -> u32 {
    let Some(exponent) = number.checked_ilog2() else {
        return number;
    };
    let significant = exponent
        .checked_ilog2()
        .map_or(1, |log| log.saturating_add(1));
    let step = 1_u32
        .checked_shl(exponent.saturating_sub(significant))
        .unwrap_or(1);
    number.checked_next_multiple_of(step).unwrap_or(number)
}

/// One chunk: 65,536 bytes, erased on drop. The last one of a file ends with zeros.
pub struct Chunk(Zeroizing<Vec<u8>>);

impl Chunk {
    /// A chunk of these bytes, filled with zeros; `None` if there are more than 65,536.
    #[must_use]
    pub fn padded(bytes: &[u8]) -> Option<Self> {
        let zeros = CHUNK_LEN.checked_sub(bytes.len())?;
        let mut chunk = Zeroizing::new(Vec::with_capacity(CHUNK_LEN));
        chunk.extend_from_slice(bytes);
        chunk.resize(bytes.len().saturating_add(zeros), 0);
        Some(Self(chunk))
    }

    /// A chunk of padding.
    #[must_use]
    pub fn zeros() -> Self {
        Self(Zeroizing::new(vec![0; CHUNK_LEN]))
    }

    /// All 65,536 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The hash of the chunk as the number `n` of a file.
    #[must_use]
    pub fn leaf(&self, id: FileId, number: u32) -> ChunkLeaf {
        ChunkLeaf(hash(
            Label::BULK_LEAF,
            &[&id.0, &number.to_be_bytes(), &self.0],
        ))
    }

    /// Whether all bytes are zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chunk(..)")
    }
}

/// The hash of a chunk.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct ChunkLeaf(pub [u8; LEAF_LEN]);

impl fmt::Debug for ChunkLeaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChunkLeaf(..)")
    }
}

/// The hash over the size and all leaves: what the offer commits to.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct ChunkRoot(pub [u8; 32]);

impl fmt::Debug for ChunkRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChunkRoot(..)")
    }
}

/// The leaves of a file: those that are known so far, in order.
#[derive(Clone, Eq, PartialEq)]
pub struct ChunkList {
    id: FileId,
    size: FileSize,
    leaves: Vec<u8>,
}

impl ChunkList {
    /// An empty list for a file of this size.
    #[must_use]
    pub const fn new(id: FileId, size: FileSize) -> Self {
        Self {
            id,
            size,
            leaves: Vec::new(),
        }
    }

    /// The list of stored leaves, as [`leaves`](Self::leaves) gave them; `None` if they are too many or cut.
    #[must_use]
    pub fn from_leaves(id: FileId, size: FileSize, leaves: &[u8]) -> Option<Self> {
        let mut list = Self::new(id, size);
        list.append(leaves).then_some(list)
    }

    /// Adds the hash of the next chunk of the file; `false` if there is none left.
    pub fn push(&mut self, chunk: &Chunk) -> bool {
        let leaf = chunk.leaf(self.id, self.len());
        self.append(&leaf.0)
    }

    /// Adds leaves that were received; `false`, and nothing is added, if they are cut or too many.
    pub(super) fn append(&mut self, leaves: &[u8]) -> bool {
        let after = self.leaves.len().saturating_add(leaves.len());
        let fits = leaves.len().is_multiple_of(LEAF_LEN) && after <= self.full_len();
        if fits {
            self.leaves.extend_from_slice(leaves);
        }
        fits
    }

    /// Number of leaves so far.
    #[must_use]
    pub fn len(&self) -> u32 {
        u32::try_from(self.leaves.len() / LEAF_LEN).unwrap_or(u32::MAX)
    }

    /// Whether no leaf is known.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.leaves.is_empty()
    }

    /// Whether every chunk of the file has its leaf.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.leaves.len() == self.full_len()
    }

    /// The file.
    #[must_use]
    pub const fn id(&self) -> FileId {
        self.id
    }

    /// The size of the file.
    #[must_use]
    pub const fn size(&self) -> FileSize {
        self.size
    }

    /// All leaves, one after another.
    #[must_use]
    pub fn leaves(&self) -> &[u8] {
        &self.leaves
    }

    /// The root of a complete list.
    #[must_use]
    pub fn root(&self) -> Option<ChunkRoot> {
        let size = self.size.bytes().to_be_bytes();
        self.is_complete()
            .then(|| ChunkRoot(hash(Label::BULK_ROOT, &[&size, &self.leaves])))
    }

    /// Whether a chunk is the one of this number.
    #[must_use]
    pub fn verifies(&self, number: u32, chunk: &Chunk) -> bool {
        self.leaf(number) == Some(chunk.leaf(self.id, number))
    }

    fn leaf(&self, number: u32) -> Option<ChunkLeaf> {
        let at = usize::try_from(number).ok()?.checked_mul(LEAF_LEN)?;
        let (leaf, _) = self.leaves.get(at..)?.split_first_chunk()?;
        Some(ChunkLeaf(*leaf))
    }

    fn full_len(&self) -> usize {
        usize::try_from(self.size.chunks())
            .unwrap_or(usize::MAX)
            .saturating_mul(LEAF_LEN)
    }
}

impl fmt::Debug for ChunkList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkList({})", self.len())
    }
}
