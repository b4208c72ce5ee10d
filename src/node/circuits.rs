//! Circuits: streams of cells through relays, those of this node and those of others.
//!
//! The [`CircuitTable`] has keys, queues, limits and timers. This component connects it to the node: it
//! bounds what a link may bring, moves cells to links that have room, and knows circuits of this node by
//! the [handle](CircuitHandle) of their owner. A component that wants a circuit requests
//! [`CircuitAction::Open`], [`CircuitAction::Send`] and [`CircuitAction::Close`], and gets
//! [`CircuitAction::Received`], [`CircuitAction::Ready`] and [`CircuitAction::Ended`].
//!
//! Circuits belong to the level `normal`: two observed ends of a stream are correlated at once. They draw
//! nothing from the generators of cover traffic and send none of its cells. This component chooses no
//! path (`directory`), peels no cell (`relay`), and does not know what a payload means.

mod handle;
mod ingress;
mod level;

use core::time::Duration;
use std::collections::BTreeMap;

use circuits::arithmetic::Arithmetic;
use circuits::cell::Cell;
use circuits::cell_builder::{Hop, SealError};
use circuits::circuit::{
    CircuitCell, CircuitEvent, CircuitRef, CircuitRefusal, CircuitSetup, CircuitTable, HopKeys,
    MeetCookie, SetupSource,
};
use circuits::erasing_rng::ErasingRng;
use circuits::geometry::{CELL_LEN, CIRCUIT_PAYLOAD_LEN};
use circuits::ids::{Epoch, LinkClass, LinkId, ShortId};
use circuits::time::{Instant, Now};

pub(super) use self::handle::{CircuitEnding, CircuitHandle, CircuitOwner};
pub(super) use self::level::{level_of_decline, level_without_circuits};

use self::ingress::CircuitIngress;
use super::action::{Action, CircuitAction};
use super::directory::LanePlanError;
use super::effects::{Counter, Effects};
use super::peers::Peers;
use super::timers::TimerId;
use super::views::CircuitsView;

/// What one end of a circuit sends to the other in one cell.
pub(super) type CircuitPayload = Box<[u8; CIRCUIT_PAYLOAD_LEN]>;

/// The path of a circuit: the epoch of its onion keys, and its relays, the rendezvous last.
pub(super) type CircuitPath = Result<(Epoch, Vec<Hop>), LanePlanError>;

/// A circuit of another node whose setup cell was peeled here.
pub(super) struct PeeledCircuit {
    pub(super) source: SetupSource,
    pub(super) keys: HopKeys,
}

/// The setup cell of a circuit of another node, on its way to the next hop.
pub(super) struct CircuitSetupCell {
    circuit: CircuitRef,
    /// The link that brought it.
    from: LinkId,
    cell: Cell,
}

impl CircuitSetupCell {
    /// The link that brought the cell.
    pub(super) const fn from(&self) -> LinkId {
        self.from
    }
}

