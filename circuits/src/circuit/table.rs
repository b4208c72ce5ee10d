//! The circuits of one node: as a relay on their way, as the relay where they are joined, as origin.
//!
//! The table owns keys, queues, limits and timers of all circuits. The node tells it what arrives
//! ([`CircuitTable::receive`]), sends what [`CircuitTable::pop`] returns over links with room, and calls
//! [`CircuitTable::expire`] at [`CircuitTable::next_due`]. A setup cell leaves before its circuit is
//! [connected](CircuitTable::connect), on the same link, so that it arrives before the first cell.
//!
//! A node that ends a circuit forgets it and sends each peer one last cell with a random body. To
//! the next relay, and to the origin, this is a cell that fails: it ends the circuit there too. On the
//! wire it cannot be told from any other cell (docs/decisions/0027).
//!
//! The table knows neither links nor clocks, and repeats nothing that is lost.

mod egress;
mod event;
pub mod limits;
mod roles;

use core::fmt;
use std::collections::{BTreeMap, VecDeque};

use rand_core::Rng;

use self::egress::{CircuitBody, CircuitEgress, CircuitPort, CircuitSide};
pub use self::event::{
    CircuitEnd, CircuitEvent, CircuitFull, CircuitRef, CircuitRefusal, CircuitStats,
};
use self::limits::{
    CIRCUIT_TIMEOUT, CONNECT_TIMEOUT, IDLE_TIMEOUT, MAX_CELLS, MAX_CIRCUITS, MAX_FROM_CLIENTS,
    MAX_PER_CLIENT_LINK, MAX_PER_RELAY_LINK, MAX_QUEUE_CELLS, OWN_QUEUE_LOW_CELLS,
    UNANSWERED_TIMEOUT, UNPAIRED_TIMEOUT,
};
use self::roles::CircuitRole;
use super::cell::{CircuitCell, CircuitId, CircuitIds};
use super::early::EarlyCells;
use super::setup::MeetCookie;
use crate::due_index::DueIndex;
use crate::erasing_rng::ErasingRng;
use crate::geometry::CIRCUIT_BODY_LEN;
use crate::ids::{LinkClass, LinkId};
use crate::time::Instant;

/// Where a setup cell came from.
#[derive(Clone, Copy, Debug)]
pub struct SetupSource {
    /// The link on which it came.
    pub link: LinkId,
    /// What this node knows of the peer.
    pub class: LinkClass,
    /// The ids of the circuit on the link.
    pub ids: CircuitIds,
}

/// All circuits of a node. `Debug` shows their numbers only.
pub struct CircuitTable {
    rng: ErasingRng,
    circuits: BTreeMap<CircuitRef, Circuit>,
    /// The circuit of the cells that arrive, and the side on which they do.
    by_id: BTreeMap<(LinkId, CircuitId), (CircuitRef, CircuitSide)>,
    /// The circuits that wait for another one with this cookie or have found it.
    cookies: BTreeMap<MeetCookie, CircuitRef>,
    egress: CircuitEgress,
    early: EarlyCells,
    expiry: DueIndex<CircuitRef>,
    events: VecDeque<CircuitEvent>,
    last: u64,
}

/// One circuit at this node.
struct Circuit {
    role: CircuitRole,
    /// Towards the origin; none at the origin.
    back: Option<CircuitPort>,
    /// Away from the origin; none at the last relay, or while the link does not exist.
    ahead: Option<CircuitPort>,
    opened: Instant,
    /// When the last cell came.
    active: Instant,
    /// Whether a cell has come from ahead, or at the last relay, whether there is another half.
    is_answered: bool,
    is_from_client: bool,
}

impl Circuit {
    const fn port(&self, side: CircuitSide) -> Option<CircuitPort> {
        match side {
            CircuitSide::Back => self.back,
            CircuitSide::Ahead => self.ahead,
        }
    }

    /// When the circuit ends if nothing happens, and why.
    fn deadline(&self) -> (Instant, CircuitEnd) {
        let wait = match &self.role {
            _ if self.is_answered => (self.active.after(IDLE_TIMEOUT), CircuitEnd::Idle),
            CircuitRole::Meeting { .. } => {
                let until = self.opened.after(UNPAIRED_TIMEOUT);
                (until, CircuitEnd::Unconnected)
            }
            CircuitRole::Passing { .. } if self.ahead.is_none() => {
                (self.opened.after(CONNECT_TIMEOUT), CircuitEnd::Unconnected)
            }
            CircuitRole::Passing { .. } | CircuitRole::Own { .. } => {
                let until = self.opened.after(UNANSWERED_TIMEOUT);
                (until, CircuitEnd::NoAnswer)
            }
        };
        let end = (self.opened.after(CIRCUIT_TIMEOUT), CircuitEnd::TooOld);
        if wait.0 < end.0 { wait } else { end }
    }
}

