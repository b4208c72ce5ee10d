//! A priority queue over the slots of the pool.
//!
//! A binary heap of slot numbers. Each slot stores its position in the heap, so that any slot can
//! be removed. The four bytes per envelope here and the four in the slot are a third of the size of
//! an ordered map.

use core::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::{PoolSlot, eviction};

/// The sort key of a heap.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    /// By expiry: the first to expire comes first.
    Expiry,
    /// By expiry, among the envelopes of one group of [`EvictionIndex`](super::EvictionIndex).
    Eviction,
}

impl Order {
    /// Compares two slots; never equal. The rare tie breakers are computed last.
    pub(super) fn compare(self, one: &PoolSlot, other: &PoolSlot) -> Ordering {
        let [ours, theirs] = [one, other].map(|slot| &slot.pooled.envelope);
        let expiry = ours.expiry().cmp(&theirs.expiry());
        let first = match self {
            Self::Expiry => expiry,
            Self::Eviction => expiry.then_with(|| {
                let rate = eviction::rate(one).total_cmp(&eviction::rate(other));
                rate.then_with(|| ours.sent().cmp(&theirs.sent()))
            }),
        };
        first.then_with(|| ours.hash().cmp(&theirs.hash()))
    }

    const fn place(self, slot: &mut PoolSlot) -> &mut u32 {
        match self {
            Self::Expiry => &mut slot.in_expiry,
            Self::Eviction => &mut slot.in_eviction,
        }
    }
}

/// A heap over the slots that are passed to its methods; the caller always passes the same list.
#[derive(Debug)]
pub(super) struct Heap {
    order: Order,
    numbers: Vec<u32>,
}

impl Heap {
    pub(super) const fn new(order: Order) -> Self {
        Self {
            order,
            numbers: Vec::new(),
        }
    }

    /// The first slot.
    pub(super) fn first(&self) -> Option<u32> {
        self.numbers.first().copied()
    }

    /// All slots in order, computed lazily.
    pub(super) fn ascending<'a>(
        &'a self,
        slots: &'a [PoolSlot],
    ) -> impl Iterator<Item = &'a PoolSlot> {
        let mut frontier = BinaryHeap::new();
        frontier.extend(self.candidate(slots, 0));
        core::iter::from_fn(move || {
            let Reverse(Candidate { slot, at, .. }) = frontier.pop()?;
            for child in children(at) {
                frontier.extend(self.candidate(slots, child));
            }
            Some(slot)
        })
    }

    /// Inserts a slot.
    pub(super) fn push(&mut self, slots: &mut [PoolSlot], number: u32) {
        let at = self.numbers.len();
        grow(&mut self.numbers);
        self.numbers.push(number);
        self.settle(slots, at);
    }

    /// Removes the slot at this heap position.
    pub(super) fn remove(&mut self, slots: &mut [PoolSlot], at: u32) {
        let at = index(at);
        if at >= self.numbers.len() {
            return;
        }
        self.numbers.swap_remove(at);
        if at < self.numbers.len() {
            self.settle(slots, at);
        }
    }

    /// Updates the number of a slot that was moved.
    pub(super) fn renumber(&mut self, at: u32, number: u32) {
        if let Some(place) = self.numbers.get_mut(index(at)) {
            *place = number;
        }
    }

    /// Restores the heap order for the entry at `at`.
    fn settle(&mut self, slots: &mut [PoolSlot], at: usize) {
        let mut at = at;
        while let Some(parent) = at.checked_sub(1).map(|below| below / 2)
            && self.precedes(slots, at, parent)
        {
            self.numbers.swap(at, parent);
            self.note(slots, at);
            at = parent;
        }
        while let Some(child) = self.first_child(slots, at)
            && self.precedes(slots, child, at)
        {
            self.numbers.swap(at, child);
            self.note(slots, at);
            at = child;
        }
        self.note(slots, at);
    }

    fn first_child(&self, slots: &[PoolSlot], at: usize) -> Option<usize> {
        let [left, right] = children(at);
        if self.precedes(slots, right, left) {
            return Some(right);
        }
        (left < self.numbers.len()).then_some(left)
    }

    /// Whether the entry at one position comes before the entry at another; a position beyond the
    /// end comes last.
    fn precedes(&self, slots: &[PoolSlot], one: usize, other: usize) -> bool {
        match (self.slot(slots, one), self.slot(slots, other)) {
            (Some(one), Some(other)) => self.order.compare(one, other) == Ordering::Less,
            _ => false,
        }
    }

    /// Stores the heap position of an entry in its slot.
    fn note(&self, slots: &mut [PoolSlot], at: usize) {
        let slot = self.numbers.get(at).copied();
        if let Some(slot) = slot.and_then(|number| slots.get_mut(index(number))) {
            *self.order.place(slot) = u32::try_from(at).unwrap_or(u32::MAX);
        }
    }

    fn candidate<'a>(&self, slots: &'a [PoolSlot], at: usize) -> Option<Reverse<Candidate<'a>>> {
        let slot = self.slot(slots, at)?;
        let order = self.order;
        Some(Reverse(Candidate { order, slot, at }))
    }

    fn slot<'a>(&self, slots: &'a [PoolSlot], at: usize) -> Option<&'a PoolSlot> {
        slots.get(index(*self.numbers.get(at)?))
    }
}

/// A slot that may come next.
struct Candidate<'a> {
    order: Order,
    slot: &'a PoolSlot,
    at: usize,
}

impl Ord for Candidate<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order.compare(self.slot, other.slot)
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

/// A slot number as an index.
pub(super) fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Reserves space for one more element without doubling: a pool fills once and then keeps its size.
pub(super) fn grow<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len() / 16 + 64);
    }
}