/// Why no circuit was opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum CircuitOpenError {
    /// The directory cannot satisfy the rules of a path.
    #[error("{0}")]
    Path(#[from] LanePlanError),
    /// The link to the guard is down. It is dialled by its own clock, never for a circuit.
    #[error("the link to the guard is down; it is dialled again by itself")]
    GuardDown,
    /// The owner has a circuit with this handle.
    #[error("a circuit with this number is open; close it first")]
    HandleInUse,
    /// The setup cell cannot be built.
    #[error("{0}")]
    Setup(#[from] SealError),
    /// The table has no place.
    #[error("{0}")]
    Table(#[from] CircuitRefusal),
}

/// All circuits at this node.
pub(super) struct Circuits {
    table: CircuitTable,
    arithmetic: Arithmetic,
    ingress: CircuitIngress,
    /// Circuits of this node.
    own: BTreeMap<CircuitHandle, CircuitRef>,
    handles: BTreeMap<CircuitRef, CircuitHandle>,
}

impl Circuits {
    /// No circuits. Nothing else may draw from `rng`.
    pub(super) fn new(arithmetic: Arithmetic, rng: ErasingRng) -> Self {
        Self {
            table: CircuitTable::new(rng),
            arithmetic,
            ingress: CircuitIngress::default(),
            own: BTreeMap::new(),
            handles: BTreeMap::new(),
        }
    }

    /// Mixes entropy into the generator of the table.
    pub(super) fn reseed(&mut self, entropy: &[u8; 32]) {
        self.table.reseed(entropy);
    }

    // -- circuits of this node

    /// Opens a circuit along a path, over the link to its guard. Relays confirm nothing: the first
    /// payload of the other end is the only sign that the circuit exists.
    ///
    /// # Errors
    ///
    /// [`CircuitOpenError`]; the owner is told by the caller.
    pub(super) fn open(
        &mut self,
        fx: &mut Effects,
        now: Now,
        handle: CircuitHandle,
        cookie: &MeetCookie,
        path: CircuitPath,
        peers: &Peers,
    ) -> Result<(), CircuitOpenError> {
        let (epoch, hops) = path?;
        if self.own.contains_key(&handle) {
            return Err(CircuitOpenError::HandleInUse);
        }
        let guard = hops
            .first()
            .and_then(|guard| peers.to_relay(guard.id.short()));
        let link = guard.ok_or(CircuitOpenError::GuardDown)?;
        let rng = fx.circuit_rng();
        let setup = CircuitSetup::build_with(self.arithmetic, rng, epoch, &hops, cookie)?;
        let circuit = self
            .table
            .originate(now.mono, link, &setup.cell, setup.keys)?;
        self.own.insert(handle, circuit);
        self.handles.insert(circuit, handle);
        fx.request(Action::SendCellOver(link, setup.cell));
        Ok(())
    }

    /// Number of payloads that a circuit of this node takes now; none if it does not exist. After a
    /// circuit has taken its last one, [`CircuitAction::Ready`] follows.
    pub(super) fn room(&self, handle: CircuitHandle) -> usize {
        let circuit = self.own.get(&handle);
        circuit.map_or(0, |circuit| self.table.room(*circuit))
    }

    /// Sends a payload. One without room is lost, and with it the circuit: a stream has no gaps.
    pub(super) fn send(
        &mut self,
        fx: &mut Effects,
        now: Now,
        handle: CircuitHandle,
        payload: &[u8; CIRCUIT_PAYLOAD_LEN],
    ) {
        let Some(circuit) = self.own.get(&handle).copied() else {
            return;
        };
        if self.table.send(now.mono, circuit, payload).is_err() {
            fx.bug("a payload was sent to a circuit without room");
            self.close(now, handle);
        }
        self.take_events(fx);
    }

    /// Closes a circuit. Its owner hears no more of it.
    pub(super) fn close(&mut self, now: Now, handle: CircuitHandle) {
        if let Some(circuit) = self.own.remove(&handle) {
            self.handles.remove(&circuit);
            self.table.close(now.mono, circuit);
        }
    }

    // -- circuits of other nodes

    /// A setup cell for the next hop was peeled: the circuit exists, and its cells wait for the link.
    pub(super) fn extend(
        &mut self,
        fx: &mut Effects,
        now: Now,
        peeled: PeeledCircuit,
        next: ShortId,
        cell: Cell,
    ) {
        let PeeledCircuit { source, keys } = peeled;
        match self.table.extend(now.mono, source, keys) {
            Ok(circuit) => {
                let from = source.link;
                let setup = CircuitSetupCell {
                    circuit,
                    from,
                    cell,
                };
                fx.request(Action::Circuit(CircuitAction::ForwardSetup(next, setup)));
            }
            Err(_) => fx.count(Counter::CellsDropped),
        }
        self.take_events(fx);
    }

    /// The setup cell leaves over a link, and after it the cells of the circuit.
    pub(super) fn connect(
        &mut self,
        fx: &mut Effects,
        now: Now,
        link: LinkId,
        setup: CircuitSetupCell,
    ) {
        let CircuitSetupCell { circuit, cell, .. } = setup;
        match self.table.connect(now.mono, circuit, link, &cell) {
            Ok(()) => {
                fx.count(Counter::CellsForwarded);
                fx.request(Action::SendCellOver(link, cell));
            }
            Err(_) => fx.count(Counter::CellsDropped),
        }
        self.take_events(fx);
    }

    /// A circuit ends at this node, and is joined with the other one of its cookie.
    pub(super) fn meet(
        &mut self,
        fx: &mut Effects,
        now: Now,
        peeled: PeeledCircuit,
        cookie: MeetCookie,
    ) {
        let PeeledCircuit { source, keys } = peeled;
        if self.table.meet(now.mono, source, cookie, keys).is_err() {
            fx.count(Counter::CellsDropped);
        }
        self.take_events(fx);
    }

    // -- links

    /// A peer sent a cell of a circuit. `false` if the cell breaks a rule that only its sender can break.
    pub(super) fn on_cell(
        &mut self,
        fx: &mut Effects,
        now: Now,
        from: LinkId,
        class: LinkClass,
        bytes: &[u8; CELL_LEN],
    ) -> bool {
        let Ok(cell) = CircuitCell::parse(bytes) else {
            return false;
        };
        if !self.ingress.admit(now.mono, from, class) {
            fx.count(Counter::CircuitCellsDropped);
            return true;
        }
        fx.count(Counter::CircuitCellsReceived);
        self.table.receive(now.mono, from, cell);
        self.take_events(fx);
        true
    }

    /// A link has been written to, and may have room again.
    pub(super) fn on_link_flushed(&mut self, now: Now, link: LinkId) {
        self.table.set_blocked(now.mono, link, false);
    }

    /// A link is closed: the circuits on it end.
    pub(super) fn on_link_closed(&mut self, fx: &mut Effects, now: Now, link: LinkId) {
        self.ingress.on_link_closed(link);
        self.table.on_link_closed(now.mono, link);
        self.take_events(fx);
    }

    /// Ends the circuits whose time is over.
    pub(super) fn expire(&mut self, fx: &mut Effects, now: Now) {
        self.table.expire(now.mono);
        self.take_events(fx);
    }

    /// Moves cells to the links that have room, as far as the rates permit. Called once at the end of a
    /// turn, when no cell that was moved before still waits for its link.
    pub(super) fn send_due(&mut self, fx: &mut Effects, now: Now, peers: &Peers) {
        for link in self.table.due_links(now.mono) {
            let mut room = peers.circuit_room(link);
            while room > 0
                && let Some(cell) = self.table.pop(now.mono, link)
            {
                room = room.saturating_sub(1);
                fx.count(Counter::CircuitCellsSent);
                fx.request(Action::Circuit(CircuitAction::SendCell(link, cell)));
            }
            if room == 0 {
                self.table.set_blocked(now.mono, link, true);
            }
        }
        self.take_events(fx);
        self.arm(fx, now.mono);
    }

    /// Tells owners what happened to their circuits.
    fn take_events(&mut self, fx: &mut Effects) {
        while let Some(event) = self.table.poll_event() {
            match event {
                CircuitEvent::Received(circuit, payload) => {
                    if let Some(handle) = self.handles.get(&circuit) {
                        fx.request(Action::Circuit(CircuitAction::Received(*handle, payload)));
                    }
                }
                CircuitEvent::Ready(circuit) => {
                    if let Some(handle) = self.handles.get(&circuit) {
                        fx.request(Action::Circuit(CircuitAction::Ready(*handle)));
                    }
                }
                CircuitEvent::Ended(circuit, why) => {
                    if let Some(handle) = self.handles.remove(&circuit) {
                        self.own.remove(&handle);
                        let ending = CircuitEnding::Ended(why);
                        fx.request(Action::Circuit(CircuitAction::Ended(handle, ending)));
                    }
                }
            }
        }
    }

    fn arm(&self, fx: &mut Effects, now: Instant) {
        let due = self.table.next_due();
        let soonest = now.after(MIN_TURN_INTERVAL);
        fx.arm(TimerId::Circuits, due.map(|due| due.max(soonest)));
    }

    /// The circuits, for the status.
    pub(super) fn view(&self, fx: &Effects) -> CircuitsView {
        let stats = self.table.stats();
        let bytes = |counter| fx.counted(counter).saturating_mul(CELL_BYTES);
        CircuitsView {
            own: stats.own,
            relayed: stats.circuits.saturating_sub(stats.own),
            unpaired: stats.unpaired,
            queued_cells: stats.queued,
            bytes_received: bytes(Counter::CircuitCellsReceived),
            bytes_sent: bytes(Counter::CircuitCellsSent),
            cells_dropped: fx.counted(Counter::CircuitCellsDropped),
        }
    }
}

/// Minimum time between two turns that only send cells of circuits: two cells of one circuit at its rate.
const MIN_TURN_INTERVAL: Duration = Duration::from_millis(10);

/// Bytes of a cell.
const CELL_BYTES: u64 = 912;
const _: () = assert!(CELL_LEN == 912);

#[cfg(test)]
mod tests;
