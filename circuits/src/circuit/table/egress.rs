//! Circuit cells that wait for a link: one queue for each circuit, served in turn and at a limited rate.

use std::collections::{BTreeMap, VecDeque};

use super::event::CircuitRef;
use super::limits::{CIRCUIT_QUOTA, LINK_QUOTA};
use crate::circuit::cell::{CircuitCell, CircuitId};
use crate::due_index::DueIndex;
use crate::geometry::CIRCUIT_BODY_LEN;
use crate::ids::LinkId;
use crate::rate_limit::TokenBucket;
use crate::time::Instant;

/// The body of a circuit cell.
pub(super) type CircuitBody = Box<[u8; CIRCUIT_BODY_LEN]>;

/// A direction along a circuit, seen from this node.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum CircuitSide {
    /// Towards the origin.
    Back,
    /// Away from the origin.
    Ahead,
}

/// The end of a circuit at one link.
#[derive(Clone, Copy, Debug)]
pub(super) struct CircuitPort {
    pub(super) link: LinkId,
    /// The id of cells that arrive.
    pub(super) incoming: CircuitId,
    /// The id of cells that leave.
    pub(super) outgoing: CircuitId,
}

/// The cells of one circuit for one link.
#[derive(Debug)]
struct PortQueue {
    id: CircuitId,
    cells: VecDeque<CircuitBody>,
    bucket: TokenBucket,
}

/// The circuit cells for one link.
#[derive(Debug, Default)]
struct LinkQueue {
    /// Cells that end circuits. They leave first.
    closing: VecDeque<CircuitCell>,
    ports: BTreeMap<(CircuitRef, CircuitSide), PortQueue>,
    /// The circuits that have cells, in the order of their turns.
    turns: VecDeque<(CircuitRef, CircuitSide)>,
    bucket: TokenBucket,
    is_blocked: bool,
}

/// The queues of all links.
#[derive(Debug, Default)]
pub(super) struct CircuitEgress {
    links: BTreeMap<LinkId, LinkQueue>,
    /// When each link may have its next cell.
    due: DueIndex<LinkId>,
    len: usize,
}

/// A cell that leaves.
pub(super) struct Popped {
    pub(super) cell: CircuitCell,
    /// The circuit that it belongs to, and how many of its cells are left.
    pub(super) of: Option<(CircuitRef, usize)>,
}

impl CircuitEgress {
    /// Opens a queue.
    pub(super) fn open(
        &mut self,
        now: Instant,
        circuit: CircuitRef,
        side: CircuitSide,
        port: CircuitPort,
    ) {
        let link = self.links.entry(port.link).or_insert_with(|| LinkQueue {
            bucket: TokenBucket::full(now),
            ..LinkQueue::default()
        });
        let queue = PortQueue {
            id: port.outgoing,
            cells: VecDeque::new(),
            bucket: TokenBucket::full(now),
        };
        link.ports.insert((circuit, side), queue);
    }

    /// Whether another circuit has the id for cells that leave over the link.
    pub(super) fn uses(&self, link: LinkId, id: CircuitId) -> bool {
        let ports = self.links.get(&link).map(|link| &link.ports);
        ports.is_some_and(|ports| ports.values().any(|queue| queue.id == id))
    }

    /// Queues a cell. Returns the number of cells of the circuit that wait for this link.
    pub(super) fn push(
        &mut self,
        now: Instant,
        circuit: CircuitRef,
        side: CircuitSide,
        link: LinkId,
        body: CircuitBody,
    ) -> usize {
        let Some(state) = self.links.get_mut(&link) else {
            return 0;
        };
        let Some(queue) = state.ports.get_mut(&(circuit, side)) else {
            return 0;
        };
        if queue.cells.is_empty() {
            state.turns.push_back((circuit, side));
        }
        queue.cells.push_back(body);
        self.len += 1;
        let waiting = queue.cells.len();
        self.arm(now, link);
        waiting
    }

    /// Number of cells of a circuit that wait for a link.
    pub(super) fn waiting(&self, circuit: CircuitRef, side: CircuitSide, link: LinkId) -> usize {
        let queue = self.links.get(&link);
        let queue = queue.and_then(|link| link.ports.get(&(circuit, side)));
        queue.map_or(0, |queue| queue.cells.len())
    }

