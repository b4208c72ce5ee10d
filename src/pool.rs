//! The envelopes alive now.
//!
//! Bounded in bytes. When room is short, the envelope with the least work per size and lifetime
//! goes first, among equals the one sent first, among those the one whose hash is least: nothing
//! but what everybody can see decides, and least of all whether an envelope is ours, since an
//! envelope that survives here and nowhere else would say so.
//!
//! The pool judges nothing itself: it takes no envelope without the proofs that its time and its
//! work were checked.

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};

use circuits::time::UnixSecs;

use crate::envelope::{Envelope, EnvelopeHash, InTime};
use crate::pow::PowChecked;

/// A bounded set of envelopes.
pub struct Pool {
    max_bytes: usize,
    bytes: usize,
    size: usize,
    entries: BTreeMap<EnvelopeHash, Pooled>,
    by_expiry: BTreeSet<(UnixSecs, EnvelopeHash)>,
    by_rank: BTreeSet<(Rank, EnvelopeHash)>,
}

/// An envelope in the pool and what it was admitted with.
#[derive(Clone, Debug)]
pub struct Pooled {
    /// The envelope.
    pub envelope: Envelope,
    /// Its work, to be held against each peer's requirement.
    pub pow: PowChecked,
}

/// What became of an envelope that was offered to the pool.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Inserted {
    /// It was here already.
    Known,
    /// It is in the pool now; weaker ones may have gone.
    New,
    /// The pool is full of envelopes with more work.
    NoRoom,
}

impl Pool {
    /// An empty pool that will hold at most `max_bytes`, counted as [`bytes`](Self::bytes) does.
    #[must_use]
    pub const fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            bytes: 0,
            size: 0,
            entries: BTreeMap::new(),
            by_expiry: BTreeSet::new(),
            by_rank: BTreeSet::new(),
        }
    }

    /// Offers an envelope whose time and work were found good.
    pub fn insert(&mut self, envelope: Envelope, pow: PowChecked, _alive: InTime) -> Inserted {
        let hash = envelope.hash();
        if self.entries.contains_key(&hash) {
            return Inserted::Known;
        }
        let rank = Rank::of(&envelope, &pow);
        let cost = cost(&envelope);
        if !self.make_room(cost, (rank, hash)) {
            return Inserted::NoRoom;
        }
        self.bytes = self.bytes.saturating_add(cost);
        self.size = self.size.saturating_add(envelope.size());
        self.by_expiry.insert((envelope.expiry(), hash));
        self.by_rank.insert((rank, hash));
        self.entries.insert(hash, Pooled { envelope, pow });
        Inserted::New
    }

    /// The envelope of this name.
    #[must_use]
    pub fn get(&self, hash: &EnvelopeHash) -> Option<&Pooled> {
        self.entries.get(hash)
    }

    /// Whether an envelope of this name is here.
    #[must_use]
    pub fn contains(&self, hash: &EnvelopeHash) -> bool {
        self.entries.contains_key(hash)
    }

    /// All envelopes, in the order of their hashes.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Pooled> {
        self.entries.values()
    }

    /// Removes what has expired and returns the names.
    pub fn expire(&mut self, now: UnixSecs) -> Vec<EnvelopeHash> {
        let mut removed = Vec::new();
        while let Some(&(expiry, hash)) = self.by_expiry.first() {
            if expiry >= now {
                break;
            }
            self.remove(&hash);
            removed.push(hash);
        }
        removed
    }

    /// Memory in use: encoded lengths plus a fixed amount for each envelope's book-keeping.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The figure that geth reports as memory: `20 + len(data)` over all envelopes.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Number of envelopes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no envelope.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Evicts weaker envelopes until `cost` bytes fit; evicts nothing if they cannot.
    fn make_room(&mut self, cost: usize, newcomer: (Rank, EnvelopeHash)) -> bool {
        let Some(allowed) = self.max_bytes.checked_sub(cost) else {
            return false;
        };
        let mut left = self.bytes;
        let mut evicted = Vec::new();
        for &(rank, hash) in &self.by_rank {
            if left <= allowed {
                break;
            }
            if (rank, hash) >= newcomer {
                return false;
            }
            if let Some(entry) = self.entries.get(&hash) {
                left = left.saturating_sub(self::cost(&entry.envelope));
            }
            evicted.push(hash);
        }
        for hash in evicted {
            self.remove(&hash);
        }
        true
    }

    fn remove(&mut self, hash: &EnvelopeHash) {
        if let Some(Pooled { envelope, pow }) = self.entries.remove(hash) {
            self.by_expiry.remove(&(envelope.expiry(), *hash));
            self.by_rank.remove(&(Rank::of(&envelope, &pow), *hash));
            self.bytes = self.bytes.saturating_sub(cost(&envelope));
            self.size = self.size.saturating_sub(envelope.size());
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({} envelopes, {} bytes)", self.len(), self.bytes)
    }
}

/// The order of eviction: least work first, then the earliest sent.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
struct Rank {
    /// The bits of a float that is finite and not negative sort as the float does.
    work: u64,
    sent: UnixSecs,
}

impl Rank {
    fn of(envelope: &Envelope, pow: &PowChecked) -> Self {
        Self {
            work: pow.best().to_bits(),
            sent: envelope.sent(),
        }
    }
}

fn cost(envelope: &Envelope) -> usize {
    envelope.as_rlp().len().saturating_add(BOOK_KEEPING)
}

/// What an envelope costs beside its bytes: shared parts and three entries in ordered maps.
const BOOK_KEEPING: usize = 384;

#[cfg(test)]
mod tests;
