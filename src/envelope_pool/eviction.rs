//! Which envelope is evicted first.
//!
//! An envelope is worth the work that its sender has paid for and not yet had: hashes per byte of
//! memory and second of life, times the seconds that are left. So a flood that evicts envelopes costs
//! at least what they cost, whatever lifetime and size its envelopes have.
//!
//! The worth falls with time, at a different rate for each envelope, so no fixed order exists. The
//! envelopes are grouped by rate, in steps of at most one half; within a group the first to expire is
//! the weakest, up to the step. An eviction compares the first of each group, and so does the search
//! for expired envelopes: there are few groups, however many envelopes.

use core::cmp::Ordering;
use std::collections::BTreeMap;

use circuits::time::UnixSecs;

use super::heap::Heap;
use super::slots::{PoolSlot, Slots};
use super::{PooledEnvelope, cost};

/// The slots of the pool, by what evicting them destroys.
#[derive(Debug, Default)]
pub(super) struct EvictionIndex {
    groups: BTreeMap<u16, Heap>,
}

impl EvictionIndex {
    /// Inserts the slot of this number.
    pub(super) fn push(&mut self, slots: &mut Slots, number: u32) {
        let Some(slot) = slots.get(number) else {
            return;
        };
        self.groups
            .entry(group(slot))
            .or_default()
            .push(slots, number);
    }

    /// Removes a slot; it must be in `slots` still.
    pub(super) fn remove(&mut self, slots: &mut Slots, number: u32) {
        let Some(slot) = slots.get(number) else {
            return;
        };
        let (group, at) = (group(slot), slot.at);
        if let Some(heap) = self.groups.get_mut(&group) {
            heap.remove(slots, at);
            if heap.is_empty() {
                self.groups.remove(&group);
            }
        }
    }

    /// Removes the slots whose envelopes expired before `now`; returns their numbers.
    pub(super) fn take_expired(&mut self, slots: &mut Slots, now: UnixSecs) -> Vec<u32> {
        let mut taken = Vec::new();
        self.groups.retain(|_, heap| {
            taken.extend(heap.take_expired(slots, now));
            !heap.is_empty()
        });
        taken
    }

    /// All slots, the weakest at `now` first, computed lazily.
    pub(super) fn weakest<'a>(
        &'a self,
        slots: &'a Slots,
        now: UnixSecs,
    ) -> impl Iterator<Item = &'a PoolSlot> {
        let mut groups: Vec<_> = self
            .groups
            .values()
            .filter_map(|heap| {
                let mut slots = heap.ascending(slots);
                Some((slots.next()?, slots))
            })
            .collect();
        core::iter::from_fn(move || {
            let heads = groups.iter().enumerate();
            let weakest = heads.min_by(|(_, (one, _)), (_, (other, _))| compare(one, other, now));
            let number = weakest?.0;
            let (head, rest) = groups.get_mut(number)?;
            let weakest = *head;
            match rest.next() {
                Some(next) => *head = next,
                None => {
                    let _emptied = groups.swap_remove(number);
                }
            }
            Some(weakest)
        })
    }
}

/// Compares two slots by what evicting them at `now` destroys; among equals, the one sent first is
/// less, and among those, the one with the lower hash.
pub(super) fn compare(one: &PoolSlot, other: &PoolSlot, now: UnixSecs) -> Ordering {
    let [ours, theirs] = [one, other].map(|slot| &slot.pooled.envelope);
    worth(one, now)
        .total_cmp(&worth(other, now))
        .then_with(|| ours.sent().cmp(&theirs.sent()))
        .then_with(|| ours.hash().cmp(&theirs.hash()))
}

/// Compares two slots that expire together by what evicting them destroys at any time; ties end as in
/// [`compare`].
pub(super) fn compare_rates(one: &PoolSlot, other: &PoolSlot) -> Ordering {
    let [ours, theirs] = [one, other].map(|slot| &slot.pooled.envelope);
    rate(one)
        .total_cmp(&rate(other))
        .then_with(|| ours.sent().cmp(&theirs.sent()))
        .then_with(|| ours.hash().cmp(&theirs.hash()))
}

/// The hashes per byte of memory that the sender has paid for the seconds that are left. Finite and
/// not negative.
fn worth(slot: &PoolSlot, now: UnixSecs) -> f64 {
    let left = slot.pooled.envelope.expiry().0.saturating_sub(now.0);
    rate(slot) * f64::from(left)
}

/// The hashes per byte of memory and second of life.
fn rate(slot: &PoolSlot) -> f64 {
    let PooledEnvelope { envelope, pow } = &slot.pooled;
    let float = |bytes: usize| f64::from(u32::try_from(bytes).unwrap_or(u32::MAX));
    // Work is counted per byte of data. A pooled envelope takes more, and a short one much more.
    pow.best() * float(envelope.size()) / float(cost(envelope))
}

/// The group of a slot: the exponent of its rate, and the first bit after it.
fn group(slot: &PoolSlot) -> u16 {
    u16::try_from(rate(slot).to_bits() >> GROUP_SHIFT).unwrap_or(u16::MAX)
}

/// Bits of a double after its exponent and one bit of its fraction.
const GROUP_SHIFT: u32 = 51;