impl CircuitTable {
    /// A table without circuits. Nothing else may draw from `rng`.
    #[must_use]
    pub fn new(rng: ErasingRng) -> Self {
        Self {
            rng,
            circuits: BTreeMap::new(),
            by_id: BTreeMap::new(),
            cookies: BTreeMap::new(),
            egress: CircuitEgress::default(),
            early: EarlyCells::new(),
            expiry: DueIndex::default(),
            events: VecDeque::new(),
            last: 0,
        }
    }

    /// Mixes entropy into the generator.
    pub fn reseed(&mut self, entropy: &[u8; 32]) {
        self.rng.reseed(entropy);
    }

    /// A cell of a circuit came over a link. A cell of an unknown circuit waits for it for a few
    /// seconds.
    pub fn receive(&mut self, now: Instant, from: LinkId, cell: CircuitCell) {
        let Some((circuit, side)) = self.by_id.get(&(from, cell.id())).copied() else {
            self.early.push(now, from, cell);
            return;
        };
        self.on_cell(now, circuit, side, Box::new(*cell.body()));
    }

    /// Ends a circuit of this node.
    pub fn close(&mut self, now: Instant, circuit: CircuitRef) {
        self.end(now, circuit, CircuitEnd::Closed, None);
    }

    /// A link is closed: all circuits on it end.
    pub fn on_link_closed(&mut self, now: Instant, link: LinkId) {
        let all = (link, CircuitId::FIRST)..=(link, CircuitId::LAST);
        let ports: Vec<_> = self.by_id.range(all).map(|(_, port)| *port).collect();
        for (circuit, side) in ports {
            self.end(now, circuit, CircuitEnd::LinkClosed, Some(side));
        }
        self.egress.on_link_closed(link);
        self.early.on_link_closed(link);
    }

    /// Ends the circuits whose time is over.
    pub fn expire(&mut self, now: Instant) {
        let due: Vec<_> = self.expiry.due(now).collect();
        for circuit in due {
            let Some(state) = self.circuits.get(&circuit) else {
                continue;
            };
            let (until, why) = state.deadline();
            if until <= now {
                self.end(now, circuit, why, None);
            } else {
                self.expiry.set(circuit, Some(until));
            }
        }
    }

