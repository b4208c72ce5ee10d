//! The relays that are known, bounded in every direction.
//!
//! One record for each relay, at most three descriptors in it (the epoch before, the present one,
//! the one about to begin), at most so many relays of one subnet and altogether. Which relay has
//! to make room is decided here; nothing is verified here.
//!
//! A relay without a descriptor of use leaves the table, but its history is kept for a week: a
//! laptop that sleeps at night, or a relay that is repaired for a day, need not start again as a
//! stranger.

use std::collections::BTreeMap;

use super::descriptor::VerifiedDescriptor;
use super::endpoint::{Endpoint, Subnet};
use super::observation::{History, Source, Tellers};
use super::subnet_counts::Crowd;
use super::{Limits, Refused};
use crate::ids::{Epoch, RelayId, ShortId};
use crate::time::UnixSecs;

pub(super) struct Table {
    records: BTreeMap<RelayId, Record>,
    dormant: BTreeMap<RelayId, Dormant>,
    crowd: Crowd,
    arrivals: u64,
    limits: Limits,
}

/// What is remembered of a relay that has no descriptor of use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Dormant {
    pub(super) history: History,
    /// The epoch of its last descriptor.
    pub(super) last: Epoch,
}

/// What is known of one relay.
pub(super) struct Record {
    pub(super) history: History,
    held: BTreeMap<Epoch, Held>,
    subnet: Subnet,
    /// The order of arrival, while the relay is a newcomer.
    arrival: Option<u64>,
}

/// A descriptor, when it came and who knew it.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) descriptor: VerifiedDescriptor,
    pub(super) received: UnixSecs,
    pub(super) tellers: Tellers,
}

impl Record {
    pub(super) fn held(&self, epoch: Epoch) -> Option<&Held> {
        self.held.get(&epoch)
    }

    /// Every descriptor, the latest epoch first.
    pub(super) fn latest_first(&self) -> impl Iterator<Item = &Held> {
        self.held.values().rev()
    }
}

impl Table {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            records: BTreeMap::new(),
            dormant: BTreeMap::new(),
            crowd: Crowd::default(),
            arrivals: 0,
            limits,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether nothing is remembered at all.
    pub(super) fn is_blank(&self) -> bool {
        self.records.is_empty() && self.dormant.is_empty()
    }

    pub(super) fn dormant(&self) -> impl Iterator<Item = (&RelayId, &Dormant)> {
        self.dormant.iter()
    }

