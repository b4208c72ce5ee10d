//! Egress: cells leave for their next hop, over a link dialled for them if there is none.

use std::collections::BTreeMap;

use circuits::cell::Cell;
use circuits::ids::{LinkId, ShortId};
use circuits::time::Now;

use super::{MixedCell, Relay, RelayContext};
use crate::node::action::Action;
use crate::node::effects::{Counter, Effects};
use crate::node::peers::LinkPurpose;

/// Cells whose next hop is being dialled.
#[derive(Default)]
pub(super) struct AwaitingLink {
    cells: BTreeMap<ShortId, Vec<Cell>>,
    total: usize,
}

impl AwaitingLink {
    /// Queues a cell. Returns the number of cells that wait for this relay, or `None` if there is
    /// no room.
    fn push(&mut self, relay: ShortId, cell: Cell) -> Option<usize> {
        let waiting = self.cells.get(&relay).map_or(0, Vec::len);
        if self.total >= MAX_AWAITING_LINK || waiting >= MAX_AWAITING_PER_RELAY {
            return None;
        }
        self.total += 1;
        self.cells.entry(relay).or_default().push(cell);
        Some(waiting + 1)
    }

    fn take(&mut self, relay: ShortId) -> Vec<Cell> {
        let cells = self.cells.remove(&relay).unwrap_or_default();
        self.total = self.total.saturating_sub(cells.len());
        cells
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
        while let Some(MixedCell { next, cell }) = self.mix.pop_due(now.mono) {
            fx.count(Counter::CellsForwarded);
            self.send_cell(fx, next, cell, context);
        }
        self.arm(fx);
    }

    /// Sends a cell to a relay.
    pub(in crate::node) fn send_cell(
        &mut self,
        fx: &mut Effects,
        next: ShortId,
        cell: Cell,
        context: RelayContext<'_>,
    ) {
        if let Some(link) = context.peers.to_relay(next) {
            return fx.request(Action::SendCellOver(link, cell));
        }
        let Some(peer) = context.directory.address_of(next) else {
            return fx.count(Counter::CellsDropped);
        };
        match self.awaiting_link.push(next, cell) {
            None => fx.count(Counter::CellsDropped),
            Some(_) if context.peers.refuses_cells(next) => {
                fx.request(Action::RelayUnreachable(next));
            }
            // The first cell makes the node dial; the others wait for the same link.
            Some(1) => fx.request(Action::Dial(peer, LinkPurpose::Cells)),
            Some(_) => {}
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
            fx.request(Action::SendCellOver(link, cell));
        }
    }

    /// A relay cannot be reached: the cells that wait for it are lost. Returns whether there were
    /// any.
    pub(in crate::node) fn on_unreachable(&mut self, fx: &mut Effects, relay: ShortId) -> bool {
        let cells = self.awaiting_link.take(relay);
        fx.count_many(Counter::CellsDropped, cells.len());
        !cells.is_empty()
    }
}

/// Maximum number of cells that wait for a link.
const MAX_AWAITING_LINK: usize = 1024;

/// Maximum number of cells that wait for one relay, so that a relay that accepts no link does not
/// take the room of the others.
const MAX_AWAITING_PER_RELAY: usize = MAX_AWAITING_LINK / 4;
