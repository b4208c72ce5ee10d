//! The nodes that proved where they are, sorted by distance.
//!
//! One bucket for each of the farthest distances, and one for all that are nearer; the farther, the
//! more nodes there are to choose from, so most of the table is random strangers. A node that is
//! there and answers is never pushed out by one that is new, and one prefix of addresses holds only
//! a few places in a bucket and in the table: filling it takes many networks and much time.

use std::collections::{BTreeMap, VecDeque};

use circuits::distributions;
use circuits::ids::RelayKey;
use rand_core::CryptoRng;

use super::contact::{AddressScope, Contact, NodeId, Prefix};

/// Contacts by distance from us.
#[derive(Debug)]
pub(super) struct RoutingTable {
    own: NodeId,
    buckets: Vec<KBucket>,
    /// Places that a prefix holds, in the buckets and on their waiting lists.
    prefixes: BTreeMap<Prefix, usize>,
}

#[derive(Debug, Default)]
struct KBucket {
    /// Who answered last stands first.
    entries: VecDeque<TableEntry>,
    /// Who would come in if there were room; the newest stands first.
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

    /// How many are in it.
    pub(super) fn len(&self) -> usize {
        self.buckets.iter().map(|bucket| bucket.entries.len()).sum()
    }

    /// Takes in a node that has just proved that it is there.
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

    /// A node did not answer. After a few times it goes, and one that waited takes its place.
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
        if let Some(at) = pick(bucket.replacements.len(), rng)
            && let Some(contact) = bucket.replacements.remove(at)
        {
            // Last, so that it is the next to be asked whether it is still there.
            bucket.entries.push_back(TableEntry {
                contact,
                failures: 0,
            });
        }
        self.recount();
    }

    /// The nodes nearest to a place of those that `fits` lets through, nearest first.
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

    /// Everybody, in random order.
    pub(super) fn shuffled(&self, rng: &mut impl CryptoRng) -> Vec<Contact> {
        let mut contacts: Vec<Contact> = self.contacts().copied().collect();
        for at in (1..contacts.len()).rev() {
            if let Some(other) = pick(at.saturating_add(1), rng) {
                contacts.swap(at, other);
            }
        }
        contacts
    }

    /// The node of a random bucket that has not been heard for longest.
    pub(super) fn stalest(&self, rng: &mut impl CryptoRng) -> Option<Contact> {
        let filled: Vec<&KBucket> = self
            .buckets
            .iter()
            .filter(|bucket| !bucket.entries.is_empty())
            .collect();
        let bucket = filled.get(pick(filled.len(), rng)?)?;
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

    /// Whether a contact's prefix has a place left for it. Machines of one's own network are few,
    /// and all of one prefix.
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

    /// Counts the prefixes anew: the table is small, and a count kept by hand goes wrong.
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

/// A random number below `count`; `None` if there is none.
fn pick(count: usize, rng: &mut impl CryptoRng) -> Option<usize> {
    let count = u32::try_from(count).ok().filter(|count| *count > 0)?;
    usize::try_from(distributions::below(rng, count)).ok()
}

/// Half of all nodes fall into the farthest bucket, a quarter into the next; none of the usual
/// size are in more than the first dozen.
const BUCKET_COUNT: usize = 17;
/// Nodes in a bucket.
const BUCKET_SIZE: usize = 16;
/// Nodes that wait for a place in a bucket.
const MAX_REPLACEMENTS: usize = 10;
/// Times that a node does not answer before it goes.
const MAX_FAILURES: u8 = 3;
/// Nodes of one prefix in a bucket and its waiting list.
const MAX_PREFIX_IN_BUCKET: usize = 2;
/// Nodes of one prefix in all.
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

    /// Enough nodes of different networks to fill the farthest bucket and more.
    fn crowd(count: u8, rng: &mut ChaCha20Rng) -> Vec<Contact> {
        (0..count).map(|i| contact([11, i, 1, 1], rng)).collect()
    }

    #[test]
    fn one_prefix_cannot_fill_a_bucket_or_the_table() {
        let (mut table, mut rng) = (table(), rng());
        for _ in 0..2_000 {
            table.answered(contact([11, 1, 1, 9], &mut rng));
        }
        assert!(table.len() <= MAX_PREFIX_IN_TABLE, "{}", table.len());
        let farthest = table.buckets.last().unwrap();
        assert_eq!(farthest.entries.len(), MAX_PREFIX_IN_BUCKET);
        // Others still come in.
        for contact in crowd(50, &mut rng) {
            table.answered(contact);
        }
        assert!(table.len() > 20);
    }

    #[test]
    fn a_node_that_answers_is_not_pushed_out_by_new_ones() {
        let (mut table, mut rng) = (table(), rng());
        let old = crowd(250, &mut rng);
        old.iter().for_each(|contact| table.answered(*contact));
        let before: Vec<RelayKey> = table.contacts().map(|contact| contact.key).collect();
        for i in 0..250 {
            table.answered(contact([12, i, 1, 1], &mut rng));
        }
        let after: Vec<RelayKey> = table.contacts().map(|contact| contact.key).collect();
        assert!(before.iter().all(|key| after.contains(key)));
    }

    #[test]
    fn a_failed_node_is_replaced_from_the_replacements() {
        let (mut table, mut rng) = (table(), rng());
        for contact in crowd(250, &mut rng) {
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
    fn an_answer_makes_good_for_failures() {
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
    fn moving_to_a_crowded_prefix_costs_the_place() {
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
    fn the_nearest_are_nearer_than_all_others() {
        let (mut table, mut rng) = (table(), rng());
        for contact in crowd(250, &mut rng) {
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
    fn the_table_is_bounded() {
        let (mut table, mut rng) = (table(), rng());
        for _ in 0..5_000 {
            let [a, b, c, d] = rng.next_u32().to_be_bytes();
            table.answered(contact([a, b, c, d], &mut rng));
        }
        assert!(table.len() <= BUCKET_COUNT * BUCKET_SIZE);
        assert!(table.prefixes.len() <= BUCKET_COUNT * (BUCKET_SIZE + MAX_REPLACEMENTS));
    }
}
