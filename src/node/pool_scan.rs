//! New keys search the mempool for messages that arrived before them.
//!
//! One scan serves all keys of a component: it goes around the mempool in the order of hashes, some envelopes
//! at a time, and a key that joins on the way leaves after one round. So an identity costs the
//! node no turn in proportion to the mempool, and 256 identities that are unlocked one after another
//! cost one round or two. Envelopes that arrive meanwhile are tried with every key anyway.

use std::collections::{BTreeMap, BTreeSet};

use crate::envelope::EnvelopeHash;
use crate::envelope_pool::{Pool, PooledEnvelope};
/// Keys that search the mempool: filters, or what else the component calls its keys.
pub(super) struct PoolScan<K> {
    keys: BTreeMap<K, ScanRound>,
    /// The last envelope that was visited; `None` before the first.
    cursor: Option<EnvelopeHash>,
}

/// The round of one key.
struct ScanRound {
    /// The cursor when the key joined.
    start: Option<EnvelopeHash>,
    /// Whether the scan has passed the end of the mempool since.
    wrapped: bool,
}

impl<K> Default for PoolScan<K> {
    fn default() -> Self {
        Self {
            keys: BTreeMap::new(),
            cursor: None,
        }
    }
}

impl<K: Copy + Ord> PoolScan<K> {
    /// Adds a key.
    pub(super) fn add(&mut self, key: K) {
        if self.keys.is_empty() {
            self.cursor = None;
        }
        let round = ScanRound {
            start: self.cursor,
            wrapped: false,
        };
        self.keys.insert(key, round);
    }

    /// Removes a key.
    pub(super) fn remove(&mut self, key: K) {
        self.keys.remove(&key);
    }

    /// Whether a key is searching.
    pub(super) fn is_active(&self) -> bool {
        !self.keys.is_empty()
    }

    /// The keys that are searching.
    pub(super) fn keys(&self) -> BTreeSet<K> {
        self.keys.keys().copied().collect()
    }

    /// Visits the next envelopes until `visit` returns false, or there are no more; then keys
    /// whose round is complete leave.
    pub(super) fn advance(&mut self, pool: &Pool, mut visit: impl FnMut(&PooledEnvelope) -> bool) {
        let mut visited = 0_usize;
        let start = self.cursor;
        for pooled in pool.after(start.as_ref()) {
            self.cursor = Some(pooled.envelope.hash());
            visited = visited.saturating_add(1);
            if !visit(pooled) || visited >= MAX_VISITED {
                let cursor = self.cursor;
                self.keys
                    .retain(|_, round| !round.wrapped || round.start > cursor);
                return;
            }
        }
        self.cursor = None;
        self.keys.retain(|_, round| {
            let is_complete = round.wrapped || round.start.is_none();
            round.wrapped = true;
            !is_complete
        });
    }
}

/// Maximum number of envelopes that are visited at once.
const MAX_VISITED: usize = 512;

#[cfg(test)]
mod tests {
    use circuits::time::UnixSecs;

    use super::*;
    use crate::envelope::{Envelope, NotExpired, Topic, Ttl};
    use crate::envelope_pool::InsertOutcome;
    use crate::pow::PowChecked;
    use crate::subscriptions::FilterId;

    const NOW: UnixSecs = UnixSecs(1_700_000_000);

    fn pool(envelopes: u64) -> Pool {
        let mut pool = Pool::new(1 << 20);
        for nonce in 0..envelopes {
            let envelope =
                Envelope::build(NOW.after(50), Ttl(50), Topic([1; 4]), vec![1; 40], nonce);
            let alive = NotExpired::check(envelope.expiry(), envelope.ttl(), NOW).unwrap();
            let pow = PowChecked::check(&envelope, alive, 0.0).unwrap();
            assert_eq!(pool.insert(envelope, pow, alive), InsertOutcome::New);
        }
        pool
    }

    /// Visits `count` envelopes; returns them, and the filters that they are tried for.
    fn visit(
        scan: &mut PoolScan<FilterId>,
        pool: &Pool,
        count: usize,
    ) -> Vec<(EnvelopeHash, BTreeSet<FilterId>)> {
        let filters = scan.keys();
        let mut visited = Vec::new();
        scan.advance(pool, |pooled| {
            visited.push((pooled.envelope.hash(), filters.clone()));
            visited.len() < count
        });
        visited
    }

    #[test]
    fn filter_that_joins_on_the_way_visits_every_envelope() {
        let pool = pool(100);
        for joins_after in [0, 1, 6, 7, 13] {
            let mut scan = PoolScan::default();
            scan.add(FilterId(1));
            let mut all = Vec::new();
            for _ in 0..joins_after {
                all.extend(visit(&mut scan, &pool, 7));
            }
            scan.add(FilterId(2));
            for _ in 0..100 {
                all.extend(visit(&mut scan, &pool, 7));
            }
            assert!(!scan.is_active());
            for filter in [FilterId(1), FilterId(2)] {
                let mut seen = BTreeSet::new();
                let tried = all.iter().filter(|(_, filters)| filters.contains(&filter));
                let count = tried.map(|(hash, _)| seen.insert(*hash)).count();
                assert_eq!(seen.len(), 100, "{filter:?} joins after {joins_after}");
                assert!(count <= 107, "one round, and the rest of a step");
            }
        }
    }

    #[test]
    fn scan_of_an_empty_pool_ends_at_once() {
        let mut scan = PoolScan::default();
        scan.add(FilterId(1));
        assert!(visit(&mut scan, &pool(0), 7).is_empty());
        assert!(!scan.is_active());
    }
}