    /// When [`Self::expire`] or [`Self::pop`] has something to do, possibly in the past.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        let expiry = self.expiry.next_due();
        expiry.into_iter().chain(self.egress.next_due()).min()
    }

    /// The links that may have a cell now.
    #[must_use]
    pub fn due_links(&self, now: Instant) -> Vec<LinkId> {
        self.egress.due(now).collect()
    }

    /// The next cell for a link, if the rates permit one now. The circuits of a link take turns.
    pub fn pop(&mut self, now: Instant, link: LinkId) -> Option<CircuitCell> {
        let popped = self.egress.pop(now, link)?;
        if let Some((circuit, left)) = popped.of
            && left <= OWN_QUEUE_LOW_CELLS
            && let Some(state) = self.circuits.get_mut(&circuit)
            && state.role.take_full()
        {
            self.events.push_back(CircuitEvent::Ready(circuit));
        }
        Some(popped.cell)
    }

    /// Says whether a link has no room for circuit cells. Such a link is not among the
    /// [due ones](Self::due_links).
    pub fn set_blocked(&mut self, now: Instant, link: LinkId, is_blocked: bool) {
        self.egress.set_blocked(now, link, is_blocked);
    }

    /// The oldest event that has not been taken.
    pub fn poll_event(&mut self) -> Option<CircuitEvent> {
        self.events.pop_front()
    }

    /// Counts circuits and cells.
    #[must_use]
    pub fn stats(&self) -> CircuitStats {
        let count = |is: fn(&CircuitRole) -> bool| {
            let roles = self.circuits.values().map(|circuit| &circuit.role);
            roles.filter(|role| is(role)).count()
        };
        let waiting = self.circuits.values().map(|circuit| circuit.role.waiting());
        CircuitStats {
            circuits: self.circuits.len(),
            own: count(CircuitRole::is_own),
            unpaired: count(CircuitRole::is_unpaired),
            queued: self.egress.len().saturating_add(waiting.sum()),
        }
    }

    /// Adds a circuit that came over a link.
    fn add_from(
        &mut self,
        now: Instant,
        from: SetupSource,
        role: CircuitRole,
    ) -> Result<CircuitRef, CircuitRefusal> {
        let is_from_client = from.class == LinkClass::Unlisted;
        self.check_room(from.link, is_from_client)?;
        let port = CircuitPort {
            link: from.link,
            incoming: from.ids.forward,
            outgoing: from.ids.backward,
        };
        self.check_ids(port)?;
        let circuit = self.add(now, role, is_from_client);
        self.bind(now, circuit, CircuitSide::Back, port);
        Ok(circuit)
    }

    fn check_room(&self, link: LinkId, is_from_client: bool) -> Result<(), CircuitRefusal> {
        let clients = || {
            let circuits = self.circuits.values();
            circuits.filter(|circuit| circuit.is_from_client).count()
        };
        if self.circuits.len() >= MAX_CIRCUITS || is_from_client && clients() >= MAX_FROM_CLIENTS {
            return Err(CircuitRefusal::TooMany);
        }
        let limit = if is_from_client {
            MAX_PER_CLIENT_LINK
        } else {
            MAX_PER_RELAY_LINK
        };
        if self.count_on(link, CircuitSide::Back) >= limit {
            return Err(CircuitRefusal::TooManyOnLink);
        }
        Ok(())
    }

    /// Number of circuits that have this link on this side.
    fn count_on(&self, link: LinkId, side: CircuitSide) -> usize {
        let all = (link, CircuitId::FIRST)..=(link, CircuitId::LAST);
        let ports = self.by_id.range(all);
        ports.filter(|(_, (_, at))| *at == side).count()
    }

    fn check_ids(&self, port: CircuitPort) -> Result<(), CircuitRefusal> {
        let is_used = self.by_id.contains_key(&(port.link, port.incoming))
            || self.egress.uses(port.link, port.outgoing);
        if is_used {
            return Err(CircuitRefusal::IdInUse);
        }
        Ok(())
    }

    fn add(&mut self, now: Instant, role: CircuitRole, is_from_client: bool) -> CircuitRef {
        self.last = self.last.saturating_add(1);
        let circuit = CircuitRef(self.last);
        let state = Circuit {
            role,
            back: None,
            ahead: None,
            opened: now,
            active: now,
            is_answered: false,
            is_from_client,
        };
        self.circuits.insert(circuit, state);
        self.arm(circuit);
        circuit
    }

    /// Gives a circuit its end at a link, and the cells that have come over the link too early.
    fn bind(&mut self, now: Instant, circuit: CircuitRef, side: CircuitSide, port: CircuitPort) {
        let Some(state) = self.circuits.get_mut(&circuit) else {
            return;
        };
        match side {
            CircuitSide::Back => state.back = Some(port),
            CircuitSide::Ahead => state.ahead = Some(port),
        }
        self.by_id
            .insert((port.link, port.incoming), (circuit, side));
        self.egress.open(now, circuit, side, port);
        self.arm(circuit);
    }

    /// Delivers the cells that came before their circuit existed.
    fn deliver_early(&mut self, now: Instant, circuit: CircuitRef, side: CircuitSide) {
        let port = self
            .circuits
            .get(&circuit)
            .and_then(|state| state.port(side));
        let Some(port) = port else { return };
        for cell in self.early.take(now, port.link, port.incoming) {
            self.receive(now, port.link, cell);
        }
    }

    fn arm(&mut self, circuit: CircuitRef) {
        let state = self.circuits.get(&circuit);
        self.expiry
            .set(circuit, state.map(|state| state.deadline().0));
    }

    /// Queues a body for the peer on one side. A full queue ends the circuit.
    fn push(&mut self, now: Instant, circuit: CircuitRef, side: CircuitSide, body: CircuitBody) {
        let port = self
            .circuits
            .get(&circuit)
            .and_then(|state| state.port(side));
        let Some(port) = port else { return };
        let waiting = self.egress.push(now, circuit, side, port.link, body);
        if waiting > MAX_QUEUE_CELLS {
            self.end(now, circuit, CircuitEnd::QueueFull, None);
        } else if self.egress.len() > MAX_CELLS
            && let Some(longest) = self.egress.longest()
        {
            self.end(now, longest, CircuitEnd::Overload, None);
        }
    }

    /// Forgets a circuit and the one that it is joined with, and tells the peers, except that on
    /// the side whose link is closed.
    fn end(
        &mut self,
        now: Instant,
        circuit: CircuitRef,
        why: CircuitEnd,
        closed: Option<CircuitSide>,
    ) {
        let Some(state) = self.circuits.remove(&circuit) else {
            return;
        };
        self.expiry.set(circuit, None);
        for side in [CircuitSide::Back, CircuitSide::Ahead] {
            let Some(port) = state.port(side) else {
                continue;
            };
            self.by_id.remove(&(port.link, port.incoming));
            self.early.on_ended(now, port.link, port.incoming);
            let last = (closed != Some(side)).then(|| self.last_cell(port.outgoing));
            self.egress.close(now, circuit, side, port.link, last);
        }
        match state.role {
            CircuitRole::Own { .. } if why != CircuitEnd::Closed => {
                self.events.push_back(CircuitEvent::Ended(circuit, why));
            }
            CircuitRole::Own { .. } | CircuitRole::Passing { .. } => {}
            CircuitRole::Meeting { cookie, other, .. } => {
                self.cookies.remove(&cookie);
                if let Some(other) = other {
                    self.end(now, other, CircuitEnd::OtherEnded, None);
                }
            }
        }
    }

    /// A cell that fails wherever it is opened.
    fn last_cell(&mut self, id: CircuitId) -> CircuitCell {
        let mut body = [0; CIRCUIT_BODY_LEN];
        self.rng.fill_bytes(&mut body);
        CircuitCell::new(id, &body)
    }
}

impl fmt::Debug for CircuitTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitTable")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
