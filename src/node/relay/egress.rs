//! Egress: cells leave for their next hop, over a link dialled for them if there is none.
//!
//! A cell names its next hop by the id of a relay in the directory, or by the handle of a link (spec
//! F4). No other name leads anywhere: if the public name of a client did, every node that knows the
//! name could send cells to the client through its guard.
//!
//! A cell of another node may make this node dial; each link that brings such cells has a quota of
//! dials. A cell of ours never dials a guard (`directory::guard_links`).

use core::time::Duration;
use std::collections::BTreeMap;

use circuits::cell::Cell;
use circuits::ids::{LinkId, ShortId};
use circuits::rate_limit::Quota;
use circuits::time::Now;

use super::{MixedCell, Relay, RelayContext};
use crate::node::action::{Action, CircuitAction};
use crate::node::circuits::CircuitSetupCell;
use crate::node::effects::{Counter, Effects};
use crate::node::peers::LinkPurpose;

/// What leaves for a next hop.
pub(super) enum DepartingCell {
    /// A cell that travels alone.
    OneShot(Cell),
    /// A cell that sets up a circuit. The circuit begins with the link that the cell leaves by.
    Setup(CircuitSetupCell),
}

impl DepartingCell {
    fn send(self, fx: &mut Effects, link: LinkId) {
        fx.request(match self {
            Self::OneShot(cell) => Action::SendCellOver(link, cell),
            Self::Setup(setup) => Action::Circuit(CircuitAction::Connect(link, setup)),
        });
    }
}

/// Cells whose next hop has no link yet.
#[derive(Default)]
pub(super) struct AwaitingLink {
    relays: BTreeMap<ShortId, AwaitingCells>,
    total: usize,
}

/// The cells that wait for one relay.
#[derive(Default)]
struct AwaitingCells {
    cells: Vec<DepartingCell>,
    /// Whether one of them has made this node dial.
    dialed: bool,
}

impl AwaitingLink {
    /// Queues a cell; `false` if there is no room.
    fn push(&mut self, relay: ShortId, cell: DepartingCell) -> bool {
        let waiting = self.relays.get(&relay);
        let waiting = waiting.map_or(0, |waiting| waiting.cells.len());
        if self.total >= MAX_AWAITING_LINK || waiting >= MAX_AWAITING_PER_RELAY {
            return false;
        }
        self.total += 1;
        self.relays.entry(relay).or_default().cells.push(cell);
        true
    }

    /// Number of cells that wait for a link.
    pub(super) const fn len(&self) -> usize {
        self.total
    }

    /// Whether a cell that waits for this relay has made this node dial.
    fn is_dialed(&self, relay: ShortId) -> bool {
        self.relays
            .get(&relay)
            .is_some_and(|waiting| waiting.dialed)
    }

    fn note_dial(&mut self, relay: ShortId) {
        if let Some(waiting) = self.relays.get_mut(&relay) {
            waiting.dialed = true;
        }
    }

    fn take(&mut self, relay: ShortId) -> Vec<DepartingCell> {
        let waiting = self.relays.remove(&relay).unwrap_or_default();
        self.total = self.total.saturating_sub(waiting.cells.len());
        waiting.cells
    }
}

impl Relay {
    /// Sends cells whose delay has ended.
    pub(in crate::node) fn release_cells(
        &mut self,
        fx: &mut Effects,
        now: Now,
        context: RelayContext<'_>,
    ) {
        while let Some(MixedCell { from, next, cell }) = self.mix.pop_due(now.mono) {
            fx.count(Counter::CellsForwarded);
            self.forward(fx, now, from, next, DepartingCell::OneShot(cell), context);
        }
        self.arrivals.observe(now, self.mix.len());
        self.arm(fx);
    }

