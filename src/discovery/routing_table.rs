//! Nodes with a proven endpoint, sorted by distance.
//!
//! One bucket for each of the farthest distances, and one for all nearer ones. The farther the
//! bucket, the more nodes there are to choose from, so most of the table is random. A node that
//! still answers is never evicted by a new one, and one address prefix holds only a few entries per
//! bucket and in the table: an attacker needs many networks and much time to fill it.

use std::collections::{BTreeMap, VecDeque};

use circuits::distributions;
use circuits::ids::RelayKey;
use rand_core::CryptoRng;

use super::contact::{AddressScope, Contact, NodeId};
use crate::endpoint::Prefix;

/// Contacts by distance from us.
#[derive(Debug)]
pub(super) struct RoutingTable {
    own: NodeId,
    buckets: Vec<KBucket>,
    /// Entries per prefix, in the buckets and in their replacement lists.
    prefixes: BTreeMap<Prefix, usize>,
}

#[derive(Debug, Default)]
struct KBucket {
    /// Most recently seen first.
    entries: VecDeque<TableEntry>,
    /// Candidates for a free entry, newest first.
    replacements: VecDeque<Contact>,
}

#[derive(Debug)]
struct TableEntry {
    contact: Contact,
    failures: u8,
}

impl RoutingTable {
    pub(super) fn new(own: NodeId) -> Self {
        Self {
            own,
            buckets: (0..BUCKET_COUNT).map(|_| KBucket::default()).collect(),
            prefixes: BTreeMap::new(),
        }
    }

    /// Number of entries.
    pub(super) fn len(&self) -> usize {
        self.buckets.iter().map(|bucket| bucket.entries.len()).sum()
    }

    /// Adds or refreshes a node that has just proved its endpoint.
    pub(super) fn answered(&mut self, contact: Contact) {
        let Some(bucket) = self.buckets.get_mut(index(&self.own, &contact.key)) else {
            return;
        };
        let known = |entry: &TableEntry| entry.contact.key == contact.key;
        if let Some(at) = bucket.entries.iter().position(known) {
            let moved = bucket.entries.remove(at);
            let same = moved.is_some_and(|entry| entry.contact.ip == contact.ip);
            if same || self.admits(&contact, Some(&contact.key)) {
                self.push_front(contact);
            }
            if !same {
                self.recount();
            }
            return;
        }
        if !self.admits(&contact, None) {
            return;
        }
        let Some(bucket) = self.buckets.get_mut(index(&self.own, &contact.key)) else {
            return;
        };
        if bucket.entries.len() < BUCKET_SIZE {
            bucket.replacements.retain(|other| other.key != contact.key);
            self.push_front(contact);
        } else {
            bucket.replacements.retain(|other| other.key != contact.key);
            bucket.replacements.push_front(contact);
            bucket.replacements.truncate(MAX_REPLACEMENTS);
        }
        self.recount();
    }

    /// Records that a node did not answer. After `MAX_FAILURES` a replacement takes its entry.
    pub(super) fn failed(&mut self, key: &RelayKey, rng: &mut impl CryptoRng) {
        let Some(bucket) = self.buckets.get_mut(index(&self.own, key)) else {
            return;
        };
        let Some(at) = bucket
            .entries
            .iter()
            .position(|entry| entry.contact.key == *key)
        else {
            return;
        };
        let Some(entry) = bucket.entries.get_mut(at) else {
            return;
        };
        entry.failures = entry.failures.saturating_add(1);
        if entry.failures < MAX_FAILURES {
            return;
        }
        bucket.entries.remove(at);
        if let Some(at) = distributions::index(rng, bucket.replacements.len())
            && let Some(contact) = bucket.replacements.remove(at)
        {
            // Last, so that this node is the next to be revalidated.
            bucket.entries.push_back(TableEntry {
                contact,
                failures: 0,
            });
        }
        self.recount();
    }

    /// The nodes nearest to a position that `fits` accepts, nearest first.
    pub(super) fn nearest(
        &self,
        target: &NodeId,
        count: usize,
        fits: impl Fn(&Contact) -> bool,
    ) -> Vec<Contact> {
        let mut contacts: Vec<([u8; 32], Contact)> = self
            .contacts()
            .filter(|contact| fits(contact))
            .map(|contact| (target.distance(&contact.node_id()), *contact))
            .collect();
        contacts.sort_unstable_by_key(|(distance, _)| *distance);
        contacts.truncate(count);
        contacts.into_iter().map(|(_, contact)| contact).collect()
    }

