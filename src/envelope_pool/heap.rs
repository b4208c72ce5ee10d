//! Slots of the pool in an order of their own: who goes first is found at once.
//!
//! A binary heap of slot numbers. Each slot notes where in the heap its number stands, so that any
//! of them can be taken out. Four bytes for each envelope here and four there are a third of what
//! an ordered map takes.

use core::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::PoolSlot;

/// By what a heap orders.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    /// The end of life: who expires first comes first.
    Expiry,
    /// What an envelope is worth: who is evicted first comes first.
    Rank,
}

impl Order {
    /// Who comes first; no two envelopes come at once. What decides seldom is looked up seldom.
    pub(super) fn compare(self, one: &PoolSlot, other: &PoolSlot) -> Ordering {
        let [ours, theirs] = [one, other].map(|slot| &slot.pooled.envelope);
        let first = match self {
            Self::Expiry => ours.expiry().cmp(&theirs.expiry()),
            Self::Rank => {
                let work = one.work().total_cmp(&other.work());
                work.then_with(|| ours.sent().cmp(&theirs.sent()))
            }
        };
        first.then_with(|| ours.hash().cmp(&theirs.hash()))
    }

    const fn place(self, slot: &mut PoolSlot) -> &mut u32 {
        match self {
            Self::Expiry => &mut slot.in_expiry,
            Self::Rank => &mut slot.in_rank,
        }
    }
}

/// A heap over the slots that are handed to its methods: always the same ones.
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

    /// Who comes first.
    pub(super) fn first(&self) -> Option<u32> {
        self.numbers.first().copied()
    }

    /// All in order, as far as they are asked for.
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

    /// Takes in a slot.
    pub(super) fn push(&mut self, slots: &mut [PoolSlot], number: u32) {
        let at = self.numbers.len();
        grow(&mut self.numbers);
        self.numbers.push(number);
        self.settle(slots, at);
    }

    /// Takes out the slot whose number stands here.
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

    /// A slot has another number now.
    pub(super) fn renumber(&mut self, at: u32, number: u32) {
        if let Some(place) = self.numbers.get_mut(index(at)) {
            *place = number;
        }
    }

    /// Moves what stands at `at` up or down to where it belongs.
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

    /// Whether what stands at one place comes before what stands at another; a place beyond the
    /// end precedes nobody.
    fn precedes(&self, slots: &[PoolSlot], one: usize, other: usize) -> bool {
        match (self.slot(slots, one), self.slot(slots, other)) {
            (Some(one), Some(other)) => self.order.compare(one, other) == Ordering::Less,
            _ => false,
        }
    }

    /// Lets a slot know where it stands.
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

/// Makes room for one more without doubling: a pool is filled once and then stays as it is.
pub(super) fn grow<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len() / 16 + 64);
    }
}
