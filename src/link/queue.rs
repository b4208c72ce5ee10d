//! The send queue of a link; cells go first.
//!
//! Messages are queued unencrypted and become frames only when the socket has room, so that a cell
//! overtakes gossip queued before it; an encrypted frame has a fixed position in the stream. Four
//! queues with budgets of their own bound the memory that a slow reader costs, and keep its gossip
//! from displacing cells. A queue that stays full shows that the peer does not read.

use std::collections::VecDeque;
use std::time::Duration;

use circuits::time::Instant;

use super::snappy::Packing;

/// The queue of a message. Order is kept within a queue only: the first message of a sub-protocol
/// belongs in the fastest queue that this sub-protocol uses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Priority {
    /// One-shot cells: always first.
    Cell,
    /// Short messages that control a sub-protocol.
    Control,
    /// Cells of circuits. Before gossip, and never before one-shot cells: a stream must not delay a
    /// message.
    Circuit,
    /// Envelopes and other messages that may be delayed.
    Gossip,
}

/// Bytes per queue. A message longer than its budget is accepted if the queue is empty.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct QueueBudgets {
    /// Budget of [`Priority::Cell`].
    pub cell: usize,
    /// Budget of [`Priority::Control`].
    pub control: usize,
    /// Budget of [`Priority::Circuit`].
    pub circuit: usize,
    /// Budget of [`Priority::Gossip`].
    pub gossip: usize,
}

impl QueueBudgets {
    /// No limits, for a peer that a test controls.
    pub const UNLIMITED: Self = Self {
        cell: usize::MAX,
        control: usize::MAX,
        circuit: usize::MAX,
        gossip: usize::MAX,
    };
}

impl Default for QueueBudgets {
    /// 128 KiB of cells (six seconds at the rate permitted to a peer), 64 KiB of control messages,
    /// 256 KiB of gossip (analysis 3.11). 32 KiB of cells of circuits, which are 33: more wait in
    /// the queues of their circuits, so that circuits take turns.
    fn default() -> Self {
        Self {
            cell: 128 * 1024,
            control: 64 * 1024,
            circuit: 32 * 1024,
            gossip: 256 * 1024,
        }
    }
}

/// A message, not yet a frame.
pub(super) struct UnsentMessage {
    /// Code on the wire.
    pub(super) code: u16,
    pub(super) payload: Vec<u8>,
    pub(super) packing: Packing,
}

pub(super) struct SendQueue {
    cells: PriorityQueue,
    control: PriorityQueue,
    circuit: PriorityQueue,
    gossip: PriorityQueue,
    full_since: Option<Instant>,
}

impl SendQueue {
    pub(super) const fn new(budgets: QueueBudgets) -> Self {
        Self {
            cells: PriorityQueue::new(budgets.cell),
            control: PriorityQueue::new(budgets.control),
            circuit: PriorityQueue::new(budgets.circuit),
            gossip: PriorityQueue::new(budgets.gossip),
            full_since: None,
        }
    }

    /// Queues a message; an error if its queue has no room.
    pub(super) fn push(
        &mut self,
        priority: Priority,
        message: UnsentMessage,
    ) -> Result<(), QueueFull> {
        match priority {
            Priority::Cell => self.cells.push(message),
            Priority::Control => self.control.push(message),
            Priority::Circuit => self.circuit.push(message),
            Priority::Gossip => self.gossip.push(message),
        }
    }

    /// Takes the next message of the first queue that is not empty. Without `gossip` the last queue waits.
    pub(super) fn pop(&mut self, gossip: bool) -> Option<UnsentMessage> {
        let queues = self.queues_mut().into_iter();
        queues.take(admitted(gossip)).find_map(PriorityQueue::pop)
    }

    /// The message that [`Self::pop`] would take.
    pub(super) fn peek(&self, gossip: bool) -> Option<&UnsentMessage> {
        let queues = self.queues().into_iter();
        queues
            .take(admitted(gossip))
            .find_map(|queue| queue.waiting.front())
    }

