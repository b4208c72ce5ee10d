//! This node's own observations of a relay.
//!
//! Peers cannot prove the age of a relay, so the age counts from the first descriptor that this
//! node received (spec M1, clause b). The directory stores times instead of a result: whether a
//! relay was eligible one hour before an epoch can then be computed at any later time, also after a
//! restart.

use super::endpoint::Subnet;
use crate::ids::{Epoch, LinkId, ShortId};
use crate::time::UnixSecs;

/// Source of a descriptor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DescriptorSource {
    /// This node: its own descriptor.
    Own,
    /// A peer.
    Peer {
        /// The connection, whose quota is charged for failed checks.
        link: LinkId,
        /// The peer's id, which stays the same over reconnects.
        peer: ShortId,
        /// The peer's subnet. Peers in one subnet may belong to one operator.
        subnet: Subnet,
    },
}

impl DescriptorSource {
    /// The subnet of the peer; `None` for this node.
    pub(super) const fn subnet(self) -> Option<Subnet> {
        match self {
            Self::Own => None,
            Self::Peer { subnet, .. } => Some(subnet),
        }
    }
}

/// When a relay was first observed, and when the observation was confirmed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct RelayHistory {
    /// Arrival of its first descriptor.
    pub(super) first_seen: UnixSecs,
    /// Arrival of its first descriptor for a later epoch.
    pub(super) second_epoch: Option<UnixSecs>,
    /// The first peer that reported it.
    pub(super) first_peer: Option<ShortId>,
    /// When a second peer reported it.
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

    /// Records that a peer knows the relay.
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

    /// Records a new descriptor. Only a descriptor that arrives in a later epoch counts as a
    /// renewal: two that arrive together prove nothing.
    pub(super) fn renewed(&mut self, now: UnixSecs) {
        if self.is_known_at(Epoch::at(now)) {
            self.second_epoch.get_or_insert(now);
        }
    }

    /// Whether the relay was first seen before `epoch`.
    pub(super) fn is_known_at(&self, epoch: Epoch) -> bool {
        Epoch::at(self.first_seen) < epoch
    }

    /// Whether, at `moment`, the relay had been observed for 24 hours, in two epochs, from two
    /// peers.
    pub(super) fn is_settled_at(&self, moment: UnixSecs) -> bool {
        let by_then = |at: Option<UnixSecs>| at.is_some_and(|at| at <= moment);
        self.first_seen.after(DAY) <= moment
            && by_then(self.second_epoch)
            && by_then(self.second_peer)
    }
}

/// The distinct subnets from which peers sent the same descriptor, at most three.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct ReportingSubnets(Vec<Subnet>);

impl ReportingSubnets {
    /// Adds a report; whether it is one more.
    pub(super) fn add(&mut self, source: DescriptorSource) -> bool {
        let new = source.subnet().filter(|subnet| self.lacks(*subnet));
        self.0.extend(new);
        new.is_some()
    }

    /// Whether a report from this subnet would be one more.
    pub(super) fn lacks(&self, subnet: Subnet) -> bool {
        !self.has_quorum() && !self.0.contains(&subnet)
    }

    /// Whether a young directory may trust the descriptor (spec M1, clause c).
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
    fn history_is_settled_after_a_day_two_epochs_and_two_peers() {
        let mut history = RelayHistory::new(START);
        history.record_report(START, peer(1, 1));
        history.renewed(START.after(50_000));
        history.record_report(START.after(60_000), peer(2, 1));
        assert!(!history.is_settled_at(START.after(DAY - 1)));
        assert!(history.is_settled_at(START.after(DAY)));
    }

    #[test]
    fn history_with_repeated_reports_of_one_peer_is_not_settled() {
        let mut history = RelayHistory::new(START);
        for hour in 0..100 {
            history.record_report(START.after(hour * 3_600), peer(1, 1));
            history.renewed(START.after(hour * 3_600));
        }
        assert!(!history.is_settled_at(START.after(100 * 3_600)));
    }

    #[test]
    fn history_with_two_descriptors_at_once_is_not_settled() {
        let mut history = RelayHistory::new(START);
        history.record_report(START, peer(1, 1));
        history.record_report(START, peer(2, 2));
        history.renewed(START.after(5));
        assert!(!history.is_settled_at(START.after(10 * DAY)));
    }

    #[test]
    fn reports_from_one_subnet_do_not_reach_quorum() {
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
