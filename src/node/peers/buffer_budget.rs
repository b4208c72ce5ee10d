//! One budget for a kind of bytes that the links of a node hold in memory.
//!
//! Each link has limits of its own, but their sum is too much: a few hundred links that each begin a
//! long message, or that each read nothing, would hold hundreds of megabytes. At the budget, one
//! link loses: of the links that make no progress the one that holds most, or of all links if every
//! one of them makes progress. A link that holds little is never counted.

use core::cmp::Reverse;
use core::time::Duration;
use std::collections::BTreeMap;

use circuits::ids::LinkId;
use circuits::time::Instant;

/// The bytes that links hold.
#[derive(Debug)]
pub(super) struct BufferBudget {
    max_bytes: usize,
    held: BTreeMap<LinkId, HeldBytes>,
    total: usize,
    cut: u64,
}

#[derive(Clone, Copy, Debug)]
struct HeldBytes {
    bytes: usize,
    progress: Instant,
}

impl BufferBudget {
    /// A budget of `max_bytes`.
    pub(super) const fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            held: BTreeMap::new(),
            total: 0,
            cut: 0,
        }
    }

    /// Records what a link holds now, and whether it made progress.
    pub(super) fn update(&mut self, now: Instant, link: LinkId, bytes: usize, progressed: bool) {
        let before = self.remove(link);
        if bytes <= MIN_COUNTED {
            return;
        }
        let progress = match before {
            Some(before) if !progressed => before.progress,
            _ => now,
        };
        self.held.insert(link, HeldBytes { bytes, progress });
        self.total = self.total.saturating_add(bytes);
    }

    /// Forgets a link.
    pub(super) fn forget(&mut self, link: LinkId) {
        self.remove(link);
    }

    fn remove(&mut self, link: LinkId) -> Option<HeldBytes> {
        let held = self.held.remove(&link)?;
        self.total = self.total.saturating_sub(held.bytes);
        Some(held)
    }

    /// What a link held when it was last recorded.
    pub(super) fn held_by(&self, link: LinkId) -> usize {
        self.held.get(&link).map_or(0, |held| held.bytes)
    }

    /// The link that loses, if the budget is exceeded. The caller closes it.
    pub(super) fn take_victim(&mut self, now: Instant) -> Option<LinkId> {
        if self.total <= self.max_bytes {
            return None;
        }
        let rank = |held: &HeldBytes| {
            let stalls = now.since(held.progress) >= STALL_TIME;
            (stalls, held.bytes, Reverse(held.progress))
        };
        let (link, _) = self.held.iter().max_by_key(|(_, held)| rank(held))?;
        let link = *link;
        self.remove(link);
        self.cut = self.cut.saturating_add(1);
        Some(link)
    }

    /// Bytes in total.
    pub(super) const fn total(&self) -> usize {
        self.total
    }

    /// Number of links that lost.
    pub(super) const fn cut(&self) -> u64 {
        self.cut
    }
}

/// What a link may hold without being counted, in bytes.
const MIN_COUNTED: usize = 16 * 1024;
/// Time without progress after which a link counts as stalled.
const STALL_TIME: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const MB: usize = 1 << 20;

    fn at(millis: u64) -> Instant {
        Instant::ZERO.after(Duration::from_millis(millis))
    }

    /// Attack: many links begin a long frame and do not finish it.
    #[test]
    fn stalled_links_lose_before_one_that_makes_progress() {
        let mut budget = BufferBudget::new(8 * MB);
        let honest = LinkId(999);
        for link in 0..100 {
            let now = at(2_000 + link);
            budget.update(at(link), LinkId(link), 2 * MB, true);
            budget.update(now, honest, 2 * MB - 1, true);
            while let Some(victim) = budget.take_victim(now) {
                assert_ne!(victim, honest);
            }
            assert!(budget.total() <= 8 * MB);
        }
        assert_eq!(budget.cut(), 97);
    }

    #[test]
    fn largest_holder_loses_if_all_make_progress() {
        let mut budget = BufferBudget::new(4 * MB);
        for link in 1..=3 {
            budget.update(
                at(link),
                LinkId(link),
                MB + usize::try_from(link).unwrap(),
                true,
            );
        }
        assert_eq!(budget.take_victim(at(5)), None);
        budget.update(at(5), LinkId(4), MB, true);
        assert_eq!(budget.take_victim(at(5)), Some(LinkId(3)));
        assert_eq!(budget.take_victim(at(5)), None);
        assert_eq!(budget.held_by(LinkId(4)), MB);
    }

    #[test]
    fn finished_and_short_messages_are_not_counted() {
        let mut budget = BufferBudget::new(MB);
        budget.update(at(0), LinkId(1), MIN_COUNTED, true);
        assert_eq!(budget.total(), 0);
        budget.update(at(0), LinkId(1), MB, true);
        budget.update(at(1), LinkId(1), 0, true);
        assert_eq!(budget.total(), 0);
        budget.update(at(1), LinkId(1), MB, true);
        budget.forget(LinkId(1));
        assert_eq!((budget.total(), budget.cut()), (0, 0));
    }
}