    /// Whether gossip waits.
    pub(super) fn has_gossip(&self) -> bool {
        !self.gossip.waiting.is_empty()
    }

    /// Number of payloads of so many bytes that fit into the queue of circuits. A caller that sends no
    /// more never fills that queue, so circuits alone never count as a peer that does not read.
    pub(super) const fn circuit_room(&self, payload: usize) -> usize {
        let left = self.circuit.budget.saturating_sub(self.circuit.bytes);
        left.saturating_sub(1) / payload.saturating_add(FRAME_COST)
    }

    /// Bytes in all queues, with an overhead for each message.
    pub(super) fn bytes(&self) -> usize {
        self.queues().iter().map(|queue| queue.bytes).sum()
    }

    /// Records whether a queue is full at `now`. Must follow [`Self::push`], which gets no time.
    pub(super) fn observe(&mut self, now: Instant) {
        self.full_since = self.is_full().then(|| self.full_since.unwrap_or(now));
    }

    /// Does not count some time, in which this node wrote nothing, as congestion.
    pub(super) fn excuse_absence(&mut self, absence: Duration) {
        self.full_since = self.full_since.map(|since| since.after(absence));
    }

    /// The time since which a queue has been full.
    pub(super) const fn full_since(&self) -> Option<Instant> {
        self.full_since
    }

    /// When to call [`Self::observe`] next: at once if a queue filled up unobserved.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.full_since {
            Some(since) => Some(since.after(CONGESTION_TIMEOUT)),
            None => self.is_full().then_some(Instant::ZERO),
        }
    }

    fn is_full(&self) -> bool {
        self.queues().iter().any(|queue| queue.full)
    }

    const fn queues(&self) -> [&PriorityQueue; 4] {
        [&self.cells, &self.control, &self.circuit, &self.gossip]
    }

    const fn queues_mut(&mut self) -> [&mut PriorityQueue; 4] {
        [
            &mut self.cells,
            &mut self.control,
            &mut self.circuit,
            &mut self.gossip,
        ]
    }
}

struct PriorityQueue {
    waiting: VecDeque<UnsentMessage>,
    bytes: usize,
    budget: usize,
    /// Set when the budget is used up; cleared when half of it is free again, so that a peer that
    /// reads a few bytes at a time counts as slow.
    full: bool,
}

impl PriorityQueue {
    const fn new(budget: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            bytes: 0,
            budget,
            full: false,
        }
    }

    fn push(&mut self, message: UnsentMessage) -> Result<(), QueueFull> {
        let bytes = self.bytes.saturating_add(cost(&message));
        if bytes >= self.budget {
            self.full = true;
        }
        if bytes > self.budget && !self.waiting.is_empty() {
            return Err(QueueFull);
        }
        self.bytes = bytes;
        self.waiting.push_back(message);
        Ok(())
    }

    fn pop(&mut self) -> Option<UnsentMessage> {
        let message = self.waiting.pop_front()?;
        self.bytes = self.bytes.saturating_sub(cost(&message));
        if self.bytes <= self.budget / 2 {
            self.full = false;
        }
        Some(message)
    }
}

/// Number of queues, from the fastest on, that may send.
const fn admitted(gossip: bool) -> usize {
    if gossip { 4 } else { 3 }
}

/// The cost of a message: its payload and about what a frame adds, so that empty messages count.
fn cost(message: &UnsentMessage) -> usize {
    message.payload.len().saturating_add(FRAME_COST)
}

/// What a message costs beside its payload.
const FRAME_COST: usize = 64;

/// The queue has no room for the message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct QueueFull;

