//! Reassembly: a reader collects the shards of its sets, within bounds.
//!
//! A sender that can encrypt to a key can send shards to it, so sets are bounded per key and in total. A set
//! is decoded once, when its `k`-th shard arrives; after a failure no other choice of shards is tried,
//! because there may be 10^25 of them. A set that has ended, complete or not, is remembered until its
//! timeout, so that late shards open no new one.
//!
//! Sets are told apart by identifier and class together: a member of a group sees the identifiers of
//! the group's sets, and could otherwise occupy one with a wrong class. Such a member can still spoil
//! a set by a forged shard, which a retry of the sender does not prevent; it cannot forge a message.

use core::fmt;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use circuits::aont;
use circuits::dispersal::rebuild_package;
use circuits::time::Instant;
use zeroize::Zeroizing;

use super::{ScatterClass, ScatterShard, SetId};

/// Bounds of a [`Reassembly`].
#[derive(Clone, Copy, Debug)]
pub struct ReassemblyLimits {
    /// Memory for the sets of one key, in bytes.
    pub bytes_per_key: usize,
    /// Memory for all sets, in bytes.
    pub bytes: usize,
    /// Time that a set is kept after its first shard.
    pub timeout: Duration,
}

impl Default for ReassemblyLimits {
    /// 4 MiB for a key, which hold 7,000 sets of one shard: to fill them costs an attacker as many
    /// proofs of work. 32 MiB in total. 80 hours: the longest life of an envelope, and the time until
    /// the last shard of a message has left.
    fn default() -> Self {
        Self {
            bytes_per_key: 4 << 20,
            bytes: 32 << 20,
            timeout: Duration::from_secs(80 * 3_600),
        }
    }
}

/// The sets of a reader, by its keys.
pub struct Reassembly<K> {
    limits: ReassemblyLimits,
    keys: BTreeMap<K, KeySets>,
    bytes: usize,
    /// Number of sets opened so far.
    opened: u64,
    /// Sets in the order in which they opened, and so of their timeouts. Some may be gone.
    by_age: VecDeque<(Instant, K, SetKey, u64)>,
}

/// A set of one key.
type SetKey = (SetId, ScatterClass);

#[derive(Default)]
struct KeySets {
    sets: BTreeMap<SetKey, CollectedSet>,
    /// Sets in the order of eviction, by rank and number.
    order: BTreeMap<(usize, u64), SetKey>,
    bytes: usize,
}

struct CollectedSet {
    /// Counts the sets in the order in which they opened.
    number: u64,
    /// The shards by index; `None` once the set has ended.
    shards: Option<BTreeMap<u8, Zeroizing<Vec<u8>>>>,
}

/// What came of a shard. It must not be observable from the network.
#[derive(Eq, PartialEq)]
#[must_use]
pub enum Reassembled {
    /// The message is complete.
    Complete(Zeroizing<Vec<u8>>),
    /// The shard is kept.
    Collected,
    /// The set has the shard, or has ended.
    Ignored,
    /// Two shards contradict each other, or they form no message. The set has ended.
    Poisoned,
}

impl fmt::Debug for Reassembled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Complete(_) => "Complete(..)",
            Self::Collected => "Collected",
            Self::Ignored => "Ignored",
            Self::Poisoned => "Poisoned",
        })
    }
}

impl<K: Clone + Ord> Reassembly<K> {
    /// No sets.
    #[must_use]
    pub const fn new(limits: ReassemblyLimits) -> Self {
        Self {
            limits,
            keys: BTreeMap::new(),
            bytes: 0,
            opened: 0,
            by_age: VecDeque::new(),
        }
    }

    /// Takes a shard that `key` decrypted.
    pub fn accept(&mut self, now: Instant, key: &K, shard: ScatterShard) -> Reassembled {
        self.expire(now);
        let ScatterShard {
            set,
            class,
            index,
            bytes,
        } = shard;
        let set = (set, class);
        self.open(now, key, set);
        let Some(own) = self.keys.get_mut(key) else {
            return Reassembled::Ignored;
        };
        let before = own.bytes;
        let outcome = own.add(set, index, bytes);
        self.bytes = self.bytes.saturating_sub(before).saturating_add(own.bytes);
        self.enforce(key);
        outcome
    }

    /// Forgets the sets of a key.
    pub fn forget(&mut self, key: &K) {
        if let Some(own) = self.keys.remove(key) {
            self.bytes = self.bytes.saturating_sub(own.bytes);
        }
    }

    /// Memory in use, in bytes; an estimate that is at least the size of the shards.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of sets that are not complete and not spoilt.
    #[must_use]
    pub fn open_sets(&self) -> usize {
        let sets = self.keys.values().flat_map(|own| own.sets.values());
        sets.filter(|set| set.shards.is_some()).count()
    }

    /// Opens a set unless it is known.
    fn open(&mut self, now: Instant, key: &K, set: SetKey) {
        let own = self.keys.entry(key.clone()).or_default();
        if own.sets.contains_key(&set) {
            return;
        }
        self.opened = self.opened.saturating_add(1);
        let number = self.opened;
        let shards = Some(BTreeMap::new());
        own.sets.insert(set, CollectedSet { number, shards });
        own.order.insert((0, number), set);
        own.bytes = own.bytes.saturating_add(SET_COST);
        self.bytes = self.bytes.saturating_add(SET_COST);
        let due = now.after(self.limits.timeout);
        self.by_age.push_back((due, key.clone(), set, number));
    }