    /// Sends a cell of another node, which `from` brought, to its next hop.
    pub(super) fn forward(
        &mut self,
        fx: &mut Effects,
        now: Now,
        from: LinkId,
        next: ShortId,
        cell: DepartingCell,
        context: RelayContext<'_>,
    ) {
        if let Some(link) = context.link_to(next) {
            return cell.send(fx, link);
        }
        let must_dial = !self.awaiting_link.is_dialed(next);
        if !context.directory.contains(next) || (must_dial && !self.dials.take(from, now.mono)) {
            return fx.count(Counter::CellsDropped);
        }
        if self.await_link(fx, next, cell, context) && must_dial {
            self.dial(fx, next, context);
        }
    }

    /// Sends the setup cell of a circuit of another node to its next hop.
    pub(in crate::node) fn forward_setup(
        &mut self,
        fx: &mut Effects,
        now: Now,
        next: ShortId,
        setup: CircuitSetupCell,
        context: RelayContext<'_>,
    ) {
        let from = setup.from();
        self.forward(fx, now, from, next, DepartingCell::Setup(setup), context);
    }

    /// Sends a cell of ours to its first hop. A guard that is not connected is dialled by its own
    /// clock, and the cell waits for it.
    pub(in crate::node) fn send_own_cell(
        &mut self,
        fx: &mut Effects,
        next: ShortId,
        cell: Cell,
        context: RelayContext<'_>,
    ) {
        if let Some(link) = context.link_to(next) {
            return fx.request(Action::SendCellOver(link, cell));
        }
        let must_dial =
            !context.directory.keeps_guard_link(next) && !self.awaiting_link.is_dialed(next);
        let cell = DepartingCell::OneShot(cell);
        if self.await_link(fx, next, cell, context) && must_dial {
            self.dial(fx, next, context);
        }
    }

    /// Queues a cell until there is a link to this relay; `false` if the cell is lost.
    fn await_link(
        &mut self,
        fx: &mut Effects,
        next: ShortId,
        cell: DepartingCell,
        context: RelayContext<'_>,
    ) -> bool {
        if !context.directory.contains(next) || !self.awaiting_link.push(next, cell) {
            fx.count(Counter::CellsDropped);
            return false;
        }
        let refuses = context.peers.refuses_cells(next);
        if refuses {
            fx.request(Action::RelayUnreachable(next));
        }
        !refuses
    }

    fn dial(&mut self, fx: &mut Effects, next: ShortId, context: RelayContext<'_>) {
        match context.directory.address_of(next) {
            Some(peer) => {
                self.awaiting_link.note_dial(next);
                fx.request(Action::Dial(peer, LinkPurpose::Cells));
            }
            None => self.on_unreachable(fx, next),
        }
    }

    /// A relay takes cells over a new link: sends those that wait for it.
    pub(in crate::node) fn send_awaiting_cells(
        &mut self,
        fx: &mut Effects,
        link: LinkId,
        relay: ShortId,
    ) {
        for cell in self.awaiting_link.take(relay) {
            cell.send(fx, link);
        }
    }

    /// A relay cannot be reached: the cells that wait for it are lost.
    pub(in crate::node) fn on_unreachable(&mut self, fx: &mut Effects, relay: ShortId) {
        let cells = self.awaiting_link.take(relay);
        fx.count_many(Counter::CellsDropped, cells.len());
    }
}

impl RelayContext<'_> {
    /// The link to a next hop: to a relay of the directory, or by the handle of the link.
    fn link_to(self, next: ShortId) -> Option<LinkId> {
        let to_relay = self.peers.to_relay(next);
        let to_relay = to_relay.filter(|_| self.directory.contains(next));
        to_relay.or_else(|| self.peers.to_handle(next))
    }
}

/// Maximum number of cells that wait for a link.
const MAX_AWAITING_LINK: usize = 1024;

/// Maximum number of cells that wait for one relay, so that a relay that accepts no link does not
/// take the room of the others.
const MAX_AWAITING_PER_RELAY: usize = MAX_AWAITING_LINK / 4;

/// Dials that the cells of one link may cause: half of the links for cells at once, and two a
/// second.
pub(super) const DIAL_QUOTA: Quota = Quota::new(32, Duration::from_millis(500));

/// Maximum number of links with a dial quota of their own; more share one.
pub(super) const MAX_DIAL_BUCKETS: usize = 1024;
