//! Which chunks of a file are durable at the receiver, padding included.
//!
//! The set is stored as bits, and travels as the lengths of runs: missing, present, missing, present, .. A
//! hello has room for 64 pairs; further chunks count as missing and are sent again.

use core::fmt;

use circuits::bytes::ByteReader;

use super::chunk::FileSize;

/// The most runs that a hello carries.
pub const MAX_RUNS: usize = 128;

/// A set of chunks of one file.
#[derive(Clone, Eq, PartialEq)]
pub struct ChunkSet {
    total: u32,
    count: u32,
    bits: Vec<u8>,
}

impl ChunkSet {
    /// The empty set of a file of this size.
    #[must_use]
    pub fn new(size: FileSize) -> Self {
        let total = size.padded_chunks();
        Self {
            total,
            count: 0,
            bits: vec![0; byte_len(total)],
        }
    }

    /// A stored set; `None` if it is not one of a file of this size.
    #[must_use]
    pub fn from_bytes(size: FileSize, bytes: &[u8]) -> Option<Self> {
        let total = size.padded_chunks();
        let unused = u32::try_from(bytes.len())
            .ok()?
            .checked_mul(8)?
            .checked_sub(total)?;
        let spare = bytes.last()?.trailing_zeros();
        let fits = bytes.len() == byte_len(total) && unused < 8 && spare >= unused;
        fits.then(|| Self {
            total,
            count: bytes.iter().map(|byte| byte.count_ones()).sum(),
            bits: bytes.to_vec(),
        })
    }

    /// The bits, for the store: the first chunk is the highest bit of the first byte.
    #[must_use]
    pub fn to_bytes(&self) -> &[u8] {
        &self.bits
    }

    /// Number of chunks of the file and its padding.
    #[must_use]
    pub const fn total(&self) -> u32 {
        self.total
    }

    /// Number of chunks in the set.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Whether every chunk is in the set.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.count == self.total
    }

    /// Adds a chunk; `false` if it was there, or if the file has none of this number.
    pub fn insert(&mut self, number: u32) -> bool {
        let adds = number < self.total && !self.contains(number);
        let (index, mask) = place(number);
        if let Some(byte) = self.bits.get_mut(index).filter(|_| adds) {
            *byte |= mask;
            self.count = self.count.saturating_add(1);
        }
        adds
    }

    /// Removes a chunk that the disk no longer gives back.
    pub fn remove(&mut self, number: u32) {
        let present = self.contains(number);
        let (index, mask) = place(number);
        if let Some(byte) = self.bits.get_mut(index).filter(|_| present) {
            *byte &= !mask;
            self.count = self.count.saturating_sub(1);
        }
    }

    /// Whether a chunk is in the set.
    #[must_use]
    pub fn contains(&self, number: u32) -> bool {
        let (index, mask) = place(number);
        self.bits.get(index).is_some_and(|byte| byte & mask != 0)
    }

    /// The first chunk from this one on that is not in the set.
    #[must_use]
    pub fn missing_from(&self, number: u32) -> Option<u32> {
        (number..self.total).find(|number| !self.contains(*number))
    }

    /// The set as runs, at most [`MAX_RUNS`] of them, 4 bytes each. What comes behind is left out.
    #[must_use]
    pub fn to_runs(&self) -> Vec<u8> {
        let mut runs: Vec<u32> = Vec::new();
        let mut present = false;
        let mut length = 0_u32;
        for number in 0..self.total {
            if self.contains(number) != present {
                if runs.len() == MAX_RUNS {
                    break;
                }
                runs.push(length);
                present = !present;
                length = 0;
            }
            length = length.saturating_add(1);
        }
        if present && runs.len() < MAX_RUNS {
            runs.push(length);
        }
        runs.iter().flat_map(|run| run.to_be_bytes()).collect()
    }

    /// The set of these runs; `None` if they are not the shortest way to write a set of this file.
    #[must_use]
    pub fn from_runs(size: FileSize, runs: &[u8]) -> Option<Self> {
        let mut set = Self::new(size);
        let mut fields = ByteReader::new(runs);
        let mut at = 0_u32;
        while fields.remaining() > 0 {
            let missing = fields.u32().ok()?;
            let present = fields.u32().ok()?;
            if present == 0 || (missing == 0 && at > 0) {
                return None;
            }
            let first = at.checked_add(missing)?;
            at = first.checked_add(present).filter(|end| *end <= set.total)?;
            (first..at).for_each(|number| {
                let _added = set.insert(number);
            });
        }
        Some(set)
    }
}

impl fmt::Debug for ChunkSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkSet({} of {})", self.count, self.total)
    }
}

/// Byte and bit of a chunk.
fn place(number: u32) -> (usize, u8) {
    let mask = 0x80_u8.checked_shr(number % 8).unwrap_or(0);
    (usize::try_from(number / 8).unwrap_or(usize::MAX), mask)
}

fn byte_len(total: u32) -> usize {
    usize::try_from(total.div_ceil(8)).unwrap_or(usize::MAX)
}
