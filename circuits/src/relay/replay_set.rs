//! The replay set: the exact tags of the cells that a key has decrypted, kept as long as the key.
//!
//! An approximate set would drop honest cells or lose old tags, so this set stores all 16 bytes of
//! each tag. It is bounded: a full set refuses new tags, and the relay drops cells under its key.
//! Tags are HKDF output and spread evenly over sorted buckets. A sender that searches for tags of
//! one bucket only slows down insertions there by a memory copy. Dropping the set wipes it.

use std::collections::BTreeMap;

use core::fmt;

use zeroize::Zeroize;

/// The tag of a cell under the key that decrypted it.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd, Zeroize)]
pub struct ReplayTag(pub [u8; 16]);

impl fmt::Debug for ReplayTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplayTag(..)")
    }
}

/// The tags of one key.
pub struct ReplaySet {
    /// Sorted tags by their first twelve bits.
    buckets: BTreeMap<u16, Vec<ReplayTag>>,
    len: usize,
    limit: usize,
}

impl ReplaySet {
    /// Default limit: 64 MB of tags, enough for 50 cells per second during the 25 hours in which a
    /// key is valid.
    pub const DEFAULT_LIMIT: usize = 4_500_000;

    /// An empty set for at most `limit` tags, of 16 bytes each. Memory use doubles while a bucket
    /// grows.
    #[must_use]
    pub const fn with_limit(limit: usize) -> Self {
        Self {
            buckets: BTreeMap::new(),
            len: 0,
            limit,
        }
    }

    /// Adds a tag.
    ///
    /// # Errors
    ///
    /// [`ReplaySetError`] if the set contains the tag or is full; the set is then unchanged.
    pub fn insert(&mut self, tag: ReplayTag) -> Result<(), ReplaySetError> {
        let [first, second, ..] = tag.0;
        let bucket = self
            .buckets
            .entry(u16::from_be_bytes([first, second]) >> 4)
            .or_default();
        let Err(place) = bucket.binary_search(&tag) else {
            return Err(ReplaySetError::Seen);
        };
        if self.len >= self.limit {
            return Err(ReplaySetError::Full);
        }
        if bucket.len() == bucket.capacity() {
            grow(bucket);
        }
        bucket.insert(place, tag);
        self.len += 1;
        Ok(())
    }

    /// Sets the maximum number of tags. Tags above it stay in the set.
    pub(super) const fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Whether the set refuses new tags.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.len >= self.limit
    }

    /// Number of tags.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether the set has no tags.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Default for ReplaySet {
    fn default() -> Self {
        Self::with_limit(Self::DEFAULT_LIMIT)
    }
}

impl Drop for ReplaySet {
    fn drop(&mut self) {
        self.buckets.values_mut().for_each(Zeroize::zeroize);
    }
}

impl fmt::Debug for ReplaySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            buckets: _,
            len,
            limit,
        } = self;
        f.debug_struct("ReplaySet")
            .field("len", len)
            .field("limit", limit)
            .finish_non_exhaustive()
    }
}

/// Reason why a tag was not added.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReplaySetError {
    /// The set is full.
    Full,
    /// The set contains the tag.
    Seen,
}

impl fmt::Display for ReplaySetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "replay set has its maximum number of tags",
            Self::Seen => "replay set contains the tag",
        })
    }
}

impl core::error::Error for ReplaySetError {}

/// Moves a bucket to a larger allocation and wipes the old one, which `Vec` would free without
/// wiping.
fn grow(bucket: &mut Vec<ReplayTag>) {
    let mut larger = Vec::with_capacity(bucket.len() + bucket.len() / 2 + 4);
    larger.extend_from_slice(bucket);
    bucket.zeroize();
    *bucket = larger;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn tag(number: u32) -> ReplayTag {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b9).to_be_bytes());
        bytes[12..].copy_from_slice(&number.to_be_bytes());
        ReplayTag(bytes)
    }

    proptest! {
        #[test]
        fn replay_set_agrees_with_model(
            tags in prop::collection::vec((0..4_u8, 0..40_u8), 0..400),
            limit in 0..60_usize,
        ) {
            let mut model = BTreeSet::new();
            let mut set = ReplaySet::with_limit(limit);
            for (first, last) in tags {
                let mut tag = ReplayTag([0; 16]);
                tag.0[0] = first;
                tag.0[15] = last;
                let expected = match (model.contains(&tag), model.len() == limit) {
                    (true, _) => Err(ReplaySetError::Seen),
                    (false, true) => Err(ReplaySetError::Full),
                    (false, false) => Ok(()),
                };
                prop_assert_eq!(set.insert(tag), expected);
                if expected.is_ok() {
                    model.insert(tag);
                }
                prop_assert_eq!(set.len(), model.len());
            }
        }
    }

    #[test]
    fn full_replay_set_refuses_new_tags_and_keeps_old_ones() {
        let mut set = ReplaySet::with_limit(1_000);
        for number in 0..1_000 {
            assert_eq!(set.insert(tag(number)), Ok(()));
        }
        assert!(set.is_full());
        assert_eq!(set.insert(tag(1_000)), Err(ReplaySetError::Full));
        for number in 0..1_000 {
            assert_eq!(
                set.insert(tag(number)),
                Err(ReplaySetError::Seen),
                "{number}"
            );
        }
    }

    #[test]
    fn tags_in_one_bucket_are_distinct() {
        let mut set = ReplaySet::default();
        for number in 0..2_000_u32 {
            let mut tag = ReplayTag([7; 16]);
            tag.0[12..].copy_from_slice(&number.to_le_bytes());
            assert_eq!(set.insert(tag), Ok(()));
            assert_eq!(set.insert(tag), Err(ReplaySetError::Seen));
        }
    }
}
