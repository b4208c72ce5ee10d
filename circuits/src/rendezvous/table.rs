//! The sets of a rendezvous, limited in bytes.
//!
//! The memory that a set takes is charged to the peer that delivered its first shard: what the set
//! holds, not what its class could hold. If memory is needed, the oldest set of the peer with the
//! most memory is evicted: a flood through one peer evicts its own sets. The number of sets is not
//! limited, or first shards of large sets could take all places. The difficulty of a ticket above the required one gives no priority; otherwise a
//! sender could evict all other sets with one more bit.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use crate::dispersal::{Class, Cookie, Ticket};
use crate::geometry::SHARD_LEN;
use crate::ids::{Epoch, LinkId};
use crate::time::Instant;

/// Values that all shards of a set share.
#[derive(Clone, Copy)]
pub(super) struct SetTerms {
    pub(super) class: Class,
    pub(super) epoch: Epoch,
    pub(super) hold: Duration,
    pub(super) ticket: Ticket,
}

/// A set, open or closed.
pub(super) struct ShardSet {
    pub(super) terms: SetTerms,
    /// The collected shards; `None` if the set is closed and ignores late shards.
    pub(super) shards: Option<BTreeMap<u8, Box<[u8; SHARD_LEN]>>>,
    owner: LinkId,
    /// Number of this set in the order of opening.
    serial: u64,
    due: Instant,
}

impl ShardSet {
    fn cost(&self) -> usize {
        let shards = self.shards.as_ref().map_or(0, BTreeMap::len);
        SET_COST.saturating_add(shards.saturating_mul(SHARD_COST))
    }
}

/// All sets, indexed by cookie, by age and by peer.
pub(super) struct ShardSetTable {
    max_bytes: usize,
    sets: BTreeMap<Cookie, ShardSet>,
    by_due: BTreeSet<(Instant, Cookie)>,
    shares: BTreeMap<LinkId, PeerShare>,
    bytes: usize,
    opened: u64,
}

/// The sets and the memory of one peer.
#[derive(Default)]
struct PeerShare {
    bytes: usize,
    by_age: BTreeMap<u64, Cookie>,
}

impl ShardSetTable {
    pub(super) const fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            sets: BTreeMap::new(),
            by_due: BTreeSet::new(),
            shares: BTreeMap::new(),
            bytes: 0,
            opened: 0,
        }
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.by_due.first().map(|(due, _)| *due)
    }

    pub(super) fn get(&self, cookie: Cookie) -> Option<&ShardSet> {
        self.sets.get(&cookie)
    }

    /// Opens a set without shards; false if there is no memory even after eviction.
    pub(super) fn open(
        &mut self,
        cookie: Cookie,
        terms: SetTerms,
        owner: LinkId,
        due: Instant,
    ) -> bool {
        if !self.make_room(SET_COST.saturating_add(SHARD_COST), cookie) {
            return false;
        }
        let serial = self.opened;
        self.opened = self.opened.saturating_add(1);
        let set = ShardSet {
            terms,
            shards: Some(BTreeMap::new()),
            owner,
            serial,
            due,
        };
        self.by_due.insert((due, cookie));
        let share = self.shares.entry(owner).or_default();
        share.by_age.insert(serial, cookie);
        self.charge(owner, set.cost());
        self.sets.insert(cookie, set);
        true
    }

    /// Adds a shard to an open set; false if there is no such set, or no memory even after
    /// eviction.
    pub(super) fn add(&mut self, cookie: Cookie, index: u8, shard: Box<[u8; SHARD_LEN]>) -> bool {
        if !self.make_room(SHARD_COST, cookie) {
            return false;
        }
        let Some(set) = self.sets.get_mut(&cookie) else {
            return false;
        };
        let Some(shards) = &mut set.shards else {
            return false;
        };
        let owner = set.owner;
        if shards.insert(index, shard).is_none() {
            self.charge(owner, SHARD_COST);
        }
        true
    }

    /// Closes a set and returns its shards. Its cookie stays known until the timeout of the set.
    pub(super) fn close(&mut self, cookie: Cookie) -> BTreeMap<u8, Box<[u8; SHARD_LEN]>> {
        let Some(set) = self.sets.get_mut(&cookie) else {
            return BTreeMap::new();
        };
        let before = set.cost();
        let shards = set.shards.take().unwrap_or_default();
        let freed = before.saturating_sub(set.cost());
        let owner = set.owner;
        self.discharge(owner, freed);
        shards
    }

    /// Drops every set whose timeout has expired.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some((due, cookie)) = self.by_due.first().copied() {
            if due > now {
                break;
            }
            self.by_due.pop_first();
            self.forget(cookie);
        }
    }

    fn forget(&mut self, cookie: Cookie) {
        let Some(set) = self.sets.remove(&cookie) else {
            return;
        };
        self.by_due.remove(&(set.due, cookie));
        if let Some(share) = self.shares.get_mut(&set.owner) {
            share.by_age.remove(&set.serial);
        }
        self.discharge(set.owner, set.cost());
    }

    /// Evicts sets other than `spared` until `wanted` bytes are free; false if that is impossible.
    fn make_room(&mut self, wanted: usize, spared: Cookie) -> bool {
        while self.bytes.saturating_add(wanted) > self.max_bytes {
            let heaviest = self
                .shares
                .values()
                .filter_map(|share| {
                    let mut sets = share.by_age.values();
                    let oldest = sets.find(|cookie| **cookie != spared)?;
                    Some((share.bytes, *oldest))
                })
                .max_by_key(|(bytes, _)| *bytes);
            let Some((_, cookie)) = heaviest else {
                return false;
            };
            self.forget(cookie);
        }
        true
    }

    fn charge(&mut self, owner: LinkId, cost: usize) {
        self.bytes = self.bytes.saturating_add(cost);
        if let Some(share) = self.shares.get_mut(&owner) {
            share.bytes = share.bytes.saturating_add(cost);
        }
    }

    fn discharge(&mut self, owner: LinkId, cost: usize) {
        self.bytes = self.bytes.saturating_sub(cost);
        if let Some(share) = self.shares.get_mut(&owner) {
            share.bytes = share.bytes.saturating_sub(cost);
            if share.by_age.is_empty() {
                self.shares.remove(&owner);
            }
        }
    }
}

/// Bytes charged for one shard: its data, and its share of map and allocator.
pub(super) const SHARD_COST: usize = SHARD_LEN + 41;

/// Bytes charged for one set without its shards: the set and its entries in four maps.
pub(super) const SET_COST: usize = 512;
