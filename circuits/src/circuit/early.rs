//! Circuit cells whose circuit does not exist yet, or not any more.
//!
//! A setup cell waits at each relay until it is peeled and its replay tag is durable; the cells behind
//! it do not. They are kept for a few seconds, a few per link. The cells of a circuit that has just
//! ended must not take these places, so the ids of ended circuits are remembered for as long.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use super::cell::{CircuitCell, CircuitId};
use crate::bounded_map::BoundedMap;
use crate::ids::LinkId;
use crate::time::Instant;

/// Cells without a circuit, by link.
#[derive(Debug)]
pub(super) struct EarlyCells {
    links: BTreeMap<LinkId, VecDeque<(Instant, CircuitCell)>>,
    len: usize,
    /// Ids of circuits that have ended, until the time of their rank.
    ended: BoundedMap<(LinkId, CircuitId), (), Instant>,
}

impl EarlyCells {
    pub(super) const fn new() -> Self {
        Self {
            links: BTreeMap::new(),
            len: 0,
            ended: BoundedMap::new(MAX_ENDED),
        }
    }

    /// Keeps a cell whose id is unknown. If the link has its maximum, the cell is lost, and if all links
    /// together have theirs, the link with most cells loses its oldest.
    pub(super) fn push(&mut self, now: Instant, link: LinkId, cell: CircuitCell) {
        self.expire(now, link);
        if self.ended.contains_key(&(link, cell.id())) {
            return;
        }
        let cells = self.links.entry(link).or_default();
        if cells.len() >= MAX_PER_LINK {
            return;
        }
        cells.push_back((now.after(EARLY_TIMEOUT), cell));
        self.len += 1;
        if self.len > MAX_CELLS {
            let longest = self.links.values_mut().max_by_key(|cells| cells.len());
            if longest.is_some_and(|cells| cells.pop_front().is_some()) {
                self.len -= 1;
            }
        }
    }

    /// The cells of a circuit that exists now, in the order of their arrival.
    pub(super) fn take(&mut self, now: Instant, link: LinkId, id: CircuitId) -> Vec<CircuitCell> {
        self.expire(now, link);
        self.ended.remove(&(link, id));
        let Some(cells) = self.links.get_mut(&link) else {
            return Vec::new();
        };
        let (taken, kept): (VecDeque<_>, VecDeque<_>) =
            cells.drain(..).partition(|(_, cell)| cell.id() == id);
        *cells = kept;
        self.len -= taken.len();
        taken.into_iter().map(|(_, cell)| cell).collect()
    }

    /// A circuit has ended; its cells that are on their way are dropped.
    pub(super) fn on_ended(&mut self, now: Instant, link: LinkId, id: CircuitId) {
        self.ended.insert((link, id), now.after(ENDED_TIMEOUT), ());
    }

    /// A link is closed; its cells belong to no circuit any more.
    pub(super) fn on_link_closed(&mut self, link: LinkId) {
        let cells = self.links.remove(&link).unwrap_or_default();
        self.len -= cells.len();
    }

    /// Number of cells.
    #[cfg(test)]
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Drops the cells of a link that have waited too long. Those of other links stay until their link
    /// has its turn, within the bounds.
    fn expire(&mut self, now: Instant, link: LinkId) {
        while self.ended.pop_first_if(|until| until <= now).is_some() {}
        let Some(cells) = self.links.get_mut(&link) else {
            return;
        };
        while cells.front().is_some_and(|(until, _)| *until <= now) {
            cells.pop_front();
            self.len -= 1;
        }
        if cells.is_empty() {
            self.links.remove(&link);
        }
    }
}

/// How long a cell waits for its circuit: longer than a busy relay takes to peel a setup cell.
const EARLY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the id of an ended circuit is remembered.
const ENDED_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum number of cells of one link: the first cells of a few circuits.
const MAX_PER_LINK: usize = 64;
/// Maximum number of cells of all links, of 912 bytes each.
const MAX_CELLS: usize = 2_048;
/// Maximum number of ids that are remembered.
const MAX_ENDED: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circuit::CircuitIds;
    use crate::geometry::CIRCUIT_BODY_LEN;

    fn cell(circuit: u8, number: u8) -> CircuitCell {
        let id = CircuitIds::of(&[circuit; 912]).forward;
        CircuitCell::new(id, &[number; CIRCUIT_BODY_LEN])
    }

    #[test]
    fn early_cells_of_a_circuit_come_in_order_and_once() {
        let mut early = EarlyCells::new();
        for number in 0..4 {
            early.push(Instant::ZERO, LinkId(1), cell(number % 2, number));
        }
        let id = cell(1, 0).id();
        assert!(early.take(Instant::ZERO, LinkId(2), id).is_empty());
        let taken = early.take(Instant::ZERO, LinkId(1), id);
        assert_eq!(taken, [cell(1, 1), cell(1, 3)]);
        assert!(early.take(Instant::ZERO, LinkId(1), id).is_empty());
        assert_eq!(early.len(), 2);
    }

    #[test]
    fn early_cell_expires() {
        let mut early = EarlyCells::new();
        early.push(Instant::ZERO, LinkId(1), cell(1, 0));
        let late = Instant::ZERO.after(EARLY_TIMEOUT);
        assert!(early.take(late, LinkId(1), cell(1, 0).id()).is_empty());
        assert_eq!(early.len(), 0);
    }

    #[test]
    fn attack_with_unknown_ids_over_one_link_leaves_64_cells() {
        let mut early = EarlyCells::new();
        for number in 0..200 {
            early.push(Instant::ZERO, LinkId(1), cell(number, number));
        }
        assert_eq!(early.len(), MAX_PER_LINK);
    }

    #[test]
    fn attack_with_unknown_ids_over_many_links_leaves_a_place_to_another_link() {
        let mut early = EarlyCells::new();
        for link in 0..200 {
            for number in 0..200 {
                early.push(Instant::ZERO, LinkId(link), cell(1, number));
            }
        }
        assert_eq!(early.len(), MAX_CELLS);
        early.push(Instant::ZERO, LinkId(999), cell(2, 0));
        let taken = early.take(Instant::ZERO, LinkId(999), cell(2, 0).id());
        assert_eq!(taken.len(), 1);
    }

    #[test]
    fn cells_of_an_ended_circuit_take_no_place() {
        let mut early = EarlyCells::new();
        early.on_ended(Instant::ZERO, LinkId(1), cell(1, 0).id());
        early.push(Instant::ZERO, LinkId(1), cell(1, 0));
        assert_eq!(early.len(), 0);
        early.push(Instant::ZERO.after(ENDED_TIMEOUT), LinkId(1), cell(1, 0));
        assert_eq!(early.len(), 1);
    }
}
