//! The ingress queue of a relay: cells that wait for the processor.
//!
//! Curve arithmetic is the only costly work that an unknown peer can cause at a relay, so three
//! limits apply: the rate of each link, the number of queued cells, and the rate of peeling. Links
//! are served in turn, so a flood delays only the cells of the link that sends it.

use std::collections::{BTreeMap, VecDeque};

use core::time::Duration;

use super::DropReason;
use super::rate_limit::{GcraLimiter, GcraQuota};
use crate::cell::Cell;
use crate::ids::LinkId;
use crate::time::Instant;

/// The load that a relay accepts (anonymity 3.11).
#[derive(Clone, Copy, Debug)]
pub struct RelayLimits {
    /// Cells per second from one peer; more are dropped. An honest peer forwards the cells of its
    /// own peers, half a cell per second each, spread over its links.
    pub link_rate: u32,
    /// Cells that one peer may send at once, and that may be queued for it.
    pub link_burst: u32,
    /// Cells peeled per second: at 0.1 ms each, 500 take a twentieth of one core.
    pub peel_rate: u32,
    /// Cells that may be queued in total, of 912 bytes each.
    pub waiting: usize,
}

impl Default for RelayLimits {
    fn default() -> Self {
        Self {
            link_rate: 20,
            link_burst: 100,
            peel_rate: 500,
            waiting: 2_048,
        }
    }
}

/// Queues of cells, one for each link.
#[derive(Debug)]
pub(super) struct IngressQueue {
    limits: RelayLimits,
    links: BTreeMap<LinkId, PeerQueue>,
    /// Links with queued cells, each once, in the order of service.
    turns: VecDeque<LinkId>,
    waiting: usize,
    evicted: u64,
    peeling: GcraLimiter,
}

/// The state of one link.
#[derive(Debug, Default)]
struct PeerQueue {
    rate: GcraLimiter,
    cells: VecDeque<Cell>,
}

impl IngressQueue {
    pub(super) const fn new(limits: RelayLimits) -> Self {
        Self {
            limits,
            links: BTreeMap::new(),
            turns: VecDeque::new(),
            waiting: 0,
            evicted: 0,
            peeling: GcraLimiter::idle(),
        }
    }

    /// Counts a cell against the rate of its link.
    pub(super) fn admit(&mut self, now: Instant, from: LinkId) -> Result<(), DropReason> {
        if !self.links.contains_key(&from) {
            // An idle link has the state of a new one, so the map contains active links only.
            self.links
                .retain(|_, link| !link.cells.is_empty() || !link.rate.is_idle(now));
        }
        let quota = GcraQuota::with_burst(self.limits.link_rate, self.limits.link_burst);
        if !self.links.entry(from).or_default().rate.take(quota, now) {
            return Err(DropReason::Flooding);
        }
        Ok(())
    }

    /// Queues an admitted cell. If the total is exceeded, the link with the most cells loses its
    /// newest, which may be this one.
    pub(super) fn push(&mut self, from: LinkId, cell: Cell) -> Result<(), DropReason> {
        let per_link = usize::try_from(self.limits.link_burst).unwrap_or(usize::MAX);
        let own = self.links.get(&from).map_or(0, |link| link.cells.len());
        if own >= per_link || (self.waiting >= self.limits.waiting && !self.make_room(own)) {
            return Err(DropReason::Crowded);
        }
        let link = self.links.entry(from).or_default();
        if link.cells.is_empty() {
            self.turns.push_back(from);
        }
        link.cells.push_back(cell);
        self.waiting += 1;
        Ok(())
    }

    /// The next cell in turn, if peeling is permitted now.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(LinkId, Cell)> {
        let from = *self.turns.front()?;
        if !self.peeling.take(self.peel_quota(), now) {
            return None;
        }
        self.turns.pop_front();
        let link = self.links.get_mut(&from)?;
        let cell = link.cells.pop_front()?;
        self.waiting -= 1;
        if !link.cells.is_empty() {
            self.turns.push_back(from);
        }
        Some((from, cell))
    }

    /// When [`Self::pop`] returns a cell; `None` if no cell is queued.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let _ = self.turns.front()?;
        Some(self.peeling.next_allowed(self.peel_quota()))
    }

    /// Number of queued cells.
    pub(super) const fn len(&self) -> usize {
        self.waiting
    }

    /// Number of queued cells that were evicted for cells of other links.
    pub(super) const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Drops the newest cell of the longest queue, unless that queue would then be no longer than
    /// one of `own` cells and the new one.
    fn make_room(&mut self, own: usize) -> bool {
        let longest = self.links.values_mut().max_by_key(|link| link.cells.len());
        let Some(link) = longest.filter(|link| link.cells.len() > own + 1) else {
            return false;
        };
        link.cells.pop_back();
        self.waiting -= 1;
        self.evicted += 1;
        true
    }

    const fn peel_quota(&self) -> GcraQuota {
        GcraQuota::per_second(self.limits.peel_rate, MAX_CATCH_UP)
    }
}