    pub(super) fn get(&self, id: &RelayId) -> Option<&Record> {
        self.records.get(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&RelayId, &Record)> {
        self.records.iter()
    }

    /// The records whose ids start with `byte`; all of them without it.
    pub(super) fn bucket(&self, byte: Option<u8>) -> impl Iterator<Item = (&RelayId, &Record)> {
        let (mut low, mut high) = ([0; 32], [u8::MAX; 32]);
        if let Some(byte) = byte {
            let ([low, ..], [high, ..]) = (&mut low, &mut high);
            (*low, *high) = (byte, byte);
        }
        self.records.range(RelayId(low)..=RelayId(high))
    }

    /// The one relay with this short id; none if there are two.
    pub(super) fn by_short_id(&self, short: ShortId) -> Option<&Record> {
        let bound = |fill| {
            let mut id = [fill; 32];
            id.split_at_mut(16).0.copy_from_slice(&short.0);
            RelayId(id)
        };
        let mut alike = self.records.range(bound(0)..=bound(u8::MAX));
        match (alike.next(), alike.next()) {
            (Some((_, record)), None) => Some(record),
            _ => None,
        }
    }

    /// Notes that a neighbour knows a descriptor that we hold.
    pub(super) fn told(&mut self, now: UnixSecs, source: Source, id: &RelayId, epoch: Epoch) {
        if let Some(record) = self.records.get_mut(id)
            && let Some(held) = record.held.get_mut(&epoch)
        {
            held.tellers.add(source);
            record.history.told(now, source);
        }
    }

    /// Says whether a relay may stand in a subnet, and who would have to go for it.
    pub(super) fn room_for(
        &self,
        id: &RelayId,
        subnet: Subnet,
    ) -> Result<Option<RelayId>, Refused> {
        let record = self.records.get(id);
        if record.is_some_and(|record| record.subnet == subnet) {
            return Ok(None);
        }
        let neighbours = self.crowd.count(subnet);
        if neighbours >= self.limits.of(subnet) {
            return Err(Refused::SubnetFull);
        }
        if record.is_some() || self.len() < self.limits.relays {
            return Ok(None);
        }
        // The relay that asks is itself the newest of its subnet: it stays out unless another
        // subnet is fuller.
        match self.crowd.newest_in_fullest() {
            Some((count, id)) if count > neighbours.saturating_add(1) => Ok(Some(id)),
            _ => Err(Refused::TableFull),
        }
    }

    /// Keeps a descriptor. There must be [room](Self::room_for) for it.
    pub(super) fn keep(&mut self, now: UnixSecs, source: Source, descriptor: VerifiedDescriptor) {
        let (id, epoch) = (descriptor.id(), descriptor.epoch());
        let subnet = main_subnet(descriptor.endpoints());
        let mut tellers = Tellers::default();
        tellers.add(source);
        let held = Held {
            descriptor,
            received: now,
            tellers,
        };
        if let Some(record) = self.records.get_mut(&id) {
            record.history.renewed(now);
            record.history.told(now, source);
            record.held.insert(epoch, held);
            let is_latest = record.held.keys().next_back() == Some(&epoch);
            if is_latest && record.subnet != subnet {
                self.crowd.remove(record.subnet, record.arrival);
                self.crowd.add(subnet, id, record.arrival);
                record.subnet = subnet;
            }
            return;
        }
        let dormant = self.dormant.remove(&id);
        let mut history = dormant.map_or_else(|| History::new(now), |dormant| dormant.history);
        history.renewed(now);
        history.told(now, source);
        self.restore(now, subnet, history, [held]);
    }

    /// Puts a record in place. There must be room, and no record of this relay.
    pub(super) fn restore(
        &mut self,
        now: UnixSecs,
        subnet: Subnet,
        history: History,
        held: impl IntoIterator<Item = Held>,
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
        self.crowd.add(subnet, id, arrival);
        self.records.insert(
            id,
            Record {
                history,
                held,
                subnet,
                arrival,
            },
        );
    }

    /// Forgets a relay.
    pub(super) fn remove(&mut self, id: &RelayId) {
        if let Some(record) = self.records.remove(id) {
            self.crowd.remove(record.subnet, record.arrival);
        }
    }

    /// Remembers a relay by its history alone. When there are too many, the one that has been
    /// away for longest is forgotten.
    pub(super) fn retire(&mut self, id: RelayId, dormant: Dormant) {
        self.dormant.insert(id, dormant);
        if self.dormant.len() > self.limits.relays {
            let longest = self.dormant.iter().min_by_key(|(_, one)| one.last);
            if let Some(id) = longest.map(|(id, _)| *id) {
                self.dormant.remove(&id);
            }
        }
    }

    /// Moves on to an epoch: drops descriptors from before the previous one, retires relays that
    /// have none left, and lets newcomers of earlier epochs settle.
    pub(super) fn turn_to(&mut self, epoch: Epoch) {
        let (crowd, mut retired) = (&mut self.crowd, Vec::new());
        self.records.retain(|id, record| {
            let last = record.held.keys().next_back().copied();
            record.held.retain(|held, _| *held >= epoch.previous());
            if record.held.is_empty() {
                crowd.remove(record.subnet, record.arrival);
                retired.extend(last.map(|last| (*id, record.history, last)));
                return false;
            }
            if record.history.is_known_at(epoch)
                && let Some(arrival) = record.arrival.take()
            {
                crowd.settle(record.subnet, arrival);
            }
            true
        });
        for (id, history, last) in retired {
            self.retire(id, Dormant { history, last });
        }
        self.dormant
            .retain(|_, dormant| dormant.is_worth_keeping_at(epoch));
    }
}

impl Dormant {
    pub(super) fn is_worth_keeping_at(&self, epoch: Epoch) -> bool {
        self.last.0.saturating_add(WEEK_OF_EPOCHS) >= epoch.0
    }
}

/// The subnet that a relay counts against: the first that it stands in.
pub(super) fn main_subnet(endpoints: &[Endpoint]) -> Subnet {
    Subnet::of_endpoints(endpoints)
        .first()
        .copied()
        .unwrap_or(Subnet::Onion)
}

/// How long a relay is remembered after its last descriptor.
const WEEK_OF_EPOCHS: u32 = 14;
