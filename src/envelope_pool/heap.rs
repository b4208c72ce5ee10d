//! A priority queue over the slots of the pool: the first to expire comes first.
//!
//! A binary heap of slot numbers, each with the expiry of its envelope, so that most comparisons need
//! nothing else. Each slot stores its position in the heap, so that any slot can be removed. The
//! eight bytes per envelope here and the four in the slot are a third of the size of an ordered map.

use core::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use circuits::time::UnixSecs;

use super::eviction;
use super::slots::{PoolSlot, Slots, grow};

/// A heap over the slots that are passed to its methods; the caller always passes the same ones.
#[derive(Debug, Default)]
pub(super) struct Heap {
    entries: Vec<HeapEntry>,
}

#[derive(Clone, Copy, Debug)]
struct HeapEntry {
    expiry: UnixSecs,
    number: u32,
}

impl Heap {
    pub(super) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All slots in order, computed lazily.
    pub(super) fn ascending<'a>(&'a self, slots: &'a Slots) -> impl Iterator<Item = &'a PoolSlot> {
        let mut frontier = BinaryHeap::new();
        frontier.extend(self.candidate(slots, 0));
        core::iter::from_fn(move || {
            let Reverse(Candidate { entry, at, .. }) = frontier.pop()?;
            for child in children(at) {
                frontier.extend(self.candidate(slots, child));
            }
            slots.get(entry.number)
        })
    }

    /// Inserts a slot.
    pub(super) fn push(&mut self, slots: &mut Slots, number: u32) {
        let Some(expiry) = slots.get(number).map(PoolSlot::expiry) else {
            return;
        };
        let at = self.entries.len();
        grow(&mut self.entries);
        self.entries.push(HeapEntry { expiry, number });
        self.settle(slots, at);
    }

    /// Removes the slot at this heap position.
    pub(super) fn remove(&mut self, slots: &mut Slots, at: u32) {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        if at >= self.entries.len() {
            return;
        }
        self.entries.swap_remove(at);
        if at < self.entries.len() {
            self.settle(slots, at);
        }
    }

    /// Removes the slots that expire before `now`; returns their numbers.
    pub(super) fn take_expired(&mut self, slots: &mut Slots, now: UnixSecs) -> Vec<u32> {
        let mut expired = Vec::new();
        // An entry expires no sooner than the entry above it, so the search goes down from the first.
        let mut candidates = vec![0];
        while let Some(at) = candidates.pop() {
            if self.entries.get(at).is_some_and(|entry| entry.expiry < now) {
                expired.push(at);
                candidates.extend(children(at));
            }
        }
        // The lowest first: the entry that takes a place in the heap then has the shortest way down.
        expired.sort_unstable();
        let places = expired.into_iter().rev();
        let removed = places.filter_map(|at| {
            let number = self.entries.get(at)?.number;
            self.remove(slots, u32::try_from(at).ok()?);
            Some(number)
        });
        removed.collect()
    }

    /// Restores the heap order for the entry at `at`.
    fn settle(&mut self, slots: &mut Slots, at: usize) {
        let mut at = at;
        while let Some(parent) = at.checked_sub(1).map(|below| below / 2)
            && self.precedes(slots, at, parent)
        {
            self.entries.swap(at, parent);
            self.note(slots, at);
            at = parent;
        }
        while let Some(child) = self.first_child(slots, at)
            && self.precedes(slots, child, at)
        {
            self.entries.swap(at, child);
            self.note(slots, at);
            at = child;
        }
        self.note(slots, at);
    }

    fn first_child(&self, slots: &Slots, at: usize) -> Option<usize> {
        let [left, right] = children(at);
        if self.precedes(slots, right, left) {
            return Some(right);
        }
        (left < self.entries.len()).then_some(left)
    }

    /// Whether the entry at one position comes before the entry at another; a position beyond the
    /// end comes last.
    fn precedes(&self, slots: &Slots, one: usize, other: usize) -> bool {
        match (self.entries.get(one), self.entries.get(other)) {
            (Some(one), Some(other)) => compare(slots, one, other) == Ordering::Less,
            _ => false,
        }
    }

    /// Stores the heap position of an entry in its slot.
    fn note(&self, slots: &mut Slots, at: usize) {
        let entry = self.entries.get(at);
        if let Some(slot) = entry.and_then(|entry| slots.get_mut(entry.number)) {
            slot.at = u32::try_from(at).unwrap_or(u32::MAX);
        }
    }

    fn candidate<'a>(&self, slots: &'a Slots, at: usize) -> Option<Reverse<Candidate<'a>>> {
        let entry = *self.entries.get(at)?;
        Some(Reverse(Candidate { slots, entry, at }))
    }
}

/// Compares two entries. Only public properties decide among envelopes that expire together, so that
/// the order does not show which came first.
fn compare(slots: &Slots, one: &HeapEntry, other: &HeapEntry) -> Ordering {
    one.expiry.cmp(&other.expiry).then_with(|| {
        match (slots.get(one.number), slots.get(other.number)) {
            (Some(one), Some(other)) => eviction::compare_rates(one, other),
            _ => Ordering::Equal,
        }
    })
}

/// An entry that may come next.
struct Candidate<'a> {
    slots: &'a Slots,
    entry: HeapEntry,
    at: usize,
}

impl Ord for Candidate<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(self.slots, &self.entry, &other.entry)
    }
}

impl PartialOrd for Candidate<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for Candidate<'_> {}

impl PartialEq for Candidate<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

const fn children(at: usize) -> [usize; 2] {
    let left = at.saturating_mul(2).saturating_add(1);
    [left, left.saturating_add(1)]
}