/// Maximum time for which a queue may stay full before the peer counts as not reading.
pub(super) const CONGESTION_TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    fn message(code: u16, len: usize) -> UnsentMessage {
        UnsentMessage {
            code,
            payload: vec![0; len],
            packing: Packing::Literal,
        }
    }

    fn queue(gossip: usize) -> SendQueue {
        SendQueue::new(QueueBudgets {
            gossip,
            ..QueueBudgets::default()
        })
    }

    #[test]
    fn cell_overtakes_queued_messages() {
        let mut queue = queue(10_000);
        queue.push(Priority::Gossip, message(1, 10)).unwrap();
        queue.push(Priority::Control, message(2, 10)).unwrap();
        queue.push(Priority::Gossip, message(3, 10)).unwrap();
        queue.push(Priority::Circuit, message(5, 10)).unwrap();
        queue.push(Priority::Cell, message(4, 10)).unwrap();
        let order: Vec<_> = std::iter::from_fn(|| queue.pop(true))
            .map(|m| m.code)
            .collect();
        assert_eq!(order, [4, 2, 5, 1, 3]);
        assert_eq!(queue.bytes(), 0);
    }

    #[test]
    fn gossip_that_is_not_admitted_waits_behind_nothing_else() {
        let mut queue = queue(10_000);
        queue.push(Priority::Gossip, message(1, 10)).unwrap();
        queue.push(Priority::Cell, message(4, 10)).unwrap();
        assert_eq!(queue.pop(false).map(|m| m.code), Some(4));
        assert!(queue.pop(false).is_none() && queue.peek(false).is_none());
        assert!(queue.has_gossip());
        assert_eq!(queue.pop(true).map(|m| m.code), Some(1));
        assert!(!queue.has_gossip());
    }

    #[test]
    fn message_above_budget_fits_empty_queue_only() {
        let mut queue = queue(1_000);
        assert_eq!(queue.push(Priority::Gossip, message(1, 5_000)), Ok(()));
        assert_eq!(queue.push(Priority::Gossip, message(2, 0)), Err(QueueFull));
        queue.pop(true);
        assert_eq!(queue.push(Priority::Gossip, message(2, 0)), Ok(()));
    }

    #[test]
    fn full_gossip_queue_accepts_cells() {
        let mut queue = queue(1_000);
        queue.push(Priority::Gossip, message(1, 900)).unwrap();
        assert_eq!(
            queue.push(Priority::Gossip, message(1, 900)),
            Err(QueueFull)
        );
        assert_eq!(queue.push(Priority::Cell, message(2, 918)), Ok(()));
    }

    #[test]
    fn circuits_that_ask_for_room_never_fill_their_queue() {
        let mut queue = queue(1_000);
        let room = queue.circuit_room(918);
        assert_eq!(room, 33);
        for _ in 0..room {
            queue.push(Priority::Circuit, message(7, 918)).unwrap();
        }
        queue.observe(Instant::ZERO);
        assert_eq!((queue.circuit_room(918), queue.full_since()), (0, None));
        queue.pop(true);
        assert_eq!(queue.circuit_room(918), 1);
    }

    #[test]
    fn empty_messages_count_against_budget() {
        let mut queue = queue(1_000);
        let taken = (0..1_000)
            .filter(|_| queue.push(Priority::Gossip, message(1, 0)).is_ok())
            .count();
        assert_eq!(taken, 15);
    }

    #[test]
    fn full_queue_is_due_at_once_before_observe() {
        let (start, later) = (Instant::from_micros(5), Instant::from_micros(9));
        let mut queue = queue(1_000);
        assert_eq!(queue.deadline(), None);
        queue.push(Priority::Gossip, message(1, 1_000)).unwrap();
        assert_eq!(queue.deadline(), Some(Instant::ZERO));
        queue.observe(start);
        queue.observe(later);
        assert_eq!(queue.full_since(), Some(start));
        assert_eq!(queue.deadline(), Some(start.after(CONGESTION_TIMEOUT)));
    }

    #[test]
    fn slow_reader_stays_congested_until_queue_is_half_empty() {
        let now = Instant::from_micros(5);
        let mut queue = queue(1_000);
        while queue.push(Priority::Gossip, message(1, 36)).is_ok() {}
        queue.observe(now);
        for left in (0..10).rev() {
            queue.pop(true);
            queue.observe(Instant::from_micros(6));
            assert_eq!(queue.full_since().is_some(), left > 5, "{left} left");
        }
    }
}
