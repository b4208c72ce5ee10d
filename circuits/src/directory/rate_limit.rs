//! How much of our time a neighbour may waste.
//!
//! A descriptor that fails its checks costs us up to 0.2 ms and its sender nothing; a
//! request for descriptors costs a walk over the table. Each link has an allowance of both that
//! fills up again with time. Work that was useful is given back, so that an honest neighbour with
//! ten thousand good descriptors never waits.

use std::collections::BTreeMap;

use crate::ids::LinkId;
use crate::time::Instant;

/// An allowance: so many at once, and one more each `every_micros`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Allowance {
    /// Uses that an idle link may make at once.
    pub burst: u32,
    /// Microseconds until one more use is allowed.
    pub every_micros: u32,
}

impl Allowance {
    /// Credit is counted in microseconds: one use costs `every_micros` of them.
    const fn cost(self) -> u64 {
        widen(self.every_micros)
    }

    const fn full(self) -> u64 {
        self.cost().saturating_mul(widen(self.burst))
    }
}

/// One allowance for each link.
pub(super) struct Budget {
    allowance: Allowance,
    links: BTreeMap<LinkId, Credit>,
}

#[derive(Clone, Copy)]
struct Credit {
    micros: u64,
    at: Instant,
}

impl Budget {
    pub(super) const fn new(allowance: Allowance) -> Self {
        Self {
            allowance,
            links: BTreeMap::new(),
        }
    }

    /// Uses the link's allowance once; false if it has none left.
    pub(super) fn take(&mut self, now: Instant, link: LinkId) -> bool {
        if self.links.len() >= TIDY_ABOVE {
            self.tidy(now);
        }
        let allowance = self.allowance;
        let credit = self.links.entry(link).or_insert_with(|| Credit {
            micros: allowance.full(),
            at: now,
        });
        *credit = credit.filled(now, allowance);
        match credit.micros.checked_sub(allowance.cost()) {
            Some(left) => {
                credit.micros = left;
                true
            }
            None => false,
        }
    }

    /// Gives back what the last [`take`](Self::take) took.
    pub(super) fn give_back(&mut self, link: LinkId) {
        if let Some(credit) = self.links.get_mut(&link) {
            let full = self.allowance.full();
            credit.micros = credit
                .micros
                .saturating_add(self.allowance.cost())
                .min(full);
        }
    }

    /// Forgets a link that is closed.
    pub(super) fn forget(&mut self, link: LinkId) {
        self.links.remove(&link);
    }

    /// Drops every link whose allowance is full again: a new entry would say the same.
    fn tidy(&mut self, now: Instant) {
        let allowance = self.allowance;
        self.links
            .retain(|_, credit| credit.filled(now, allowance).micros < allowance.full());
    }
}

impl Credit {
    fn filled(self, now: Instant, allowance: Allowance) -> Self {
        let gained = u64::try_from(now.since(self.at).as_micros()).unwrap_or(u64::MAX);
        Self {
            micros: self.micros.saturating_add(gained).min(allowance.full()),
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
const TIDY_ABOVE: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_AT_ONCE: Allowance = Allowance {
        burst: 2,
        every_micros: 1_000,
    };
    const LINK: LinkId = LinkId(1);

    #[test]
    fn a_link_waits_once_its_burst_is_spent() {
        let mut budget = Budget::new(TWO_AT_ONCE);
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
        let mut budget = Budget::new(TWO_AT_ONCE);
        assert!(budget.take(Instant::ZERO, LINK));
        let late = Instant::from_micros(u64::MAX);
        assert!(budget.take(late, LINK));
        assert!(budget.take(late, LINK));
        assert!(!budget.take(late, LINK));
    }

    #[test]
    fn useful_work_is_given_back() {
        let mut budget = Budget::new(TWO_AT_ONCE);
        for _ in 0..1_000 {
            assert!(budget.take(Instant::ZERO, LINK));
            budget.give_back(LINK);
        }
    }

    #[test]
    fn flood_a_thousand_short_links_leave_no_entries_behind() {
        let mut budget = Budget::new(TWO_AT_ONCE);
        for link in 0..10_000 {
            assert!(budget.take(Instant::from_micros(link * 1_000), LinkId(link)));
        }
        assert!(budget.links.len() <= TIDY_ABOVE + 1);
    }
}
