//! Long packets for peers without cells, within one budget of the node.
//!
//! A packet of 16 KB in 334 ms is at least what every peer gets. On a link that carries no cells a
//! packet may be longer, since no cell waits behind it. The additional bytes come from one bucket for
//! all peers, so that many new peers cannot take the whole uplink for the content of the pool. Peers
//! are served in turn: the bytes go first to the peer after the one that got some last.
//!
//! The module decides lengths only, and neither what is sent nor when.

use std::collections::BTreeSet;

use circuits::ids::LinkId;
use circuits::rate_limit::{Quota, TokenBucket};
use circuits::time::Instant;

/// The budget for the additional bytes, and whose turn it is.
#[derive(Debug, Default)]
pub(super) struct BulkBudget {
    bucket: TokenBucket,
    /// The last peer that got additional bytes.
    last: Option<LinkId>,
}

impl BulkBudget {
    /// The due peers in the order in which they are served.
    pub(super) fn in_turn(&self, due: &BTreeSet<LinkId>) -> Vec<LinkId> {
        let first = |link: &&LinkId| self.last.is_none_or(|last| **link > last);
        let (before, after): (Vec<&LinkId>, Vec<&LinkId>) = due.iter().partition(|l| !first(l));
        after.into_iter().chain(before).copied().collect()
    }

    /// Lengthens a packet of `limit` bytes to this peer, if the budget permits; `None` otherwise.
    pub(super) fn extend(&mut self, now: Instant, link: LinkId, limit: usize) -> Option<usize> {
        let longer = limit.saturating_add(TARGET_PACKET);
        if longer > BULK_PACKET || !self.bucket.take(BULK_QUOTA, now) {
            return None;
        }
        self.last = Some(link);
        Some(longer)
    }
}

/// Maximum packet size in bytes on a link that may carry cells, unless a single envelope is longer:
/// long frames would delay the cells.
pub(super) const TARGET_PACKET: usize = 16_384;
/// Maximum packet size in bytes on a link without cells, unless a single envelope is longer: an
/// eighth of what go-ethereum reads, and with three packets a second eight times the rate of
/// [`TARGET_PACKET`].
const BULK_PACKET: usize = 8 * TARGET_PACKET;
/// Additional bytes to all peers, in units of [`TARGET_PACKET`]: 1 MiB per second.
const BULK_QUOTA: Quota = Quota::per_second(64, 64);

#[cfg(test)]
mod tests {
    use super::*;

    const A: LinkId = LinkId(1);
    const B: LinkId = LinkId(2);

    /// Additional units that a peer gets for one packet.
    fn units(budget: &mut BulkBudget, now: Instant, link: LinkId) -> usize {
        let mut limit = TARGET_PACKET;
        while let Some(longer) = budget.extend(now, link, limit) {
            limit = longer;
        }
        limit / TARGET_PACKET - 1
    }

    #[test]
    fn additional_bytes_of_all_peers_stay_within_one_budget() {
        let mut budget = BulkBudget::default();
        let now = Instant::from_micros(5_000_000);
        let first: usize = (1..=20).map(|n| units(&mut budget, now, LinkId(n))).sum();
        assert_eq!(first, 64);
        let later = now.after(core::time::Duration::from_secs(1));
        let second: usize = (1..=20).map(|n| units(&mut budget, later, LinkId(n))).sum();
        assert_eq!(second, 64);
    }

    #[test]
    fn peer_after_the_last_served_comes_first() {
        let mut budget = BulkBudget::default();
        let due = BTreeSet::from([A, B]);
        assert_eq!(budget.in_turn(&due), [A, B]);
        assert!(budget.extend(Instant::ZERO, A, TARGET_PACKET).is_some());
        assert_eq!(budget.in_turn(&due), [B, A]);
        assert!(budget.extend(Instant::ZERO, B, TARGET_PACKET).is_some());
        assert_eq!(budget.in_turn(&due), [A, B]);
    }
}
