//! The mix: delays cells for the times that their origins drew.
//!
//! The delays hide which incoming cell became which outgoing cell, provided that nothing else links
//! the two. Items that are due at the same instant therefore leave in random order. If the mix is
//! full, a random item of the peer with the most items is evicted, so that no peer can empty the
//! mix of the cells of other peers. While there is room, a peer may use all of it: a link whose cells
//! wait for minutes has more of them than a fixed share would hold. The mix is generic over its items and does not wait itself.

use std::collections::BTreeMap;

use rand_core::CryptoRng;

use crate::distributions;
use crate::ids::LinkId;
use crate::time::Instant;

/// Items that wait until they are due.
#[derive(Debug)]
pub struct Mix<T> {
    waiting: BTreeMap<MixKey, MixEntry<T>>,
    /// The keys of the waiting items, by the peer that sent them, unordered.
    links: BTreeMap<LinkId, Vec<MixKey>>,
    pushed: u64,
    capacity: usize,
}

/// Sort key of an item: due time, then chance. The number makes keys unique.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct MixKey {
    due: Instant,
    chance: u64,
    number: u64,
}

#[derive(Debug)]
struct MixEntry<T> {
    from: LinkId,
    /// Index in the list of its peer.
    place: usize,
    value: T,
}

impl<T> Mix<T> {
    /// Default capacity for the cells of a relay: 15 MB, the cells of four links at 20 a second and a
    /// mean delay of 206 s, the longest.
    pub const DEFAULT_CAPACITY: usize = 16_384;

    /// An empty mix for at most `capacity` items.
    #[must_use]
    pub const fn with_capacity(capacity: usize) -> Self {
        Self {
            waiting: BTreeMap::new(),
            links: BTreeMap::new(),
            pushed: 0,
            capacity,
        }
    }

    /// Adds an item, and returns the evicted item, if any.
    ///
    /// If the mix is full, a random item of the peer with the most items is evicted, possibly the new
    /// one.
    pub fn push(
        &mut self,
        rng: &mut impl CryptoRng,
        due: Instant,
        from: LinkId,
        value: T,
    ) -> Option<T> {
        let key = MixKey {
            due,
            chance: rng.next_u64(),
            number: self.pushed,
        };
        self.pushed += 1;
        let list = self.links.entry(from).or_default();
        let place = list.len();
        list.push(key);
        self.waiting.insert(key, MixEntry { from, place, value });

        if self.waiting.len() <= self.capacity {
            return None;
        }
        let heaviest = self.heaviest()?;
        self.evict(rng, heaviest)
    }

    /// Removes the next item that is due at `now`.
    pub fn pop_due(&mut self, now: Instant) -> Option<T> {
        let (key, _) = self.waiting.first_key_value()?;
        if key.due > now {
            return None;
        }
        let key = *key;
        self.remove(key)
    }

    /// Due time of the next item; `None` if the mix is empty.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.waiting.keys().next().map(|key| key.due)
    }

    /// Number of waiting items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether no item waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn heaviest(&self) -> Option<LinkId> {
        let (link, _) = self.links.iter().max_by_key(|(_, list)| list.len())?;
        Some(*link)
    }

    fn evict(&mut self, rng: &mut impl CryptoRng, link: LinkId) -> Option<T> {
        let list = self.links.get(&link)?;
        let key = *distributions::pick(rng, list)?;
        self.remove(key)
    }

    fn remove(&mut self, key: MixKey) -> Option<T> {
        let MixEntry { from, place, value } = self.waiting.remove(&key)?;
        let list = self.links.get_mut(&from)?;
        list.swap_remove(place);
        match list.get(place).copied() {
            Some(moved) => {
                if let Some(item) = self.waiting.get_mut(&moved) {
                    item.place = place;
                }
            }
            None if list.is_empty() => {
                self.links.remove(&from);
            }
            None => {}
        }
        Some(value)
    }
}

