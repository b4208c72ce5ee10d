//! Who stands how crowded, and who came last.
//!
//! When the table is full, the newest unknown relay of the fullest subnet has to go (spec M12).
//! This index finds it without walking the table. A relay is a *newcomer* until the epoch after
//! the one it was first seen in; after that no flood can displace it.

use std::collections::{BTreeMap, BTreeSet};

use super::endpoint::Subnet;
use crate::ids::RelayId;

/// Counts of relays by subnet, with the newcomers of each in order of arrival.
#[derive(Default)]
pub(super) struct SubnetCounts {
    subnets: BTreeMap<Subnet, SubnetMembers>,
    /// Subnets that have newcomers, by number of members: the last one is the fullest.
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

    /// Adds a relay; `arrival` if it is a newcomer, a number larger than any before.
    pub(super) fn add(&mut self, subnet: Subnet, id: RelayId, arrival: Option<u64>) {
        self.change(subnet, |members| {
            members.count = members.count.saturating_add(1);
            if let Some(arrival) = arrival {
                members.newcomers.insert(arrival, id);
            }
        });
    }

    /// Removes a relay that was added with these values, and not settled since unless `arrival`
    /// is absent.
    pub(super) fn remove(&mut self, subnet: Subnet, arrival: Option<u64>) {
        self.change(subnet, |members| {
            members.count = members.count.saturating_sub(1);
            if let Some(arrival) = arrival {
                members.newcomers.remove(&arrival);
            }
        });
    }

    /// Makes a newcomer an ordinary member.
    pub(super) fn settle(&mut self, subnet: Subnet, arrival: u64) {
        self.change(subnet, |members| {
            members.newcomers.remove(&arrival);
        });
    }

    /// The newest newcomer of the fullest subnet that has any, with the subnet's size.
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
    fn the_newest_of_the_fullest_subnet_is_found() {
        let mut crowd = SubnetCounts::default();
        crowd.add(A, id(1), Some(1));
        crowd.add(A, id(2), Some(2));
        crowd.add(B, id(3), Some(3));
        assert_eq!(crowd.newest_in_fullest(), Some((2, id(2))));
        crowd.remove(A, Some(2));
        crowd.add(B, id(4), Some(4));
        assert_eq!(crowd.newest_in_fullest(), Some((2, id(4))));
        assert_eq!(crowd.count(A), 1);
    }

    #[test]
    fn a_full_subnet_without_newcomers_is_passed_over() {
        let mut crowd = SubnetCounts::default();
        for member in 1..=3 {
            crowd.add(A, id(member), Some(u64::from(member)));
            crowd.settle(A, u64::from(member));
        }
        crowd.add(B, id(4), Some(4));
        assert_eq!(crowd.newest_in_fullest(), Some((1, id(4))));
        crowd.settle(B, 4);
        assert_eq!(crowd.newest_in_fullest(), None);
    }

    #[test]
    fn emptied_counts_hold_nothing() {
        let mut crowd = SubnetCounts::default();
        crowd.add(A, id(1), Some(1));
        crowd.add(A, id(2), None);
        crowd.remove(A, Some(1));
        crowd.remove(A, None);
        assert!(crowd.subnets.is_empty() && crowd.by_size.is_empty());
    }
}
