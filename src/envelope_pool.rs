//! The pool of unexpired envelopes (a mempool).
//!
//! Bounded in bytes. When the pool is full, the envelope is evicted first whose eviction destroys the
//! least paid work per byte (`eviction`), and only for one with more: evicting costs what is destroyed.
//! Only public properties decide. Whether an envelope is ours must not matter: an envelope that
//! survives only here would reveal its origin.
//!
//! The pool holds up to a hundred thousand envelopes, so its indexes are compact: each envelope has
//! a numbered slot, and two indexes (hash prefix, eviction) store little more than that number.
//!
//! The pool does not check envelopes itself: insertion requires the proofs that expiry and work
//! were checked.

use core::fmt;
use core::ops::Bound;
use std::collections::BTreeSet;

use circuits::time::UnixSecs;

use crate::envelope::{Envelope, EnvelopeHash, NotExpired};
use crate::pow::PowChecked;

use self::eviction::EvictionIndex;
use self::slots::{PoolSlot, Slots};

mod eviction;
mod heap;
mod rank;
mod slots;

pub use self::rank::work_rank;

/// A bounded set of envelopes.
pub struct Pool {
    max_bytes: usize,
    bytes: usize,
    size: usize,
    slots: Slots,
    by_hash: BTreeSet<IndexEntry>,
    by_worth: EvictionIndex,
    /// The envelopes that made room for the last insertion.
    evicted: Vec<EnvelopeHash>,
}

/// An envelope in the pool, with the proof of its work.
#[derive(Clone, Debug)]
pub struct PooledEnvelope {
    /// The envelope.
    pub envelope: Envelope,
    /// Its work, to compare with each peer's requirement.
    pub pow: PowChecked,
}

/// The outcome of an insertion.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum InsertOutcome {
    /// The pool has this envelope already.
    Known,
    /// It was inserted; weaker envelopes may have been evicted.
    New,
    /// The pool is full of envelopes with more paid work per byte.
    NoRoom,
}

