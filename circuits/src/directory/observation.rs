//! What this node has itself seen of a relay, which no descriptor can say.
//!
//! Peers cannot prove a relay's age, so age is counted from our own first sight of it (spec M1,
//! clause b). The times are kept rather than the verdict: whether a relay was eligible an hour
//! before an epoch began can then be answered at any later moment, also after a restart.

use super::endpoint::Subnet;
use crate::ids::{Epoch, LinkId, ShortId};
use crate::time::UnixSecs;

/// Who brought a descriptor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DescriptorSource {
    /// This node itself: its own descriptor.
    Own,
    /// A neighbour.
    Peer {
        /// The connection, whose allowance pays for useless work.
        link: LinkId,
        /// The neighbour's id: the same after it reconnects.
        peer: ShortId,
        /// Where it connects from; neighbours in one subnet may be one person.
        subnet: Subnet,
    },
}

/// When a relay was first seen, and when that was confirmed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct RelayHistory {
    /// When its first descriptor came.
    pub(super) first_seen: UnixSecs,
    /// When it first renewed its descriptor in a later epoch.
    pub(super) second_epoch: Option<UnixSecs>,
    /// The first neighbour that knew it.
    pub(super) first_peer: Option<ShortId>,
    /// When a second neighbour was found to know it.
    pub(super) second_peer: Option<UnixSecs>,
}

impl RelayHistory {
    pub(super) const fn new(now: UnixSecs) -> Self {
        Self {
            first_seen: now,
            second_epoch: None,
            first_peer: None,
            second_peer: None,
        }
    }

    /// A neighbour was found to know the relay.
    pub(super) fn record_report(&mut self, now: UnixSecs, source: DescriptorSource) {
        let DescriptorSource::Peer { peer, .. } = source else {
            return;
        };
        match self.first_peer {
            None => self.first_peer = Some(peer),
            Some(first) if first != peer => {
                self.second_peer.get_or_insert(now);
            }
            Some(_) => {}
        }
    }

    /// A new descriptor came. Only one that comes in a later epoch counts as a renewal: two
    /// handed over together prove nothing.
    pub(super) fn renewed(&mut self, now: UnixSecs) {
        if self.is_known_at(Epoch::at(now)) {
            self.second_epoch.get_or_insert(now);
        }
    }

    /// Whether the relay was first seen before `epoch`.
    pub(super) fn is_known_at(&self, epoch: Epoch) -> bool {
        Epoch::at(self.first_seen) < epoch
    }

    /// Whether, at `moment`, it had been seen for 24 hours, in two epochs, from two neighbours.
    pub(super) fn is_settled_at(&self, moment: UnixSecs) -> bool {
        let by_then = |at: Option<UnixSecs>| at.is_some_and(|at| at <= moment);
        self.first_seen.after(DAY) <= moment
            && by_then(self.second_epoch)
            && by_then(self.second_peer)
    }
}

/// The different subnets that neighbours told the same thing from, three at the most.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct ReportingSubnets(Vec<Subnet>);

impl ReportingSubnets {
    pub(super) fn add(&mut self, source: DescriptorSource) {
        if let DescriptorSource::Peer { subnet, .. } = source
            && !self.0.contains(&subnet)
            && !self.has_quorum()
        {
            self.0.push(subnet);
        }
    }

    /// Whether a young directory may believe it (spec M1, clause c).
    pub(super) fn has_quorum(&self) -> bool {
        self.0.len() >= QUORUM
    }

    pub(super) fn subnets(&self) -> &[Subnet] {
        &self.0
    }

    pub(super) fn restore(mut subnets: Vec<Subnet>) -> Self {
        subnets.truncate(QUORUM);
        Self(subnets)
    }
}

pub(super) const DAY: u32 = 86_400;
const QUORUM: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(name: u8, subnet: u8) -> DescriptorSource {
        DescriptorSource::Peer {
            link: LinkId(u64::from(name)),
            peer: ShortId([name; 16]),
            subnet: Subnet::Ip4([8, subnet]),
        }
    }

    const START: UnixSecs = Epoch(40_000).start();

    #[test]
    fn a_relay_settles_after_a_day_two_epochs_and_two_peers() {
        let mut history = RelayHistory::new(START);
        history.record_report(START, peer(1, 1));
        history.renewed(START.after(50_000));
        history.record_report(START.after(60_000), peer(2, 1));
        assert!(!history.is_settled_at(START.after(DAY - 1)));
        assert!(history.is_settled_at(START.after(DAY)));
    }

    #[test]
    fn one_peer_that_repeats_itself_stays_one() {
        let mut history = RelayHistory::new(START);
        for hour in 0..100 {
            history.record_report(START.after(hour * 3_600), peer(1, 1));
            history.renewed(START.after(hour * 3_600));
        }
        assert!(!history.is_settled_at(START.after(100 * 3_600)));
    }

    #[test]
    fn two_descriptors_handed_over_together_are_one_epoch() {
        let mut history = RelayHistory::new(START);
        history.record_report(START, peer(1, 1));
        history.record_report(START, peer(2, 2));
        history.renewed(START.after(5));
        assert!(!history.is_settled_at(START.after(10 * DAY)));
    }

    #[test]
    fn three_reports_from_one_subnet_are_no_quorum() {
        let mut reported_from = ReportingSubnets::default();
        for name in 1..=9 {
            reported_from.add(peer(name, 1));
        }
        reported_from.add(peer(10, 2));
        assert!(!reported_from.has_quorum());
        reported_from.add(peer(11, 3));
        assert!(reported_from.has_quorum());
    }
}
