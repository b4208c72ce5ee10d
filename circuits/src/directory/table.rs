//! The bounded table of known relays.
//!
//! The table has one record for each relay. A record has at most three descriptors: of the
//! previous, the current and the next epoch. The number of relays is limited per subnet and in
//! total. This module decides which relay is evicted; it verifies nothing.
//!
//! A relay without a usable descriptor leaves the table, but its history is kept for a week. A
//! laptop that sleeps at night, or a relay that is down for a day, then keeps its age.

use std::collections::BTreeMap;

use super::descriptor::VerifiedDescriptor;
use super::endpoint::{RelayEndpoint, Subnet};
use super::observation::{DescriptorSource, RelayHistory, ReportingSubnets};
use super::subnet_counts::SubnetCounts;
use super::{DescriptorRefusal, DirectoryLimits};
use crate::bounded_map::BoundedMap;
use crate::ids::{Epoch, RelayId, ShortId};
use crate::time::UnixSecs;

pub(super) struct RelayTable {
    records: BTreeMap<RelayId, RelayRecord>,
    /// Ranked by the epoch of the last descriptor.
    dormant: BoundedMap<RelayId, DormantRelay, Epoch>,
    subnet_counts: SubnetCounts,
    arrivals: u64,
    limits: DirectoryLimits,
    /// Whether a descriptor got the last report that it needed.
    completed: bool,
}

/// Stored state of a relay that has no usable descriptor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct DormantRelay {
    pub(super) history: RelayHistory,
    /// The epoch of its last descriptor.
    pub(super) last: Epoch,
}

/// Stored state of one relay.
pub(super) struct RelayRecord {
    pub(super) history: RelayHistory,
    held: BTreeMap<Epoch, HeldDescriptor>,
    subnet: Subnet,
    /// The order of arrival, while the relay is a newcomer.
    arrival: Option<u64>,
}

/// A descriptor with its arrival time and the subnets that reported it.
#[derive(Clone, Debug)]
pub(super) struct HeldDescriptor {
    pub(super) descriptor: VerifiedDescriptor,
    pub(super) received: UnixSecs,
    pub(super) reported_from: ReportingSubnets,
}

impl RelayRecord {
    pub(super) fn held(&self, epoch: Epoch) -> Option<&HeldDescriptor> {
        self.held.get(&epoch)
    }

    /// The descriptors, latest epoch first.
    pub(super) fn latest_first(&self) -> impl Iterator<Item = &HeldDescriptor> {
        self.held.values().rev()
    }
}

