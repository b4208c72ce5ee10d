//! Long packets for peers without cells, within one budget of the node.
//!
//! A packet of 16 KB in 334 ms is at least what every peer gets. On a link that carries no cells a
//! packet may be longer, since no cell waits behind it. The additional bytes come from one bucket for
//! all peers, so that many new peers cannot take the whole uplink for the content of the pool. Each
//! peer has an equal part of what the bucket gains in a second. Peers that are due at the same time are
//! served in turn: the bytes go first to the peer after the one that got some last.
//!
//! The module decides lengths only, and neither what is sent nor when.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use circuits::ids::LinkId;
use circuits::rate_limit::{Quota, TokenBucket};
use circuits::time::Instant;

/// The budget for the additional bytes, and whose turn it is.
#[derive(Debug, Default)]
pub(super) struct BulkBudget {
    bucket: TokenBucket,
    /// The last peer that got additional bytes.
    last: Option<LinkId>,
    /// When the present second began.
    since: Instant,
    /// What each peer that asked in this second got.
    granted: BTreeMap<LinkId, u32>,
    /// Number of peers that asked in the second before.
    asked_before: usize,
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
        if now.since(self.since) >= SECOND {
            self.since = now;
            self.asked_before = self.granted.len();
            self.granted.clear();
        }
        // A peer that asks counts from now on.
        self.granted.entry(link).or_default();
        let share = self.share();
        let granted = self.granted.entry(link).or_default();
        if longer > BULK_PACKET || *granted >= share || !self.bucket.take(BULK_QUOTA, now) {
            return None;
        }
        *granted += 1;
        self.last = Some(link);
        Some(longer)
    }

    /// What one peer may get in this second.
    fn share(&self) -> u32 {
        let peers = self.granted.len().max(self.asked_before).max(1);
        let peers = u32::try_from(peers).unwrap_or(u32::MAX);
        (BULK_RATE / peers).max(1)
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// Maximum packet size in bytes on a link that may carry cells, unless a single envelope is longer:
/// long frames would delay the cells.
pub(super) const TARGET_PACKET: usize = 16_384;
/// Maximum packet size in bytes on a link without cells, unless a single envelope is longer: an
/// eighth of what go-ethereum reads, and with three packets a second eight times the rate of
/// [`TARGET_PACKET`].
const BULK_PACKET: usize = 8 * TARGET_PACKET;
/// Additional bytes to all peers in a second, in units of [`TARGET_PACKET`]: 1 MiB.
const BULK_RATE: u32 = 64;
const BULK_QUOTA: Quota = Quota::per_second(BULK_RATE, BULK_RATE);

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
        let later = now.after(Duration::from_secs(1));
        let second: usize = (1..=20).map(|n| units(&mut budget, later, LinkId(n))).sum();
        assert_eq!(second, 60, "three for each of twenty");
    }

    #[test]
    fn peer_that_comes_first_in_each_second_takes_no_more_than_its_share() {
        let mut budget = BulkBudget::default();
        let mut got = [0; 20];
        for step in 0..400_u64 {
            // Each peer has a packet every 334 ms, and none at the same time as another.
            let now = Instant::from_micros(5_000_000 + step * 17_000);
            let peer = step % 20;
            got[usize::try_from(peer).unwrap()] += units(&mut budget, now, LinkId(peer + 1));
        }
        let (least, most) = (got.iter().min().unwrap(), got.iter().max().unwrap());
        assert!(*most <= *least + 8, "{got:?}");
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