    /// Drops a queue; `last` leaves in place of its cells.
    pub(super) fn close(
        &mut self,
        now: Instant,
        circuit: CircuitRef,
        side: CircuitSide,
        link: LinkId,
        last: Option<CircuitCell>,
    ) {
        let Some(state) = self.links.get_mut(&link) else {
            return;
        };
        if let Some(queue) = state.ports.remove(&(circuit, side)) {
            self.len -= queue.cells.len();
        }
        state.turns.retain(|turn| *turn != (circuit, side));
        if state.closing.len() < MAX_CLOSING {
            state.closing.extend(last);
        }
        if state.ports.is_empty() && state.closing.is_empty() && !state.is_blocked {
            self.links.remove(&link);
        }
        self.arm(now, link);
    }

    /// Queues a cell that belongs to no circuit of this node.
    pub(super) fn push_closing(&mut self, now: Instant, link: LinkId, cell: CircuitCell) {
        let state = self.links.entry(link).or_insert_with(|| LinkQueue {
            bucket: TokenBucket::full(now),
            ..LinkQueue::default()
        });
        if state.closing.len() < MAX_CLOSING {
            state.closing.push_back(cell);
        }
        self.arm(now, link);
    }

    /// The next cell for a link, if the rates permit one now.
    pub(super) fn pop(&mut self, now: Instant, link: LinkId) -> Option<Popped> {
        let state = self.links.get_mut(&link)?;
        let popped = state.pop(now);
        if popped.as_ref().is_some_and(|popped| popped.of.is_some()) {
            self.len -= 1;
        }
        if state.ports.is_empty() && state.closing.is_empty() && !state.is_blocked {
            self.links.remove(&link);
        }
        self.arm(now, link);
        popped
    }

    /// Whether a link takes no cells for now.
    pub(super) fn set_blocked(&mut self, now: Instant, link: LinkId, is_blocked: bool) {
        if let Some(state) = self.links.get_mut(&link) {
            state.is_blocked = is_blocked;
            self.arm(now, link);
        }
    }

    /// Forgets a link, whose circuits have been closed.
    pub(super) fn on_link_closed(&mut self, link: LinkId) {
        if let Some(state) = self.links.remove(&link) {
            let queues = state.ports.values().map(|queue| queue.cells.len());
            self.len -= queues.sum::<usize>();
        }
        self.due.set(link, None);
    }

    /// The links that may have a cell now.
    pub(super) fn due(&self, now: Instant) -> impl Iterator<Item = LinkId> {
        self.due.due(now)
    }

    /// When the next link may have a cell.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.next_due()
    }

    /// Number of cells that wait.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The longest queue.
    pub(super) fn longest(&self) -> Option<CircuitRef> {
        let ports = self.links.values().flat_map(|link| &link.ports);
        let longest = ports.max_by_key(|(_, queue)| queue.cells.len())?;
        Some(longest.0.0)
    }

    fn arm(&mut self, now: Instant, link: LinkId) {
        let due = self.links.get(&link).and_then(|state| state.next_due(now));
        self.due.set(link, due);
    }
}

impl LinkQueue {
    fn pop(&mut self, now: Instant) -> Option<Popped> {
        if self.is_blocked || self.bucket.next_token(LINK_QUOTA) > now {
            return None;
        }
        if let Some(cell) = self.closing.pop_front() {
            self.bucket.take(LINK_QUOTA, now);
            return Some(Popped { cell, of: None });
        }
        for _ in 0..self.turns.len() {
            let turn = self.turns.pop_front()?;
            let Some(queue) = self.ports.get_mut(&turn) else {
                continue;
            };
            if !queue.bucket.take(CIRCUIT_QUOTA, now) {
                self.turns.push_back(turn);
                continue;
            }
            let Some(body) = queue.cells.pop_front() else {
                continue;
            };
            let left = queue.cells.len();
            if left > 0 {
                self.turns.push_back(turn);
            }
            self.bucket.take(LINK_QUOTA, now);
            return Some(Popped {
                cell: CircuitCell::new(queue.id, &body),
                of: Some((turn.0, left)),
            });
        }
        None
    }

    fn next_due(&self, now: Instant) -> Option<Instant> {
        if self.is_blocked {
            return None;
        }
        let link = self.bucket.next_token(LINK_QUOTA);
        if !self.closing.is_empty() {
            return Some(link.max(now));
        }
        let ports = self.turns.iter().filter_map(|turn| self.ports.get(turn));
        let circuit = ports
            .map(|queue| queue.bucket.next_token(CIRCUIT_QUOTA))
            .min()?;
        Some(link.max(circuit).max(now))
    }
}

/// Maximum number of closing cells that wait for one link. Beyond it peers learn by silence.
const MAX_CLOSING: usize = 128;