impl RelayTable {
    pub(super) fn new(limits: DirectoryLimits) -> Self {
        Self {
            records: BTreeMap::new(),
            dormant: BoundedMap::new(limits.relays),
            subnet_counts: SubnetCounts::default(),
            arrivals: 0,
            limits,
            completed: false,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is neither a relay nor a history.
    pub(super) fn is_blank(&self) -> bool {
        self.records.is_empty() && self.dormant.is_empty()
    }

    pub(super) fn dormant(&self) -> impl Iterator<Item = (&RelayId, &DormantRelay)> {
        self.dormant.iter()
    }

    pub(super) fn get(&self, id: &RelayId) -> Option<&RelayRecord> {
        self.records.get(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&RelayId, &RelayRecord)> {
        self.records.iter()
    }

    /// The records whose ids start with `byte`; all records for `None`.
    pub(super) fn bucket(
        &self,
        byte: Option<u8>,
    ) -> impl Iterator<Item = (&RelayId, &RelayRecord)> {
        let (mut low, mut high) = ([0; 32], [u8::MAX; 32]);
        if let Some(byte) = byte {
            let ([low, ..], [high, ..]) = (&mut low, &mut high);
            (*low, *high) = (byte, byte);
        }
        self.records.range(RelayId(low)..=RelayId(high))
    }

    /// The only relay with this short id; `None` if there are two.
    pub(super) fn by_short_id(&self, short: ShortId) -> Option<&RelayRecord> {
        let bound = |fill| {
            let mut id = [fill; 32];
            id.split_at_mut(16).0.copy_from_slice(&short.0);
            RelayId(id)
        };
        let mut matching = self.records.range(bound(0)..=bound(u8::MAX));
        match (matching.next(), matching.next()) {
            (Some((_, record)), None) => Some(record),
            _ => None,
        }
    }

    /// Records that a peer knows a stored descriptor; whether its subnet had not reported it yet.
    pub(super) fn record_report(
        &mut self,
        now: UnixSecs,
        source: DescriptorSource,
        id: &RelayId,
        epoch: Epoch,
    ) -> bool {
        let Some(record) = self.records.get_mut(id) else {
            return false;
        };
        let Some(held) = record.held.get_mut(&epoch) else {
            return false;
        };
        record.history.record_report(now, source);
        let is_new = held.reported_from.add(source);
        self.completed |= is_new && held.reported_from.has_quorum();
        is_new
    }

    /// Whether enough subnets have reported another descriptor since the last call.
    pub(super) const fn take_completed(&mut self) -> bool {
        core::mem::replace(&mut self.completed, false)
    }

    /// Whether a relay may be added to a subnet, and which relay must be evicted for it, if any.
    pub(super) fn room_for(
        &self,
        id: &RelayId,
        subnet: Subnet,
    ) -> Result<Option<RelayId>, DescriptorRefusal> {
        let record = self.records.get(id);
        if record.is_some_and(|record| record.subnet == subnet) {
            return Ok(None);
        }
        let members = self.subnet_counts.count(subnet);
        if members >= self.limits.of(subnet) {
            return Err(DescriptorRefusal::SubnetFull);
        }
        if record.is_some() || self.len() < self.limits.relays {
            return Ok(None);
        }
        // The relay to add would be the newest of its own subnet. It is therefore refused unless
        // another subnet is fuller.
        match self.subnet_counts.newest_in_fullest() {
            Some((count, id)) if count > members.saturating_add(1) => Ok(Some(id)),
            _ => Err(DescriptorRefusal::TableFull),
        }
    }

    /// Stores a descriptor. There must be [room](Self::room_for) for it.
    pub(super) fn keep(
        &mut self,
        now: UnixSecs,
        source: DescriptorSource,
        descriptor: VerifiedDescriptor,
    ) {
        let (id, epoch) = (descriptor.id(), descriptor.epoch());
        let subnet = main_subnet(descriptor.endpoints());
        let mut reported_from = ReportingSubnets::default();
        reported_from.add(source);
        let held = HeldDescriptor {
            descriptor,
            received: now,
            reported_from,
        };
        if let Some(record) = self.records.get_mut(&id) {
            record.history.renewed(now);
            record.history.record_report(now, source);
            record.held.insert(epoch, held);
            let is_latest = record.held.keys().next_back() == Some(&epoch);
            if is_latest && record.subnet != subnet {
                self.subnet_counts.remove(record.subnet, record.arrival);
                self.subnet_counts.add(subnet, id, record.arrival);
                record.subnet = subnet;
            }
            return;
        }
        let dormant = self.dormant.remove(&id);
        let mut history = dormant.map_or_else(|| RelayHistory::new(now), |dormant| dormant.history);
        history.renewed(now);
        history.record_report(now, source);
        self.restore(now, subnet, history, [held]);
    }

    /// Adds a record. There must be room, and no record of this relay.
    pub(super) fn restore(
        &mut self,
        now: UnixSecs,
        subnet: Subnet,
        history: RelayHistory,
        held: impl IntoIterator<Item = HeldDescriptor>,
    ) {
        let held: BTreeMap<_, _> = held
            .into_iter()
            .map(|held| (held.descriptor.epoch(), held))
            .collect();
        let Some(id) = held.values().next().map(|held| held.descriptor.id()) else {
            return;
        };
        self.arrivals = self.arrivals.saturating_add(1);
        let is_newcomer = !history.is_known_at(Epoch::at(now));
        let arrival = is_newcomer.then_some(self.arrivals);
        self.subnet_counts.add(subnet, id, arrival);
        self.records.insert(
            id,
            RelayRecord {
                history,
                held,
                subnet,
                arrival,
            },
        );
    }

    /// Removes a relay and its history.
    pub(super) fn remove(&mut self, id: &RelayId) {
        if let Some(record) = self.records.remove(id) {
            self.subnet_counts.remove(record.subnet, record.arrival);
        }
    }

    /// Keeps only the history of a relay. Above the limit, the history with the oldest last
    /// descriptor is dropped.
    pub(super) fn retire(&mut self, id: RelayId, dormant: DormantRelay) {
        let first = self.dormant.first();
        let is_oldest = first.is_some_and(|(_, last)| dormant.last < last);
        if !(self.dormant.is_full() && is_oldest) || self.dormant.contains_key(&id) {
            self.dormant.insert(id, dormant.last, dormant);
        }
    }

    /// Advances to an epoch: drops descriptors older than the previous epoch, retires relays
    /// without descriptors, and settles the newcomers of earlier epochs.
    pub(super) fn advance_to(&mut self, epoch: Epoch) {
        let (subnet_counts, mut retired) = (&mut self.subnet_counts, Vec::new());
        self.records.retain(|id, record| {
            let last = record.held.keys().next_back().copied();
            record.held.retain(|held, _| *held >= epoch.previous());
            if record.held.is_empty() {
                subnet_counts.remove(record.subnet, record.arrival);
                retired.extend(last.map(|last| (*id, record.history, last)));
                return false;
            }
            if record.history.is_known_at(epoch)
                && let Some(arrival) = record.arrival.take()
            {
                subnet_counts.settle(record.subnet, arrival);
            }
            true
        });
        for (id, history, last) in retired {
            self.retire(id, DormantRelay { history, last });
        }
        let expired = |last: Epoch| !is_worth_keeping(last, epoch);
        while self.dormant.pop_first_if(expired).is_some() {}
    }
}

impl DormantRelay {
    pub(super) fn is_worth_keeping_at(&self, epoch: Epoch) -> bool {
        is_worth_keeping(self.last, epoch)
    }
}

/// Whether a history is kept at `epoch` after its last descriptor.
const fn is_worth_keeping(last: Epoch, epoch: Epoch) -> bool {
    last.0.saturating_add(MAX_DORMANT_EPOCHS) >= epoch.0
}

/// The subnet against which a relay counts: the first of its subnets.
pub(super) fn main_subnet(endpoints: &[RelayEndpoint]) -> Subnet {
    Subnet::of_endpoints(endpoints)
        .first()
        .copied()
        .unwrap_or(Subnet::Onion)
}

/// Time for which the history of a relay is kept after its last descriptor: one week, in epochs.
const MAX_DORMANT_EPOCHS: u32 = 14;