    /// All nodes, in random order.
    pub(super) fn shuffled(&self, rng: &mut impl CryptoRng) -> Vec<Contact> {
        let mut contacts: Vec<Contact> = self.contacts().copied().collect();
        distributions::shuffle(rng, &mut contacts);
        contacts
    }

    /// The least recently seen node of a random bucket.
    pub(super) fn stalest(&self, rng: &mut impl CryptoRng) -> Option<Contact> {
        let filled: Vec<&KBucket> = self
            .buckets
            .iter()
            .filter(|bucket| !bucket.entries.is_empty())
            .collect();
        let bucket = distributions::pick(rng, &filled)?;
        bucket.entries.back().map(|entry| entry.contact)
    }

    fn contacts(&self) -> impl Iterator<Item = &Contact> {
        self.buckets
            .iter()
            .flat_map(|bucket| bucket.entries.iter().map(|entry| &entry.contact))
    }

    fn push_front(&mut self, contact: Contact) {
        if let Some(bucket) = self.buckets.get_mut(index(&self.own, &contact.key)) {
            bucket.entries.push_front(TableEntry {
                contact,
                failures: 0,
            });
        }
    }

    /// Whether the limits of a contact's prefix permit one more entry. Nodes of a private network
    /// are exempt: they are few, and share one prefix.
    fn admits(&self, contact: &Contact, but: Option<&RelayKey>) -> bool {
        if AddressScope::of(contact.ip) != AddressScope::Global {
            return true;
        }
        let prefix = Prefix::of(contact.ip);
        let in_table = self.prefixes.get(&prefix).copied().unwrap_or_default();
        let bucket = self.buckets.get(index(&self.own, &contact.key));
        let in_bucket = bucket.map_or(0, |bucket| {
            let entries = bucket.entries.iter().map(|entry| &entry.contact);
            entries
                .chain(&bucket.replacements)
                .filter(|other| Prefix::of(other.ip) == prefix && Some(&other.key) != but)
                .count()
        });
        in_table < MAX_PREFIX_IN_TABLE && in_bucket < MAX_PREFIX_IN_BUCKET
    }

    /// Recounts the prefixes: the table is small, and a full count cannot drift.
    fn recount(&mut self) {
        self.prefixes.clear();
        for bucket in &self.buckets {
            let entries = bucket.entries.iter().map(|entry| &entry.contact);
            for contact in entries.chain(&bucket.replacements) {
                let count = self.prefixes.entry(Prefix::of(contact.ip)).or_default();
                *count = count.saturating_add(1);
            }
        }
    }
}

/// The bucket that a key belongs to.
fn index(own: &NodeId, key: &RelayKey) -> usize {
    let distance = usize::from(own.log_distance(&NodeId::of(key)));
    distance.saturating_sub(257 - BUCKET_COUNT)
}

