//! The queue of future events, in order of time.
//!
//! Events of equal time leave in the order in which they were planned, so a run repeats exactly.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use circuits::time::Instant;

/// Events by time.
pub(super) struct EventQueue<E> {
    heap: BinaryHeap<Planned<E>>,
    planned: u64,
}

struct Planned<E> {
    at: Instant,
    sequence: u64,
    event: E,
}

impl<E> EventQueue<E> {
    pub(super) const fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            planned: 0,
        }
    }

    pub(super) fn push(&mut self, at: Instant, event: E) {
        self.planned += 1;
        self.heap.push(Planned {
            at,
            sequence: self.planned,
            event,
        });
    }

    /// The next event, if its time is not after `until`.
    pub(super) fn pop_until(&mut self, until: Instant) -> Option<(Instant, E)> {
        if self.heap.peek()?.at > until {
            return None;
        }
        self.heap.pop().map(|planned| (planned.at, planned.event))
    }

    /// Events that wait.
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }
}

impl<E> Planned<E> {
    const fn key(&self) -> (Instant, u64) {
        (self.at, self.sequence)
    }
}

/// Reversed: the standard heap gives the greatest first.
impl<E> Ord for Planned<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

impl<E> PartialOrd for Planned<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Planned<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<E> Eq for Planned<E> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_leave_by_time_then_by_order_of_planning() {
        let at = Instant::from_micros;
        let mut queue = EventQueue::new();
        for (time, event) in [(5, 'b'), (3, 'a'), (5, 'c'), (9, 'd')] {
            queue.push(at(time), event);
        }
        let mut left = Vec::new();
        while let Some((_, event)) = queue.pop_until(at(5)) {
            left.push(event);
        }
        assert_eq!((left, queue.len()), (vec!['a', 'b', 'c'], 1));
    }
}
