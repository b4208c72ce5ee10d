//! A map with a maximum number of entries.
//!
//! Tables that peers can fill need a bound, and a rule for what is evicted at the bound. Each entry
//! of a [`BoundedMap`] has a rank, and the entry of the lowest rank is evicted first; among equal
//! ranks, the one that was ranked first. With the time of the last use as the rank, the oldest
//! entry is evicted; with an end time, the one that ends first. Every operation takes time
//! logarithmic in the number of entries, so a full table is no slower under a flood.
//!
//! The map reads no clock and does not choose ranks.

use std::collections::BTreeMap;

/// At most `capacity` entries; the lowest-ranked is evicted first.
#[derive(Clone, Debug)]
pub struct BoundedMap<K, V, R> {
    entries: BTreeMap<K, RankedEntry<V, R>>,
    /// Keys in the order of eviction. The number distinguishes equal ranks.
    order: BTreeMap<(R, u64), K>,
    capacity: usize,
    ranked: u64,
}

#[derive(Clone, Debug)]
struct RankedEntry<V, R> {
    rank: (R, u64),
    value: V,
}

impl<K: Copy + Ord, V, R: Copy + Ord> BoundedMap<K, V, R> {
    /// An empty map for `capacity` entries, at least one.
    #[must_use]
    pub const fn new(capacity: usize) -> Self {
        let capacity = if capacity == 0 { 1 } else { capacity };
        Self {
            entries: BTreeMap::new(),
            order: BTreeMap::new(),
            capacity,
            ranked: 0,
        }
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the next new key evicts an entry.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.entries.len() >= self.capacity
    }

