//! The ingress queue of a relay: cells that wait for the processor.
//!
//! Curve arithmetic is the only costly work that an unknown peer can cause at a relay, so three
//! limits apply: the rate of each link, the number of queued cells, and the rate of peeling. Links
//! are served in turn, so a flood delays only the cells of the link that sends it.
//!
//! The links of relays in the directory are a class of their own. A relay forwards the cells of many
//! senders, and in a small network most of them over one link, so its rate follows the number of relays.
//! The two classes take turns at peeling: links are free and places in the directory are not, so
//! thousands of links of unknown peers leave half of the work to relays.

use core::time::Duration;
use std::collections::BTreeMap;

use super::DropReason;
use crate::cell::Cell;
use crate::fair_queue::{FairQueue, FairQueueLimits, QueueSize};
use crate::geometry::CELL_LEN;
use crate::ids::{LinkClass, LinkId};
use crate::rate_limit::{KeyedLimiter, Quota, TokenBucket};
use crate::time::Instant;

/// The load that a relay accepts (anonymity 3.11).
#[derive(Clone, Copy, Debug)]
pub struct RelayLimits {
    /// Cells per second from one peer; more are dropped. A client sends at most 15. A relay of the
    /// directory may send more in a network of few relays, see [`LinkClass::Listed`].
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
    limits: RelayLimits,
    peel_quota: Quota,
    peeling: TokenBucket,
    rates: KeyedLimiter<LinkId>,
    /// What relays of the directory send beyond the rate of every link. One bucket for each link.
    listed_rates: BTreeMap<LinkId, TokenBucket>,
    listed: FairQueue<LinkId, (), Cell>,
    unlisted: FairQueue<LinkId, (), Cell>,
    /// Whether the last peeled cell came from a relay of the directory.
    was_listed: bool,
    evicted: u64,
}

impl IngressQueue {
    pub(super) fn new(limits: RelayLimits) -> Self {
        let link_quota = Quota::per_second(limits.link_rate, limits.link_burst);
        let cells = |entries: usize| QueueSize {
            entries,
            bytes: entries.saturating_mul(CELL_LEN),
        };
        let queue = || {
            FairQueue::new(FairQueueLimits {
                per_source: cells(usize::try_from(limits.link_burst).unwrap_or(usize::MAX)),
                total: cells(limits.waiting / 2),
            })
        };
        Self {
            limits,
            peel_quota: Quota::per_second(limits.peel_rate, 1).with_slack(MAX_CATCH_UP),
            peeling: TokenBucket::full(Instant::ZERO),
            rates: KeyedLimiter::new(link_quota, MAX_LINKS),
            listed_rates: BTreeMap::new(),
            listed: queue(),
            unlisted: queue(),
            was_listed: false,
            evicted: 0,
        }
    }

    /// Counts a cell against the rate of its peer.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        from: LinkId,
        class: LinkClass,
    ) -> Result<(), DropReason> {
        if self.rates.take(from, now) || self.take_listed(now, from, class) {
            Ok(())
        } else {
            Err(DropReason::Flooding)
        }
    }

    /// Takes a cell from what a relay of the directory may send beyond the rate of every link.
    fn take_listed(&mut self, now: Instant, from: LinkId, class: LinkClass) -> bool {
        let LinkClass::Listed { relays } = class else {
            return false;
        };
        let share = self.listed_rate(relays);
        let extra = share.saturating_sub(self.limits.link_rate);
        if extra == 0 {
            return false;
        }
        let quota = Quota::per_second(extra, extra.saturating_mul(BURST_SECS));
        let bucket = self.listed_rates.entry(from);
        bucket
            .or_insert_with(|| TokenBucket::full(now))
            .take(quota, now)
    }

    /// Cells per second that one relay of the directory may send.
    ///
    /// A relay that peels as fast as this one sends its cells on to the relays of one layer, which
    /// are a fifth of all. Half of this relay's work is the maximum: two links do not fill it.
    fn listed_rate(&self, relays: usize) -> u32 {
        let others = u32::try_from(relays.saturating_sub(1)).unwrap_or(u32::MAX);
        let share = self.limits.peel_rate.saturating_mul(LAYERS) / others.max(1);
        share.min(self.limits.peel_rate / 2)
    }

    /// Queues an admitted cell. If too many wait in total, the peer of its class with most of them
    /// loses its newest, which may be this one.
    pub(super) fn push(
        &mut self,
        from: LinkId,
        class: LinkClass,
        cell: Cell,
    ) -> Result<(), DropReason> {
        let queue = match class {
            LinkClass::Listed { .. } => &mut self.listed,
            LinkClass::Unlisted => &mut self.unlisted,
        };
        let pushed = queue.push(from, (), CELL_LEN, cell);
        if pushed.id.is_none() {
            return Err(DropReason::Crowded);
        }
        self.count_evicted(pushed.overflow.len());
        Ok(())
    }

    /// A link is closed: its cells share one place in turn with those of all closed links, so that a
    /// peer gains no share by connecting again.
    pub(super) fn on_link_closed(&mut self, link: LinkId) {
        self.listed_rates.remove(&link);
        let listed = self.listed.merge(link, CLOSED_LINKS);
        let unlisted = self.unlisted.merge(link, CLOSED_LINKS);
        self.count_evicted(listed.len().saturating_add(unlisted.len()));
    }

    /// The next cell, if peeling is permitted now: the classes take turns, and the links of a class
    /// take turns.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(LinkId, Cell)> {
        if self.len() == 0 || !self.peeling.take(self.peel_quota, now) {
            return None;
        }
        self.was_listed = if self.was_listed {
            self.unlisted.is_empty()
        } else {
            !self.listed.is_empty()
        };
        if self.was_listed {
            self.listed.pop()
        } else {
            self.unlisted.pop()
        }
    }

    /// When [`Self::pop`] returns a cell; `None` if no cell is queued.
    pub(super) fn next_due(&self) -> Option<Instant> {
        (self.len() > 0).then(|| self.peeling.next_token(self.peel_quota))
    }

    /// Number of queued cells.
    pub(super) const fn len(&self) -> usize {
        self.listed.size().entries + self.unlisted.size().entries
    }

    /// Number of cells that were queued and evicted for the cells of other peers.
    pub(super) const fn evicted(&self) -> u64 {
        self.evicted
    }

    fn count_evicted(&mut self, cells: usize) {
        let cells = u64::try_from(cells).unwrap_or(u64::MAX);
        self.evicted = self.evicted.saturating_add(cells);
    }
}

/// The source of the cells of closed links. No link has this number.
const CLOSED_LINKS: LinkId = LinkId(u64::MAX);
/// Maximum time by which peeling may run ahead of its rate, so that timers may be coarse.
const MAX_CATCH_UP: Duration = Duration::from_millis(50);
/// Links with a rate of their own: more than a node can have open.
const MAX_LINKS: usize = 4_096;
/// Layers of relays of the mixing levels: a relay sends to those of one layer.
const LAYERS: u32 = 5;
/// Seconds of its rate that a relay of the directory may send at once, like every link.
const BURST_SECS: u32 = 5;

#[cfg(test)]
mod tests;
