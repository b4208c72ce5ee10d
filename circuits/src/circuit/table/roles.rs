//! What this node is on a circuit, and what it does with the cells there.

use super::egress::{CircuitBody, CircuitPort, CircuitSide};
use super::event::{CircuitEnd, CircuitEvent, CircuitFull, CircuitRef, CircuitRefusal};
use super::limits::{
    MAX_OWN, MAX_OWN_QUEUE_CELLS, MAX_PER_RELAY_LINK, MAX_UNPAIRED, MAX_UNPAIRED_PER_LINK,
    MAX_WAITING_CELLS,
};
use super::{CircuitTable, SetupSource};
use crate::cell::Cell;
use crate::circuit::cell::CircuitIds;
use crate::circuit::hop_keys::HopKeys;
use crate::circuit::origin_keys::CircuitKeys;
use crate::circuit::setup::MeetCookie;
use crate::geometry::CIRCUIT_PAYLOAD_LEN;
use crate::ids::LinkId;
use crate::time::Instant;

/// What this node is on a circuit.
pub(super) enum CircuitRole {
    /// The origin.
    Own {
        keys: CircuitKeys,
        /// Whether the queue has been full since it was last short.
        was_full: bool,
    },
    /// A relay before the last one.
    Passing {
        keys: HopKeys,
        /// Bodies that wait for the link to the next relay.
        waiting: Vec<CircuitBody>,
    },
    /// The last relay.
    Meeting {
        keys: HopKeys,
        cookie: MeetCookie,
        /// The circuit with which this one is joined.
        other: Option<CircuitRef>,
        /// Payloads that wait for the other circuit.
        waiting: Vec<[u8; CIRCUIT_PAYLOAD_LEN]>,
    },
}

impl CircuitRole {
    pub(super) const fn is_own(&self) -> bool {
        matches!(self, Self::Own { .. })
    }

    pub(super) const fn is_unpaired(&self) -> bool {
        matches!(self, Self::Meeting { other: None, .. })
    }

    /// Number of cells that wait for something else than a link.
    pub(super) const fn waiting(&self) -> usize {
        match self {
            Self::Own { .. } => 0,
            Self::Passing { waiting, .. } => waiting.len(),
            Self::Meeting { waiting, .. } => waiting.len(),
        }
    }

    /// Whether the queue of an own circuit has been full; only once for each time.
    pub(super) const fn take_full(&mut self) -> bool {
        match self {
            Self::Own { was_full, .. } => core::mem::replace(was_full, false),
            Self::Passing { .. } | Self::Meeting { .. } => false,
        }
    }
}

impl CircuitTable {
    /// A setup cell for another relay has been peeled, and its replay tag is durable. The cell leaves
    /// when there is a link to the next relay; [`Self::connect`] follows.
    ///
    /// # Errors
    ///
    /// [`CircuitRefusal`]; the setup cell must not leave then.
    pub fn extend(
        &mut self,
        now: Instant,
        from: SetupSource,
        keys: HopKeys,
    ) -> Result<CircuitRef, CircuitRefusal> {
        let waiting = Vec::new();
        let circuit = self.add_from(now, from, CircuitRole::Passing { keys, waiting })?;
        self.deliver_early(now, circuit, CircuitSide::Back);
        Ok(circuit)
    }

    /// The setup cell of a circuit leaves over a link now, before all cells of the circuit.
    ///
    /// # Errors
    ///
    /// [`CircuitRefusal`]; the circuit has ended and the setup cell must not leave.
    pub fn connect(
        &mut self,
        now: Instant,
        circuit: CircuitRef,
        to: LinkId,
        setup: &Cell,
    ) -> Result<(), CircuitRefusal> {
        let state = self.circuits.get_mut(&circuit);
        let state = state.ok_or(CircuitRefusal::Ended)?;
        let CircuitRole::Passing { waiting, .. } = &mut state.role else {
            return Err(CircuitRefusal::Ended);
        };
        let waiting = core::mem::take(waiting);
        if let Err(why) = self.bind_ahead(now, circuit, to, setup) {
            self.end(now, circuit, CircuitEnd::Unconnected, None);
            return Err(why);
        }
        for body in waiting {
            self.push(now, circuit, CircuitSide::Ahead, body);
        }
        Ok(())
    }