impl<T> Default for Mix<T> {
    fn default() -> Self {
        Self::with_capacity(Self::DEFAULT_CAPACITY)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    fn rng() -> ChaCha20Rng {
        ChaCha20Rng::from_seed([5; 32])
    }

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    fn drain<T>(mix: &mut Mix<T>, now: Instant) -> Vec<T> {
        std::iter::from_fn(|| mix.pop_due(now)).collect()
    }

    #[test]
    fn item_does_not_leave_before_it_is_due() {
        let mut mix = Mix::default();
        let mut rng = rng();
        for due in [30, 10, 20] {
            assert_eq!(mix.push(&mut rng, at(due), LinkId(1), due), None);
        }
        assert_eq!(mix.next_due(), Some(at(10)));
        assert!(drain(&mut mix, at(9)).is_empty());
        assert_eq!(drain(&mut mix, at(20)), [10, 20]);
        assert_eq!(mix.next_due(), Some(at(30)));
        assert_eq!(drain(&mut mix, at(u64::MAX)), [30]);
        assert!(mix.is_empty());
        assert_eq!(mix.next_due(), None);
    }

    #[test]
    fn items_due_at_one_instant_leave_in_random_order() {
        let mut mix = Mix::default();
        let mut rng = rng();
        let mut first = [0_u32; 8];
        for _ in 0..4_000 {
            for item in 0..8_usize {
                mix.push(&mut rng, at(5), LinkId(1), item);
            }
            let order = drain(&mut mix, at(5));
            assert_eq!(order.len(), 8);
            first[order[0]] += 1;
        }
        // 500 each on average; standard deviation 21.
        assert!(
            first.iter().all(|count| (400..600).contains(count)),
            "{first:?}"
        );
    }

    #[test]
    fn slow_link_at_the_permitted_rate_loses_nothing_while_there_is_room() {
        // 20 cells a second that wait 206 s on average: more than a quarter of 8,192.
        let mut mix = Mix::default();
        let mut rng = rng();
        let mut lost = 0;
        for n in 0..20 * 1_000_u64 {
            let now = at(n * 50_000);
            while mix.pop_due(now).is_some() {}
            let wait = core::time::Duration::from_secs(300);
            let limit = core::time::Duration::from_secs(600);
            let wait = distributions::exponential_within(&mut rng, wait, limit);
            lost += u32::from(mix.push(&mut rng, now.after(wait), LinkId(1), n).is_some());
        }
        assert_eq!(lost, 0);
        assert!(mix.len() > 2_048, "{}", mix.len());
    }

    #[test]
    fn flood_evicts_only_its_own_items() {
        let mut mix = Mix::with_capacity(100);
        let mut rng = rng();
        for _ in 0..10 {
            mix.push(&mut rng, at(9), LinkId(1), 1);
        }
        for _ in 0..1_000 {
            let evicted = mix.push(&mut rng, at(9), LinkId(666), 666);
            assert_ne!(evicted, Some(1));
        }
        let kept = drain(&mut mix, at(9));
        assert_eq!(kept.iter().filter(|from| **from == 1).count(), 10);
        assert_eq!(kept.len(), 100);
    }

    #[test]
    fn full_mix_evicts_item_of_peer_with_most_items() {
        let mut mix = Mix::with_capacity(100);
        let mut rng = rng();
        for link in 0..5 {
            for _ in 0..20 {
                mix.push(&mut rng, at(9), LinkId(link), link);
            }
        }
        mix.push(&mut rng, at(9), LinkId(4), 4);
        for n in 0..12 {
            let evicted = mix.push(&mut rng, at(9), LinkId(77), 77);
            assert!(
                evicted.is_some_and(|from| from < 5),
                "push {n}: {evicted:?}"
            );
            assert_eq!(mix.len(), 100);
        }
    }

    #[test]
    fn eviction_is_uniform_over_items_of_peer() {
        let mut rng = rng();
        let mut by_age = [0_u32; 25];
        for _ in 0..5_200 {
            let mut mix = Mix::with_capacity(25);
            for age in 0..25 {
                mix.push(&mut rng, at(u64::try_from(age).unwrap()), LinkId(1), age);
            }
            // The new item is evicted as often as every other item.
            if let Some(age) = mix
                .push(&mut rng, at(99), LinkId(1), 25)
                .filter(|age| *age < 25)
            {
                by_age[age] += 1;
            }
        }
        // 200 each on average; standard deviation 14.
        assert!(
            by_age.iter().all(|count| (130..270).contains(count)),
            "{by_age:?}"
        );
    }

    proptest! {
        #[test]
        fn every_item_leaves_once_in_order_of_due_time(
            pushes in prop::collection::vec((0..50_u64, 0..6_u64), 0..300),
            capacity in 4..80_usize,
            seed in any::<[u8; 32]>(),
        ) {
            let mut rng = ChaCha20Rng::from_seed(seed);
            let mut mix = Mix::with_capacity(capacity);
            let mut gone = Vec::new();
            for (n, (due, from)) in pushes.iter().enumerate() {
                gone.extend(mix.push(&mut rng, at(*due), LinkId(*from), n));
                prop_assert!(mix.len() <= capacity);
            }
            let order = drain(&mut mix, at(50));
            let dues: Vec<u64> = order.iter().map(|n| pushes[*n].0).collect();
            prop_assert!(dues.is_sorted());
            prop_assert!(mix.links.is_empty());
            gone.extend(order);
            gone.sort_unstable();
            prop_assert_eq!(gone, (0..pushes.len()).collect::<Vec<_>>());
        }
    }
}
