//! The queue of future events, in order of time.
//!
//! Events of equal time leave in the order in which they were planned, so a run repeats exactly. The
//! heap orders numbers; the events themselves stay in place, since moving them costs more.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use circuits::time::Instant;

/// Events by time.
pub(super) struct EventQueue<E> {
    heap: BinaryHeap<Planned>,
    planned: u64,
    events: Vec<Option<E>>,
    /// Places in `events` that are free.
    free: Vec<usize>,
}

struct Planned {
    at: Instant,
    sequence: u64,
    place: usize,
}

impl<E> EventQueue<E> {
    pub(super) const fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            planned: 0,
            events: Vec::new(),
            free: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, at: Instant, event: E) {
        let place = self.free.pop().unwrap_or(self.events.len());
        match self.events.get_mut(place) {
            Some(free) => *free = Some(event),
            None => self.events.push(Some(event)),
        }
        self.planned += 1;
        self.heap.push(Planned {
            at,
            sequence: self.planned,
            place,
        });
    }

    /// The next event, if its time is not after `until`.
    pub(super) fn pop_until(&mut self, until: Instant) -> Option<(Instant, E)> {
        if self.heap.peek()?.at > until {
            return None;
        }
        let Planned { at, place, .. } = self.heap.pop()?;
        self.free.push(place);
        let event = self.events.get_mut(place)?.take()?;
        Some((at, event))
    }

    /// When the next event is.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.heap.peek().map(|next| next.at)
    }

    /// Events that wait.
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }
}

impl Planned {
    const fn key(&self) -> (Instant, u64) {
        (self.at, self.sequence)
    }
}

/// Reversed: the standard heap gives the greatest first.
impl Ord for Planned {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Planned {}

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