/// Half of all nodes fall into the farthest bucket, a quarter into the next; a network of the usual
/// size fills no more than the first dozen.
const BUCKET_COUNT: usize = 17;
/// Nodes in a bucket.
const BUCKET_SIZE: usize = 16;
/// Replacements per bucket.
const MAX_REPLACEMENTS: usize = 10;
/// Unanswered pings until a node is removed.
const MAX_FAILURES: u8 = 3;
/// Nodes of one prefix in a bucket and its replacement list.
const MAX_PREFIX_IN_BUCKET: usize = 2;
/// Nodes of one prefix in the table.
const MAX_PREFIX_IN_TABLE: usize = 10;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use rand_chacha::ChaCha20Rng;
    use rand_core::{Rng, SeedableRng};

    use super::*;

    fn rng() -> ChaCha20Rng {
        ChaCha20Rng::from_seed([1; 32])
    }

    fn table() -> RoutingTable {
        RoutingTable::new(NodeId::of(&RelayKey([0; 64])))
    }

    /// A node with a random key at an address.
    fn contact(ip: [u8; 4], rng: &mut ChaCha20Rng) -> Contact {
        let mut key = [0; 64];
        rng.fill_bytes(&mut key);
        Contact {
            key: RelayKey(key),
            ip: Ipv4Addr::from(ip).into(),
            udp: 30303,
            tcp: 30303,
        }
    }

    /// Enough nodes of different networks to overfill the farthest bucket.
    fn nodes(count: u8, rng: &mut ChaCha20Rng) -> Vec<Contact> {
        (0..count).map(|i| contact([11, i, 1, 1], rng)).collect()
    }

    #[test]
    fn one_prefix_cannot_fill_bucket_or_table() {
        let (mut table, mut rng) = (table(), rng());
        for _ in 0..2_000 {
            table.answered(contact([11, 1, 1, 9], &mut rng));
        }
        assert!(table.len() <= MAX_PREFIX_IN_TABLE, "{}", table.len());
        let farthest = table.buckets.last().unwrap();
        assert_eq!(farthest.entries.len(), MAX_PREFIX_IN_BUCKET);
        // Other prefixes are still admitted.
        for contact in nodes(50, &mut rng) {
            table.answered(contact);
        }
        assert!(table.len() > 20);
    }

    #[test]
    fn answering_node_is_not_evicted_by_new_nodes() {
        let (mut table, mut rng) = (table(), rng());
        let old = nodes(250, &mut rng);
        old.iter().for_each(|contact| table.answered(*contact));
        let before: Vec<RelayKey> = table.contacts().map(|contact| contact.key).collect();
        for i in 0..250 {
            table.answered(contact([12, i, 1, 1], &mut rng));
        }
        let after: Vec<RelayKey> = table.contacts().map(|contact| contact.key).collect();
        assert!(before.iter().all(|key| after.contains(key)));
    }

    #[test]
    fn failed_node_is_replaced_from_replacements() {
        let (mut table, mut rng) = (table(), rng());
        for contact in nodes(250, &mut rng) {
            table.answered(contact);
        }
        let full = table.len();
        let gone = table.stalest(&mut rng).unwrap();
        let at = index(&table.own, &gone.key);
        for failure in 1..=MAX_FAILURES {
            assert!(
                table.contacts().any(|contact| *contact == gone),
                "{failure}"
            );
            table.failed(&gone.key, &mut rng);
        }
        assert!(table.contacts().all(|contact| *contact != gone));
        let waited = table.buckets[at].replacements.len() == MAX_REPLACEMENTS - 1;
        assert_eq!(table.len(), if waited { full } else { full - 1 });
    }

    #[test]
    fn answer_resets_failures() {
        let (mut table, mut rng) = (table(), rng());
        let node = contact([11, 1, 1, 1], &mut rng);
        for _ in 0..10 {
            table.answered(node);
            table.failed(&node.key, &mut rng);
            table.failed(&node.key, &mut rng);
        }
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn node_that_moves_to_full_prefix_is_removed() {
        let (mut table, mut rng) = (table(), rng());
        let mut far = Vec::new();
        while far.len() < 3 {
            let node = contact([11, u8::try_from(far.len()).unwrap(), 1, 1], &mut rng);
            if index(&table.own, &node.key) == BUCKET_COUNT - 1 {
                far.push(node);
            }
        }
        far.iter().for_each(|node| table.answered(*node));
        for (node, left) in far.iter().zip([3, 3, 2]) {
            table.answered(Contact {
                ip: [12, 1, 1, 1].into(),
                ..*node
            });
            assert_eq!(table.len(), left);
        }
    }

    #[test]
    fn nearest_are_nearer_than_all_others() {
        let (mut table, mut rng) = (table(), rng());
        for contact in nodes(250, &mut rng) {
            table.answered(contact);
        }
        let target = contact([1, 1, 1, 1], &mut rng).node_id();
        let nearest = table.nearest(&target, 16, |_| true);
        assert_eq!(nearest.len(), 16);
        let distance = |contact: &Contact| target.distance(&contact.node_id());
        let farthest = nearest.iter().map(distance).max().unwrap();
        let others = table
            .contacts()
            .filter(|contact| !nearest.contains(contact));
        assert!(others.map(distance).all(|other| other > farthest));
        assert!(nearest.is_sorted_by_key(distance));
    }

    #[test]
    fn table_size_is_bounded() {
        let (mut table, mut rng) = (table(), rng());
        for _ in 0..5_000 {
            let [a, b, c, d] = rng.next_u32().to_be_bytes();
            table.answered(contact([a, b, c, d], &mut rng));
        }
        assert!(table.len() <= BUCKET_COUNT * BUCKET_SIZE);
        assert!(table.prefixes.len() <= BUCKET_COUNT * (BUCKET_SIZE + MAX_REPLACEMENTS));
    }
}
