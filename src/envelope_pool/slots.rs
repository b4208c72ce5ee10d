//! The envelopes of the pool by number. A number stays with its envelope, and is used again after it.

use circuits::time::UnixSecs;

use super::PooledEnvelope;

/// An envelope, and its position in its heap.
#[derive(Debug)]
pub(super) struct PoolSlot {
    pub(super) pooled: PooledEnvelope,
    /// Position in the heap of its group, which the heap maintains.
    pub(super) at: u32,
}

impl PoolSlot {
    pub(super) fn expiry(&self) -> UnixSecs {
        self.pooled.envelope.expiry()
    }
}

/// All slots.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Option<PoolSlot>>,
    free: Vec<u32>,
}

impl Slots {
    /// Stores a slot, and returns its number; `None` after four thousand million.
    pub(super) fn insert(&mut self, slot: PoolSlot) -> Option<u32> {
        if let Some(number) = self.free.pop() {
            *self.slots.get_mut(index(number))? = Some(slot);
            return Some(number);
        }
        let number = u32::try_from(self.slots.len()).ok()?;
        grow(&mut self.slots);
        self.slots.push(Some(slot));
        Some(number)
    }

    /// Empties a slot.
    pub(super) fn remove(&mut self, number: u32) -> Option<PoolSlot> {
        let slot = self.slots.get_mut(index(number))?.take()?;
        if self.free.len() + 1 == self.slots.len() {
            // The last one: a pool that is empty takes no memory.
            *self = Self::default();
        } else {
            self.free.push(number);
        }
        Some(slot)
    }

    pub(super) fn get(&self, number: u32) -> Option<&PoolSlot> {
        self.slots.get(index(number))?.as_ref()
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut PoolSlot> {
        self.slots.get_mut(index(number))?.as_mut()
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Reserves space for one more element without doubling: a pool fills once and then keeps its size.
pub(super) fn grow<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len() / 16 + 64);
    }
}