impl Pool {
    /// An empty pool of at most `max_bytes`, counted as [`bytes`](Self::bytes) does.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            bytes: 0,
            size: 0,
            slots: Slots::default(),
            by_hash: BTreeSet::new(),
            by_worth: EvictionIndex::default(),
            evicted: Vec::new(),
        }
    }

    /// Inserts an envelope whose expiry and work were checked.
    pub fn insert(
        &mut self,
        envelope: Envelope,
        pow: PowChecked,
        alive: NotExpired,
    ) -> InsertOutcome {
        self.evicted.clear();
        let hash = envelope.hash();
        if self.contains(&hash) {
            return InsertOutcome::Known;
        }
        let (cost, size) = (cost(&envelope), envelope.size());
        let slot = PoolSlot {
            pooled: PooledEnvelope { envelope, pow },
            at: 0,
        };
        if !self.make_room(cost, &slot, alive.checked_at()) {
            return InsertOutcome::NoRoom;
        }
        let Some(number) = self.slots.insert(slot) else {
            return InsertOutcome::NoRoom;
        };
        self.bytes = self.bytes.saturating_add(cost);
        self.size = self.size.saturating_add(size);
        self.by_hash.insert(IndexEntry::new(&hash, number));
        self.by_worth.push(&mut self.slots, number);
        InsertOutcome::New
    }

    /// The envelope with this hash.
    #[must_use]
    pub fn get(&self, hash: &EnvelopeHash) -> Option<&PooledEnvelope> {
        let number = self.find(hash)?;
        Some(&self.slots.get(number)?.pooled)
    }

    /// Whether the pool has an envelope with this hash.
    #[must_use]
    pub fn contains(&self, hash: &EnvelopeHash) -> bool {
        self.find(hash).is_some()
    }

    /// The hashes of the envelopes that the last call of [`insert`](Self::insert) evicted.
    #[must_use]
    pub fn last_evicted(&self) -> &[EnvelopeHash] {
        &self.evicted
    }

    /// All envelopes, in the order of their hashes, from the one after `hash` on.
    pub fn after(&self, hash: Option<&EnvelopeHash>) -> impl Iterator<Item = &PooledEnvelope> {
        let start = hash.map_or(Bound::Unbounded, |hash| {
            Bound::Excluded(IndexEntry::new(hash, u32::MAX))
        });
        let slots = self.by_hash.range((start, Bound::Unbounded));
        slots.filter_map(|entry| Some(&self.slots.get(entry.slot)?.pooled))
    }

    /// All envelopes, in the order of their hashes.
    pub fn iter(&self) -> impl Iterator<Item = &PooledEnvelope> {
        let slots = self.by_hash.iter();
        slots.filter_map(|entry| Some(&self.slots.get(entry.slot)?.pooled))
    }

    /// The envelopes in the order of their hashes, from those that begin with this prefix on, each
    /// with the first eight bytes of its hash.
    pub fn from_prefix(&self, prefix: u64) -> impl Iterator<Item = (u64, &PooledEnvelope)> {
        let entries = self.by_hash.range(IndexEntry::first(prefix)..);
        entries.filter_map(|entry| {
            let slot = self.slots.get(entry.slot)?;
            Some((entry.prefix(), &slot.pooled))
        })
    }

    /// Whether the pool has an envelope whose hash begins with these bytes.
    #[must_use]
    pub fn has_prefix(&self, short: &[u8; 16]) -> bool {
        let prefix = u64::from_be_bytes(short.first_chunk().copied().unwrap_or_default());
        let candidates = self.from_prefix(prefix);
        let mut equal = candidates.take_while(|(other, _)| *other == prefix);
        equal.any(|(_, pooled)| pooled.envelope.hash().0.starts_with(short))
    }

    /// Removes expired envelopes and returns their hashes.
    pub fn expire(&mut self, now: UnixSecs) -> Vec<EnvelopeHash> {
        let expired = self.by_worth.take_expired(&mut self.slots, now);
        let removed = expired.into_iter().filter_map(|number| self.clear(number));
        removed.collect()
    }

    /// Memory in use: encoded lengths plus a fixed overhead per envelope.
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
        self.by_hash.len()
    }

    /// Whether the pool is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    /// Evicts weaker envelopes until `cost` bytes fit; evicts nothing if they cannot.
    fn make_room(&mut self, cost: usize, newcomer: &PoolSlot, now: UnixSecs) -> bool {
        let Some(allowed) = self.max_bytes.checked_sub(cost) else {
            return false;
        };
        let mut left = self.bytes;
        if left <= allowed {
            return true;
        }
        let mut evicted = Vec::new();
        for slot in self.by_worth.weakest(&self.slots, now) {
            if left <= allowed {
                break;
            }
            if eviction::compare(slot, newcomer, now).is_ge() {
                return false;
            }
            left = left.saturating_sub(self::cost(&slot.pooled.envelope));
            evicted.push(slot.pooled.envelope.hash());
        }
        for hash in &evicted {
            if let Some(number) = self.find(hash) {
                self.by_worth.remove(&mut self.slots, number);
                let _evicted = self.clear(number);
            }
        }
        self.evicted = evicted;
        true
    }

    fn find(&self, hash: &EnvelopeHash) -> Option<u32> {
        let first = IndexEntry::new(hash, 0);
        let candidates = self.by_hash.range(first..);
        let mut numbers = candidates
            .take_while(|entry| entry.prefix() == first.prefix())
            .map(|entry| entry.slot);
        numbers.find(|number| {
            let slot = self.slots.get(*number);
            slot.is_some_and(|slot| slot.pooled.envelope.hash() == *hash)
        })
    }

    /// Removes what the eviction index no longer contains; returns its hash.
    fn clear(&mut self, number: u32) -> Option<EnvelopeHash> {
        let envelope = self.slots.remove(number)?.pooled.envelope;
        let hash = envelope.hash();
        self.by_hash.remove(&IndexEntry::new(&hash, number));
        self.bytes = self.bytes.saturating_sub(cost(&envelope));
        self.size = self.size.saturating_sub(envelope.size());
        Some(hash)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({} envelopes, {} bytes)", self.len(), self.bytes)
    }
}

/// The prefix of a hash, and the slot of its envelope. An attacker who makes envelopes with equal
/// prefixes makes us compare each of them, and gains nothing else.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
struct IndexEntry {
    high: u32,
    low: u32,
    slot: u32,
}

impl IndexEntry {
    fn new(EnvelopeHash(hash): &EnvelopeHash, slot: u32) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = *hash;
        Self {
            high: u32::from_be_bytes([a, b, c, d]),
            low: u32::from_be_bytes([e, f, g, h]),
            slot,
        }
    }

    /// The lowest entry of this prefix.
    fn first(prefix: u64) -> Self {
        let [a, b, c, d, e, f, g, h] = prefix.to_be_bytes();
        Self {
            high: u32::from_be_bytes([a, b, c, d]),
            low: u32::from_be_bytes([e, f, g, h]),
            slot: 0,
        }
    }

    fn prefix(self) -> u64 {
        u64::from(self.high) << 32 | u64::from(self.low)
    }
}

fn cost(envelope: &Envelope) -> usize {
    envelope.as_rlp().len().saturating_add(OVERHEAD)
}

/// Memory per envelope besides its bytes: hash, slot, index entries here and in the gossip's
/// `PeerEnvelopeIndex`, and the overhead of the allocator.
const OVERHEAD: usize = 184;

#[cfg(test)]
mod tests;
