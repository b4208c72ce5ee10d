//! How much of our time a neighbour may waste.
//!
//! A descriptor that fails its checks costs us up to 0.2 ms and its sender nothing; a
//! request for descriptors costs a walk over the table. Each link has a quota of both that
//! fills up again with time. Work that was useful is given back, so that an honest neighbour with
//! ten thousand good descriptors never waits.

use std::collections::BTreeMap;

use crate::ids::LinkId;
use crate::time::Instant;

/// A quota: so many at once, and one more each `every_micros`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LinkQuota {
    /// Uses that an idle link may make at once.
    pub burst: u32,
    /// Microseconds until one more use is allowed.
    pub every_micros: u32,
}

impl LinkQuota {
    /// The bucket is counted in microseconds: one use costs `every_micros` of them.
    const fn cost(self) -> u64 {
        widen(self.every_micros)
    }

    const fn full(self) -> u64 {
        self.cost().saturating_mul(widen(self.burst))
    }
}

/// One quota for each link.
pub(super) struct LinkRateLimiter {
    quota: LinkQuota,
    links: BTreeMap<LinkId, TokenBucket>,
}

#[derive(Clone, Copy)]
struct TokenBucket {
    micros: u64,
    at: Instant,
}

impl LinkRateLimiter {
    pub(super) const fn new(quota: LinkQuota) -> Self {
        Self {
            quota,
            links: BTreeMap::new(),
        }
    }

    /// Uses the link's quota once; false if it has none left.
    pub(super) fn take(&mut self, now: Instant, link: LinkId) -> bool {
        if self.links.len() >= PRUNE_ABOVE {
            self.prune(now);
        }
        let quota = self.quota;
        let bucket = self.links.entry(link).or_insert_with(|| TokenBucket {
            micros: quota.full(),
            at: now,
        });
        *bucket = bucket.refilled(now, quota);
        match bucket.micros.checked_sub(quota.cost()) {
            Some(left) => {
                bucket.micros = left;
                true
            }
            None => false,
        }
    }

    /// Gives back what the last [`take`](Self::take) took.
    pub(super) fn give_back(&mut self, link: LinkId) {
        if let Some(bucket) = self.links.get_mut(&link) {
            let full = self.quota.full();
            bucket.micros = bucket.micros.saturating_add(self.quota.cost()).min(full);
        }
    }

    /// Forgets a link that is closed.
    pub(super) fn forget(&mut self, link: LinkId) {
        self.links.remove(&link);
    }

    /// Drops every link whose quota is full again: a new entry would say the same.
    fn prune(&mut self, now: Instant) {
        let quota = self.quota;
        self.links
            .retain(|_, bucket| bucket.refilled(now, quota).micros < quota.full());
    }
}

impl TokenBucket {
    fn refilled(self, now: Instant, quota: LinkQuota) -> Self {
        let gained = u64::try_from(now.since(self.at).as_micros()).unwrap_or(u64::MAX);
        Self {
            micros: self.micros.saturating_add(gained).min(quota.full()),
            at: now,
        }
    }
}

#[expect(
    clippy::as_conversions,
    reason = "u64::from is not const yet; widening loses nothing"
)]
const fn widen(value: u32) -> u64 {
    value as u64
}

/// Links remembered before those with nothing to remember are dropped.
const PRUNE_ABOVE: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_AT_ONCE: LinkQuota = LinkQuota {
        burst: 2,
        every_micros: 1_000,
    };
    const LINK: LinkId = LinkId(1);

    #[test]
    fn a_link_waits_once_its_burst_is_spent() {
        let mut budget = LinkRateLimiter::new(TWO_AT_ONCE);
        let at = Instant::from_micros;
        assert!(budget.take(at(0), LINK));
        assert!(budget.take(at(0), LINK));
        assert!(!budget.take(at(999), LINK));
        assert!(budget.take(at(1_000), LINK));
        assert!(!budget.take(at(1_000), LINK));
        assert!(budget.take(at(1_000), LinkId(2)), "links do not share");
    }

    #[test]
    fn idle_time_earns_no_more_than_the_burst() {
        let mut budget = LinkRateLimiter::new(TWO_AT_ONCE);
        assert!(budget.take(Instant::ZERO, LINK));
        let late = Instant::from_micros(u64::MAX);
        assert!(budget.take(late, LINK));
        assert!(budget.take(late, LINK));
        assert!(!budget.take(late, LINK));
    }

    #[test]
    fn useful_work_is_given_back() {
        let mut budget = LinkRateLimiter::new(TWO_AT_ONCE);
        for _ in 0..1_000 {
            assert!(budget.take(Instant::ZERO, LINK));
            budget.give_back(LINK);
        }
    }

    #[test]
    fn flood_a_thousand_short_links_leave_no_entries_behind() {
        let mut budget = LinkRateLimiter::new(TWO_AT_ONCE);
        for link in 0..10_000 {
            assert!(budget.take(Instant::from_micros(link * 1_000), LinkId(link)));
        }
        assert!(budget.links.len() <= PRUNE_ABOVE + 1);
    }
}
