//! When each of many things is due, without a walk over all of them.
//!
//! A node has timers for links and messages, and gossip has a time for each peer. A [`DueIndex`]
//! orders them by time, so that a turn costs work only for what is due. It reads no clock and does
//! not know what happens then.

use std::collections::{BTreeMap, BTreeSet};

use crate::time::Instant;

/// The due time of each key. Every operation takes time logarithmic in the number of keys.
#[derive(Clone, Debug)]
pub struct DueIndex<K> {
    due: BTreeMap<K, Instant>,
    by_due: BTreeSet<(Instant, K)>,
}

impl<K> Default for DueIndex<K> {
    fn default() -> Self {
        Self {
            due: BTreeMap::new(),
            by_due: BTreeSet::new(),
        }
    }
}

impl<K: Copy + Ord> DueIndex<K> {
    /// Sets when a key is due; `None` if it is not.
    pub fn set(&mut self, key: K, due: Option<Instant>) {
        let before = match due {
            Some(due) => self.due.insert(key, due),
            None => self.due.remove(&key),
        };
        if before == due {
            return;
        }
        if let Some(before) = before {
            self.by_due.remove(&(before, key));
        }
        if let Some(due) = due {
            self.by_due.insert((due, key));
        }
    }

    /// When a key is due, if it is.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<Instant> {
        self.due.get(key).copied()
    }

    /// When the next key is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.by_due.first().map(|(due, _)| *due)
    }

    /// The keys that are due at `now`, the longest overdue first.
    pub fn due(&self, now: Instant) -> impl Iterator<Item = K> {
        let due = self.by_due.iter().take_while(move |(due, _)| *due <= now);
        due.map(|(_, key)| *key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    #[test]
    fn due_index_follows_every_change() {
        let mut index = DueIndex::default();
        index.set('a', Some(at(5)));
        index.set('b', Some(at(3)));
        index.set('a', Some(at(9)));
        assert_eq!(index.next_due(), Some(at(3)));
        assert!(index.due(at(4)).eq(['b']));
        index.set('b', None);
        assert_eq!(index.get(&'b'), None);
        assert_eq!(index.next_due(), Some(at(9)));
        assert_eq!(index.due(at(8)).count(), 0);
    }

    proptest! {
        #[test]
        fn due_keys_are_those_of_a_plain_map(
            steps in prop::collection::vec((0..8_u8, prop::option::of(0..20_u64)), 0..60),
            now in 0..20_u64,
        ) {
            let mut index = DueIndex::default();
            let mut plain = BTreeMap::new();
            for (key, due) in steps {
                index.set(key, due.map(at));
                match due {
                    Some(due) => plain.insert(key, at(due)),
                    None => plain.remove(&key),
                };
            }
            let mut expected: Vec<(Instant, u8)> = plain.iter().map(|(key, due)| (*due, *key)).collect();
            expected.sort_unstable();
            prop_assert_eq!(index.next_due(), expected.first().map(|(due, _)| *due));
            expected.retain(|(due, _)| *due <= at(now));
            prop_assert!(index.due(at(now)).eq(expected.into_iter().map(|(_, key)| key)));
        }
    }
}
