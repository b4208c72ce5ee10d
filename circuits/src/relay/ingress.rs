//! The ingress queue of a relay: cells that wait for the processor.
//!
//! Curve arithmetic is the only costly work that an unknown peer can cause at a relay, so three
//! limits apply: the rate of each link, the number of queued cells, and the rate of peeling. Links
//! are served in turn, so a flood delays only the cells of the link that sends it.

use core::time::Duration;

use super::DropReason;
use crate::cell::Cell;
use crate::fair_queue::{FairQueue, FairQueueLimits, QueueSize};
use crate::geometry::CELL_LEN;
use crate::ids::LinkId;
use crate::rate_limit::{KeyedLimiter, Quota, TokenBucket};
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

/// Received cells that wait to be peeled, in turn over the peers that sent them.
#[derive(Debug)]
pub(super) struct IngressQueue {
    peel_quota: Quota,
    peeling: TokenBucket,
    rates: KeyedLimiter<LinkId>,
    cells: FairQueue<LinkId, (), Cell>,
    evicted: u64,
}

impl IngressQueue {
    pub(super) fn new(limits: RelayLimits) -> Self {
        let link_quota = Quota::per_second(limits.link_rate, limits.link_burst);
        let cells = |entries: usize| QueueSize {
            entries,
            bytes: entries.saturating_mul(CELL_LEN),
        };
        Self {
            peel_quota: Quota::per_second(limits.peel_rate, 1).with_slack(MAX_CATCH_UP),
            peeling: TokenBucket::full(Instant::ZERO),
            rates: KeyedLimiter::new(link_quota, MAX_LINKS),
            cells: FairQueue::new(FairQueueLimits {
                per_source: cells(usize::try_from(limits.link_burst).unwrap_or(usize::MAX)),
                total: cells(limits.waiting),
            }),
            evicted: 0,
        }
    }

    /// Counts a cell against the rate of its peer.
    pub(super) fn admit(&mut self, now: Instant, from: LinkId) -> Result<(), DropReason> {
        if self.rates.take(from, now) {
            Ok(())
        } else {
            Err(DropReason::Flooding)
        }
    }

    /// Queues an admitted cell. If too many wait in total, the peer with most of them loses its
    /// newest, which may be this one.
    pub(super) fn push(&mut self, from: LinkId, cell: Cell) -> Result<(), DropReason> {
        let pushed = self.cells.push(from, (), CELL_LEN, cell);
        if pushed.id.is_none() {
            return Err(DropReason::Crowded);
        }
        let evicted = u64::try_from(pushed.overflow.len()).unwrap_or(u64::MAX);
        self.evicted = self.evicted.saturating_add(evicted);
        Ok(())
    }

    /// A link is closed: its cells share one place in turn with those of all closed links, so that a
    /// peer gains no share by connecting again.
    pub(super) fn on_link_closed(&mut self, link: LinkId) {
        let overflow = self.cells.merge(link, CLOSED_LINKS);
        let evicted = u64::try_from(overflow.len()).unwrap_or(u64::MAX);
        self.evicted = self.evicted.saturating_add(evicted);
    }

    /// The next cell in turn, if peeling is permitted now.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(LinkId, Cell)> {
        if self.cells.is_empty() || !self.peeling.take(self.peel_quota, now) {
            return None;
        }
        self.cells.pop()
    }

    /// When [`Self::pop`] returns a cell; `None` if no cell is queued.
    pub(super) fn next_due(&self) -> Option<Instant> {
        (!self.cells.is_empty()).then(|| self.peeling.next_token(self.peel_quota))
    }

    /// Number of queued cells.
    pub(super) const fn len(&self) -> usize {
        self.cells.size().entries
    }

    /// Number of cells that were queued and evicted for the cells of other peers.
    pub(super) const fn evicted(&self) -> u64 {
        self.evicted
    }
}

/// The source of the cells of closed links. No link has this number.
const CLOSED_LINKS: LinkId = LinkId(u64::MAX);
/// Maximum time by which peeling may run ahead of its rate, so that timers may be coarse.
const MAX_CATCH_UP: Duration = Duration::from_millis(50);
/// Links with a rate of their own: more than a node can have open.
const MAX_LINKS: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(ingress.rates.len() < 10, "{} links", ingress.rates.len());
    }

    #[test]
    fn peer_that_reconnects_gains_no_share() {
        let mut ingress = IngressQueue::new(RelayLimits::default());
        for link in 1..=20 {
            offer(&mut ingress, Instant::ZERO, link, 7).unwrap();
            offer(&mut ingress, Instant::ZERO, link, 7).unwrap();
            ingress.on_link_closed(LinkId(link));
        }
        for _ in 0..5 {
            offer(&mut ingress, Instant::ZERO, 99, 9).unwrap();
        }
        let mut now = Instant::ZERO;
        let mut served = Vec::new();
        while served.len() < 10 {
            now = now.after(Duration::from_millis(10));
            served.extend(ingress.pop(now).map(|(_, cell)| number(&cell)));
        }
        let honest = served.iter().filter(|number| **number == 9).count();
        assert_eq!(
            honest, 5,
            "every other cell is the honest peer's: {served:?}"
        );
    }
}