/// Maximum time by which peeling may run ahead of its rate, so that timers may be coarse.
const MAX_CATCH_UP: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::CELL_LEN;

    fn cell(number: u8) -> Cell {
        let mut bytes = [number; CELL_LEN];
        bytes[0] = 0x10;
        Cell::parse(&bytes).unwrap()
    }

    fn number(cell: &Cell) -> u8 {
        cell.as_bytes()[1]
    }

    fn offer(
        ingress: &mut IngressQueue,
        now: Instant,
        from: u64,
        number: u8,
    ) -> Result<(), DropReason> {
        ingress.admit(now, LinkId(from))?;
        ingress.push(LinkId(from), cell(number))
    }

    /// All cells that can be popped at `now`, as (link, number).
    fn drain(ingress: &mut IngressQueue, now: Instant) -> Vec<(u64, u8)> {
        let pop = || ingress.pop(now);
        std::iter::from_fn(pop)
            .map(|(from, cell)| (from.0, number(&cell)))
            .collect()
    }

    fn second(n: u64) -> Instant {
        Instant::from_micros(n * 1_000_000)
    }

    #[test]
    fn peers_are_served_in_turn_and_their_cells_in_order() {
        let mut ingress = IngressQueue::new(RelayLimits::default());
        for n in 0..3 {
            offer(&mut ingress, second(1), 1, n).unwrap();
        }
        offer(&mut ingress, second(1), 2, 9).unwrap();
        let order = drain(&mut ingress, second(1));
        assert_eq!(order, [(1, 0), (2, 9), (1, 1), (1, 2)]);
    }

    #[test]
    fn a_flood_from_one_peer_costs_the_others_nothing() {
        let mut ingress = IngressQueue::new(RelayLimits::default());
        let mut served = 0;
        let mut honest = 0;
        for tick in 0..10_000 {
            let now = Instant::from_micros(tick * 1_000);
            for _ in 0..5 {
                let _ = offer(&mut ingress, now, 666, 0);
            }
            if tick % 100 == 0 {
                offer(&mut ingress, now, tick % 7, 1).unwrap();
                honest += 1;
            }
            served += drain(&mut ingress, now)
                .iter()
                .filter(|(_, n)| *n == 1)
                .count();
        }
        assert_eq!(served, honest);
    }

    #[test]
    fn many_flooding_peers_leave_room_for_one_that_does_not() {
        let mut ingress = IngressQueue::new(RelayLimits {
            waiting: 200,
            peel_rate: 50,
            ..RelayLimits::default()
        });
        let mut served = 0;
        for tick in 0..600 {
            let now = Instant::from_micros(tick * 100_000);
            for sybil in 0..40 {
                let _ = offer(&mut ingress, now, 1_000 + sybil, 0);
                let _ = offer(&mut ingress, now, 1_000 + sybil, 0);
            }
            if tick % 30 == 0 {
                offer(&mut ingress, now, 1, 1).unwrap();
            }
            assert!(ingress.len() <= 200);
            served += drain(&mut ingress, now)
                .iter()
                .filter(|(from, _)| *from == 1)
                .count();
        }
        assert!(served >= 19, "served {served} of 20");
        assert!(ingress.evicted() > 0);
    }

    #[test]
    fn a_burst_passes_and_more_is_dropped_not_queued() {
        let mut ingress = IngressQueue::new(RelayLimits::default());
        for n in 0..100 {
            assert_eq!(offer(&mut ingress, second(1), 1, n), Ok(()));
        }
        assert_eq!(
            offer(&mut ingress, second(1), 1, 100),
            Err(DropReason::Flooding)
        );
        assert_eq!(ingress.len(), 100);
    }

    #[test]
    fn one_peer_never_has_more_than_its_burst_waiting() {
        let mut ingress = IngressQueue::new(RelayLimits {
            peel_rate: 0,
            ..RelayLimits::default()
        });
        let mut last = Ok(());
        for tick in 0..1_000 {
            last = offer(&mut ingress, Instant::from_micros(tick * 50_000), 1, 0);
        }
        assert_eq!(last, Err(DropReason::Crowded));
        assert_eq!(ingress.len(), 100);
    }

    #[test]
    fn peeling_keeps_its_rate_whatever_waits() {
        let mut ingress = IngressQueue::new(RelayLimits::default());
        let mut peeled = 0;
        for tick in 0..1_000 {
            let now = Instant::from_micros(tick * 10_000);
            for link in 0..100 {
                let _ = offer(&mut ingress, now, link, 0);
            }
            peeled += drain(&mut ingress, now).len();
        }
        assert!((4_990..=5_030).contains(&peeled), "{peeled} in ten seconds");
    }

    #[test]
    fn the_next_instant_of_work_is_told_and_is_right() {
        let mut ingress = IngressQueue::new(RelayLimits::default());
        assert_eq!(ingress.next_due(), None);
        for n in 0..100 {
            offer(&mut ingress, second(1), 1, n).unwrap();
        }
        drain(&mut ingress, second(1));
        let due = ingress.next_due().unwrap();
        assert!(due > second(1));
        assert!(
            ingress
                .pop(Instant::from_micros(due.as_micros() - 1))
                .is_none()
        );
        assert!(ingress.pop(due).is_some());
    }

    #[test]
    fn idle_peers_are_forgotten() {
        let mut ingress = IngressQueue::new(RelayLimits::default());
        for link in 0..1_000 {
            let now = Instant::from_micros(link * 100_000);
            offer(&mut ingress, now, link, 0).unwrap();
            drain(&mut ingress, now);
        }
        assert!(ingress.links.len() < 10, "{} links", ingress.links.len());
    }
}
