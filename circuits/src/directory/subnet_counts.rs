//! Number of relays per subnet, and the newest relay of each.
//!
//! When the table is full, the newest unknown relay of the fullest subnet is evicted (spec M12).
//! This index finds it without a walk over the table. A relay is a *newcomer* until the epoch after
//! the one in which it was first seen; after that, no flood can evict it.

use std::collections::{BTreeMap, BTreeSet};

use super::endpoint::Subnet;
use crate::ids::RelayId;

/// Relay counts by subnet, with the newcomers of each subnet in order of arrival.
#[derive(Default)]
pub(super) struct SubnetCounts {
    subnets: BTreeMap<Subnet, SubnetMembers>,
    /// Subnets with newcomers, ordered by number of members: the last one is the fullest.
    by_size: BTreeSet<(usize, Subnet)>,
}

#[derive(Default)]
struct SubnetMembers {
    count: usize,
    newcomers: BTreeMap<u64, RelayId>,
}

impl SubnetCounts {
    /// Number of relays in a subnet.
    pub(super) fn count(&self, subnet: Subnet) -> usize {
        self.subnets.get(&subnet).map_or(0, |members| members.count)
    }

    /// Adds a relay. `arrival` is set for a newcomer and larger than every earlier one.
    pub(super) fn add(&mut self, subnet: Subnet, id: RelayId, arrival: Option<u64>) {
        self.change(subnet, |members| {
            members.count = members.count.saturating_add(1);
            if let Some(arrival) = arrival {
                members.newcomers.insert(arrival, id);
            }
        });
    }

    /// Removes a relay. `arrival` is the value with which it was added, or `None` if it has
    /// settled.
    pub(super) fn remove(&mut self, subnet: Subnet, arrival: Option<u64>) {
        self.change(subnet, |members| {
            members.count = members.count.saturating_sub(1);
            if let Some(arrival) = arrival {
                members.newcomers.remove(&arrival);
            }
        });
    }

    /// Turns a newcomer into an ordinary member.
    pub(super) fn settle(&mut self, subnet: Subnet, arrival: u64) {
        self.change(subnet, |members| {
            members.newcomers.remove(&arrival);
        });
    }

    /// The newest newcomer of the fullest subnet with newcomers, and the size of that subnet.
    pub(super) fn newest_in_fullest(&self) -> Option<(usize, RelayId)> {
        let (count, subnet) = self.by_size.last()?;
        let (_, id) = self.subnets.get(subnet)?.newcomers.last_key_value()?;
        Some((*count, *id))
    }

    fn change(&mut self, subnet: Subnet, edit: impl FnOnce(&mut SubnetMembers)) {
        let members = self.subnets.entry(subnet).or_default();
        self.by_size.remove(&(members.count, subnet));
        edit(members);
        if !members.newcomers.is_empty() {
            self.by_size.insert((members.count, subnet));
        }
        if members.count == 0 {
            self.subnets.remove(&subnet);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Subnet = Subnet::Ip4([8, 1]);
    const B: Subnet = Subnet::Ip4([8, 2]);

    fn id(byte: u8) -> RelayId {
        RelayId([byte; 32])
    }

    #[test]
    fn newest_newcomer_of_fullest_subnet_is_found() {
        let mut counts = SubnetCounts::default();
        counts.add(A, id(1), Some(1));
        counts.add(A, id(2), Some(2));
        counts.add(B, id(3), Some(3));
        assert_eq!(counts.newest_in_fullest(), Some((2, id(2))));
        counts.remove(A, Some(2));
        counts.add(B, id(4), Some(4));
        assert_eq!(counts.newest_in_fullest(), Some((2, id(4))));
        assert_eq!(counts.count(A), 1);
    }

    #[test]
    fn subnet_without_newcomers_is_skipped() {
        let mut counts = SubnetCounts::default();
        for member in 1..=3 {
            counts.add(A, id(member), Some(u64::from(member)));
            counts.settle(A, u64::from(member));
        }
        counts.add(B, id(4), Some(4));
        assert_eq!(counts.newest_in_fullest(), Some((1, id(4))));
        counts.settle(B, 4);
        assert_eq!(counts.newest_in_fullest(), None);
    }

    #[test]
    fn counts_are_empty_after_removal_of_all_relays() {
        let mut counts = SubnetCounts::default();
        counts.add(A, id(1), Some(1));
        counts.add(A, id(2), None);
        counts.remove(A, Some(1));
        counts.remove(A, None);
        assert!(counts.subnets.is_empty() && counts.by_size.is_empty());
    }
}