    /// A setup cell that ends at this node has been peeled, and its replay tag is durable. If another
    /// circuit has the cookie, both are joined. A third circuit with an equal cookie ends all.
    ///
    /// # Errors
    ///
    /// [`CircuitRefusal`]; there is no circuit then.
    pub fn meet(
        &mut self,
        now: Instant,
        from: SetupSource,
        cookie: MeetCookie,
        keys: HopKeys,
    ) -> Result<CircuitRef, CircuitRefusal> {
        let first = self.cookies.get(&cookie).copied();
        let is_first_joined = first.is_some_and(|first| {
            let state = self.circuits.get(&first);
            state.is_some_and(|state| !state.role.is_unpaired())
        });
        if let Some(first) = first
            && is_first_joined
        {
            self.end(now, first, CircuitEnd::CookieUsed, None);
            let last = self.last_cell(from.ids.backward);
            self.egress.push_closing(now, from.link, last);
            return Err(CircuitRefusal::CookieUsed);
        }
        if first.is_none() {
            self.check_unpaired(from.link)?;
        }
        let role = CircuitRole::Meeting {
            keys,
            cookie,
            other: first,
            waiting: Vec::new(),
        };
        let circuit = self.add_from(now, from, role)?;
        match first {
            Some(first) => self.join(now, first, circuit),
            None => {
                self.cookies.insert(cookie, circuit);
            }
        }
        self.deliver_early(now, circuit, CircuitSide::Back);
        Ok(circuit)
    }

    fn check_unpaired(&self, link: LinkId) -> Result<(), CircuitRefusal> {
        let circuits = self.circuits.values();
        let unpaired = circuits.filter(|circuit| circuit.role.is_unpaired());
        let links = unpaired
            .filter_map(|circuit| circuit.back)
            .map(|port| port.link);
        let (mut all, mut of_link) = (0_usize, 0_usize);
        for other in links {
            all += 1;
            of_link += usize::from(other == link);
        }
        if all >= MAX_UNPAIRED || of_link >= MAX_UNPAIRED_PER_LINK {
            return Err(CircuitRefusal::TooManyUnpaired);
        }
        Ok(())
    }

    /// Joins two circuits: what waited at the first one goes to the second.
    fn join(&mut self, now: Instant, first: CircuitRef, second: CircuitRef) {
        let mut payloads = Vec::new();
        for (circuit, partner) in [(first, second), (second, first)] {
            let Some(state) = self.circuits.get_mut(&circuit) else {
                continue;
            };
            state.is_answered = true;
            state.active = now;
            if let CircuitRole::Meeting { other, waiting, .. } = &mut state.role {
                *other = Some(partner);
                payloads.append(waiting);
            }
            self.arm(circuit);
        }
        for payload in payloads {
            self.return_payload(now, second, &payload);
        }
    }

    /// This node sends a setup cell of its own over a link now, before all cells of the circuit.
    ///
    /// # Errors
    ///
    /// [`CircuitRefusal`]; the setup cell must not leave then.
    pub fn originate(
        &mut self,
        now: Instant,
        to: LinkId,
        setup: &Cell,
        keys: CircuitKeys,
    ) -> Result<CircuitRef, CircuitRefusal> {
        let own = self.circuits.values().filter(|state| state.role.is_own());
        if own.count() >= MAX_OWN {
            return Err(CircuitRefusal::TooMany);
        }
        let role = CircuitRole::Own {
            keys,
            was_full: false,
        };
        let circuit = self.add(now, role, false);
        if let Err(why) = self.bind_ahead(now, circuit, to, setup) {
            self.end(now, circuit, CircuitEnd::Closed, None);
            return Err(why);
        }
        Ok(circuit)
    }

    fn bind_ahead(
        &mut self,
        now: Instant,
        circuit: CircuitRef,
        to: LinkId,
        setup: &Cell,
    ) -> Result<(), CircuitRefusal> {
        let ids = CircuitIds::of(setup.as_bytes());
        let port = CircuitPort {
            link: to,
            incoming: ids.backward,
            outgoing: ids.forward,
        };
        if self.count_on(to, CircuitSide::Ahead) >= MAX_PER_RELAY_LINK {
            return Err(CircuitRefusal::TooManyOnLink);
        }
        self.check_ids(port)?;
        self.bind(now, circuit, CircuitSide::Ahead, port);
        Ok(())
    }

    /// Sends a payload over a circuit of this node. A circuit that has ended takes it and loses it:
    /// its [end](CircuitEvent::Ended) has been told.
    ///
    /// # Errors
    ///
    /// [`CircuitFull`] if too many cells wait for the link.
    pub fn send(
        &mut self,
        now: Instant,
        circuit: CircuitRef,
        payload: &[u8; CIRCUIT_PAYLOAD_LEN],
    ) -> Result<(), CircuitFull> {
        let Some(state) = self.circuits.get_mut(&circuit) else {
            return Ok(());
        };
        let (CircuitRole::Own { keys, was_full }, Some(port)) = (&mut state.role, state.ahead)
        else {
            return Ok(());
        };
        let waiting = self.egress.waiting(circuit, CircuitSide::Ahead, port.link);
        *was_full |= waiting.saturating_add(1) >= MAX_OWN_QUEUE_CELLS;
        if waiting >= MAX_OWN_QUEUE_CELLS {
            return Err(CircuitFull);
        }
        match keys.seal(&mut self.rng, payload) {
            Ok(body) => self.push(now, circuit, CircuitSide::Ahead, body),
            Err(_) => self.end(now, circuit, CircuitEnd::Broken, None),
        }
        Ok(())
    }

