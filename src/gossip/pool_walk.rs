//! The walk through the pool that finds what a peer lacks.
//!
//! A new peer, one that widens its requirements, and one whose queue had no room are given the
//! content of the pool. Each of them has a cursor instead of a copied list, and takes a few steps
//! when it can use what they find: a peer that comes costs neither a walk nor memory. The steps of
//! all peers have one budget, and are reserved in advance, so that peers walk in turn.
//!
//! The order is that of the hashes, from a random start: it does not show when an envelope came.

use circuits::rate_limit::{Quota, TokenBucket};
use circuits::time::Instant;
use rand_core::CryptoRng;

use crate::envelope_pool::{Pool, PooledEnvelope};

/// A circle through the pool, in the order of hashes.
#[derive(Debug)]
pub(super) struct PoolWalk {
    /// The first prefix that was not visited.
    next: u64,
    /// Where the circle ends, once the walk has begun anew at the lowest prefix.
    end: u64,
    has_wrapped: bool,
}

impl PoolWalk {
    /// A walk from a random start.
    pub(super) fn new(rng: &mut impl CryptoRng) -> Self {
        let start = rng.next_u64();
        Self {
            next: start,
            end: start,
            has_wrapped: false,
        }
    }

    /// Extends the walk to a full circle from where it is.
    pub(super) const fn restart(&mut self) {
        self.end = self.next;
        self.has_wrapped = false;
    }

    /// Visits the next envelopes, [`WALK_STEPS`] at most; `false` if the circle is complete.
    pub(super) fn advance(&mut self, pool: &Pool, mut visit: impl FnMut(&PooledEnvelope)) -> bool {
        let mut steps = 0;
        loop {
            for (prefix, pooled) in pool.from_prefix(self.next) {
                if self.has_wrapped && prefix >= self.end {
                    return false;
                }
                if steps == WALK_STEPS {
                    return true;
                }
                steps += 1;
                self.next = prefix.saturating_add(1);
                visit(pooled);
            }
            if self.has_wrapped {
                return false;
            }
            self.has_wrapped = true;
            self.next = 0;
        }
    }
}

/// The budget for the steps of all peers.
#[derive(Debug, Default)]
pub(super) struct WalkBudget(TokenBucket);

impl WalkBudget {
    /// Reserves [`WALK_STEPS`] steps, and returns when they may be taken, possibly in the past.
    pub(super) fn reserve(&mut self, now: Instant) -> Instant {
        self.0.reserve(WALK_QUOTA, 1, now)
    }
}

/// Envelopes that a peer visits at a time.
pub(super) const WALK_STEPS: usize = 256;
/// Units of [`WALK_STEPS`] for all peers: 65,536 steps a second, of less than a microsecond each,
/// and 2,048 in one turn.
const WALK_QUOTA: Quota = Quota::per_second(256, 8);

#[cfg(test)]
mod tests;