    /// Drops the sets whose time is over.
    fn expire(&mut self, now: Instant) {
        while let Some((due, ..)) = self.by_age.front()
            && *due <= now
            && let Some((_, key, set, number)) = self.by_age.pop_front()
        {
            let opened = |own: &KeySets| own.sets.get(&set).map(|set| set.number);
            if self.keys.get(&key).and_then(opened) == Some(number) {
                self.remove(&key, set);
            }
        }
    }

    /// Evicts sets until the bounds hold: of this key first, then of the key with most bytes.
    fn enforce(&mut self, key: &K) {
        let most = self.limits.bytes_per_key;
        let over = |own: &&KeySets| own.bytes > most;
        while let Some(set) = self.keys.get(key).filter(over).and_then(KeySets::first) {
            self.remove(key, set);
        }
        while self.bytes > self.limits.bytes {
            let largest = self.keys.iter().max_by_key(|(_, own)| own.bytes);
            let first = largest.and_then(|(key, own)| Some((key.clone(), own.first()?)));
            let Some((key, set)) = first else { return };
            self.remove(&key, set);
        }
        // Entries of sets that were evicted are dropped once there are more of them than sets.
        let sets: usize = self.keys.values().map(|own| own.sets.len()).sum();
        if self.by_age.len() > sets.saturating_mul(2).saturating_add(MIN_STALE) {
            let keys = &self.keys;
            self.by_age.retain(|(_, key, set, number)| {
                let own = keys.get(key).and_then(|own| own.sets.get(set));
                own.is_some_and(|set| set.number == *number)
            });
        }
    }

    fn remove(&mut self, key: &K, set: SetKey) {
        if let Some(own) = self.keys.get_mut(key) {
            let before = own.bytes;
            own.remove(set);
            self.bytes = self.bytes.saturating_sub(before).saturating_add(own.bytes);
            if own.sets.is_empty() {
                self.keys.remove(key);
            }
        }
    }
}

impl KeySets {
    /// The set that is evicted next: one that has ended, else the oldest of those with fewest shards.
    /// An attacker therefore has to send more shards of a set than its sender to displace it.
    fn first(&self) -> Option<SetKey> {
        self.order.first_key_value().map(|(_, set)| *set)
    }

    /// Adds a shard to a set that is there.
    fn add(&mut self, key: SetKey, index: u8, bytes: Vec<u8>) -> Reassembled {
        let bytes = Zeroizing::new(bytes);
        let Some(set) = self.sets.get_mut(&key) else {
            return Reassembled::Ignored;
        };
        let Some(shards) = &mut set.shards else {
            return Reassembled::Ignored;
        };
        if let Some(held) = shards.get(&index) {
            if *held == bytes {
                return Reassembled::Ignored;
            }
            let _forged = self.end(key);
            return Reassembled::Poisoned;
        }
        self.order.remove(&(shards.len(), set.number));
        self.bytes = self.bytes.saturating_add(cost(&bytes));
        shards.insert(index, bytes);
        self.order.insert((shards.len(), set.number), key);
        if shards.len() < usize::from(key.1.k()) {
            return Reassembled::Collected;
        }
        let shards = self.end(key);
        match decode(key.1, &shards) {
            Some(message) => Reassembled::Complete(message),
            None => Reassembled::Poisoned,
        }
    }

    /// Ends a set, and takes its shards.
    fn end(&mut self, key: SetKey) -> BTreeMap<u8, Zeroizing<Vec<u8>>> {
        let Some(set) = self.sets.get_mut(&key) else {
            return BTreeMap::new();
        };
        let shards = set.shards.take().unwrap_or_default();
        self.order.remove(&(shards.len(), set.number));
        self.order.insert((0, set.number), key);
        let freed = shards.values().map(|bytes| cost(bytes)).sum();
        self.bytes = self.bytes.saturating_sub(freed);
        shards
    }

    fn remove(&mut self, key: SetKey) {
        let _dropped = self.end(key);
        if let Some(set) = self.sets.remove(&key) {
            self.order.remove(&(0, set.number));
            self.bytes = self.bytes.saturating_sub(SET_COST);
        }
    }
}

/// Decodes a set; called once per set. The zero bytes of the transform prove that all shards belong
/// together and are unaltered.
fn decode(
    class: ScatterClass,
    shards: &BTreeMap<u8, Zeroizing<Vec<u8>>>,
) -> Option<Zeroizing<Vec<u8>>> {
    let len = shards.values().next()?.len();
    let shards = shards
        .iter()
        .map(|(index, bytes)| (*index, bytes.as_slice()));
    let shards: Vec<_> = shards.collect();
    let package = rebuild_package(class.k(), class.n(), len, &shards).ok()?;
    aont::unpack(package).ok().map(Zeroizing::new)
}

/// Memory of a shard, in bytes.
fn cost(bytes: &[u8]) -> usize {
    bytes.len().saturating_add(SHARD_OVERHEAD)
}

/// Memory of a set without its shards, in bytes.
const SET_COST: usize = 256;
/// Memory of a shard beside its bytes.
const SHARD_OVERHEAD: usize = 96;
/// Number of entries of evicted sets that are not worth a search.
const MIN_STALE: usize = 64;