    /// Number of payloads that [`Self::send`] takes now for a circuit of this node; none after its end.
    #[must_use]
    pub fn room(&self, circuit: CircuitRef) -> usize {
        let state = self.circuits.get(&circuit);
        let port = state.and_then(|state| state.ahead.filter(|_| state.role.is_own()));
        port.map_or(0, |port| {
            let waiting = self.egress.waiting(circuit, CircuitSide::Ahead, port.link);
            MAX_OWN_QUEUE_CELLS.saturating_sub(waiting)
        })
    }

    /// A cell of a known circuit came from one side.
    pub(super) fn on_cell(
        &mut self,
        now: Instant,
        circuit: CircuitRef,
        side: CircuitSide,
        body: CircuitBody,
    ) {
        let Some(state) = self.circuits.get_mut(&circuit) else {
            return;
        };
        state.active = now;
        let is_first_answer = side == CircuitSide::Ahead && !state.is_answered;
        state.is_answered |= side == CircuitSide::Ahead;
        if is_first_answer {
            self.arm(circuit);
        }
        match side {
            CircuitSide::Back => self.on_forward(now, circuit, body),
            CircuitSide::Ahead => self.on_backward(now, circuit, body),
        }
    }

    /// A body on its way from the origin.
    fn on_forward(&mut self, now: Instant, circuit: CircuitRef, mut body: CircuitBody) {
        let Some(state) = self.circuits.get_mut(&circuit) else {
            return;
        };
        let is_connected = state.ahead.is_some();
        match &mut state.role {
            CircuitRole::Own { .. } => {}
            CircuitRole::Passing { keys, waiting } => match keys.forward(&mut body) {
                Err(_) => self.end(now, circuit, CircuitEnd::Broken, None),
                Ok(()) if is_connected => self.push(now, circuit, CircuitSide::Ahead, body),
                Ok(()) if waiting.len() < MAX_WAITING_CELLS => waiting.push(body),
                Ok(()) => self.end(now, circuit, CircuitEnd::QueueFull, None),
            },
            CircuitRole::Meeting {
                keys,
                other,
                waiting,
                ..
            } => match (keys.take_payload(body), *other) {
                (Err(_), _) => self.end(now, circuit, CircuitEnd::Broken, None),
                (Ok(payload), Some(other)) => self.return_payload(now, other, &payload),
                (Ok(payload), None) if waiting.len() < MAX_WAITING_CELLS => waiting.push(*payload),
                (Ok(_), None) => self.end(now, circuit, CircuitEnd::QueueFull, None),
            },
        }
    }

    /// A body on its way to the origin.
    fn on_backward(&mut self, now: Instant, circuit: CircuitRef, mut body: CircuitBody) {
        let Some(state) = self.circuits.get_mut(&circuit) else {
            return;
        };
        match &mut state.role {
            CircuitRole::Own { keys, .. } => match keys.open(&body) {
                Ok(payload) => {
                    let event = CircuitEvent::Received(circuit, payload);
                    self.events.push_back(event);
                }
                Err(_) => self.end(now, circuit, CircuitEnd::Broken, None),
            },
            CircuitRole::Passing { keys, .. } => match keys.backward(&mut body) {
                Ok(()) => self.push(now, circuit, CircuitSide::Back, body),
                Err(_) => self.end(now, circuit, CircuitEnd::Broken, None),
            },
            CircuitRole::Meeting { .. } => {}
        }
    }

    /// Sends a payload of one circuit down the other one.
    fn return_payload(
        &mut self,
        now: Instant,
        circuit: CircuitRef,
        payload: &[u8; CIRCUIT_PAYLOAD_LEN],
    ) {
        let Some(state) = self.circuits.get_mut(&circuit) else {
            return;
        };
        state.active = now;
        let CircuitRole::Meeting { keys, .. } = &mut state.role else {
            return;
        };
        match keys.return_payload(payload) {
            Ok(body) => self.push(now, circuit, CircuitSide::Back, body),
            Err(_) => self.end(now, circuit, CircuitEnd::Broken, None),
        }
    }
}
