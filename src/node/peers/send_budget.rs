//! The limit of what is sent over all links: cells and control messages first, gossip in turns.
//!
//! Cells never wait for gossip, and gossip leaves only while a part of the allowance stays for cells, so that cover
//! traffic does not depend on how much gossip there is. The links that have gossip to send take turns of one
//! frame, so that a peer that requests much does not take the share of another. Without a limit nothing here has
//! an effect.

use std::collections::VecDeque;

use circuits::ids::LinkId;
use circuits::time::Instant;

use crate::bandwidth::{Allowance, BandwidthLimits};

/// What may be sent, and which links wait for it.
#[derive(Default)]
pub(super) struct SendBudget {
    /// `None` without a limit.
    allowance: Option<Allowance>,
    /// Links that have gossip to send, in the order of their turns.
    waiting: VecDeque<LinkId>,
}

impl SendBudget {
    /// The budget of these limits.
    pub(super) fn new(limits: &BandwidthLimits, now: Instant) -> Self {
        Self {
            allowance: Allowance::new(limits.per_second, limits.sent_per_day, now),
            waiting: VecDeque::new(),
        }
    }

    /// Goes on with other limits.
    pub(super) fn set_limits(&mut self, limits: &BandwidthLimits, now: Instant) {
        let earlier = self.allowance.take();
        self.allowance = Allowance::renew(earlier, limits.per_second, limits.sent_per_day, now);
    }

    /// Whether anything is limited.
    pub(super) const fn is_on(&self) -> bool {
        self.allowance.is_some()
    }

    /// Whether gossip may leave now: half of the burst stays for cells.
    pub(super) fn admits_gossip(&mut self, now: Instant) -> bool {
        self.allowance.as_mut().is_none_or(|allowance| {
            let reserved = allowance.burst() / 2;
            allowance.available(now) > reserved
        })
    }

    /// Charges bytes that leave.
    pub(super) fn charge(&mut self, now: Instant, bytes: usize) {
        if let Some(allowance) = &mut self.allowance {
            allowance.charge(now, u64::try_from(bytes).unwrap_or(u64::MAX));
        }
    }

    /// Lets a link wait for its turn, unless it waits already.
    pub(super) fn wait(&mut self, link: LinkId) {
        if !self.waiting.contains(&link) {
            self.waiting.push_back(link);
        }
    }

    /// The link whose turn it is, if gossip may leave now.
    pub(super) fn next(&mut self, now: Instant) -> Option<LinkId> {
        if self.waiting.is_empty() || !self.admits_gossip(now) {
            return None;
        }
        self.waiting.pop_front()
    }

    /// When the next turn is due; `None` if no link waits.
    pub(super) fn due(&mut self, now: Instant) -> Option<Instant> {
        if self.waiting.is_empty() {
            return None;
        }
        let allowance = self.allowance.as_mut()?;
        let wanted = (allowance.burst() / 2).saturating_add(1);
        Some(allowance.due(now, wanted))
    }

    /// Forgets a closed link.
    pub(super) fn forget(&mut self, link: LinkId) {
        self.waiting.retain(|waiting| *waiting != link);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget() -> SendBudget {
        let limits = BandwidthLimits {
            per_second: Some(160_000),
            ..BandwidthLimits::default()
        };
        SendBudget::new(&limits, Instant::ZERO)
    }

    #[test]
    fn gossip_leaves_half_of_the_burst_to_cells() {
        let mut budget = budget();
        assert!(budget.admits_gossip(Instant::ZERO));
        budget.charge(Instant::ZERO, 5_000);
        assert!(!budget.admits_gossip(Instant::ZERO));
        budget.wait(LinkId(1));
        assert_eq!(budget.next(Instant::ZERO), None);
        let due = budget.due(Instant::ZERO).unwrap();
        assert!(due > Instant::ZERO);
        assert_eq!(budget.next(due), Some(LinkId(1)));
    }

    #[test]
    fn links_take_turns_and_wait_once() {
        let mut budget = budget();
        for link in [1, 2, 1, 3] {
            budget.wait(LinkId(link));
        }
        budget.forget(LinkId(2));
        let turns = [(); 3].map(|()| budget.next(Instant::ZERO));
        assert_eq!(turns, [Some(LinkId(1)), Some(LinkId(3)), None]);
        assert_eq!(budget.due(Instant::ZERO), None);
    }

    #[test]
    fn node_without_a_limit_holds_nothing_back() {
        let mut budget = SendBudget::default();
        budget.charge(Instant::ZERO, usize::MAX);
        assert!(budget.admits_gossip(Instant::ZERO) && !budget.is_on());
    }
    #[test]
    fn lifted_limit_lets_the_waiting_links_take_their_turns() {
        let mut budget = budget();
        budget.charge(Instant::ZERO, 1_000_000);
        budget.wait(LinkId(1));
        assert_eq!(budget.next(Instant::ZERO), None);
        budget.set_limits(&BandwidthLimits::default(), Instant::ZERO);
        assert_eq!(budget.next(Instant::ZERO), Some(LinkId(1)));
        assert!(!budget.is_on());
    }
}