    /// Whether the key has an entry.
    #[must_use]
    pub fn contains_key(&self, key: &K) -> bool {
        self.entries.contains_key(key)
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|entry| &entry.value)
    }

    /// The value of a key, to change it without a change of rank.
    #[must_use]
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|entry| &mut entry.value)
    }

    /// The rank of a key.
    #[must_use]
    pub fn rank(&self, key: &K) -> Option<R> {
        self.entries.get(key).map(|entry| entry.rank.0)
    }

    /// The entry that would be evicted next, with its rank.
    #[must_use]
    pub fn first(&self) -> Option<(&K, R)> {
        let ((rank, _), key) = self.order.first_key_value()?;
        Some((key, *rank))
    }

    /// All keys and values, in the order of keys.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, entry)| (key, &entry.value))
    }

    /// All values, in the order of keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.entries.values().map(|entry| &entry.value)
    }

    /// Stores an entry in place of one of the same key. If the map is full and the key is new, the
    /// lowest-ranked of the other entries is evicted and returned.
    pub fn insert(&mut self, key: K, rank: R, value: V) -> Option<(K, V)> {
        let evicted = if self.remove(&key).is_none() && self.is_full() {
            self.pop_first()
        } else {
            None
        };
        self.ranked = self.ranked.wrapping_add(1);
        let rank = (rank, self.ranked);
        self.order.insert(rank, key);
        self.entries.insert(key, RankedEntry { rank, value });
        evicted
    }

    /// Changes the rank of an entry, and returns its value.
    pub fn touch(&mut self, key: &K, rank: R) -> Option<&mut V> {
        let entry = self.entries.get_mut(key)?;
        self.order.remove(&entry.rank);
        self.ranked = self.ranked.wrapping_add(1);
        entry.rank = (rank, self.ranked);
        self.order.insert(entry.rank, *key);
        Some(&mut entry.value)
    }

    /// Removes an entry.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.remove(key)?;
        self.order.remove(&entry.rank);
        Some(entry.value)
    }

    /// Removes the lowest-ranked entry.
    pub fn pop_first(&mut self) -> Option<(K, V)> {
        let (_, key) = self.order.pop_first()?;
        let entry = self.entries.remove(&key)?;
        Some((key, entry.value))
    }

    /// Removes the lowest-ranked entry if `condition` holds for its rank. Called until it returns
    /// nothing, it removes the expired entries of a map that is ranked by end time.
    pub fn pop_first_if(&mut self, condition: impl FnOnce(R) -> bool) -> Option<(K, V)> {
        let (_, rank) = self.first()?;
        if condition(rank) {
            self.pop_first()
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn full_map_evicts_entry_that_was_touched_first() {
        let mut map = BoundedMap::new(3);
        for (time, key) in ["a", "b", "c"].into_iter().enumerate() {
            assert_eq!(map.insert(key, time, ()), None);
        }
        assert!(map.touch(&"a", 3).is_some());
        assert_eq!(map.insert("d", 4, ()), Some(("b", ())));
        assert_eq!(map.insert("e", 5, ()), Some(("c", ())));
        assert!(map.contains_key(&"a") && map.len() == 3);
    }

    #[test]
    fn equal_ranks_are_evicted_in_order_of_insertion() {
        let mut map = BoundedMap::new(2);
        map.insert(9, (), 'x');
        map.insert(1, (), 'y');
        assert_eq!(map.insert(5, (), 'z'), Some((9, 'x')));
    }

    #[test]
    fn new_entry_of_lowest_rank_is_stored() {
        let mut map = BoundedMap::new(1);
        map.insert('a', 9, ());
        assert_eq!(map.insert('b', 1, ()), Some(('a', ())));
        assert!(map.contains_key(&'b'));
    }

    #[test]
    fn stored_key_is_replaced_without_eviction() {
        let mut map = BoundedMap::new(2);
        map.insert('a', 1, 10);
        map.insert('b', 2, 20);
        assert_eq!(map.insert('a', 3, 11), None);
        assert_eq!(map.iter().collect::<Vec<_>>(), [(&'a', &11), (&'b', &20)]);
        assert_eq!(map.rank(&'a'), Some(3));
        assert_eq!(map.first(), Some((&'b', 2)));
    }

    #[test]
    fn capacity_of_zero_holds_one_entry() {
        let mut map = BoundedMap::new(0);
        assert_eq!(map.insert('a', 1, ()), None);
        assert_eq!(map.insert('b', 1, ()), Some(('a', ())));
        assert_eq!(map.len(), 1);
    }

    #[test]
    fn expired_entries_are_removed_in_order() {
        let mut map = BoundedMap::new(9);
        for (key, end) in [('a', 30), ('b', 10), ('c', 20)] {
            map.insert(key, end, ());
        }
        let expired = core::iter::from_fn(|| map.pop_first_if(|end| end <= 20));
        assert!(expired.map(|(key, ())| key).eq(['b', 'c']));
        assert_eq!(map.len(), 1);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u8, u8),
        Touch(u8, u8),
        Remove(u8),
        PopFirst,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..20_u8, 0..5_u8).prop_map(|(key, rank)| Step::Insert(key, rank)),
            2 => (0..20_u8, 0..5_u8).prop_map(|(key, rank)| Step::Touch(key, rank)),
            1 => (0..20_u8).prop_map(Step::Remove),
            1 => Just(Step::PopFirst),
        ]
    }

    /// A list that is searched in full: (rank, time of ranking, key).
    #[derive(Default)]
    struct Model {
        entries: Vec<(u8, usize, u8)>,
    }

    impl Model {
        fn remove(&mut self, key: u8) -> bool {
            let before = self.entries.len();
            self.entries.retain(|entry| entry.2 != key);
            before != self.entries.len()
        }

        fn pop_first(&mut self) -> Option<u8> {
            let key = self.entries.iter().min()?.2;
            self.remove(key);
            Some(key)
        }
    }

    proptest! {
        #[test]
        fn map_agrees_with_searched_list(
            capacity in 1..8_usize,
            steps in proptest::collection::vec(step(), 0..200),
        ) {
            let (mut map, mut model) = (BoundedMap::new(capacity), Model::default());
            for (time, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Insert(key, rank) => {
                        let known = model.remove(key);
                        let evicts = !known && model.entries.len() == capacity;
                        let evicted = if evicts { model.pop_first() } else { None };
                        model.entries.push((rank, time, key));
                        let got = map.insert(key, rank, u16::from(key));
                        prop_assert_eq!(got.map(|(key, _)| key), evicted);
                    }
                    Step::Touch(key, rank) => {
                        let known = model.remove(key);
                        if known {
                            model.entries.push((rank, time, key));
                        }
                        prop_assert_eq!(map.touch(&key, rank).is_some(), known);
                    }
                    Step::Remove(key) => {
                        prop_assert_eq!(map.remove(&key).is_some(), model.remove(key));
                    }
                    Step::PopFirst => {
                        let popped = map.pop_first().map(|(key, _)| key);
                        prop_assert_eq!(popped, model.pop_first());
                    }
                }
                prop_assert!(map.len() <= capacity);
                prop_assert_eq!(map.order.len(), map.entries.len());
                let mut keys: Vec<u8> = model.entries.iter().map(|entry| entry.2).collect();
                keys.sort_unstable();
                prop_assert!(map.iter().all(|(key, value)| u16::from(*key) == *value));
                prop_assert!(map.iter().map(|(key, _)| *key).eq(keys));
            }
        }
    }
}
